import functools

import numpy as np
import pytest

from tests.layers.helpers import two_replicas
from uncertainty_suite import keras, layers, tf
from uncertainty_suite.layers import Recurrence, lstm

LENGTH, DIMENSIONS, UNITS = 5, 3, 4
INPUTS = np.random.default_rng(0).normal(size=(3, LENGTH, DIMENSIONS)).astype(np.float32)
IS_TOKEN = np.arange(LENGTH) < np.array([[LENGTH], [2], [3]])


def make_model(dense=keras.layers.Dense) -> keras.Model:
    inputs, is_token = keras.Input((LENGTH, DIMENSIONS)), keras.Input((LENGTH,), dtype="bool")
    return keras.Model([inputs, is_token], lstm(UNITS, dense=dense, name="lstm")(inputs, is_token))


def variational(*args, initial_stddev=0.3, **kwargs):
    return layers.Variational(keras.layers.Dense(*args, **kwargs), initial_stddev=initial_stddev, seed=1)


def fast_weights(*args, make=layers.FastWeights, use_bias=True, **kwargs):
    return make(keras.layers.Dense(*args, use_bias=False, **kwargs), members=3, use_bias=use_bias)


def normalized(*args, **kwargs):
    return layers.SpectralNormalization(keras.layers.Dense(*args, **kwargs), norm_bound=0.5)


def weights_of(model: keras.Model) -> list[np.ndarray]:
    """Return input kernel, recurrent kernel and bias of a model, as Keras has them."""
    of = {f"{weight.path.split('/')[0]} {weight.name}": np.asarray(weight) for weight in model.weights}
    return [of["lstm_input kernel"], of["lstm kernel"], of["lstm_input bias"] + np.repeat([0, 1, 0, 0], UNITS)]


def said_by_keras(weights: list[np.ndarray], inputs=INPUTS, is_token=IS_TOKEN) -> np.ndarray:
    plain = keras.layers.LSTM(UNITS)
    plain.build(inputs.shape)
    plain.set_weights(weights)
    return np.asarray(plain(inputs, mask=tf.constant(is_token)))


def in_numpy(inputs, kernels, recurrent_kernels, bias) -> np.ndarray:
    """Run through one sequence `[length, d]`, with kernels of their own at each step."""
    h = c = np.zeros(UNITS)
    for x, kernel, recurrent_kernel in zip(inputs, kernels, recurrent_kernels):
        i, f, g, o = np.split(x @ kernel + h @ recurrent_kernel + bias, 4)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
    return h


def test_equals_the_layer_of_keras_with_the_same_weights():
    model = make_model()
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.weights])
    said = model([INPUTS, IS_TOKEN])
    np.testing.assert_allclose(said, said_by_keras(weights_of(model)), rtol=1e-5, atol=1e-6)
    kernel, recurrent_kernel, bias = weights_of(model)
    expected = in_numpy(INPUTS[0], [kernel] * LENGTH, [recurrent_kernel] * LENGTH, bias)
    np.testing.assert_allclose(said[0], expected, rtol=1e-5, atol=1e-6)


def test_gradients_are_those_of_the_layer_of_keras():
    model = make_model()
    plain = keras.layers.LSTM(UNITS)
    plain.build(INPUTS.shape)
    plain.set_weights(weights_of(model))

    @tf.function
    def gradients():
        with tf.GradientTape(persistent=True) as tape:
            said = tf.reduce_sum(model([INPUTS, IS_TOKEN], training=True) ** 2)
            expected = tf.reduce_sum(plain(INPUTS, mask=tf.constant(IS_TOKEN), training=True) ** 2)
        kernel, bias, recurrent_kernel = (weight.value for weight in model.trainable_variables)
        theirs = [weight.value for weight in plain.trainable_variables]
        return tape.gradient(said, [kernel, recurrent_kernel, bias]), tape.gradient(expected, theirs)

    for mine, theirs in zip(*gradients()):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("estimator", ["flipout", "reparameterization"])
def test_without_variance_a_bayesian_one_is_that_of_the_means(estimator, training):
    def dense(*args, **kwargs):
        return layers.Variational(keras.layers.Dense(*args, **kwargs), initial_stddev=1e-12, estimator=estimator)

    model = make_model(dense)
    expected = said_by_keras(weights_of(model))
    np.testing.assert_allclose(model([INPUTS, IS_TOKEN], training=training), expected, rtol=1e-5, atol=1e-6)


def test_a_divergence_is_the_closed_form():
    model = make_model(variational)
    kernel, recurrent_kernel, _ = weights_of(model)
    means = np.concatenate([kernel.ravel(), recurrent_kernel.ravel()])
    prior, stddev = 0.1, 0.3
    expected = np.sum((means**2 + stddev**2) / (2 * prior**2) - 0.5 - np.log(stddev / prior))
    assert float(layers.kl_divergence(model)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("compiled", [True, False])
def test_all_steps_have_one_draw(compiled, training):
    layer = Recurrence(variational(4 * UNITS, use_bias=False, name="recurrent"))
    gates = tf.random.stateless_normal((1, LENGTH, 4 * UNITS), seed=(0, 0))
    layer.build(gates.shape, gates.shape[:2])
    generator = layer.layer.seed_generator
    call = tf.function(layer) if compiled else layer
    generator.state.assign([3, 0])
    drawn = layer.layer(np.eye(UNITS), training=False).numpy()  # the kernel itself
    generator.state.assign([3, 0])
    said = call(gates, tf.ones(gates.shape[:2], bool), training=training)
    bias = np.repeat([0, 1, 0, 0], UNITS)
    expected = in_numpy(gates[0].numpy(), [np.eye(4 * UNITS)] * LENGTH, [drawn] * LENGTH, bias)
    np.testing.assert_allclose(said[0], expected, rtol=1e-5, atol=1e-6)
    again = call(gates, tf.ones(gates.shape[:2], bool), training=training)
    assert np.any(said != again)  # the states of random numbers have moved on


def test_members_are_long_short_term_memories_of_their_own():
    model = make_model(fast_weights)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.weights])
    rows, is_token = layers.TileMembers(3)(INPUTS), layers.TileMembers(3)(IS_TOKEN)
    said = layers.by_member(model([rows, is_token]), 3)
    given, recurrent = model.get_layer("lstm_input"), model.get_layer("lstm").layer
    for m in range(3):
        kernels = [
            np.asarray(layer.layer.kernel) * np.outer(np.asarray(layer.r)[m], np.asarray(layer.s)[m])
            for layer in (given, recurrent)
        ]
        bias = np.asarray(given.bias)[m] + np.repeat([0, 1, 0, 0], UNITS)
        np.testing.assert_allclose(said[m], said_by_keras([*kernels, bias]), rtol=1e-4, atol=1e-5)


def test_rows_of_stochastic_fast_weights_have_draws_of_their_own():
    make = functools.partial(layers.StochasticFastWeights, initial_scale=0.5, seed=1)
    model = make_model(functools.partial(fast_weights, make=make))
    alike = tf.repeat(INPUTS[:1], 6, axis=0)
    said = model([alike, tf.ones(alike.shape[:2], bool)]).numpy()
    assert len({row.tobytes() for row in said}) == 6


def test_a_training_call_normalises_the_recurrent_kernel_once():
    keras.utils.set_random_seed(0)
    model = make_model(normalized)
    recurrent = model.get_layer("lstm").layer
    alone = keras.models.clone_model(keras.Sequential([keras.Input((UNITS,)), recurrent])).layers[0]
    alone.set_weights(recurrent.get_weights())
    for _ in range(3):
        alone(tf.zeros((1, UNITS)), training=True)
        said = model([INPUTS, IS_TOKEN], training=True)
        for mine, theirs in zip(recurrent.weights, alone.weights):
            np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_array_equal(said, model([INPUTS, IS_TOKEN]))  # by the kernel as it is now
    for _ in range(20):
        model([INPUTS, IS_TOKEN], training=True)
    assert np.linalg.norm(recurrent.layer.kernel, ord=2) == pytest.approx(0.5, rel=0.01)


def test_other_weights_take_the_place_of_its_own():
    model = make_model()
    others = [1.5 * tf.convert_to_tensor(weight) for weight in model.trainable_variables]
    with keras.StatelessScope(list(zip(model.trainable_variables, others))):
        said = model([INPUTS, IS_TOKEN])
    model.set_weights(others)
    np.testing.assert_array_equal(said, model([INPUTS, IS_TOKEN]))


def test_replicas_draw_different_kernels():
    strategy = two_replicas()
    with strategy.scope():
        model = make_model(variational)
    outputs = strategy.run(tf.function(lambda: model([INPUTS, IS_TOKEN], training=True)))
    first, second = strategy.experimental_local_results(outputs)
    assert np.any(first != second)


@pytest.mark.parametrize("dense", [keras.layers.Dense, variational, fast_weights, normalized])
def test_saves_and_loads(dense, tmp_path):
    model = make_model(dense)
    assert model.output.shape == (None, UNITS)
    model([INPUTS, IS_TOKEN], training=True)
    model.save(tmp_path / "model.keras")
    said = []
    for each in (model, keras.saving.load_model(tmp_path / "model.keras")):
        layers.seed_draws([each], 0)
        said.append(each([INPUTS, IS_TOKEN]))
    np.testing.assert_array_equal(*said)


def test_half_precision():
    original = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        model = make_model(variational)
    finally:
        keras.config.set_dtype_policy(original)
    said = model([INPUTS, IS_TOKEN], training=True)
    assert said.dtype == tf.bfloat16
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}


def test_without_tokens_it_remembers_nothing():
    np.testing.assert_array_equal(make_model()([INPUTS, np.zeros_like(IS_TOKEN)]), 0)
