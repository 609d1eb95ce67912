"""What every test of a layer shares: the standard promises of a layer, golden values, and two replicas."""

import json
import os
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

# As the fixture `golden_dir`, but needed when tests are collected: every golden case is a test of its own.
GOLDEN_DIR = pathlib.Path(
    os.environ.get("UNCERTAINTY_SUITE_GOLDEN_DIR") or pathlib.Path(__file__).parents[3] / "shared" / "golden"
)


class Golden:
    """The cases of one golden file: `golden["case"]["array"]`, and `golden.parameters["case"]`."""

    def __init__(self, name: str):
        path = GOLDEN_DIR / "layers" / f"{name}.npz"
        self.cases, self.parameters = {}, {}
        if path.exists():
            with np.load(path, allow_pickle=False) as arrays:
                self.parameters = json.loads(str(arrays["__meta__"]))["cases"]
                for key in arrays.files:
                    case, _, array = key.partition("/")
                    if array:
                        self.cases.setdefault(case, {})[array] = arrays[key]

    def __getitem__(self, case: str) -> dict[str, np.ndarray]:
        return self.cases[case]

    def parametrize(self, *prefixes: str, argument: str = "case"):
        """Return the mark that runs a test for each case whose name starts with a prefix; skipped without the file."""
        cases = [case for case in self.cases if case.startswith(prefixes)]
        skipped = pytest.param(None, marks=pytest.mark.skip(reason=f"no golden values in {GOLDEN_DIR}"))
        return pytest.mark.parametrize(argument, cases or [skipped])


def run_layer_test(
    make_layer,
    input_shape: tuple[int, ...],
    output_shapes: list[tuple[int | None, ...]],
    trainable: int,
    non_trainable: int,
    directory: pathlib.Path,
) -> None:
    """Check the promises every layer makes.

    Args:
        make_layer: Returns a new layer.
        input_shape: Shape of one example.
        output_shapes: Expected shapes of the outputs, with `None` for the batch.
        trainable: Expected number of trainable parameters.
        non_trainable: Expected number of parameters that are not trained (the state of random numbers not counted).
        directory: An empty folder.
    """
    keras.utils.set_random_seed(1)
    inputs = keras.Input(input_shape)
    layer = make_layer()
    model = keras.Model(inputs, layer(inputs))
    x = np.random.default_rng(0).normal(size=(4, *input_shape)).astype("float32")

    outputs = model(x)
    assert [(None, *y.shape[1:]) for y in keras.tree.flatten(outputs)] == output_shapes
    assert [y.shape for y in model.outputs] == output_shapes
    shapes = layer.compute_output_shape((None, *input_shape))
    assert (shapes if isinstance(shapes[0], tuple) else (shapes,)) == tuple(output_shapes)
    assert sum(np.prod(w.shape) for w in layer.trainable_weights) == trainable
    assert sum(np.prod(w.shape) for w in layer.non_trainable_weights) == non_trainable

    _check_train_step(model, x)

    config = json.dumps(layer.get_config())
    again = type(layer).from_config(json.loads(config))
    assert json.dumps(again.get_config()) == config

    model.save(directory / "model.keras")
    _check_equal_outputs(model, keras.models.load_model(directory / "model.keras"), x)
    model.save_weights(directory / "model.weights.h5")
    inputs = keras.Input(input_shape)
    fresh = keras.Model(inputs, make_layer()(inputs))
    fresh.load_weights(directory / "model.weights.h5")
    _check_equal_outputs(model, fresh, x)


def _check_train_step(model: keras.Model, x: np.ndarray) -> None:
    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            output = keras.tree.flatten(model(x, training=True))[0]
            loss = tf.reduce_sum(output**2)
        return tape.gradient(loss, [w.value for w in model.trainable_variables])

    gradients = step(tf.constant(x))
    assert all(g is not None and np.any(g != 0) for g in gradients)
    for weight, gradient in zip(model.trainable_variables, gradients):
        weight.assign_sub(1e-3 * gradient)


def _check_equal_outputs(model: keras.Model, other: keras.Model, x: np.ndarray) -> None:
    outputs = []
    for each in (model, other):
        for variable in each.variables:
            if variable.name == "seed_generator_state":  # Keras saves no random state.
                variable.assign([1, 0])
        outputs.append(keras.tree.flatten(each.predict(x, verbose=0)))
    for a, b in zip(*outputs):
        np.testing.assert_array_equal(a, b)


def two_replicas() -> tf.distribute.Strategy:
    """Return a strategy over two virtual CPU devices, or skip the test where the session has only one."""
    devices = tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        pytest.skip("one CPU device: TensorFlow started before a second was configured")
    # TensorFlow's default, collective operations, fails where a second strategy is made in the same process: its keys
    # start anew and clash with those of the first.
    return tf.distribute.MirroredStrategy(
        [device.name for device in devices[:2]], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


def local_values(variable: keras.Variable) -> list[np.ndarray]:
    """Return the copies that the replicas hold of a variable."""
    return [copy.numpy() for copy in variable.value.values]
