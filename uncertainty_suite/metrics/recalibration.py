"""The fits that make probabilities calibrated: one temperature, and a rising curve for each class.

`posthoc` and the metrics of recalibrated predictions share them. All of it works on the logarithm of the mean
probability over samples; that of zero counts as the smallest positive number of the dtype, as in `nll`.
"""

from typing import Any

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics import base

COLDEST, HOTTEST = 1e-3, 1e3  # the temperatures sought

Curves = tuple[list[np.ndarray], list[np.ndarray]]  # for each class the x and the y of its corners


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return the logarithm of the softmax over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def log_probs_of(batch: base.Batch, epsilon: float | None = None) -> np.ndarray:
    """Return log-probabilities `[batch, classes]`; `epsilon` is that of `fit_temperature`."""
    if epsilon is not None:
        return np.log(batch.probs + epsilon)
    return np.log(np.maximum(batch.probs, np.finfo(batch.samples.dtype).smallest_subnormal))


def best_temperature(log_probs: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature of least NLL; see `fit_temperature`."""
    from scipy.optimize import brentq

    logits = log_probs - log_probs[np.arange(len(labels)), labels][:, np.newaxis]  # so that the label's is 0

    def slope(log_beta: float) -> float:
        """The derivative of the NLL by beta = 1 / T, which only rises, for the NLL is convex in beta."""
        return float((np.exp(log_softmax(np.exp(log_beta) * logits)) * logits).sum())

    if slope(0.0) == 0:  # the same at any temperature, or right as it is
        return 1.0
    low, high = -np.log(HOTTEST), -np.log(COLDEST)
    if slope(high) <= 0:
        return COLDEST
    if slope(low) >= 0:
        return HOTTEST
    return float(np.exp(-brentq(slope, low, high, xtol=1e-12)))


def scaled(log_probs: np.ndarray, temperature: float) -> np.ndarray:
    """Return `softmax(log_probs / temperature)`."""
    return np.exp(log_softmax(log_probs / temperature))


def isotonic_curves(probs: np.ndarray, labels: np.ndarray) -> Curves:
    """Return for each class the rising curve from its probability to how often it is the label."""
    from sklearn.isotonic import IsotonicRegression

    fitted = [IsotonicRegression(y_min=0.0, y_max=1.0).fit(column, labels == k) for k, column in enumerate(probs.T)]
    return [curve.X_thresholds_ for curve in fitted], [curve.y_thresholds_ for curve in fitted]


def on_curves(probs: np.ndarray, curves: Curves | tuple[Any, Any]) -> np.ndarray:
    """Return what curves make of probabilities, rows divided by their sum; a row of zeros becomes uniform."""
    columns = [np.interp(column, x, y) for column, x, y in zip(probs.T, *curves)]
    risen = np.stack(columns, axis=1)
    risen[risen.sum(axis=1) == 0] = 1.0  # nothing is known of such a row
    return risen / risen.sum(axis=1, keepdims=True)


def fit_temperature(probs: Any, labels: Any, epsilon: float | None = None) -> float:
    """Return the temperature `T` that minimises the NLL of `softmax(log(p) / T)` (Guo 2017).

    Fit it on validation data. It is sought from 0.001 to 1000: predictions that are all correct have no optimum, only
    ever sharper ones, and get 0.001; those no better than guessing get 1000.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        epsilon: Added to every probability before the logarithm; 1.19e-7 is Robustness Metrics, where probabilities
            below that no longer count as what they are.

    Raises:
        InputError: The arrays are not that.

    Example:
        >>> temperature = fit_temperature(validation_probs, validation_labels)
        >>> metrics.get("temperature_scaled_nll", temperature=temperature)
    """
    batch = base.labelled_batch(probs, labels)
    return best_temperature(log_probs_of(batch, epsilon), batch.labels)


def apply_temperature(probs: Any, temperature: float, epsilon: float | None = None) -> np.ndarray:
    """Return `softmax(log(p) / temperature)`, float64 `[batch, classes]`; see `fit_temperature`.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        temperature: Above one softens, below one sharpens.
        epsilon: As in `fit_temperature`.

    Raises:
        InputError: The array is not that, or the temperature is not positive.
    """
    base.check_number("temperature", temperature)
    return scaled(log_probs_of(base.Batch(probs), epsilon), temperature)


def recalibrate(
    probs: Any, labels: Any, method: str, fit_percent: float = 50.0, seed: int = 0, epsilon: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a recalibration on one part of the examples and apply it to the rest.

    The fit sees the first `fit_percent` of `RandomState(seed).permutation(n)`; at 100 both see everything, unshuffled,
    which flatters.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        method: `"temperature_scaling"` (Guo 2017), or `"isotonic_regression"` (Zadrozny & Elkan 2002), one for each
            class, after which rows are divided by their sum.
        fit_percent: How many of the examples to fit on.
        seed: What the shuffle is derived from.
        epsilon: As in `fit_temperature`.

    Returns:
        Recalibrated probabilities and labels of the examples not fitted on.

    Raises:
        InputError: The arrays or options are not that.
    """
    base.check_choice("method", method, ("temperature_scaling", "isotonic_regression"))
    batch = base.labelled_batch(probs, labels)
    count, labels = len(batch.rows), batch.labels
    fitted = round(fit_percent * 0.01 * count)
    if not 0 < fitted <= count:
        raise InputError(f"fit_percent={fit_percent} of {count} examples are {fitted}; pass more of either.")
    fit = rest = batch.rows
    if fitted < count:
        order = np.random.RandomState(seed).permutation(count)
        fit, rest = order[:fitted], order[fitted:]
    if method == "temperature_scaling":
        logs = log_probs_of(batch, epsilon)
        return scaled(logs[rest], best_temperature(logs[fit], labels[fit])), labels[rest]
    return on_curves(batch.probs[rest], isotonic_curves(batch.probs[fit], labels[fit])), labels[rest]
