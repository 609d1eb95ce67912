"""The bridge to Robustness Metrics: `metrics.get("rm/<name>")` runs one of its metrics on our predictions.

The package is on no index, so it is optional. It uses Keras 2 through `tf.keras`, which needs `tf-keras` and
`TF_USE_LEGACY_KERAS=1` set before TensorFlow is first imported; our code imports `keras`, Keras 3, and the two live in
one process. Its sweep (`msce`, or `gce` with `num_bins=None`) calls `np.bincount(minlength=None)`, which NumPy 2
refuses: use the native `msce`.
"""

import importlib
import importlib.util
import os
import sys
from typing import Any

import numpy as np

from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.metrics import base

PREFIX = "rm/"  # of the names of its metrics

_INSTALL = 'pip install "uncertainty-suite[robustness-metrics]"'

# What is fed to those that do not take the mean prediction and the label alone.
_TAKES_SAMPLES = ("average_pairwise_diversity",)
_TAKES_CLASS1 = ("collaborative_auc", "semiparametric_ce", "semiparametric_ce_ci")
_TAKES_CONFIDENCE = ("calibration_auc",)


def _load() -> Any:
    """Import the metrics of Robustness Metrics, or say in one line what is in the way."""
    if importlib.util.find_spec("robustness_metrics") is None:
        raise InputError(f"Metrics named rm/... need Robustness Metrics, which is not installed; run {_INSTALL}.")
    if os.environ.get("TF_USE_LEGACY_KERAS") != "1":
        if "tensorflow" in sys.modules:
            raise InputError(
                "Robustness Metrics needs Keras 2, but TensorFlow was imported without it; "
                "set TF_USE_LEGACY_KERAS=1 before the program starts."
            )
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
    try:
        return importlib.import_module("robustness_metrics.metrics")
    except ImportError as error:
        raise InputError(f"Robustness Metrics cannot be imported ({error}); run {_INSTALL}.") from error


class RobustnessMetric(base.Metric):
    """A metric of Robustness Metrics behind the interface of ours.

    Its results keep their own names, each after `rm/`, and with the options that were asked for. Its direction and
    range are those of the native metric of the same name, if there is one.

    Args:
        name: `rm/` and the name it has there.
        **options: Its options there.
    """

    name = "rm/<name>"
    value_range = base.REAL
    higher_is_better = None
    paper = "https://github.com/google-research/robustness_metrics"
    needs_whole_set = True  # nothing says which of them do not

    def __init__(self, name: str, **options: Any):
        self.name = name
        self._options = options
        self._their_name = name.removeprefix(PREFIX)
        registry = _load().base.registry
        known = registry.get_registered_subclasses()
        if self._their_name not in known:
            raise unknown_name("metric of Robustness Metrics", self._their_name, known)
        self._make = registry.get(self._their_name)
        if self._their_name in base.REGISTRY.names():
            native = base.REGISTRY.info(self._their_name)
            self.value_range, self.higher_is_better = native.value_range, native.higher_is_better
        if self._their_name in _TAKES_SAMPLES:
            self.needs = ("labels", "samples")
        self.reset()

    def reset(self) -> None:
        try:
            self._metric = self._make(dataset_info=None, **self._options)
        except TypeError as error:
            raise InputError(f"Robustness Metrics refuses the options of '{self.name}': {error}.") from error
        self._empty = True

    def update(self, batch: base.Batch) -> None:
        predictions, fields = batch.probs, {"label": batch.labels.astype(np.int32)}
        if self._their_name in _TAKES_SAMPLES:
            predictions = batch.samples
        elif self._their_name in _TAKES_CLASS1:
            if predictions.shape[1] != 2:
                raise InputError(f"Metric '{self.name}' needs 2 classes, got {predictions.shape[1]}.")
            predictions = predictions[:, 1]
        elif self._their_name in _TAKES_CONFIDENCE:
            predictions, fields["confidence"] = batch.predicted, batch.confidence.astype(np.float32)
        self._metric.add_batch(predictions.astype(np.float32), **fields)
        self._empty = False

    def result(self) -> dict[str, float]:
        if self._empty:
            raise self._no_example()
        values = self._metric.result().items()
        result = {f"{PREFIX}{key}{self.suffix}": float(np.mean(value)) for key, value in values}
        for key, value in result.items():
            if np.isnan(value):
                raise self._no_value(f"Robustness Metrics gives NaN for '{key}'; use the native metric if there is one")
        return result
