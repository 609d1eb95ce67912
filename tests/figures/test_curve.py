import numpy as np
import pytest

from tests.figures.conftest import classified, curve_predictions, regressed
from uncertainty_suite import datasets, figures
from uncertainty_suite.errors import InputError
from uncertainty_suite.runs import RunFolder


def labelled(artists, label):
    return [artist for artist in artists if artist.get_label() == label]


@pytest.mark.parametrize("num_samples", [1, 4])
def test_mean_bands_and_training_data(make_run, num_samples):
    run = make_run(curve_predictions(num_samples), task="toy_regression")
    (axis,) = figures.predictive_curve({"run": run}).axes
    train, grid = (datasets.get("toy_regression", split) for split in ("train", "grid"))
    saved = RunFolder(run).predictions("grid")
    x, mean, epistemic = grid.features[:, 0], saved["mean"].mean(axis=0), saved["mean"].std(axis=0)
    stddev = np.sqrt(epistemic**2 + (saved["stddev"] ** 2).mean(axis=0))
    (points,) = labelled(axis.collections, "training data")
    np.testing.assert_allclose(points.get_offsets(), np.stack([train.features[:, 0], train.labels], axis=1))
    (line,) = labelled(axis.lines, "mean")
    np.testing.assert_allclose(line.get_data(), (x, mean))
    for label, number in (("1 standard deviation", 1), ("2 standard deviations", 2)):
        (band,) = labelled(axis.collections, label)
        vertices = band.get_paths()[0].vertices
        assert vertices[:, 1].max() == pytest.approx((mean + number * stddev).max())
        assert vertices[:, 1].min() == pytest.approx((mean - number * stddev).min())
    edges = labelled(axis.lines, "2 epistemic standard deviations")
    assert len(edges) == (2 if num_samples > 1 else 0)  # one sample knows no epistemic part
    for edge, side in zip(edges, (-2, 2)):
        np.testing.assert_allclose(edge.get_ydata(), mean + side * epistemic)
    assert (axis.get_title(), axis.get_xlabel(), axis.get_ylabel()) == ("run", "Input", "Target")


def test_the_gap_in_the_data_is_shown(make_run):
    run = make_run(curve_predictions(), task="toy_regression")
    (axis,) = figures.predictive_curve({"run": run}).axes
    spans = [(span.get_x(), span.get_x() + span.get_width()) for span in labelled(axis.patches, "no training data")]
    np.testing.assert_allclose(spans, [(-5, 0), (4, 6), (10, 15)], atol=0.1)


def test_a_run_that_is_unsure_of_everything_leaves_the_data_in_view(make_run):
    run = make_run(curve_predictions(spread=1000.0), task="toy_regression")
    (axis,) = figures.predictive_curve({"run": run}).axes
    targets = datasets.get("toy_regression", "train").labels
    low, high = axis.get_ylim()
    assert low < targets.min() < targets.max() < high
    assert high - low == pytest.approx(3 * np.ptp(targets))


def test_runs_side_by_side(make_run, tmp_path):
    runs = {f"{n}": make_run(curve_predictions(n), f"{n}", task="toy_regression") for n in (1, 3)}
    figure = figures.predictive_curve(runs)
    assert [axis.get_title() for axis in figure.axes] == ["1", "3"]
    assert "2 epistemic standard deviations" in [text.get_text() for text in figure.legends[0].get_texts()]
    figures.save(figure, tmp_path / "curve.png")


def test_refuses_what_is_no_curve(make_run):
    run = make_run({"test": regressed([[1.0]], [[1.0]], [1.0])}, "no_grid", task="toy_regression")
    with pytest.raises(InputError, match=r"no_grid has not predicted the split 'grid'"):
        figures.predictive_curve({"run": run})
    run = make_run({"grid": regressed([[1.0]], [[1.0]], [1.0])}, "other_grid", task="toy_regression")
    with pytest.raises(InputError, match=r"The grid of .*other_grid has 1 examples, not 401"):
        figures.predictive_curve({"run": run})
    run = make_run({"grid": regressed([[1.0]], [[1.0]], [1.0])}, "plane", task="two_moons")
    with pytest.raises(InputError, match=r"Data set 'two_moons' is no curve: its inputs are of shape \(2,\)"):
        figures.predictive_curve({"run": run})
    run = make_run({"grid": classified([[0.5, 0.5]], [0])}, "classes", task="two_moons")
    with pytest.raises(InputError, match=r"This figure is of a gaussian likelihood"):
        figures.predictive_curve({"run": run})
