"""ResNet-20 for small images (He et al. 2015, arXiv:1512.03385, section 4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uncertainty_suite import keras
from uncertainty_suite.models import checks

if TYPE_CHECKING:
    from uncertainty_suite.layers import LayerSet


def resnet20(inputs: keras.KerasTensor, layers: LayerSet, dropout_rate: float = 0.0) -> keras.KerasTensor:
    """Build the residual network of 20 layers: three groups of three blocks with 16, 32 and 64 filters.

    Convolutions have biases and shortcuts are 1 x 1 convolutions, as in Uncertainty Baselines: 274,442 parameters on
    CIFAR-10 with plain layers. Dropout sits between the two convolutions of a block.

    Args:
        inputs: Images `[batch, height, width, channels]`, at least 8 x 8 pixels.
        layers: Layer set.
        dropout_rate: Rate in each block.

    Returns:
        Features `[batch, 64]`.

    Raises:
        InputError: The examples are not such images, or an option is outside its range.
    """
    checks.require_images("resnet20", inputs, min_size=8)
    checks.require_rates("resnet20", dropout_rate=dropout_rate)

    def conv(filters: int, size: int, name: str, strides: int = 1) -> keras.Layer:
        return layers.conv(filters, size, strides=strides, padding="same", kernel_initializer="he_normal", name=name)

    x = layers.norm(name="stem_norm")(conv(16, 3, "stem_conv")(inputs))
    x = keras.layers.ReLU(name="stem_relu")(x)
    for group, filters in enumerate((16, 32, 64), start=1):
        for block in range(1, 4):
            name = f"group{group}_block{block}"
            strides = 2 if group > 1 and block == 1 else 1
            y = layers.norm(name=f"{name}_norm1")(conv(filters, 3, f"{name}_conv1", strides)(x))
            y = keras.layers.ReLU(name=f"{name}_relu1")(y)
            # Made before the dropout: the order in which layers are made decides their seeds, and so stored results.
            second_conv = conv(filters, 3, f"{name}_conv2")
            y = second_conv(layers.dropout(dropout_rate, name=f"{name}_dropout")(y))
            y = layers.norm(name=f"{name}_norm2")(y)
            if x.shape != y.shape:
                x = conv(filters, 1, f"{name}_shortcut", strides)(x)
            x = keras.layers.Add(name=f"{name}_add")([x, y])
            x = keras.layers.ReLU(name=f"{name}_relu2")(x)
    return keras.layers.GlobalAveragePooling2D(name="pool")(x)
