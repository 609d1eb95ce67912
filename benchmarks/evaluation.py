"""Measure what corrupting test images costs beside predicting them.

    python benchmarks/evaluation.py
    python benchmarks/evaluation.py --quick

Every corruption of gray images in every severity, MNIST's test images, the architecture `convnet` in one compiled
function. Three times are taken of the same images, one after the other, several times over:

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
import os
import sys
import time
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

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    from uncertainty_suite import datasets, models
    from uncertainty_suite.datasets.preprocessing import Preprocessing
    from uncertainty_suite.errors import InputError

    try:
        test = datasets.get("mnist", split="test", data_dir=arguments.data_dir)
        images, labels = test.features[: arguments.images].copy(), test.labels[: arguments.images].copy()
    except InputError as error:
        sys.exit(f"benchmarks/evaluation.py: {error}")
    part = datasets.Source(
        name="the first test images of MNIST",
        splits=("all", "one"),
        num_classes=10,
        preprocessing=Preprocessing(test.input_shape),
        maximum=255,
        read=lambda split, data_dir: (images, labels) if split == "all" else (images[:1], labels[:1]),
    )
    model = models.get("convnet", test.input_shape, test.num_classes)
    signature = [tf.TensorSpec([None, *test.input_shape], tf.float32)]
    predict = tf.function(lambda features: model(features, training=False), input_signature=signature)

    def load(split: str, **corruption: str | int) -> tf.data.Dataset:
        return datasets.Dataset(part, split, preprocessing=part.preprocessing, **corruption).load(arguments.batch_size)

    ready = [batch["features"] for batch in load("all")]
    predict(ready[0])  # compiles

    def seconds_alone() -> float:
        started_at = time.perf_counter()
        for features in ready:
            predict(features).numpy()
        return time.perf_counter() - started_at

    def seconds_from_pipeline(split: str, **corruption: str | int) -> float:
        datasets.corruptions.forget_compiled()
        started_at = time.perf_counter()
        for batch in load(split, **corruption):
            predict(batch["features"]).numpy()
        return time.perf_counter() - started_at

    names = datasets.corruptions.names(channels=1)
    severities = (3,) if arguments.quick else datasets.corruptions.SEVERITIES
    seconds = np.empty((len(names), arguments.repeats, len(severities), 5))
    started_at = time.perf_counter()
    for repeat in range(arguments.repeats):
        for (i, name), (j, severity) in itertools.product(enumerate(names), enumerate(severities)):
            corruption = {"corruption": name, "severity": severity}
            seconds[i, repeat, j] = (
                seconds_alone(),
                *(seconds_from_pipeline(split, **given) for given in ({}, corruption) for split in ("all", "one")),
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
