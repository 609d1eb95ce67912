"""ResNet-20 for small images (He et al. 2015, arXiv:1512.03385, section 4.2)."""

import keras

from uncertainty_suite.layers import LayerSet
from uncertainty_suite.models.images import require_images


def resnet20(
    input_shape: tuple[int, ...], num_classes: int, layers: LayerSet, dropout_rate: float = 0.0
) -> keras.Model:
    """Build the residual network of 20 layers: three groups of three blocks with 16, 32 and 64 filters.

    Convolutions have biases and shortcuts are 1 x 1 convolutions, as in Uncertainty Baselines: 274,442 parameters on
    CIFAR-10 with plain layers. Dropout sits between the two convolutions of a block.

    Args:
        input_shape: `[height, width, channels]`, at least 8 x 8 pixels.
        num_classes: Units of the head.
        layers: Layer set.
        dropout_rate: Rate in each block.

    Returns:
        Model from `[batch, *input_shape]` to the output of the head.

    Raises:
        InputError: The examples are not such images.
    """
    require_images("resnet20", input_shape, min_size=8)

    def conv(filters: int, size: int, strides: int = 1) -> keras.Layer:
        return layers.conv(filters, size, strides=strides, padding="same", kernel_initializer="he_normal")

    def norm(x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.norm(momentum=0.9, epsilon=1e-5)(x)

    inputs = keras.Input(input_shape, name="features")
    x = keras.layers.ReLU()(norm(conv(16, 3)(inputs)))
    for group, filters in enumerate((16, 32, 64)):
        for block in range(3):
            strides = 2 if group > 0 and block == 0 else 1
            y = keras.layers.ReLU()(norm(conv(filters, 3, strides)(x)))
            y = norm(conv(filters, 3)(layers.dropout(dropout_rate)(y)))
            if x.shape != y.shape:
                x = conv(filters, 1, strides)(x)
            x = keras.layers.ReLU()(keras.layers.Add()([x, y]))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.head(num_classes)(x), name="resnet20")
