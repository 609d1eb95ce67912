"""`python -m uncertainty_suite.sweep`, one run after another."""

import json
import os

import pytest

from tests.sweep.conftest import DIGITS, TINY, write_script
from tests.tiny import assert_same_run
from uncertainty_suite.leaderboard import read_records
from uncertainty_suite.runs import RunFolder

FAILING = """
    if config.seed == 1:
        print("on its way", flush=True)
        raise ZeroDivisionError("no good")
"""


def test_runs_are_those_of_the_scripts_and_are_not_repeated(sweep, finished, tmp_path):
    command = [DIGITS, "--methods", "deterministic", "--seeds", "0", "--set", *TINY]
    status, out, err = sweep(*command)
    assert status == 0, err
    assert "[1 of 1] digits/deterministic/seed0: " in err
    folder = tmp_path / "out/digits/deterministic/seed0"
    assert_same_run(folder, finished("deterministic", "digits")[0])
    provenance = RunFolder(folder).provenance
    assert provenance["command"].startswith(f"python -m uncertainty_suite.sweep {DIGITS} --methods deterministic ")
    assert provenance["config_file"] == DIGITS
    assert "deterministic: 100%" in (folder.parent / "seed0.log").read_text()
    table = (tmp_path / "out/leaderboard.md").read_text()
    assert "| deterministic " in table and table in out
    results = (folder / "results.json").read_bytes()
    modified = os.stat(folder / "results.json").st_mtime_ns
    status, out, err = sweep(*command)
    assert (status, table in out) == (0, True)
    assert "All 1 runs are finished already." in err
    assert os.stat(folder / "results.json").st_mtime_ns == modified
    assert (folder / "results.json").read_bytes() == results


def test_a_run_that_fails_does_not_end_the_others(sweep, tmp_path):
    script = write_script(tmp_path / "mine.py", FAILING)
    status, _, err = sweep(DIGITS, "--methods", script, "--seeds", "0:3", "--set", *TINY)
    assert status == 1
    assert "digits/mine/seed1 will be tried again: ZeroDivisionError: no good" in err
    assert "digits/mine/seed1: failed: ZeroDivisionError: no good" in err
    log = tmp_path / "out/digits/mine/seed1.log"
    assert f"sweep: digits/mine/seed1 failed: ZeroDivisionError: no good Its log: {log}" in err
    assert "sweep: 1 of 3 runs failed. To try them again: python -m uncertainty_suite.sweep " in err
    assert log.read_text().count("on its way") == 2
    assert "raise ZeroDivisionError" in log.read_text()
    finished = [tmp_path / f"out/digits/mine/seed{seed}" for seed in (0, 2)]
    assert [record.seed for record in read_records(finished)] == [0, 2]
    assert "| mine " in (tmp_path / "out/leaderboard.md").read_text()


def test_a_sweep_that_was_stopped_goes_on_bit_for_bit(sweep, stopped_at, finished, tmp_path):
    command = [DIGITS, "--methods", "deterministic", "--set", *TINY]
    with stopped_at(5):
        status, _, err = sweep(*command)
        assert (status, "sweep: Stopped. To go on, bit for bit: python -m" in err) == (130, True)
        raise KeyboardInterrupt  # which `stopped_at` waits for, and the command has caught
    folder = tmp_path / "out/digits/deterministic/seed0"
    assert list(folder.glob("checkpoints/*")) and not (folder / "results.json").exists()
    assert sweep(*command)[0] == 0
    assert_same_run(folder, finished("deterministic", "digits")[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "sngpp"], "sweep: Unknown method 'sngpp'. Did you mean 'sngp'?"),
        ([], "sweep: the following arguments are required: --methods. See --help."),
        (["--methods", "sngp", "--retries", "-1"], "sweep: --retries must be at least 0, received -1."),
        (["--methods", "sngp", "--tune", "0"], "sweep: --tune takes a number of trials from 1"),
        (
            ["--methods", "sngp", "--tune", "1000000000"],
            "sweep: --tune takes a number of trials from 1 to 100,000",
        ),
        (
            ["--methods", "sngp", "--output_dir="],
            "sweep: argument --output_dir: it is empty, and must name",
        ),
        (["--methods", "sngp", "--tune", "2", "--set", "epochs=1,2"], "sweep: --tune takes a number of trials from 1"),
    ],
)
def test_a_mistyped_command_is_one_line(arguments, message, sweep, tmp_path):
    status, _, err = sweep(DIGITS, *arguments)
    assert status == 1
    assert err.startswith(message) and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_run_evaluated_in_another_way_is_evaluated_again(sweep, tmp_path):
    command = [DIGITS, "--methods", "deterministic", "--set", *TINY[:1], TINY[2]]
    assert sweep(*command, "evaluation.corruptions=()")[0] == 0
    folder = tmp_path / "out/digits/deterministic/seed0"
    checkpoint = os.stat(next(folder.glob("checkpoints/*"))).st_mtime_ns
    assert sweep(*command, "evaluation.corruptions=('contrast',)", "evaluation.severities=(1,)")[0] == 0
    assert "shift/contrast_1/nll" in json.loads((folder / "results.json").read_text())["metrics"]
    assert os.stat(next(folder.glob("checkpoints/*"))).st_mtime_ns == checkpoint
