"""Classes: a label is one of `num_classes`, and outputs are logits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from uncertainty_suite import keras, metrics, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.likelihoods.base import Likelihood, Saved, further_uncertainties
from uncertainty_suite.metrics.recalibration import log_softmax
from uncertainty_suite.predictions import Predictions


class Categorical(Likelihood):
    """Class probabilities are the softmax of the outputs.

    The other arguments change the loss of training alone, in this order. With q the probabilities of the labels, p the
    softmax of the outputs and K classes, the loss is -sum_k q_k (1 - p_k)^gamma log p_k.

    Args:
        num_classes: Number of classes; the head has as many units.
        logit_norm: A temperature t: p is the softmax of outputs / (t |outputs|) (Wei et al. 2022,
            https://arxiv.org/abs/2205.09310). 0 for none.
        label_smoothing: A share s: q is (1 - s) times that of the label, plus s / K (Szegedy et al. 2016,
            https://arxiv.org/abs/1512.00567).
        focal_gamma: gamma, by which what is classified well counts less (Lin et al. 2017,
            https://arxiv.org/abs/1708.02002).
        outlier_weight: A weight w of outliers, which have the label -1 and are half of a batch: their q is 1 / K of
            each class. The losses are multiplied by 2, and of outliers by 2 w, so that the mean over a batch is that
            over the others plus w times that over outliers (Hendrycks et al. 2019, https://arxiv.org/abs/1812.04606).
            0 where there are none.

    Example:
        >>> likelihood = Categorical(10)
        >>> loss = tf.reduce_mean(likelihood.loss(logits, labels))
    """

    name = "categorical"
    headline = ("accuracy", "nll", "brier", "ece")
    calibration = "temperature_scaling"
    calibration_options = {"from_logits": True}  # noqa: RUF012 - never written to
    has_errors = True
    criterion = "nll"
    by_sample = ("samples", "logits")

    def __init__(
        self,
        num_classes: int,
        logit_norm: float = 0.0,
        label_smoothing: float = 0.0,
        focal_gamma: float = 0.0,
        outlier_weight: float = 0.0,
    ) -> None:
        self.num_outputs = num_classes
        self._logit_norm = logit_norm
        self._label_smoothing = label_smoothing
        self._focal_gamma = focal_gamma
        self._outlier_weight = outlier_weight

    @property
    def parameters(self) -> dict[str, Any]:
        """See `Likelihood.parameters`: without what changes the loss alone."""
        return {"num_classes": self.num_outputs}

    def loss(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """See `Likelihood.loss`; labels may be probabilities, float `[batch, classes]`, too."""
        soft = tf.as_dtype(labels.dtype).is_floating
        if self._outlier_weight > 0:
            outlier = (labels < 0)[:, tf.newaxis]
            probs = tf.where(outlier, 1 / self.num_outputs, tf.one_hot(labels, self.num_outputs))
            loss = self._of_probs(outputs, probs)
            weights = tf.where(outlier[:, 0], 2 * self._outlier_weight, 2.0)
            return loss * (weights if loss.shape.rank == 1 else weights[:, tf.newaxis])
        if not soft and self._logit_norm == self._label_smoothing == self._focal_gamma == 0:
            labels = _for_members(labels, outputs)
            return keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits=True)
        probs = tf.cast(labels, outputs.dtype) if soft else tf.one_hot(labels, self.num_outputs, dtype=outputs.dtype)
        return self._of_probs(outputs, probs)

    def _of_probs(self, outputs: tf.Tensor, probs: tf.Tensor) -> tf.Tensor:
        """Return the loss of labels that are probabilities, `[batch, classes]`."""
        if outputs.shape.rank == 3:
            probs = probs[:, tf.newaxis]
        if self._logit_norm > 0:
            outputs /= self._logit_norm * (tf.norm(outputs, axis=-1, keepdims=True) + 1e-7)
        if self._label_smoothing > 0:
            probs = (1 - self._label_smoothing) * probs + self._label_smoothing / self.num_outputs
        log_probs = tf.nn.log_softmax(outputs)
        if self._focal_gamma > 0:
            probs *= (1 - tf.exp(log_probs)) ** self._focal_gamma
        return -tf.reduce_sum(probs * log_probs, axis=-1)

    def progress(self, outputs: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Likelihood.progress`; of probabilities the most probable label is taken, and outliers are left out."""
        if tf.as_dtype(labels.dtype).is_floating:
            labels = tf.argmax(labels, axis=-1, output_type=tf.int32)
        accuracy = keras.metrics.sparse_categorical_accuracy(_for_members(labels, outputs), outputs)
        if self._outlier_weight > 0:
            inside = tf.cast(_for_members(labels, outputs) >= 0, accuracy.dtype)
            return {"accuracy": tf.math.divide_no_nan(tf.reduce_sum(inside * accuracy), tf.reduce_sum(inside))}
        return {"accuracy": tf.reduce_mean(accuracy)}

    def predict(
        self,
        outputs: tf.Tensor,
        features: tf.Tensor | None = None,
        latent_variance: tf.Tensor | None = None,
        uncertainty: Mapping[str, tf.Tensor] | None = None,
        output_variance: tf.Tensor | None = None,
    ) -> Predictions:
        """See `Likelihood.predict`.

        A latent variance v divides logits by sqrt(1 + v), the mean-field approximation of the mean softmax (Lu, Ie, Sha
        2020, https://arxiv.org/abs/2006.07584). Variances v of the outputs divide each logit by sqrt(1 + pi / 8 v), as
        the probit approximation of a sigmoid has it (MacKay 1992).
        """
        if output_variance is not None:
            outputs = outputs / tf.sqrt(1.0 + math.pi / 8 * tf.cast(output_variance, outputs.dtype))
        if latent_variance is not None:
            outputs = outputs / tf.sqrt(1.0 + tf.cast(latent_variance, outputs.dtype)[..., tf.newaxis])
        return Predictions(
            probs=tf.nn.softmax(outputs), logits=outputs, features=features, uncertainty=dict(uncertainty or {})
        )

    @property
    def num_latents(self) -> int:
        return self.num_outputs  # all logits

    def fisher_information(self, outputs: tf.Tensor) -> tf.Tensor:
        """See `Likelihood.fisher_information`: of all logits, diag(p) - p p^T."""
        probs = tf.nn.softmax(outputs)
        return tf.linalg.diag(probs) - probs[..., tf.newaxis] * probs[..., tf.newaxis, :]

    def expected_loss(self, outputs: tf.Tensor, output_variance: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """See `Likelihood.expected_loss`: the bound logsumexp(mean + variance / 2) - mean of the label's logit.

        By Jensen's inequality, as in Harrison, Willes and Snoek 2024 (https://arxiv.org/abs/2404.11599, equation 12).
        """
        label_logits = tf.gather(outputs, tf.cast(labels, tf.int32), batch_dims=1)
        return tf.reduce_logsumexp(outputs + output_variance / 2, axis=-1) - label_logits

    @staticmethod
    def savable() -> dict[str, str]:
        return {"samples": "probs", "logits": "logits", "features": "features"}

    @staticmethod
    def to_saved(predictions: Predictions) -> Saved:
        """See `Likelihood.to_saved`: `log_probs` `[n, classes]`, the logarithm of the mean probability over samples.

        It is computed in float64, from logits where there are any: a probability of 1 - 1e-12 and one of 1 - 1e-9 are
        the same number in float32, and would tie two examples that the network tells apart.
        """
        samples = sample_log_probs(predictions)
        mean = _log_sum_exp(samples, axis=0) - np.log(len(samples))
        uncertainty = dict(predictions.uncertainty)
        if len(samples) > 1:
            uncertainty["mutual_information"] = metrics.mutual_information(np.exp(samples))
            uncertainty["expected_entropy"] = metrics.expected_entropy(np.exp(samples))
        further = {f"uncertainty/{name}": each.astype(np.float32) for name, each in uncertainty.items()}
        return {"log_probs": mean.astype(np.float32), **further}

    @staticmethod
    def num_samples(saved: Mapping[str, Any]) -> int:
        return len(_samples_of(saved))

    @staticmethod
    def of_members(saved: Mapping[str, Any], members: Sequence[int]) -> Saved:
        return Categorical.to_saved(Predictions(probs=_samples_of(saved)[members]))

    @staticmethod
    def metric_input(saved: Mapping[str, Any]) -> Any:
        """See `Likelihood.metric_input`: probabilities, float64 `[n, classes]`."""
        probs = np.exp(saved["log_probs"].astype(np.float64))
        return probs / probs.sum(axis=-1, keepdims=True)

    @staticmethod
    def calibration_input(saved: Mapping[str, Any]) -> Any:
        """See `Likelihood.calibration_input`: logits, which the logarithms of probabilities are."""
        return saved["log_probs"].astype(np.float64)

    @staticmethod
    def samples_input(predictions: Predictions) -> Any:
        return predictions.probs

    @staticmethod
    def uncertainties(saved: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `Likelihood.uncertainties`; the first one, `max_prob`, is log(1 - p), p being the largest probability."""
        return {"max_prob": log_probability_of_others(saved["log_probs"]), **further_uncertainties(saved)}

    @staticmethod
    def decomposed(saved: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
        """See `Likelihood.decomposed`: the expected entropy and the mutual information, in nats."""
        if "uncertainty/mutual_information" not in saved:
            return None
        return saved["uncertainty/expected_entropy"], saved["uncertainty/mutual_information"]

    @staticmethod
    def ood_summary(inside: Mapping[str, np.ndarray], outside: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Return `max_prob`, the mean largest probability there, and `oscr`, the open-set classification rate."""

        def uncertainty(saved: Saved) -> np.ndarray:
            return log_probability_of_others(saved["log_probs"])

        by_example = Categorical.by_example
        correct = by_example(lambda saved: saved["log_probs"].argmax(axis=-1) == saved["labels"], dict(inside))
        scores = [by_example(uncertainty, dict(saved)) for saved in (inside, outside)]
        max_prob = by_example(lambda saved: Categorical.metric_input(saved).max(axis=-1), dict(outside))
        return {"max_prob": float(max_prob.mean()), "oscr": metrics.oscr(*scores, correct)}


def log_probability_of_others(log_probs: np.ndarray) -> np.ndarray:
    """Return log(1 - p) of each example, p being its largest probability, by log-sum-exp over the other classes.

    Args:
        log_probs: Logarithms of probabilities, or logits, `[n, classes]`.

    Returns:
        float64 `[n]`, at most 0. It orders examples as 1 - p does, and those too whose p rounds to 1.
    """
    others = log_probs.astype(np.float64)
    total = _log_sum_exp(others, axis=-1)
    others[np.arange(len(others)), others.argmax(axis=-1)] = -np.inf
    return _log_sum_exp(others, axis=-1) - total


def _log_sum_exp(values: np.ndarray, axis: int) -> np.ndarray:
    highest = values.max(axis=axis, keepdims=True)
    return np.log(np.exp(values - highest).sum(axis=axis)) + highest.squeeze(axis)


def _samples_of(saved: Mapping[str, Any]) -> np.ndarray:
    if "samples" not in saved:
        raise InputError(
            "Only the mean over samples is saved: predict anew with --save samples, or run with "
            "--config.evaluation.save=\"('samples',)\"."
        )
    return saved["samples"]


def sample_log_probs(predictions: Predictions) -> np.ndarray:
    """Return the logarithm of each sample's probabilities, float64 `[samples, n, classes]`."""
    if predictions.logits is None:
        probs = np.asarray(predictions.probs)
        least = np.finfo(probs.dtype).smallest_subnormal  # what rounded to zero was below that
        return np.log(np.maximum(probs, least).astype(np.float64))
    return log_softmax(np.asarray(predictions.logits, np.float64))


def _for_members(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Return labels `[batch]`, or `[batch, members]` where the outputs have members."""
    if outputs.shape.rank == 2:
        return labels
    return tf.broadcast_to(labels[:, tf.newaxis], tf.shape(outputs)[:2])
