"""Run folders to read: a finished run as the benchmark leaves it, with any field changed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

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
