"""Regression metrics against SciPy, scikit-learn, quadrature and simulation."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from uncertainty_suite import metrics
from uncertainty_suite.errors import InputError


def gaussians(seed: int, samples: int = 3, count: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(samples, count)), rng.uniform(0.3, 2, (samples, count)), 2 * rng.normal(size=count)


@given(seed=st.integers(0, 2**32 - 1))
def test_points_and_densities(seed: int) -> None:
    mean, stddev, target = gaussians(seed)
    centre = mean.mean(axis=0)
    assert metrics.rmse(mean, target) == pytest.approx(sklearn.metrics.root_mean_squared_error(target, centre))
    assert metrics.mae(mean, target) == pytest.approx(sklearn.metrics.mean_absolute_error(target, centre))
    density = scipy.stats.norm.pdf(target, mean, stddev)
    assert metrics.gaussian_nll(mean, stddev, target) == pytest.approx(-np.log(density.mean(axis=0)).mean())
    assert metrics.gaussian_nll(mean, stddev, target, "members") == pytest.approx(-np.log(density).mean())
    variance = (stddev**2 + mean**2).mean(axis=0) - centre**2
    assert metrics.sharpness(mean, stddev) == pytest.approx(np.sqrt(variance.mean()))
    assert metrics.gaussian_nll(mean, stddev, target, "moments") == pytest.approx(
        -scipy.stats.norm.logpdf(target, centre, np.sqrt(variance)).mean()
    )


@given(seed=st.integers(0, 2**32 - 1))
def test_crps_is_the_integral_of_the_definition(seed: int) -> None:
    mean, stddev, target = gaussians(seed, count=3)
    grid = np.linspace(-25, 25, 200_001)
    cdf = scipy.stats.norm.cdf(grid[:, None, None], mean, stddev).mean(axis=1)
    integral = (((cdf - (grid[:, None] >= target)) ** 2).sum(axis=0) * (grid[1] - grid[0])).mean()
    assert metrics.crps(mean, stddev, target) == pytest.approx(integral, abs=3e-4)


@given(seed=st.integers(0, 2**32 - 1), samples=st.integers(2, 7))
def test_crps_of_samples_is_that_of_all_pairs(seed: int, samples: int) -> None:
    rng = np.random.default_rng(seed)
    draws, target = rng.integers(-3, 3, (samples, 9)).astype(float), rng.normal(size=9)
    near = np.abs(draws - target).mean()
    within = np.abs(draws[:, None] - draws).sum(axis=(0, 1)).mean()
    assert metrics.crps_samples(draws, target) == pytest.approx(near - within / (2 * samples**2))
    assert metrics.crps_samples(draws, target, fair=True) == pytest.approx(
        near - within / (2 * samples * (samples - 1))
    )


def test_the_fair_crps_estimates_that_of_the_distribution() -> None:
    target = np.zeros(4000)
    draws = np.random.default_rng(0).normal(size=(4, 4000))
    exact = metrics.crps(target, np.ones(4000), target)
    assert metrics.crps_samples(draws, target, fair=True) == pytest.approx(exact, abs=0.01)
    assert metrics.crps_samples(draws, target) > exact + 0.1


@given(seed=st.integers(0, 2**32 - 1), level=st.sampled_from([0.1, 0.5, 0.95]))
def test_intervals_of_one_gaussian_are_those_of_scipy(seed: int, level: float) -> None:
    mean, stddev, target = gaussians(seed, samples=1)
    low, high = scipy.stats.norm.interval(level, mean[0], stddev[0])
    assert metrics.interval_width(mean, stddev, level) == pytest.approx((high - low).mean())
    assert metrics.interval_coverage(mean, stddev, target, level) == np.mean((low <= target) & (target <= high))
    missed = np.maximum(low - target, 0) + np.maximum(target - high, 0)
    assert metrics.interval_score(mean, stddev, target, level) == pytest.approx(
        (high - low + 2 / (1 - level) * missed).mean()
    )


def test_intervals_of_a_mixture_hold_their_share() -> None:
    mean, stddev = np.array([[-3.0], [2.0]]), np.array([[0.5], [1.0]])
    rng = np.random.default_rng(0)
    part = rng.integers(0, 2, 20_000)
    target = rng.normal(mean[part, 0], stddev[part, 0])
    exact = [np.repeat(array, 20_000, axis=1) for array in (mean, stddev)]
    assert metrics.interval_coverage(*exact, target, 0.8) == pytest.approx(0.8, abs=0.01)
    assert metrics.quantile_calibration_error(*exact, target) < 0.01
    assert metrics.interval_coverage(*exact, target, 0.8, mixture="moments") != pytest.approx(0.8, abs=0.01)


def test_a_mixture_of_equal_gaussians_is_one_gaussian() -> None:
    mean, stddev, target = gaussians(1, samples=1)
    repeated = np.repeat(mean, 4, axis=0), np.repeat(stddev, 4, axis=0), target
    for name in ("gaussian_nll", "crps", "interval_coverage", "interval_score", "quantile_calibration_error", "ause"):
        function = getattr(metrics, name)
        assert function(*repeated) == pytest.approx(function(mean[0], stddev[0], target)), name


def test_sparsification() -> None:
    target = np.array([1.0, 2.0, 3.0, 4.0])
    mean = np.zeros(4)
    assert metrics.ause(mean, target, target) == 0
    # Left after removing 0 to 4: 10 10 9 7 4 against 10 6 3 1 0 (the worst order and the best), of 10 in all.
    worst = metrics.ause(mean, target[::-1], target)
    best, order = np.array([10, 10, 6, 3, 1]), np.array([10, 10, 9, 7, 4])
    assert worst == pytest.approx(sklearn.metrics.auc(np.arange(5) / 5, (order - best) / 10))
    assert 0 < metrics.ause(mean, np.ones(4), target) < worst
    with pytest.raises(metrics.NoValueError, match="no prediction has an error"):
        metrics.ause(target, np.ones(4), target)


def test_stddevs_that_differ_by_rounding_tie() -> None:
    rng = np.random.default_rng(0)
    target, constant = rng.normal(size=50), 0.3 * (1 + 1e-16 * rng.integers(0, 9, 50))
    expected = metrics.ause(np.zeros(50), np.ones(50), target)
    assert metrics.ause(np.zeros(50), constant, target) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("case", ["m2", "m5"])
def test_decompositions_are_those_of_quadrature(case: str, golden_dir: Path) -> None:
    with np.load(golden_dir / "methods" / "decomposition_failure.npz", allow_pickle=False) as arrays:
        start = f"regression_{case}/"
        golden = {key.removeprefix(start): arrays[key] for key in arrays.files if key.startswith(start)}
    mean, stddev = golden["means"], golden["stddevs"]
    ours = {
        "aleatoric_variance": metrics.gaussian_aleatoric_variance(mean, stddev),
        "epistemic_variance": metrics.gaussian_epistemic_variance(mean, stddev),
        "expected_entropy": metrics.gaussian_expected_entropy(mean, stddev),
        "mutual_information": metrics.gaussian_mutual_information(mean, stddev),
        "pairwise_kl_over_M2": metrics.gaussian_pairwise_kl(mean, stddev, pairs="all"),
        "pairwise_kl_distinct_pairs": metrics.gaussian_pairwise_kl(mean, stddev),
    }
    for name, values in ours.items():
        np.testing.assert_allclose(values, golden[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_mutual_information_of_equal_and_of_far_samples() -> None:
    mean, stddev, _ = gaussians(3, samples=1)
    assert metrics.gaussian_mutual_information(np.repeat(mean, 3, axis=0), np.repeat(stddev, 3, axis=0)).max() == 0
    # Nothing in common: which sample it was can be told from the target.
    far = np.array([[0.0], [1e6], [3e6]])
    assert metrics.gaussian_mutual_information(far, np.array([[1.0], [1e-3], [10.0]])) == pytest.approx(np.log(3))
    with np.errstate(all="raise", under="ignore"):  # where the one has a density, the other one has none
        assert metrics.gaussian_mutual_information([[0.0], [0.0]], [[1e-200], [1.0]]) == pytest.approx(np.log(2))
    assert metrics.gaussian_mutual_information([[0.0], [1.0]], [[1e-11], [1.0]]) == pytest.approx(np.log(2))
    with pytest.raises(metrics.NoValueError, match="a standard deviation is below 1e-12 of how far the means lie"):
        metrics.gaussian_mutual_information([[0.0], [1.0]], [[1e-13], [1.0]])


def test_numbers_near_the_ends_of_float64() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics.gaussian_nll([0.0], [1e-160], [1.0]) == np.inf
        assert metrics.gaussian_nll([[0.0], [0.0]], [[1e-160], [1e-160]], [1.0]) == np.inf
        assert metrics.gaussian_nll([[0.0], [0.0]], [[1e-160], [1e-160]], [1.0], "members") == np.inf
        half = -scipy.stats.norm.logpdf(1.0) + np.log(2)  # of a mixture the other member is still right
        assert metrics.gaussian_nll([[0.0], [0.0]], [[1e-160], [1.0]], [1.0]) == pytest.approx(half)
        assert metrics.crps([0.0], [1e-160], [1.0]) == 1
        assert metrics.crps([0.0], [1e-160], [1e200]) == 1e200
        assert metrics.interval_coverage([0.0], [1e-160], [1.0]) == 0
        assert metrics.quantile_calibration_error([0.0], [1e-160], [1.0]) == pytest.approx(0.5)
        for size in (1e-200, 1e200):
            assert metrics.rmse([3 * size, 4 * size], [0.0, 0.0]) == pytest.approx(size * 12.5**0.5)
            assert metrics.sharpness([0.0], [size]) == pytest.approx(size)
            moments = metrics.gaussian_nll([[-size], [size]], [[size], [size]], [0.0], "moments")
            assert moments == pytest.approx(-scipy.stats.norm.logpdf(0.0) + np.log(size) + np.log(2) / 2)
        metric = metrics.get("rmse")
        for error in (1e-200, 3e200, 4e200):
            metric.add_batch([error], label=[0.0])
        assert metric.result()["rmse"] == pytest.approx(1e200 * (25 / 3) ** 0.5)


def test_two_samples_in_lists_are_no_pair() -> None:
    assert metrics.rmse([[1.0, 2.0], [3.0, 4.0]], [2.0, 3.0]) == 0


def test_streaming_takes_a_pair() -> None:
    mean, stddev, target = gaussians(2)
    metric = metrics.get("crps")
    metric.add_batch((mean[:, :5], stddev[:, :5]), label=target[:5])
    metric.add_batch((mean[:, 5:], stddev[:, 5:]), label=target[5:])
    assert metric.result() == {"crps": pytest.approx(metrics.crps(mean, stddev, target), rel=1e-12)}


def test_bad_input_is_refused() -> None:
    good = np.zeros(3), np.ones(3), np.zeros(3)
    with pytest.raises(InputError, match="Standard deviations must be positive, but example 1 has 0"):
        metrics.crps(good[0], [1.0, 0.0, 1.0], good[2])
    with pytest.raises(InputError, match=r"must have the shape of the means, \[3\], got \[2\]"):
        metrics.crps(good[0], [1.0, 1.0], good[2])
    with pytest.raises(InputError, match="3 predictions but 2 targets"):
        metrics.rmse(good[0], [1.0, 1.0])
    with pytest.raises(InputError, match="Targets must be finite, but the value at 2 is nan"):
        metrics.mae(good[0], [0, 0, np.nan])
    with pytest.raises(InputError, match="Means hold no example at all"):
        metrics.rmse([], [])
    with pytest.raises(InputError, match=r"Standard deviations are missing; pass predictions=\(mean, stddev\)"):
        metrics.get("crps").add_batch(good[0], label=good[2])
    with pytest.raises(InputError, match=r"level=95 is not allowed; expected a number above 0 and below 1"):
        metrics.interval_width(good[0], good[1], level=95)
    with pytest.raises(InputError, match="mixture='all' is not allowed"):
        metrics.crps(*good, mixture="all")
    with pytest.raises(metrics.NoValueError, match="of one sample there is no fair CRPS"):
        metrics.crps_samples([[0.0]], [0.0], fair=True)
    with pytest.raises(InputError, match="Metric 'rmse' needs labels"):
        metrics.get("rmse").add_batch(good[0])
