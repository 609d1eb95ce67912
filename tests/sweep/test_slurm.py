"""Runs by submitit, on its executor of processes of this machine; SLURM itself is not there to test."""

import pytest

from tests.sweep.conftest import DIGITS, TINY
from tests.tiny import assert_same_run
from uncertainty_suite.errors import InputError
from uncertainty_suite.sweep import engines
from uncertainty_suite.sweep.engines import on_slurm, run_all
from uncertainty_suite.sweep.plan import Place, get_methods, get_settings, get_tasks, plan

pytest.importorskip("submitit", reason="pip install submitit")


def planned(tmp_path, methods, seeds):
    return plan(get_tasks([DIGITS]), get_methods(methods), get_settings(TINY), seeds, [], Place(tmp_path / "out"))


@pytest.mark.slow  # half a minute: each job imports TensorFlow
def test_jobs_give_the_bits_of_the_script(tmp_path, finished, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(engines.Path(engines.__file__).parents[2]))
    runs = planned(tmp_path, ["deterministic"], [0, 1])
    engine = on_slurm(tmp_path / "slurm", 1, 0, ["timeout_min=10"], cluster="local")
    outcomes = run_all(engine, runs, retries=0)
    assert [outcome.error for outcome in outcomes.values()] == ["", ""]
    assert_same_run(runs[0].folder, finished("deterministic", "digits")[0])
    assert runs[1].results is not None


@pytest.mark.slow  # half a minute
def test_a_job_that_dies_is_made_again_so_often(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(engines, "_SECONDS_BETWEEN_LOOKS", 0.1)
    (tmp_path / "mine.py").write_text("import os\n\ndef main(config, options=None):\n    os._exit(7)\n")
    (run,) = planned(tmp_path, [str(tmp_path / "mine.py")], [0])
    engine = on_slurm(tmp_path / "slurm", 1, 0, ["timeout_min=10"], cluster="local")
    outcomes = run_all(engine, [run], retries=1)
    assert "died" in outcomes[run.name].error
    assert run.log.read_text().count("# digits/mine/seed0") == 2
    assert "digits/mine/seed0 will be tried again: job" in capfd.readouterr().err


def test_what_is_refused(tmp_path, sweep):
    with pytest.raises(InputError, match=r"--slurm takes name=value, e.g. timeout_min=600; received 'x'"):
        on_slurm(tmp_path, 1, 0, ["x"], cluster="local")
    with pytest.raises(InputError, match=r"--engine slurm: .*nothing"):
        on_slurm(tmp_path, 1, 0, ["nothing=1"], cluster="local")
    status, _, err = sweep(DIGITS, "--methods", "deterministic", "--engine", "slurm")
    assert status == 1
    assert "sweep: --engine slurm: " in err.splitlines()[-1]  # there is no SLURM here
