import numpy as np
import pytest
from scipy import stats

from uncertainty_suite import keras, layers, tf, training
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import FastWeights, LogUniform, SelfTuned

MEMBERS, BATCH, COUNT, UNITS = 2, 3, 4, 5
RNG = np.random.default_rng(0)
SETTINGS = RNG.uniform(size=(MEMBERS * BATCH, COUNT)).astype(np.float32)
MAKE = {
    "dense": (lambda **kwargs: keras.layers.Dense(UNITS, use_bias=False, **kwargs), (3,)),
    "sequence": (lambda **kwargs: keras.layers.Dense(UNITS, use_bias=False, **kwargs), (4, 3)),
    "conv": (lambda **kwargs: keras.layers.Conv2D(UNITS, 3, padding="same", use_bias=False, **kwargs), (4, 4, 2)),
}


def inputs_of(kind: str) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(MEMBERS * BATCH, *MAKE[kind][1])).astype(np.float32)


def self_tuned(kind: str, **arguments) -> SelfTuned:
    """Return a layer, called once, whose every variable is random."""
    layer = SelfTuned(MAKE[kind][0](name="layer"), MEMBERS, index=1, **arguments)
    layer(inputs_of(kind), SETTINGS)
    rng = np.random.default_rng(2)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    return layer


def weights_of_rows(layer: SelfTuned, fast_weights: bool = True) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the kernel and the bias of each row, by the formula in its docstring."""
    kernel, response = np.asarray(layer.layer.kernel), np.asarray(layer.response.kernel)
    r, s = np.asarray(layer.r), np.asarray(layer.s)
    found = []
    for row, setting in enumerate(SETTINGS):
        m = row // BATCH
        of_row = kernel + response * (setting @ np.asarray(layer.sensitivity))
        change = (setting @ np.asarray(layer.bias_sensitivity)) * np.asarray(layer.bias_response)[m]
        found.append((of_row * np.outer(r[m], s[m]) if fast_weights else of_row, np.asarray(layer.bias)[m] + change))
    return found


# Self-tuned layers.


@pytest.mark.parametrize("kind", MAKE)
def test_each_row_has_weights_of_its_own(kind):
    layer, x = self_tuned(kind, activation="tanh"), inputs_of(kind)
    said = layer(x, SETTINGS)
    for row, (kernel, bias) in enumerate(weights_of_rows(layer)):
        linear = MAKE[kind][0]() if kind == "conv" else None
        if linear is None:
            expected = x[row] @ kernel
        else:
            linear.build((None, *x.shape[1:]))
            linear.kernel.assign(kernel)
            expected = linear(x[row][np.newaxis])[0]
        np.testing.assert_allclose(said[row], np.tanh(expected + bias), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", MAKE)
def test_without_sensitivity_it_has_fast_weights_alone(kind):
    layer, x = self_tuned(kind), inputs_of(kind)
    plain = FastWeights(MAKE[kind][0](), MEMBERS)
    plain.build(x.shape)
    for variable in (layer.sensitivity, layer.bias_sensitivity):
        variable.assign(np.zeros(variable.shape))
    for mine, theirs in ((layer.layer.kernel, plain.layer.kernel), (layer.r, plain.r), (layer.s, plain.s)):
        theirs.assign(mine)
    plain.bias.assign(layer.bias)
    np.testing.assert_allclose(layer(x, SETTINGS), plain(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", MAKE)
def test_a_penalty_is_that_of_the_weights_of_each_row(kind):
    layer = self_tuned(kind)
    factors = np.exp(SETTINGS)
    squares = [np.sum(kernel**2) + np.sum(bias**2) for kernel, bias in weights_of_rows(layer, fast_weights=False)]
    expected = np.mean(factors[:, 1] * squares)
    assert float(layer.penalty(tf.constant(SETTINGS), tf.constant(factors))) == pytest.approx(expected, rel=1e-5)


def test_the_penalty_of_a_configuration_leaves_it_out_and_every_weight_is_trained():
    rows, settings = keras.Input((3,)), keras.Input((COUNT,))
    layer = self_tuned("dense")
    model = keras.Model([rows, settings], layer(rows, settings))
    assert model.output.shape == (None, UNITS)
    assert float(training.penalty(model, 1.0)) == 0
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model([inputs_of("dense"), SETTINGS]) ** 2)
    for gradient in tape.gradient(loss, [each.value for each in model.trainable_variables]):
        assert np.any(gradient != 0)


@pytest.mark.parametrize("kind", MAKE)
def test_a_network_of_them_is_saved_and_loaded(kind, tmp_path):
    inputs = keras.Input(MAKE[kind][1])
    rows = layers.TileMembers(MEMBERS)(inputs)
    settings = LogUniform(MEMBERS, COUNT, 1e-6, 1e-2, name="factors")(rows)
    layer = SelfTuned(MAKE[kind][0](name="layer"), MEMBERS, index=1, activation="relu", random_sign_init=0.5)
    model = keras.Model(inputs, layer(rows, settings))
    assert len({variable.path for variable in model.variables}) == len(model.variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = inputs_of(kind)[:BATCH]
    np.testing.assert_array_equal(loaded(x), model(x))
    assert loaded.layers[-1].get_config()["index"] == 1


def test_a_wrapped_layer_is_refused():
    with pytest.raises(InputError, match="Dense or Conv2D layer itself, received SpectralNormalization"):
        SelfTuned(layers.SpectralNormalization(MAKE["dense"][0]()), MEMBERS, index=0)


# The distributions.


def log_uniform(lower=1e-3, upper=1e-1, **arguments) -> LogUniform:
    """Return distributions between two bounds, called once."""
    layer = LogUniform(MEMBERS, COUNT, 1e-4, 1.0, **{"seed": 1, **arguments})
    layer(np.zeros((MEMBERS, 3)))
    if lower is not None:
        layer.log_lower.assign(np.full((MEMBERS, COUNT), np.log(lower)))
        layer.log_upper.assign(np.full((MEMBERS, COUNT), np.log(upper)))
    return layer


def test_mean_entropy_and_draws_are_those_of_a_log_uniform_distribution():
    layer, expected = log_uniform(), stats.loguniform(1e-3, 1e-1)
    np.testing.assert_allclose(layer.mean(), expected.mean(), rtol=1e-5)
    assert float(layer.entropy()) == pytest.approx(float(expected.entropy()), rel=1e-5)
    drawn = layer.values(layer.sample(500)).numpy()
    assert drawn.shape == (MEMBERS * 500, COUNT)
    assert stats.kstest(drawn.ravel(), expected.cdf).pvalue > 1e-3
    assert np.any(layer.values(layer.sample(500)) != drawn)


def test_rows_have_the_settings_of_their_member():
    layer = log_uniform()
    layer.log_upper.assign(np.log([[2e-3] * COUNT, [1e-1] * COUNT]))
    values = layer.values(layer(np.zeros((MEMBERS * BATCH, 7)))).numpy()
    np.testing.assert_allclose(values[:BATCH], stats.loguniform(1e-3, 2e-3).mean(), rtol=1e-5)
    np.testing.assert_allclose(values[BATCH:], stats.loguniform(1e-3, 1e-1).mean(), rtol=1e-5)
    drawn = layer.values(layer.sample(200)).numpy()
    assert drawn[:200].max() < 2.01e-3 < drawn[200:].max()
    assert layer.trainable_variables == []


def test_settings_are_shares_of_the_range_on_a_logarithmic_scale():
    layer = log_uniform()
    np.testing.assert_allclose(layer.values(tf.constant([[0.0, 0.5, 0.75, 1.0]])), [[1e-4, 1e-2, 1e-1, 1.0]], rtol=1e-5)


def test_distributions_begin_narrow_about_the_mean_of_the_range():
    layer = log_uniform(None, initial_width=0.02)
    np.testing.assert_allclose(layer.mean(), stats.loguniform(1e-4, 1.0).mean(), rtol=0.01)
    np.testing.assert_allclose(layer.log_upper - layer.log_lower, 0.04, rtol=1e-3)
    assert len({float(each) for each in np.ravel(layer.log_lower)}) == MEMBERS * COUNT


def test_draws_have_gradients_by_the_bounds():
    layer = log_uniform()
    with tf.GradientTape() as tape:
        bounds = [layer.log_lower.value, layer.log_upper.value]
        tape.watch(bounds)
        total = tf.reduce_sum(layer.sample(BATCH))
    by_lower, by_upper = tape.gradient(total, bounds)  # each draw moves by 1, over the length of the range, in all
    np.testing.assert_allclose(by_lower + by_upper, BATCH / np.log(1e4), rtol=1e-5)


def test_bounds_are_brought_back_into_the_range():
    layer = log_uniform(1e-6, 1e3)
    layer.clip()
    np.testing.assert_allclose(layer.log_lower, np.log(1e-4), rtol=1e-6)
    np.testing.assert_allclose(layer.log_upper, 0, atol=1e-6)
    crossed = log_uniform(1e-1, 1e-3)
    crossed.clip()
    assert np.all(np.asarray(crossed.log_upper) > np.asarray(crossed.log_lower))
    assert np.isfinite(crossed.entropy())
    above = log_uniform(1e2, 1e3)
    above.clip()
    assert np.all(np.asarray(above.log_upper) > np.asarray(above.log_lower))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 0.0, "high": 1.0}, "above 0 and not empty, received 0.0 to 1.0"),
        ({"low": 2.0, "high": 1.0}, "above 0 and not empty, received 2.0 to 1.0"),
        ({"low": 1.0, "high": 2.0, "initial_width": 0.0}, "initial_width must be above 0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        LogUniform(MEMBERS, COUNT, **arguments)
