import numpy as np
import pytest

from tests.layers.helpers import Golden
from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import (
    FastWeights,
    RandomSigns,
    SpectralNormalization,
    TileMembers,
    fast_weight_initializer,
)
from uncertainty_suite.marks import marks
from uncertainty_suite.testing import check_layer

GOLDEN = Golden("batch_ensemble")


def dense(units=3, **kwargs):
    return FastWeights(keras.layers.Dense(units, use_bias=False, dtype=kwargs.get("dtype")), **{"members": 4, **kwargs})


def test_layer_promises(tmp_path):
    check_layer(lambda: dense(members=2, activation="relu"), (4,), [(None, 3)], 12 + 2 * (4 + 3 + 3), 0, tmp_path)
    check_layer(
        lambda: FastWeights(keras.layers.Conv2D(3, 2, use_bias=False), members=2, use_bias=False, random_sign_init=0.5),
        (5, 5, 4),
        [(None, 4, 4, 3)],
        48 + 2 * (4 + 3),
        0,
        tmp_path,
    )
    check_layer(
        lambda: FastWeights(SpectralNormalization(keras.layers.Dense(3, use_bias=False)), members=2),
        (4,),
        [(None, 3)],
        12 + 2 * (4 + 3 + 3),
        4 + 3,
        tmp_path,
    )


@GOLDEN.parametrize("dense_rank1", "dense_tiled", "conv")
def test_golden_values(case):
    arrays, parameters = GOLDEN[case], GOLDEN.parameters[case]
    if case.startswith("conv"):
        *_, filters = arrays["kernel"].shape
        stride, padding = parameters["stride"], parameters["padding"]
        layer = keras.layers.Conv2D(
            filters, parameters["kernel_size"], stride, padding, use_bias=False, dtype="float64"
        )
    else:
        layer = keras.layers.Dense(3, use_bias=False, dtype="float64")
    use_bias, activation = parameters.get("use_bias", True), parameters.get("activation")
    layer = FastWeights(layer, parameters["ensemble_size"], activation, use_bias, dtype="float64")
    x = arrays.get("x_tiled", arrays["x"])
    layer.build(x.shape)
    values = {"kernel": arrays["kernel"], "r": arrays["alpha"], "s": arrays["gamma"], "bias": arrays.get("bias")}
    for variable in layer.variables:
        variable.assign(values[variable.name])
    np.testing.assert_allclose(layer(x), arrays["y"], rtol=1e-10)


def test_members_have_the_kernels_that_their_factors_make():
    layer, x = dense(), tf.random.stateless_normal((5, 4), seed=(0, 0))
    y = layer(TileMembers(4)(x)).numpy().reshape(4, 5, 3)
    kernel, r, s = (np.asarray(each) for each in (layer.layer.kernel, layer.r, layer.s))
    for member in range(4):
        np.testing.assert_allclose(y[member], x @ (kernel * np.outer(r[member], s[member])), rtol=1e-5, atol=1e-6)


def test_with_unit_fast_weights_every_member_is_the_plain_layer():
    layer, x = dense(random_sign_init=0.0), tf.random.stateless_normal((5, 4), seed=(0, 0))
    y = layer(TileMembers(4)(x)).numpy().reshape(4, 5, 3)
    np.testing.assert_allclose(y, np.stack([layer.layer(x)] * 4), rtol=1e-5)


def test_rows_are_given_to_members_in_any_rank_and_a_batch_of_unknown_size():
    layer = dense(members=2)
    x = tf.random.stateless_normal((6, 5, 4), seed=(0, 0))
    y = tf.function(layer, input_signature=[tf.TensorSpec((None, None, 4))])(x)
    np.testing.assert_allclose(y[:, 2], layer(x[:, 2]), rtol=1e-5, atol=1e-6)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        layer(x[:3])


def test_fast_weights_are_marked_and_the_kernel_is_not():
    layer = dense(gradient_factor=0.5)
    layer.build((None, 4))
    for weight in (layer.r, layer.s):
        assert (marks(weight).penalized, marks(weight).gradient_factor) == (False, 0.5)
    for weight in (layer.layer.kernel, layer.bias):
        assert (marks(weight).penalized, marks(weight).gradient_factor) == (True, 1.0)


def test_how_fast_weights_begin():
    signs = np.asarray(RandomSigns(0.7, seed=1)((20_000,)))
    np.testing.assert_array_equal(np.unique(signs), [-1, 1])
    assert np.mean(signs == 1) == pytest.approx(0.7, abs=0.02)
    normals = np.asarray(fast_weight_initializer(-0.5)((20_000,)))
    assert (normals.mean(), normals.std()) == (pytest.approx(1, abs=0.02), pytest.approx(0.5, abs=0.02))
    np.testing.assert_array_equal(fast_weight_initializer(0.0)((5,)), 1)
    np.testing.assert_array_equal(fast_weight_initializer(1.0)((5,)), 1)
    layer = dense(units=4)
    layer.build((None, 4))
    assert np.any(np.asarray(layer.r) != np.asarray(layer.s))  # of the same shape, and drawn apart


def test_wrong_arguments():
    for layer, message in (
        (keras.layers.Dense(3), "give these to FastWeights"),
        (keras.layers.Dense(3, use_bias=False, activation="relu"), "give these to FastWeights"),
        (keras.layers.Flatten(), "for a Dense or Conv2D layer, received Flatten"),
        (keras.layers.Conv2D(3, 1, use_bias=False, data_format="channels_first"), "channels last"),
    ):
        with pytest.raises(InputError, match=message):
            FastWeights(layer, members=2)
    with pytest.raises(InputError, match=r"at most 1, not 1\.5"):
        fast_weight_initializer(1.5)
