"""Run folders to read: a finished run as the benchmark leaves it, with any field changed."""

import copy
import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from uncertainty_suite import configuration, evaluation, likelihoods
from uncertainty_suite.files import write_json
from uncertainty_suite.leaderboard import add
from uncertainty_suite.predictions import Predictions
from uncertainty_suite.runs import PROTOCOL_VERSION, RunFolder
from uncertainty_suite.tasks import Task, plan

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

NO_CORRUPTION = {"corruption": "", "severity": 0, "max_examples": 0}
SPLITS = [
    {"key": "test", "role": "test", "source": "two_moons/test", **NO_CORRUPTION},
    {"key": "ood/ood", "role": "far_ood", "source": "two_moons/ood", **NO_CORRUPTION},
    {"key": "shift/blur_1", "role": "shift", "source": "two_moons/test", **NO_CORRUPTION, "severity": 1},
]


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Write a finished run to `tmp_path / name` and return its folder."""

    def make(name: str, metrics: dict | None = None, **changes) -> Path:
        further = changes.pop("config", {})
        config = {
            "method": changes.get("method", "deterministic"),
            "seed": changes.get("seed", 0),
            "evaluation": {},
            **further,
            "dataset": {"name": changes.get("task", "two_moons"), **further.get("dataset", {})},
            "model": {"name": changes.get("model", "resnet_mlp"), **further.get("model", {})},
        }
        content = {
            "schema_version": 1,
            "protocol_version": 1,
            "task": "two_moons",
            "likelihood": {"name": "categorical", "num_classes": 2},
            "splits": SPLITS,
            "in_distribution": "test",
            "method": "deterministic",
            "model": "resnet_mlp",
            "seed": 0,
            "config": config,
            "config_hash": configuration.config_hash(config),
            "batch_size_global": 128,
            "data_fingerprint": {"train": "aa", "test": "bb", "ood/ood": "cc"},
            "metrics": METRICS if metrics is None else metrics,
            "left_out": {},
            "provenance": {"versions": {"numpy": "2.0"}, "revision": "abc", "command": "python x.py"},
        }
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "results.json").write_text(json.dumps(content | changes))
        return folder

    return make


EVALUATION = {
    "splits": ["test"],
    "in_distribution": "test",
    "metrics": ["accuracy", "nll", "brier", "ece", "entropy"],
    "predict_only": [],
    "corruptions": ["fog"],
    "severities": [1, 3],
    "shift_examples": 0,
    "ood_near": [],
    "ood_far": ["photos/test"],
    "ood_validation": [],
    "ood_scores": [],
    "posthoc": [],
    "ensemble_curve": False,
    "save": [],
}
REGRESSION = {**EVALUATION, "metrics": list(likelihoods.info("gaussian").headline), "corruptions": [], "ood_far": []}
NUM_EXAMPLES = 300


def write_finished(
    root: Path,
    method: str = "deterministic",
    seed: int = 0,
    skill: float = 1.0,
    task: str = "toy",
    fold: int | None = None,
    regression: bool = False,
    **changes,
) -> Path:
    """Write a finished run below `root / "runs"` with simulated predictions, from which its metrics follow.

    Examples are as hard for all methods; `skill` makes a method better, and each seed has its own luck. Each fold has
    examples of its own. A method has a section of hyper-parameters, but for `deterministic`.
    """
    dataset = {"name": task} if fold is None else {"name": task, "fold": fold}
    config = {
        "method": method,
        "seed": seed,
        "batch_size": 32,
        "dataset": dataset,
        "model": {"name": "mlp"},
        "evaluation": REGRESSION if regression else copy.deepcopy(EVALUATION),
        **({} if method == "deterministic" else {method: {"size": 4}}),
        **changes.pop("config", {}),
    }
    name = f"{configuration.config_hash(config)[:8]}-{fold}-{seed}"
    folder = root / "runs" / task.replace("/", "_") / f"{method.replace('/', '_')}-{name}"
    likelihood = (
        likelihoods.get("gaussian", mean=0.0, stddev=2.0)
        if regression
        else likelihoods.get("categorical", num_classes=4)
    )
    described = Task(task, likelihood, plan(config, fit=False), "test")
    write_json(folder / "config.json", config)
    write_json(folder / "task.json", described.to_json())
    run = RunFolder(folder)
    luck = np.random.default_rng([seed, fold or 0, *method.encode(), *task.encode()])
    examples = np.random.default_rng(fold or 0)
    labels = examples.integers(0, 4, NUM_EXAMPLES)
    hardness = examples.normal(0, 1, (NUM_EXAMPLES, 4))
    for split in described.splits:
        strength = {0: 1, 1: 0.7, 3: 0.3}[split.severity]
        if split.role == "far_ood":
            strength = 0
        if regression:
            saved = _regression(examples, luck, skill)
        else:
            logits = hardness + luck.normal(0, 0.3, hardness.shape)
            logits[np.arange(NUM_EXAMPLES), labels] += 2 * skill * strength
            probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            saved = {
                **likelihood.to_saved(Predictions(probs=probs[np.newaxis])),
                "labels": (labels if strength else np.full_like(labels, -1)).astype(np.int32),
            }
        run.save_predictions(split.key, {**saved, "element_id": np.arange(NUM_EXAMPLES)[::-1] + 7 + (fold or 0)})
    measured = evaluation.compute(run)
    costs = {"num_parameters": 1000.0 * skill, "train_seconds": 2.0 + seed, "milliseconds_per_example": 0.01}
    content = {
        "schema_version": 1,
        "protocol_version": PROTOCOL_VERSION,
        **{("task" if name == "name" else name): value for name, value in described.to_json().items()},
        "method": method,
        "model": "mlp",
        "seed": seed,
        "config": config,
        "config_hash": configuration.config_hash(config),
        "batch_size_global": 32,
        "data_fingerprint": {"train": f"aa{fold or ''}", "test": f"bb{fold or ''}", "photos/test": "cc"},
        "metrics": {**measured.metrics, **costs},
        "left_out": measured.left_out,
        "tuned": measured.tuned,
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


def _regression(examples: np.random.Generator, luck: np.random.Generator, skill: float) -> dict[str, np.ndarray]:
    """Return saved predictions of two members whose errors are the smaller the more skill there is."""
    labels = examples.normal(0, 2, NUM_EXAMPLES)
    mean = labels + (examples.normal(0, 1, NUM_EXAMPLES) + luck.normal(0, 0.2, (2, NUM_EXAMPLES))) / skill
    return {"mean": mean, "stddev": np.full_like(mean, 1 / skill), "labels": labels}


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


@pytest.fixture(scope="session")
def folds_and_boards(tmp_path_factory) -> Path:
    """Return a folder with runs of a regression of six folds, three methods, one of them on four folds, and records."""
    root = tmp_path_factory.mktemp("folds")
    for method, skill in {"deterministic": 1.0, "twin": 1.0, "sngp": 1.3}.items():
        for fold in range(4 if method == "twin" else 6):
            write_finished(root, method, 0, skill, "uci/yacht", fold, regression=True)
    add([root / "runs"], root / "leaderboards")
    return root


@pytest.fixture
def fold_boards(folds_and_boards, tmp_path: Path) -> Path:
    """Return a folder of records of a regression with folds that the test may change."""
    shutil.copytree(folds_and_boards, tmp_path, dirs_exist_ok=True)
    return tmp_path / "leaderboards"
