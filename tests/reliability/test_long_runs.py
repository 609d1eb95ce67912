"""Two hundred epochs need no more memory, files or threads than twenty."""

import gc
import json
import os
import threading

import pytest

from tests.tiny import load_script, tiny_config
from uncertainty_suite import training


def resources() -> dict[str, int]:
    gc.collect()
    with open("/proc/self/status") as file:
        status = dict(line.split(":", 1) for line in file)
    return {
        "kilobytes": int(status["VmRSS"].split()[0]),
        "files": len(os.listdir("/proc/self/fd")),
        "threads": int(status["Threads"]),
        "python_threads": threading.active_count(),
    }


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Needs Linux's /proc.")
def test_flat_over_two_hundred_epochs(tmp_path, monkeypatch):
    tiny = {"epochs": 220, "batch_size": 500, "model.num_layers": 1, "model.num_hidden": 8}
    options = training.Options(output_dir=tmp_path / "run", checkpoint_every="2steps")  # each epoch
    measured = {}
    end_epoch = training.Loop._end_epoch

    def measure(loop, bar):
        end_epoch(loop, bar)
        lines = (tmp_path / "run/history.jsonl").read_text().splitlines()  # valid at every instant, and complete
        assert [json.loads(line)["epoch"] for line in lines] == list(range(1, len(loop.history) + 1))
        if len(loop.history) in (20, 220):
            measured[len(loop.history)] = resources()

    monkeypatch.setattr(training.Loop, "_end_epoch", measure)
    before = resources()
    load_script("deterministic").main(tiny_config("deterministic", **tiny), options)
    early, late = measured[20], measured[220]
    assert late["files"] == early["files"]
    assert late["python_threads"] == early["python_threads"]
    assert late["threads"] <= early["threads"] + 2  # TensorFlow starts workers when it likes
    assert late["kilobytes"] - early["kilobytes"] < 10_000, (early, late)  # 50 kB an epoch would be a leak
    assert resources()["files"] <= before["files"] + 2  # the writer and the lock are closed
    assert len(list(tmp_path.glob("run/checkpoints/*"))) == 2
    assert not (tmp_path / "run/.lock").exists()
