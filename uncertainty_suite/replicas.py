"""Which part of a batch a replica has, for whatever must not depend on how a batch is shared out.

A batch is shared out to replicas in its order, as evenly as possible. A layer that computes something of a whole batch
(statistics) or draws for it (masks) asks `current()` which part it sees, so that many replicas compute what one does.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

from uncertainty_suite import tf


@dataclasses.dataclass(frozen=True)
class Part:
    """The part of a batch that a replica has.

    Attributes:
        start: Place of its first example in the batch; a tensor where all replicas run the same program.
        size: Number of its examples.
        batch_size: Number of examples of the whole batch.
    """

    start: Any
    size: int
    batch_size: int

    @property
    def share(self) -> float:
        """Its share of the batch: the weight of a mean over it in the mean over the batch."""
        return self.size / self.batch_size


def share_out(batch_size: int, num_replicas: int) -> list[slice]:
    """Return which examples of a batch each replica gets: parts whose sizes differ by one at most.

    Example:
        >>> share_out(10, 4)
        [slice(0, 3), slice(3, 6), slice(6, 8), slice(8, 10)]
    """
    size, left_over = divmod(batch_size, num_replicas)
    starts = [replica * size + min(replica, left_over) for replica in range(num_replicas + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(starts)]


_current: contextvars.ContextVar[Part | None] = contextvars.ContextVar("part", default=None)


def current() -> Part | None:
    """Return the part of the replica whose step is being traced; None where there is one replica."""
    return _current.get()


@contextlib.contextmanager
def sharing(batch_size: int) -> Iterator[Part]:
    """Within this, in a replica's context, its part of a batch of so many examples is `current()`."""
    context = tf.distribute.get_replica_context()
    parts = share_out(batch_size, context.num_replicas_in_sync)
    replica = tf.get_static_value(context.replica_id_in_sync_group)
    if replica is not None:
        chosen = parts[int(replica)]
        part = Part(chosen.start, chosen.stop - chosen.start, batch_size)
    else:  # all replicas run one program, so all parts have one size
        size = batch_size // len(parts)
        part = Part(context.replica_id_in_sync_group * size, size, batch_size)
    token = _current.set(part)
    try:
        yield part
    finally:
        _current.reset(token)


def whole_batch(values: Any) -> Any:
    """Return a tree of arrays of the whole batch from that of a replica's part, whose first axis is of its rows.

    Rows are the part's examples, or several copies of them, one copy after the other, and so are those of the whole.
    """
    part = _current.get()
    if part is None:
        return values

    def gather(mine: tf.Tensor) -> tf.Tensor:
        copies, shape = mine.shape[0] // part.size, mine.shape[1:]
        by_copy = tf.reshape(mine, [copies, part.size, -1])
        whole = tf.distribute.get_replica_context().all_gather(by_copy, axis=1)
        return tf.reshape(whole, [copies * part.batch_size, *shape])

    return tf.nest.map_structure(gather, values)


def sum_over(values: Any) -> Any:
    """Return the sum over all replicas of a tensor or list of tensors, in a replica's context; it has a gradient."""
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)
