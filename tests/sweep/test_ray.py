"""Runs by Ray: a cluster of three nodes that loses one, and Ctrl-C."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.conftest import ROOT
from tests.sweep.conftest import DIGITS, TINY
from tests.tiny import assert_same_run, history_of
from uncertainty_suite.sweep import engines
from uncertainty_suite.sweep.__main__ import main

pytest.importorskip("ray", reason="pip install ray")


@pytest.fixture
def cluster(monkeypatch):
    """A Ray cluster of three nodes of a core each, on this machine."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # or other work on this machine starves them
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    from ray.cluster_utils import Cluster

    sizes = {"num_cpus": 1, "object_store_memory": 2**27}
    cluster = Cluster(initialize_head=True, head_node_args={**sizes, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(**sizes)
    yield cluster
    cluster.shutdown()


def pids_of(folder):
    """Return the process of each run, from its log; of one that was made twice the last."""
    first = [path.read_text().rpartition("\n# ")[2].splitlines()[0] for path in folder.rglob("seed*.log")]
    return [line.split("process ")[1] for line in first]


@pytest.mark.slow  # two minutes
def test_a_cluster_that_loses_a_node_gives_the_bits_of_one_run_after_another(cluster, tmp_path, capfd):
    command = [DIGITS, "--methods", "deterministic", "mc_dropout", "--seeds", "0:6", "--set", *TINY]
    killed = []

    def kill_a_node():
        while len(list((tmp_path / "ray").rglob("results.json"))) < 3:
            time.sleep(0.2)
        node = next(iter(cluster.worker_nodes))
        cluster.remove_node(node, allow_graceful=False)
        killed.append(len(list((tmp_path / "ray").rglob("results.json"))))

    thread = threading.Thread(target=kill_a_node, daemon=True)
    thread.start()
    status = main([*command, "--output_dir", str(tmp_path / "ray"), "--address", cluster.address, "--retries", "2"])
    err = capfd.readouterr().err
    assert status == 0, err
    thread.join(timeout=1)
    assert killed and killed[0] < 12  # it was lost in the middle
    processes = pids_of(tmp_path / "ray")
    assert len(processes) == 12 and len(set(processes)) < 12  # a process makes several runs
    assert main([*command, "--output_dir", str(tmp_path / "in_turn")]) == 0
    folders = [path.parent for path in sorted((tmp_path / "in_turn").rglob("results.json"))]
    assert len(folders) == 12
    for folder in folders:
        assert_same_run(tmp_path / "ray" / folder.relative_to(tmp_path / "in_turn"), folder)


@pytest.mark.slow  # a minute
def test_ctrl_c_stops_all_runs_which_go_on(tmp_path):
    command = [sys.executable, "-m", "uncertainty_suite.sweep", DIGITS, "--methods", "deterministic", "--seeds", "0:2"]
    command += ["--set", "epochs=100", *TINY[1:], "--output_dir", str(tmp_path), "--address", "local"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        folders = [tmp_path / f"digits/deterministic/seed{seed}" for seed in (0, 1)]
        deadline = time.monotonic() + 240
        while not all(
            (folder / "history.jsonl").exists() and history_of(folder / "history.jsonl") for folder in folders
        ):
            assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
            time.sleep(0.2)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all processes of the command
        _, err = process.communicate(timeout=180)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130, err
    assert "sweep: Stopped. To go on, bit for bit: python -m uncertainty_suite.sweep" in err
    epochs = {}
    for folder in folders:
        assert list(folder.glob("checkpoints/*.npz")) and not (folder / "results.json").exists()
        epochs[folder] = len(history_of(folder / "history.jsonl"))
    again = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    for folder in folders:
        log = folder.with_name(f"{folder.name}.log").read_text()
        assert log.count("\n# ") == 1 and log.count("from step 0.") == 1  # two tries, of which the second went on
        assert len(history_of(folder / "history.jsonl")) == 100 > epochs[folder] > 0


def test_without_ray_the_runs_are_made_one_after_another(sweep, monkeypatch):
    monkeypatch.setattr(engines, "has_ray", lambda: False)
    monkeypatch.setattr(engines, "execute", lambda run: engines.Outcome(0.0, "not now"))
    status, _, err = sweep(DIGITS, "--methods", "deterministic", "--seeds", "0:2", "--address", "local")
    assert status == 1
    assert err.count("Ray is not installed (pip install ray): the runs are made one after another.") == 1
    assert "[2 of 2] digits/deterministic/seed1: failed: not now" in err


def test_a_cluster_that_is_not_there_is_one_line(sweep, tmp_path):
    status, _, err = sweep(DIGITS, "--methods", "deterministic", "--address", "auto")
    assert status == 1
    assert "sweep: There is no Ray cluster at --address=auto" in err.splitlines()[-1]
