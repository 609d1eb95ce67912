"""The bridge to Robustness Metrics.

That package cannot be installed here, so these tests run against a STAND-IN: a module of the same interface (a registry
under `metrics.base`, classes with `add_batch(predictions, label=...)` and `result()`), put into `sys.modules`. They
check what the bridge hands over and gives back, and nothing of Robustness Metrics itself.
"""

import importlib.machinery
import os
import sys
import types

import numpy as np
import pytest

from uncertainty_suite import metrics
from uncertainty_suite.errors import InputError

PROBS = np.array([[[0.9, 0.1], [0.4, 0.6]], [[0.7, 0.3], [0.2, 0.8]]])  # [2 samples, 2 examples, 2 classes]
LABELS = np.array([0, 1])


class StandIn:
    """Records what it is fed, with the constructor and methods of one of their metrics."""

    def __init__(self, dataset_info=None, num_bins: int = 15):
        assert dataset_info is None
        self.num_bins, self.seen = num_bins, []

    def add_batch(self, model_predictions, **metadata) -> None:
        self.seen.append((model_predictions, metadata))

    def result(self) -> dict:
        return {"ece": np.float32(self.num_bins)}


class NaN(StandIn):
    def result(self) -> dict:
        return {"nan": np.float32("nan")}


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the stand-in where Robustness Metrics would be, in a process that has not imported TensorFlow."""
    classes = dict.fromkeys(("ece", "average_pairwise_diversity", "calibration_auc", "semiparametric_ce"), StandIn)
    classes["nan"] = NaN
    package = types.ModuleType("robustness_metrics")
    package.__spec__ = importlib.machinery.ModuleSpec("robustness_metrics", None)
    module = types.ModuleType("robustness_metrics.metrics")
    module.base = types.SimpleNamespace(
        registry=types.SimpleNamespace(get=classes.get, get_registered_subclasses=lambda: list(classes))
    )
    monkeypatch.setitem(sys.modules, "robustness_metrics", package)
    monkeypatch.setitem(sys.modules, "robustness_metrics.metrics", module)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "robustness_metrics", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def test_without_the_package_one_line_says_how_to_install_it(absent: None) -> None:
    with pytest.raises(InputError, match=r'pip install "uncertainty-suite\[robustness-metrics\]"') as caught:
        metrics.get("rm/ece")
    assert "\n" not in str(caught.value)


def test_the_mean_prediction_and_the_labels_are_handed_over(stand_in: None) -> None:
    metric = metrics.get("rm/ece", num_bins=7)
    metric.add_batch(PROBS, label=LABELS)
    ((predictions, metadata),) = metric._metric.seen
    np.testing.assert_allclose(predictions, PROBS.mean(axis=0), rtol=1e-6)
    assert predictions.dtype == np.float32
    np.testing.assert_array_equal(metadata["label"], LABELS)
    result = metric.result()
    assert result == {"rm/ece(num_bins=7)": 7.0}
    assert type(result["rm/ece(num_bins=7)"]) is float


def test_some_metrics_take_something_else(stand_in: None) -> None:
    diversity = metrics.get("rm/average_pairwise_diversity")
    diversity.add_batch(PROBS, label=LABELS)
    assert diversity._metric.seen[0][0].shape == (2, 2, 2)
    auc = metrics.get("rm/calibration_auc")
    auc.add_batch(PROBS, label=LABELS)
    predictions, metadata = auc._metric.seen[0]
    np.testing.assert_array_equal(predictions, [0, 1])
    np.testing.assert_allclose(metadata["confidence"], [0.8, 0.7], rtol=1e-6)
    binary = metrics.get("rm/semiparametric_ce")
    binary.add_batch(PROBS, label=LABELS)
    np.testing.assert_allclose(binary._metric.seen[0][0], [0.2, 0.7], rtol=1e-6)
    with pytest.raises(InputError, match="Metric 'rm/semiparametric_ce' needs 2 classes, got 3"):
        binary.add_batch([[0.2, 0.3, 0.5]], label=[0])


def test_direction_and_range_are_those_of_the_native_metric(stand_in: None) -> None:
    metric = metrics.get("rm/ece")
    assert metric.higher_is_better is False
    assert metric.value_range == (0, 1)
    diversity = metrics.get("rm/average_pairwise_diversity")
    assert diversity.higher_is_better is None and "samples" in diversity.needs
    assert metrics.info("rm/ece(num_bins=7)").higher_is_better is False
    assert metrics.info("rm/average_pairwise_diversity").higher_is_better is None


def test_reset_makes_a_new_one(stand_in: None) -> None:
    metric = metrics.get("rm/ece", num_bins=7)
    metric.add_batch(PROBS, label=LABELS)
    metric.reset()
    assert metric._metric.seen == []
    with pytest.raises(InputError, match=r"Metric 'rm/ece\(num_bins=7\)' has seen no example"):
        metric.result()


def test_a_bridged_metric_fits_in_a_collection(stand_in: None) -> None:
    collection = metrics.Collection(["rm/ece", "rm/ece(num_bins=7)", "ece", "rm/nan"])
    collection.add_batch(PROBS, label=LABELS)
    assert list(collection.result()) == ["rm/ece", "rm/ece(num_bins=7)", "ece"]
    assert "Robustness Metrics gives NaN for 'rm/nan'" in collection.left_out["rm/nan"]


def test_keras_2_is_asked_for_before_tensorflow_is_imported(stand_in: None, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics.get("rm/ece")
    assert os.environ["TF_USE_LEGACY_KERAS"] == "1"
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    monkeypatch.setitem(sys.modules, "tensorflow", types.ModuleType("tensorflow"))
    with pytest.raises(InputError, match="set TF_USE_LEGACY_KERAS=1 before the program starts"):
        metrics.get("rm/ece")


def test_unknown_names_and_nan_are_refused(stand_in: None) -> None:
    with pytest.raises(InputError, match=r"Unknown metric of Robustness Metrics 'ecee'\. Did you mean 'ece'\?"):
        metrics.get("rm/ecee")
    with pytest.raises(InputError, match=r"Robustness Metrics refuses the options of 'rm/ece': .*'bins'"):
        metrics.get("rm/ece(bins=7)")
    metric = metrics.get("rm/nan")
    metric.add_batch(PROBS, label=LABELS)
    with pytest.raises(metrics.NoValueError, match="Robustness Metrics gives NaN for 'rm/nan'"):
        metric.result()
