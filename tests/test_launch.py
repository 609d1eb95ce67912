"""The scripts as programs: what a user who mistypes sees."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT


def run_script(*arguments: str, cwd=ROOT, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "baselines/deterministic.py"), *arguments]
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True
    )


def last_line(process: subprocess.CompletedProcess) -> str:
    assert "Traceback" not in process.stderr
    return process.stderr.splitlines()[-1].partition(": ")[2]


CONFIG = f"--config={ROOT}/configs/two_moons/deterministic.py"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--confg=x"],
            "Unknown flag '--confg'. Did you mean '--config'? Known: --checkpoint_every, --config, ",
        ),
        ([CONFIG, "--config.epoch=3"], "Unknown configuration field 'epoch'. Did you mean 'epochs'? Known: "),
        ([CONFIG, "--config.epochs=many"], "flag --config.epochs=many: invalid literal for int()"),
        (["--config=configs/nowhere.py"], "No configuration file configs/nowhere.py. The suite's own lie in configs/"),
        ([], "--config is missing. Try: python "),
        ([CONFIG, "epochs=3"], "Cannot read the argument 'epochs=3': flags are written --name=value."),
    ],
)
def test_a_mistyped_command_line_is_one_line(arguments, message, tmp_path):
    process = run_script(*arguments, f"--output_dir={tmp_path}/run")
    assert process.returncode == 1
    assert last_line(process).startswith(message)
    assert not (tmp_path / "run").exists()


def test_a_missing_data_set_is_one_line(tmp_path):
    process = run_script(
        f"--config={ROOT}/configs/mnist/deterministic.py", f"--data_dir={tmp_path}/none", f"--output_dir={tmp_path}/run"
    )
    assert process.returncode == 1
    assert "mnist" in last_line(process)
    assert "--data_dir" in last_line(process)


def test_runs_from_any_folder_and_refuses_the_folder_of_another_configuration(tmp_path):
    small = ["--config.epochs=1", "--config.model.resnet_mlp.num_hidden=8", "--config.batch_size=500"]
    folder = tmp_path / "a folder with spaces"
    process = run_script(CONFIG, *small, f"--output_dir={folder}", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "epochs of 2 steps, 500 examples a step" in process.stderr
    assert "deterministic on two_moons, seed 0\n  test/accuracy  " in process.stdout
    results = (folder / "results.json").read_bytes()
    process = run_script(CONFIG, *small, "--config.epochs=2", f"--output_dir={folder}", cwd=tmp_path)
    assert process.returncode == 1
    assert "belongs to a run of another configuration (epochs: 1 -> 2)" in last_line(process)
    assert (folder / "results.json").read_bytes() == results
