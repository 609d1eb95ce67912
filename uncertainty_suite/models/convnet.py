"""The small convolutional network of the MC-dropout literature and of Keras' MNIST example."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uncertainty_suite import keras
from uncertainty_suite.models import checks

if TYPE_CHECKING:
    from uncertainty_suite.layers import LayerSet


def convnet(
    inputs: keras.KerasTensor,
    layers: LayerSet,
    num_filters: tuple[int, int] = (32, 64),
    num_hidden: int = 128,
    dropout_rates: tuple[float, float] = (0.25, 0.5),
) -> keras.KerasTensor:
    """Build two 3 x 3 convolutions, max-pooling, dropout, a dense layer and dropout.

    1,199,882 parameters on 28 x 28 x 1 images with plain layers and 10 classes.

    Args:
        inputs: Images `[batch, height, width, channels]`, at least 6 x 6 pixels.
        layers: Layer set.
        num_filters: Filters of the two convolutions (unpadded, ReLU).
        num_hidden: Units of the dense layer (ReLU).
        dropout_rates: Rates after the pooling and after the dense layer.

    Returns:
        Features `[batch, num_hidden]`.

    Raises:
        InputError: The examples are not such images, or an option is outside its range.
    """
    checks.require_images("convnet", inputs, min_size=6)
    checks.require_pairs("convnet", num_filters=num_filters, dropout_rates=dropout_rates)
    checks.require_counts("convnet", num_filters=num_filters, num_hidden=num_hidden)
    checks.require_rates("convnet", dropout_rates=dropout_rates)
    x = inputs
    for i, filters in enumerate(num_filters, start=1):
        x = layers.conv(filters, 3, activation="relu", name=f"conv_{i}")(x)
    x = keras.layers.MaxPooling2D(name="pool")(x)
    x = layers.dropout(dropout_rates[0], name="dropout_1")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = layers.dense(num_hidden, activation="relu", name="dense_1")(x)
    return layers.dropout(dropout_rates[1], name="dropout_2")(x)
