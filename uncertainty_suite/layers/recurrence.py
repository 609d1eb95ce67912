"""A recurrent layer whose linear maps are dense layers of a layer set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from uncertainty_suite import keras, tf


def lstm(
    units: int, dense: Callable[..., Any], name: str
) -> Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]:
    """Make a long short-term memory out of two dense layers.

        i, f, g, o = input(x_t) + recurrent(h_{t-1}),
        c_t = sigmoid(f + 1) c_{t-1} + sigmoid(i) tanh(g),    h_t = sigmoid(o) tanh(c_t)

    Hochreiter and Schmidhuber 1997; f, the gate that forgets, is of Gers et al. 2000, and the 1 that is added to it is
    where its bias begins in Jozefowicz et al. 2015. Same values as `keras.layers.LSTM`, whose kernels cannot be
    replaced: here they are made by `dense`, so that e.g. a posterior over weights reaches them.

    Args:
        units: Dimension of h and c.
        dense: Makes the two maps to `4 * units`; called like `keras.layers.Dense`.
        name: Name of the layer, and prefix of those of the two maps.

    Returns:
        A function of symbolic tensors `[batch, length, d]` and a mask `[batch, length]`, which is True where there is
        a token to read. It returns h after the last token, `[batch, units]`; without tokens it is 0.

    Example:
        >>> read = lstm(32, dense=keras.layers.Dense, name="lstm")
        >>> x = read(x, is_token)
    """

    def read(inputs: keras.KerasTensor, is_token: keras.KerasTensor) -> keras.KerasTensor:
        gates = dense(4 * units, name=f"{name}_input")(inputs)
        recurrent = dense(4 * units, use_bias=False, kernel_initializer="orthogonal", name=f"{name}_recurrent")
        return Recurrence(recurrent, name=name)(gates, is_token)

    return read


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class Recurrence(keras.layers.Wrapper):
    """Run through a sequence as a long short-term memory does; see `lstm`.

    Whatever `layer` draws, it draws once for a sequence: all steps have the same kernel, as all share the draw of the
    input's. So a posterior over its kernel is one over networks (Fortunato et al. 2017,
    https://arxiv.org/abs/1704.02798), and not noise that is another one at each step. What the layer does once in a
    training call, e.g. a power iteration, is done once, too. Its steps are as in prediction: Flipout has no signs for
    each example here, and all examples of a batch share the draw.

    Args:
        layer: From h `[batch, units]` to what it adds to the gates, `[batch, 4 * units]`.
        name: By default the name of `layer`.

    Call arguments:
        gates: What the inputs give to the gates i, f, g and o, `[batch, length, 4 * units]`.
        is_token: Booleans `[batch, length]`; where False, nothing changes.

    Returns:
        h after the last token, `[batch, units]`.
    """

    def __init__(self, layer: keras.layers.Layer, name: str | None = None, **kwargs: Any) -> None:
        # Without autocast weights are held as they are stored; the layer itself casts them.
        super().__init__(layer, autocast=False, name=name or layer.name, **{"dtype": layer.dtype_policy, **kwargs})

    def build(self, gates_shape: tuple[Any, ...], is_token_shape: tuple[Any, ...]) -> None:
        super().build((gates_shape[0], gates_shape[-1] // 4))

    def call(self, gates: tf.Tensor, is_token: tf.Tensor) -> tf.Tensor:
        gates = tf.transpose(tf.cast(gates, self.compute_dtype), [1, 0, 2])
        is_token = tf.transpose(tf.cast(is_token, tf.bool))[:, :, tf.newaxis]
        nothing = tf.zeros_like(gates[0, :, : gates.shape[-1] // 4])
        held = self._hold(nothing)

        def step(
            state: tuple[tf.Tensor, tf.Tensor], inputs: tuple[tf.Tensor, tf.Tensor]
        ) -> tuple[tf.Tensor, tf.Tensor]:
            (h, c), (gates, is_token) = state, inputs
            with keras.StatelessScope(held):
                i, f, g, o = tf.split(gates + self.layer(h, training=False), 4, axis=-1)
            new_c = tf.sigmoid(f + 1) * c + tf.sigmoid(i) * tf.tanh(g)
            new_h = tf.sigmoid(o) * tf.tanh(new_c)
            return tf.where(is_token, new_h, h), tf.where(is_token, new_c, c)

        return tf.foldl(step, (gates, is_token), (nothing, nothing))[0]

    def _hold(self, h: tf.Tensor) -> list[tuple[Any, tf.Tensor]]:
        """Let the layer do what it does once a call, and return the values of its variables that all steps have.

        Those are the trained ones afterwards, e.g. a kernel that was normalised, and the others before: with the same
        states of random numbers it draws the same again.
        """
        others = [(variable, tf.convert_to_tensor(variable)) for variable in self.layer.non_trainable_variables]
        self.layer(h)
        return [(variable, tf.convert_to_tensor(variable)) for variable in self.layer.trainable_variables] + others

    def compute_output_shape(
        self, gates_shape: tuple[Any, ...], is_token_shape: tuple[Any, ...]
    ) -> tuple[int | None, ...]:
        return (gates_shape[0], gates_shape[-1] // 4)
