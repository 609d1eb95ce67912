"""Data sets of any TFDS builder: images, vectors and tables, or texts, as the form says that is given."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from uncertainty_suite.datasets import own, tfds_images
from uncertainty_suite.datasets.forms import Images, Tokens, Vectors
from uncertainty_suite.datasets.sources import Source, check_fields
from uncertainty_suite.datasets.texts import DataDir, from_texts
from uncertainty_suite.errors import InputError

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

Read = Callable[[str, DataDir], tuple[Any, ...]]  # as of `Source.read`

_FEATURES = {Images: "image", Tokens: "text", Vectors: "features"}  # what TFDS's own builders call them, mostly


def from_tfds(
    name: str,
    form: Images | Vectors | Tokens,
    num_classes: int = 0,
    splits: tuple[str, ...] = ("train", "test"),
    streamed: bool = False,
    crops: bool = False,
    features: str | Sequence[str] = (),
    label: str = "label",
    **fields: Any,
) -> Source:
    """Return a labelled set that TFDS has a builder for, or that lies prepared in its folder.

    Vectors are made of one or more columns: numbers and vectors as they are, then a feature for each class of a
    `ClassLabel` and for each text that the column has in the stored `train`, 1 where it is the example's and else 0.
    They are standardised with `train`, but for these. Texts become token ids by the vocabulary of `train`, see
    `from_texts`.

    Args:
        name: Its name in TFDS, with a configuration or without: `"imagenette/160px"`.
        form: What a model receives. Of images: all stored ones are of its size, unless they are streamed; then others
            are resized, with antialiasing, and rounded. Of `Vectors`, if it has another size than the columns, the
            error says which.
        num_classes: Labels are in [0, num_classes). 0 with `likelihood="gaussian"`.
        splits: Stored splits. Of a set in memory with `train` and without `test` a fifth of train is `test`, of classes
            a fifth of each.
        streamed: Whether images are read from its files while they are needed, as those of a set that does not fit in
            memory have to be; see `datasets.streams`. The examples and their ids are the same, their order is another.
        crops: Of streamed images, as is usual with large ones: the central part of an image is looked at, in place of
            the whole one, and augmented are random parts; see `datasets.augmentation`.
        features: The column of the images or texts; of vectors one or several, of which one that holds columns stands
            for all of these. Without it `"image"`, `"text"` or `"features"`.
        label: The column of the labels.
        **fields: Further fields of `Source`, such as `augmented=True` or `likelihood="gaussian"`.

    Raises:
        InputError: An option is not for such a form. What is wrong with the columns is said when they are read.

    Example:
        >>> datasets.register(datasets.from_tfds("food101", Images(224, 224, 3), 101, streamed=True, crops=True))
        >>> datasets.register(datasets.from_tfds("ag_news_subset", Tokens(64, 10_000), 4, features="description"))
        >>> diamonds = datasets.from_tfds(
        ...     "diamonds", Vectors(26, indicators=20), splits=("train",), label="price", likelihood="gaussian"
        ... )
    """
    check_fields(name, fields)
    if crops and not streamed:
        raise InputError(f"Data set '{name}' is in memory, where images have one size: crops needs streamed=True.")
    columns = (features,) if isinstance(features, str) else tuple(features) or (_FEATURES[type(form)],)
    if len(columns) > 1 and not isinstance(form, Vectors):
        raise InputError(f"Data set '{name}' is of {form}, which are in one column; received features={columns!r}.")
    if streamed:
        if not isinstance(form, Images):
            raise InputError(f"Data set '{name}' is of {form}, and only images are streamed: set streamed to False.")
        stream = functools.partial(tfds_images.stream_images, name, form, crops=crops, image=columns[0], label=label)
        fields = {"stream": stream, **fields}
    read: Read
    if isinstance(form, Vectors):
        read = functools.partial(_read_vectors, name, form, columns, label)
        fields = {"standardised": "train" in splits and not form.means, **fields}
    elif isinstance(form, Tokens):
        read = functools.partial(_read_texts, name, columns[0], label)
    else:
        read = functools.partial(tfds_images.read_images, name, image=columns[0], label=label)
        fields = {"maximum": 255, **fields}
    if "train" in splits and "test" not in splits and not streamed:
        read, splits = functools.partial(_cut, name, read, num_classes > 0), (*splits, "test")
    if isinstance(form, Tokens):
        return from_texts(name, read, num_classes, splits, form.length, form.vocabulary_size, **fields)
    return Source(name, splits, form, read, num_classes=num_classes, **fields)


def _cut(name: str, read: Read, classes: bool, split: str, data_dir: DataDir) -> tuple[Any, ...]:
    """Return what is read of a split, where `test` is a part of `train`."""
    if split not in ("train", "test"):
        return read(split, data_dir)
    features, labels, *numbers = read("train", data_dir)
    keys = list(map(str, range(len(labels))))
    is_test = own.cut(name, keys, labels.tolist() if classes else [0] * len(keys), own.TEST_PERCENT, seed=0)
    rows = np.flatnonzero(is_test == (split == "test"))
    if isinstance(features, list):  # texts
        return [features[row] for row in rows], labels[rows], *(each[rows] for each in numbers)
    return features[rows], labels[rows], *(each[rows] for each in numbers)


def _read_texts(name: str, text: str, label: str, split: str, data_dir: DataDir) -> tuple[Any, ...]:
    """Return texts, labels and, where the examples have them, numbers of their own."""
    known = tfds_images.read_features(name, data_dir)
    tfds_images.check_there(name, (text, label), known)
    if not _is_text(known[text]):
        raise InputError(f"{_column(name, text, known)}; expected one text for each example.")
    _check_label(name, label, known)
    columns = tfds_images.read_columns(name, split, data_dir, (text, label, "id"))
    try:
        texts = [each.decode("utf-8") for each in columns[text]]
    except UnicodeDecodeError as error:
        raise InputError(
            f"Column '{text}' of data set '{name}' of TFDS has what is no text in UTF-8 ({error})."
        ) from error
    return texts, columns[label], *tfds_images.own_numbers(columns)


def _read_vectors(
    name: str, form: Vectors, features: Sequence[str], label: str, split: str, data_dir: DataDir
) -> tuple[Any, ...]:
    """Return vectors, numbers first and then categories, labels, and numbers of the examples' own where they have any.

    Raises:
        InputError: There is no such column, it is of no such type, or the form is of another size.
    """
    known = tfds_images.read_features(name, data_dir)
    held = {wanted: [column for column in known if column.startswith(f"{wanted}/")] for wanted in features}
    chosen = [column for wanted in features for column in held[wanted] or [wanted]]
    tfds_images.check_there(name, (*chosen, label), known)
    _check_label(name, label, known)
    for column in chosen:
        if column == label:
            raise InputError(
                f"Column '{label}' of data set '{name}' of TFDS is the label, and no feature. Name others."
            )
        if not _is_text(known[column]) and (_holds_objects(known[column]) or None in known[column].shape):
            raise InputError(f"{_column(name, column, known)}; expected numbers, as many in each example, or one text.")
    columns = tfds_images.read_columns(name, split, data_dir, (*chosen, label, "id"))
    numbers: dict[str, np.ndarray] = {}
    indicators: dict[str, np.ndarray] = {}
    for column in chosen:
        values = columns[column]
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            index = int((~np.isfinite(values)).reshape(len(values), -1).any(axis=1).argmax())
            raise InputError(
                f"Column '{column}' of split '{split}' of data set '{name}' of TFDS is NaN or infinite, first at "
                f"example {index}. Prepare the set without that, or leave the column out."
            )
        if _is_text(known[column]):
            texts = _categories(name, column, None if data_dir is None else str(data_dir))
            indicators[column] = values[:, np.newaxis] == texts
        elif hasattr(known[column], "num_classes"):
            indicators[column] = values[:, np.newaxis] == np.arange(known[column].num_classes)
        else:
            numbers[column] = values.reshape(len(values), -1)
    num_indicators = sum(each.shape[1] for each in indicators.values())
    size = num_indicators + sum(each.shape[1] for each in numbers.values())
    if size != form.size or (indicators and num_indicators != form.indicators):
        listed = ", ".join(f"{column}: {each.shape[1]}" for column, each in {**numbers, **indicators}.items())
        of_categories = f", indicators={num_indicators}" if indicators else ""
        raise InputError(
            f"Data set '{name}' of TFDS has {size} features ({listed}), {num_indicators} of them for categories, and "
            f"its form has {form.size} and {form.indicators}. Set it to Vectors({size}{of_categories})."
        )
    parts = [*numbers.values(), *(each.astype(np.uint8) for each in indicators.values())]
    return np.concatenate(parts, axis=1), columns[label], *tfds_images.own_numbers(columns)


@functools.cache
def _categories(name: str, column: str, data_dir: str | None) -> np.ndarray:
    """Return the texts that a column has in `train`, sorted."""
    return np.unique(tfds_images.read_columns(name, "train", data_dir, (column,))[column])


def _holds_objects(feature: tfds.features.FeatureConnector) -> bool:
    return np.dtype(feature.np_dtype) == object


def _is_text(feature: tfds.features.FeatureConnector) -> bool:
    return _holds_objects(feature) and feature.shape == ()


def _check_label(name: str, label: str, known: Mapping[str, tfds.features.FeatureConnector]) -> None:
    if _holds_objects(known[label]) or known[label].shape != ():
        raise InputError(
            f"{_column(name, label, known)}; expected the number of a class for each example, or a target."
        )


def _column(name: str, column: str, known: Mapping[str, tfds.features.FeatureConnector]) -> str:
    """Return the beginning of an error about a column."""
    described = tfds_images.described(known)[column].replace("object_", "text").replace("object", "text")
    return f"Column '{column}' of data set '{name}' of TFDS is {described}"
