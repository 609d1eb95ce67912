"""Time our streaming metrics against a loop over examples and against numpy on the whole array.

    python benchmarks/metrics.py          # about a minute
    python benchmarks/metrics.py --quick  # a few seconds, for CI

ECE, Brier, NLL and accuracy together, fed in batches of 256, on the predictions of three sizes. The three ways are run
in turn, several times, in one process on one core; the table gives medians, and the most memory that a run takes beyond
the predictions. Then new processes import the metrics, after numpy. Exits with 1 where streaming takes more than 1.5
times as long as numpy on the whole array, or the import more than 0.3 seconds.
"""

import argparse
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported: one core for everyone
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from uncertainty_suite import metrics

SHAPES = [(50_000, 10), (50_000, 1_000), (30, 10_000, 100)]
BATCH_SIZE = 256
NUM_BINS = 15
TARGET = 1.5
IMPORT_TARGET = 0.3  # seconds

Values = dict[str, float]


def stream(probs: np.ndarray, labels: np.ndarray) -> Values:
    """Feed our metrics batch by batch."""
    collection = metrics.Collection(["accuracy", "nll", "brier", "ece"])
    for start in range(0, len(labels), BATCH_SIZE):
        batch = slice(start, start + BATCH_SIZE)
        collection.add_batch(probs[..., batch, :], label=labels[batch])
    return collection.result()


def one_shot(probs: np.ndarray, labels: np.ndarray) -> Values:
    """Compute the same of the whole array, vectorised, without checks.

    The mean over samples is taken in float64, as ours is; all else in the dtype of the predictions.
    """
    if probs.ndim == 3:
        probs = probs.mean(axis=0, dtype=np.float64)
    rows = np.arange(len(labels))
    onehot = np.zeros_like(probs)
    onehot[rows, labels] = 1
    confidence, correct = probs.max(axis=1), probs.argmax(axis=1) == labels
    bins = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    gaps = np.bincount(bins, correct - confidence.astype(np.float64))
    return {
        "accuracy": correct.mean(),
        "nll": -np.log(probs[rows, labels]).mean(dtype=np.float64),
        "brier": ((probs - onehot) ** 2).sum(axis=1).mean(dtype=np.float64),
        "ece": np.abs(gaps).sum() / len(labels),
    }


def loop(probs: np.ndarray, labels: np.ndarray) -> Values:
    """Compute the same example by example."""
    right = nll = brier = 0.0
    gaps = np.zeros(NUM_BINS)
    for i, label in enumerate(labels):
        p = probs[i] if probs.ndim == 2 else probs[:, i].mean(axis=0)
        predicted = int(p.argmax())
        confidence, correct = float(p[predicted]), float(predicted == label)
        right += correct
        nll -= np.log(p[label])
        error = p.copy()
        error[label] -= 1
        brier += float((error**2).sum())
        gaps[min(int(confidence * NUM_BINS), NUM_BINS - 1)] += correct - confidence
    count = len(labels)
    return {"accuracy": right / count, "nll": nll / count, "brier": brier / count, "ece": np.abs(gaps).sum() / count}


WAYS: dict[str, Callable[[np.ndarray, np.ndarray], Values]] = {"loop": loop, "one-shot": one_shot, "streaming": stream}


def make_predictions(shape: tuple[int, ...], dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return random softmax predictions and labels."""
    rng = np.random.default_rng(0)
    probs = np.empty(shape, dtype)
    for part in probs.reshape(-1, shape[-2] // 10, shape[-1]):  # in parts, so that logits take little memory
        part[...] = np.exp(2 * rng.standard_normal(part.shape, dtype=np.float32))
        part /= part.sum(axis=-1, keepdims=True)
    return probs, rng.integers(0, shape[-1], shape[-2])


def peak_megabytes(way: Callable, probs: np.ndarray, labels: np.ndarray) -> float:
    """Return the most memory that a run allocates, in MB."""
    tracemalloc.start()
    way(probs, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def import_seconds(repeats: int) -> float:
    """Return the median time to import the metrics, numpy being there."""
    clock = "time.perf_counter()"
    code = f"import time, numpy; start = {clock}; import uncertainty_suite.metrics; print({clock} - start)"
    run, root = [sys.executable, "-c", code], Path(__file__).parents[1]
    return float(np.median([float(subprocess.check_output(run, text=True, cwd=root)) for _ in range(repeats)]))


def main() -> int:
    """Run the benchmark and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats, and loops over a tenth of the examples")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"], help="of the predictions")
    arguments = parser.parse_args()
    repeats = 3 if arguments.quick else 7

    print(f"{'predictions':>18} {'way':>10} {'seconds':>9} {'x one-shot':>11} {'peak MB':>8}")
    missed = []
    for shape in SHAPES:
        probs, labels = make_predictions(shape, arguments.dtype)
        looped = slice(len(labels) // 10 if arguments.quick else len(labels))
        inputs = dict.fromkeys(WAYS, (probs, labels)) | {"loop": (probs[..., looped, :], labels[looped])}
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(repeats):
            for way, function in WAYS.items():
                start = time.perf_counter()
                function(*inputs[way])
                seconds[way].append((time.perf_counter() - start) * len(labels) / len(inputs[way][1]))
        for way, function in WAYS.items():
            np.testing.assert_allclose(
                [function(*inputs[way])[key] for key in ("accuracy", "nll", "brier", "ece")],
                [stream(*inputs[way])[key] for key in ("accuracy", "nll", "brier", "ece")],
                rtol=1e-4,
            )
            ratio = np.median(seconds[way]) / np.median(seconds["one-shot"])
            memory = peak_megabytes(function, *inputs[way])
            print(f"{list(shape)!s:>18} {way:>10} {np.median(seconds[way]):9.4f} {ratio:11.2f} {memory:8.1f}")
            if way == "streaming" and ratio > TARGET:
                missed.append(f"{list(shape)}: {ratio:.2f}")
    seconds_to_import = import_seconds(repeats)
    print(f"Importing the metrics takes {seconds_to_import:.3f} seconds; the target is {IMPORT_TARGET}.")
    if missed:
        print(f"Streaming took more than {TARGET} times as long as one-shot numpy on {'; '.join(missed)}.")
    else:
        print(f"Streaming takes at most {TARGET} times as long as one-shot numpy.")
    return int(bool(missed) or seconds_to_import > IMPORT_TARGET)


if __name__ == "__main__":
    sys.exit(main())
