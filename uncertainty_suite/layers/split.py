"""Splitting a network where its samples begin to differ, and drawing many samples of what comes after."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from uncertainty_suite import keras, tf
from uncertainty_suite.layers.variational import Variational

_BYTES_PER_PASS = 16 * 2**20  # of copies of the hidden tensors: with more, passes leave the processor's caches


def _stochastic_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    return [each for each in layer._flatten_layers() if getattr(each, "stochastic", False)]


def has_stochastic(layer: keras.layers.Layer) -> bool:
    """Return whether a model or layer is random in prediction: it or a layer within it has a true `stochastic`.

    A stochastic layer says so by that attribute. By a second one, `draws_per_example`, it can say that it draws for
    each example of a batch independently, so that copies of a batch side by side are samples.

    Example:
        >>> has_stochastic(MonteCarloDropout(0.5)), has_stochastic(MonteCarloDropout(0.0))  # True, False
    """
    return bool(_stochastic_layers(layer))


def seed_draws(models: Iterable[keras.Model], *entropy: int) -> None:
    """Set the random numbers of models to those of some integers, so that what they draw next depends on these alone.

    Args:
        models: The models; each of their seed generators gets a state of its own.
        *entropy: Integers of at least 0.

    Example:
        >>> seed_draws([model], config.seed, 0)
    """
    layers = [layer for model in models for layer in model._flatten_layers()]
    generators = {id(each): each for layer in layers for each in getattr(layer, "_seed_generators", ())}
    for i, generator in enumerate(generators.values()):
        generator.state.assign(np.random.SeedSequence([*entropy, i]).generate_state(2))


def split_at_stochastic(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Split a functional model into what is the same in every sample and what is not.

    The rest begins with the first stochastic layers (see `has_stochastic`), as in `split_at`.

    Example:
        >>> trunk, rest = split_at_stochastic(model)
        >>> samples = draw_samples(rest, trunk(x), num_samples=10)
    """
    return split_at(model, has_stochastic)


def split_at(model: keras.Model, begins: Callable[[keras.layers.Layer], bool]) -> tuple[keras.Model, keras.Model]:
    """Split a functional model before the first of some layers.

    The trunk ends where the first such layer begins, on every path to it; for many samples of one batch it need be
    computed only once. `rest(trunk(x))` is `model(x)`, and shares its layers.

    Args:
        model: A functional model.
        begins: Says of a layer whether the rest begins with it.

    Returns:
        `trunk`, from the model's input to the tensors between the two, and `rest`, from these to the model's output, of
        the same structure, e.g. a dict; both take `training`. Outputs that none of these layers changes are computed by
        `trunk` and passed on by `rest`.
    """
    stochastic: dict[int, bool] = {}
    cut: dict[int, keras.KerasTensor] = {}  # the last deterministic tensors on each path

    def is_stochastic(tensor: keras.KerasTensor) -> bool:
        if id(tensor) not in stochastic:
            operation, node_index, _ = tensor._keras_history
            inputs = operation._inbound_nodes[node_index].input_tensors
            by_inputs = [is_stochastic(x) for x in inputs]  # all of them, and not only up to the first that is
            draws = isinstance(operation, keras.layers.Layer) and begins(operation)
            stochastic[id(tensor)] = draws or any(by_inputs)
            if stochastic[id(tensor)]:
                cut.update({id(x): x for x, random in zip(inputs, by_inputs) if not random})
        return stochastic[id(tensor)]

    def pass_on(output: keras.KerasTensor) -> keras.KerasTensor:
        if is_stochastic(output):
            return output
        cut[id(output)] = output
        return keras.layers.Identity()(output)  # Keras refuses a model whose output is its input

    outputs = keras.tree.map_structure(pass_on, model.output)
    tensors = list(cut.values())
    return keras.Model(model.input, tensors), keras.Model(tensors, outputs)


def draw_samples(rest: keras.Model, hidden: Any, num_samples: int) -> Any:
    """Repeat the stochastic part of a network on the same hidden tensors, with fresh draws for every sample.

    Small batches go through it as several copies at once, which wastes less time between operations. Where a stochastic
    layer does not say `draws_per_example`, all copies would get the same draw, and they go through it one by one.

    Args:
        rest: The second part from `split_at_stochastic`.
        hidden: What the first part returned, tensors `[batch, ...]`. In a `tf.function` that does not know the size of
            the batch, passes take one copy.
        num_samples: Number of samples.

    Returns:
        The outputs of `rest(hidden, training=False)`, with samples in front: `[num_samples, batch, ...]`.

    Example:
        >>> outputs = draw_samples(rest, trunk(x), num_samples=10)["outputs"]  # [10, batch, units]
    """
    copies = _copies_per_pass(rest, keras.tree.flatten(hidden), num_samples)
    tiled = keras.tree.map_structure(lambda x: tf.concat([x] * copies, axis=0), hidden)
    # Kernels are cast to the precision of the products here, once, instead of in every pass.
    kernels = [
        (layer.kernel, tf.cast(layer.kernel, layer.compute_dtype))
        for layer in rest.layers
        if isinstance(layer, (keras.layers.Dense, keras.layers.Conv2D)) and layer.compute_dtype != layer.variable_dtype
    ]
    others = [variable for variable in rest.variables if all(variable is not kernel for kernel, _ in kernels)]

    def one_pass(_: tf.Tensor) -> Any:
        with keras.StatelessScope() as scope:
            for kernel in kernels:
                scope.add_update(kernel)
            outputs = rest(tiled, training=False)
        for variable in others:  # states of random numbers: what they were set to, the scope has kept to itself
            value = scope.get_current_value(variable)
            if value is not None:
                variable.assign(value)
        return outputs

    with contextlib.ExitStack() as kept:
        for layer in _stochastic_layers(rest):
            if isinstance(layer, Variational):
                kept.enter_context(layer.kept_stddev())
        outputs = tf.map_fn(
            one_pass,
            tf.range(num_samples // copies),
            fn_output_signature=keras.tree.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), rest.output),
            parallel_iterations=1,  # the passes draw from the same generators, so their order must be fixed
        )  # [passes, copies * batch, ...]
    return keras.tree.map_structure(
        lambda x: tf.reshape(x, tf.concat([[num_samples, tf.shape(x)[1] // copies], tf.shape(x)[2:]], axis=0)), outputs
    )


def _copies_per_pass(rest: keras.Model, hidden: list[tf.Tensor], num_samples: int) -> int:
    independent = all(getattr(layer, "draws_per_example", False) for layer in _stochastic_layers(rest))
    if not independent or hidden[0].shape[0] is None:
        return 1
    num_bytes = sum(math.prod(x.shape) * x.dtype.size for x in hidden)
    divisors = [n for n in range(1, num_samples + 1) if num_samples % n == 0]
    return max(n for n in divisors if n == 1 or n * num_bytes <= _BYTES_PER_PASS)
