"""A convolutional network for texts (Kim 2014, arXiv:1408.5882)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uncertainty_suite import keras
from uncertainty_suite.models import checks

if TYPE_CHECKING:
    from uncertainty_suite.layers import LayerSet


def text_cnn(
    inputs: keras.KerasTensor,
    layers: LayerSet,
    vocabulary_size: int = 10_000,
    num_embedding: int = 128,
    num_filters: int = 100,
    kernel_sizes: tuple[int, ...] = (3, 4, 5),
    dropout_rate: float = 0.5,
) -> keras.KerasTensor:
    """Build embeddings, convolutions of several widths over them, and the maximum of each filter over the tokens.

    Differs from the paper in that embeddings begin at random and are always trained (its CNN-rand), and that a text has
    as many windows as tokens, each around one of them: so a text that is shorter than a window has some, too. Padding
    is zeros to a window, and no window is around it.

    Args:
        inputs: Token ids `[batch, length]`, from 1 to `vocabulary_size` - 1; 0 is padding.
        layers: Layer set.
        vocabulary_size: Number of ids, padding included.
        num_embedding: Dimension of the embeddings.
        num_filters: Filters of each width.
        kernel_sizes: Widths in tokens.
        dropout_rate: Rate on the features.

    Returns:
        Features `[batch, num_filters * len(kernel_sizes)]`.

    Raises:
        InputError: The examples are not token ids, or an option is outside its range.
    """
    # Imported here, so that the options of architectures are known without TensorFlow.
    from uncertainty_suite.layers import IsToken, TokenMax, ZeroPadding

    checks.require_tokens("text_cnn", inputs)
    checks.require_counts(
        "text_cnn",
        vocabulary_size=vocabulary_size,
        num_embedding=num_embedding,
        num_filters=num_filters,
        kernel_sizes=kernel_sizes,
    )
    checks.require_rates("text_cnn", dropout_rate=dropout_rate)
    is_token = IsToken(name="is_token")(inputs)
    x = layers.embedding(vocabulary_size, num_embedding, name="token_embedding")(inputs)
    x = ZeroPadding(name="zero_padding")(x, is_token)
    # An image of one row, since layer sets have convolutions of images.
    x = keras.layers.Reshape((1, *x.shape[1:]), name="as_image")(x)
    pooled = []
    for i, size in enumerate(kernel_sizes, 1):
        y = layers.conv(num_filters, (1, size), padding="same", activation="relu", name=f"conv_{i}")(x)
        y = keras.layers.Reshape(tuple(y.shape[2:]), name=f"as_text_{i}")(y)
        pooled.append(TokenMax(name=f"pool_{i}")(y, is_token))
    x = pooled[0] if len(pooled) == 1 else keras.layers.Concatenate(name="concatenate")(pooled)
    return layers.dropout(dropout_rate, name="dropout")(x)
