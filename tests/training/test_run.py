import json
import os
from pathlib import Path

import pytest

from uncertainty_suite import keras, training
from uncertainty_suite.errors import InputError


def make_run(config, path: Path, script: str = "m.py") -> training.Run:
    return training.Run(config, script, training.Options(output_dir=path))


class Loop:
    """A training that took a second and a half, and six FLOPs."""

    seconds, flops = 1.5, 6.0


def finish(run: training.Run, metrics: dict[str, float], left_out: dict[str, str] | None = None) -> dict:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    return run.finish((metrics, left_out or {}, {"posthoc.raps": {"split": "validation"}}), model, Loop())


def test_a_run_folder_describes_itself(config, tmp_path):
    run = make_run(config, tmp_path / "run", "somewhere/my_method.py")
    assert run.results is None
    assert run.config.method == "my_method"
    assert config.method == ""  # the caller's is left alone
    saved = json.loads((run.path / "config.json").read_text())
    assert (saved["method"], saved["optimizer"]["learning_rate"]) == ("my_method", 1e-4)
    provenance = json.loads((run.path / "provenance.json").read_text())
    assert {"command", "hardware", "revision", "started_at", "versions"} <= provenance.keys()
    data = run.get_data("test")
    results = finish(run, {"test/nll": 0.5}, {"test/calibration_auc": "every prediction is right"})
    assert results["metrics"] == {"test/nll": 0.5, "num_parameters": 7.0, "train_seconds": 1.5, "train_flops": 6.0}
    assert results["data_fingerprint"] == {"test": data.fingerprint()}
    assert results["left_out"] == {"test/calibration_auc": "every prediction is right"}
    assert results["tuned"] == {"posthoc.raps": {"split": "validation"}}
    assert results["likelihood"] == {"name": "categorical", "num_classes": 2}
    assert [split["key"] for split in results["splits"]] == [
        "test",
        "validation",
        "ood/ood",
        "ood/ood_validation",
        "grid",
    ]
    assert results["protocol_version"] == training.PROTOCOL_VERSION
    assert make_run(config, run.path, "my_method.py").results == results
    assert sorted(path.name for path in run.path.iterdir()) == [
        "config.json",
        "provenance.json",
        "results.json",
        "task.json",
    ]


def test_what_a_search_chose_is_recorded_of_fields_that_have_that_value(config, tmp_path):
    tried = {"criterion": "nll", "split": "validation"}
    tuned = {
        "optimizer.learning_rate": {"values": [1e-4, 0.1], "chosen": 1e-4, **tried},
        "model.num_layers": {"values": [1, 2], "chosen": 2, **tried},  # the configuration has another one
        "gone": {"chosen": 1},
        "posthoc.raps": {"split": "validation"},
    }
    options = training.Options(output_dir=tmp_path / "run", tuned=tuned, command="python -m uncertainty_suite.sweep")
    results = finish(training.Run(config, "m.py", options), {"test/nll": 0.5})
    assert results["tuned"] == {
        "optimizer.learning_rate": tuned["optimizer.learning_rate"],
        "posthoc.raps": {"split": "validation"},
    }
    assert results["provenance"]["command"] == "python -m uncertainty_suite.sweep"


def test_rollbacks_are_a_part_of_the_provenance(config, tmp_path):
    run = make_run(config, tmp_path / "run")
    run.rollbacks.append({"training": "m", "epoch": 2, "step": 8, "learning_rate_factor": 0.5})
    assert finish(run, {})["provenance"]["rollbacks"] == run.rollbacks
    assert "rollbacks" not in finish(make_run(config, tmp_path / "other"), {})["provenance"]


def test_the_method_can_be_named(config, tmp_path):
    config.method = "baseline"
    assert make_run(config, tmp_path / "run", "deterministic.py").config.method == "baseline"


def test_default_folder_is_named_by_the_configuration(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = training.Run(config, "m.py").path
    config.seed = 3
    second = training.Run(config, "m.py").path
    config.epochs = 7
    third = training.Run(config, "m.py").path
    assert first.parent == second.parent != third.parent
    assert first.parent.parent.as_posix() == "runs/two_moons"
    assert (first.name, second.name) == ("seed0", "seed3")


def test_refuses_the_folder_of_another_configuration(config, tmp_path):
    make_run(config, tmp_path / "run")
    (tmp_path / "run/history.jsonl").write_text("")  # it has begun
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    config.epochs = 7
    config.optimizer.learning_rate = 0.5
    message = r"another configuration \(epochs: 100 -> 7; optimizer.learning_rate: 0.0001 -> 0.5\). Choose another"
    with pytest.raises(InputError, match=message):
        make_run(config, tmp_path / "run")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before


def test_refuses_a_folder_that_is_no_run(config, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="is not empty and no run folder"):
        make_run(config, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("path", ["file", "file/below", "loop", "loop/below"])
def test_refuses_what_cannot_be_a_folder(config, tmp_path, path):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match=r"Cannot use .* as a run folder"):
        make_run(config, tmp_path / path)


def test_a_run_killed_while_it_was_made_can_be_taken_up(config, tmp_path):
    run = make_run(config, tmp_path / "run")
    os.rename(run.path / "config.json", run.path / ".config.json.partial")
    (run.path / "provenance.json").unlink()
    (run.path / "task.json").unlink()
    assert make_run(config, run.path).results is None
    assert (run.path / "provenance.json").exists()


def test_never_writes_results_that_are_no_numbers(config, tmp_path):
    run = make_run(config, tmp_path / "run")
    with pytest.raises(InputError, match=r"test/nll is nan.*results.json is not written"):
        finish(run, {"test/nll": float("nan")})
    assert not (run.path / "results.json").exists()


def test_another_evaluation_goes_on_from_the_same_training(config, tmp_path):
    run = make_run(config, tmp_path / "run")
    trained = run.trained_id
    first = finish(run, {"test/nll": 0.5})
    config.evaluation.metrics = ("accuracy",)
    again = make_run(config, run.path)
    assert again.results is None
    assert again.trained_id == trained
    assert again.folder.results is None  # those that are there are of another evaluation
    assert json.loads((run.path / "results.json").read_text()) == first  # and are kept until there are new ones
    assert finish(again, {"test/accuracy": 0.9})["metrics"]["test/accuracy"] == 0.9
    assert make_run(config, run.path).results == again.results


def test_folds_have_folders_of_their_own_below_one_experiment(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config.seed = 5
    path = training.Run(config, "m.py").path
    assert path.name == "seed5"
    config.evaluation.metrics = ("accuracy",)
    assert training.Run(config, "m.py").path == path  # how it is evaluated is no part of the name


def test_restoring_what_is_not_there(config, tmp_path):
    options = training.Options(output_dir=tmp_path / "none", restore_only=True)
    with pytest.raises(InputError, match="none holds no run that could be restored"):
        training.Run(config, "m.py", options)
    assert not (tmp_path / "none").exists()
