"""Metrics against label distributions, against SciPy and, where they are present, on CIFAR-10H's counts."""

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from uncertainty_suite import metrics
from uncertainty_suite.errors import InputError

TENSORFLOW_DATASETS = Path(__file__).parents[3] / "shared" / "data" / "tensorflow_datasets"
COUNTS = Path(os.environ.get("UNCERTAINTY_SUITE_DATA_DIR", TENSORFLOW_DATASETS)).parent / "cifar10h/cifar10h-counts.npy"


@given(seed=st.integers(0, 2**32 - 1))
def test_values_are_those_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probs, counts = rng.dirichlet(np.ones(4), 30), rng.integers(0, 5, (30, 4)) + np.eye(4, dtype=int)[0]
    shares = counts / counts.sum(axis=1, keepdims=True)
    kl = scipy.stats.entropy(shares, probs, axis=1).mean()
    assert metrics.label_distribution_kl(probs, counts) == pytest.approx(kl)
    assert metrics.label_distribution_nll(probs, counts) == pytest.approx(
        kl + scipy.stats.entropy(shares, axis=1).mean()
    )
    assert metrics.label_distribution_brier(probs, counts) == pytest.approx(((probs - shares) ** 2).sum(1).mean())


def test_one_annotator_is_a_label() -> None:
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(4), 50), rng.integers(0, 4, 50)
    onehot = np.eye(4)[labels]
    assert metrics.label_distribution_nll(probs, onehot) == pytest.approx(
        metrics.negative_log_likelihood(probs, labels)
    )
    assert metrics.label_distribution_brier(probs, onehot) == pytest.approx(metrics.brier_score(probs, labels))
    assert metrics.label_distribution_ece(probs, onehot) == pytest.approx(
        metrics.expected_calibration_error(probs, labels)
    )


def test_predicting_the_distribution_is_perfect() -> None:
    counts = np.array([[3, 1, 0], [2, 2, 4]])
    shares = counts / counts.sum(axis=1, keepdims=True)
    assert metrics.label_distribution_kl(shares, counts) == pytest.approx(0, abs=1e-12)
    assert metrics.label_distribution_brier(shares, counts) == 0
    assert metrics.label_distribution_ece(shares, counts) == pytest.approx(0, abs=1e-12)


def test_a_class_that_anybody_chose_is_right() -> None:
    probs = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3], [0.3, 0.4, 0.3]])
    counts = np.array([[1, 9, 0], [5, 5, 0], [0, 0, 1], [0, 1, 1]])
    assert metrics.label_set_accuracy(probs, counts) == 0.5  # the first and the last


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([[1, 1, 1]], r"must have the shape of the predictions, \[1, 2\], got \[1, 3\]"),
        ([[2, -1]], "must not be negative, but example 0, class 1 is -1"),
        ([[0, 0]], "must have a positive sum, but example 0 is all zero"),
        ([[np.nan, 1]], r"must be finite, but the value at \(0, 0\) is nan"),
        ([0], r"must have shape \[batch, classes\], got \[1\]"),
    ],
)
def test_bad_distributions_are_refused(counts: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        metrics.label_distribution_kl([[0.5, 0.5]], counts)


@pytest.mark.skipif(not COUNTS.exists(), reason="no CIFAR-10H counts beside UNCERTAINTY_SUITE_DATA_DIR")
def test_counts_of_cifar10h() -> None:
    counts = np.load(COUNTS)
    shares = counts / counts.sum(axis=1, keepdims=True)
    assert metrics.label_distribution_kl(shares, counts) == pytest.approx(0, abs=1e-12)
    assert metrics.label_distribution_kl(np.full(counts.shape, 0.1), counts) == pytest.approx(
        np.log(10) - scipy.stats.entropy(shares, axis=1).mean()
    )
