"""Layers whose members have hyper-parameters with a distribution, and weights that respond to them."""

from __future__ import annotations

import math
from typing import Any

from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers.draws import draw_for_rows
from uncertainty_suite.layers.fast_weights import FastWeights
from uncertainty_suite.marks import mark

_LEAST_WIDTH = 1e-6  # of a distribution, over that of the whole range: its entropy is finite
_INITIAL_SENSITIVITY = 1e-4  # standard deviation, as in Uncertainty Baselines
_INITIAL_JITTER = 0.1  # of the middles of distributions, in half widths of them; the same


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class LogUniform(keras.layers.Layer):
    """Hold log-uniform distributions of the hyper-parameters of each member, within a range.

    Wenzel et al. 2020, https://arxiv.org/abs/2006.13570. The logarithms of a hyper-parameter's bounds are variables for
    each member and hyper-parameter. No optimizer of the weights trains them, and a script does so on validation data.

    The layer takes member-major rows and returns their *settings*, which are hyper-parameters as a share of the range,
    from 0 at its lower end to 1, on a logarithmic scale: those of the distributions' means, which predictions have.
    `sample` draws others.

    Args:
        members: Number of members.
        count: Number of hyper-parameters.
        low: Lower end of the range, above 0.
        high: Upper end, above `low`.
        initial_width: Half the width of the distributions at first, in logarithms; about the mean of the log-uniform
            distribution over the whole range.
        seed: Integer seed of the draws; `None` takes one from Keras' global seed.

    Returns:
        Settings `[members * batch, count]`, float32.

    Raises:
        InputError: The range or the width makes no sense.
    """

    def __init__(
        self,
        members: int,
        count: int,
        low: float,
        high: float,
        initial_width: float = 0.01,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"}, autocast=False)
        if not 0 < low < high:
            raise InputError(f"A range of hyper-parameters is above 0 and not empty, received {low} to {high}.")
        if not initial_width > 0:
            raise InputError(f"initial_width must be above 0, received {initial_width}.")
        self.members = members
        self.count = count
        self.low = low
        self.high = high
        self.initial_width = initial_width
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed, name=self.name)

    def build(self, input_shape: Any) -> None:
        middle = math.log((self.high - self.low) / math.log(self.high / self.low))
        jitter = keras.initializers.RandomNormal(middle, _INITIAL_JITTER * self.initial_width)
        shape = (self.members, self.count)
        self.log_lower = self.add_weight(shape=shape, initializer=jitter, trainable=False, name="log_lower")
        self.log_upper = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="log_upper")
        self.log_upper.assign(self.log_lower + self.initial_width)
        self.log_lower.assign(self.log_lower - self.initial_width)
        self.clip()

    def call(self, rows: Any) -> tf.Tensor:
        batch = tf.shape(keras.tree.flatten(rows)[0])[0] // self.members
        return self._settings(tf.repeat(tf.math.log(self.mean()), batch, axis=0))

    def mean(self) -> tf.Tensor:
        """Return the means of the distributions, `[members, count]`."""
        lower, upper = tf.convert_to_tensor(self.log_lower), tf.convert_to_tensor(self.log_upper)
        return (tf.exp(upper) - tf.exp(lower)) / (upper - lower)

    def sample(self, batch: int | tf.Tensor) -> tf.Tensor:
        """Draw settings for each row of a batch that is repeated for each member, `[members * batch, count]`."""
        shape, seed = [self.members, batch, self.count], self.seed_generator.next()
        shares = draw_for_rows(tf.random.stateless_uniform, shape, batch, seed, axis=1)
        lower, upper = (tf.convert_to_tensor(each)[:, tf.newaxis] for each in (self.log_lower, self.log_upper))
        return self._settings(tf.reshape(lower + shares * (upper - lower), [-1, self.count]))

    def entropy(self) -> tf.Tensor:
        """Return the mean entropy of a distribution in nats, a scalar."""
        lower, upper = tf.convert_to_tensor(self.log_lower), tf.convert_to_tensor(self.log_upper)
        return tf.reduce_mean((lower + upper) / 2 + tf.math.log(upper - lower))

    def values(self, settings: tf.Tensor) -> tf.Tensor:
        """Return the hyper-parameters that settings stand for, of the same shape."""
        return self.low * tf.exp(settings * math.log(self.high / self.low))

    def clip(self) -> None:
        """Bring the bounds back into the range, and the upper one above the lower one."""
        low, high = math.log(self.low), math.log(self.high)
        least = _LEAST_WIDTH * (high - low)
        self.log_lower.assign(tf.clip_by_value(tf.convert_to_tensor(self.log_lower), low, high - 2 * least))
        lower = tf.convert_to_tensor(self.log_lower)
        self.log_upper.assign(tf.clip_by_value(tf.convert_to_tensor(self.log_upper), lower + least, high))

    def _settings(self, logarithms: tf.Tensor) -> tf.Tensor:
        return (logarithms - math.log(self.low)) / math.log(self.high / self.low)

    def compute_output_spec(self, rows: Any) -> keras.KerasTensor:
        return keras.KerasTensor((keras.tree.flatten(rows)[0].shape[0], self.count), "float32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "members": self.members,
            "count": self.count,
            "low": self.low,
            "high": self.high,
            "initial_width": self.initial_width,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class SelfTuned(FastWeights):
    """Fast weights around a kernel and a bias that respond to the settings of hyper-parameters.

        y = activation(((x * r_m) (W + V diag(e))) * s_m + b_m + a_m * d),    e = z E,  d = z D

    Wenzel et al. 2020, https://arxiv.org/abs/2006.13570. The settings z of a row (see `LogUniform`) change each output
    channel of the kernel by a multiple of that of a second kernel V, and each member's bias by a multiple of a second
    one; E and D, without a bias of theirs, say how much. So the network knows how the best weights depend on
    hyper-parameters, approximately (MacKay et al. 2019, https://arxiv.org/abs/1903.03088). Nothing of it is in the l2
    penalty of a configuration: `penalty` takes its place.

    Args:
        layer: A `keras.layers.Dense` or `keras.layers.Conv2D` without bias and activation.
        members: Number of members.
        index: Which of the hyper-parameters is the l2 factor of this layer's kernel and bias.
        activation: What is applied last.
        use_bias: Whether each member has a bias.
        random_sign_init: How r and s begin; see `fast_weight_initializer`.
        gradient_factor: What the gradients of r and s are multiplied by.
        name: By default the name of `layer`.

    Call arguments:
        inputs: Member-major rows.
        settings: Of the same rows, `[members * batch, count]`.

    Raises:
        InputError: As `FastWeights`; the layer is a wrapper.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        members: int,
        index: int,
        activation: Any = None,
        use_bias: bool = True,
        random_sign_init: float = -0.75,
        gradient_factor: float = 1.0,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(layer, members, activation, use_bias, random_sign_init, gradient_factor, name, **kwargs)
        if isinstance(layer, keras.layers.Wrapper):
            raise InputError(f"A self-tuned layer is a Dense or Conv2D layer itself, received {type(layer).__name__}.")
        self.index = index
        self.makes_kernels = False
        self.response = type(layer).from_config({**layer.get_config(), "name": "response"})

    def build(self, inputs_shape: tuple[Any, ...], settings_shape: tuple[Any, ...] = ()) -> None:
        super().build(inputs_shape)
        self.response.build(inputs_shape)
        shape = (settings_shape[-1], self.s.shape[-1])
        start = keras.initializers.RandomNormal(stddev=_INITIAL_SENSITIVITY)
        self.sensitivity = self.add_weight(shape=shape, initializer=start, name="sensitivity")
        own = [self.layer.kernel, self.response.kernel, self.sensitivity]
        if self.use_bias:
            start = keras.initializers.RandomNormal(stddev=_INITIAL_SENSITIVITY)
            self.bias_sensitivity = self.add_weight(shape=shape, initializer=start, name="bias_sensitivity")
            self.bias_response = self.add_weight(shape=self.bias.shape, initializer="zeros", name="bias_response")
            own += [self.bias, self.bias_sensitivity, self.bias_response]
        for variable in own:
            mark(variable, penalized=False)

    def call(self, inputs: tf.Tensor, settings: tf.Tensor) -> tf.Tensor:  # type: ignore[override]
        settings = tf.cast(settings, self.compute_dtype)
        inputs = self._multiply(inputs, "r")
        outputs = self.layer(inputs)
        middle = [1] * (len(outputs.shape) - 2)

        def of_rank(rows: tf.Tensor) -> tf.Tensor:
            return tf.reshape(rows, [-1, *middle, rows.shape[-1]])

        outputs += of_rank(tf.matmul(settings, self.sensitivity)) * self.response(inputs)
        outputs = self._multiply(outputs, "s", self.bias if self.use_bias else None)
        if self.use_bias:
            outputs += of_rank(self._bias_change(settings))
        return self.activation(outputs)

    def _bias_change(self, settings: tf.Tensor) -> tf.Tensor:
        """Return what settings add to the biases, `[members * batch, units]`."""
        responses = tf.repeat(tf.convert_to_tensor(self.bias_response), tf.shape(settings)[0] // self.members, axis=0)
        return tf.matmul(settings, self.bias_sensitivity) * responses

    def penalty(self, settings: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
        """Return the mean over rows of a row's l2 factor times the squares of its kernel and bias, a scalar.

        As in Uncertainty Baselines without the fast weights.

        Args:
            settings: Of the rows.
            factors: The hyper-parameters that they stand for.
        """
        kernel, response = tf.convert_to_tensor(self.layer.kernel), tf.convert_to_tensor(self.response.kernel)
        axes = list(range(len(kernel.shape) - 1))
        change = tf.matmul(settings, self.sensitivity)  # of each output channel, [rows, units]
        squares = tf.reduce_sum(kernel**2)
        squares += 2 * tf.linalg.matvec(change, tf.reduce_sum(kernel * response, axes))
        squares += tf.linalg.matvec(change**2, tf.reduce_sum(response**2, axes))
        if self.use_bias:
            biases = tf.repeat(tf.convert_to_tensor(self.bias), tf.shape(settings)[0] // self.members, axis=0)
            squares += tf.reduce_sum((biases + self._bias_change(settings)) ** 2, axis=-1)
        return tf.reduce_mean(factors[:, self.index] * squares)

    def compute_output_shape(
        self, inputs_shape: tuple[int | None, ...], settings_shape: tuple[int | None, ...] = ()
    ) -> tuple[int | None, ...]:
        return self.layer.compute_output_shape(inputs_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "index": self.index}
