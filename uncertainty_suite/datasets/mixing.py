"""Training examples mixed with others: mixup and CutMix.

Zhang et al. 2018 (https://arxiv.org/abs/1710.09412); Yun et al. 2019 (https://arxiv.org/abs/1905.04899). Each example
has a partner and a share of its own, where the authors' code draws one share for a batch.
"""

from __future__ import annotations

from typing import Any

from uncertainty_suite import tf
from uncertainty_suite.datasets.trees import Tree, map_leaves

MIXUP, CUTMIX = "mixup", "cutmix"


def draw(num_examples: int, alpha: float, seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Draw what happens in one epoch to every example.

    Args:
        num_examples: Number of examples.
        alpha: Of the distribution Beta(alpha, alpha) of shares.
        seed: int64 `[2]`, a function of (seed, epoch).

    Returns:
        `partner_index` int32 `[num_examples]`, a permutation; `share` float32 `[num_examples]`, that of the example
        itself; `centre` float32 `[num_examples, 2]`, of a cut, in [0, 1).
    """
    first, second = (
        tf.random.stateless_gamma([num_examples], tf.random.fold_in(seed, i), alpha, dtype=tf.float64) for i in (1, 2)
    )
    total = first + second
    share = tf.where(total > 0, first / tf.maximum(total, 1e-300), 1.0)  # both are 0 where alpha is tiny
    return {
        "partner_index": tf.random.experimental.stateless_shuffle(tf.range(num_examples), tf.random.fold_in(seed, 3)),
        "share": tf.cast(share, tf.float32),
        "centre": tf.random.stateless_uniform([num_examples, 2], tf.random.fold_in(seed, 4)),
    }


def mix(kind: str, features: Tree, others: Tree, share: tf.Tensor, centre: tf.Tensor) -> tuple[Tree, tf.Tensor]:
    """Mix the features of examples with those of their partners.

    Args:
        kind: `MIXUP`, a weighted mean; or `CUTMIX`, a rectangle of the partner's image in the example's.
        features: float32 `[batch, ...]`, or a tree of such tensors.
        others: Those of the partners.
        share: Share of the example itself, `[batch]`.
        centre: Centre of the rectangle over the size of the image, `[batch, 2]`.

    Returns:
        The mixed features; and the example's share in them, which for a rectangle at the edge is larger, `[batch]`.
    """
    if kind == MIXUP:

        def mean(mine: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
            weight = tf.reshape(share, [-1] + [1] * (len(mine.shape) - 1))
            return weight * mine + (1 - weight) * other

        return map_leaves(mean, features, others), share
    inside = _rectangle(features.shape[1:3], tf.sqrt(1 - share), centre)  # [batch, height, width]
    return (
        tf.where(inside[..., tf.newaxis], others, features),
        1 - tf.reduce_mean(tf.cast(inside, tf.float32), axis=[1, 2]),
    )


def mix_labels(labels: tf.Tensor, others: tf.Tensor, share: tf.Tensor, num_classes: int | None) -> tf.Tensor:
    """Return mixed labels: of classes probabilities, float32 `[batch, num_classes]`; else the weighted mean."""
    if num_classes is None:
        share = tf.cast(share, labels.dtype)
        return share * labels + (1 - share) * others
    share = share[:, tf.newaxis]
    return share * tf.one_hot(labels, num_classes) + (1 - share) * tf.one_hot(others, num_classes)


def _rectangle(size: Any, side: tf.Tensor, centre: tf.Tensor) -> tf.Tensor:
    """Return which pixels lie in a rectangle, cut off at the edge, whose sides are a share of the image's."""

    def along(axis: int) -> tf.Tensor:
        position = (tf.range(size[axis], dtype=tf.float32) + 0.5) / size[axis]
        return tf.abs(position - centre[:, axis : axis + 1]) < side[:, tf.newaxis] / 2

    return along(0)[:, :, tf.newaxis] & along(1)[:, tf.newaxis, :]
