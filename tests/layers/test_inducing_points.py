"""Against exact Gaussian process regression."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import GaussianSamples, InducingPointGaussianProcess, has_stochastic, inducing_points
from uncertainty_suite.marks import marks

RNG = np.random.default_rng(0)
X = RNG.uniform(-3, 3, size=(12, 2)).astype("float32")
Y = np.stack([np.sin(X[:, 0]), X[:, 1] ** 2 / 4], axis=1)
X_TEST = RNG.uniform(-4, 4, size=(9, 2)).astype("float32")
LENGTH_SCALE, NOISE, SCALES = 1.3, 0.3, np.array([1.5, 0.7])


def built(units=2, num_inducing=12):
    layer = InducingPointGaussianProcess(units, num_inducing, seed=1)
    layer.build((None, 2))
    layer.log_length_scale.assign(np.log(LENGTH_SCALE))
    layer.log_scale.assign(np.log(SCALES[:units]))
    return layer


def set_posterior(layer, means, covariances):
    """Set q of the whitened values."""
    layer.posterior_mean.assign(means / inducing_points._MEAN_UNIT)
    factors = np.linalg.cholesky(covariances)
    stored = np.tril(factors, -1)
    for each, factor in zip(stored, factors):
        np.fill_diagonal(each, np.log(np.diag(factor)))
    layer.posterior_factor.assign(stored)


def exact(output):
    kernel = ConstantKernel(SCALES[output] ** 2, "fixed") * RBF(LENGTH_SCALE, "fixed")
    return GaussianProcessRegressor(kernel, alpha=NOISE**2, optimizer=None).fit(X, Y[:, output])


def with_best_posterior():
    """Return a layer with a point at each training input, and the q that is best for Gaussian noise."""
    layer = built()
    layer.inducing_points.assign(X)
    distance = ((X[:, np.newaxis] - X).astype(np.float64) ** 2).sum(axis=2)
    factor = np.linalg.cholesky(np.exp(-0.5 * distance / LENGTH_SCALE**2) + 1e-6 * np.eye(12))
    covariances = [np.linalg.inv(np.eye(12) + s**2 * factor.T @ factor / NOISE**2) for s in SCALES]
    means = [s * c @ factor.T @ Y[:, u] / NOISE**2 for u, (s, c) in enumerate(zip(SCALES, covariances))]
    set_posterior(layer, np.stack(means), np.stack(covariances))
    return layer


def test_layer_promises(tmp_path):
    count = 5 * 4 + 1 + 3 + 3 + 3 * 5 + 3 * 5 * 5

    def make_layer():
        return InducingPointGaussianProcess(3, 5)

    inputs = keras.Input((4,))
    model = keras.Model(inputs, make_layer()(inputs))
    assert {name: x.shape for name, x in model.output.items()} == {"outputs": (None, 3), "variance": (None, 3)}
    assert sum(np.prod(weight.shape) for weight in model.trainable_weights) == count
    assert not any(marks(weight).penalized for weight in model.trainable_weights)
    model.save(tmp_path / "model.keras")
    x = RNG.normal(size=(4, 4)).astype("float32")
    for name, values in keras.models.load_model(tmp_path / "model.keras")(x).items():
        np.testing.assert_array_equal(values, model(x)[name])


def test_samples_are_gaussian_and_those_of_the_seed_and_the_call():
    mean, variance = tf.constant([[1.0, -2.0]]), tf.constant([[4.0, 0.25]])
    layer, again = (GaussianSamples(50_000, seed=2) for _ in range(2))
    assert has_stochastic(layer)
    draws, others = layer(mean, variance), layer(mean, variance)
    assert draws.shape == layer.compute_output_shape((1, 2), (1, 2)) == (1, 50_000, 2)
    np.testing.assert_array_equal(draws, again(mean, variance))
    assert np.any(np.asarray(draws) != np.asarray(others))
    np.testing.assert_allclose(np.mean(draws, axis=1), [[1, -2]], atol=0.05)
    np.testing.assert_allclose(np.std(draws, axis=1), [[2, 0.5]], rtol=0.02)
    assert GaussianSamples.from_config(layer.get_config()).get_config() == layer.get_config()


def test_before_training_it_is_the_prior():
    said = built(num_inducing=5)(X_TEST)
    np.testing.assert_allclose(said["outputs"], 0, atol=1e-6)
    np.testing.assert_allclose(said["variance"], np.tile(SCALES**2, (9, 1)), rtol=1e-5)
    assert float(built().kl_divergence()) == pytest.approx(0, abs=1e-5)


def test_with_a_point_at_each_input_it_is_exact_regression():
    said = with_best_posterior()(X_TEST)
    for output in range(2):
        mean, stddev = exact(output).predict(X_TEST, return_std=True)
        np.testing.assert_allclose(said["outputs"][:, output], mean, atol=2e-3)
        np.testing.assert_allclose(np.sqrt(said["variance"][:, output]), stddev, atol=2e-3)


def test_the_bound_is_the_evidence_there_and_less_elsewhere():
    layer = with_best_posterior()

    def bound():
        said = layer(X)
        error = (Y - np.asarray(said["outputs"])) ** 2 + np.asarray(said["variance"])
        log_likelihood = -0.5 * error / NOISE**2 - np.log(NOISE) - 0.5 * np.log(2 * np.pi)
        return log_likelihood.sum() - float(layer.kl_divergence())

    evidence = sum(exact(output).log_marginal_likelihood_value_ for output in range(2))
    assert bound() == pytest.approx(evidence, abs=2e-2)
    layer.posterior_mean.assign(layer.posterior_mean * 0.9)
    assert bound() < evidence - 0.1


def test_the_divergence_is_that_of_two_gaussians():
    layer = built(num_inducing=3)
    means = RNG.normal(size=(2, 3))
    roots = RNG.normal(size=(2, 3, 3))
    covariances = roots @ np.swapaxes(roots, 1, 2) + 0.1 * np.eye(3)
    set_posterior(layer, means, covariances)
    expected = [0.5 * (np.trace(c) + m @ m - 3 - np.linalg.slogdet(c)[1]) for m, c in zip(means, covariances)]
    assert float(layer.kl_divergence()) == pytest.approx(sum(expected), rel=1e-5)


def test_points_start_at_the_centres_of_clusters():
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    features = (centres[:, np.newaxis] + 0.01 * RNG.normal(size=(3, 40, 2))).reshape(-1, 2)
    first, second = built(num_inducing=3), built(num_inducing=3)
    for layer in (first, second):
        layer.initialize(features, seed=3)
    found = np.asarray(first.inducing_points)
    np.testing.assert_array_equal(found, second.inducing_points)
    np.testing.assert_allclose(found[np.lexsort(found.round().T)], centres[np.lexsort(centres.T)], atol=0.01)
    assert 5 < np.exp(first.log_length_scale) < 10
    with pytest.raises(InputError, match="3 inducing points need as many training examples, not 2"):
        first.initialize(features[:2], seed=3)


@pytest.mark.parametrize(
    ("make_layer", "message"),
    [
        (lambda: InducingPointGaussianProcess(0), "units must be above 0"),
        (lambda: InducingPointGaussianProcess(1, num_inducing=0), "num_inducing must be above 0"),
        (lambda: GaussianSamples(0), "num_samples must be above 0"),
    ],
)
def test_refused_arguments(make_layer, message):
    with pytest.raises(InputError, match=message):
        make_layer()
