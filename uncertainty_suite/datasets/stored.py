"""Stored splits in memory: read once while somebody uses them, and refused if they would train to nonsense."""

from __future__ import annotations

import dataclasses
import os
import weakref
from typing import TYPE_CHECKING

import numpy as np

from uncertainty_suite.datasets.forms import Vectors
from uncertainty_suite.datasets.sources import CATEGORICAL, Source
from uncertainty_suite.datasets.trees import Tree, first_leaf, leaves, map_leaves, same_structure
from uncertainty_suite.errors import InputError

if TYPE_CHECKING:
    from uncertainty_suite.datasets.streams import Shards


@dataclasses.dataclass(frozen=True, eq=False)
class Stored:
    """A stored split, as its source has it; no array is to be written to.

    Attributes:
        features: `[n, ...]`, or a tree of such arrays; None if they are streamed.
        labels: int32 or float64 `[n]`.
        original_ids: int64 `[n]`: the numbers that the set's authors gave the examples; None if it does not keep them.
        shards: The files that features are streamed from; None if they are in memory.
    """

    features: Tree
    labels: np.ndarray
    original_ids: np.ndarray | None
    shards: Shards | None = None

    def __len__(self) -> int:
        return len(self.labels)


# Several builders may be of one stored split (train and validation, the corruptions of test): it is read once while one
# of them is alive.
_in_use: weakref.WeakValueDictionary[tuple[Source, str, str | os.PathLike | None], Stored] = (
    weakref.WeakValueDictionary()
)


def read(source: Source, split: str, data_dir: str | os.PathLike | None) -> Stored:
    """Return a stored split, read now unless it is in use already.

    Raises:
        InputError: If it cannot be had, or has examples or labels that are not of the form or kind of its source.
    """
    key = (source, split, data_dir)
    stored = _in_use.get(key)
    if stored is None and source.stream is not None:
        shards, labels, *numbers = source.stream(split, data_dir)
        what = f"Split '{split}' of data set '{source.name}'"
        if not len(labels):
            raise InputError(f"{what} has no examples; expected some.")
        _check_classes(source.num_classes, labels, what)
        stored = _in_use[key] = Stored(
            None, _read_only(labels.astype(np.int32)), _read_only(numbers[0]) if numbers else None, shards
        )
    if stored is None:
        features, labels, *original_ids = source.read(split, data_dir)
        _check(source, split, features, labels, *original_ids)
        stored = Stored(
            map_leaves(_read_only, features),
            _read_only(labels.astype(np.int32 if source.likelihood == CATEGORICAL else np.float64)),
            _read_only(original_ids[0].astype(np.int64)) if original_ids else None,
        )
        _in_use[key] = stored
    return stored


def read_form(source: Source, data_dir: str | os.PathLike | None) -> Tree:
    """Return the form of a source, with the statistics of its training examples if it is standardised with them."""
    if not source.standardised:
        return source.form

    def fit(form: Tree, features: np.ndarray) -> Tree:
        return form.fitted(features) if isinstance(form, Vectors) and not form.means else form

    return map_leaves(fit, source.form, read(source, "train", data_dir).features)


def _read_only(array: np.ndarray) -> np.ndarray:
    array = array.view()  # an owner who goes on writing to it keeps that right
    array.flags.writeable = False  # shared
    return array


def _check(
    source: Source, split: str, features: Tree, labels: np.ndarray, original_ids: np.ndarray | None = None
) -> None:
    what = f"Split '{split}' of data set '{source.name}'"
    if not same_structure(features, source.form):
        received, expected = ([path for path, _ in leaves(tree)] for tree in (features, source.form))
        raise InputError(f"{what} has the features {received}; expected the structure of the form, {expected}.")
    for path, array in [*leaves(features), ("labels", labels)]:
        if not isinstance(array, np.ndarray):
            raise InputError(f"{what} has {path or 'features'} of {type(array)}; expected a NumPy array.")
    num_examples = len(first_leaf(features))
    if num_examples == 0 or any(len(array) != len(labels) for _, array in leaves(features)):
        raise InputError(f"{what} has {num_examples} examples and {len(labels)} labels; expected as many, and some.")
    if labels.shape != (len(labels),):
        raise InputError(f"{what} has labels of shape {labels.shape}; expected one for each example.")
    for (path, array), (_, form) in zip(leaves(features), leaves(source.form)):
        form.check(array, source.maximum, f"{what}, features {path}," if path else what)
    if source.likelihood == CATEGORICAL:
        _check_classes(source.num_classes, labels, what)
    else:
        _check_targets(labels, what)
    if original_ids is not None and len(original_ids) != len(labels):
        raise InputError(f"{what} has {len(original_ids)} numbers for {len(labels)} examples; expected as many.")
    if source.identified and (original_ids is None or len(np.unique(original_ids)) < len(labels)):
        raise InputError(f"{what} needs numbers of its examples, each once, since they are the element ids.")


def _check_classes(num_classes: int, labels: np.ndarray, what: str) -> None:
    if labels.dtype.kind not in "iub":
        raise InputError(
            f"{what} has labels of type {labels.dtype}; expected integers, or the likelihood 'gaussian' for numbers."
        )
    wrong = (labels < -1) | (labels >= num_classes)
    if wrong.any():
        index = int(wrong.argmax())
        expected = f"0 to {num_classes - 1}, or -1 for none"
        raise InputError(f"{what} has the label {labels[index]} at example {index}; expected {expected}.")


def _check_targets(labels: np.ndarray, what: str) -> None:
    if labels.dtype.kind not in "fiu":
        raise InputError(f"{what} has targets of type {labels.dtype}; expected numbers.")
    wrong = ~np.isfinite(labels)
    if wrong.any():
        index = int(wrong.argmax())
        raise InputError(f"{what} has the target {labels[index]} at example {index}; expected a finite number.")
