"""Measure what reliability costs: checkpoints, the norm of the gradient, `--deterministic_ops`, checksums, locks.

    python benchmarks/reliability.py
    python benchmarks/reliability.py --quick

The training is MNIST's in size: the `convnet` architecture (1.2 million weights) and Adam, on 60,000 random images of
28 x 28 pixels, batches of 128. Variants take turns, epoch by epoch in one process, or process by process where
TensorFlow has a switch that cannot be turned back, so that whatever else the machine does meets all of them; medians
are compared. Where the machine is busy, the epochs differ by more than a checkpoint takes: CPU time, and the time of
writing a checkpoint measured alone and divided by that of an epoch, are the surer numbers.
"""

import argparse
import collections
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, and each process once")
    parser.add_argument("--worker", choices=["plain", "deterministic"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(measure(arguments.worker == "deterministic", arguments.quick)))
        return
    measured = {"plain": [], "deterministic": []}
    for _ in range(1 if arguments.quick else 2):
        for name, values in measured.items():
            command = [sys.executable, __file__, f"--worker={name}", *["--quick"] * arguments.quick]
            process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True)
            values.append(json.loads(process.stdout.splitlines()[-1]))
    print(table(measured))


def table(measured: dict[str, list[dict]]) -> str:
    """Return the results as a Markdown table."""
    both = [values for name in measured for values in measured[name]]

    def median(name: str, of: list[dict]) -> float:
        return statistics.median(value for values in of for value in values[name])

    without, with_, norm = (median(name, measured["plain"]) for name in ("epoch", "epoch_and_checkpoint", "norm"))
    deterministic = median("epoch", measured["deterministic"])
    save = median("save", both)
    cpu_without, cpu_with, cpu_norm = (
        median(f"{name}_cpu", measured["plain"]) for name in ("epoch", "epoch_and_checkpoint", "norm")
    )
    cpu_deterministic = median("epoch_cpu", measured["deterministic"])

    def compared(value: float, than: float) -> tuple[str, str]:
        return f"{value:.2f} s", f"{100 * (value / than - 1):+.1f} %"

    rows = [
        ("an epoch", f"{without:.2f} s", "", f"{cpu_without:.2f} s", ""),
        ("an epoch and a checkpoint", *compared(with_, without), *compared(cpu_with, cpu_without)),
        ("an epoch, the gradient's norm returned", *compared(norm, without), *compared(cpu_norm, cpu_without)),
        (
            "an epoch, `--deterministic_ops`",
            *compared(deterministic, without),
            *compared(cpu_deterministic, cpu_without),
        ),
        ("one checkpoint written", f"{1000 * save:.0f} ms", f"{100 * save / without:.2f} % of an epoch", "", ""),
        ("one checkpoint verified and restored", f"{1000 * median('restore', both):.0f} ms", "", "", ""),
        ("a run validated, locked and opened", f"{1000 * median('open', both):.0f} ms", "", "", ""),
    ]
    lines = ["| | wall | | CPU | |", "|---" * 5 + "|", *[f"| {' | '.join(row)} |" for row in rows]]
    return "\n".join(lines)


def measure(deterministic: bool, quick: bool) -> dict[str, list[float]]:
    """Return the seconds of each thing measured, in this process."""
    import keras
    import numpy as np
    import tensorflow as tf

    from uncertainty_suite import configuration, datasets, layers, models, training
    from uncertainty_suite.datasets.preprocessing import Preprocessing

    if deterministic:
        tf.config.experimental.enable_op_determinism()

    def read(split, data_dir):
        rng = np.random.default_rng(0)
        number = 6_000 if quick else 60_000
        return rng.integers(0, 256, (number, 28, 28, 1), np.uint8), rng.integers(0, 10, number, np.int32)

    source = datasets.Source("random", ("train",), 10, Preprocessing((28, 28, 1)), read, maximum=255)
    data = datasets.Dataset(source, "train", preprocessing=source.preprocessing)
    config = configuration.load(ROOT / "configs" / "mnist" / "deterministic.py")
    config.epochs = 100  # never reached: only so many as are measured
    # What evaluation would need is read when a run is opened; this is read in no time.
    config.dataset.name = "two_moons"
    config.evaluation.corruptions = config.evaluation.ood_near = config.evaluation.ood_far = ()
    steps_per_epoch = data.steps_per_epoch(config.batch_size)

    def start(folder, norm):
        """Return a loop, and a function that trains for one epoch and returns the seconds it took, wall and CPU."""
        opened_at = time.perf_counter()
        run = training.Run(config, "deterministic.py", folder)
        seconds["open"].append(time.perf_counter() - opened_at)
        keras.utils.set_random_seed(0)
        model = models.from_config(config.model, data, layers.LayerSet())
        optimizer = training.get_optimizer(config.optimizer, model.trainable_variables, steps_per_epoch, config.epochs)

        def step(batch):
            with tf.GradientTape() as tape:
                logits = model(batch["features"], training=True)
                loss = keras.losses.sparse_categorical_crossentropy(batch["labels"], logits, from_logits=True)
                loss = tf.reduce_mean(loss)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)
            return {"loss": loss, **({"gradient_norm": tf.linalg.global_norm(gradients)} if norm else {})}

        train_steps = training.compile_steps(step, tf.distribute.get_strategy())
        batches = iter(data.load(config.batch_size, training=True))
        loop = training.Loop(run, model, optimizer, steps_per_epoch)
        train_steps(batches, 1)  # compiles
        calls = iter(loop)
        num_steps = next(calls)

        def train_epoch():
            nonlocal num_steps
            started_at, cpu_at = time.perf_counter(), time.process_time()
            while True:
                loop.update(train_steps(batches, num_steps))
                num_steps = next(calls)  # ends the epoch, and writes the checkpoint
                if loop.starts_epoch:
                    return time.perf_counter() - started_at, time.process_time() - cpu_at

        return loop, train_epoch

    seconds = collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        intervals = {"epoch": "1000h"}
        if not deterministic:
            intervals |= {"epoch_and_checkpoint": f"{steps_per_epoch}steps", "norm": "1000h"}
        training.set_checkpoint_interval("1000h")
        trainings = {name: start(Path(folder, name), name == "norm") for name in intervals}
        for _ in range(2):
            for name, interval in intervals.items():
                training.set_checkpoint_interval(interval)
                wall, cpu = trainings[name][1]()
                seconds[name].append(wall)
                seconds[f"{name}_cpu"].append(cpu)
        loop = trainings["epoch"][0]
        for name, call in {"save": loop._save, "restore": loop._checkpoint.restore}.items():
            for _ in range(5):
                started_at = time.perf_counter()
                call()
                seconds[name].append(time.perf_counter() - started_at)
    return seconds


if __name__ == "__main__":
    main()
