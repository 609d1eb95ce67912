from unittest import mock

import numpy as np
import pytest
from scipy import integrate, stats

from tests.layers.helpers import two_replicas
from uncertainty_suite import keras, layers, tf, training
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import variational
from uncertainty_suite.layers.variational import Variational
from uncertainty_suite.testing import check_layer


@pytest.fixture(scope="module")
def golden(golden_dir):
    with np.load(golden_dir / "layers" / "variational.npz", allow_pickle=False) as file:
        return dict(file)


def with_weights(layer: Variational, input_shape, **values) -> Variational:
    """Return a layer with given values of `mean`, `rho` and `bias`."""
    layer.build(input_shape)
    for name, value in values.items():
        (layer.layer.bias if name == "bias" else getattr(layer, name)).assign(value)
    return layer


def draws(layer: Variational, x: np.ndarray, count: int, training: bool) -> np.ndarray:
    """Return the outputs of repeated calls, [count, ...]."""

    @tf.function
    def drawn(x):
        return tf.map_fn(lambda _: layer(x, training=training), tf.range(count), fn_output_signature=x.dtype)

    return drawn(tf.constant(x, tf.float32)).numpy()


@pytest.mark.parametrize(
    ("layer", "arguments", "input_shape", "output_shape", "trainable"),
    [
        (lambda: keras.layers.Dense(3), {}, (4,), (None, 3), 27),
        (
            lambda: keras.layers.Dense(3, use_bias=False, activation="tanh"),
            {"posterior": "radial", "estimator": "reparameterization", "seed": 3},
            *((5, 4), (None, 5, 3), 24),
        ),
        (
            lambda: keras.layers.Conv2D(3, 2, strides=2, activation="tanh"),
            {"posterior": "radial", "prior_stddev": 0.5},
            *((6, 6, 2), (None, 3, 3, 3), 51),
        ),
    ],
)
def test_layer_promises(layer, arguments, input_shape, output_shape, trainable, tmp_path):
    def make_layer():
        inner = layer()
        inner.name = "inner"
        return Variational(inner, initial_stddev=0.1, **arguments)

    check_layer(make_layer, input_shape, [output_shape], trainable, 0, tmp_path)


@pytest.mark.parametrize("estimator", variational.ESTIMATORS)
def test_an_embedding_is_saved_and_loaded(estimator, tmp_path):
    x = keras.Input((6,), dtype="int32")
    layer = Variational(keras.layers.Embedding(10, 3, name="embedding"), estimator=estimator, seed=1)
    model = keras.Model(x, layer(x))
    assert model.output.shape == (None, 6, 3)
    ids = np.arange(12).reshape(2, 6) % 10
    assert layer(ids, training=True).shape == (2, 6, 3)
    model.save(tmp_path / "model.keras")
    outputs = []
    for each in (model, keras.models.load_model(tmp_path / "model.keras")):
        layers.seed_draws([each], 0)
        outputs.append(each(ids))
    np.testing.assert_array_equal(*outputs)


# The divergence.


@pytest.mark.parametrize("prior_stddev", [1, 0.1])
def test_divergence_of_a_dense_kernel_is_the_golden_one(golden, prior_stddev):
    layer = Variational(keras.layers.Dense(4), prior_stddev=prior_stddev)
    rho = np.log(np.expm1(golden["posterior/kernel_stddev"]))
    with_weights(layer, (None, 6), mean=golden["posterior/kernel_mean"], rho=rho)
    assert float(layer.kl_divergence()) == pytest.approx(golden[f"dense_kl_normal_0_{prior_stddev}/kl"], rel=2e-6)


def test_divergence_and_its_gradient_are_those_of_another_library(golden_dir):
    with np.load(golden_dir / "methods" / "mean_field_vi.npz", allow_pickle=False) as file:
        case = {name: file[f"gauss_gauss_kernel_4x3/{name}"] for name in ("mean", "rho", "grad_kl_N01_mean")}
        gradient_rho = file["gauss_gauss_kernel_4x3/grad_kl_N01_rho"]
        expected = {stddev: file[f"gauss_gauss_kernel_4x3/kl_prior_N(0,{stddev})"] for stddev in (1, 0.1)}
    for prior_stddev, divergence in expected.items():
        layer = Variational(keras.layers.Dense(3), prior_stddev=prior_stddev)
        with_weights(layer, (None, 4), mean=case["mean"], rho=case["rho"])
        assert float(layer.kl_divergence()) == pytest.approx(float(divergence), rel=1e-5)
        if prior_stddev == 1:
            with tf.GradientTape() as tape:
                divergence = layer.kl_divergence()
            found = tape.gradient(divergence, [layer.mean.value, layer.rho.value])
            np.testing.assert_allclose(found[0], case["grad_kl_N01_mean"], rtol=1e-5)
            np.testing.assert_allclose(found[1], gradient_rho, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_divergence_of_a_radial_posterior_is_its_integral(size):
    """With mean 0 and scale 1 it is one over the radius, which has the density of |N(0, 1)|."""
    prior_stddev = 0.7
    area = {1: lambda r: 2.0, 2: lambda r: 2 * np.pi * r, 3: lambda r: 4 * np.pi * r**2}[size]

    def integrand(radius):
        log_density = stats.halfnorm.logpdf(radius) - np.log(area(radius))
        log_prior = -(radius**2) / (2 * prior_stddev**2) - size * np.log(prior_stddev * np.sqrt(2 * np.pi))
        return stats.halfnorm.pdf(radius) * (log_density - log_prior)

    expected, _ = integrate.quad(integrand, 0, 12)
    layer = Variational(keras.layers.Dense(1, use_bias=False), prior_stddev, initial_stddev=1.0, posterior="radial")
    with_weights(layer, (None, size), mean=np.zeros((size, 1)))
    assert float(layer.kl_divergence()) == pytest.approx(expected, rel=1e-5)


def test_a_single_radial_weight_is_gaussian():
    divergences = [
        with_weights(
            Variational(keras.layers.Dense(1, use_bias=False), 0.5, initial_stddev=0.2, posterior=posterior),
            (None, 1),
            mean=[[0.3]],
        ).kl_divergence()
        for posterior in ("gaussian", "radial")
    ]
    np.testing.assert_allclose(*divergences, rtol=1e-6)


# Draws.


@pytest.mark.parametrize(
    ("estimator", "training"), [("reparameterization", True), ("flipout", True), ("flipout", False)]
)
@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_moments_of_the_outputs_are_exact(golden, kind, estimator, training):
    prefix = "posterior" if kind == "dense" else "conv_posterior"
    case = {name.removeprefix(f"{prefix}/"): value for name, value in golden.items() if name.startswith(f"{prefix}/")}
    inner = keras.layers.Dense(4) if kind == "dense" else keras.layers.Conv2D(4, 3, padding="same")
    layer = Variational(inner, estimator=estimator, seed=1)
    values = {"mean": case["kernel_mean"], "rho": case["kernel_rho"], "bias": case["bias"]}
    with_weights(layer, (None, *case["x"].shape[1:]), **values)
    drawn = draws(layer, case["x"], 3000, training)
    scale = np.sqrt(case["y_variance"] / len(drawn))
    np.testing.assert_array_less(np.abs(drawn.mean(axis=0) - case["y_expectation"]), 5 * scale)
    np.testing.assert_allclose(drawn.var(axis=0), case["y_variance"], rtol=5 * np.sqrt(2 / len(drawn)))


def test_a_draw_is_the_mean_plus_the_stddev_times_noise(golden, monkeypatch):
    mean, stddev = golden["posterior/kernel_mean"], golden["posterior/kernel_stddev"]
    kernel = golden["dense_reparameterization_sample/kernel_sample"]
    given = tf.constant((kernel - mean) / stddev, tf.float32)
    noise = variational.POSTERIORS["gaussian"]._replace(draw=lambda shape, seed: given)
    monkeypatch.setitem(variational.POSTERIORS, "gaussian", noise)
    layer = Variational(keras.layers.Dense(4), estimator="reparameterization")
    with_weights(layer, (None, 6), mean=mean, rho=golden["posterior/kernel_rho"], bias=golden["posterior/bias"])
    outputs = layer(golden["posterior/x"], training=True)
    np.testing.assert_allclose(outputs, golden["dense_reparameterization_sample/y"], rtol=1e-5, atol=1e-6)


def test_radial_noise_has_the_length_of_one_normal_number():
    noise = variational.POSTERIORS["radial"]
    seeds = tf.range(2000)
    drawn = tf.function(
        lambda: tf.map_fn(lambda i: noise.draw((2, 5), [i, 0]), seeds, fn_output_signature=tf.float32)
    )()
    drawn = drawn.numpy()
    lengths = np.linalg.norm(drawn, axis=(1, 2))
    assert stats.kstest(lengths, stats.halfnorm.cdf).pvalue > 1e-3
    tolerance = 5 / np.sqrt(len(drawn))
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=tolerance)
    np.testing.assert_allclose((drawn**2).mean(axis=0), noise.variance(10), atol=tolerance)


def test_which_examples_share_a_draw():
    x = np.ones((3, 4), np.float32)
    for estimator in variational.ESTIMATORS:
        layer = Variational(keras.layers.Dense(8), estimator=estimator, initial_stddev=0.5, seed=1)
        first, second = (layer(x, training=True).numpy() for _ in range(2))
        assert np.any(first != second)
        assert np.any(first[0] != first[1]) == (estimator == "flipout")
        for training_ in (False, None):
            predicted = layer(x, training=training_).numpy()
            np.testing.assert_array_equal(predicted, np.broadcast_to(predicted[:1], predicted.shape))
            assert np.any(predicted != layer(x, training=training_))


def test_the_stddev_is_computed_once_for_all_samples():
    inputs = keras.Input((4,))
    layer = Variational(keras.layers.Dense(3), initial_stddev=0.5, seed=1)
    model = keras.Model(inputs, layer(inputs))
    x = tf.ones((2, 4))
    passes = [model(x).numpy() for _ in range(3)]
    layers.seed_draws([model], 0)
    expected = [model(x).numpy() for _ in range(3)]
    layers.seed_draws([model], 0)
    predict = tf.function(lambda x: layers.draw_samples(model, x, num_samples=3))
    np.testing.assert_allclose(predict(x), expected, rtol=1e-6)
    assert np.any(np.not_equal(passes, expected))

    with mock.patch.object(tf.nn, "softplus", wraps=tf.nn.softplus) as softplus:
        layers.draw_samples(model, x, num_samples=3)  # not traced: the body of the loop runs for each sample
    assert softplus.call_count == 1
    layer.rho.assign(layer.rho - 100.0)  # what was kept is not kept for later
    np.testing.assert_allclose(layer.stddev, 0, atol=1e-6)


def test_replicas_draw_different_kernels():
    strategy = two_replicas()
    with strategy.scope():
        layer = Variational(keras.layers.Dense(8), seed=1)
        layer.build((None, 4))
    outputs = strategy.run(tf.function(lambda: layer(tf.ones((2, 4)), training=True)))
    first, second = strategy.experimental_local_results(outputs)
    assert np.any(first != second)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("estimator", variational.ESTIMATORS)
@pytest.mark.parametrize(
    ("make_layer", "input_shape"),
    [
        (lambda: keras.layers.Dense(3, activation="relu"), (4,)),
        (lambda: keras.layers.Dense(3), (5, 4)),
        (lambda: keras.layers.Conv2D(3, 2, strides=2, padding="same", activation="tanh"), (5, 5, 2)),
        (lambda: keras.layers.Embedding(7, 3), (5,)),
    ],
)
def test_without_variance_it_is_the_layer_within(make_layer, input_shape, estimator, training):
    inner = make_layer()
    layer = Variational(inner, initial_stddev=1e-12, estimator=estimator)
    x = np.random.default_rng(0).integers(0, 7, (4, *input_shape)).astype(np.float32)
    np.testing.assert_allclose(layer(x, training=training), inner(x), rtol=1e-6)


def test_half_precision():
    layer = Variational(keras.layers.Dense(8, dtype="mixed_bfloat16"), initial_stddev=0.1, seed=1)
    x = tf.ones((2, 4))
    outputs = [layer(x, training=training) for training in (True, False, False)]
    assert {each.dtype for each in outputs} == {tf.bfloat16}
    assert np.any(outputs[1] != outputs[2])
    assert layer.kl_divergence().dtype == tf.float32


def test_the_penalty_leaves_the_posterior_out():
    x = keras.Input((4,))
    model = keras.Model(x, Variational(keras.layers.Dense(3, bias_initializer="ones"))(x))
    assert float(training.penalty(model, 0.5)) == 1.5  # of the bias


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prior_stddev": 0.0}, "prior_stddev must be above 0, received 0.0"),
        ({"initial_stddev": -1.0}, "initial_stddev must be above 0"),
        ({"posterior": "gausian"}, "Unknown posterior 'gausian'. Did you mean 'gaussian'"),
        ({"estimator": "flipped"}, "Unknown estimator 'flipped'"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        Variational(keras.layers.Dense(3), **arguments)


def test_another_layer_is_refused():
    with pytest.raises(InputError, match="A Dense, Conv2D or Embedding layer can be variational, received Flatten"):
        Variational(keras.layers.Flatten())


def test_bayesian_linear_regression():
    """The best mean-field posterior has the mean of the exact one, and the inverse diagonal of its precision."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3)) @ [[1.0, 0.4, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 1.0]]
    noise_stddev, prior_stddev = 0.5, 2.0
    y = x @ [[1.0], [-2.0], [0.5]] + noise_stddev * rng.normal(size=(40, 1))
    precision = x.T @ x / noise_stddev**2 + np.eye(3) / prior_stddev**2
    mean = np.linalg.solve(precision, x.T @ y / noise_stddev**2)
    layer = Variational(keras.layers.Dense(1, use_bias=False), prior_stddev, 0.1, seed=1)
    model = keras.Model(inputs := keras.Input((3,)), layer(inputs))
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.05, 2000))
    features, targets = (tf.constant(np.tile(each, (20, 1)), tf.float32) for each in (x, y))

    @tf.function
    def train(steps):
        for _ in tf.range(steps):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((targets - model(features, training=True)) ** 2) / (2 * noise_stddev**2)
                objective = loss + layers.kl_divergence(model) / len(x)
            training.update(model, optimizer, tape, objective)

    optimizer.build(model.trainable_variables)
    train(tf.constant(2000))
    stddev = 1 / np.sqrt(np.diag(precision))
    np.testing.assert_allclose(np.asarray(layer.mean), mean, atol=0.2 * stddev.min())
    np.testing.assert_allclose(np.asarray(layer.stddev)[:, 0], stddev, rtol=0.1)
