"""The random-feature Gaussian process: an output layer that knows how far its input is from the training data."""

from __future__ import annotations

import math
from typing import Any

from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.layers.random_features import OrthogonalRandomFeatures

LIKELIHOODS = ("gaussian", "binary_logistic", "poisson")
FEATURE_TYPES = {"orthogonal": OrthogonalRandomFeatures, "random": keras.initializers.RandomNormal}


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class RandomFeatureGaussianProcess(keras.layers.Layer):
    """Predict with a Gaussian process in the space of m random Fourier features.

        Phi(x) = a cos(h W + b),    logits = Phi beta + output_bias,    variance = ridge * diag(Phi P^-1 Phi^T)

    with h = x / sqrt(kernel_scale), fixed random W and b, and a = sqrt(2 / m) if `scale_features`, else 1. With scaled
    features of `feature_stddev` 1 the kernel is exp(-|x - y|^2 / (2 kernel_scale)): `kernel_scale` is the *square* of
    the length scale. Rahimi and Recht 2007 (random features); Liu et al. 2020 (SNGP), https://arxiv.org/abs/2006.10108.

    P is the precision of the Laplace posterior of beta, gathered from the training data and shared by all outputs. It
    starts at, and is reset to, ridge * I. A batch of n rows with likelihood weights w (1 for gaussian, p (1 - p) for
    binary_logistic, exp(logit) for poisson, at the current beta) changes it by G = sum_i w_i Phi_i^T Phi_i:

        P <- P + G                                      if momentum <= 0 (exact)
        P <- momentum * P + (1 - momentum) * G / n      if 0 < momentum < 1 (moving average; the ridge decays)

    and an empty batch leaves it as it is.

    The usual, exact way is to train beta by gradient descent, then `reset_precision()`, show every training example
    once to `update_precision`, and pass `inverse_cholesky()` to all later calls. With `update_in_training` every
    training call updates P, before the optimiser's step. Replicas of a distribution strategy add up their batches, so
    P does not depend on how a batch is split.

    Conventions are those of tf-models-official. The layer computes in float32 whatever the global policy, and gathers
    and factors P in float64: unscaled features of 50,000 images give a matrix whose condition number exceeds what
    float32 can factor. P is the only weight of that type, and what is computed from it is never a weight.

    Args:
        units: Number of outputs.
        num_features: Number of random features m.
        kernel_scale: Squared length scale of the kernel.
        feature_type: How W is drawn: `"orthogonal"` (`OrthogonalRandomFeatures`) or `"random"` (independent normal).
        feature_stddev: Standard deviation of W. Published SNGP image models use 0.05 without feature scaling.
        scale_features: Whether features are multiplied by sqrt(2 / m).
        normalize_input: Whether h is the layer-normalised input instead, with a trained gain and shift. The kernel
            scale is then not used and must be 1.
        ridge_penalty: Prior precision of beta, above 0. The variance is multiplied by it, so that before any data it
            is |Phi(x)|^2 whatever the ridge.
        momentum: Below 1. At or below 0 for the exact sum.
        update_in_training: Whether calls with `training=True` update the precision.
        likelihood: `"gaussian"`, or with one unit `"binary_logistic"` or `"poisson"`.
        output_bias: Constant added to the logits; not trained.
        l2: L2 penalty on beta, found in `layer.losses`.
        seed: Integer seed of W, b and the initial beta; `None` takes one from Keras' global seed.

    Call arguments:
        inputs: Representations `[batch, dimensions]`.
        training: Whether this is a training step; matters only with `update_in_training`.
        inverse_cholesky: The result of `layer.inverse_cholesky()`. Without it the call factors P itself: always right,
            but slow for many small batches.

    Returns:
        `{"outputs": ..., "variance": ...}`: logits `[batch, units]` and variances `[batch]`, shared by all units. In a
        `tf.function` that does not use the variance nothing is spent on it.

    Raises:
        InputError: If an argument is outside its range.

    Example:
        >>> layer = RandomFeatureGaussianProcess(10)
        >>> prior_variance = layer(features)["variance"]
        >>> layer.update_precision(features)
        >>> said = layer(features, inverse_cholesky=layer.inverse_cholesky())  # said["outputs"], said["variance"]
    """

    def __init__(
        self,
        units: int,
        num_features: int = 1024,
        kernel_scale: float = 1.0,
        feature_type: str = "orthogonal",
        feature_stddev: float = 1.0,
        scale_features: bool = True,
        normalize_input: bool = False,
        ridge_penalty: float = 1.0,
        momentum: float = -1.0,
        update_in_training: bool = False,
        likelihood: str = "gaussian",
        output_bias: float = 0.0,
        l2: float = 1e-6,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        if likelihood not in LIKELIHOODS:
            raise unknown_name("likelihood", likelihood, LIKELIHOODS)
        if feature_type not in FEATURE_TYPES:
            raise unknown_name("feature type", feature_type, FEATURE_TYPES)
        for name, value in [
            ("units", units),
            ("num_features", num_features),
            ("kernel_scale", kernel_scale),
            ("feature_stddev", feature_stddev),
            ("ridge_penalty", ridge_penalty),
        ]:
            if not 0 < value < math.inf:
                raise InputError(f"{name} must be a finite number above 0, received {value}.")
        if not momentum < 1:
            raise InputError(f"momentum must be below 1 (at or below 0 for the exact precision), received {momentum}.")
        if not l2 >= 0:
            raise InputError(f"l2 must not be negative, received {l2}.")
        if likelihood != "gaussian" and units != 1:
            raise InputError(f"The likelihood '{likelihood}' needs exactly 1 unit, received {units}.")
        if normalize_input and kernel_scale != 1:
            raise InputError(f"kernel_scale is not used with normalize_input and must be 1, received {kernel_scale}.")
        self.units = units
        self.num_features = num_features
        self.kernel_scale = kernel_scale
        self.feature_type = feature_type
        self.feature_stddev = feature_stddev
        self.scale_features = scale_features
        self.normalize_input = normalize_input
        self.ridge_penalty = ridge_penalty
        self.momentum = momentum
        self.update_in_training = update_in_training
        self.likelihood = likelihood
        self.output_bias = output_bias
        self.l2 = l2
        self.seed = seed
        # The framework's own epsilon, 1e-3, is also that of the reference implementations.
        self.normalization = None
        if normalize_input:
            self.normalization = keras.layers.LayerNormalization(dtype="float32", name="normalization")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        dimensions, m = input_shape[-1], self.num_features
        kernel_seed, phase_seed, beta_seed = (None,) * 3 if self.seed is None else (3 * self.seed + i for i in range(3))
        if self.normalization is not None:
            self.normalization.build(input_shape)
        self.feature_kernel = self.add_weight(  # W
            name="feature_kernel",
            shape=(dimensions, m),
            initializer=FEATURE_TYPES[self.feature_type](stddev=self.feature_stddev, seed=kernel_seed),
            trainable=False,
        )
        self.feature_phase = self.add_weight(  # b
            name="feature_phase",
            shape=(m,),
            initializer=keras.initializers.RandomUniform(0.0, 2 * math.pi, seed=phase_seed),
            trainable=False,
        )
        self.kernel = self.add_weight(  # beta
            name="kernel",
            shape=(m, self.units),
            initializer=keras.initializers.GlorotUniform(seed=beta_seed),
            regularizer=keras.regularizers.L2(self.l2) if self.l2 else None,
        )
        self.bias = self.add_weight(
            name="bias",
            shape=(self.units,),
            initializer=keras.initializers.Constant(self.output_bias),
            trainable=False,
        )
        self.precision = self.add_weight(  # P
            name="precision",
            shape=(m, m),
            initializer=keras.initializers.Identity(gain=self.ridge_penalty),
            dtype="float64",
            autocast=False,
            trainable=False,
        )

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, inverse_cholesky: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        features = self.random_features(inputs)
        logits = self._logits(features)
        if training and self.update_in_training:
            self._update_precision(features, logits)
        variance = self.ridge_penalty * tf.reduce_sum(self._whiten(features, inverse_cholesky) ** 2, axis=1)
        return {"outputs": logits, "variance": variance}

    def random_features(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the random features `[batch, num_features]` of representations `[batch, dimensions]`."""
        inputs = tf.cast(inputs, tf.float32)
        if self.normalization is not None:
            inputs = self.normalization(inputs)
        else:
            inputs /= math.sqrt(self.kernel_scale)
        features = tf.cos(tf.matmul(inputs, self.feature_kernel) + self.feature_phase)
        return math.sqrt(2 / self.num_features) * features if self.scale_features else features

    def update_precision(self, inputs: tf.Tensor) -> None:
        """Add a batch of training representations `[batch, dimensions]` to the precision matrix.

        Within `strategy.run` every replica passes its own part of the batch.
        """
        features = self.random_features(inputs)
        self._update_precision(features, self._logits(features))

    def reset_precision(self) -> None:
        """Forget all training data: set the precision matrix back to ridge * I."""
        self.precision.assign(self.ridge_penalty * tf.eye(self.num_features, dtype=tf.float64))

    def inverse_cholesky(self) -> tf.Tensor:
        """Return L^-1 `[num_features, num_features]`, where the precision is L L^T, to be passed to calls.

        Compute it once after training; after a change of the precision it is out of date.

        Raises:
            InputError: If the precision matrix is not positive definite (checked outside of `tf.function` only).
        """
        factor = tf.linalg.cholesky(self.precision)
        if tf.executing_eagerly() and not tf.reduce_all(tf.math.is_finite(tf.linalg.diag_part(factor))):
            raise InputError(
                "The precision matrix is not positive definite: training diverged, or a moving average forgot the "
                "ridge. Use a larger ridge_penalty, or momentum=-1 and one exact pass over the training data."
            )
        # Inverted here, in float64, since in every call a product takes less time than solving with the factor.
        identity = tf.eye(self.num_features, dtype=tf.float64)
        return tf.cast(tf.linalg.triangular_solve(factor, identity), tf.float32)

    def covariance(self, inputs: tf.Tensor, inverse_cholesky: tf.Tensor | None = None) -> tf.Tensor:
        """Return the full posterior covariance `[batch, batch]` of the logits; calls need only its diagonal."""
        whitened = self._whiten(self.random_features(inputs), inverse_cholesky)
        return self.ridge_penalty * tf.matmul(whitened, whitened, transpose_b=True)

    def _logits(self, features: tf.Tensor) -> tf.Tensor:
        return tf.matmul(features, self.kernel) + self.bias

    def _whiten(self, features: tf.Tensor, inverse_cholesky: tf.Tensor | None) -> tf.Tensor:
        """Return Phi L^-T `[batch, num_features]`, the inner products of whose rows are Phi P^-1 Phi^T."""
        inverse = self.inverse_cholesky() if inverse_cholesky is None else inverse_cholesky
        return tf.matmul(features, inverse, transpose_b=True)

    def _update_precision(self, features: tf.Tensor, logits: tf.Tensor) -> None:
        # Products in float64 keep G positive semi-definite well below the ridge.
        features = tf.cast(tf.stop_gradient(features), tf.float64)
        logits = tf.cast(tf.stop_gradient(logits), tf.float64)
        if self.likelihood == "binary_logistic":
            weights = tf.sigmoid(logits) * tf.sigmoid(-logits)  # [batch, 1]
        elif self.likelihood == "poisson":
            weights = tf.exp(logits)
        else:
            weights = 1.0
        gram = tf.matmul(weights * features, features, transpose_a=True)
        count = tf.cast(tf.shape(features)[0], tf.float64)
        replica_context = tf.distribute.get_replica_context()
        if replica_context is not None and replica_context.num_replicas_in_sync > 1:
            gram, count = replica_context.all_reduce(tf.distribute.ReduceOp.SUM, [gram, count])
        if self.momentum > 0:
            averaged = self.momentum * self.precision + (1 - self.momentum) * gram / count
            self.precision.assign(tf.where(count > 0, averaged, self.precision))  # an empty batch says nothing
        else:
            self.precision.assign(self.precision + gram)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> dict[str, tuple[int | None, ...]]:
        return {"outputs": (input_shape[0], self.units), "variance": (input_shape[0],)}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "num_features": self.num_features,
            "kernel_scale": self.kernel_scale,
            "feature_type": self.feature_type,
            "feature_stddev": self.feature_stddev,
            "scale_features": self.scale_features,
            "normalize_input": self.normalize_input,
            "ridge_penalty": self.ridge_penalty,
            "momentum": self.momentum,
            "update_in_training": self.update_in_training,
            "likelihood": self.likelihood,
            "output_bias": self.output_bias,
            "l2": self.l2,
            "seed": self.seed,
        }
