"""Data sets made of the arrays of an `.npz` file."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from uncertainty_suite import files
from uncertainty_suite.datasets import own
from uncertainty_suite.datasets.forms import Form, Images, Vectors
from uncertainty_suite.datasets.sources import CATEGORICAL, GAUSSIAN, Source, check_fields
from uncertainty_suite.errors import InputError, unknown_name


def from_npz(
    name: str,
    file: str | os.PathLike,
    likelihood: str = CATEGORICAL,
    test_percent: float = own.TEST_PERCENT,
    seed: int = 0,
    **fields: Any,
) -> Source:
    """Return a data set made of the arrays of an `.npz` file, which is read now.

    Features are `x_train` and so on, `x_<split>`, and labels `y_train`; features without labels belong to no class, as
    those of OOD sets. `x` and `y` alone are those of `train`. Without `x_test` a share of the training examples, of
    classes a share of each, is the test split. Features `[n, size]` are vectors, standardised with the training
    examples; `[n, height, width]` or `[n, height, width, channels]` are images, from 0 to 255 if they are uint8 and
    else to 1. Labels are the names of classes, integers or texts, or with `likelihood="gaussian"` targets; classes are
    numbered in the order of their names, whole numbers in their own. An element id is the index in its array.

    Args:
        name: Its name in `datasets.get`.
        file: The file.
        likelihood: What a label is: `"categorical"` or `"gaussian"`.
        test_percent: The share of the test split, where it has no arrays.
        seed: Decides which examples these are.
        **fields: Further fields of `Source`, such as `maximum=4095` or `augmented=True`.

    Raises:
        InputError: The file cannot be read, or its arrays are no such data.

    Example:
        >>> numpy.savez("spectra.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test, x_strangers=others)
        >>> datasets.register(datasets.from_npz("spectra", "spectra.npz"))
    """
    check_fields(name, fields)
    if likelihood not in (CATEGORICAL, GAUSSIAN):
        raise unknown_name(f"likelihood of data set '{name}'", likelihood, (CATEGORICAL, GAUSSIAN))
    what = f"Data set '{name}'"
    path = own.check_file(file, what)
    try:
        arrays = files.read_arrays(path)
    except ValueError as error:
        raise InputError(f"{what}: {file} is no .npz file of arrays ({' '.join(str(error).split())}).") from error
    splits = _splits(name, file, arrays, likelihood)
    form = _form(what, splits["train"][0])
    if "test" not in splits:
        features, labels, numbers = splits["train"]
        groups = labels.tolist() if likelihood == CATEGORICAL else [0] * len(labels)
        is_test = own.cut(name, list(map(str, numbers)), groups, test_percent, seed)
        for split, chosen in (("train", ~is_test), ("test", is_test)):
            splits[split] = features[chosen], labels[chosen], numbers[chosen]
    classes: list[str] = []
    if likelihood == CATEGORICAL:
        classes = own.class_names(name, map(str, splits["train"][1]))
        splits = {
            split: (features, _class_numbers(name, split, labels, classes), numbers)
            for split, (features, labels, numbers) in splits.items()
        }
    if isinstance(form, Images):
        fields.setdefault("maximum", 255 if splits["train"][0].dtype == np.uint8 else 1)
        kinds = {x.dtype.kind == "f": split for split, (x, _, _) in splits.items()}
        if len(kinds) > 1:
            raise InputError(
                f"{what}: 'x_{kinds[False]}' of {file} has whole numbers and 'x_{kinds[True]}' has floats, and one "
                "value stands for 1 in all splits. Save images of one type."
            )
        largest = max(float(x.max(initial=0)) for x, _, _ in splits.values())
        if largest > fields["maximum"]:
            raise InputError(f"{what} has pixels up to {largest:g}; give the value that stands for 1, as maximum=255.")
    return Source(
        name=name,
        splits=tuple(splits),
        form=form,
        likelihood=likelihood,
        num_classes=len(classes),
        read=lambda split, data_dir: splits[split],
        standardised=isinstance(form, Vectors),
        identified=True,
        **fields,
    )


def _splits(
    name: str, file: str | os.PathLike, arrays: dict[str, np.ndarray], likelihood: str
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return features, labels, "" for those of no class, and numbers of the examples, of each split."""
    what = f"Data set '{name}'"
    named = {"x_train" if key == "x" else "y_train" if key == "y" else key: array for key, array in arrays.items()}
    for key in named:
        if not key.startswith(("x_", "y_")) or (key.startswith("y_") and f"x{key[1:]}" not in named):
            raise InputError(
                f"{what}: {file} has an array '{key}'; expected x_train and y_train, x_test and y_test and so on, or x "
                "and y."
            )
    found = own.by_split(name, {key.removeprefix("x_"): named[key] for key in named if key.startswith("x_")})
    splits = {}
    for split, features in found.items():
        labels = named.get(f"y_{split}")
        if labels is None and (split in ("train", "validation", "test") or likelihood == GAUSSIAN):
            raise InputError(f"{what}: {file} has 'x_{split}' and no labels 'y_{split}'.")
        if features.ndim == 0 or len(features) == 0:
            raise InputError(f"{what}: 'x_{split}' of {file} has no examples.")
        if labels is None:
            labels = np.full(len(features), "")
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.shape != (len(features),):
            raise InputError(
                f"{what}: 'y_{split}' of {file} is of shape {labels.shape}; expected ({len(features)},), a label for "
                f"each example of 'x_{split}'."
            )
        if likelihood == CATEGORICAL and labels.dtype.kind not in "iubU":
            raise InputError(
                f"{what}: 'y_{split}' of {file} is of type {labels.dtype}; expected integers (as y.astype(int)) or "
                "texts, or numbers with likelihood='gaussian'."
            )
        if named.get(f"y_{split}") is not None and labels.dtype.kind == "U" and not labels.all():
            raise InputError(
                f"{what}: 'y_{split}' of {file} has an empty text for example {np.flatnonzero(labels == '')[0]}. Name "
                "its class, or leave the example out."
            )
        if features.dtype.kind == "f" and not np.isfinite(features).all():
            finite = np.isfinite(features).reshape(len(features), -1).all(axis=1)
            raise InputError(
                f"{what}: 'x_{split}' of {file} has values that are NaN or infinite, first in example "
                f"{np.argmin(finite)}. Mend or remove it."
            )
        if features.dtype.kind == "b":
            features = features.astype(np.uint8)
        if features.ndim == 3:
            features = features[..., np.newaxis]
        splits[split] = features, labels, np.arange(len(features))
    return splits


def _class_numbers(name: str, split: str, labels: np.ndarray, classes: list[str]) -> np.ndarray:
    number_of = {"": -1, **{label: number for number, label in enumerate(classes)}}
    texts = list(map(str, labels))
    for index, label in enumerate(texts):
        if label not in number_of:
            raise own.unknown_class(name, label, f"example {index} of 'y_{split}'", classes)
    return np.array([number_of[label] for label in texts])


def _form(what: str, features: np.ndarray) -> Form:
    if features.dtype.kind in "iuf" and features.ndim == 2:
        return Vectors(features.shape[1])
    if features.dtype.kind in "iuf" and features.ndim == 4:
        return Images(*features.shape[1:])
    raise InputError(
        f"{what}: features are of type {features.dtype} and shape {features.shape}; expected numbers of shape "
        "[n, size], [n, height, width] or [n, height, width, channels]."
    )
