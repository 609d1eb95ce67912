"""Real numbers: a label is a target, and outputs are the mean and the scale of a Gaussian around it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from uncertainty_suite import tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.likelihoods.base import Likelihood, Saved, further_uncertainties
from uncertainty_suite.predictions import Predictions

LEAST_STDDEV = 1e-3  # of the standardised target, so that one example fitted exactly has no infinite likelihood
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class Gaussian(Likelihood):
    """Two outputs: the mean of the standardised target, and through softplus its standard deviation.

    Networks are trained on targets less their mean and divided by their standard deviation; predictions and metrics are
    in the target's own units (Lakshminarayanan et al. 2017, https://arxiv.org/abs/1612.01474, section 2.2.1). Several
    samples are a mixture of Gaussians of equal weight.

    Args:
        mean: Mean of the training targets.
        stddev: Their standard deviation, above 0.

    Raises:
        InputError: The standard deviation is not above 0.

    Example:
        >>> likelihood = Gaussian(mean=22.5, stddev=9.2)
        >>> likelihood.predict(outputs[tf.newaxis]).mean  # [1, batch], near 22.5
    """

    name = "gaussian"
    num_outputs = 2
    num_latents = 1  # the mean
    headline = (
        *("rmse", "gaussian_nll", "crps"),
        *("interval_coverage", "interval_width", "quantile_calibration_error"),
    )
    calibration = "stddev_scaling"
    criterion = "gaussian_nll"
    by_sample = ("mean", "stddev")

    def __init__(self, mean: float, stddev: float) -> None:
        if not stddev > 0:
            raise InputError(f"The training targets have a standard deviation of {stddev}: there is nothing to learn.")
        self.mean = float(mean)
        self.stddev = float(stddev)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"mean": self.mean, "stddev": self.stddev}

    def loss(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """See `Likelihood.loss`: of the standardised target."""
        mean, stddev = _split(outputs)
        return 0.5 * ((self._standardized(labels, mean) - mean) / stddev) ** 2 + tf.math.log(stddev) + HALF_LOG_2PI

    def progress(self, outputs: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Likelihood.progress`: `mse`, the mean squared error of the standardised target."""
        mean, _ = _split(outputs)
        return {"mse": tf.reduce_mean((self._standardized(labels, mean) - mean) ** 2)}

    def predict(
        self,
        outputs: tf.Tensor,
        features: tf.Tensor | None = None,
        latent_variance: tf.Tensor | None = None,
        uncertainty: Mapping[str, tf.Tensor] | None = None,
        output_variance: tf.Tensor | None = None,
    ) -> Predictions:
        """See `Likelihood.predict`.

        A latent variance v, in units of the noise variance, multiplies the standard deviation by sqrt(1 + v), as in
        Bayesian linear regression. The variance of the outputs, that of the mean `[batch, 1]`, is added to the noise's.
        """
        mean, stddev = _split(outputs)
        if output_variance is not None:
            stddev = tf.sqrt(stddev**2 + tf.cast(output_variance[:, 0], stddev.dtype))
        if latent_variance is not None:
            stddev *= tf.sqrt(1.0 + tf.cast(latent_variance, stddev.dtype))
        return Predictions(
            mean=self.mean + self.stddev * tf.cast(mean, tf.float64),
            stddev=self.stddev * tf.cast(stddev, tf.float64),
            features=features,
            uncertainty=dict(uncertainty or {}),
        )

    def fisher_information(self, outputs: tf.Tensor) -> tf.Tensor:
        """See `Likelihood.fisher_information`: of the mean alone, one over the variance, `[batch, 1, 1]`."""
        _, stddev = _split(outputs)
        return (stddev**-2)[..., tf.newaxis, tf.newaxis]

    def expected_loss(self, outputs: tf.Tensor, output_variance: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """See `Likelihood.expected_loss`; exact."""
        _, stddev = _split(outputs)
        return self.loss(outputs, labels) + output_variance[:, 0] / (2 * stddev**2)

    @staticmethod
    def savable() -> dict[str, str]:
        return {"features": "features"}

    @staticmethod
    def to_saved(predictions: Predictions) -> Saved:
        """See `Likelihood.to_saved`: every sample, since a mixture is not its moments."""
        further = {f"uncertainty/{name}": each.astype(np.float32) for name, each in predictions.uncertainty.items()}
        return {"mean": predictions.mean, "stddev": predictions.stddev, **further}

    @staticmethod
    def num_samples(saved: Mapping[str, Any]) -> int:
        return len(saved["mean"])

    @staticmethod
    def of_members(saved: Mapping[str, Any], members: Sequence[int]) -> Saved:
        return {name: saved[name][members] for name in Gaussian.by_sample}

    @staticmethod
    def metric_input(saved: Mapping[str, Any]) -> Any:
        return saved["mean"], saved["stddev"]

    @staticmethod
    def calibration_input(saved: Mapping[str, Any]) -> Any:
        return Gaussian.metric_input(saved)

    @staticmethod
    def samples_input(predictions: Predictions) -> Any:
        return predictions.mean, predictions.stddev

    @staticmethod
    def uncertainties(saved: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `Likelihood.uncertainties`; the first one, `stddev`, is that of the mixture.

        With several samples there is `epistemic_stddev` too, the standard deviation of their means.
        """
        spread = saved["mean"].var(axis=0)
        total = np.sqrt((saved["stddev"] ** 2).mean(axis=0) + spread)
        epistemic = {"epistemic_stddev": np.sqrt(spread)} if len(saved["mean"]) > 1 else {}
        return {"stddev": total, **epistemic, **further_uncertainties(saved)}

    @staticmethod
    def decomposed(saved: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
        """See `Likelihood.decomposed`: the mean of the variances and the variance of the means.

        Where the method itself says what part of the variance is epistemic, as `epistemic_stddev`, it is that.
        """
        if "uncertainty/epistemic_stddev" in saved:
            epistemic = saved["uncertainty/epistemic_stddev"].astype(np.float64) ** 2
            return Gaussian.uncertainties(saved)["stddev"] ** 2 - epistemic, epistemic
        if len(saved["mean"]) == 1:
            return None
        return (saved["stddev"] ** 2).mean(axis=0), saved["mean"].var(axis=0)

    @staticmethod
    def ood_summary(inside: Mapping[str, np.ndarray], outside: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Return `stddev`, the mean standard deviation of predictions there."""
        return {"stddev": float(Gaussian.uncertainties(outside)["stddev"].mean())}

    def _standardized(self, labels: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
        labels = (tf.cast(labels, tf.float64) - self.mean) / self.stddev
        labels = tf.cast(labels, like.dtype)
        return labels[:, tf.newaxis] if like.shape.rank == 2 else labels


def _split(outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the mean and the standard deviation of the standardised target."""
    return outputs[..., 0], LEAST_STDDEV + tf.nn.softplus(outputs[..., 1])
