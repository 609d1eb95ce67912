import numpy as np
import pytest
from scipy import stats
from scipy.special import log_softmax, softmax, softplus

from uncertainty_suite import likelihoods, metrics, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.likelihoods import Gaussian, GaussianMixture, Quantiles
from uncertainty_suite.predictions import Predictions

RNG = np.random.default_rng(0)
TARGETS = 20 + 9 * RNG.normal(size=6)


def as_arrays(said):
    uncertainty = {name: np.asarray(values) for name, values in said.uncertainty.items()}
    return Predictions(mean=np.asarray(said.mean), stddev=np.asarray(said.stddev), uncertainty=uncertainty)


def test_the_loss_of_a_mixture_is_its_negative_log_density():
    outputs = RNG.normal(size=(6, 9)).astype(np.float32)
    likelihood = GaussianMixture(22.5, 9.0, num_components=3)
    log_weights = log_softmax(outputs[:, :3].astype(np.float64), axis=1)
    means, stddevs = 22.5 + 9 * outputs[:, 3:6], 9 * (1e-3 + softplus(outputs[:, 6:]))
    density = np.exp(log_weights + stats.norm.logpdf(TARGETS[:, np.newaxis], means, stddevs)).sum(axis=1)
    loss = likelihood.loss(tf.constant(outputs), tf.constant(TARGETS))
    np.testing.assert_allclose(loss, -np.log(density) - np.log(9), rtol=1e-4)
    members = np.stack([outputs, -outputs], axis=1)
    np.testing.assert_allclose(likelihood.loss(tf.constant(members), tf.constant(TARGETS))[:, 0], loss, rtol=1e-6)
    error = (TARGETS - (np.exp(log_weights) * means).sum(axis=1)) / 9
    assert float(likelihood.progress(tf.constant(outputs), tf.constant(TARGETS))["mse"]) == pytest.approx(
        np.mean(error**2), rel=1e-5
    )


def test_one_component_is_the_gaussian():
    outputs = tf.constant(RNG.normal(size=(6, 3)).astype(np.float32))
    one, gaussian = GaussianMixture(22.5, 9.0, 1, num_samples=1), Gaussian(22.5, 9.0)
    labels = tf.constant(TARGETS)
    np.testing.assert_allclose(one.loss(outputs, labels), gaussian.loss(outputs[:, 1:], labels), rtol=1e-6)
    said, expected = one.predict(outputs[tf.newaxis]), gaussian.predict(outputs[tf.newaxis, :, 1:])
    np.testing.assert_array_equal(said.mean, expected.mean)
    np.testing.assert_array_equal(said.stddev, expected.stddev)


@pytest.mark.parametrize("num_samples", [7, 100, 1000])
def test_each_component_has_its_share_of_the_samples(num_samples):
    outputs = RNG.normal(size=(50, 15)).astype(np.float32)
    likelihood = GaussianMixture(0.0, 1.0, 5, num_samples)
    said = likelihood.predict(tf.constant(outputs)[tf.newaxis])
    assert said.mean.shape == said.stddev.shape == (num_samples, 50)
    shares = (np.asarray(said.mean)[:, :, np.newaxis] == outputs[:, 5:10].astype(np.float64)).mean(axis=0)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    weights = softmax(outputs[:, :5], axis=1)
    assert np.abs(np.cumsum(shares - weights, axis=1)).max() <= 0.5 / num_samples + 1e-6


def test_the_samples_of_a_mixture_near_its_likelihood():
    outputs = tf.constant(RNG.normal(size=(6, 9)).astype(np.float32))
    likelihood = GaussianMixture(22.5, 9.0, 3, num_samples=10_000)
    said = as_arrays(likelihood.predict(outputs[tf.newaxis]))
    nll = metrics.gaussian_nll(said.mean, said.stddev, TARGETS)
    expected = np.mean(likelihood.loss(outputs, tf.constant(TARGETS))) + np.log(9)
    assert nll == pytest.approx(expected, rel=1e-3)


def test_quantiles_do_not_cross_and_their_loss_is_the_pinball_loss():
    outputs = 5 * RNG.normal(size=(6, 4)).astype(np.float32)
    likelihood = Quantiles(22.5, 9.0, 4)
    quantiles = 22.5 + 9 * np.asarray(likelihood.quantiles(tf.constant(outputs)), np.float64)
    assert (np.diff(quantiles, axis=1) > 0).all()
    loss = 9 * likelihood.loss(tf.constant(outputs), tf.constant(TARGETS))
    levels = np.array([1, 3, 5, 7]) / 8
    from sklearn.metrics import mean_pinball_loss

    for row in range(6):
        pinball = [mean_pinball_loss([TARGETS[row]], [q], alpha=level) for q, level in zip(quantiles[row], levels)]
        assert float(loss[row]) == pytest.approx(2 * np.mean(pinball), rel=1e-4)


def test_the_least_loss_is_at_the_quantiles_of_the_data():
    distribution = stats.expon(scale=3.0)
    targets = tf.constant(distribution.ppf((np.arange(5000) + 0.5) / 5000))
    likelihood = Quantiles(0.0, 1.0, 10)
    quantiles = distribution.ppf((np.arange(10) + 0.5) / 10)
    gaps = (np.diff(quantiles) - 1e-3 / 10) * 10 / 4
    best = np.concatenate([quantiles[:1], np.log(np.expm1(gaps))]).astype(np.float32)
    np.testing.assert_allclose(likelihood.quantiles(tf.constant(best)), quantiles, rtol=1e-4)

    def loss(outputs):
        return float(tf.reduce_mean(likelihood.loss(tf.constant(np.tile(outputs, (5000, 1))), targets)))

    for unit in np.eye(10, dtype=np.float32):
        assert min(loss(best + 0.2 * unit), loss(best - 0.2 * unit)) > loss(best)


def test_the_mixture_around_quantiles_covers_as_they_do():
    likelihood = Quantiles(20.0, 5.0, 40)
    levels = (np.arange(40) + 0.5) / 40
    gaps = np.diff(stats.norm.ppf(levels)) - 1e-3 / 40
    outputs = np.concatenate([stats.norm.ppf(levels[:1]), np.log(np.expm1(gaps * 10))]).astype(np.float32)
    said = as_arrays(likelihood.predict(tf.constant(np.tile(outputs, (2000, 1)))[tf.newaxis]))
    assert said.mean.shape == (40, 2000)
    np.testing.assert_allclose(said.mean[:, 0], 20 + 5 * stats.norm.ppf(levels), rtol=1e-4)
    targets = 20 + 5 * stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    gaussian = np.full(2000, 20.0), np.full(2000, 5.0)
    assert metrics.crps(said.mean, said.stddev, targets) == pytest.approx(metrics.crps(*gaussian, targets), rel=0.01)
    assert metrics.interval_coverage(said.mean, said.stddev, targets, level=0.9) == pytest.approx(0.9, abs=0.02)
    aleatoric, epistemic = likelihood.decomposed(likelihood.to_saved(said))
    assert (epistemic == 0).all()
    np.testing.assert_allclose(np.sqrt(aleatoric), 5, rtol=0.05)


def test_refused_arguments():
    with pytest.raises(InputError, match="at least one component and one sample, received 0 and 100"):
        GaussianMixture(0.0, 1.0, 0)
    with pytest.raises(InputError, match="at least 2 quantiles, received 1"):
        Quantiles(0.0, 1.0, 1)
    mixture = GaussianMixture(1.0, 2.0, 3, 7)
    assert GaussianMixture(**mixture.parameters).parameters == mixture.parameters
    assert likelihoods.Quantiles(**Quantiles(1.0, 2.0, 7).parameters).num_outputs == 7
