"""Accuracy and the proper scores of class probabilities."""

import contextlib
from typing import Any

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics import base


@base.register
class Accuracy(base.MeanMetric):
    """The share of examples whose most probable class, the first one of a tie, is the label."""

    name = "accuracy"
    formula = "mean [argmax p = y]"
    higher_is_better = True
    agrees = "Robustness Metrics, scikit-learn"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        return batch.correct


@base.register
class TopKAccuracy(base.MeanMetric):
    """See `top_k_accuracy`."""

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


@base.register
class NegativeLogLikelihood(base.MeanMetric):
    """See `negative_log_likelihood`."""

    name = "nll"
    formula = "mean -log p_y, in nats"
    value_range = base.POSITIVE
    paper = "Good 1952"
    agrees = "Robustness Metrics, scikit-learn, torch-uncertainty (zero probabilities: see the option clip)"

    def __init__(self, clip: float | str | None = None, renormalize: bool = False):
        if clip is not None and clip != "eps" and not (isinstance(clip, (int, float)) and 0 <= clip < 0.5):
            raise InputError(f"clip={clip!r} is not allowed; expected None, 'eps', or a number from 0 to below 0.5.")
        self.clip, self.renormalize = clip, renormalize
        super().__init__()

    def _least(self, dtype: np.dtype) -> float:
        if self.clip is None:
            return float(np.finfo(dtype).smallest_subnormal)
        return float(np.finfo(dtype).eps) if self.clip == "eps" else self.clip

    def per_example(self, batch: base.Batch) -> np.ndarray:
        least = self._least(batch.samples.dtype)
        with (
            np.errstate(divide="ignore") if least == 0 else contextlib.nullcontext()
        ):  # infinity is what clip=0 asks for
            values = -np.log(np.maximum(batch.label_probs, least))
        if self.renormalize:
            values += np.log(np.clip(batch.probs, least, 1 - least).sum(axis=1))
        return values


@base.register
class BrierScore(base.MeanMetric):
    """See `brier_score`."""

    name = "brier"
    formula = "mean sum_k (p_k - [y = k])^2"
    value_range = (0.0, 2.0)
    paper = "Brier 1950"
    agrees = "Robustness Metrics, torch-uncertainty, scikit-learn (scale_by_half=False)"

    def __init__(self, half: bool = False):
        self.half = half
        super().__init__()

    def per_example(self, batch: base.Batch) -> np.ndarray:
        error = batch.probs.copy()
        error[batch.rows, batch.labels] -= 1.0
        values = np.einsum("ij,ij->i", error, error)
        return values / 2 if self.half else values


@base.register
class BrierTopClass(base.MeanMetric):
    """See `brier_top_class`."""

    name = "brier_top_class"
    formula = "mean (conf - [correct])^2"
    paper = "Brier 1950"
    agrees = "torch-uncertainty (top_class=True)"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        return (batch.confidence - batch.correct) ** 2


@base.register
class BrierDecomposition(base.Metric):
    """See `brier_decomposition`; the keys of the result are `brier_uncertainty`, `brier_resolution` and so on."""

    name = "brier_decomposition"
    formula = "uncertainty, resolution and reliability, by predicted class"
    value_range = (-1.0, 2.0)
    higher_is_better = None
    paper = "Broecker 2009"
    agrees = "Robustness Metrics (resolution: with the option resolution='rowwise')"
    parts = ("uncertainty", "resolution", "reliability")

    def __init__(self, resolution: str = "definition"):
        base.check_choice("resolution", resolution, ("definition", "rowwise"))
        self.resolution = resolution
        self.reset()

    def reset(self) -> None:
        self._confusion = np.zeros((0, 0))  # [predicted class, label]
        self._probs = np.zeros((0, 0))  # sum of the probabilities, [predicted class, class]
        self._squares = 0.0

    def update(self, batch: base.Batch) -> None:
        classes = batch.probs.shape[1]
        if not self._squares:
            self._confusion, self._probs = np.zeros((classes, classes)), np.zeros((classes, classes))
        if len(self._confusion) != classes:
            raise InputError(f"Predictions of {classes} classes after {len(self._confusion)}; use one metric for each.")
        np.add.at(self._confusion, (batch.predicted, batch.labels), 1.0)
        np.add.at(self._probs, batch.predicted, batch.probs)
        self._squares += float(np.einsum("ij,ij->", batch.probs, batch.probs))

    def result(self) -> dict[str, float]:
        counts = self._confusion.sum(axis=1)
        total = counts.sum()
        if not total:
            raise self._no_example()
        label_mean = self._confusion.sum(axis=0) / total
        group_mean = self._confusion / np.maximum(counts, 1)[:, np.newaxis]
        centre = label_mean if self.resolution == "definition" else label_mean[:, np.newaxis]
        reliability = counts @ (group_mean**2).sum(axis=1) - 2 * (group_mean * self._probs).sum() + self._squares
        values = {
            "brier_uncertainty": -(label_mean**2).sum(),
            "brier_resolution": counts @ ((group_mean - centre) ** 2).sum(axis=1) / total,
            "brier_reliability": max(reliability, 0.0) / total,  # a sum of squares, but for rounding
        }
        return {key: float(values[key]) for key in (f"brier_{part}" for part in self.parts)}


@base.register
class BrierUncertainty(BrierDecomposition):
    """The uncertainty of `brier_decomposition` alone."""

    name = "brier_uncertainty"
    formula = "-sum_k ybar_k^2, ybar the mean label distribution"
    value_range = (-1.0, 0.0)
    agrees = "Robustness Metrics"
    parts = ("uncertainty",)


@base.register
class BrierResolution(BrierDecomposition):
    """The resolution of `brier_decomposition` alone."""

    name = "brier_resolution"
    formula = "sum_g n_g/n |ybar_g - ybar|^2, g the predicted class"
    value_range = (0.0, 2.0)
    higher_is_better = True
    agrees = "none (Robustness Metrics with the option resolution='rowwise')"
    parts = ("resolution",)


@base.register
class BrierReliability(BrierDecomposition):
    """The reliability of `brier_decomposition` alone."""

    name = "brier_reliability"
    formula = "mean |p - ybar_g|^2, g the predicted class"
    value_range = (0.0, 2.0)
    higher_is_better = False
    agrees = "Robustness Metrics"
    parts = ("reliability",)


def accuracy(probs: Any, labels: Any) -> float:
    """Return the share of examples whose most probable class, the first one of a tie, is the label.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.

    Raises:
        InputError: The arrays are not that.
    """
    return base.evaluate(Accuracy(), probs, labels)


def top_k_accuracy(probs: Any, labels: Any, k: int = 5) -> float:
    """Return the share of examples whose label is among the `k` most probable classes.

    Of classes that tie, the one of the smaller index comes first, as in `accuracy`, which is `k=1`. scikit-learn puts
    the greater index first.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        k: How many classes may be named.

    Raises:
        InputError: The arrays are not that.
    """
    return base.evaluate(TopKAccuracy(k), probs, labels)


def negative_log_likelihood(
    probs: Any, labels: Any, clip: float | str | None = None, renormalize: bool = False
) -> float:
    """Return the mean of `-log p_y` in nats (Good 1952), the log loss.

    A probability of exactly zero for the label is where libraries part. By default it is scored as the smallest
    positive number that the dtype of `probs` can hold (float64: 744.4 nats, float32: 103.3, float16: 16.6): a stored
    zero says no more than "less than that", the result is always finite, and no positive probability is altered.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        clip: The least probability of a label. None: the default above. `"eps"`: the machine epsilon of the dtype, as
            scikit-learn. `0`: none, so that a zero gives infinity, as torch-uncertainty.
        renormalize: Clip all classes, to `[clip, 1 - clip]`, and divide by their sum; with `clip=1e-7` this is Keras
            and Robustness Metrics.

    Raises:
        InputError: The arrays or options are not that.
    """
    return base.evaluate(NegativeLogLikelihood(clip, renormalize), probs, labels)


def brier_score(probs: Any, labels: Any, half: bool = False) -> float:
    """Return the Brier score, the mean of `sum_k (p_k - [y = k])^2`, from 0 to 2 (Brier 1950).

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        half: Return half of it: for two classes `(p_1 - y)^2`, scikit-learn's form for binary labels.

    Raises:
        InputError: The arrays are not that.
    """
    return base.evaluate(BrierScore(half), probs, labels)


def brier_top_class(probs: Any, labels: Any) -> float:
    """Return the Brier score of the confidence, the mean of `(confidence - [correct])^2`.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.

    Raises:
        InputError: The arrays are not that.
    """
    return base.evaluate(BrierTopClass(), probs, labels)


def brier_decomposition(probs: Any, labels: Any, resolution: str = "definition") -> dict[str, float]:
    """Return the uncertainty, resolution and reliability of the Brier score (Broecker 2009).

    Examples are grouped by predicted class `g`. With `ybar` the mean label distribution and `ybar_g` that of a group:
    uncertainty is `-sum_k ybar_k^2`, resolution `sum_g n_g/n |ybar_g - ybar|^2`, reliability `mean |p - ybar_g|^2`.
    The groups are coarse, so `uncertainty - resolution + reliability` is `brier_score - 1` only roughly.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        resolution: `"rowwise"` subtracts from all classes of group `g` the one number `ybar[g]`, which is what
            Robustness Metrics computes.

    Returns:
        `brier_uncertainty`, `brier_resolution` and `brier_reliability`.

    Raises:
        InputError: The arrays or options are not that.
    """
    return base.evaluate(BrierDecomposition(resolution), probs, labels)
