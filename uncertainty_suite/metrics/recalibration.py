"""The fits that make probabilities calibrated: one temperature, and a rising curve for each class.

`posthoc` and the metrics of recalibrated predictions share them. All of it works on the logarithm of the mean
probability over samples; that of zero counts as the smallest positive number of the dtype, as in `nll`.
"""

import warnings
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


def to_log_probs(predictions: Any, from_logits: bool = False, epsilon: float | None = None) -> np.ndarray:
    """Return the logarithm of the mean probability over samples, float64 `[batch, classes]`.

    Args:
        predictions: Probabilities, or with `from_logits` logits or log-probabilities, `[batch, classes]` or
            `[samples, batch, classes]`.
        from_logits: Which of the two they are.
        epsilon: That of `fit_temperature`, of probabilities only.

    Raises:
        InputError: The array is not that. Probabilities given as logits, and the reverse, are told apart by whether
            all rows are without a negative number and sum to one.
    """
    if epsilon is not None:
        base.check_number("epsilon", epsilon)
    if not from_logits:
        try:
            return log_probs_of(base.Batch(predictions), epsilon)
        except InputError as error:
            if _may_be_logits(predictions):
                raise InputError(f"{error} If they are logits, say from_logits=True.") from error
            raise
    if epsilon is not None:
        raise InputError(f"epsilon={epsilon!r} is added to probabilities; leave it out with from_logits=True.")
    logits = base.to_finite(predictions, "Logits", (2, 3), "[batch, classes] or [samples, batch, classes]")
    if are_probs(logits):
        raise InputError(
            "With from_logits=True these must be logits, but no number is negative and every row sums to 1: they are "
            "probabilities. Leave from_logits out, or pass logits."
        )
    log_probs = log_softmax(logits)
    return log_probs if log_probs.ndim == 2 else np.logaddexp.reduce(log_probs, axis=0) - np.log(len(log_probs))


def are_probs(logits: np.ndarray) -> bool:
    """Say whether what should be logits are probabilities: no number is negative, and every row sums to one."""
    return bool(logits.min() >= 0 and np.abs(logits.sum(axis=-1) - 1).max() < 1e-2)  # the rounding of bfloat16


def _may_be_logits(predictions: Any) -> bool:
    """Say whether predictions that are no probabilities have the shape and the values of logits."""
    try:
        base.to_finite(predictions, "Logits", (2, 3), "")
    except InputError:
        return False
    return True


def to_fit(
    predictions: Any, labels: Any, from_logits: bool = False, epsilon: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return log-probabilities, as `to_log_probs`, and checked labels `[batch]` to fit to."""
    log_probs = to_log_probs(predictions, from_logits, epsilon)
    if labels is None:
        raise InputError("Labels are missing; pass class indices [batch].")
    return log_probs, base.to_labels(labels, *log_probs.shape)


def best_temperature(log_probs: np.ndarray, labels: np.ndarray) -> tuple[float, str]:
    """Return the temperature of least NLL, and a note, empty unless there is none; see `fit_temperature`."""
    from scipy.optimize import brentq

    logits = log_probs - log_probs[np.arange(len(labels)), labels][:, np.newaxis]  # so that the label's is 0

    def slope(log_beta: float) -> float:
        """The derivative of the NLL by beta = 1 / T, which only rises, for the NLL is convex in beta."""
        return float((np.exp(log_softmax(np.exp(log_beta) * logits)) * logits).sum())

    low, high = -np.log(HOTTEST), -np.log(COLDEST)
    if not logits.any():
        why = "every prediction is uniform, and no temperature changes it"
    elif logits.max() <= 0:
        why = f"all {len(labels)} predictions are right, and the lower the temperature, the lower their NLL"
    elif logits.sum() >= 0:  # the derivative at beta = 0, times the number of classes
        why = "predictions are no better than guessing, and the higher the temperature, the lower their NLL"
    elif slope(high) <= 0 or slope(low) >= 0:
        why = f"the NLL is least outside of {COLDEST:g} to {HOTTEST:g}"
    else:
        return float(np.exp(-brentq(slope, low, high, xtol=1e-12))), ""
    return 1.0, f"There is no best temperature: {why}. It stays 1."


def scaled(log_probs: np.ndarray, temperature: float) -> np.ndarray:
    """Return `softmax(log_probs / temperature)`."""
    return np.exp(log_softmax(log_probs / temperature))


def isotonic_curves(probs: np.ndarray, labels: np.ndarray, smooth: bool = True) -> Curves:
    """Return for each class the rising curve from its probability to how often it is the label.

    Args:
        probs: `[batch, classes]`.
        labels: `[batch]`.
        smooth: Whether each step counts one example more than it holds, of which the model is right by as much as it
            says, so that no step is 0 or 1 for want of examples. A class without any example then has no curve.
    """
    pairs = [_isotonic_curve(column, labels == k, smooth) for k, column in enumerate(probs.T)]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _isotonic_curve(probs: np.ndarray, hits: np.ndarray, smooth: bool) -> tuple[np.ndarray, np.ndarray]:
    from scipy.optimize import isotonic_regression

    if smooth and not hits.any():
        return np.empty(0), np.empty(0)
    x, place, counts = np.unique(probs, return_inverse=True, return_counts=True)
    steps = isotonic_regression(np.bincount(place, hits) / counts, weights=counts)
    rates, starts, weights = steps.x[steps.blocks[:-1]], steps.blocks[:-1], steps.weights
    if smooth:
        said = np.add.reduceat(x * counts, starts) / weights
        again = isotonic_regression((rates * weights + said) / (weights + 1), weights=weights + 1)
        rates, starts = again.x[again.blocks[:-1]], starts[again.blocks[:-1]]
    ends = np.append(starts[1:], len(x)) - 1
    corners, kept = np.unique(np.stack([starts, ends], axis=1), return_index=True)  # a step at one x has one corner
    return x[corners], np.repeat(rates, 2)[kept]


def on_curves(probs: np.ndarray, curves: Curves | tuple[Any, Any]) -> np.ndarray:
    """Return what curves make of probabilities: rows are divided by their sum.

    A class without a curve keeps its probability, and the others share the rest. Where all others are zero, they share
    it equally.
    """
    xs, ys = curves
    result = probs / probs.sum(axis=1, keepdims=True)
    curved = np.flatnonzero([len(x) > 0 for x in xs])
    if len(curved):
        risen = np.stack([np.interp(probs[:, k], xs[k], ys[k]) for k in curved], axis=1)
        risen[risen.sum(axis=1) == 0] = 1.0  # nothing is known of such a row
        rest = result[:, curved].sum(axis=1, keepdims=True)
        result[:, curved] = rest * risen / risen.sum(axis=1, keepdims=True)
    return result


def fit_temperature(predictions: Any, labels: Any, epsilon: float | None = None, from_logits: bool = False) -> float:
    """Return the temperature `T` that minimises the NLL of `softmax(log(p) / T)` (Guo 2017).

    Fit it on validation data. It is sought from 0.001 to 1000. Where no temperature is the best, it is 1, with a
    `RuntimeWarning` that says why: of predictions that are all right, the NLL falls the lower the temperature is; of
    those no better than guessing, the higher.

    Args:
        predictions: Class probabilities, or with `from_logits` logits or log-probabilities, `[batch, classes]` or
            `[samples, batch, classes]` (averaged over samples as probabilities).
        labels: Class indices `[batch]`.
        epsilon: Added to every probability before the logarithm; 1.19e-7 is Robustness Metrics, where probabilities
            below that no longer count as what they are.
        from_logits: Whether predictions are logits rather than probabilities.

    Raises:
        InputError: The arrays are not that.

    Example:
        >>> temperature = fit_temperature(validation_probs, validation_labels)
        >>> metrics.get("temperature_scaled_nll", temperature=temperature)
    """
    temperature, note = best_temperature(*to_fit(predictions, labels, from_logits, epsilon))
    _warn(note)
    return temperature


def apply_temperature(
    predictions: Any, temperature: float, epsilon: float | None = None, from_logits: bool = False
) -> np.ndarray:
    """Return `softmax(log(p) / temperature)`, float64 `[batch, classes]`; see `fit_temperature`.

    Args:
        predictions: As in `fit_temperature`.
        temperature: Above one softens, below one sharpens.
        epsilon: As in `fit_temperature`.
        from_logits: As in `fit_temperature`.

    Raises:
        InputError: The array is not that, or the temperature is not positive.

    Example:
        >>> apply_temperature([[0.9, 0.1]], temperature=2.0)
        array([[0.75, 0.25]])
    """
    base.check_number("temperature", temperature)
    return scaled(to_log_probs(predictions, from_logits, epsilon), temperature)


def recalibrate(
    probs: Any, labels: Any, method: str, fit_percent: float = 50.0, seed: int = 0, epsilon: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a recalibration on one part of the examples and apply it to the rest.

    The fit sees the first `fit_percent` of `RandomState(seed).permutation(n)`; at 100 both see everything, unshuffled,
    which flatters.

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        method: `"temperature_scaling"` (Guo 2017), with a `RuntimeWarning` as in `fit_temperature`, or
            `"isotonic_regression"` (Zadrozny & Elkan 2002), one for each class, after which rows are divided by their
            sum, smoothed as in `posthoc.IsotonicCalibration`.
        fit_percent: How many of the examples to fit on.
        seed: What the shuffle is derived from.
        epsilon: As in `fit_temperature`. With it isotonic regression is that of Robustness Metrics too, not smoothed.

    Returns:
        Recalibrated probabilities and labels of the examples not fitted on.

    Raises:
        InputError: The arrays or options are not that.

    Example:
        >>> recalibrated, rest = recalibrate(probs, labels, "temperature_scaling")
        >>> metrics.expected_calibration_error(recalibrated, rest)
    """
    base.check_choice("method", method, ("temperature_scaling", "isotonic_regression"))
    base.check_number("fit_percent", fit_percent, 0, 100, at_high=True)
    base.check_seed(seed)
    if epsilon is not None:
        base.check_number("epsilon", epsilon)
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
        temperature, note = best_temperature(logs[fit], labels[fit])
        _warn(note)
        return scaled(logs[rest], temperature), labels[rest]
    curves = isotonic_curves(batch.probs[fit], labels[fit], smooth=epsilon is None)
    return on_curves(batch.probs[rest], curves), labels[rest]


def _warn(note: str) -> None:
    if note:
        warnings.warn(note, RuntimeWarning, stacklevel=3)
