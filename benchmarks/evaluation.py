"""Measure what corrupting test images costs beside predicting them.

    python benchmarks/evaluation.py
    python benchmarks/evaluation.py --quick

Every corruption of gray images in every severity, MNIST's test images, the predict function of `deterministic.py` on
configs/mnist.py. Four times are taken of the same images, one after the other, several times over:

- predict alone: batches that are ready in memory;
- clean: the images from the data set, predicted;
- corrupted: the same with a corruption, predicted;
- by pipelines: the same through a `tf.data` pipeline for each corrupted set, as `load` has it, in place of `batches`.

The targets: over all corruptions and severities, corrupted takes at most twice as long as predict alone, and pipelines
at least twice as long as that. Otherwise, the exit status is 1. Times are the processor's, of all threads together, so
that what else a machine does counts little: milliseconds for 1,000 images, medians over the repeats and, in the table,
means over severities.

Each corruption is measured on a part of the 10,000 images: on all of them, a repeat would be 4 million predictions. It
is as many as a run evaluates on each shifted set unless it is told otherwise. What a corrupted test set costs once,
whatever its size, is measured by a set of one image. Reading the files is not counted: a run reads a test set once for
all corruptions.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

TARGET = 2.0
PIPELINES_TARGET = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="severity 3 only")
    parser.add_argument("--images", type=int, default=1000, help="images for each corruption and severity")
    parser.add_argument("--repeats", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--batch_size", type=int, default=500)
    parser.add_argument("--data_dir", type=Path, help="prepared TFDS data sets")
    arguments = parser.parse_args()

    from scripts import ONLY_TEST, get_config, get_parts

    from uncertainty_suite import datasets, tf, training
    from uncertainty_suite.errors import InputError

    test = datasets.get("mnist", "test", arguments.data_dir)
    try:
        _ = test.num_examples  # reads them, for all views
    except InputError as error:
        sys.exit(f"benchmarks/evaluation.py: {error}")
    made_up = {"dataset.name": "made_up_images", "dataset.size": 28, "dataset.channels": 1}  # nothing is trained
    config = get_config("deterministic", "mnist", {**ONLY_TEST, **made_up})
    with tempfile.TemporaryDirectory() as folder:
        predict = get_parts("deterministic", config, training.Options(output_dir=Path(folder, "run"))).predict

    def seconds_to_predict(batches: Iterable[tf.Tensor]) -> float:
        started_at = time.process_time()
        for features in batches:
            predict(features).probs.numpy()
        return time.process_time() - started_at

    def features_of(
        count: int, name: str | None = None, severity: int = 0, way: str = "batches"
    ) -> Iterator[tf.Tensor]:
        data = test.corrupted(name, severity)
        for batch in getattr(data, way)(arguments.batch_size, max_examples=count):
            yield batch["features"]

    ready = list(features_of(arguments.images))
    for features in (ready[0], ready[-1], ready[0][:1]):  # each size is compiled
        predict(features)

    names = datasets.corruptions.names(channels=1)
    severities = (3,) if arguments.quick else datasets.corruptions.SEVERITIES
    seconds = np.empty((len(names), arguments.repeats, len(severities), 5))
    started_at = time.perf_counter()
    for repeat in range(arguments.repeats):
        for (i, name), (j, severity) in itertools.product(enumerate(names), enumerate(severities)):
            seconds[i, repeat, j] = (
                seconds_to_predict(ready),
                seconds_to_predict(features_of(arguments.images)),
                seconds_to_predict(features_of(arguments.images, name, severity)),
                seconds_to_predict(features_of(1, name, severity)),
                seconds_to_predict(features_of(arguments.images, name, severity, "load")),
            )
        print(f"repeat {repeat + 1} of {arguments.repeats}: {time.perf_counter() - started_at:.0f} s", flush=True)

    # [columns, corruptions]: medians over repeats, means over severities.
    columns = np.median(seconds, axis=1).mean(axis=1).T * 1000 * 1000 / arguments.images
    alone, _, corrupted, _, pipelines = columns
    ratio, pipelines_ratio = corrupted.mean() / alone.mean(), pipelines.mean() / corrupted.mean()

    print(
        f"\n{len(names)} corruptions, severities {', '.join(map(str, severities))}, {arguments.images} images each, "
        f"batches of {arguments.batch_size}, medians of {arguments.repeats}. Milliseconds of the processor for 1,000 "
        "images.\n"
    )
    header = ("predict alone", "clean", "corrupted", "of that once", "by pipelines", "ratio")
    print(("| {:17} |" + " {:>13} |" * 6).format("corruption", *header))
    print("|" + "-" * 19 + ("|" + "-" * 14 + ":") * 6 + "|")
    line = "| {:17} |" + " {:13.1f} |" * 5 + " {:13.2f} |"
    for name, row, ratio_of_one in zip(names, columns.T, corrupted / alone):
        print(line.format(name, *row, ratio_of_one))
    print(line.format("all", *columns.mean(axis=1), ratio))
    print(f"\nCorrupted and predicted / predicted alone: {ratio:.2f}; the target is at most {TARGET:.2f}.")
    print(f"By pipelines / corrupted: {pipelines_ratio:.2f}; the target is at least {PIPELINES_TARGET:.2f}.")
    sys.exit(1 if ratio > TARGET or pipelines_ratio < PIPELINES_TARGET else 0)


if __name__ == "__main__":
    main()
