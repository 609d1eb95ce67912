"""The small convolutional network of the MC-dropout literature and of Keras' MNIST example."""

import keras

from uncertainty_suite.layers import LayerSet
from uncertainty_suite.models.images import require_images


def convnet(
    input_shape: tuple[int, ...],
    num_classes: int,
    layers: LayerSet,
    num_filters: tuple[int, int] = (32, 64),
    num_hidden: int = 128,
    dropout_rates: tuple[float, float] = (0.25, 0.5),
) -> keras.Model:
    """Build two 3 x 3 convolutions, max-pooling, dropout, a dense layer, dropout and the head.

    1,199,882 parameters on 28 x 28 x 1 images with plain layers and 10 classes.

    Args:
        input_shape: `[height, width, channels]`, at least 6 x 6 pixels.
        num_classes: Units of the head.
        layers: Layer set.
        num_filters: Filters of the two convolutions (unpadded, ReLU).
        num_hidden: Units of the dense layer (ReLU).
        dropout_rates: Rates after the pooling and after the dense layer.

    Returns:
        Model from `[batch, *input_shape]` to the output of the head.

    Raises:
        InputError: The examples are not such images.
    """
    require_images("convnet", input_shape, min_size=6)
    inputs = x = keras.Input(input_shape, name="features")
    for filters in num_filters:
        x = layers.conv(filters, 3, activation="relu")(x)
    x = keras.layers.MaxPooling2D()(x)
    x = layers.dropout(dropout_rates[0])(x)
    x = keras.layers.Flatten()(x)
    x = layers.dense(num_hidden, activation="relu")(x)
    x = layers.dropout(dropout_rates[1])(x)
    return keras.Model(inputs, layers.head(num_classes)(x), name="convnet")
