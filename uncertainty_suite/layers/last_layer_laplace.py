"""A Gaussian over the weights of a trained network's last layer, by the Laplace approximation."""

from __future__ import annotations

from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError, unknown_name

STRUCTURES = ("full", "kronecker")
_MOST_PARAMETERS = 10_000  # of a full Hessian, which then has 0.8 GB


class LastLayerLaplace:
    """The curvature of the loss in the last layer's weights, gathered over training data, and what follows from it.

    With features phi, a 1 appended for the bias, and the Fisher information L of an example's outputs, the Hessian is

        H = sum over examples of L (x) phi phi^T,

    and the posterior of the weights is N(trained weights, (H + prior_precision * I)^-1): Daxberger et al. 2021,
    https://arxiv.org/abs/2106.14806. `full` keeps H, of (latents * (d + 1))^2 numbers. `kronecker` keeps the factors
    B = sum of L and A = the mean of phi phi^T, whose product B (x) A stands for H (Ritter et al. 2018,
    https://openreview.net/forum?id=Skdvd2xAZ); for a single example or equal L it is exact. Weights and bias are one
    matrix here; laplace-torch gives the bias a factor of its own, without covariance with the weights.

    Everything is gathered in float64.

    Args:
        num_features: Number of features d.
        num_latents: Outputs whose weights have a distribution, the first ones; see `Likelihood.fisher_information`.
        structure: `full` or `kronecker`.

    Attributes:
        variables: What is gathered, by name, for `training.Loop(state=...)`.

    Raises:
        InputError: The structure is not known, or a full Hessian is too large.

    Example:
        >>> laplace = LastLayerLaplace(128, 10)
        >>> laplace.add(features, likelihood.fisher_information(outputs), log_likelihood)  # for each batch
        >>> posterior = laplace.posterior(kernel, bias)
        >>> variance = posterior.variance(features, prior_precision=1.0)  # [batch, 10]
    """

    def __init__(self, num_features: int, num_latents: int, structure: str = "full") -> None:
        if structure not in STRUCTURES:
            raise unknown_name("structure", structure, STRUCTURES)
        size = num_latents * (num_features + 1)
        if structure == "full" and size > _MOST_PARAMETERS:
            raise InputError(
                f"The last layer has {size:,} parameters, and a full Hessian is for {_MOST_PARAMETERS:,} at most. Take "
                "the structure 'kronecker'."
            )
        self.structure = structure
        self.num_latents = num_latents
        self._num_inputs = num_features + 1
        shapes: dict[str, tuple[int, ...]] = {"num_examples": (), "log_likelihood": ()}
        if structure == "full":
            shapes["hessian"] = (num_latents, self._num_inputs, num_latents, self._num_inputs)
        else:
            shapes |= {"features": (self._num_inputs,) * 2, "outputs": (num_latents,) * 2}
        self.variables = {
            name: keras.Variable(keras.ops.zeros(shape, "float64"), dtype="float64", trainable=False, name=name)
            for name, shape in shapes.items()
        }

    def reset(self) -> None:
        """Forget all data."""
        for variable in self.variables.values():
            variable.assign(keras.ops.zeros(variable.shape, "float64"))

    def add(self, features: tf.Tensor, information: tf.Tensor, log_likelihood: tf.Tensor) -> None:
        """Add a batch of training examples.

        Args:
            features: `[batch, d]`.
            information: The Fisher information of their outputs, `[batch, latents, latents]`.
            log_likelihood: Of each label, `[batch]`.
        """
        inputs, information = _with_one(tf.cast(features, tf.float64)), tf.cast(information, tf.float64)
        sums = {
            "num_examples": tf.cast(tf.shape(inputs)[0], tf.float64),
            "log_likelihood": tf.reduce_sum(tf.cast(log_likelihood, tf.float64)),
        }
        if self.structure == "full":
            sums["hessian"] = tf.einsum("bkl,bi,bj->kilj", information, inputs, inputs)
        else:
            sums |= {
                "features": tf.matmul(inputs, inputs, transpose_a=True),
                "outputs": tf.reduce_sum(information, axis=0),
            }
        for name, value in sums.items():
            self.variables[name].assign(self.variables[name] + value)

    def posterior(self, kernel: tf.Tensor, bias: tf.Tensor) -> LastLayerPosterior:
        """Return the posterior around trained weights, after all data were added; call it outside of `tf.function`.

        Args:
            kernel: `[d, units]`.
            bias: `[units]`.

        Raises:
            InputError: The Hessian is not finite.
        """
        values = {name: tf.convert_to_tensor(variable) for name, variable in self.variables.items()}
        if not all(bool(tf.reduce_all(tf.math.is_finite(value))) for value in values.values()):
            raise InputError("The Hessian of the last layer is not finite: training diverged.")
        if self.structure == "full":
            size = self.num_latents * self._num_inputs
            eigenvalues, basis = tf.linalg.eigh(tf.reshape(values["hessian"], [size, size]))
            factors: tuple[tf.Tensor, ...] = (tf.reshape(basis, [self.num_latents, self._num_inputs, size]),)
        else:
            of_features, basis_features = tf.linalg.eigh(values["features"] / values["num_examples"])
            of_outputs, basis_outputs = tf.linalg.eigh(values["outputs"])
            eigenvalues = of_outputs[:, tf.newaxis] * of_features
            factors = (basis_outputs, basis_features)
        eigenvalues = tf.maximum(eigenvalues, 0.0)  # what is below is rounding: H is a sum of squares
        weights = tf.concat([tf.cast(kernel, tf.float64), tf.cast(bias, tf.float64)[tf.newaxis]], axis=0)
        return LastLayerPosterior(eigenvalues, factors, weights[:, : self.num_latents], values["log_likelihood"])


class LastLayerPosterior:
    """The posterior of the last layer's weights, for any prior precision: made by `LastLayerLaplace.posterior`."""

    def __init__(
        self, eigenvalues: tf.Tensor, factors: tuple[tf.Tensor, ...], weights: tf.Tensor, log_likelihood: tf.Tensor
    ) -> None:
        """Hold the eigenvectors of the Hessian, which a prior precision leaves as they are.

        Args:
            eigenvalues: `[P]`, or `[latents, d + 1]` of two factors.
            factors: Eigenvectors `[latents, d + 1, P]`, or those of the outputs and of the features, as columns.
            weights: Trained weights `[d + 1, latents]`, the bias last.
            log_likelihood: Of all training data with them.
        """
        self._eigenvalues = eigenvalues
        self._factors = tuple(tf.cast(factor, tf.float32) for factor in factors)
        self._weights = weights
        self._log_likelihood = log_likelihood

    def variance(self, features: tf.Tensor, prior_precision: tf.Tensor | float) -> tf.Tensor:
        """Return the variances of the outputs, float32 `[batch, latents]`, of features `[batch, d]`."""
        inputs, variances = _with_one(tf.cast(features, tf.float32)), self._variances(prior_precision)
        if len(self._factors) == 1:
            (basis,) = self._factors
            covariances = tf.einsum("kip,p,kjp->kij", basis, variances, basis)  # of the weights of each output
            return tf.reduce_sum(tf.einsum("bi,kij->bkj", inputs, covariances) * inputs[:, tf.newaxis], axis=-1)
        of_outputs, of_features = self._factors
        rotated = tf.matmul(inputs, of_features) ** 2
        return tf.matmul(tf.matmul(rotated, variances, transpose_b=True), of_outputs**2, transpose_b=True)

    def draw(
        self, features: tf.Tensor, outputs: tf.Tensor, prior_precision: tf.Tensor | float, noise: tf.Tensor
    ) -> tf.Tensor:
        """Return outputs with drawn weights, float32 `[samples, batch, units]`; each draw is for the whole batch.

        Args:
            features: `[batch, d]`.
            outputs: Those of the trained weights, `[batch, units]`; units after the latents stay as they are.
            prior_precision: The prior precision.
            noise: Standard normal numbers `[samples, latents, d + 1]`, one for each weight.
        """
        scaled = tf.reshape(noise, [-1, *self._eigenvalues.shape]) * tf.sqrt(self._variances(prior_precision))
        if len(self._factors) == 1:
            weights = tf.einsum("kip,sp->sik", self._factors[0], scaled)
        else:
            of_outputs, of_features = self._factors
            weights = tf.einsum("kl,slj,ij->sik", of_outputs, scaled, of_features)
        change = tf.matmul(_with_one(tf.cast(features, tf.float32)), weights)
        change = tf.pad(change, [[0, 0], [0, 0], [0, outputs.shape[-1] - change.shape[-1]]])
        return tf.cast(outputs, tf.float32) + change

    def log_marginal_likelihood(self, prior_precision: float) -> float:
        """Return the Laplace approximation of the evidence of the training data in nats (MacKay 1992).

        log p(data | weights) - prior_precision / 2 * |weights|^2 - 1/2 log det(H / prior_precision + I)
        """
        log_ratio = tf.reduce_sum(tf.math.log1p(self._eigenvalues / prior_precision))
        return float(self._log_likelihood - (prior_precision * tf.reduce_sum(self._weights**2) + log_ratio) / 2)

    def _variances(self, prior_precision: tf.Tensor | float) -> tf.Tensor:
        return 1 / (tf.cast(self._eigenvalues, tf.float32) + tf.cast(prior_precision, tf.float32))


def _with_one(features: tf.Tensor) -> tf.Tensor:
    """Append a 1 to each example's features: the input of the bias."""
    return tf.pad(features, [[0, 0], [0, 1]], constant_values=1)
