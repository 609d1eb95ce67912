"""The order of events of a training: which steps are still to do, and what is noted on the way."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from tqdm import tqdm

from uncertainty_suite import datasets, keras, tf
from uncertainty_suite.errors import DivergedError, InputError
from uncertainty_suite.files import append_line, remove_partial, write_atomic
from uncertainty_suite.training import interruption, lock
from uncertainty_suite.training.checkpoint import Checkpoint, NotFiniteError, named_variables
from uncertainty_suite.training.optimizers import scale_learning_rate
from uncertainty_suite.training.run import Run
from uncertainty_suite.training.strategy import (
    CompiledSteps,
    Step,
    compile_steps,
    describe,
    distribute,
    gather,
    is_cluster,
)

_SECONDS_PER_CALL = 1.0  # of one compiled call: long enough to cost nothing, short enough for progress to move
_STEPS_PER_CALL_OF_A_CLUSTER = 10  # its processes must all take as many, so no clock can say how many


class RolledBack(Exception):
    """A training was rolled back, and its state is saved: call the script's `main` again, which takes that up."""


class Loop:
    """Hands out the steps of a training in compiled calls, and does the bookkeeping between them.

    Iterating gives the number of steps that the next call shall take; `take` takes them. No call crosses the end of an
    epoch. At the end of each epoch a line goes to `history.jsonl` and scalars to TensorBoard; about once a minute (see
    `Options.checkpoint_every`), at the end of training, and when the program is asked to stop, a checkpoint is written.
    If the folder holds one, the loop starts behind it, and the training goes on bit for bit.

    To roll back (see `Options.on_nan`) is to write such a checkpoint, of the start of the epoch and with the lower rate
    in its state, from which the script then goes on as a killed one does. The epoch's start, as which checkpoint is the
    last one depends on the clock, and the results must not.

    Example:
        >>> loop = Loop(run, data, model, optimizer, train_step)
        >>> for steps in loop:
        ...     loop.take(steps)

    Attributes:
        step: Steps taken.
        seconds: Seconds that they took, over all processes.
        history: A dict for each epoch, as in `history.jsonl`.
        train_step: The step.
        step_flops: FLOPs of one step; None until one was taken, or where `cost.count_flops` cannot count them.
        sharing: How many trainings share the time of this process; see `train_together`.
    """

    def __init__(
        self,
        run: Run,
        data: datasets.Dataset,
        model: keras.Model,
        optimizer: keras.Optimizer,
        train_step: Step,
        state: Mapping[str, Any] | None = None,
        name: str = "",
    ) -> None:
        """Restore the newest checkpoint, if there is one.

        Args:
            run: The run; the training lasts `run.config.epochs` epochs.
            data: What is trained on, in batches of `run.config.batch_size`.
            model: The model, built.
            optimizer: Its optimizer, built.
            train_step: Takes a replica's batch, trains on it, and returns float32 scalars by name, among them `loss`.
            state: What the method keeps beside weights, variables by name; it is in the checkpoint too.
            name: Of this training where the run has several, e.g. `members/3`; its files lie in that subfolder.

        Raises:
            InputError: The checkpoints are damaged, or of another run; or training is to be restored and not finished.
        """
        self.train_step = train_step
        self.sharing = 1
        self.rows_per_example = data.rows_per_example
        self._run = run
        self._data = data
        self._path = run.path / name
        self._name = name or run.config.method
        self._optimizer = optimizer
        self._epochs = run.config.epochs
        self._steps_per_epoch = data.steps_per_epoch(run.config.batch_size)
        self._most_rollbacks = run.options.most_rollbacks
        self._id = f"{run.trained_id}/{name}"
        self._batches: Any = None
        self._train_steps: CompiledSteps | None = None
        self._writes = run.chief and not run.options.restore_only
        for folder in (self._path / "checkpoints", self._path / "tensorboard"):
            if folder.exists() and not folder.is_dir():
                raise InputError(f"{folder} is no folder. Remove it, or choose another --output_dir.")
        if name and self._writes:  # other processes may train other parts of the run
            self._lock = lock.hold(self._path)
            if not self._lock.shared:
                remove_partial(self._path)
        run.models.append(model)
        self._checkpoint = Checkpoint(self._path / "checkpoints", named_variables(model, optimizer, state))
        self._restore(named_variables(model, optimizer), name)
        if run.options.restore_only and self.step < self._epochs * self._steps_per_epoch:
            raise InputError(
                f"{self._path} is trained up to step {self.step} of {self._epochs * self._steps_per_epoch}: give its "
                "command again to finish the training first."
            )
        if self._most_rollbacks and not self.starts_epoch and not self._checkpoint.has(self._epoch_start(self.step)):
            raise InputError(
                f"{self._path} was begun without --on_nan=rollback, so nothing was kept to go back to. Leave that flag "
                "out, or choose another --output_dir."
            )
        if not run.options.restore_only:
            logging.info(
                "%s: %s parameters, %d epochs of %d steps, %s a step, from step %d.",
                self._name,
                f"{model.count_params():,}",
                self._epochs,
                self._steps_per_epoch,
                describe(run.config.batch_size, run.strategy),
                self.step,
            )
            self._check_agreement()

    def _restore(self, trained: Mapping[str, Any], name: str) -> None:
        """Restore what is saved; where nothing is and `Options.trained` names a run, `trained` from that one."""
        state = self._checkpoint.restore()
        start: dict[str, Any] = {
            "step": 0,
            "seconds": 0.0,
            "history": [],
            "epoch_values": {},
            "fitted": False,
            "step_flops": None,
            "run": self._id,
        }
        if state is None and self._run.options.trained is not None:
            saved = Checkpoint(Path(self._run.options.trained) / "checkpoints", trained).restore()
            if saved is None:
                raise InputError(f"--trained={self._run.options.trained} has no checkpoints any more. Leave it out.")
            state = {**saved, "run": self._id, "fitted": False}
        if state is None and self._run.options.start_from is not None:
            self._start_from(Path(self._run.options.start_from) / name / "checkpoints")
        if state is None:
            state = start
        if state.get("run") != self._id or not start.keys() <= state.keys():
            raise InputError(
                f"The checkpoints in {self._checkpoint.folder} are of another run ({state.get('run')}, and this is "
                f"{self._id}). Choose another --output_dir."
            )
        if not _is_state(state, self._epochs * self._steps_per_epoch):
            raise InputError(
                f"The state in the newest checkpoint of {self._checkpoint.folder} is none that a training has. Delete "
                "that folder to train from the start."
            )
        self.step: int = state["step"]
        self.seconds: float = state["seconds"]
        self.history: list[dict[str, Any]] = state["history"]
        self._epoch_values: dict[str, list[float]] = state["epoch_values"]
        self._fitted: bool = state["fitted"]
        self.step_flops: float | None = state["step_flops"]
        self._rollbacks: list[dict[str, Any]] = state.get("rollbacks", [])
        if self._rollbacks:
            scale_learning_rate(self._optimizer, self._rollbacks[-1]["learning_rate_factor"])
            self._run.rollbacks += [{**rollback, "training": self._name} for rollback in self._rollbacks]

    def _start_from(self, folder: Path) -> None:
        """Take the model's variables of another training's newest checkpoint; all others stay as they are."""
        variables = self._checkpoint.variables
        fresh = {key: np.array(each) for key, each in variables.items() if not key.startswith("model/")}
        if Checkpoint(folder, variables).restore() is None:
            raise InputError(f"There is no checkpoint in {folder} to start from.")
        for key, value in fresh.items():
            variables[key].assign(value)

    def _check_agreement(self) -> None:
        """Refuse to train in a cluster whose processes would not train the same: they must go on from the same step."""
        if not is_cluster(self._run.strategy):
            return
        same = int.from_bytes(hashlib.sha256(f"{self._id}{self._data.fingerprint()}".encode()).digest()[:7])
        everywhere = gather([same, self.step], self._run.strategy)
        if len(np.unique(everywhere[:, 0])) > 1:
            raise InputError(
                "The processes of the cluster have other data or other configurations. Give all of them the same "
                "command and the same data."
            )
        if len(np.unique(everywhere[:, 1])) > 1:
            raise InputError(
                f"The processes of the cluster go on from other steps ({', '.join(map(str, everywhere[:, 1]))}): "
                f"{self._path} must be one folder that all machines see. Choose such an --output_dir."
            )

    @property
    def starts_epoch(self) -> bool:
        """Whether the next step is the first one of an epoch."""
        return self.step % self._steps_per_epoch == 0

    @property
    def epoch(self) -> int:
        """Epochs that are complete."""
        return self.step // self._steps_per_epoch

    @property
    def flops(self) -> float | None:
        """FLOPs of the steps taken, or None where they cannot be counted."""
        return None if self.step_flops is None else self.step_flops * self.step

    @property
    def batches(self) -> Any:
        """The endless iterator over the batches that are left, shared out to the replicas."""
        if self._batches is None:
            self._batches = distribute(self._data, self._run.config.batch_size, self.step, self._run.strategy)
        return self._batches

    def __iter__(self) -> Iterator[int]:
        total = self._epochs * self._steps_per_epoch
        if self._writes:
            # What a killed process wrote after its last checkpoint goes, and what it had yet to remove.
            self._write_history()
            self._checkpoint.remove_others(self.step, self._keep())
        if self.step >= total:
            return
        options = self._run.options
        if self._most_rollbacks and self.step == 0:
            self._save()
        saved_at, saved_step = time.perf_counter(), self.step
        cluster = _STEPS_PER_CALL_OF_A_CLUSTER if is_cluster(self._run.strategy) else None
        fixed = options.steps_per_call or cluster
        steps_per_call, compiled = fixed or 1, False
        # On a terminal the bar moves; in a log file it is a line now and then.
        interval = 0.1 if sys.stderr.isatty() else 30.0
        with (
            self._scalars(),
            tqdm(
                total=total,
                initial=self.step,
                desc=self._name,
                unit="step",
                mininterval=interval,
                disable=not self._writes,
            ) as bar,
        ):
            while self.step < total:
                start, started_at = self.step, time.perf_counter()
                until_epoch = self._steps_per_epoch - self.step % self._steps_per_epoch
                until_checkpoint = max(1, saved_step + options.steps_per_checkpoint - self.step)
                interruption.hold()  # until these steps are counted, and saved
                yield int(min(steps_per_call, until_epoch, until_checkpoint))
                if self.step == start:
                    raise RuntimeError("Loop.take() was not called with the number of steps.")
                seconds = time.perf_counter() - started_at
                self.seconds += seconds / self.sharing
                # The first call traces and compiles, so its pace says nothing of the next ones'.
                if compiled and fixed is None:
                    steps_per_call = max(1, math.floor(_SECONDS_PER_CALL * (self.step - start) / seconds))
                compiled = True
                bar.update(self.step - start)
                if self.starts_epoch:
                    self._end_epoch(bar)
                if (
                    self.step == total
                    or (self._most_rollbacks and self.starts_epoch)
                    or self.step - saved_step >= options.steps_per_checkpoint
                    or time.perf_counter() - saved_at > options.seconds_per_checkpoint
                    or interruption.received()
                ):
                    self._save()
                    saved_at, saved_step = time.perf_counter(), self.step
                interruption.release()

    def take(self, num_steps: int) -> None:
        """Take the steps handed out last.

        Raises:
            DivergedError: A scalar of a step is not finite. The checkpoints are those of before.
            RolledBack: The same, where `Options.on_nan` has it so.
        """
        if self._train_steps is None:
            batch = self._run.config.batch_size, self.rows_per_example
            self._train_steps = compile_steps([self.train_step], self._run.strategy, *batch)
        (values,) = self._train_steps([self.batches], num_steps)
        (self.step_flops,) = self._train_steps.flops
        self.update(values)

    def update(self, values: Mapping[str, np.ndarray]) -> None:
        """Note what the steps handed out last returned, where they were not taken by `take`.

        Args:
            values: Each scalar of the train step, float `[num_steps]`, among them `loss`.

        Raises:
            DivergedError: As `take`.
            RolledBack: As `take`.
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

    def once(self, fit: Callable[[], None]) -> None:
        """After training, run what a method fits then, unless the checkpoint holds that already, and save it.

        Args:
            fit: Changes variables of the model or of `state`.

        Raises:
            InputError: The training is to be restored, and this was not reached.
        """
        if self._fitted:
            return
        if self._run.options.restore_only:
            raise InputError(f"{self._path} was stopped before its training was complete: give its command again.")
        fit()
        self._fitted = True
        self._save()

    @contextlib.contextmanager
    def _scalars(self) -> Iterator[None]:
        self._writer = None
        if not self._writes:
            yield
            return
        self._writer = tf.summary.create_file_writer(str(self._path / "tensorboard"))
        try:
            yield
        finally:
            # Eagerly: an iterator that nobody exhausts is closed by the garbage collector, while a graph may be traced.
            with tf.init_scope():
                self._writer.close()

    def _end_epoch(self, bar: tqdm) -> None:
        epoch = self.step // self._steps_per_epoch
        means = {name: float(np.mean(scalars)) for name, scalars in sorted(self._epoch_values.items())}
        self._epoch_values = {}
        self.history.append({"epoch": epoch, "step": self.step, **means, "seconds": round(self.seconds, 3)})
        if self._writer is None:
            return
        append_line(self._path / "history.jsonl", json.dumps(self.history[-1]))
        with self._writer.as_default(epoch):
            for name, value in means.items():
                tf.summary.scalar(f"train/{name}", value)
        bar.set_postfix({"epoch": epoch, **{name: f"{value:.4f}" for name, value in means.items()}}, refresh=False)

    def _save(self) -> None:
        if not self._writes:
            return
        state = {
            "seconds": self.seconds,
            "history": self.history,
            "epoch_values": self._epoch_values,
            "fitted": self._fitted,
            "step_flops": self.step_flops,
            "run": self._id,
        }
        if self._rollbacks:
            state["rollbacks"] = self._rollbacks
        try:
            self._checkpoint.save(self.step, state, self._keep())
        except NotFiniteError as error:
            raise self._not_finite(f"The variable {error} is not finite", self.step - 1) from error

    def _keep(self) -> list[int]:
        return [self._epoch_start(self.step)] if self._most_rollbacks else []

    def _epoch_start(self, step: int) -> int:
        return step - step % self._steps_per_epoch

    def _not_finite(self, what: str, step: int) -> DivergedError | RolledBack:
        self._optimizer.iterations.assign(step)  # for the rate at that step; it is restored, or the training over
        what += f" at step {step} (epoch {step // self._steps_per_epoch + 1}) of {self._name}, with a learning rate of "
        what += f"{float(self._optimizer.learning_rate):.3g}"
        if len(self._rollbacks) < self._most_rollbacks:
            return self._roll_back(what, self._epoch_start(step))
        if self._rollbacks:
            what += f" after {len(self._rollbacks)} rollbacks"
        advice = "a smaller --config.optimizer.learning_rate or a longer warm-up"
        if not self._most_rollbacks:
            advice += ", or --on_nan=rollback"
        return DivergedError(f"{what}. Try {advice}, in another --output_dir; the last good checkpoint stays.")

    def _roll_back(self, what: str, step: int) -> RolledBack:
        """Make the state at `step`, the start of an epoch, the newest checkpoint, with half the learning rate."""
        factor = 0.5 ** (len(self._rollbacks) + 1)
        rollback = {"epoch": step // self._steps_per_epoch + 1, "step": step, "learning_rate_factor": factor}
        self._rollbacks = [*self._rollbacks, rollback]
        state = self._checkpoint.restore(step)
        if state is None:
            raise RuntimeError(f"The checkpoint of step {step} was not kept.")
        self.step, self.history, self._epoch_values = step, state["history"], state["epoch_values"]
        self._save()
        if is_cluster(self._run.strategy):
            gather([step], self._run.strategy)  # nobody goes on before the chief has written that
        message = (
            f"{what}: rolled back to step {step}, the start of that epoch; from there on the learning rate is {factor} "
            f"times the configuration's (rollback {len(self._rollbacks)} of at most {self._most_rollbacks})."
        )
        logging.warning(message)
        interruption.release()
        return RolledBack(message)

    def _write_history(self) -> None:
        lines = "".join(json.dumps(line) + "\n" for line in self.history)
        write_atomic(self._path / "history.jsonl", lambda file: file.write(lines.encode()))


def _is_state(state: Mapping[str, Any], last_step: int) -> bool:
    """Return whether what a checkpoint holds beside variables is of the types, and within the limits, of a training."""

    def number(value: Any) -> bool:
        return type(value) in (int, float) and math.isfinite(value) and value >= 0

    lists = [state["history"], state.get("rollbacks", [])]
    return (
        type(state["step"]) is int
        and 0 <= state["step"] <= last_step
        and number(state["seconds"])
        and (state["step_flops"] is None or number(state["step_flops"]))
        and type(state["fitted"]) is bool
        and all(isinstance(each, list) and all(isinstance(line, dict) for line in each) for each in lists)
        and all(number(each.get("learning_rate_factor")) for each in lists[1])
        and isinstance(state["epoch_values"], dict)
        and all(isinstance(values, list) for values in state["epoch_values"].values())
        and all(type(value) in (int, float) for values in state["epoch_values"].values() for value in values)
    )
