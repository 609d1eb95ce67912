"""Calibration: how far confidences are from the frequencies that they promise.

Everywhere here the confidence is the largest probability, the prediction its class (the first one of a tie), and bins
hold `lower <= value < upper`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics import base
from uncertainty_suite.metrics.classification import NegativeLogLikelihood
from uncertainty_suite.metrics.ood import ranking_auroc, ranking_average_precision

_BINNINGS = ("even", "adaptive", "split")
_NORMS = ("l1", "l2", "max")
_ONES = ("last", "own")


def even_bins(values: np.ndarray, num_bins: int) -> np.ndarray:
    """Return the equal-width bin of each value from 0 to 1; 1 is in the last one."""
    return (np.arange(1, num_bins) / num_bins).searchsorted(values, side="right")


def _adaptive_bins(values: np.ndarray, num_bins: int) -> np.ndarray:
    """Return equal-count bins whose edges are order statistics: equal values share a bin, so counts may differ."""
    cuts = np.round(np.linspace(0, len(values), num_bins, endpoint=False)).astype(int)
    edges = np.sort(values)[np.minimum(cuts[1:], len(values) - 1)]
    return edges.searchsorted(values, side="right")


def _split_bins(values: np.ndarray, num_bins: int) -> np.ndarray:
    """Return equal-count bins that split the sorted list, whether or not equal values fall apart."""
    sizes = [len(part) for part in np.array_split(values, num_bins)]
    bins = np.empty(len(values), int)
    bins[np.argsort(values, kind="stable")] = np.repeat(np.arange(num_bins), sizes)
    return bins


def _sweep_bins(values: np.ndarray, hits: np.ndarray, binning: str) -> np.ndarray:
    """Return the most bins reached before the hit rates of the bins stop rising (Roelofs 2022)."""
    # Hits break ties, so that the order of the input does not matter.
    order = np.lexsort((hits, values))
    values_up, hits_up = values[order], hits[order]
    count = len(values)
    best = np.zeros(count, int)
    # Hits that only rise with the values do so in any equal-count bins: spare the perfect model a quadratic search.
    start = count - 1 if binning == "adaptive" and (np.diff(hits_up) >= 0).all() else 2
    for num_bins in range(max(start, 2), count):
        position = np.arange(count) / count if binning == "adaptive" else values_up
        bins = np.minimum(np.floor(position * num_bins).astype(int), num_bins - 1)
        totals = np.bincount(bins)
        used = totals > 0
        rates = np.bincount(bins, hits_up)[used] / totals[used]
        if (np.diff(rates) < 0).any():
            break
        best = bins
    first = np.flatnonzero(np.diff(best)) + 1
    edges = (values_up[first - 1] + values_up[first]) / 2
    # The largest value has a bin of its own, as in the authors' code.
    return np.append(edges, values_up[-1]).searchsorted(values, side="right")


def _gap_power(values: np.ndarray, hits: np.ndarray, binning: str, norm: str, num_bins: int | None, ones: str) -> float:
    """Return the binned calibration error of `values` as promises of `hits`; for l2 its square."""
    if not len(values):
        return 0.0
    if num_bins is None:
        bins = _sweep_bins(values, hits, binning)
    else:
        bins = {"even": even_bins, "adaptive": _adaptive_bins, "split": _split_bins}[binning](values, num_bins)
        if ones == "own":
            bins = np.where(values >= 1, num_bins, bins)
    counts = np.bincount(bins)
    used = counts > 0
    return _norm_power(np.bincount(bins, hits - values)[used] / counts[used], counts[used] / len(values), norm)


def _norm_power(gaps: np.ndarray, weights: np.ndarray, norm: str) -> float:
    """Return the weighted mean of absolute gaps (l1) or of squares (l2), or the largest gap (max)."""
    if norm == "max":
        return float(np.abs(gaps).max())
    return float((weights * (np.abs(gaps) if norm == "l1" else gaps**2)).sum())


def _root(power: float, norm: str) -> float:
    return float(np.sqrt(power)) if norm == "l2" else float(power)


@base.register
class ExpectedCalibrationError(base.Metric):
    """See `expected_calibration_error`."""

    name = "ece"
    formula = "sum_b n_b/n |acc_b - conf_b|, equal-width bins of the confidence"
    paper = "Naeini 2015; Guo 2017"
    agrees = "Robustness Metrics, torch-uncertainty (confidences of exactly 1: ones='own')"

    def __init__(self, num_bins: int = 15, weighted: bool = False, norm: str = "l1", ones: str = "last"):
        base.check_positive_integer("num_bins", num_bins)
        base.check_choice("norm", norm, _NORMS)
        base.check_choice("ones", ones, _ONES)
        self.num_bins, self.weighted, self.norm, self.ones = int(num_bins), weighted, norm, ones
        self._edges = np.arange(1, num_bins + (ones == "own")) / num_bins
        self.reset()

    def reset(self) -> None:
        self._counts = np.zeros(len(self._edges) + 1)
        self._gaps = np.zeros(len(self._edges) + 1)  # sum over examples of correct - confidence

    def hits(self, batch: Any) -> np.ndarray:
        """Return what the confidence promises, `[batch]`."""
        return batch.correct

    def update(self, batch: Any) -> None:
        confidence = batch.confidence
        bins = self._edges.searchsorted(confidence, side="right")
        gaps = self.hits(batch) - confidence
        if self.weighted:
            gaps *= confidence
        self._counts += np.bincount(bins, minlength=len(self._counts))
        self._gaps += np.bincount(bins, gaps, minlength=len(self._counts))

    def result(self) -> dict[str, float]:
        used = self._counts > 0
        if not used.any():
            raise self._no_example()
        counts = self._counts[used]
        return {self.name: _root(_norm_power(self._gaps[used] / counts, counts / counts.sum(), self.norm), self.norm)}


@base.register
class MaximumCalibrationError(ExpectedCalibrationError):
    """See `maximum_calibration_error`."""

    name = "mce"
    formula = "max_b |acc_b - conf_b|, equal-width bins of the confidence"
    paper = "Naeini 2015"
    agrees = "torch-uncertainty (norm='max')"

    def __init__(self, num_bins: int = 15, ones: str = "last"):
        super().__init__(num_bins, norm="max", ones=ones)


@base.register
class DebiasedCalibrationError(base.Metric):
    """See `debiased_calibration_error`."""

    name = "debiased_ece"
    formula = "sqrt max(0, sum_b n_b/n ((acc_b - conf_b)^2 - acc_b (1 - acc_b) / (n_b - 1)))"
    paper = "Kumar 2019"
    agrees = "compared with no library"

    def __init__(self, num_bins: int = 15):
        base.check_positive_integer("num_bins", num_bins)
        self.num_bins = int(num_bins)
        self.reset()

    def reset(self) -> None:
        self._counts, self._hits, self._gaps = np.zeros((3, self.num_bins))

    def update(self, batch: base.Batch) -> None:
        bins = even_bins(batch.confidence, self.num_bins)
        self._counts += np.bincount(bins, minlength=self.num_bins)
        self._hits += np.bincount(bins, batch.correct, minlength=self.num_bins)
        self._gaps += np.bincount(bins, batch.correct - batch.confidence, minlength=self.num_bins)

    def result(self) -> dict[str, float]:
        total = self._counts.sum()
        if not total:
            raise self._no_example()
        used = self._counts > 1  # one example says nothing of the variance
        counts, rate = self._counts[used], self._hits[used] / self._counts[used]
        squares = (self._gaps[used] / counts) ** 2 - rate * (1 - rate) / (counts - 1)
        return {self.name: float(np.sqrt(max((counts / total * squares).sum(), 0.0)))}


@base.register
class SmoothCalibrationError(base.Metric):
    """See `smooth_calibration_error`."""

    name = "smooth_ece"
    formula = "s with s = int |mean (correct - conf) K_s(t, conf)| dt, K a reflected Gaussian"
    paper = "Blasiok & Nakkiran 2023"
    agrees = "compared with no library"
    _CELLS = 4096

    def __init__(self):
        self.reset()

    def reset(self) -> None:
        self._count = 0
        self._residuals = np.zeros(self._CELLS + 1)  # correct - confidence, summed on a grid of the confidence

    def update(self, batch: base.Batch) -> None:
        position = np.minimum(batch.confidence, 1.0) * self._CELLS
        cell = np.minimum(position.astype(int), self._CELLS - 1)
        residual, right = batch.correct - batch.confidence, position - cell
        self._residuals += np.bincount(cell, residual * (1 - right), minlength=self._CELLS + 1)
        self._residuals += np.bincount(cell + 1, residual * right, minlength=self._CELLS + 1)
        self._count += len(residual)

    def result(self) -> dict[str, float]:
        if not self._count:
            raise self._no_example()
        # Reflected at 0 and 1, the residuals are an even function of period 2; there a Gaussian multiplies the k-th
        # cosine by exp(-(pi k s)^2 / 2). The two ends are their own mirror images, so they count twice.
        around = np.concatenate([self._residuals, self._residuals[-2:0:-1]]) / self._count
        around[[0, self._CELLS]] *= 2
        spectrum = np.fft.rfft(around)
        frequency = np.pi * np.arange(len(spectrum))

        def smoothed(width: float) -> float:
            density = np.fft.irfft(spectrum * np.exp(-((frequency * width) ** 2) / 2), n=2 * self._CELLS)
            return float(np.abs(density).mean() * self._CELLS)

        # The smoothed error falls as the width grows, so it equals the width once.
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if smoothed(middle) > middle else (low, middle)
        return {self.name: high if high > 1e-12 else 0.0}


@base.register
class StaticCalibrationError(base.Metric):
    """See `static_calibration_error`."""

    name = "sce"
    formula = "mean_k sum_b n_kb/n_k |freq_kb - p_kb|, equal-width bins of p_k > 0"
    paper = "Nixon 2019"
    agrees = "Robustness Metrics"
    keep_zeros = False

    def __init__(self, num_bins: int = 15, ones: str = "own"):
        base.check_positive_integer("num_bins", num_bins)
        base.check_choice("ones", ones, _ONES)
        self.num_bins, self.ones = int(num_bins), ones
        self._edges = np.arange(1, num_bins + (ones == "own")) / num_bins
        self.reset()

    def reset(self) -> None:
        self._counts = self._gaps = None  # [classes, bins]

    def update(self, batch: base.Batch) -> None:
        classes, bins = batch.probs.shape[1], len(self._edges) + 1
        if self._counts is None:
            self._counts, self._gaps = np.zeros((2, classes, bins))
        if len(self._counts) != classes:
            raise InputError(f"Predictions of {classes} classes after {len(self._counts)}; use one metric for each.")
        cell = self._edges.searchsorted(batch.probs, side="right") + bins * np.arange(classes)
        gaps = -batch.probs
        gaps[batch.rows, batch.labels] += 1.0
        if not self.keep_zeros:
            used = batch.probs > 0
            cell, gaps = cell[used], gaps[used]
        shape = (classes, bins)
        self._counts += np.bincount(cell.ravel(), minlength=classes * bins).reshape(shape)
        self._gaps += np.bincount(cell.ravel(), gaps.ravel(), minlength=classes * bins).reshape(shape)

    def result(self) -> dict[str, float]:
        if self._counts is None:
            raise self._no_example()
        # n_kb / n_k |gap_kb / n_kb|: the bin's own count cancels.
        errors = np.abs(self._gaps).sum(axis=1) / np.maximum(self._counts.sum(axis=1), 1)
        return {self.name: float(errors.mean())}


@base.register
class ClasswiseCalibrationError(StaticCalibrationError):
    """See `classwise_calibration_error`."""

    name = "classwise_ece"
    formula = "mean_k sum_b n_kb/n |freq_kb - p_kb|, equal-width bins of p_k"
    paper = "Kull 2019"
    agrees = "sce, where no probability is exactly 0"
    keep_zeros = True


@base.register
class GeneralCalibrationError(base.WholeSetMetric):
    """See `general_calibration_error`."""

    name = "gce"
    formula = "binned calibration error by its options"
    paper = "Nixon 2019"
    agrees = "Robustness Metrics, torch-uncertainty (binning='split', or 'even')"

    def __init__(
        self,
        num_bins: int | None = 15,
        binning: str = "even",
        max_prob: bool = True,
        class_conditional: bool = False,
        norm: str = "l1",
        threshold: float | None = 0.0,
        ones: str = "own",
        datapoints_per_bin: int | None = None,
        recalibration: str | None = None,
        fit_percent: float = 50.0,
        seed: int = 0,
    ):
        base.check_choice("binning", binning, _BINNINGS)
        base.check_choice("norm", norm, _NORMS)
        base.check_choice("ones", ones, _ONES)
        base.check_choice("recalibration", recalibration, (None, "temperature_scaling", "isotonic_regression"))
        if num_bins is not None:
            base.check_positive_integer("num_bins", num_bins)
        elif binning == "split":
            raise InputError("num_bins=None, the monotonic sweep, needs binning='even' or 'adaptive', not 'split'.")
        if datapoints_per_bin is not None:
            base.check_positive_integer("datapoints_per_bin", datapoints_per_bin)
            if binning == "even":
                raise InputError("datapoints_per_bin needs bins of equal count; pass binning='adaptive'.")
        if not 0 < fit_percent <= 100:
            raise InputError(f"fit_percent={fit_percent!r} is not allowed; expected a number above 0, at most 100.")
        self.num_bins, self.binning, self.norm, self.ones = num_bins, binning, norm, ones
        self.max_prob, self.class_conditional = max_prob, class_conditional
        self.threshold = -1.0 if threshold is None else threshold
        self.datapoints_per_bin = datapoints_per_bin
        self.recalibration, self.fit_percent, self.seed = recalibration, fit_percent, seed
        super().__init__()

    def keep(self, batch: base.Batch) -> tuple[np.ndarray, ...]:
        if self.max_prob and self.recalibration is None:
            self._classes = batch.probs.shape[1]
            return batch.confidence, batch.correct, batch.predicted.astype(np.int32)
        # One sample is kept in the dtype received, which loses nothing.
        probs = batch.samples[0] if len(batch.samples) == 1 else batch.probs
        return probs.copy(), batch.labels.copy()

    def compute(self, *columns: np.ndarray) -> float:
        if self.max_prob and self.recalibration is None:
            return self._error(*columns, self._classes)
        probs, labels = columns[0].astype(np.float64, copy=False), columns[1]
        if self.recalibration is not None:
            probs, labels = recalibrate(probs, labels, self.recalibration, self.fit_percent, self.seed)
        count, classes = probs.shape
        rows = np.arange(count)
        if self.max_prob:
            predicted = probs.argmax(axis=1)
            return self._error(probs[rows, predicted], predicted == labels, predicted, classes)
        hits = np.zeros(probs.shape, bool)
        hits[rows, labels] = True
        return self._error(probs.ravel(), hits.ravel(), np.tile(np.arange(classes), count), classes)

    def _error(self, values: np.ndarray, hits: np.ndarray, group: np.ndarray, classes: int) -> float:
        num_bins = self.num_bins
        if self.datapoints_per_bin is not None:
            examples = len(values) if self.max_prob else len(values) // classes
            num_bins = examples // self.datapoints_per_bin
            if num_bins < 1:
                raise InputError(
                    f"datapoints_per_bin={self.datapoints_per_bin} is more than the {examples} examples; pass fewer."
                )
        used = values > self.threshold
        values, hits, group = values[used], hits[used].astype(np.float64), group[used]
        if not self.class_conditional:
            return _root(_gap_power(values, hits, self.binning, self.norm, num_bins, self.ones), self.norm)
        order = np.argsort(group, kind="stable")
        ends = np.cumsum(np.bincount(group, minlength=classes))[:-1]
        powers = [
            _gap_power(values[part], hits[part], self.binning, self.norm, num_bins, self.ones)
            for part in np.split(order, ends)
        ]
        return _root(max(powers) if self.norm == "max" else sum(powers) / classes, self.norm)


@base.register
class AdaptiveCalibrationError(GeneralCalibrationError):
    """See `adaptive_calibration_error`."""

    name = "ace"
    formula = "mean_k sum_b n_kb/n_k |freq_kb - p_kb|, equal-count bins of p_k > 0"
    agrees = "Robustness Metrics"

    def __init__(self, num_bins: int = 15):
        super().__init__(num_bins, "adaptive", max_prob=False, class_conditional=True)


@base.register
class ThresholdedAdaptiveCalibrationError(GeneralCalibrationError):
    """See `thresholded_adaptive_calibration_error`."""

    name = "tace"
    formula = "as ace, of p_k > threshold (0.01)"
    agrees = "Robustness Metrics (gce with a threshold; its own tace ignores the threshold)"

    def __init__(self, num_bins: int = 15, threshold: float = 0.01):
        super().__init__(num_bins, "adaptive", max_prob=False, class_conditional=True, threshold=threshold)


@base.register
class RootMeanSquaredCalibrationError(GeneralCalibrationError):
    """See `rms_calibration_error`."""

    name = "rmsce"
    formula = "sqrt sum_b n_b/n (acc_b - conf_b)^2, equal-count bins of the confidence"
    paper = "Nguyen & O'Connor 2015; Hendrycks 2019"
    agrees = "Robustness Metrics"

    def __init__(self, num_bins: int = 15, datapoints_per_bin: int | None = None):
        super().__init__(num_bins, "adaptive", norm="l2", datapoints_per_bin=datapoints_per_bin)


@base.register
class MonotonicSweepCalibrationError(GeneralCalibrationError):
    """See `monotonic_sweep_calibration_error`."""

    name = "msce"
    formula = "as ece, with the most equal-count bins whose accuracies rise"
    paper = "Roelofs 2022"
    agrees = "Robustness Metrics"

    def __init__(self):
        super().__init__(None, "adaptive")


class _EventMetric(base.WholeSetMetric):
    """A metric of probabilities of an event: that the prediction is correct, or that the class is 1."""

    def __init__(self, target: str = "correctness"):
        base.check_choice("target", target, ("correctness", "class1"))
        self.target = target
        super().__init__()

    def keep(self, batch: base.Batch) -> tuple[np.ndarray, ...]:
        if self.target == "correctness":
            return batch.confidence, batch.correct
        if batch.probs.shape[1] != 2:
            raise InputError(f"target='class1' needs 2 classes, got {batch.probs.shape[1]}; pass target='correctness'.")
        return batch.probs[:, 1].copy(), batch.labels == 1

    def refuse_one_kind(self, happened: np.ndarray) -> None:
        """Refuse a set where the event always or never happened: a curve needs both."""
        if happened.all() or not happened.any():
            what = "every prediction is" if self.target == "correctness" else "every label is 1"
            if not happened.any():
                what = "no prediction is" if self.target == "correctness" else "no label is 1"
            right = " correct" if self.target == "correctness" else ""
            raise InputError(f"Metric '{self.name}' is undefined: {what}{right}, and it needs examples of both kinds.")


@base.register
class CalibrationAUC(_EventMetric):
    """See `calibration_auc`."""

    name = "calibration_auc"
    formula = "AUC of 'the prediction is correct', scored by the confidence"
    higher_is_better = True
    paper = "Kivlichan 2021"
    agrees = "scikit-learn; Robustness Metrics (num_thresholds=200)"

    def __init__(self, curve: str = "ROC", positive: str = "correct", num_thresholds: int | None = None):
        base.check_choice("curve", curve, ("ROC", "PR"))
        base.check_choice("positive", positive, ("correct", "wrong"))
        if num_thresholds is not None:
            base.check_positive_integer("num_thresholds", num_thresholds)
        self.curve, self.positive, self.num_thresholds = curve, positive, num_thresholds
        super().__init__()

    def compute(self, confidence: np.ndarray, correct: np.ndarray) -> float:
        self.refuse_one_kind(correct)
        if self.positive == "wrong":
            confidence, correct = 1 - confidence, ~correct
        if self.num_thresholds is None:
            return (ranking_auroc if self.curve == "ROC" else ranking_average_precision)(confidence, correct)
        counts = [
            len(kind) - np.sort(kind).searchsorted(_thresholds(self.num_thresholds), side="right")
            for kind in (confidence[correct], confidence[~correct])
        ]
        return _threshold_auc(*counts, correct.sum(), (~correct).sum(), self.curve)


def _thresholds(number: int) -> np.ndarray:
    """Return evenly spaced thresholds from just below 0 to just above 1."""
    thresholds = np.linspace(0, 1, number)
    thresholds[[0, -1]] = -1e-7, 1 + 1e-7
    return thresholds


def _threshold_auc(
    true_positives: np.ndarray, false_positives: np.ndarray, positives: Any, negatives: Any, curve: str
) -> float:
    """Return the area under a curve known at rising thresholds; PR by Davis & Goadrich's interpolation (2006)."""
    tp, fp = np.asarray(true_positives, np.float64), np.asarray(false_positives, np.float64)
    if curve == "ROC":
        recall, fall_out = tp / positives, fp / negatives
        return float((fall_out[:-1] - fall_out[1:]) @ (recall[:-1] + recall[1:]) / 2)
    called = tp + fp
    step, called_step = tp[:-1] - tp[1:], called[:-1] - called[1:]
    slope = np.divide(step, called_step, out=np.zeros_like(step), where=called_step > 0)
    intercept = tp[1:] - slope * called[1:]
    ratio = np.divide(called[:-1], called[1:], out=np.ones_like(step), where=(called[1:] > 0) & (called[:-1] > 0))
    recall_base = positives[1:] if np.ndim(positives) else positives
    return float((slope * (step + intercept * np.log(ratio)) / recall_base).sum())


def _budget(count: int, fraction: float) -> int:
    # 0.29 * 100 is 28.999999999999996, and means 29.
    return int(np.floor(round(count * fraction, 9)))


@base.register
class OracleCollaborativeAccuracy(base.Metric):
    """See `oracle_collaborative_accuracy`."""

    name = "oracle_collaborative_accuracy"
    formula = "accuracy when an oracle answers the fraction (0.01) of least confidence"
    higher_is_better = True
    paper = "Kivlichan 2021"
    agrees = "Robustness Metrics"

    def __init__(
        self, fraction: float = 0.01, num_bins: int = 100, score: Callable[[np.ndarray], np.ndarray] | None = None
    ):
        base.check_fraction("fraction", fraction)
        base.check_positive_integer("num_bins", num_bins)
        self.fraction, self.num_bins, self.score = fraction, int(num_bins), score
        self.reset()

    def reset(self) -> None:
        self._counts, self._correct = np.zeros((2, self.num_bins))

    def update(self, batch: base.Batch) -> None:
        bins = even_bins(batch.confidence if self.score is None else self.score(batch.probs), self.num_bins)
        self._counts += np.bincount(bins, minlength=self.num_bins)
        self._correct += np.bincount(bins, batch.correct, minlength=self.num_bins)

    def result(self) -> dict[str, float]:
        total = self._counts.sum()
        if not total:
            raise self._no_example()
        budget = _budget(int(total), self.fraction)
        # Of a bin that the oracle sees in part, its share of the correct predictions remains in expectation.
        taken = np.clip(budget - (np.cumsum(self._counts) - self._counts), 0, self._counts)
        left = self._correct * (1 - taken / np.maximum(self._counts, 1))
        return {self.name: float((budget + left.sum()) / total)}


@base.register
class OracleCollaborativeAUC(_EventMetric):
    """See `oracle_collaborative_auc`."""

    name = "oracle_collaborative_auc"
    formula = "AUC when an oracle answers the fraction (0.01) of least confidence"
    higher_is_better = True
    paper = "Kivlichan 2021"
    agrees = "Robustness Metrics"

    def __init__(
        self,
        fraction: float = 0.01,
        curve: str = "ROC",
        target: str = "correctness",
        num_bins: int = 1000,
        num_thresholds: int = 200,
    ):
        base.check_fraction("fraction", fraction)
        base.check_choice("curve", curve, ("ROC", "PR"))
        base.check_positive_integer("num_bins", num_bins)
        base.check_positive_integer("num_thresholds", num_thresholds)
        self.fraction, self.curve, self.num_bins, self.num_thresholds = fraction, curve, int(num_bins), num_thresholds
        super().__init__(target)

    def compute(self, probs: np.ndarray, happened: np.ndarray) -> float:
        self.refuse_one_kind(happened)
        budget = _budget(len(probs), self.fraction)
        thresholds = _thresholds(self.num_thresholds)
        counts = np.empty((4, len(thresholds)))
        for i, threshold in enumerate(thresholds):
            score = probs if self.target == "correctness" else np.abs(probs - threshold)
            kind = 2 * happened + (probs > threshold)  # 0 true negative, 1 false positive, 2 false negative, 3 true one
            bins = even_bins(score, self.num_bins)
            tn, fp, fn, tp = np.bincount(self.num_bins * kind + bins, minlength=4 * self.num_bins).reshape(4, -1)
            # The thresholds outside [0, 1] anchor the curve and are left to the model.
            if 0 < i < len(thresholds) - 1:
                seen = tn + fp + fn + tp
                share = np.clip(budget - (np.cumsum(seen) - seen), 0, seen) / np.maximum(seen, 1)
                tn, fp, fn, tp = tn + share * fp, fp - share * fp, fn - share * fn, tp + share * fn
            counts[:, i] = tp.sum(), fp.sum(), (tp + fn).sum(), (fp + tn).sum()
        return _threshold_auc(*counts, self.curve)


@base.register
class SemiparametricCalibrationError(_EventMetric):
    """See `semiparametric_calibration_error`."""

    name = "semiparametric_ce"
    formula = "sqrt mean (p - y)(p - f(p)), f a cross-fitted kernel regression of y on p"
    agrees = "Robustness Metrics (smoothing='kernel')"

    def compute(self, probs: np.ndarray, happened: np.ndarray) -> float:
        from sklearn.model_selection import StratifiedKFold

        fewest = min(happened.sum(), (~happened).sum())
        if fewest < 5:
            raise InputError(
                f"Metric '{self.name}' fits on 5 folds and needs 5 examples of each kind, got {fewest}; add more."
            )
        folds = StratifiedKFold(5, shuffle=True, random_state=708)  # the seed of Robustness Metrics
        folds = list(folds.split(probs, happened))
        event = happened.astype(np.float64)
        # 50 candidates, and less smoothing for estimating than for predicting, both as in Robustness Metrics.
        count, spread = len(probs), max(np.ptp(probs), 1e-12)
        candidates = (np.linspace(1, 0.1 * count, 50) / spread) ** 2
        errors = [
            np.mean((_kernel_regression(probs, event, folds, sharpness) - event) ** 2) for sharpness in candidates
        ]
        rate = _kernel_regression(probs, event, folds, candidates[int(np.argmin(errors))] * count**0.08)
        return float(np.sqrt(max(np.mean((probs - event) * (probs - rate)), 0.0)))


def _kernel_regression(probs: np.ndarray, event: np.ndarray, folds: list, sharpness: float) -> np.ndarray:
    """Return the event's rate at each probability, estimated by a Gaussian kernel from the other folds."""
    rate = np.empty_like(probs)
    for train, test in folds:
        residual = event[train] - probs[train]
        for part in np.array_split(test, 1 + len(test) * len(train) // 2**22):  # bounds the memory
            exponent = -sharpness * (probs[part, np.newaxis] - probs[train]) ** 2
            # The nearest example has weight one: far from all others, weights would underflow to 0 / 0.
            kernel = np.exp(exponent - exponent.max(axis=1, keepdims=True))
            rate[part] = probs[part] + kernel @ residual / kernel.sum(axis=1)
    return rate


_FLOAT32_EPSILON = float(np.finfo(np.float32).eps)


def fit_temperature(probs: Any, labels: Any, epsilon: float = _FLOAT32_EPSILON) -> float:
    """Return the temperature `T` that minimises the NLL of `softmax(log(p + epsilon) / T)` (Guo 2017).

    Fit it on validation data. It is sought from 0.001 to 1000. Predictions that are all correct have no optimum, only
    ever sharper ones; then it is a low temperature at which the loss is zero to rounding.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        epsilon: Keeps the logarithm of zero finite; the default is Robustness Metrics'.

    Raises:
        InputError: The arrays are not that.
    """
    batch = base.labelled_batch(probs, labels)
    logits = np.log(batch.probs + epsilon)
    logits -= logits[batch.rows, batch.labels][:, np.newaxis]  # so that the label's is 0
    # The loss is convex in beta = 1 / T: Newton's method, kept inside an interval that only shrinks.
    low, high, beta = 1e-3, 1e3, 1.0
    for _ in range(200):
        scaled = np.exp(beta * logits - (beta * logits).max(axis=1, keepdims=True))
        scaled /= scaled.sum(axis=1, keepdims=True)
        means = (scaled * logits).sum(axis=1)
        slope = means.mean()
        curvature = ((scaled * logits**2).sum(axis=1) - means**2).mean()
        if slope == 0:
            break
        low, high = (beta, high) if slope < 0 else (low, beta)
        step = beta - slope / curvature if curvature > 0 else 0.0
        last, beta = beta, step if low < step < high else np.sqrt(low * high)
        if abs(beta - last) <= 1e-13 * beta:
            break
    return float(1 / beta)


def apply_temperature(probs: Any, temperature: float, epsilon: float = _FLOAT32_EPSILON) -> np.ndarray:
    """Return `softmax(log(p + epsilon) / temperature)`, `[batch, classes]`; see `fit_temperature`.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        temperature: Above one softens, below one sharpens.
        epsilon: As in `fit_temperature`.

    Raises:
        InputError: The arrays are not that, or the temperature is not positive.
    """
    _check_temperature(temperature)
    return _scale(base.Batch(probs).probs, temperature, epsilon)


def _scale(probs: np.ndarray, temperature: float, epsilon: float = _FLOAT32_EPSILON) -> np.ndarray:
    logits = np.log(probs + epsilon) / temperature
    scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
    return scaled / scaled.sum(axis=1, keepdims=True)


def _check_temperature(temperature: Any) -> None:
    if not isinstance(temperature, (int, float, np.number)) or not 0 < temperature < np.inf:
        raise InputError(
            f"temperature={temperature!r} is not allowed; expected a positive number. "
            "Fit one with metrics.fit_temperature(validation_probs, validation_labels)."
        )


def recalibrate(
    probs: Any, labels: Any, method: str, fit_percent: float = 50.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a recalibration on one part of the examples and apply it to the rest.

    The fit sees the first `fit_percent` of `RandomState(seed).permutation(n)`; at 100 both see everything, unshuffled,
    which flatters.

    Args:
        probs: Class probabilities `[batch, classes]`.
        labels: Class indices `[batch]`.
        method: `"temperature_scaling"` (Guo 2017), or `"isotonic_regression"` (Zadrozny & Elkan 2002), one for each
            class, after which rows are divided by their sum.
        fit_percent: How many of the examples to fit on.
        seed: What the shuffle is derived from.

    Returns:
        Recalibrated probabilities and labels of the examples not fitted on.

    Raises:
        InputError: The arrays or options are not that.
    """
    base.check_choice("method", method, ("temperature_scaling", "isotonic_regression"))
    batch = base.labelled_batch(probs, labels)
    probs, labels = batch.probs, batch.labels
    fitted = round(fit_percent * 0.01 * len(probs))
    if not 0 < fitted <= len(probs):
        raise InputError(f"fit_percent={fit_percent} of {len(probs)} examples are {fitted}; pass more of either.")
    fit = rest = np.arange(len(probs))
    if fitted < len(probs):
        order = np.random.RandomState(seed).permutation(len(probs))
        fit, rest = order[:fitted], order[fitted:]
    if method == "temperature_scaling":
        return _scale(probs[rest], fit_temperature(probs[fit], labels[fit])), labels[rest]

    from sklearn.isotonic import IsotonicRegression

    scaled = np.empty((len(rest), probs.shape[1]))
    for k in range(probs.shape[1]):
        regression = IsotonicRegression(out_of_bounds="clip").fit(probs[fit, k], labels[fit] == k)
        scaled[:, k] = regression.predict(probs[rest, k])
    scaled[scaled.sum(axis=1) == 0] = 1.0  # nothing is known of such a row
    return scaled / scaled.sum(axis=1, keepdims=True), labels[rest]


def _scaled(batch: base.Batch, temperature: float) -> base.Batch:
    return base.Batch(_scale(batch.probs, temperature), batch.labels)


@base.register
class TemperatureScaledNLL(NegativeLogLikelihood):
    """See `temperature_scaled_nll`."""

    name = "temperature_scaled_nll"
    formula = "nll of softmax(log p / T), T fitted on validation data"
    paper = "Guo 2017"
    agrees = "nll after Robustness Metrics' temperature"

    def __init__(self, temperature: float | None = None):
        _check_temperature(temperature)
        self.temperature = temperature
        super().__init__()

    def update(self, batch: base.Batch) -> None:
        super().update(_scaled(batch, self.temperature))


@base.register
class TemperatureScaledECE(ExpectedCalibrationError):
    """See `temperature_scaled_ece`."""

    name = "temperature_scaled_ece"
    formula = "ece of softmax(log p / T), T fitted on validation data"
    paper = "Guo 2017"
    agrees = "ece after Robustness Metrics' temperature"

    def __init__(self, temperature: float | None = None, num_bins: int = 15):
        _check_temperature(temperature)
        self.temperature = temperature
        super().__init__(num_bins)

    def update(self, batch: base.Batch) -> None:
        super().update(_scaled(batch, self.temperature))


def expected_calibration_error(
    probs: Any, labels: Any, num_bins: int = 15, weighted: bool = False, norm: str = "l1", ones: str = "last"
) -> float:
    """Return the expected calibration error, `sum_b n_b/n |acc_b - conf_b|` (Naeini 2015, Guo 2017).

    Bins are of equal width over the confidence and hold `lower <= confidence < upper`.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        num_bins: The number of bins.
        weighted: Multiply correctness and confidence by the confidence first (Kumar & Sarawagi 2019).
        norm: `"l1"`, the mean gap; `"l2"`, the root mean square (Kumar 2019); `"max"`, the largest gap (Naeini 2015).
        ones: Where a value of exactly 1 goes: `"last"`, the last bin, as Robustness Metrics' ECE, or `"own"`, a bin of
            its own, as its GCE and torch-uncertainty.

    Raises:
        InputError: The arrays or options are not that.
    """
    return base.evaluate(ExpectedCalibrationError(num_bins, weighted, norm, ones), probs, labels)


def maximum_calibration_error(probs: Any, labels: Any, num_bins: int = 15, ones: str = "last") -> float:
    """Return the largest gap of a bin, `max_b |acc_b - conf_b|` (Naeini 2015); bins as in `expected_calibration_error`.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        num_bins: The number of bins.
        ones: As in `expected_calibration_error`.

    Raises:
        InputError: The arrays or options are not that.
    """
    return base.evaluate(MaximumCalibrationError(num_bins, ones), probs, labels)


def debiased_calibration_error(probs: Any, labels: Any, num_bins: int = 15) -> float:
    """Return the debiased l2 calibration error (Kumar, Liang & Ma 2019, https://arxiv.org/abs/1909.10155).

    From the square of each bin's gap it takes what chance alone adds, `acc_b (1 - acc_b) / (n_b - 1)`. A negative sum
    is returned as zero. Bins of one example are left out, for their variance is unknown. The paper uses bins of equal
    count; these are of equal width, so that the metric streams.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        num_bins: The number of bins.

    Raises:
        InputError: The arrays or options are not that.
    """
    return base.evaluate(DebiasedCalibrationError(num_bins), probs, labels)


def smooth_calibration_error(probs: Any, labels: Any) -> float:
    """Return the smooth ECE, which has no bins (Blasiok & Nakkiran 2023, https://arxiv.org/abs/2309.12236).

    The residuals `correct - confidence` are smoothed over the confidence by a Gaussian reflected at 0 and 1; the value
    is the width at which it equals the integral of their absolute density. Residuals are spread onto a grid of 4,097
    points first.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.

    Raises:
        InputError: The arrays or options are not that.
    """
    return base.evaluate(SmoothCalibrationError(), probs, labels)


def static_calibration_error(probs: Any, labels: Any, num_bins: int = 15, ones: str = "own") -> float:
    """Return the static calibration error: the ECE of each class alone, averaged over classes (Nixon 2019).

    Probabilities of exactly zero are left out, as in Robustness Metrics; `classwise_calibration_error` keeps them.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        num_bins: The number of bins.
        ones: Where a value of exactly 1 goes: `"own"`, a bin of its own, as in Robustness Metrics, or `"last"`.

    Raises:
        InputError: The arrays or options are not that.
    """
    return base.evaluate(StaticCalibrationError(num_bins, ones), probs, labels)


def classwise_calibration_error(probs: Any, labels: Any, num_bins: int = 15, ones: str = "own") -> float:
    """Return the class-wise ECE: the ECE of each class alone over all examples, averaged over classes (Kull 2019).

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        num_bins: The number of bins.
        ones: Where a value of exactly 1 goes: `"own"`, a bin of its own, as in Robustness Metrics, or `"last"`.

    Raises:
        InputError: The arrays or options are not that.
    """
    return base.evaluate(ClasswiseCalibrationError(num_bins, ones), probs, labels)


def adaptive_calibration_error(probs: Any, labels: Any, num_bins: int = 15) -> float:
    """Return the adaptive calibration error: as the static one, in bins of equal count (Nixon 2019).

    Edges are order statistics; values equal to an edge go up. torch-uncertainty's metric of this name is another: it
    looks at the confidence only and splits the sorted list, which is
    `general_calibration_error(..., binning="split")`.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        num_bins: The number of bins.

    Raises:
        InputError: The arrays or options are not that.
    """
    return base.evaluate(AdaptiveCalibrationError(num_bins), probs, labels)


def thresholded_adaptive_calibration_error(
    probs: Any, labels: Any, num_bins: int = 15, threshold: float = 0.01
) -> float:
    """Return the adaptive calibration error of the probabilities strictly above a threshold (Nixon 2019).

    Robustness Metrics' class of this name ignores its threshold; this is its general error with the threshold.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        num_bins: The number of bins.
        threshold: What a probability must be above to count.

    Raises:
        InputError: The arrays or options are not that.
    """
    return base.evaluate(ThresholdedAdaptiveCalibrationError(num_bins, threshold), probs, labels)


def rms_calibration_error(probs: Any, labels: Any, num_bins: int = 15, datapoints_per_bin: int | None = None) -> float:
    """Return the root mean square calibration error in bins of equal count (Nguyen & O'Connor 2015, Hendrycks 2019).

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        num_bins: The number of bins.
        datapoints_per_bin: If given, the number of bins is that of examples divided by this, rounded down.

    Raises:
        InputError: The arrays or options are not that.
    """
    return base.evaluate(RootMeanSquaredCalibrationError(num_bins, datapoints_per_bin), probs, labels)


def monotonic_sweep_calibration_error(probs: Any, labels: Any) -> float:
    """Return the calibration error with the most equal-count bins whose accuracies rise (Roelofs 2022).

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.

    Raises:
        InputError: The arrays or options are not that.
    """
    return base.evaluate(MonotonicSweepCalibrationError(), probs, labels)


def general_calibration_error(probs: Any, labels: Any, **options: Any) -> float:
    """Return the calibration error of any kind of binning (Nixon 2019).

    With the `l2` norm the root is taken after averaging over classes. Classes without an entry count as calibrated.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        **options: `num_bins` (15; None finds the most bins of rising accuracy, Roelofs 2022). `binning`: `"even"`
            width; `"adaptive"`, equal counts between order statistics, equal values sharing a bin, as Robustness
            Metrics; `"split"`, equal parts of the sorted list, as torch-uncertainty. `max_prob` (True): only the
            confidence, or all classes. `class_conditional` (False): bin each (predicted) class alone and average.
            `norm`: `"l1"`, `"l2"` or `"max"`. `threshold` (0.0): count values strictly above it; None counts all.
            `ones` (`"own"`): as in `expected_calibration_error`, whose default is `"last"`. `datapoints_per_bin`: sets
            the number of bins. `recalibration`, `fit_percent` (50), `seed` (0): see `recalibrate`.

    Raises:
        InputError: The arrays or options are not that.
    """
    return base.evaluate(base.get("gce", **options), probs, labels)


def calibration_auc(
    probs: Any, labels: Any, curve: str = "ROC", positive: str = "correct", num_thresholds: int | None = None
) -> float:
    """Return how well the confidence tells correct predictions from wrong ones, as an area (Kivlichan 2021).

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        curve: `"ROC"`, ties counting half, or `"PR"`, the average precision.
        positive: What is to be found: `"correct"` predictions by the confidence, or `"wrong"` ones by 1 - confidence.
        num_thresholds: Approximate the curve at so many thresholds, and interpolate PR; 200 is Robustness Metrics.

    Raises:
        InputError: The arrays or options are not that, or all predictions are correct, or all wrong.
    """
    return base.evaluate(CalibrationAUC(curve, positive, num_thresholds), probs, labels)


def oracle_collaborative_accuracy(
    probs: Any,
    labels: Any,
    fraction: float = 0.01,
    num_bins: int = 100,
    score: Callable[[np.ndarray], np.ndarray] | None = None,
) -> float:
    """Return the accuracy when an oracle answers the least confident examples (Kivlichan 2021).

    The oracle gets `floor(n * fraction)` examples in the order of equal-width bins of the score; of the last bin that
    it sees in part, it gets a random part, in expectation.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        fraction: The share of examples for the oracle.
        num_bins: The number of bins.
        score: What to ask by, lowest first: a function from mean probabilities `[batch, classes]` to `[batch]` values
            from 0 to 1. The confidence by default.

    Raises:
        InputError: The arrays or options are not that.
    """
    return base.evaluate(OracleCollaborativeAccuracy(fraction, num_bins, score), probs, labels)


def oracle_collaborative_auc(
    probs: Any,
    labels: Any,
    fraction: float = 0.01,
    curve: str = "ROC",
    target: str = "correctness",
    num_bins: int = 1000,
    num_thresholds: int = 200,
) -> float:
    """Return the area under a curve when an oracle answers the least confident examples (Kivlichan 2021).

    At each threshold the oracle corrects `floor(n * fraction)` decisions, in the order of equal-width score bins.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        fraction: The share of examples for the oracle.
        curve: `"ROC"` or `"PR"`.
        target: `"correctness"`: find correct predictions by the confidence, which is also the order of asking.
            `"class1"`: of two classes, find class 1 by its probability, asking nearest to the threshold first.
        num_bins: The number of score bins.
        num_thresholds: The number of thresholds.

    Raises:
        InputError: The arrays or options are not that, or all examples are of one kind.
    """
    metric = OracleCollaborativeAUC(fraction, curve, target, num_bins, num_thresholds)
    return base.evaluate(metric, probs, labels)


def semiparametric_calibration_error(probs: Any, labels: Any, target: str = "correctness") -> float:
    """Return the l2 calibration error estimated without bins: `sqrt mean (p - y)(p - f(p))`.

    `f` is a kernel regression of `y` on `p`, fitted on other folds; its width is the best of 50 by cross-validation,
    then narrowed. Its time is quadratic in the number of examples, and its folds, drawn by position, make it depend on
    their order; both as in Robustness Metrics.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        target: `"correctness"`: `p` is the confidence and `y` whether the prediction is correct. `"class1"`: of two
            classes, the probability of class 1 and whether it is the label.

    Raises:
        InputError: The arrays or options are not that, or fewer than 5 examples are of one kind.
    """
    return base.evaluate(SemiparametricCalibrationError(target), probs, labels)


def temperature_scaled_nll(probs: Any, labels: Any, temperature: float) -> float:
    """Return the NLL of `softmax(log(p) / temperature)` (Guo 2017), with a temperature from `fit_temperature`.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        temperature: Fitted on validation data.

    Raises:
        InputError: The arrays or options are not that.
    """
    return base.evaluate(TemperatureScaledNLL(temperature), probs, labels)


def temperature_scaled_ece(probs: Any, labels: Any, temperature: float, num_bins: int = 15) -> float:
    """Return the ECE of `softmax(log(p) / temperature)` (Guo 2017), with a temperature from `fit_temperature`.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        temperature: Fitted on validation data.
        num_bins: The number of bins.

    Raises:
        InputError: The arrays or options are not that.
    """
    return base.evaluate(TemperatureScaledECE(temperature, num_bins), probs, labels)
