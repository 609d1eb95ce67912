import json

import numpy as np
import pytest
from ml_collections import ConfigDict

from uncertainty_suite import keras, tf, training
from uncertainty_suite.errors import InputError
from uncertainty_suite.training.optimizers import scale_learning_rate


class Data:
    """A data set as far as an optimizer looks at it."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def steps_per_epoch(self, batch_size: int) -> int:
        return self._steps


class Model:
    """A model as far as an optimizer looks at it."""

    def __init__(self, variables=()) -> None:
        self.trainable_variables = list(variables)
        self.losses = [tf.constant(0.25)]


def get_optimizer(steps_per_epoch=10, epochs=5, variables=(), **fields) -> keras.Optimizer:
    settings = {"name": "sgd", "learning_rate": 0.1, "schedule": "step", "warmup_epochs": 0}
    options = {"momentum": 0.9, "nesterov": True} if fields.get("name", "sgd") == "sgd" else {}
    if fields.get("name") in ("adam", "adamw"):
        options = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
    config = ConfigDict({"batch_size": 1, "epochs": epochs, "optimizer": {**settings, **options, **fields}})
    return training.get_optimizer(config, Model(variables), Data(steps_per_epoch))


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
