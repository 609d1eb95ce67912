"""Class probabilities from Gaussian logits: the mean-field approximation and Monte Carlo."""

from __future__ import annotations

from uncertainty_suite import tf
from uncertainty_suite.errors import InputError


def mean_field_logits(logits: tf.Tensor, variance: tf.Tensor, mean_field_factor: float) -> tf.Tensor:
    """Shrink logits so that their softmax approximates the mean softmax over a Gaussian.

        adjusted = logits / sqrt(1 + mean_field_factor * variance)

    Lu, Ie, Sha 2020, https://arxiv.org/abs/2006.07584. The factor is pi / 8 for a sigmoid; for a softmax it is tuned.
    Computed in float32 at least, whatever the dtype of the logits.

    Args:
        logits: Mean of the logits `[..., classes]`; or of one logit an example, `[batch]`.
        variance: Variance of the logits `[...]`, shared by all classes; or of the shape of the logits, or with one
            class in place of all. With logits `[batch, classes]` or `[batch]` also their covariance `[batch, batch]`,
            whose diagonal is used; not with as many classes as examples, where it could be a variance of each class.
        mean_field_factor: Strength of the shrinkage. Zero and negative values leave the logits unchanged.

    Returns:
        The adjusted logits, of the shape and dtype of `logits`, or float32 for integers.

    Raises:
        InputError: If the variance is of none of these shapes, or could be both a covariance and one of them.

    Example:
        >>> mean_field_logits(tf.constant([[2.0, 0.0]]), tf.constant([3.0]), 1.0)  # [[1.0, 0.0]]
    """
    logits, computed = _floating(logits)
    if mean_field_factor < 0:
        return logits
    variance = _variance_of(computed, variance)
    return tf.cast(computed / tf.sqrt(1.0 + mean_field_factor * variance), logits.dtype)


def monte_carlo_softmax(
    logits: tf.Tensor,
    variance: tf.Tensor,
    num_samples: int,
    seed: int | tf.Tensor,
    temperature_scale: float = 1.0,
    noise: tf.Tensor | None = None,
) -> tf.Tensor:
    """Draw class probabilities from Gaussian logits.

        probs[s] = softmax(logits + sqrt(temperature_scale * variance) * noise[s]),    noise ~ N(0, I)

    Their mean over the samples is the predictive distribution that `mean_field_logits` approximates. Computed in
    float32 at least, whatever the dtype of the logits.

    Args:
        logits: Mean of the logits `[..., classes]`.
        variance: Variance of the logits `[...]`, shared by all classes; or another one of `mean_field_logits`.
        num_samples: Number of draws.
        seed: Seed of the draws, an integer or a pair of integers; the same seed gives the same draws.
        temperature_scale: Factor on the variance.
        noise: Standard normal draws `[samples, ..., classes]` to use instead of those from `seed`.

    Returns:
        Probabilities `[samples, ..., classes]`, of the dtype of `logits`, or float32 for integers.

    Raises:
        InputError: As `mean_field_logits`.

    Example:
        >>> probs = monte_carlo_softmax(logits, variance, num_samples=10, seed=0)
        >>> mean_probs = tf.reduce_mean(probs, axis=0)
    """
    logits, computed = _floating(logits)
    if noise is None:
        seed = tf.convert_to_tensor(seed)
        if seed.shape.rank == 0:
            seed = tf.stack([seed, tf.zeros_like(seed)])
        noise = tf.random.stateless_normal(
            tf.concat([[num_samples], tf.shape(computed)], axis=0), seed, dtype=computed.dtype
        )
    stddev = tf.sqrt(temperature_scale * _variance_of(computed, variance))
    return tf.cast(tf.nn.softmax(computed + stddev * tf.cast(noise, computed.dtype), axis=-1), logits.dtype)


def _floating(logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return logits as they are, or float32 for integers, and in the dtype in which is computed with them."""
    logits = tf.convert_to_tensor(logits)
    if not logits.dtype.is_floating:
        logits = tf.cast(logits, tf.float32)
    return logits, logits if logits.dtype == tf.float64 else tf.cast(logits, tf.float32)


def _variance_of(logits: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """Return the variance of logits in their dtype, of a shape that broadcasts to theirs."""
    variance = tf.cast(variance, logits.dtype)
    shape, expected = variance.shape, logits.shape
    may_be_covariance = shape.rank == 2 and expected.rank in (1, 2) and expected[0] != 1
    if may_be_covariance and (shape[1] is None or shape[0] == shape[1] == expected[0]):
        if expected.rank == 2 and shape[1] in (None, expected[1]):
            raise InputError(
                f"A variance of shape {tuple(shape)} of logits of shape {tuple(expected)} may be their covariance or "
                "that of each class: give the variance of each example, which is the covariance's diagonal."
            )
        return _variance_of(logits, tf.linalg.diag_part(variance))
    if shape.rank < expected.rank:
        variance = variance[..., tf.newaxis]
    try:
        fits = tf.broadcast_static_shape(variance.shape, expected).is_compatible_with(expected)
    except ValueError:
        fits = False
    if not fits:
        raise InputError(
            f"Logits of shape {tuple(expected)} need a variance of shape {tuple(expected[:-1])} or {tuple(expected)}, "
            f"or their covariance [batch, batch]; received {tuple(shape)}."
        )
    return variance
