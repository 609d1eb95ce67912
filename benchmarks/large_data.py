"""Measure what large data cost: streaming a set from its files beside keeping it in memory.

    python benchmarks/large_data.py
    python benchmarks/large_data.py --quick
    python benchmarks/large_data.py --only predictions

`streams`: a generated TFDS set of the size of MNIST (60,000 gray PNG images in 10 files), an epoch of its training
batches alone, and a convnet trained on them (configs/mnist.py), from files and from memory; how fast photographs of the
size of ImageNet's are decoded; and how much a process grows that goes through 2 GB of PNG images, in training and in
the ordered pass, beyond what it had when it began. `predictions`: how much one grows that evaluates 50,000 examples of
1,000 classes, as ImageNet has them for validation, by a predict function that does nearly nothing. The sets are written
to a temporary folder and removed.

Times are medians over repeats that take turns; the exit status is 1 where a target is missed.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from comparison import HEADER, Row, compare, format_line

ROOT = Path(__file__).parent.parent
BATCH_SIZE = 128
GROUPS = ("streams", "predictions")


def write_images(folder: Path, num_images: int, shape: tuple[int, int, int], num_files: int, encoding: str) -> None:
    """Write a TFDS set `made_up` of random images; a hundred of them are different, so that writing takes no hours."""
    import tensorflow_datasets as tfds

    from uncertainty_suite import tf

    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (100, -(-shape[0] // 4), -(-shape[1] // 4), shape[2]), np.uint8)
    # Photographs are smooth: noise of a quarter of their size is enlarged for JPEG, which else would store noise only.
    images = (
        tf.cast(tf.image.resize(small, shape[:2], "bicubic"), tf.uint8).numpy()
        if encoding == "jpeg"
        else rng.integers(0, 256, (100, *shape), np.uint8)
    )
    encode = tf.io.encode_jpeg if encoding == "jpeg" else tf.io.encode_png
    encoded = [encode(image).numpy() for image in images]

    class MadeUp(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # there are several
        VERSION = tfds.core.Version("1.0.0")
        name = "made_up"

        def _info(self) -> tfds.core.DatasetInfo:
            image = tfds.features.Image(shape=shape, encoding_format=encoding)
            features = {"image": image, "label": tfds.features.ClassLabel(num_classes=10)}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, manager: Any) -> dict[str, Any]:
            return {"train": self._generate_examples()}

        def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
            for number in range(num_images):
                yield number, {"image": encoded[number % len(encoded)], "label": number % 10}

    builder = MadeUp(data_dir=folder)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=num_files))


def get_data(folder: Path, shape: tuple[int, int, int], streamed: bool) -> Any:
    """Return the training split of the set that `write_images` has written."""
    from uncertainty_suite import datasets
    from uncertainty_suite.datasets.forms import Images

    return datasets.Dataset(datasets.from_tfds("made_up", Images(*shape), 10, streamed=streamed), "train", folder)


def streams(quick: bool, folder: Path) -> Iterator[Row]:
    """The streamed reader beside the set in memory."""
    from scripts import ONLY_TEST, get_config, get_parts

    from uncertainty_suite import training

    num_images, repeats = (6_000, 2) if quick else (60_000, 5)
    shape = (28, 28, 1)
    write_images(folder / "small", num_images, shape, 10, "png")
    sides = {streamed: get_data(folder / "small", shape, streamed) for streamed in (True, False)}

    def epochs(data: Any) -> Callable[[], None]:
        batches = iter(data.load(BATCH_SIZE, training=True))
        steps = data.steps_per_epoch(BATCH_SIZE)
        return lambda: [next(batches) for _ in range(steps)] and None

    seconds = compare({str(streamed): epochs(data) for streamed, data in sides.items()}, repeats)
    yield Row("an epoch of batches, 28 x 28 PNG, streamed", "in memory", seconds["True"], seconds["False"], "x faster")

    config = get_config(
        "deterministic",
        "mnist",
        {
            **ONLY_TEST,
            "evaluation.ood_validation": (),
            "dataset.name": "made_up_images",
            "dataset.size": 28,
            "dataset.channels": 1,
        },
    )
    parts = get_parts("deterministic", config, training.Options(output_dir=folder / "run"))
    steps = 20 if quick else 100

    def train(data: Any) -> Callable[[], None]:
        take = training.compile_steps([parts.loop.train_step], parts.run.strategy)
        batches = iter(data.load(BATCH_SIZE, training=True))
        return lambda: take([batches], steps) and None

    seconds = compare({str(streamed): train(data) for streamed, data in sides.items()}, repeats)
    yield Row(
        f"training a convnet for {steps} steps, streamed",
        "in memory",
        seconds["True"],
        seconds["False"],
        "x faster",
        0.9,
    )

    shape, num_images = (375, 500, 3), 200 if quick else 2_000
    write_images(folder / "photographs", num_images, shape, 4, "jpeg")
    from uncertainty_suite import datasets
    from uncertainty_suite.datasets.forms import Images

    source = datasets.from_tfds("made_up", Images(224, 224, 3), 10, streamed=True)
    photographs = datasets.Dataset(source, "train", folder / "photographs")
    batches = iter(photographs.load(100, training=True))
    what = f"decoding {num_images} JPEGs of 500 x 375 to 224 x 224"
    read = {what: lambda: [next(batches) for _ in range(num_images // 100)] and None}
    yield Row(what, "the clock", compare(read, repeats)[what], None, "s")


def resident() -> tuple[int, int]:
    """Return the bytes of memory that this process holds, and those but for pages of files, which can be dropped."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    total, own = (1024 * int(lines[name].split()[0]) for name in ("VmRSS", "RssAnon"))
    return total, own


@contextlib.contextmanager
def watched() -> Iterator[list[tuple[int, int]]]:
    """Give a list that grows by what this process holds, twenty times a second: in all, and without files' pages."""
    held, going = [resident()], threading.Event()

    def watch() -> None:
        while not going.wait(0.05):
            held.append(resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield held
    finally:
        going.set()
        watcher.join()


def go_through(folder: Path, shape: tuple[int, int, int]) -> dict[str, float]:
    """Go through an epoch of training and the ordered pass, and return how much the process has grown, in bytes."""
    data = get_data(folder, shape, streamed=True)
    from uncertainty_suite import tf

    tf.reduce_sum(tf.ones((10, 10))).numpy()  # what TensorFlow holds in any program
    (before, _), halves = resident(), []
    with watched() as held:
        started_at = time.perf_counter()
        growth = {"num_examples": data.num_examples}
        growth["seconds_index"] = time.perf_counter() - started_at
        batches = iter(data.load(32, training=True))
        for _ in range(2):
            del held[1:]
            for _ in range(data.steps_per_epoch(32) // 2):
                next(batches)
            halves.append(max(held)[0])
        del batches
        for _ in data.load(32):
            pass
    growth["training"] = max(halves) - before
    growth["second_half_beyond_first"] = halves[1] - halves[0]
    growth["ordered"] = max(held)[0] - before
    return growth


def evaluate(folder: Path, num_examples: int) -> dict[str, float]:
    """Predict and measure examples of 1,000 classes, and return how much the process has grown, in bytes."""
    from scripts import ONLY_TEST, get_config

    from uncertainty_suite import datasets, evaluation, tf, training
    from uncertainty_suite.datasets.forms import Vectors

    num_classes, rng = 1_000, np.random.default_rng(0)
    sizes = {"train": 2 * num_classes, "validation": num_examples // 10, "test": num_examples}
    splits = {
        split: (rng.normal(size=(size, 8)).astype(np.float32), np.arange(size) % num_classes)
        for split, size in sizes.items()
    }
    datasets.register(datasets.from_arrays("made_up_vectors", splits, form=Vectors(8)))
    values = {**ONLY_TEST, "evaluation.ood_validation": (), "dataset.name": "made_up_vectors"}
    options = training.Options(output_dir=folder / "run")
    run = training.Run(get_config("deterministic", "two_moons", values), __file__, options)
    head = tf.constant(rng.normal(size=(8, num_classes)), tf.float32)

    @tf.function
    def predict(inputs: Any) -> Any:
        return run.task.likelihood.predict((inputs @ head)[tf.newaxis])

    predict(tf.zeros((run.config.evaluation.batch_size, 8)))
    before = resident()
    started_at = time.perf_counter()
    with watched() as held:
        evaluation.evaluate(predict, run)
    return {
        "num_examples": num_examples,
        "seconds": time.perf_counter() - started_at,
        "stored": sum(path.stat().st_size for path in run.path.rglob("*.npz")),
        "grown": max(total for total, _ in held) - before[0],
        "without_files": max(own for _, own in held) - before[1],
    }


def memory(quick: bool, folder: Path) -> dict[str, Any]:
    """Return how much a process grows that goes through a large set, in bytes; it is one of its own."""
    shape = (256, 256, 3)
    num_images = (100 if quick else 2_000) * 10**6 // (256 * 256 * 3)
    write_images(folder, num_images, shape, 8 if quick else 32, "png")
    stored = sum(path.stat().st_size for path in folder.rglob("*tfrecord*"))
    growth = in_a_process("--go_through", folder, *shape)
    return {"stored": stored, **growth, "target": 10**9, "met": growth["training"] < 10**9}


def predictions(quick: bool, folder: Path) -> dict[str, Any]:
    """Return how much a process grows that evaluates many examples of many classes, in bytes; it is one of its own."""
    growth = in_a_process("--evaluate", folder, 5_000 if quick else 50_000)
    return {**growth, "target": 10**9, "met": growth["grown"] < 10**9}


def in_a_process(*arguments: Any) -> dict[str, float]:
    """Return what a process of this program prints last."""
    command = [sys.executable, __file__, *map(str, arguments)]
    output = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def main() -> int:
    """Run the benchmark; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the data")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="GROUP")
    parser.add_argument("--output_dir", type=Path, help="where the JSON files are written")
    parser.add_argument("--go_through", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--evaluate", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.go_through:
        folder, *shape = arguments.go_through
        print(json.dumps(go_through(Path(folder), tuple(map(int, shape)))))
        return 0
    if arguments.evaluate:
        print(json.dumps(evaluate(Path(arguments.evaluate[0]), int(arguments.evaluate[1]))))
        return 0
    from uncertainty_suite.files import write_json
    from uncertainty_suite.training.run import provenance

    output_dir = arguments.output_dir or ROOT / ("runs/large_data" if arguments.quick else "benchmarks/results")
    made_with = {name: value for name, value in provenance().items() if name != "host"}
    met = []
    if "streams" in arguments.only:
        print(HEADER)
        rows = []
        with tempfile.TemporaryDirectory() as folder:
            for row in streams(arguments.quick, Path(folder)):
                rows.append(row.summarize())
                print(format_line(rows[-1]), flush=True)
        with tempfile.TemporaryDirectory() as folder:
            grown = memory(arguments.quick, Path(folder))
        print(
            f"{grown['stored'] / 1e9:.2f} GB of images: the process grew by {grown['training'] / 1e9:.2f} GB in "
            f"training (its second half {grown['second_half_beyond_first'] / 1e9:+.2f} GB beyond the first), by "
            f"{grown['ordered'] / 1e9:.2f} GB in the ordered pass, target < 1 GB{'' if grown['met'] else ', MISSED'}; "
            f"indexed in {grown['seconds_index']:.1f} s"
        )
        write_json(output_dir / "large_data.json", {**made_with, "rows": rows, "memory": grown})
        met += [row["met"] for row in [*rows, grown]]
    if "predictions" in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            grown = predictions(arguments.quick, Path(folder))
        print(
            f"{grown['num_examples']} predictions of 1,000 classes, {grown['stored'] / 1e9:.2f} GB: the process grew "
            f"by {grown['grown'] / 1e9:.2f} GB, without files' pages by {grown['without_files'] / 1e9:.2f} GB, "
            f"target < 1 GB{'' if grown['met'] else ', MISSED'}"
        )
        write_json(output_dir / "large_predictions.json", {**made_with, "memory": grown})
        met.append(grown["met"])
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
