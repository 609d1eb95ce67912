import keras
import numpy as np
import pytest

from uncertainty_suite import models
from uncertainty_suite.layers import LayerSet, MonteCarloDropout, split_at_dropout

ARCHITECTURES = {
    "resnet_mlp": ((3,), {"num_layers": 2, "num_hidden": 8, "dropout_rate": 0.3}),
    "convnet": ((8, 8, 1), {"num_filters": (3, 4), "num_hidden": 8}),
    "wide_resnet": ((8, 8, 3), {"depth": 10, "width": 1, "dropout_rate": 0.2}),
    "resnet20": ((8, 8, 3), {"dropout_rate": 0.2}),
}


def reseed(model: keras.Model) -> None:
    for variable in model.variables:
        if "seed_generator_state" in variable.path:
            variable.assign([3, 4])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_two_parts_are_the_model_bit_for_bit(architecture):
    input_shape, options = ARCHITECTURES[architecture]
    model = models.get(architecture, input_shape, 5, LayerSet(dropout=MonteCarloDropout), **options)
    network = keras.Model(model.input, (model.layers[-1].input, model.output))
    trunk, rest = split_at_dropout(network)
    assert not any(isinstance(layer, MonteCarloDropout) for layer in trunk.layers)
    assert len(trunk.layers) > 1
    inputs = np.random.default_rng(0).normal(size=(4, *input_shape)).astype(np.float32)
    reseed(model)
    plain = [network(inputs, training=False) for _ in range(2)]
    reseed(model)
    hidden = trunk(inputs, training=False)
    for expected in plain:
        for whole, part in zip(expected, rest(hidden, training=False)):
            np.testing.assert_array_equal(part, whole)
    assert np.any(np.asarray(plain[0][1]) != plain[1][1])


def test_the_trunk_of_convnet_holds_its_convolutions():
    model = models.get("convnet", (8, 8, 1), 5, LayerSet(dropout=MonteCarloDropout))
    trunk, rest = split_at_dropout(model)
    assert sum(isinstance(layer, keras.layers.Conv2D) for layer in trunk.layers) == 2
    assert not any(isinstance(layer, keras.layers.Conv2D) for layer in rest.layers)


def test_without_randomness_all_is_trunk():
    model = models.get("resnet_mlp", (3,), 5, LayerSet(dropout=MonteCarloDropout), num_layers=1, dropout_rate=0.0)
    trunk, rest = split_at_dropout(model)
    inputs = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(rest(trunk(inputs), training=False), model(inputs))
