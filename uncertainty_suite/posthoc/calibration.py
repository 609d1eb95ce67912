"""Maps from probabilities to better calibrated ones, fitted by the NLL of held-out labels.

All of them work on the logarithm of the mean probability over samples, so that every method has one. For a softmax
model that is its logits less their logsumexp: a temperature does not see the difference. Vector scaling of raw logits
(Guo 2017) is another family than that of log-probabilities here, of the same size; Dirichlet scaling is defined on
log-probabilities. Giving logits instead (`from_logits=True`) yields the same calibration, and only keeps what rounds to
zero as a probability.

Nothing is fitted that the held-out data do not determine, and `note` says what was left as it is. Where there is no
optimum (a temperature of predictions that are all right, a linear map that can predict every label), predictions stay
as they are. A class that no label names keeps its probability, except under a temperature; the others share the rest.
"""

import functools
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from uncertainty_suite.metrics.base import check_flag, check_number
from uncertainty_suite.metrics.recalibration import (
    best_temperature,
    isotonic_curves,
    log_softmax,
    on_curves,
    scaled,
    to_fit,
    to_log_probs,
)
from uncertainty_suite.posthoc.base import REGISTRY, PostHoc


def _fit_linear(
    forward: Callable[[np.ndarray], np.ndarray],
    adjoint: Callable[[np.ndarray], np.ndarray],
    labels: np.ndarray,
    start: np.ndarray,
    penalty: np.ndarray | float = 0.0,
) -> np.ndarray | None:
    """Return the parameters that minimise the NLL of logits linear in them, plus `sum penalty (parameters - start)^2`.

    The loss is convex, and often ill-conditioned: Newton's method inside a trust region, by products with the Hessian,
    takes a tenth of the time of L-BFGS. It never accepts a step that raises the loss.

    Args:
        forward: From parameters to logits `[n, classes]`, linear.
        adjoint: Its transpose.
        labels: Class indices `[n]`.
        start: Parameters to begin from.
        penalty: One for all parameters, or one for each.

    Returns:
        The parameters; None where they predict every label, so that ever larger ones would fit ever better.
    """
    from scipy.optimize import minimize

    rows = np.arange(len(labels))
    penalty = penalty + 0.5 / len(labels)  # a standard normal prior, one example's worth among n

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
    found = minimize(loss_and_gradient, start, jac=True, hessp=hessian_times, method="trust-ncg", options=options).x
    return None if (forward(found).argmax(axis=1) == labels).all() else found


class Calibrator(PostHoc):
    """A map of probabilities; a subclass gives `_fit` and `_apply`.

    Example:
        >>> calibrate = TemperatureScaling().fit(validation_probs, validation_labels)
        >>> probs = calibrate(test_probs)

    Args:
        from_logits: Whether predictions are logits, or log-probabilities, rather than probabilities.
    """

    kind = "calibration"

    def __init__(self, from_logits: bool = False):
        check_flag("from_logits", from_logits)
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
        log_probs, labels = to_fit(predictions, labels, self.from_logits)
        self.note = ""
        self.parameters = {"classes": log_probs.shape[1], **self._fit(log_probs, labels)}
        return self

    def __call__(self, predictions: Any) -> np.ndarray:
        """Return calibrated probabilities, float64 `[n, classes]`.

        Args:
            predictions: As in `fit`, of any examples.

        Raises:
            InputError: The array is not that, or nothing was fitted.
        """
        log_probs = to_log_probs(predictions, self.from_logits)
        return self._apply(log_probs, self.fitted(log_probs.shape[1]))

    def _fit(self, log_probs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """Return the parameters; sets `note` where something is not determined."""
        raise NotImplementedError

    def _apply(self, log_probs: np.ndarray, parameters: dict[str, Any]) -> np.ndarray:
        raise NotImplementedError

    def _absent(self, labels: np.ndarray, classes: int) -> list[int]:
        """Return the classes that no label names, having noted them."""
        absent = np.setdiff1d(np.arange(classes), labels).tolist()
        if absent:
            few = ", ".join(map(str, absent[:5])) + (", ..." if len(absent) > 5 else "")
            self.note = (
                f"{len(absent)} of {classes} classes have no example to fit on and keep their probability: {few}."
            )
        return absent


@REGISTRY.register
class TemperatureScaling(Calibrator):
    """One temperature for all: `softmax(z / T)`. It changes no prediction.

    Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, https://arxiv.org/abs/1706.04599. The temperature
    is sought from 0.001 to 1000. Where no temperature is the best it stays 1, and `note` says why: of predictions that
    are all right, the NLL falls the lower the temperature is; of those no better than guessing, the higher.
    """

    name = "temperature_scaling"
    formula = "softmax(z / T)"
    paper = "Guo 2017"

    def _fit(self, log_probs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        temperature, self.note = best_temperature(log_probs, labels)
        return {"temperature": temperature}

    def _apply(self, log_probs: np.ndarray, parameters: dict[str, Any]) -> np.ndarray:
        return scaled(log_probs, parameters["temperature"])


class _LinearScaling(Calibrator):
    """A linear map of log-probabilities, with a standard normal prior on how far it is from the identity.

    A class that no label names takes no part: the map is of the probabilities given that it is one of the others.
    """

    def _fit(self, log_probs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        count, classes = log_probs.shape
        absent = self._absent(labels, classes)
        present = np.delete(np.arange(classes), absent)
        found = self._fit_present(log_softmax(log_probs[:, present]), np.searchsorted(present, labels))
        if found is None:
            self.note = (
                f"There is no best map: it can predict all {count} labels, and the further it goes, the lower the NLL. "
                "Predictions stay as they are."
            )
            found = self._identity(len(present))
        weights, bias = found
        if not self.note and count < weights.size + bias.size:
            self.note = (
                f"{weights.size + bias.size} parameters are fitted to {count} examples: more of a prior than a fit."
            )
        return {"absent": absent, "weights": weights.tolist(), "bias": bias.tolist()}

    def _apply(self, log_probs: np.ndarray, parameters: dict[str, Any]) -> np.ndarray:
        probs = np.exp(log_softmax(log_probs))  # rows that sum to one more exactly than float32 has them
        present = np.delete(np.arange(log_probs.shape[1]), parameters["absent"])
        log_given = log_softmax(log_probs[:, present])
        logits = self._map(log_given, np.array(parameters["weights"])) + parameters["bias"]
        probs[:, present] = probs[:, present].sum(axis=1, keepdims=True) * np.exp(log_softmax(logits))
        return probs

    def _identity(self, classes: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights and the bias that change nothing."""
        raise NotImplementedError

    def _map(self, log_probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return log-probabilities times weights."""
        raise NotImplementedError

    def _fit_present(self, log_probs: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Return weights and bias, None where none are the best."""
        raise NotImplementedError


@REGISTRY.register
class VectorScaling(_LinearScaling):
    """A weight and a bias for each class: `softmax(w * z + b)`.

    Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, https://arxiv.org/abs/1706.04599; of
    log-probabilities, where they take logits, and with a standard normal prior on `w - 1` and `b`, which a few examples
    per class outweigh.
    """

    name = "vector_scaling"
    formula = "softmax(w * z + b)"
    paper = "Guo 2017"

    def _identity(self, classes: int) -> tuple[np.ndarray, np.ndarray]:
        return np.ones(classes), np.zeros(classes)

    def _map(self, log_probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return log_probs * weights

    def _fit_present(self, log_probs: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        def forward(parameters: np.ndarray) -> np.ndarray:
            weights, bias = np.split(parameters, 2)
            return log_probs * weights + bias

        def adjoint(by_logits: np.ndarray) -> np.ndarray:
            return np.concatenate([(by_logits * log_probs).sum(axis=0), by_logits.sum(axis=0)])

        found = _fit_linear(forward, adjoint, labels, np.concatenate(self._identity(log_probs.shape[1])))
        if found is None:
            return None
        weights, bias = np.split(found, 2)
        return weights, bias


@REGISTRY.register
class DirichletScaling(_LinearScaling):
    """A linear map of log-probabilities: `softmax(W z + b)`, kept near the diagonal by ODIR.

    Minimises `NLL + regularization / (k (k - 1)) sum_{i != j} W_ij^2 + bias_regularization / k sum_j b_j^2`, from the
    identity. Kull et al., *Beyond temperature scaling: Obtaining well-calibrated multiclass probabilities with
    Dirichlet calibration*, NeurIPS 2019, https://arxiv.org/abs/1910.12656. They choose both strengths by
    cross-validation; the defaults are small ones. To that comes a standard normal prior on all of `W - 1` and `b`,
    which holds what a few examples do not determine. A fit to 5,000 examples takes a tenth of a second for ten classes
    and half a minute for a hundred.

    Args:
        regularization: The paper's `lambda`, of off-diagonal weights.
        bias_regularization: The paper's `mu`, of the bias.
        from_logits: Whether predictions are logits, or log-probabilities, rather than probabilities.
    """

    name = "dirichlet_scaling"
    formula = "softmax(W z + b)"
    paper = "Kull 2019"

    def __init__(self, regularization: float = 1e-3, bias_regularization: float = 1e-3, from_logits: bool = False):
        for option, value in (("regularization", regularization), ("bias_regularization", bias_regularization)):
            check_number(option, value, at_low=True)
        super().__init__(from_logits)
        self.regularization, self.bias_regularization = regularization, bias_regularization

    def _identity(self, classes: int) -> tuple[np.ndarray, np.ndarray]:
        return np.eye(classes), np.zeros(classes)

    def _map(self, log_probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return log_probs @ weights.T

    def _fit_present(self, log_probs: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
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
        if found is None:
            return None
        found = found.reshape(penalty.shape)
        return found[:, :-1], found[:, -1]


@REGISTRY.register
class IsotonicCalibration(Calibrator):
    """A rising step function for the probability of each class against the rest, rows then divided by their sum.

    Zadrozny & Elkan, *Transforming classifier scores into accurate multiclass probability estimates*, KDD 2002,
    https://doi.org/10.1145/775047.775151. Steps are joined by lines, as scikit-learn does. Each step counts one example
    more than it holds, of which the model is right by as much as it says: a step of `m` examples, `s` of them of the
    class, of mean probability `p` is `(s + p) / (m + 1)`. So no probability becomes 0 or 1 for want of examples. A
    class that no label names keeps its probability, and the others share the rest.
    """

    name = "isotonic_regression"
    formula = "g_k(p_k) / sum_j g_j(p_j), g_k rising"
    paper = "Zadrozny & Elkan 2002"

    def _fit(self, log_probs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        self._absent(labels, log_probs.shape[1])
        x, y = isotonic_curves(np.exp(log_probs), labels)
        return {"x": [corners.tolist() for corners in x], "y": [corners.tolist() for corners in y]}

    def _apply(self, log_probs: np.ndarray, parameters: dict[str, Any]) -> np.ndarray:
        return on_curves(np.exp(log_probs), (parameters["x"], parameters["y"]))
