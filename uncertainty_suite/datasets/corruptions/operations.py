"""The corruptions, each a function of (images, random, parameter), and the few tools that they are made of.

`images` are float32 `[batch, height, width, channels]` in [0, 1], `random` gives each image its own random numbers, and
the table in this package's `__init__.py` gives the parameter. Results are clipped to [0, 1] by the caller. No image
sees another one of its batch: the batch only makes it fast.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.stats

from uncertainty_suite import tf

# Tools


@functools.cache  # tracing takes longer than what a hundred images draw; all corruptions share these few
def _traced(function: Callable[..., tf.Tensor], options: tuple[Any, ...], *specs: tf.TensorSpec) -> Any:
    with tf.init_scope():  # not a part of what is being traced where it is first needed
        return tf.function(functools.partial(function, *options), autograph=False).get_concrete_function(*specs)


def _each(traced: Any, *arguments: tf.Tensor) -> tf.Tensor:
    """Return what a traced function makes of each entry of the arguments' first axis.

    As `tf.map_fn`, which takes one after the other. Here they run side by side, and each by itself on one thread.
    """
    return tf.raw_ops.MapDefun(
        arguments=arguments,
        captured_inputs=[],
        output_types=[tf.float32],
        output_shapes=[traced.output_shapes],
        f=traced,
        max_intra_op_parallelism=1,
    )[0]


def _product(a: tf.Tensor, b: tf.Tensor, transpose_a: bool = False) -> tf.Tensor:
    """Return `a @ b` computed on one thread.

    Shared out over cores, a product is summed in another order: its last bits would depend on how many there are, and
    on whether a pipeline asks for it, which computes on one thread.
    """
    specs = (tf.TensorSpec([None] * len(each.shape), tf.float32) for each in (a, b))
    traced = _traced(_multiply, (transpose_a,), *specs)
    return _each(traced, a[tf.newaxis], b[tf.newaxis])[0]


def _multiply(transpose_a: bool, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.matmul(a, b, transpose_a=transpose_a)


class Random:
    """Random numbers of each image: a function of (key, element id) and of the order in which they are asked for."""

    def __init__(self, key: int, element_ids: tf.Tensor):
        self._key = key
        self._element_ids = tf.cast(element_ids, tf.int64)

    def _draw(self, draw: Callable[..., tf.Tensor], options: tuple[Any, ...], *arguments: tf.Tensor) -> tf.Tensor:
        seeds = tf.stack([tf.fill(tf.shape(self._element_ids), tf.constant(self._key, tf.int64)), self._element_ids], 1)
        self._key += 1
        specs = (tf.TensorSpec(argument.shape[1:], argument.dtype) for argument in (seeds, *arguments))
        return _each(_traced(draw, options, *specs), seeds, *arguments)

    def uniform(self, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> tf.Tensor:
        """Return uniform numbers, float32 `[batch, *shape]`."""
        return self._draw(_uniform, (tuple(shape), low, high))

    def normal(self, shape: tuple[int, ...]) -> tf.Tensor:
        """Return standard normal numbers, float32 `[batch, *shape]`."""
        return self._draw(_normal, (tuple(shape),))

    def poisson(self, rates: tf.Tensor) -> tf.Tensor:
        """Return a Poisson number for every rate `[batch, ...]`, float32."""
        return self._draw(_poisson, (tuple(rates.shape[1:]),), rates)

    def sign(self) -> tf.Tensor:
        """Return -1 or 1, float32 `[batch]`."""
        return tf.sign(self.uniform((), -1.0, 1.0))

    def direction(self, low: float = 0.0, high: float = 2 * math.pi) -> tuple[tf.Tensor, tf.Tensor]:
        """Return x and y of a point on the unit circle at an angle in [low, high), float32 `[batch]` each."""
        x, y = tf.unstack(self._draw(_direction, (low, high)), axis=1)
        return x, y


def _uniform(shape: tuple[int, ...], low: float, high: float, seed: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_uniform(shape, seed, low, high, alg="philox")


def _normal(shape: tuple[int, ...], seed: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_normal(shape, seed, alg="philox")


def _poisson(shape: tuple[int, ...], seed: tf.Tensor, rates: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_poisson(shape, seed, rates, dtype=tf.float32)


def _direction(low: float, high: float, seed: tf.Tensor) -> tf.Tensor:
    # Image by image: the sine of a whole batch is vectorised, and its last bit depends on the place in the batch.
    angle = tf.random.stateless_uniform((), seed, low, high, alg="philox")
    return tf.stack([tf.cos(angle), tf.sin(angle)])


def _side(images: tf.Tensor) -> int:
    return min(images.shape[1:3])


def _interpolation(positions: np.ndarray, size: int) -> np.ndarray:
    """Return `[..., size]`: the weights of `size` values in a row, interpolated linearly at positions `[...]`.

    Outside the row, its first or last value counts.
    """
    return np.maximum(0, 1 - np.abs(np.clip(positions, 0, size - 1)[..., np.newaxis] - np.arange(size)))


def _gaussian(size: int, deviation: float) -> np.ndarray:
    """Return the matrix `[size, size]` that blurs a row by a Gaussian, also one narrower than a pixel.

    An average over displaced, linearly interpolated rows: a sampled Gaussian would leave everything as it is where the
    deviation is much less than 1.
    """
    displacements = deviation * scipy.stats.norm.ppf((np.arange(51) + 0.5) / 51)
    return _interpolation(np.arange(size)[:, np.newaxis] + displacements, size).mean(axis=1)


def _separable(images: tf.Tensor, rows: np.ndarray, columns: np.ndarray) -> tf.Tensor:
    """Return the sum over k of `rows[k] @ image @ columns[k].T` for every image and channel.

    Args:
        images: `[batch, height, width, channels]`.
        rows: `[k, height, height]`.
        columns: `[k, width, width]`.
    """
    _, height, width, channels = images.shape
    # Two matrix products without a transposition between them; for one channel, without any.
    columns = tf.constant(columns.transpose(2, 0, 1).reshape(width, -1), tf.float32)
    rows = tf.constant(rows.transpose(1, 2, 0).reshape(height, -1), tf.float32)
    products = _product(tf.reshape(tf.transpose(images, [0, 3, 1, 2]), [-1, width]), columns)
    # From [batch channels height, k width] to [batch channels, height, width].
    products = _product(rows, tf.reshape(products, [-1, rows.shape[1], width]))
    return tf.transpose(tf.reshape(products, [-1, channels, height, width]), [0, 2, 3, 1])


def _smooth_noise(
    random: Random, images: tf.Tensor, lengths: list[float], weights: list[float], channels: int = 1
) -> tf.Tensor:
    """Return normal noise `[batch, height, width, channels]` smoothed over each length (in pixels), weighted and added.

    Smoothed over one length it has variance 1 in every pixel.
    """
    _, height, width, _ = images.shape

    def smooth(size: int) -> np.ndarray:  # [lengths, size, size]
        matrices = np.stack([_gaussian(size, length) for length in lengths])
        return matrices / np.linalg.norm(matrices, axis=-1, keepdims=True)

    weighted = smooth(height) * np.reshape(weights, (-1, 1, 1))
    return _separable(random.normal((height, width, channels)), weighted, smooth(width))


def _clouds(random: Random, images: tf.Tensor, smoothness: float) -> tf.Tensor:
    """Return clouds `[batch, height, width, 1]` from 0 to 1, with features of all sizes.

    Each octave is weaker than the one of twice its length by the factor 1 / smoothness, as in the paper's plasma
    fractal.
    """
    lengths = [_side(images) / 2**k for k in range(2, int(math.log2(_side(images))))] or [1.0]
    clouds = _smooth_noise(random, images, lengths, [smoothness**-k for k in range(len(lengths))])
    low, high = (reduce(clouds, axis=(1, 2, 3), keepdims=True) for reduce in (tf.reduce_min, tf.reduce_max))
    return tf.math.divide_no_nan(clouds - low, high - low)


def _convolve(images: tf.Tensor, kernels: tf.Tensor) -> tf.Tensor:
    """Convolve each image with its own kernel, `[batch, 2 radius + 1, 2 radius + 1]`, mirroring the borders."""
    radius = kernels.shape[1] // 2
    images = tf.pad(images, [[0, 0], [radius, radius], [radius, radius], [0, 0]], "SYMMETRIC")
    kernels = tf.transpose(kernels, [1, 2, 0])[..., tf.newaxis]
    # The batch stands where a depthwise convolution has its channels: the one operation with a kernel for each.
    convolved = tf.nn.depthwise_conv2d(tf.transpose(images, [3, 1, 2, 0]), kernels, [1, 1, 1, 1], "VALID")
    return tf.transpose(convolved, [3, 1, 2, 0])


def _along_paths(images: tf.Tensor, direction: tuple[tf.Tensor, tf.Tensor], half_length: float) -> tf.Tensor:
    """Average each image over a straight path through each pixel, in the direction x, y `[batch]`."""
    radius = math.ceil(half_length)
    points = tf.linspace(-half_length, half_length, 4 * radius + 1)
    offsets = tf.range(-radius, radius + 1, dtype=tf.float32)

    def weights(positions: tf.Tensor) -> tf.Tensor:  # [batch, points, offsets], linear interpolation
        return tf.maximum(0.0, 1.0 - tf.abs(positions[..., tf.newaxis] - offsets))

    x, y = (component[:, tf.newaxis] * points for component in direction)
    size = 2 * radius + 1
    kernels = tf.ensure_shape(_product(weights(y), weights(x), transpose_a=True), [None, size, size])
    return _convolve(images, kernels / points.shape[0])


def _displace(images: tf.Tensor, y: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Take each pixel from elsewhere, displaced by y and x `[batch, height, width]` pixels, interpolated linearly."""
    _, height, width, channels = images.shape
    y = tf.clip_by_value(tf.range(height, dtype=tf.float32)[:, tf.newaxis] + y, 0.0, height - 1.0)
    x = tf.clip_by_value(tf.range(width, dtype=tf.float32) + x, 0.0, width - 1.0)
    top, left = tf.floor(y), tf.floor(x)
    from_top, from_left = (y - top)[..., tf.newaxis], (x - left)[..., tf.newaxis]
    top, left = tf.cast(top, tf.int32), tf.cast(left, tf.int32)
    bottom, right = tf.minimum(top + 1, height - 1), tf.minimum(left + 1, width - 1)
    pixels = tf.reshape(images, [-1, height * width, channels])

    def interpolate(row: tf.Tensor) -> tf.Tensor:
        first, second = (tf.gather(pixels, row * width + column, batch_dims=1) for column in (left, right))
        return first + from_left * (second - first)

    upper, lower = interpolate(top), interpolate(bottom)
    return upper + from_top * (lower - upper)


def _affine(images: tf.Tensor, matrix: list[list[tf.Tensor | float]], shift: list[tf.Tensor | float]) -> tf.Tensor:
    """Take the pixel at (x, y) from the image's centre from `matrix (x, y) + shift`, black where that is outside.

    The numbers are either scalars or `[batch]`.
    """
    _, height, width, _ = images.shape
    x, y = (width - 1) / 2, (height - 1) / 2
    (xx, xy), (yx, yy) = matrix
    numbers = [xx, xy, x - xx * x - xy * y + shift[0], yx, yy, y - yx * x - yy * y + shift[1], 0.0, 0.0]
    batch = tf.shape(images)[:1]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([tf.broadcast_to(tf.cast(number, tf.float32), batch) for number in numbers], axis=1),
        output_shape=[height, width],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )


# Noise


def gaussian_noise(images: tf.Tensor, random: Random, deviation: float) -> tf.Tensor:
    """Add normal noise: the noise of a sensor in low light."""
    return images + deviation * random.normal(images.shape[1:])


def shot_noise(images: tf.Tensor, random: Random, photons: float) -> tf.Tensor:
    """Count single photons: Poisson noise."""
    return random.poisson(images * photons) / photons


def impulse_noise(images: tf.Tensor, random: Random, fraction: float) -> tf.Tensor:
    """Set a fraction of the values to 0 or 1: salt and pepper, the noise of bit errors."""
    uniform = random.uniform(images.shape[1:])
    return tf.where(uniform < fraction / 2, 0.0, tf.where(uniform < fraction, 1.0, images))


def speckle_noise(images: tf.Tensor, random: Random, deviation: float) -> tf.Tensor:
    """Add normal noise in proportion to the value."""
    return images + images * deviation * random.normal(images.shape[1:])


# Blur


def defocus_blur(images: tf.Tensor, random: Random, radius: float) -> tf.Tensor:
    """Average over a disc: an image out of focus."""
    del random
    radius *= _side(images)
    points = np.linspace(-radius, radius, 41)
    disc = np.hypot(points[:, np.newaxis], points) <= radius
    reach = math.ceil(radius)
    weights = _interpolation(points + reach, 2 * reach + 1)
    kernel = tf.constant(weights.T @ disc @ weights / disc.sum(), tf.float32)
    return _convolve(images, tf.repeat(kernel[tf.newaxis], tf.shape(images)[0], axis=0))


def gaussian_blur(images: tf.Tensor, random: Random, deviation: float) -> tf.Tensor:
    """Average with the weights of a Gaussian."""
    del random
    _, height, width, _ = images.shape
    deviation *= _side(images)
    return _separable(images, _gaussian(height, deviation)[np.newaxis], _gaussian(width, deviation)[np.newaxis])


def glass_blur(images: tf.Tensor, random: Random, reach: float) -> tf.Tensor:
    """Take each pixel from a random place nearby: frosted glass.

    The paper swaps neighbouring pixels one after another, and blurs before and after; here all pixels are taken at
    once, and what blurs is the interpolation.
    """
    _, height, width, _ = images.shape
    y, x = tf.unstack(random.uniform((2, height, width), -reach, reach) * _side(images), axis=1)
    return _displace(images, y, x)


def motion_blur(images: tf.Tensor, random: Random, half_length: float) -> tf.Tensor:
    """Average over a straight path in a random direction: a camera that moves."""
    return _along_paths(images, random.direction(), half_length * _side(images))


def zoom_blur(images: tf.Tensor, random: Random, magnification: float) -> tf.Tensor:
    """Average over magnifications of the image's middle: a camera that comes nearer."""
    del random
    num_steps = 1 + math.ceil((magnification - 1) * _side(images) / 2)  # the border moves a pixel at a time

    def magnify(size: int) -> np.ndarray:  # [steps, size, size]
        from_centre = np.arange(size) - (size - 1) / 2
        factors = np.linspace(1, magnification, num_steps)[:, np.newaxis]
        return _interpolation(from_centre / factors + (size - 1) / 2, size)

    _, height, width, _ = images.shape
    return _separable(images, magnify(height) / num_steps, magnify(width))


# Weather


def snow(images: tf.Tensor, random: Random, parameters: tuple[float, float]) -> tf.Tensor:
    """Whiten the image and let flakes fall over it, blurred along their way."""
    threshold, whitening = parameters
    flakes = _smooth_noise(random, images, [0.03 * _side(images)], [1.0])
    # Not 2 (flakes - threshold), of which TensorFlow makes this where it is a part of a graph: other last bits.
    flakes = tf.clip_by_value(2.0 * flakes - 2.0 * threshold, 0.0, 1.0)
    flakes = _along_paths(flakes, random.direction(math.pi / 4, 3 * math.pi / 4), 0.06 * _side(images))
    return images + whitening * (1.0 - images) + flakes


def frost(images: tf.Tensor, random: Random, growth: float) -> tf.Tensor:
    """Let ice grow over the image: where it is thick, it hides all that lies behind it."""
    clouds = _clouds(random, images, smoothness=1.3)
    cover = 0.9 * tf.clip_by_value((clouds - (1.0 - growth)) / 0.2, 0.0, 1.0)
    ice = 1.0 - 0.6 * tf.abs(2.0 * clouds[:, ::-1, ::-1] - 1.0)  # the same clouds from behind: cheaper than others
    return images + cover * (ice - images)


def fog(images: tf.Tensor, random: Random, parameters: tuple[float, float]) -> tf.Tensor:
    """Add clouds and darken the whole so that white stays white."""
    density, smoothness = parameters
    white = tf.reduce_max(images, axis=(1, 2, 3), keepdims=True)
    return tf.math.divide_no_nan((images + density * _clouds(random, images, smoothness)) * white, white + density)


def brightness(images: tf.Tensor, random: Random, shift: float) -> tf.Tensor:
    """Add to every value (the paper: to the V of HSV, which is the same for gray images)."""
    del random
    return images + shift


# Digital


def contrast(images: tf.Tensor, random: Random, factor: float) -> tf.Tensor:
    """Draw all values towards the mean of their image and channel."""
    del random
    return tf.image.adjust_contrast(images, factor)


def saturate(images: tf.Tensor, random: Random, factor: float) -> tf.Tensor:
    """Multiply the S of HSV."""
    del random
    return tf.image.adjust_saturation(images, factor)


def pixelate(images: tf.Tensor, random: Random, blocks_per_pixel: float) -> tf.Tensor:
    """Replace each block by its mean; a block need not be a whole number of pixels."""
    del random

    def average(size: int) -> np.ndarray:  # [size, size]
        blocks = max(1, round(size * blocks_per_pixel))
        edges = np.arange(blocks + 1)[:, np.newaxis] * size / blocks
        pixels = np.arange(size)
        overlaps = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)  # [blocks, size]
        weights = np.maximum(0, overlaps) * blocks / size
        return weights[((pixels + 0.5) * blocks / size).astype(int)]

    _, height, width, _ = images.shape
    return _separable(images, average(height)[np.newaxis], average(width)[np.newaxis])


def jpeg_compression(images: tf.Tensor, random: Random, quality: int) -> tf.Tensor:
    """Compress by JPEG and decode again.

    The batch is compressed as one large mosaic, several times as fast as one image after the other. Tiles are filled
    up to whole blocks of JPEG and colour is not smoothed when decoding, so no image leaks into its neighbours.
    """
    del random
    _, height, width, channels = images.shape
    block = 8 if channels == 1 else 16  # colour has half the resolution
    padding = [[0, 0], [0, -height % block], [0, -width % block], [0, 0]]
    tiles = tf.cast(tf.round(255.0 * tf.pad(images, padding, "SYMMETRIC")), tf.uint8)
    _, tile_height, tile_width, _ = tiles.shape
    count = tf.shape(tiles)[0]
    across = tf.cast(tf.math.ceil(tf.sqrt(tf.cast(count, tf.float32))), tf.int32)  # no side beyond JPEG's 65,535
    tiles = tf.pad(tiles, [[0, -count % across], [0, 0], [0, 0], [0, 0]])
    mosaic = tf.transpose(tf.reshape(tiles, [-1, across, tile_height, tile_width, channels]), [0, 2, 1, 3, 4])
    mosaic = tf.reshape(mosaic, [-1, across * tile_width, channels])
    encoded = tf.io.encode_jpeg(mosaic, quality=quality, format="grayscale" if channels == 1 else "rgb")
    mosaic = tf.io.decode_jpeg(encoded, channels, fancy_upscaling=False, dct_method="INTEGER_ACCURATE")
    tiles = tf.transpose(tf.reshape(mosaic, [-1, tile_height, across, tile_width, channels]), [0, 2, 1, 3, 4])
    tiles = tf.reshape(tiles, [-1, tile_height, tile_width, channels])
    return tf.cast(tiles[:count, :height, :width], tf.float32) / 255.0


# Geometry


def elastic_transform(images: tf.Tensor, random: Random, displacement: float) -> tf.Tensor:
    """Displace all pixels, near ones alike."""
    side = _side(images)
    y, x = tf.unstack(_smooth_noise(random, images, [0.1 * side], [displacement * side], channels=2), axis=-1)
    return _displace(images, y, x)


def rotate(images: tf.Tensor, random: Random, degrees: float) -> tf.Tensor:
    """Rotate about the middle, one way or the other."""
    cosine, sine = math.cos(math.radians(degrees)), random.sign() * math.sin(math.radians(degrees))
    return _affine(images, [[cosine, -sine], [sine, cosine]], [0.0, 0.0])


def translate(images: tf.Tensor, random: Random, distance: float) -> tf.Tensor:
    """Move in a random direction."""
    x, y = random.direction()
    distance *= _side(images)
    return _affine(images, [[1.0, 0.0], [0.0, 1.0]], [distance * x, distance * y])


def shear(images: tf.Tensor, random: Random, tangent: float) -> tf.Tensor:
    """Shear horizontally, one way or the other."""
    return _affine(images, [[1.0, random.sign() * tangent], [0.0, 1.0]], [0.0, 0.0])


def scale(images: tf.Tensor, random: Random, factor: float) -> tf.Tensor:
    """Make smaller, on black."""
    del random
    return _affine(images, [[1 / factor, 0.0], [0.0, 1 / factor]], [0.0, 0.0])
