"""An output layer that compares embeddings with a centroid of each class, which is a moving average of them."""

from __future__ import annotations

import math
from typing import Any

from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError

_INITIAL_COUNT = 13.0  # of each class, as in the code of the paper's authors
_LEAST_COUNT = 1e-20  # far above where float32 has too few digits for sum / count, and then 0 / 0


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class CentroidKernel(keras.layers.Layer):
    """Compare an embedding of the features for each class with the centroid of that class, by a Gaussian kernel.

        z_c = W_c f,    K_c = exp(-mean((z_c - e_c)^2) / (2 length_scale^2)),    outputs_c = log K_c

    Van Amersfoort et al. 2020, https://arxiv.org/abs/2003.02037, section 2. The centroid e_c = m_c / n_c is no trained
    weight: `update_centroids` moves it towards the embeddings of the class's examples in a batch,

        n_c <- momentum n_c + (1 - momentum) count_c,    m_c <- momentum m_c + (1 - momentum) sum z_c,

    and of a class that batches have lacked until hardly any count is left, it stays where it is.

    Computed in float32 whatever the global policy. Replicas of a distribution strategy add up their batches.

    Args:
        units: Number of classes.
        embedding_size: Dimensions of an embedding.
        length_scale: Length scale of the kernel.
        momentum: Of the moving averages, at least 0 and below 1.
        seed: Integer seed of W and of the first centroids; `None` takes one from Keras' global seed.

    Returns:
        Logarithms of the kernel `[batch, units]`, at most 0, for features `[batch, d]`. As logits they give the
        kernel's values divided by their sum.

    Raises:
        InputError: An argument is outside its range.

    Example:
        >>> layer = CentroidKernel(10)
        >>> log_kernel = layer(features)
        >>> layer.update_centroids(features, labels)
    """

    def __init__(
        self,
        units: int,
        embedding_size: int = 256,
        length_scale: float = 0.1,
        momentum: float = 0.999,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        for name, value in (("units", units), ("embedding_size", embedding_size), ("length_scale", length_scale)):
            if not value > 0:
                raise InputError(f"{name} must be above 0, received {value}.")
        if not 0 <= momentum < 1:
            raise InputError(f"momentum must be at least 0 and below 1, received {momentum}.")
        self.units = units
        self.embedding_size = embedding_size
        self.length_scale = length_scale
        self.momentum = momentum
        self.seed = seed

    def build(self, input_shape: tuple[Any, ...]) -> None:
        dimensions = input_shape[-1]
        kernel_seed, centroid_seed = (None, None) if self.seed is None else (2 * self.seed, 2 * self.seed + 1)
        stddev = math.sqrt(2 / (dimensions * self.units))  # as in the code of the paper's authors
        self.kernel = self.add_weight(  # W
            name="kernel",
            shape=(dimensions, self.units, self.embedding_size),
            initializer=keras.initializers.RandomNormal(stddev=stddev, seed=kernel_seed),
        )
        self.counts = self.add_weight(  # n
            name="counts",
            shape=(self.units,),
            initializer=keras.initializers.Constant(_INITIAL_COUNT),
            trainable=False,
        )
        self.sums = self.add_weight(  # m
            name="sums",
            shape=(self.units, self.embedding_size),
            initializer=keras.initializers.RandomNormal(stddev=0.05 * _INITIAL_COUNT, seed=centroid_seed),
            trainable=False,
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        centroids = self.sums / self.counts[:, tf.newaxis]
        distance = tf.reduce_mean((self._embed(inputs) - centroids) ** 2, axis=-1)
        return -distance / (2 * self.length_scale**2)

    def update_centroids(self, inputs: tf.Tensor, labels: tf.Tensor) -> None:
        """Move the centroids towards the embeddings of a batch.

        Args:
            inputs: Features `[batch, d]`; within `strategy.run` those of a replica.
            labels: Their classes `[batch]`.
        """
        of_class = tf.one_hot(labels, self.units)  # [batch, units]
        counts = tf.reduce_sum(of_class, axis=0)
        sums = tf.einsum("bk,bke->ke", of_class, self._embed(inputs))
        replica_context = tf.distribute.get_replica_context()
        if replica_context is not None and replica_context.num_replicas_in_sync > 1:
            counts, sums = replica_context.all_reduce(tf.distribute.ReduceOp.SUM, [counts, sums])
        counts = self.momentum * self.counts + (1 - self.momentum) * counts
        sums = self.momentum * self.sums + (1 - self.momentum) * sums
        known = counts > _LEAST_COUNT
        self.counts.assign(tf.where(known, counts, self.counts))
        self.sums.assign(tf.where(known[:, tf.newaxis], sums, self.sums))

    def _embed(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the embeddings z `[batch, units, embedding_size]`."""
        return tf.einsum("bd,dke->bke", tf.cast(inputs, tf.float32), self.kernel)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "embedding_size": self.embedding_size,
            "length_scale": self.length_scale,
            "momentum": self.momentum,
            "seed": self.seed,
        }
