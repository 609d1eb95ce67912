"""Several sets of weights, and the statistics of batch normalisation."""

import numpy as np
import pytest

from uncertainty_suite import datasets, keras, layers, tf, training


@pytest.fixture(autouse=True)
def _forget_models(forget_models):
    return forget_models


def get_network() -> keras.Model:
    inputs = keras.Input((3,))
    hidden = keras.layers.BatchNormalization(name="norm")(keras.layers.Dense(4, name="dense")(inputs))
    return keras.Model(inputs, {"outputs": keras.layers.Dense(2, name="head")(hidden), "features": hidden})


def disturb(model: keras.Model, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))


def test_a_bank_predicts_what_the_network_did_with_each_set():
    model, x = get_network(), np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    bank = training.Bank(model, 3)
    expected = []
    for index in (2, 0, 1):
        disturb(model, index)
        bank.put(index)
        expected.append((index, keras.tree.map_structure(np.asarray, model(x, training=False))))
    before = [np.asarray(weight) for weight in model.weights]
    said = tf.function(bank.predict)(x)
    some = tf.function(lambda x, first: bank.predict(x, first, 2))(x, tf.constant(1))
    for index, one in expected:
        for name in ("outputs", "features"):
            np.testing.assert_allclose(said[name][index], one[name], rtol=1e-6)
    np.testing.assert_array_equal(some["outputs"], said["outputs"][1:])
    for weight, value in zip(model.weights, before):
        np.testing.assert_array_equal(weight, value)
    bank.get(2)
    np.testing.assert_allclose(model(x, training=False)["outputs"], said["outputs"][2], rtol=1e-6)


def test_a_bank_is_the_same_on_two_devices(two_devices):
    with two_devices.scope():
        model = get_network()
        bank = training.Bank(model, 2)
    disturb(model, 0)
    bank.put(1)
    for weight, kept in zip(model.weights, bank.state.values()):
        for replica in two_devices.experimental_local_results(kept.value):
            np.testing.assert_array_equal(replica[1], weight)
    x = np.ones((4, 3), np.float32)
    np.testing.assert_allclose(
        tf.function(bank.predict)(x)["outputs"][1], model(x, training=False)["outputs"], rtol=1e-6
    )


def test_refreshed_statistics_are_those_of_the_training_data():
    data = datasets.get("toy_regression", "train").seeded(3)
    inputs = keras.Input(data.input_shape)
    hidden = keras.layers.Dense(4, name="dense")(inputs)
    first = keras.layers.BatchNormalization(name="first")
    dropped = keras.layers.Dropout(0.5, seed=1, name="dropout")(first(hidden))
    second = keras.layers.BatchNormalization(name="second")
    model = keras.Model(inputs, second(keras.layers.Dense(3, name="middle")(dropped)))
    size = max(n for n in range(1, 101) if data.num_examples % n == 0)  # no example comes twice
    kept = {weight.path: np.asarray(weight) for weight in model.weights if "moving" not in weight.path}
    training.refresh_batch_norm(model, data, size)
    seen = keras.Model(inputs, hidden)(next(iter(data.load(data.num_examples)))["features"]).numpy().astype(np.float64)
    np.testing.assert_allclose(first.moving_mean, seen.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(first.moving_variance, seen.var(axis=0), rtol=1e-4)
    assert np.all(np.asarray(second.moving_variance) != 1)
    assert (first.momentum, second.momentum) == (0.99, 0.99)
    for weight in model.weights:
        if weight.path in kept:
            np.testing.assert_array_equal(weight, kept[weight.path])


def test_refreshed_statistics_of_images():
    data = datasets.get("digits", "train")
    inputs = keras.Input(data.input_shape)
    hidden = keras.layers.Conv2D(3, 3, name="conv")(inputs)
    norm = layers.FusedBatchNormalization(name="norm")
    model = keras.Model(inputs, norm(hidden))
    training.refresh_batch_norm(model, data, data.num_examples)  # one batch
    seen = keras.Model(inputs, hidden)(next(iter(data.load(data.num_examples)))["features"]).numpy().astype(np.float64)
    np.testing.assert_allclose(norm.moving_mean, seen.mean(axis=(0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, seen.var(axis=(0, 1, 2)), rtol=1e-3)  # the kernel adds in float32
