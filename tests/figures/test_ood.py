import dataclasses
import json

import numpy as np
import pytest
from scipy import integrate

from tests.figures.conftest import classified, curve_predictions, digits_predictions, probabilities, texts
from tests.tiny import probs_of
from uncertainty_suite import evaluation, figures
from uncertainty_suite.errors import InputError
from uncertainty_suite.runs import RunFolder


def test_histograms_and_roc(make_run):
    runs = {name: make_run(digits_predictions(i), name, method=name) for i, name in enumerate(("mc_dropout", "sngp"))}
    figure = figures.ood_detection(runs, "ood/photos")
    *histograms, roc = figure.axes
    for i, ((label, run), axis) in enumerate(zip(runs.items(), histograms)):
        inside, outside = (RunFolder(run).predictions(key) for key in ("test", "ood/photos"))
        scores_in, scores_out = (np.log(1 - probs_of(each).max(axis=1)) for each in (inside, outside))
        for patch, scores in zip(axis.patches[::2], (scores_in, scores_out)):
            shares, edges, _ = patch.get_data()
            assert shares.sum() == pytest.approx(1)
            np.testing.assert_allclose(shares, np.histogram(np.clip(scores, *edges[[0, -1]]), edges)[0] / len(scores))
        line = roc.lines[i]
        x, y = line.get_data()
        assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
        auroc = evaluation.ood_metrics(inside, outside)["auroc"]
        assert integrate.trapezoid(y, x) == pytest.approx(auroc)
        assert texts(roc)[i] == f"{auroc:.3f} {label}"
        assert texts(axis) == ["test", "ood/photos"]
        assert axis.get_xlabel() == "log(1 - largest probability)"


def test_of_a_regression_the_first_uncertainty_is_the_standard_deviation(make_run):
    run = make_run(curve_predictions(num_samples=3), task="toy_regression")
    saved = RunFolder(run).predictions("ood/gap")
    stddev = np.sqrt(saved["mean"].var(axis=0) + (saved["stddev"] ** 2).mean(axis=0))
    histogram, _ = figures.ood_detection({"run": run}, "ood/gap").axes
    assert histogram.get_xlabel() == "Standard deviation"
    shares, edges, _ = histogram.patches[2].get_data()
    np.testing.assert_allclose(shares, np.histogram(stddev, edges)[0] / len(stddev))
    histogram, roc = figures.ood_detection({"run": run}, "ood/gap", score="epistemic_stddev").axes
    assert histogram.get_xlabel() == "Epistemic standard deviation"
    assert texts(roc) == ["1.000 run"]  # the samples agree wherever there are training data


def test_other_scores(make_run, tmp_path):
    constant, wild = np.zeros(50, np.float32), np.linspace(0, 1, 50, dtype=np.float32)
    wild[-1] = 1e6
    further = {"uncertainty/constant": constant, "uncertainty/wild": wild}
    probs = probabilities(50)
    logits = np.random.default_rng(0).normal(size=(1, 50, 10))
    predictions = {
        "test": classified(probs, [0] * 50, logits=logits, **further),
        "ood/far": classified(probs, [-1] * 50, logits=logits - 9, **further),
    }
    run = make_run(predictions)
    histogram, roc = figures.ood_detection({"run": run}, "ood/far", score="energy").axes
    assert histogram.get_xlabel() == "Energy"
    assert float(texts(roc)[0].split()[0]) > 0.9
    figure = figures.ood_detection({"run": run}, "ood/far", score="constant")
    assert texts(figure.axes[1]) == ["0.500 run"]
    figures.save(figure, tmp_path / "constant.png")
    histogram, _ = figures.ood_detection({"run": run}, "ood/far", score="wild").axes
    shares, edges, _ = histogram.patches[0].get_data()
    assert edges[-1] < 3
    assert (shares.sum(), np.count_nonzero(shares) > 5) == (pytest.approx(1), True)  # one example hides no other
    with pytest.raises(InputError, match=r"Unknown uncertainty in the predictions of .*run 'variances'\."):
        figures.ood_detection({"run": run}, "ood/far", score="variances")
    with pytest.raises(InputError, match=r"Unknown split of task 'digits' 'ood/fra'\. Did you mean 'ood/far'"):
        figures.ood_detection({"run": run}, "ood/fra")
    (run / "predictions/ood/far.npz").unlink()
    with pytest.raises(InputError, match=r"There are no predictions .*far.npz"):
        figures.ood_detection({"run": run}, "ood/far")


def test_scores_that_learn_are_fitted_on_the_training_examples(make_run):
    rng = np.random.default_rng(0)

    def near(center, label):
        return classified(probabilities(60), [label] * 60, features=rng.normal(center, 0.1, (60, 2)))

    inside, outside = (1, 0), (0, 1)
    run = make_run({"test": near(inside, 0), "fit": near(inside, 0), "ood/far": near(outside, -1)})
    _, roc = figures.ood_detection({"run": run}, "ood/far", score="knn(k=5)").axes
    assert texts(roc) == ["1.000 run"]


def test_scores_of_classes_are_none_of_a_regression(make_run):
    run = make_run(curve_predictions(), task="toy_regression")
    with pytest.raises(InputError, match=r"Unknown uncertainty in the predictions of .*run 'energy'\."):
        figures.ood_detection({"run": run}, "ood/gap", score="energy")


def test_refuses_runs_with_other_in_distribution_splits(make_run):
    predictions = {key: classified(probabilities(9), [0] * 9) for key in ("test", "validation", "ood/far")}
    runs = {name: make_run(predictions, name) for name in ("one", "two")}
    other = dataclasses.replace(RunFolder(runs["two"]).task, in_distribution="validation")
    (runs["two"] / "task.json").write_text(json.dumps(other.to_json()))
    with pytest.raises(InputError, match=r"In distribution is 'validation' in .*two, and 'test' in the runs before"):
        figures.ood_detection(runs, "ood/far")
