"""Time the leaderboard: adding runs, building all pages of their records, reading these and rendering their table.

    python benchmarks/leaderboard.py

Ten methods with as many seeds each as it takes, with simulated predictions of 500 test examples, of these under two
corruptions, and of an OOD set. Adding computes every metric anew and compares each run with all records that are there;
building makes README, page and cards with all tests; `reading` checks each record with its scores, and `rendering` is
one table. All is done for a quarter of the runs first. Exits with 1 where adding takes more than 20 seconds or building
more than 10, on two idle cores, or where either is not nearly linear: where four times the runs take more than six
times as long.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from uncertainty_suite import configuration, evaluation, leaderboard, likelihoods
from uncertainty_suite.files import write_json
from uncertainty_suite.leaderboard import publication
from uncertainty_suite.predictions import Predictions
from uncertainty_suite.runs import PROTOCOL_VERSION, SCHEMA_VERSION, RunFolder
from uncertainty_suite.tasks import Task, plan

METHODS, EXAMPLES, CLASSES = 10, 500, 10
TARGETS = {"add": 20, "build": 10}
MOST_TIMES = 6  # as long for four times the runs

EVALUATION = {
    "splits": ["test"],
    "in_distribution": "test",
    "metrics": ["accuracy", "nll", "brier", "ece"],
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


def write_run(folder: Path, method: int, seed: int) -> None:
    """Write a finished run with predictions, and the metrics that they give."""
    name = f"method_{method}"
    config = {
        "method": name,
        "seed": seed,
        "batch_size": 32,
        "dataset": {"name": "simulated"},
        "model": {"name": "none"},
        "evaluation": EVALUATION,
        **({name: {"size": method}} if method else {}),
    }
    likelihood = likelihoods.get("categorical", num_classes=CLASSES)
    task = Task("simulated", likelihood, plan(config, fit=False), "test")
    write_json(folder / "config.json", config)
    write_json(folder / "task.json", task.to_json())
    run = RunFolder(folder)
    labels = np.random.default_rng(0).integers(CLASSES, size=EXAMPLES)
    luck = np.random.default_rng([method, seed])
    for split in task.splits:
        logits = luck.normal(size=(EXAMPLES, CLASSES))
        logits[np.arange(EXAMPLES), labels] += (3 + 0.01 * method) / (1 + split.severity) * split.labelled
        probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        saved = likelihood.to_saved(Predictions(probs=probs[np.newaxis]))
        run.save_predictions(split.key, {**saved, "labels": labels, "element_id": np.arange(EXAMPLES)})
    measured = evaluation.compute(run)
    said = {name: value for name, value in task.to_json().items() if name != "name"}
    content: dict[str, Any] = {
        **said,
        "schema_version": SCHEMA_VERSION,
        "protocol_version": PROTOCOL_VERSION,
        "task": task.name,
        "method": name,
        "model": "none",
        "seed": seed,
        "config": config,
        "config_hash": configuration.config_hash(config),
        "batch_size_global": 32,
        "data_fingerprint": {"test": "simulated"},
        "metrics": {**measured.metrics, "num_parameters": 1000.0},
        "left_out": measured.left_out,
        "provenance": {},
    }
    write_json(folder / "results.json", content)


def measure(number: int) -> dict[str, float]:
    """Return the seconds of each way of so many runs."""
    seconds: dict[str, float] = {}

    def timed(way: str, function: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = function()
        seconds[way] = time.perf_counter() - start
        print(f"{way:>10} {number} runs: {seconds[way]:.2f} seconds")
        return result

    with tempfile.TemporaryDirectory() as place:
        runs, records = Path(place, "runs"), Path(place, "leaderboards")
        for i in range(number):
            write_run(runs / str(i), i % METHODS, i // METHODS)
        timed("add", lambda: leaderboard.add([runs], records))
        found = timed("reading", lambda: leaderboard.read_records([records]))
        timed("build", lambda: publication.build(leaderboard.read_records([records]), records))
        timed("rendering", lambda: leaderboard.render(found))
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=500, help="how many; the targets are for 500")
    number = parser.parse_args().runs
    few, many = measure(number // 4), measure(number)
    missed = []
    for way, target in TARGETS.items():
        times = many[way] / few[way]
        print(f"{way}: {many[way]:.1f} seconds, of at most {target}; {times:.1f} times as long for four times the runs")
        if many[way] > target or times > MOST_TIMES:
            missed.append(way)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
