"""What one program for several seeds would gain: their train steps, traced together and taken together.

    python benchmarks/seeds.py
    python benchmarks/seeds.py --task two_moons

Five seeds of a deterministic network are trained in turn, each by a program of its own, as a sweep does, and by one
program that takes a step of each, as `training.train_together` does for members of an ensemble. That both give the same
bits is checked. The last rows say what that makes of whole runs, evaluation and files included: those that a sweep
makes in one process, less what the rows before them save. "At most" is what no such program can be faster than: nothing
is traced, and a step is its matrix products and convolutions alone (see `limits.py`).

The clock is the processor's, of all threads: that is what a program for several seeds could save, and other work on the
machine hardly changes it. The numbers are written to `benchmarks/results/seeds.json`, by task. The exit status is 1 if
the target is missed.
"""

import argparse
import functools
import json
import sys
import tempfile
import time
from collections.abc import Iterator
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

    @tf.function
    def multiply() -> tf.Tensor:
        total = tf.zeros([])
        for _ in tf.range(NUM_SEEDS * epoch):
            total += tf.add_n([tf.reshape(number, []) for number in products()])
        return total

    multiplied = compare({"": multiply}, repeats, clock=CLOCK)[""]
    yield Row(f"an epoch of {NUM_SEEDS} seeds of {task}, at most", EACH, multiplied, taken["theirs"], "x faster")
    of_steps = {name: config.epochs * np.median(seconds) for name, seconds in {**taken, "": multiplied}.items()}
    rest = whole - of_steps["theirs"] - traced["theirs"]
    what, against = f"{NUM_SEEDS} runs of {task}", "runs in turn"
    ours, most = rest + of_steps["ours"] + traced["ours"], rest + of_steps[""]
    yield Row(what, against, ours, np.array([whole]), "x faster", TARGET)
    yield Row(f"{what}, at most", against, most, np.array([whole]), "x faster")


def main() -> int:
    """Run the benchmark; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", nargs="+", default=["digits"], help="files of configs/ with classes")
    parser.add_argument("--repeats", type=int, default=5, help="how often an epoch is timed")
    parser.add_argument("--output_dir", type=Path, default=ROOT / "benchmarks/results")
    arguments = parser.parse_args()
    path = arguments.output_dir / "seeds.json"
    record = json.loads(path.read_text()) if path.exists() else {}
    made_with = {name: value for name, value in provenance().items() if name != "host"}
    print(HEADER)
    for task in arguments.task:
        rows = []
        with tempfile.TemporaryDirectory() as folder:
            for row in compare_programs(task, Path(folder), arguments.repeats):
                rows.append(row.summarize())
                print(format_line(rows[-1]), flush=True)
        record[task] = {**made_with, "rows": rows}
        keras.utils.clear_session()
    write_json(path, record)
    return int(any(not row["met"] for task in arguments.task for row in record[task]["rows"]))


if __name__ == "__main__":
    sys.exit(main())
