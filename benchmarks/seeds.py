"""What one program for several seeds would gain: their train steps, traced together and taken together.

    python benchmarks/seeds.py
    python benchmarks/seeds.py two_moons

Five seeds of a deterministic network are trained in turn, each by a program of its own, as a sweep does, and by one
program that takes a step of each, as `training.train_together` does for members of an ensemble. That both give the same
bits is checked. The last rows say what that makes of whole runs, evaluation and files included: those that a sweep
makes in one process, less what the rows before them save. "At most" is what no such program can be faster than:
nothing is traced, and a step is its matrix products and convolutions alone (see `limits.py`). The rows of `products`
compare these with stacked ones: a product of all seeds in one operation, and a grouped convolution.

The clock is the processor's, of all threads: that is what a program for several seeds could save, and other work on
the machine hardly changes it. The numbers are written to `benchmarks/results/seeds.json`. The exit status is 1 if the
target is missed.
"""

import argparse
import functools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from comparison import HEADER, Row, compare, format_line
from limits import Traced
from scripts import ROOT, Loop, get_config, get_parts

from uncertainty_suite import keras, tf, training
from uncertainty_suite.files import write_json
from uncertainty_suite.sweep.engines import execute
from uncertainty_suite.sweep.plan import Place, get_methods, get_tasks, plan
from uncertainty_suite.training.checkpoint import named_variables
from uncertainty_suite.training.run import provenance

METHOD = "deterministic"
NUM_SEEDS = 5
TARGET = 2.5
EACH = "a program each"
PRODUCTS = "products"
REPEATED = 50  # products in a call, so that calling costs nothing beside them
CLOCK = time.process_time


def get_loops(task: str, folder: Path) -> list[Loop]:
    """Return the training of each seed, as the script makes it."""
    configs = [get_config(METHOD, task, {"seed": seed}) for seed in range(NUM_SEEDS)]
    return [
        get_parts(METHOD, config, training.Options(output_dir=folder / str(config.seed))).loop for config in configs
    ]


def check_bits(alone: list[Loop], together: list[Loop]) -> None:
    """Compare all that training changes, of each seed.

    Raises:
        RuntimeError: A bit differs.
    """
    for one, other in zip(alone, together, strict=True):
        theirs = named_variables(other.model, other.optimizer)
        for name, variable in named_variables(one.model, one.optimizer).items():
            if np.asarray(variable).tobytes() != np.asarray(theirs[name]).tobytes():
                raise RuntimeError(f"{name} has other bits where several seeds are one program.")


def run_again(task: str, folder: Path) -> float:
    """Return how long a run takes in a process that has made one before."""
    methods, tasks = get_methods([METHOD]), get_tasks([str(ROOT / f"configs/{task}.py")])
    seconds = 0.0
    for run in plan(tasks, methods, [{}], range(2), [], Place(folder)):
        started_at = CLOCK()
        outcome = execute(run)
        seconds = CLOCK() - started_at
        if outcome.error:
            raise RuntimeError(f"{run.name}: {outcome.error}")
    return seconds


def repeat(function: Callable[[], list[tf.Tensor]], times: int) -> Callable[[], tf.Tensor]:
    """Return a function that computes what another returns so often, in one call."""

    def once(i: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return i + 1, total + tf.add_n([tf.reshape(output, [-1])[0] for output in function()])

    start = (tf.constant(0), tf.zeros([]))
    return tf.function(lambda: tf.while_loop(lambda i, _: i < times, once, start), autograph=False)


def compare_programs(task: str, folder: Path, repeats: int) -> Iterator[Row]:
    """Compare tracing, steps and, by these, whole runs."""
    whole = NUM_SEEDS * run_again(task, folder)  # first, since the first tracing of a process takes longer
    alone, together = (get_loops(task, folder / name) for name in ("alone", "together"))
    config, strategy = get_config(METHOD, task), training.get_strategy()
    epoch = alone[0].data.steps_per_epoch(config.batch_size)
    each = [training.compile_steps([loop.train_step], strategy) for loop in alone]
    program = training.compile_steps([loop.train_step for loop in together], strategy)

    def take_in_turn(steps: int) -> None:
        for take, loop in zip(each, alone):
            take([loop.batches], steps)

    def take_together(steps: int) -> None:
        program([loop.batches for loop in together], steps)

    sides = {"ours": functools.partial(take_together, 1), "theirs": functools.partial(take_in_turn, 1)}
    traced = compare(sides, 1, warm_up=False, clock=CLOCK)
    yield Row(f"tracing {NUM_SEEDS} seeds of {task}", EACH, *traced.values(), "x faster")
    sides = {"ours": functools.partial(take_together, epoch), "theirs": functools.partial(take_in_turn, epoch)}
    taken = compare(sides, repeats, clock=CLOCK)
    check_bits(alone, together)
    yield Row(f"an epoch of {NUM_SEEDS} seeds of {task}", EACH, *taken.values(), "x faster")
    products = Traced(tf.function(alone[0].train_step), next(alone[0].batches)).products_alone()
    multiplied = compare({"": repeat(products, NUM_SEEDS * epoch)}, repeats, clock=CLOCK)[""]
    yield Row(f"an epoch of {NUM_SEEDS} seeds of {task}, at most", EACH, multiplied, taken["theirs"], "x faster")
    of_steps = {name: config.epochs * np.median(seconds) for name, seconds in {**taken, "": multiplied}.items()}
    rest = whole - of_steps["theirs"] - traced["theirs"]
    what, against = f"{NUM_SEEDS} runs of {task}", "runs in turn"
    ours, most = rest + of_steps["ours"] + traced["ours"], rest + of_steps[""]
    yield Row(what, against, ours, np.array([whole]), "x faster", TARGET)
    yield Row(f"{what}, at most", against, most, np.array([whole]), "x faster")


def compare_products(repeats: int) -> Iterator[Row]:
    """Compare a product or convolution for each seed with a stacked one, of the sizes that digits have."""
    rng = np.random.default_rng(0)

    def make(*shape: int) -> list[tf.Tensor]:
        return [tf.constant(rng.normal(size=shape), tf.float32) for _ in range(NUM_SEEDS)]

    def convolve(images: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv2d(images, kernel, 1, "VALID")

    left, right, images, kernels = make(64, 256), make(256, 128), make(64, 6, 6, 32), make(3, 3, 32, 64)
    matrices, image, kernel = (tf.stack(left), tf.stack(right)), tf.concat(images, -1), tf.concat(kernels, -1)
    for what, each, stacked, split in (
        ("products", lambda: list(map(tf.matmul, left, right)), lambda: [tf.matmul(*matrices)], tf.unstack),
        (
            "convolutions",
            lambda: list(map(convolve, images, kernels)),
            lambda: [convolve(image, kernel)],
            lambda outputs: tf.split(outputs, NUM_SEEDS, -1),
        ),
    ):
        same = all(map(np.array_equal, each(), split(*stacked())))
        seconds = compare({"ours": repeat(stacked, REPEATED), "theirs": repeat(each, REPEATED)}, repeats, clock=CLOCK)
        what = f"{NUM_SEEDS} {what} as one, {'the same' if same else 'other'} bits"
        yield Row(what, f"{NUM_SEEDS} operations", *seconds.values(), "x faster")
    try:
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            outputs = convolve(image, kernel)
        tape.gradient(outputs, kernel)
    except tf.errors.InvalidArgumentError as error:
        print(f"# The grouped convolution has no gradient: {error.message.partition('}} ')[2] or error.message}")


def main() -> int:
    """Run the benchmark; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "what", nargs="*", default=["digits", PRODUCTS], help="files of configs/ with classes; products"
    )
    parser.add_argument("--repeats", type=int, default=5, help="how often each side is timed")
    parser.add_argument("--output_dir", type=Path, default=ROOT / "benchmarks/results")
    arguments = parser.parse_args()
    path = arguments.output_dir / "seeds.json"
    record = json.loads(path.read_text()) if path.exists() else {}
    made_with = {name: value for name, value in provenance().items() if name != "host"}
    print(HEADER)
    for what in arguments.what:
        rows = []
        with tempfile.TemporaryDirectory() as folder:
            programs = functools.partial(compare_programs, what, Path(folder))
            for row in (compare_products if what == PRODUCTS else programs)(arguments.repeats):
                rows.append(row.summarize())
                print(format_line(rows[-1]), flush=True)
        record[what] = {**made_with, "rows": rows}
        write_json(path, record)
        keras.utils.clear_session()
    return int(any(not row["met"] for what in arguments.what for row in record[what]["rows"]))


if __name__ == "__main__":
    sys.exit(main())
