"""Time the leaderboard of 200 records: reading them, and rendering their tables with all tests.

    python benchmarks/leaderboard.py

Ten methods of twenty seeds each, with the scores of 10,000 test examples beside every record, all simulated. Reading
checks the seal of each record and of its scores; rendering loads the scores and tests every pair of methods. Both are
repeated in one process, and the table gives medians. Exits with 1 where rendering takes more than ten times as long as
reading.
"""

import argparse
import functools
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from uncertainty_suite import configuration, leaderboard, likelihoods
from uncertainty_suite.leaderboard import scores
from uncertainty_suite.leaderboard.records import file_name, seal
from uncertainty_suite.runs import PROTOCOL_VERSION, SCHEMA_VERSION

METHODS, SEEDS, EXAMPLES, CLASSES = 10, 20, 10_000, 10
TARGET = 10


def write_records(folder: Path) -> None:
    """Write the records and their scores."""
    likelihood = likelihoods.get("categorical", num_classes=CLASSES)
    split = {"key": "test", "role": "test", "source": "simulated/test"}
    labels = np.random.default_rng(0).integers(CLASSES, size=EXAMPLES)
    for method in range(METHODS):
        for seed in range(SEEDS):
            logits = np.random.default_rng([method, seed]).normal(size=(EXAMPLES, CLASSES))
            logits[np.arange(EXAMPLES), labels] += 3 + 0.01 * method
            probs = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
            saved = {"probs": probs, "labels": labels, "element_id": np.arange(EXAMPLES)}
            data = scores.to_bytes(saved, likelihood)
            values = {name: scores.of_examples(name, saved, likelihood) for name in scores.scored(likelihood)}
            metrics = {f"test/{name}": float(np.mean(each)) for name, each in values.items() if each is not None}
            config = {"method": f"method_{method}", "seed": seed, "dataset": {"name": "simulated"}}
            content = {
                "schema_version": SCHEMA_VERSION,
                "protocol_version": PROTOCOL_VERSION,
                "task": "simulated",
                "likelihood": {"name": "categorical", **likelihood.parameters},
                "splits": [{**split, "corruption": "", "severity": 0, "max_examples": 0}],
                "in_distribution": "test",
                "method": config["method"],
                "model": "none",
                "seed": seed,
                "config": config,
                "config_hash": configuration.config_hash(config),
                "batch_size_global": 1,
                "data_fingerprint": {"test": "simulated"},
                "metrics": metrics,
                "left_out": {},
                "provenance": {},
                "scores": {"split": "test", "num_examples": EXAMPLES, "sha256": hashlib.sha256(data).hexdigest()},
            }
            path = folder / file_name(content)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content | {"record_sha256": seal(content)}))
            path.with_suffix(".npz").write_bytes(data)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="how often both are measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_records(Path(folder))
        records = leaderboard.read_records([folder])
        ways: dict[str, Callable[[], object]] = {
            "reading": functools.partial(leaderboard.read_records, [folder]),
            "rendering": functools.partial(leaderboard.render, records),
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(arguments.repeats):
            for way, function in ways.items():
                start = time.perf_counter()
                function()
                seconds[way].append(time.perf_counter() - start)
    medians = {way: statistics.median(of_way) for way, of_way in seconds.items()}
    for way, median in medians.items():
        print(f"{way:>10} {len(records)} records: {median:.3f} seconds")
    ratio = medians["rendering"] / medians["reading"]
    print(f"Rendering takes {ratio:.1f} times as long as reading; the target is {TARGET}.")
    return int(ratio > TARGET)


if __name__ == "__main__":
    sys.exit(main())
