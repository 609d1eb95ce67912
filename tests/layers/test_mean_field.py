import numpy as np
import pytest

from tests.layers.helpers import Golden
from uncertainty_suite import tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import mean_field_logits, monte_carlo_softmax

GOLDEN = Golden("mean_field")


@GOLDEN.parametrize("factor_0", "factor_1", "factor_2", "factor_3", "factor_7", "factor_minus1", "factor_pi")
def test_golden_mean_field(case):
    factor = GOLDEN.parameters[case]["mean_field_factor"]
    given, expected = GOLDEN["inputs"], GOLDEN[case]
    adjusted = mean_field_logits(given["logits"], given["variance"], factor)
    np.testing.assert_allclose(adjusted, expected["full_covariance"], rtol=1e-10)
    np.testing.assert_allclose(tf.nn.softmax(adjusted), expected["softmax_full_covariance"], rtol=1e-10)
    from_covariance = mean_field_logits(given["logits"], given["covariance"], factor)
    np.testing.assert_allclose(from_covariance, expected["full_covariance"], rtol=1e-10)
    for variance in (given["variance"], given["covariance"]):
        one_dimensional = mean_field_logits(given["logits_1d"], variance, factor)
        np.testing.assert_allclose(one_dimensional, expected["logits_1d_full_covariance"], rtol=1e-10)
    no_covariance = mean_field_logits(given["logits"].astype("float32"), np.ones(6), factor)
    np.testing.assert_allclose(no_covariance, expected["no_covariance"], rtol=2e-6)


@GOLDEN.parametrize("monte_carlo_softmax_S50")
def test_golden_monte_carlo_softmax(case):
    noise = np.moveaxis(GOLDEN[case]["noise"], 2, 0)  # [samples, batch, classes]
    scale = GOLDEN.parameters[case]["temp_scale"]
    probs = monte_carlo_softmax(GOLDEN["inputs"]["logits"], GOLDEN["inputs"]["variance"], 50, 0, scale, noise=noise)
    np.testing.assert_allclose(np.mean(probs, axis=0), GOLDEN[case]["probs"], rtol=2e-6, atol=1e-7)
    covariance = GOLDEN["inputs"]["covariance"]
    again = monte_carlo_softmax(GOLDEN["inputs"]["logits"], covariance, 50, 0, scale, noise=noise)
    np.testing.assert_array_equal(again, probs)


@GOLDEN.parametrize("monte_carlo_softmax_S2000")
def test_monte_carlo_softmax_agrees_with_golden_mean(case):
    scale = GOLDEN.parameters[case]["temp_scale"]
    probs = monte_carlo_softmax(GOLDEN["inputs"]["logits"], GOLDEN["inputs"]["variance"], 2000, 0, scale)
    # Both are means of 2000 draws of numbers in [0, 1]: four standard errors of their difference.
    np.testing.assert_allclose(np.mean(probs, axis=0), GOLDEN[case]["probs"], atol=4 * 0.5 * np.sqrt(2 / 2000))


def test_no_variance_and_no_factor_leave_logits_unchanged():
    logits = np.array([[1.0, -2.0, 0.5]])
    np.testing.assert_array_equal(mean_field_logits(logits, np.zeros(1), 20.0), logits)
    np.testing.assert_array_equal(mean_field_logits(logits, np.ones(1), 0.0), logits)
    np.testing.assert_array_equal(mean_field_logits(logits, np.ones(1), -1.0), logits)


def test_leading_axes():
    logits, variance = np.ones((5, 3, 2)), np.full((5, 3), 3.0)
    np.testing.assert_allclose(mean_field_logits(logits, variance, 1.0), 0.5 * logits)
    assert monte_carlo_softmax(logits, variance, 7, seed=0).shape == (7, 5, 3, 2)


def test_monte_carlo_softmax_identity_and_seed():
    logits, variance = np.array([[1.0, -2.0, 0.5]]), np.ones(1)
    certain = monte_carlo_softmax(logits, 0 * variance, 2, seed=0)
    np.testing.assert_allclose(certain, np.stack([tf.nn.softmax(logits)] * 2), rtol=1e-12)
    a, b, c = (monte_carlo_softmax(logits, variance, 4, seed=seed) for seed in (1, 1, (1, 2)))
    np.testing.assert_array_equal(a, b)
    assert np.any(a != c)
    np.testing.assert_allclose(np.sum(a, axis=-1), 1.0)


@pytest.mark.parametrize("factor", [0.5, 7.5])
def test_the_knobs_turn(factor):
    logits, variance = np.array([[1.0, -2.0, 0.5]]), np.ones(1)
    assert np.all(np.abs(mean_field_logits(logits, variance, factor)) < np.abs(logits))
    narrow, wide = (np.std(monte_carlo_softmax(logits, variance, 100, 0, s), axis=0) for s in (0.1, 1.0))
    assert np.all(narrow < wide)


def test_variances_of_single_classes():
    logits = np.array([[1.0, -2.0, 0.5], [2.0, 2.0, -1.0]])
    np.testing.assert_allclose(mean_field_logits(logits, [[3.0, 0.0, 8.0]] * 2, 1.0), logits / [2, 1, 3])
    np.testing.assert_allclose(mean_field_logits(logits, [[3.0], [0.0]], 1.0), logits / [[2], [1]])
    np.testing.assert_allclose(mean_field_logits(logits, 3.0, 1.0), logits / 2)
    np.testing.assert_allclose(mean_field_logits(logits[:1], [[3.0]], 1.0), logits[:1] / 2)


def _of_unknown_batch(variance):
    spec = [tf.TensorSpec((None, 3)), tf.TensorSpec(variance)]
    function = tf.function(lambda x, v: mean_field_logits(x, v, 1.0), input_signature=spec, autograph=False)
    return function.get_concrete_function()


def test_batches_of_unknown_size():
    for shape in ((None,), (None, 3), (None, 1)):
        assert _of_unknown_batch(shape).output_shapes.as_list() == [None, 3]
    with pytest.raises(InputError, match="may be their covariance"):
        _of_unknown_batch((None, None))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 3), "A variance of shape (3, 3) of logits of shape (3, 3) may be their covariance or that of each class:"),
        (
            (4,),
            "Logits of shape (3, 3) need a variance of shape (3,) or (3, 3), or their covariance [batch, batch]; rec",
        ),
        (
            (2, 2),
            "Logits of shape (3, 3) need a variance of shape (3,) or (3, 3), or their covariance [batch, batch]; rec",
        ),
        ((5, 3, 3), "Logits of shape (3, 3) need a variance of shape (3,) or (3, 3), or their covariance"),
    ],
)
@pytest.mark.parametrize("function", [mean_field_logits, lambda x, v, _: monte_carlo_softmax(x, v, 2, 0)])
def test_shapes_that_are_refused(function, shape, message):
    with pytest.raises(InputError) as error:
        function(np.zeros((3, 3)), np.ones(shape), 1.0)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_integers_are_numbers():
    adjusted = mean_field_logits(np.array([[2, 0]]), np.array([3]), 1.0)
    np.testing.assert_array_equal(adjusted, np.array([[1, 0]], "float32"))
    assert mean_field_logits([[2, 0]], [3], -1.0).dtype == adjusted.dtype == tf.float32
    expected = monte_carlo_softmax([[2.0, 0.0]], [3.0], 4, seed=0)
    np.testing.assert_array_equal(monte_carlo_softmax([[2, 0]], [3], 4, seed=0), expected)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_half_precision_does_not_overflow(dtype):
    logits, variance = tf.constant([[60_000.0, -60_000.0]]), tf.constant([60_000.0])
    expected = tf.cast(mean_field_logits(logits, variance, 20.0), dtype)  # 60,000 * 20 is no float16
    adjusted = mean_field_logits(tf.cast(logits, dtype), variance, 20.0)
    assert adjusted.dtype == dtype
    np.testing.assert_allclose(tf.cast(adjusted, tf.float32), tf.cast(expected, tf.float32), rtol=1e-2)
    probs = monte_carlo_softmax(tf.cast([[1.0, 2.0]], dtype), 1e6, 200, seed=0)
    assert probs.dtype == dtype
    assert np.mean(tf.cast(probs, tf.float32)[..., 0]) == pytest.approx(0.5, abs=0.15)
