import numpy as np
import tensorflow as tf

from uncertainty_suite import training


def test_one_strategy_in_a_process():
    assert training.get_strategy() is training.get_strategy()


def test_many_steps_in_one_call(two_devices):
    total = tf.Variable(0.0)

    def step(batch):
        total.assign_add(tf.reduce_sum(batch["x"]))
        return {"mean": tf.reduce_mean(batch["x"]), "largest": tf.reduce_max(batch["x"])}

    data = tf.data.Dataset.range(12).batch(4).map(lambda x: {"x": tf.cast(x, tf.float32)})
    train_steps = training.compile_steps(step, tf.distribute.get_strategy())
    batches = iter(data)
    first, rest = train_steps(batches, 1), train_steps(batches, 2)
    np.testing.assert_array_equal(np.concatenate([first["mean"], rest["mean"]]), [1.5, 5.5, 9.5])
    np.testing.assert_array_equal(rest["largest"], [7.0, 11.0])
    assert float(total) == sum(range(12))


def test_averages_over_replicas(two_devices):
    train_steps = training.compile_steps(lambda batch: {"mean": tf.reduce_mean(batch["x"])}, two_devices)
    data = tf.data.Dataset.range(8).batch(4).map(lambda x: {"x": tf.cast(x, tf.float32)})
    values = train_steps(iter(two_devices.experimental_distribute_dataset(data)), 2)
    np.testing.assert_array_equal(values["mean"], [1.5, 5.5])
