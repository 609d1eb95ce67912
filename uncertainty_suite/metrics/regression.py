"""Metrics of regression: of points, of Gaussians, of equal-weight mixtures of Gaussians, and of samples.

Predictions are a pair `(mean, stddev)`, each `[batch]`, or `[samples, batch]` for a mixture of one Gaussian a sample.
Metrics of points also take the mean alone. The option `mixture` says what is made of several samples: `"exact"`, the
mixture itself; `"moments"`, one Gaussian of the mixture's mean and variance; for the NLL also `"members"`, the mean of
the members' values.

Where they fail: a predictor that gives every input the distribution of all targets has perfect coverage and calibrated
quantiles, and says nothing of any input, so read them beside the CRPS or the NLL. The Gaussian NLL is unbounded: one
target far outside of a narrow prediction decides it. Errors of points do not see the uncertainty.
"""

import functools
import math
from typing import Any, ClassVar

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics import base
from uncertainty_suite.metrics.calibration import even_bins

_SHAPES = "[batch] or [samples, batch]"
_MIXTURES = ("exact", "moments")
_HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)


class RegressionBatch:
    """Checked predictions and targets.

    Attributes:
        means: float64 `[samples, batch]`.
    """

    def __init__(self, predictions: Any, label: Any):
        pair = isinstance(predictions, (tuple, list)) and len(predictions) == 2 and np.ndim(predictions[0]) > 0
        means, stddevs = predictions if pair else (predictions, None)
        means = base.to_finite(means, "Means", (1, 2), _SHAPES)
        self._targets = None if label is None else base.to_finite(label, "Targets", (1,), "[batch]")
        if self._targets is not None and means.shape[-1] != len(self._targets):
            raise InputError(f"{means.shape[-1]} predictions but {len(self._targets)} targets; pass one for each.")
        self.means = np.atleast_2d(means)
        self._stddevs = None
        if stddevs is not None:
            stddevs = base.to_finite(stddevs, "Standard deviations", (1, 2), _SHAPES)
            if stddevs.shape != means.shape:
                raise InputError(
                    f"Standard deviations must have the shape of the means, {list(means.shape)}, "
                    f"got {list(stddevs.shape)}."
                )
            if stddevs.min() <= 0:
                where = int(np.argmax((np.atleast_2d(stddevs) <= 0).any(axis=0)))
                raise InputError(
                    f"Standard deviations must be positive, but example {where} has {float(stddevs.min()):g}; "
                    "add a least value to them."
                )
            self._stddevs = np.atleast_2d(stddevs)

    @property
    def targets(self) -> np.ndarray:
        """Targets, float64 `[batch]`."""
        if self._targets is None:
            raise InputError("Targets are missing; pass one for each prediction.")
        return self._targets

    @property
    def stddevs(self) -> np.ndarray:
        """Standard deviations, float64 `[samples, batch]`."""
        if self._stddevs is None:
            raise InputError("Standard deviations are missing; pass predictions=(mean, stddev).")
        return self._stddevs

    @functools.cached_property
    def mean(self) -> np.ndarray:
        """The mean of the mixture, `[batch]`."""
        return self.means.mean(axis=0)

    @functools.cached_property
    def stddev(self) -> np.ndarray:
        """The standard deviation of the mixture, `[batch]`."""
        # In units of a power of two of its size: squares neither overflow nor vanish, and nothing is rounded.
        distance = self.means - self.mean
        exponent = np.frexp(np.maximum(self.stddevs, np.abs(distance)).max(axis=0))[1]
        variances = np.ldexp(self.stddevs, -exponent) ** 2
        spread = np.ldexp(distance, -exponent) ** 2
        return np.ldexp(np.sqrt(variances.mean(axis=0) + spread.mean(axis=0)), exponent)

    def components(self, mixture: str) -> tuple[np.ndarray, np.ndarray]:
        """Return means and standard deviations `[samples, batch]`, of one sample for `"moments"`."""
        if mixture == "moments":
            return self.mean[np.newaxis], self.stddev[np.newaxis]
        return self.means, self.stddevs


class SampleBatch(RegressionBatch):
    """Checked samples `[samples, batch]`, as `means`, and targets."""

    def __init__(self, predictions: Any, label: Any):
        super().__init__(base.to_array(predictions, "Samples", (1, 2), _SHAPES), label)


def _cdf(values: np.ndarray, means: np.ndarray, stddevs: np.ndarray) -> np.ndarray:
    """Return the mixture's distribution function, `[batch]`."""
    from scipy.special import ndtr

    with np.errstate(over="ignore"):  # infinitely far is as far as it matters
        return ndtr((values - means) / stddevs).mean(axis=0)


def _quantile(level: float, means: np.ndarray, stddevs: np.ndarray) -> np.ndarray:
    """Return the mixture's quantile, `[batch]`: it lies between those of the components, and is found by bisection."""
    from scipy.special import ndtri

    each = means + stddevs * ndtri(level)
    low, high = each.min(axis=0), each.max(axis=0)
    if len(means) == 1:
        return low
    for _ in range(60):
        middle = (low + high) / 2
        below = _cdf(middle, means, stddevs) < level
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


class _Regression(base.Metric):
    """What metrics of means and standard deviations have in common."""

    batch_type = RegressionBatch
    likelihoods: ClassVar[tuple[str, ...]] = ("gaussian",)
    arrays: ClassVar[tuple[str, ...]] = ("mean", "stddev", "target")

    @classmethod
    def joined(cls, **arrays: Any) -> tuple[Any, Any]:
        target = arrays.pop("target", None)
        if "stddev" in arrays:
            return (arrays["mean"], arrays["stddev"]), target
        (points,) = arrays.values()
        return base.to_array(points, "Means", (1, 2), _SHAPES), target  # nested lists of two samples are no pair


class _RegressionMean(_Regression, base.MeanMetric):
    value_range = base.POSITIVE


class _RootMean(_RegressionMean):
    """A metric that is the root of a mean of squares; a subclass gives what is squared.

    The squares are summed in units of a power of two, so that they neither overflow nor vanish.
    """

    is_mean = False

    def reset(self) -> None:
        super().reset()
        self._exponent = -2000  # below that of any number

    def size(self, batch: RegressionBatch) -> np.ndarray:
        """Return what is squared, `[batch]`."""
        raise NotImplementedError

    def per_example(self, batch: RegressionBatch) -> np.ndarray:
        with np.errstate(over="ignore"):
            return self.size(batch) ** 2

    def update(self, batch: RegressionBatch) -> None:
        size = self.size(batch)
        exponent = max(self._exponent, int(np.frexp(np.abs(size).max())[1]))
        self._total = math.ldexp(self._total, 2 * (self._exponent - exponent))
        self._total += float((np.ldexp(size, -exponent) ** 2).sum())
        self._count += len(size)
        self._exponent = exponent

    def result(self) -> dict[str, float]:
        if not self._count:
            raise self._no_example()
        return {self.key: math.ldexp(math.sqrt(self._total / self._count), self._exponent)}

    def finish(self, mean: float) -> float:
        return float(np.sqrt(mean))


class _MixtureMetric(_RegressionMean):
    def __init__(self, mixture: str = "exact"):
        base.check_choice("mixture", mixture, _MIXTURES)
        self.mixture = mixture
        super().__init__()


@base.REGISTRY.register
class RMSE(_RootMean):
    """The root mean square error of the mean prediction."""

    name = "rmse"
    arrays = ("mean", "target")
    formula = "sqrt mean (mu - y)^2"
    agrees = "scikit-learn"

    def size(self, batch: RegressionBatch) -> np.ndarray:
        return batch.mean - batch.targets


@base.REGISTRY.register
class MAE(_RegressionMean):
    """The mean absolute error of the mean prediction."""

    name = "mae"
    arrays = ("mean", "target")
    formula = "mean |mu - y|"
    agrees = "scikit-learn"

    def per_example(self, batch: RegressionBatch) -> np.ndarray:
        return np.abs(batch.mean - batch.targets)


@base.REGISTRY.register
class GaussianNLL(_RegressionMean):
    """The mean negative log density of the targets, in nats.

    Args:
        mixture: What is made of several samples: `"exact"`, the mixture itself; `"moments"`, one Gaussian of its mean
            and variance; `"members"`, the mean of the members' values.
    """

    name = "gaussian_nll"
    formula = "mean -log mean_s N(y; mu_s, sigma_s^2), in nats"
    value_range = base.REAL
    agrees = "SciPy, torch-uncertainty (distribution NLL)"

    def __init__(self, mixture: str = "exact"):
        base.check_choice("mixture", mixture, (*_MIXTURES, "members"))
        self.mixture = mixture
        super().__init__()

    def per_example(self, batch: RegressionBatch) -> np.ndarray:
        logs = _log_density(batch.targets, *batch.components(self.mixture))
        return -logs.mean(axis=0) if self.mixture == "members" else -_log_mean_exp(logs)


def _log_density(values: np.ndarray, means: np.ndarray, stddevs: np.ndarray) -> np.ndarray:
    """Return the log densities of Gaussians; minus infinity where float64 holds no lower one."""
    with np.errstate(over="ignore"):
        return -(((values - means) / stddevs) ** 2) / 2 - np.log(stddevs) - _HALF_LOG_2PI


def _log_mean_exp(logs: np.ndarray) -> np.ndarray:
    """Return `log mean exp` over the first axis, minus infinity of nothing else."""
    largest = logs.max(axis=0)
    shift = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        return shift + np.log(np.exp(logs - shift).mean(axis=0))


def _expected_distance(centre: np.ndarray, stddev: np.ndarray) -> np.ndarray:
    """Return `E |X|` for a Gaussian X."""
    from scipy.special import ndtr

    with np.errstate(over="ignore"):
        z = centre / stddev
        return centre * (2 * ndtr(z) - 1) + 2 * stddev * np.exp(-(z**2) / 2 - _HALF_LOG_2PI)


@base.REGISTRY.register
class CRPS(_MixtureMetric):
    """The continuous ranked probability score, `E|X - y| - E|X - X'| / 2` (Gneiting & Raftery 2007).

    In closed form, for a mixture too (Grimit 2006).

    Args:
        mixture: `"exact"` or `"moments"`, as in `gaussian_nll`.
    """

    name = "crps"
    formula = "mean E|X - y| - E|X - X'| / 2, X and X' from the Gaussian or mixture, closed form"
    paper = "Gneiting & Raftery 2007; Grimit 2006"
    agrees = "properscoring (crps_gaussian)"

    def per_example(self, batch: RegressionBatch) -> np.ndarray:
        means, stddevs = batch.components(self.mixture)
        value = _expected_distance(batch.targets - means, stddevs).mean(axis=0)
        within = np.zeros_like(value)
        for mean, stddev in zip(means, stddevs):
            within += _expected_distance(mean - means, np.hypot(stddev, stddevs)).sum(axis=0)
        return value - within / (2 * len(means) ** 2)


@base.REGISTRY.register
class CRPSSamples(_RegressionMean):
    """The continuous ranked probability score of samples (Gneiting & Raftery 2007).

    `mean_s |x_s - y| - sum_{s,t} |x_s - x_t| / (2 m^2)`: the exact score of the samples' empirical distribution, as in
    Robustness Metrics and properscoring. As an estimate for what they were drawn from it is too large.

    Args:
        fair: Divide by `2 m (m - 1)`, which estimates without bias.
    """

    name = "crps_samples"
    formula = "mean of mean_s |x_s - y| - sum_st |x_s - x_t| / 2m^2"
    paper = "Gneiting & Raftery 2007"
    agrees = "Robustness Metrics (crps), properscoring (crps_ensemble)"
    batch_type = SampleBatch
    likelihoods = ()
    needs = ("labels", "samples")
    arrays = ("samples", "target")

    def __init__(self, fair: bool = False):
        base.check_flag("fair", fair)
        self.fair = fair
        super().__init__()

    def per_example(self, batch: SampleBatch) -> np.ndarray:
        ordered = np.sort(batch.means, axis=0)
        count = len(ordered)
        if self.fair and count == 1:
            raise self._no_value("of one sample there is no fair CRPS; pass more, or fair=False")
        # In sorted order x_s is the larger of s pairs and the smaller of the other count - 1 - s.
        weights = 2 * np.arange(count) - count + 1
        pairs = count * (count - 1) if self.fair else count**2
        return np.abs(ordered - batch.targets).mean(axis=0) - weights @ ordered / pairs


class _IntervalMetric(_MixtureMetric):
    """A metric of the central interval that should hold the target with probability `level`."""

    def __init__(self, level: float = 0.95, mixture: str = "exact"):
        base.check_number("level", level, 0, 1)
        self.level = level
        super().__init__(mixture)

    def interval(self, batch: RegressionBatch) -> tuple[np.ndarray, np.ndarray]:
        means, stddevs = batch.components(self.mixture)
        return _quantile((1 - self.level) / 2, means, stddevs), _quantile((1 + self.level) / 2, means, stddevs)


@base.REGISTRY.register
class IntervalCoverage(_IntervalMetric):
    """The share of targets inside the central prediction interval; best equal to `level`.

    Args:
        level: The probability that the interval should hold.
        mixture: `"exact"` or `"moments"`, as in `gaussian_nll`.
    """

    name = "interval_coverage"
    formula = "mean [l <= y <= u], [l, u] the central interval of level 0.95"
    value_range = (0.0, 1.0)
    higher_is_better = None
    agrees = "SciPy (norm.interval)"

    def per_example(self, batch: RegressionBatch) -> np.ndarray:
        low, high = self.interval(batch)
        return (low <= batch.targets) & (batch.targets <= high)


@base.REGISTRY.register
class IntervalWidth(_IntervalMetric):
    """The mean width of the central prediction interval.

    Args:
        level: The probability that the interval should hold.
        mixture: `"exact"` or `"moments"`, as in `gaussian_nll`.
    """

    name = "interval_width"
    formula = "mean u - l, [l, u] the central interval of level 0.95"
    higher_is_better = None
    needs = ()
    arrays = ("mean", "stddev")
    agrees = "SciPy (norm.interval)"

    def per_example(self, batch: RegressionBatch) -> np.ndarray:
        low, high = self.interval(batch)
        return high - low


@base.REGISTRY.register
class IntervalScore(_IntervalMetric):
    """The interval score of the central interval: its width, and 2/(1 - level) times what it misses by.

    Gneiting & Raftery 2007, equation 43.

    Args:
        level: The probability that the interval should hold.
        mixture: `"exact"` or `"moments"`, as in `gaussian_nll`.
    """

    name = "interval_score"
    formula = "mean u - l + 2/a (l - y)+ + 2/a (y - u)+, a = 1 - level"
    paper = "Gneiting & Raftery 2007"

    def per_example(self, batch: RegressionBatch) -> np.ndarray:
        low, high = self.interval(batch)
        missed = np.maximum(low - batch.targets, 0) + np.maximum(batch.targets - high, 0)
        return high - low + 2 / (1 - self.level) * missed


@base.REGISTRY.register
class Sharpness(_RootMean):
    """The root mean predicted variance (Kuleshov 2018, there without the root), of a mixture its own."""

    name = "sharpness"
    formula = "sqrt mean sigma^2, of the mixture"
    higher_is_better = None
    paper = "Kuleshov 2018"
    needs = ()
    arrays = ("mean", "stddev")

    def size(self, batch: RegressionBatch) -> np.ndarray:
        return batch.stddev


class _DecompositionMetric(_RegressionMean):
    """A mean over examples of what samples, each a Gaussian, say together."""

    higher_is_better = None
    needs = ()
    arrays = ("mean", "stddev")


@base.REGISTRY.register
class GaussianAleatoricVariance(_DecompositionMetric):
    """The mean over samples of the predicted variance (Kendall & Gal 2017).

    With `gaussian_epistemic_variance` it adds up to the variance of the mixture.
    """

    name = "gaussian_aleatoric_variance"
    formula = "mean of mean_s sigma_s^2"
    paper = "Kendall & Gal 2017"
    agrees = "compared with its definition"

    def per_example(self, batch: RegressionBatch) -> np.ndarray:
        with np.errstate(over="ignore"):
            return (batch.stddevs**2).mean(axis=0)


@base.REGISTRY.register
class GaussianEpistemicVariance(_DecompositionMetric):
    """The variance over samples of the predicted mean (Kendall & Gal 2017), divided by their number."""

    name = "gaussian_epistemic_variance"
    formula = "mean var_s mu_s"
    paper = "Kendall & Gal 2017"
    agrees = "compared with its definition"

    def per_example(self, batch: RegressionBatch) -> np.ndarray:
        with np.errstate(over="ignore"):
            return (batch.means - batch.means[0]).var(axis=0)  # of equal samples exactly zero


@base.REGISTRY.register
class GaussianExpectedEntropy(_DecompositionMetric):
    """The mean over samples of the differential entropy, in nats: the aleatoric part (Depeweg 2018)."""

    name = "gaussian_expected_entropy"
    formula = "mean of mean_s log sigma_s + log(2 pi e) / 2, in nats"
    value_range = base.REAL
    paper = "Depeweg 2018"
    agrees = "SciPy"

    def per_example(self, batch: RegressionBatch) -> np.ndarray:
        return np.log(batch.stddevs).mean(axis=0) + _HALF_LOG_2PI + 0.5


@base.REGISTRY.register
class GaussianMutualInformation(_DecompositionMetric):
    """The mutual information of target and sample, in nats: the epistemic part (Depeweg 2018).

    It is the differential entropy of the mixture minus the mean entropy of the samples, at most the logarithm of their
    number. By quadrature, whose time grows with the square of the number of samples.
    """

    name = "gaussian_mutual_information"
    formula = "mean of mean_s KL(N_s || mixture), in nats"
    paper = "Depeweg 2018"
    agrees = "SciPy (quad)"
    # Between such multiples of each standard deviation the densities are smooth; beyond there is no mass.
    _CUTS = np.array([-10, -7, -5, -3.5, -2, -1, 0, 1, 2, 3.5, 5, 7, 10])

    def per_example(self, batch: RegressionBatch) -> np.ndarray:
        nodes, weights = np.polynomial.legendre.leggauss(20)
        means, stddevs = batch.means - batch.mean, batch.stddevs
        count, examples = means.shape
        if (stddevs < 1e-12 * np.abs(means).max(axis=0)).any():
            raise self._no_value(
                "a standard deviation is below 1e-12 of how far the means lie apart, and float64 has no place for it"
            )
        values = np.empty(examples)
        numbers = count * count * len(self._CUTS) * len(nodes)  # of each example
        for part in np.array_split(np.arange(examples), min(examples, 1 + numbers * examples // 2**22)):
            m, s = means[:, part], stddevs[:, part]
            edges = np.sort((m + self._CUTS[:, np.newaxis, np.newaxis] * s).reshape(-1, len(part)), axis=0)
            half = (edges[1:] - edges[:-1]) / 2
            points = edges[:-1] + half + half * nodes[:, np.newaxis, np.newaxis]  # [nodes, panels, examples]
            logs = _log_density(points, m[:, np.newaxis, np.newaxis], s[:, np.newaxis, np.newaxis])
            density = np.exp(logs)
            with np.errstate(invalid="ignore"):  # where there is no density, of what is far or narrow
                inside = np.where(density > 0, density * (logs - _log_mean_exp(logs)), 0.0).mean(axis=0)
            values[part] = np.einsum("n,npe,pe->e", weights, inside, half)
        return np.maximum(values, 0.0)


@base.REGISTRY.register
class GaussianPairwiseKL(_DecompositionMetric):
    """The mean over ordered pairs of samples of `KL(N_s || N_t)`, in nats.

    Args:
        pairs: `"distinct"`, over pairs of different samples; `"all"`, over all pairs, equal ones too.
    """

    name = "gaussian_pairwise_kl"
    formula = "mean over sample pairs s != t of KL(N_s || N_t), in nats"
    agrees = "compared with its definition"

    def __init__(self, pairs: str = "distinct"):
        base.check_choice("pairs", pairs, ("distinct", "all"))
        self.pairs = pairs
        super().__init__()

    def per_example(self, batch: RegressionBatch) -> np.ndarray:
        means, stddevs, count = batch.means, batch.stddevs, len(batch.means)
        if self.pairs == "distinct" and count == 1:
            raise self._no_value("one sample makes no pair; predict with more samples or members")
        values = np.zeros(means.shape[1])
        with np.errstate(over="ignore"):
            for mean, stddev in zip(means, stddevs):  # over all pairs the logarithms cancel
                values += (((stddevs / stddev) ** 2 + ((means - mean) / stddev) ** 2).mean(axis=0) - 1) / 2
        return np.maximum(values / (count if self.pairs == "all" else count - 1), 0.0)


@base.REGISTRY.register
class QuantileCalibrationError(_Regression):
    """How far the coverage of central intervals is from their level (Kuleshov 2018).

    At `num_bins + 1` levels, evenly spaced from 0.05 to 0.95; levels that share an equal-width bin are averaged first,
    as in torch-uncertainty, which gives NaN for mixtures.

    Args:
        num_bins: The number of bins.
        norm: `"l1"`, `"l2"` or `"max"` over the bins.
        mixture: `"exact"` or `"moments"`, as in `gaussian_nll`.
    """

    name = "quantile_calibration_error"
    formula = "mean_c |share of y in the central interval c - c|, levels c from 0.05 to 0.95"
    paper = "Kuleshov 2018"
    agrees = "torch-uncertainty"

    def __init__(self, num_bins: int = 15, norm: str = "l1", mixture: str = "exact"):
        base.check_positive_integer("num_bins", num_bins)
        base.check_choice("norm", norm, ("l1", "l2", "max"))
        base.check_choice("mixture", mixture, _MIXTURES)
        self.num_bins, self.norm, self.mixture = num_bins, norm, mixture
        self._levels = np.round(np.linspace(0.05, 0.95, num_bins + 1), 12)  # so that 0.5 is not just below it
        self.reset()

    def reset(self) -> None:
        self._count, self._covered = 0, np.zeros(len(self._levels))

    def update(self, batch: RegressionBatch) -> None:
        # The target is in the central interval of level c where |2 F(y) - 1| <= c.
        depth = np.abs(2 * _cdf(batch.targets, *batch.components(self.mixture)) - 1)
        self._covered += np.sort(depth).searchsorted(self._levels, side="right")
        self._count += len(depth)

    def result(self) -> dict[str, float]:
        if not self._count:
            raise self._no_example()
        # Levels that share an equal-width bin are averaged before the gap is taken, as in torch-uncertainty.
        bins = even_bins(self._levels, self.num_bins)
        levels = np.bincount(bins)
        used = levels > 0
        gaps = np.abs(np.bincount(bins, self._covered / self._count - self._levels)[used] / levels[used])
        weights = levels[used] / levels.sum()
        value = {"l1": weights @ gaps, "l2": np.sqrt(weights @ gaps**2), "max": gaps.max()}[self.norm]
        return {self.key: float(value)}


@base.REGISTRY.register
class AUSE(_Regression, base.WholeSetMetric):
    """The area under the sparsification error (Ilg 2018).

    As the examples of largest standard deviation are removed, the share of the total absolute error that is left, minus
    that left when those of largest error are removed; by trapezoids. Zero if the order is the same.
    """

    name = "ause"
    formula = "area between the sparsification curves by sigma and by |mu - y|"
    value_range = (0.0, 1.0)
    paper = "Ilg 2018"
    agrees = "torch-uncertainty"

    def keep(self, batch: RegressionBatch) -> tuple[np.ndarray, ...]:
        return batch.stddev, np.abs(batch.mean - batch.targets)

    def compute(self, stddev: np.ndarray, error: np.ndarray) -> float:
        if not error.any():
            raise self._no_value("no prediction has an error, and it is a share of their sum")
        # Examples of the same stddev each count as their mean, so that the order of the input does not matter.
        group = base.tie_groups(stddev)
        tied = (np.bincount(group, error) / np.bincount(group))[group]
        gap = np.cumsum(tied[np.argsort(stddev)]) - np.cumsum(np.sort(error))
        gap = np.append(gap, 0.0) / error.sum()  # nothing removed yet
        return float((gap[:-1] + gap[1:]).sum() / 2 / len(gap))
