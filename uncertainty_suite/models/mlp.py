"""The perceptron of the literature on UCI regression (Hernández-Lobato and Adams 2015, arXiv:1502.05336)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uncertainty_suite import keras
from uncertainty_suite.models import checks

if TYPE_CHECKING:
    from uncertainty_suite.layers import LayerSet


def mlp(
    inputs: keras.KerasTensor,
    layers: LayerSet,
    num_layers: int = 1,
    num_hidden: int = 50,
    dropout_rate: float = 0.0,
) -> keras.KerasTensor:
    """Build dense layers, each with dropout before it, and dropout before the head.

    Dropout sits where Gal and Ghahramani 2016 (arXiv:1506.02142) have it: before every dense layer, that on the inputs
    and the head included. With plain layers, one hidden layer and a head of `units` outputs, d features take
    50 (d + 1) + 51 units parameters.

    Args:
        inputs: Examples; anything but a vector is flattened.
        layers: Layer set.
        num_layers: Hidden layers.
        num_hidden: Units of each (ReLU).
        dropout_rate: Rate before each dense layer.

    Returns:
        Features `[batch, num_hidden]`, after the last dropout.

    Raises:
        InputError: The examples have several parts, or an option is outside its range.
    """
    checks.require_one_input("mlp", inputs)
    checks.require_counts("mlp", num_layers=num_layers, num_hidden=num_hidden)
    checks.require_rates("mlp", dropout_rate=dropout_rate)
    x = inputs if len(inputs.shape) == 2 else keras.layers.Flatten(name="flatten")(inputs)
    for i in range(1, num_layers + 1):
        x = layers.dropout(dropout_rate, name=f"dropout_{i}")(x)
        x = layers.dense(num_hidden, activation="relu", name=f"dense_{i}")(x)
    return layers.dropout(dropout_rate, name=f"dropout_{num_layers + 1}")(x)
