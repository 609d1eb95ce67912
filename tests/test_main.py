"""The suite's command, in the repository and installed without it."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.tiny import METHODS
from uncertainty_suite import __main__ as command


def run(*arguments: str, cwd: Path, path: Path = ROOT) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(path)}
    words = [sys.executable, "-m", "uncertainty_suite", *map(str, arguments)]
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True)


def test_help_names_every_command(capsys):
    assert command.main([]) == 0
    text = capsys.readouterr().out
    for name in ("run", "baselines", "configs", *command._MODULES):
        assert f"\n    uncertainty-suite {name}" in text
    programs = {path.stem for path in (ROOT / "uncertainty_suite").glob("*.py") if "__main__" in path.read_text()}
    programs |= {path.parent.name for path in (ROOT / "uncertainty_suite").glob("*/__main__.py")}
    assert set(command._MODULES) == programs - {"__main__", "launch", "__init__"}


def test_it_says_where_scripts_and_configurations_lie(capsys):
    for name in ("baselines", "configs"):
        assert command.main([name]) == 0
        assert capsys.readouterr().out == f"{ROOT / name}\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["sweeps"], "Unknown command 'sweeps'. Did you mean 'sweep'? Known: "),
        (["run"], "A method comes first: uncertainty-suite run sngp --config=two_moons."),
        (["run", "--config=two_moons"], "A method comes first: uncertainty-suite run sngp --config=two_moons."),
        (["run", "sgnp"], "Unknown method 'sgnp'. Did you mean 'sngp'? Known: "),
        (["run", "mine.py"], "There is no file mine.py."),
    ],
)
def test_errors_are_one_line(arguments, error, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.main(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"uncertainty-suite: {error}")
    assert said.count("\n") == 1


def test_tasks_are_given_by_name(tmp_path):
    done = run("sweep", "digits", "uci:yacht", "--methods", "sngp", "--dry_run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()[:2]] == [
        "digits/sngp/seed0",
        "uci_yacht/sngp/fold0-seed0",
    ]
    done = run("run", "sngp", "--config=digit", cwd=tmp_path)
    assert done.returncode == 1
    assert "Unknown task 'digit'. Did you mean 'digits'? Known: " in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with the wheel that is built from the sdist, and nothing else of the repository."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, files.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)

    def call(*words: str | Path, cwd: Path) -> None:
        done = subprocess.run([sys.executable, *map(str, words)], cwd=cwd, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    call("setup.py", "-q", "sdist", "--dist-dir", folder / "dist", cwd=source)
    shutil.rmtree(source)
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    shutil.unpack_archive(sdist, folder / "unpacked")
    (unpacked,) = (folder / "unpacked").iterdir()
    for name in (
        "LICENSE",
        "CHANGELOG.md",
        "CITATION.cff",
        "tests/conftest.py",
        "docs/evaluation.md",
        "configs/uci.py",
    ):
        assert (unpacked / name).is_file(), name
    call("-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", folder / "dist", unpacked, cwd=folder)
    shutil.rmtree(folder / "unpacked")
    (wheel,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        assert any(name.endswith("/licenses/LICENSE") for name in file.namelist())
    call("-m", "pip", "install", "-q", "--no-deps", "--target", folder / "site", wheel, cwd=folder)
    return folder / "site"


@pytest.mark.slow
def test_installed_without_the_repository(installed, tmp_path):
    def call(*arguments: str | Path) -> str:
        done = run(*arguments, cwd=tmp_path, path=installed)
        assert done.returncode == 0, done.stderr
        return done.stdout

    scripts, configs = Path(call("baselines").strip()), Path(call("configs").strip())
    assert scripts == installed / "uncertainty_suite" / "baselines"
    assert {path.name for path in configs.glob("*.py")} == {path.name for path in ROOT.glob("configs/*.py")}
    assert {path.stem for path in scripts.glob("*.py")} == set(METHODS)
    assert (scripts / "decisions" / "bandit.py").is_file()
    assert (scripts / "adaptation" / "few_shot.py").is_file()
    assert (installed / "bin" / "uncertainty-suite").is_file()

    said = call("run", "sngp", "--config=two_moons", "--config.epochs=2", "--output_dir=run")
    assert said.startswith("sngp on two_moons, seed 0\n")
    provenance = json.loads((tmp_path / "run/provenance.json").read_text())
    assert provenance["script"] == str(scripts / "sngp.py")
    assert provenance["revision"] is None  # of no repository, wherever the environment lies
    mine = tmp_path / "my_method.py"
    shutil.copy(scripts / "deterministic.py", mine)
    sweep = ("sweep", "two_moons", "--methods", "my_method.py", "deterministic", "--set", "epochs=1")
    assert "2 runs, 2 to do" in call(*sweep, "--dry_run")
    assert "| my_method " in call(*sweep)
    call("evaluate", "run", "--metrics", "mce")
    assert "test/mce" in json.loads((tmp_path / "run/results.json").read_text())["metrics"]
    np.save(tmp_path / "x.npy", np.zeros((3, 2), np.float32))
    call("predict", "run", "--inputs", "x.npy", "--output", "y.npz")
    with np.load(tmp_path / "y.npz") as predicted:
        assert predicted["log_probs"].shape == (3, 2)
    with np.load(tmp_path / "run/predictions/test.npz") as saved:
        np.savez(tmp_path / "theirs.npz", probs=np.exp(saved["log_probs"]), element_id=saved["element_id"])
    assert "| theirs " in call("score", "theirs.npz", "--task", "two_moons", "--method", "theirs", "--add")
    call("leaderboard", "add", "run")
    call("leaderboard", "build")
    assert "| sngp " in call("leaderboard", "leaderboards")
    call("figures", "run")
    assert list((tmp_path / "run/figures").glob("*.png"))
