import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from ml_collections import ConfigDict

from uncertainty_suite import training
from uncertainty_suite.errors import InputError
from uncertainty_suite.training.optimizers import scale_learning_rate


def optimizer_config(**fields) -> ConfigDict:
    return ConfigDict({"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "schedule": "step", **fields})


def rate(optimizer: keras.Optimizer, step: int) -> float:
    optimizer.iterations.assign(step)
    return float(optimizer.learning_rate)


@pytest.mark.parametrize("case", ["cifar_250_epochs", "cifar_deterministic", "imagenet_90", "no_warmup"])
def test_step_schedule_is_that_of_uncertainty_baselines(case, golden_dir):
    with np.load(golden_dir / "layers" / "schedules.npz", allow_pickle=False) as golden:
        parameters = json.loads(str(golden["__meta__"]))["cases"][case]
        steps, expected = golden[f"{case}/step"], golden[f"{case}/learning_rate"]
    config = optimizer_config(
        learning_rate=parameters["base_learning_rate"],
        warmup_epochs=parameters["warmup_epochs"],
        decay_epochs=tuple(parameters["decay_epochs"]),
        decay_ratio=parameters["decay_ratio"],
    )
    optimizer = training.get_optimizer(config, [], parameters["steps_per_epoch"], epochs=250)
    np.testing.assert_allclose([rate(optimizer, int(step)) for step in steps], expected, rtol=2e-6)


def test_cosine_schedule():
    config = optimizer_config(schedule="cosine", warmup_epochs=1)
    optimizer = training.get_optimizer(config, [], steps_per_epoch=10, epochs=5)
    expected = [0.0, 0.05, 0.1, 0.05, 0.0]  # warm-up, then half a cosine over the other 40 steps
    np.testing.assert_allclose([rate(optimizer, step) for step in (0, 5, 10, 30, 50)], expected, atol=1e-8)


def test_constant_schedule():
    optimizer = training.get_optimizer(optimizer_config(schedule="constant", warmup_epochs=0), [], 10, 5)
    np.testing.assert_allclose([rate(optimizer, step) for step in (0, 7, 1000)], 0.1, rtol=1e-6)


def test_optimizers_by_name():
    def get(name):
        return training.get_optimizer(
            optimizer_config(name=name, schedule="constant", warmup_epochs=0, weight_decay=0.3), [], 10, 5
        )

    assert isinstance(get("adam"), keras.optimizers.Adam)
    assert get("adamw").weight_decay == 0.3
    assert (get("sgd").momentum, get("sgd").nesterov) == (0.9, True)


def test_unknown_names():
    with pytest.raises(InputError, match=r"Unknown config.optimizer.name 'adm'. Did you mean 'adam'\?"):
        training.get_optimizer(optimizer_config(name="adm", schedule="constant", warmup_epochs=0), [], 10, 5)
    with pytest.raises(InputError, match=r"Unknown config.optimizer.schedule 'cosin'. Did you mean 'cosine'\?"):
        training.get_optimizer(optimizer_config(schedule="cosin", warmup_epochs=0), [], 10, 5)


@pytest.mark.parametrize("of", ["schedule", "variable"])
def test_scaled_learning_rate(of):
    weight = keras.Variable(1.0)
    if of == "schedule":
        config = optimizer_config(momentum=0.0, schedule="constant", warmup_epochs=0.2)  # two steps
        optimizer = training.get_optimizer(config, [weight], steps_per_epoch=10, epochs=5)
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
    config = optimizer_config(momentum=0.0, schedule="constant", warmup_epochs=0)
    with two_devices.scope():
        weight = keras.Variable(1.0)
        optimizer = training.get_optimizer(config, [weight], steps_per_epoch=10, epochs=5)
    scale_learning_rate(optimizer, 0.5)
    tf.function(lambda: two_devices.run(lambda: optimizer.apply([tf.constant(1.0)], [weight])))()
    (value, _) = two_devices.experimental_local_results(weight.value)
    assert 1 - float(value) == pytest.approx(0.1)  # 0.05 for the gradient of each device


def test_l2_penalty():
    variables = [keras.Variable([1.0, 2.0]), keras.Variable([[3.0]])]
    assert float(training.l2_penalty(variables, 0.5)) == 7.0
    assert training.l2_penalty(variables, 0.0) == 0.0
