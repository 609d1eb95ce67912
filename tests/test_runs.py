import json

import numpy as np
import pytest

from uncertainty_suite import configuration, likelihoods
from uncertainty_suite.errors import InputError
from uncertainty_suite.runs import PROTOCOL_VERSION, RunFolder
from uncertainty_suite.tasks import Split, Task

CONFIG = {"seed": 0, "method": "m", "dataset": {"name": "digits"}, "evaluation": {"metrics": ["nll"]}}
TASK = Task("digits", likelihoods.get("categorical", num_classes=2), (Split("test", "test", "digits/test"),), "test")


@pytest.fixture
def run(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "task.json").write_text(json.dumps(TASK.to_json()))
    (tmp_path / "provenance.json").write_text(json.dumps({"protocol_version": PROTOCOL_VERSION}))
    return RunFolder(tmp_path)


def write_results(run, **fields) -> dict:
    results = {"protocol_version": 1, "config": CONFIG, "metrics": {}, "provenance": {}, **fields}
    (run.path / "results.json").write_text(json.dumps(results))
    return results


def test_reads_what_a_run_wrote(run):
    assert run.config == CONFIG
    assert run.method == "m"
    assert run.task.splits == TASK.splits
    assert run.provenance == {"protocol_version": PROTOCOL_VERSION}
    assert run.results is None
    assert RunFolder(run.path / "none").results is None
    results = write_results(run, metrics={"test/nll": 0.5})
    assert run.results == results
    (run.path / "members/1").mkdir(parents=True)
    for folder in (".", "members/1"):
        (run.path / folder / "history.jsonl").write_text('{"epoch": 1}\n')
    assert list(run.histories()) == [("", [{"epoch": 1}]), ("members/1", [{"epoch": 1}])]


def test_predictions_are_tied_to_the_configuration(run):
    saved = {"log_probs": np.eye(2, dtype=np.float32), "labels": np.array([0, 1])}
    assert not run.has_predictions("ood/mnist")
    run.save_predictions("ood/mnist", saved)
    assert run.has_predictions("ood/mnist")
    loaded = run.predictions("ood/mnist")
    assert loaded.keys() == saved.keys()
    np.testing.assert_array_equal(loaded["log_probs"], saved["log_probs"])
    other = {**CONFIG, "evaluation": {"metrics": ["ece"]}}
    (run.path / "config.json").write_text(json.dumps(other))
    with pytest.raises(InputError, match=rf"are of another run \({run.id}, and this is "):
        RunFolder(run.path).predictions("ood/mnist")


def test_missing_and_damaged_files_are_one_line(run):
    with pytest.raises(InputError, match=r"There are no predictions .*; make them by: .*evaluate .* --predict"):
        run.predictions("test")
    run.save_predictions("test", {"labels": np.zeros(100)})
    path = run.path / "predictions/test.npz"
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"The predictions .*test.npz are damaged"):
        run.predictions("test")
    (run.path / "results.json").write_text("{")
    with pytest.raises(
        InputError, match=r"results.json is damaged .* Delete that file and give the same command again"
    ):
        _ = run.results
    (run.path / "task.json").write_text("{}")
    with pytest.raises(InputError, match=r"task.json cannot be read \(it describes no task"):
        _ = run.task
    with pytest.raises(InputError, match=r"is no run folder: its config.json cannot be read"):
        _ = RunFolder(run.path / "none").config


def test_results_of_another_evaluation_are_none_and_those_of_another_training_are_refused(run):
    write_results(run, config={**CONFIG, "evaluation": {"metrics": ["ece"]}})
    assert run.results is None
    write_results(run, config={**CONFIG, "seed": 1})
    with pytest.raises(InputError, match=r"is of another configuration than config.json \(seed: 0 -> 1\)"):
        _ = run.results


def test_the_protocol_version_stands_in_one_place():
    from uncertainty_suite import runs, training

    assert training.PROTOCOL_VERSION is runs.PROTOCOL_VERSION
    assert configuration.run_id(CONFIG) != configuration.trained_id(CONFIG)
