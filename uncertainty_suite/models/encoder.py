"""Blocks of self-attention: those of `transformer` and `vit` normalise before each part, those of BERT after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from uncertainty_suite import keras

if TYPE_CHECKING:
    from uncertainty_suite.layers import LayerSet


def encode(
    x: keras.KerasTensor,
    layers: LayerSet,
    num_layers: int,
    num_hidden: int,
    num_heads: int,
    dropout_rate: float,
    is_token: keras.KerasTensor | None = None,
    **norm: float,
) -> keras.KerasTensor:
    """Build blocks of self-attention and a dense network, and a last normalisation.

    Each block adds `dropout(attention(norm(x)))` and then `dropout(dense(gelu(dense(norm(x)))))` to its input x (Xiong
    et al. 2020, arXiv:2002.04745), with four times as many units in between.

    Args:
        x: Vectors `[batch, length, num_hidden]`.
        layers: Layer set.
        num_layers: Blocks.
        num_hidden: Dimension of the vectors.
        num_heads: Heads of attention; a divisor of `num_hidden`.
        dropout_rate: Rate on what each half of a block adds.
        is_token: Booleans `[batch, length]`, False where there is padding; None where there is none.
        **norm: `epsilon` of the normalisations, where it is not that of the layer set.

    Returns:
        Vectors of the same shape.
    """
    for i in range(1, num_layers + 1):
        y = layers.layer_norm(name=f"block{i}_norm1", **norm)(x)
        y = layers.attention(num_heads, dense=layers.dense, name=f"block{i}_attention")(y, is_token)
        y = layers.dropout(dropout_rate, name=f"block{i}_dropout1")(y)
        x = keras.layers.Add(name=f"block{i}_add1")([x, y])
        y = layers.layer_norm(name=f"block{i}_norm2", **norm)(x)
        y = layers.dense(4 * num_hidden, activation="gelu", name=f"block{i}_dense1")(y)
        y = layers.dense(num_hidden, name=f"block{i}_dense2")(y)
        y = layers.dropout(dropout_rate, name=f"block{i}_dropout2")(y)
        x = keras.layers.Add(name=f"block{i}_add2")([x, y])
    return layers.layer_norm(name="norm", **norm)(x)


def encode_norm_after(
    x: keras.KerasTensor,
    layers: LayerSet,
    dense: Callable[..., Any],
    num_layers: int,
    num_hidden: int,
    num_heads: int,
    num_between: int,
    dropout_rate: float,
    is_token: keras.KerasTensor,
    epsilon: float,
    activation: Any = "gelu",
) -> keras.KerasTensor:
    """Build blocks of self-attention and a dense network, as of BERT (Devlin et al. 2019, arXiv:1810.04805).

    With B the attention or the dense network of a block, x becomes `norm(x + dropout(B(x)))`.

    Args:
        x: Vectors `[batch, length, num_hidden]`.
        layers: Layer set.
        dense: Makes the dense layers, those of the attention included: `layers.dense`, or another one.
        num_layers: Blocks.
        num_hidden: Dimension of the vectors.
        num_heads: Heads of attention; a divisor of `num_hidden`.
        num_between: Units between the two dense layers.
        dropout_rate: Rate on what each half of a block adds.
        is_token: Booleans `[batch, length]`, False where there is padding.
        epsilon: Of the normalisations.
        activation: Between the two dense layers.

    Returns:
        Vectors of the same shape.
    """
    for i in range(1, num_layers + 1):
        y = layers.attention(num_heads, dense=dense, name=f"block{i}_attention")(x, is_token)
        y = layers.dropout(dropout_rate, name=f"block{i}_dropout1")(y)
        x = keras.layers.Add(name=f"block{i}_add1")([x, y])
        x = layers.layer_norm(epsilon=epsilon, name=f"block{i}_norm1")(x)
        y = dense(num_between, activation=activation, name=f"block{i}_dense1")(x)
        y = dense(num_hidden, name=f"block{i}_dense2")(y)
        y = layers.dropout(dropout_rate, name=f"block{i}_dropout2")(y)
        x = keras.layers.Add(name=f"block{i}_add2")([x, y])
        x = layers.layer_norm(epsilon=epsilon, name=f"block{i}_norm2")(x)
    return x
