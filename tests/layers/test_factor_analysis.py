import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from tests.layers.helpers import Golden
from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import FactorAnalysisSoftmax, factor_analysis
from uncertainty_suite.testing import check_layer

GOLDEN = Golden("heteroscedastic")
LOCATION = np.array([[1.0, -2.0, 0.5], [0.0, 0.0, 3.0]], np.float32)


def parameters_of(location, stddev=1e-3, num_factors=0, factors=0.0):
    """Return inputs of the layer."""
    batch, classes = location.shape
    scale = np.full(location.shape, np.log(np.expm1(max(stddev - 1e-3, 1e-20))), np.float32)
    loadings = np.broadcast_to(np.float32(factors), (batch, classes * num_factors))
    return np.concatenate([location, scale, loadings], axis=1)


@pytest.mark.parametrize("num_factors", [0, 3])
def test_layer_promises(num_factors, tmp_path):
    check_layer(
        lambda: FactorAnalysisSoftmax(num_factors, num_samples=8), (4 * (2 + num_factors),), [(None, 4)], 0, 0, tmp_path
    )


@GOLDEN.parametrize("fa_full", "diagonal_K5")
def test_golden(case):
    golden, settings = GOLDEN[case], GOLDEN.parameters[case]
    diagonal = "factors" not in settings
    names = ("loc", "scale") if diagonal else ("loc", "diag", "scale")
    inputs = np.concatenate([golden["x"] @ golden[f"{n}_kernel"] + golden[f"{n}_bias"] for n in names], axis=1)
    noise = golden["noise"] if diagonal else np.concatenate([golden["noise_diagonal"], golden["noise_factors"]], axis=2)
    layer = FactorAnalysisSoftmax(settings.get("factors", 0), temperature=settings["temperature"])
    log_probs = layer(inputs.astype("float32"), noise=np.swapaxes(noise, 0, 1).astype("float32"))
    np.testing.assert_allclose(log_probs, golden["log_probs"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(tf.nn.softmax(log_probs), golden["probs"], atol=2e-6)


def test_without_noise_it_is_the_softmax():
    layer = FactorAnalysisSoftmax(0, num_samples=3, temperature=2.0, least_stddev=1e-6)
    scale = np.full((2, 3), -30.0, np.float32)
    log_probs = layer(np.concatenate([LOCATION, scale], axis=1))
    np.testing.assert_allclose(log_probs, log_softmax(LOCATION / 2, axis=1), atol=1e-5)


def test_integers_are_taken_as_numbers():
    inputs = np.array([[3, 0, -1, 2, 1, 0]])
    layers = [FactorAnalysisSoftmax(0, num_samples=4, seed=1) for _ in range(2)]
    np.testing.assert_array_equal(layers[0](inputs.astype("int32")), layers[1](inputs.astype("float32")))


def test_probabilities_are_the_mean_over_the_gaussian():
    loadings = np.array([[0.5, -1.0], [2.0, 0.0], [-0.3, 0.7]], np.float32)
    inputs = parameters_of(LOCATION, 0.8, 2, loadings.reshape(1, -1))
    variance = np.array([0.0, 1.5], np.float32)
    layer = FactorAnalysisSoftmax(2, num_samples=100_000, temperature=0.7, seed=1)
    probs = np.exp(layer(inputs, latent_variance=tf.constant(variance)))
    rng = np.random.default_rng(0)
    for row in range(2):
        covariance = loadings @ loadings.T + (0.8**2 + variance[row]) * np.eye(3)
        utilities = rng.multivariate_normal(LOCATION[row], covariance, size=100_000)
        np.testing.assert_allclose(probs[row], softmax(utilities / 0.7, axis=1).mean(axis=0), atol=0.006)


def test_many_samples_are_drawn_in_parts_and_have_the_same_gradients(monkeypatch):
    inputs = tf.constant(parameters_of(LOCATION, 0.8, 2, 0.5))
    layer = FactorAnalysisSoftmax(2, num_samples=60_000, seed=1)
    results = []
    for draws_at_once in (factor_analysis._DRAWS_AT_ONCE, 2 * 5 * 1000):
        monkeypatch.setattr(factor_analysis, "_DRAWS_AT_ONCE", draws_at_once)

        @tf.function
        def loss_and_gradient(inputs):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                log_probs = layer(inputs)
                loss = -tf.reduce_mean(log_probs[:, 0])
            return tf.exp(log_probs), tape.gradient(loss, inputs)

        results.append(loss_and_gradient(inputs))
    for whole, in_parts in zip(*results):
        np.testing.assert_allclose(whole, in_parts, atol=0.01)
        assert np.any(np.asarray(whole) != np.asarray(in_parts))


def test_extreme_scales_stay_finite():
    inputs = np.concatenate([1e4 * LOCATION, 1e4 * LOCATION, 1e3 * LOCATION], axis=1)
    layer = FactorAnalysisSoftmax(1, num_samples=10)
    with tf.GradientTape() as tape:
        tape.watch(inputs := tf.constant(inputs))
        log_probs = layer(inputs)
    assert np.all(np.isfinite(log_probs))
    assert np.all(np.isfinite(tape.gradient(log_probs, inputs)))


def test_draws_are_those_of_the_seed_and_the_call():
    inputs = parameters_of(LOCATION, 1.0)
    first, second = (FactorAnalysisSoftmax(0, num_samples=4, seed=3) for _ in range(2))
    one, other = first(inputs), first(inputs)
    np.testing.assert_array_equal(one, second(inputs))
    assert np.any(np.asarray(one) != np.asarray(other))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_factors": -1}, "num_factors must be at least 0, received -1"),
        ({"num_samples": 0}, "num_samples must be at least 1, received 0"),
        ({"temperature": 0.0}, "temperature must be above 0, received 0.0"),
        ({"least_stddev": 0.0}, "least_stddev must be above 0, received 0.0"),
    ],
)
def test_refused_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        FactorAnalysisSoftmax(**arguments)


def test_refused_inputs():
    with pytest.raises(InputError, match="With 3 factors the inputs have 5 values a class, received 11 of each"):
        FactorAnalysisSoftmax(3)(keras.Input((11,)))
