"""Scores of probabilities and logits against their formulas, written slowly."""

import numpy as np
import pytest

from uncertainty_suite import ood_scores
from uncertainty_suite.errors import InputError


@pytest.fixture
def logits() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(3, 50, 4)) * 3


@pytest.fixture
def samples(logits) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def entropy(probs: np.ndarray) -> np.ndarray:
    return -(probs * np.log(probs)).sum(axis=-1)


def test_probability_scores_are_their_formulas(samples):
    probs = samples.mean(axis=0)
    saved = {"log_probs": np.log(probs), "samples": samples}
    expected = {
        "max_prob": np.log(1 - probs.max(axis=1)),
        "entropy": entropy(probs),
        "expected_entropy": entropy(samples).mean(axis=0),
        "mutual_information": entropy(probs) - entropy(samples).mean(axis=0),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(ood_scores.get(name)(saved), values, rtol=1e-9, atol=1e-12)


def test_one_sample_has_no_mutual_information(samples):
    saved = {"samples": samples[:1]}
    np.testing.assert_allclose(ood_scores.get("mutual_information")(saved), 0, atol=1e-12)
    np.testing.assert_allclose(ood_scores.get("expected_entropy")(saved), entropy(samples[0]))


def test_logit_scores_are_means_over_samples_of_their_formulas(logits):
    expected = {
        "max_logit": -logits.max(axis=2).mean(axis=0),
        "energy": -np.log(np.exp(logits).sum(axis=2)).mean(axis=0),
        "dempster_shafer": (4 / (4 + np.exp(logits).sum(axis=2))).mean(axis=0),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(ood_scores.get(name)({"logits": logits}), values, rtol=1e-12)
        one = ood_scores.get(name)({"logits": logits[0]})
        np.testing.assert_array_equal(one, ood_scores.get(name)({"logits": logits[:1]}))


def test_energy_temperature(logits):
    expected = -2.5 * np.log(np.exp(logits / 2.5).sum(axis=2)).mean(axis=0)
    np.testing.assert_allclose(ood_scores.get("energy", temperature=2.5)({"logits": logits}), expected)


def test_cold_energy_is_the_largest_logit(logits):
    cold = ood_scores.get("energy", temperature=1e-4)({"logits": logits})
    np.testing.assert_allclose(cold, ood_scores.get("max_logit")({"logits": logits}), atol=1e-3)


def test_huge_logits_neither_overflow_nor_tie():
    logits = np.array([[500.0, 0.0], [600.0, -1e6], [-600.0, -700.0]])
    np.testing.assert_allclose(ood_scores.get("energy")({"logits": logits * 1e3}), -logits.max(axis=1) * 1e3)
    scores = ood_scores.get("dempster_shafer")({"logits": logits})
    assert scores[2] == 1 and scores[0] > scores[1] > 0


def test_variance_is_what_was_saved():
    saved = {"uncertainty/variance": np.float32([1, 2]), "uncertainty/spread": np.float32([3, 4])}
    assert ood_scores.get("variance")(saved).tolist() == [1, 2]
    spread = ood_scores.get("variance", uncertainty="spread")
    assert spread.needs == ("uncertainty/spread",) and spread(saved).tolist() == [3, 4]


def test_probabilities_that_round_to_one_are_told_apart():
    """1 - 1e-9 and 1 - 1e-12 are one number in float32; the logits say which example is the surer one."""
    logits = np.array([[0.0, -20.0], [0.0, -30.0], [0.0, -80.0], [0.0, -200.0]])
    log_probs = (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)
    assert len(np.unique(np.exp(log_probs[:2]).max(axis=1))) == 1
    scores = ood_scores.get("max_prob")({"log_probs": log_probs})
    np.testing.assert_allclose(scores, [-20, -30, -80, -200], rtol=1e-6)


def test_entropies_of_sure_predictions_are_exact():
    """With q beside p = 1 - q, H = q - q log q but for q^2; p in float64 would lose q, which is a part of it."""
    q = np.array([0.9e-16, 1.2e-16, 3e-16, 1e-12])
    log_probs = np.stack([np.log1p(-q), np.log(q)], axis=1)
    scores = ood_scores.get("entropy")({"log_probs": log_probs})
    np.testing.assert_allclose(scores, q - q * np.log(q), rtol=1e-11)


@pytest.mark.parametrize("name", ["max_prob", "entropy"])
def test_one_class_has_no_score(name):
    with pytest.raises(InputError, match=r"^Log-probabilities are of one class, which is always sure; expected two"):
        ood_scores.get(name)({"log_probs": np.zeros((3, 1))})


@pytest.mark.parametrize("name", ["energy", "max_logit", "dempster_shafer"])
def test_probabilities_are_no_logits(name, samples):
    with pytest.raises(InputError, match=r"^Logits are probabilities: no number is negative and every row sums to 1\."):
        ood_scores.get(name)({"logits": samples.astype(np.float16)})
