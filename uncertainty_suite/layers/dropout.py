"""Dropout whose masks are cheap to draw, and dropout that stays on at prediction time."""

from __future__ import annotations

from typing import Any

from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers.draws import draw_for_rows, random_mask


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class Dropout(keras.layers.Layer):
    """Drop inputs at random in training, by masks that take half of the random bits of Keras' layer, or fewer.

    Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html. Same arguments and distribution as Keras'
    layer, but other masks for the same seed. Replicas that share a batch out draw the masks of the whole batch and take
    their part, so that an example's mask does not depend on their number.

    Args:
        rate: Fraction of the inputs to drop, in [0, 1), rounded to the nearest multiple of 1/65536, by which the kept
            values are scaled, too. With 0 the layer is the identity and has no state.
        noise_shape: Shape of the mask, broadcast to the inputs; `None` entries take the size of the inputs.
        seed: Integer seed of the masks; `None` takes one from Keras' global seed.

    Returns:
        A tensor of the shape and type of the inputs.

    Raises:
        InputError: If the rate is outside its range.

    Example:
        >>> layer = Dropout(0.5, seed=1)
        >>> layer(tf.ones((1, 4)), training=True)  # about half of the entries are 0, the rest 2
    """

    def __init__(
        self, rate: float, noise_shape: tuple[int | None, ...] | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise InputError(f"The dropout rate must be at least 0 and below 1, received {rate}.")
        self.rate = rate
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed = seed
        self.supports_masking = True
        if rate > 0:
            # Named after the layer: by default the path of its state depends on how many generators there were before.
            self.seed_generator = keras.random.SeedGenerator(seed, name=self.name)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        return self._drop(inputs, self._mask_shape(inputs)) if training and self.rate > 0 else inputs

    def _mask_shape(self, inputs: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(inputs)
        if self.noise_shape is None:
            return shape
        return tf.stack([shape[i] if size is None else size for i, size in enumerate(self.noise_shape)])

    def _mask(self, inputs: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        def draw(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
            return random_mask(shape, self.rate, seed, inputs.dtype)

        if self.noise_shape is not None and self.noise_shape[0] is not None:  # one mask for all examples
            return draw(shape, self.seed_generator.next())
        return draw_for_rows(draw, shape, inputs.shape[0], self.seed_generator.next())

    def _drop(self, inputs: tf.Tensor, mask_shape: tf.Tensor) -> tf.Tensor:
        mask = self._mask(inputs, mask_shape)
        # What is dropped is 0, even if it was infinite or NaN. The operation takes no longer than a product, but GPUs
        # may have it in float32 only and not in bfloat16, whose products float32 holds exactly.
        if inputs.dtype == tf.bfloat16:
            product = tf.math.multiply_no_nan(tf.cast(inputs, tf.float32), tf.cast(mask, tf.float32))
            return tf.cast(product, tf.bfloat16)
        return tf.math.multiply_no_nan(inputs, mask)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "noise_shape": self.noise_shape, "seed": self.seed}


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class MonteCarloDropout(Dropout):
    """Drop inputs at random in training *and* in prediction.

    Each call returns `inputs * mask / (1 - rate)` with a fresh mask, so that repeated predictions are samples of an
    approximate posterior (Gal and Ghahramani 2016, https://arxiv.org/abs/1506.02142). The `training` argument turns
    nothing off. The usual `keras.layers.Dropout(rate)(x, training=True)` would not do: `model.predict` overrides it.

    The state of the random numbers is a variable of the layer (`layer.seed_generator.state`, also in
    `model.variables`). Keras saves it nowhere: an exact resume sets or checkpoints it explicitly.

    Args:
        rate: Fraction of the inputs to drop, in [0, 1), rounded to the nearest multiple of 1/65536. With 0 the layer is
            the identity and has no state.
        noise_shape: Shape of the mask, broadcast to the inputs; `None` entries take the size of the inputs.
        filterwise: Whether to drop whole channels (last axis) of an example rather than single values: the mask has
            shape `[batch, 1, ..., 1, channels]`. Not to be combined with `noise_shape`.
        shared_masks: Whether in prediction all examples of a batch share one mask, which is cheaper to draw. The
            outputs of each example are distributed as before, but those of a batch depend on each other. Training
            calls (`training=True`) draw independent masks all the same.
        seed: Integer seed of the masks; `None` takes one from Keras' global seed.

    Attributes:
        stochastic: Whether predictions are random: the rate is above 0.
        draws_per_example: Whether in prediction each example of a batch has a mask of its own.

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
        shared_masks: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(rate, noise_shape, seed, **kwargs)
        if filterwise and noise_shape is not None:
            raise InputError("Give either noise_shape or filterwise=True, not both.")
        self.filterwise = filterwise
        self.shared_masks = shared_masks
        self.stochastic = rate > 0
        self.draws_per_example = not shared_masks and (noise_shape is None or noise_shape[0] is None)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        if not self.stochastic:
            return inputs
        shape = self._mask_shape(inputs)
        if self.filterwise:
            shape = tf.concat([shape[:1], tf.ones_like(shape[1:-1]), shape[-1:]], axis=0)
        if self.shared_masks and not training:
            shape = tf.concat([[1], shape[1:]], axis=0)
        return self._drop(inputs, shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filterwise": self.filterwise, "shared_masks": self.shared_masks}
