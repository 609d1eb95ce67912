import numpy as np
import pytest

from tests.figures.conftest import classified, probabilities, texts
from uncertainty_suite import figures, metrics
from uncertainty_suite.runs import RunFolder


def test_curves_and_oracles(make_run):
    labels = np.random.default_rng(1).integers(0, 10, 400)
    runs = {}
    for label, sharpness in [("one", 1.0), ("two", 6.0)]:
        probs = probabilities(400, sharpness)
        probs[:300] = probs[:300] / 2 + np.eye(10, dtype=np.float32)[labels[:300]] / 2
        runs[label] = make_run({"test": classified(probs, labels)}, label, method=label)
    axis = figures.risk_coverage(runs).axes[0]
    for i, (label, run) in enumerate(runs.items()):
        saved = RunFolder(run).predictions("test")
        order = np.argsort(-saved["probs"].max(axis=1))
        errors = (saved["probs"].argmax(axis=1) != labels)[order]
        curve, oracle = axis.lines[2 * i : 2 * i + 2]
        np.testing.assert_allclose(curve.get_xdata(), np.arange(1, 401) / 400)
        np.testing.assert_allclose(curve.get_ydata(), np.cumsum(errors) / np.arange(1, 401))
        np.testing.assert_allclose(oracle.get_ydata(), np.cumsum(np.sort(errors)) / np.arange(1, 401))
        assert texts(axis)[i] == f"{label}, AURC = {metrics.aurc(saved['probs'], labels):.3g}"
    assert texts(axis)[-1] == "oracle"


@pytest.mark.parametrize(
    ("probs", "labels"),
    [
        pytest.param(np.eye(10)[[3, 4, 5]], [3, 4, 5], id="all right"),
        pytest.param(np.eye(10)[[3, 4, 5]], [4, 5, 6], id="all wrong"),
        pytest.param([[0.6, 0.4]], [0], id="one example"),
        pytest.param([[0.5, 0.5]] * 4, [0, 1, 0, 1], id="all tied"),
    ],
)
def test_edge_cases(make_run, tmp_path, probs, labels):
    figure = figures.risk_coverage({"run": make_run({"test": classified(probs, labels)})})
    figures.save(figure, tmp_path / "risk_coverage.png")
    for line in figure.axes[0].lines[:2]:
        assert line.get_ydata()[-1] == 1 - metrics.accuracy(probs, labels)
    assert 0 < figure.axes[0].get_ylim()[1] <= 1.08
