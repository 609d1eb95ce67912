"""Batch normalisation by TensorFlow's fused kernel."""

from __future__ import annotations

from uncertainty_suite import keras, replicas, tf


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Normalise images `[batch, height, width, channels]` by one fused kernel, where Keras 3 uses a dozen operations.

    Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167. Same arguments, weights and values as Keras' layer, within
    rounding, and in bfloat16 the statistics are computed in float32 as there. Whatever the kernel does not cover (other
    ranks, another axis, float64 and integers, masks, renormalisation, synchronised statistics) is left to Keras' layer.
    In training on several replicas the statistics are those of the whole batch, however it is shared out.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        rank = len(inputs.shape)
        covered = rank == 4 and self.axis in (-1, 3) and self.center and self.scale
        covered = covered and inputs.dtype in (tf.float32, tf.float16, tf.bfloat16)
        renorm = getattr(self, "renorm", False)  # Keras has it from 3.14 on
        part = replicas.current()
        if part is not None and training and self.trainable and mask is None and not renorm:
            return self._of_whole_batch(inputs, part)
        if not covered or mask is not None or renorm or self.synchronized:
            return super().call(inputs, training=training, mask=mask)
        training = bool(training) and self.trainable
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            tf.cast(self.gamma, tf.float32),
            tf.cast(self.beta, tf.float32),
            None if training else tf.cast(self.moving_mean, tf.float32),
            None if training else tf.cast(self.moving_variance, tf.float32),
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            # The kernel gives the unbiased variance; Keras averages the biased one.
            count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), tf.float32)
            variance *= (count - 1) / count
            self._move(mean, variance)
        return tf.cast(outputs, self.compute_dtype)

    def _of_whole_batch(self, inputs: tf.Tensor, part: replicas.Part) -> tf.Tensor:
        """Normalise a replica's part with the mean and variance of the whole batch."""
        rank = len(inputs.shape)
        channels = self.axis % rank
        values = inputs if inputs.dtype == tf.float64 else tf.cast(inputs, tf.float32)
        mean, variance = tf.nn.moments(values, [axis for axis in range(rank) if axis != channels])
        whole_mean = replicas.sum_over(part.share * mean)
        # Deviations from the mean are added up, not squares, of which little would be left where the mean is large.
        whole_variance = replicas.sum_over(part.share * (variance + (mean - whole_mean) ** 2))
        self._move(whole_mean, whole_variance)
        shape = [inputs.shape[channels] if axis == channels else 1 for axis in range(rank)]
        gamma, beta = (
            None if weight is None else tf.reshape(tf.cast(weight, values.dtype), shape)
            for weight in (self.gamma, self.beta)
        )
        mean, variance = tf.reshape(whole_mean, shape), tf.reshape(whole_variance, shape)
        outputs = tf.nn.batch_normalization(values, mean, variance, beta, gamma, self.epsilon)
        return tf.cast(outputs, self.compute_dtype)

    def _move(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
        """Move the averages that prediction uses towards the statistics of a batch."""
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(tf.cast(moving, value.dtype) * self.momentum + value * (1 - self.momentum))
