"""Layers whose members share a kernel and differ by a rank-one factor of it."""

from __future__ import annotations

from typing import Any

from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers.members import by_member
from uncertainty_suite.marks import mark


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class RandomSigns(keras.initializers.Initializer):
    """Make 1 with a probability, and else -1.

    Args:
        probability: That of 1, in [0, 1].
        seed: Integer seed; `None` takes one from Keras' global seed.
    """

    def __init__(self, probability: float = 0.5, seed: int | None = None) -> None:
        self.probability = probability
        self._uniform = keras.initializers.RandomUniform(0.0, 1.0, seed)

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        uniform = self._uniform(shape, "float32")
        return keras.ops.cast(keras.ops.where(uniform < self.probability, 1, -1), dtype or keras.config.floatx())

    def get_config(self) -> dict[str, Any]:
        return {"probability": self.probability, "seed": self._uniform.seed}


def fast_weight_initializer(random_sign_init: float) -> keras.initializers.Initializer:
    """Return an initializer of fast weights, as Uncertainty Baselines' flag of that name has it.

    Args:
        random_sign_init: Above 0, the probability that a weight is 1 and not -1. Else weights are normal around 1, with
            its negative as standard deviation; with 0 all are 1.

    Raises:
        InputError: It is above 1.
    """
    if random_sign_init > 1:
        raise InputError(f"Above 0, random_sign_init is a probability, so at most 1, not {random_sign_init}.")
    if random_sign_init > 0:
        return RandomSigns(random_sign_init)
    return keras.initializers.RandomNormal(mean=1.0, stddev=-random_sign_init)


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class FastWeights(keras.layers.Wrapper):
    """Multiply the inputs and the outputs of a linear layer by weights of each member.

        y = activation(((x * r_m) W) * s_m + b_m)

    Wen et al. 2020, https://arxiv.org/abs/2002.06715. Member m has the kernel W * (r_m s_m^T), and the members share
    the large W: all are computed by one product. Of a convolution, r and s have a weight for each channel. Inputs are
    member-major rows (see `TileMembers`). The l2 penalty leaves r and s out.

    Args:
        layer: A `keras.layers.Dense` or `keras.layers.Conv2D` without bias and activation, or a wrapper of one, e.g.
            `SpectralNormalization`.
        members: Number of members.
        activation: What is applied last.
        use_bias: Whether each member has a bias.
        random_sign_init: How r and s begin; see `fast_weight_initializer`.
        gradient_factor: What the gradients of r and s are multiplied by.
        name: By default the name of `layer`.

    Returns:
        The outputs `[members * batch, ...]`, as of `layer`.

    Raises:
        InputError: If the layer is of another type, or has a bias or an activation of its own.

    Example:
        >>> layer = FastWeights(keras.layers.Dense(16, use_bias=False), members=4, activation="relu")
        >>> layer(TileMembers(4)(tf.ones((2, 8))))  # [8, 16]
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        members: int,
        activation: Any = None,
        use_bias: bool = True,
        random_sign_init: float = -0.5,
        gradient_factor: float = 1.0,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        linear = layer
        while isinstance(linear, keras.layers.Wrapper):
            linear = linear.layer
        if not isinstance(linear, (keras.layers.Dense, keras.layers.Conv2D)):
            raise InputError(f"Fast weights are for a Dense or Conv2D layer, received {type(linear).__name__}.")
        if linear.use_bias or linear.activation is not keras.activations.linear:
            raise InputError("Fast weights come before bias and activation: give these to FastWeights, not its layer.")
        if getattr(linear, "data_format", "channels_last") != "channels_last":
            raise InputError("Fast weights take images with channels last.")
        super().__init__(layer, name=name or layer.name, **kwargs)
        self.members = members
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.random_sign_init = random_sign_init
        self.gradient_factor = gradient_factor

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        units = self.layer.compute_output_shape(input_shape)[-1]
        self.r = self._add_fast_weight("r", input_shape[-1])
        self.s = self._add_fast_weight("s", units)
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.members, units), initializer="zeros", name="bias")

    def _add_fast_weight(self, name: str, size: int) -> keras.Variable:
        # An initializer of its own for each: one of them gives the same values whenever it is asked.
        initializer = fast_weight_initializer(self.random_sign_init)
        weight = self.add_weight(shape=(self.members, size), initializer=initializer, name=name)
        return mark(weight, penalized=False, gradient_factor=self.gradient_factor)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        outputs = self.layer(self._multiply(inputs, self.r))
        return self.activation(self._multiply(outputs, self.s, self.bias if self.use_bias else None))

    def _multiply(self, rows: tf.Tensor, weights: Any, bias: Any = None) -> tf.Tensor:
        """Multiply the channels of each member's rows by its weights, and add its bias."""

        def for_rows(values: Any) -> tf.Tensor:
            values = tf.convert_to_tensor(values)
            return tf.reshape(values, [self.members, *[1] * (len(rows.shape) - 1), values.shape[-1]])

        products = by_member(rows, self.members) * for_rows(weights)
        if bias is not None:
            products += for_rows(bias)
        return tf.reshape(products, tf.shape(rows) if None in rows.shape else rows.shape)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "members": self.members,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "random_sign_init": self.random_sign_init,
            "gradient_factor": self.gradient_factor,
        }
