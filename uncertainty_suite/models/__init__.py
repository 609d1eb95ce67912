"""Architectures: one function a file, each building features from inputs and the layer set it is given.

A layer set (`uncertainty_suite.layers.LayerSet`) says what a convolution, a dense layer, a normalisation, a dropout and
a head are; the architecture says how they are put together. So any method works with any architecture. `build` adds the
inputs and the head. What architectures there are, and their options, is known without TensorFlow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from uncertainty_suite import keras
from uncertainty_suite.errors import InputError
from uncertainty_suite.models import pretrained
from uncertainty_suite.models.bert import bert
from uncertainty_suite.models.convnet import convnet
from uncertainty_suite.models.keras_hub_bert import keras_hub_bert
from uncertainty_suite.models.lstm import lstm
from uncertainty_suite.models.message_passing import message_passing
from uncertainty_suite.models.mlp import mlp
from uncertainty_suite.models.resnet20 import resnet20
from uncertainty_suite.models.resnet50 import resnet50
from uncertainty_suite.models.resnet_mlp import resnet_mlp
from uncertainty_suite.models.text_cnn import text_cnn
from uncertainty_suite.models.transformer import transformer
from uncertainty_suite.models.vit import vit
from uncertainty_suite.models.wide_resnet import wide_resnet
from uncertainty_suite.registry import Registry

if TYPE_CHECKING:
    from uncertainty_suite.datasets import Dataset
    from uncertainty_suite.layers import LayerSet
    from uncertainty_suite.likelihoods import Likelihood

REGISTRY: Registry[Callable[..., Any]] = Registry("architecture")
_IMAGES_AND_VECTORS = (convnet, mlp, resnet20, resnet50, resnet_mlp, vit, wide_resnet)
_TEXTS = (bert, keras_hub_bert, lstm, text_cnn, transformer)
_GRAPHS = (message_passing,)
for _architecture in (*_IMAGES_AND_VECTORS, *_TEXTS, *_GRAPHS):
    REGISTRY.register(_architecture)


def register(architecture: Callable[..., Any]) -> Callable[..., Any]:
    """Make an architecture known by the name of its function; a decorator.

    The function takes symbolic inputs `[batch, ...]` (a dict of them where examples have several parts), a layer set,
    and options with defaults, and returns features `[batch, d]`. It makes trained layers by the layer set, and passes
    each layer a `name`: checkpoints are stored by name.

    Raises:
        InputError: Another architecture has that name.

    Example:
        >>> @models.register
        ... def linear(inputs, layers):
        ...     return keras.layers.Flatten(name="flatten")(inputs)
    """
    return REGISTRY.register(architecture)


def names() -> list[str]:
    """Return the names of all architectures."""
    return REGISTRY.names()


def options(name: str) -> dict[str, Any]:
    """Return the options of an architecture with their defaults.

    Raises:
        InputError: The name is unknown.

    Example:
        >>> options("resnet20")
        {'dropout_rate': 0.0}
    """
    return REGISTRY.options(name, skip=2)


def build(
    config: Mapping[str, Any], data: Dataset, likelihood: Likelihood, layers: LayerSet | None = None
) -> keras.Model:
    """Build the network that a configuration names: a backbone for a data set, and a head for a likelihood.

    Args:
        config: `config.model`: `name` and options of that architecture, e.g. `{"name": "wide_resnet", "depth": 16}`.
        data: Gives the shape of the examples, `input_shape`, or a dict of shapes where they have several parts.
        likelihood: Gives the number of outputs, `num_outputs`.
        layers: The layer set of the method; the plain one if None.

    Returns:
        A functional model from inputs `[batch, *input_shape]` to a dict: `features` `[batch, d]`, which the head saw;
        `outputs` `[batch, num_outputs]`, or `[batch, members, num_outputs]` where the layer set has it so; and what
        else the head returns, e.g. `variance`. The head itself is `model.get_layer("head")`.

    Raises:
        InputError: The architecture or an option is unknown, an option is outside its range, the architecture does not
            take such examples, or it does not do what `register` asks of it.

    Example:
        >>> model = models.build({"name": "mlp"}, data, likelihood)
        >>> said = model(inputs, training=False)  # said["features"], said["outputs"]
    """
    if layers is None:
        from uncertainty_suite.layers import LayerSet

        layers = LayerSet()
    chosen = dict(config)
    if "name" not in chosen:
        raise InputError(f"The model has no name. Set --config.model.name to one of: {', '.join(names())}.")
    name = chosen.pop("name")
    REGISTRY.info(name)
    shape = data.input_shape
    if isinstance(shape, Mapping):
        inputs = {key: keras.Input(tuple(each), name=key) for key, each in shape.items()}
    else:
        inputs = keras.Input(tuple(shape), name="features")
    features = REGISTRY.make(name, layers.at_input(inputs), layers, **chosen)
    if not isinstance(features, keras.KerasTensor) or len(features.shape) != 2:
        raise InputError(
            f"Architecture {name} must return features [batch, d], not {getattr(features, 'shape', features)}. Pool or "
            "flatten them; the head is not its part."
        )
    said = layers.head(likelihood.num_outputs, name="head")(features)
    if not isinstance(said, dict):
        said = {"outputs": said}
    outputs = layers.at_output({"features": features, **said})
    if not {"features", "outputs"} <= set(outputs):
        raise InputError(f"The layer set returns {', '.join(sorted(outputs))}; both features and outputs are needed.")
    model = keras.Model(inputs, outputs, name=REGISTRY.info(name).__name__)
    repeated = [path for path, count in Counter(variable.path for variable in model.variables).items() if count > 1]
    if repeated:
        raise InputError(
            f"Architecture {name} has several variables named {repeated[0]}, so that a checkpoint would mix them up. "
            "Give each layer a name of its own."
        )
    if chosen.get("pretrained"):
        pretrained.load(model, chosen["pretrained"])
    return model


def linear_head(model: keras.Model) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the weights of the head, where it is one linear map from `features` to `outputs`.

    Args:
        model: A model from `build`.

    Returns:
        Kernel `[d, units]` and bias `[units]`, such that `outputs = features @ kernel + bias`; or None where the head
        is something else, e.g. a Gaussian process.
    """
    from uncertainty_suite.layers import SpectralNormalization

    head = model.get_layer("head")
    dense = head.layer if isinstance(head, SpectralNormalization) else head
    # A subclass may do anything, so only the class itself will do.
    if type(dense) is not keras.layers.Dense or dense.activation is not keras.activations.linear:
        return None
    if head.input is not model.output["features"] or head.output is not model.output["outputs"]:
        return None  # an output adapter comes between them
    kernel = np.asarray(dense.kernel)
    return kernel, np.asarray(dense.bias) if dense.use_bias else np.zeros(kernel.shape[1], kernel.dtype)
