"""Layers whose kernel has a distribution in place of a value: variational inference."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.layers.draws import draw_for_rows, random_signs
from uncertainty_suite.marks import mark

ESTIMATORS = ("flipout", "reparameterization")
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class Noise(NamedTuple):
    """A distribution of `size` numbers of mean 0 that no change of their signs alters.

    Attributes:
        draw: From a shape and a seed to numbers, float32.
        variance: Of each number, from `size`.
        entropy: Of all together, in nats, from `size`.
    """

    draw: Callable[[tuple[int, ...], tf.Tensor], tf.Tensor]
    variance: Callable[[int], float]
    entropy: Callable[[int], float]


def _draw_gaussian(shape: tuple[int, ...], seed: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_normal(shape, seed)


def _gaussian_entropy(size: int) -> float:
    return size * (_HALF_LOG_2PI + 0.5)


def _draw_radial(shape: tuple[int, ...], seed: tf.Tensor) -> tf.Tensor:
    drawn = tf.random.stateless_normal([math.prod(shape) + 1], seed)
    direction, radius = drawn[1:], drawn[0]
    return tf.reshape(direction * (radius / tf.norm(direction)), shape)


def _radial_entropy(size: int) -> float:
    # A radius |r| of density 2 N(|r|; 0, 1), and a point on the sphere of that radius.
    log_unit_sphere = math.log(2) + size / 2 * math.log(math.pi) - math.lgamma(size / 2)
    mean_log_radius = -(np.euler_gamma + math.log(2)) / 2
    return _HALF_LOG_2PI + 0.5 - math.log(2) + log_unit_sphere + (size - 1) * mean_log_radius


# A posterior is its mean plus its scale times such noise.
POSTERIORS = {
    "gaussian": Noise(_draw_gaussian, lambda size: 1.0, _gaussian_entropy),
    "radial": Noise(_draw_radial, lambda size: 1 / size, _radial_entropy),
}


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class Variational(keras.layers.Wrapper):
    """Give the kernel of a layer a distribution, from which it is drawn in training *and* in prediction.

        kernel = mean + stddev * noise,    stddev = log(1 + exp(rho))

    `gaussian` noise is N(0, I): the mean-field posterior (Blundell et al. 2015, https://arxiv.org/abs/1505.05424).
    `radial` noise is r * direction, with r ~ N(0, 1), one number for the whole kernel, and a direction that is uniform
    on the unit sphere (Farquhar et al. 2020, https://arxiv.org/abs/1907.00865): however many weights there are, draws
    lie about as near to the mean. The prior is N(0, prior_stddev^2) for each weight. The mean is the wrapped layer's
    kernel, which starts by its own initializer; the bias stays a plain parameter.

    In training, the estimator says how a batch shares draws. `reparameterization`: one draw of the kernel for all
    examples. `flipout` (Wen et al. 2018, https://arxiv.org/abs/1803.04386): one draw of the noise, whose signs are
    flipped for each example by two random vectors, so that the gradients of examples are less alike; it takes two
    products in place of one. In prediction each call draws one kernel for all examples of the batch, a network as
    likely as any.

    The state of the random numbers is a variable of the layer (`layer.seed_generator.state`); see `MonteCarloDropout`.
    Neither mean nor rho is part of the l2 penalty: `kl_divergence` takes its place.

    Args:
        layer: A `keras.layers.Dense`, `Conv2D` or `Embedding`.
        prior_stddev: Standard deviation of the prior, above 0.
        initial_stddev: What `stddev` starts from, above 0.
        posterior: `gaussian` or `radial`.
        estimator: `flipout` or `reparameterization`.
        seed: Integer seed of the draws; `None` takes one from Keras' global seed.
        name: By default the name of `layer`, so that whoever names the layer names the wrapper, too.

    Returns:
        The output of `layer`, with a drawn kernel.

    Raises:
        InputError: If the layer is of another type, or an argument is outside its range.

    Example:
        >>> layer = Variational(keras.layers.Dense(16, activation="relu"), prior_stddev=0.1)
        >>> outputs = layer(tf.ones((1, 8)), training=True)
        >>> layer.kl_divergence()  # to be divided by the number of training examples
    """

    stochastic = True
    draws_per_example = False

    def __init__(
        self,
        layer: keras.layers.Layer,
        prior_stddev: float = 0.1,
        initial_stddev: float = 1e-3,
        posterior: str = "gaussian",
        estimator: str = "flipout",
        seed: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(layer, (keras.layers.Dense, keras.layers.Conv2D, keras.layers.Embedding)):
            raise InputError(f"A Dense, Conv2D or Embedding layer can be variational, received {type(layer).__name__}.")
        for what, value in (("prior_stddev", prior_stddev), ("initial_stddev", initial_stddev)):
            if not value > 0:
                raise InputError(f"{what} must be above 0, received {value}.")
        if posterior not in POSTERIORS:
            raise unknown_name("posterior", posterior, POSTERIORS)
        if estimator not in ESTIMATORS:
            raise unknown_name("estimator", estimator, ESTIMATORS)
        # Without autocast mean and rho are read as they are stored, not as the half-precision copies of a mixed policy.
        super().__init__(layer, autocast=False, name=name or layer.name, **{"dtype": layer.dtype_policy, **kwargs})
        self.prior_stddev = prior_stddev
        self.initial_stddev = initial_stddev
        self.posterior = posterior
        self.estimator = estimator
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed, name=self.name)
        self._kept_stddev: tf.Tensor | None = None

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        mark(self.mean, penalized=False)
        rho = self.add_weight(
            name="rho",
            shape=self.mean.shape,
            initializer=keras.initializers.Constant(math.log(math.expm1(self.initial_stddev))),
        )
        self.rho = mark(rho, penalized=False)

    @property
    def mean(self) -> keras.Variable:
        """The mean of the posterior, a variable of the wrapped layer."""
        return self.layer.embeddings if isinstance(self.layer, keras.layers.Embedding) else self.layer.kernel

    @property
    def stddev(self) -> tf.Tensor:
        """The scale of the posterior, of the shape of its mean; a Gaussian's standard deviation."""
        if self._kept_stddev is not None:
            return self._kept_stddev
        return tf.nn.softplus(tf.convert_to_tensor(self.rho))

    @contextlib.contextmanager
    def kept_stddev(self) -> Iterator[None]:
        """Compute the scale once for all calls within, between which nothing is trained."""
        self._kept_stddev = self.stddev
        try:
            yield
        finally:
            self._kept_stddev = None

    def kl_divergence(self) -> tf.Tensor:
        """Return the Kullback-Leibler divergence of the posterior from the prior in nats, a scalar, exactly.

        That of a radial posterior is the cross-entropy with the prior less the entropy, both in closed form; the paper
        estimates the former by draws and leaves a constant out of the latter.
        """
        mean, noise, size = tf.convert_to_tensor(self.mean), POSTERIORS[self.posterior], math.prod(self.mean.shape)
        stddev = self.stddev
        second_moment = mean**2 + noise.variance(size) * stddev**2
        varying = tf.reduce_sum(second_moment / (2 * self.prior_stddev**2) - tf.math.log(stddev / self.prior_stddev))
        return varying + (size * _HALF_LOG_2PI - noise.entropy(size))

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        embeds = isinstance(self.layer, keras.layers.Embedding)
        if not embeds:
            inputs = tf.cast(inputs, self.compute_dtype)
        mean = tf.convert_to_tensor(self.mean)
        noise = POSTERIORS[self.posterior].draw(self.mean.shape, self.seed_generator.next())  # the same on all replicas
        perturbation = self.stddev * tf.cast(noise, mean.dtype)
        if training and self.estimator == "flipout":
            flipped = inputs if embeds else inputs * self._signs(inputs)
            perturbed = self._apply(flipped, perturbation)
            outputs = self._apply(inputs, mean) + self._signs(perturbed) * perturbed
        else:
            outputs = self._apply(inputs, mean + perturbation)
        if embeds:
            return outputs
        if self.layer.use_bias:
            bias = tf.cast(self.layer.bias, self.compute_dtype)
            outputs += tf.reshape(
                bias, [-1 if axis == self._channels(outputs) else 1 for axis in range(len(outputs.shape))]
            )
        return self.layer.activation(outputs)

    def _apply(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Return what the wrapped layer's linear map makes of inputs, with another kernel."""
        kernel = tf.cast(kernel, self.compute_dtype)
        if isinstance(self.layer, keras.layers.Embedding):
            return tf.gather(kernel, tf.cast(inputs, tf.int32))
        if isinstance(self.layer, keras.layers.Dense):
            return keras.ops.matmul(inputs, kernel)
        return self.layer.convolution_op(inputs, kernel)

    def _signs(self, tensor: tf.Tensor) -> tf.Tensor:
        """Draw a sign for each example and channel of a tensor, of a shape that broadcasts to its."""
        channels = self._channels(tensor)
        shape = [size if axis in (0, channels) else 1 for axis, size in enumerate(tf.unstack(tf.shape(tensor)))]

        def draw(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
            return random_signs(shape, seed, tensor.dtype)

        return draw_for_rows(draw, tf.stack(shape), tensor.shape[0], self.seed_generator.next())

    def _channels(self, tensor: tf.Tensor) -> int:
        """Return the axis of the channels."""
        first = isinstance(self.layer, keras.layers.Conv2D) and self.layer.data_format == "channels_first"
        return 1 if first else len(tensor.shape) - 1

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "prior_stddev": self.prior_stddev,
            "initial_stddev": self.initial_stddev,
            "posterior": self.posterior,
            "estimator": self.estimator,
            "seed": self.seed,
        }
