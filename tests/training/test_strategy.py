import json
import os
import socket
import subprocess
import sys

import numpy as np

from tests.conftest import ROOT
from uncertainty_suite import tf, training


def test_one_strategy_in_a_process():
    assert training.get_strategy() is training.get_strategy()


def test_many_steps_in_one_call(two_devices):
    total = tf.Variable(0.0)

    def step(batch):
        total.assign_add(tf.reduce_sum(batch["x"]))
        return {"mean": tf.reduce_mean(batch["x"]), "largest": tf.reduce_max(batch["x"])}

    data = tf.data.Dataset.range(12).batch(4).map(lambda x: {"x": tf.cast(x, tf.float32)})
    train_steps = training.compile_steps([step], tf.distribute.get_strategy())
    batches = iter(data)
    (first,), (rest,) = train_steps([batches], 1), train_steps([batches], 2)
    np.testing.assert_array_equal(np.concatenate([first["mean"], rest["mean"]]), [1.5, 5.5, 9.5])
    np.testing.assert_array_equal(rest["largest"], [7.0, 11.0])
    assert float(total) == sum(range(12))


def test_averages_over_replicas(two_devices):
    train_steps = training.compile_steps([lambda batch: {"mean": tf.reduce_mean(batch["x"])}], two_devices)
    data = tf.data.Dataset.range(8).batch(4).map(lambda x: {"x": tf.cast(x, tf.float32)})
    (values,) = train_steps([iter(two_devices.experimental_distribute_dataset(data))], 2)
    np.testing.assert_array_equal(values["mean"], [1.5, 5.5])


def test_two_processes_train_together_and_the_chief_alone_writes(tmp_path):
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            ports.append(free.getsockname()[1])
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    processes = []
    for index in range(2):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        processes.append(
            subprocess.Popen(
                [
                    *(sys.executable, str(ROOT / "baselines/deterministic.py")),
                    *(f"--config={ROOT}/configs/two_moons.py", "--config.epochs=2", "--config.model.num_hidden=8"),
                    f"--output_dir={tmp_path}/run",
                ],
                env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CONFIG": json.dumps(task)},
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    logs = [process.communicate(timeout=180)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], logs
    history = (tmp_path / "run/history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in history] == [1, 2]
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert 0 < results["metrics"]["test/nll"] < 10
    products = (2 * 8 + 6 * 8**2 + 8 * 2) + (6 * 8**2 + 8 * 2) + (5 * 8**2 + 8 * 2)  # forward, and of both gradients
    assert results["metrics"]["train_flops"] == json.loads(history[-1])["step"] * 128 * 2 * products
    provenance = json.loads((tmp_path / "run/provenance.json").read_text())
    assert "resumed" not in provenance
