import numpy as np
import pytest

from tests.layers.helpers import local_values, two_replicas
from uncertainty_suite import keras, replicas, tf
from uncertainty_suite.layers import FusedBatchNormalization

OPTIONS = {"momentum": 0.9, "epsilon": 1e-5}


def make_pair(input_shape, **options) -> tuple[keras.layers.Layer, keras.layers.Layer]:
    """Return Keras' layer and ours with the same random weights."""
    pair = [cls(**OPTIONS, **options) for cls in (keras.layers.BatchNormalization, FusedBatchNormalization)]
    rng = np.random.default_rng(0)
    for layer in pair:
        layer.build(input_shape)
    values = [rng.uniform(0.5, 2.0, weight.shape) for weight in pair[0].weights]
    for layer in pair:
        layer.set_weights(values)
    return tuple(pair)


def inputs_of(shape) -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).normal(3, 2, shape), tf.float32)


@pytest.mark.parametrize("shape", [(4, 5, 3, 7), (2, 3, 2, 3), (6, 4)])
@pytest.mark.parametrize("training", [True, False])
def test_equals_the_plain_layer(shape, training):
    results = []
    for layer in make_pair(shape):
        inputs = inputs_of(shape)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=training)
            loss = tf.reduce_sum(outputs**3)
        gradients = tape.gradient(loss, [inputs, *layer.trainable_variables])
        results.append([outputs, *gradients, layer.moving_mean.value, layer.moving_variance.value])
    for plain, fused in zip(*results):
        scale = np.abs(plain).max()
        np.testing.assert_allclose(fused, plain, rtol=1e-4, atol=1e-5 * scale)


def test_stays_equal_over_many_steps():
    plain, fused = make_pair((8, 4, 4, 3))
    rng = np.random.default_rng(2)
    for _ in range(50):
        batch = tf.constant(rng.normal(1, 3, (8, 4, 4, 3)), tf.float32)
        plain(batch, training=True), fused(batch, training=True)
    for ours, theirs in zip(fused.weights, plain.weights):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_bfloat16_keeps_statistics_in_float32():
    plain, fused = make_pair((4, 8, 8, 3), dtype="mixed_bfloat16")
    inputs = tf.cast(inputs_of((4, 8, 8, 3)), tf.bfloat16)
    outputs = [layer(inputs, training=True) for layer in (plain, fused)]
    assert [output.dtype for output in outputs] == [tf.bfloat16] * 2
    np.testing.assert_allclose(*[np.asarray(output, np.float32) for output in outputs], atol=0.05)
    np.testing.assert_allclose(fused.moving_variance, plain.moving_variance, rtol=1e-3)
    assert fused.moving_variance.dtype == "float32"


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "mixed_float16", "float32"])
@pytest.mark.parametrize("input_dtype", ["as the layer", "int32", "uint8", "float64"])
def test_trains_in_every_precision_as_the_plain_layer(dtype, input_dtype):
    results = []
    for layer in make_pair((4, 5, 3, 7), dtype=dtype):
        inputs = tf.cast(inputs_of((4, 5, 3, 7)), layer.compute_dtype if "as" in input_dtype else input_dtype)
        outputs = [layer(inputs, training=training) for training in (True, False)]
        assert {output.dtype.name for output in outputs} == {layer.compute_dtype}
        results.append([*outputs, layer.moving_mean.value, layer.moving_variance.value])
    for plain, fused in zip(*(([np.asarray(x, np.float64) for x in result]) for result in results)):
        tolerance = 1e-5 if dtype in ("float32", "float64") else 2e-2
        np.testing.assert_allclose(fused, plain, rtol=tolerance, atol=tolerance)


def test_frozen_layers_and_other_axes_are_those_of_keras():
    plain, fused = make_pair((4, 5, 3, 7))
    plain.trainable = fused.trainable = False
    inputs = inputs_of((4, 5, 3, 7))
    np.testing.assert_allclose(fused(inputs, training=True), plain(inputs, training=True), rtol=1e-5, atol=1e-6)
    plain, fused = make_pair((4, 5, 3, 7), axis=1)
    np.testing.assert_array_equal(fused(inputs, training=True), plain(inputs, training=True))


def test_saves_and_loads(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 3)), FusedBatchNormalization(**OPTIONS)])
    inputs = inputs_of((2, 4, 4, 3))
    model(inputs, training=True)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(inputs), model(inputs))


@pytest.mark.parametrize("shape", [(7, 3, 2, 4), (7, 4)])
def test_two_replicas_normalise_with_the_statistics_of_the_whole_batch(shape):
    plain, fused = make_pair(shape)
    inputs = inputs_of(shape) + 100.0  # a mean that squares would drown in
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = plain(inputs, training=True)
        loss = tf.reduce_mean(outputs**3)
    expected = tape.gradient(loss, [inputs, *plain.trainable_variables])
    strategy = two_replicas()
    with strategy.scope():
        mirrored = FusedBatchNormalization(**OPTIONS)
        mirrored.build(shape)
    mirrored.set_weights([weight.numpy() for weight in fused.weights])
    parts = [inputs[part] for part in replicas.share_out(7, 2)]

    def step(inputs):
        with replicas.sharing(7) as part, tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = mirrored(inputs, training=True)
            loss = tf.reduce_mean(outputs**3)
            weight = tf.constant(part.share)
            gradients = tape.gradient(loss, [inputs, *mirrored.trainable_variables], output_gradients=weight)
        return outputs, gradients[0], replicas.sum_over(gradients[1:])

    run = tf.function(lambda x: strategy.run(step, (x,)))
    shared = strategy.experimental_distribute_values_from_function(lambda c: parts[c.replica_id_in_sync_group])
    mine, of_inputs, of_weights = run(shared)
    pairs = [
        (tf.concat(strategy.experimental_local_results(mine), axis=0), outputs),
        (tf.concat(strategy.experimental_local_results(of_inputs), axis=0), expected[0]),
        *zip((strategy.experimental_local_results(each)[0] for each in of_weights), expected[1:]),
    ]
    for value, wanted in pairs:
        np.testing.assert_allclose(value, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())
    for name in ("moving_mean", "moving_variance"):
        for copy in local_values(getattr(mirrored, name)):
            np.testing.assert_allclose(copy, getattr(plain, name), rtol=1e-5)
