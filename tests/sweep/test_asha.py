"""Trials that Ray Tune stops early."""

import json
import shutil

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.sweep.conftest import DIGITS, TINY
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.sweep import engines
from uncertainty_suite.sweep.plan import Place, get_methods
from uncertainty_suite.sweep.tuning import get_studies

pytest.importorskip("ray", reason="pip install ray[tune]")


def test_a_trial_comes_after_shorter_ones(tmp_path):
    place, methods = Place(tmp_path), get_methods(["deterministic"])
    for epochs, expected in ((18, [2, 6, 18]), (3, [1, 3]), (1, [1])):
        (study,) = get_studies({"digits": DIGITS}, methods, {"epochs": str(epochs)}, [], place, 2, 0, True)
        for rung, run in zip(study.rungs, study.runs):
            assert [each.config["epochs"] for each in rung] == expected
            assert rung[-1] is run
            assert len({json.dumps(each.config | {"epochs": 0}) for each in rung}) == 1
            assert len({each.folder for each in rung}) == len(rung)


def test_what_is_refused(sweep, monkeypatch):
    command = [DIGITS, "--methods", "deterministic", "--scheduler", "asha"]
    assert "sweep: --scheduler asha goes with --tune, and needs Ray Tune" in sweep(*command)[2]
    monkeypatch.setattr(engines, "has_ray", lambda: False)
    assert "sweep: --scheduler asha goes with --tune, and needs Ray Tune" in sweep(*command, "--tune", "2")[2]


@pytest.mark.slow  # two minutes
def test_trials_that_are_stopped_early_count_and_are_not_chosen(sweep, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("RAY_worker_niceness", "0")  # or other work on this machine starves them
    folder = tmp_path / "configs"
    folder.mkdir()
    config = shutil.copy(DIGITS, folder)
    command = [config, "--methods", "deterministic", "--set", "epochs=9", *TINY[1:], "--tune", "6"]
    status, _, err = sweep(*command, "--scheduler", "asha")
    assert status == 0, err
    said = json.loads((folder / "tuned/digits.json").read_text())["deterministic"]["tuned"]["optimizer.learning_rate"]
    assert len(said["values"]) == 6
    assert set(said["epochs"]) <= {1, 3, 9} and min(said["epochs"]) < 9 == max(said["epochs"])
    assert all((score is None) == (epochs < 9) for score, epochs in zip(said["scores"], said["epochs"]))
    best = int(np.argmin([np.inf if score is None else score for score in said["scores"]]))
    assert said["chosen"] == said["values"][best]
    assert "| stopped after " in (tmp_path / "out/trials/digits/deterministic.md").read_text()
    for path in (tmp_path / "out/trials").rglob("results.json"):
        assert [split.key for split in RunFolder(path.parent).task.splits] == ["validation"]
