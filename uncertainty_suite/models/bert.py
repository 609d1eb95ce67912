"""BERT, an encoder of texts (Devlin et al. 2019, arXiv:1810.04805), which can begin with trained weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uncertainty_suite import keras
from uncertainty_suite.models import checks
from uncertainty_suite.models.encoder import encode_norm_after

if TYPE_CHECKING:
    from uncertainty_suite.layers import LayerSet

_EPSILON = 1e-12  # of the normalisations: the embeddings are so small that a larger one would change them


def bert(
    inputs: keras.KerasTensor,
    layers: LayerSet,
    vocabulary_size: int = 30_522,
    num_layers: int = 6,
    num_hidden: int = 384,
    num_heads: int = 12,
    dropout_rate: float = 0.1,
    pretrained: str = "",
) -> keras.KerasTensor:
    """Build embeddings of tokens and positions, blocks that normalise after each part, and the mean over tokens.

    The sizes are those of MiniLM-L6 (Wang et al. 2020, arXiv:2002.10957). With B the attention or the dense network of
    a block, x becomes `norm(x + dropout(B(x)))`; there is no dropout on attention weights. Sentence-BERT takes the mean
    over tokens, too (Reimers and Gurevych 2019, arXiv:1908.10084).

    Args:
        inputs: Token ids `[batch, length]`, from 1 to `vocabulary_size` - 1; 0 is padding.
        layers: Layer set.
        vocabulary_size: Number of ids, padding included.
        num_layers: Blocks.
        num_hidden: Dimension of embeddings and blocks.
        num_heads: Heads of attention; a divisor of `num_hidden`.
        dropout_rate: Rate on the embeddings and on what each half of a block adds.
        pretrained: Whose weights it begins with, loaded by `models.build`: `minilm`, or a folder with the
            `model.safetensors` of a BERT of these sizes; see `models.pretrained`. Empty: it begins at random.

    Returns:
        Features `[batch, num_hidden]`.

    Raises:
        InputError: The examples are not token ids, or an option is outside its range.
    """
    # Imported here, so that the options of architectures are known without TensorFlow.
    from uncertainty_suite.layers import IsToken, Positions, TokenMean

    del pretrained  # of `models.build`, once there is a model
    checks.require_tokens("bert", inputs)
    sizes = {"num_layers": num_layers, "num_hidden": num_hidden, "num_heads": num_heads}
    checks.require_counts("bert", vocabulary_size=vocabulary_size, **sizes)
    checks.require_rates("bert", dropout_rate=dropout_rate)
    checks.require_heads("bert", num_heads, num_hidden)
    is_token = IsToken(name="is_token")(inputs)
    x = layers.embedding(vocabulary_size, num_hidden, name="token_embedding")(inputs)
    positions = Positions(name="positions")(inputs)
    positions = layers.embedding(inputs.shape[1], num_hidden, name="position_embedding")(positions)
    x = keras.layers.Add(name="embedding_add")([x, positions])
    x = layers.layer_norm(epsilon=_EPSILON, name="embedding_norm")(x)
    x = layers.dropout(dropout_rate, name="embedding_dropout")(x)
    x = encode_norm_after(
        x,
        layers,
        layers.dense,
        **sizes,
        num_between=4 * num_hidden,
        dropout_rate=dropout_rate,
        is_token=is_token,
        epsilon=_EPSILON,
    )
    return TokenMean(name="pool")(x, is_token)
