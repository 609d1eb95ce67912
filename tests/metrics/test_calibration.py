"""Calibration errors against slow formulas, by hand, and what they promise at the edges."""

import numpy as np
import pytest
import scipy.optimize
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from uncertainty_suite import metrics
from uncertainty_suite.errors import InputError


def dirichlet(seed: int, count: int = 300, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(classes, 0.5), count), rng.integers(0, classes, count)


def calibrated(seed: int, count: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(classes), count)
    return probs, (probs.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1).clip(max=classes - 1)


def slow_ece(values: np.ndarray, hits: np.ndarray, num_bins: int, power: int = 1) -> float:
    total = 0.0
    for b in range(num_bins):
        low, high = b / num_bins, (b + 1) / num_bins
        inside = (values >= low) & ((values < high) | (b == num_bins - 1))
        if inside.any():
            total += inside.mean() * abs(hits[inside].mean() - values[inside].mean()) ** power
    return total


@given(seed=st.integers(0, 2**32 - 1), num_bins=st.integers(1, 40))
def test_binned_errors_are_those_of_a_loop_over_bins(seed: int, num_bins: int) -> None:
    probs, labels = dirichlet(seed)
    confidence, correct = probs.max(axis=1), probs.argmax(axis=1) == labels
    assert metrics.expected_calibration_error(probs, labels, num_bins) == pytest.approx(
        slow_ece(confidence, correct, num_bins)
    )
    assert metrics.expected_calibration_error(probs, labels, num_bins, norm="l2") == pytest.approx(
        slow_ece(confidence, correct, num_bins, power=2) ** 0.5
    )
    by_class = np.mean([slow_ece(probs[:, k], labels == k, num_bins) for k in range(5)])
    assert metrics.static_calibration_error(probs, labels, num_bins) == pytest.approx(by_class)
    assert metrics.classwise_calibration_error(probs, labels, num_bins) == pytest.approx(by_class)


@given(seed=st.integers(0, 2**32 - 1), num_bins=st.integers(1, 40))
def test_special_cases_of_the_general_error(seed: int, num_bins: int) -> None:
    probs, labels = dirichlet(seed)

    def general(**options: object) -> float:
        return metrics.general_calibration_error(probs, labels, num_bins=num_bins, **options)

    assert general() == pytest.approx(metrics.expected_calibration_error(probs, labels, num_bins))
    assert general(norm="max") == pytest.approx(metrics.maximum_calibration_error(probs, labels, num_bins))
    assert general(max_prob=False, class_conditional=True) == pytest.approx(
        metrics.static_calibration_error(probs, labels, num_bins)
    )
    assert general(binning="adaptive", norm="l2") == metrics.rms_calibration_error(probs, labels, num_bins)
    if len(probs) % num_bins == 0:  # no ties either: equal counts are equal counts
        assert general(binning="adaptive") == pytest.approx(general(binning="split"))


def test_a_bin_holds_its_lower_edge_and_the_last_one_both() -> None:
    # 0.29 * 100 is 28.999999999999996, but 0.29 is the lower edge of bin 29.
    probs = np.array([[0.29, 0.71 - 0.29, 0.29], [0.58, 0.42, 0.0], [1.0, 0.0, 0.0]])
    bins = metrics.calibration_bins(probs, [0, 0, 0], num_bins=100)
    assert np.flatnonzero(bins.counts).tolist() == [42, 58, 99]


def test_the_bins_add_up_to_the_ece() -> None:
    probs, labels = dirichlet(9)
    bins = metrics.calibration_bins(probs, labels, num_bins=7)
    assert len(bins.counts) == 7 and bins.counts.sum() == 300
    assert bins.correct.sum() / 300 == metrics.accuracy(probs, labels)
    assert bins.counts[0] == bins.confidence[0] == bins.accuracy[0] == 0  # below a fifth no confidence can be
    gaps = np.abs(bins.accuracy - bins.confidence)
    assert bins.counts @ gaps / 300 == pytest.approx(metrics.expected_calibration_error(probs, labels, num_bins=7))


def test_where_a_confidence_of_one_goes() -> None:
    probs, labels = np.array([[1.0, 0.0], [0.95, 0.05]]), [1, 0]
    assert metrics.expected_calibration_error(probs, labels, 10) == pytest.approx(0.95 / 2)
    assert metrics.expected_calibration_error(probs, labels, 10, ones="own") == pytest.approx((1 + 0.05) / 2)


@pytest.mark.parametrize(
    ("text", "last", "own"),
    [
        # Of class 0, 1 is a miss and 0.95 a hit; of class 1, 0 is a hit, which sce leaves out, and 0.05 a miss.
        ("classwise_ece", 0.475, 0.5),
        ("sce", (0.475 + 0.05) / 2, (0.525 + 0.05) / 2),
        ("worst_class_ece", 0.475, 0.525),
        ("gce(max_prob=False, class_conditional=True, threshold=None)", 0.475, 0.5),
        ("gce", 0.475, 0.525),
        ("ece", 0.475, 0.525),
        ("mce", 0.475, 1.0),
        ("rmsce(num_bins=1)", 0.475, (0.5 + 0.05**2 / 2) ** 0.5),
    ],
)
def test_one_convention_for_probabilities_of_exactly_one(text: str, last: float, own: float) -> None:
    for options, expected in (({}, last), ({"ones": "last"}, last), ({"ones": "own"}, own)):
        metric = metrics.get(text, **options)
        metric.add_batch([[1.0, 0.0], [0.95, 0.05]], label=[1, 0])
        assert next(iter(metric.result().values())) == pytest.approx(expected)


def test_the_worst_class_has_the_largest_classwise_error() -> None:
    probs, labels = dirichlet(11)
    by_class = [slow_ece(probs[:, k], labels == k, 10) for k in range(5)]
    assert metrics.worst_class_calibration_error(probs, labels, num_bins=10) == pytest.approx(max(by_class))


def test_perfect_and_inverted_predictions() -> None:
    probs, labels = np.eye(2)[[0, 1, 1, 0]], np.array([0, 1, 1, 0])
    names = ["ece", "mce", "sce", "ace", "tace", "rmsce", "msce", "gce", "classwise_ece", "smooth_ece", "debiased_ece"]
    for name in names:
        metric = metrics.get(name)
        metric.add_batch(probs, label=labels)
        assert metric.result()[name] == pytest.approx(0, abs=1e-9), name
        metric.reset()
        metric.add_batch(probs, label=1 - labels)
        assert metric.result()[name] == pytest.approx(1), name


def test_one_example_and_one_class() -> None:
    for name in ["ece", "mce", "sce", "ace", "tace", "rmsce", "msce", "gce", "classwise_ece", "smooth_ece"]:
        metric = metrics.get(name)
        metric.add_batch([[1.0]], label=[0])
        assert metric.result()[name] == 0


def test_the_threshold_of_tace_matters() -> None:
    data = dirichlet(0)
    values = [metrics.thresholded_adaptive_calibration_error(*data, threshold=t) for t in (0.0, 0.01, 0.2)]
    assert values[0] == metrics.adaptive_calibration_error(*data)
    assert len(set(values)) == 3


def test_the_debiased_error_of_calibrated_predictions_is_nearer_to_zero() -> None:
    debiased, plain = [], []
    for seed in range(40):
        data = calibrated(seed, 400)
        debiased.append(metrics.debiased_calibration_error(*data) ** 2)
        plain.append(metrics.expected_calibration_error(*data, norm="l2") ** 2)
    assert np.mean(debiased) < np.mean(plain) / 2


def test_the_smooth_error_is_that_of_a_direct_integral() -> None:
    probs, labels = dirichlet(3, count=80, classes=3)
    confidence, residual = probs.max(axis=1), (probs.argmax(axis=1) == labels) - probs.max(axis=1)
    grid = (np.arange(4000) + 0.5) / 4000

    def smoothed(width: float) -> float:
        density = np.zeros_like(grid)
        for mirror in range(-6, 7, 2):
            for centre in (confidence + mirror, mirror - confidence):
                kernel = np.exp(-(((grid[:, None] - centre) / width) ** 2) / 2) / (width * np.sqrt(2 * np.pi))
                density += kernel @ residual / len(residual)
        return np.abs(density).mean()

    value = metrics.smooth_calibration_error(probs, labels)
    assert smoothed(value) == pytest.approx(value, rel=1e-4)


def test_the_smooth_error_falls_with_more_calibrated_examples() -> None:
    few, many = (metrics.smooth_calibration_error(*calibrated(0, count)) for count in (300, 30_000))
    assert many < few / 2
    assert many < 0.02


def test_the_sweep_of_a_large_perfect_set_ends() -> None:
    probs = np.random.default_rng(0).uniform(0.5, 1, 50_000)
    value = metrics.monotonic_sweep_calibration_error(np.stack([probs, 1 - probs], axis=1), np.zeros(50_000, int))
    assert value == pytest.approx(1 - probs.mean())


def test_calibration_auc_is_that_of_scikit_learn() -> None:
    probs, labels = dirichlet(4)
    correct, confidence = probs.argmax(axis=1) == labels, probs.max(axis=1)
    exact = sklearn.metrics.roc_auc_score(correct, confidence)
    assert metrics.calibration_auc(probs, labels) == pytest.approx(exact)
    assert metrics.calibration_auc(probs, labels, positive="wrong") == pytest.approx(exact)
    assert metrics.calibration_auc(probs, labels, num_thresholds=20_000) == pytest.approx(exact, abs=1e-3)


def test_an_auc_without_both_kinds_is_refused() -> None:
    right, wrong = ([[0.9, 0.1], [0.8, 0.2]], [0, 0]), ([[0.9, 0.1], [0.8, 0.2]], [1, 1])
    with pytest.raises(metrics.NoValueError, match="'calibration_auc' has no value: 0 of 2 examples are wrong"):
        metrics.calibration_auc(*right)
    with pytest.raises(
        metrics.NoValueError, match="'oracle_collaborative_auc' has no value: 0 of 2 examples are correct"
    ):
        metrics.oracle_collaborative_auc(*wrong)
    with pytest.raises(metrics.NoValueError, match="0 of 2 examples are of class 1, and it needs 5 or more"):
        metrics.semiparametric_calibration_error(*right, target="class1")


def test_an_oracle_for_none_some_and_all() -> None:
    probs, labels = dirichlet(5, count=200)
    accuracy = metrics.accuracy(probs, labels)
    values = [metrics.oracle_collaborative_accuracy(probs, labels, fraction=f) for f in (0, 0.1, 0.5, 1)]
    assert values[0] == accuracy
    assert values == sorted(values)
    assert values[-1] == 1
    areas = [metrics.oracle_collaborative_auc(probs, labels, fraction=f) for f in (0, 0.1, 0.5)]
    assert areas[0] == pytest.approx(metrics.calibration_auc(probs, labels, num_thresholds=200))
    assert areas == sorted(areas)


def test_the_oracle_answers_the_least_confident_first() -> None:
    probs = np.array([[0.55, 0.45], [0.65, 0.35], [0.75, 0.25], [0.85, 0.15]])
    assert metrics.oracle_collaborative_accuracy(probs, [1, 1, 0, 0], fraction=0.25) == 0.75
    assert metrics.oracle_collaborative_accuracy(probs, [0, 0, 1, 1], fraction=0.25) == 0.5
    assert metrics.oracle_collaborative_accuracy(probs, [0, 0, 1, 1], 0.25, score=lambda p: 1 - p.max(axis=1)) == 0.75
    for score, message in (
        (lambda p: np.full(4, np.nan), "Values of 'score' must be finite"),
        (lambda p: p, r"Values of 'score' must have shape \[batch\], got \[4, 2\]"),
        (lambda p: p[1:, 0], "4 predictions but 3 values of 'score' to sort by"),
        (lambda p: -p[:, 0], "Values of 'score' must be from 0 to 1, got some from -0.85 to -0.55"),
    ):
        with pytest.raises(InputError, match=message):
            metrics.oracle_collaborative_accuracy(probs, [1, 1, 0, 0], score=score)


@given(seed=st.integers(0, 2**32 - 1), sharpness=st.sampled_from([0.3, 1.0, 3.0]))
def test_the_fitted_temperature_is_the_minimum(seed: int, sharpness: float) -> None:
    probs, labels = calibrated(seed, 200)
    logits = np.log(probs) * sharpness
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    def nll(log_temperature: float) -> float:
        return metrics.temperature_scaled_nll(probs, labels, float(np.exp(log_temperature)))

    best = scipy.optimize.minimize_scalar(nll, bounds=(-5, 5), method="bounded", options={"xatol": 1e-9})
    assert metrics.fit_temperature(probs, labels) == pytest.approx(np.exp(best.x), rel=1e-5)


def test_temperature_one_changes_nothing_and_others_do() -> None:
    probs, labels = dirichlet(6)
    np.testing.assert_allclose(metrics.apply_temperature(probs, 1.0), probs, rtol=1e-12)
    plain = metrics.expected_calibration_error(probs, labels)
    assert metrics.temperature_scaled_ece(probs, labels, 1.0) == pytest.approx(plain, rel=1e-9)
    tiny, nll = np.array([[1.0 - 1e-12, 1e-12]]), -np.log(1e-12)
    assert metrics.temperature_scaled_nll(tiny, [1], 1.0) == pytest.approx(nll, rel=1e-9)
    assert metrics.fit_temperature(probs, labels, epsilon=1e-2) != pytest.approx(
        metrics.fit_temperature(probs, labels), rel=1e-3
    )
    assert metrics.temperature_scaled_ece(probs, labels, 2.0) != pytest.approx(plain, abs=1e-3)


@pytest.mark.parametrize("method", ["temperature_scaling", "isotonic_regression"])
def test_recalibration_helps_on_examples_it_has_not_seen(method: str) -> None:
    probs, labels = calibrated(7, 4000)
    sharp = probs**3 / (probs**3).sum(axis=1, keepdims=True)
    fixed, kept = metrics.recalibrate(sharp, labels, method, fit_percent=50, seed=1)
    assert len(fixed) == len(kept) == 2000
    assert metrics.expected_calibration_error(fixed, kept) < metrics.expected_calibration_error(sharp, labels) / 3
    general = metrics.general_calibration_error(sharp, labels, recalibration=method, fit_percent=50, seed=1)
    assert general == pytest.approx(metrics.expected_calibration_error(fixed, kept))


def test_bad_options_are_refused() -> None:
    probs, labels = dirichlet(8)
    with pytest.raises(InputError, match="temperature=0 is not allowed; expected a number above 0"):
        metrics.get("temperature_scaled_nll", temperature=0)
    with pytest.raises(InputError, match="num_bins=None, the monotonic sweep, needs"):
        metrics.get("gce", num_bins=None, binning="split")
    with pytest.raises(InputError, match="datapoints_per_bin needs bins of equal count"):
        metrics.get("gce", datapoints_per_bin=10)
    with pytest.raises(InputError, match="datapoints_per_bin=500 is more than the 300 examples"):
        metrics.rms_calibration_error(probs, labels, datapoints_per_bin=500)
    with pytest.raises(InputError, match="target='class1' needs 2 classes, got 5"):
        metrics.oracle_collaborative_auc(probs, labels, target="class1")
    with pytest.raises(InputError, match="Labels are missing"):
        metrics.fit_temperature(probs, None)
    with pytest.raises(InputError, match="Unknown option of metric 'gce' 'bins'"):
        metrics.get("gce(bins=3)")
