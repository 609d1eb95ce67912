import types

import numpy as np
import pytest

from uncertainty_suite import keras, models, tf
from uncertainty_suite.layers import (
    LayerSet,
    MonteCarloDropout,
    draw_samples,
    has_stochastic,
    split,
    split_at_stochastic,
)

ARCHITECTURES = {
    "resnet_mlp": ((3,), {"num_layers": 2, "num_hidden": 8, "dropout_rate": 0.3}),
    "convnet": ((8, 8, 1), {"num_filters": (3, 4), "num_hidden": 8}),
    "wide_resnet": ((8, 8, 3), {"depth": 10, "width": 1, "dropout_rate": 0.2}),
    "resnet20": ((8, 8, 3), {"dropout_rate": 0.2}),
}


def build(architecture: str, input_shape: tuple[int, ...], **options) -> keras.Model:
    data, likelihood = types.SimpleNamespace(input_shape=input_shape), types.SimpleNamespace(num_outputs=5)
    layer_set = LayerSet(dropout=MonteCarloDropout)
    return models.build({"name": architecture, **options}, data, likelihood, layer_set)


def reseed(model: keras.Model) -> None:
    for variable in model.variables:
        if "seed_generator_state" in variable.path:
            variable.assign([3, 4])


class NoisyDense(keras.layers.Layer):
    """A dense layer that adds the same normal noise to all examples of a batch."""

    stochastic = True

    def __init__(self, units: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(units)
        self.seed_generator = keras.random.SeedGenerator(1)

    def build(self, input_shape: tuple) -> None:
        self.dense.build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        outputs = self.dense(inputs)
        return outputs + keras.random.normal(outputs.shape[1:], seed=self.seed_generator)


class Wrapped(keras.layers.Wrapper):
    """A layer that does what another one does."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.layer(inputs)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_two_parts_are_the_model_bit_for_bit(architecture):
    input_shape, options = ARCHITECTURES[architecture]
    model = build(architecture, input_shape, **options)
    trunk, rest = split_at_stochastic(model)
    assert not has_stochastic(trunk)
    assert len(trunk.layers) > 1
    inputs = np.random.default_rng(0).normal(size=(4, *input_shape)).astype(np.float32)
    reseed(model)
    plain = [model(inputs, training=False) for _ in range(2)]
    reseed(model)
    hidden = trunk(inputs, training=False)
    for expected in plain:
        said = rest(hidden, training=False)
        assert list(said) == ["features", "outputs"]
        for name in said:
            np.testing.assert_array_equal(said[name], expected[name])
    assert np.any(np.asarray(plain[0]["outputs"]) != plain[1]["outputs"])


def test_the_trunk_of_convnet_holds_its_convolutions():
    trunk, rest = split_at_stochastic(build("convnet", (8, 8, 1)))
    assert sum(isinstance(layer, keras.layers.Conv2D) for layer in trunk.layers) == 2
    assert not any(isinstance(layer, keras.layers.Conv2D) for layer in rest.layers)


def test_without_randomness_all_is_trunk():
    model = build("resnet_mlp", (3,), num_layers=1, dropout_rate=0.0)
    trunk, rest = split_at_stochastic(model)
    inputs = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(rest(trunk(inputs), training=False)["outputs"], model(inputs)["outputs"])


def test_outputs_beside_the_randomness_are_passed_on():
    x = keras.Input((3,))
    hidden = keras.layers.Dense(4)(x)
    model = keras.Model(x, {"hidden": hidden, "dropped": MonteCarloDropout(0.5)(hidden)})
    trunk, rest = split_at_stochastic(model)
    samples = draw_samples(rest, trunk(np.ones((2, 3), np.float32)), num_samples=3)
    expected = np.broadcast_to(model(np.ones((2, 3), np.float32))["hidden"], (3, 2, 4))
    np.testing.assert_array_equal(samples["hidden"], expected)
    assert np.any(samples["dropped"] != expected)


def test_a_network_has_a_stochastic_layer_or_not():
    assert has_stochastic(build("resnet_mlp", (3,), num_layers=1))
    assert not has_stochastic(build("resnet_mlp", (3,), num_layers=1, dropout_rate=0.0))
    assert has_stochastic(keras.Sequential([keras.Input((3,)), Wrapped(NoisyDense(2))]))
    assert not has_stochastic(keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.5)]))


@pytest.mark.parametrize("wrap", [lambda layer: layer, Wrapped, lambda layer: Wrapped(Wrapped(layer))])
def test_any_stochastic_layer_is_sampled_wherever_it_is(wrap):
    x = keras.Input((3,))
    trunk_layer = keras.layers.Dense(4)
    model = keras.Model(x, {"features": (hidden := trunk_layer(x)), "outputs": wrap(NoisyDense(2))(hidden)})
    trunk, rest = split_at_stochastic(model)
    assert trunk_layer in trunk.layers
    assert trunk_layer not in rest.layers
    inputs = np.ones((2, 3), np.float32)
    reseed(model)
    passes = [model(inputs, training=False)["outputs"] for _ in range(4)]
    reseed(model)
    samples = tf.function(lambda x: draw_samples(rest, trunk(x), num_samples=4))(tf.constant(inputs))
    np.testing.assert_array_equal(samples["outputs"], passes)  # one draw a pass: copies would share it
    assert len({sample.numpy().tobytes() for sample in samples["outputs"]}) == 4


@pytest.fixture
def policy(request):
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"], indirect=True)
@pytest.mark.parametrize(("copies", "dimensions"), [(1, 4), (3, 4), (6, 4), (1, None)])
def test_samples_are_repeated_passes_bit_for_bit(policy, copies, dimensions, monkeypatch):
    model = build("convnet", (8, 8, 1), num_filters=(3, 4), num_hidden=8)
    trunk, rest = split_at_stochastic(model)
    hidden = trunk(np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32))
    (tensor,) = keras.tree.flatten(hidden)
    monkeypatch.setattr(split, "_BYTES_PER_PASS", copies * tensor.shape.num_elements() * tensor.dtype.size)
    reseed(model)
    passes = [rest(tf.concat([tensor] * copies, axis=0), training=False) for _ in range(6 // copies)]
    reseed(model)
    signature = [tf.TensorSpec((dimensions, *tensor.shape[1:]), tensor.dtype)]
    samples = tf.function(lambda x: draw_samples(rest, [x], num_samples=6), input_signature=signature)(tensor)
    for name, each in samples.items():
        assert each.shape[:2] == (6, 4)
        expected = np.reshape([said[name] for said in passes], each.shape)
        # In float32, since the lowest NumPy compares no bfloat16.
        np.testing.assert_allclose(np.float32(each), np.float32(expected), rtol=1e-6, atol=1e-7)
    assert len({sample.numpy().tobytes() for sample in samples["outputs"]}) == 6


@pytest.mark.parametrize("arguments", [{"shared_masks": True}, {"noise_shape": (1, None)}])
def test_samples_with_shared_masks_have_a_mask_each(arguments):
    x = keras.Input((64,))
    model = keras.Model(x, MonteCarloDropout(0.5, seed=1, **arguments)(x))
    trunk, rest = split_at_stochastic(model)
    samples = draw_samples(rest, trunk(np.ones((3, 64), np.float32)), num_samples=4).numpy()
    assert len({sample.tobytes() for sample in samples}) == 4
    np.testing.assert_array_equal(samples, np.broadcast_to(samples[:, :1], samples.shape))
