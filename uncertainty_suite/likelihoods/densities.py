"""Likelihoods of targets beyond one Gaussian: mixtures and quantiles, whose predictions are mixtures of Gaussians.

A method makes one of a task's Gaussian likelihood, in its place: its predictions are of the same kind, equally weighted
samples, so all that comes after them stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uncertainty_suite import tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.likelihoods.gaussian import HALF_LOG_2PI, LEAST_STDDEV, Gaussian
from uncertainty_suite.predictions import Predictions

_FIRST_SPAN = 4.0  # of all quantiles, in standard deviations of the target, where outputs are near zero: about 3


class GaussianMixture(Gaussian):
    """A mixture of Gaussians whose weights, means and standard deviations are outputs.

        p(y) = sum_k w_k N(y; mean_k, stddev_k^2),    w = softmax(.)

    Bishop 1994, *Mixture Density Networks*. The head has three units for each component: first the logits of the
    weights, then the means, then the standard deviations through softplus, all of the standardised target.

    Predictions are mixtures of equal weights, `num_samples` of them: a component stands for as many of them as its
    weight says, rounded so that the shares of the first k components are right to half of one sample, for each k. The
    spread of the means counts as epistemic there, as in Choi et al. 2018, https://arxiv.org/abs/1709.02249.

    Args:
        mean: Mean of the training targets.
        stddev: Their standard deviation, above 0.
        num_components: Components.
        num_samples: Equally weighted Gaussians of a prediction.

    Raises:
        InputError: An argument is outside its range.

    Example:
        >>> likelihood = GaussianMixture(mean=22.5, stddev=9.2, num_components=3)
        >>> likelihood.predict(outputs[tf.newaxis]).mean  # [100, batch], of three different values an example
    """

    def __init__(self, mean: float, stddev: float, num_components: int = 5, num_samples: int = 100) -> None:
        super().__init__(mean, stddev)
        if num_components < 1 or num_samples < 1:
            raise InputError(
                f"A mixture has at least one component and one sample, received {num_components} and {num_samples}."
            )
        self.num_outputs = 3 * num_components
        self._num_samples = num_samples

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            **super().parameters,
            "num_components": self.num_outputs // 3,
            "num_samples": self._num_samples,
        }

    def loss(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """See `Likelihood.loss`: of the standardised target."""
        log_weights, means, stddevs = _components(outputs)
        error = self._standardized(labels, means[..., 0])[..., tf.newaxis] - means
        log_density = -0.5 * (error / stddevs) ** 2 - tf.math.log(stddevs) - HALF_LOG_2PI
        return -tf.reduce_logsumexp(log_weights + log_density, axis=-1)

    def progress(self, outputs: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        log_weights, means, _ = _components(outputs)
        mean = tf.reduce_sum(tf.exp(log_weights) * means, axis=-1)
        return {"mse": tf.reduce_mean((self._standardized(labels, mean) - mean) ** 2)}

    def predict(
        self,
        outputs: tf.Tensor,
        features: tf.Tensor | None = None,
        latent_variance: tf.Tensor | None = None,
        uncertainty: Mapping[str, tf.Tensor] | None = None,
        output_variance: tf.Tensor | None = None,
    ) -> Predictions:
        """See `Likelihood.predict`; each sample of the outputs becomes `num_samples` ones."""
        self.refuse(output_variance)
        log_weights, means, stddevs = _components(outputs)  # [samples, batch, components]
        until = tf.cumsum(tf.exp(log_weights), axis=-1)[..., :-1]
        levels = (tf.range(self._num_samples, dtype=until.dtype) + 0.5) / self._num_samples
        # The component in whose share of the unit interval a level lies.
        which = tf.reduce_sum(tf.cast(levels[:, tf.newaxis] > until[..., tf.newaxis, :], tf.int32), axis=-1)
        return _in_units(
            self,
            _samples_first(tf.gather(means, which, batch_dims=2)),
            _samples_first(tf.gather(stddevs, which, batch_dims=2)),
            *(features, latent_variance, uncertainty),
        )


class Quantiles(Gaussian):
    """Quantiles of the target at equally spaced levels, which never cross.

        q_1 = o_1,    q_{i+1} = q_i + gap_i,    gap_i = softplus(.) > 0,    at the levels (i - 1/2) / num_quantiles

    The loss is twice the mean of the pinball loss max(level (y - q), (level - 1) (y - q)) over the levels (Koenker and
    Bassett 1978), which nears the CRPS as they grow in number; it is no likelihood.

    A prediction is a mixture of equal weights of one Gaussian at each quantile, as wide as the mean distance to its
    neighbours: what lies between the quantiles is smooth, and what lies beyond the outer ones is that Gaussian's tail.
    All of its variance is aleatoric: `epistemic_stddev` is 0.

    Args:
        mean: Mean of the training targets.
        stddev: Their standard deviation, above 0.
        num_quantiles: Quantiles, at least 2.

    Raises:
        InputError: An argument is outside its range.
    """

    def __init__(self, mean: float, stddev: float, num_quantiles: int = 20) -> None:
        super().__init__(mean, stddev)
        if num_quantiles < 2:
            raise InputError(f"There must be at least 2 quantiles, received {num_quantiles}.")
        self.num_outputs = num_quantiles

    @property
    def parameters(self) -> dict[str, Any]:
        return {**super().parameters, "num_quantiles": self.num_outputs}

    def quantiles(self, outputs: tf.Tensor) -> tf.Tensor:
        """Return the quantiles of the standardised target, of the shape of the outputs, in ascending order."""
        gaps = LEAST_STDDEV / self.num_outputs + tf.nn.softplus(outputs[..., 1:]) * (_FIRST_SPAN / self.num_outputs)
        return tf.cumsum(tf.concat([outputs[..., :1], gaps], axis=-1), axis=-1)

    def loss(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        quantiles = self.quantiles(outputs)
        error = self._standardized(labels, quantiles[..., 0])[..., tf.newaxis] - quantiles
        levels = (tf.range(self.num_outputs, dtype=error.dtype) + 0.5) / self.num_outputs
        return 2 * tf.reduce_mean(tf.maximum(levels * error, (levels - 1) * error), axis=-1)

    def progress(self, outputs: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        mean = tf.reduce_mean(self.quantiles(outputs), axis=-1)
        return {"mse": tf.reduce_mean((self._standardized(labels, mean) - mean) ** 2)}

    def predict(
        self,
        outputs: tf.Tensor,
        features: tf.Tensor | None = None,
        latent_variance: tf.Tensor | None = None,
        uncertainty: Mapping[str, tf.Tensor] | None = None,
        output_variance: tf.Tensor | None = None,
    ) -> Predictions:
        """See `Likelihood.predict`; each sample of the outputs becomes one for each quantile."""
        self.refuse(output_variance)
        quantiles = self.quantiles(outputs)  # [samples, batch, quantiles]
        gaps = quantiles[..., 1:] - quantiles[..., :-1]
        below, above = tf.concat([gaps[..., :1], gaps], axis=-1), tf.concat([gaps, gaps[..., -1:]], axis=-1)
        own = {"epistemic_stddev": tf.zeros(tf.shape(outputs)[1:2], tf.float64)}
        return _in_units(
            self,
            _samples_first(quantiles),
            _samples_first((below + above) / 2),
            *(features, latent_variance, {**own, **(uncertainty or {})}),
        )


def _components(outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the logarithms of the weights, the means and the standard deviations, each `[..., components]`."""
    logits, means, scales = tf.split(outputs, 3, axis=-1)
    return tf.nn.log_softmax(logits), means, LEAST_STDDEV + tf.nn.softplus(scales)


def _samples_first(values: tf.Tensor) -> tf.Tensor:
    """Return `[samples * n, batch]` of `[samples, batch, n]`."""
    values = tf.transpose(values, [0, 2, 1])
    return tf.reshape(values, [-1, tf.shape(values)[2]])


def _in_units(
    likelihood: Gaussian,
    mean: tf.Tensor,
    stddev: tf.Tensor,
    features: tf.Tensor | None,
    latent_variance: tf.Tensor | None,
    uncertainty: Mapping[str, tf.Tensor] | None,
) -> Predictions:
    """Return predictions `[samples, batch]` of the standardised target in the target's own units."""
    if latent_variance is not None:
        stddev *= tf.sqrt(1.0 + tf.cast(latent_variance, stddev.dtype))
    return Predictions(
        mean=likelihood.mean + likelihood.stddev * tf.cast(mean, tf.float64),
        stddev=likelihood.stddev * tf.cast(stddev, tf.float64),
        features=features,
        uncertainty=dict(uncertainty or {}),
    )
