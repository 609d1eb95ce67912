import numpy as np
import pytest

from tests.layers.helpers import two_replicas
from uncertainty_suite import keras, layers, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import PerturbedCopy
from uncertainty_suite.testing import check_layer


def test_layer_promises(tmp_path):
    check_layer(lambda: PerturbedCopy(0.5, seed=1), (3, 2), [(None, 3, 2)], 0, 0, tmp_path)


def test_a_copy_has_gaussian_noise_and_the_examples_have_none():
    x = np.random.default_rng(0).normal(size=(2000, 5)).astype(np.float32)
    layer = PerturbedCopy(0.5, seed=1)
    rows = layer(x, training=True).numpy()
    np.testing.assert_array_equal(rows[:2000], x)
    noise = rows[2000:] - x
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert noise.std() == pytest.approx(0.5, rel=0.02)
    np.testing.assert_allclose(np.corrcoef(noise.T), np.eye(5), atol=0.1)
    assert np.any(layer(x, training=True)[2000:] != rows[2000:])
    for training in (False, None):
        np.testing.assert_array_equal(layer(x, training=training), x)
    assert not layers.has_stochastic(layer)


def test_parts_have_noise_of_their_own():
    parts = {"left": np.zeros((2, 3), np.float32), "right": np.zeros((2, 3), np.float32)}
    inputs = {name: keras.Input((3,), name=name) for name in parts}
    model = keras.Model(inputs, PerturbedCopy(1.0, seed=1)(inputs))
    rows = model(parts, training=True)
    assert {name: each.shape for name, each in rows.items()} == {"left": (4, 3), "right": (4, 3)}
    assert np.all(rows["left"][2:] != rows["right"][2:])


def test_replicas_have_noise_of_their_own():
    strategy = two_replicas()
    with strategy.scope():
        layer = PerturbedCopy(1.0, seed=1)
    outputs = strategy.run(tf.function(lambda: layer(tf.zeros((2, 3)), training=True)))
    first, second = strategy.experimental_local_results(outputs)
    assert np.all(first[2:] != second[2:])


def test_noise_without_a_size_is_refused():
    with pytest.raises(InputError, match="stddev must be above 0, received 0"):
        PerturbedCopy(0.0)
