"""Uncertainty and diversity of samples, against SciPy and pair by pair."""

import itertools

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from uncertainty_suite import metrics


def ensemble(seed: int, samples: int = 5, count: int = 20, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(classes), (samples, count)), rng.integers(0, classes, count)


@given(seed=st.integers(0, 2**32 - 1))
def test_entropies_are_those_of_scipy(seed: int) -> None:
    probs, _ = ensemble(seed)
    total = scipy.stats.entropy(probs.mean(axis=0), axis=-1)
    expected = scipy.stats.entropy(probs, axis=-1).mean(axis=0)
    np.testing.assert_allclose(metrics.predictive_entropy(probs), total)
    np.testing.assert_allclose(metrics.expected_entropy(probs), expected)
    np.testing.assert_allclose(metrics.mutual_information(probs), total - expected, atol=1e-12)


@given(seed=st.integers(0, 2**32 - 1))
def test_diversity_is_the_mean_over_pairs(seed: int) -> None:
    probs, _ = ensemble(seed)
    pairs = list(itertools.combinations(probs, 2))
    norm = np.linalg.norm
    slow = {
        metrics.disagreement: [p.argmax(1) != q.argmax(1) for p, q in pairs],
        metrics.pairwise_kl: [scipy.special.rel_entr(p, q).sum(1) for p, q in pairs],
        metrics.cosine_similarity: [(p * q).sum(1) / norm(p, axis=1) / norm(q, axis=1) for p, q in pairs],
    }
    for function, values in slow.items():
        np.testing.assert_allclose(function(probs), np.mean(values, axis=0), rtol=1e-9)
    centre = np.exp(np.log(probs).mean(axis=0))
    centre /= centre.sum(axis=1, keepdims=True)
    variance = scipy.special.rel_entr(centre, probs).sum(axis=-1).mean(axis=0)
    np.testing.assert_allclose(metrics.bregman_kl_variance(probs), variance, rtol=1e-9)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_energy_distance_is_that_of_all_pairs(seed: int) -> None:
    probs, labels = ensemble(seed)
    onehot = np.eye(4)[labels]
    across = np.linalg.norm(probs - onehot, axis=-1).mean(axis=0)
    within = np.linalg.norm(probs[:, None] - probs[None], axis=-1).mean(axis=(0, 1))
    assert metrics.generalized_energy_distance(probs, labels) == pytest.approx((2 * across - within).mean())


def test_one_sample_is_an_ensemble_of_one() -> None:
    probs, labels = ensemble(0, samples=1)
    assert metrics.mutual_information(probs).max() == 0
    assert metrics.bregman_kl_variance(probs).max() == pytest.approx(0, abs=1e-12)
    nll = metrics.negative_log_likelihood(probs, labels)
    assert metrics.ensemble_cross_entropy(probs, labels) == pytest.approx(nll)
    assert metrics.gibbs_cross_entropy(probs, labels) == pytest.approx(nll)
    assert metrics.joint_nll(probs, labels, groups=20_000) == pytest.approx(nll, rel=0.02)
    assert metrics.gibbs_brier(probs, labels) == pytest.approx(metrics.brier_score(probs, labels))


def test_one_sample_makes_no_pair() -> None:
    probs, _ = ensemble(0, samples=1)
    for function in (metrics.disagreement, metrics.pairwise_kl, metrics.cosine_similarity):
        with pytest.raises(metrics.NoValueError, match="one sample makes no pair"):
            function(probs)


def test_equal_samples_have_no_diversity() -> None:
    probs = np.repeat(ensemble(1, samples=1)[0], 3, axis=0)
    assert metrics.disagreement(probs).max() == 0
    assert metrics.pairwise_kl(probs).max() == pytest.approx(0, abs=1e-12)
    assert metrics.mutual_information(probs).max() == pytest.approx(0, abs=1e-12)


def test_zeros_give_finite_values() -> None:
    probs = np.eye(3)[np.array([[0], [1], [2]])]  # [3 samples, 1, 3], each sure of another class
    for function in (metrics.pairwise_kl, metrics.bregman_kl_variance, metrics.mutual_information):
        assert np.isfinite(function(probs)).all()
    assert metrics.mutual_information(probs)[0] == pytest.approx(np.log(3))
    assert metrics.disagreement(probs)[0] == 1
    assert metrics.variation_ratio(probs)[0] == pytest.approx(2 / 3)
    assert metrics.ensemble_cross_entropy(probs, [1]) == pytest.approx(np.log(3))
    assert np.isfinite(metrics.gibbs_cross_entropy(probs, [1]))


def test_the_joint_likelihood_rewards_samples_that_are_right_together() -> None:
    labels = np.arange(40) % 2
    # Two samples that are each sure of a whole world, the second wrong everywhere; and their mean.
    sure = np.stack([0.01 + 0.98 * np.eye(2)[labels], 0.01 + 0.98 * np.eye(2)[1 - labels]])
    mean = np.repeat(sure.mean(axis=0)[None], 2, axis=0)
    assert metrics.ensemble_cross_entropy(sure, labels) == pytest.approx(metrics.ensemble_cross_entropy(mean, labels))
    assert metrics.joint_nll(mean, labels) == pytest.approx(np.log(2))
    assert metrics.joint_nll(sure, labels) == pytest.approx((np.log(2) - 10 * np.log(0.99)) / 10)
    assert metrics.joint_nll(sure, labels, tau=1, kappa=None) == pytest.approx(np.log(2))


def test_the_seed_of_the_joint_likelihood_matters() -> None:
    data = ensemble(2)
    values = [metrics.joint_nll(*data, groups=50, seed=seed) for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


def test_normalized_disagreement_needs_an_error() -> None:
    probs = [[[0.9, 0.1]], [[0.4, 0.6]]]
    assert metrics.normalized_disagreement(probs, [1]) == pytest.approx(1)
    with pytest.raises(metrics.NoValueError, match="every prediction is correct"):
        metrics.normalized_disagreement(probs, [0])
