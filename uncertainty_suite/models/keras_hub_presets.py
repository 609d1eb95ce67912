"""Presets of keras-hub: trained weights and tokenizers of the architecture `keras_hub_bert`.

    pip install "uncertainty-suite[keras-hub]"
    python baselines/sngp.py --config=configs/clinc_oos.py:keras_hub=<preset>

A preset is a folder that `save_to_preset` of keras-hub has written, e.g. one that was downloaded by hand, or a name
that keras-hub knows, e.g. `bert_tiny_en_uncased` or `kaggle://...`. Only such a name downloads anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from uncertainty_suite import keras
from uncertainty_suite.errors import InputError

# Parts of a block, by what the architecture calls them.
_BLOCK = {
    "attention_query": "self_attention_layer/query",
    "attention_key": "self_attention_layer/key",
    "attention_value": "self_attention_layer/value",
    "attention_output": "self_attention_layer/attention_output",
    "norm1": "self_attention_layer_norm",
    "dense1": "feedforward_intermediate_dense",
    "dense2": "feedforward_output_dense",
    "norm2": "feedforward_layer_norm",
}


def backbone(preset: str) -> Any:
    """Return the BERT of a preset, a `keras_hub.models.BertBackbone`.

    Args:
        preset: A folder, or a name that keras-hub knows.

    Raises:
        InputError: There is no such preset, it is of no BERT, or keras-hub is not installed.
    """
    return _part("BertBackbone", preset, dtype="float32")


def weights(bert: Any) -> dict[str, list[np.ndarray]]:
    """Return the weights of a BERT of keras-hub, by the names of the architecture's layers."""
    by_path = {variable.path: variable.numpy() for variable in bert.weights}

    def of_dense(layer: str) -> list[np.ndarray]:
        bias = by_path[f"{layer}/bias"].reshape(-1)  # of attention, both are by head
        return [by_path[f"{layer}/kernel"].reshape(-1, len(bias)), bias]

    def of_norm(layer: str) -> list[np.ndarray]:
        return [by_path[f"{layer}/gamma"], by_path[f"{layer}/beta"]]

    segments = by_path["segment_embedding/embeddings"]
    found = {
        "token_embedding": [by_path["token_embedding/embeddings"]],
        # All tokens are of the first of two parts of a text.
        "position_embedding": [by_path["position_embedding/embeddings"] + segments[0]],
        "embedding_norm": of_norm("embeddings_layer_norm"),
        "pooled_dense": of_dense("pooled_dense"),
    }
    for i in range(bert.num_layers):
        for ours, part in _BLOCK.items():
            layer = f"transformer_layer_{i}/{part}"
            found[f"block{i + 1}_{ours}"] = of_norm(layer) if "norm" in ours else of_dense(layer)
    return found


def tokens(preset: str, vocabulary_size: int, length: int) -> Callable[[Sequence[str]], np.ndarray]:
    """Return what makes token ids, int32 `[n, length]`, of texts, by the tokenizer of a preset.

    Args:
        preset: A folder, or a name that keras-hub knows.
        vocabulary_size: Number of ids, that of the preset.
        length: Tokens in a text, those at its beginning and its end and those that fill it up included.

    Raises:
        InputError: There is no such preset, it is of another vocabulary, or keras-hub is not installed.
    """
    preprocessor = _part("BertTextClassifierPreprocessor", preset, sequence_length=length)
    check_vocabulary(preset, preprocessor.tokenizer.vocabulary_size(), vocabulary_size)
    padding = preprocessor.tokenizer.pad_token_id
    if padding != 0:
        raise InputError(f"The preset '{preset}' fills texts up with the token id {padding}; expected one with 0.")
    return lambda texts: np.asarray(preprocessor(list(texts))["token_ids"], np.int32)


def check_vocabulary(preset: str, expected: int, received: int) -> None:
    """Raise an `InputError` unless the number of token ids that was given is the preset's."""
    if received != expected:
        raise InputError(
            f"The preset '{preset}' has {expected} token ids, and vocabulary_size is {received}: set "
            f"--config.model.vocabulary_size={expected} and --config.dataset.vocabulary_size={expected}."
        )


def _part(kind: str, preset: str, **options: Any) -> Any:
    """Return a part of a preset, by its class in `keras_hub.models`."""
    keras.config.backend()  # so that ours is set before keras-hub imports Keras
    try:
        import keras_hub
    except ModuleNotFoundError as error:
        raise InputError(
            'A BERT of keras-hub needs that library: pip install "uncertainty-suite[keras-hub]".'
        ) from error
    part = getattr(keras_hub.models, kind)
    if not ((preset and Path(preset).is_dir()) or "://" in preset or preset in part.presets):
        raise InputError(
            f"There is no preset '{preset}': name a folder that keras-hub's save_to_preset has written, or one of "
            "keras-hub's, e.g. bert_tiny_en_uncased, by --config=configs/clinc_oos.py:keras_hub=<preset>."
        )
    try:
        return part.from_preset(preset, **options)
    except (OSError, ValueError) as error:
        said = str(error).strip().partition("\n")[0].rstrip(".")
        raise InputError(f"The preset '{preset}' cannot be read as a BERT of keras-hub ({said}).") from error
