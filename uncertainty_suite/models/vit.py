"""The vision transformer (Dosovitskiy et al. 2021, arXiv:2010.11929)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uncertainty_suite import keras
from uncertainty_suite.errors import InputError
from uncertainty_suite.models import checks
from uncertainty_suite.models.encoder import encode

if TYPE_CHECKING:
    from uncertainty_suite.layers import LayerSet

_EPSILON = 1e-6  # of the normalisations


def vit(
    inputs: keras.KerasTensor,
    layers: LayerSet,
    patch_size: int = 16,
    num_layers: int = 12,
    num_hidden: int = 384,
    num_heads: int = 6,
    dropout_rate: float = 0.1,
) -> keras.KerasTensor:
    """Build patches of an image as tokens, a token of the class before them, and an encoder; its features are the class
    token's.

    The sizes are those of ViT-S/16; ViT-B/16 has `num_hidden=768, num_heads=12`. The class token begins as zeros, and
    learns as the first of the positions: its own vector and that of its position would only be added. So there are
    `num_hidden` parameters less than in the paper's network, 22,050,280 and 86,566,888 on ImageNet with plain layers.

    Args:
        inputs: Images `[batch, height, width, channels]`, whose sides are multiples of `patch_size`.
        layers: Layer set.
        patch_size: Pixels of a side of a patch.
        num_layers: Blocks.
        num_hidden: Dimension of tokens and blocks.
        num_heads: Heads of attention; a divisor of `num_hidden`.
        dropout_rate: Rate on the tokens and on what each half of a block adds.

    Returns:
        Features `[batch, num_hidden]`.

    Raises:
        InputError: The examples are not such images, or an option is outside its range.
    """
    # Imported here, so that the options of architectures are known without TensorFlow.
    from uncertainty_suite.layers import Positions

    sizes = {"num_layers": num_layers, "num_hidden": num_hidden, "num_heads": num_heads}
    checks.require_counts("vit", patch_size=patch_size, **sizes)
    checks.require_rates("vit", dropout_rate=dropout_rate)
    checks.require_heads("vit", num_heads, num_hidden)
    checks.require_images("vit", inputs, min_size=patch_size)
    height, width = inputs.shape[1:3]
    if height % patch_size or width % patch_size:
        raise InputError(
            f"Architecture vit takes images whose sides are multiples of patch_size={patch_size}, and this data set "
            f"has {height} x {width} pixels. Set --config.model.patch_size."
        )
    x = layers.conv(num_hidden, patch_size, strides=patch_size, padding="valid", name="patch_embedding")(inputs)
    num_patches = (height // patch_size) * (width // patch_size)
    x = keras.layers.Reshape((num_patches, x.shape[-1]), name="patches")(x)
    x = keras.layers.ZeroPadding1D((1, 0), name="class_token")(x)
    positions = layers.embedding(num_patches + 1, num_hidden, name="position_embedding")(Positions(name="positions")(x))
    x = keras.layers.Add(name="embedding_add")([x, positions])
    x = layers.dropout(dropout_rate, name="embedding_dropout")(x)
    x = encode(x, layers, **sizes, dropout_rate=dropout_rate, epsilon=_EPSILON)
    x = keras.layers.Cropping1D((0, num_patches), name="class_token_alone")(x)
    return keras.layers.Flatten(name="class_token_features")(x)
