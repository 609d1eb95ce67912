"""How far the posteriors of a network's weights are from their priors."""

from __future__ import annotations

from uncertainty_suite import keras, tf


def kl_divergence(model: keras.layers.Layer) -> tf.Tensor:
    """Return the Kullback-Leibler divergence of a network's posterior from its prior, a float32 scalar in nats.

    A layer with weights of its own that have a distribution says so by a method `kl_divergence()`, which returns that
    of these weights. The distributions of different layers are independent, so their divergences add up. Layers within
    layers count too, so one that contains another does not add what that one says itself. Without such layers it is 0.

    The objective of variational inference, a mean over examples, has this divided by the number of training examples
    (Graves 2011, https://papers.nips.cc/paper/4329-practical-variational-inference-for-neural-networks).

    Args:
        model: A model, or a layer.

    Example:
        >>> objective = loss + layers.kl_divergence(model) / data.num_examples
    """
    parts = [layer.kl_divergence() for layer in model._flatten_layers() if hasattr(layer, "kl_divergence")]
    return tf.add_n([tf.cast(part, tf.float32) for part in parts]) if parts else tf.zeros([])
