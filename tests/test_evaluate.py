"""`python -m uncertainty_suite.evaluate`: metrics from saved predictions, and more splits from a trained network."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.evaluation.conftest import finish, make_run, predict_by_distance, predict_images
from tests.tiny import arrays_of, assert_same_run, history_of, load_script, quick_with, tiny_config, untimed
from uncertainty_suite import evaluate, evaluation, training
from uncertainty_suite.errors import InputError
from uncertainty_suite.runs import RunFolder

pytestmark = pytest.mark.usefixtures("forget_models")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A run on digits with shift, OOD scores and a validation split, evaluated."""
    fields = {"dataset__validation_percent": 0.2, "splits": ("test", "validation"), "severities": (1, 5)}
    run = make_run(tmp_path_factory.mktemp("digits") / "run", "digits", corruptions=("contrast",), **fields)
    finish(run, evaluation.evaluate(predict_images, run))
    return run.path


@pytest.fixture
def results_of(digits, tmp_path):
    """A copy of that run, and a function that reads its results."""
    folder = tmp_path / "run"
    shutil.copytree(digits, folder)
    return folder, lambda: json.loads((folder / "results.json").read_text())


def without_tensorflow(*arguments) -> subprocess.CompletedProcess:
    code = (
        "import sys; from uncertainty_suite import evaluate; status = evaluate.main(sys.argv[1:]);"
        "sys.exit(7 if 'tensorflow' in sys.modules else status)"
    )
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)


def test_metrics_are_reproduced_and_added_without_tensorflow(results_of):
    folder, results = results_of
    before = (folder / "results.json").read_bytes()
    process = without_tensorflow(folder)
    assert process.returncode == 0, process.stderr
    old = results()["metrics"]
    costs = ("milliseconds_per_example", "num_parameters", "train_seconds", "train_flops")
    measured = old.keys() - {*costs, "prediction_flops_per_example"}
    assert f"{len(measured)} metrics, 0 added, 0 changed" in process.stdout
    assert (folder / "results.json").read_bytes() == before
    more = ["--metrics", "mce", "ece(num_bins=5)", "--ood_scores", "max_logit", "--posthoc", "aps"]
    process = without_tensorflow(folder, *more)
    assert process.returncode == 0, process.stderr
    new = results()["metrics"]
    added = {"test/mce", "test/ece(num_bins=5)", "shift/mean/mce", "ood/photos/max_logit/auroc", "test/aps/coverage"}
    assert added <= new.keys() - old.keys()
    assert f"; test/mce {new['test/mce']:.6g}; " in process.stdout
    assert old.items() <= new.items()


def test_a_metric_without_a_value_is_named(results_of, capsys):
    folder, results = results_of
    before = results()
    assert evaluate.main([str(folder), "--metrics", "disagreement"]) == 0
    assert "no test/disagreement: it compares samples, and none are saved" in capsys.readouterr().out
    after = results()
    assert "test/disagreement" in after["left_out"]
    assert {**after, "left_out": before["left_out"]} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metrics", "eec"], "Unknown metric 'eec'. Did you mean 'ece'?"),
        (["--ood_scores", "vim"], "There are no predictions"),
        (
            ["--ood_scores", "energy"],
            "OOD score 'energy' needs logits to score, but none are saved; run with --config.",
        ),
        (["--posthoc", "temperature_scaling"], "'temperature_scaling' is fitted on the validation split, which"),
        (["--ood", "noise/uniform"], "The script of "),
    ],
)
def test_what_is_wrong_is_one_line(arguments, message, tmp_path, capsys):
    run = make_run(tmp_path / "run", splits=("test",))
    assert evaluate.main([str(run.path)]) == 1
    assert "is no finished run" in capsys.readouterr().err
    finish(run, evaluation.evaluate(predict_by_distance, run))
    before = (run.path / "results.json").read_bytes()
    assert evaluate.main([str(run.path), *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert (run.path / "results.json").read_bytes() == before


def test_it_goes_on_after_a_damaged_run(results_of, tmp_path, capsys):
    good, results = results_of
    damaged, missing = tmp_path / "damaged", tmp_path / "missing"
    shutil.copytree(good, damaged)
    (damaged / "predictions/test.npz").write_bytes(b"PK")
    assert evaluate.main([str(damaged), str(missing), str(good), "--metrics", "mce"]) == 1
    output = capsys.readouterr()
    first, second = output.err.splitlines()
    assert first.startswith(f"evaluate: {damaged}: The predictions {damaged}/predictions/test.npz are damaged (")
    assert second.startswith(f"evaluate: {missing}: ")
    assert output.out.startswith(f"{good}: ")
    assert "test/mce" in results()["metrics"]


def test_predictions_of_another_run_or_damaged_ones_are_refused(tmp_path):
    run, other = make_run(tmp_path / "a"), make_run(tmp_path / "b", batch_size=500)
    evaluation.predict_splits(predict_by_distance, run)
    evaluation.predict_splits(predict_by_distance, other)
    path = run.path / "predictions/test.npz"
    content = path.read_bytes()
    path.write_bytes((other.path / "predictions/test.npz").read_bytes())
    with pytest.raises(InputError, match=r"test.npz are of another run"):
        evaluation.compute(RunFolder(run.path))
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"test.npz are damaged .*; run the script again"):
        evaluation.compute(RunFolder(run.path))
    path.unlink()
    with pytest.raises(InputError, match=r"There are no predictions .*test.npz"):
        evaluation.compute(RunFolder(run.path))


# From the trained network.


def trained_files(folder):
    """Return the checkpoints, with the times when they were written, and the lines of the history."""
    checkpoints = {path: path.stat().st_mtime_ns for path in folder.rglob("checkpoints/*.npz")}
    assert checkpoints
    return checkpoints, {path: path.read_text() for path in folder.rglob("history.jsonl")}


def train(method, folder, task="two_moons", **overrides):
    config = tiny_config(method, task, **overrides)
    return load_script(method).main(config, training.Options(output_dir=folder))


@quick_with("sngp")
def test_more_splits_and_arrays_are_predicted_without_training(method, finished, tmp_path, capsys):
    again, fresh = tmp_path / "again", tmp_path / "fresh"
    shutil.copytree(finished(method)[0], again)
    before = trained_files(again)
    assert evaluate.main([str(again), "--ood", "two_moons/grid", "--save", "logits"]) == 0, capsys.readouterr().err
    assert trained_files(again) == before
    train(method, fresh, evaluation__ood_far=("two_moons/ood", "two_moons/grid"), evaluation__save=("logits",))
    assert_same_run(again, fresh)
    saved = arrays_of(again / "predictions/ood/grid.npz")
    assert saved["logits"].shape[1:] == (10_000, 2)
    capsys.readouterr()
    assert evaluate.main([str(again), "--save", "logits"]) == 0
    assert "has all of that already" in capsys.readouterr().out


def test_a_configuration_of_another_data_set_is_refused(finished, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(finished("deterministic")[0], run)
    before = (run / "results.json").read_bytes()
    assert evaluate.main([str(run), "--config", str(ROOT / "configs/digits.py")]) == 1
    assert "is for the data set 'digits', and this run was trained on 'two_moons'." in capsys.readouterr().err
    assert (run / "results.json").read_bytes() == before


def test_corruptions_are_predicted_without_training(finished, tmp_path, capsys):
    small = {"evaluation__severities": (2,), "evaluation__shift_examples": 100}
    again, fresh = tmp_path / "again", tmp_path / "fresh"
    shutil.copytree(finished("deterministic", "digits", **small)[0], again)
    before = trained_files(again)
    assert evaluate.main([str(again), "--corruptions", "fog"]) == 0, capsys.readouterr().err
    assert trained_files(again) == before
    train("deterministic", fresh, "digits", **small, evaluation__corruptions=("fog",))
    assert_same_run(again, fresh)
    results = json.loads((again / "results.json").read_text())
    assert results["metrics"]["shift/mean/nll"] == results["metrics"]["shift/fog_2/nll"]
    assert results["provenance"]["resumed"]


def test_metrics_of_samples_are_added_by_predicting_anew(finished, tmp_path, capsys):
    again, fresh = tmp_path / "again", tmp_path / "fresh"
    shutil.copytree(finished("mc_dropout")[0], again)
    assert evaluate.main([str(again), "--metrics", "disagreement", "--predict"]) == 0, capsys.readouterr().err
    names = ("accuracy", "nll", "brier", "ece", "macro_auroc_at_coverage", "entropy", "disagreement")
    assert train("mc_dropout", fresh, evaluation__metrics=names)["metrics"]["test/disagreement"] > 0
    assert_same_run(again, fresh)


@quick_with("deep_ensemble")
def test_a_failed_evaluation_costs_no_training(method, tmp_path, monkeypatch):
    folder = tmp_path / "run"

    def fail(*arguments, **options):
        raise InputError("no space left")

    with monkeypatch.context() as patch, pytest.raises(InputError, match="no space left"):
        patch.setattr(evaluation, "compute", fail)
        train(method, folder)
    before = trained_files(folder)
    results = train(method, folder, evaluation__metrics=("ece",))  # and in another way
    assert trained_files(folder) == before
    fresh = train(method, tmp_path / "fresh", evaluation__metrics=("ece",))
    assert untimed(results) == untimed(fresh)
    assert results["config"] == fresh["config"]
    for path in folder.rglob("history.jsonl"):
        assert history_of(path) == history_of(tmp_path / "fresh" / path.relative_to(folder))
