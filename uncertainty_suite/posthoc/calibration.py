"""Maps from probabilities to better calibrated ones, fitted by the NLL of held-out labels.

All of them work on the logarithm of the mean probability over samples, so that every method has one. For a softmax
model that is its logits less their logsumexp: a temperature does not see the difference. Vector scaling of raw logits
(Guo 2017) is another family than that of log-probabilities here, of the same size; Dirichlet scaling is defined on
log-probabilities. Giving logits instead (`from_logits=True`) yields the same calibration, and only keeps what rounds to
zero as a probability.

A class that is absent from the held-out data gets a probability near or equal to zero from all but the temperature.
"""

import functools
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from uncertainty_suite.metrics.base import Batch, check_number, to_finite, to_labels
from uncertainty_suite.metrics.recalibration import (
    best_temperature,
    isotonic_curves,
    log_probs_of,
    log_softmax,
    on_curves,
    scaled,
)
from uncertainty_suite.posthoc.base import REGISTRY, PostHoc

_RIDGE = 1e-9  # keeps the parameters of separable data finite, and moves those of other data by nothing


def _log_probs(predictions: Any, from_logits: bool) -> np.ndarray:
    """Return the logarithm of the mean probability over samples, `[n, classes]`; that of zero as `metrics` has it."""
    if from_logits:
        logits = to_finite(predictions, "Logits", (2, 3), "[n, classes] or [samples, n, classes]")
        log_probs = log_softmax(logits)
        return log_probs if log_probs.ndim == 2 else np.logaddexp.reduce(log_probs, axis=0) - np.log(len(log_probs))
    return log_probs_of(Batch(predictions))


def _fit_linear(
    forward: Callable[[np.ndarray], np.ndarray],
    adjoint: Callable[[np.ndarray], np.ndarray],
    labels: np.ndarray,
    start: np.ndarray,
    penalty: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Return the parameters that minimise the NLL of logits linear in them, plus `sum penalty (parameters - start)^2`.

    The loss is convex, and often ill-conditioned: Newton's method inside a trust region, by products with the Hessian,
    takes a tenth of the time of L-BFGS. It never accepts a step that raises the loss.

    Args:
        forward: From parameters to logits `[n, classes]`, linear.
        adjoint: Its transpose.
        labels: Class indices `[n]`.
        start: Parameters to begin from.
        penalty: One for all parameters, or one for each.
    """
    from scipy.optimize import minimize

    rows = np.arange(len(labels))
    penalty = penalty + _RIDGE

    def loss_and_gradient(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        log_probs = log_softmax(forward(parameters))
        by_logits = np.exp(log_probs)
        by_logits[rows, labels] -= 1.0
        loss = (penalty * (parameters - start) ** 2).sum() - log_probs[rows, labels].mean()
        return loss, adjoint(by_logits / len(labels)) + 2 * penalty * (parameters - start)

    @functools.lru_cache(maxsize=1)  # many products are asked for at one place
    def probs_at(parameters: bytes) -> np.ndarray:
        return np.exp(log_softmax(forward(np.frombuffer(parameters))))

    def hessian_times(parameters: np.ndarray, direction: np.ndarray) -> np.ndarray:
        probs, change = probs_at(parameters.tobytes()), forward(direction)
        by_logits = probs * (change - (probs * change).sum(axis=1, keepdims=True))
        return adjoint(by_logits / len(labels)) + 2 * penalty * direction

    options = {"maxiter": 1000, "gtol": 1e-6}
    return minimize(loss_and_gradient, start, jac=True, hessp=hessian_times, method="trust-ncg", options=options).x


class Calibrator(PostHoc):
    """A map of probabilities; a subclass gives `_fit` and `_apply`.

    Example:
        >>> calibrate = TemperatureScaling().fit(validation_probs, validation_labels)
        >>> probs = calibrate(test_probs)

    Args:
        from_logits: Whether predictions are logits rather than probabilities.
    """

    kind = "calibration"

    def __init__(self, from_logits: bool = False):
        self.from_logits = from_logits

    def fit(self, predictions: Any, labels: Any) -> Self:
        """Fit to held-out predictions.

        Args:
            predictions: Probabilities (or logits, with `from_logits`) `[n, classes]` or `[samples, n, classes]`.
            labels: Class indices `[n]`.

        Returns:
            The calibrator itself.

        Raises:
            InputError: The arrays are not that.
        """
        log_probs = _log_probs(predictions, self.from_logits)
        count, classes = log_probs.shape
        self.parameters = {"classes": classes, **self._fit(log_probs, to_labels(labels, count, classes))}
        return self

    def __call__(self, predictions: Any) -> np.ndarray:
        """Return calibrated probabilities, float64 `[n, classes]`.

        Args:
            predictions: As in `fit`, of any examples.

        Raises:
            InputError: The array is not that, or nothing was fitted.
        """
        log_probs = _log_probs(predictions, self.from_logits)
        return self._apply(log_probs, self.fitted(log_probs.shape[1]))

    def _fit(self, log_probs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        raise NotImplementedError

    def _apply(self, log_probs: np.ndarray, parameters: dict[str, Any]) -> np.ndarray:
        raise NotImplementedError


@REGISTRY.register
class TemperatureScaling(Calibrator):
    """One temperature for all: `softmax(z / T)`. It changes no prediction.

    Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, https://arxiv.org/abs/1706.04599. The temperature
    is sought from 0.001 to 1000; predictions that are all correct, or no better than guessing, have theirs at an end.
    """

    name = "temperature_scaling"
    formula = "softmax(z / T)"
    paper = "Guo 2017"

    def _fit(self, log_probs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        return {"temperature": best_temperature(log_probs, labels)}

    def _apply(self, log_probs: np.ndarray, parameters: dict[str, Any]) -> np.ndarray:
        return scaled(log_probs, parameters["temperature"])


@REGISTRY.register
class VectorScaling(Calibrator):
    """A weight and a bias for each class: `softmax(w * z + b)`.

    Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, https://arxiv.org/abs/1706.04599; of
    log-probabilities, where they take logits.
    """

    name = "vector_scaling"
    formula = "softmax(w * z + b)"
    paper = "Guo 2017"

    def _fit(self, log_probs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        classes = log_probs.shape[1]

        def forward(parameters: np.ndarray) -> np.ndarray:
            weights, bias = np.split(parameters, 2)
            return log_probs * weights + bias

        def adjoint(by_logits: np.ndarray) -> np.ndarray:
            return np.concatenate([(by_logits * log_probs).sum(axis=0), by_logits.sum(axis=0)])

        weights, bias = np.split(_fit_linear(forward, adjoint, labels, np.repeat([1.0, 0.0], classes)), 2)
        return {"weights": weights.tolist(), "bias": bias.tolist()}

    def _apply(self, log_probs: np.ndarray, parameters: dict[str, Any]) -> np.ndarray:
        return np.exp(log_softmax(log_probs * parameters["weights"] + parameters["bias"]))


@REGISTRY.register
class DirichletScaling(Calibrator):
    """A linear map of log-probabilities: `softmax(W z + b)`, kept near the diagonal by ODIR.

    Minimises `NLL + regularization / (k (k - 1)) sum_{i != j} W_ij^2 + bias_regularization / k sum_j b_j^2`, from the
    identity. Kull et al., *Beyond temperature scaling: Obtaining well-calibrated multiclass probabilities with
    Dirichlet calibration*, NeurIPS 2019, https://arxiv.org/abs/1910.12656. They choose both strengths by
    cross-validation; the defaults are small ones. A fit to 5,000 examples takes a tenth of a second for ten classes and
    half a minute for a hundred.

    Args:
        regularization: The paper's `lambda`, of off-diagonal weights.
        bias_regularization: The paper's `mu`, of the bias.
        from_logits: Whether predictions are logits rather than probabilities.
    """

    name = "dirichlet_scaling"
    formula = "softmax(W z + b)"
    paper = "Kull 2019"

    def __init__(self, regularization: float = 1e-3, bias_regularization: float = 1e-3, from_logits: bool = False):
        for option, value in (("regularization", regularization), ("bias_regularization", bias_regularization)):
            check_number(option, value, at_low=True)
        super().__init__(from_logits)
        self.regularization, self.bias_regularization = regularization, bias_regularization

    def _fit(self, log_probs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        count, classes = log_probs.shape
        inputs = np.concatenate([log_probs, np.ones((count, 1))], axis=1)  # the bias is the last column of the weights
        penalty = np.full((classes, classes + 1), self.regularization / max(classes * (classes - 1), 1))
        np.fill_diagonal(penalty, 0.0)
        penalty[:, -1] = self.bias_regularization / classes

        def forward(parameters: np.ndarray) -> np.ndarray:
            return inputs @ parameters.reshape(penalty.shape).T

        def adjoint(by_logits: np.ndarray) -> np.ndarray:
            return (by_logits.T @ inputs).ravel()

        found = _fit_linear(forward, adjoint, labels, np.eye(*penalty.shape).ravel(), penalty.ravel())
        found = found.reshape(penalty.shape)
        return {"weights": found[:, :-1].tolist(), "bias": found[:, -1].tolist()}

    def _apply(self, log_probs: np.ndarray, parameters: dict[str, Any]) -> np.ndarray:
        return np.exp(log_softmax(log_probs @ np.transpose(parameters["weights"]) + parameters["bias"]))


@REGISTRY.register
class IsotonicCalibration(Calibrator):
    """A rising step function for the probability of each class against the rest, rows then divided by their sum.

    Zadrozny & Elkan, *Transforming classifier scores into accurate multiclass probability estimates*, KDD 2002,
    https://doi.org/10.1145/775047.775151. Steps are joined by lines, as scikit-learn does. It may give a class
    probability zero and so an infinite NLL; where it gives that to all, the row becomes uniform, as in
    `metrics.recalibrate`.
    """

    name = "isotonic_regression"
    formula = "g_k(p_k) / sum_j g_j(p_j), g_k rising"
    paper = "Zadrozny & Elkan 2002"

    def _fit(self, log_probs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        x, y = isotonic_curves(np.exp(log_probs), labels)
        return {"x": [corners.tolist() for corners in x], "y": [corners.tolist() for corners in y]}

    def _apply(self, log_probs: np.ndarray, parameters: dict[str, Any]) -> np.ndarray:
        return on_curves(np.exp(log_probs), (parameters["x"], parameters["y"]))
