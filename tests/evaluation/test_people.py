"""Predictions against what people say, of made-up counts."""

import numpy as np
import pytest

from tests.evaluation.conftest import SAMPLES, make_run, predict_by_distance
from uncertainty_suite import datasets, evaluation, metrics
from uncertainty_suite.errors import InputError


@pytest.fixture(scope="module")
def moons(tmp_path_factory):
    """The run folder of a classifier of two moons with two samples."""
    run = make_run(tmp_path_factory.mktemp("moons"), section=SAMPLES, ood_far=())
    evaluation.evaluate(predict_by_distance, run)
    return run.folder


@pytest.fixture
def counts(monkeypatch):
    size = datasets.get("two_moons", "test").num_examples
    counts = np.random.default_rng(0).multinomial(3, [0.6, 0.4], size)
    counts[:3] = 0  # nobody labelled these
    monkeypatch.setattr(datasets.Dataset, "human_labels", counts)
    return counts[3:]


def test_metrics_are_of_the_mean_over_samples_and_the_labelled_examples(moons, counts):
    found = evaluation.human_metrics(moons)
    probs = predict_by_distance(datasets.get("two_moons", "test").features).probs.mean(axis=0)[3:]
    expected = {name: getattr(metrics, name)(probs, counts) for name in evaluation.HUMAN_METRICS}
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert expected["label_set_accuracy"] == np.mean(counts[np.arange(len(counts)), probs.argmax(axis=1)] > 0)


def test_a_temperature_is_that_of_the_validation_split(moons, counts):
    found = evaluation.human_metrics(moons)
    saved = {split: moons.predictions(split)["log_probs"].astype(float) for split in ("validation", "test")}
    labels = moons.predictions("validation")["labels"]
    temperature = metrics.fit_temperature(saved["validation"], labels, from_logits=True)
    scaled = np.exp(saved["test"][3:] / temperature)
    expected = metrics.label_distribution_kl(scaled / scaled.sum(axis=1, keepdims=True), counts)
    assert found["temperature_scaling/label_distribution_kl"] == pytest.approx(expected, rel=1e-3)
    assert found["temperature_scaling/label_set_accuracy"] == found["label_set_accuracy"]


def test_data_that_one_person_labelled(moons):
    with pytest.raises(InputError, match="Split 'test' of data set 'two_moons' has no labels of many people"):
        evaluation.human_metrics(moons)
