"""The builder of one split of a data set, and the views of it."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from uncertainty_suite import tf
from uncertainty_suite.datasets import corruptions, label_noise, long_tail, mixing, pipeline, sources, stored, streams
from uncertainty_suite.datasets.forms import Images, Tokens, describe
from uncertainty_suite.datasets.sources import CATEGORICAL, GAUSSIAN, Source
from uncertainty_suite.datasets.trees import Tree, leaves, map_leaves, same_structure
from uncertainty_suite.errors import InputError, unknown_name

TRAIN, VALIDATION, TEST, UNKNOWN = "train", "validation", "test", "unknown"


@dataclasses.dataclass(frozen=True)
class _View:
    """What the views of a data set change; see the methods of `Dataset`."""

    task: Dataset | None = None
    validation_percent: float = 0.0
    train_fraction: float = 1.0
    imbalance: float = 1.0
    noise: float = 0.0
    noise_seed: int = label_noise.SEED
    known: tuple[int, ...] | None = None
    only: tuple[int, ...] | None = None
    corruption: str | None = None
    severity: int = 0
    corruption_seed: int = corruptions.SEED
    max_examples: int = 0
    seed: int = 0
    augment: bool | None = None
    mixing: str | None = None
    alpha: float = 0.0
    augmix: float = 0.0
    outliers: Dataset | None = None


class Dataset:
    """One split of a data set: read into memory on first need, delivered as a `tf.data.Dataset` by `load`.

    Made by `datasets.get`. The methods `like`, `corrupted`, `holding_out`, `fraction`, `imbalanced`,
    `with_label_noise`, `classes`, `only`, `subset`, `seeded`, `augmented`, `augmixed`, `mixed` and `with_outliers` each
    return a new view of it and leave it as it is; they read nothing, and their order does not matter. The same method
    called again replaces what it said before.

    Attributes:
        source: What is particular to the data set.
        name: Name of the data set.
        split: Name of the split.
        likelihood: What a label is: `"categorical"` or `"gaussian"`.
        augment: Whether `load(..., training=True)` augments.
        corruption: Name of the corruption, or None.
        severity: Severity of the corruption, 0 if there is none.

    Example:
        >>> train = get("cifar10", "train").holding_out(0.1).seeded(3)
        >>> validation = get("cifar10", "validation").holding_out(0.1)
        >>> foggy = get("cifar10", "test").corrupted("fog", 3).subset(1000)
        >>> svhn = get("svhn_cropped", "test").like(train)
    """

    def __init__(
        self, source: Source, split: str, data_dir: str | os.PathLike | None = None, view: _View | None = None
    ):
        """Create the builder of a source's split.

        Args:
            source: What is particular to the data set.
            split: A stored split, or `"validation"` or `"unknown"`.
            data_dir: Where prepared data sets lie.
            view: For the views.

        Raises:
            InputError: If there is no such split.
        """
        view = view or _View()
        splits = set(source.splits)
        if TRAIN in splits:
            splits.add(VALIDATION)
        if TEST in splits and source.likelihood == CATEGORICAL:
            splits.add(UNKNOWN)
        if split not in splits:
            raise unknown_name(f"split of data set '{source.name}'", split, splits)
        self.source = source
        self.name = source.name
        self.split = split
        self.likelihood = source.likelihood
        self.augment = source.augmented if view.augment is None else view.augment
        self.corruption = view.corruption
        self.severity = view.severity
        self._data_dir = data_dir
        self._view = view
        if self.corruption is not None:
            corruptions.check(self.corruption, self.severity, self.input_shape)

    def __repr__(self) -> str:
        shape = "" if self._own_form is None else f", input_shape={self.input_shape}"
        corrupted = f", corruption={self.corruption!r}, severity={self.severity}" if self.corruption else ""
        return f"Dataset(name={self.name!r}, split={self.split!r}{shape}{corrupted})"

    # Views

    def _with(self, source: Source | None = None, split: str | None = None, **changes: Any) -> Dataset:
        view = dataclasses.replace(self._view, **changes)
        return Dataset(source or self.source, split or self.split, self._data_dir, view)

    def like(self, task: str | Dataset) -> Dataset:
        """Return the view whose examples are brought into the form of a task's data.

        An out-of-distribution set must reach the model in the form that the model was trained on, or the form gives it
        away. `noise` has no form of its own and needs it.

        Args:
            task: The task's data set: a `Dataset`, or its name, with options or without, in the same folder.

        Raises:
            InputError: If the name is unknown, or the examples cannot be brought into that form, or the labels are of
                another kind.

        Example:
            >>> svhn_for_cifar = get("svhn_cropped", "test").like("cifar10")
            >>> permuted = get("noise", "permuted").like("cifar10")
        """
        if isinstance(task, str):
            found = sources.find(task)
            if found.name == self.name and found is not self.source and "(" not in task:
                raise InputError(
                    f"Data set '{self.name}' has other options here than '{task}', which it should be made like: name "
                    f"these, as '{task}(option=value)', or give the Dataset."
                )
            task = Dataset(found, found.splits[0], self._data_dir)
        wanted = task._own_form
        if wanted is None:
            raise InputError(
                f"Data set '{task.name}' has no form of its own: name by `.like(...)` the data set of a task."
            )
        source = self.source.imitate(task.source) if self.source.imitate else self.source
        own = source.form
        if not same_structure(own, wanted) or not all(
            wanted_part.takes(part) for (_, part), (_, wanted_part) in zip(leaves(own), leaves(wanted))
        ):
            raise InputError(
                f"Data set '{self.name}' of {describe(own)} cannot be made like '{task.name}' of {describe(wanted)}."
            )
        if self.likelihood != task.likelihood:
            raise InputError(
                f"Data set '{self.name}' with {self.likelihood} labels cannot be made like '{task.name}' with "
                f"{task.likelihood} labels."
            )
        return self._with(source=source, task=task._with())  # which keeps no arrays that the task has read

    def corrupted(self, name: str | None, severity: int = 0, seed: int = corruptions.SEED) -> Dataset:
        """Return the view whose images are all corrupted, at the task's size and before normalisation.

        Args:
            name: One of `corruptions.names()`; None: no corruption.
            severity: 1 to 5; 0 without a corruption.
            seed: Decides, with an image's element id, what is random in its corruption. A constant of the benchmark:
                only if runs see the same corrupted images can they be compared example by example.

        Raises:
            InputError: If there is no such corruption of such examples.
        """
        if name is None and severity:
            raise InputError(f"There is no severity {severity} without a corruption: name one, or set severity to 0.")
        return self._with(corruption=name, severity=severity, corruption_seed=seed)

    def holding_out(self, validation_percent: float) -> Dataset:
        """Return the view of train without the examples held out for validation, or of validation with just these.

        Which examples these are depends on nothing but the size of train, so runs of different seeds can be compared
        example by example. Other splits stay as they are.

        Args:
            validation_percent: Fraction of train, in [0, 1).

        Raises:
            InputError: If it is out of that range, or 0 and the split is `"validation"`, or the data set has a
                validation split of its own.

        Example:
            >>> train, validation = (get("mnist", split).holding_out(0.1) for split in ("train", "validation"))
        """
        if not 0 <= validation_percent < 1:
            raise InputError(f"validation_percent is a fraction in [0, 1), received {validation_percent}.")
        if validation_percent and VALIDATION in self.source.splits:
            raise InputError(
                f"Data set '{self.name}' has a split 'validation' of its own: set validation_percent to 0."
            )
        view = self._with(validation_percent=validation_percent)
        view._check_validation()
        return view

    def fraction(self, train_fraction: float) -> Dataset:
        """Return the view of train with a fraction of the examples that are not held out for validation.

        Which these are depends on nothing but the size of train, and a smaller fraction is part of a larger one. Other
        splits stay as they are, and so do the statistics with which features are standardised.

        Args:
            train_fraction: In (0, 1]; 1: all.

        Raises:
            InputError: If it is out of that range.

        Example:
            >>> halves = [get("mnist").holding_out(0.1).fraction(0.5**k) for k in range(6)]
        """
        if not 0 < train_fraction <= 1:
            raise InputError(f"train_fraction is a fraction in (0, 1], received {train_fraction}.")
        return self._with(train_fraction=train_fraction)

    def imbalanced(self, ratio: float) -> Dataset:
        """Return the view of train whose classes are an exponential long tail, the first one the largest.

        Class k of K keeps n_max ratio^(-k / (K - 1)) examples, rounded down, as in Cui et al., 2019
        (https://arxiv.org/abs/1901.05555), and Cao et al., 2019 (https://arxiv.org/abs/1906.07413); n_max is the size
        of a class, or where sizes differ the largest number for which every class has examples enough. Which examples
        these are depends on the labels and the size of train alone. Other splits stay as they are. With `classes`,
        these are the K classes, in their order.

        Args:
            ratio: Of the largest to the smallest class, at least 1; 1: the examples as they are.

        Raises:
            InputError: If it is below 1, or there are no classes.

        Example:
            >>> cifar10_lt = get("cifar10").imbalanced(100)  # 5000, 2997, 1796, ..., 50 examples
        """
        if not 1 <= ratio < np.inf:
            raise InputError(
                f"imbalance is the ratio of the largest to the smallest class, at least 1; received {ratio}."
            )
        if ratio > 1:
            self._refuse_without_classes(f"imbalance is {ratio:g}: set it to 1. ")
        return self._with(imbalance=ratio)

    def with_label_noise(self, fraction: float, seed: int = label_noise.SEED) -> Dataset:
        """Return the view of train with symmetric label noise: wrong labels, uniformly drawn from all other classes.

        Exactly this fraction of the training examples that the other views leave (`only` and `subset` aside) has a
        wrong label, but for rounding. Which ones, and which labels, is a function of their places in the stored split.
        Validation and test stay as they are: what is chosen or measured there is chosen and measured with the right
        labels.

        Args:
            fraction: In [0, 1); 0: the labels as they are.
            seed: Decides which labels are wrong. A constant of the benchmark: only if runs see the same labels can they
                be compared.

        Raises:
            InputError: If it is out of that range, or there are no classes.

        Example:
            >>> noisy = get("cifar10").holding_out(0.1).with_label_noise(0.4)
        """
        if not 0 <= fraction < 1:
            raise InputError(f"label_noise is a fraction in [0, 1), received {fraction}.")
        if fraction:
            self._refuse_without_classes(f"label_noise is {fraction:g}: set it to 0. ")
        return self._with(noise=fraction, noise_seed=seed)

    def classes(self, known: Sequence[int] | None) -> Dataset:
        """Return the view for open-set recognition: only the examples of known classes, numbered in this order.

        Examples of all other classes are left out; in the split `"unknown"`, which is the rest of test, they are all
        there is, with label -1. Element ids stay.

        Args:
            known: The known classes; None: all.

        Raises:
            InputError: If these are not some of the classes, or None and the split is `"unknown"`.

        Example:
            >>> known, unknown = (get("mnist", split).classes((0, 1, 2, 3)) for split in ("test", "unknown"))
        """
        if known is not None:
            self._refuse_without_classes()
            num_classes, received = self.source.num_classes, f"received {tuple(known)}."
            what = f"classes of data set '{self.name}'"
            if not len(known):
                raise InputError(f"{what} is empty: name those that are known, or None for all.")
            if len(set(known)) < len(known):
                raise InputError(f"{what} names a class twice, {received}")
            if not set(known) <= set(range(num_classes)):
                raise InputError(f"{what} are in 0..{num_classes - 1}, {received}")
            if len(known) == num_classes:
                raise InputError(f"{what} names all {len(known)}: none would be unknown.")
        view = self._with(known=None if known is None else tuple(known))
        view._check_unknown()
        return view

    def only(self, element_ids: Sequence[int] | None) -> Dataset:
        """Return the view of train with these examples alone, of those that the other views leave; in stored order.

        So a method learns from what has been labelled so far. Other splits stay as they are, and so do wrong labels and
        the statistics with which features are standardised; targets are standardised with those of these examples.

        Args:
            element_ids: Of the examples, in any order; None: all.

        Raises:
            InputError: If there are none, or one is named twice. When read: if one is no such example.

        Example:
            >>> labelled = get("mnist").holding_out(0.1).only([12, 7, 43001])
        """
        if element_ids is not None:
            if not len(element_ids):
                raise InputError(f"No training examples of data set '{self.name}' are named: expected some ids.")
            if len(set(element_ids)) < len(element_ids):
                raise InputError(f"The ids of training examples of data set '{self.name}' name an example twice.")
        return self._with(only=None if element_ids is None else tuple(int(each) for each in element_ids))

    def subset(self, max_examples: int) -> Dataset:
        """Return the view of the first so many examples that the other views leave; 0 for all.

        Raises:
            InputError: If it is below 0.
        """
        if max_examples < 0:
            raise InputError(f"max_examples must be 0, for all, or above 0; received {max_examples}.")
        return self._with(max_examples=max_examples)

    def seeded(self, seed: int) -> Dataset:
        """Return the view whose training order and augmentation are those of a seed; 0 otherwise.

        The seed never decides which examples there are.
        """
        return self._with(seed=seed)

    def augmented(self, augment: bool) -> Dataset:
        """Return the view whose training batches are augmented or not; `cifar10` and `cifar100` are if nothing is said.

        Raises:
            InputError: If the data set has no augmentation.
        """
        if augment and not self.source.augmented:
            raise InputError(f"Data set '{self.name}' has no augmentation: set augment to False.")
        return self._with(augment=augment)

    def mixed(self, kind: str | None, alpha: float = 1.0) -> Dataset:
        """Return the view whose training batches are mixed: each example with another one, anew in each epoch.

        An example's partner, its share, of the distribution Beta(alpha, alpha), and what is cut out are functions of
        (seed, epoch, example). Labels of mixed batches are probabilities, float32 `[batch, num_classes]`; those of
        gaussian sets are mixed as features are.

        Args:
            kind: `"mixup"`, the weighted mean of two examples (Zhang et al. 2018, https://arxiv.org/abs/1710.09412);
                `"cutmix"`, a rectangle of one image in another (Yun et al. 2019, https://arxiv.org/abs/1905.04899);
                None for not at all.
            alpha: Above 0; the larger, the nearer to halves.

        Raises:
            InputError: If the kind is unknown, alpha is out of its range, or such examples cannot be mixed.

        Example:
            >>> batches = get("digits").mixed("cutmix").load(64, training=True)
        """
        if kind not in (mixing.MIXUP, mixing.CUTMIX, None):
            raise unknown_name("kind of mixing", str(kind), (mixing.MIXUP, mixing.CUTMIX))
        if not 0 < alpha < np.inf:
            raise InputError(f"The alpha of {kind or 'mixing'} must be above 0, received {alpha}.")
        forms = [form for _, form in leaves(self._own_form)]
        if kind is not None and any(isinstance(form, Tokens) for form in forms):
            raise InputError(f"Examples of data set '{self.name}' are tokens, which have no mean: set {kind} to 0.")
        if kind == mixing.CUTMIX and not all(isinstance(form, Images) for form in forms):
            raise InputError(f"Examples of data set '{self.name}' are no images: set {kind} to 0.")
        return self._with(mixing=kind, alpha=alpha)

    def augmixed(self, severity: float) -> Dataset:
        """Return the view whose training images are mixed with operations on themselves, anew in each epoch: AugMix.

        Hendrycks et al. 2020, https://arxiv.org/abs/1912.02781, without its loss. It comes after crops and flips, and
        is a function of (seed, epoch, example).

        Args:
            severity: Above 0, at most 10; 3 in the paper for CIFAR-10, 1 for ImageNet. 0 for not at all.

        Raises:
            InputError: If it is out of that range, or examples are no images of one or three channels.
        """
        if not 0 <= severity <= 10:
            raise InputError(f"The severity of AugMix is from 0 to 10, received {severity}.")
        if severity and not isinstance(self._own_form, Images):
            raise InputError(f"Examples of data set '{self.name}' are no images: set augmix to 0.")
        return self._with(augmix=severity)

    def with_outliers(self, outliers: Dataset | None) -> Dataset:
        """Return the view whose training batches are followed by as many examples of another set, with the label -1.

        Hendrycks, Mazeika and Dietterich 2019, https://arxiv.org/abs/1812.04606. They are shuffled by this set's seed,
        in epochs of their own.

        Args:
            outliers: The other set, in the form of this one; None for none.

        Raises:
            InputError: If labels are no classes.
        """
        if outliers is not None:
            self._refuse_without_classes("Outliers have no target. ")
        return self._with(outliers=outliers)

    # What can be said without reading

    @property
    def rows_per_example(self) -> int:
        """Rows of a training batch for each of its examples: 2 where outliers follow them, else 1."""
        return 1 if self._view.outliers is None else 2

    @property
    def _own_form(self) -> Tree:
        """The form that examples are brought into, without statistics that would have to be read; perhaps None."""
        return self._view.task._own_form if self._view.task else self.source.form

    @property
    def input_shape(self) -> Any:
        """Shape of one example as delivered by `load`; a tree of shapes where features are a tree."""
        if self._own_form is None:
            raise InputError(
                f"Data set '{self.name}' has no form of its own: name the task's data set by `.like(...)`."
            )
        return map_leaves(lambda form: form.input_shape, self._own_form)

    @property
    def num_classes(self) -> int:
        """Number of classes, of those that were asked for; of categorical sets only."""
        self._refuse_without_classes()
        return self.source.num_classes if self._view.known is None else len(self._view.known)

    @property
    def num_folds(self) -> int:
        """How many published divisions into train and test there are; the option `fold` of `datasets.get` names one."""
        return self.source.num_folds

    def _refuse_without_classes(self, what: str = "") -> None:
        if self.likelihood != CATEGORICAL:
            raise InputError(f"{what}Data set '{self.name}' has no classes: its labels are {self.likelihood}.")

    def _check_validation(self) -> None:
        cut = self.split == VALIDATION and VALIDATION not in self.source.splits
        if cut and self._view.validation_percent == 0:
            raise InputError(
                f"Split 'validation' of data set '{self.name}' is empty: set validation_percent above 0, by "
                "`.holding_out(0.1)`."
            )

    def _check_unknown(self) -> None:
        if self.split == UNKNOWN and self._view.known is None:
            raise InputError(
                f"Split '{UNKNOWN}' of data set '{self.name}' needs classes: those that are known, by "
                "`.classes((0, 1, 2))`."
            )

    # What is read

    @functools.cached_property
    def form(self) -> Tree:
        """The form that `load` delivers: a `Form`, or a tree of forms; read for it are only a set's own statistics."""
        if self._own_form is None:
            _ = self.input_shape  # refuses
        return self._view.task.form if self._view.task else stored.read_form(self.source, self._data_dir)

    @functools.cached_property
    def _stored(self) -> stored.Stored:
        if self.split not in self.source.splits:
            self._check_validation()
            self._check_unknown()
            return stored.read(self.source, {VALIDATION: TRAIN, UNKNOWN: TEST}[self.split], self._data_dir)
        return stored.read(self.source, self.split, self._data_dir)

    @functools.cached_property
    def _rows(self) -> np.ndarray:
        """int64 `[num_examples]`: each example's place in the stored split, ascending."""
        return self._rows_before_subset[self._kept]

    @functools.cached_property
    def _kept(self) -> np.ndarray | slice:
        """Which of `_rows_before_subset` there are, ascending."""
        first = slice(self._view.max_examples or None)
        if self._view.only is None or self.split != TRAIN:
            return first
        rows = self._rows_before_subset
        ids = self._numbers[rows] if self.source.identified else rows
        missing = np.setdiff1d(self._view.only, ids)
        if len(missing):
            raise InputError(
                f"Data set '{self.name}' has no training example with the id {missing[0]}, of those that it keeps for "
                "training."
            )
        return np.flatnonzero(np.isin(ids, self._view.only))[first]

    @functools.cached_property
    def _rows_before_subset(self) -> np.ndarray:
        """Classes are taken out after the cut, so that an example is in the same part with and without."""
        rows = self._rows_of_all_classes()
        if self._view.known is not None:
            labels = self._given_labels[rows]
            known = np.isin(labels, self._view.known)
            # What belongs to no class, as an out-of-distribution split, is neither known nor one of the classes held
            # out.
            rows = rows[~known & (labels >= 0) if self.split == UNKNOWN else known | (labels < 0)]
            if not len(rows):
                raise InputError(
                    f"Split '{self.split}' of data set '{self.name}' is empty with the known classes "
                    f"{self._view.known}."
                )
        if self.split == TRAIN and self._view.imbalance > 1:
            labels, order = self._numbered(self._given_labels[rows]), self._order.argsort()[rows]
            rows = rows[long_tail.choose(labels, order, self.num_classes, self._view.imbalance)]
        return rows

    @functools.cached_property
    def _order(self) -> np.ndarray:
        """int64 `[size of train]`: the stored places of training examples, those that are kept longest first.

        Validation is the last fraction of this permutation, which depends on nothing but the size of train, so every
        seed of a benchmark trains and validates on the same examples.
        """
        return np.random.default_rng(0).permutation(len(self._stored))

    def _rows_of_all_classes(self) -> np.ndarray:
        """Both parts of train keep the stored order."""
        num_stored = len(self._stored)
        is_cut = self.split == VALIDATION and VALIDATION not in self.source.splits
        if self.split != TRAIN and not is_cut:
            return np.arange(num_stored)
        percent, fraction = self._view.validation_percent, self._view.train_fraction
        num_train = num_stored - round(num_stored * percent)
        if percent and not 0 < num_train < num_stored:
            raise InputError(
                f"validation_percent {percent} of the {num_stored} training examples of data set '{self.name}' leaves "
                "train or validation empty."
            )
        if is_cut:
            return np.sort(self._order[num_train:])
        num_kept = round(num_train * fraction)
        if fraction < 1 and not 0 < num_kept < num_train:
            raise InputError(
                f"train_fraction {fraction} of the {num_train} training examples of data set '{self.name}' keeps all "
                "or none; set it to 1, or to another value."
            )
        return np.sort(self._order[:num_kept])

    @functools.cached_property
    def element_ids(self) -> np.ndarray:
        """int64 `[num_examples]`: what tells examples apart; validation keeps the ids of train.

        The index in the stored split, or the number that the authors gave the example (UCI: its row in the file).
        """
        if self.source.identified:
            return self.original_ids
        return self._rows

    @functools.cached_property
    def features(self) -> Tree:
        """`[num_examples, ...]` or a tree of such arrays, as stored: before they are brought into form.

        Raises:
            InputError: They are streamed, and not in memory; `load` delivers them.
        """
        if self._stored.shards is not None:
            raise InputError(f"Data set '{self.name}' is streamed, so its features are not in memory: use load().")
        return map_leaves(self._of_this_split, self._stored.features)

    @functools.cached_property
    def _given_labels(self) -> np.ndarray:
        """Labels of the stored split, `[n]`: in train perhaps others than are stored, which people gave."""
        if self.split == TRAIN and self.source.training_labels is not None:
            return self.source.training_labels(self._stored, self._data_dir)
        return self._stored.labels

    def _numbered(self, labels: np.ndarray) -> np.ndarray:
        """Return labels with the known classes numbered in their order."""
        if self._view.known is None:
            return labels
        numbers = np.full(self.source.num_classes + 1, -1, np.int32)  # the last entry is that of label -1
        numbers[list(self._view.known)] = np.arange(len(self._view.known))
        return numbers[labels]

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """`[num_examples]`: int32, or of gaussian sets float64 in the target's own units.

        A class is -1 for examples that belong to none, or to none of those asked for.
        """
        view = self._view
        if self.split != TRAIN or not view.noise:
            return self._numbered(self._of_this_split(self._given_labels))
        rows = self._rows_before_subset
        labels = self._numbered(self._given_labels[rows])
        noisy = label_noise.symmetric(labels, rows, len(self._stored), self.num_classes, view.noise, view.noise_seed)
        return noisy[self._kept]

    @functools.cached_property
    def human_labels(self) -> np.ndarray:
        """int64 `[num_examples, num_classes]`: how many people gave each example each label.

        There are such counts of `cifar10`, `test` (CIFAR-10H). With `classes` they are those of the classes asked for,
        and those of an example may all be 0.

        Raises:
            InputError: If there are none of this split, or they are not where data sets lie.

        Example:
            >>> counts = get("cifar10", "test").human_labels
            >>> label_distributions = counts / counts.sum(axis=1, keepdims=True)
        """
        split = TEST if self.split == UNKNOWN else self.split
        if split not in self.source.human_labels:
            known = ", ".join(self.source.human_labels) or "none"
            raise InputError(
                f"Split '{self.split}' of data set '{self.name}' has no labels of many people; these have: {known}."
            )
        counts = self.source.human_labels[split](self._data_dir)[self.original_ids]
        return counts if self._view.known is None else counts[:, list(self._view.known)]

    @functools.cached_property
    def original_ids(self) -> np.ndarray:
        """int64 `[num_examples]`: the numbers that the set's authors gave the examples, to join what others publish.

        Raises:
            InputError: If the data set does not keep them.
        """
        return self._of_this_split(self._numbers)

    @property
    def _numbers(self) -> np.ndarray:
        if self._stored.original_ids is None:
            raise InputError(f"Data set '{self.name}' does not keep the original numbers of its examples.")
        return self._stored.original_ids

    def _of_this_split(self, array: np.ndarray) -> np.ndarray:
        return array if self.num_examples == len(array) else array[self._rows]

    @property
    def num_examples(self) -> int:
        """Number of examples in this split."""
        return len(self._rows)

    @functools.cached_property
    def _training_targets(self) -> np.ndarray:
        if self.likelihood != GAUSSIAN:
            raise InputError(f"Data set '{self.name}' has no targets to standardise: its labels are {self.likelihood}.")
        train = self if self.split == TRAIN else self._with(split=TRAIN, max_examples=0, corruption=None, severity=0)
        if train.labels.min() == train.labels.max():
            raise InputError(
                f"The targets of the {train.num_examples} training examples of data set '{self.name}' are all "
                f"{train.labels[0]:g}; a regression needs some that differ."
            )
        return train.labels

    @property
    def target_mean(self) -> float:
        """Mean of the targets that are trained on, in float64; of gaussian sets only.

        Those of the split `train`, with the same `holding_out`, whichever split this is.
        """
        return float(self._training_targets.mean())

    @property
    def target_stddev(self) -> float:
        """Population standard deviation of the targets that are trained on, as `target_mean`.

        Raises:
            InputError: If they are all equal.
        """
        return float(self._training_targets.std())

    def check_batch_size(self, batch_size: int) -> None:
        """Refuse training batches that are larger than the data set.

        Raises:
            InputError: They are.
        """
        if batch_size > self.num_examples:
            raise InputError(
                f"batch_size {batch_size} is larger than split '{self.split}' of data set '{self.name}' "
                f"({self.num_examples} examples). Give {self.num_examples} or less, as "
                f"--config.batch_size={self.num_examples}."
            )

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the number of batches in which each example is seen, ceil(num_examples / batch_size)."""
        return -(-self.num_examples // batch_size)

    def fingerprint(self) -> str:
        """Return the SHA-256 of stored features, labels, element ids and corruption: equal only if the data are.

        Of streamed features these are the checksums of the stored examples.
        """
        digest = hashlib.sha256()
        shards = self._stored.shards
        features = self.features if shards is None else shards.checksums[self._rows]
        for path, array in [*leaves(features), ("", self.labels), ("", self.element_ids)]:
            digest.update(f"{path}{array.dtype} {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array).data)
        if self.corruption:  # described instead of computed
            view = self._view
            described = (corruptions.VERSION, view.corruption, view.severity, view.corruption_seed, self.input_shape)
            digest.update(repr(described).encode())
        return digest.hexdigest()

    def load(
        self,
        batch_size: int,
        training: bool = False,
        start_step: int = 0,
        max_examples: int = 0,
        parts: Sequence[slice] | None = None,
    ) -> tf.data.Dataset:
        """Return the batches: one ordered pass, or the endless shuffled and augmented stream of training.

        Training never ends and every batch is full, because shapes that never change let the train step be compiled
        once and be split evenly over devices. An epoch has `steps_per_epoch(batch_size)` batches; the last is filled
        up with the first examples of the same epoch's order, so each example is seen in each epoch. The order of an
        epoch depends on (seed, epoch) and the augmentation of an example on (seed, epoch, element id) alone, so a
        resumed run starts at its step, at no cost, and sees what it would have seen. What is streamed has another order
        (see `datasets.streams`), a function of the same, and a resumed run reads a block of it first.

        Args:
            batch_size: Examples a batch over all devices together.
            training: False: stored order, once, the last batch may be smaller.
            start_step: Number of batches of the training stream to leave out.
            max_examples: The ordered pass ends after so many, all if 0.
            parts: Adjacent parts of every training batch that are wanted, which come one after the other in its place:
                those of the replicas of one host (see `replicas.share_out`), so that no host makes what is another's.

        Returns:
            Batches as dicts: `features` `[batch, *input_shape]`, float32, or int32 for tokens, or a tree of these;
            `labels` `[batch]`, int32, or of gaussian sets float64 in the target's own units, since saved labels have
            to be exact and a loss in float32 standardises them first; `element_id` int64 `[batch]`.

        Raises:
            InputError: If the batch size is below 1, or training batches are larger than the data set, or `start_step`
                makes no sense, or the data cannot be had.
        """
        count = self._count(batch_size, max_examples, training)
        if training:
            self.check_batch_size(batch_size)
        if start_step < 0 or (start_step and not training):
            raise InputError(f"start_step must be 0, or above 0 in training; received {start_step}.")
        if self._stored.shards is not None:
            streamed = streams.Streamed(
                self._stored.shards, self.labels, self.element_ids, self._rows, self._get_bring()
            )
            if training:
                if self._view.mixing or self._view.augmix or self._view.outliers is not None:
                    raise InputError(
                        f"Data set '{self.name}' is streamed, and mixed examples and outliers are for sets in memory: "
                        "leave config.dataset.augmix, mixup, cutmix and outliers out."
                    )
                return streamed.endless(batch_size, start_step, self._view.seed, self.augment, parts)
            return streamed.ordered(batch_size, count)
        examples = self._examples(training)
        if training:
            batches = pipeline.endless(examples, batch_size, start_step, self._view.seed, self.augment, parts)
            if self._view.outliers is None:
                return batches
            outliers = self._view.outliers.seeded(self._view.seed)
            others = outliers.load(batch_size, training=True, start_step=start_step, parts=parts)
            return pipeline.with_outliers(batches, others)
        return pipeline.ordered(examples, batch_size, count)

    def batches(self, batch_size: int, max_examples: int = 0) -> Iterable[dict[str, Tree]]:
        """Return the batches of one ordered pass, the same as those of `load`, without building a pipeline.

        Each is made when it is asked for, and none ahead. Building the pipeline of a set takes longer than corrupting
        and predicting a thousand small images, so this is for passes over many sets. What is streamed has a pipeline
        all the same.

        Args:
            batch_size: As for `load`.
            max_examples: As for `load`.

        Raises:
            InputError: As `load` does.
        """
        count = self._count(batch_size, max_examples)
        if self._stored.shards is not None:
            return self.load(batch_size, max_examples=max_examples)
        return pipeline.at_once(self._examples(), batch_size, count)

    def _count(self, batch_size: int, max_examples: int, training: bool = False) -> int:
        """Return the number of examples of a pass."""
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, received {batch_size}.")
        if max_examples < 0 or (max_examples and training):
            raise InputError(f"max_examples must be 0, or above 0 outside of training; received {max_examples}.")
        return min(max_examples or self.num_examples, self.num_examples)

    def _examples(self, training: bool = False) -> pipeline.Examples:
        return pipeline.Examples(
            features=self.features,
            labels=self.labels,
            element_ids=self.element_ids,
            rows=self._rows,
            num_stored=len(self._stored),
            bring=self._get_bring(),
            bytes_per_example=sum(form.bytes_per_example for _, form in leaves(self.form)),
            mixing=self._view.mixing if training else None,
            alpha=self._view.alpha,
            num_classes=self.num_classes if self.likelihood == CATEGORICAL else None,
            augmix=self._view.augmix if training else 0.0,
            image_size=self.input_shape[:2] if self._view.augmix else (0, 0),
        )

    def _get_bring(self) -> Callable[..., Tree]:
        form, maximum, corruption = self.form, self.source.maximum, self.corruption
        severity, seed = self.severity, self._view.corruption_seed

        def bring(
            features: Tree, element_ids: tf.Tensor, change: Callable[[tf.Tensor], tf.Tensor] | None = None
        ) -> Tree:
            if corruption is not None:  # and then it is not trained on
                corrupt = functools.partial(corruptions.corrupt, name=corruption, severity=severity, seed=seed)
                change = functools.partial(corrupt, element_ids=element_ids)
            return map_leaves(lambda part, array: part.bring(array, maximum, change), form, features)

        return bring
