"""Wide residual networks (Zagoruyko and Komodakis 2016, arXiv:1605.07146), as Uncertainty Baselines builds them."""

import keras

from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import LayerSet
from uncertainty_suite.models.images import require_images


def wide_resnet(
    input_shape: tuple[int, ...],
    num_classes: int,
    layers: LayerSet,
    depth: int = 28,
    width: int = 10,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Build a wide residual network of pre-activation blocks.

    Three groups of `(depth - 4) / 6` blocks with `16 * width`, `32 * width` and `64 * width` filters; dropout between
    the two convolutions of a block. A block whose output has another shape than its input projects the raw input by a
    1 x 1 convolution. 28-10 has 36,497,146 parameters on CIFAR-10 with plain layers.

    Args:
        input_shape: `[height, width, channels]`, at least 8 x 8 pixels.
        num_classes: Units of the head.
        layers: Layer set.
        depth: Convolutions on the longest path; `6 n + 4`.
        width: Factor on the filters.
        dropout_rate: Rate in each block.

    Returns:
        Model from `[batch, *input_shape]` to the output of the head.

    Raises:
        InputError: `depth` is not `6 n + 4`, or the examples are not such images.
    """
    require_images("wide_resnet", input_shape, min_size=8)
    if depth < 10 or (depth - 4) % 6:
        raise InputError(f"wide_resnet takes a depth of 6 n + 4 (10, 16, 22, 28, ...), not {depth}.")

    def conv(filters: int, size: int, strides: int = 1) -> keras.Layer:
        return layers.conv(
            filters, size, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal"
        )

    def norm_relu(x: keras.KerasTensor) -> keras.KerasTensor:
        return keras.layers.ReLU()(layers.norm(momentum=0.9, epsilon=1e-5)(x))

    inputs = keras.Input(input_shape, name="features")
    x = conv(16, 3)(inputs)
    for group in range(3):
        filters = 16 * width * 2**group
        for block in range((depth - 4) // 6):
            strides = 2 if group > 0 and block == 0 else 1
            y = conv(filters, 3, strides)(norm_relu(x))
            y = layers.dropout(dropout_rate)(norm_relu(y))
            y = conv(filters, 3)(y)
            if x.shape != y.shape:
                x = conv(filters, 1, strides)(x)
            x = keras.layers.Add()([x, y])
    x = keras.layers.GlobalAveragePooling2D()(norm_relu(x))
    return keras.Model(inputs, layers.head(num_classes)(x), name="wide_resnet")
