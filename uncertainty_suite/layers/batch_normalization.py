"""Batch normalisation by TensorFlow's fused kernel."""

from __future__ import annotations

from uncertainty_suite import keras, tf


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Normalise images `[batch, height, width, channels]` by one fused kernel, where Keras 3 uses a dozen operations.

    Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167. Same arguments, weights and values as Keras' layer, within
    rounding, and in bfloat16 the statistics are computed in float32 as there. Whatever the kernel does not cover (other
    ranks, another axis, float64 and integers, masks, renormalisation, synchronised statistics) is left to Keras' layer.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        rank = len(inputs.shape)
        covered = rank == 4 and self.axis in (-1, 3) and self.center and self.scale
        covered = covered and inputs.dtype in (tf.float32, tf.float16, tf.bfloat16)
        if not covered or mask is not None or self.renorm or self.synchronized:
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
            for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(tf.cast(moving, tf.float32) * self.momentum + value * (1 - self.momentum))
        return tf.cast(outputs, self.compute_dtype)
