import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf

from tests.conftest import ROOT
from uncertainty_suite import configuration, datasets, evaluation, metrics, training
from uncertainty_suite.predictions import Predictions


@pytest.fixture
def run(tmp_path):
    config = configuration.load(ROOT / "configs/two_moons/deterministic.py")
    config.evaluation.batch_size = 300  # does not divide the 1,000 examples
    return training.Run(config, "method.py", tmp_path / "run")


def predict_by_distance(features):
    """Two samples of a classifier by the second coordinate, and the distance from the origin."""
    features = np.asarray(features, np.float64)
    samples = [1 / (1 + np.exp(-slope * features[:, 1])) for slope in (2.0, 5.0)]
    probs = np.stack([[p, 1 - p] for p in samples]).transpose(0, 2, 1)
    return Predictions(probs=probs, uncertainty={"distance": np.linalg.norm(features, axis=1)})


def load(run, name):
    with np.load(run.path / f"predictions/{name}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def test_results_are_those_of_the_whole_split_at_once(run):
    results = evaluation.evaluate(predict_by_distance, run)
    test, ood = (datasets.get("two_moons", split=split) for split in ("test", "ood"))
    probs = np.asarray(predict_by_distance(test.features).probs).mean(axis=0)
    assert results["test/accuracy"] == np.mean(probs.argmax(axis=1) == test.labels)
    assert results["test/nll"] == pytest.approx(sklearn.metrics.log_loss(test.labels, probs), rel=1e-5)
    ood_probs = np.asarray(predict_by_distance(ood.features).probs).mean(axis=0)
    labels = [0] * 1000 + [1] * 500
    by_probs = 1 - np.concatenate([probs, ood_probs]).max(axis=1)
    assert results["ood/ood/auroc"] == pytest.approx(sklearn.metrics.roc_auc_score(labels, by_probs), abs=1e-4)
    by_distance = np.linalg.norm(np.concatenate([test.features, ood.features]), axis=1)
    expected = sklearn.metrics.roc_auc_score(labels, by_distance)
    assert results["ood/ood/distance/auroc"] == pytest.approx(expected, abs=1e-6)
    assert results["ood/ood/max_prob"] == pytest.approx(ood_probs.max(axis=1).mean(), rel=1e-6)
    assert results["milliseconds_per_example"] > 0


def test_saves_what_the_metrics_are_computed_from(run):
    results = evaluation.evaluate(predict_by_distance, run)
    saved = load(run, "test")
    assert {name: (array.shape, array.dtype.name) for name, array in saved.items()} == {
        "probs": ((1000, 2), "float32"),
        "labels": ((1000,), "int32"),
        "element_id": ((1000,), "int64"),
        "uncertainty/distance": ((1000,), "float32"),
        "uncertainty/mutual_information": ((1000,), "float32"),
    }
    for name in run.config.evaluation.metrics:
        assert evaluation.split_metrics(saved, [name])[name] == results[f"test/{name}"]
    again = evaluation.ood_metrics(saved, load(run, "ood/ood"))
    assert {f"ood/ood/{name}": value for name, value in again.items()}.items() <= results.items()
    assert load(run, "grid")["probs"].shape == (10_000, 2)
    samples = np.asarray(predict_by_distance(datasets.get("two_moons", split="test").features).probs)
    expected = metrics.mutual_information(samples)
    np.testing.assert_allclose(saved["uncertainty/mutual_information"], expected, atol=1e-6)


def test_samples_are_saved_when_asked(run):
    run.config.evaluation.save_samples = True
    evaluation.evaluate(predict_by_distance, run)
    assert load(run, "test")["samples"].shape == (2, 1000, 2)


def test_predict_is_compiled_once_for_all_batches_and_splits(run):
    shapes = []

    @tf.function
    def predict(features):
        shapes.append(features.shape)
        probs = tf.nn.softmax(tf.cast(features, tf.float32))[tf.newaxis]
        return Predictions(probs=probs, logits=probs)

    evaluation.evaluate(predict, run)
    assert shapes == [(300, 2)]
