import pytest

from tests.figures.conftest import classified, curve_predictions, digits_predictions, probabilities
from uncertainty_suite import figures
from uncertainty_suite.errors import InputError


@pytest.fixture(autouse=True)
def _only_png(monkeypatch):
    monkeypatch.setattr(figures.report, "_SUFFIXES", (".png",))


def test_labels_tell_runs_apart(make_run, tmp_path, monkeypatch):
    predictions = {"test": classified(probabilities(50, classes=2), [0, 1] * 25)}
    runs = [
        make_run(predictions, "a", "two_moons", "mc_dropout"),
        make_run(predictions, "b", "two_moons", "mc_dropout", 1),
    ]
    drawn = []
    monkeypatch.setattr(figures.report, "save", lambda figure, path: drawn.append(figure.axes[0].get_title()) or path)
    figures.compare(runs, tmp_path)
    assert drawn[0].startswith("mc_dropout, seed 0\n")
    drawn.clear()
    figures.draw(runs[1])
    assert drawn[0].startswith("mc_dropout\n")


def test_labels_tell_folds_apart(make_run, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures.report, "save", lambda figure, path: drawn.extend(figure.axes) or path)
    monkeypatch.setattr("uncertainty_suite.leaderboard.records.check_comparable", lambda records: None)
    test = {"test": classified(probabilities(50, classes=2), [0, 1] * 25)}
    runs = [make_run(test, f"{fold}", "two_moons", fold=fold) for fold in (0, 1)]
    figures.compare(runs, tmp_path)
    assert [axis.get_title().split("\n")[0] for axis in drawn[:2]] == [
        f"deterministic, fold {i}, seed 0" for i in (0, 1)
    ]


def test_needs_no_results(make_run):
    run = make_run({"test": classified(probabilities(50, classes=2), [0, 1] * 25)}, task="two_moons")
    (run / "results.json").unlink()
    names = ["reliability_test.png", "risk_coverage_test.png", "referral_test.png"]
    assert [path.name for path in figures.draw(run)] == names


def test_a_classification_on_the_plane(make_run):
    predictions = {
        "validation": classified(probabilities(50, classes=2), [0, 1] * 25),
        "test": classified(probabilities(50, classes=2), [0, 1] * 25),
        "ood/ood": classified(probabilities(50, classes=2), [-1] * 50),
        "grid": classified(probabilities(10_000, classes=2), [-1] * 10_000),
    }
    names = [path.stem for path in figures.draw(make_run(predictions, task="two_moons"))]
    assert names == [
        *("reliability_validation", "risk_coverage_validation", "referral_validation"),
        *("reliability_test", "risk_coverage_test", "referral_test", "ood_ood", "failures_max_prob", "two_moons"),
    ]


def test_a_regression_on_the_line(make_run, capsys):
    run = make_run(curve_predictions(num_samples=3), task="toy_regression")
    assert [path.stem for path in figures.draw(run)] == [
        *("predicted_test", "quantile_calibration_test"),
        *("ood_ood", "ood_ood_epistemic_stddev", "ood_gap", "ood_gap_epistemic_stddev", "curve"),
    ]
    assert capsys.readouterr().err == ""


def test_a_shifted_regression(make_run):
    test = curve_predictions()["test"]
    run = make_run({"test": test, "shift/fog_1": test, "shift/fog_3": test}, task="toy_regression")
    names = [path.stem for path in figures.draw(run)]
    assert names[2:] == ["shift_rmse", "shift_gaussian_nll", "shift_quantile_calibration_error"]


def test_a_comparison_leaves_out_what_a_run_lacks(make_run, tmp_path, capsys):
    predictions = digits_predictions(1, uncertainty="mutual_information")
    predictions = {key: value for key, value in predictions.items() if not key.startswith(("shift", "fit"))}
    noise = {"ood/noise": classified(probabilities(9), [-1] * 9)}
    runs = [
        make_run(digits_predictions() | noise, "one", method="sngp"),
        make_run(predictions, "two", method="mc_dropout"),
    ]
    paths = figures.compare(runs, tmp_path / "out")
    assert [path.stem for path in paths] == ["reliability_test", "risk_coverage_test", "images_test", "ood_photos"]
    said = capsys.readouterr().err.splitlines()
    assert f"left out: ood/noise, of which there are no predictions in {runs[1]}" in said
    assert f"left out: shift/fog_3, of which there are no predictions in {runs[1]}" in said
    assert any(line.startswith("left out: figures of shifts") for line in said)


def test_predictions_that_the_task_lists_and_that_are_missing_are_named(make_run, capsys):
    run = make_run(digits_predictions())
    for key in ("ood/photos", "shift/fog_3"):
        (run / f"predictions/{key}.npz").unlink()
    assert [path.stem for path in figures.draw(run)] == ["reliability_test", "risk_coverage_test", "images_test"]
    assert capsys.readouterr().err.splitlines() == [
        f"left out: ood/photos, of which there are no predictions in {run}",
        f"left out: shift/fog_3, of which there are no predictions in {run}",
        "left out: figures of shifts, which are means over corruptions, and not all runs have predicted all of them",
    ]


def test_ood_and_shifted_sets_are_drawn_only_beside_in_distribution_ones(make_run, capsys):
    run = make_run(digits_predictions() | {"validation": digits_predictions()["test"]}, task="two_moons")
    (run / "predictions/test.npz").unlink()
    assert [path.stem for path in figures.draw(run)] == ["reliability_validation", "risk_coverage_validation"]
    assert "left out: figures of OOD and shifted sets, for want of one in-dist" in capsys.readouterr().err


def test_files_that_the_task_does_not_list_are_not_drawn(make_run):
    run = make_run({"test": classified(probabilities(20), [0] * 20)}, task="two_moons")
    (run / "predictions/ood").mkdir()
    (run / "predictions/ood/old.npz").write_bytes((run / "predictions/test.npz").read_bytes())
    assert [path.stem for path in figures.draw(run)] == ["reliability_test", "risk_coverage_test"]


def test_images_are_left_out_where_the_data_cannot_be_had(make_run, capsys):
    run = make_run({"test": classified(probabilities(20), [0] * 20)})  # which are other labels than those of digits
    assert [path.stem for path in figures.draw(run)] == ["reliability_test", "risk_coverage_test"]
    output = capsys.readouterr()
    assert output.err.startswith("left out: images_test. Predictions of split 'test' in ")
    assert output.err.count("\n") == 1


def test_a_data_set_that_is_not_known_here_is_no_hindrance(make_run, capsys):
    run = make_run({"test": classified(probabilities(20), [0] * 20)}, task="our_own")
    assert [path.stem for path in figures.draw(run)] == ["reliability_test", "risk_coverage_test"]
    assert capsys.readouterr().err.startswith("left out: figures that show the data. Unknown data set 'our_own'")


def test_damaged_predictions_are_an_error(make_run):
    run = make_run(curve_predictions(), task="toy_regression")
    (run / "predictions/grid.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"grid.npz are damaged"):
        figures.draw(run)
