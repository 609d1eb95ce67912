"""A last layer whose weights have a Gaussian posterior, trained with the network by a closed-form bound."""

from __future__ import annotations

import math
from typing import Any

from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.marks import mark

COVARIANCES = ("dense", "diagonal", "low_rank")
# Of the inverse Wishart prior of the logits' noise, as the authors' library has them by default.
_DEGREES_OF_FREEDOM = 1.0
_WISHART_SCALE = 1.0


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class VariationalLastLayer(keras.layers.Layer):
    """Return outputs whose weights are Gaussian, and the variances that the outputs so have.

        weights_k ~ N(mean_k, S_k),    outputs_k ~ N(mean_k . phi, phi . S_k phi + noise_k),

    for each output k, with features phi and a 1 appended for the bias: the head of Harrison, Willes and Snoek 2024,
    https://arxiv.org/abs/2404.11599. Nothing is drawn: `Likelihood.expected_loss` has the expectation, or a bound of
    it, in closed form. The prior is N(0, prior_scale / d) for each weight.

    Where all outputs have such weights (the logits of classes), they have noise of a trained variance, with an inverse
    Wishart prior: `noise_penalty`. Where some have not, such as the scale of a Gaussian, these are the noise: plain
    linear outputs, after the others. The paper has one trained noise variance there instead.

    Computed in float32, whatever the dtype policy.

    Args:
        units: Number of outputs.
        num_latents: Outputs whose weights have a distribution, the first ones; all if None.
        covariance: What S_k is: `dense` L L^T, `diagonal`, or `low_rank` U U^T plus a diagonal.
        rank: Columns of U.
        prior_scale: Prior variance of a weight times the number of features d, above 0.
        use_bias: Whether a 1 is appended to the features.

    Call arguments:
        inputs: Features `[batch, d]`.

    Returns:
        A dict: `outputs` float32 `[batch, units]`, their means, and `output_variance` float32 `[batch, num_latents]`.

    Raises:
        InputError: If an argument is outside its range.

    Example:
        >>> head = VariationalLastLayer(10)
        >>> said = head(features)
        >>> loss = tf.reduce_mean(likelihood.expected_loss(said["outputs"], said["output_variance"], labels))
        >>> objective = loss + (head.kl_divergence() + head.noise_penalty()) / num_examples
    """

    def __init__(
        self,
        units: int,
        num_latents: int | None = None,
        covariance: str = "dense",
        rank: int = 3,
        prior_scale: float = 1.0,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        if covariance not in COVARIANCES:
            raise unknown_name("covariance", covariance, COVARIANCES)
        if not prior_scale > 0:
            raise InputError(f"prior_scale must be above 0, received {prior_scale}.")
        self.units = units
        self.num_latents = units if num_latents is None else num_latents
        self.covariance = covariance
        self.rank = rank
        self.prior_scale = prior_scale
        self.use_bias = use_bias
        self.others = None
        if self.num_latents < units:
            self.others = keras.layers.Dense(units - self.num_latents, dtype="float32", name="others")

    def build(self, input_shape: tuple[Any, ...]) -> None:
        dimensions = input_shape[-1]
        size = dimensions + self.use_bias
        self.prior_variance = self.prior_scale / dimensions
        start = math.log(0.1 * math.sqrt(self.prior_variance))  # of the standard deviations: certain, and free to move

        def add(name: str, shape: tuple[int, ...], initializer: Any) -> keras.Variable:
            return mark(self.add_weight(name=name, shape=shape, initializer=initializer), penalized=False)

        self.mean = add("mean", (self.num_latents, size), keras.initializers.GlorotUniform())
        diagonal = 2 * start if self.covariance == "low_rank" else start
        self.log_diagonal = add("log_diagonal", (self.num_latents, size), keras.initializers.Constant(diagonal))
        if self.covariance != "diagonal":
            columns = size if self.covariance == "dense" else self.rank
            spread = keras.initializers.RandomNormal(stddev=math.exp(start) / math.sqrt(columns))
            self.factor = add("factor", (self.num_latents, size, columns), spread)
        if self.others is not None:
            self.others.build(input_shape)
        else:
            mode = _WISHART_SCALE / (2 * self._degrees_of_freedom())
            self.log_noise = add("log_noise", (self.units,), keras.initializers.Constant(math.log(mode) / 2))

    def call(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        features = inputs = tf.cast(inputs, tf.float32)
        if self.use_bias:
            features = tf.pad(features, [[0, 0], [0, 1]], constant_values=1)
        outputs = tf.matmul(features, self.mean, transpose_b=True)
        variance = self._quadratic_form(features)
        if self.others is None:
            variance += tf.exp(2 * self.log_noise)
        else:
            outputs = tf.concat([outputs, self.others(inputs)], axis=-1)
        return {"outputs": outputs, "output_variance": variance}

    def kl_divergence(self) -> tf.Tensor:
        """Return the Kullback-Leibler divergence of the weights' posterior from their prior in nats, a scalar."""
        trace, log_determinant = self._trace(), self._log_determinant()
        squares = tf.reduce_sum(tf.square(tf.convert_to_tensor(self.mean)))
        size = math.prod(self.mean.shape)
        return 0.5 * (
            (trace + squares) / self.prior_variance + size * (math.log(self.prior_variance) - 1) - log_determinant
        )

    def noise_penalty(self) -> tf.Tensor:
        """Return the negative log density of the noise under its prior in nats, up to a constant; 0 without noise.

        sum over outputs of 2 dof log(stddev) + scale / (2 variance),    dof = (1 + units + 1) / 2,    scale = 1
        """
        if self.others is not None:
            return tf.zeros([])
        log_noise = tf.convert_to_tensor(self.log_noise)
        return tf.reduce_sum(2 * self._degrees_of_freedom() * log_noise + _WISHART_SCALE / 2 * tf.exp(-2 * log_noise))

    def _degrees_of_freedom(self) -> float:
        return (_DEGREES_OF_FREEDOM + self.units + 1) / 2

    def _cholesky(self) -> tf.Tensor:
        """Return L `[latents, size, size]` of a dense covariance."""
        factor = tf.convert_to_tensor(self.factor)
        return tf.linalg.set_diag(tf.linalg.band_part(factor, -1, 0), tf.exp(self.log_diagonal))

    def _quadratic_form(self, features: tf.Tensor) -> tf.Tensor:
        """Return phi . S_k phi, `[batch, latents]`."""
        if self.covariance == "dense":
            return tf.reduce_sum(tf.einsum("bi,kij->bkj", features, self._cholesky()) ** 2, axis=-1)
        variances = tf.exp((1 if self.covariance == "low_rank" else 2) * self.log_diagonal)
        form = tf.matmul(features**2, variances, transpose_b=True)
        if self.covariance == "low_rank":
            form += tf.reduce_sum(tf.einsum("bi,kij->bkj", features, tf.convert_to_tensor(self.factor)) ** 2, axis=-1)
        return form

    def _trace(self) -> tf.Tensor:
        """Return the sum of the traces of all S_k."""
        if self.covariance == "dense":
            return tf.reduce_sum(self._cholesky() ** 2)
        if self.covariance == "diagonal":
            return tf.reduce_sum(tf.exp(2 * self.log_diagonal))
        return tf.reduce_sum(tf.exp(self.log_diagonal)) + tf.reduce_sum(tf.square(tf.convert_to_tensor(self.factor)))

    def _log_determinant(self) -> tf.Tensor:
        """Return the sum of the log determinants of all S_k."""
        log_diagonal = tf.convert_to_tensor(self.log_diagonal)
        if self.covariance != "low_rank":
            return 2 * tf.reduce_sum(log_diagonal)
        # det(D + U U^T) = det(D) det(I + U^T D^-1 U)
        whitened = tf.convert_to_tensor(self.factor) * tf.exp(-log_diagonal / 2)[..., tf.newaxis]
        inner = tf.eye(self.rank) + tf.matmul(whitened, whitened, transpose_a=True)
        return tf.reduce_sum(log_diagonal) + tf.reduce_sum(tf.linalg.logdet(inner))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> dict[str, tuple[int | None, ...]]:
        return {"outputs": (input_shape[0], self.units), "output_variance": (input_shape[0], self.num_latents)}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "num_latents": self.num_latents,
            "covariance": self.covariance,
            "rank": self.rank,
            "prior_scale": self.prior_scale,
            "use_bias": self.use_bias,
        }
