"""What is particular to one data set, where all of them are known by name, and how others are added."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from uncertainty_suite.datasets.forms import Images, Vectors
from uncertainty_suite.datasets.trees import Tree, leaves
from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.registry import Registry, parse

if TYPE_CHECKING:
    from uncertainty_suite.datasets.stored import Stored

CATEGORICAL = "categorical"
GAUSSIAN = "gaussian"


@dataclasses.dataclass(frozen=True, eq=False)  # equal only to itself, because forms may be dicts
class Source:
    """What is particular to one data set.

    Attributes:
        name: Its name in `datasets.get`.
        splits: The splits it is stored in. Without a stored `"validation"` that split can be cut from `"train"`.
        form: What a model trained on this set receives: a `Form`, or a dict or tuple of forms. None: see `imitate`.
        read: `read(split, data_dir)` returns all stored features `[n, ...]` (of the structure of `form`) and labels
            `[n]` of a split, and where the examples have numbers of their own, these, int64 `[n]`.
        stream: In place of `read`, for images that are not kept in memory: `stream(split, data_dir)` returns a split's
            files and labels, see `streams.index`, and where the examples have numbers of their own, these, int64 `[n]`.
        likelihood: What a label is: `"categorical"`, the number of a class, or `"gaussian"`, a number in its own units.
        num_classes: Of a categorical set: labels are in [0, num_classes), or -1 where an example belongs to no class.
        maximum: The stored value that stands for 1 in images.
        augmented: Whether training batches are augmented by default (and whether they can be); images only.
        standardised: Whether vectors are standardised with the statistics of the stored split `"train"`.
        identified: Whether the examples' own numbers are their element ids, in place of the index in the split.
        num_folds: How many published divisions into train and test there are; the option `fold` names one.
        num_arms: Of a contextual bandit, whose rows are all pairs of context and arm, one context's arms after the
            other: how many arms there are. 0: it is none.
        imitate: For a set without a form of its own, or of texts: returns the source that imitates another one.
        tokenize: Of texts: `tokenize(texts, data_dir)` returns token ids, int32 `[n, length]`, by its vocabulary.
        training_labels: `training_labels(stored, data_dir)` returns labels that split `train` has in place of its
            stored ones, as wrong as people's are; the examples cut from it for validation keep the stored ones.
        human_labels: Of splits whose examples were labelled by many people: `human_labels[split](data_dir)` returns how
            many gave each label, int64 `[numbers, num_classes]`, by the examples' own numbers.
    """

    name: str
    splits: tuple[str, ...]
    form: Tree
    read: Callable[[str, str | os.PathLike | None], tuple[Any, ...]]
    likelihood: str = CATEGORICAL
    num_classes: int = 0
    maximum: float = 1.0
    augmented: bool = False
    standardised: bool = False
    identified: bool = False
    num_folds: int = 1
    num_arms: int = 0
    imitate: Callable[[Source], Source] | None = None
    tokenize: Callable[[Sequence[str], str | os.PathLike | None], np.ndarray] | None = None
    training_labels: Callable[[Stored, str | os.PathLike | None], np.ndarray] | None = None
    human_labels: Mapping[str, Callable[[str | os.PathLike | None], np.ndarray]] = dataclasses.field(
        default_factory=dict
    )
    stream: Callable[[str, str | os.PathLike | None], tuple[Any, ...]] | None = None

    def __post_init__(self) -> None:
        what = f"Data set '{self.name}'"
        if self.likelihood not in (CATEGORICAL, GAUSSIAN):
            raise unknown_name(f"likelihood of data set '{self.name}'", self.likelihood, (CATEGORICAL, GAUSSIAN))
        if self.form is None:
            return
        if (self.num_classes > 0) != (self.likelihood == CATEGORICAL):
            raise InputError(
                f"{what} has the likelihood '{self.likelihood}' and num_classes {self.num_classes}; expected a number "
                f"above 0 with '{CATEGORICAL}' and none with '{GAUSSIAN}'."
            )
        if self.augmented and not isinstance(self.form, Images):
            raise InputError(f"{what} is not made of images, and has no augmentation: set augmented to False.")
        if self.standardised and not any(isinstance(form, Vectors) and not form.means for _, form in leaves(self.form)):
            raise InputError(f"{what} has no vectors without means of their own: set standardised to False.")
        if self.standardised and "train" not in self.splits:
            raise InputError(f"{what} has no split 'train' to be standardised with: set standardised to False.")


def check_fields(name: str, fields: Mapping[str, Any]) -> None:
    """Refuse further fields of a data set that a `Source` does not have.

    Raises:
        InputError: There is no such field.
    """
    known = [field.name for field in dataclasses.fields(Source)]
    for field in fields:
        if field not in known:
            raise unknown_name(f"option of data set '{name}'", field, known)


def from_arrays(
    name: str, splits: Mapping[str, tuple[Tree, np.ndarray]], form: Tree = None, num_classes: int = 0, **fields: Any
) -> Source:
    """Return a data set made of arrays in memory.

    Args:
        name: Its name in `datasets.get`.
        splits: Features `[n, ...]` and labels `[n]` of each split.
        form: What a model receives. None, where features are `[n, size]`: vectors, standardised with `"train"`.
        num_classes: Of a categorical set. 0: one more than the largest label.
        **fields: Further fields of `Source`, such as `likelihood="gaussian"` or `maximum=255`.

    Raises:
        InputError: If there is no form, or a field makes no sense.

    Example:
        >>> datasets.register(datasets.from_arrays("ours", {"train": (x, y), "test": (x_test, y_test)}))
        >>> datasets.get("ours", "validation").holding_out(0.1)
    """
    if not splits:
        raise InputError(f"Data set '{name}' has no splits; expected 'train' and 'test', or others.")
    features, _ = next(iter(splits.values()))
    if form is None:
        if not isinstance(features, np.ndarray) or features.ndim != 2:
            raise InputError(f"Data set '{name}' needs a form: its features are not of the shape [n, size].")
        form = Vectors(features.shape[1])
        fields = {"standardised": "train" in splits, **fields}
    if fields.get("likelihood", CATEGORICAL) == CATEGORICAL and not num_classes:
        num_classes = 1 + int(max(np.max(labels, initial=-1) for _, labels in splits.values()))

    def read(split: str, data_dir: str | os.PathLike | None) -> tuple[Any, ...]:
        return splits[split]

    return Source(name=name, splits=tuple(splits), form=form, num_classes=num_classes, read=read, **fields)


_REGISTRY: Registry[Callable[..., Source]] = Registry("data set")


def register(source: Source | Callable[..., Source]) -> Source | Callable[..., Source]:
    """Make a data set known to `datasets.get`; a configuration file of your own is a good place.

    Args:
        source: A `Source`, such as `from_arrays` returns; or a function that returns one, known by its name or its
            attribute `name`, whose parameters are options of `datasets.get`. A decorator for functions.

    Returns:
        What it received.

    Raises:
        InputError: If another data set has that name.

    Example:
        >>> @datasets.register
        ... def spirals(turns: float = 2.0) -> datasets.Source:
        ...     return datasets.from_arrays("spirals", make_spirals(turns))
        >>> datasets.get("spirals", "test", turns=3.0)
    """
    if not isinstance(source, Source):
        return _REGISTRY.register(source)
    known: Source = source

    def make() -> Source:
        return known

    # The same line of the same file may run twice, as those of a configuration file do.
    caller = sys._getframe(1)
    make.__module__ = f"{caller.f_code.co_filename}:{caller.f_lineno}"
    make.__name__ = known.name
    _REGISTRY.register(make)
    return source


def is_own(name: str) -> bool:
    """Return whether a data set was registered by a file of the user's, not by the suite.

    Raises:
        InputError: If the name is unknown.
    """
    return not _REGISTRY.info(name).__module__.startswith((f"{__package__}.", str(Path(__file__).parent)))


def names() -> list[str]:
    """Return the names of all data sets, sorted."""
    return _REGISTRY.names()


def options(text: str) -> dict[str, Any]:
    """Return the options of a data set, with their values in the text or else their defaults.

    Raises:
        InputError: If the name or an option is unknown.

    Example:
        >>> options("uci/yacht")
        {'fold': 0}
    """
    return {option: value for option, value in _REGISTRY.options(text).items() if value is not inspect.Parameter.empty}


def find(text: str, **options: Any) -> Source:
    """Return a data set by its name.

    Args:
        text: One of `names()`, with options or without: `"uci/yacht"` or `"uci/yacht(fold=3)"`.
        **options: Further options.

    Raises:
        InputError: If the name or an option is unknown, or an option's value makes no sense.
    """
    name, _ = parse(text)
    options = {**_REGISTRY.options(text), **options}
    given = {option: value for option, value in options.items() if value is not inspect.Parameter.empty}
    return _made(_REGISTRY.info(name), name, tuple(sorted(given.items())))


@functools.cache  # all builders of one source share what was read
def _made(entry: Callable[..., Source], name: str, options: tuple[tuple[str, Any], ...]) -> Source:
    return _REGISTRY.make(name, **dict(options))
