"""Classes: a label is one of `num_classes`, and outputs are logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from uncertainty_suite import keras, metrics, tf
from uncertainty_suite.likelihoods.base import Likelihood, Saved, further_uncertainties
from uncertainty_suite.predictions import Predictions


class Categorical(Likelihood):
    """Class probabilities are the softmax of the outputs.

    Args:
        num_classes: Number of classes; the head has as many units.

    Example:
        >>> likelihood = Categorical(10)
        >>> loss = tf.reduce_mean(likelihood.loss(logits, labels))
    """

    name = "categorical"
    headline = ("accuracy", "nll", "brier", "ece")
    by_sample = ("samples", "logits")

    def __init__(self, num_classes: int) -> None:
        self.num_outputs = num_classes

    @property
    def parameters(self) -> dict[str, Any]:
        return {"num_classes": self.num_outputs}

    def loss(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        labels = _for_members(labels, outputs)
        return keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits=True)

    def progress(self, outputs: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        accuracy = keras.metrics.sparse_categorical_accuracy(_for_members(labels, outputs), outputs)
        return {"accuracy": tf.reduce_mean(accuracy)}

    def predict(
        self,
        outputs: tf.Tensor,
        features: tf.Tensor | None = None,
        latent_variance: tf.Tensor | None = None,
        uncertainty: Mapping[str, tf.Tensor] | None = None,
    ) -> Predictions:
        """See `Likelihood.predict`.

        A latent variance v divides logits by sqrt(1 + v), the mean-field approximation of the mean softmax (Lu, Ie, Sha
        2020, https://arxiv.org/abs/2006.07584).
        """
        if latent_variance is not None:
            outputs = outputs / tf.sqrt(1.0 + tf.cast(latent_variance, outputs.dtype)[..., tf.newaxis])
        return Predictions(
            probs=tf.nn.softmax(outputs), logits=outputs, features=features, uncertainty=dict(uncertainty or {})
        )

    @staticmethod
    def savable() -> dict[str, str]:
        return {"samples": "probs", "logits": "logits", "features": "features"}

    def to_saved(self, predictions: Predictions) -> Saved:
        samples = predictions.probs
        saved = {"probs": samples.mean(axis=0, dtype=np.float64).astype(np.float32)}
        uncertainty = dict(predictions.uncertainty)
        if len(samples) > 1:
            uncertainty["mutual_information"] = metrics.mutual_information(samples)
        return {**saved, **{f"uncertainty/{name}": each.astype(np.float32) for name, each in uncertainty.items()}}

    @staticmethod
    def metric_input(saved: Mapping[str, Any]) -> Any:
        return saved["probs"]

    @staticmethod
    def samples_input(predictions: Predictions) -> Any:
        return predictions.probs

    @staticmethod
    def uncertainties(saved: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `Likelihood.uncertainties`; the first one, `max_prob`, is one minus the largest probability."""
        return {"max_prob": 1.0 - saved["probs"].max(axis=-1), **further_uncertainties(saved)}

    @staticmethod
    def ood_summary(inside: Mapping[str, np.ndarray], outside: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Return `max_prob`, the mean largest probability there, and `oscr`, the open-set classification rate."""
        correct = inside["probs"].argmax(axis=-1) == inside["labels"]
        scores = [1.0 - saved["probs"].max(axis=-1) for saved in (inside, outside)]
        return {
            "max_prob": float(outside["probs"].max(axis=-1).mean(dtype=np.float64)),
            "oscr": metrics.oscr(*scores, correct),
        }


def _for_members(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Return labels `[batch]`, or `[batch, members]` where the outputs have members."""
    if outputs.shape.rank == 2:
        return labels
    return tf.broadcast_to(labels[:, tf.newaxis], tf.shape(outputs)[:2])
