import numpy as np

from uncertainty_suite import keras, tf
from uncertainty_suite.layers import IsToken, Positions, TokenMax, TokenMean, ZeroPadding

IDS = np.array([[5, 3, 0, 0], [1, 2, 3, 4], [0, 0, 0, 0]])


def test_padding_is_no_token():
    np.testing.assert_array_equal(IsToken()(IDS), IDS > 0)


def test_positions_count_from_zero():
    np.testing.assert_array_equal(Positions()(IDS), [[0, 1, 2, 3]] * 3)


def test_the_mean_is_over_tokens_and_zero_without_any():
    x = np.random.default_rng(0).normal(size=(3, 4, 2)).astype("float32")
    expected = [x[0, :2].mean(axis=0), x[1].mean(axis=0), np.zeros(2)]
    np.testing.assert_allclose(TokenMean()(x, IDS > 0), expected, rtol=1e-6)


def test_the_mean_does_not_see_what_stands_in_place_of_padding():
    x = np.where(IDS[..., np.newaxis] > 0, np.ones((3, 4, 2), "float32"), [np.inf, np.nan]).astype("float32")
    np.testing.assert_array_equal(TokenMean()(x, IDS > 0), [[1, 1], [1, 1], [0, 0]])


def test_shapes_and_types_are_known_in_a_model():
    ids, x = keras.Input((4,)), keras.Input((4, 2))
    is_token = IsToken()(ids)
    outputs = [
        is_token,
        Positions()(ids),
        TokenMean()(x, is_token),
        TokenMax()(x, is_token),
        ZeroPadding()(x, is_token),
    ]
    assert [(y.shape, y.dtype) for y in outputs] == [
        ((None, 4), "bool"),
        ((None, 4), "int32"),
        ((None, 2), "float32"),
        ((None, 2), "float32"),
        ((None, 4, 2), "float32"),
    ]
    said = keras.Model([ids, x], outputs)([IDS, np.ones((3, 4, 2))])
    assert [y.dtype for y in said] == [tf.bool, tf.int32, *[tf.float32] * 3]


def test_the_maximum_is_over_tokens_and_zero_without_any():
    x = np.random.default_rng(0).normal(size=(3, 4, 2)).astype("float32") - 5  # below what padding could be taken for
    expected = [x[0, :2].max(axis=0), x[1].max(axis=0), np.zeros(2)]
    np.testing.assert_array_equal(TokenMax()(x, IDS > 0), expected)


def test_padding_has_zeros_whatever_stood_there():
    x = np.where(IDS[..., np.newaxis] > 0, np.ones((3, 4, 2), "float32"), [np.inf, np.nan]).astype("float32")
    np.testing.assert_array_equal(ZeroPadding()(x, IDS > 0), np.repeat(IDS[..., np.newaxis] > 0, 2, axis=2))
