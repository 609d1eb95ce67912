"""What all data sets share: the builder, the validation cut, and the input pipeline."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
import os
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from uncertainty_suite.datasets import augmentation, corruptions
from uncertainty_suite.datasets.preprocessing import Preprocessing
from uncertainty_suite.errors import InputError, unknown_name

if TYPE_CHECKING:
    import tensorflow as tf

_EPOCH_BYTES = 16 * 2**20  # of features: an epoch of so many is made at once, which is cheaper than batch by batch


@dataclasses.dataclass(frozen=True)
class Source:
    """What is particular to one data set.

    Attributes:
        name: Its name in `datasets.get`.
        splits: The splits it is stored in. `"validation"` is none of them, being cut from `"train"`.
        num_classes: Number of classes; labels are in [0, num_classes), or -1 where an example belongs to no class.
        preprocessing: The form in which a model trained on this set receives its inputs.
        read: `read(split, data_dir)` returns all stored features `[n, ...]` and labels `[n]` of a split, and where the
            examples have numbers of their own, these, int64 `[n]`.
        maximum: The stored feature value that stands for 1.
        augmented: Whether training batches are augmented by default (and whether they can be).
    """

    name: str
    splits: tuple[str, ...]
    num_classes: int
    preprocessing: Preprocessing
    read: Callable[[str, str | os.PathLike | None], tuple[np.ndarray, ...]]
    maximum: float = 1.0
    augmented: bool = False


@dataclasses.dataclass(frozen=True)
class _Arrays:
    """A stored split in memory."""

    features: np.ndarray
    labels: np.ndarray
    original_ids: np.ndarray | None = None

    def __post_init__(self) -> None:
        for array in (self.features, self.labels, self.original_ids):
            if array is not None:
                array.flags.writeable = False  # shared


UNKNOWN = "unknown"


def _check_classes(classes: Sequence[int], source: Source) -> None:
    received = f"received {tuple(classes)}."
    if not len(classes):
        raise InputError(f"classes of data set '{source.name}' is empty: name those that are known, or None for all.")
    if len(set(classes)) < len(classes):
        raise InputError(f"classes of data set '{source.name}' names a class twice, {received}")
    if not set(classes) <= set(range(source.num_classes)):
        raise InputError(f"classes of data set '{source.name}' are in 0..{source.num_classes - 1}, {received}")
    if len(classes) == source.num_classes:
        raise InputError(f"classes of data set '{source.name}' names all {len(classes)}: none would be unknown.")


# Several builders may be of one stored split (train and validation, the corruptions of test): it is read once while one
# of them is alive.
_arrays_in_use: weakref.WeakValueDictionary[tuple, _Arrays] = weakref.WeakValueDictionary()


def _check(source: Source, split: str, features: np.ndarray, labels: np.ndarray) -> None:
    """Refuse data that would train to nonsense, or fail hours later."""
    what = f"Split '{split}' of data set '{source.name}'"
    if len(features) == 0 or len(features) != len(labels):
        raise InputError(f"{what} has {len(features)} examples and {len(labels)} labels; expected as many, and some.")
    if features.shape[1:] != source.preprocessing.input_shape:
        expected = source.preprocessing.input_shape
        raise InputError(f"{what} has examples of shape {features.shape[1:]}; expected {expected}.")
    wrong = (labels < -1) | (labels >= source.num_classes)
    if wrong.any():
        index = int(wrong.argmax())
        expected = f"0 to {source.num_classes - 1}, or -1 for none"
        raise InputError(f"{what} has the label {labels[index]} at example {index}; expected {expected}.")
    if features.dtype.kind == "f" and not np.isfinite(features).all():
        index = int((~np.isfinite(features)).reshape(len(features), -1).any(axis=1).argmax())
        raise InputError(f"{what} has features that are NaN or infinite, first at example {index}; mend or remove it.")


class Dataset:
    """One split of a data set: read into memory on first need, delivered as a `tf.data.Dataset` by `load`.

    Made by `datasets.get`, which explains the arguments.

    Attributes:
        name: Name of the data set.
        split: Name of the split.
        num_classes: Number of classes, of those that were asked for.
        input_shape: Shape of one example as delivered by `load`.
        augment: Whether `load(..., training=True)` augments.
        corruption: Name of the corruption, or None.
        severity: Severity of the corruption, 0 if there is none.
    """

    def __init__(
        self,
        source: Source,
        split: str,
        *,
        preprocessing: Preprocessing,
        data_dir: str | os.PathLike | None = None,
        validation_percent: float = 0.0,
        seed: int = 0,
        augment: bool | None = None,
        corruption: str | None = None,
        severity: int = 0,
        corruption_seed: int = corruptions.SEED,
        classes: Sequence[int] | None = None,
    ):
        splits = [*source.splits, *["validation"] * ("train" in source.splits)]
        if "test" in source.splits and (classes is not None or split == UNKNOWN):
            splits.append(UNKNOWN)
        if split not in splits:
            raise unknown_name(f"split of data set '{source.name}'", split, splits)
        if classes is not None:
            _check_classes(classes, source)
        elif split == UNKNOWN:
            raise InputError(f"Split '{UNKNOWN}' of data set '{source.name}' needs classes: those that are known.")
        if corruption is not None:
            corruptions.check(corruption, severity, preprocessing.input_shape)
        elif severity:
            raise InputError(f"There is no severity {severity} without a corruption: name one, or set severity to 0.")
        if not 0 <= validation_percent < 1:
            raise InputError(f"validation_percent is a fraction in [0, 1), received {validation_percent}.")
        if split == "validation" and validation_percent == 0:
            raise InputError(
                f"Split 'validation' of data set '{source.name}' is empty: set validation_percent above 0."
            )
        if augment and not source.augmented:
            raise InputError(f"Data set '{source.name}' has no augmentation: set augment to False.")
        self.name = source.name
        self.split = split
        self.num_classes = source.num_classes if classes is None else len(classes)
        self.input_shape = preprocessing.input_shape
        self.augment = source.augmented if augment is None else augment
        self.corruption = corruption
        self.severity = severity
        self._source = source
        self._preprocessing = preprocessing
        self._data_dir = data_dir
        self._validation_percent = validation_percent
        self._seed = seed
        self._corruption_seed = corruption_seed
        self._classes = None if classes is None else tuple(classes)

    def __repr__(self) -> str:
        corrupted = f", corruption={self.corruption!r}, severity={self.severity}" if self.corruption else ""
        return f"Dataset(name={self.name!r}, split={self.split!r}, input_shape={self.input_shape}{corrupted})"

    @functools.cached_property
    def _stored(self) -> _Arrays:
        stored_split = {"validation": "train", UNKNOWN: "test"}.get(self.split, self.split)
        key = (self._source, stored_split, self._data_dir)
        if key not in _arrays_in_use:
            features, labels, *original_ids = self._source.read(stored_split, self._data_dir)
            _check(self._source, stored_split, features, labels)
            arrays = _Arrays(features, labels.astype(np.int32), *original_ids)
            _arrays_in_use[key] = arrays
        return _arrays_in_use[key]

    @functools.cached_property
    def element_ids(self) -> np.ndarray:
        """int64 `[num_examples]`: each example's index in the stored split; validation keeps those of train.

        Validation is the last fraction of a permutation that depends on nothing but the size of train, so every seed
        of a benchmark trains and validates on the same examples. Both parts keep the stored order. Classes are taken
        out afterwards, so that an example is in the same part with and without.
        """
        element_ids = self._element_ids_of_all_classes()
        if self._classes is None:
            return element_ids
        labels = self._stored.labels[element_ids]
        known = np.isin(labels, self._classes)
        # What belongs to no class, as an out-of-distribution split, is neither known nor one of the classes held out.
        element_ids = element_ids[~known & (labels >= 0) if self.split == UNKNOWN else known | (labels < 0)]
        if not len(element_ids):
            raise InputError(
                f"Split '{self.split}' of data set '{self.name}' is empty with the known classes {self._classes}."
            )
        return element_ids

    def _element_ids_of_all_classes(self) -> np.ndarray:
        num_stored = len(self._stored.labels)
        if self.split not in ("train", "validation") or self._validation_percent == 0:
            return np.arange(num_stored)
        num_train = num_stored - round(num_stored * self._validation_percent)
        if not 0 < num_train < num_stored:
            raise InputError(
                f"validation_percent {self._validation_percent} of the {num_stored} training examples of data set "
                f"'{self.name}' leaves train or validation empty."
            )
        permutation = np.random.default_rng(0).permutation(num_stored)
        return np.sort(permutation[:num_train] if self.split == "train" else permutation[num_train:])

    @functools.cached_property
    def features(self) -> np.ndarray:
        """`[num_examples, ...]`, as stored: before preprocessing, uint8 for images. Not to be written to."""
        return self._of_this_split(self._stored.features)

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """int32 `[num_examples]`, -1 for examples that belong to no class, or to none of those asked for."""
        labels = self._of_this_split(self._stored.labels)
        if self._classes is None:
            return labels
        renumbered = np.full(self._source.num_classes + 1, -1, np.int32)  # the last entry is that of label -1
        renumbered[list(self._classes)] = np.arange(len(self._classes))
        return renumbered[labels]

    @functools.cached_property
    def original_ids(self) -> np.ndarray:
        """int64 `[num_examples]`: the numbers that the set's authors gave the examples, to join what others publish.

        Raises:
            InputError: If the data set does not keep them.
        """
        if self._stored.original_ids is None:
            raise InputError(f"Data set '{self.name}' does not keep the original numbers of its examples.")
        return self._of_this_split(self._stored.original_ids)

    def _of_this_split(self, stored: np.ndarray) -> np.ndarray:
        return stored if self.num_examples == len(stored) else stored[self.element_ids]

    @property
    def num_examples(self) -> int:
        """Number of examples in this split."""
        return len(self.element_ids)

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the number of batches in which each example is seen, ceil(num_examples / batch_size)."""
        return -(-self.num_examples // batch_size)

    def fingerprint(self) -> str:
        """Return the SHA-256 of stored features, labels, element ids and corruption: equal only if the data are."""
        digest = hashlib.sha256()
        for array in (self.features, self.labels, self.element_ids):
            digest.update(f"{array.dtype} {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array).data)
        if self.corruption:  # described instead of computed
            described = (corruptions.VERSION, self.corruption, self.severity, self._corruption_seed, self.input_shape)
            digest.update(repr(described).encode())
        return digest.hexdigest()

    def load(
        self, batch_size: int, training: bool = False, start_step: int = 0, max_examples: int = 0
    ) -> tf.data.Dataset:
        """Return the batches: one ordered pass, or the endless shuffled and augmented stream of training.

        Training never ends and every batch is full, because shapes that never change let the train step be compiled
        once and be split evenly over devices. An epoch has `steps_per_epoch(batch_size)` batches; the last is filled
        up with the first examples of the same epoch's order, so each example is seen in each epoch. The order of an
        epoch depends on (seed, epoch) and the augmentation of an example on (seed, epoch, element id) alone, so a
        resumed run starts at its step, at no cost, and sees what it would have seen.

        Args:
            batch_size: Examples a batch over all devices together.
            training: False: stored order, once, the last batch may be smaller.
            start_step: Number of batches of the training stream to leave out.
            max_examples: The ordered pass ends after so many, all if 0.

        Returns:
            Batches as dicts: `features` float32 `[batch, *input_shape]`, `labels` int32 `[batch]` and `element_id`
            int64 `[batch]`.

        Raises:
            InputError: If the batch size is below 1, or training batches are larger than the data set, or `start_step`
                makes no sense, or the data cannot be had.
        """
        import tensorflow as tf

        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, received {batch_size}.")
        if training and batch_size > self.num_examples:
            raise InputError(
                f"batch_size {batch_size} is larger than split '{self.split}' of data set '{self.name}' "
                f"({self.num_examples} examples)."
            )
        if start_step < 0 or (start_step and not training):
            raise InputError(f"start_step must be 0, or above 0 in training; received {start_step}.")
        if max_examples < 0 or (max_examples and training):
            raise InputError(f"max_examples must be 0, or above 0 outside of training; received {max_examples}.")

        with tf.device("CPU:0"):  # where the input pipeline runs; a GPU's memory is for the model
            features, labels = tf.constant(self.features), tf.constant(self.labels)
            element_ids = tf.constant(self.element_ids)

        @tf.autograph.experimental.do_not_convert  # nothing to convert, and looking takes longer than tracing
        def get_batch(chosen: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            index = chosen["index"]
            batch = tf.gather(features, index)
            if "draws" in chosen:
                batch = augmentation.crop_and_flip(batch, chosen["draws"])
            ids = tf.gather(element_ids, index)

            def corrupt(images: tf.Tensor) -> tf.Tensor:
                return corruptions.corrupt(images, ids, self.corruption, self.severity, self._corruption_seed)

            return {
                "features": self._preprocessing(batch, self._source.maximum, corrupt if self.corruption else None),
                "labels": tf.gather(labels, index),
                "element_id": ids,
            }

        options = tf.data.Options()
        options.deterministic = True
        # Workers of a cluster share the examples of each batch; there are no files to be shared out instead.
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        if not training:
            index = tf.data.Dataset.range(min(max_examples or self.num_examples, self.num_examples)).batch(batch_size)
            batches = index.map(lambda index: get_batch({"index": index}), tf.data.AUTOTUNE)
            return batches.with_options(options).prefetch(tf.data.AUTOTUNE)

        def get_epoch(chosen: dict[str, tf.Tensor]) -> tf.data.Dataset:
            examples = get_batch({name: tf.reshape(x, [-1, *x.shape[2:]]) for name, x in chosen.items()})
            return tf.data.Dataset.from_tensor_slices(
                {name: tf.reshape(x, [-1, batch_size, *x.shape[1:]]) for name, x in examples.items()}
            )

        epochs, steps_into_epoch = self._training_epochs(batch_size, start_step, element_ids)
        if 4 * self.num_examples * math.prod(self.input_shape) <= _EPOCH_BYTES:
            batches = epochs.flat_map(get_epoch).skip(steps_into_epoch)
        else:
            chosen = epochs.flat_map(tf.data.Dataset.from_tensor_slices).skip(steps_into_epoch)
            batches = chosen.map(get_batch, tf.data.AUTOTUNE)
        # Known to be endless, a strategy need not ask in every step whether there is a batch left.
        batches = batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        return batches.with_options(options).prefetch(tf.data.AUTOTUNE)

    def _training_epochs(self, batch_size: int, start_step: int, element_ids: tf.Tensor) -> tuple[tf.data.Dataset, int]:
        """Return the endless stream of epochs from that of a step on, and the steps of it before that step.

        An epoch is `{"index": int32 [steps, batch]}`, with `"draws"` `[steps, batch, 3]` if augmented.
        """
        import tensorflow as tf

        steps = self.steps_per_epoch(batch_size)
        num_stored = len(self._stored.labels)

        def get_choice(epoch: tf.Tensor) -> dict[str, tf.Tensor]:
            seed = tf.stack([tf.constant(self._seed, tf.int64), epoch])
            # Not index_shuffle: it repeats after 256 seeds, and small data sets have more epochs than that.
            order = tf.random.experimental.stateless_shuffle(tf.range(self.num_examples), seed)
            order = tf.concat([order, order[: steps * batch_size - self.num_examples]], axis=0)
            chosen = {"index": tf.reshape(order, [steps, batch_size])}
            if self.augment:
                draws = augmentation.draw_crops_and_flips(num_stored, tf.random.fold_in(seed, 1))
                chosen["draws"] = tf.gather(draws, tf.gather(element_ids, chosen["index"]))
            return chosen

        first_epoch, steps_into_epoch = divmod(start_step, steps)
        return tf.data.Dataset.range(first_epoch, tf.int64.max).map(get_choice), steps_into_epoch
