import dataclasses

import keras
import pytest

from uncertainty_suite.layers import Dropout, FusedBatchNormalization, LayerSet, MonteCarloDropout


def test_default_layers():
    layers = LayerSet()
    assert type(layers.conv(4, 3, padding="same", use_bias=False)) is keras.layers.Conv2D
    assert type(layers.dense(4, activation="relu")) is keras.layers.Dense
    assert type(layers.norm(momentum=0.9, epsilon=1e-5)) is FusedBatchNormalization
    assert type(layers.dropout(0.1)) is Dropout
    head = layers.head(10)
    assert (type(head), head.dtype_policy.name) == (keras.layers.Dense, "float32")


def test_a_method_replaces_some_layers():
    layers = LayerSet(dropout=MonteCarloDropout)
    assert isinstance(layers.dropout(0.1), MonteCarloDropout)
    assert layers.dense is keras.layers.Dense
    with pytest.raises(dataclasses.FrozenInstanceError):
        layers.dropout = keras.layers.Dropout
