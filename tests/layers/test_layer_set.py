import dataclasses

import pytest

from uncertainty_suite import keras
from uncertainty_suite.layers import Dropout, FusedBatchNormalization, LayerSet, MonteCarloDropout


def test_default_layers():
    layers = LayerSet()
    assert type(layers.conv(4, 3, padding="same", use_bias=False)) is keras.layers.Conv2D
    assert type(layers.dense(4, activation="relu")) is keras.layers.Dense
    norm = layers.norm()
    assert (type(norm), norm.momentum, norm.epsilon) == (FusedBatchNormalization, 0.9, 1e-5)
    assert type(layers.dropout(0.1)) is Dropout
    head = layers.head(10)
    assert (type(head), head.dtype_policy.name) == (keras.layers.Dense, "float32")
    assert type(layers.layer_norm()) is keras.layers.LayerNormalization
    assert type(layers.embedding(10, 4)) is keras.layers.Embedding


def test_layers_are_named():
    layers = LayerSet()
    arguments = {"conv": (4, 3), "dense": (4,), "dropout": (0.1,), "head": (2,), "embedding": (10, 4)}
    for field in ("conv", "dense", "norm", "dropout", "head", "layer_norm", "embedding"):
        assert getattr(layers, field)(*arguments.get(field, ()), name="x").name == "x", field


def test_a_method_replaces_some_layers():
    layers = LayerSet(dropout=MonteCarloDropout)
    assert isinstance(layers.dropout(0.1), MonteCarloDropout)
    assert layers.dense is keras.layers.Dense
    with pytest.raises(dataclasses.FrozenInstanceError):
        layers.dropout = keras.layers.Dropout
