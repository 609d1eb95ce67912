"""A recurrent network for texts, a long short-term memory (Hochreiter and Schmidhuber 1997)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uncertainty_suite import keras
from uncertainty_suite.models import checks

if TYPE_CHECKING:
    from uncertainty_suite.layers import LayerSet


def lstm(
    inputs: keras.KerasTensor,
    layers: LayerSet,
    vocabulary_size: int = 10_000,
    num_embedding: int = 128,
    num_hidden: int = 128,
    dropout_rate: float = 0.5,
) -> keras.KerasTensor:
    """Build embeddings, a long short-term memory that reads them in order, and what it remembers after the last token.

    Differs from the paper in the gate that forgets (Gers et al. 2000). Padding is not read.

    Args:
        inputs: Token ids `[batch, length]`, from 1 to `vocabulary_size` - 1; 0 is padding.
        layers: Layer set.
        vocabulary_size: Number of ids, padding included.
        num_embedding: Dimension of the embeddings.
        num_hidden: Dimension of what is remembered.
        dropout_rate: Rate on the embeddings and on the features.

    Returns:
        Features `[batch, num_hidden]`.

    Raises:
        InputError: The examples are not token ids, or an option is outside its range.
    """
    # Imported here, so that the options of architectures are known without TensorFlow.
    from uncertainty_suite.layers import IsToken

    checks.require_tokens("lstm", inputs)
    checks.require_counts("lstm", vocabulary_size=vocabulary_size, num_embedding=num_embedding, num_hidden=num_hidden)
    checks.require_rates("lstm", dropout_rate=dropout_rate)
    is_token = IsToken(name="is_token")(inputs)
    x = layers.embedding(vocabulary_size, num_embedding, name="token_embedding")(inputs)
    x = layers.dropout(dropout_rate, name="embedding_dropout")(x)
    x = layers.lstm(num_hidden, dense=layers.dense, name="lstm")(x, is_token)
    return layers.dropout(dropout_rate, name="dropout")(x)
