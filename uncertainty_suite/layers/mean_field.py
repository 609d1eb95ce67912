"""Class probabilities from Gaussian logits: the mean-field approximation and Monte Carlo."""

from __future__ import annotations

from uncertainty_suite import tf


def mean_field_logits(logits: tf.Tensor, variance: tf.Tensor, mean_field_factor: float) -> tf.Tensor:
    """Shrink logits so that their softmax approximates the mean softmax over a Gaussian.

        adjusted = logits / sqrt(1 + mean_field_factor * variance)

    Lu, Ie, Sha 2020, https://arxiv.org/abs/2006.07584. The factor is pi / 8 for a sigmoid; for a softmax it is tuned.

    Args:
        logits: Mean of the logits `[..., classes]`.
        variance: Variance of the logits `[...]`, shared by all classes; or of the same rank as the logits.
        mean_field_factor: Strength of the shrinkage. Zero and negative values leave the logits unchanged.

    Returns:
        The adjusted logits, of the shape of `logits`.

    Example:
        >>> mean_field_logits(tf.constant([[2.0, 0.0]]), tf.constant([3.0]), 1.0)  # [[1.0, 0.0]]
    """
    logits = tf.convert_to_tensor(logits)
    if mean_field_factor < 0:
        return logits
    variance = tf.cast(variance, logits.dtype)
    if variance.shape.rank < logits.shape.rank:
        variance = variance[..., tf.newaxis]
    return logits / tf.sqrt(1.0 + mean_field_factor * variance)


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

    Their mean over the samples is the predictive distribution that `mean_field_logits` approximates.

    Args:
        logits: Mean of the logits `[..., classes]`.
        variance: Variance of the logits `[...]`, shared by all classes.
        num_samples: Number of draws.
        seed: Seed of the draws, an integer or a pair of integers; the same seed gives the same draws.
        temperature_scale: Factor on the variance.
        noise: Standard normal draws `[samples, ..., classes]` to use instead of those from `seed`.

    Returns:
        Probabilities `[samples, ..., classes]`.

    Example:
        >>> probs = monte_carlo_softmax(logits, variance, num_samples=10, seed=0)
        >>> mean_probs = tf.reduce_mean(probs, axis=0)
    """
    logits = tf.convert_to_tensor(logits)
    if noise is None:
        seed = tf.convert_to_tensor(seed)
        if seed.shape.rank == 0:
            seed = tf.stack([seed, tf.zeros_like(seed)])
        noise = tf.random.stateless_normal(
            tf.concat([[num_samples], tf.shape(logits)], axis=0), seed, dtype=logits.dtype
        )
    stddev = tf.sqrt(temperature_scale * tf.cast(variance, logits.dtype))[..., tf.newaxis]
    return tf.nn.softmax(logits + stddev * tf.cast(noise, logits.dtype), axis=-1)
