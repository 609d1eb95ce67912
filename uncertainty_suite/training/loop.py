"""The order of events of a training: which steps are still to do, and what is noted on the way."""

import contextlib
import json
import math
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from uncertainty_suite.errors import InputError
from uncertainty_suite.files import append_line, remove_partial, write_atomic
from uncertainty_suite.training import interruption, lock
from uncertainty_suite.training.checkpoint import Checkpoint, NotFiniteError
from uncertainty_suite.training.optimizers import scale_learning_rate
from uncertainty_suite.training.run import Run

_SECONDS_PER_CALL = 1.0  # of one compiled call: long enough to cost nothing, short enough for progress to move
_SECONDS_PER_CHECKPOINT = 60.0
_STEPS_PER_CHECKPOINT = math.inf
_STEPS_PER_CALL: int | None = None  # as many as take _SECONDS_PER_CALL
_MAX_ROLLBACKS = 0  # of one training
_UNITS = {"s": 1, "min": 60, "h": 3600}

num_together = 1  # trainings that share the time of this process; see `run_together`


def set_checkpoint_interval(interval: str) -> None:
    """Set how often the trainings of this process write a checkpoint; the results do not depend on it.

    Args:
        interval: For example `500steps`, `30s`, `5min` or `1h`.

    Raises:
        InputError: It is none of these.
    """
    global _SECONDS_PER_CHECKPOINT, _STEPS_PER_CHECKPOINT
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) *(steps?|s|min|h)", interval)
    number, unit = match.groups() if match else ("0", "")
    if float(number) == 0 or (unit.startswith("step") and "." in number):
        raise InputError(f"A checkpoint can be written every 500steps, 30s, 5min or 1h, say; received '{interval}'.")
    in_steps = unit.startswith("step")
    _STEPS_PER_CHECKPOINT = int(number) if in_steps else math.inf
    _SECONDS_PER_CHECKPOINT = math.inf if in_steps else float(number) * _UNITS[unit]


def set_steps_per_call(num_steps: int | None) -> None:
    """Set how many steps one compiled call takes, None for about a second's; the results do not depend on it."""
    global _STEPS_PER_CALL
    _STEPS_PER_CALL = num_steps


def set_on_nan(policy: str) -> None:
    """Set what the trainings of this process do when a number is not finite.

    Args:
        policy: `stop` raises an `InputError`. `rollback` goes back to the start of that epoch with half the learning
            rate and raises `RolledBack`, up to five times in one training, then it stops too.
    """
    global _MAX_ROLLBACKS
    _MAX_ROLLBACKS = {"stop": 0, "rollback": 5}[policy]


class RolledBack(Exception):
    """A training was rolled back, and its state is saved: call the script's `main` again, which takes that up."""


class Loop:
    """Hands out the steps of a training in compiled calls, and does the bookkeeping between them.

    Iterating gives the number of steps that the next call shall take; `update` takes what came of them. No call
    crosses the end of an epoch. At the end of each epoch a line goes to `history.jsonl` and scalars to TensorBoard;
    about once a minute (see `set_checkpoint_interval`), at the end of training, and when the program is asked to stop,
    a checkpoint is written. If the folder holds one, the loop starts behind it, and the training goes on bit for bit.

    To roll back (see `set_on_nan`) is to write such a checkpoint, of the start of the epoch and with the lower rate in
    its state, from which the script then goes on as a killed one does. The epoch's start, as which checkpoint is the
    last one depends on the clock, and the results must not.

    Example:
        >>> loop = Loop(run, model, optimizer, steps_per_epoch)
        >>> batches = iter(data.load(batch_size, training=True, start_step=loop.step))
        >>> for num_steps in loop:
        ...     loop.update(train_steps(batches, num_steps))
    """

    def __init__(
        self, run: Run, model: keras.Model, optimizer: keras.Optimizer, steps_per_epoch: int, name: str = ""
    ) -> None:
        """Restore the newest checkpoint, if there is one.

        Args:
            run: The run; the training lasts `run.config.epochs` epochs.
            model: The model, built.
            optimizer: Its optimizer, built.
            steps_per_epoch: Steps of one epoch.
            name: Of this training where the run has several, e.g. `members/3`; its files lie in that subfolder.
        """
        self._path = run.path / name
        self._name = name or run.config.method
        self._optimizer = optimizer
        self._epochs = run.config.epochs
        self._steps_per_epoch = steps_per_epoch
        self._id = f"{run.id}/{name}"
        if name:  # other processes may train other parts of the run
            self._lock = lock.hold(self._path)
            if not self._lock.shared:
                remove_partial(self._path)
        self._checkpoint = Checkpoint(self._path / "checkpoints", [*model.variables, *optimizer.variables])
        state = self._checkpoint.restore()
        start = {"step": 0, "seconds": 0.0, "history": [], "epoch_values": {}, "run": self._id}
        if state is None:
            state = start
        if state.get("run") != self._id or not start.keys() <= state.keys():
            raise InputError(
                f"The checkpoints in {self._checkpoint.folder} are of another run ({state.get('run')}, and this is "
                f"{self._id}). Choose another --output_dir."
            )
        self.step: int = state["step"]
        self.seconds: float = state["seconds"]
        self.history: list[dict[str, Any]] = state["history"]
        self._epoch_values: dict[str, list[float]] = state["epoch_values"]
        self._rollbacks: list[dict[str, Any]] = state.get("rollbacks", [])
        if self._rollbacks:
            scale_learning_rate(optimizer, self._rollbacks[-1]["learning_rate_factor"])
            run.rollbacks += [{**rollback, "training": self._name} for rollback in self._rollbacks]
        if _MAX_ROLLBACKS and not self.starts_epoch and not self._checkpoint.has(self._epoch_start(self.step)):
            raise InputError(
                f"{self._path} was begun without --on_nan=rollback, so nothing was kept to go back to. Leave that flag "
                "out, or choose another --output_dir."
            )
        logging.info(
            "%s: %s parameters, %d epochs of %d steps, %d examples a step over all devices, from step %d.",
            self._name,
            f"{model.count_params():,}",
            self._epochs,
            steps_per_epoch,
            run.config.batch_size,
            self.step,
        )

    @property
    def starts_epoch(self) -> bool:
        """Whether the next step is the first one of an epoch."""
        return self.step % self._steps_per_epoch == 0

    def __iter__(self) -> Iterator[int]:
        total = self._epochs * self._steps_per_epoch
        # What a killed process wrote after its last checkpoint goes, and what it had yet to remove.
        self._write_history()
        self._checkpoint.remove_others(self.step, self._keep())
        if self.step >= total:
            return
        self._writer = tf.summary.create_file_writer(str(self._path / "tensorboard"))
        if _MAX_ROLLBACKS and self.step == 0:
            self._save()
        saved_at, saved_step = time.perf_counter(), self.step
        steps_per_call, compiled = _STEPS_PER_CALL or 1, False
        # On a terminal the bar moves; in a log file it is a line now and then.
        interval = 0.1 if sys.stderr.isatty() else 30.0
        with (
            contextlib.closing(self._writer),
            tqdm(total=total, initial=self.step, desc=self._name, unit="step", mininterval=interval) as bar,
        ):
            while self.step < total:
                start, started_at = self.step, time.perf_counter()
                until_epoch = self._steps_per_epoch - self.step % self._steps_per_epoch
                until_checkpoint = max(1, saved_step + _STEPS_PER_CHECKPOINT - self.step)
                interruption.hold()  # until these steps are counted, and saved
                yield min(steps_per_call, until_epoch, until_checkpoint)
                if self.step == start:
                    raise RuntimeError("Loop.update() was not called with the results of the steps.")
                seconds = time.perf_counter() - started_at
                self.seconds += seconds / num_together
                # The first call traces and compiles, so its pace says nothing of the next ones'.
                if compiled and _STEPS_PER_CALL is None:
                    steps_per_call = max(1, math.floor(_SECONDS_PER_CALL * (self.step - start) / seconds))
                compiled = True
                bar.update(self.step - start)
                if self.starts_epoch:
                    self._end_epoch(bar)
                if (
                    self.step == total
                    or (_MAX_ROLLBACKS and self.starts_epoch)
                    or self.step - saved_step >= _STEPS_PER_CHECKPOINT
                    or time.perf_counter() - saved_at > _SECONDS_PER_CHECKPOINT
                    or interruption.received()
                ):
                    self._save()
                    saved_at, saved_step = time.perf_counter(), self.step
                interruption.release()

    def update(self, values: dict[str, np.ndarray]) -> None:
        """Note what the steps handed out last returned.

        Args:
            values: Each scalar of the train step, float `[num_steps]`, among them `loss`.

        Raises:
            InputError: One of them is not finite. The checkpoints are those of before.
            RolledBack: The same, where `set_on_nan` has it so.
        """
        # The first step counts, and in one step the loss, whose gradient is not finite either.
        finite = {name: np.isfinite(scalars) for name, scalars in values.items()}
        wrong = [(int(np.argmin(good)), name != "loss", name) for name, good in finite.items() if not good.all()]
        if wrong:
            index, _, name = min(wrong)
            raise self._not_finite(f"The {name.replace('_', ' ')} is {values[name][index]}", self.step + index)
        for name, scalars in values.items():
            self._epoch_values.setdefault(name, []).extend(scalars.tolist())
        self.step += len(values["loss"])

    def _end_epoch(self, bar: tqdm) -> None:
        epoch = self.step // self._steps_per_epoch
        means = {name: float(np.mean(scalars)) for name, scalars in sorted(self._epoch_values.items())}
        self._epoch_values = {}
        self.history.append({"epoch": epoch, "step": self.step, **means, "seconds": round(self.seconds, 3)})
        append_line(self._path / "history.jsonl", json.dumps(self.history[-1]))
        with self._writer.as_default(epoch):
            for name, value in means.items():
                tf.summary.scalar(f"train/{name}", value)
        bar.set_postfix(epoch=epoch, **{name: f"{value:.4f}" for name, value in means.items()}, refresh=False)

    def _save(self) -> None:
        state = {"seconds": self.seconds, "history": self.history, "epoch_values": self._epoch_values, "run": self._id}
        if self._rollbacks:
            state["rollbacks"] = self._rollbacks
        try:
            self._checkpoint.save(self.step, state, self._keep())
        except NotFiniteError as error:
            raise self._not_finite(f"The variable {error} is not finite", self.step - 1) from error

    def _keep(self) -> list[int]:
        return [self._epoch_start(self.step)] if _MAX_ROLLBACKS else []

    def _epoch_start(self, step: int) -> int:
        return step - step % self._steps_per_epoch

    def _not_finite(self, what: str, step: int) -> InputError | RolledBack:
        self._optimizer.iterations.assign(step)  # for the rate at that step; it is restored, or the training over
        what += f" at step {step} (epoch {step // self._steps_per_epoch + 1}) of {self._name}, with a learning rate of "
        what += f"{float(self._optimizer.learning_rate):.3g}"
        if len(self._rollbacks) < _MAX_ROLLBACKS:
            return self._roll_back(what, self._epoch_start(step))
        if self._rollbacks:
            what += f" after {len(self._rollbacks)} rollbacks"
        advice = "a smaller --config.optimizer.learning_rate or a longer warm-up"
        if not _MAX_ROLLBACKS:
            advice += ", or --on_nan=rollback"
        return InputError(f"{what}. Try {advice}, in another --output_dir; the last good checkpoint stays.")

    def _roll_back(self, what: str, step: int) -> RolledBack:
        """Make the state at `step`, the start of an epoch, the newest checkpoint, with half the learning rate."""
        factor = 0.5 ** (len(self._rollbacks) + 1)
        rollback = {"epoch": step // self._steps_per_epoch + 1, "step": step, "learning_rate_factor": factor}
        self._rollbacks = [*self._rollbacks, rollback]
        state = self._checkpoint.restore(step)
        self.step, self.history, self._epoch_values = step, state["history"], state["epoch_values"]
        self._save()
        message = (
            f"{what}: rolled back to step {step}, the start of that epoch; from there on the learning rate is {factor} "
            f"times the configuration's (rollback {len(self._rollbacks)} of at most {_MAX_ROLLBACKS})."
        )
        logging.warning(message)
        interruption.release()
        return RolledBack(message)

    def _write_history(self) -> None:
        lines = "".join(json.dumps(line) + "\n" for line in self.history)
        write_atomic(self._path / "history.jsonl", lambda file: file.write(lines.encode()))
