"""How time and memory grow with the work: with examples, classes, samples, shifted sets, members and records.

    python benchmarks/growth.py
    python benchmarks/growth.py --only examples records

Each point is a process of its own, which says how much processor time the work took, which other work on the machine
hardly changes, and by how much the most memory it held is beyond what it held before. What is linear in the work has an
exponent of 1: it is the slope of the logarithms over the larger sizes, where what every run costs no longer counts. The
exit status is 1 where an exponent is above 1.1. The numbers are written to `benchmarks/results/growth.json`.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from uncertainty_suite import metrics
from uncertainty_suite.files import write_json

ROOT = Path(__file__).parent.parent
MOST = 1.1
REPEATS = 3
BATCH_SIZE = 500

Work = Callable[[], Any]


def probabilities(*shape: int) -> np.ndarray:
    """Return probabilities, float32 `shape`, of the last axis."""
    values = np.random.default_rng(0).random(shape, np.float32)
    return values / values.sum(axis=-1, keepdims=True)


def measure(num_examples: int, num_classes: int) -> Work:
    """Compute the headline metrics of classes, batch by batch."""
    probs, labels = probabilities(BATCH_SIZE, num_classes), np.arange(BATCH_SIZE) % num_classes

    def work() -> None:
        collection = metrics.Collection(("accuracy", "nll", "brier", "ece"))
        for _ in range(num_examples // BATCH_SIZE):
            collection.add_batch(probs, label=labels)
        collection.result()

    return work


def measure_samples(num_samples: int) -> Work:
    """Compute what is said of the samples of 500 examples."""
    probs, labels = probabilities(num_samples, BATCH_SIZE, 10), np.arange(BATCH_SIZE) % 10

    def work() -> None:
        collection = metrics.Collection(("mutual_information", "expected_entropy", "joint_nll"))
        collection.add_batch(probs, label=labels)
        collection.result()

    return work


def run_script(method: str, task: str, **overrides: Any) -> Work:
    """Run a script from its start to its results, in a new folder each time."""
    from uncertainty_suite import configuration, launch, training

    script = configuration.load_module(ROOT / "baselines" / f"{method}.py")
    flags = [f"--config.{name.replace('__', '.')}={value}" for name, value in overrides.items()]
    section = getattr(script, "CONFIG", None)
    config = launch.get_config(ROOT / "configs" / f"{task}.py", section, method, flags)

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            script.main(config, training.Options(output_dir=Path(folder, "run")))

    return work


def shift(num_shifted: int) -> Work:
    """Train one epoch of digits, and evaluate on so many shifted sets."""
    from uncertainty_suite.datasets import corruptions

    names = corruptions.names(channels=1)[: max(1, num_shifted // 5)]
    return run_script(
        "deterministic",
        "digits",
        epochs=1,
        evaluation__corruptions=tuple(names),
        evaluation__severities=tuple(range(1, min(5, num_shifted) + 1)),
        evaluation__ood_scores=(),
    )


def ensemble(size: int) -> Work:
    """Train and evaluate an ensemble of so many members on two moons."""
    return run_script("deep_ensemble", "two_moons", epochs=5, deep_ensemble__size=size)


def records(number: int) -> Work:
    """Add so many runs to a leaderboard, and build its pages."""
    import leaderboard as adding

    from uncertainty_suite import leaderboard
    from uncertainty_suite.leaderboard import publication

    folder = tempfile.TemporaryDirectory()
    runs = Path(folder.name, "runs")
    for i in range(number):
        adding.write_run(runs / str(i), i % adding.METHODS, i // adding.METHODS)

    def work() -> None:
        with folder, tempfile.TemporaryDirectory() as place:
            leaderboard.add([runs], Path(place))
            publication.build(leaderboard.read_records([Path(place)]), Path(place))

    return work


# What grows: the sizes, what is done with one of them, and how often its time is taken.
GROWTH: dict[str, tuple[tuple[int, ...], Callable[[int], Work], int]] = {
    "examples": ((10**4, 10**5, 3 * 10**5, 10**6), lambda size: measure(size, num_classes=10), REPEATS),
    "classes": ((10, 100, 300, 1_000), lambda size: measure(20_000, size), REPEATS),
    "samples": ((1, 10, 100, 300, 1_000), measure_samples, REPEATS),
    "shifted sets": ((5, 25, 50, 75), shift, 1),
    "members": ((1, 4, 8, 16, 32), ensemble, 1),
    "records": ((10, 100, 250, 500, 1_000, 2_000), records, 1),
}


def point(what: str, size: int) -> dict[str, float]:
    """Return the seconds and the bytes of one size, measured in this process."""
    _, make, repeats = GROWTH[what]
    work = make(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(repeats):
        started_at = time.process_time()
        work()
        seconds.append(time.process_time() - started_at)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"size": size, "seconds": min(seconds), "bytes": 1024 * held}


def exponent(points: list[dict[str, float]], of: str) -> float:
    """Return the slope of the logarithms over the sizes within a factor of ten of the largest.

    Less than 10 MB is what an interpreter takes anyhow, and counts as that.
    """
    least = 10 * 2**20 if of == "bytes" else 0
    sizes = np.array([each["size"] for each in points])
    values = np.array([max(each[of], least) for each in points])
    large = 10 * sizes >= sizes.max()
    return float(np.polyfit(np.log(sizes[large]), np.log(values[large]), 1)[0])


def main() -> int:
    """Run the benchmark; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(GROWTH), default=list(GROWTH), help="what grows")
    parser.add_argument("--output_dir", type=Path, default=ROOT / "benchmarks/results")
    parser.add_argument("--point", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.point:
        what, size = arguments.point
        print(json.dumps(point(what, int(size))))
        return 0
    found: dict[str, Any] = {}
    for what in arguments.only:
        points = []
        for size in GROWTH[what][0]:
            command = [sys.executable, __file__, "--point", what, str(size)]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            points.append(json.loads(output.splitlines()[-1]))
            print(
                f"{size:>9,} {what:<12} {points[-1]['seconds']:9.3f} s {points[-1]['bytes'] / 2**20:9.0f} MB",
                flush=True,
            )
        exponents = {of: exponent(points, of) for of in ("seconds", "bytes")}
        met = all(value <= MOST for value in exponents.values())
        found[what] = {"points": points, "exponents": exponents, "most": MOST, "met": met}
        print(
            f"{what}: time grows with exponent {exponents['seconds']:.2f}, memory {exponents['bytes']:.2f}"
            f"{'' if met else ', MISSED'}"
        )
    from uncertainty_suite.training.run import origin

    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    path = arguments.output_dir / "growth.json"
    before = json.loads(path.read_text())["growth"] if path.exists() else {}
    write_json(path, {"growth": {**before, **found}, "provenance": origin()})
    return int(not all(each["met"] for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())
