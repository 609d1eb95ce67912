"""The layers an architecture is built from, chosen by the method."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from uncertainty_suite import keras
from uncertainty_suite.layers.attention import self_attention
from uncertainty_suite.layers.batch_normalization import FusedBatchNormalization
from uncertainty_suite.layers.dropout import Dropout
from uncertainty_suite.layers.recurrence import lstm


def _norm(**kwargs: Any) -> keras.layers.Layer:
    return FusedBatchNormalization(momentum=0.9, epsilon=1e-5, **kwargs)


def _projection(units: int, **kwargs: Any) -> keras.layers.Layer:
    return keras.layers.Dense(units, trainable=False, **kwargs)


def _layer_norm(epsilon: float = 1e-5, **kwargs: Any) -> keras.layers.Layer:
    return keras.layers.LayerNormalization(epsilon=epsilon, **kwargs)


def _head(units: int, **kwargs: Any) -> keras.layers.Layer:
    return keras.layers.Dense(units, dtype="float32", **kwargs)


def _unchanged(tensors: Any) -> Any:
    return tensors


@dataclasses.dataclass(frozen=True)
class LayerSet:
    """Hold the layer constructors that a method gives to an architecture.

    An architecture calls them as it would call Keras, e.g. `layers.conv(32, 3, padding="same", name="conv_1")`, and so
    works with every method; a method replaces some of them and so works with every architecture. Every call passes
    `name`, which the constructor must give to the layer. The defaults are plain Keras, with a faster kernel for batch
    normalisation, dropout by cheaper masks, and a head whose outputs are float32 whatever the dtype policy, so that
    losses and probabilities lose no digits.

    Args:
        conv: Makes a convolution; called like `keras.layers.Conv2D`.
        dense: Makes a hidden dense layer; called like `keras.layers.Dense`.
        projection: Makes a random dense layer that is not trained; called with the number of units.
        norm: Makes a normalisation of images; called with the name only. The default is batch normalisation with
            momentum 0.9 and epsilon 1e-5, as in wide residual networks.
        dropout: Makes a dropout; called with the rate.
        head: Makes the output layer, from features `[batch, d]`; called with the number of outputs. It returns the
            outputs, or a dict of `outputs` and what it has to say besides, e.g. `variance`.
        at_input: Changes the model's inputs before the backbone; called with the tensor, or the dict of tensors.
        at_output: Changes what the model returns; called with the dict of `features`, `outputs` and what the head adds,
            and returns such a dict, e.g. with outputs `[batch, members, units]`.
        layer_norm: Makes a normalisation of vectors; called with the name, and where it is not 1e-5 with `epsilon`.
        attention: Makes a self-attention; called like `self_attention`, with the number of heads and `dense`.
        lstm: Makes a recurrent layer; called like `layers.lstm`, with the number of units and `dense`.
        embedding: Makes a table of vectors; called like `keras.layers.Embedding`.

    Example:
        >>> layers = LayerSet(dropout=MonteCarloDropout)
        >>> hidden = layers.dense(128, activation="relu", name="dense_1")
    """

    conv: Callable[..., Any] = keras.layers.Conv2D
    dense: Callable[..., Any] = keras.layers.Dense
    projection: Callable[..., Any] = _projection
    norm: Callable[..., Any] = _norm
    dropout: Callable[..., Any] = Dropout
    head: Callable[..., Any] = _head
    at_input: Callable[[Any], Any] = _unchanged
    at_output: Callable[[dict[str, Any]], dict[str, Any]] = _unchanged
    layer_norm: Callable[..., Any] = _layer_norm
    attention: Callable[..., Any] = self_attention
    lstm: Callable[..., Any] = lstm
    embedding: Callable[..., Any] = keras.layers.Embedding
