"""The layers an architecture is built from, chosen by the method."""

import dataclasses
from collections.abc import Callable

import keras

from uncertainty_suite.layers.batch_normalization import FusedBatchNormalization
from uncertainty_suite.layers.dropout import Dropout


def float32_head(units: int) -> keras.layers.Dense:
    """Return a dense output layer that computes in float32, so that losses and probabilities lose no digits."""
    return keras.layers.Dense(units, dtype="float32")


@dataclasses.dataclass(frozen=True)
class LayerSet:
    """Hold the layer constructors that a method gives to an architecture.

    An architecture calls them as it would call Keras, e.g. `layers.conv(32, 3, padding="same")`, and so works with
    every method; a method replaces some of them and so works with every architecture. The defaults are plain Keras,
    with a faster kernel for batch normalisation, dropout by cheaper masks, and a head whose logits are float32 whatever
    the dtype policy.

    Args:
        conv: Makes a convolution; called like `keras.layers.Conv2D`.
        dense: Makes a hidden dense layer; called like `keras.layers.Dense`.
        norm: Makes a normalisation; called like `keras.layers.BatchNormalization`.
        dropout: Makes a dropout; called with the rate.
        head: Makes the output layer; called with the number of outputs.

    Example:
        >>> layers = LayerSet(dropout=MonteCarloDropout)
        >>> hidden = layers.dense(128, activation="relu")
    """

    conv: Callable[..., keras.layers.Layer] = keras.layers.Conv2D
    dense: Callable[..., keras.layers.Layer] = keras.layers.Dense
    norm: Callable[..., keras.layers.Layer] = FusedBatchNormalization
    dropout: Callable[..., keras.layers.Layer] = Dropout
    head: Callable[..., keras.layers.Layer] = float32_head
