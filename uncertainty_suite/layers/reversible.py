"""Reversible layers: maps with an exact inverse, that know how they change a volume."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers.batch_normalization import FusedBatchNormalization


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class RadialFlow(keras.layers.Layer):
    """Stretch or shrink space around a point.

        z = x + beta h (x - x0),    h = 1 / (alpha + r),    r = |x - x0|,
        log |det dz/dx| = (d - 1) log(1 + beta h) + log(1 + beta h - beta h^2 r)

    with alpha = softplus(.) and beta = -alpha + softplus(.), which makes it invertible. Rezende and Mohamed 2015,
    https://arxiv.org/abs/1505.05770. The inverse is exact: r is a root of a quadratic equation.

    Args:
        seed: Integer seed of the initial x0, alpha and beta; `None` takes one from Keras' global seed.

    Returns:
        z, of the shape of the inputs `[..., flows, d]` or `[batch, d]`, and the logarithms of the determinants, of that
        shape without d. Inputs `[batch, flows, d]` go through as many independent flows.

    Example:
        >>> flow = RadialFlow()
        >>> z, log_det = flow(x)
        >>> x = flow.inverse(z)
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed

    def build(self, input_shape: tuple[Any, ...]) -> None:
        *flows, dimensions = input_shape[1:]
        limit = 1 / math.sqrt(dimensions)
        for i, (name, shape) in enumerate((("x0", (*flows, dimensions)), ("raw_alpha", flows), ("raw_beta", flows))):
            seed = None if self.seed is None else 3 * self.seed + i
            initializer = keras.initializers.RandomUniform(-limit, limit, seed=seed)
            setattr(self, name, self.add_weight(name=name, shape=tuple(shape), initializer=initializer))

    def call(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        alpha, beta = self._alpha_beta()
        offset = inputs - self.x0
        r = _norm(offset)
        h = 1 / (alpha + r)
        stretched = 1 + beta * h
        dimensions = inputs.shape[-1]
        log_det = (dimensions - 1) * tf.math.log(stretched) + tf.math.log(stretched - beta * h**2 * r)
        return self.x0 + stretched[..., tf.newaxis] * offset, log_det

    def inverse(self, outputs: tf.Tensor) -> tf.Tensor:
        """Return what `call` maps to the outputs."""
        alpha, beta = self._alpha_beta()
        offset = outputs - self.x0
        b = _norm(offset) - alpha - beta
        r = 0.5 * (b + tf.sqrt(b**2 + 4 * alpha * _norm(offset)))
        return self.x0 + offset / (1 + beta / (alpha + r))[..., tf.newaxis]

    def _alpha_beta(self) -> tuple[tf.Tensor, tf.Tensor]:
        alpha = tf.nn.softplus(self.raw_alpha)
        return alpha, tf.nn.softplus(self.raw_beta) - alpha

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[tuple[int | None, ...], ...]:
        return input_shape, input_shape[:-1]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class AffineCoupling(keras.layers.Layer):
    """Scale and shift one half of the dimensions by what the other half says.

        z_kept = x_kept,    z_changed = x_changed exp(s(x_kept)) + t(x_kept),    log |det dz/dx| = sum s(x_kept)

    Dinh, Sohl-Dickstein and Bengio 2017, https://arxiv.org/abs/1605.08803. s, within (-1, 1) by a tanh times a trained
    scale that starts at 1, and t are outputs of one small network, whose last layer starts at zero: at first the layer
    is the identity.

    Args:
        hidden: Units of each hidden layer of that network.
        changes_first: Whether the first half of the dimensions is changed and the second one kept; the other way round
            otherwise. Of an odd number the first half has one less.

    Returns:
        z, `[batch, d]` as the inputs, and the logarithms of the determinants `[batch]`.

    Raises:
        InputError: There is one dimension only.

    Example:
        >>> first, second = AffineCoupling(), AffineCoupling(changes_first=True)
        >>> z, log_det = first(x)
        >>> z, more = second(z)  # log |det| of both is log_det + more
    """

    def __init__(self, hidden: Sequence[int] = (32,), changes_first: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden = tuple(hidden)
        self.changes_first = changes_first

    def build(self, input_shape: tuple[Any, ...]) -> None:
        dimensions = input_shape[-1]
        if dimensions < 2:
            raise InputError("A coupling layer needs at least two dimensions, one to keep and one to change.")
        self._sizes = [dimensions // 2, dimensions - dimensions // 2]
        kept, changed = reversed(self._sizes) if self.changes_first else self._sizes
        dtype = self.dtype_policy
        layers = [
            keras.layers.Dense(units, "relu", dtype=dtype, name=f"hidden_{i}") for i, units in enumerate(self.hidden, 1)
        ]
        last = keras.layers.Dense(2 * changed, kernel_initializer="zeros", dtype=dtype, name="scale_and_shift")
        layers.append(last)
        self._layers_within = layers
        shape = (input_shape[0], kept)
        for layer in layers:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.log_scale_limit = self.add_weight(name="log_scale_limit", shape=(changed,), initializer="ones")

    def call(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        kept, changed = self._split(inputs)
        log_scale, shift = self._log_scale_and_shift(kept)
        return self._join(kept, changed * tf.exp(log_scale) + shift), tf.reduce_sum(log_scale, axis=-1)

    def inverse(self, outputs: tf.Tensor) -> tf.Tensor:
        """Return what `call` maps to the outputs."""
        kept, changed = self._split(outputs)
        log_scale, shift = self._log_scale_and_shift(kept)
        return self._join(kept, (changed - shift) * tf.exp(-log_scale))

    def _log_scale_and_shift(self, kept: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        for layer in self._layers_within:
            kept = layer(kept)
        log_scale, shift = tf.split(kept, 2, axis=-1)
        return self.log_scale_limit * tf.tanh(log_scale), shift

    def _split(self, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return what is kept and what is changed."""
        first, second = tf.split(values, self._sizes, axis=-1)
        return (second, first) if self.changes_first else (first, second)

    def _join(self, kept: tf.Tensor, changed: tf.Tensor) -> tf.Tensor:
        return tf.concat([changed, kept] if self.changes_first else [kept, changed], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[tuple[int | None, ...], ...]:
        return input_shape, input_shape[:-1]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "hidden": self.hidden, "changes_first": self.changes_first}


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class FlowDensities(keras.layers.Layer):
    """Give the evidence for each class: the density of the class at the features, times its number of examples.

        z = normalised W f,    outputs_c = log(count_c) + log p(z | c),
        log p(z | c) = log N(flow_c(z); 0, I) + log |det dflow_c/dz|

    Charpentier et al. 2020, https://arxiv.org/abs/2006.09239, section 3. Each class has a normalising flow of its own,
    a row of radial ones; all classes go through them side by side. W is trained, and batch normalisation keeps z where
    the flows are. As a density integrates to 1, there is little evidence far from the data. Computed in float32
    whatever the global policy.

    Args:
        units: Number of classes.
        class_counts: Training examples of each class, above 0.
        latent_size: Dimensions of z.
        depth: Radial flows in a row.

    Returns:
        Logarithms of the evidence `[batch, units]`, at most 30, for features `[batch, d]`.

    Raises:
        InputError: An argument is outside its range.
    """

    _MOST = 30.0  # beyond, entropies of a Dirichlet distribution are rounding errors in float64

    def __init__(
        self, units: int, class_counts: Sequence[float], latent_size: int = 6, depth: int = 6, **kwargs: Any
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        for name, value in (("units", units), ("latent_size", latent_size), ("depth", depth)):
            if not value > 0:
                raise InputError(f"{name} must be above 0, received {value}.")
        if len(class_counts) != units or not min(class_counts) > 0:
            raise InputError(
                f"The {units} classes need training examples each, and their numbers are {tuple(class_counts)}."
            )
        self.units = units
        self.class_counts = [float(count) for count in class_counts]
        self.latent_size = latent_size
        self.depth = depth

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.projection = keras.layers.Dense(self.latent_size, dtype="float32", name="projection")
        self.projection.build(input_shape)
        self.normalization = FusedBatchNormalization(momentum=0.9, dtype="float32", name="normalization")
        self.normalization.build((None, self.latent_size))
        self.flows = [RadialFlow(dtype="float32", name=f"flow_{i}") for i in range(1, self.depth + 1)]
        for flow in self.flows:
            flow.build((None, self.units, self.latent_size))

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        z = self.normalization(self.projection(tf.cast(inputs, tf.float32)), training=training)
        z = tf.repeat(z[:, tf.newaxis], self.units, axis=1)  # [batch, classes, latent_size]
        log_density = tf.zeros(tf.shape(z)[:2])
        for flow in self.flows:
            z, log_det = flow(z)
            log_density += log_det
        log_density -= 0.5 * (tf.reduce_sum(z**2, axis=-1) + self.latent_size * math.log(2 * math.pi))
        return tf.minimum(log_density + tf.math.log(tf.constant(self.class_counts)), self._MOST)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "class_counts": self.class_counts,
            "latent_size": self.latent_size,
            "depth": self.depth,
        }


def _norm(x: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_sum(x**2, axis=-1) + 1e-30)  # whose gradient at 0 is not infinite
