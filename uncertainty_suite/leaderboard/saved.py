"""The predictions of a run folder that somebody wants to add: each read once, and known to be what a run saves."""

from pathlib import Path

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.likelihoods import Likelihood, Saved
from uncertainty_suite.runs import RunFolder

_KEPT_BYTES = 2**28  # of predictions that are kept for the next who asks; larger ones are read again


class CheckedRun(RunFolder):
    """A run folder whose predictions are checked when they are read, and kept while they are small."""

    def __init__(self, path: str | Path) -> None:
        """Name a folder; nothing is read."""
        super().__init__(path)
        self._kept: dict[str, Saved] = {}
        self._left = _KEPT_BYTES

    def predictions(self, key: str) -> Saved:
        """See `RunFolder.predictions`.

        Raises:
            InputError: As there; or an array is missing, of another type or length, or no number; or an example is
                there twice.
        """
        if key not in self._kept:
            saved = super().predictions(key)
            split = next((split for split in self.task.splits if split.key == key), None)
            if split is not None:
                try:
                    _check(saved, self.task.likelihood, split.labelled)
                except ValueError as error:
                    raise InputError(f"{self.path}: the predictions of '{key}': {error}") from error
            size = sum(array.nbytes for array in saved.values())
            if size > self._left:
                return saved
            self._left -= size
            self._kept[key] = saved
        return dict(self._kept[key])


def _check(saved: Saved, likelihood: Likelihood, labelled: bool) -> None:
    """Raise a `ValueError` that says which array is not as a run saves it."""
    missing = [name for name in ("element_id", "labels") if name not in saved]
    if missing:
        raise ValueError(f"there is no array '{missing[0]}'")
    ids, labels = saved["element_id"], saved["labels"]
    if ids.dtype.kind not in "iu" or ids.ndim != 1 or not len(ids) or not -(2**62) < ids.min() <= ids.max() < 2**62:
        raise ValueError(f"element_id must be an integer for each example, not {ids.dtype} {list(ids.shape)}")
    unique, counts = np.unique(ids, return_counts=True)
    if len(unique) < len(ids):
        raise ValueError(f"element_id {unique[counts.argmax()]} is there {counts.max()} times, and may be once")
    for name, values in saved.items():
        kinds = "f" if name not in ("element_id", "labels") else "iu" if likelihood.has_errors else "iuf"
        axis = 1 if name in likelihood.by_sample else 0
        if values.dtype.kind not in kinds or values.ndim <= axis or values.shape[axis] != len(ids):
            raise ValueError(f"{name} is {values.dtype} {list(values.shape)}, which is none of {len(ids)} examples")
        if values.dtype.kind == "f" and (np.isnan(values).any() or np.isposinf(values).any()):
            raise ValueError(f"{name} has values that are no number")
    if labelled and likelihood.has_errors and not 0 <= labels.min() <= labels.max() < likelihood.num_outputs:
        wrong = labels.max() if labels.min() >= 0 else labels.min()
        raise ValueError(f"there is a label {wrong}, and there are {likelihood.num_outputs} classes")
    rows = {name: np.moveaxis(values, int(name in likelihood.by_sample), 0) for name, values in saved.items()}
    del rows["element_id"]
    if labelled and len(ids) > 1 and all((values == values[:1]).all() for values in rows.values()):
        raise ValueError(f"the {len(ids)} examples are one, repeated: all have the same predictions and label")
