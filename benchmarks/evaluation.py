"""Measure what corrupting test images costs beside predicting them.

    python benchmarks/evaluation.py
    python benchmarks/evaluation.py --quick

Every corruption of gray images in every severity, MNIST's test images, the predict function of `deterministic.py` on
configs/mnist.py. Three times are taken of the same images, one after the other, several times over:

- predict alone: batches that are ready in memory;
- clean: the images from the input pipeline of `datasets`, predicted;
- corrupted: the same with a corruption, predicted.

The target: over all corruptions and severities, corrupted takes at most twice as long as predict alone. Otherwise, the
exit status is 1. Times are milliseconds for 1,000 images, medians over the repeats and, in the table, means over
severities.

Each corruption is measured on a part of the 10,000 images: on all of them, a repeat would be 3 million predictions.
What a corrupted test set costs once, whatever its size (building its input pipeline), is measured by a set of one image
and counted as it weighs on 10,000. Reading the files is not counted: a run reads a test set once for all corruptions.
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
NUM_TEST = 10_000  # images of a full test set


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
        started_at = time.perf_counter()
        for features in batches:
            predict(features).probs.numpy()
        return time.perf_counter() - started_at

    def load(count: int, name: str | None = None, severity: int = 0) -> Iterator[tf.Tensor]:
        for batch in test.corrupted(name, severity).load(arguments.batch_size, max_examples=count):
            yield batch["features"]

    def seconds_from_pipeline(count: int, name: str | None = None, severity: int = 0) -> float:
        datasets.corruptions.forget_compiled()
        return seconds_to_predict(load(count, name, severity))

    ready = list(load(arguments.images))
    for features in (ready[0], ready[-1], ready[0][:1]):  # each size is compiled
        predict(features)

    names = datasets.corruptions.names(channels=1)
    severities = (3,) if arguments.quick else datasets.corruptions.SEVERITIES
    seconds = np.empty((len(names), arguments.repeats, len(severities), 5))
    started_at = time.perf_counter()
    for repeat in range(arguments.repeats):
        for (i, name), (j, severity) in itertools.product(enumerate(names), enumerate(severities)):
            views = itertools.product([(), (name, severity)], [arguments.images, 1])
            seconds[i, repeat, j] = (
                seconds_to_predict(ready),
                *(seconds_from_pipeline(count, *corruption) for corruption, count in views),
            )
        print(f"repeat {repeat + 1} of {arguments.repeats}: {time.perf_counter() - started_at:.0f} s", flush=True)

    # [corruptions] each, milliseconds for 1,000 images: medians over repeats, means over severities.
    alone, clean_all, clean_once, corrupted_all, corrupted_once = np.median(seconds, axis=1).mean(axis=1).T * 1000
    per_thousand, once_per_thousand = 1000 / arguments.images, 1000 / NUM_TEST
    alone = alone * per_thousand
    clean = (clean_all - clean_once) * per_thousand + clean_once * once_per_thousand
    once = corrupted_once * once_per_thousand
    corrupted = (corrupted_all - corrupted_once) * per_thousand + once
    columns = np.stack([alone, clean, corrupted, once])
    ratio = corrupted.mean() / alone.mean()

    print(
        f"\n{len(names)} corruptions, severities {', '.join(map(str, severities))}, {arguments.images} images each, "
        f"batches of {arguments.batch_size}, medians of {arguments.repeats}. Milliseconds for 1,000 images.\n"
    )
    header = ("predict alone", "clean", "corrupted", "of that once", "ratio")
    print(("| {:17} |" + " {:>13} |" * 5).format("corruption", *header))
    print("|" + "-" * 19 + ("|" + "-" * 14 + ":") * 5 + "|")
    line = "| {:17} |" + " {:13.1f} |" * 4 + " {:13.2f} |"
    for name, row, ratio_of_one in zip(names, columns.T, corrupted / alone):
        print(line.format(name, *row, ratio_of_one))
    print(line.format("all", *columns.mean(axis=1), ratio))
    print(f"\nCorrupted and predicted / predicted alone: {ratio:.2f}; the target is at most {TARGET:.2f}.")
    sys.exit(1 if ratio > TARGET else 0)


if __name__ == "__main__":
    main()
