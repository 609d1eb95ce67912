import numpy as np
import pytest

from uncertainty_suite import datasets, tf, training
from uncertainty_suite.datasets.forms import Vectors
from uncertainty_suite.errors import InputError
from uncertainty_suite.training.strategy import describe, distribute


def test_one_strategy_in_a_process():
    assert training.get_strategy() is training.get_strategy()


def test_many_steps_in_one_call(two_devices):
    total = tf.Variable(0.0)

    def step(batch):
        total.assign_add(tf.reduce_sum(batch["x"]))
        return {"mean": tf.reduce_mean(batch["x"]), "largest": tf.reduce_max(batch["x"])}

    data = tf.data.Dataset.range(12).batch(4).map(lambda x: {"x": tf.cast(x, tf.float32)})
    train_steps = training.compile_steps([step], tf.distribute.get_strategy())
    batches = iter(data)
    (first,), (rest,) = train_steps([batches], 1), train_steps([batches], 2)
    np.testing.assert_array_equal(np.concatenate([first["mean"], rest["mean"]]), [1.5, 5.5, 9.5])
    np.testing.assert_array_equal(rest["largest"], [7.0, 11.0])
    assert float(total) == sum(range(12))


def test_means_over_replicas_are_those_of_the_batch(two_devices):
    train_steps = training.compile_steps([lambda batch: {"mean": tf.reduce_mean(batch["x"])}], two_devices, 5)

    def load(context):
        data = tf.data.Dataset.range(10).map(lambda x: {"x": tf.cast(x, tf.float32) ** 2})
        first, second = data.take(5).batch(3), data.skip(5).batch(3)  # parts of 3 and 2 examples
        return first.concatenate(second).apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))

    batches = iter(two_devices.distribute_datasets_from_function(load))
    (values,) = train_steps([batches], 2)
    squares = np.arange(10.0) ** 2
    np.testing.assert_allclose(values["mean"], squares.reshape(2, 5).mean(axis=1), rtol=1e-6)


def test_several_replicas_need_the_size_of_the_batch(two_devices):
    with pytest.raises(ValueError, match="its size is needed"):
        training.compile_steps([lambda batch: {}], two_devices)


def test_unknown_strategy():
    with pytest.raises(InputError, match=r"Unknown strategy 'mirror'\. Did you mean 'mirrored'"):
        training.get_strategy("mirror")


def test_the_default_adds_nothing():
    assert training.get_strategy("one_device") is tf.distribute.get_strategy()
    assert training.get_strategy("auto") is tf.distribute.get_strategy()


@pytest.mark.parametrize("batch_size", [pytest.param(32, marks=pytest.mark.slow), 33])
@pytest.mark.parametrize("num_examples", [200, 20_000])  # an epoch made at once, and batch by batch
def test_a_batch_is_shared_out_in_its_order(batch_size, num_examples, two_devices):
    features = np.arange(num_examples * 300, dtype=np.float32).reshape(num_examples, 300)
    source = datasets.from_arrays("numbers", {"train": (features, np.arange(num_examples) % 3)}, form=Vectors(300))
    data = datasets.Dataset(source, "train").seeded(3)
    expected = data.load(batch_size, training=True, start_step=5).take(3).as_numpy_iterator()
    batches = distribute(data, batch_size, 5, two_devices)
    for batch in expected:
        distributed = next(batches)
        for key, value in batch.items():
            parts = two_devices.experimental_local_results(distributed[key])
            assert [len(part) for part in parts] == [-(-batch_size // 2), batch_size // 2]
            np.testing.assert_array_equal(tf.concat(parts, axis=0), value)


def test_outliers_are_shared_out_with_the_examples_before_them(two_devices):
    features = np.arange(240, dtype=np.float32).reshape(60, 4)
    splits = {"train": (features, np.arange(60) % 3)}
    inside, outside = (
        datasets.Dataset(datasets.from_arrays(name, splits, form=Vectors(4)), "train").seeded(3) for name in "ab"
    )
    data = inside.with_outliers(outside)

    def step(batch):
        inside = tf.cast(batch["labels"] >= 0, tf.float32)
        first = batch["features"][:, 0]
        return {
            "inside": tf.reduce_mean(inside),
            "first": tf.reduce_mean(first),
            "product": tf.reduce_mean(inside * first),
        }

    values = []
    for strategy in (tf.distribute.get_strategy(), two_devices):
        train_steps = training.compile_steps([step], strategy, 7, data.rows_per_example)
        values += train_steps([distribute(data, 7, 0, strategy)], 3)
    np.testing.assert_array_equal(values[0]["inside"], 0.5)
    for name, expected in values[0].items():
        np.testing.assert_allclose(values[1][name], expected, rtol=1e-6, err_msg=name)


def test_the_log_says_how_a_batch_is_shared_out(two_devices):
    assert describe(32, tf.distribute.get_strategy()) == "32 examples"
    assert describe(33, two_devices) == "33 examples over all 2 replicas (17 on 1 and 16 on 1)"
