"""Checkpoints from which a run goes on bit for bit."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from uncertainty_suite import keras
from uncertainty_suite.errors import InputError
from uncertainty_suite.files import read_arrays, write_arrays

_KEPT = 2
_STATE = "state.json"
_OF_THE_FILE = {errno.EIO, errno.ELOOP, errno.ENOENT}  # errors that say that it is not there, or is damaged


class Checkpoint:
    """Saves and restores variables by their names, and some JSON state.

    A checkpoint is one `.npz` file. Keras' own formats leave out the random state of dropout layers; `model.variables`
    holds it, so it is saved here with the rest. No pickle is written or read, every array carries a checksum (CRC-32,
    by the zip format) that reading verifies, and a file appears whole or not at all. The last two are kept.

    Example:
        >>> checkpoint = Checkpoint("run/checkpoints", named_variables(model, optimizer))
        >>> checkpoint.save(step=100, state={"history": []})
        >>> checkpoint.restore()
        {"step": 100, "history": []}
    """

    def __init__(self, folder: str | Path, variables: Mapping[str, Any]) -> None:
        """Bind a folder to variables.

        Args:
            folder: Where the files are or shall be.
            variables: All that training changes, by name.
        """
        self.folder = Path(folder)
        self.variables = dict(variables)

    def save(self, step: int, state: dict[str, Any], keep: Iterable[int] = ()) -> None:
        """Write a checkpoint of `step` with a JSON-able `state`, then delete all but it, the one before it and `keep`.

        Raises:
            NotFiniteError: A variable holds NaN or infinity. The checkpoints are those of before.
            InputError: The file cannot be written. The checkpoints are those of before.
        """
        arrays = {name: np.asarray(variable) for name, variable in self.variables.items()}
        for name, value in arrays.items():
            if not np.isfinite(value).all():
                raise NotFiniteError(name)
        arrays[_STATE] = np.frombuffer(json.dumps({**state, "step": step}).encode(), np.uint8)
        write_arrays(self._path(step), arrays)
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
            InputError: Checkpoints are there and none is whole, or the newest one is of another architecture, or the
                system does not let it be read, e.g. for want of permission or with too many files open.
        """
        paths = self._paths() if step is None else [self._path(step)]
        for path in reversed(paths):
            try:
                arrays = read_arrays(path)
                state = dict(json.loads(arrays.pop(_STATE).tobytes()))
            except OSError as error:
                if error.errno not in _OF_THE_FILE:  # it may be whole, and would be lost by going on from another one
                    raise InputError(
                        f"Checkpoint {path} cannot be read ({error.strerror}). Mend that, and give the same command "
                        "again."
                    ) from error
                logging.warning("Checkpoint %s is damaged (%s); trying the one before it.", path, error)
                continue
            except (TypeError, ValueError, KeyError, RecursionError) as error:
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
        mend = "it belongs to another architecture or optimizer. Choose another --output_dir."
        lacking, further = self.variables.keys() - arrays.keys(), arrays.keys() - self.variables.keys()
        if lacking:
            raise InputError(f"Checkpoint {path} lacks the variable {min(lacking)} of this model: {mend}")
        if further:
            raise InputError(f"Checkpoint {path} holds {min(further)}, which this model lacks: {mend}")
        for name, variable in self.variables.items():
            value = arrays[name]
            if tuple(variable.shape) != value.shape or keras.backend.standardize_dtype(variable.dtype) != value.dtype:
                raise InputError(
                    f"Checkpoint {path} holds {value.dtype}{list(value.shape)} for the variable {name}, which is "
                    f"{variable.dtype}{list(variable.shape)}: {mend}"
                )
        for name, variable in self.variables.items():
            variable.assign(arrays[name])


class NotFiniteError(ArithmeticError):
    """A variable holds NaN or infinity; the argument is its name."""


def named_variables(
    model: keras.Model, optimizer: keras.Optimizer, state: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return all that training changes, by name: `model/<path>`, `optimizer/<name>` and `state/<name>`.

    Args:
        model: The model; every layer of it has a name of its own.
        optimizer: Its optimizer, built.
        state: What the method keeps beside them, variables by name.

    Raises:
        ValueError: Two variables have the same name, so that one could not be told from the other.
    """
    pairs = [(f"model/{variable.path}", variable) for variable in model.variables]
    pairs += [(f"optimizer/{variable.path.partition('/')[2]}", variable) for variable in optimizer.variables]
    pairs += [(f"state/{name}", variable) for name, variable in (state or {}).items()]
    named: dict[str, Any] = {}
    for name, variable in pairs:
        if named.setdefault(name, variable) is not variable:
            raise ValueError(f"Two variables are named {name}; give the layers of the model names of their own.")
    return named
