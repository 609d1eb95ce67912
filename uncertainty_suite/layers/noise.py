"""Noise on inputs."""

from __future__ import annotations

import functools
from typing import Any

from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers.draws import draw_for_rows


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class PerturbedCopy(keras.layers.Layer):
    """Append, in training, a copy of the batch with Gaussian noise on it: examples that are near the data.

    So a noise contrastive prior asks for uncertainty there (Hafner et al. 2018, https://arxiv.org/abs/1807.09289). The
    first `batch` rows are the examples, the others their copies in the same order. In prediction inputs are as they
    were.

    Args:
        stddev: Standard deviation of the noise, above 0.
        seed: Integer seed of the noise; `None` takes one from Keras' global seed.

    Call arguments:
        inputs: A tensor, or a tree of tensors, of floating-point numbers.

    Raises:
        InputError: The standard deviation is not above 0.

    Example:
        >>> PerturbedCopy(0.5)(tf.zeros((2, 3)), training=True)  # [4, 3], of which the first two rows are 0
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not stddev > 0:
            raise InputError(f"stddev must be above 0, received {stddev}.")
        self.stddev = stddev
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed, name=self.name)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return keras.tree.map_structure(self._with_copy, inputs) if training else inputs

    def _with_copy(self, inputs: tf.Tensor) -> tf.Tensor:
        draw = functools.partial(tf.random.stateless_normal, dtype=inputs.dtype)
        noise = draw_for_rows(draw, tf.shape(inputs), inputs.shape[0], self.seed_generator.next())
        return tf.concat([inputs, inputs + self.stddev * noise], axis=0)

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> Any:
        return keras.tree.map_structure(
            lambda x: keras.KerasTensor(self.compute_output_shape(x.shape), x.dtype), inputs
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (None, *input_shape[1:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}
