"""Run folders to read: a finished run as the benchmark leaves it, with any field changed."""

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from uncertainty_suite import configuration, evaluation
from uncertainty_suite.files import write_json
from uncertainty_suite.leaderboard import add

METRICS = {
    "milliseconds_per_example": 0.02,
    "num_parameters": 99714,
    "ood/far/auroc": 0.75,
    "ood/ood/fpr95": 0.5,
    "ood/ood/max_prob": 0.9,
    "ood/ood/variance/auroc": 0.8,
    "test/accuracy": 0.99,
    "test/brier": 0.02,
    "test/ece": 0.01,
    "test/entropy": 0.3,
    "test/nll": 0.05,
    "train_seconds": 3.5,
}


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Write a finished run to `tmp_path / name` and return its folder."""

    def make(name: str, metrics: dict | None = None, **changes) -> Path:
        content = {
            "schema_version": 1,
            "protocol_version": 1,
            "task": "two_moons",
            "method": "deterministic",
            "model": "resnet_mlp",
            "seed": 0,
            "config": {"optimizer": {"learning_rate": 0.1}},
            "config_hash": "0123456789abcdef",
            "batch_size_global": 128,
            "data_fingerprint": {"train": "aa", "test": "bb", "ood/ood": "cc"},
            "metrics": METRICS if metrics is None else metrics,
            "provenance": {"versions": {"numpy": "2.0"}, "revision": "abc", "command": "python x.py"},
        }
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "results.json").write_text(json.dumps(content | changes))
        return folder

    return make


EVALUATION = {
    "splits": ["test"],
    "metrics": ["accuracy", "nll", "brier", "ece", "entropy"],
    "corruptions": ["fog"],
    "severities": [1, 3],
    "shift_examples": 0,
    "ood_near": [],
    "ood_far": ["photos/test"],
    "ood_scores": [],
    "posthoc": [],
    "batch_size": 100,
}
NUM_EXAMPLES = 300


def write_finished(
    root: Path, method: str = "deterministic", seed: int = 0, skill: float = 1.0, task: str = "toy", **changes
) -> Path:
    """Write a finished run below `root / "runs"` with simulated predictions, from which its metrics follow.

    Examples are as hard for all methods; `skill` makes a method better, and each seed has its own luck.
    """
    config = {
        "method": method,
        "seed": seed,
        "batch_size": 32,
        "dataset": {"name": task},
        "model": {"name": "mlp"},
        "evaluation": EVALUATION,
        **changes.pop("config", {}),
    }
    folder = root / "runs" / task / f"{method.replace('/', '_')}-{configuration.config_hash(config)[:8]}-{seed}"
    write_json(folder / "config.json", config)
    luck = np.random.default_rng([seed, *method.encode(), *task.encode()])
    examples = np.random.default_rng(0)
    labels = examples.integers(0, 4, NUM_EXAMPLES)
    hardness = examples.normal(0, 1, (NUM_EXAMPLES, 4))
    for key, strength in {"test": 1, "shift/fog_1": 0.7, "shift/fog_3": 0.3, "ood/photos": 0}.items():
        logits = hardness + luck.normal(0, 0.3, hardness.shape)
        logits[np.arange(NUM_EXAMPLES), labels] += 2 * skill * strength
        probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        saved = {
            "probs": probs.astype(np.float32),
            "labels": labels if strength else np.full_like(labels, -1),
            "element_id": np.arange(NUM_EXAMPLES)[::-1] + 7,
            "run": np.array(evaluation.run_id(config)),
        }
        (folder / "predictions" / key).parent.mkdir(parents=True, exist_ok=True)
        np.savez(folder / "predictions" / f"{key}.npz", **saved)
    costs = {"num_parameters": 1000.0 * skill, "train_seconds": 2.0 + seed, "milliseconds_per_example": 0.01}
    content = {
        "schema_version": 1,
        "protocol_version": 1,
        "task": task,
        "method": method,
        "model": "mlp",
        "seed": seed,
        "config": config,
        "config_hash": configuration.config_hash(config),
        "batch_size_global": 32,
        "data_fingerprint": {"train": "aa", "test": "bb", "photos/test": "cc"},
        "metrics": {**evaluation.compute(folder), **costs},
        "provenance": {
            "command": f"python /home/jo/suite/baselines/{method}.py --output_dir=/tmp/x/run",
            "revision": "abc",
            "started_at": "2026-01-01T00:00:00+00:00",
            "finished_at": "2026-01-01T00:01:00+00:00",
            "versions": {"numpy": "2.0"},
            "hardware": {"cpus": 2, "processor": "a processor", "devices": ["CPU:0"]},
        },
    }
    write_json(folder / "results.json", content | changes)
    return folder


@pytest.fixture
def make_finished(tmp_path: Path) -> Callable[..., Path]:
    """Return `write_finished` for the folder of the test."""
    return functools.partial(write_finished, tmp_path)


@pytest.fixture(scope="session")
def finished_runs_and_boards(tmp_path_factory) -> Path:
    """Return a folder with runs of two tasks, three methods and three seeds, and their records."""
    root = tmp_path_factory.mktemp("finished")
    for task in ("toy", "other"):
        for method, skill in {"deterministic": 1.0, "twin": 1.0, "sngp": 1.6}.items():
            for seed in range(3):
                write_finished(root, method, seed, skill, task)
    add([root / "runs"], root / "leaderboards")
    return root


@pytest.fixture
def boards(finished_runs_and_boards, tmp_path: Path) -> Path:
    """Return a folder of records that the test may change; their runs are in `runs` beside it."""
    shutil.copytree(finished_runs_and_boards, tmp_path, dirs_exist_ok=True)
    return tmp_path / "leaderboards"
