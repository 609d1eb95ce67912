"""Calibration: how far confidences are from the frequencies that they promise.

Everywhere here the confidence is the largest probability, the prediction its class (the first one of a tie), and bins
hold `lower <= value < upper`, the last one 1 as well. Libraries give values of exactly 1 a bin of their own in some
metrics; the option `ones="own"` does so.

Where they fail: a network that always says the frequencies of the classes is calibrated and knows nothing, so read them
beside accuracy or a proper score. Binned ones average errors of both signs away within a bin, and are too large on few
examples, the more so the more bins there are; `debiased_ece` takes that off.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics import base
from uncertainty_suite.metrics.classification import NegativeLogLikelihood
from uncertainty_suite.metrics.ood import ranking_auroc, ranking_average_precision
from uncertainty_suite.metrics.recalibration import log_probs_of, recalibrate, scaled

_BINNINGS = ("even", "adaptive", "split")
_NORMS = ("l1", "l2", "max")
_ONES = ("last", "own")


class Bins(NamedTuple):
    """The bins of a reliability diagram, each field `[bins]`.

    Attributes:
        counts: The number of examples, int64.
        correct: The number of those whose prediction is the label, int64.
        confidence: Their mean confidence, float64; 0 where there is none.
        accuracy: The share of correct ones, float64; 0 where there is none.
    """

    counts: np.ndarray
    correct: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


def calibration_bins(probs: Any, labels: Any, num_bins: int = 15) -> Bins:
    """Return what the bins of the expected calibration error hold.

    Bins are of equal width over the confidence, the largest probability: bin `b` holds
    `b / num_bins <= confidence < (b + 1) / num_bins`, and the last one 1 as well.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        num_bins: The number of bins.

    Raises:
        InputError: The arrays or the option are not that.

    Example:
        >>> bins = calibration_bins(probs, labels)
        >>> (bins.counts / bins.counts.sum() * abs(bins.accuracy - bins.confidence)).sum()  # the ECE
    """
    base.check_positive_integer("num_bins", num_bins)
    batch = base.labelled_batch(probs, labels)
    bins = even_bins(batch.confidence, num_bins)
    counts, correct = (np.bincount(bins[rows], minlength=num_bins) for rows in (batch.rows, batch.correct))
    confidence = np.bincount(bins, batch.confidence, minlength=num_bins)
    divisor = np.maximum(counts, 1)
    return Bins(counts, correct, confidence / divisor, correct / divisor)


def even_bins(values: np.ndarray, num_bins: int, ones: str = "last") -> np.ndarray:
    """Return the equal-width bin of each value from 0 to 1; 1 is in the last one, or in an `"own"` one after it."""
    return (np.arange(1, num_bins + (ones == "own")) / num_bins).searchsorted(values, side="right")


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
    """Return the binned calibration error of `values` as promises of `hits`; for l2 its square, of none 0."""
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


@base.REGISTRY.register
class ExpectedCalibrationError(base.Metric):
    """The expected calibration error, `sum_b n_b/n |acc_b - conf_b|` (Naeini 2015, Guo 2017).

    Bins are of equal width over the confidence and hold `lower <= confidence < upper`, the last one 1 as well.

    Args:
        num_bins: The number of bins.
        weighted: Multiply correctness and confidence by the confidence first (Kumar & Sarawagi 2019).
        norm: `"l1"`, the mean gap; `"l2"`, the root mean square (Kumar 2019); `"max"`, the largest gap (Naeini 2015).
        ones: Where a value of exactly 1 goes: `"last"`, the last bin, as Robustness Metrics' ECE, or `"own"`, a bin of
            its own, as its GCE and torch-uncertainty.
    """

    name = "ece"
    formula = "sum_b n_b/n |acc_b - conf_b|, equal-width bins of the confidence"
    paper = "Naeini 2015; Guo 2017"
    agrees = "Robustness Metrics, torch-uncertainty (confidences of exactly 1: ones='own')"

    def __init__(self, num_bins: int = 15, weighted: bool = False, norm: str = "l1", ones: str = "last"):
        base.check_positive_integer("num_bins", num_bins)
        base.check_flag("weighted", weighted)
        base.check_choice("norm", norm, _NORMS)
        base.check_choice("ones", ones, _ONES)
        self.num_bins, self.weighted, self.norm, self.ones = int(num_bins), weighted, norm, ones
        self.reset()

    def reset(self) -> None:
        # The gaps are sums over examples of correct - confidence.
        self._counts, self._gaps = np.zeros((2, self.num_bins + (self.ones == "own")))

    def hits(self, batch: Any) -> np.ndarray:
        """Return what the confidence promises, `[batch]`."""
        return batch.correct

    def update(self, batch: Any) -> None:
        confidence = batch.confidence
        bins = even_bins(confidence, self.num_bins, self.ones)
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
        return {self.key: _root(_norm_power(self._gaps[used] / counts, counts / counts.sum(), self.norm), self.norm)}


@base.REGISTRY.register
class MaximumCalibrationError(ExpectedCalibrationError):
    """The largest gap of a bin, `max_b |acc_b - conf_b|` (Naeini 2015); bins as in `expected_calibration_error`.

    Args:
        num_bins: The number of bins.
        ones: As in `expected_calibration_error`.
    """

    name = "mce"
    formula = "max_b |acc_b - conf_b|, equal-width bins of the confidence"
    paper = "Naeini 2015"
    agrees = "torch-uncertainty (norm='max')"

    def __init__(self, num_bins: int = 15, ones: str = "last"):
        super().__init__(num_bins, norm="max", ones=ones)


@base.REGISTRY.register
class DebiasedCalibrationError(base.Metric):
    """The debiased l2 calibration error (Kumar, Liang & Ma 2019, https://arxiv.org/abs/1909.10155).

    From the square of each bin's gap it takes what chance alone adds, `acc_b (1 - acc_b) / (n_b - 1)`. A negative sum
    is returned as zero. Bins of one example are left out, for their variance is unknown. The paper uses bins of equal
    count; these are of equal width, so that the metric streams.

    Args:
        num_bins: The number of bins.
    """

    name = "debiased_ece"
    formula = "sqrt max(0, sum_b n_b/n ((acc_b - conf_b)^2 - acc_b (1 - acc_b) / (n_b - 1)))"
    paper = "Kumar 2019"

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
        if not used.any():
            raise self._no_value("no bin holds two examples, and one says nothing of the variance")
        counts, rate = self._counts[used], self._hits[used] / self._counts[used]
        squares = (self._gaps[used] / counts) ** 2 - rate * (1 - rate) / (counts - 1)
        return {self.key: float(np.sqrt(max((counts / total * squares).sum(), 0.0)))}


@base.REGISTRY.register
class SmoothCalibrationError(base.Metric):
    """The smooth ECE, which has no bins (Blasiok & Nakkiran 2023, https://arxiv.org/abs/2309.12236).

    The residuals `correct - confidence` are smoothed over the confidence by a Gaussian reflected at 0 and 1; the value
    is the width at which it equals the integral of their absolute density. Residuals are spread onto a grid of 4,097
    points first.
    """

    name = "smooth_ece"
    formula = "s with s = int |mean (correct - conf) K_s(t, conf)| dt, K a reflected Gaussian"
    paper = "Blasiok & Nakkiran 2023"
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
        return {self.key: high if high > 1e-12 else 0.0}


@base.REGISTRY.register
class StaticCalibrationError(base.Metric):
    """The static calibration error: the ECE of each class alone, averaged over classes (Nixon 2019).

    Probabilities of exactly zero are left out, as in Robustness Metrics; `classwise_calibration_error` keeps them.

    Args:
        num_bins: The number of bins.
        ones: Where a value of exactly 1 goes: `"last"`, the last bin, as in the paper, or `"own"`, a bin of its own, as
            in Robustness Metrics.
    """

    name = "sce"
    formula = "mean_k sum_b n_kb/n_k |freq_kb - p_kb|, equal-width bins of p_k > 0"
    paper = "Nixon 2019"
    agrees = "Robustness Metrics (probabilities of exactly 1: ones='own')"
    keep_zeros = False

    def __init__(self, num_bins: int = 15, ones: str = "last"):
        base.check_positive_integer("num_bins", num_bins)
        base.check_choice("ones", ones, _ONES)
        self.num_bins, self.ones = int(num_bins), ones
        self.reset()

    def reset(self) -> None:
        self._counts, self._gaps = np.zeros((2, 0, 0))  # [classes, bins]

    def update(self, batch: base.Batch) -> None:
        classes, bins = batch.probs.shape[1], self.num_bins + (self.ones == "own")
        if not len(self._counts):
            self._counts, self._gaps = np.zeros((2, classes, bins))
        base.check_same_classes(classes, len(self._counts))
        cell = even_bins(batch.probs, self.num_bins, self.ones) + bins * np.arange(classes)
        gaps = -batch.probs
        gaps[batch.rows, batch.labels] += 1.0
        if not self.keep_zeros:
            used = batch.probs > 0
            cell, gaps = cell[used], gaps[used]
        shape = (classes, bins)
        self._counts += np.bincount(cell.ravel(), minlength=classes * bins).reshape(shape)
        self._gaps += np.bincount(cell.ravel(), gaps.ravel(), minlength=classes * bins).reshape(shape)

    def result(self) -> dict[str, float]:
        if not len(self._counts):
            raise self._no_example()
        # n_kb / n_k |gap_kb / n_kb|: the bin's own count cancels.
        errors = np.abs(self._gaps).sum(axis=1) / np.maximum(self._counts.sum(axis=1), 1)
        return {self.key: self.of_classes(errors)}

    def of_classes(self, errors: np.ndarray) -> float:
        """Return the value from the errors of the classes."""
        return float(errors.mean())


@base.REGISTRY.register
class ClasswiseCalibrationError(StaticCalibrationError):
    """The class-wise ECE: the ECE of each class alone over all examples, averaged over classes (Kull 2019).

    Args:
        num_bins: The number of bins.
        ones: Where a value of exactly 1 goes: `"last"`, the last bin, as in the paper, or `"own"`, a bin of its own, as
            in Robustness Metrics.
    """

    name = "classwise_ece"
    formula = "mean_k sum_b n_kb/n |freq_kb - p_kb|, equal-width bins of p_k"
    paper = "Kull 2019"
    agrees = "sce, where no probability is exactly 0"
    keep_zeros = True


@base.REGISTRY.register
class WorstClassCalibrationError(ClasswiseCalibrationError):
    """The largest class-wise ECE of a class: as `classwise_calibration_error`, with the maximum in place of the mean.

    Args:
        num_bins: The number of bins.
        ones: Where a value of exactly 1 goes: `"last"`, the last bin, or `"own"`, a bin of its own.
    """

    name = "worst_class_ece"
    formula = "max_k sum_b n_kb/n |freq_kb - p_kb|, equal-width bins of p_k"
    agrees = "tested against the definition"

    def of_classes(self, errors: np.ndarray) -> float:
        return float(errors.max())


@base.REGISTRY.register
class GeneralCalibrationError(base.WholeSetMetric):
    """The calibration error of any kind of binning (Nixon 2019).

    With the `l2` norm the root is taken after averaging over classes. Classes without an entry count as calibrated.

    Args:
        num_bins: The number of bins; None finds the most bins of rising accuracy (Roelofs 2022).
        binning: `"even"` width; `"adaptive"`, equal counts between order statistics, equal values sharing a bin, as
            Robustness Metrics; `"split"`, equal parts of the sorted list, as torch-uncertainty.
        max_prob: Look at the confidence only, or at the probabilities of all classes.
        class_conditional: Bin each (predicted) class alone and average.
        norm: `"l1"`, `"l2"` or `"max"`, as in `expected_calibration_error`.
        threshold: Count values strictly above it; None counts all.
        ones: As in `expected_calibration_error`.
        datapoints_per_bin: If given, the number of bins is that of examples divided by this, rounded down.
        recalibration: None, or the method of `recalibrate` whose result is looked at.
        fit_percent: As in `recalibrate`.
        seed: As in `recalibrate`.
        epsilon: As in `recalibrate`; 1.19e-7 is Robustness Metrics.
    """

    name = "gce"
    formula = "binned calibration error by its options"
    paper = "Nixon 2019"
    agrees = "Robustness Metrics, torch-uncertainty (binning='split', or 'even'); values of exactly 1: ones='own'"

    def __init__(
        self,
        num_bins: int | None = 15,
        binning: str = "even",
        max_prob: bool = True,
        class_conditional: bool = False,
        norm: str = "l1",
        threshold: float | None = 0.0,
        ones: str = "last",
        datapoints_per_bin: int | None = None,
        recalibration: str | None = None,
        fit_percent: float = 50.0,
        seed: int = 0,
        epsilon: float | None = None,
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
        base.check_number("fit_percent", fit_percent, 0, 100, at_high=True)
        base.check_flag("max_prob", max_prob)
        base.check_flag("class_conditional", class_conditional)
        base.check_seed(seed)
        if threshold is not None:
            base.check_number("threshold", threshold, -np.inf)
        if epsilon is not None:
            base.check_number("epsilon", epsilon)
        self.num_bins, self.binning, self.norm, self.ones = num_bins, binning, norm, ones
        self.max_prob, self.class_conditional = max_prob, class_conditional
        self.threshold = -1.0 if threshold is None else threshold
        self.datapoints_per_bin = datapoints_per_bin
        self.recalibration, self.fit_percent, self.seed, self.epsilon = recalibration, fit_percent, seed, epsilon
        super().__init__()

    def reset(self) -> None:
        super().reset()
        self._classes = 0

    def keep(self, batch: base.Batch) -> tuple[np.ndarray, ...]:
        classes = batch.probs.shape[1]
        base.check_same_classes(classes, self._classes or classes)
        self._classes = classes
        if self.max_prob and self.recalibration is None:
            return batch.confidence, batch.correct, batch.predicted.astype(np.int32)
        # One sample is kept in the dtype received, which loses nothing.
        probs = batch.samples[0] if len(batch.samples) == 1 else batch.probs
        return probs.copy(), batch.labels.copy()

    def compute(self, *columns: np.ndarray) -> float:
        if self.max_prob and self.recalibration is None:
            confidence, correct, predicted = columns
            return self._error(confidence, correct, predicted)
        probs, labels = columns
        if self.recalibration is not None:
            if round(self.fit_percent * 0.01 * len(labels)) == 0:
                raise self._no_value(f"{self.fit_percent:g}% of {len(labels)} examples are none to fit on")
            probs, labels = recalibrate(probs, labels, self.recalibration, self.fit_percent, self.seed, self.epsilon)
        probs = base.normalized(probs)
        count, classes = probs.shape
        rows = np.arange(count)
        if self.max_prob:
            predicted = probs.argmax(axis=1)
            return self._error(probs[rows, predicted], predicted == labels, predicted)
        hits = np.zeros(probs.shape, bool)
        hits[rows, labels] = True
        return self._error(probs.ravel(), hits.ravel(), np.tile(np.arange(classes), count))

    def _error(self, values: np.ndarray, hits: np.ndarray, group: np.ndarray) -> float:
        num_bins, classes = self.num_bins, self._classes
        if self.datapoints_per_bin is not None:
            examples = len(values) if self.max_prob else len(values) // classes
            num_bins = examples // self.datapoints_per_bin
            if num_bins < 1:
                raise self._no_value(
                    f"datapoints_per_bin={self.datapoints_per_bin} is more than the {examples} examples; pass fewer"
                )
        used = values > self.threshold
        if not used.any():
            raise self._no_value(f"no probability is above the threshold {self.threshold:g}")
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


@base.REGISTRY.register
class AdaptiveCalibrationError(GeneralCalibrationError):
    """The adaptive calibration error: as the static one, in bins of equal count (Nixon 2019).

    Edges are order statistics; values equal to an edge go up. torch-uncertainty's metric of this name is another: it
    looks at the confidence only and splits the sorted list, which is
    `general_calibration_error(..., binning="split")`.

    Args:
        num_bins: The number of bins.
        ones: As in `expected_calibration_error`.
    """

    name = "ace"
    formula = "mean_k sum_b n_kb/n_k |freq_kb - p_kb|, equal-count bins of p_k > 0"
    agrees = "Robustness Metrics"

    def __init__(self, num_bins: int = 15, ones: str = "last"):
        super().__init__(num_bins, "adaptive", max_prob=False, class_conditional=True, ones=ones)


@base.REGISTRY.register
class ThresholdedAdaptiveCalibrationError(GeneralCalibrationError):
    """The adaptive calibration error of the probabilities strictly above a threshold (Nixon 2019).

    Robustness Metrics' class of this name ignores its threshold; this is its general error with the threshold.

    Args:
        num_bins: The number of bins.
        threshold: What a probability must be above to count.
        ones: As in `expected_calibration_error`.
    """

    name = "tace"
    formula = "as ace, of p_k > threshold (0.01)"
    agrees = "Robustness Metrics (gce with a threshold; its own tace ignores the threshold)"

    def __init__(self, num_bins: int = 15, threshold: float = 0.01, ones: str = "last"):
        super().__init__(num_bins, "adaptive", max_prob=False, class_conditional=True, threshold=threshold, ones=ones)


@base.REGISTRY.register
class RMSCalibrationError(GeneralCalibrationError):
    """The root mean square calibration error in bins of equal count (Nguyen & O'Connor 2015, Hendrycks 2019).

    Args:
        num_bins: The number of bins.
        datapoints_per_bin: If given, the number of bins is that of examples divided by this, rounded down.
        ones: As in `expected_calibration_error`.
    """

    name = "rmsce"
    formula = "sqrt sum_b n_b/n (acc_b - conf_b)^2, equal-count bins of the confidence"
    paper = "Nguyen & O'Connor 2015; Hendrycks 2019"
    agrees = "Robustness Metrics"

    def __init__(self, num_bins: int = 15, datapoints_per_bin: int | None = None, ones: str = "last"):
        super().__init__(num_bins, "adaptive", norm="l2", datapoints_per_bin=datapoints_per_bin, ones=ones)


@base.REGISTRY.register
class MonotonicSweepCalibrationError(GeneralCalibrationError):
    """The calibration error with the most equal-count bins whose accuracies rise (Roelofs 2022)."""

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

    def refuse_few(self, happened: np.ndarray, least: int = 1) -> None:
        """Refuse a set where the event happened, or did not, in fewer examples than `least`."""
        kinds = _CORRECTNESS if self.target == "correctness" else ("of class 1", "of class 0")
        if reason := _too_few(happened, kinds, least):
            raise self._no_value(reason)


_CORRECTNESS = ("correct", "wrong")


def _too_few(happened: np.ndarray, kinds: tuple[str, str], least: int) -> str:
    """Say where an event happened, or did not, in fewer examples than `least`; nothing where both are enough."""
    for kind, count in zip(kinds, (happened.sum(), (~happened).sum())):
        if count < least:
            return f"{count} of {len(happened)} examples are {kind}, and it needs {least} or more"
    return ""


@base.REGISTRY.register
class CalibrationAUC(base.SortingMetric):
    """How well the confidence tells correct predictions from wrong ones, as an area (Kivlichan 2021).

    In place of the confidence it takes any uncertainty, as the metrics of selective prediction.

    Args:
        curve: `"ROC"`, ties counting half, or `"PR"`, the average precision.
        positive: What is to be found: `"correct"` predictions by the confidence, or `"wrong"` ones by 1 - confidence.
        num_thresholds: Approximate the curve at so many thresholds of the confidence, and interpolate PR; 200 is
            Robustness Metrics.
        uncertainty: The name of the uncertainty to sort by.
    """

    name = "calibration_auc"
    formula = "AUC of 'the prediction is correct', scored by the confidence"
    higher_is_better = True
    paper = "Kivlichan 2021"
    agrees = "scikit-learn; Robustness Metrics (num_thresholds=200)"

    def __init__(
        self,
        curve: str = "ROC",
        positive: str = "correct",
        num_thresholds: int | None = None,
        uncertainty: str = base.MAX_PROB,
    ):
        base.check_choice("curve", curve, ("ROC", "PR"))
        base.check_choice("positive", positive, ("correct", "wrong"))
        if num_thresholds is not None:
            base.check_positive_integer("num_thresholds", num_thresholds)
            if uncertainty != base.MAX_PROB:
                raise InputError(
                    f"num_thresholds={num_thresholds} are of the largest probability; leave uncertainty out."
                )
        self.curve, self.positive, self.num_thresholds = curve, positive, num_thresholds
        super().__init__(uncertainty)

    def add_batch(self, predictions: Any, label: Any = None, uncertainty: Any = None) -> None:
        if self.num_thresholds is not None and uncertainty is not None:
            raise InputError("num_thresholds is of the largest probability; pass no other confidence or uncertainty.")
        super().add_batch(predictions, label, uncertainty)

    def keep(self, batch: base.Batch) -> tuple[np.ndarray, ...]:
        return (self.sorted_by(batch) if self.num_thresholds is None else batch.confidence), batch.correct

    def compute(self, scores: np.ndarray, correct: np.ndarray) -> float:
        if reason := _too_few(correct, _CORRECTNESS, least=1):
            raise self._no_value(reason)
        if self.num_thresholds is None:
            area = ranking_auroc if self.curve == "ROC" else ranking_average_precision
            return area(-scores, correct) if self.positive == "correct" else area(scores, ~correct)
        confidence = scores if self.positive == "correct" else 1 - scores
        correct = correct if self.positive == "correct" else ~correct
        true_positives, false_positives = (
            len(kind) - np.sort(kind).searchsorted(_thresholds(self.num_thresholds), side="right")
            for kind in (confidence[correct], confidence[~correct])
        )
        return _threshold_auc(true_positives, false_positives, correct.sum(), (~correct).sum(), self.curve)


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


@base.REGISTRY.register
class OracleCollaborativeAccuracy(base.Metric):
    """The accuracy when an oracle answers the least confident examples (Kivlichan 2021).

    The oracle gets `floor(n * fraction)` examples in the order of equal-width bins of the score; of the last bin that
    it sees in part, it gets a random part, in expectation.

    Args:
        fraction: The share of examples for the oracle.
        num_bins: The number of bins.
        score: What to ask by, lowest first: a function from mean probabilities `[batch, classes]` to `[batch]` values
            from 0 to 1. The confidence by default.
    """

    name = "oracle_collaborative_accuracy"
    formula = "accuracy when an oracle answers the fraction (0.01) of least confidence"
    higher_is_better = True
    paper = "Kivlichan 2021"
    agrees = "Robustness Metrics"

    def __init__(
        self, fraction: float = 0.01, num_bins: int = 100, score: Callable[[np.ndarray], np.ndarray] | None = None
    ):
        base.check_number("fraction", fraction, 0, 1, at_low=True, at_high=True)
        base.check_positive_integer("num_bins", num_bins)
        if score is not None and not callable(score):
            raise InputError(f"score={score!r} is not allowed; expected a function of probabilities [batch, classes].")
        self.fraction, self.num_bins, self.score = fraction, int(num_bins), score
        self.reset()

    def reset(self) -> None:
        self._counts, self._correct = np.zeros((2, self.num_bins))

    def update(self, batch: base.Batch) -> None:
        score = batch.confidence
        if self.score is not None:
            score = base.to_uncertainty(self.score(batch.probs), len(batch.rows), "score")
            if score.min() < 0 or score.max() > 1:
                raise InputError(
                    f"Values of 'score' must be from 0 to 1, got some from {score.min():g} to {score.max():g}."
                )
        bins = even_bins(score, self.num_bins)
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
        return {self.key: float((budget + left.sum()) / total)}


@base.REGISTRY.register
class OracleCollaborativeAUC(_EventMetric):
    """The area under a curve when an oracle answers the least confident examples (Kivlichan 2021).

    At each threshold the oracle corrects `floor(n * fraction)` decisions, in the order of equal-width score bins.

    Args:
        fraction: The share of examples for the oracle.
        curve: `"ROC"` or `"PR"`.
        target: `"correctness"`: find correct predictions by the confidence, which is also the order of asking.
            `"class1"`: of two classes, find class 1 by its probability, asking nearest to the threshold first.
        num_bins: The number of score bins.
        num_thresholds: The number of thresholds.
    """

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
        base.check_number("fraction", fraction, 0, 1, at_low=True, at_high=True)
        base.check_choice("curve", curve, ("ROC", "PR"))
        base.check_positive_integer("num_bins", num_bins)
        base.check_positive_integer("num_thresholds", num_thresholds)
        self.fraction, self.curve, self.num_bins, self.num_thresholds = fraction, curve, int(num_bins), num_thresholds
        super().__init__(target)

    def compute(self, probs: np.ndarray, happened: np.ndarray) -> float:
        self.refuse_few(happened)
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
        return _threshold_auc(counts[0], counts[1], counts[2], counts[3], self.curve)


@base.REGISTRY.register
class SemiparametricCalibrationError(_EventMetric):
    """The l2 calibration error estimated without bins: `sqrt mean (p - y)(p - f(p))`.

    `f` is a kernel regression of `y` on `p`, fitted on other folds; its width is the best of 50 by cross-validation,
    then narrowed. Its time is quadratic in the number of examples, and its folds, drawn by position, make it depend on
    their order; both as in Robustness Metrics.

    Args:
        target: `"correctness"`: `p` is the confidence and `y` whether the prediction is correct. `"class1"`: of two
            classes, the probability of class 1 and whether it is the label.
    """

    name = "semiparametric_ce"
    formula = "sqrt mean (p - y)(p - f(p)), f a cross-fitted kernel regression of y on p"
    agrees = "Robustness Metrics (smoothing='kernel')"

    def compute(self, probs: np.ndarray, happened: np.ndarray) -> float:
        from sklearn.model_selection import StratifiedKFold

        self.refuse_few(happened, least=5)  # one for each fold
        # 708 is the seed of Robustness Metrics.
        folds = list(StratifiedKFold(5, shuffle=True, random_state=708).split(probs, happened))
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


def _tempered(batch: base.Batch, temperature: float) -> base.Batch:
    return base.Batch(scaled(log_probs_of(batch), temperature), batch.labels)


@base.REGISTRY.register
class TemperatureScaledNLL(NegativeLogLikelihood):
    """The NLL of `softmax(log(p) / temperature)` (Guo 2017).

    Args:
        temperature: Fitted on validation data, with `fit_temperature` or `posthoc`.
    """

    name = "temperature_scaled_nll"
    formula = "nll of softmax(log p / T), T fitted on validation data"
    paper = "Guo 2017"
    agrees = "nll of the scaled probabilities"

    def __init__(self, temperature: float):
        base.check_number("temperature", temperature)
        self.temperature = temperature
        super().__init__()

    def per_example(self, batch: base.Batch) -> np.ndarray:
        return super().per_example(_tempered(batch, self.temperature))


@base.REGISTRY.register
class TemperatureScaledECE(ExpectedCalibrationError):
    """The ECE of `softmax(log(p) / temperature)` (Guo 2017).

    Args:
        temperature: Fitted on validation data, with `fit_temperature` or `posthoc`.
        num_bins: The number of bins.
    """

    name = "temperature_scaled_ece"
    formula = "ece of softmax(log p / T), T fitted on validation data"
    paper = "Guo 2017"
    agrees = "ece of the scaled probabilities"

    def __init__(self, temperature: float, num_bins: int = 15):
        base.check_number("temperature", temperature)
        self.temperature = temperature
        super().__init__(num_bins)

    def update(self, batch: base.Batch) -> None:
        super().update(_tempered(batch, self.temperature))
