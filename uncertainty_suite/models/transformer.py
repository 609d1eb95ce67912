"""A small transformer encoder for texts (Vaswani et al. 2017, arXiv:1706.03762)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uncertainty_suite import keras
from uncertainty_suite.models import checks
from uncertainty_suite.models.encoder import encode

if TYPE_CHECKING:
    from uncertainty_suite.layers import LayerSet


def transformer(
    inputs: keras.KerasTensor,
    layers: LayerSet,
    vocabulary_size: int = 10_000,
    num_layers: int = 2,
    num_hidden: int = 64,
    num_heads: int = 4,
    dropout_rate: float = 0.1,
) -> keras.KerasTensor:
    """Build embeddings of tokens and positions, an encoder (`models.encoder`), and the mean over tokens.

    Padding takes no part in attention, nor in the mean.

    Args:
        inputs: Token ids `[batch, length]`, from 1 to `vocabulary_size` - 1; 0 is padding.
        layers: Layer set.
        vocabulary_size: Number of ids, padding included.
        num_layers: Blocks.
        num_hidden: Dimension of embeddings and blocks.
        num_heads: Heads of attention; a divisor of `num_hidden`.
        dropout_rate: Rate on the embeddings and on what each half of a block adds.

    Returns:
        Features `[batch, num_hidden]`.

    Raises:
        InputError: The examples are not token ids, or an option is outside its range.
    """
    # Imported here, so that the options of architectures are known without TensorFlow.
    from uncertainty_suite.layers import IsToken, Positions, TokenMean

    checks.require_tokens("transformer", inputs)
    sizes = {"num_layers": num_layers, "num_hidden": num_hidden, "num_heads": num_heads}
    checks.require_counts("transformer", vocabulary_size=vocabulary_size, **sizes)
    checks.require_rates("transformer", dropout_rate=dropout_rate)
    checks.require_heads("transformer", num_heads, num_hidden)
    is_token = IsToken(name="is_token")(inputs)
    x = layers.embedding(vocabulary_size, num_hidden, name="token_embedding")(inputs)
    positions = Positions(name="positions")(inputs)
    positions = layers.embedding(inputs.shape[1], num_hidden, name="position_embedding")(positions)
    x = keras.layers.Add(name="embedding_add")([x, positions])
    x = layers.dropout(dropout_rate, name="embedding_dropout")(x)
    x = encode(x, layers, **sizes, dropout_rate=dropout_rate, is_token=is_token)
    return TokenMean(name="pool")(x, is_token)
