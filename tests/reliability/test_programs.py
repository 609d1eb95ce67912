"""All programs of the suite: what is wrong is one line, asked to stop they stop, and closed streams cost nothing."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from uncertainty_suite import __main__ as command
from uncertainty_suite.runs import RunFolder

# The command line of each, which reads a file of the folder {} before it does anything else.
MODULES = {
    "combine": "{}/run {}/run --output_dir={}/out",
    "decisions": "{}/record.json",
    "evaluate": "{}/run",
    "figures": "{}/run --output_dir={}/out",
    "leaderboard": "diff {}/run {}/run",
    "predict": "{}/run --inputs={}/x.npy --output={}/out.npz",
    "score": "{}/x.npz --task=two_moons --method=mine --output_dir={}/out",
    "sweep": "{}/config.py --methods deterministic --output_dir={}/out --dry_run",
}
TRAINING = "--config={}/config.py --output_dir={}/out"
SCRIPTS = {
    "deterministic": TRAINING,
    "adaptation/continual": f"--method=deterministic {TRAINING}",
    "adaptation/fine_tuning": f"--method=deterministic {TRAINING} --start_from={{}}/run --examples 5",
    "adaptation/few_shot": "{}/run --shots 1 --output_dir={}/out",
    "decisions/active_learning": f"--method=deterministic {TRAINING}",
    "decisions/bandit": f"--method=deterministic {TRAINING}",
    "decisions/bayesian_optimization": f"--method=deterministic {TRAINING}",
    "decisions/deferral": "{}/run --output_dir={}/out",
}
AS_MODULE = "import runpy, sys\ndel sys.argv[0]\nrunpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)\n"


def commands(place: Path) -> dict[str, list[str]]:
    """Return the command line of each program, as `python` takes it."""
    lines = {f"-m uncertainty_suite.{name}": line for name, line in MODULES.items()}
    lines |= {f"{ROOT}/baselines/{name}.py": line for name, line in SCRIPTS.items()}
    lines["-m uncertainty_suite run deterministic"] = TRAINING
    lines["-m uncertainty_suite score"] = MODULES["score"]
    return {name: [*name.split(), *line.replace("{}", str(place)).split()] for name, line in lines.items()}


NAMES = sorted(commands(Path()))


def test_no_program_is_forgotten():
    assert {*MODULES, "metrics"} == set(command._MODULES)
    found = {path.relative_to(ROOT / "baselines").with_suffix("").as_posix() for path in ROOT.glob("baselines/*/*.py")}
    assert found == SCRIPTS.keys() - {"deterministic"}


@pytest.fixture
def place(tmp_path):
    """A folder with what they read, none of which is in order."""
    place = tmp_path / "place"
    (place / "run").mkdir(parents=True)
    for name in ("config", "provenance", "results", "task"):
        (place / "run" / f"{name}.json").write_text("{}")
    (place / "record.json").write_text("{}")
    (place / "config.py").write_text("raise ValueError('of the user')\n")
    for name in ("x.npy", "x.npz"):
        (place / name).write_bytes(b"nothing")
    (tmp_path / "module.py").write_text(AS_MODULE)
    return place


@pytest.fixture
def start(scripts, place):
    """Return a function that runs a program, with what `warm.py` takes besides."""

    def run(name: str, **request):
        argv = commands(place)[name]
        argv = [str(place.parent / "module.py"), *argv[1:]] if argv[0] == "-m" else argv
        return scripts.run(argv, **request)

    return run


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_wrong_is_one_line_wherever_it_goes(start, place, name):
    before = content(place)
    ended = start(name)
    (line,) = ended.log.splitlines()
    assert (ended.status, "Traceback" in line) == (1, False)
    assert str(place) in line
    for closed in ([2], [0, 1, 2]):
        assert start(name, closed=closed)[::2] == (1, "")
    assert content(place) == before


@pytest.mark.parametrize("name", NAMES)
def test_asked_to_stop_it_stops_with_one_line(start, place, name):
    before = content(place)
    for times in (1, 3):
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            ended = start(name, signal_at=[f"{place}/", signum, times])
            assert ended.status == 128 + signum, ended.log
            (line,) = ended.log.splitlines()
            said = line.partition(": ")[2]
            # A sweep that goes on says so in words of its own.
            assert said.startswith((f"Stopped by {signal.Signals(signum).name}.", "Stopped. To go on, bit for bit: "))
    assert content(place) == before


INTERRUPTING = """
import os, signal, sys

def send(times):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        if times > 1:
            send(times - 1)

def audit(event, arguments):
    # Which all of them import, after the package.
    if event == "open" and "/uncertainty_suite/" in str(arguments[0]) and "files." in os.path.basename(arguments[0]):
        send(3)

sys.addaudithook(audit)
"""


@pytest.mark.parametrize("name", NAMES)
def test_ctrl_c_while_it_is_imported_is_one_line(place, name):
    (place / "sitecustomize.py").write_text(INTERRUPTING)
    environment = {**os.environ, "PYTHONPATH": f"{place}{os.pathsep}{ROOT}"}
    ended = subprocess.run(
        [sys.executable, *commands(place)[name]], capture_output=True, text=True, env=environment, timeout=120
    )
    assert ended.returncode in (130, -signal.SIGINT), ended.stderr
    (line,) = ended.stderr.splitlines()
    assert line.endswith((": Stopped by SIGINT, in an import.", ": Stopped by SIGINT."))


def test_without_any_stream_it_does_its_work(scripts, start, place, uninterrupted):
    shutil.rmtree(place / "run")
    shutil.copytree(uninterrupted("deterministic")[0], place / "run")
    module = str(place.parent / "module.py")
    for program, *more in (["evaluate", "--metrics=mce"], ["leaderboard", "--update", str(place / "table.md")]):
        (place / "table.md").write_text("<!-- leaderboard: two_moons test/nll -->\n<!-- end -->\n")
        argv = [module, f"uncertainty_suite.{program}", str(place / "run"), *more]
        assert scripts.run(argv, closed=[0, 1, 2])[::2] == (0, "")
    assert "test/mce" in RunFolder(place / "run").results["metrics"]
    assert "| deterministic" in (place / "table.md").read_text()
