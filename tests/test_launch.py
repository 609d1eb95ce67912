"""The scripts as programs: what a user who mistypes sees."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from uncertainty_suite import configuration, launch
from uncertainty_suite.errors import InputError


def run_script(*arguments: str, cwd=ROOT, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "baselines/deterministic.py"), *arguments]
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True
    )


def last_line(process: subprocess.CompletedProcess) -> str:
    assert "Traceback" not in process.stderr
    return process.stderr.splitlines()[-1].partition(": ")[2]


CONFIG = f"--config={ROOT}/configs/two_moons.py"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--confg=x"],
            "Unknown flag '--confg'. Did you mean '--config'? Known: --",
        ),
        ([CONFIG, "--config.epoch=3"], "Unknown configuration field 'epoch'. Did you mean 'epochs'? Known: "),
        ([CONFIG, "--config.epochs=many"], "flag --config.epochs=many: invalid literal for int()"),
        (["--config=configs/nowhere.py"], "No configuration file configs/nowhere.py. The suite's own are configs/"),
        ([], "--config is missing. Try: python "),
        ([CONFIG, "--config.optimizer.schedule=step"], "config.optimizer.decay_epochs must be rising epochs below con"),
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
        f"--config={ROOT}/configs/mnist.py", f"--data_dir={tmp_path}/none", f"--output_dir={tmp_path}/run"
    )
    assert process.returncode == 1
    assert "mnist" in last_line(process)
    assert "--data_dir" in last_line(process)


def test_runs_from_any_folder_and_takes_up_a_folder_of_the_same_configuration_alone(tmp_path):
    small = ["--config.epochs=1", "--config.model.num_hidden=8", "--config.batch_size=500"]
    folder = tmp_path / "a folder with spaces"
    process = run_script(CONFIG, *small, f"--output_dir={folder}", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "epochs of 2 steps, 500 examples a step" in process.stderr
    assert "deterministic on two_moons, seed 0\n  test/accuracy  " in process.stdout
    results = (folder / "results.json").read_bytes()
    again = run_python(
        WITHOUT_TENSORFLOW, "baselines/deterministic.py", "--config=two_moons", *small, f"--output_dir={folder}"
    )
    assert (again.returncode, again.stdout) == (0, process.stdout), again.stderr
    assert f"{folder} is finished already; its results are returned as they are." in again.stderr
    process = run_script(CONFIG, *small, "--config.epochs=2", f"--output_dir={folder}", cwd=tmp_path)
    assert process.returncode == 1
    assert "belongs to a run of another configuration (epochs: 1 -> 2)" in last_line(process)
    assert (folder / "results.json").read_bytes() == results


# What starts no TensorFlow: absl's conventions.


def run_python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


WITHOUT_TENSORFLOW = """
import runpy, sys
sys.modules["tensorflow"] = sys.modules["keras"] = None  # whose import fails
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_help_lists_flags_and_hyper_parameters_without_tensorflow():
    process = run_python(WITHOUT_TENSORFLOW, "baselines/sngp.py", "--help")
    assert process.returncode == 1, process.stderr  # as absl's help always does
    help_text = process.stdout
    for text in (
        "--config.sngp.mean_field_factor=(0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)\n      how much the variance counts",
        "--config.sngp.feature_type=orthogonal\n      how the random features are drawn; one of orthogonal, random",
        "--output_dir",
        "Try --helpfull to get a list of all flags.",
        "Liu et al. 2020",
    ):
        assert text in help_text


def test_flags_are_refused_without_tensorflow():
    process = run_python(
        WITHOUT_TENSORFLOW, "baselines/sngp.py", "--config=configs/digits.py", "--config.sngp.momentun=0.9"
    )
    assert process.returncode == 1
    assert "Unknown configuration field 'sngp.momentun'. Did you mean 'sngp.momentum'?" in process.stderr
    assert "Traceback" not in process.stderr


def test_flags_from_a_file_and_flags_that_may_be_unknown(tmp_path):
    (tmp_path / "flags.txt").write_text("--config.epochs=1\n--config.batch_size=500\n--config.model.num_hidden=8\n")
    process = run_script(
        CONFIG,
        f"--flagfile={tmp_path}/flags.txt",
        "--undefok=of_another_script,config.sngp.num_features",
        "--of_another_script=3",
        "--config.sngp.num_features=8",
        "--verbosity=-1",
        f"--output_dir={tmp_path}/run",
    )
    assert process.returncode == 0, process.stderr
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert (config["epochs"], config["batch_size"], config["model"]["num_hidden"]) == (1, 500, 8)
    assert "parameters, 1 epochs" not in process.stderr  # an INFO line, and only warnings were asked for


def test_a_script_under_another_backend_trains_all_the_same(tmp_path):
    small = ["--config.epochs=1", "--config.model.num_hidden=8", "--config.batch_size=500"]
    process = run_script(CONFIG, *small, f"--output_dir={tmp_path}/run", KERAS_BACKEND="numpy")
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "run/results.json").exists()


KERAS_ON_JAX = """
import sys, types
sys.modules["keras"] = keras = types.ModuleType("keras")
keras.config = types.SimpleNamespace(backend=lambda: "jax")
from uncertainty_suite import layers
layers.LayerSet
"""


def test_keras_of_another_backend_is_refused_in_one_line():
    process = run_python(KERAS_ON_JAX)  # as after `import keras` under another backend
    assert process.stderr.splitlines()[-1].endswith(
        "Keras was imported with the backend 'jax' before uncertainty_suite, which needs 'tensorflow'. Import "
        "uncertainty_suite first, or set KERAS_BACKEND=tensorflow."
    )


def test_overrides_are_read_as_absl_reads_flags():
    def get(*overrides):
        section = configuration.load_module(ROOT / "baselines/mc_dropout.py").CONFIG
        return launch.get_config(ROOT / "configs/digits.py", section, "mc_dropout", overrides)

    config = get(
        *("--config.epochs", "3", "--config.mc_dropout.filterwise", "--noconfig.mc_dropout.shared_masks"),
        *("--config.optimizer.learning_rate=1", "--config.evaluation.severities=(2,)", "--config.epochs=4"),
    )
    assert (config.epochs, config.mc_dropout.filterwise, config.mc_dropout.shared_masks) == (4, True, False)
    assert (type(config.optimizer.learning_rate), config.evaluation.severities) == (float, (2,))
    wide = get("--config.model.name=wide_resnet", "--config.model.depth=16")
    assert wide.model.to_dict() == {"name": "wide_resnet", "depth": 16, "width": 10, "dropout_rate": 0.0}
    with pytest.raises(InputError, match=r"Unknown configuration field 'model.num_hidden'"):
        get("--config.model.name=wide_resnet", "--config.model.num_hidden=3")
