"""Class probabilities from latent utilities whose noise depends on the input, by Monte Carlo."""

from __future__ import annotations

from typing import Any

from uncertainty_suite import keras, replicas, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers.draws import draw_for_rows

_DRAWS_AT_ONCE = 2**21  # normal draws of one pass over the samples: with more, they leave the processor's caches


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class FactorAnalysisSoftmax(keras.layers.Layer):
    """Average the softmax over Gaussian utilities with a full covariance between classes, of low rank.

        u = location + V r + d * z,    r ~ N(0, I_factors),  z ~ N(0, I_classes)
        probs = mean over samples of softmax(u / temperature)

    with d = least_stddev + softplus(.), by factor analysis: the covariance of u is V V^T + diag(d^2). Collier et al.
    2021, https://arxiv.org/abs/2105.10305, section 3. The layer has no weights: location, d and V are linear functions
    of the features, or whatever else comes before it.

    Samples are drawn for each example anew in every call, in training and in prediction. Where they are too many to
    hold at once they are drawn in parts, which the backward pass draws once more rather than keep.

    Args:
        num_factors: Columns of V; 0 for a diagonal covariance.
        num_samples: Samples of the utilities.
        temperature: Divides the utilities. Near 0 the probabilities are those of the largest utility, but gradients
            have a large variance.
        least_stddev: Lower bound of d.
        seed: Integer seed of the draws; `None` takes one from Keras' global seed.

    Call arguments:
        inputs: `[batch, classes * (2 + num_factors)]`: location, d before softplus, and V by classes.
        latent_variance: A further variance `[batch]` of the utility of each class.
        noise: Standard normal draws `[samples, batch, classes + num_factors]`, z before r, in place of its own.

    Returns:
        float32 `[batch, classes]`, the logarithm of the probabilities; as logits they give these probabilities.

    Raises:
        InputError: An argument is outside its range, or the inputs are of no whole number of classes.

    Example:
        >>> parameters = keras.layers.Dense(10 * (2 + 6))(features)
        >>> log_probs = FactorAnalysisSoftmax(num_factors=6)(parameters)  # [batch, 10]
    """

    stochastic = True
    draws_per_example = True

    def __init__(
        self,
        num_factors: int = 6,
        num_samples: int = 1000,
        temperature: float = 1.0,
        least_stddev: float = 1e-3,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        for name, value, least in (("num_factors", num_factors, 0), ("num_samples", num_samples, 1)):
            if value < least:
                raise InputError(f"{name} must be at least {least}, received {value}.")
        for name, number in (("temperature", temperature), ("least_stddev", least_stddev)):
            if not number > 0:
                raise InputError(f"{name} must be above 0, received {number}.")
        self.num_factors = num_factors
        self.num_samples = num_samples
        self.temperature = temperature
        self.least_stddev = least_stddev
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed, name=self.name)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self._num_classes(input_shape)

    def call(
        self,
        inputs: tf.Tensor,
        latent_variance: tf.Tensor | None = None,
        noise: tf.Tensor | None = None,
    ) -> tf.Tensor:
        inputs = tf.cast(inputs, tf.float32)  # of integers Keras leaves the type
        classes = self._num_classes(inputs.shape)
        location, scale, factors = tf.split(inputs, [classes, classes, classes * self.num_factors], axis=-1)
        stddev = self.least_stddev + tf.nn.softplus(scale)
        if latent_variance is not None:
            stddev = tf.sqrt(stddev**2 + latent_variance[:, tf.newaxis])
        factors = tf.reshape(factors, [-1, classes, self.num_factors])

        def log_sum(draws: tf.Tensor, location: tf.Tensor, stddev: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
            """Return the logarithm of the sum over draws of the probabilities, `[batch, classes]`."""
            utilities = location + stddev * draws[..., :classes]
            if self.num_factors:
                utilities += tf.einsum("bcf,sbf->sbc", factors, draws[..., classes:])
            return tf.reduce_logsumexp(tf.nn.log_softmax(utilities / self.temperature), axis=0)

        if noise is not None:
            return log_sum(noise, location, stddev, factors) - tf.math.log(float(noise.shape[0]))
        seed = self.seed_generator.next()
        replica = replicas.current()  # all of which draw for the whole batch
        parts = self._num_parts(inputs.shape[0] if replica is None else replica.batch_size, classes)
        batch_size = tf.shape(inputs)[0] if inputs.shape[0] is None else inputs.shape[0]
        shape = [self.num_samples // parts, batch_size, classes + self.num_factors]

        def part(seed: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
            draws = draw_for_rows(tf.random.stateless_normal, shape, inputs.shape[0], seed, axis=1)
            return log_sum(draws, *parameters)

        if parts == 1:
            total = part(seed, location, stddev, factors)
        else:
            drawn_again = tf.recompute_grad(part)
            seeds = tf.random.stateless_uniform([parts, 2], seed, minval=None, maxval=None, dtype=tf.int32)
            seeds = tf.cast(seeds, seed.dtype)
            total = tf.reduce_logsumexp(
                tf.map_fn(
                    lambda each: drawn_again(each, location, stddev, factors), seeds, fn_output_signature=tf.float32
                ),
                axis=0,
            )
        return total - tf.math.log(float(self.num_samples))

    def _num_classes(self, shape: tuple[Any, ...]) -> int:
        classes, rest = divmod(shape[-1], 2 + self.num_factors)
        if rest:
            raise InputError(
                f"With {self.num_factors} factors the inputs have {2 + self.num_factors} values a class, received "
                f"{shape[-1]} of each example."
            )
        return classes

    def _num_parts(self, batch_size: int | None, classes: int) -> int:
        """Return the least divisor of the number of samples that makes parts small enough."""
        draws = (batch_size or 1) * (classes + self.num_factors) * self.num_samples
        divisors = [n for n in range(1, self.num_samples + 1) if self.num_samples % n == 0]
        return next((n for n in divisors if draws <= n * _DRAWS_AT_ONCE), self.num_samples)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self._num_classes(input_shape))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_factors": self.num_factors,
            "num_samples": self.num_samples,
            "temperature": self.temperature,
            "least_stddev": self.least_stddev,
            "seed": self.seed,
        }
