import numpy as np
import pytest
from scipy.special import softplus
from scipy.stats import norm

from uncertainty_suite import likelihoods, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.likelihoods.gaussian import LEAST_STDDEV
from uncertainty_suite.predictions import Predictions

RNG = np.random.default_rng(0)
OUTPUTS = RNG.normal(size=(6, 2)).astype(np.float32)
TARGETS = 20 + 9 * RNG.normal(size=6)
LIKELIHOOD = likelihoods.get("gaussian", mean=22.5, stddev=9.0)


def expected_moments() -> tuple[np.ndarray, np.ndarray]:
    """Return means and standard deviations in the target's units, in float64."""
    stddev = LEAST_STDDEV + softplus(OUTPUTS[:, 1].astype(np.float64))
    return 22.5 + 9.0 * OUTPUTS[:, 0].astype(np.float64), 9.0 * stddev


def test_loss_is_the_negative_log_density_of_the_standardised_target():
    mean, stddev = expected_moments()
    loss = LIKELIHOOD.loss(tf.constant(OUTPUTS), tf.constant(TARGETS))
    np.testing.assert_allclose(loss, -norm.logpdf(TARGETS, mean, stddev) - np.log(9.0), rtol=1e-5)


def test_predictions_are_in_the_target_s_own_units_and_float64():
    said = LIKELIHOOD.predict(tf.constant(OUTPUTS)[tf.newaxis])
    for values, expected in zip((said.mean, said.stddev), expected_moments()):
        assert values.dtype == tf.float64
        np.testing.assert_allclose(values[0], expected, rtol=1e-6)


def test_a_latent_variance_is_of_the_noise_s_kind():
    variance = np.array([0.0, 1.0, 3.0, 8.0, 0.5, 0.0], np.float32)
    said = LIKELIHOOD.predict(tf.constant(OUTPUTS)[tf.newaxis], latent_variance=tf.constant(variance))
    mean, stddev = expected_moments()
    np.testing.assert_allclose(said.mean[0], mean, rtol=1e-6)
    np.testing.assert_allclose(said.stddev[0], stddev * np.sqrt(1 + variance), rtol=1e-6)


def test_each_member_has_its_loss():
    members = np.stack([OUTPUTS, -OUTPUTS], axis=1)  # [batch, members, units]
    loss = LIKELIHOOD.loss(tf.constant(members), tf.constant(TARGETS))
    assert loss.shape == (6, 2)
    np.testing.assert_allclose(loss[:, 0], LIKELIHOOD.loss(tf.constant(OUTPUTS), tf.constant(TARGETS)), rtol=1e-6)


def test_targets_far_from_zero_lose_no_digits():
    likelihood = likelihoods.get("gaussian", mean=1e8, stddev=0.5)
    targets = tf.constant(1e8 + np.array([0.0, 0.5, -0.5]))
    loss = likelihood.progress(tf.zeros((3, 2)), targets)["mse"]
    assert float(loss) == pytest.approx(2 / 3, rel=1e-6)


def test_what_is_saved_and_the_uncertainties_of_a_mixture():
    mean, stddev = np.array([[1.0, 2.0], [3.0, 2.0]]), np.array([[1.0, 1.0], [2.0, 1.0]])
    saved = LIKELIHOOD.to_saved(Predictions(mean=mean, stddev=stddev))
    assert saved.keys() == {"mean", "stddev"}
    found = LIKELIHOOD.uncertainties(saved)
    assert list(found) == ["stddev", "epistemic_stddev"]
    np.testing.assert_allclose(found["stddev"], np.sqrt([(1 + 4) / 2 + 1, 1]))
    np.testing.assert_allclose(found["epistemic_stddev"], [1, 0])
    assert list(LIKELIHOOD.uncertainties({name: each[:1] for name, each in saved.items()})) == ["stddev"]


def test_constant_targets_are_refused():
    with pytest.raises(InputError, match=r"have a standard deviation of 0\.0: there is nothing to learn"):
        likelihoods.get("gaussian", mean=1.0, stddev=0.0)


def test_parameters_make_the_same_likelihood_again():
    again = likelihoods.get(LIKELIHOOD.name, **LIKELIHOOD.parameters)
    assert (again.mean, again.stddev, again.num_outputs) == (22.5, 9.0, 2)


def test_the_parts_of_the_uncertainty_add_up():
    rng = np.random.default_rng(0)
    saved = {"mean": rng.normal(size=(3, 7)), "stddev": rng.uniform(1, 2, size=(3, 7))}
    aleatoric, epistemic = likelihoods.info("gaussian").decomposed(saved)
    np.testing.assert_allclose(aleatoric + epistemic, likelihoods.info("gaussian").uncertainties(saved)["stddev"] ** 2)
    assert likelihoods.info("gaussian").decomposed({name: each[:1] for name, each in saved.items()}) is None


def test_fisher_information_of_the_mean_is_the_second_derivative_of_the_loss():
    likelihood = likelihoods.get("gaussian", mean=3.0, stddev=2.0)
    outputs = tf.constant([[0.5, -1.0], [0.0, 2.0]], tf.float64)
    with tf.GradientTape() as outer:
        outer.watch(outputs)
        with tf.GradientTape() as inner:
            inner.watch(outputs)
            loss = likelihood.loss(outputs, tf.constant([1.0, 5.0]))
        gradient = inner.gradient(loss, outputs)
    hessian = outer.batch_jacobian(gradient, outputs)
    information = likelihood.fisher_information(outputs)
    assert information.shape == (2, 1, 1)
    np.testing.assert_allclose(information[:, 0, 0], hessian[:, 0, 0])


def test_the_variance_of_the_mean_is_added_to_that_of_the_noise():
    likelihood = likelihoods.get("gaussian", mean=3.0, stddev=2.0)
    outputs = tf.constant([[[0.5, -1.0], [0.0, 2.0]]])
    plain = likelihood.predict(outputs)
    wider = likelihood.predict(outputs, output_variance=tf.constant([[0.25], [0.0]]))
    np.testing.assert_array_equal(wider.mean, plain.mean)
    np.testing.assert_allclose(wider.stddev**2, plain.stddev**2 + 2.0**2 * np.array([[0.25, 0.0]]), rtol=1e-6)


def test_the_expected_loss_is_the_mean_over_means():
    variance = 0.3
    drawn = OUTPUTS + [np.sqrt(variance), 0.0] * np.random.default_rng(1).normal(size=(20000, 6, 2))
    drawn = drawn.astype(np.float32).reshape(-1, 2)
    losses = LIKELIHOOD.loss(tf.constant(drawn), tf.constant(np.tile(TARGETS, 20000)))
    expected = np.reshape(losses, (20000, 6)).mean(axis=0)
    found = LIKELIHOOD.expected_loss(tf.constant(OUTPUTS), tf.fill([6, 1], variance), tf.constant(TARGETS))
    np.testing.assert_allclose(found, expected, rtol=0.03, atol=0.1)
