"""Several trainings at once in one process, as one small network does not keep all cores busy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

from uncertainty_suite import tf
from uncertainty_suite.training import interruption
from uncertainty_suite.training.loop import Loop
from uncertainty_suite.training.run import Run, num_cpus
from uncertainty_suite.training.strategy import CompiledSteps, compile_steps

T = TypeVar("T")


def shared_out(run: Run, parts: Sequence[T], at_once: int | None = None) -> Iterator[Sequence[T]]:
    """Share parts of a run out to groups that are best trained at once.

    Args:
        run: The run.
        parts: For example the members of an ensemble.
        at_once: The size of a group at most, which memory may limit. By default two for each core or, where that leaves
            some over, a few more, as many each time; and one after another on anything but one CPU.
    """
    if at_once is None:
        one_cpu = run.strategy.num_replicas_in_sync == 1 and not tf.config.list_logical_devices("GPU")
        at_once = group_size(len(parts)) if one_cpu else 1
    for start in range(0, len(parts), at_once):
        yield parts[start : start + at_once]


def group_size(num_trainings: int) -> int:
    """Return how many trainings are best run at once on one CPU: two for each core, the rest shared out evenly."""
    groups = max(1, num_trainings // (2 * num_cpus()))
    return max(1, math.ceil(num_trainings / groups))


def _compile(run: Run, loops: Sequence[Loop]) -> CompiledSteps:
    batch = run.config.batch_size, loops[0].rows_per_example
    return compile_steps([loop.train_step for loop in loops], run.strategy, *batch)


def train_together(run: Run, loops: Sequence[Loop]) -> None:
    """Take the steps of several trainings at once, until all have ended.

    The steps of several trainings become one compiled call. Each does the arithmetic that it would do alone, so its
    weights, checkpoints and history are the same bit for bit. The seconds that it notes are its share of those that
    passed.

    Args:
        run: Their run.
        loops: Their loops.

    Raises:
        Interrupted: The program was asked to stop, and each training under way has saved a checkpoint.
    """
    with interruption.held():
        stopping = False
        handing_out = {loop: iter(loop) for loop in loops}
        num_steps = {loop: next(steps, None) for loop, steps in handing_out.items()}
        compiled: list[Loop] = []
        while not stopping:
            under_way = [loop for loop in loops if num_steps[loop] is not None]
            if not under_way:
                break
            stopping = interruption.received()  # then all save in this round
            if under_way != compiled:  # at first; and when some have ended, those that are left
                take_steps, compiled = _compile(run, under_way), under_way
            steps = min(num_steps[loop] or 0 for loop in under_way)
            taken = take_steps([loop.batches for loop in under_way], steps)
            for loop, values, flops in zip(under_way, taken, take_steps.flops):
                loop.sharing, loop.step_flops = len(under_way), flops
                loop.update(values)
                num_steps[loop] = next(handing_out[loop], None)
