"""A Gaussian process on features, by variational inference with inducing points; and draws of its values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers.draws import draw_for_rows
from uncertainty_suite.marks import mark

_MEAN_UNIT = 10.0  # prior standard deviations: by steps that suit a network's weights the mean comes as far as it needs
_JITTER = 1e-6  # on the diagonal of the kernel matrix, whose diagonal is 1; it is factored in float64


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class InducingPointGaussianProcess(keras.layers.Layer):
    """Predict with Gaussian processes whose posterior is that of their values at m inducing points.

        f_u(x) = constant_u + scale_u g_u(x),    g_u ~ GP(0, k),    k(x, y) = exp(-|x - y|^2 / (2 length_scale^2))
        q(v_u) = N(mean_u, L_u L_u^T),    g_u(Z) = L_K v_u,    L_K L_K^T = k(Z, Z)
        a = L_K^-1 k(Z, x),    E f_u = constant_u + scale_u a^T mean_u,
        Var f_u = scale_u^2 (1 - |a|^2 + |L_u^T a|^2)

    Hensman, Matthews and Ghahramani 2015, https://arxiv.org/abs/1411.2005, in whitened form, for each output u. The
    inducing points Z, in the space of the features, and the length scale are shared by all outputs. What is trained
    minimises E_q[-log p(y | f)] + `kl_divergence()` / n over n training examples.

    The L2 penalty of training counts none of its variables. Kernel matrices are computed and factored in float64.

    Args:
        units: Number of outputs.
        num_inducing: Inducing points m.
        seed: Integer seed of the first inducing points, standard normal; `None` takes one from Keras' global seed.
            `initialize` puts them where the data are.

    Returns:
        `{"outputs": ..., "variance": ...}`, mean and variance of f, each `[batch, units]`, for features `[batch, d]`.

    Raises:
        InputError: An argument is not above 0.

    Example:
        >>> layer = InducingPointGaussianProcess(10)
        >>> said = layer(features)
        >>> loss = expected_loss(said["outputs"], said["variance"]) + layer.kl_divergence() / num_examples
    """

    def __init__(self, units: int, num_inducing: int = 20, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        for name, value in (("units", units), ("num_inducing", num_inducing)):
            if not value > 0:
                raise InputError(f"{name} must be above 0, received {value}.")
        self.units = units
        self.num_inducing = num_inducing
        self.seed = seed

    def build(self, input_shape: tuple[Any, ...]) -> None:
        dimensions, m, units = input_shape[-1], self.num_inducing, self.units

        def add(name: str, shape: tuple[int, ...], initializer: Any) -> keras.Variable:
            return mark(self.add_weight(name=name, shape=shape, initializer=initializer), penalized=False)

        self.inducing_points = add(
            "inducing_points", (m, dimensions), keras.initializers.RandomNormal(stddev=1.0, seed=self.seed)
        )
        self.log_length_scale = add("log_length_scale", (), keras.initializers.Constant(0.5 * math.log(2 * dimensions)))
        self.log_scale = add("log_scale", (units,), "zeros")
        self.constant = add("constant", (units,), "zeros")
        # Of q, at first the prior: the mean in units of `_MEAN_UNIT`, and L with the logarithm of its diagonal.
        self.posterior_mean = add("posterior_mean", (units, m), "zeros")
        self.posterior_factor = add("posterior_factor", (units, m, m), "zeros")

    def initialize(self, features: np.ndarray, seed: int) -> None:
        """Put the inducing points at the centres of clusters of features, and the length scale at their distance.

        As Van Amersfoort et al. 2021 (https://arxiv.org/abs/2102.11409) do: by k-means, and the mean distance between
        two features.

        Args:
            features: Features of training examples, `[n, d]`, n at least the number of inducing points.
            seed: Seed of k-means.

        Raises:
            InputError: There are too few features.
        """
        from scipy.cluster.vq import kmeans2
        from scipy.spatial.distance import pdist

        features = np.asarray(features, np.float64)
        if len(features) < self.num_inducing:
            raise InputError(
                f"{self.num_inducing} inducing points need as many training examples, not {len(features)}."
            )
        centres, _ = kmeans2(features, self.num_inducing, minit="++", seed=seed, missing="warn")
        self.inducing_points.assign(centres.astype(np.float32))
        self.log_length_scale.assign(np.log(max(pdist(features[:1000]).mean(), 1e-3)).astype(np.float32))

    def call(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs, points = tf.cast(inputs, tf.float64), tf.cast(self.inducing_points, tf.float64)
        identity = tf.eye(self.num_inducing, dtype=tf.float64)
        factor = tf.linalg.cholesky(self._kernel(points, points) + _JITTER * identity)
        a = tf.linalg.triangular_solve(factor, self._kernel(points, inputs))  # [m, batch]
        a = tf.cast(a, tf.float32)
        scale = tf.exp(self.log_scale)
        mean = self.constant + scale * tf.matmul(a, self._posterior_mean(), transpose_a=True, transpose_b=True)
        projected = tf.einsum("uij,ib->ujb", self._posterior_factor(), a)  # L_u^T a
        variance = 1 - tf.reduce_sum(a**2, axis=0) + tf.reduce_sum(projected**2, axis=1)  # [units, batch]
        return {"outputs": mean, "variance": scale**2 * tf.transpose(tf.maximum(variance, 1e-6))}

    def kl_divergence(self) -> tf.Tensor:
        """Return the divergence of the posterior from the prior in nats, a scalar, summed over outputs."""
        factor = self._posterior_factor()
        log_determinant = 2 * tf.reduce_sum(tf.linalg.diag_part(self.posterior_factor))
        squares = tf.reduce_sum(factor**2) + tf.reduce_sum(self._posterior_mean() ** 2)
        return 0.5 * (squares - self.units * self.num_inducing - log_determinant)

    def _kernel(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        squares = tf.reduce_sum(x**2, axis=1)[:, tf.newaxis] + tf.reduce_sum(y**2, axis=1)
        distance = tf.maximum(squares - 2 * tf.matmul(x, y, transpose_b=True), 0)  # below zero by rounding
        return tf.exp(-0.5 * distance * tf.exp(-2 * tf.cast(self.log_length_scale, tf.float64)))

    def _posterior_mean(self) -> tf.Tensor:
        """Return the mean of v `[units, m]`."""
        return _MEAN_UNIT * tf.convert_to_tensor(self.posterior_mean)

    def _posterior_factor(self) -> tf.Tensor:
        """Return L `[units, m, m]`."""
        stored = tf.convert_to_tensor(self.posterior_factor)
        below = stored - tf.linalg.band_part(stored, 0, -1)
        return tf.linalg.set_diag(below, tf.exp(tf.linalg.diag_part(stored)))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> dict[str, tuple[int | None, ...]]:
        shape = (input_shape[0], self.units)
        return {"outputs": shape, "variance": shape}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "num_inducing": self.num_inducing,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class GaussianSamples(keras.layers.Layer):
    """Draw from independent Gaussians, in training and in prediction: `mean + sqrt(variance) * noise`.

    Gradients reach mean and variance (Kingma and Welling 2014, https://arxiv.org/abs/1312.6114).

    Args:
        num_samples: Draws of each.
        seed: Integer seed; `None` takes one from Keras' global seed.

    Call arguments:
        mean: `[batch, units]`.
        variance: `[batch, units]`.

    Returns:
        float32 `[batch, num_samples, units]`.

    Raises:
        InputError: The number of samples is not above 0.
    """

    stochastic = True
    draws_per_example = True

    def __init__(self, num_samples: int, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        if not num_samples > 0:
            raise InputError(f"num_samples must be above 0, received {num_samples}.")
        self.num_samples = num_samples
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed, name=self.name)

    def call(self, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
        shape = [tf.shape(mean)[0], self.num_samples, mean.shape[-1]]
        noise = draw_for_rows(tf.random.stateless_normal, shape, mean.shape[0], self.seed_generator.next())
        return mean[:, tf.newaxis] + tf.sqrt(variance)[:, tf.newaxis] * noise

    def compute_output_shape(
        self, mean_shape: tuple[int | None, ...], variance_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        return (mean_shape[0], self.num_samples, mean_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_samples": self.num_samples, "seed": self.seed}
