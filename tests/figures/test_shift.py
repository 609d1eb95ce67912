import numpy as np
import pytest

from tests.figures.conftest import CORRUPTIONS, digits_predictions, regressed
from tests.tiny import probs_of
from uncertainty_suite import figures, metrics
from uncertainty_suite.errors import InputError
from uncertainty_suite.runs import RunFolder


def test_means_and_boxes(make_run):
    runs = {name: make_run(digits_predictions(i), name, method=name) for i, name in enumerate(("mc_dropout", "sngp"))}
    axis = figures.shift_by_severity(runs, "ece").axes[0]
    lines = [line for line in axis.lines if line.get_label() in runs]
    for line, run in zip(lines, map(RunFolder, runs.values())):
        by_severity = [
            [metrics.expected_calibration_error(probs_of(saved), saved["labels"]) for saved in shifted]
            for shifted in [
                [run.predictions(f"shift/{name}_{severity}") for name in CORRUPTIONS] for severity in (1, 3, 5)
            ]
        ]
        clean = run.predictions("test")
        expected = [metrics.expected_calibration_error(probs_of(clean)[:200], clean["labels"][:200])]
        expected += [np.mean(values) for values in by_severity]
        np.testing.assert_allclose(line.get_ydata(), expected)
        np.testing.assert_allclose(np.diff(line.get_xdata()), [1, 2, 2])
    boxes = [(box.get_y(), box.get_y() + box.get_height()) for box in axis.patches]
    assert len(boxes) == 6
    np.testing.assert_allclose(boxes[-1], np.quantile(by_severity[-1], [0.25, 0.75]))
    whiskers, medians = axis.collections[-2:]
    np.testing.assert_allclose(whiskers.get_segments()[-1][:, 1], (min(by_severity[-1]), max(by_severity[-1])))
    np.testing.assert_allclose(medians.get_segments()[-1][:, 1], np.median(by_severity[-1]))
    assert [label.get_text() for label in axis.get_xticklabels()] == ["clean", "1", "3", "5"]
    assert axis.get_ylabel() == "ECE (lower is better)"
    assert axis.get_title() == "Mean and quartiles over 3 corruptions"


def test_regression_with_samples(make_run):
    labels = np.linspace(0, 1, 30)

    def wrong_by(error, count):
        return regressed(np.stack([labels[:count] + error] * 2), np.ones((2, count)), labels[:count])

    run = make_run({"test": wrong_by(0.5, 30), "shift/fog_1": wrong_by(1, 20), "shift/fog_3": wrong_by(2, 20)})
    axis = figures.shift_by_severity({"run": run}, "rmse").axes[0]
    np.testing.assert_allclose(axis.lines[0].get_ydata(), [0.5, 1, 2])
    assert axis.get_ylabel() == "RMSE (lower is better)"


def test_refuses_means_over_different_corruptions(make_run):
    whole = make_run(digits_predictions(), "whole")
    predictions = digits_predictions()
    for severity in (1, 3, 5):
        del predictions[f"shift/fog_{severity}"]
    less = make_run(predictions, "less")
    with pytest.raises(InputError, match=r"The corruptions in .*less are not those in .*whole: their means cannot"):
        figures.shift_by_severity({"whole": whole, "less": less})
    predictions["shift/fog_3"] = predictions["shift/rotate_3"]
    with pytest.raises(InputError, match=r"has not the same corruptions at every severity"):
        figures.shift_by_severity({"uneven": make_run(predictions, "uneven")})
    (whole / "predictions/shift/fog_3.npz").unlink()
    with pytest.raises(InputError, match=r"There are no predictions .*whole/predictions/shift/fog_3.npz"):
        figures.shift_by_severity({"whole": whole})


def test_refuses_what_has_no_number(make_run):
    run = make_run(digits_predictions())
    with pytest.raises(InputError, match=r"Unknown metric 'ecee'\. Did you mean 'ece'"):
        figures.shift_by_severity({"run": run}, "ecee")
    with pytest.raises(InputError, match=r"Metric 'brier_decomposition' is no single number"):
        figures.shift_by_severity({"run": run}, "brier_decomposition")
    with pytest.raises(InputError, match=r"Metric 'gibbs_cross_entropy' cannot be drawn: it compares samples"):
        figures.shift_by_severity({"run": run}, "gibbs_cross_entropy")
    unshifted = make_run({"test": digits_predictions()["test"]}, "unshifted")
    with pytest.raises(InputError, match=r"Run .*unshifted has no corrupted splits"):
        figures.shift_by_severity({"run": unshifted})
