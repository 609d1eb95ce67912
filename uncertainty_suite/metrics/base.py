"""What every metric shares: the streaming interface, the plain function made of it, and the checks of what is given."""

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.registry import Named, Registry

# How far a row of probabilities may be from one: far beyond the rounding of a softmax, far below any mistake.
_SUM_TOLERANCE = 1e-4
_SUM_TOLERANCE_HALF = 5e-3  # float16 and bfloat16, also where they were converted to float32

_CACHED_NUMBERS = 2**14  # about what a core's fast cache holds

_SHAPES = "[batch, classes] or [samples, batch, classes]"

_UNIT = (0.0, 1.0)
POSITIVE = (0.0, float("inf"))
REAL = (-float("inf"), float("inf"))

# Two scores that differ by less than this share of their size tie: float64 leaves no more of equal ones.
_RESOLUTION = 1e-12

MAX_PROB = "max_prob"  # the uncertainty that every classifier has


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
    parts = values if isinstance(values, (list, tuple)) else (values,)
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        raise InputError(f"{what} are a masked array, and its mask would be ignored; pass an array without a mask.")
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
        their mean over samples, float64 `[batch, classes]`, a new array whose rows are divided by their sums.

    Raises:
        InputError: A wrong shape, a NaN, a negative value or a row that does not sum to one.
    """
    samples = to_array(predictions, what, (1, 2, 3), _SHAPES)
    if samples.ndim == 1:
        raise InputError(f"{what} must have shape {_SHAPES}, got {list(samples.shape)}. {_of_sigmoid('outputs')}")
    if samples.ndim == 2:
        samples = samples[np.newaxis]
    half = samples.dtype.itemsize == 2
    if samples.dtype.kind != "f" or samples.dtype.itemsize > 8:  # float64 holds no smallest number of a longer one
        samples = samples.astype(np.float32 if half else np.float64)
    tolerance = _SUM_TOLERANCE_HALF if half else _SUM_TOLERANCE
    if len(samples) == 1:
        lowest, mean = samples.min(), samples[0].astype(np.float64)
        sums = totals = _row_sums(mean)
    else:
        ones = np.ones(samples.shape[-1], np.float32 if half else samples.dtype)
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
        totals = _row_sums(mean)
    # NaN fails every comparison, so this asks for what is right and not for what is wrong.
    if not (lowest >= 0 and sums.max() - 1 <= tolerance and 1 - sums.min() <= tolerance):
        off = np.maximum(sums.max() - 1, 1 - sums.min())
        if not (lowest >= 0 and off <= _SUM_TOLERANCE_HALF and _was_half(samples)):
            raise _bad_probs(samples, tolerance, what)
    mean /= totals[:, np.newaxis]
    return samples, mean


def _row_sums(probs: np.ndarray) -> np.ndarray:
    """Return sums over the last axis. Not by BLAS, whose sums depend on the number of its threads."""
    return np.einsum("...i->...", probs)


def normalized(probs: np.ndarray) -> np.ndarray:
    """Return probabilities in float64, divided by their sum over the last axis."""
    probs = probs.astype(np.float64)
    probs /= _row_sums(probs)[..., np.newaxis]
    return probs


def _was_half(samples: np.ndarray) -> bool:
    """Say whether all values are numbers of bfloat16, or all of float16, in whatever dtype they are now."""
    single = samples.astype(np.float32)
    if not (single == samples).all():
        return False
    return bool(not (single.view(np.uint32) & 0xFFFF).any() or (single.astype(np.float16) == single).all())


def _of_sigmoid(p: str) -> str:
    return f"Sigmoid outputs are of one class: with p = {p}, pass np.stack([1 - p, p], axis=-1)."


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
    hint = "Pass softmax outputs, not logits." if samples.shape[-1] > 1 else _of_sigmoid("outputs[..., 0]")
    return InputError(
        f"{what} must sum to 1 over the classes, but {place(s, i)} sums to {1 + off[s, i]:.6g}, off by "
        f"{off[s, i]:+.3g} ({(np.abs(off) > tolerance).sum()} of {off.size} rows are off by more than {tolerance:g}). "
        f"{hint}"
    )


def to_bools(values: Any, what: str, batch: int) -> np.ndarray:
    """Return checked truth values `[batch]`, of bools or of 0 and 1."""
    array = to_array(values, what, (1,), "[batch]")
    if len(array) != batch:
        raise InputError(f"{what} must be one for each of {batch} examples, got {len(array)}.")
    if array.dtype.kind == "f" or (array.min() < 0 or array.max() > 1):
        raise InputError(
            f"{what} must be true or false, got dtype {array.dtype} with {array.max()}; pass bools [batch]."
        )
    return array.astype(bool, copy=False)


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


def differ(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Say whether scores differ by more than rounding, elementwise: by more than 1e-12 of their own size.

    A score that is constant but for the rounding of float64 so has no ranks. The size is that of the two scores and not
    of the largest one, so that 1e-20 and 1e-15 differ, though others are 1; scores on a logarithmic scale differ where
    the logarithms do.
    """
    with np.errstate(over="ignore"):
        return np.abs(first - second) > _RESOLUTION * np.maximum(np.abs(first), np.abs(second))


def tie_groups(scores: np.ndarray) -> np.ndarray:
    """Return the group of each score `[batch]`, from 0 for the lowest; scores that do not `differ` share a group."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    groups = np.empty(len(scores), np.intp)
    groups[order] = np.cumsum(np.append(False, differ(ordered[1:], ordered[:-1])))
    return groups


def check_same_classes(classes: int, before: int) -> None:
    """Refuse a batch of another number of classes than those before."""
    if classes != before:
        raise InputError(f"Predictions of {classes} classes after {before}; use one metric for each.")


def check_same_samples(samples: int, before: int) -> None:
    """Refuse a batch of another number of samples than those before."""
    if samples != before:
        raise InputError(f"Predictions of {samples} samples after {before}; use one metric for each.")


class NoValueError(InputError):
    """A metric has no value on what it has seen, though each array was right: a calibration AUC without an error."""


class Batch:
    """Checked class probabilities and labels; what several metrics need of them is computed once, when first needed.

    Attributes:
        samples: Probabilities `[samples, batch, classes]`, in the dtype received.
        probs: Their mean over samples, float64 `[batch, classes]`, rows divided by their sums.
        rows: The place of each example, `[batch]`.
        uncertainties: Further scores of each example by name, float64 `[batch]`, higher where less is known.
    """

    def __init__(self, predictions: Any, label: Any = None, uncertainties: Mapping[str, Any] = MappingProxyType({})):
        self.samples, self.probs = to_samples(predictions)
        batch, classes = self.probs.shape
        self._labels = None if label is None else to_labels(label, batch, classes)
        self.rows = np.arange(batch)
        self.uncertainties = {name: to_uncertainty(values, batch, name) for name, values in uncertainties.items()}

    @classmethod
    def joined(cls, batches: list["Batch"]) -> "Batch":
        """Return batches of the same samples, classes and dtype as one."""
        batch = cls.__new__(cls)
        batch.samples = np.concatenate([each.samples for each in batches], axis=1)
        batch.probs = np.concatenate([each.probs for each in batches])
        labelled = batches[0]._labels is not None
        batch._labels = np.concatenate([each.labels for each in batches]) if labelled else None
        batch.rows = np.arange(len(batch.probs))
        batch.uncertainties = {
            name: np.concatenate([each.uncertainties[name] for each in batches]) for name in batches[0].uncertainties
        }
        return batch

    def own(self) -> None:
        """Copy what the caller could still write to."""
        self.samples = self.samples.copy()
        self._labels = None if self._labels is None else self._labels.copy()
        self.uncertainties = {name: values.copy() for name, values in self.uncertainties.items()}

    def can_join(self, other: "Batch") -> bool:
        """Say whether both have the same samples, classes, dtype and uncertainties, and both or neither labels."""
        mine, theirs = (
            (each.samples.dtype, len(each.samples), each.samples.shape[2], each._labels is None, *each.uncertainties)
            for each in (self, other)
        )
        return mine == theirs

    @property
    def labels(self) -> np.ndarray:
        """Class indices `[batch]`."""
        if self._labels is None:
            raise InputError("Labels are missing; pass class indices [batch].")
        return self._labels

    @functools.cached_property
    def members(self) -> np.ndarray:
        """The samples in float64, rows divided by their sums, `[samples, batch, classes]`."""
        return normalized(self.samples)

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


def to_uncertainty(values: Any, batch: int, name: str) -> np.ndarray:
    """Return a checked score of each example, float64 `[batch]`."""
    array = to_finite(values, f"Values of '{name}'", (1,), "[batch]")
    if len(array) != batch:
        raise InputError(f"{batch} predictions but {len(array)} values of '{name}' to sort by; pass one for each.")
    return array


def labelled_batch(predictions: Any, label: Any, uncertainties: Mapping[str, Any] = MappingProxyType({})) -> Batch:
    """Return a batch that has labels."""
    batch = Batch(predictions, label, uncertainties)
    _ = batch.labels
    return batch


class Metric(Named):
    """A metric that is fed batch by batch.

    A subclass gives `update`, `result` and `reset`, or is a `MeanMetric` or a `WholeSetMetric`, which need less.
    `function` makes its plain function.

    Example:
        >>> metric = metrics.get("ece(num_bins=10)")
        >>> metric.add_batch(probs, label=labels)
        >>> metric.result()
        {"ece(num_bins=10)": 0.021}

    Attributes:
        name: Its name; with the options by which it was asked for, it is the `key` of its result.
        formula: What is computed, in one line.
        value_range: The least and greatest value possible.
        higher_is_better: True, False, or None where neither direction is better.
        paper: Where it comes from; empty for what is older than papers.
        agrees: The libraries whose value is the same.
        likelihoods: The likelihoods whose predictions it takes; none for what is fed with something else.
        needs: What it needs beside the mean prediction: `"labels"`, `"samples"`, `"label_distribution"`,
            `"uncertainty"` (a score of each example, in place of predictions).
        uncertainty: The name of the uncertainty that it sorts examples by; None for those that sort by none.
        needs_whole_set: Whether what it keeps grows with the number of examples.
        is_mean: Whether it is the mean of a value of each example, which `metrics.per_example` gives.
        batch_type: What `add_batch` turns its arguments into. Metrics of one type can share a batch.
        arrays: What its plain function takes before the options; `joined` makes predictions and labels of them.
        more_arrays: What its plain function also takes, by keyword, and `of` makes use of.
    """

    formula: ClassVar[str] = ""
    value_range: tuple[float, float] = _UNIT
    higher_is_better: bool | None = False
    paper: ClassVar[str] = ""
    agrees: ClassVar[str] = "compared with no library"
    likelihoods: ClassVar[tuple[str, ...]] = ("categorical",)
    needs: tuple[str, ...] = ("labels",)
    uncertainty: str | None = None
    needs_whole_set: ClassVar[bool] = False
    is_mean: ClassVar[bool] = False
    batch_type: ClassVar[Callable[..., Any]] = Batch
    arrays: ClassVar[tuple[str, ...]] = ("probs", "labels")
    more_arrays: ClassVar[tuple[str, ...]] = ()

    def add_batch(self, predictions: Any, label: Any = None) -> None:
        """Add a batch.

        Args:
            predictions: What the metric's family says: class probabilities `[batch, classes]` or
                `[samples, batch, classes]` for most.
            label: The truth, `[batch]`.

        Raises:
            InputError: The arrays are not what the metric expects. Nothing is added then.
        """
        self.update(self.checked(predictions, label))

    def checked(self, predictions: Any, label: Any = None) -> Any:
        """Return a batch of `batch_type`, having refused what the metric does not expect."""
        self.check_label_given(label)
        return self.batch_type(predictions, label)

    def check_label_given(self, label: Any) -> None:
        """Refuse a missing label where the metric needs one."""
        if label is None and ("labels" in self.needs or "label_distribution" in self.needs):
            raise InputError(f"Metric '{self.key}' needs labels; call add_batch(predictions, label=labels).")

    def update(self, batch: Any) -> None:
        """Add a batch that is already checked, an instance of `batch_type`."""
        raise NotImplementedError

    def result_keys(self) -> list[str]:
        """Return the keys of the result."""
        return [self.key]

    def result(self) -> dict[str, float]:
        """Return the value over all that was added, by key.

        Raises:
            InputError: Nothing was added.
            NoValueError: The metric has no value on what was added.
        """
        raise NotImplementedError

    def reset(self) -> None:
        """Forget all that was added."""
        raise NotImplementedError

    def of(self, **arrays: Any) -> Any:
        """Return the value on arrays in hand, by their names; a dict where there are several values."""
        self.add_batch(*self.joined(**arrays))
        result = self.result()
        return result.get(self.key, result)

    @classmethod
    def joined(cls, **arrays: Any) -> tuple[Any, Any]:
        """Return predictions and label, as `add_batch` takes them, of arrays named as in `arrays`."""
        predictions, *label = arrays.values()
        return predictions, label[0] if label else None

    def _no_example(self) -> InputError:
        return InputError(f"Metric '{self.key}' has seen no example; call add_batch before result.")

    def _no_value(self, why: str) -> NoValueError:
        return NoValueError(f"Metric '{self.key}' has no value: {why}.")


class MeanMetric(Metric):
    """A metric that is a mean over examples; a subclass gives `per_example`, and `finish` where more is to be done."""

    is_mean = True

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._total, self._count = 0.0, 0
        self._refusal: NoValueError | None = None

    def per_example(self, batch: Any) -> np.ndarray:
        """Return the value of each example, `[batch]`.

        Raises:
            NoValueError: There is none; then the metric has none either.
        """
        raise NotImplementedError

    def finish(self, mean: float) -> float:
        """Return the value of the metric, from the mean over examples."""
        return mean

    def update(self, batch: Any) -> None:
        try:
            values = self.per_example(batch)
        except NoValueError as error:
            self._refusal = error
            return
        self._total += float(values.sum())
        self._count += len(values)

    def result(self) -> dict[str, float]:
        if self._refusal is not None:
            raise self._refusal
        if not self._count:
            raise self._no_example()
        return {self.key: self.finish(self._total / self._count)}


class WholeSetMetric(Metric):
    """A metric of the whole set; a subclass says what to keep of a batch and what to compute of all that was kept."""

    needs_whole_set = True

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._kept: list[tuple[np.ndarray, ...]] = []

    def keep(self, batch: Any) -> tuple[np.ndarray, ...]:
        """Return the columns to keep, the first axis of each over examples; not views of what the user owns."""
        raise NotImplementedError

    # The keywords are never used: they let a subclass name its columns and still satisfy the type checker.
    def compute(self, *columns: Any, **unused: Any) -> float:
        """Return the value from the columns of the whole set."""
        raise NotImplementedError

    def update(self, batch: Any) -> None:
        self._kept.append(self.keep(batch))

    def kept(self) -> tuple[np.ndarray, ...]:
        """Return the columns of the whole set."""
        if not self._kept:
            raise self._no_example()
        self._kept = [tuple(np.concatenate(column) for column in zip(*self._kept))]
        return self._kept[0]

    def result(self) -> dict[str, float]:
        return {self.key: float(self.compute(*self.kept()))}


def one_uncertainty(confidence: Any, uncertainty: Any) -> Any:
    """Return the uncertainty to sort by, of a confidence or an uncertainty; None where neither is given."""
    if confidence is None:
        return uncertainty
    if uncertainty is not None:
        raise InputError("A confidence and an uncertainty are both given; pass one of them to sort by.")
    return -to_finite(confidence, "Confidences", (1,), "[batch]")


class SortingMetric(WholeSetMetric):
    """A metric of the whole set that sorts examples by an uncertainty; `keep` begins with it, higher for less sure.

    By default that is one minus the largest probability, in float64. Of two large probabilities float64 tells less than
    of their distances from one, so where logits are at hand, give `log(1 - p_max)` made of them as `max_prob`.
    """

    uncertainty: str = MAX_PROB
    more_arrays = ("confidence", "uncertainty")

    def __init__(self, uncertainty: str = MAX_PROB):
        if not isinstance(uncertainty, str) or not uncertainty:
            raise InputError(
                f"uncertainty={uncertainty!r} is not allowed; expected the name of one, such as 'mutual_information'."
            )
        self.uncertainty = uncertainty
        super().__init__()

    def reset(self) -> None:
        super().reset()
        self._missing = False
        self._given: bool | None = None

    def add_batch(self, predictions: Any, label: Any = None, uncertainty: Any = None) -> None:
        """Add a batch.

        Args:
            predictions: Class probabilities `[batch, classes]` or `[samples, batch, classes]`.
            label: Class indices `[batch]`.
            uncertainty: The uncertainty named by the option `uncertainty`, `[batch]`, higher where less is known. None
                for one minus the largest probability, if that is the one named.

        Raises:
            InputError: The arrays are not that. Nothing is added then.
        """
        if uncertainty is None and self.uncertainty != MAX_PROB:
            raise InputError(
                f"Metric '{self.key}' sorts by '{self.uncertainty}'; call add_batch(..., uncertainty=values [batch])."
            )
        self.check_label_given(label)
        self.update(Batch(predictions, label, {} if uncertainty is None else {self.uncertainty: uncertainty}))

    def sorted_by(self, batch: Batch) -> np.ndarray:
        """Return the uncertainty of each example, `[batch]`."""
        given = batch.uncertainties.get(self.uncertainty)
        return 1.0 - batch.confidence if given is None else given.copy()

    def update(self, batch: Batch) -> None:
        given = self.uncertainty in batch.uncertainties
        if not given and self.uncertainty != MAX_PROB:
            self._missing = True
            return
        if self._given is not None and self._given != given:
            raise InputError(
                f"Metric '{self.key}' was given '{self.uncertainty}' for some batches only; give it for all or none."
            )
        super().update(batch)
        self._given = given

    def result(self) -> dict[str, float]:
        if self._missing:
            raise self._no_value(f"it sorts by the uncertainty '{self.uncertainty}', which was not given")
        return super().result()

    def of(self, confidence: Any = None, uncertainty: Any = None, **arrays: Any) -> float:
        predictions, label = self.joined(**arrays)
        self.add_batch(predictions, label, one_uncertainty(confidence, uncertainty))
        return self.result()[self.key]


REGISTRY: Registry[type[Metric]] = Registry("metric")

# What each array of a plain function is.
_ARRAYS = {
    "probs": "Class probabilities `[batch, classes]` or `[samples, batch, classes]`.",
    "labels": "Class indices `[batch]`.",
    "label_distribution": "Counts or shares of annotations `[batch, classes]`.",
    "confidence": "What to sort by `[batch]`, higher is answered first; the largest probability by default.",
    "uncertainty": "What to sort by in place of a confidence `[batch]`, lower is answered first.",
    "scores_in": "Scores of in-distribution examples `[batch]`, lower is more in-distribution.",
    "scores_out": "Scores of OOD examples `[batch]`.",
    "correct": "Whether each in-distribution example is classified correctly, bool `[batch]`.",
    "mean": "Predicted means, `[batch]` or `[samples, batch]`.",
    "stddev": "Predicted standard deviations, of the same shape.",
    "samples": "Draws `[samples, batch]`; `[batch]` is one sample.",
    "target": "Targets `[batch]`.",
}


def function(metric: type[Metric], each: bool = False) -> Callable[..., Any]:
    """Return the plain function of a metric: it takes arrays in hand, then the metric's options, and gives the value.

    Its name, signature and docstring are made from the class.

    Args:
        metric: The metric.
        each: Whether the function gives the value of each example rather than their mean.

    Example:
        >>> expected_calibration_error = function(ExpectedCalibrationError)
        >>> expected_calibration_error(probs, labels, num_bins=10)
    """
    # An uncertainty in hand needs no name.
    options = [one for one in inspect.signature(metric).parameters.values() if one.name not in metric.more_arrays]
    arrays = [inspect.Parameter(array, inspect.Parameter.POSITIONAL_OR_KEYWORD) for array in metric.arrays]
    more = [inspect.Parameter(array, inspect.Parameter.KEYWORD_ONLY, default=None) for array in metric.more_arrays]
    signature = inspect.Signature([*arrays, *options, *more])

    def call(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        made = metric(**{option.name: given.pop(option.name) for option in options if option.name in given})
        if each:
            assert isinstance(made, MeanMetric)
            return made.per_example(made.checked(*made.joined(**given)))
        return made.of(**given)

    # NegativeLogLikelihood -> negative_log_likelihood, AUPRIn -> aupr_in
    name = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", metric.__name__).lower()
    call.__name__ = call.__qualname__ = name
    call.__module__ = __package__ or __name__  # where it is found, for pickle
    call.__doc__ = _docstring(metric, name, each)
    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


def _docstring(metric: type[Metric], name: str, each: bool) -> str:
    """Return the docstring of a metric with the arrays of its function among the arguments."""
    text, _, options = inspect.cleandoc(metric.__doc__ or "").partition("\n\nArgs:\n")
    arguments = [f"    {array}: {_ARRAYS[array]}" for array in metric.arrays]
    arguments += [options] if options else []
    arguments += [f"    {array}: {_ARRAYS[array]}" for array in metric.more_arrays]
    sections = {
        "Args": "\n".join(arguments),
        "Returns": "    " + ("Values `[batch]`." if each else "The value, or a dict of several by their keys."),
        "Raises": "    InputError: An array or an option is not that.\n    NoValueError: There is no value on them.",
        "Example": f"    >>> metrics.{name}({', '.join(metric.arrays)})",
    }
    return text + "".join(f"\n\n{title}:\n{section}" for title, section in sections.items()) + "\n"


def check_choice(option: str, value: Any, allowed: Iterable[Any]) -> None:
    """Refuse an option's value that is not one of those allowed."""
    allowed = list(allowed)
    if value not in allowed:
        raise InputError(f"{option}={value!r} is not allowed; expected one of {', '.join(map(repr, allowed))}.")


def check_flag(option: str, value: Any) -> None:
    """Refuse an option's value that is neither True nor False."""
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"{option}={value!r} is not allowed; expected True or False.")


def check_positive_integer(option: str, value: Any) -> None:
    """Refuse an option's value that is not a positive whole number."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{option}={value!r} is not allowed; expected a whole number of at least 1.")


def check_seed(value: Any) -> None:
    """Refuse a seed that is not a whole number from 0 to 2^32 - 1, which all generators of random numbers take."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < 2**32:
        raise InputError(f"seed={value!r} is not allowed; expected a whole number from 0 to {2**32 - 1}.")


def check_number(
    option: str, value: Any, low: float = 0.0, high: float = np.inf, *, at_low: bool = False, at_high: bool = False
) -> None:
    """Refuse an option's value that is not a number between two ends; `at_low` and `at_high` say which end may be."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not (low < value < high or (at_low and value == low) or (at_high and value == high)):
        least = f"of at least {low:g}" if at_low else f"above {low:g}"
        most = "" if high == np.inf else f" and at most {high:g}" if at_high else f" and below {high:g}"
        raise InputError(f"{option}={value!r} is not allowed; expected a number {least}{most}.")
