"""The residual network on vectors of the SNGP tutorial (tensorflow.org/tutorials/understanding/sngp)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uncertainty_suite import keras
from uncertainty_suite.models import checks

if TYPE_CHECKING:
    from uncertainty_suite.layers import LayerSet


def resnet_mlp(
    inputs: keras.KerasTensor,
    layers: LayerSet,
    num_layers: int = 6,
    num_hidden: int = 128,
    dropout_rate: float = 0.1,
) -> keras.KerasTensor:
    """Build a residual multi-layer perceptron behind a frozen random projection.

    The projection is fixed and never normalised, so that distances in input space reach the residual layers as they
    are: each adds `dropout(relu(dense(h)))` to its input `h`. 99,714 parameters on two moons with plain layers.

    Args:
        inputs: Examples; anything but a vector is flattened.
        layers: Layer set.
        num_layers: Residual layers.
        num_hidden: Units of each.
        dropout_rate: Rate on each residual branch.

    Returns:
        Features `[batch, num_hidden]`.

    Raises:
        InputError: The examples have several parts, or an option is outside its range.
    """
    checks.require_one_input("resnet_mlp", inputs)
    checks.require_counts("resnet_mlp", num_layers=num_layers, num_hidden=num_hidden)
    checks.require_rates("resnet_mlp", dropout_rate=dropout_rate)
    x = inputs if len(inputs.shape) == 2 else keras.layers.Flatten(name="flatten")(inputs)
    x = layers.projection(num_hidden, name="projection")(x)
    for i in range(1, num_layers + 1):
        residual = layers.dense(num_hidden, activation="relu", name=f"dense_{i}")(x)
        residual = layers.dropout(dropout_rate, name=f"dropout_{i}")(residual)
        x = keras.layers.Add(name=f"add_{i}")([x, residual])
    return x
