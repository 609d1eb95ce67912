"""Layers whose members share a kernel and differ by a rank-one factor of it, which may have a distribution."""

from __future__ import annotations

import math
from typing import Any

from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.layers.draws import draw_for_rows
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
    the large W. Of a convolution, r and s have a weight for each channel. Inputs are member-major rows (see
    `TileMembers`). The l2 penalty leaves r and s out.

    All members are computed by one product, except by a plain convolution: there each member's kernel is made and
    applied to its rows. Images have more values than kernels, and on a CPU multiplying them by r and s, with the
    gradients of that, takes up to half as long as the convolution.

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
        self.makes_kernels = type(layer) is keras.layers.Conv2D and layer.groups == 1

    def build(self, input_shape: tuple[Any, ...]) -> None:
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
        if self.makes_kernels:
            return self._convolve(inputs)
        outputs = self.layer(self._multiply(inputs, "r"))
        return self.activation(self._multiply(outputs, "s", self.bias if self.use_bias else None))

    def _convolve(self, rows: tf.Tensor) -> tf.Tensor:
        """Convolve each member's rows with its kernel."""
        kernel, r, s = (tf.convert_to_tensor(each) for each in (self.layer.kernel, self.r, self.s))
        kernels = kernel * (r[:, :, tf.newaxis] * s[:, tf.newaxis])[:, tf.newaxis, tf.newaxis]
        biases = tf.unstack(tf.convert_to_tensor(self.bias)) if self.use_bias else [None] * self.members
        outputs = []
        for part, member_kernel, bias in zip(tf.split(rows, self.members), tf.unstack(kernels), biases):
            output = self.layer.convolution_op(part, member_kernel)
            outputs.append(self.activation(output if bias is None else tf.nn.bias_add(output, bias)))
        return tf.concat(outputs, axis=0)

    def _multiply(self, rows: tf.Tensor, weight: str, bias: Any = None) -> tf.Tensor:
        """Multiply the channels of each member's rows by its weights, `r` or `s`, and add its bias."""
        split = by_member(rows, self.members)
        products = split * _of_rank(self._values(weight, split), len(split.shape))
        if bias is not None:
            products += _of_rank(tf.convert_to_tensor(bias)[:, tf.newaxis], len(split.shape))
        return tf.reshape(products, tf.shape(rows) if None in rows.shape else rows.shape)

    def _values(self, weight: str, split: tf.Tensor) -> tf.Tensor:
        """Return the weights of each member, `[members, 1, channels]`, or of each of its rows."""
        return tf.convert_to_tensor(getattr(self, weight))[:, tf.newaxis]

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


def _of_rank(values: tf.Tensor, rank: int) -> tf.Tensor:
    """Return `[members, batch, channels]` with axes of size one before the channels, up to a rank."""
    members, _, channels = values.shape
    return tf.reshape(values, [members, -1, *[1] * (rank - 3), channels])


_LEAST_STDDEV = 1e-7  # as in Edward2
_LARGEST_DRAW = 10.0  # of a fast weight, as in Edward2: a Cauchy distribution has no largest one


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class StochasticFastWeights(FastWeights):
    """Fast weights with a distribution, from which every row of a batch has draws of its own, in prediction too.

        y = activation(((x * r) W) * s + b_m),    r ~ q(r_m),  s ~ q(s_m)

    Dusenberry et al. 2020, https://arxiv.org/abs/2005.07186. Of each weight of member m the posterior q is a normal or
    a Cauchy distribution with a location and a scale that are trained; the kernel and the biases are points. The prior
    is a distribution of the same kind, around 1. A normal's scale is its standard deviation. Draws are clipped to
    [-10, 10]. The l2 penalty leaves locations and scales out.

    Args:
        layer: As for `FastWeights`.
        members: Number of members.
        activation: As for `FastWeights`.
        use_bias: As for `FastWeights`.
        random_sign_init: How locations begin; see `fast_weight_initializer`.
        gradient_factor: What the gradients of locations and scales are multiplied by.
        distribution: `normal` or `cauchy`.
        initial_scale: About which value scales begin, above 0.
        prior_scale: Scale of the prior, above 0.
        seed: Integer seed of the draws; `None` takes one from Keras' global seed.
        name: By default the name of `layer`.

    Attributes:
        stochastic: True.

    Raises:
        InputError: As `FastWeights`; the distribution is unknown, or a scale is not above 0.

    Example:
        >>> layer = StochasticFastWeights(keras.layers.Dense(16, use_bias=False), members=4, distribution="cauchy")
        >>> objective = loss + layer.kl_divergence() / num_examples
    """

    stochastic = True

    def __init__(
        self,
        layer: keras.layers.Layer,
        members: int,
        activation: Any = None,
        use_bias: bool = True,
        random_sign_init: float = 0.5,
        gradient_factor: float = 1.0,
        distribution: str = "normal",
        initial_scale: float = 0.03,
        prior_scale: float = 0.1,
        seed: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(layer, members, activation, use_bias, random_sign_init, gradient_factor, name, **kwargs)
        if distribution not in ("normal", "cauchy"):
            raise unknown_name("distribution", distribution, ["normal", "cauchy"])
        if not min(initial_scale, prior_scale) > 0:
            raise InputError(f"Scales must be above 0, received {initial_scale} and {prior_scale}.")
        self.distribution = distribution
        self.initial_scale = initial_scale
        self.prior_scale = prior_scale
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed, name=self.name)
        self.makes_kernels = False  # each row has its own draws

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        self.r_rho = self._add_rho("r_rho", self.r.shape)
        self.s_rho = self._add_rho("s_rho", self.s.shape)

    def _add_rho(self, name: str, shape: tuple[int, ...]) -> keras.Variable:
        initializer = keras.initializers.RandomNormal(math.log(math.expm1(self.initial_scale)), 0.1)
        rho = self.add_weight(shape=shape, initializer=initializer, name=name)
        return mark(rho, penalized=False, gradient_factor=self.gradient_factor)

    def _values(self, weight: str, split: tf.Tensor) -> tf.Tensor:
        location = super()._values(weight, split)
        scale = _scale(getattr(self, f"{weight}_rho"))[:, tf.newaxis]
        shape = tf.stack([self.members, tf.shape(split)[1], location.shape[-1]])
        noise = draw_for_rows(self._draw, shape, split.shape[1], self.seed_generator.next(), axis=1)
        return tf.clip_by_value(location + scale * tf.cast(noise, location.dtype), -_LARGEST_DRAW, _LARGEST_DRAW)

    def _draw(self, shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if self.distribution == "normal":
            return tf.random.stateless_normal(shape, seed)
        return tf.tan(math.pi * (tf.random.stateless_uniform(shape, seed) - 0.5))

    def kl_divergence(self) -> tf.Tensor:
        """Return KL(q || prior) in nats, summed over members and weights: a scalar.

        Of Cauchy distributions it is log(((g + g0)^2 + (x - x0)^2) / (4 g g0)) (Chyzak and Nielsen 2019,
        https://arxiv.org/abs/1905.10965).
        """
        return tf.add_n([self._divergence(self.r, self.r_rho), self._divergence(self.s, self.s_rho)])

    def _divergence(self, location: Any, rho: Any) -> tf.Tensor:
        scale, squared = _scale(rho), (tf.convert_to_tensor(location) - 1.0) ** 2
        if self.distribution == "normal":
            ratio = (scale**2 + squared) / (2 * self.prior_scale**2)
            return tf.reduce_sum(ratio - 0.5 - tf.math.log(scale / self.prior_scale))
        return tf.reduce_sum(tf.math.log(((scale + self.prior_scale) ** 2 + squared) / (4 * scale * self.prior_scale)))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "distribution": self.distribution,
            "initial_scale": self.initial_scale,
            "prior_scale": self.prior_scale,
            "seed": self.seed,
        }


def _scale(rho: Any) -> tf.Tensor:
    return tf.nn.softplus(tf.convert_to_tensor(rho)) + _LEAST_STDDEV
