"""Where training runs, and many steps as one compiled call."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from absl import logging

from uncertainty_suite import cost, tf

Step = Callable[[dict[str, Any]], dict[str, Any]]


@functools.cache  # TensorFlow confuses the collectives of two mirrored strategies in one process
def get_strategy() -> tf.distribute.Strategy:
    """Return the strategy for the devices that are there, the same one in every call.

    Several machines where `TF_CONFIG` names them, all GPUs where there are several, else the one device. One CPU, two
    virtual CPUs and two processes on one machine have been run; GPUs and several machines have not.

    Call it before anything touches a device: collectives of several machines cannot be set up afterwards.
    """
    if "TF_CONFIG" in os.environ:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this process is the one that writes: the only one, or of a cluster the chief or first worker."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_type == "worker" and resolver.task_id == 0


@dataclasses.dataclass(frozen=True)
class CompiledSteps:
    """Train steps of one or several networks as one compiled function; see `compile_steps`.

    Attributes:
        take: The function.
        flops: FLOPs of one step of each network (see `cost.count_flops`), or None where they cannot be counted; empty
            until the first call. All replicas together, so that it depends on their number only where each of them does
            the same, e.g. a power iteration.
    """

    take: Callable[[Sequence[Any], int], list[dict[str, np.ndarray]]]
    flops: list[float | None]

    def __call__(self, batches: Sequence[Any], num_steps: int) -> list[dict[str, np.ndarray]]:
        """Take so many steps with each network."""
        return self.take(batches, num_steps)


def compile_steps(steps: Sequence[Step], strategy: tf.distribute.Strategy) -> CompiledSteps:
    """Compile the train steps of one or several networks into a function that takes many of each in one call.

    No network's operations wait for another's, so that they run side by side where there are cores for them.

    Args:
        steps: Each takes one replica's batch, trains a network on it, and returns float32 scalars by name, means over
            that batch; all return the same names.
        strategy: Runs each step on each replica.

    Returns:
        A function of the networks' iterators over (distributed) batches and a number of steps that takes so many with
        each network, and returns for each one its scalars, float32 `[num_steps]`, averaged over replicas.
    """
    names: list[str] = []  # of the scalars, known when the steps are traced
    traced: dict[
        int, tuple[Any, list[Any], float]
    ] = {}  # a graph, a step's operations in it, the share of all replicas
    flops: list[float | None] = []

    def one_step(network: int, batches: Any) -> tf.Tensor:
        graph = tf.compat.v1.get_default_graph()
        first = len(graph.get_operations())
        scalars = strategy.run(steps[network], args=(next(batches),))
        operations = graph.get_operations()[first:]
        names[:] = sorted(scalars)
        # Only noted here: AutoGraph would rewrite what is called, which takes a hundred times as long as counting.
        replicas_here = len(strategy.experimental_local_results(scalars[names[0]]))
        traced[network] = graph, operations, replicas_here / strategy.num_replicas_in_sync
        return tf.stack([strategy.reduce("MEAN", scalars[name], axis=None) for name in names])

    @tf.function
    def many_steps(batches, num_steps):
        values = tf.TensorArray(tf.float32, size=num_steps)
        for i in tf.range(num_steps):
            values = values.write(i, tf.stack([one_step(*network) for network in enumerate(batches)]))
        return values.stack()  # [num_steps, networks, scalars]

    def count(network: int) -> float | None:
        graph, operations, share = traced.pop(network)
        try:
            return cost.flops_of(graph, operations) / share
        except cost.UnknownShapeError as error:
            logging.warning("The FLOPs of training are not counted: %s.", error)
            return None

    def train_steps(batches: Sequence[Any], num_steps: int) -> list[dict[str, np.ndarray]]:
        values = many_steps(batches, tf.constant(num_steps)).numpy()
        if not flops:
            flops.extend(count(network) for network in range(len(steps)))
        return [dict(zip(names, network)) for network in values.transpose(1, 2, 0)]

    return CompiledSteps(train_steps, flops)
