"""The standard augmentation of small natural images: zero padding, random crop, random horizontal flip.

He et al., "Deep residual learning for image recognition", 2016 (https://arxiv.org/abs/1512.03385), section 4.2.
"""

from __future__ import annotations

from uncertainty_suite import tf

PADDING = 4


def draw_crops_and_flips(num_elements: int, seed: tf.Tensor) -> tf.Tensor:
    """Draw what happens in one epoch to every element of the source split.

    One draw for the whole epoch, indexed by element id, makes an element's augmentation a function of (seed, epoch,
    element id) alone: neither batch size, order nor the validation cut changes it.

    Args:
        num_elements: Size of the source split, so that every element id is a row.
        seed: int64 `[2]`, a function of (seed, epoch).

    Returns:
        int32 `[num_elements, 3]`: top and left corner of the crop in the padded image, 1 if flipped.
    """
    num_offsets = 2 * PADDING + 1
    uniform = tf.random.stateless_uniform([num_elements, 3], seed)
    return tf.cast(uniform * tf.constant([num_offsets, num_offsets, 2], tf.float32), tf.int32)


def crop_and_flip(images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Pad images with zeros (black) by 4, crop back to their size and flip.

    Args:
        images: `[batch, height, width, channels]`, before normalisation.
        draws: int32 `[batch, 3]`, rows of `draw_crops_and_flips`.

    Returns:
        Images of the same shape and dtype.
    """
    _, height, width, _ = images.shape
    top, left, flipped = draws[:, :1], draws[:, 1:2], draws[:, 2:]  # [batch, 1] each
    rows = top + tf.range(height)  # [batch, height]
    columns = left + tf.where(flipped == 1, tf.range(width)[::-1], tf.range(width))  # [batch, width]
    padded = tf.pad(images, [[0, 0], [PADDING, PADDING], [PADDING, PADDING], [0, 0]])
    return tf.gather(tf.gather(padded, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)
