"""Accuracy and the proper scores of class probabilities, which are averaged over samples first.

Where they fail: accuracy does not see probabilities at all. The NLL is unbounded, so that one sure mistake can outweigh
a thousand examples, and it mostly compares how sure networks are until they are calibrated; the Brier score is bounded,
and hardly sees what happens among small probabilities.
"""

import contextlib
from collections import Counter
from typing import Any, ClassVar

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics import base
from uncertainty_suite.metrics.ood import ranking_auroc


@base.REGISTRY.register
class Accuracy(base.MeanMetric):
    """The share of examples whose most probable class, the first one of a tie, is the label."""

    name = "accuracy"
    formula = "mean [argmax p = y]"
    higher_is_better = True
    agrees = "Robustness Metrics, scikit-learn"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        return batch.correct


def accuracy_by_class(probs: Any, labels: Any) -> np.ndarray:
    """Return the accuracy on the examples of each class, its recall.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.

    Returns:
        float64 `[classes]`; NaN for a class that is no example's label.

    Raises:
        InputError: The arrays are not that.

    Example:
        >>> accuracy_by_class(probs, labels)
        array([0.98, 0.71,  nan])
    """
    batch = base.labelled_batch(probs, labels)
    counts, correct = _count_by_class(batch)
    return np.divide(correct, counts, out=np.full(len(counts), np.nan), where=counts > 0)


def _count_by_class(batch: base.Batch) -> tuple[np.ndarray, np.ndarray]:
    """Return how many examples have each label, and how many of these are predicted correctly, `[classes]`."""
    classes = batch.probs.shape[1]
    return (
        np.bincount(batch.labels, minlength=classes),
        np.bincount(batch.labels[batch.correct], minlength=classes),
    )


@base.REGISTRY.register
class BalancedAccuracy(base.Metric):
    """The mean over classes of the accuracy on the examples of a class: each class weighs the same (Brodersen 2010).

    Classes that are no example's label are left out.
    """

    name = "balanced_accuracy"
    formula = "mean_k mean [argmax p = y] over examples with y = k"
    higher_is_better = True
    paper = "Brodersen 2010"
    agrees = "scikit-learn"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._counts, self._correct = np.zeros((2, 0), np.int64)

    def update(self, batch: base.Batch) -> None:
        counts, correct = _count_by_class(batch)
        base.check_same_classes(len(counts), len(self._counts) or len(counts))
        self._counts = self._counts + counts if len(self._counts) else counts
        self._correct = self._correct + correct if len(self._correct) else correct

    def of_classes(self, accuracies: np.ndarray) -> float:
        """Return the value from the accuracies of the classes that occur."""
        return float(accuracies.mean())

    def result(self) -> dict[str, float]:
        used = self._counts > 0
        if not used.any():
            raise self._no_example()
        return {self.key: self.of_classes(self._correct[used] / self._counts[used])}


@base.REGISTRY.register
class WorstClassAccuracy(BalancedAccuracy):
    """The least accuracy on the examples of a class, of the classes that occur (Sagawa 2020)."""

    name = "worst_class_accuracy"
    formula = "min_k mean [argmax p = y] over examples with y = k"
    paper = "Sagawa 2020"
    agrees = "scikit-learn (the least recall_score)"

    def of_classes(self, accuracies: np.ndarray) -> float:
        return float(accuracies.min())


@base.REGISTRY.register
class MacroAUROC(base.WholeSetMetric):
    """How well the probability of a class tells its examples from all others, as an area, averaged over classes.

    Of two classes it is the AUROC of class 1. Classes that are the label of no example, or of all, are left out.
    """

    name = "macro_auroc"
    formula = "mean_k P(p_k of class k > p_k of another class) + P(equal) / 2"
    higher_is_better = True
    paper = "Fawcett 2006"
    agrees = "scikit-learn (multi_class='ovr')"

    def keep(self, batch: base.Batch) -> tuple[np.ndarray, ...]:
        classes = batch.probs.shape[1]
        base.check_same_classes(classes, self._kept[0][-2].shape[1] if self._kept else classes)
        return batch.probs.copy(), batch.labels.copy()

    def compute(self, probs: np.ndarray, labels: np.ndarray) -> float:
        if len(np.unique(labels)) < 2:
            raise self._no_value("all examples have the same label, and it needs some of two classes")
        # That of class 0 of two is the same but for rounding.
        classes = [1] if probs.shape[1] == 2 else np.unique(labels)
        return float(np.mean([ranking_auroc(probs[:, k], labels == k) for k in classes]))


@base.REGISTRY.register
class Confidence(base.MeanMetric):
    """The mean of the largest probability. For calibrated predictions it is their accuracy."""

    name = "confidence"
    formula = "mean max_k p_k"
    higher_is_better = None
    needs = ()
    arrays = ("probs",)

    def per_example(self, batch: base.Batch) -> np.ndarray:
        return batch.confidence


@base.REGISTRY.register
class TopKAccuracy(base.MeanMetric):
    """The share of examples whose label is among the `k` most probable classes.

    Of classes that tie, the one of the smaller index comes first, as in `accuracy`, which is `k=1`. scikit-learn puts
    the greater index first.

    Args:
        k: How many classes may be named.
    """

    name = "top_k_accuracy"
    formula = "mean [y among the k most probable]"
    higher_is_better = True
    agrees = "scikit-learn (where nothing ties)"

    def __init__(self, k: int = 5):
        base.check_positive_integer("k", k)
        self.k = k
        super().__init__()

    def per_example(self, batch: base.Batch) -> np.ndarray:
        probs, own = batch.probs, batch.label_probs[:, np.newaxis]
        before = np.arange(probs.shape[1]) < batch.labels[:, np.newaxis]
        rank = (probs > own).sum(axis=1) + ((probs == own) & before).sum(axis=1)
        return rank < self.k


@base.REGISTRY.register
class NegativeLogLikelihood(base.MeanMetric):
    """The mean of `-log p_y` in nats (Good 1952), the log loss.

    A probability of exactly zero for the label is where libraries part. By default it is scored as the smallest
    positive number that the dtype of the probabilities can hold (float64: 744.4 nats, float32: 103.3, float16: 16.6):
    a stored zero says no more than "less than that", the result is always finite, and no positive probability is
    altered.

    Args:
        clip: The least probability of a label. None: the default above. `"eps"`: the machine epsilon of the dtype, as
            scikit-learn. `0`: none, so that a zero gives infinity, as torch-uncertainty.
        renormalize: Clip all classes, to `[clip, 1 - clip]`, and divide by their sum; with `clip=1e-7` this is Keras
            and Robustness Metrics.
    """

    name = "nll"
    formula = "mean -log p_y, in nats"
    value_range = base.POSITIVE
    paper = "Good 1952"
    agrees = "Robustness Metrics, scikit-learn, torch-uncertainty (zero probabilities: see the option clip)"

    def __init__(self, clip: float | str | None = None, renormalize: bool = False):
        base.check_flag("renormalize", renormalize)
        if clip is not None and clip != "eps" and not (isinstance(clip, (int, float)) and 0 <= clip < 0.5):
            raise InputError(f"clip={clip!r} is not allowed; expected None, 'eps', or a number from 0 to below 0.5.")
        self.clip, self.renormalize = clip, renormalize
        super().__init__()

    def _least(self, dtype: np.dtype) -> float:
        if self.clip is None:
            return float(np.finfo(dtype).smallest_subnormal)
        return float(np.finfo(dtype).eps) if self.clip == "eps" else float(self.clip)

    def per_example(self, batch: base.Batch) -> np.ndarray:
        least = self._least(batch.samples.dtype)
        with (
            np.errstate(divide="ignore") if least == 0 else contextlib.nullcontext()
        ):  # infinity is what clip=0 asks for
            values = -np.log(np.maximum(batch.label_probs, least))
        if self.renormalize:
            values += np.log(np.clip(batch.probs, least, 1 - least).sum(axis=1))
        return values


@base.REGISTRY.register
class BrierScore(base.MeanMetric):
    """The Brier score, the mean of `sum_k (p_k - [y = k])^2`, from 0 to 2 (Brier 1950).

    Args:
        half: Return half of it: for two classes `(p_1 - y)^2`, scikit-learn's form for binary labels.
    """

    name = "brier"
    formula = "mean sum_k (p_k - [y = k])^2"
    value_range = (0.0, 2.0)
    paper = "Brier 1950"
    agrees = "Robustness Metrics, torch-uncertainty, scikit-learn (scale_by_half=False)"

    def __init__(self, half: bool = False):
        base.check_flag("half", half)
        self.half = half
        super().__init__()

    def per_example(self, batch: base.Batch) -> np.ndarray:
        error = batch.probs.copy()
        error[batch.rows, batch.labels] = batch.label_probs - 1.0
        values = np.einsum("ij,ij->i", error, error)
        return values / 2 if self.half else values


@base.REGISTRY.register
class BrierTopClass(base.MeanMetric):
    """The Brier score of the confidence, the mean of `(confidence - [correct])^2`."""

    name = "brier_top_class"
    formula = "mean (conf - [correct])^2"
    paper = "Brier 1950"
    agrees = "torch-uncertainty (top_class=True)"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        return (batch.confidence - batch.correct) ** 2


@base.REGISTRY.register
class BrierDecomposition(base.Metric):
    """The uncertainty, resolution and reliability of the Brier score (Broecker 2009).

    Examples are grouped by predicted class `g`. With `ybar` the mean label distribution and `ybar_g` that of a group:
    uncertainty is `-sum_k ybar_k^2`, resolution `sum_g n_g/n |ybar_g - ybar|^2`, reliability `mean |p - ybar_g|^2`.
    The groups are coarse, so `uncertainty - resolution + reliability` is the Brier score minus 1 only roughly.

    The result has three keys: `brier_uncertainty`, `brier_resolution` and `brier_reliability`, which are also the
    metrics of one part alone. Options are behind each: `brier_resolution(resolution='rowwise')`.

    Args:
        resolution: `"definition"`; `"rowwise"` subtracts from all classes of group `g` the one number `ybar[g]`, which
            is what Robustness Metrics computes.
    """

    name = "brier_decomposition"
    formula = "uncertainty, resolution and reliability, by predicted class"
    value_range = (-1.0, 2.0)
    higher_is_better: bool | None = None
    paper = "Broecker 2009"
    agrees = "Robustness Metrics (resolution: with the option resolution='rowwise')"
    parts: ClassVar[tuple[str, ...]] = ("uncertainty", "resolution", "reliability")

    def __init__(self, resolution: str = "definition"):
        base.check_choice("resolution", resolution, ("definition", "rowwise"))
        self.resolution = resolution
        self.reset()

    def reset(self) -> None:
        self._classes = 0
        # Of predicted classes that occur only, since all of them by all classes may be more than there is memory.
        self._pairs: Counter[int] = Counter()  # how many examples, by predicted class * classes + label
        self._probs: dict[int, np.ndarray] = {}  # the sum of their probabilities [classes], by predicted class
        self._squares = 0.0

    def update(self, batch: base.Batch) -> None:
        classes = batch.probs.shape[1]
        base.check_same_classes(classes, self._classes or classes)
        self._classes = classes
        pairs, counts = np.unique(batch.predicted * classes + batch.labels, return_counts=True)
        self._pairs.update(dict(zip(pairs.tolist(), counts.tolist())))
        order = np.argsort(batch.predicted, kind="stable")
        groups, starts = np.unique(batch.predicted[order], return_index=True)
        for group, total in zip(groups.tolist(), np.add.reduceat(batch.probs[order], starts)):
            if group in self._probs:
                self._probs[group] += total
            else:
                self._probs[group] = total.copy()
        self._squares += float(np.einsum("ij,ij->", batch.probs, batch.probs))

    def result_keys(self) -> list[str]:
        return [f"brier_{part}{self.suffix}" for part in self.parts]

    def result(self) -> dict[str, float]:
        if not self._pairs:
            raise self._no_example()
        pairs = np.array(sorted(self._pairs))
        number = np.array([self._pairs[pair] for pair in pairs.tolist()], float)
        predicted, labels = np.divmod(pairs, self._classes)
        total = number.sum()
        label_mean = np.bincount(labels, number, minlength=self._classes) / total
        sizes = np.bincount(predicted, number, minlength=self._classes)
        share = number / sizes[predicted]  # of the labels of a predicted class; all others are zero
        probs = np.array([self._probs[group][label] for group, label in zip(predicted.tolist(), labels.tolist())])
        within = (number * share).sum()  # sum_g n_g |ybar_g|^2
        if self.resolution == "definition":
            between = within - total * (label_mean**2).sum()
        else:
            between = within + (sizes * (self._classes * label_mean**2 - 2 * label_mean)).sum()
        reliability = within - 2 * (share * probs).sum() + self._squares
        values = {
            "uncertainty": -(label_mean**2).sum(),
            # Sums of squares, but for rounding.
            "resolution": max(between, 0.0) / total,
            "reliability": max(reliability, 0.0) / total,
        }
        return {key: float(values[part]) for key, part in zip(self.result_keys(), self.parts)}


@base.REGISTRY.register
class BrierUncertainty(BrierDecomposition):
    """The uncertainty of `brier_decomposition` alone."""

    name = "brier_uncertainty"
    formula = "-sum_k ybar_k^2, ybar the mean label distribution"
    value_range = (-1.0, 0.0)
    agrees = "Robustness Metrics"
    parts = ("uncertainty",)

    def __init__(self) -> None:
        super().__init__()


@base.REGISTRY.register
class BrierResolution(BrierDecomposition):
    """The resolution of `brier_decomposition` alone.

    Args:
        resolution: As in `brier_decomposition`.
    """

    name = "brier_resolution"
    formula = "sum_g n_g/n |ybar_g - ybar|^2, g the predicted class"
    value_range = (0.0, 2.0)
    higher_is_better = True
    agrees = "none (Robustness Metrics with the option resolution='rowwise')"
    parts = ("resolution",)


@base.REGISTRY.register
class BrierReliability(BrierDecomposition):
    """The reliability of `brier_decomposition` alone."""

    name = "brier_reliability"
    formula = "mean |p - ybar_g|^2, g the predicted class"
    value_range = (0.0, 2.0)
    higher_is_better = False
    agrees = "Robustness Metrics"
    parts = ("reliability",)

    def __init__(self) -> None:
        super().__init__()
