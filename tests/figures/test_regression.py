import numpy as np
import pytest
from scipy import stats

from tests.figures.conftest import curve_predictions, regressed, texts
from uncertainty_suite import figures, metrics
from uncertainty_suite.errors import InputError
from uncertainty_suite.runs import RunFolder


def test_points_and_intervals(make_run):
    targets, mean, stddev = np.array([1.0, 5.0, 3.0]), np.array([1.5, 4.0, 8.0]), np.array([1.0, 2.0, 0.5])
    run = make_run({"test": regressed(mean[None], stddev[None], targets)}, task="toy_regression")
    (axis,) = figures.predicted_against_true({"run": run}).axes
    intervals, points = axis.collections
    np.testing.assert_allclose(points.get_offsets(), np.stack([targets, mean], axis=1))
    expected = {
        target: (center - 1.959964 * width, center + 1.959964 * width)
        for target, center, width in zip(targets, mean, stddev)
    }
    for (x, low), (_, high) in intervals.get_segments():
        np.testing.assert_allclose((low, high), expected[x], rtol=1e-6)
    error = np.sqrt(((mean - targets) ** 2).mean())
    assert axis.get_title() == f"run\nRMSE = {error:.3g}, 66.7% in the 95% interval"
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("True target", "Predicted target")
    (line,) = axis.lines
    assert line.get_slope() == 1
    assert line.get_xy1() == (1, 1)


def test_intervals_of_samples_are_those_of_the_mixture(make_run):
    mean = np.array([[0.0, 0.0], [10.0, 10.0]])
    run = make_run({"test": regressed(mean, np.ones((2, 2)), [0.0, 5.0])}, task="toy_regression")
    (axis,) = figures.predicted_against_true({"run": run}).axes
    (_, low), (_, high) = axis.collections[0].get_segments()[0]
    assert stats.norm.cdf(low - mean[:, 0]).mean() == pytest.approx(0.025)
    assert stats.norm.cdf(high - mean[:, 0]).mean() == pytest.approx(0.975)


def test_of_many_examples_some_intervals_are_drawn(make_run):
    run = make_run(curve_predictions(), task="toy_regression")
    figure = figures.predicted_against_true({"run": run})
    intervals, points = figure.axes[0].collections
    assert (len(intervals.get_segments()), len(points.get_offsets())) == (200, 1000)
    (legend,) = figure.legends
    assert legend.get_texts()[0].get_text() == "95% interval (200 examples)"
    targets = RunFolder(run).predictions("test")["labels"]
    drawn = [segment[0, 0] for segment in intervals.get_segments()]
    assert (min(drawn), max(drawn)) == (targets.min(), targets.max())


def test_quantile_calibration(make_run):
    runs = {
        name: make_run(curve_predictions(spread=spread), name, task="toy_regression", method=name)
        for name, spread in (("good", 1.0), ("too_sure", 0.5))
    }
    (axis,) = figures.quantile_calibration(runs).axes
    for line, label, run in zip(axis.lines, texts(axis), map(RunFolder, runs.values())):
        saved = run.predictions("test")
        levels, shares = line.get_data()
        for i in (10, 50, 90):
            quantile = stats.norm.ppf(levels[i], saved["mean"][0], saved["stddev"][0])
            assert shares[i] == pytest.approx((saved["labels"] <= quantile).mean(), abs=1e-9)
        error = metrics.quantile_calibration_error(saved["mean"], saved["stddev"], saved["labels"])
        assert label.startswith(f"{error:.3f} ")
        assert (shares[-1], levels[0], levels[-1]) == (1, 0, 1)
    good, too_sure = (line.get_ydata() for line in axis.lines[:2])
    assert np.abs(good - levels).max() < 0.05
    assert too_sure[10] > 0.15
    assert too_sure[90] < 0.85
    assert axis.get_xlabel() == "Level of the predicted quantile"
    assert texts(axis)[-1] == "95% of calibrated runs"


def test_samples_count_as_a_mixture(make_run):
    mean = np.array([[-1.0, -1.0], [1.0, 1.0]])
    run = make_run({"test": regressed(mean, np.ones((2, 2)), [0.0, 1.0])}, task="toy_regression")
    (axis,) = figures.quantile_calibration({"run": run}).axes
    levels, shares = axis.lines[0].get_data()
    reached = [0.5, (stats.norm.cdf(2) + stats.norm.cdf(0)) / 2]
    np.testing.assert_allclose(shares, [np.mean(reached <= level) for level in levels])


@pytest.mark.parametrize("draw", [figures.predicted_against_true, figures.quantile_calibration])
def test_one_example_is_enough_to_draw(make_run, tmp_path, draw):
    run = make_run({"test": regressed([[1.0]], [[1.0]], [1.0])}, task="toy_regression")
    assert figures.save(draw({"run": run}), tmp_path / "figure.png").stat().st_size > 0


def test_refuses_missing_targets(make_run):
    run = make_run({"test": regressed([[1.0]], [[1.0]], [np.nan])}, task="toy_regression")
    with pytest.raises(InputError, match=r"Targets"):
        figures.predicted_against_true({"run": run})
