"""What networks on token ids need besides embeddings and attention. The id 0 is padding."""

from __future__ import annotations

from uncertainty_suite import keras, tf


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class IsToken(keras.layers.Layer):
    """Return True for tokens and False for padding: booleans `[batch, length]` from ids `[batch, length]`."""

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        return tf.not_equal(ids, 0)

    def compute_output_spec(self, ids: keras.KerasTensor) -> keras.KerasTensor:
        return keras.KerasTensor(ids.shape, dtype="bool")


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class Positions(keras.layers.Layer):
    """Return the position of each token, 0, 1, 2, ...: integers `[batch, length]`.

    Tokens are ids `[batch, length]`, or vectors `[batch, length, d]`.
    """

    def call(self, tokens: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(tokens)[:2]
        return tf.broadcast_to(tf.range(shape[1]), shape)

    def compute_output_spec(self, tokens: keras.KerasTensor) -> keras.KerasTensor:
        return keras.KerasTensor(tokens.shape[:2], dtype="int32")


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class TokenMean(keras.layers.Layer):
    """Average vectors over the tokens of an example: `[batch, d]` from `[batch, length, d]`.

    The second argument says where there are tokens, `[batch, length]`. The mean over none is 0.
    """

    def call(self, inputs: tf.Tensor, is_token: tf.Tensor) -> tf.Tensor:
        is_token = tf.cast(is_token, tf.bool)[:, :, tf.newaxis]
        # Chosen, not multiplied: what stands in place of padding may be infinite.
        total = tf.reduce_sum(tf.where(is_token, inputs, tf.zeros([], inputs.dtype)), axis=1)
        return total / tf.maximum(tf.reduce_sum(tf.cast(is_token, inputs.dtype), axis=1), 1)

    def compute_output_shape(self, inputs_shape: tuple, is_token_shape: tuple) -> tuple[int | None, ...]:
        return (inputs_shape[0], inputs_shape[-1])


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class ZeroPadding(keras.layers.Layer):
    """Put zeros in place of the vectors of padding: `[batch, length, d]` from `[batch, length, d]`.

    The second argument says where there are tokens, `[batch, length]`.
    """

    def call(self, inputs: tf.Tensor, is_token: tf.Tensor) -> tf.Tensor:
        return tf.where(tf.cast(is_token, tf.bool)[:, :, tf.newaxis], inputs, tf.zeros([], inputs.dtype))

    def compute_output_shape(self, inputs_shape: tuple, is_token_shape: tuple) -> tuple[int | None, ...]:
        return inputs_shape


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class TokenMax(keras.layers.Layer):
    """Take the largest of each number over the tokens of an example: `[batch, d]` from `[batch, length, d]`.

    The second argument says where there are tokens, `[batch, length]`. The maximum over none is 0.
    """

    def call(self, inputs: tf.Tensor, is_token: tf.Tensor) -> tf.Tensor:
        is_token = tf.cast(is_token, tf.bool)[:, :, tf.newaxis]
        largest = tf.reduce_max(tf.where(is_token, inputs, inputs.dtype.min), axis=1)
        return tf.where(tf.reduce_any(is_token, axis=1), largest, tf.zeros([], inputs.dtype))

    def compute_output_shape(self, inputs_shape: tuple, is_token_shape: tuple) -> tuple[int | None, ...]:
        return (inputs_shape[0], inputs_shape[-1])
