import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from tests.evaluation.conftest import SAMPLES, make_run, predict_by_distance
from uncertainty_suite import datasets, evaluation, metrics
from uncertainty_suite.errors import InputError
from uncertainty_suite.predictions import Predictions


def predict_once(features):
    """The first of the two samples."""
    return Predictions(probs=predict_by_distance(features).probs[:1])


def parts_of(data):
    """The aleatoric and the epistemic uncertainty of each example, by SciPy."""
    probs = predict_by_distance(data.features).probs
    aleatoric = scipy.stats.entropy(probs, axis=-1).mean(axis=0)
    return aleatoric, scipy.stats.entropy(probs.mean(axis=0), axis=-1) - aleatoric


@pytest.fixture(scope="module")
def moons(tmp_path_factory):
    """The run folder of a classifier of two moons with two samples."""
    run = make_run(tmp_path_factory.mktemp("moons"), section=SAMPLES, ood_far=("two_moons/ood",))
    evaluation.evaluate(predict_by_distance, run)
    return run.folder


def test_parts_and_what_they_are_good_for(moons):
    found = evaluation.uncertainty_parts(moons)
    test, ood = (datasets.get("two_moons", split) for split in ("test", "ood"))
    errors = predict_by_distance(test.features).probs.mean(axis=0).argmax(axis=-1) != test.labels
    is_ood = np.repeat([0, 1], [test.num_examples, ood.num_examples])
    for part, inside, outside in zip(("aleatoric", "epistemic"), parts_of(test), parts_of(ood)):
        expected = {
            f"test/{part}": inside.mean(),
            f"test/{part}/auroc": sklearn.metrics.roc_auc_score(errors, inside),
            f"test/{part}/aurc": metrics.aurc(
                np.eye(2)[errors.astype(int)], np.zeros(len(errors), int), uncertainty=inside
            ),
            f"ood/ood/{part}": outside.mean(),
            f"ood/ood/{part}/auroc": sklearn.metrics.roc_auc_score(is_ood, np.concatenate([inside, outside])),
        }
        assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-4)
        assert 0 < found[f"test/{part}/augrc"] < found[f"test/{part}/aurc"]


def test_one_sample_has_no_epistemic_part(tmp_path):
    run = make_run(tmp_path, ood_far=())
    evaluation.evaluate(predict_once, run)
    with pytest.raises(InputError, match="has predictions of one sample, which have no epistemic part"):
        evaluation.uncertainty_parts(run.folder)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4])
def test_the_entropy_of_noisy_labels_is_that_of_the_labels(share):
    expected = scipy.stats.entropy([1 - share, *[share / 9] * 9])
    assert evaluation.label_entropy(share, num_classes=10) == pytest.approx(expected)


class TestHumanCorrelation:
    """Of made-up counts: people disagree more, the less certain the first sample of the classifier is."""

    @pytest.fixture
    def counts(self, monkeypatch):
        test = datasets.get("two_moons", "test")
        share = predict_once(test.features).probs[0]
        counts = np.random.default_rng(0).multinomial(50, share / share.sum(axis=-1, keepdims=True))
        counts[:3] = 0  # nobody labelled these
        monkeypatch.setattr(datasets.Dataset, "human_labels", counts)
        return counts

    def test_of_two_samples(self, moons, counts):
        people = scipy.stats.entropy(counts[3:], axis=-1)
        parts = (each[3:] for each in parts_of(datasets.get("two_moons", "test")))
        expected = [scipy.stats.spearmanr(each, people).statistic for each in parts]
        found = evaluation.human_correlation(moons)
        assert found == pytest.approx({"aleatoric": expected[0], "epistemic": expected[1]}, abs=1e-3)
        assert found["aleatoric"] > 0.5

    def test_of_one_sample_it_is_that_of_the_entropy(self, tmp_path, counts):
        run = make_run(tmp_path, ood_far=())
        evaluation.evaluate(predict_once, run)
        entropy = scipy.stats.entropy(predict_once(datasets.get("two_moons", "test").features).probs[0], axis=-1)
        expected = scipy.stats.spearmanr(entropy[3:], scipy.stats.entropy(counts[3:], axis=-1)).statistic
        assert evaluation.human_correlation(run.folder) == pytest.approx({"aleatoric": expected}, abs=1e-3)

    def test_counts_are_joined_by_the_number_of_the_example(self, moons, counts):
        expected, saved = evaluation.human_correlation(moons), moons.predictions("test")
        order = np.random.default_rng(1).permutation(len(counts))
        moons.save_predictions("test", {n: a[order] if a.ndim else a for n, a in saved.items()})
        try:
            assert evaluation.human_correlation(moons) == pytest.approx(expected)
        finally:
            moons.save_predictions("test", saved)

    def test_people_who_always_agree_rank_nothing(self, moons, monkeypatch):
        monkeypatch.setattr(datasets.Dataset, "human_labels", np.tile([50, 0], (1000, 1)))
        with pytest.raises(InputError, match="People disagree equally on all examples of data set 'two_moons'"):
            evaluation.human_correlation(moons)


def test_data_without_labels_of_many_people(moons):
    with pytest.raises(InputError, match="Split 'test' of data set 'two_moons' has no labels of many people"):
        evaluation.human_correlation(moons)
