"""Likelihoods whose outputs are a distribution over the parameters of another one: its conjugate prior.

Such a one is made of a task's likelihood by a method, in its place: its predictions are of the same kind, so all that
comes after them stays as it is. What they say of the parameters themselves is among the uncertainties.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from uncertainty_suite import tf
from uncertainty_suite.errors import unknown_name
from uncertainty_suite.likelihoods.base import Likelihood
from uncertainty_suite.likelihoods.categorical import Categorical
from uncertainty_suite.likelihoods.gaussian import LEAST_STDDEV, Gaussian
from uncertainty_suite.predictions import Predictions

_LEAST_EVIDENCE = 1e-3  # of a normal-inverse-gamma, so that its variances are finite


class Conjugate(Likelihood):
    """A likelihood whose outputs are the parameters of a distribution over those of another one.

    Attributes:
        regularization: A factor on `regularizer` with which networks learn.
    """

    regularization: ClassVar[float]

    @abc.abstractmethod
    def regularizer(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Return what is large where there is much evidence for something wrong; arguments and shape as of `loss`."""


class Dirichlet(Categorical, Conjugate):
    """A Dirichlet distribution over class probabilities, whose concentrations are 1 and the evidence for each class.

        alpha = 1 + evidence(outputs),    S = sum alpha,    probs = alpha / S

    Sensoy et al. 2018, https://arxiv.org/abs/1806.01768; Charpentier et al. 2020, https://arxiv.org/abs/2006.09239. The
    loss is the expectation of a loss of probabilities over the distribution:

        squared_error:  sum (y - p)^2 + sum p (1 - p) / (S + 1)
        log:            log S - log alpha_y, the negative logarithm of the expected probability
        cross_entropy:  digamma(S) - digamma(alpha_y)

    and the regularizer is KL(Dir(alpha~) || Dir(1)), alpha~ being 1 for the label and alpha for the other classes.

    Predictions carry these uncertainties: `vacuity`, classes / S; and, in nats, `mutual_information` of the label and
    the probabilities and `expected_entropy`, the epistemic and the aleatoric part of the entropy.

    Args:
        num_classes: Number of classes; the head has as many units.
        loss: `squared_error`, `log` or `cross_entropy`.
        evidence: `softplus`, or `exp` for outputs that are the logarithm of the evidence.

    Raises:
        InputError: The loss or the evidence is unknown.

    Example:
        >>> said = Dirichlet(10).predict(outputs[tf.newaxis])
        >>> said.uncertainty["vacuity"]  # [batch], in (0, 1]
    """

    regularization = 0.1

    def __init__(self, num_classes: int, loss: str = "squared_error", evidence: str = "softplus") -> None:
        super().__init__(num_classes)
        if loss not in _DIRICHLET_LOSSES:
            raise unknown_name("loss", loss, _DIRICHLET_LOSSES)
        if evidence not in _EVIDENCE:
            raise unknown_name("evidence", evidence, _EVIDENCE)
        self._loss, self._evidence = loss, evidence

    @property
    def parameters(self) -> dict[str, Any]:
        return {**super().parameters, "loss": self._loss, "evidence": self._evidence}

    def concentration(self, outputs: tf.Tensor) -> tf.Tensor:
        """Return alpha, float64 of the shape of the outputs."""
        return 1.0 + _EVIDENCE[self._evidence](tf.cast(outputs, tf.float64))

    def loss(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Return the expected loss of each label, as the class's docstring has it; see `Likelihood.loss`."""
        alpha, label = self._with_label(outputs, labels)
        return tf.cast(_DIRICHLET_LOSSES[self._loss](alpha, label), outputs.dtype)

    def regularizer(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        alpha, label = self._with_label(outputs, labels)
        return tf.cast(_kl_to_uniform(label + (1 - label) * alpha), outputs.dtype)

    def entropy(self, outputs: tf.Tensor) -> tf.Tensor:
        """Return the differential entropy of the distribution in nats, of the shape of the outputs without units."""
        kl = _kl_to_uniform(self.concentration(outputs))  # the uniform one has the entropy -log (K - 1)!
        return tf.cast(-kl - math.lgamma(self.num_outputs), outputs.dtype)

    def predict(
        self,
        outputs: tf.Tensor,
        features: tf.Tensor | None = None,
        latent_variance: tf.Tensor | None = None,
        uncertainty: Mapping[str, tf.Tensor] | None = None,
        output_variance: tf.Tensor | None = None,
    ) -> Predictions:
        """See `Likelihood.predict`: log alpha as logits. Of several samples the uncertainties are the mean."""
        alpha = self.concentration(outputs)
        total = tf.reduce_sum(alpha, axis=-1, keepdims=True)
        probs = alpha / total
        expected_entropy = tf.reduce_sum(probs * (tf.math.digamma(total + 1) - tf.math.digamma(alpha + 1)), axis=-1)
        entropy = -tf.reduce_sum(probs * tf.math.log(probs), axis=-1)
        own = {
            "vacuity": self.num_outputs / total[..., 0],
            "mutual_information": tf.maximum(entropy - expected_entropy, 0),  # below zero by rounding
            "expected_entropy": expected_entropy,
        }
        further = {name: tf.reduce_mean(values, axis=0) for name, values in own.items()}
        further |= uncertainty or {}
        return super().predict(tf.math.log(alpha), features, latent_variance, further, output_variance)

    def _with_label(self, outputs: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return alpha and the label as a vector of zeros and a one, float64 of the shape of the outputs."""
        label = tf.one_hot(labels, self.num_outputs, dtype=tf.float64)
        return self.concentration(outputs), label if outputs.shape.rank == 2 else label[:, tf.newaxis]


def _expected_squared_error(alpha: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    total = tf.reduce_sum(alpha, axis=-1, keepdims=True)
    probs = alpha / total
    return tf.reduce_sum((label - probs) ** 2 + probs * (1 - probs) / (total + 1), axis=-1)


def _log_loss(alpha: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    return tf.math.log(tf.reduce_sum(alpha, axis=-1)) - tf.reduce_sum(label * tf.math.log(alpha), axis=-1)


def _expected_cross_entropy(alpha: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    return tf.math.digamma(tf.reduce_sum(alpha, axis=-1)) - tf.reduce_sum(label * tf.math.digamma(alpha), axis=-1)


def _softplus(outputs: tf.Tensor) -> tf.Tensor:
    return tf.nn.softplus(outputs)


def _exp(outputs: tf.Tensor) -> tf.Tensor:
    return tf.exp(outputs)


def _kl_to_uniform(alpha: tf.Tensor) -> tf.Tensor:
    """Return KL(Dir(alpha) || Dir(1)) in nats, alpha float64 `[..., classes]`."""
    total = tf.reduce_sum(alpha, axis=-1)
    log_ratio = tf.math.lgamma(total) - tf.reduce_sum(tf.math.lgamma(alpha), axis=-1) - math.lgamma(alpha.shape[-1])
    expected_log_probs = tf.math.digamma(alpha) - tf.math.digamma(total)[..., tf.newaxis]
    return log_ratio + tf.reduce_sum((alpha - 1) * expected_log_probs, axis=-1)


_EVIDENCE: dict[str, Callable[..., Any]] = {"softplus": _softplus, "exp": _exp}
_DIRICHLET_LOSSES: dict[str, Callable[..., Any]] = {
    "squared_error": _expected_squared_error,
    "log": _log_loss,
    "cross_entropy": _expected_cross_entropy,
}


class NormalInverseGamma(Gaussian, Conjugate):
    """A normal-inverse-gamma distribution over the mean and the variance of a Gaussian.

        mean ~ N(gamma, variance / nu),    variance ~ InverseGamma(alpha, beta)

    Amini et al. 2020, https://arxiv.org/abs/1910.02600. Four outputs: gamma, and through softplus nu, alpha - 1 and
    beta, all of the standardised target. The loss is the negative log-density of the label once mean and variance are
    integrated out, a Student t with 2 alpha degrees of freedom; the regularizer is |y - gamma| (2 nu + alpha).

    A prediction is the Gaussian that has the mean and the variance of the Student t. Its variance is the sum of

        aleatoric  E[variance] = beta / (alpha - 1)    and    epistemic  Var[mean] = beta / (nu (alpha - 1)),

    of which `epistemic_stddev` is the root, in the target's own units.

    Args:
        mean: Mean of the training targets.
        stddev: Their standard deviation, above 0.

    Raises:
        InputError: The standard deviation is not above 0.
    """

    num_outputs = 4
    regularization = 0.01

    def loss(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        gamma, nu, alpha, beta = _split(outputs)
        error = self._standardized(labels, gamma) - gamma
        scale = 2 * beta * (1 + nu)
        return (
            0.5 * tf.math.log(math.pi / nu)
            - alpha * tf.math.log(scale)
            + (alpha + 0.5) * tf.math.log(nu * error**2 + scale)
            + tf.math.lgamma(alpha)
            - tf.math.lgamma(alpha + 0.5)
        )

    def regularizer(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        gamma, nu, alpha, _ = _split(outputs)
        return tf.abs(self._standardized(labels, gamma) - gamma) * (2 * nu + alpha)

    def predict(
        self,
        outputs: tf.Tensor,
        features: tf.Tensor | None = None,
        latent_variance: tf.Tensor | None = None,
        uncertainty: Mapping[str, tf.Tensor] | None = None,
        output_variance: tf.Tensor | None = None,
    ) -> Predictions:
        """See `Likelihood.predict`. Of several samples the uncertainty is the mean."""
        self.refuse(output_variance)
        gamma, nu, alpha, beta = (tf.cast(each, tf.float64) for each in _split(outputs))
        variance = beta / (alpha - 1)
        epistemic_stddev = self.stddev * tf.reduce_mean(tf.sqrt(variance / nu), axis=0)
        stddev = tf.sqrt(variance * (1 + 1 / nu))
        if latent_variance is not None:
            stddev *= tf.sqrt(1.0 + tf.cast(latent_variance, stddev.dtype))
        return Predictions(
            mean=self.mean + self.stddev * gamma,
            stddev=self.stddev * stddev,
            features=features,
            uncertainty={"epistemic_stddev": epistemic_stddev, **(uncertainty or {})},
        )


def _split(outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return gamma, nu, alpha and beta."""
    gamma, *rest = tf.unstack(outputs, axis=-1)
    nu, alpha, beta = (tf.nn.softplus(each) for each in rest)
    return gamma, nu + _LEAST_EVIDENCE, alpha + 1 + _LEAST_EVIDENCE, beta + LEAST_STDDEV**2


def conjugate(likelihood: Likelihood) -> Conjugate:
    """Return the likelihood whose outputs are a distribution over the parameters of another one.

    Args:
        likelihood: `Categorical` or `Gaussian`.

    Raises:
        InputError: It has none here.

    Example:
        >>> conjugate(likelihoods.get("categorical", num_classes=10))  # Dirichlet(10)
    """
    if likelihood.name not in _CONJUGATES:
        raise unknown_name("likelihood with a conjugate prior", likelihood.name, _CONJUGATES)
    return _CONJUGATES[likelihood.name](**likelihood.parameters)


_CONJUGATES: dict[str, Callable[..., Any]] = {"categorical": Dirichlet, "gaussian": NormalInverseGamma}
