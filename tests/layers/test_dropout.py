import numpy as np
import pytest

from tests.layers.helpers import two_replicas
from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import Dropout, MonteCarloDropout
from uncertainty_suite.testing import check_layer


@pytest.mark.parametrize(
    "arguments",
    [{"seed": 3}, {"filterwise": True}, {"noise_shape": (None, 1, None)}, {"shared_masks": True}, {"rate": 0.0}],
)
def test_layer_promises(arguments, tmp_path):
    check_layer(lambda: MonteCarloDropout(**{"rate": 0.5, **arguments}), (6, 4), [(None, 6, 4)], 0, 0, tmp_path)


@pytest.mark.parametrize("training", [None, False, True])
def test_always_on(training):
    y = MonteCarloDropout(0.25, seed=1)(tf.ones((100, 100)), training=training).numpy()
    assert np.mean(y == 0) == pytest.approx(0.25, abs=0.02)
    np.testing.assert_allclose(y[y != 0], 1 / 0.75, rtol=1e-6)


@pytest.mark.parametrize("rate", [0.5, 0.25, 0.75, 0.375, 3 / 256, 0.1, 1 / 3])
def test_values_are_dropped_independently_and_at_the_exact_rate(rate):
    count = 1_000_001  # no multiple of what is drawn at once
    layer = MonteCarloDropout(rate, seed=1)
    first, second = (layer(tf.ones(count)).numpy() for _ in range(2))
    rate = round(rate * 2**16) / 2**16  # the nearest that there is
    np.testing.assert_allclose(np.unique(first), [0, 1 / (1 - rate)], rtol=1e-6)
    # Standardised, any product of two independent ones has mean 0 and variance 1: five standard deviations are allowed.
    tolerance = 5 / np.sqrt(count)
    first, second = (((y == 0) - rate) / np.sqrt(rate * (1 - rate)) for y in (first, second))
    assert np.mean(first) == pytest.approx(0, abs=tolerance)
    assert np.mean(first * second) == pytest.approx(0, abs=tolerance)
    for distance in (*range(1, 65), count // 8, count // 2):  # neighbours, and what lies elsewhere in the same bits
        product = first * np.roll(first, distance)
        assert np.mean(product) == pytest.approx(0, abs=tolerance), distance


@pytest.mark.parametrize("shape", [(1,), (31,), (33,), (5, 7, 3), (0, 4)])
def test_any_shape_and_a_batch_of_unknown_size(shape):
    layer = MonteCarloDropout(0.25, seed=1)
    y = tf.function(layer, input_signature=[tf.TensorSpec((None, *shape[1:]))])(tf.ones(shape))
    np.testing.assert_array_equal(y, MonteCarloDropout(0.25, seed=1)(tf.ones(shape)))
    assert y.shape == shape


@pytest.mark.parametrize("rate", [1e-6, 0.999999])
def test_rates_near_the_ends(rate):
    y = MonteCarloDropout(rate, seed=1)(tf.ones(1_000_000)).numpy()
    assert np.all(np.isfinite(y))
    assert np.mean(y) == pytest.approx(1, abs=1.5)


@pytest.mark.parametrize("rate", [0.25, 0.1])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_kept_values_and_their_gradients_are_scaled(rate, dtype):
    layer = MonteCarloDropout(rate, seed=1, dtype=dtype)
    x = tf.cast(tf.random.stateless_normal((20, 30), seed=(0, 0)), dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    gradient = tape.gradient(y, x)
    kept = y.numpy() != 0
    expected = np.where(kept, x.numpy().astype("float64") / (1 - rate), 0)
    rounding = {"float32": 2e-7, "bfloat16": 8e-3}[dtype]  # two roundings: of the scale and of the product
    tolerance = rounding + 7e-6  # 0.1 is rounded to 6554 / 65536
    np.testing.assert_allclose(y.numpy().astype("float64"), expected, rtol=tolerance)
    np.testing.assert_allclose(gradient.numpy().astype("float64"), kept / (1 - rate), rtol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
def test_what_is_dropped_is_zero_even_if_it_was_infinite(dtype):
    x = tf.cast(tf.tile([[np.inf, -np.inf, np.nan, 1.0]], (400, 1)), dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = MonteCarloDropout(0.5, seed=1, dtype=dtype)(x)
    gradient = tape.gradient(y, x, output_gradients=x).numpy().astype("float64")
    for values in (y.numpy().astype("float64"), gradient):
        for column, kept in zip(values.T, (np.inf, -np.inf, np.nan, 2.0)):
            np.testing.assert_array_equal(np.unique(column), np.unique([0, kept]))


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


@pytest.mark.parametrize("arguments", [{}, {"filterwise": True}])
def test_shared_masks_are_shared_in_prediction_only(arguments):
    layer = MonteCarloDropout(0.5, shared_masks=True, seed=1, **arguments)
    x = tf.ones((10, 6, 32))
    for training in (False, None):
        first, second = (layer(x, training=training).numpy() for _ in range(2))
        np.testing.assert_array_equal(first, np.broadcast_to(first[:1], first.shape))
        assert np.any(first != second)
        assert np.mean(first == 0) == pytest.approx(0.5, abs=0.3)
    independent = MonteCarloDropout(0.5, seed=1, **arguments)
    for fresh in (layer, independent):
        fresh.seed_generator.state.assign([1, 0])
    np.testing.assert_array_equal(layer(x, training=True), independent(x, training=True))


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


@pytest.mark.parametrize("arguments", [{"seed": 3}, {"noise_shape": (None, 1, None)}, {"rate": 0.0}, {"rate": 0.1}])
def test_plain_layer_promises(arguments, tmp_path):
    check_layer(lambda: Dropout(**{"rate": 0.5, **arguments}), (6, 4), [(None, 6, 4)], 0, 0, tmp_path)


def test_plain_dropout_is_off_in_prediction():
    x = tf.random.stateless_normal((16, 8), seed=(0, 0))
    inputs = keras.Input((8,))
    model = keras.Model(inputs, Dropout(0.5)(inputs))
    for y in (Dropout(0.5)(x), Dropout(0.5)(x, training=False), model(x), model.predict(x, verbose=0)):
        np.testing.assert_array_equal(y, x)
    assert np.any(model(x, training=True) != x)


@pytest.mark.parametrize("arguments", [{}, {"noise_shape": (None, 1, 8)}])
def test_plain_dropout_draws_the_masks_of_the_other_layer(arguments):
    x = tf.ones((16, 5, 8))
    plain, other = (layer(0.3, seed=1, **arguments) for layer in (Dropout, MonteCarloDropout))
    for _ in range(2):
        np.testing.assert_array_equal(plain(x, training=True), other(x))


def test_plain_dropout_in_bfloat16_and_on_replicas():
    assert Dropout(0.5, dtype="mixed_bfloat16")(tf.ones((4, 4)), training=True).dtype == tf.bfloat16
    strategy = two_replicas()
    with strategy.scope():
        layer = Dropout(0.5, seed=1)
    outputs = strategy.run(tf.function(lambda: layer(tf.ones((16, 8)), training=True)))
    first, second = strategy.experimental_local_results(outputs)
    assert np.any(first != second)
