"""Self-attention whose projections are dense layers of a layer set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError


def self_attention(num_heads: int, dense: Callable[..., Any], name: str) -> Callable[..., keras.KerasTensor]:
    """Make multi-head self-attention out of four dense layers.

        output(concat_h softmax(query_h key_h^T / sqrt(d / num_heads)) value_h)

    Vaswani et al. 2017, https://arxiv.org/abs/1706.03762. Same values as `keras.layers.MultiHeadAttention`, whose
    projections cannot be replaced: here they are made by `dense`, so that e.g. spectral normalisation reaches them.

    Args:
        num_heads: Number of heads; a divisor of the dimension d.
        dense: Makes the projections to queries, keys, values and outputs; called like `keras.layers.Dense`.
        name: Prefix of the names of all layers.

    Returns:
        A function of symbolic tensors `[batch, length, d]` and a mask `[batch, length]`, which is True where there is
        a token to attend to; without a mask there are tokens everywhere. It returns a tensor `[batch, length, d]`.

    Raises:
        InputError: By the returned function, if d is no multiple of the number of heads.

    Example:
        >>> attend = self_attention(2, dense=keras.layers.Dense, name="attention")
        >>> x = attend(x, is_token)
    """

    def attend(inputs: keras.KerasTensor, is_token: keras.KerasTensor | None = None) -> keras.KerasTensor:
        dimensions = inputs.shape[-1]
        if dimensions % num_heads:
            raise InputError(f"Attention has {num_heads} heads, which must divide the dimension {dimensions}.")
        query, key, value = (dense(dimensions, name=f"{name}_{part}")(inputs) for part in ("query", "key", "value"))
        x = DotProductAttention(num_heads, name=f"{name}_dot_product")(query, key, value, is_token)
        return dense(dimensions, name=f"{name}_output")(x)

    return attend


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class DotProductAttention(keras.layers.Layer):
    """Mix values by the similarity of queries and keys, in several heads; without weights of its own.

    Args:
        num_heads: Number of heads; a divisor of the dimension d.

    Call arguments:
        query, key, value: Tensors `[batch, length, d]`.
        is_token: Booleans `[batch, length]`; where False, key and value are not used. None: all are.

    Returns:
        A tensor `[batch, length, d]`.
    """

    def __init__(self, num_heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads

    def call(self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, is_token: tf.Tensor | None = None) -> tf.Tensor:
        shape = tf.shape(query)
        by_head = [shape[0], shape[1], self.num_heads, query.shape[-1] // self.num_heads]
        query, key, value = (tf.reshape(x, by_head) for x in (query, key, value))
        mask = None if is_token is None else is_token[:, tf.newaxis, tf.newaxis, :]
        mixed = keras.ops.dot_product_attention(query, key, value, mask=mask)
        return tf.reshape(mixed, shape)

    def compute_output_shape(
        self, query_shape: tuple, key_shape: tuple, value_shape: tuple, is_token_shape: tuple | None = None
    ) -> tuple[int | None, ...]:
        return query_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_heads": self.num_heads}
