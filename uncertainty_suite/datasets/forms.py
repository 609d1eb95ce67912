"""Forms: what a model receives.

Shape and normalisation belong to the task, not to the stored data: an out-of-distribution set is brought into the form
of the task, or the form would give it away. A set whose examples have several parts has a tree of forms, a dict or
tuple, and features of the same structure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from uncertainty_suite import tf
from uncertainty_suite.datasets.trees import Tree, leaves
from uncertainty_suite.errors import InputError


@dataclasses.dataclass(frozen=True)
class Form:
    """What all forms have: a shape, and how stored features are brought into them.

    Attributes:
        holds_ids: Whether features are ids, not numbers that noise can be added to, or a gradient taken of.
    """

    holds_ids: ClassVar[bool] = False

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        raise NotImplementedError

    @property
    def bytes_per_example(self) -> int:
        """Size of one delivered example."""
        return 4 * int(np.prod(self.input_shape))  # float32 or int32

    def check(self, features: np.ndarray, maximum: float, what: str) -> None:
        """Raise an `InputError` unless features are of this form, as stored.

        Args:
            features: Stored features, `[n, ...]`.
            maximum: The stored value that stands for 1.
            what: What they are, for the message: `"Split 'test' of data set 'mnist'"`.
        """
        if features.shape[1:] != self.input_shape:
            raise InputError(f"{what} has examples of shape {features.shape[1:]}; expected {self.input_shape}.")

    def takes(self, other: Form) -> bool:
        """Return whether examples stored in another form can be brought into this one."""
        raise NotImplementedError

    def bring(
        self, features: tf.Tensor, maximum: float, change: Callable[[tf.Tensor], tf.Tensor] | None = None
    ) -> tf.Tensor:
        """Return features in this form. Each example's result depends on that example only.

        Args:
            features: As stored, `[batch, ...]`.
            maximum: The stored value that stands for 1; of images only.
            change: What to do to images that have their size and are still in [0, 1].

        Returns:
            `[batch, *input_shape]`, float32, or int32 for tokens.
        """
        raise NotImplementedError


def _check_statistics(number: int, means: tuple[float, ...], stddevs: tuple[float, ...]) -> None:
    if len(means) != len(stddevs) or len(means) not in (0, number) or not all(stddev > 0 for stddev in stddevs):
        raise InputError(
            f"A form of {number} features or channels needs as many means and positive stddevs, or none of either; "
            f"received means {means} and stddevs {stddevs}."
        )


def _check_finite(features: np.ndarray, what: str) -> None:
    if features.dtype.kind == "f" and not np.isfinite(features).all():
        index = int((~np.isfinite(features)).reshape(len(features), -1).any(axis=1).argmax())
        raise InputError(f"{what} has features that are NaN or infinite, first at example {index}; mend or remove it.")


@dataclasses.dataclass(frozen=True)
class Images(Form):
    """Images, stored as integers or floats from 0 to a maximum, delivered in [0, 1] or standardised by channel.

    Attributes:
        height: Pixels.
        width: Pixels.
        channels: 1 for gray, 3 for RGB; other numbers cannot be converted or corrupted.
        means: Per channel, subtracted from features in [0, 1]. Empty: nothing is.
        stddevs: Per channel, divided by after that. Empty: nothing is.
    """

    height: int
    width: int
    channels: int
    means: tuple[float, ...] = ()
    stddevs: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _check_statistics(self.channels, self.means, self.stddevs)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.height, self.width, self.channels)

    def __str__(self) -> str:
        return f"images of shape {self.input_shape}"

    def check(self, features: np.ndarray, maximum: float, what: str) -> None:
        super().check(features, maximum, what)
        _check_finite(features, what)
        if features.dtype.kind in "iu" and features.max() > maximum:
            raise InputError(
                f"{what} has pixels of value {features.max()}, above the maximum {maximum:g} that stands for 1; "
                "set the maximum of the data set."
            )

    def takes(self, other: Form) -> bool:
        return isinstance(other, Images) and (
            self.channels == other.channels or {self.channels, other.channels} == {1, 3}
        )

    def bring(
        self, features: tf.Tensor, maximum: float, change: Callable[[tf.Tensor], tf.Tensor] | None = None
    ) -> tf.Tensor:
        """Return float32 `[batch, height, width, channels]`.

        Images of another size or number of channels are converted: RGB to its luminance, gray to three equal channels,
        then bilinear resizing with antialiasing.
        """
        features = tf.cast(features, tf.float32) / maximum
        if features.shape[-1] == 3 and self.channels == 1:
            features = tf.image.rgb_to_grayscale(features)
        elif features.shape[-1] == 1 and self.channels == 3:
            features = tf.image.grayscale_to_rgb(features)
        if tuple(features.shape[1:3]) != (self.height, self.width):
            features = tf.image.resize(features, (self.height, self.width), method="bilinear", antialias=True)
        if change is not None:
            features = change(features)
        if self.means:
            features = (features - tf.constant(self.means)) / tf.constant(self.stddevs)
        return features


@dataclasses.dataclass(frozen=True)
class Vectors(Form):
    """Vectors of numbers, delivered as they are or standardised.

    Attributes:
        size: How many numbers.
        means: Of each number, subtracted. Empty: nothing is.
        stddevs: Of each number, divided by after that. Empty: nothing is.
        indicators: How many of the numbers, the last ones, are 0 or 1 for no or yes: `fitted` leaves them as they are,
            since a rare yes would become a large number.
    """

    size: int
    means: tuple[float, ...] = ()
    stddevs: tuple[float, ...] = ()
    indicators: int = 0

    def __post_init__(self) -> None:
        _check_statistics(self.size, self.means, self.stddevs)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.size,)

    def __str__(self) -> str:
        return f"vectors of shape {self.input_shape}"

    def fitted(self, features: np.ndarray) -> Vectors:
        """Return the form that standardises these features to mean 0 and population standard deviation 1.

        A number that is the same in all examples is only centred.

        Args:
            features: Of the training examples, `[n, size]`.
        """
        features = features.astype(np.float64)
        constant = features.max(axis=0) == features.min(axis=0)  # rounding may leave a deviation above 0
        means = np.where(constant, features[0], features.mean(axis=0))
        stddevs = np.where(constant, 1.0, features.std(axis=0))
        if self.indicators:
            means[-self.indicators :], stddevs[-self.indicators :] = 0.0, 1.0
        return dataclasses.replace(self, means=tuple(means.tolist()), stddevs=tuple(stddevs.tolist()))

    def check(self, features: np.ndarray, maximum: float, what: str) -> None:
        super().check(features, maximum, what)
        _check_finite(features, what)

    def takes(self, other: Form) -> bool:
        return isinstance(other, Vectors) and self.size == other.size

    def bring(
        self, features: tf.Tensor, maximum: float, change: Callable[[tf.Tensor], tf.Tensor] | None = None
    ) -> tf.Tensor:
        """Return float32 `[batch, size]`; standardised in float64, for means far larger than deviations."""
        if self.means:
            means, stddevs = (tf.constant(x, tf.float64) for x in (self.means, self.stddevs))
            features = (tf.cast(features, tf.float64) - means) / stddevs
        return tf.cast(features, tf.float32)


class _Ids(Form):
    """Features that are ids, which are used as they are."""

    holds_ids = True

    def takes(self, other: Form) -> bool:
        return self == other

    def bring(
        self, features: tf.Tensor, maximum: float, change: Callable[[tf.Tensor], tf.Tensor] | None = None
    ) -> tf.Tensor:
        """Return int32 of the same shape."""
        return tf.cast(features, tf.int32)


@dataclasses.dataclass(frozen=True)
class Tokens(_Ids):
    """Texts as sequences of token ids, all of one length.

    Attributes:
        length: Tokens in a text, those that fill it up included.
        vocabulary_size: Ids are in [0, vocabulary_size).
    """

    length: int
    vocabulary_size: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.length,)

    def __str__(self) -> str:
        return f"texts of {self.length} tokens of {self.vocabulary_size}"

    def check(self, features: np.ndarray, maximum: float, what: str) -> None:
        super().check(features, maximum, what)
        if features.dtype.kind not in "iu":
            raise InputError(f"{what} has token ids of type {features.dtype}; expected integers.")
        if features.min() < 0 or features.max() >= self.vocabulary_size:
            wrong = features.min() if features.min() < 0 else features.max()
            raise InputError(f"{what} has the token id {wrong}; expected 0 to {self.vocabulary_size - 1}.")


@dataclasses.dataclass(frozen=True)
class Graphs(_Ids):
    """Graphs with as many rows as the largest one has nodes, such as molecules.

    The row of a node has ids of what it is, the first of them not 0, and then the kind of its edge to each node, 0 for
    none. Edges have no direction. Rows that fill a graph up are 0.

    Attributes:
        num_nodes: Rows, those that fill it up included.
        num_features: Ids of a node.
        vocabulary_size: Ids are in [0, vocabulary_size).
        num_edge_kinds: Kinds of edges are 1 to this.
    """

    num_nodes: int
    num_features: int
    vocabulary_size: int
    num_edge_kinds: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.num_nodes, self.num_features + self.num_nodes)

    def __str__(self) -> str:
        return f"graphs of up to {self.num_nodes} nodes"

    def check(self, features: np.ndarray, maximum: float, what: str) -> None:
        super().check(features, maximum, what)
        if features.dtype.kind not in "iu":
            raise InputError(f"{what} has graphs of type {features.dtype}; expected integers.")
        ids, edges = features[..., : self.num_features], features[..., self.num_features :]
        for values, most, name in (
            (ids, self.vocabulary_size - 1, "the id of a node"),
            (edges, self.num_edge_kinds, "the kind of edge"),
        ):
            if values.min() < 0 or values.max() > most:
                wrong = values.min() if values.min() < 0 else values.max()
                raise InputError(f"{what} has {name} {wrong}; expected 0 to {most}.")
        is_node = ids[..., 0] > 0
        joins_none = (edges > 0) & ~(is_node[:, :, np.newaxis] & is_node[:, np.newaxis])
        wrong = (edges != edges.swapaxes(1, 2)) | joins_none
        if wrong.any() or not is_node.any(axis=1).all():
            index = int((wrong.any(axis=(1, 2)) | ~is_node.any(axis=1)).argmax())
            raise InputError(
                f"{what} has no graph at example {index}; expected one node or more, and edges between nodes that are "
                "the same both ways."
            )


def describe(form: Tree) -> str:
    """Return a form or a tree of forms in words."""
    return ", ".join(f"{path}: {part}" if path else str(part) for path, part in leaves(form))
