"""ResNet-50 for large images (He et al. 2015, arXiv:1512.03385), with the stride in the 3 x 3 convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uncertainty_suite import keras
from uncertainty_suite.models import checks

if TYPE_CHECKING:
    from uncertainty_suite.layers import LayerSet


def resnet50(
    inputs: keras.KerasTensor,
    layers: LayerSet,
    num_filters: int = 64,
    num_blocks: tuple[int, ...] = (3, 4, 6, 3),
    dropout_rate: float = 0.0,
) -> keras.KerasTensor:
    """Build the residual network of bottleneck blocks, variant 1.5, as Uncertainty Baselines builds it.

    A 7 x 7 convolution and a pooling, each of stride 2; then groups of blocks whose three convolutions have f, f and
    4 f filters, where f is `num_filters` in the first group and doubles in each. Dropout comes after each activation
    within a block and after the stem's. 25,610,152 parameters on ImageNet with plain layers.

    Args:
        inputs: Images `[batch, height, width, channels]`, at least 32 x 32 pixels.
        layers: Layer set.
        num_filters: Filters of the first convolution.
        num_blocks: Blocks of each group.
        dropout_rate: Rate in each block.

    Returns:
        Features `[batch, 4 * num_filters * 2 ** (len(num_blocks) - 1)]`.

    Raises:
        InputError: The examples are not such images, or an option is outside its range.
    """
    checks.require_images("resnet50", inputs, min_size=32)
    checks.require_counts("resnet50", num_filters=num_filters, num_blocks=num_blocks)
    checks.require_rates("resnet50", dropout_rate=dropout_rate)

    def conv(filters: int, size: int, name: str, strides: int = 1, padding: str = "same") -> keras.Layer:
        return layers.conv(
            filters, size, strides=strides, padding=padding, use_bias=False, kernel_initializer="he_normal", name=name
        )

    def norm_relu_dropout(x: keras.KerasTensor, name: str, number: str = "") -> keras.KerasTensor:
        x = layers.norm(name=f"{name}_norm{number}")(x)
        x = keras.layers.ReLU(name=f"{name}_relu{number}")(x)
        return layers.dropout(dropout_rate, name=f"{name}_dropout{number}")(x)

    x = keras.layers.ZeroPadding2D(3, name="stem_padding")(inputs)
    x = norm_relu_dropout(conv(num_filters, 7, "stem_conv", strides=2, padding="valid")(x), "stem")
    x = keras.layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    for group, blocks in enumerate(num_blocks, start=1):
        filters = num_filters * 2 ** (group - 1)
        for block in range(1, blocks + 1):
            name = f"group{group}_block{block}"
            strides = 2 if group > 1 and block == 1 else 1
            y = norm_relu_dropout(conv(filters, 1, f"{name}_conv1")(x), name, "1")
            y = norm_relu_dropout(conv(filters, 3, f"{name}_conv2", strides)(y), name, "2")
            y = layers.norm(name=f"{name}_norm3")(conv(4 * filters, 1, f"{name}_conv3")(y))
            if x.shape != y.shape:
                x = conv(4 * filters, 1, f"{name}_shortcut", strides)(x)
                x = layers.norm(name=f"{name}_shortcut_norm")(x)
            x = keras.layers.Add(name=f"{name}_add")([x, y])
            x = keras.layers.ReLU(name=f"{name}_relu3")(x)
    return keras.layers.GlobalAveragePooling2D(name="pool")(x)
