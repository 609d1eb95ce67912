"""The standard augmentations of natural images.

Of small ones: zero padding, random crop, random horizontal flip. He et al., "Deep residual learning for image
recognition", 2016 (https://arxiv.org/abs/1512.03385), section 4.2.

Of large ones: a random part of the image, brought to its size, and a random horizontal flip. Szegedy et al., "Going
deeper with convolutions", 2015 (https://arxiv.org/abs/1409.4842), section 6.
"""

from __future__ import annotations

from uncertainty_suite import tf

PADDING = 4
CENTRAL_SHARE = 224 / 256  # of the height and width of a large image, that is looked at where nothing is random


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


def random_part(image: tf.Tensor, size: tuple[int, int], seed: tf.Tensor) -> tf.Tensor:
    """Return a random part of a large image, brought to a size, and flipped at random.

    The part has 8 to 100 % of the area and a ratio of width to height of 3/4 to 4/3; where ten draws fit none of these
    into the image, it is the whole image.

    Args:
        image: uint8 `[any height, any width, channels]`.
        size: Height and width of the result.
        seed: int64 `[2]`, a function of (seed, epoch, element id).

    Returns:
        uint8 `[*size, channels]`.
    """
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.shape(image),
        tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),  # the object to be seen is the whole image
        seed,
        min_object_covered=0.0,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(0.08, 1.0),
        max_attempts=10,
    )
    part = resize(_part(image, begin[:2], extent[:2]), size)
    flipped = tf.random.stateless_uniform([], tf.random.fold_in(seed, 1)) < 0.5
    return tf.where(flipped, part[:, ::-1], part)


def central_part(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Return the central part of a large image, of the ratio of sides of a size, brought to that size.

    Args:
        image: uint8 `[any height, any width, channels]`.
        size: Height and width of the result.

    Returns:
        uint8 `[*size, channels]`.
    """
    sides = tf.cast(tf.shape(image)[:2], tf.float32)
    wanted = tf.constant(size, tf.float32)
    extent = tf.cast(tf.round(wanted * tf.reduce_min(sides / wanted) * CENTRAL_SHARE), tf.int32)
    extent = tf.maximum(extent, 1)
    begin = (tf.shape(image)[:2] - extent) // 2
    return resize(_part(image, begin, extent), size)


def _part(image: tf.Tensor, begin: tf.Tensor, extent: tf.Tensor) -> tf.Tensor:
    stop = begin + extent
    return image[begin[0] : stop[0], begin[1] : stop[1]]


def resize(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Return a uint8 image of another size, with antialiasing, rounded."""
    channels = image.shape[-1]
    image = tf.image.resize(image, size, method="bilinear", antialias=True)
    return tf.ensure_shape(tf.cast(tf.round(image), tf.uint8), (*size, channels))
