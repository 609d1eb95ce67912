"""Optimizers that sample: their steps against other libraries', their targets against closed forms."""

import json

import numpy as np
import pytest

from uncertainty_suite import keras, tf, training
from uncertainty_suite.training.samplers import IVON, Langevin

FLAT = 1e6  # the standard deviation of a prior that does not matter


@pytest.fixture
def golden(golden_dir):
    with np.load(golden_dir / "methods" / "sgmcmc_ivon.npz", allow_pickle=False) as file:
        parameters = json.loads(str(file["__meta__"]))["cases"]

        def case(name):
            arrays = {key.partition("/")[2]: file[key] for key in file.files if key.startswith(f"{name}/")}
            return arrays, parameters[name]

        yield case


def with_noise(optimizer, normals) -> None:
    """Let the optimizer have these numbers as its noise, a row a step."""
    optimizer._normal = lambda variable, step: tf.constant(normals)[int(step)]


def variable(values) -> keras.Variable:
    return keras.Variable(values, dtype="float64", name="weight")


@pytest.mark.parametrize("case", ["sgld_plain", "sgld_cold"])
@pytest.mark.parametrize("num_examples", [1, 50])
def test_a_langevin_step_is_that_of_posteriors(case, num_examples, golden):
    arrays, parameters = golden(case)
    weight = variable(arrays["theta0"])
    rate = parameters["lr"] * num_examples  # of the mean loss
    optimizer = Langevin(rate, num_examples, FLAT, parameters["temperature"])
    optimizer.build([weight])
    with_noise(optimizer, arrays["normals"])
    for gradient, expected in zip(arrays["gradients_of_log_posterior"], arrays["theta"]):
        optimizer.apply([tf.constant(-gradient / num_examples)], [weight])
        np.testing.assert_allclose(weight, expected, rtol=1e-6)


def test_steps_are_those_of_the_papers(golden):
    arrays, parameters = golden("other_forms")
    n, decay = parameters["N"], parameters["wd"]
    weight = variable(arrays["theta"])
    prior_stddev = 1 / np.sqrt(n * decay)
    optimizer = Langevin(parameters["lr"], n, prior_stddev, parameters["T"], parameters["alpha"])
    optimizer.build([weight])
    optimizer._momenta[0].assign(arrays["buf"])
    with_noise(optimizer, arrays["z"][np.newaxis])
    optimizer.apply([tf.constant(arrays["gradient"])], [weight])
    np.testing.assert_allclose(optimizer._momenta[0], arrays["csghmc_buf"], rtol=1e-6)
    np.testing.assert_allclose(weight, arrays["csghmc_theta"], rtol=1e-6)
    weight = variable(arrays["theta"])
    optimizer = Langevin(parameters["eps"] / 2, 1, FLAT)
    optimizer.build([weight])
    with_noise(optimizer, arrays["z"][np.newaxis])
    optimizer.apply([tf.constant(-arrays["gradient"])], [weight])
    np.testing.assert_allclose(weight, arrays["welling_teh"], rtol=1e-6)


def variance_of_chains(optimizer, num_chains, steps, gradient) -> float:
    """Return the variance over chains, the elements of one variable, after so many steps."""
    weight = keras.Variable(np.zeros(num_chains), dtype="float32", name="weight")
    optimizer.build([weight])

    @tf.function
    def run():
        for _ in tf.range(steps):
            optimizer.apply([gradient(weight)], [weight])

    run()
    return float(np.var(np.asarray(weight)))


@pytest.mark.parametrize("friction", [1.0, 0.1])
@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_a_chain_has_the_stationary_variance_of_its_target(friction, temperature, golden):
    # N (loss of curvature 1 + prior): half of the precision is the likelihood's, half the prior's.
    num_examples, rate, precision = 10, 0.2, 20.0
    optimizer = Langevin(rate, num_examples, 10**-0.5, temperature, friction)
    found = variance_of_chains(optimizer, 40_000, 400, lambda weight: tf.convert_to_tensor(weight))
    curvature = rate * precision / num_examples
    # w' = (2 - a - c) w - (1 - a) w_before + noise: the variance of an autoregression of second order.
    first, second = 2 - friction - curvature, -(1 - friction)
    noise = 2 * friction * rate * temperature / num_examples
    expected = noise * (1 - second) / ((1 + second) * ((1 - second) ** 2 - first**2))
    assert found == pytest.approx(expected, rel=5 * (2 / 40_000) ** 0.5)
    assert expected == pytest.approx(temperature / precision, rel=0.3)  # the target's, but for the step
    arrays, _ = golden("stationary_variance") if friction == 1 else ({}, {})
    if arrays:  # the closed form is that of the file
        for i, each in enumerate(arrays["precision"]):
            for j, step in enumerate(arrays["lr"]):
                first = 1 - step * each
                if abs(first) < 1:
                    assert 2 * step / (1 - first**2) == pytest.approx(arrays["sgld"][i, j])


def test_temperature_zero_is_gradient_descent_with_momentum():
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=5), rng.normal(size=(4, 5))
    mine, theirs = (keras.Variable(start, dtype="float32", name="weight") for _ in range(2))
    for weight, optimizer in (
        (mine, Langevin(0.1, 10, FLAT, 0.0, 0.3)),
        (theirs, keras.optimizers.SGD(0.1, momentum=0.7)),
    ):
        optimizer.build([weight])
        for gradient in gradients:
            optimizer.apply([tf.constant(gradient, tf.float32)], [weight])
    np.testing.assert_allclose(mine, theirs, rtol=1e-5)


@pytest.mark.parametrize("case", ["ivon_price", "ivon_clip", "ivon_published_defaults"])
def test_a_step_of_variational_newton_is_that_of_the_authors(case, golden):
    arrays, parameters = golden(case)
    weight = variable(arrays["w0"])
    optimizer = IVON(
        parameters["lr"],
        parameters["ess"],
        parameters["hess_init"],
        parameters["beta1"],
        parameters["beta2"],
        parameters["weight_decay"],
        parameters.get("clip_radius", 0.0),
    )
    optimizer.build([weight])
    with_noise(optimizer, arrays["normals"][:, 0])
    for step, gradient in enumerate(arrays["gradients"][:, 0]):
        np.testing.assert_allclose(optimizer.draw()[0], arrays["sampled_weights"][step, 0], rtol=1e-6)
        optimizer.apply([tf.constant(gradient)], [weight])
        np.testing.assert_allclose(weight, arrays["mean"][step], rtol=1e-5)
        np.testing.assert_allclose(optimizer._momenta[0], arrays["momentum"][step], rtol=1e-6)
        np.testing.assert_allclose(optimizer._hessians[0], arrays["hess"][step], rtol=1e-6)


def test_the_posterior_of_variational_newton_is_that_of_a_gaussian_target():
    # The mean loss of N examples is c (w - a)^2 / 2, so that the posterior is N(c a / (c + d), 1 / (N (c + d))).
    num_examples, decay, centre = 20, 0.5, 2.0
    curvature = np.linspace(0.5, 3.0, 500).astype(np.float32)
    weight = keras.Variable(np.zeros(500), dtype="float32", name="weight")
    optimizer = IVON(0.05, num_examples, 1.0, 0.9, 0.995, decay)
    optimizer.build([weight])

    @tf.function
    def run():
        for _ in tf.range(1500):
            optimizer.apply([curvature * (optimizer.draw()[0] - centre)], [weight])

    run()
    found, expected = np.asarray(optimizer._hessians[0]), curvature
    assert np.mean(found / expected) == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(np.mean(weight - curvature * centre / (curvature + decay)), 0, atol=0.02)
    draws = np.array([np.asarray(optimizer.draw(i)[0]) for i in range(400)])
    ratio = draws.var(axis=0) * num_examples * (curvature + decay)
    assert ratio.mean() == pytest.approx(1, abs=0.07)


def test_noise_depends_on_seed_step_and_variable_alone():
    def noise(seed):
        keras.utils.set_random_seed(seed)
        weights = [keras.Variable(np.zeros(3), dtype="float32", name=f"weight_{i}") for i in range(2)]
        optimizer = Langevin(0.1, 1)
        optimizer.build(weights)
        return [[np.asarray(optimizer._normal(weight, step)).tolist() for weight in weights] for step in range(2)]

    assert noise(1) == noise(1)
    values = [each for one in (noise(1), noise(2)) for step in one for each in step]
    assert len({tuple(each) for each in values}) == 8


@pytest.mark.parametrize("name", ["sghmc", "ivon"])
def test_a_gradient_of_some_rows_is_that_of_the_whole_table(name):
    def step(gradient):
        keras.utils.set_random_seed(0)  # of the noise
        table = keras.Variable(np.ones((3, 2), np.float32), name="table")
        optimizer = training.optimizers.OPTIMIZERS.make(name, 0.1, 50)
        optimizer.build([table])
        tf.function(lambda: optimizer.apply([gradient], [table]))()
        return table.numpy()

    rows = tf.IndexedSlices(tf.constant([[1.0, 2.0], [3.0, 4.0]]), tf.constant([0, 2]), tf.constant([3, 2]))
    np.testing.assert_array_equal(step(rows), step(tf.convert_to_tensor(rows)))


def test_two_devices_sample_as_one(two_devices):
    def run(strategy):
        keras.utils.set_random_seed(1)
        with strategy.scope():
            model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False, name="dense")])
            model.get_layer("dense").kernel.assign([[1.0], [2.0]])
            optimizer = IVON(0.1, 10, 0.5, beta_2=0.9)
            optimizer.build(model.trainable_variables)

        def step():
            with tf.GradientTape() as tape, training.with_weights(model, optimizer.draw()):
                objective = tf.reduce_mean(model(tf.ones((4, 2)), training=True) ** 2)
            return training.update(model, optimizer, tape, objective)

        take = tf.function(lambda: strategy.run(step))
        for _ in range(3):
            take()
        return np.asarray(model.get_layer("dense").kernel), np.asarray(optimizer._hessians[0])

    for mine, theirs in zip(run(two_devices), run(tf.distribute.get_strategy())):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5)
