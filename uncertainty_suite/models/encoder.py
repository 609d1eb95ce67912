"""The encoder of `transformer` and `vit`: blocks of self-attention that normalise before each part."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
