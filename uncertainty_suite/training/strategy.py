"""Where training runs, and many steps as one compiled call."""

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf


@functools.cache  # TensorFlow confuses the collectives of two mirrored strategies in one process
def get_strategy() -> tf.distribute.Strategy:
    """Return the strategy for the devices that are there, the same one in every call.

    Several machines where `TF_CONFIG` names them, all GPUs where there are several, else the one device. Of these only
    one CPU, and two virtual CPUs in the tests, have been run.
    """
    if "TF_CONFIG" in os.environ:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def compile_steps(
    step: Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]], strategy: tf.distribute.Strategy
) -> Callable[[Any, int], dict[str, np.ndarray]]:
    """Compile a train step into a function that takes many of them in one call.

    Args:
        step: Takes one replica's batch, trains on it, and returns float32 scalars by name, means over that batch.
        strategy: Runs the step on each replica.

    Returns:
        A function of an iterator over (distributed) batches and a number of steps that takes those steps and returns
        each scalar as float32 `[num_steps]`, averaged over replicas.
    """
    train_steps = compile_steps_together([step], strategy)
    return lambda batches, num_steps: train_steps([batches], num_steps)[0]


def compile_steps_together(
    steps: Sequence[Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]], strategy: tf.distribute.Strategy
) -> Callable[[Sequence[Any], int], list[dict[str, np.ndarray]]]:
    """Compile the train steps of several networks into one function.

    No network's operations wait for another's, so that they run side by side where there are cores for them.

    Args:
        steps: As for `compile_steps`, of one network each; all return scalars of the same names.
        strategy: Runs each step on each replica.

    Returns:
        A function of the networks' iterators and a number of steps that takes so many with each network, and returns
        for each one what `compile_steps` has it return.
    """
    names = []  # of the scalars, known when the steps are traced

    def one_step(step, batches):
        scalars = strategy.run(step, args=(next(batches),))
        names[:] = sorted(scalars)
        return tf.stack([strategy.reduce("MEAN", scalars[name], axis=None) for name in names])

    @tf.function
    def many_steps(batches, num_steps):
        values = tf.TensorArray(tf.float32, size=num_steps)
        for i in tf.range(num_steps):
            values = values.write(i, tf.stack([one_step(*network) for network in zip(steps, batches)]))
        return values.stack()  # [num_steps, networks, scalars]

    def train_steps(batches, num_steps: int) -> list[dict[str, np.ndarray]]:
        values = many_steps(batches, tf.constant(num_steps)).numpy()
        return [dict(zip(names, network)) for network in values.transpose(1, 2, 0)]

    return train_steps
