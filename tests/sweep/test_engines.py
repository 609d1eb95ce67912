"""How runs are made, and their logs; Ray and SLURM have tests of their own."""

import os

import pytest

from tests.sweep.conftest import DIGITS
from uncertainty_suite.sweep import engines
from uncertainty_suite.sweep.engines import Outcome, execute, in_turn, run_all
from uncertainty_suite.sweep.plan import Place, get_methods, get_settings, get_tasks, plan

SCRIPT = """
import os

def main(config, options=None):
    print("said in Python", flush=True)
    os.write(2, b"said elsewhere" + bytes([10]))
    {}
"""


def planned(tmp_path, body):
    (tmp_path / "mine.py").write_text(SCRIPT.format(body))
    methods = get_methods([str(tmp_path / "mine.py")])
    return plan(get_tasks([DIGITS]), methods, get_settings([]), [0, 1], [], Place(tmp_path / "out"))


def test_all_that_a_run_prints_is_in_its_log(tmp_path, capfd):
    run, _ = planned(tmp_path, "raise OSError('gone')")
    assert execute(run).again
    print("afterwards")
    assert capfd.readouterr() == ("afterwards\n", "")
    log = run.log.read_text()
    assert log.startswith("# digits/mine/seed0: ") and f"process {os.getpid()} on " in log
    assert "said in Python\nsaid elsewhere\n" in log and "OSError: gone" in log
    execute(run)
    assert run.log.read_text().count("said in Python") == 2  # nothing of the first try is lost


@pytest.mark.parametrize(
    ("body", "error", "again", "diverged"),
    [
        ("raise ValueError('what\\n went wrong')", "ValueError: what went wrong", True, False),
        ("from uncertainty_suite.errors import InputError as E; raise E('Mend it.')", "Mend it.", False, False),
        ("from uncertainty_suite.errors import DivergedError as E; raise E('NaN.')", "NaN.", False, True),
        ("pass", "mine.py has ended, and ", False, False),
    ],
)
def test_how_a_run_ends(body, error, again, diverged, tmp_path):
    run, _ = planned(tmp_path, body)
    outcome = execute(run)
    assert error in outcome.error
    assert (outcome.again, outcome.diverged) == (again, diverged)


def test_a_log_that_cannot_be_written_is_an_error_of_that_run(tmp_path):
    run, _ = planned(tmp_path, "pass")
    run.log.mkdir(parents=True)
    assert "seed0.log cannot be written" in execute(run).error


def test_a_run_is_tried_again_so_often(tmp_path, monkeypatch, capfd):
    tries = []

    def fail(run):
        tries.append(run.name)
        good = run.name.endswith("seed0") and tries.count(run.name) == 3
        return Outcome(1.0) if good else Outcome(1.0, "lost", again=not run.name.endswith("seed1"))

    monkeypatch.setattr(engines, "execute", fail)
    runs = planned(tmp_path, "pass")
    outcomes = run_all(in_turn, runs, retries=2)
    assert outcomes == {"digits/mine/seed0": Outcome(1.0), "digits/mine/seed1": Outcome(1.0, "lost")}
    assert tries.count("digits/mine/seed0") == 3 and tries.count("digits/mine/seed1") == 1
    assert run_all(in_turn, runs[:1], retries=0)["digits/mine/seed0"].error == "lost"
    assert "digits/mine/seed0 will be tried again: lost" in capfd.readouterr().err
