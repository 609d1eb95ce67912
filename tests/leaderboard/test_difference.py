"""Two runs side by side."""

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.tiny import CORE
from uncertainty_suite import evaluation, likelihoods, metrics
from uncertainty_suite.errors import InputError
from uncertainty_suite.leaderboard import read_record
from uncertainty_suite.leaderboard.__main__ import main
from uncertainty_suite.leaderboard.difference import Resampled, diff, differences
from uncertainty_suite.runs import RunFolder


def test_a_run_differs_from_itself_by_nothing(make_finished):
    run = make_finished()
    text = diff(run, run)
    assert "Configuration (a -> b)\n  the same\n" in text
    assert "Provenance (a -> b)\n  the same\n" in text
    for difference in differences(read_record(run), read_record(run)):
        assert difference.first == difference.second
        assert difference.interval in (None, (0.0, 0.0))


def test_what_differs_is_said(make_finished, capsys):
    first, second = (
        make_finished(),
        make_finished("sngp", 1, 1.6, config={"epochs": 5, "batch_size": 64}, batch_size_global=64),
    )
    assert main(["diff", str(first), str(second)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  epochs: absent -> 5" in lines
    assert "  method: deterministic -> sngp" in lines
    assert "  batch_size_global: 32 -> 64" in lines
    (nll,) = [line for line in lines if line.startswith("  test/nll ")]
    assert nll.endswith("  b is better")


@pytest.mark.parametrize(
    "metric", ["test/nll", "test/ece", "shift/fog_3/accuracy", "shift/mean/nll", "ood/photos/auroc"]
)
def test_resampled_metrics_are_the_metrics_of_resampled_predictions(make_finished, metric):
    """With every example drawn twice, a metric is what it was; with some drawn, what the library says of these."""
    run = make_finished()
    record = read_record(run)
    resampled = Resampled(record, 50)
    drawn = resampled.weights(300)[7]
    repeated = np.repeat(np.arange(300), np.rint(drawn * 300).astype(int))

    def value(split, name):
        saved = RunFolder(run).predictions(split)
        order = np.argsort(saved["element_id"])[repeated]
        drawn = {key: saved[key][order] for key in ("log_probs", "labels")}
        return evaluation.split_metrics(drawn, [name], likelihoods.info("categorical")).metrics[name]

    split, _, name = metric.rpartition("/")
    if metric == "ood/photos/auroc":
        inside, outside = (RunFolder(run).predictions(key) for key in ("test", "ood/photos"))
        scores = [
            -saved["log_probs"].max(axis=1)[np.argsort(saved["element_id"])][repeated] for saved in (inside, outside)
        ]
        expected = metrics.auroc(*scores)
    elif split == "shift/mean":
        expected = (value("shift/fog_1", name) + value("shift/fog_3", name)) / 2
    else:
        expected = value(split, name)
    np.testing.assert_allclose(resampled.metric(metric)[7], expected, atol=2e-6)


@pytest.mark.parametrize("metric", ["rmse", "gaussian_nll", "crps", "interval_coverage"])
def test_metrics_of_regression_are_resampled(make_finished, metric):
    run = make_finished(regression=True)
    resampled = Resampled(read_record(run), 50)
    saved = RunFolder(run).predictions("test")
    order = np.argsort(saved["element_id"])[
        np.repeat(np.arange(300), np.rint(resampled.weights(300)[7] * 300).astype(int))
    ]
    drawn = {"mean": saved["mean"][:, order], "stddev": saved["stddev"][:, order], "labels": saved["labels"][order]}
    expected = evaluation.split_metrics(drawn, [metric], likelihoods.info("gaussian")).metrics[metric]
    np.testing.assert_allclose(resampled.metric(f"test/{metric}")[7], expected, rtol=1e-5)


def test_records_have_intervals_of_what_they_have_scores_for(boards):
    first, second = (str(next(boards.glob(f"toy/{method}-*-seed0.json"))) for method in ("twin", "sngp"))
    with_interval = {d.metric for d in differences(read_record(first), read_record(second)) if d.interval}
    assert with_interval == {"test/accuracy", "test/nll", "test/brier", "test/ece"}


@pytest.mark.parametrize("task", ["two_moons", "toy_regression"])
def test_published_records_are_compared_after_their_calibration_too(task):
    records = [sorted((ROOT / "leaderboards" / task).glob(f"{method}-*-seed0.json"))[0] for method in CORE[:2]]
    calibrated = {d.metric: d for d in differences(*map(read_record, records)) if "_scaling/" in d.metric}
    assert calibrated
    for metric, difference in calibrated.items():
        if metric.endswith("nll"):
            assert difference.interval[0] < difference.second - difference.first < difference.interval[1]
    assert "b - a" in diff(*records)


def test_runs_of_other_tasks_or_data_are_not_compared(make_finished):
    with pytest.raises(InputError, match=r"^The runs are of different tasks, 'toy' and 'other'\.$"):
        diff(make_finished(), make_finished(task="other"))
    with pytest.raises(InputError, match=r"data_fingerprint\['test'\] differs"):
        diff(make_finished(), make_finished("sngp", data_fingerprint={"test": "zz"}))


def test_records_of_regression_have_intervals_of_what_they_have_scores_for(fold_boards):
    first, second = (next(fold_boards.glob(f"uci_yacht/{method}-*-fold1-seed0.json")) for method in ("twin", "sngp"))
    found = {d.metric: d for d in differences(read_record(first), read_record(second)) if d.interval}
    assert found.keys() == {"test/rmse", "test/gaussian_nll", "test/crps"}
    for difference in found.values():
        assert difference.interval[0] < difference.second - difference.first < difference.interval[1]


def test_runs_of_other_folds_are_not_compared(fold_boards):
    first, second = (next(fold_boards.glob(f"uci_yacht/sngp-*-fold{fold}-seed0.json")) for fold in (0, 1))
    with pytest.raises(InputError, match=r"^The runs are of different folds, 0 and 1\.$"):
        diff(first, second)


def test_a_folder_of_runs_is_not_one_run(boards):
    with pytest.raises(InputError, match=r"holds 18 runs; name one of them\.$"):
        diff(boards, boards)
