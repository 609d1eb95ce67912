"""What every metric shares: the streaming interface, the registry, and the checks of what the user gave."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from uncertainty_suite.errors import InputError, unknown_name

# How far a row of probabilities may be from one: far beyond the rounding of a softmax, far below any mistake.
_SUM_TOLERANCE = 1e-4
_SUM_TOLERANCE_HALF = 5e-3  # float16 and bfloat16

_CACHED_NUMBERS = 2**14  # about what a core's fast cache holds
_HELD_NUMBERS = 2**15  # what a collection holds back before its metrics see it

_UNIT = (0.0, 1.0)
POSITIVE = (0.0, float("inf"))
REAL = (-float("inf"), float("inf"))


def to_array(values: Any, what: str, ndims: Iterable[int], shape_text: str) -> np.ndarray:
    """Return `values` as a numeric array of an allowed rank that holds at least one number.

    Args:
        values: An array, a tensor or nested lists.
        what: What the values are, to begin an error with, e.g. `"Targets"`.
        ndims: The ranks allowed.
        shape_text: The shapes allowed, for people.

    Raises:
        InputError: The values are not numbers, have another rank, or are none at all.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise InputError(f"{what} must be one array {shape_text}, but numpy cannot make one: {error}.") from error
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise InputError(f"{what} must be numbers, got dtype {array.dtype}; pass an array {shape_text}.")
    if array.ndim not in ndims:
        raise InputError(f"{what} must have shape {shape_text}, got {list(array.shape)}.")
    if array.size == 0:
        raise InputError(f"{what} hold no example at all, shape {list(array.shape)}; pass at least one.")
    return array


def to_finite(values: Any, what: str, ndims: Iterable[int], shape_text: str) -> np.ndarray:
    """Return `to_array(...)` as float64, refusing NaN and infinity."""
    array = to_array(values, what, ndims, shape_text).astype(np.float64, copy=False)
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        index = where[0] if len(where) == 1 else where
        raise InputError(f"{what} must be finite, but the value at {index} is {array[where]}; remove or mend it.")
    return array


def to_samples(predictions: Any, what: str = "Predictions") -> tuple[np.ndarray, np.ndarray]:
    """Return checked class probabilities, all samples and their mean.

    Args:
        predictions: Probabilities `[batch, classes]` or `[samples, batch, classes]`.
        what: What they are, to begin an error with.

    Returns:
        The probabilities `[samples, batch, classes]` in the dtype received, which may be the caller's own array, and
        their mean over samples, float64 `[batch, classes]`, which is a new one.

    Raises:
        InputError: A wrong shape, a NaN, a negative value or a row that does not sum to one.
    """
    samples = to_array(predictions, what, (2, 3), "[batch, classes] or [samples, batch, classes]")
    if samples.ndim == 2:
        samples = samples[np.newaxis]
    half = samples.dtype.itemsize == 2
    if samples.dtype.kind != "f":
        samples = samples.astype(np.float32 if half else np.float64)
    tolerance = _SUM_TOLERANCE_HALF if half else _SUM_TOLERANCE
    ones = np.ones(samples.shape[-1], np.float32 if half else samples.dtype)
    if len(samples) == 1:
        lowest, sums, mean = samples.min(), samples @ ones, samples[0].astype(np.float64)
    else:
        sums, mean = np.empty(samples.shape[:2], ones.dtype), np.zeros(samples.shape[1:])
        lowest = 0.0
        # A few samples at a time, so that each is read from memory once, and from cache for the checks and the sum.
        step = max(1, _CACHED_NUMBERS // mean.size)
        for i in range(0, len(samples), step):
            group = samples[i : i + step]
            lowest = np.minimum(lowest, group.min())  # NaN if any is
            np.matmul(group, ones, out=sums[i : i + step])
            mean += group[0] if step == 1 else group.sum(axis=0, dtype=np.float64)
        mean /= len(samples)
    # NaN fails every comparison, so this asks for what is right and not for what is wrong.
    if not (lowest >= 0 and sums.max() - 1 <= tolerance and 1 - sums.min() <= tolerance):
        raise _bad_probs(samples, tolerance, what)
    return samples, mean


def _bad_probs(samples: np.ndarray, tolerance: float, what: str) -> InputError:
    def place(sample: int, example: int) -> str:
        return f"example {example}" + (f" of sample {sample}" if len(samples) > 1 else "")

    wrong = ~(samples >= 0) | np.isinf(samples)
    if wrong.any():
        s, i, k = (int(j) for j in np.argwhere(wrong)[0])
        return InputError(
            f"{what} must be probabilities, but {place(s, i)}, class {k} is {samples[s, i, k]}; "
            "expected values from 0 to 1. Pass softmax outputs, not logits."
        )
    off = samples.sum(axis=-1, dtype=np.float64) - 1
    s, i = (int(j) for j in np.unravel_index(np.argmax(np.abs(off)), off.shape))
    return InputError(
        f"{what} must sum to 1 over the classes, but {place(s, i)} sums to {1 + off[s, i]:.6g}, off by "
        f"{off[s, i]:+.3g} ({(np.abs(off) > tolerance).sum()} of {off.size} rows are off by more than {tolerance:g}). "
        "Pass softmax outputs, not logits."
    )


def to_labels(label: Any, batch: int, classes: int) -> np.ndarray:
    """Return checked labels `[batch]`, integers from 0 to `classes - 1`.

    Raises:
        InputError: Labels are of another shape, not integers or out of range.
    """
    labels = to_array(label, "Labels", (1,), "[batch]")
    if labels.dtype.kind == "f":
        raise InputError(f"Labels must be integers, got dtype {labels.dtype}; pass class indices from 0.")
    if len(labels) != batch:
        raise InputError(f"{batch} predictions but {len(labels)} labels; pass one label for each prediction.")
    if labels.min() < 0 or labels.max() >= classes:
        i = int(np.argmax((labels < 0) | (labels >= classes)))
        raise InputError(f"Labels must be from 0 to {classes - 1} for {classes} classes, but label {i} is {labels[i]}.")
    return labels.astype(np.intp, copy=False)


class Batch:
    """Checked class probabilities and labels; what several metrics need of them is computed once, when first needed.

    Attributes:
        samples: Probabilities `[samples, batch, classes]`, in the dtype received.
        probs: Their mean over samples, float64 `[batch, classes]`.
        labels: Class indices `[batch]`, or None where none were given.
    """

    def __init__(self, predictions: Any, label: Any = None):
        self.samples, self.probs = to_samples(predictions)
        batch, classes = self.probs.shape
        self.labels = None if label is None else to_labels(label, batch, classes)
        self.rows = np.arange(batch)

    @classmethod
    def joined(cls, batches: list["Batch"]) -> "Batch":
        """Return batches of the same samples, classes and dtype as one."""
        batch = cls.__new__(cls)
        batch.samples = np.concatenate([each.samples for each in batches], axis=1)
        batch.probs = np.concatenate([each.probs for each in batches])
        labelled = batches[0].labels is not None
        batch.labels = np.concatenate([each.labels for each in batches]) if labelled else None
        batch.rows = np.arange(len(batch.probs))
        return batch

    def own(self) -> None:
        """Copy what the caller could still write to."""
        self.samples = self.samples.copy()
        self.labels = None if self.labels is None else self.labels.copy()

    def can_join(self, other: "Batch") -> bool:
        """Say whether both have the same samples, classes and dtype, and both or neither labels."""
        mine, theirs = self.samples, other.samples
        return mine.dtype == theirs.dtype and (len(mine), mine.shape[2], self.labels is None) == (
            len(theirs),
            theirs.shape[2],
            other.labels is None,
        )

    @functools.cached_property
    def predicted(self) -> np.ndarray:
        """The most probable class, the first one of a tie, `[batch]`."""
        return self.probs.argmax(axis=-1)

    @functools.cached_property
    def confidence(self) -> np.ndarray:
        """The largest probability, `[batch]`."""
        return self.probs[self.rows, self.predicted]

    @functools.cached_property
    def correct(self) -> np.ndarray:
        """Whether the predicted class is the label, bool `[batch]`."""
        return self.predicted == self.labels

    @functools.cached_property
    def label_probs(self) -> np.ndarray:
        """The probability of the label, `[batch]`."""
        return self.probs[self.rows, self.labels]


def labelled_batch(predictions: Any, label: Any) -> Batch:
    """Return a batch that has labels."""
    if label is None:
        raise InputError("Labels are missing; pass class indices [batch].")
    return Batch(predictions, label)


class Metric:
    """A metric that is fed batch by batch.

    Example:
        >>> metric = metrics.get("ece", num_bins=15)
        >>> metric.add_batch(probs, label=labels)
        >>> metric.result()
        {"ece": 0.021}

    Attributes:
        name: Its name, and the key of its result.
        formula: What is computed, in one line.
        value_range: The least and greatest value possible.
        higher_is_better: True, False, or None where neither direction is better.
        paper: Where it comes from; empty for what is older than papers.
        agrees: The libraries whose value is the same.
        needs_whole_set: Whether what it keeps grows with the number of examples.
        needs_label: Whether `add_batch` needs labels.
        batch_type: What `add_batch` turns its arguments into. Metrics of one type can share a batch.
    """

    name: ClassVar[str]
    formula: ClassVar[str] = ""
    value_range: ClassVar[tuple[float, float]] = _UNIT
    higher_is_better: ClassVar[bool | None] = False
    paper: ClassVar[str] = ""
    agrees: ClassVar[str] = ""
    needs_whole_set: ClassVar[bool] = False
    needs_label: ClassVar[bool] = True
    batch_type: ClassVar[Callable] = Batch

    def add_batch(self, predictions: Any, label: Any = None) -> None:
        """Add a batch.

        Args:
            predictions: What the metric's family says: class probabilities `[batch, classes]` or
                `[samples, batch, classes]` for most.
            label: The truth, `[batch]`.

        Raises:
            InputError: The arrays are not what the metric expects. Nothing is added then.
        """
        self.check_label_given(label)
        self.update(self.batch_type(predictions, label))

    def check_label_given(self, label: Any) -> None:
        """Refuse a missing label where the metric needs one."""
        if self.needs_label and label is None:
            raise InputError(f"Metric '{self.name}' needs labels; call add_batch(predictions, label=labels).")

    def update(self, batch: Any) -> None:
        """Add a batch that is already checked, an instance of `batch_type`."""
        raise NotImplementedError

    def result(self) -> dict[str, float]:
        """Return the value over all that was added, by name.

        Raises:
            InputError: Nothing was added.
        """
        raise NotImplementedError

    def reset(self) -> None:
        """Forget all that was added."""
        raise NotImplementedError

    def _no_example(self) -> InputError:
        return InputError(f"Metric '{self.name}' has seen no example; call add_batch before result.")


class MeanMetric(Metric):
    """A metric that is a mean over examples; a subclass gives `per_example`."""

    def __init__(self):
        self.reset()

    def reset(self) -> None:
        self._total, self._count = 0.0, 0

    def per_example(self, batch: Any) -> np.ndarray:
        """Return the value of each example, `[batch]`."""
        raise NotImplementedError

    def update(self, batch: Any) -> None:
        values = self.per_example(batch)
        self._total += float(values.sum())
        self._count += len(values)

    def result(self) -> dict[str, float]:
        if not self._count:
            raise self._no_example()
        return {self.name: self._total / self._count}


class WholeSetMetric(Metric):
    """A metric of the whole set; a subclass says what to keep of a batch and what to compute of all that was kept."""

    needs_whole_set = True

    def __init__(self):
        self.reset()

    def reset(self) -> None:
        self._kept: list[tuple[np.ndarray, ...]] = []

    def keep(self, batch: Any) -> tuple[np.ndarray, ...]:
        """Return the columns to keep, the first axis of each over examples; not views of what the user owns."""
        raise NotImplementedError

    def compute(self, *columns: np.ndarray) -> float | dict[str, float]:
        """Return the value, or several by name, from the columns of the whole set."""
        raise NotImplementedError

    def update(self, batch: Any) -> None:
        self._kept.append(self.keep(batch))

    def result(self) -> dict[str, float]:
        if not self._kept:
            raise self._no_example()
        self._kept = [tuple(np.concatenate(column) for column in zip(*self._kept))]
        value = self.compute(*self._kept[0])
        return value if isinstance(value, dict) else {self.name: float(value)}


class Collection:
    """Several metrics fed together: a batch is checked once, and what they share of it is computed once.

    Example:
        >>> collection = Collection(["accuracy", "nll", get("ece", num_bins=10)])
        >>> collection.add_batch(probs, label=labels)
        >>> collection.result()
        {"accuracy": 0.93, "nll": 0.21, "ece": 0.012}

    Args:
        members: Names of metrics, or metrics.

    Raises:
        InputError: A name is unknown, or two members have the same name and would have the same key.
    """

    def __init__(self, members: Iterable[str | Metric]):
        self.metrics = [get(member) if isinstance(member, str) else member for member in members]
        seen = [metric.name for metric in self.metrics]
        twice = sorted({name for name in seen if seen.count(name) > 1})
        if twice:
            raise InputError(f"Metric '{twice[0]}' is in the collection twice; give it once, or use two collections.")
        self._batch_types = {metric.batch_type for metric in self.metrics}
        self._held: list[Batch] = []
        self._held_numbers = 0

    def add_batch(self, predictions: Any, label: Any = None) -> None:
        """Add a batch to every metric; see `Metric.add_batch`."""
        if label is None:
            for metric in self.metrics:
                metric.check_label_given(label)
        batches = [batch_type(predictions, label) for batch_type in self._batch_types]
        for batch in batches:
            if type(batch) is Batch:
                self._hold(batch)
            else:
                self._update(batch)

    def _hold(self, batch: Batch) -> None:
        """Keep small batches back to feed them as one: with few classes a metric's time goes into calling numpy."""
        if self._held and not self._held[0].can_join(batch):
            self._feed_held()
        if not self._held and batch.samples.size >= _HELD_NUMBERS:
            self._update(batch)
            return
        batch.own()
        self._held.append(batch)
        self._held_numbers += batch.samples.size
        if self._held_numbers >= _HELD_NUMBERS:
            self._feed_held()

    def _feed_held(self) -> None:
        if self._held:
            held = Batch.joined(self._held)
            self._held, self._held_numbers = [], 0
            self._update(held)

    def _update(self, batch: Any) -> None:
        for metric in self.metrics:
            if metric.batch_type is type(batch):
                metric.update(batch)

    def result(self) -> dict[str, float]:
        """Return the values of all metrics, by name."""
        self._feed_held()
        return {key: value for metric in self.metrics for key, value in metric.result().items()}

    def reset(self) -> None:
        """Forget all that was added."""
        self._held, self._held_numbers = [], 0
        for metric in self.metrics:
            metric.reset()


_REGISTRY: dict[str, type[Metric]] = {}


def register(metric: type[Metric]) -> type[Metric]:
    """Make a metric known by its name; a class decorator."""
    _REGISTRY[metric.name] = metric
    return metric


def names() -> list[str]:
    """Return the names of all native metrics."""
    return sorted(_REGISTRY)


def info(name: str) -> type[Metric]:
    """Return what is known of a metric without making one: its class, whose attributes say it.

    For `rm/<name>` that is the native metric of the same name, if there is one.

    Example:
        >>> info("ece").higher_is_better
        False

    Raises:
        InputError: The name is unknown.
    """
    native = name.removeprefix("rm/")
    if native not in _REGISTRY:
        raise unknown_name("metric", name, _REGISTRY)
    return _REGISTRY[native]


def get(name: str, **options: Any) -> Metric:
    """Return a metric by name.

    Args:
        name: One of `names()`, or `rm/<name>` for one of Robustness Metrics, where that is installed.
        **options: The metric's options, e.g. `num_bins=15`.

    Raises:
        InputError: The name or an option is unknown, or an option's value is not allowed.

    Example:
        >>> metric = get("ece", num_bins=10)
    """
    if name.startswith("rm/"):
        from uncertainty_suite.metrics import robustness_metrics

        return robustness_metrics.RobustnessMetric(name, **options)
    metric = info(name)
    allowed = option_names(metric)
    for option in options:
        if option not in allowed:
            raise unknown_name(f"option of metric '{name}'", option, allowed)
    return metric(**options)


def option_names(metric: type[Metric]) -> list[str]:
    """Return the names of the options that a metric takes."""
    return list(inspect.signature(metric).parameters)


def evaluate(metric: Metric, predictions: Any, label: Any = None) -> Any:
    """Return what a metric says of arrays in hand: its value, or a dict where it has several."""
    metric.add_batch(predictions, label)
    result = metric.result()
    return result.get(metric.name, result)


def check_choice(option: str, value: Any, allowed: Iterable[Any]) -> None:
    """Refuse an option's value that is not one of those allowed."""
    allowed = list(allowed)
    if value not in allowed:
        raise InputError(f"{option}={value!r} is not allowed; expected one of {', '.join(map(repr, allowed))}.")


def check_positive_integer(option: str, value: Any) -> None:
    """Refuse an option's value that is not a positive whole number."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{option}={value!r} is not allowed; expected a whole number of at least 1.")


def check_fraction(option: str, value: Any) -> None:
    """Refuse an option's value that is not from 0 to 1."""
    if not 0 <= value <= 1:
        raise InputError(f"{option}={value!r} is not allowed; expected a number from 0 to 1.")
