"""Several trainings at once in one process, as one small network does not keep all cores busy."""

import math
from collections.abc import Generator, Sequence
from typing import Any, TypeVar

import tensorflow as tf

from uncertainty_suite.training import interruption, loop
from uncertainty_suite.training.run import num_cpus
from uncertainty_suite.training.strategy import compile_steps_together, get_strategy

T = TypeVar("T")
Training = Generator[tuple, dict[str, Any], T]


def run_together(trainings: Sequence[Training[T]], at_once: int | None = None) -> list[T]:
    """Run trainings, some at once, and return what each returns.

    A training is a generator that yields what `compile_steps` and the compiled function take instead of calling them,
    and is sent what comes of it: `loop.update((yield train_step, batches, num_steps))`. The steps of several trainings
    become one compiled call. Each does the arithmetic that it would do alone, so its weights, checkpoints and history
    are the same bit for bit. The seconds that it notes are its share of those that passed.

    Args:
        trainings: What to run; one that has not started takes no memory.
        at_once: How many share the cores, and memory, at most. By default two for each core or, where that leaves some
            over, a few more, as many each time; and one after another on anything but one CPU.

    Raises:
        Interrupted: The program was asked to stop, and each training under way has saved a checkpoint.
    """
    if at_once is None:
        one_cpu = get_strategy().num_replicas_in_sync == 1 and not tf.config.list_logical_devices("GPU")
        at_once = share_out(len(trainings)) if one_cpu else 1
    results = []
    for start in range(0, len(trainings), at_once):
        with interruption.held():
            results += _run(trainings[start : start + at_once])
    return results


def share_out(num_trainings: int) -> int:
    """Return how many trainings are best run at once on one CPU: two for each core, the rest shared out evenly."""
    groups = max(1, num_trainings // (2 * num_cpus()))
    return max(1, math.ceil(num_trainings / groups))


def _run(trainings: Sequence[Training[T]]) -> list[T]:
    under_way, results = {}, {}

    def resume(training: Training[T], values: dict[str, Any] | None) -> None:
        try:
            under_way[training] = training.send(values)
        except StopIteration as stop:
            results[training] = stop.value
            under_way.pop(training, None)

    for training in trainings:
        resume(training, None)
    compiled, stopping = [], False
    while under_way and not stopping:
        stopping = interruption.received()  # then all save in this round
        steps, batches, num_steps = zip(*under_way.values())
        if list(under_way) != compiled:  # at first; and when some have ended, those that are left
            train_steps, compiled = compile_steps_together(steps, get_strategy()), list(under_way)
        loop.num_together = len(compiled)
        try:
            for training, values in zip(compiled, train_steps(batches, min(num_steps))):
                resume(training, values)
        finally:
            loop.num_together = 1
    return [results.get(training) for training in trainings]  # all there, or else `held` raises now
