"""Dropout that stays on at prediction time."""

import keras
import tensorflow as tf

from uncertainty_suite.errors import InputError


def _random_mask(shape: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
    """Return booleans of a shape that are False with probability `rate`.

    Drawing the mask is most of the work of a forward pass through dropout, so no more random bits are drawn for a value
    than the rate needs: 8 for a multiple of 1/256 such as 0.25 or 0.5, else 32.
    """
    size = tf.reduce_prod(shape)
    threshold = rate * 256
    if threshold == int(threshold):
        words = tf.random.stateless_uniform([-(-size // 4)], seed, minval=None, maxval=None, dtype=tf.uint32)
        kept = tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:size] >= tf.constant(int(threshold), tf.uint8)
    else:
        kept = tf.random.stateless_uniform([size], seed) >= rate
    return tf.reshape(kept, shape)


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class MonteCarloDropout(keras.layers.Layer):
    """Drop inputs at random in training *and* in prediction.

    Each call returns `inputs * mask / (1 - rate)` with a fresh mask, so that repeated predictions are samples of an
    approximate posterior (Gal and Ghahramani 2016, https://arxiv.org/abs/1506.02142). The `training` argument makes no
    difference. The usual `keras.layers.Dropout(rate)(x, training=True)` would not do: `model.predict` overrides it.

    The state of the random numbers is a variable of the layer (`layer.seed_generator.state`, also in
    `model.variables`). Keras saves it nowhere: an exact resume sets or checkpoints it explicitly.

    Args:
        rate: Fraction of the inputs to drop, in [0, 1). With 0 the layer is the identity and has no state.
        noise_shape: Shape of the mask, broadcast to the inputs; `None` entries take the size of the inputs.
        filterwise: Whether to drop whole channels (last axis) of an example rather than single values: the mask has
            shape `[batch, 1, ..., 1, channels]`. Not to be combined with `noise_shape`.
        seed: Integer seed of the masks; `None` takes one from Keras' global seed.

    Returns:
        A tensor of the shape and type of the inputs.

    Raises:
        InputError: If an argument is outside its range.

    Example:
        >>> layer = MonteCarloDropout(0.5, seed=1)
        >>> layer(tf.ones((1, 4)), training=False)  # about half of the entries are 0, the rest 2
    """

    def __init__(
        self,
        rate: float,
        noise_shape: tuple[int | None, ...] | None = None,
        filterwise: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise InputError(f"The dropout rate must be at least 0 and below 1, received {rate}.")
        if filterwise and noise_shape is not None:
            raise InputError("Give either noise_shape or filterwise=True, not both.")
        self.rate = rate
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.filterwise = filterwise
        self.seed = seed
        self.supports_masking = True
        if rate > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        del training  # Always on.
        if self.rate == 0:
            return inputs
        seed = self.seed_generator.next()
        replica_context = tf.distribute.get_replica_context()
        if replica_context is not None:
            # Replicas hold equal generators but see different examples: without this they would share their masks.
            replica = tf.cast(replica_context.replica_id_in_sync_group, seed.dtype)
            seed += tf.stack([tf.zeros_like(replica), 2**32 * replica])
        kept = _random_mask(self._mask_shape(inputs), self.rate, seed)
        return tf.where(kept, inputs / (1 - self.rate), tf.zeros((), inputs.dtype))

    def _mask_shape(self, inputs: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(inputs)
        if self.filterwise:
            return tf.concat([shape[:1], tf.ones_like(shape[1:-1]), shape[-1:]], axis=0)
        if self.noise_shape is not None:
            return tf.stack([shape[i] if size is None else size for i, size in enumerate(self.noise_shape)])
        return shape

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "rate": self.rate,
            "noise_shape": self.noise_shape,
            "filterwise": self.filterwise,
            "seed": self.seed,
        }
