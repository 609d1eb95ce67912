"""Calibration and intervals of targets: a factor that is recovered, and coverage that is what was promised."""

import json

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize_scalar

from uncertainty_suite import metrics, posthoc
from uncertainty_suite.errors import InputError

INTERVALS = [name for name in posthoc.names("conformal") if posthoc.info(name).likelihoods == ("gaussian",)]
everywhere = pytest.mark.parametrize("name", INTERVALS)

Draw = tuple[tuple[np.ndarray, np.ndarray], np.ndarray]


def draw(seed: int, count: int, samples: int = 1, factor: float = 1.0, spread: float = 0.5) -> Draw:
    """Return mixtures of Gaussians and targets with which they are calibrated if their deviations are so much more."""
    random = np.random.default_rng(seed)
    mean = random.normal(size=count) + spread * random.normal(size=(samples, count))
    stddev = np.exp(0.5 * random.normal(size=(samples, count)))
    chosen = random.integers(samples, size=count), np.arange(count)
    return (mean, stddev), mean[chosen] + factor * stddev[chosen] * random.normal(size=count)


def halves(predictions: tuple[np.ndarray, np.ndarray], targets: np.ndarray, count: int) -> tuple[Draw, Draw]:
    mean, stddev = predictions
    return (
        ((mean[:, :count], stddev[:, :count]), targets[:count]),
        ((mean[:, count:], stddev[:, count:]), targets[count:]),
    )


@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize("factor", [0.2, 1.0, 6.0])
def test_a_known_factor_is_recovered_and_is_that_of_least_nll(samples, factor):
    (mean, stddev), targets = draw(0, 4000, samples, factor)
    calibrate = posthoc.get("stddev_scaling").fit((mean, stddev), targets)
    found = calibrate.parameters["factor"]
    assert found == pytest.approx(factor, rel=0.05) and calibrate.note == ""

    def nll(log_factor: float) -> float:
        return -np.log(stats.norm.pdf(targets, mean, np.exp(log_factor) * stddev).mean(axis=0)).mean()

    bounds = np.log(factor) + np.array([-1, 1])
    best = minimize_scalar(nll, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    assert found == pytest.approx(np.exp(best.x), rel=1e-5)
    after = calibrate((mean, stddev))
    np.testing.assert_array_equal(after[0], mean)
    np.testing.assert_allclose(after[1], found * stddev)
    assert metrics.gaussian_nll(*after, targets) == pytest.approx(best.fun)
    # What evaluation gives is what the metrics take; one sample may come without its axis.
    if samples == 1:
        flat = posthoc.get("stddev_scaling").fit((mean[0], stddev[0]), targets)
        assert flat.parameters == calibrate.parameters
    restored = posthoc.get("stddev_scaling")
    restored.parameters = json.loads(json.dumps(calibrate.parameters))
    np.testing.assert_array_equal(restored((mean, stddev))[1], after[1])


@pytest.mark.parametrize("samples", [1, 3])
def test_where_there_is_no_best_factor_it_is_one_and_says_so(samples):
    exact = (np.tile([1.0, 2.0], (samples, 1)), np.ones((samples, 2)))
    for targets in ([1.0, 2.0], [1.0, 2e6]):
        calibrate = posthoc.get("stddev_scaling").fit(exact, targets)
        assert calibrate.parameters["factor"] == 1 and "There is no best factor" in calibrate.note


@pytest.mark.parametrize("alpha", ["0.1", "0.05", "0.2"])
@pytest.mark.parametrize(("case", "name"), [("split", "split_intervals"), ("normalised", "normalized_intervals")])
def test_intervals_are_those_of_mapie_and_of_the_formula(golden_dir, case, name, alpha):
    arrays = np.load(golden_dir / "methods/regression_conformal.npz")
    data = {part: [arrays[f"conformal_regression/{a}_{part}"] for a in ("mean", "sigma")] for part in ("cal", "test")}
    predictor = posthoc.get(name).fit(data["cal"], arrays["conformal_regression/y_cal"], alpha=float(alpha))
    expected = f"conformal_regression/alpha{alpha}/{case}"
    assert predictor.parameters["threshold"] == pytest.approx(arrays[f"{expected}/threshold"], rel=1e-12)
    np.testing.assert_allclose(
        predictor.predict_intervals(data["test"]), arrays[f"{expected}/intervals"], rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("alpha", ["0.1", "0.05", "0.2"])
def test_cqr_is_that_of_mapie(golden_dir, alpha):
    arrays = np.load(golden_dir / "methods/regression_conformal.npz")
    expected = f"conformal_regression/alpha{alpha}/cqr"

    def gaussian(part: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the Gaussians whose quantiles are those of the case."""
        low, high = arrays[f"{expected}/quantiles_{part}"].T
        return (low + high) / 2, (high - low) / 2 / stats.norm.ppf(1 - float(alpha) / 2)

    predictor = posthoc.get("cqr").fit(gaussian("cal"), arrays["conformal_regression/y_cal"], alpha=float(alpha))
    assert predictor.parameters["threshold"] == pytest.approx(arrays[f"{expected}/symmetric_correction"][0], rel=1e-9)
    np.testing.assert_allclose(
        predictor.predict_intervals(gaussian("test")), arrays[f"{expected}/symmetric_intervals"], atol=1e-9
    )


@everywhere
@pytest.mark.parametrize("samples", [1, 3])
def test_coverage_is_what_was_promised_of_a_model_that_is_overconfident(name, samples):
    law = stats.betabinom(50, 80, 20)
    covered = []
    for seed in range(200):
        held_out, test = halves(*draw(seed, 149, samples, factor=3.0), 99)
        predictor = posthoc.get(name).fit(*held_out, alpha=0.2)
        covered.append(50 * predictor.measure(*test)["coverage"])
    assert np.mean(covered) == pytest.approx(law.mean(), abs=4 * law.std() / np.sqrt(200))
    assert np.std(covered) == pytest.approx(law.std(), rel=0.25)


def test_intervals_that_know_the_deviation_cover_the_wide_and_the_narrow_alike():
    held_out, test = halves(*draw(0, 20_000, factor=3.0), 10_000)
    # Split intervals have one width, and are stratified by nothing: look at the examples of large deviation.
    wide = test[0][1][0] > np.quantile(test[0][1][0], 2 / 3)
    coverage = {}
    for name in INTERVALS:
        predictor = posthoc.get(name).fit(*held_out)
        low, high = predictor.predict_intervals(test[0]).T
        coverage[name] = ((low <= test[1]) & (test[1] <= high))[wide].mean()
        results = predictor.measure(*test)
        assert results["width"] == pytest.approx((high - low).mean())
        assert results["coverage"] == pytest.approx(0.9, abs=0.01)
    assert coverage["normalized_intervals"] == pytest.approx(0.9, abs=0.02)
    assert coverage["split_intervals"] < 0.8


@everywhere
def test_too_few_examples_give_infinite_intervals_and_say_so(name):
    held_out, test = halves(*draw(0, 20), 8)
    predictor = posthoc.get(name).fit(*held_out)
    assert predictor.parameters["threshold"] is None and "8 examples are too few for alpha=0.1" in predictor.note
    results = predictor.measure(*test)
    assert results == {"coverage": 1.0, "width_stratified_coverage": 1.0}  # no width: JSON has no infinity
    restored = posthoc.get(name)
    restored.parameters = json.loads(json.dumps(predictor.parameters, allow_nan=False))
    np.testing.assert_array_equal(restored.predict_intervals(test[0]), predictor.predict_intervals(test[0]))
    enough, _ = halves(*draw(0, 20), 9)
    assert posthoc.get(name).fit(*enough).note == ""


def test_interval_metrics_count():
    intervals, targets = [[0, 1], [0, 1], [0, 2], [0, 2], [0, 4], [0, 4]], [0.5, 1.0, 3.0, 1.0, -1.0, 6.0]
    assert posthoc.interval_metrics(intervals, targets, alpha=0.5) == pytest.approx(
        {
            "coverage": 3 / 6,
            "width_stratified_coverage": 0.0,  # of those of width 4
            "width": 14 / 6,
            "interval_score": (14 + 4 * (1 + 1 + 2)) / 6,
        }
    )
    # The score of the Gaussian's own interval is that of the metric.
    (mean, stddev), targets = draw(0, 50)
    low, high = mean[0] + np.outer([-1, 1], stddev[0]) * stats.norm.ppf(0.95)
    found = posthoc.interval_metrics(np.stack([low, high], axis=1), targets, alpha=0.1)["interval_score"]
    assert found == pytest.approx(metrics.interval_score(mean[0], stddev[0], targets, level=0.9))


@pytest.mark.parametrize("name", ["stddev_scaling", *INTERVALS])
def test_mistakes_are_one_line(name):
    predictions, targets = draw(0, 30)
    method = posthoc.get(name)
    apply = method if name == "stddev_scaling" else method.predict_intervals
    with pytest.raises(InputError, match=f"'{name}' is not fitted; call fit"):
        apply(predictions)
    if name == "split_intervals":  # which needs none
        assert method.fit(predictions[0], targets).parameters == posthoc.get(name).fit(predictions, targets).parameters
    else:
        with pytest.raises(InputError, match="Standard deviations are missing"):
            method.fit(predictions[0], targets)
    with pytest.raises(InputError, match="Standard deviations must be positive"):
        method.fit((predictions[0], -predictions[1]), targets)
    with pytest.raises(InputError, match="30 predictions but 29 targets"):
        method.fit(predictions, targets[1:])
    if name != "stddev_scaling":
        with pytest.raises(InputError, match="alpha=1 is not allowed"):
            method.fit(predictions, targets, alpha=1)


def test_intervals_that_are_none_are_one_line():
    with pytest.raises(InputError, match=r"Intervals must be two numbers for each of 2 targets, got \[2, 3\]"):
        posthoc.interval_metrics(np.ones((2, 3)), [0.0, 1.0])
    with pytest.raises(InputError, match="Targets must be finite"):
        posthoc.interval_metrics(np.ones((2, 2)), [0.0, np.nan])
