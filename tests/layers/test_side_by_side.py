import functools

import numpy as np
import pytest

from tests.layers.helpers import GOLDEN_DIR, Golden
from uncertainty_suite import keras, tf
from uncertainty_suite.layers import FusedBatchNormalization, SideBySide, TileMembers
from uncertainty_suite.testing import check_layer

GOLDEN = Golden("masksembles_packed", GOLDEN_DIR / "methods")


def parts(make, count, axis, **kwargs):
    return SideBySide([make(name=f"part_{i}") for i in range(count)], axis, **kwargs)


def test_layer_promises(tmp_path):
    dense = functools.partial(keras.layers.Dense, 3, activation="relu")
    check_layer(lambda: parts(dense, 2, -1), (5, 4), [(None, 5, 6)], 2 * 9, 0, tmp_path)
    conv = functools.partial(keras.layers.Conv2D, 3, 2)
    check_layer(lambda: parts(conv, 2, 0), (5, 5, 4), [(None, 4, 4, 3)], 2 * 51, 0, tmp_path)


@GOLDEN.parametrize("packed_linear")
def test_golden_values_of_dense_layers(case):
    arrays, parameters = GOLDEN[case], GOLDEN.parameters[case]
    groups, _, units = arrays["kernels"].shape
    layer = parts(functools.partial(keras.layers.Dense, units, dtype="float64"), groups, -1)
    layer.build(arrays["x"].shape)
    for part, kernel, bias in zip(layer.layers, arrays["kernels"], arrays["bias"].reshape(groups, -1)):
        part.set_weights([kernel, bias])
    y = layer(arrays["x"]).numpy()
    np.testing.assert_allclose(y, arrays["y_features"], rtol=1e-10)
    if parameters["gamma"] == 1 and groups > 1:  # the same by rows, one part of the channels after another
        rows = np.concatenate(np.split(arrays["x"], groups, axis=-1))
        by_rows = parts(functools.partial(keras.layers.Dense, units, dtype="float64"), groups, 0)
        by_rows.build(rows.shape)
        by_rows.set_weights(layer.get_weights())
        np.testing.assert_allclose(by_rows(rows), np.concatenate(np.split(y, groups, axis=-1)), rtol=1e-10)


@GOLDEN.parametrize("packed_conv")
def test_golden_values_of_convolutions(case):
    arrays, parameters = GOLDEN[case], GOLDEN.parameters[case]
    groups, stride = parameters["groups"], parameters["stride"]
    kernels, biases = np.split(arrays["kernel"], groups, axis=-1), np.split(arrays["bias"], groups)
    x = np.pad(arrays["x"], ((0, 0), (1, 1), (1, 1), (0, 0)))  # on both sides, where "same" may pad one
    layer = parts(functools.partial(keras.layers.Conv2D, len(biases[0]), 3, stride, dtype="float64"), groups, -1)
    layer.build(x.shape)
    for part, kernel, bias in zip(layer.layers, kernels, biases):
        part.set_weights([kernel, bias])
    np.testing.assert_allclose(layer(x), arrays["y"], rtol=1e-9, atol=1e-12)


def test_each_member_has_statistics_of_its_own():
    layer = parts(functools.partial(FusedBatchNormalization, momentum=0.0), 2, 0)
    x = tf.random.stateless_normal((8, 3, 3, 4), seed=(0, 0))
    inputs = keras.Input((3, 3, 4))
    keras.Model(inputs, layer(inputs))(tf.concat([x, 5 + 2 * x], axis=0), training=True)
    first, second = (np.asarray(part.moving_mean) for part in layer.layers)
    np.testing.assert_allclose(second, 5 + 2 * first, rtol=1e-4)


def test_rows_that_cannot_be_shared_out_are_refused():
    layer = parts(functools.partial(keras.layers.Dense, 3), 2, 0)
    assert layer(TileMembers(2)(tf.ones((3, 4)))).shape == (6, 3)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        layer(tf.ones((5, 4)))
