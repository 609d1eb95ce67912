import json

import numpy as np
import pytest
from ml_collections import ConfigDict

from uncertainty_suite import keras, layers, tf, training
from uncertainty_suite.errors import InputError
from uncertainty_suite.training.optimizers import scale_learning_rate


class Data:
    """A data set as far as an optimizer looks at it."""

    num_examples = 100

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def steps_per_epoch(self, batch_size: int) -> int:
        return self._steps


class Model:
    """A model as far as an optimizer looks at it."""

    def __init__(self, variables=()) -> None:
        self.trainable_variables = list(variables)
        self.losses = [tf.constant(0.25)]


def get_optimizer(steps_per_epoch=10, epochs=5, variables=(), cycles=1, **fields) -> keras.Optimizer:
    settings = {"name": "sgd", "learning_rate": 0.1, "schedule": "step", "warmup_epochs": 0}
    options = {"momentum": 0.9, "nesterov": True} if fields.get("name", "sgd") == "sgd" else {}
    if fields.get("name") in ("adam", "adamw"):
        options = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
    config = ConfigDict({"batch_size": 1, "epochs": epochs, "optimizer": {**settings, **options, **fields}})
    return training.get_optimizer(config, Model(variables), Data(steps_per_epoch), cycles)


def rate(optimizer: keras.Optimizer, step: int) -> float:
    optimizer.iterations.assign(step)
    return float(optimizer.learning_rate)


@pytest.mark.parametrize("case", ["cifar_250_epochs", "cifar_deterministic", "imagenet_90", "no_warmup"])
def test_step_schedule_is_that_of_uncertainty_baselines(case, golden_dir):
    with np.load(golden_dir / "layers" / "schedules.npz", allow_pickle=False) as golden:
        parameters = json.loads(str(golden["__meta__"]))["cases"][case]
        steps, expected = golden[f"{case}/step"], golden[f"{case}/learning_rate"]
    optimizer = get_optimizer(
        parameters["steps_per_epoch"],
        epochs=250,
        learning_rate=parameters["base_learning_rate"],
        warmup_epochs=parameters["warmup_epochs"],
        decay_epochs=tuple(parameters["decay_epochs"]),
        decay_ratio=parameters["decay_ratio"],
    )
    np.testing.assert_allclose([rate(optimizer, int(step)) for step in steps], expected, rtol=2e-6)


def test_cosine_schedule():
    optimizer = get_optimizer(schedule="cosine", warmup_epochs=1)
    expected = [0.0, 0.05, 0.1, 0.05, 0.0]  # warm-up, then half a cosine over the other 40 steps
    np.testing.assert_allclose([rate(optimizer, step) for step in (0, 5, 10, 30, 50)], expected, atol=1e-8)


def test_a_schedule_in_cycles_begins_anew():
    optimizer = get_optimizer(epochs=6, cycles=3, schedule="cosine")  # cycles of 20 steps
    expected = keras.optimizers.schedules.CosineDecayRestarts(0.1, 20, t_mul=1.0)
    steps = (0, 7, 19, 20, 33, 40, 59)
    np.testing.assert_allclose(
        [rate(optimizer, step) for step in steps], [float(expected(i)) for i in steps], rtol=1e-5
    )
    schedule = optimizer._learning_rate
    again = type(schedule).from_config(schedule.get_config())
    assert float(again(27)) == float(schedule(27))


def test_cycles_share_out_the_epochs():
    with pytest.raises(InputError, match=r"config.epochs is 5, .* make it a multiple of 2"):
        get_optimizer(epochs=5, cycles=2, schedule="cosine")
    with pytest.raises(InputError, match="decays shorter than a cycle"):
        get_optimizer(epochs=6, cycles=2, decay_epochs=(4,), decay_ratio=0.2)


def test_constant_schedule():
    optimizer = get_optimizer(schedule="constant")
    np.testing.assert_allclose([rate(optimizer, step) for step in (0, 7, 1000)], 0.1, rtol=1e-6)


def test_optimizers_by_name_with_their_options():
    assert isinstance(get_optimizer(name="adam", schedule="constant", beta_1=0.8), keras.optimizers.Adam)
    assert get_optimizer(name="adam", schedule="constant", beta_1=0.8).beta_1 == 0.8
    assert get_optimizer(name="adamw", schedule="constant", weight_decay=0.3).weight_decay == 0.3
    sgd = get_optimizer(schedule="constant", momentum=0.7)
    assert (sgd.momentum, sgd.nesterov) == (0.7, True)
    assert get_optimizer(schedule="constant", momentum=0.0).nesterov is False


def test_unknown_names():
    with pytest.raises(InputError, match=r"Unknown optimizer 'adm'. Did you mean 'adam'\?"):
        get_optimizer(name="adm", schedule="constant")
    with pytest.raises(InputError, match=r"Unknown schedule 'cosin'. Did you mean 'cosine'\?"):
        get_optimizer(schedule="cosin")


@pytest.mark.parametrize("of", ["schedule", "variable"])
def test_scaled_learning_rate(of):
    weight = keras.Variable(1.0)
    if of == "schedule":
        # A warm-up of two steps.
        optimizer = get_optimizer(variables=[weight], momentum=0.0, schedule="constant", warmup_epochs=0.2)
        expected = [0.0, 0.0125, 0.025]
    else:
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build([weight])
        expected = [0.025, 0.025, 0.025]
    scale_learning_rate(optimizer, 0.25)
    step = tf.function(lambda: optimizer.apply([tf.constant(1.0)], [weight]))
    for rate_ in expected:
        before = float(weight)
        assert float(optimizer.learning_rate) == pytest.approx(rate_)
        step()
        assert before - float(weight) == pytest.approx(rate_, abs=1e-7)


def test_scaled_learning_rate_on_two_devices(two_devices):
    with two_devices.scope():
        weight = keras.Variable(1.0)
        optimizer = get_optimizer(variables=[weight], momentum=0.0, schedule="constant")
    scale_learning_rate(optimizer, 0.5)
    tf.function(lambda: two_devices.run(lambda: optimizer.apply([tf.constant(1.0)], [weight])))()
    (value, _) = two_devices.experimental_local_results(weight.value)
    assert 1 - float(value) == pytest.approx(0.1)  # 0.05 for the gradient of each device


def test_penalty_is_that_of_all_variables_and_the_layers_own():
    model = Model([keras.Variable([1.0, 2.0]), keras.Variable([[3.0]])])
    assert float(training.penalty(model, 0.5)) == 7.25
    assert float(training.penalty(model, 0.0)) == 0.25


def test_penalty_leaves_out_what_is_marked():
    model = Model([keras.Variable([1.0, 2.0]), layers.mark(keras.Variable([[3.0]]), penalized=False)])
    assert float(training.penalty(model, 0.5)) == 2.75
    assert float(training.penalty(Model([model.trainable_variables[1]]), 0.5)) == 0.25


def test_gradients_are_multiplied_by_the_factor_of_their_variable():
    model = Model([keras.Variable(1.0), layers.mark(keras.Variable(1.0), gradient_factor=0.5)])
    optimizer = get_optimizer(variables=model.trainable_variables, momentum=0.0, schedule="constant")
    with tf.GradientTape() as tape:
        objective = 3.0 * model.trainable_variables[0] + 4.0 * model.trainable_variables[1]
    norm = training.update(model, optimizer, tape, objective)
    np.testing.assert_allclose([float(each) for each in model.trainable_variables], [0.7, 0.8], rtol=1e-6)
    assert float(norm) == pytest.approx(13**0.5)  # of the gradient that is followed


@pytest.mark.parametrize(("steps", "expected"), [(4, [0.25, 0.5, 0.75, 1.0, 1.0]), (1, [1.0, 1.0]), (0, [1.0, 1.0])])
def test_a_factor_that_comes_in_over_the_first_steps(steps, expected):
    weight = keras.Variable(1.0)
    optimizer = get_optimizer(variables=[weight], schedule="constant")

    @tf.function
    def step():
        factor = training.annealed(optimizer, steps)
        optimizer.apply([tf.constant(1.0)], [weight])
        return factor

    factors = [step() for _ in expected]
    assert {factor.dtype for factor in factors} == {tf.float32}
    np.testing.assert_allclose(factors, expected)


def test_a_schedule_can_be_left_for_a_constant_rate():
    sgd = {"name": "sgd", "momentum": 0.9, "nesterov": True, "warmup_epochs": 0}
    settings = {**sgd, "schedule": "cosine", "learning_rate": 0.2}
    config = ConfigDict({"batch_size": 1, "epochs": 4, "optimizer": settings})
    optimizer = training.get_optimizer(config, Model(), Data(10), constant_from=3, constant_factor=0.5)
    whole = get_optimizer(epochs=4, schedule="cosine", learning_rate=0.2)
    assert [rate(optimizer, step) for step in (0, 17, 29)] == [rate(whole, step) for step in (0, 17, 29)]
    np.testing.assert_allclose([rate(optimizer, step) for step in (30, 39)], 0.1)
    schedule = optimizer._learning_rate
    again = type(schedule).from_config(schedule.get_config())
    assert (float(again(29)), float(again(30))) == (float(schedule(29)), float(schedule(30)))


@pytest.fixture
def policy():
    """Return a function that sets Keras' dtype policy, for the time of a test."""
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


def make_network(policy, learning_rate=0.1):
    """Return a network of a seed, its optimizer under a policy, and a function that takes a step."""
    keras.utils.set_random_seed(0)
    hidden = keras.layers.Dense(8, activation="tanh", dtype="float32" if policy == "float32" else "mixed_float16")
    network = keras.Sequential([keras.Input([4]), hidden, keras.layers.Dense(1, dtype="float32")])
    variables = network.trainable_variables
    optimizer = get_optimizer(
        variables=variables, learning_rate=learning_rate, schedule="constant", momentum=0.0, nesterov=False
    )
    inputs = np.random.default_rng(0).normal(size=[16, 4])

    @tf.function
    def step(factor):
        with tf.GradientTape() as tape:
            objective = factor * tf.reduce_mean(network(inputs) ** 2)
        return training.update(network, optimizer, tape, objective)

    return hidden.kernel, optimizer, step


def change(made, factor):
    """Return the norm of a step, and how it changes a kernel, of an objective times a factor."""
    kernel, _, step = made
    before = kernel.numpy()
    return float(step(tf.constant(factor))), kernel.numpy() - before


def test_small_gradients_are_not_lost_in_float16(policy):
    unscaled = make_network("mixed_float16", 1e6)  # whose optimizer is made under float32
    norm, expected = change(make_network("float32", 1e6), 1e-7)
    assert np.all(change(unscaled, 1e-7)[1] == 0)
    policy("mixed_float16")
    made = make_network("mixed_float16", 1e6)
    found, changed = change(made, 1e-7)
    assert found == pytest.approx(norm, rel=0.01)
    np.testing.assert_allclose(changed, expected, rtol=0, atol=0.01 * np.abs(expected).max())


def test_steps_of_infinite_gradients_are_left_out_until_the_scale_is_small_enough(policy):
    norm, expected = change(make_network("float32"), 100.0)
    policy("mixed_float16")
    made = make_network("mixed_float16")
    _, optimizer, _ = made
    assert (float(optimizer.loss_scale), int(optimizer.iterations)) == (2.0**15, 0)
    found, changed = change(made, 100.0)
    assert (found, np.abs(changed).max()) == (0, 0)
    assert (float(optimizer.loss_scale), int(optimizer.iterations)) == (2.0**14, 0)
    while found == 0:
        found, changed = change(made, 100.0)
    assert found == pytest.approx(norm, rel=0.01)
    np.testing.assert_allclose(changed, expected, rtol=0, atol=0.01 * np.abs(expected).max())
    assert (int(optimizer.steps_of_scale), int(optimizer.iterations)) == (1, 1)


def test_the_loss_scale_is_doubled_after_2000_steps_and_ends_below_1(policy):
    policy("mixed_float16")
    made = make_network("mixed_float16")
    _, optimizer, _ = made
    optimizer.steps_of_scale.assign(1998)
    change(made, 1e-3)
    assert float(optimizer.loss_scale) == 2.0**15
    change(made, 1e-3)
    assert (float(optimizer.loss_scale), int(optimizer.steps_of_scale)) == (2.0**16, 0)
    optimizer.loss_scale.assign(1.0)
    assert change(made, np.inf)[0] == 0
    assert np.isnan(change(made, np.nan)[0])  # no scale can help
