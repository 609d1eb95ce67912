import numpy as np
import pytest

from tests.layers.helpers import Golden
from uncertainty_suite import tf
from uncertainty_suite.layers import mean_field_logits, monte_carlo_softmax

GOLDEN = Golden("mean_field")


@GOLDEN.parametrize("factor_0", "factor_1", "factor_2", "factor_3", "factor_7", "factor_minus1", "factor_pi")
def test_golden_mean_field(case):
    factor = GOLDEN.parameters[case]["mean_field_factor"]
    given, expected = GOLDEN["inputs"], GOLDEN[case]
    adjusted = mean_field_logits(given["logits"], given["variance"], factor)
    np.testing.assert_allclose(adjusted, expected["full_covariance"], rtol=1e-10)
    np.testing.assert_allclose(tf.nn.softmax(adjusted), expected["softmax_full_covariance"], rtol=1e-10)
    one_dimensional = mean_field_logits(given["logits_1d"], given["variance"], factor)
    np.testing.assert_allclose(one_dimensional, expected["logits_1d_full_covariance"], rtol=1e-10)
    no_covariance = mean_field_logits(given["logits"].astype("float32"), np.ones(6), factor)
    np.testing.assert_allclose(no_covariance, expected["no_covariance"], rtol=2e-6)


@GOLDEN.parametrize("monte_carlo_softmax_S50")
def test_golden_monte_carlo_softmax(case):
    noise = np.moveaxis(GOLDEN[case]["noise"], 2, 0)  # [samples, batch, classes]
    scale = GOLDEN.parameters[case]["temp_scale"]
    probs = monte_carlo_softmax(GOLDEN["inputs"]["logits"], GOLDEN["inputs"]["variance"], 50, 0, scale, noise=noise)
    np.testing.assert_allclose(np.mean(probs, axis=0), GOLDEN[case]["probs"], rtol=2e-6, atol=1e-7)


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
