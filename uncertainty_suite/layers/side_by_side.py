"""Layers that work on parts of their inputs, each on its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from uncertainty_suite import keras, tf


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class SideBySide(keras.layers.Layer):
    """Give each of several layers a part of the inputs, and put their outputs together again.

    Along the channels it is a layer in groups, whose kernel is block-diagonal; along the batch, of member-major rows
    (see `TileMembers`), each member has a layer of its own. So Packed-Ensembles are built (Laurent et al. 2023,
    https://arxiv.org/abs/2210.09184). TensorFlow has no gradient of a grouped convolution on CPUs.

    Args:
        layers: The layers, of one kind, each with a name of its own.
        axis: The axis that is shared out equally: 0 or -1.

    Example:
        >>> grouped = SideBySide([keras.layers.Dense(4, name=f"part_{i}") for i in range(2)], axis=-1)
        >>> grouped(tf.ones((2, 6)))  # [2, 8]
    """

    def __init__(self, layers: Sequence[keras.layers.Layer], axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**{"dtype": layers[0].dtype_policy, **kwargs}, autocast=False)  # each layer casts its part
        self.layers = list(layers)
        self.axis = axis

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        for layer in self.layers:
            if not layer.built:  # those of a saved model are
                layer.build(self._scaled(input_shape, 1 / len(self.layers)))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        parts = tf.split(inputs, len(self.layers), axis=self.axis)
        return tf.concat([layer(part) for layer, part in zip(self.layers, parts)], axis=self.axis)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        part = self.layers[0].compute_output_shape(self._scaled(input_shape, 1 / len(self.layers)))
        return self._scaled(part, len(self.layers))

    def _scaled(self, shape: tuple[Any, ...], factor: float) -> tuple[int | None, ...]:
        sizes = list(shape)
        if sizes[self.axis] is not None:
            sizes[self.axis] = round(sizes[self.axis] * factor)
        return tuple(sizes)

    def get_config(self) -> dict[str, Any]:
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.layers]
        return {**super().get_config(), "layers": layers, "axis": self.axis}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SideBySide:
        layers = [keras.saving.deserialize_keras_object(layer) for layer in config["layers"]]
        return cls(**{**config, "layers": layers})
