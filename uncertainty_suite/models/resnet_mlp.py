"""The residual network on vectors of the SNGP tutorial (tensorflow.org/tutorials/understanding/sngp)."""

import keras

from uncertainty_suite.layers import LayerSet


def resnet_mlp(
    input_shape: tuple[int, ...],
    num_classes: int,
    layers: LayerSet,
    num_layers: int = 6,
    num_hidden: int = 128,
    dropout_rate: float = 0.1,
) -> keras.Model:
    """Build a residual multi-layer perceptron behind a frozen random projection.

    The projection is fixed and never normalised, so that distances in input space reach the residual layers as they
    are: each adds `dropout(relu(dense(h)))` to its input `h`. 99,714 parameters on two moons with plain layers.

    Args:
        input_shape: Shape of one example; anything but a vector is flattened.
        num_classes: Units of the head.
        layers: Layer set.
        num_layers: Residual layers.
        num_hidden: Units of each.
        dropout_rate: Rate on each residual branch.

    Returns:
        Model from `[batch, *input_shape]` to the output of the head.
    """
    inputs = keras.Input(input_shape, name="features")
    x = inputs if len(input_shape) == 1 else keras.layers.Flatten()(inputs)
    x = keras.layers.Dense(num_hidden, trainable=False, name="projection")(x)
    for _ in range(num_layers):
        residual = layers.dense(num_hidden, activation="relu")(x)
        residual = layers.dropout(dropout_rate)(residual)
        x = keras.layers.Add()([x, residual])
    return keras.Model(inputs, layers.head(num_classes)(x), name="resnet_mlp")
