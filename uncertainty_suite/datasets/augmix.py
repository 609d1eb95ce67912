"""AugMix: training images mixed with chains of operations on themselves.

Hendrycks et al. 2020, https://arxiv.org/abs/1912.02781. Three chains of one to three operations of Pillow's are
averaged with random weights, and the average is mixed with the image. The loss on the divergence between several such
images, which the paper adds, is not here: it would need a training step of its own.
"""

from __future__ import annotations

import math

from uncertainty_suite import tf

WIDTH, DEPTH = 3, 3
OPERATIONS = (
    *("autocontrast", "equalize", "posterize", "solarize"),  # of pixel values, which have 256 levels
    *("rotate", "shear_x", "shear_y", "translate_x", "translate_y"),  # of places: affine maps
)
_NONE = len(OPERATIONS)
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
_PER_STEP = 2 + len(_IDENTITY)  # operation, its parameter, its map


def draw(num_elements: int, severity: float, size: tuple[int, int], seed: tf.Tensor) -> tf.Tensor:
    """Draw what happens in one epoch to every element of the source split.

    As with crops, one draw for the whole epoch makes it a function of (seed, epoch, element id) alone.

    Args:
        num_elements: Size of the source split, so that every element id is a row.
        severity: Strength of an operation is uniform from 0.1 to this, of at most 10; 3 in the paper for CIFAR-10.
        size: Height and width of the images, in pixels.
        seed: int64 `[2]`, a function of (seed, epoch).

    Returns:
        float32 `[num_elements, 94]`, which `mix` takes.
    """
    seeds = [tf.random.fold_in(seed, index) for index in range(6)]
    steps = [num_elements, WIDTH, DEPTH]
    weights = tf.random.stateless_gamma([num_elements, WIDTH], seeds[0], 1.0)
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)  # Dirichlet(1, ..., 1)
    share = tf.random.stateless_uniform([num_elements, 1], seeds[1])  # Beta(1, 1)
    operation = tf.random.stateless_uniform(steps, seeds[2], 0, len(OPERATIONS), tf.int32)
    depth = tf.random.stateless_uniform([num_elements, WIDTH, 1], seeds[3], 1, DEPTH + 1, tf.int32)
    operation = tf.where(tf.range(DEPTH) < depth, operation, _NONE)
    level = tf.random.stateless_uniform(steps, seeds[4], 0.1, severity)
    sign = tf.where(tf.random.stateless_uniform(steps, seeds[5]) < 0.5, -1.0, 1.0)
    parameter, maps = strengths(operation, level / 10, sign, size)
    steps_of = tf.concat([tf.cast(operation, tf.float32)[..., tf.newaxis], parameter[..., tf.newaxis], maps], axis=-1)
    return tf.concat([weights, share, tf.reshape(steps_of, [num_elements, WIDTH * DEPTH * _PER_STEP])], axis=1)


def strengths(
    operation: tf.Tensor, level: tf.Tensor, sign: tf.Tensor, size: tuple[int, int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return what operations of some strength do, as `operate` takes it.

    Strengths are those of the authors' code: parameters of Pillow's functions are rounded down.

    Args:
        operation: int32 `[...]`, indices of `OPERATIONS`.
        level: float32 `[...]`, the strength in [0, 1].
        sign: float32 `[...]`, 1 or -1: to which side an image is moved.
        size: Height and width of the images, in pixels.

    Returns:
        Parameters `[...]`; and maps `[..., 8]`, from places of the result to those of the image.
    """
    height, width = size
    zeros, ones = tf.zeros_like(level), tf.ones_like(level)
    parameter = tf.where(operation == OPERATIONS.index("posterize"), 4 - tf.floor(4 * level), zeros)
    parameter = tf.where(operation == OPERATIONS.index("solarize"), 256 - tf.floor(256 * level), parameter)
    angle = sign * tf.floor(30 * level) * (math.pi / 180)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    x, y = (width - 1) / 2, (height - 1) / 2  # the centre stays where it is
    shear = sign * 0.3 * level  # from the upper or left edge on, half a pixel before the middle of the first one
    rows = {
        "rotate": (cosine, -sine, x - x * cosine + y * sine, sine, cosine, y - x * sine - y * cosine),
        "shear_x": (ones, shear, shear / 2, zeros, ones, zeros),
        "shear_y": (ones, zeros, zeros, shear, ones, shear / 2),
        "translate_x": (ones, zeros, sign * tf.floor(width / 3 * level), zeros, ones, zeros),
        "translate_y": (ones, zeros, zeros, zeros, ones, sign * tf.floor(height / 3 * level)),
    }
    maps = tf.broadcast_to(tf.constant(_IDENTITY), [*level.shape, len(_IDENTITY)])
    for name, values in rows.items():
        chosen = (operation == OPERATIONS.index(name))[..., tf.newaxis]
        maps = tf.where(chosen, tf.stack([*values, zeros, zeros], axis=-1), maps)
    return parameter, maps


def mix(images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Mix images with operations on themselves.

    Args:
        images: float32 `[batch, height, width, channels]` in [0, 1].
        draws: float32 `[batch, 94]`, rows of what `draw` returned for images of this size.

    Returns:
        Images of the same shape, in [0, 1].
    """
    weights, share = draws[:, :WIDTH], draws[:, WIDTH]
    steps = tf.reshape(draws[:, WIDTH + 1 :], [-1, WIDTH, DEPTH, _PER_STEP])
    mixture = tf.zeros_like(images)
    for chain in range(WIDTH):
        changed = images
        for step in range(DEPTH):
            operation, parameter, maps = tf.split(steps[:, chain, step], [1, 1, len(_IDENTITY)], axis=1)
            changed = operate(changed, tf.cast(operation[:, 0], tf.int32), parameter[:, 0], maps)
        mixture += weights[:, chain, tf.newaxis, tf.newaxis, tf.newaxis] * changed
    share = share[:, tf.newaxis, tf.newaxis, tf.newaxis]
    return tf.clip_by_value((1 - share) * images + share * mixture, 0, 1)


def operate(images: tf.Tensor, operation: tf.Tensor, parameter: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
    """Apply to each image an operation of its own.

    Args:
        images: float32 `[batch, height, width, channels]` in [0, 1].
        operation: int32 `[batch]`, indices of `OPERATIONS`; any other number leaves the image as it is.
        parameter: float32 `[batch]`: the bits that `posterize` keeps, the level from which on `solarize` inverts.
        maps: float32 `[batch, 8]`, as `tf.raw_ops.ImageProjectiveTransformV3` takes them; the identity where the
            operation is none of places.

    Returns:
        float32, of the shape of `images`; what comes from outside of an image is black.
    """
    levels = tf.round(255 * images)
    step = tf.pow(2.0, 8 - parameter)[:, tf.newaxis, tf.newaxis, tf.newaxis]
    threshold = parameter[:, tf.newaxis, tf.newaxis, tf.newaxis]
    changed = {
        "autocontrast": _autocontrast(levels),
        "equalize": _equalize(levels),
        "posterize": levels - tf.math.floormod(levels, step),
        "solarize": tf.where(levels < threshold, levels, 255 - levels),
    }
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=maps,
        output_shape=tf.constant(list(images.shape[1:3])),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    place = (operation >= OPERATIONS.index("rotate")) & (operation < _NONE)
    result = tf.where(place[:, tf.newaxis, tf.newaxis, tf.newaxis], tf.ensure_shape(moved, images.shape), images)
    for name, values in changed.items():
        chosen = (operation == OPERATIONS.index(name))[:, tf.newaxis, tf.newaxis, tf.newaxis]
        result = tf.where(chosen, values / 255, result)
    return result


def _autocontrast(levels: tf.Tensor) -> tf.Tensor:
    """Stretch each channel of each image to all levels."""
    low = tf.reduce_min(levels, axis=[1, 2], keepdims=True)
    high = tf.reduce_max(levels, axis=[1, 2], keepdims=True)
    stretched = tf.floor((levels - low) * 255 / tf.maximum(high - low, 1) + 1e-4)  # not 254 for 255 but for rounding
    return tf.where(high > low, stretched, levels)


def _equalize(levels: tf.Tensor) -> tf.Tensor:
    """Map the levels of each channel of each image so that all are about as frequent, as Pillow does."""
    _, height, width, channels = levels.shape
    values = tf.cast(tf.transpose(levels, [0, 3, 1, 2]), tf.int32)
    values = tf.reshape(values, [-1, height * width])  # a row an image and channel
    num_rows = tf.shape(values)[0]
    places = values + 256 * tf.range(num_rows)[:, tf.newaxis]
    counts = tf.math.unsorted_segment_sum(tf.ones_like(places), places, 256 * num_rows)
    counts = tf.reshape(counts, [num_rows, 256])
    of_highest = tf.gather(counts, tf.reduce_max(values, axis=1), batch_dims=1)
    step = ((height * width - of_highest) // 255)[:, tf.newaxis]
    below = tf.cumsum(counts, axis=1, exclusive=True)
    table = tf.minimum((step // 2 + below) // tf.maximum(step, 1), 255)
    table = tf.where(step > 0, table, tf.range(256))
    mapped = tf.reshape(tf.gather(table, values, batch_dims=1), [-1, channels, height, width])
    return tf.cast(tf.transpose(mapped, [0, 2, 3, 1]), tf.float32)
