import numpy as np
import pytest

from tests.figures.conftest import classified, digits_predictions, probabilities, texts
from tests.tiny import probs_of
from uncertainty_suite import figures, metrics
from uncertainty_suite.errors import InputError
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
        probs = probs_of(RunFolder(run).predictions("test"))
        order = np.argsort(-probs.max(axis=1))
        errors = (probs.argmax(axis=1) != labels)[order]
        curve, oracle = axis.lines[2 * i : 2 * i + 2]
        np.testing.assert_allclose(curve.get_xdata(), np.arange(1, 401) / 400)
        np.testing.assert_allclose(curve.get_ydata(), np.cumsum(errors) / np.arange(1, 401))
        np.testing.assert_allclose(oracle.get_ydata(), np.cumsum(np.sort(errors)) / np.arange(1, 401))
        assert texts(axis)[i] == f"{label}, AURC = {metrics.aurc(probs, labels):.3g}"
    assert texts(axis)[-1] == "oracle"


def test_referral(make_run):
    labels = np.random.default_rng(1).integers(0, 2, 300)
    p = np.random.default_rng(2).beta(1 + 2 * labels, 3 - 2 * labels)
    probs = np.stack([1 - p, p], axis=1)
    accuracy, areas = figures.referral({"run": make_run({"test": classified(probs, labels)})}).axes
    probs = probs_of(RunFolder(make_run({"test": classified(probs, labels)}, "again")).predictions("test"))
    right = (probs.argmax(axis=1) == labels)[np.argsort(-probs.max(axis=1))]
    np.testing.assert_allclose(accuracy.lines[0].get_xdata(), 1 - np.arange(1, 301) / 300)
    np.testing.assert_allclose(accuracy.lines[0].get_ydata(), np.cumsum(right) / np.arange(1, 301))
    drawn = dict(zip(*areas.lines[0].get_data()))
    for coverage in (1.0, 0.5, 0.2):
        assert drawn[1 - coverage] == metrics.macro_auroc_at_coverage(probs, labels, coverage=coverage)
    assert drawn[0.5] > drawn[0.0]
    assert texts(accuracy) == ["run"]


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


def test_failures_are_errors_and_all_that_is_ood(make_run):
    run = make_run(digits_predictions())
    axis = figures.failure_detection({"run": run}).axes[0]
    folder = RunFolder(run)
    inside = [folder.predictions(split.key) for split in folder.task.splits if split.role in ("test", "shift")]
    outside = folder.predictions("ood/photos")
    failed = [probs_of(each).argmax(axis=1) != each["labels"] for each in inside] + [np.ones(300, bool)]
    confidence = np.concatenate([probs_of(each).max(axis=1) for each in [*inside, outside]])
    failed = np.concatenate(failed)[np.argsort(-confidence, kind="stable")]
    np.testing.assert_allclose(axis.lines[0].get_ydata(), np.cumsum(failed) / np.arange(1, len(failed) + 1), atol=1e-3)
    assert texts(axis)[0].startswith("run, AUGRC = ")
    with pytest.raises(InputError, match=r"Unknown uncertainty in the predictions of .*run 'distance'\."):
        figures.failure_detection({"run": run}, score="distance")
