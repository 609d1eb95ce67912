import numpy as np
import pytest

from tests.figures.conftest import bars_of, classified, probabilities
from uncertainty_suite import figures, metrics
from uncertainty_suite.errors import InputError


def test_bars_are_the_accuracies_of_the_bins(make_run):
    probs, labels = probabilities(400), np.random.default_rng(1).integers(0, 10, 400)
    labels[:250] = probs[:250].argmax(axis=1)
    run = make_run({"test": classified(probs, labels)})
    figure = figures.reliability_diagram({"MC": run}, num_bins=10)
    bars, counts = figure.axes
    confidence, correct = probs.max(axis=1), probs.argmax(axis=1) == labels
    bins = np.minimum((confidence * 10).astype(int), 9)
    assert [bar.get_height() for bar in counts.patches] == [np.sum(bins == b) for b in range(10)]
    assert sum(bar.get_height() for bar in counts.patches) == 400
    used = [b for b in range(10) if np.any(bins == b)]
    assert 0 < len(used) < 10  # there is an empty bin
    accuracy = [correct[bins == b].mean() for b in used]
    drawn = bars_of(bars, "accuracy").patches
    np.testing.assert_allclose([bar.get_height() for bar in drawn], accuracy)
    np.testing.assert_allclose([bar.get_x() + bar.get_width() / 2 for bar in drawn], (np.array(used) + 0.5) / 10)
    gaps = [bar.get_height() for bar in bars_of(bars, "gap to mean confidence").patches]
    np.testing.assert_allclose(
        gaps, [confidence[bins == b].mean() - correct[bins == b].mean() for b in used], rtol=1e-5
    )
    weights = np.bincount(bins, minlength=10)[used] / 400
    ece = metrics.expected_calibration_error(probs, labels, num_bins=10)
    assert np.abs(gaps) @ weights == pytest.approx(ece)
    assert bars.get_title() == f"MC\nECE = {ece:.2%}"


def test_intervals_are_wilsons(make_run):
    probs = np.tile([0.7, 0.3], (20, 1))
    run = make_run({"test": classified(probs, [0] * 14 + [1] * 6)})
    bars, _ = figures.reliability_diagram({"run": run}).axes
    (segment,) = bars_of(bars, "95% interval").lines[2][0].get_segments()
    z, p, n = 1.959964, 0.7, 20
    center, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    np.testing.assert_allclose(segment[:, 1], (np.array([center - half, center + half])) / (1 + z**2 / n), rtol=1e-5)


@pytest.mark.parametrize(
    ("probs", "labels"),
    [
        pytest.param(np.eye(10)[[3, 4, 5]], [3, 4, 5], id="sure and right"),
        pytest.param(np.eye(10)[[3, 4, 5]], [4, 5, 6], id="sure and wrong"),
        pytest.param([[0.6, 0.4]], [0], id="one example"),
        pytest.param([[0.6, 0.4]], [1], id="one wrong example"),
        pytest.param([[0.5, 0.5]] * 4, [0, 1, 0, 1], id="all tied"),
    ],
)
def test_edge_cases(make_run, tmp_path, probs, labels):
    run = make_run({"test": classified(probs, labels)})
    figure = figures.reliability_diagram({"run": run})
    figures.save(figure, tmp_path / "reliability.png")
    bars, counts = figure.axes
    (bar,) = bars_of(bars, "accuracy").patches
    assert bar.get_height() == metrics.accuracy(probs, labels)
    assert [p.get_height() for p in counts.patches if p.get_height()] == [len(labels)]


def test_refuses_unlabelled_splits_and_no_bins(make_run):
    run = make_run({"test": classified(probabilities(5), [0, 1, 2, 3, -1])})
    with pytest.raises(InputError, match=r"Split 'test' of .* has examples without a label"):
        figures.reliability_diagram({"run": run})
    run = make_run({"test": classified(probabilities(5), [0] * 5)}, "labelled")
    with pytest.raises(InputError, match=r"num_bins=0 is not allowed"):
        figures.reliability_diagram({"run": run}, num_bins=0)
