"""Spectral normalisation with a norm bound, for dense layers and convolutions."""

from __future__ import annotations

import math
from typing import Any

from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class SpectralNormalization(keras.layers.Wrapper):
    """Keep the spectral norm of a layer's linear map at or below a bound.

    Each training call runs `iterations` steps of the power method on the layer's linear operator A (its adjoint is A'),

        v <- unit(A' u),    u <- unit(A v),    sigma = <A v, u>,

    and then, before the layer itself runs, rescales the stored kernel if it is too large:

        kernel <- kernel * norm_bound / sigma    if sigma > norm_bound.

    For `Dense`, A is the kernel (Miyato et al. 2018, https://arxiv.org/abs/1802.05957). For `Conv2D`, A is the
    convolution itself at its real stride, padding, dilation and groups (Gouk et al. 2021,
    https://arxiv.org/abs/1804.04368), not the kernel reshaped to a matrix. The soft bound is SNGP's (Liu et al. 2020,
    https://arxiv.org/abs/2006.10108).

    Conventions: the kernel *stays* rescaled, so the optimiser steps from there. The gradient treats the factor as a
    constant. `sigma` approaches the true norm from below over calls, so the norm approaches the bound from above.
    Inference changes nothing. The bias is not touched. u and v, non-trainable weights, start as small random normals
    from a fixed seed.

    Args:
        layer: A `keras.layers.Dense` or `keras.layers.Conv2D`.
        norm_bound: Largest spectral norm allowed, above 0.
        iterations: Steps of the power method per training call, at least 1.
        name: By default the name of `layer`, so that whoever names the layer names the wrapper, too.

    Returns:
        The output of `layer`.

    Raises:
        InputError: If the layer is of another type, an argument is outside its range, or the image size of a
            convolution is unknown when it is built (u and v have the size of the images).

    Example:
        >>> layer = SpectralNormalization(keras.layers.Dense(16), norm_bound=0.95)
        >>> layer(tf.ones((2, 8)), training=True)
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        norm_bound: float = 0.95,
        iterations: int = 1,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(layer, (keras.layers.Dense, keras.layers.Conv2D)):
            raise InputError(f"Spectral normalisation takes a Dense or Conv2D layer, received {type(layer).__name__}.")
        if not norm_bound > 0:
            raise InputError(f"The norm bound must be above 0, received {norm_bound}.")
        if iterations < 1:
            raise InputError(f"The number of power iterations must be at least 1, received {iterations}.")
        # Without autocast the kernel is read as it is stored, not as the half-precision copy of a mixed policy.
        super().__init__(layer, autocast=False, name=name or layer.name, **kwargs)
        self.norm_bound = norm_bound
        self.iterations = iterations

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        self.u = self._add_vector("u", self._operator_shape(self.layer.compute_output_shape(input_shape)))
        self.v = self._add_vector("v", self._operator_shape(input_shape))

    def _operator_shape(self, shape: tuple[Any, ...]) -> tuple[int, ...]:
        """Return the shape of one example in the operator's domain or range, channels last."""
        if isinstance(self.layer, keras.layers.Dense):
            return (1, shape[-1])
        _, *sizes = shape
        if self.layer.data_format == "channels_first":
            sizes = [*sizes[1:], sizes[0]]
        if None in sizes:
            raise InputError(
                f"Spectral normalisation of the convolution '{self.layer.name}' needs a fixed image size, "
                f"received the input shape {tuple(shape)}."
            )
        return (1, *sizes)

    def _add_vector(self, name: str, shape: tuple[int, ...]) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=keras.initializers.RandomNormal(stddev=0.05, seed=0),
            # At least float32, also for a half-precision kernel.
            dtype=keras.backend.result_type(self.layer.kernel.dtype, "float32"),
            trainable=False,
        )

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        if training:
            self._normalize_kernel()
        return self.layer(inputs)

    def _normalize_kernel(self) -> None:
        # Under a distribution strategy every replica does the same to its own copies of kernel, u and v: equal
        # arithmetic on equal values needs no communication.
        kernel = tf.stop_gradient(tf.cast(self.layer.kernel, self.u.dtype))
        u, v = tf.convert_to_tensor(self.u), tf.convert_to_tensor(self.v)
        for _ in range(self.iterations):
            v = _unit(self._apply_adjoint(kernel, u))
            image = self._apply(kernel, v)
            u = _unit(image)
        sigma = tf.reduce_sum(image * u)
        # From zero there is no return: a kernel that starts at zero would never be normalised, so keep u and v then.
        self.u.assign(tf.where(sigma > 0, u, self.u))
        self.v.assign(tf.where(sigma > 0, v, self.v))
        # Where nothing is to be done, not even writing the kernel back: that takes longer than the power method.
        tf.cond(
            sigma > self.norm_bound,
            lambda: self.layer.kernel.assign(kernel * (self.norm_bound / sigma)),
            lambda: kernel,
        )

    def _apply(self, kernel: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        if isinstance(self.layer, keras.layers.Dense):
            return tf.matmul(v, kernel)
        groups = self.layer.groups
        if groups == 1:
            return self._convolve(kernel, v)
        # One by one, since TensorFlow has no gradient of a grouped convolution on CPUs.
        parts = zip(tf.split(kernel, groups, axis=-1), tf.split(v, groups, axis=-1))
        return tf.concat([self._convolve(*part) for part in parts], axis=-1)

    def _convolve(self, kernel: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        return tf.nn.convolution(
            v,
            kernel,
            strides=self.layer.strides,
            padding=self.layer.padding.upper(),
            dilations=self.layer.dilation_rate,
        )

    def _apply_adjoint(self, kernel: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
        if isinstance(self.layer, keras.layers.Dense):
            return tf.matmul(u, kernel, transpose_b=True)
        # The adjoint of a linear map is its gradient. TensorFlow so handles every stride, padding and odd size; within
        # a tf.function the forward convolution, whose value nobody uses, is pruned.
        point = tf.zeros(self.v.shape, u.dtype)
        with tf.GradientTape() as tape:
            tape.watch(point)
            image = self._apply(kernel, point)
        return tape.gradient(image, point, output_gradients=u)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict:
        return {**super().get_config(), "norm_bound": self.norm_bound, "iterations": self.iterations}


def _unit(x: tf.Tensor) -> tf.Tensor:
    """Return x / |x|, or x * 10^6 if it is shorter than 10^-6."""
    # Squares of large numbers overflow, so these are scaled first, by a power of two, which changes no digit.
    exponent = math.frexp(x.dtype.max)[1]  # 128 in float32
    is_large = tf.reduce_max(tf.abs(x)) > 2.0 ** (exponent * 5 // 16)
    scale = tf.where(is_large, tf.constant(2.0 ** -(exponent * 5 // 8), x.dtype), 1)
    x *= scale
    return x / tf.sqrt(tf.maximum(tf.reduce_sum(x**2), 1e-12 * scale))
