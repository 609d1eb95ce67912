"""Random numbers of layers: those of an example on any number of replicas; masks and signs that are cheap to draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from uncertainty_suite import replicas, tf


def random_mask(shape: tf.Tensor, rate: float, seed: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Return a mask of a shape: 0 with probability `rate`, else 1 / (1 - rate).

    Drawing the mask is much of the work of a pass through dropout, so no more random bits are drawn for a value than
    the rate needs: 1 for 1/2, 2 for 1/4, up to 8 for a multiple of 1/256; else 16, for the nearest multiple of 1/65536.
    """
    rate = min(max(round(rate * 2**16), 1), 2**16 - 1) / 2**16
    numerator, denominator = (1 - rate).as_integer_ratio()  # of the probability to keep a value; a power of two
    size = tf.reduce_prod(shape)
    if denominator > 256:
        words = tf.random.stateless_uniform([-(-size // 2)], seed, minval=None, maxval=None, dtype=tf.int32)
        values = tf.reshape(tf.bitcast(words, tf.int16), [-1])[:size]  # from -2^15
        kept = values >= tf.constant(int(rate * 2**16) - 2**15, tf.int16)
        return tf.reshape(tf.cast(kept, dtype) / (1 - rate), shape)
    num_bits = denominator.bit_length() - 1
    words = tf.random.stateless_uniform([num_bits, -(-size // 32)], seed, minval=None, maxval=None, dtype=tf.uint32)
    kept, *words = tf.unstack(words)
    # A bit that is 1 with probability p becomes one with p / 2 by "and" with a fair bit, with (p + 1) / 2 by "or". So
    # the binary digits of the wanted probability, from the last one, say which; the last one is 1.
    for i, word in enumerate(words, start=1):
        kept = (tf.bitwise.bitwise_or if numerator >> i & 1 else tf.bitwise.bitwise_and)(kept, word)
    # One row of eight values for each value of a byte: looking them up is faster than shifting and comparing.
    rows = np.unpackbits(np.arange(256, dtype=np.uint8)[:, np.newaxis], axis=1) / (1 - rate)
    mask = tf.gather(tf.constant(rows, dtype), tf.cast(tf.bitcast(kept, tf.uint8), tf.int32))
    return tf.reshape(tf.reshape(mask, [-1])[:size], shape)


def random_signs(shape: tf.Tensor, seed: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Return 1 and -1, each with probability 1/2, of a shape."""
    return random_mask(shape, 0.5, seed, dtype) - 1  # of 0 and 2


def draw_for_rows(
    draw: Callable[[Any, tf.Tensor], tf.Tensor], shape: Any, rows: Any, seed: tf.Tensor, axis: int = 0
) -> tf.Tensor:
    """Draw random numbers for the rows of a batch, which do not depend on how many replicas share it out.

    Each replica draws those of the whole batch and takes its part. That costs drawing; it is what equality costs.

    Args:
        draw: From a shape and a seed to random numbers.
        shape: Their shape, a tensor or a list.
        rows: The size of the axis of rows: on replicas that of a replica's examples, or of several copies of them, one
            copy after the other. None where it is not known: then each replica has draws of its own.
        seed: The seed, the same on all replicas.
        axis: The axis of rows.
    """
    part = replicas.current()
    if part is None or rows is None or rows % part.size:
        return draw(shape, _of_replica(seed))
    copies = rows // part.size
    shape = tf.convert_to_tensor(shape, tf.int32)
    before, after = shape[:axis], shape[axis + 1 :]
    whole = draw(tf.concat([before, [copies * part.batch_size], after], axis=0), seed)
    by_copy = tf.reshape(whole, tf.concat([before, [copies, part.batch_size], after], axis=0))
    mine = tf.gather(by_copy, part.start + tf.range(part.size), axis=axis + 1)
    return tf.reshape(mine, shape)


def _of_replica(seed: tf.Tensor) -> tf.Tensor:
    """Return a seed that is another one on each replica: they see different rows, and would share their draws."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return seed
    replica = tf.cast(context.replica_id_in_sync_group, seed.dtype)
    return seed + tf.stack([tf.zeros_like(replica), 2**32 * replica])
