import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layers.harness import run_layer_test, two_replicas
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import MonteCarloDropout


@pytest.mark.parametrize(
    "arguments", [{"seed": 3}, {"filterwise": True}, {"noise_shape": (None, 1, None)}, {"rate": 0.0}]
)
def test_layer_promises(arguments, tmp_path):
    run_layer_test(lambda: MonteCarloDropout(**{"rate": 0.5, **arguments}), (6, 4), [(None, 6, 4)], 0, 0, tmp_path)


@pytest.mark.parametrize("training", [None, False, True])
def test_always_on(training):
    y = MonteCarloDropout(0.25, seed=1)(tf.ones((100, 100)), training=training).numpy()
    assert np.mean(y == 0) == pytest.approx(0.25, abs=0.02)
    np.testing.assert_allclose(y[y != 0], 1 / 0.75, rtol=1e-6)


def test_repeated_predictions_differ():
    inputs = keras.Input((8,))
    model = keras.Model(inputs, MonteCarloDropout(0.5)(inputs))
    x = np.ones((16, 8), "float32")
    first, second = (model.predict(x, verbose=0) for _ in range(2))
    assert np.any(first != second)
    assert np.any(model(x, training=False) != model(x, training=False))


def test_state_is_in_the_variables_of_the_model_and_decides_the_mask():
    inputs = keras.Input((8,))
    model = keras.Model(inputs, MonteCarloDropout(0.5)(inputs))
    (state,) = [v for v in model.variables if v.name == "seed_generator_state"]
    x = np.ones((16, 8), "float32")
    outputs = []
    for _ in range(2):
        state.assign([5, 0])
        outputs.append(model.predict(x, verbose=0))
    np.testing.assert_array_equal(*outputs)


def test_seed_decides_the_mask():
    x = tf.ones((16, 8))
    a, b, c = (MonteCarloDropout(0.5, seed=seed)(x).numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert np.any(a != c)


def test_filterwise_drops_whole_channels_of_single_examples():
    y = MonteCarloDropout(0.5, filterwise=True, seed=1)(tf.ones((10, 5, 4, 8))).numpy()
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1, :1], y.shape))
    assert np.any(y[0] != y[1])


def test_noise_shape_shares_the_mask():
    y = MonteCarloDropout(0.5, noise_shape=(1, None), seed=1)(tf.ones((10, 8))).numpy()
    np.testing.assert_array_equal(y, np.broadcast_to(y[:1], y.shape))


def test_rate_zero_is_the_identity():
    x = tf.random.stateless_normal((3, 4), seed=(0, 0))
    layer = MonteCarloDropout(0.0)
    np.testing.assert_array_equal(layer(x, training=True), x)
    assert not layer.variables


def test_half_precision():
    y = MonteCarloDropout(0.5, dtype="mixed_bfloat16")(tf.ones((4, 4)))
    assert y.dtype == tf.bfloat16


def test_replicas_draw_different_masks():
    strategy = two_replicas()
    with strategy.scope():
        layer = MonteCarloDropout(0.5, seed=1)
    outputs = strategy.run(tf.function(lambda: layer(tf.ones((16, 8)))))
    first, second = strategy.experimental_local_results(outputs)
    assert np.any(first != second)
    np.testing.assert_array_equal(first, MonteCarloDropout(0.5, seed=1)(tf.ones((16, 8))))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 1.0}, "at least 0 and below 1, received 1.0"),
        ({"rate": -0.1}, "received -0.1"),
        ({"rate": 0.1, "filterwise": True, "noise_shape": (None, 1)}, "not both"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        MonteCarloDropout(**arguments)
