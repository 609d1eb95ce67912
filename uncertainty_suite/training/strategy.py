"""Where training runs, and many steps as one compiled call."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from absl import logging

from uncertainty_suite import cost, datasets, keras, replicas, tf
from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.training.options import STRATEGIES

Step = Callable[[dict[str, Any]], dict[str, Any]]

_SECONDS_BETWEEN_HEALTH_CHECKS = 10  # with TensorFlow's three tries of 10 s each, a lost process is noticed in 40 s
# What TensorFlow raises in the processes that are left when one of a cluster is gone.
_LOST = ("AbortedError", "CancelledError", "DeadlineExceededError", "InternalError", "UnavailableError")


@functools.cache  # TensorFlow confuses the collectives of two mirrored strategies in one process
def get_strategy(name: str = "auto") -> tf.distribute.Strategy:
    """Return a distribution strategy, the same one in every call.

    Call it before anything touches a device: collectives of several machines cannot be set up afterwards.

    Args:
        name: `one_device`; `mirrored`: all GPUs of this machine, or without any its (virtual) CPU devices;
            `multi_worker`: the processes that the environment variable `TF_CONFIG` names, or without it those of a
            SLURM job step, each with the GPUs that it sees; `tpu`: the TPU that `TPU_NAME` names, or the one of this
            machine. `auto`: `multi_worker` where `TF_CONFIG` is set, `mirrored` where there are several GPUs, else
            `one_device`. SLURM and TPUs are used only where they are asked for: many jobs are of one process each.

    Raises:
        InputError: There is no such strategy, or what it needs is not there.
    """
    if name not in STRATEGIES:
        raise unknown_name("strategy", name, STRATEGIES)
    if name == "auto" and "TF_CONFIG" in os.environ:
        return get_strategy("multi_worker")
    if name == "auto":
        return get_strategy("mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "one_device")
    if name == "multi_worker":
        return _multi_worker()
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "tpu":
        return _tpu()
    return tf.distribute.get_strategy()  # TensorFlow's default strategy, which adds nothing to a step


def _multi_worker() -> tf.distribute.Strategy:
    if not {"TF_CONFIG", "SLURM_STEP_NUM_TASKS"} & os.environ.keys():
        raise InputError(
            "--strategy=multi_worker needs the environment variable TF_CONFIG, or a SLURM job step (srun): without "
            "them no process knows of the others. For one machine take --strategy=mirrored."
        )
    source = "TF_CONFIG" if "TF_CONFIG" in os.environ else "SLURM's variables"
    try:
        resolver = _resolver()
        tasks = resolver.cluster_spec().as_dict()[resolver.task_type]
        _ = tasks[resolver.task_id]
        processes = sum(len(tasks) for tasks in resolver.cluster_spec().as_dict().values())
    except Exception as error:  # the resolvers raise anything of what they cannot read
        raise InputError(
            f"The cluster cannot be read from {source} ({type(error).__name__}: {' '.join(str(error).split())}). "
            'TF_CONFIG is like {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}.'
        ) from error
    logging.info("Waiting for the %d processes of the cluster.", processes)
    strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
    strategy.extended._check_health_interval = _SECONDS_BETWEEN_HEALTH_CHECKS
    return strategy


def _resolver() -> tf.distribute.cluster_resolver.ClusterResolver:
    resolvers = tf.distribute.cluster_resolver
    if "TF_CONFIG" in os.environ:
        return resolvers.TFConfigClusterResolver()
    # Which GPUs a task sees is SLURM's to say (--gpus-per-task), not the resolver's, which cannot do without any. Ports
    # are those of the job, as several may share a machine.
    port = 12_000 + int(os.environ.get("SLURM_JOB_ID", "0")) % 20_000
    return resolvers.SlurmClusterResolver(port_base=port, gpus_per_node=1_000_000, gpus_per_task=1, auto_set_gpu=False)


def _tpu() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect(os.environ.get("TPU_NAME", "local"))
        return tf.distribute.TPUStrategy(resolver)
    except Exception as error:  # whatever is missing on the way to a TPU
        raise InputError(
            f"--strategy=tpu finds no TPU ({' '.join(str(error).split())[:200]}). Set TPU_NAME, or leave the flag out."
        ) from error


def is_cluster(strategy: tf.distribute.Strategy) -> bool:
    """Return whether several processes train together, each of which runs the script."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and bool(strategy.cluster_resolver.task_type)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this process is the one that writes: the only one, or of a cluster the chief or first worker."""
    if not is_cluster(strategy):
        return True
    resolver = strategy.cluster_resolver
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_type == "worker" and resolver.task_id == 0


def check_batch_size(batch_size: int, strategy: tf.distribute.Strategy) -> None:
    """Refuse a batch that cannot be shared out.

    Raises:
        InputError: There are fewer examples than replicas, or on TPUs, whose replicas run one program, another number
            of them on each.
    """
    count = strategy.num_replicas_in_sync
    if batch_size < count:
        raise InputError(f"batch_size {batch_size} is too small for {count} replicas: each needs an example.")
    if batch_size % count and isinstance(strategy, tf.distribute.TPUStrategy):
        raise InputError(f"batch_size {batch_size} must be a multiple of the {count} replicas of the TPU.")


def describe(batch_size: int, strategy: tf.distribute.Strategy) -> str:
    """Return in words how a batch is shared out, for the log."""
    count = strategy.num_replicas_in_sync
    if count == 1:
        return f"{batch_size} examples"
    sizes = collections.Counter(part.stop - part.start for part in replicas.share_out(batch_size, count))
    shared = " and ".join(f"{size} on {number}" for size, number in sorted(sizes.items(), reverse=True))
    return f"{batch_size} examples over all {count} replicas ({shared})"


def distribute(data: datasets.Dataset, batch_size: int, start_step: int, strategy: tf.distribute.Strategy) -> Any:
    """Return the iterator over training batches, shared out to the replicas; each host makes its own share only."""

    def load(context: tf.distribute.InputContext) -> tf.data.Dataset:
        here = context.num_replicas_in_sync // context.num_input_pipelines
        first = context.input_pipeline_id * here
        parts = replicas.share_out(batch_size, context.num_replicas_in_sync)[first : first + here]
        return data.load(batch_size, training=True, start_step=start_step, parts=parts)

    if strategy.num_replicas_in_sync == 1:
        return iter(data.load(batch_size, training=True, start_step=start_step))
    return iter(strategy.distribute_datasets_from_function(load))


@contextlib.contextmanager
def noticing_loss(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Within this, say in one line that another process of the cluster is gone.

    Raises:
        InputError: It is.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if not is_cluster(strategy) or type(error).__name__ not in _LOST:
            raise
        raise InputError(
            "Another process of the cluster has ended or cannot be reached, so this one stops. When all of them have, "
            "give the same command again on each machine to go on from the last checkpoint. TensorFlow says: "
            f"{type(error).__name__}, {' '.join(error.message.split())[:200]}"
        ) from error


def gather(values: Sequence[int], strategy: tf.distribute.Strategy) -> np.ndarray:
    """Return what each replica of a cluster has, int64 `[num_replicas, n]`, once all of them have come to this point.

    Raises:
        InputError: Another process is gone.
    """

    @tf.function
    def gather_all() -> Any:
        def each() -> tf.Tensor:
            mine = tf.constant([list(values)], tf.int64)
            return tf.distribute.get_replica_context().all_gather(mine, axis=0)

        return strategy.experimental_local_results(strategy.run(each))[0]

    with noticing_loss(strategy):
        return np.asarray(gather_all())


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


def compile_steps(
    steps: Sequence[Step], strategy: tf.distribute.Strategy, batch_size: int | None = None, rows_per_example: int = 1
) -> CompiledSteps:
    """Compile the train steps of one or several networks into a function that takes many of each in one call.

    No network's operations wait for another's, so that they run side by side where there are cores for them.

    Args:
        steps: Each takes one replica's batch, trains a network on it, and returns float32 scalars by name, means over
            that batch; all return the same names.
        strategy: Runs each step on each replica.
        batch_size: Examples of a batch over all replicas, which share it out as `replicas.share_out` says; needed where
            there are several.
        rows_per_example: Rows of a batch for each example, as `Dataset.rows_per_example`.

    Returns:
        A function of the networks' iterators over (distributed) batches and a number of steps that takes so many with
        each network, and returns for each one its scalars, float32 `[num_steps]`, means over the whole batch. It raises
        an `InputError` where another process of a cluster is gone.
    """
    several = strategy.num_replicas_in_sync > 1
    if several and batch_size is None:
        raise ValueError("Several replicas share a batch out, so its size is needed.")
    names: list[str] = []  # of the scalars, known when the steps are traced
    traced: dict[
        int, tuple[Any, list[Any], float]
    ] = {}  # a graph, a step's operations in it, the share of all replicas
    flops: list[float | None] = []
    shares: list[float] = []  # of the replicas of this process, in the step traced last

    # Nothing in it is to be converted, and looking takes longer than tracing.
    sharing = tf.autograph.experimental.do_not_convert(replicas.sharing)

    def on_replica(network: int) -> Step:
        def step_of_part(batch: dict[str, Any]) -> dict[str, Any]:
            with sharing(batch_size) as part:
                shares.append(part.share)
                rows = part.size * rows_per_example
                batch = keras.tree.map_structure(lambda x: tf.ensure_shape(x, [rows, *x.shape[1:]]), batch)
                # Their sum over replicas is the mean over the batch.
                return {name: part.share * value for name, value in steps[network](batch).items()}

        return step_of_part if several else steps[network]

    def one_step(network: int, batches: Any) -> tf.Tensor:
        graph = tf.compat.v1.get_default_graph()
        first = len(graph.get_operations())
        shares.clear()
        scalars = strategy.run(on_replica(network), args=(next(batches),))
        operations = graph.get_operations()[first:]
        names[:] = sorted(scalars)
        # Only noted here: AutoGraph would rewrite what is called, which takes a hundred times as long as counting.
        traced[network] = graph, operations, sum(shares) if several else 1.0
        how = "SUM" if several else "MEAN"
        return tf.stack([strategy.reduce(how, scalars[name], axis=None) for name in names])

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
        with noticing_loss(strategy):
            values = many_steps(batches, tf.constant(num_steps)).numpy()
        if not flops:
            flops.extend(count(network) for network in range(len(steps)))
        return [dict(zip(names, network)) for network in values.transpose(1, 2, 0)]

    return CompiledSteps(train_steps, flops)
