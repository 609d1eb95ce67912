"""The promises that every layer makes."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from uncertainty_suite import keras, layers, tf


def check_layer(
    make_layer: Callable[[], Any],
    input_shape: tuple[int, ...],
    output_shapes: list[tuple[int | None, ...]],
    trainable: int,
    non_trainable: int,
    directory: pathlib.Path,
) -> None:
    """Check that a layer keeps the promises of every layer.

    Its shapes and numbers of parameters are the expected ones, symbolically, too; every trained weight has a gradient;
    it is made again by its configuration; a saved model and saved weights give the same outputs when they are loaded;
    the paths of its variables differ, and depend on its name only; and it says by `stochastic` whether its predictions
    are random, and by `draws_per_example` whether they are so for each example independently.

    Args:
        make_layer: Returns a new layer.
        input_shape: Shape of one example.
        output_shapes: Expected shapes of the outputs, with `None` for the batch; those of a dict by sorted keys.
        trainable: Expected number of trainable parameters.
        non_trainable: Expected number of parameters that are not trained (the state of random numbers not counted).
        directory: An empty folder.

    Raises:
        AssertionError: The layer breaks a promise.
    """
    keras.utils.set_random_seed(1)
    inputs = keras.Input(input_shape)
    layer = make_layer()
    model = keras.Model(inputs, layer(inputs))
    x = np.random.default_rng(0).normal(size=(4, *input_shape)).astype("float32")

    outputs = model(x)
    assert [(None, *y.shape[1:]) for y in keras.tree.flatten(outputs)] == output_shapes
    assert [y.shape for y in model.outputs] == output_shapes
    assert _shapes(layer.compute_output_shape((None, *input_shape))) == output_shapes
    assert sum(np.prod(w.shape) for w in layer.trainable_weights) == trainable
    assert sum(np.prod(w.shape) for w in layer.non_trainable_weights) == non_trainable

    _check_stochastic(layer, model, x)
    _check_train_step(model, x)

    config = json.dumps(layer.get_config())
    again = type(layer).from_config(json.loads(config))
    assert json.dumps(again.get_config()) == config, "the layer that is made by its configuration has another one"

    model.save(directory / "model.keras")
    _check_equal_outputs(model, keras.models.load_model(directory / "model.keras"), x)
    model.save_weights(directory / "model.weights.h5")
    inputs = keras.Input(input_shape)
    other = make_layer()
    fresh = keras.Model(inputs, other(inputs))
    fresh.load_weights(directory / "model.weights.h5")
    _check_equal_outputs(model, fresh, x)
    _check_paths(layer, other)


def _shapes(shapes: Any) -> list[tuple[int | None, ...]]:
    if isinstance(shapes, dict):
        return [shapes[key] for key in sorted(shapes)]
    return [shapes] if shapes[0] is None else list(shapes)


def _check_stochastic(layer: Any, model: Any, x: np.ndarray) -> None:
    first, second = (keras.tree.flatten(model(x, training=False)) for _ in range(2))
    random = any(np.any(a != b) for a, b in zip(first, second))
    assert layers.has_stochastic(layer) == random, "attribute stochastic: are two predictions equal or not?"
    if random and getattr(layer, "draws_per_example", False):
        copies = keras.tree.flatten(model(np.concatenate([x, x]), training=False))
        assert any(np.any(y[:4] != y[4:]) for y in copies), "attribute draws_per_example: two copies have equal draws"


def _check_train_step(model: Any, x: np.ndarray) -> None:
    @tf.function
    def step(x: Any) -> Any:
        with tf.GradientTape() as tape:
            output = keras.tree.flatten(model(x, training=True))[0]
            loss = tf.reduce_sum(output**2)
        return tape.gradient(loss, [w.value for w in model.trainable_variables])

    gradients = step(tf.constant(x))
    assert all(g is not None and np.any(g != 0) for g in gradients), "a trained weight has no gradient"
    for weight, gradient in zip(model.trainable_variables, gradients):
        weight.assign_sub(1e-3 * gradient)


def _check_equal_outputs(model: Any, other: Any, x: np.ndarray) -> None:
    outputs = []
    for each in (model, other):
        for variable in each.variables:
            if variable.name == "seed_generator_state":  # Keras saves no random state.
                variable.assign([1, 0])
        outputs.append(keras.tree.flatten(each.predict(x, verbose=0)))
    for a, b in zip(*outputs):
        np.testing.assert_array_equal(a, b, err_msg="a loaded model gives other outputs")


def _check_paths(layer: Any, other: Any) -> None:
    paths = [[variable.path.replace(each.name, "layer") for variable in each.variables] for each in (layer, other)]
    assert paths[0] == paths[1], "names of variables depend on how many layers there were before"
    assert len(set(paths[0])) == len(paths[0]), "two variables have the same path"
    assert all(path.startswith("layer/") for path in paths[0]), "a variable is not named after its layer"
