"""Post-hoc methods of targets: one factor on standard deviations, and intervals of a promised coverage.

Predictions are a pair `(mean, stddev)`, each `[n]`, or `[samples, n]` for a mixture of one Gaussian a sample; targets
are `[n]`, in the same unit.
"""

from typing import Any, ClassVar, Self

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics.base import check_number, to_array, to_finite
from uncertainty_suite.metrics.regression import GaussianNLL, IntervalWidth, RegressionBatch
from uncertainty_suite.posthoc.base import REGISTRY, PostHoc
from uncertainty_suite.posthoc.conformal import (
    SLACK,
    ConformalPredictor,
    conformal_threshold,
    least_coverage,
)

_LEAST, _LARGEST = 1e-3, 1e3  # the factors sought


@REGISTRY.register
class StddevScaling(PostHoc):
    """One factor on all standard deviations, of least NLL: what the temperature is to classes. It moves no mean.

    Of one Gaussian an example it is `s = sqrt(mean ((y - mu) / sigma)^2)`. Levi et al., *Evaluating and Calibrating
    Uncertainty Prediction in Regression Tasks*, Sensors 2022, https://arxiv.org/abs/1905.11659. Of a mixture the factor
    scales the standard deviation of each sample, not how far their means lie apart, and is found by a search. It is
    sought from 0.001 to 1000; where the NLL is least at an end, as of targets predicted exactly, it stays 1, and `note`
    says why.

    Example:
        >>> calibrate = StddevScaling().fit((validation_mean, validation_stddev), validation_targets)
        >>> mean, stddev = calibrate((test_mean, test_stddev))
    """

    name = "stddev_scaling"
    kind = "calibration"
    formula = "s sigma"
    paper = "Levi 2022"
    likelihoods: ClassVar[tuple[str, ...]] = ("gaussian",)

    def fit(self, predictions: Any, labels: Any) -> Self:
        """Fit to held-out predictions.

        Args:
            predictions: Means and standard deviations `([n], [n])` or `([samples, n], [samples, n])`.
            labels: Targets `[n]`.

        Returns:
            The calibration itself.

        Raises:
            InputError: The arrays are not that.
        """
        batch = RegressionBatch(predictions, labels)
        factor = _best_factor(batch.means, batch.stddevs, batch.targets)
        self.note = ""
        if not _LEAST < factor < _LARGEST:
            self.note = (
                "There is no best factor on the standard deviations: the NLL is least outside of "
                f"{_LEAST:g} to {_LARGEST:g}. It stays 1."
            )
            factor = 1.0
        self.parameters = {"factor": factor}
        return self

    def __call__(self, predictions: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return means and calibrated standard deviations, float64 `[samples, n]` each.

        Args:
            predictions: As in `fit`, of any examples.

        Raises:
            InputError: The arrays are not that, or nothing was fitted.
        """
        batch = RegressionBatch(predictions, None)
        return batch.means, self.fitted()["factor"] * batch.stddevs


def _best_factor(means: np.ndarray, stddevs: np.ndarray, targets: np.ndarray) -> float:
    """Return the factor of least NLL; 0 or infinity for that of a mixture beyond the range."""
    from scipy.optimize import minimize_scalar

    if len(means) == 1:
        return float(np.sqrt((((targets - means) / stddevs) ** 2).mean()))
    nll = GaussianNLL()

    def loss(log_factor: float) -> float:
        return float(nll.per_example(RegressionBatch((means, np.exp(log_factor) * stddevs), targets)).mean())

    # There may be several minima: that of the least one on a grid is taken.
    grid = np.linspace(np.log(_LEAST), np.log(_LARGEST), 61)
    least = int(np.argmin([loss(each) for each in grid]))
    if least in (0, len(grid) - 1):
        return 0.0 if least == 0 else np.inf
    bounds = grid[least - 1], grid[least + 1]
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-10}).x))


class IntervalPredictor(ConformalPredictor):
    """A predictor of intervals; a subclass gives `_score` and `_interval`.

    A score says how strange a target is for an example; the interval holds every target whose score is no larger than
    the `ceil((n + 1)(1 - alpha))`-th smallest of `n` held-out ones. With fewer than `1 / alpha - 1` of them intervals
    are infinite, and `note` says so.

    Example:
        >>> predictor = NormalizedIntervals().fit((validation_mean, validation_stddev), validation_targets, alpha=0.1)
        >>> low, high = predictor.predict_intervals((test_mean, test_stddev)).T
        >>> predictor.measure((test_mean, test_stddev), test_targets)["coverage"]
        0.903
    """

    likelihoods: ClassVar[tuple[str, ...]] = ("gaussian",)

    def fit(self, predictions: Any, labels: Any, alpha: float = 0.1, element_ids: Any = None) -> Self:
        """See `ConformalPredictor.fit`.

        Args:
            predictions: Means and standard deviations `([n], [n])` or `([samples, n], [samples, n])`.
            labels: Targets `[n]`.
            alpha: As there.
            element_ids: Not used: nothing here is random.
        """
        check_number("alpha", alpha, 0, 1)
        batch = RegressionBatch(predictions, labels)
        threshold = conformal_threshold(self._score(batch, batch.targets, alpha), alpha)
        count = len(batch.targets)
        self.note = ""
        if threshold == np.inf:
            self.note = f"{count} examples are too few for alpha={alpha:g}: every interval is infinite."
        self.parameters = {
            "examples": count,
            "alpha": float(alpha),
            "threshold": threshold if threshold < np.inf else None,
        }
        return self

    def predict_intervals(self, predictions: Any) -> np.ndarray:
        """Return the ends of the interval of each example, float64 `[n, 2]`.

        Args:
            predictions: As in `fit`, of any examples.

        Raises:
            InputError: The arrays are not that, or nothing was fitted.
        """
        parameters = self.fitted()
        batch = RegressionBatch(predictions, None)
        if parameters["threshold"] is None:
            return np.tile([-np.inf, np.inf], (batch.means.shape[1], 1))
        return np.stack(self._interval(batch, parameters["threshold"], parameters["alpha"]), axis=1)

    def measure(self, predictions: Any, labels: Any, element_ids: Any = None) -> dict[str, float]:
        """See `ConformalPredictor.measure`; the metrics are those of `interval_metrics`."""
        return interval_metrics(self.predict_intervals(predictions), labels, self.fitted()["alpha"])

    def _score(self, batch: RegressionBatch, targets: np.ndarray, alpha: float) -> np.ndarray:
        """Return the score of each target, `[n]`."""
        raise NotImplementedError

    def _interval(self, batch: RegressionBatch, threshold: float, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the least and the greatest target whose score is no larger than the threshold, each `[n]`."""
        raise NotImplementedError


@REGISTRY.register
class SplitIntervals(IntervalPredictor):
    """Intervals of one width around the mean; means alone will do as predictions.

    Lei et al., *Distribution-Free Predictive Inference for Regression*, JASA 2018, https://arxiv.org/abs/1604.04173.
    """

    name = "split_intervals"
    formula = "|y - mu|"
    paper = "Lei 2018"

    def _score(self, batch: RegressionBatch, targets: np.ndarray, alpha: float) -> np.ndarray:
        return np.abs(targets - batch.mean)

    def _interval(self, batch: RegressionBatch, threshold: float, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        return batch.mean - threshold, batch.mean + threshold


@REGISTRY.register
class NormalizedIntervals(IntervalPredictor):
    """Intervals around the mean as wide as the standard deviation says, of a mixture its own.

    Lei et al., *Distribution-Free Predictive Inference for Regression*, JASA 2018, https://arxiv.org/abs/1604.04173,
    section 5.2.
    """

    name = "normalized_intervals"
    formula = "|y - mu| / sigma"
    paper = "Lei 2018"

    def _score(self, batch: RegressionBatch, targets: np.ndarray, alpha: float) -> np.ndarray:
        return np.abs(targets - batch.mean) / batch.stddev

    def _interval(self, batch: RegressionBatch, threshold: float, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        return batch.mean - threshold * batch.stddev, batch.mean + threshold * batch.stddev


@REGISTRY.register
class ConformalizedQuantiles(IntervalPredictor):
    """CQR: the central interval of the Gaussian or the mixture, both ends moved out or in by the same amount.

    Romano et al., *Conformalized Quantile Regression*, NeurIPS 2019, https://arxiv.org/abs/1905.03222. An interval that
    is moved in by more than it is wide is empty.
    """

    name = "cqr"
    formula = "max(q_(alpha/2) - y, y - q_(1-alpha/2))"
    paper = "Romano 2019"

    def _score(self, batch: RegressionBatch, targets: np.ndarray, alpha: float) -> np.ndarray:
        low, high = self._interval(batch, 0.0, alpha)
        return np.maximum(low - targets, targets - high)

    def _interval(self, batch: RegressionBatch, threshold: float, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        low, high = IntervalWidth(level=1 - alpha).interval(batch)
        return low - threshold, high + threshold


def interval_metrics(intervals: Any, targets: Any, alpha: float | None = None) -> dict[str, float]:
    """Return how often intervals hold the target and how wide they are.

    Args:
        intervals: Their ends, `[n, 2]`; infinite ones are allowed.
        targets: `[n]`.
        alpha: The miscoverage that intervals were made for.

    Returns:
        `coverage`, the share of intervals that hold the target; `width_stratified_coverage`, the least coverage among
        the narrowest, the middle and the widest third; and, where all are finite, `width`, the mean width, and with
        `alpha` `interval_score`, that of Gneiting & Raftery 2007.

    Raises:
        InputError: The arrays are not that.

    Example:
        >>> interval_metrics([[-1, 1], [0, 4]], [0.5, 5.0])
        {'coverage': 0.5, 'width_stratified_coverage': 0.0, 'width': 3.0}
    """
    intervals = to_array(intervals, "Intervals", (2,), "[n, 2]").astype(np.float64)
    targets = to_finite(targets, "Targets", (1,), "[n]")
    if intervals.shape != (len(targets), 2) or np.isnan(intervals).any():
        raise InputError(
            f"Intervals must be two numbers for each of {len(targets)} targets, got {list(intervals.shape)}."
        )
    if alpha is not None:
        check_number("alpha", alpha, 0, 1)
    low, high = intervals.T
    # Rounding must not decide whether the target that made the threshold is inside.
    slack = SLACK * np.maximum(1.0, np.abs(targets))
    covered = (low <= targets + slack) & (targets <= high + slack)
    width = np.maximum(high - low, 0.0)
    third = np.searchsorted(np.quantile(width, [1 / 3, 2 / 3], method="lower"), width)
    results = {"coverage": float(covered.mean()), "width_stratified_coverage": least_coverage(covered, third)}
    if np.isfinite(width).all():
        results["width"] = float(width.mean())
        if alpha is not None:
            missed = np.maximum(low - targets, 0) + np.maximum(targets - high, 0)
            results["interval_score"] = float((width + 2 / alpha * missed).mean())
    return results
