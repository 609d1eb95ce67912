"""Architectures: one function a file, each building a Keras model from the layer set it is given.

A layer set (`uncertainty_suite.layers.LayerSet`) says what a convolution, a dense layer, a normalisation, a dropout and
a head are; the architecture says how they are put together. So any method works with any architecture.
"""

import inspect
from collections.abc import Callable
from typing import Any

import keras
from ml_collections import ConfigDict

from uncertainty_suite import datasets, errors
from uncertainty_suite.layers import LayerSet
from uncertainty_suite.models.convnet import convnet
from uncertainty_suite.models.resnet20 import resnet20
from uncertainty_suite.models.resnet_mlp import resnet_mlp
from uncertainty_suite.models.wide_resnet import wide_resnet

_MODELS: dict[str, Callable[..., keras.Model]] = {
    "convnet": convnet,
    "resnet20": resnet20,
    "resnet_mlp": resnet_mlp,
    "wide_resnet": wide_resnet,
}


def names() -> list[str]:
    """Return the names of all architectures."""
    return sorted(_MODELS)


def get(
    name: str, input_shape: tuple[int, ...], num_classes: int, layers: LayerSet | None = None, **options: Any
) -> keras.Model:
    """Build an architecture.

    Args:
        name: One of `names()`.
        input_shape: Shape of one example, without the batch.
        num_classes: Units of the head.
        layers: The layer set of the method; the default one if None.
        **options: What the architecture's function takes besides, e.g. `depth=28, width=10` for `wide_resnet`.

    Returns:
        A functional model from features `[batch, *input_shape]` to whatever the layer set's head returns: logits
        `[batch, num_classes]` for a plain one.

    Raises:
        InputError: The name or an option is not known, or the architecture does not take such examples.
    """
    if name not in _MODELS:
        raise errors.unknown_name("architecture", name, names())
    function = _MODELS[name]
    known = list(inspect.signature(function).parameters)[3:]  # after input_shape, num_classes, layers
    for option in options:
        if option not in known:
            raise errors.unknown_name(f"option of architecture {name}", option, known)
    return function(tuple(input_shape), num_classes, layers or LayerSet(), **options)


def from_config(config: ConfigDict, data: datasets.Dataset, layers: LayerSet) -> keras.Model:
    """Build the architecture that a configuration names, for a data set.

    Args:
        config: `config.model`: `name`, and for any architecture a dict of its options under its name, of which only
            that of `name` is read: `{"name": "wide_resnet", "wide_resnet": {"depth": 16, "width": 4}}`.
        data: Gives the shape of the examples and the number of classes.
        layers: The layer set of the method.

    Raises:
        InputError: As `get`.
    """
    options = config.get(config.name, {})
    return get(config.name, data.input_shape, data.num_classes, layers, **options)
