import json
import os

import pytest

from uncertainty_suite import training
from uncertainty_suite.errors import InputError


def test_a_run_folder_describes_itself(config, tmp_path):
    run = training.Run(config, "somewhere/my_method.py", tmp_path / "run")
    assert run.results is None
    assert run.config.method == "my_method"
    assert config.method == ""  # the caller's is left alone
    saved = json.loads((run.path / "config.json").read_text())
    assert (saved["method"], saved["optimizer"]["learning_rate"]) == ("my_method", 1e-4)
    provenance = json.loads((run.path / "provenance.json").read_text())
    assert {"command", "hardware", "revision", "started_at", "versions"} <= provenance.keys()
    data = run.get_data("test")
    results = run.finish({"test/nll": 0.5}, num_parameters=7, train_seconds=1.5)
    assert results["metrics"] == {"test/nll": 0.5, "num_parameters": 7.0, "train_seconds": 1.5}
    assert results["data_fingerprint"] == {"test": data.fingerprint()}
    assert results["protocol_version"] == training.PROTOCOL_VERSION
    assert training.Run(config, "my_method.py", run.path).results == results
    assert sorted(path.name for path in run.path.iterdir()) == ["config.json", "provenance.json", "results.json"]


def test_rollbacks_are_a_part_of_the_provenance(config, tmp_path):
    run = training.Run(config, "m.py", tmp_path / "run")
    run.rollbacks.append({"training": "m", "epoch": 2, "step": 8, "learning_rate_factor": 0.5})
    assert run.finish({}, 1, 1.0)["provenance"]["rollbacks"] == run.rollbacks
    assert "rollbacks" not in training.Run(config, "m.py", tmp_path / "other").finish({}, 1, 1.0)["provenance"]


def test_the_method_can_be_named(config, tmp_path):
    config.method = "baseline"
    assert training.Run(config, "deterministic.py", tmp_path / "run").config.method == "baseline"


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
    training.Run(config, "m.py", tmp_path / "run")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    config.epochs = 7
    config.optimizer.learning_rate = 0.5
    message = r"another configuration \(epochs: 100 -> 7; optimizer.learning_rate: 0.0001 -> 0.5\). Choose another"
    with pytest.raises(InputError, match=message):
        training.Run(config, "m.py", tmp_path / "run")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before


def test_refuses_a_folder_that_is_no_run(config, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="is not empty and no run folder"):
        training.Run(config, "m.py", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_refuses_what_cannot_be_a_folder(config, tmp_path, path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"Cannot use .* as a run folder"):
        training.Run(config, "m.py", tmp_path / path)


def test_a_run_killed_while_it_was_made_can_be_taken_up(config, tmp_path):
    run = training.Run(config, "m.py", tmp_path / "run")
    os.rename(run.path / "config.json", run.path / ".config.json.partial")
    (run.path / "provenance.json").unlink()
    assert training.Run(config, "m.py", run.path).results is None
    assert (run.path / "provenance.json").exists()


def test_never_writes_results_that_are_no_numbers(config, tmp_path):
    run = training.Run(config, "m.py", tmp_path / "run")
    with pytest.raises(InputError, match=r"test/nll is nan.*results.json is not written"):
        run.finish({"test/nll": float("nan")}, 1, 1.0)
    assert not (run.path / "results.json").exists()
