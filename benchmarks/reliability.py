"""Measure what reliability costs: checkpoints, the norm of the gradient, `--deterministic_ops`, checksums, locks.

    python benchmarks/reliability.py
    python benchmarks/reliability.py --quick

The training is that of `deterministic.py` on configs/mnist.py, 1.2 million weights, with 60,000 random images in place
of MNIST's. Variants take turns, epoch by epoch in one process, or process by process where TensorFlow has a switch that
cannot be turned back, so that whatever else the machine does meets all of them; medians are compared. Where the machine
is busy, the epochs differ by more than a checkpoint takes: CPU time, and the time of writing a checkpoint measured
alone and divided by that of an epoch, are the surer numbers.
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
    from scripts import ONLY_TEST, get_config, get_parts

    from uncertainty_suite import datasets, training
    from uncertainty_suite.training.checkpoint import named_variables

    made_up = {"size": 28, "channels": 1, "num_examples": 6_000 if quick else 60_000}
    overrides = {"dataset.name": "made_up_images", **{f"dataset.{name}": value for name, value in made_up.items()}}
    overrides["epochs"] = 100  # never reached: only so many as are measured
    config = get_config("deterministic", "mnist", {**ONLY_TEST, **overrides})
    steps_per_epoch = datasets.get("made_up_images", **made_up).steps_per_epoch(config.batch_size)

    def options(folder, checkpoint_every="1000h"):
        return training.Options(folder, checkpoint_every=checkpoint_every, deterministic_ops=deterministic)

    def start(folder, checkpoint_every, norm):
        """Return a loop, and a function that trains for one epoch and returns the seconds it took, wall and CPU."""
        loop = get_parts("deterministic", config, options(folder, checkpoint_every)).loop
        loop.ready = True

        def step(batch):
            scalars = loop.train_step(batch)
            return scalars if norm else {name: scalars[name] for name in scalars if name != "gradient_norm"}

        train_steps = training.compile_steps([step], training.get_strategy())
        train_steps([loop.batches], 1)  # compiles
        calls = iter(loop)
        num_steps = next(calls)

        def train_epoch():
            nonlocal num_steps
            started_at, cpu_at = time.perf_counter(), time.process_time()
            while True:
                loop.update(train_steps([loop.batches], num_steps)[0])
                num_steps = next(calls)  # ends the epoch, and writes the checkpoint
                if loop.starts_epoch:
                    return time.perf_counter() - started_at, time.process_time() - cpu_at

        return loop, train_epoch

    seconds = collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        intervals = {"epoch": "1000h"}
        if not deterministic:
            intervals |= {"epoch_and_checkpoint": f"{steps_per_epoch}steps", "norm": "1000h"}
        trainings = {name: start(Path(folder, name), every, name == "norm") for name, every in intervals.items()}
        for _ in range(2):
            for name, (_, train_epoch) in trainings.items():
                wall, cpu = train_epoch()
                seconds[name].append(wall)
                seconds[f"{name}_cpu"].append(cpu)
        loop = trainings["epoch"][0]
        checkpoint = training.Checkpoint(Path(folder, "checkpoints"), named_variables(loop.model, loop.optimizer))

        def seconds_of(call):
            started_at = time.perf_counter()
            call()
            return time.perf_counter() - started_at

        for i in range(5):
            seconds["save"].append(seconds_of(lambda: checkpoint.save(loop.step, {"history": loop.history})))
            seconds["restore"].append(seconds_of(checkpoint.restore))
            opened = options(Path(folder, f"opened_{i}"))
            seconds["open"].append(seconds_of(lambda opened=opened: training.Run(config, "deterministic.py", opened)))
    return seconds


if __name__ == "__main__":
    main()
