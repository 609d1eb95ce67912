"""Uncertainty and diversity of samples, against SciPy and pair by pair."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from uncertainty_suite import metrics
from uncertainty_suite.errors import InputError


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


@given(
    seed=st.integers(0, 2**32 - 1), count=st.integers(2, 9), dtype=st.sampled_from([np.float16, np.float32, np.float64])
)
def test_of_equal_samples_epistemic_uncertainty_is_exactly_zero(seed: int, count: int, dtype: type) -> None:
    probs = np.repeat(np.random.default_rng(seed).dirichlet(np.full(7, 0.3), (1, 20)).astype(dtype), count, axis=0)
    for function in (
        *(metrics.mutual_information, metrics.reverse_mutual_information, metrics.expected_pairwise_kl),
        *(metrics.epistemic_variance, metrics.pairwise_kl, metrics.bregman_kl_variance),
    ):
        assert function(probs).max() == 0
    with pytest.raises(metrics.NoValueError, match="the mutual information of all 20 examples is the same"):
        metrics.aleatoric_epistemic_correlation(probs)


@pytest.mark.parametrize("case", ["s2_k2", "s8_k5", "s30_k10"])
def test_decompositions_are_those_of_the_libraries(case: str, golden_dir: Path) -> None:
    with np.load(golden_dir / "methods" / "decomposition_failure.npz", allow_pickle=False) as arrays:
        start = f"classification_{case}/"
        golden = {key.removeprefix(start): arrays[key] for key in arrays.files if key.startswith(start)}
    probs = golden["probs"]
    ours = {
        "entropy": metrics.predictive_entropy(probs),
        "expected_entropy": metrics.expected_entropy(probs),
        "mutual_information": metrics.mutual_information(probs),
        "reverse_mutual_information": metrics.reverse_mutual_information(probs),
        "pairwise_kl_over_S2": metrics.expected_pairwise_kl(probs, pairs="all"),
        "pairwise_kl_distinct_pairs": metrics.expected_pairwise_kl(probs),
        "variance_total": metrics.total_variance(probs),
        "variance_aleatoric": metrics.aleatoric_variance(probs),
        "variance_epistemic": metrics.epistemic_variance(probs),
    }
    for name, values in ours.items():
        np.testing.assert_allclose(values, golden[name], rtol=1e-9, atol=1e-14, err_msg=name)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_correlation_of_aleatoric_and_epistemic_is_that_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probs = rng.integers(1, 4, (3, 40, 2)).astype(float)  # with ties
    probs /= probs.sum(axis=-1, keepdims=True)
    parts = [np.round(part(probs), 12) for part in (metrics.expected_entropy, metrics.mutual_information)]
    expected = scipy.stats.spearmanr(*parts).statistic
    assert metrics.aleatoric_epistemic_correlation(probs) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_change_of_samples_is_refused() -> None:
    first, second = ensemble(0, samples=2), ensemble(0, samples=3)
    metric = metrics.get("joint_nll")
    collection = metrics.Collection(["nll", "joint_nll", "mutual_information"])
    for each in (metric, collection):
        each.add_batch(first[0], label=first[1])
        before = each.result()
        with pytest.raises(InputError, match=r"^Predictions of 3 samples after 2; use one metric for each\.$"):
            each.add_batch(second[0], label=second[1])
        assert each.result() == before


def test_zeros_give_finite_values() -> None:
    probs = np.eye(3)[np.array([[0], [1], [2]])]  # [3 samples, 1, 3], each sure of another class
    for function in (metrics.pairwise_kl, metrics.bregman_kl_variance, metrics.mutual_information):
        assert np.isfinite(function(probs)).all()
    assert metrics.mutual_information(probs)[0] == pytest.approx(np.log(3))
    assert metrics.disagreement(probs)[0] == 1
    assert metrics.variation_ratio(probs)[0] == pytest.approx(2 / 3)
    assert metrics.ensemble_cross_entropy(probs, [1]) == pytest.approx(np.log(3))
    assert np.isfinite(metrics.gibbs_cross_entropy(probs, [1]))


def test_the_smallest_numbers_of_float64_are_in_all_samples_together_nothing() -> None:
    sure, less = np.array([[1.0, 0.0, 0.0]]), np.array([[1.0, 5e-324, 0.0]])
    for samples in ([sure, less], [less, sure], [sure, less, sure], [less, less]):
        with np.errstate(all="raise", under="ignore"):
            assert metrics.mutual_information(np.stack(samples))[0] == pytest.approx(0, abs=1e-300)


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
