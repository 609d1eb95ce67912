import keras
import numpy as np
import pytest
import tensorflow as tf

from uncertainty_suite import models
from uncertainty_suite.layers import LayerSet, MonteCarloDropout, draw_samples, split, split_at_dropout

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


def test_outputs_beside_the_randomness_are_passed_on():
    x = keras.Input((3,))
    hidden = keras.layers.Dense(4)(x)
    model = keras.Model(x, {"hidden": hidden, "dropped": MonteCarloDropout(0.5)(hidden)})
    trunk, rest = split_at_dropout(model)
    samples = draw_samples(rest, trunk(np.ones((2, 3), np.float32)), num_samples=3)
    expected = np.broadcast_to(model(np.ones((2, 3), np.float32))["hidden"], (3, 2, 4))
    np.testing.assert_array_equal(samples["hidden"], expected)
    assert np.any(samples["dropped"] != expected)


@pytest.fixture
def policy(request):
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"], indirect=True)
@pytest.mark.parametrize(("copies", "dimensions"), [(1, 4), (3, 4), (6, 4), (1, None)])
def test_samples_are_repeated_passes_bit_for_bit(policy, copies, dimensions, monkeypatch):
    model = models.get("convnet", (8, 8, 1), 5, LayerSet(dropout=MonteCarloDropout), num_filters=(3, 4), num_hidden=8)
    trunk, rest = split_at_dropout(keras.Model(model.input, (model.layers[-1].input, model.output)))
    hidden = trunk(np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32))
    (tensor,) = keras.tree.flatten(hidden)
    monkeypatch.setattr(split, "_BYTES_PER_PASS", copies * tensor.shape.num_elements() * tensor.dtype.size)
    reseed(model)
    passes = [rest(tf.concat([tensor] * copies, axis=0), training=False) for _ in range(6 // copies)]
    reseed(model)
    signature = [tf.TensorSpec((dimensions, *tensor.shape[1:]), tensor.dtype)]
    samples = tf.function(lambda x: draw_samples(rest, [x], num_samples=6), input_signature=signature)(tensor)
    for each, *parts in zip(samples, *passes):
        assert each.shape[:2] == (6, 4)
        np.testing.assert_allclose(each, np.reshape(parts, each.shape), rtol=1e-6, atol=1e-7)
    assert len({sample.numpy().tobytes() for sample in samples[1]}) == 6


def test_samples_with_shared_masks_have_a_mask_each():
    x = keras.Input((64,))
    model = keras.Model(x, MonteCarloDropout(0.5, shared_masks=True, seed=1)(x))
    trunk, rest = split_at_dropout(model)
    samples = draw_samples(rest, trunk(np.ones((3, 64), np.float32)), num_samples=4).numpy()
    assert len({sample.tobytes() for sample in samples}) == 4
    np.testing.assert_array_equal(samples, np.broadcast_to(samples[:, :1], samples.shape))
