"""What a run can be told that changes none of its results."""

import dataclasses
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uncertainty_suite.errors import InputError, unknown_name

STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")
_UNITS = {"s": 1, "min": 60, "h": 3600}
_MOST_ROLLBACKS = 5
_ON_NAN = ("stop", "rollback")


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of a run that are no part of its configuration, since no result depends on them.

    Attributes:
        output_dir: The run folder; by default `runs/<data set>/<method>-<hash>/seed<seed>`.
        data_dir: Folder of prepared data sets; see `datasets.get`.
        checkpoint_every: `500steps`, `30s`, `5min` or `1h`.
        steps_per_call: Training steps that one compiled call takes; by default as many as take about a second.
        on_nan: What happens when a number is not finite. `stop` raises an `InputError`. `rollback` goes back to the
            start of that epoch with half the learning rate, up to five times in one training, then it stops too; only
            a run that would have no result gets another one.
        deterministic_ops: Whether TensorFlow takes only operations that repeat bit for bit; for GPUs, and slower.
        strategy: Where training runs: a name that `training.get_strategy` knows, or a `tf.distribute.Strategy`. No
            result depends on it, but for the order in which float32 numbers are added up.
        config_file: The configuration file that was read, with its variant, so that a run can be opened again.
        command: What made the run, for its provenance; by default the command line of this process.
        tuned: What was chosen by a search before the run, by field, for its record; see `configuration.read_tuned`. Of
            a field that has another value than the chosen one nothing is recorded.
        trained: A finished run whose network is taken in place of a training: of the script that the section's
            `trains_as` names, with the same configuration, so that the result is the same.
        restore_only: Whether a finished training is only restored: nothing is trained or written, and `evaluate` hands
            over the predict function.
        train_only: Whether the training is not evaluated: in place of that `evaluate` hands over the predict function.
        start_from: A folder with a finished training of the same script, with whose networks this one begins, and with
            an optimizer and a state of its own. With `train_only` alone: results depend on it, and no record says so.

    Raises:
        InputError: A value is not allowed.
    """

    output_dir: str | Path | None = None
    data_dir: str | Path | None = None
    checkpoint_every: str = "1min"
    steps_per_call: int | None = None
    on_nan: str = "stop"
    deterministic_ops: bool = False
    strategy: Any = "auto"
    config_file: str | None = None
    command: str | None = None
    tuned: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    trained: str | Path | None = None
    restore_only: bool = False
    train_only: bool = False
    start_from: str | Path | None = None

    def __post_init__(self) -> None:
        if self.output_dir == "":
            raise InputError("--output_dir is empty. Name a folder, or leave the flag out.")
        if self.steps_per_call is not None and self.steps_per_call < 1:
            raise InputError(f"--steps_per_call must be at least 1, received {self.steps_per_call}.")
        if isinstance(self.strategy, str) and self.strategy not in STRATEGIES:
            raise unknown_name("value of --strategy", self.strategy, STRATEGIES)
        if self.on_nan not in _ON_NAN:
            raise unknown_name("value of --on_nan", self.on_nan, _ON_NAN)
        if self.start_from is not None and not self.train_only:
            raise InputError("Results depend on start_from, and no record says so: it needs train_only.")
        self._checkpoint_interval()

    @property
    def steps_per_checkpoint(self) -> float:
        """Steps between two checkpoints, infinite where time decides."""
        return self._checkpoint_interval()[0]

    @property
    def seconds_per_checkpoint(self) -> float:
        """Seconds between two checkpoints, infinite where steps decide."""
        return self._checkpoint_interval()[1]

    @property
    def most_rollbacks(self) -> int:
        """How often one training may be rolled back."""
        return _MOST_ROLLBACKS if self.on_nan == "rollback" else 0

    def _checkpoint_interval(self) -> tuple[float, float]:
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) *(steps?|s|min|h)", self.checkpoint_every)
        number, unit = match.groups() if match else ("0", "")
        if float(number) == 0 or (unit.startswith("step") and "." in number):
            raise InputError(
                f"A checkpoint can be written every 500steps, 30s, 5min or 1h, say; received '{self.checkpoint_every}'."
            )
        if unit.startswith("step"):
            return int(number), math.inf
        return math.inf, float(number) * _UNITS[unit]
