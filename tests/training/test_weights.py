"""Several sets of weights, and the statistics of batch normalisation."""

import json

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


def test_each_set_of_a_bank_gets_its_own_statistics():
    data = datasets.get("toy_regression", "train").seeded(3)
    inputs = keras.Input(data.input_shape)
    norm = keras.layers.BatchNormalization(name="norm")
    model = keras.Model(inputs, norm(keras.layers.Dense(4, name="dense")(inputs)))
    bank = training.Bank(model, 2)
    for index in range(2):
        disturb(model, index)
        bank.put(index)
    before = [np.asarray(weight) for weight in model.weights]
    bank.refresh_batch_norm(data, 50)
    for weight, value in zip(model.weights, before):
        np.testing.assert_array_equal(weight, value)
    for index in range(2):
        disturb(model, index)
        training.refresh_batch_norm(model, data, 50)
        expected = [np.asarray(weight) for weight in model.weights]
        bank.get(index)
        for weight, value in zip(model.weights, expected):
            np.testing.assert_allclose(weight, value, rtol=1e-5, atol=1e-6)


def test_other_weights_in_place_of_the_trained_ones():
    model, x = get_network(), np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    mean = np.asarray(model.get_layer("norm").moving_mean)
    others = [weight + 0.5 for weight in model.trainable_variables]
    with tf.GradientTape() as tape, training.with_weights(model, [0.5 + each for each in model.trainable_variables]):
        found = tf.reduce_sum(model(x, training=True)["outputs"] ** 2)
    assert np.any(np.asarray(model.get_layer("norm").moving_mean) != mean)
    gradients = tape.gradient(found, model.trainable_variables)
    for weight, value in zip(model.trainable_variables, others):
        weight.assign(value)
    with tf.GradientTape() as tape:
        expected = tf.reduce_sum(model(x, training=True)["outputs"] ** 2)
    assert float(found) == pytest.approx(float(expected), rel=1e-6)
    for mine, theirs in zip(gradients, tape.gradient(expected, model.trainable_variables)):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


class Weights:
    """A model as far as a posterior looks at it: four float64 tensors."""

    def __init__(self, shapes) -> None:
        self.trainable_variables = [
            keras.Variable(np.zeros(shape), dtype="float64", name=f"w{i}") for i, shape in enumerate(shapes)
        ]

    def assign(self, vector) -> None:
        for variable, value in zip(self.trainable_variables, parts(vector, self)):
            variable.assign(value)


def parts(vector, weights) -> list[np.ndarray]:
    shapes = [tuple(variable.shape) for variable in weights.trainable_variables]
    cuts = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])[:-1]
    return [part.reshape(shape) for part, shape in zip(np.split(vector, cuts), shapes)]


@pytest.mark.parametrize("case", ["t12_k5", "t20_k20", "t4_k10_fewer_than_max"])
def test_a_low_rank_gaussian_is_that_of_the_authors(case, golden_dir):
    with np.load(golden_dir / "methods" / "swag.npz", allow_pickle=False) as file:
        golden = {name.partition("/")[2]: file[name] for name in file.files if name.startswith(f"{case}/")}
        parameters = json.loads(str(file["__meta__"]))["cases"][case]
    weights = Weights(parameters["tensor_shapes"])
    rank = parameters["max_num_models"]
    posterior = training.LowRankGaussian(weights, rank)
    for vector in golden["weights"]:
        weights.assign(vector)
        posterior.collect()

    def joined(tensors) -> np.ndarray:
        return np.concatenate([np.ravel(each) for each in tensors])

    def transform(scale, z1, z2) -> np.ndarray:
        return joined(posterior.transform(scale, [tf.constant(z) for z in parts(z1, weights)], tf.constant(z2)))

    z1, written = golden["z1"], len(golden["z2"])
    # The authors' columns are in the order of time, and ours where there was room.
    places = [i % rank for i in range(parameters["collected"])][-written:]
    z2 = np.zeros(rank)
    z2[places] = golden["z2"]
    none = np.zeros(rank)
    np.testing.assert_allclose(transform(0.0, z1, z2), golden["mean"], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(transform(1.0, z1, none), golden["sample_diag_scale1"], rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(transform(0.5, z1, z2), golden["paper_sample"], rtol=1e-9, atol=1e-7)
    columns = [transform(0.5, 0 * z1, row) - golden["mean"] for row in np.eye(rank)]
    diagonal = transform(0.5, np.ones_like(z1), none) - golden["mean"]
    covariance = np.diag(diagonal**2) + np.transpose(columns) @ columns
    np.testing.assert_allclose(covariance, golden["paper_covariance"], rtol=1e-9, atol=1e-9)


def test_draws_are_of_the_low_rank_gaussian():
    weights = Weights([(40, 100), (4000,)])
    posterior = training.LowRankGaussian(weights, 2)
    for vector in np.random.default_rng(1).normal(size=(6, 8000)):
        weights.assign(vector)
        posterior.collect()

    def joined(tensors) -> np.ndarray:
        return np.concatenate([np.ravel(each) for each in tensors])

    ones = [np.ones((40, 100)), np.ones(4000)]
    mean = joined(posterior.transform(0.0, ones, np.zeros(2)))
    spread = joined(posterior.transform(0.5, ones, np.zeros(2))) - mean
    columns = [joined(posterior.transform(0.5, [0 * each for each in ones], row)) - mean for row in np.eye(2)]
    found = []
    for i in range(20):
        draw = joined(posterior.draw(0.5, 7, i))
        numbers, *_ = np.linalg.lstsq(np.transpose(columns / spread), (draw - mean) / spread)
        rest = (draw - mean - numbers @ columns) / spread
        assert rest.std() == pytest.approx(1, abs=5 / 16_000**0.5)
        assert abs(np.corrcoef(rest[:4000], rest[4000:])[0, 1]) < 5 / 4000**0.5
        found.append(numbers)
    assert np.mean(np.square(found)) == pytest.approx(1, abs=4 * (2 / 40) ** 0.5)
    np.testing.assert_array_equal(posterior.draw(0.5, 7, 0)[0], posterior.draw(0.5, 7, 0)[0])


def test_small_variances_of_large_weights_are_not_lost():
    weight = keras.Variable([100.0], dtype="float32", name="weight")
    model = Weights([])
    model.trainable_variables = [weight]
    posterior = training.LowRankGaussian(model, 2)
    values = np.float32(100) + np.random.default_rng(0).normal(0, 1e-3, 50).astype(np.float32)
    for value in values:
        weight.assign([value])
        posterior.collect()
    (one,), (mean,) = (posterior.transform(scale, [tf.ones(1)], tf.zeros(2)) for scale in (1.0, 0.0))
    assert float((one - mean)[0]) == pytest.approx(values.astype(np.float64).std(), rel=0.01)


def test_a_gaussian_is_the_same_on_two_devices(two_devices):
    drawn = []
    for strategy in (tf.distribute.get_strategy(), two_devices):
        with strategy.scope():
            model = get_network()
            posterior = training.LowRankGaussian(model, 2)
        for seed in range(3):
            disturb(model, seed)
            posterior.collect()
        drawn.append(posterior.draw(0.5, 1))
    for one, other in zip(*drawn):
        np.testing.assert_array_equal(one, other)
