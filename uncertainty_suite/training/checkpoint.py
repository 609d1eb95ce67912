"""Checkpoints from which a run goes on bit for bit."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import logging

from uncertainty_suite.errors import InputError
from uncertainty_suite.files import read_arrays, write_atomic

_KEPT = 2


class Checkpoint:
    """Saves and restores a set of variables and some JSON state.

    A checkpoint is one `.npz` file: the variables in their order, and the state. Keras' own formats leave out the
    random state of dropout layers; `model.variables` holds it, so it is saved here with the rest. No pickle is written
    or read, every array carries a checksum (CRC-32, by the zip format) that reading verifies, and a file appears whole
    or not at all. The last two are kept.

    Example:
        >>> checkpoint = Checkpoint("run/checkpoints", [*model.variables, *optimizer.variables])
        >>> checkpoint.save(step=100, state={"history": []})
        >>> checkpoint.restore()
        {"step": 100, "history": []}
    """

    def __init__(self, folder: str | Path, variables: Iterable[keras.Variable]) -> None:
        """Bind a folder to variables.

        Args:
            folder: Where the files are or shall be.
            variables: All that training changes: the model's variables and the optimizer's, built.
        """
        self.folder = Path(folder)
        self.variables = list({id(variable): variable for variable in variables}.values())

    def save(self, step: int, state: dict[str, Any], keep: Iterable[int] = ()) -> None:
        """Write a checkpoint of `step` with a JSON-able `state`, then delete all but it, the one before it and `keep`.

        Raises:
            NotFiniteError: A variable holds NaN or infinity. The checkpoints are those of before.
            InputError: The file cannot be written. The checkpoints are those of before.
        """
        arrays = {f"{i:05d}": np.asarray(variable) for i, variable in enumerate(self.variables)}
        for variable, value in zip(self.variables, arrays.values()):
            if not np.isfinite(value).all():
                raise NotFiniteError(variable.path)
        arrays["state"] = np.frombuffer(json.dumps({**state, "step": step}).encode(), np.uint8)
        write_atomic(self._path(step), lambda file: np.savez(file, **arrays))
        self.remove_others(step, keep)

    def remove_others(self, step: int, keep: Iterable[int] = ()) -> None:
        """Delete all checkpoints but that of `step`, the one before it and `keep`."""
        # Those of later steps are damaged, or this one had not been come to.
        kept = [path for path in self._paths() if path <= self._path(step)][-_KEPT:]
        for path in set(self._paths()) - {*kept, *map(self._path, keep)}:
            path.unlink()

    def restore(self, step: int | None = None) -> dict[str, Any] | None:
        """Restore the newest checkpoint that is whole, or that of a step.

        A damaged one is reported as a warning and the one before it is taken.

        Returns:
            The state it was saved with, and its `step`; None where there is no checkpoint.

        Raises:
            InputError: Checkpoints are there and none can be read, or the newest one is of another architecture.
        """
        paths = self._paths() if step is None else [self._path(step)]
        for path in reversed(paths):
            try:
                arrays = read_arrays(path)
                state = dict(json.loads(arrays.pop("state").tobytes()))
            except (OSError, TypeError, ValueError, KeyError, RecursionError) as error:
                logging.warning("Checkpoint %s is damaged (%s); trying the one before it.", path, error)
                continue
            self._assign(path, arrays)
            return state
        if paths:
            raise InputError(f"No checkpoint in {self.folder} can be read. Delete that folder to train from the start.")
        return None

    def has(self, step: int) -> bool:
        """Return whether there is a checkpoint of a step, whole or damaged."""
        return self._path(step).exists()

    def _path(self, step: int) -> Path:
        return self.folder / f"{step:09d}.npz"

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.npz"))

    def _assign(self, path: Path, arrays: dict[str, np.ndarray]) -> None:
        saved = [arrays[key] for key in sorted(arrays)]
        if len(saved) != len(self.variables):
            raise InputError(
                f"Checkpoint {path} holds {len(saved)} variables and this model with its optimizer has "
                f"{len(self.variables)}: it belongs to another architecture or optimizer. Choose another --output_dir."
            )
        for variable, value in zip(self.variables, saved):
            if tuple(variable.shape) != value.shape or keras.backend.standardize_dtype(variable.dtype) != value.dtype:
                raise InputError(
                    f"Checkpoint {path} holds {value.dtype}{list(value.shape)} for the variable {variable.path}, which "
                    f"is {variable.dtype}{list(variable.shape)}: it belongs to another architecture. Choose another "
                    "--output_dir."
                )
        for variable, value in zip(self.variables, saved):
            variable.assign(value)


class NotFiniteError(ArithmeticError):
    """A variable holds NaN or infinity; the argument is its path."""
