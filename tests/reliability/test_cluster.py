"""Several devices and several processes train the network of one; and if a process dies, the others say so and stop."""

import json
import os
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.processes import Ended
from tests.reliability.conftest import arguments, assert_same
from tests.tiny import METHODS, flags_of, history_of, load_script, newest_checkpoint, section_of, small_values

# About 20 steps with batches that neither 2 nor 3 nor 4 divides, of networks with dropout.
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "resnet_mlp": ("deterministic", "two_moons", {"batch_size": 47, "model.num_layers": 2, "model.num_hidden": 16}),
    "sngp": ("sngp", "two_moons", {"batch_size": 47, "model.num_layers": 2, "model.num_hidden": 16}),
    "convnet": ("deterministic", "digits", {"batch_size": 61, "evaluation.corruptions": "()"}),
    # Two steps of a shallow network: a deep one with batch normalisation makes differences that are rounding a thousand
    # times as large within ten steps, as it does on one device with inputs that differ by rounding.
    "batch_norm": (
        "deterministic",
        "digits",
        {
            "batch_size": 591,
            "optimizer.name": "sgd",
            "optimizer.learning_rate": 0.01,
            "model.name": "wide_resnet",
            "model.depth": 10,
            "model.width": 1,
            "evaluation.corruptions": "()",
        },
    ),
}
# Statistics of each device alone would change this network by 0.03 of its weights; rounding changes it by 0.0004.
TOLERANCES = {"batch_norm": 2e-3}
FEW = {"epochs": 1, "evaluation.ood_scores": "()"}


def command(case: str, folder: Path, *more: str, **overrides: Any) -> list[str]:
    method, task, values = CASES[case]
    values = {**small_values(section_of(load_script(method))), **FEW, **values, **overrides}
    return [
        str(ROOT / "baselines" / f"{method}.py"),
        *(f"--config={ROOT}/configs/{task}.py", *flags_of(values), f"--output_dir={folder}", *more),
    ]


def free_ports(count: int) -> list[int]:
    """Return adjacent ports that nobody uses."""
    for first in range(12_000 + os.getpid() % 1000 * 20, 32_000, count):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for index, each in enumerate(sockets):
                each.bind(("localhost", first + index))
        except OSError:
            continue
        finally:
            for each in sockets:
                each.close()
        return list(range(first, first + count))
    raise AssertionError("no free ports")


def tf_config(count: int) -> list[dict[str, str]]:
    """Return the environment of each process of a cluster."""
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(count)]}
    tasks = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in range(count)]
    return [{"TF_CONFIG": json.dumps(task)} for task in tasks]


def slurm(count: int) -> list[dict[str, str]]:
    """Return the environment that SLURM gives each task of a job step on one machine."""
    step = {"STEP_NUM_TASKS": count, "STEP_NODELIST": "localhost", "STEP_TASKS_PER_NODE": count}
    step["JOB_ID"] = free_ports(count)[0] - 12_000
    return [{f"SLURM_{name}": str(value) for name, value in {**step, "PROCID": rank}.items()} for rank in range(count)]


def run_cluster(scripts, argv: list[str], environments: list[dict[str, str]]) -> list[Ended]:
    scripts.start_all([{"argv": argv, "environment": environment} for environment in environments])
    return scripts.end_all()


@pytest.fixture(scope="module")
def one(scripts, tmp_path_factory):
    """Return the run folder of a case on one device, trained once for all tests."""
    folders: dict[str, Path] = {}

    def run(case: str) -> Path:
        if case not in folders:
            folder = tmp_path_factory.mktemp("one") / case
            ended = scripts.run(command(case, folder))
            assert ended.status == 0, ended.log
            folders[case] = folder
        return folders[case]

    return run


def assert_as_one(folder: Path, one: Path, case: str) -> None:
    """Assert that a run has the weights, optimizer, random state, precision, history and costs of one device's."""
    mine, theirs = newest_checkpoint(folder), newest_checkpoint(one)
    assert mine.keys() == theirs.keys()
    for name, array in theirs.items():
        scale = max(float(np.abs(array).max()), 1e-3)
        np.testing.assert_allclose(mine[name], array, rtol=0, atol=TOLERANCES.get(case, 2e-4) * scale, err_msg=name)
    mine, theirs = (history_of(each / "history.jsonl") for each in (folder, one))
    assert len(mine) == len(theirs)  # written once
    for line, other in zip(mine, theirs):
        assert line == pytest.approx(other, rel=1e-3)
    mine, theirs = (json.loads((each / "results.json").read_text()) for each in (folder, one))
    assert mine["batch_size_global"] == theirs["batch_size_global"]
    assert mine["metrics"]["test/nll"] == pytest.approx(theirs["metrics"]["test/nll"], rel=1e-2)
    if "sngp" in mine["config"]:  # each replica does the power iterations of spectral normalisation
        assert 1 <= mine["metrics"]["train_flops"] / theirs["metrics"]["train_flops"] < 1.05
    else:
        assert mine["metrics"]["train_flops"] == theirs["metrics"]["train_flops"]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("count", [2, 4])
def test_devices_train_as_one(case, count, scripts, one, tmp_path):
    ended = scripts.run(command(case, tmp_path / "run", "--strategy=mirrored"), devices=count)
    assert ended.status == 0, ended.log
    assert f"over all {count} replicas" in ended.log
    assert_as_one(tmp_path / "run", one(case), case)
    provenance = json.loads((tmp_path / "run/provenance.json").read_text())
    assert provenance["strategy"] == {"name": "MirroredStrategy", "replicas": count}


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_on_two_devices_as_on_one(method, scripts, tmp_path):
    # By gradient descent where a method has the choice: where a gradient is zero but for rounding, as that of a bias
    # before batch normalisation, Adam makes whole steps of it.
    section = section_of(load_script(method))
    values = {"batch_size": 47, **({} if section and section.optimizers else {"optimizer.name": "sgd"})}
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder, devices, flags in zip(folders, (1, 2), ([], ["--strategy=mirrored"])):
        ended = scripts.run(arguments(method, folder, *flags, **values), devices=devices)
        assert ended.status == 0, ended.log
    trainings = [path.relative_to(folders[0]) for path in sorted(folders[0].rglob("history.jsonl"))]
    assert trainings
    for training in trainings:
        theirs, mine = (newest_checkpoint((folder / training).parent) for folder in folders)
        assert mine.keys() == theirs.keys()
        for name, array in theirs.items():
            scale = max(float(np.abs(array).max(initial=0)), 1e-3)
            np.testing.assert_allclose(mine[name], array, rtol=0, atol=2e-4 * scale, err_msg=name)
        for line, other in zip(*(history_of(folder / training) for folder in folders), strict=True):
            assert line == pytest.approx(other, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(
    ("case", "environment", "count"),
    [
        ("resnet_mlp", slurm, 2),
        pytest.param("convnet", slurm, 2, marks=pytest.mark.slow),
        pytest.param("sngp", tf_config, 3, marks=pytest.mark.slow),
        *(pytest.param(case, tf_config, 2, marks=pytest.mark.slow) for case in ("resnet_mlp", "sngp", "batch_norm")),
        *(pytest.param(case, tf_config, 3, marks=pytest.mark.slow) for case in ("resnet_mlp", "convnet")),
    ],
)
def test_processes_train_as_one_and_the_chief_alone_writes(case, environment, count, scripts, one, tmp_path):
    argv = command(case, tmp_path / "run", "--strategy=multi_worker")
    for ended in run_cluster(scripts, argv, environment(count)):
        assert ended.status == 0, ended.log
    assert_as_one(tmp_path / "run", one(case), case)


def test_a_process_dies_and_the_same_command_goes_on(scripts, one, tmp_path):
    argv = {name: command("resnet_mlp", tmp_path / name, "--checkpoint_every=1step") for name in ("whole", "killed")}
    for ended in run_cluster(scripts, argv["whole"], tf_config(2)):
        assert ended.status == 0, ended.log
    assert_as_one(tmp_path / "whole", one("resnet_mlp"), "resnet_mlp")
    environments = tf_config(2)
    _, worker = scripts.start_all([{"argv": argv["killed"], "environment": each} for each in environments])
    checkpoints = tmp_path / "killed/checkpoints"
    scripts.signal_when(worker, signal.SIGKILL, lambda: (checkpoints / "000000003.npz").exists(), timeout=120)
    killed_at = time.monotonic()
    chief, dead = scripts.end_all()
    assert time.monotonic() - killed_at < 60  # a promise, not a measure of speed: else they would hang
    assert dead.status == -signal.SIGKILL
    assert chief.status == 1, chief.log
    assert chief.error.startswith("Another process of the cluster has ended or cannot be reached")
    assert not (tmp_path / "killed/results.json").exists()
    steps = sorted(int(path.stem) for path in checkpoints.iterdir())
    assert 3 <= steps[-1] < 20
    # As many processes as before give the same bits, another number the same but for rounding.
    other = tmp_path / "other"
    shutil.copytree(tmp_path / "killed", other)
    for ended in run_cluster(scripts, argv["killed"], tf_config(2)):
        assert ended.status == 0, ended.log
    assert_same(tmp_path / "killed", tmp_path / "whole")
    ended = scripts.run(command("resnet_mlp", other, "--checkpoint_every=1step"))
    assert ended.status == 0, ended.log
    assert_as_one(other, one("resnet_mlp"), "resnet_mlp")


@pytest.mark.parametrize(
    ("flags", "environment", "message"),
    [
        (["--strategy=multi_worker"], {}, "needs the environment variable TF_CONFIG, or a SLURM job step"),
        ([], {"TF_CONFIG": "{}"}, "The cluster cannot be read from TF_CONFIG"),
        (["--strategy=tpu"], {}, "--strategy=tpu finds no TPU"),
        (["--strategy=mirrored", "--config.batch_size=1"], {}, "batch_size 1 is too small for 2 replicas"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line(flags, environment, message, scripts, tmp_path):
    ended = scripts.run([*command("resnet_mlp", tmp_path / "run"), *flags], environment=environment, devices=2)
    assert ended.status == 1
    assert message in ended.error
    assert not (tmp_path / "run").exists()
