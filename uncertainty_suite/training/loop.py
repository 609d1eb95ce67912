"""The order of events of a training: which steps are still to do, and what is noted on the way."""

import json
import math
import sys
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from uncertainty_suite.errors import InputError
from uncertainty_suite.files import write_atomic
from uncertainty_suite.training.checkpoint import Checkpoint
from uncertainty_suite.training.run import Run

_SECONDS_PER_CALL = 1.0  # of one compiled call: long enough to cost nothing, short enough for progress to move
_SECONDS_PER_CHECKPOINT = 60.0


class Loop:
    """Hands out the steps of a training in compiled calls, and does the bookkeeping between them.

    Iterating gives the number of steps that the next call shall take; `update` takes what came of them. No call
    crosses the end of an epoch. At the end of each epoch a line goes to `history.jsonl` and scalars to TensorBoard;
    about once a minute and at the end of training, a checkpoint is written. If the folder holds one, the loop starts
    behind it, and the training goes on bit for bit.

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
        self._model = model
        self._epochs = run.config.epochs
        self._steps_per_epoch = steps_per_epoch
        self._checkpoint = Checkpoint(self._path / "checkpoints", [*model.variables, *optimizer.variables])
        state = self._checkpoint.restore() or {"step": 0, "seconds": 0.0, "history": [], "epoch_values": {}}
        self.step: int = state["step"]
        self.seconds: float = state["seconds"]
        self.history: list[dict[str, Any]] = state["history"]
        self._epoch_values: dict[str, list[float]] = state["epoch_values"]

    @property
    def starts_epoch(self) -> bool:
        """Whether the next step is the first one of an epoch."""
        return self.step % self._steps_per_epoch == 0

    def __iter__(self) -> Iterator[int]:
        total = self._epochs * self._steps_per_epoch
        if self.step >= total:
            return
        self._write_history()  # what a killed process wrote after its last checkpoint goes
        writer = tf.summary.create_file_writer(str(self._path / "tensorboard"))
        saved_at = time.perf_counter()
        steps_per_call, compiled = 1, False
        # On a terminal the bar moves; in a log file it is a line now and then.
        interval = 0.1 if sys.stderr.isatty() else 30.0
        with (
            writer.as_default(),
            tqdm(total=total, initial=self.step, desc=self._name, unit="step", mininterval=interval) as bar,
        ):
            while self.step < total:
                start, started_at = self.step, time.perf_counter()
                yield min(steps_per_call, self._steps_per_epoch - self.step % self._steps_per_epoch)
                if self.step == start:
                    raise RuntimeError("Loop.update() was not called with the results of the steps.")
                seconds = time.perf_counter() - started_at
                self.seconds += seconds
                if compiled:  # the first call traces and compiles, so its pace says nothing of the next ones'
                    steps_per_call = max(1, math.floor(_SECONDS_PER_CALL * (self.step - start) / seconds))
                compiled = True
                bar.update(self.step - start)
                if self.starts_epoch:
                    self._end_epoch(bar)
                if self.step == total or time.perf_counter() - saved_at > _SECONDS_PER_CHECKPOINT:
                    self._save()
                    saved_at = time.perf_counter()

    def update(self, values: dict[str, np.ndarray]) -> None:
        """Note what the steps handed out last returned.

        Args:
            values: Each scalar of the train step, float `[num_steps]`, among them `loss`.

        Raises:
            InputError: The loss is not finite. The checkpoints are those of before.
        """
        loss = values["loss"]
        if not np.isfinite(loss).all():
            step = self.step + int(np.argmin(np.isfinite(loss)))
            raise InputError(
                f"The loss is {loss[step - self.step]} at step {step} (epoch {step // self._steps_per_epoch + 1}) of "
                f"{self._name}. Try a smaller --config.optimizer.learning_rate or a longer warm-up."
            )
        for name, scalars in values.items():
            self._epoch_values.setdefault(name, []).extend(scalars.tolist())
        self.step += len(loss)

    def _end_epoch(self, bar: tqdm) -> None:
        epoch = self.step // self._steps_per_epoch
        means = {name: float(np.mean(scalars)) for name, scalars in sorted(self._epoch_values.items())}
        self._epoch_values = {}
        self.history.append({"epoch": epoch, "step": self.step, **means, "seconds": round(self.seconds, 3)})
        with open(self._path / "history.jsonl", "a") as file:
            file.write(json.dumps(self.history[-1]) + "\n")
        for name, value in means.items():
            tf.summary.scalar(f"train/{name}", value, step=epoch)
        bar.set_postfix(epoch=epoch, **{name: f"{value:.4f}" for name, value in means.items()}, refresh=False)

    def _save(self) -> None:
        state = {"seconds": self.seconds, "history": self.history, "epoch_values": self._epoch_values}
        self._checkpoint.save(self.step, state)

    def _write_history(self) -> None:
        lines = "".join(json.dumps(line) + "\n" for line in self.history)
        write_atomic(self._path / "history.jsonl", lambda file: file.write(lines.encode()))
