"""Wide residual networks (Zagoruyko and Komodakis 2016, arXiv:1605.07146), as Uncertainty Baselines builds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uncertainty_suite import keras
from uncertainty_suite.errors import InputError
from uncertainty_suite.models import checks

if TYPE_CHECKING:
    from uncertainty_suite.layers import LayerSet


def wide_resnet(
    inputs: keras.KerasTensor,
    layers: LayerSet,
    depth: int = 28,
    width: int = 10,
    dropout_rate: float = 0.0,
) -> keras.KerasTensor:
    """Build a wide residual network of pre-activation blocks.

    Three groups of `(depth - 4) / 6` blocks with `16 * width`, `32 * width` and `64 * width` filters; dropout between
    the two convolutions of a block. A block whose output has another shape than its input projects the raw input by a
    1 x 1 convolution. 28-10 has 36,497,146 parameters on CIFAR-10 with plain layers.

    Args:
        inputs: Images `[batch, height, width, channels]`, at least 8 x 8 pixels.
        layers: Layer set.
        depth: Convolutions on the longest path; `6 n + 4`.
        width: Factor on the filters.
        dropout_rate: Rate in each block.

    Returns:
        Features `[batch, 64 * width]`.

    Raises:
        InputError: The examples are not such images, or an option is outside its range.
    """
    checks.require_images("wide_resnet", inputs, min_size=8)
    checks.require_counts("wide_resnet", depth=depth, width=width)
    checks.require_rates("wide_resnet", dropout_rate=dropout_rate)
    if depth < 10 or (depth - 4) % 6:
        raise InputError(f"wide_resnet takes a depth of 6 n + 4 (10, 16, 22, 28, ...), not {depth}.")

    def conv(filters: int, size: int, name: str, strides: int = 1) -> keras.Layer:
        return layers.conv(
            filters, size, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
        )

    def norm_relu(x: keras.KerasTensor, name: str, number: str = "") -> keras.KerasTensor:
        return keras.layers.ReLU(name=f"{name}_relu{number}")(layers.norm(name=f"{name}_norm{number}")(x))

    x = conv(16, 3, "stem_conv")(inputs)
    for group in range(1, 4):
        filters = 16 * width * 2 ** (group - 1)
        for block in range(1, (depth - 4) // 6 + 1):
            name = f"group{group}_block{block}"
            strides = 2 if group > 1 and block == 1 else 1
            y = conv(filters, 3, f"{name}_conv1", strides)(norm_relu(x, name, "1"))
            y = layers.dropout(dropout_rate, name=f"{name}_dropout")(norm_relu(y, name, "2"))
            y = conv(filters, 3, f"{name}_conv2")(y)
            if x.shape != y.shape:
                x = conv(filters, 1, f"{name}_shortcut", strides)(x)
            x = keras.layers.Add(name=f"{name}_add")([x, y])
    return keras.layers.GlobalAveragePooling2D(name="pool")(norm_relu(x, "final"))
