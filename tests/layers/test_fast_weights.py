import numpy as np
import pytest

from tests.layers.helpers import Golden
from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import (
    FastWeights,
    RandomSigns,
    SpectralNormalization,
    StochasticFastWeights,
    TileMembers,
    fast_weight_initializer,
)
from uncertainty_suite.marks import marks
from uncertainty_suite.testing import check_layer

GOLDEN = Golden("batch_ensemble")
RANK1 = Golden("rank1")


def dense(units=3, **kwargs):
    return FastWeights(keras.layers.Dense(units, use_bias=False, dtype=kwargs.get("dtype")), **{"members": 4, **kwargs})


def test_layer_promises(tmp_path):
    check_layer(lambda: dense(members=2, activation="relu"), (4,), [(None, 3)], 12 + 2 * (4 + 3 + 3), 0, tmp_path)
    check_layer(
        lambda: FastWeights(keras.layers.Conv2D(3, 2, use_bias=False), members=2, use_bias=False, random_sign_init=0.5),
        (5, 5, 4),
        [(None, 4, 4, 3)],
        48 + 2 * (4 + 3),
        0,
        tmp_path,
    )
    check_layer(
        lambda: FastWeights(SpectralNormalization(keras.layers.Dense(3, use_bias=False)), members=2),
        (4,),
        [(None, 3)],
        12 + 2 * (4 + 3 + 3),
        4 + 3,
        tmp_path,
    )


@GOLDEN.parametrize("dense_rank1", "dense_tiled", "conv")
def test_golden_values(case):
    arrays, parameters = GOLDEN[case], GOLDEN.parameters[case]
    if case.startswith("conv"):
        *_, filters = arrays["kernel"].shape
        stride, padding = parameters["stride"], parameters["padding"]
        layer = keras.layers.Conv2D(
            filters, parameters["kernel_size"], stride, padding, use_bias=False, dtype="float64"
        )
    else:
        layer = keras.layers.Dense(3, use_bias=False, dtype="float64")
    use_bias, activation = parameters.get("use_bias", True), parameters.get("activation")
    layer = FastWeights(layer, parameters["ensemble_size"], activation, use_bias, dtype="float64")
    x = arrays.get("x_tiled", arrays["x"])
    layer.build(x.shape)
    values = {"kernel": arrays["kernel"], "r": arrays["alpha"], "s": arrays["gamma"], "bias": arrays.get("bias")}
    for variable in layer.variables:
        variable.assign(values[variable.name])
    np.testing.assert_allclose(layer(x), arrays["y"], rtol=1e-10)


def test_members_have_the_kernels_that_their_factors_make():
    layer, x = dense(), tf.random.stateless_normal((5, 4), seed=(0, 0))
    y = layer(TileMembers(4)(x)).numpy().reshape(4, 5, 3)
    kernel, r, s = (np.asarray(each) for each in (layer.layer.kernel, layer.r, layer.s))
    for member in range(4):
        np.testing.assert_allclose(y[member], x @ (kernel * np.outer(r[member], s[member])), rtol=1e-5, atol=1e-6)


def test_with_unit_fast_weights_every_member_is_the_plain_layer():
    layer, x = dense(random_sign_init=0.0), tf.random.stateless_normal((5, 4), seed=(0, 0))
    y = layer(TileMembers(4)(x)).numpy().reshape(4, 5, 3)
    np.testing.assert_allclose(y, np.stack([layer.layer(x)] * 4), rtol=1e-5)


def test_rows_are_given_to_members_in_any_rank_and_a_batch_of_unknown_size():
    layer = dense(members=2)
    x = tf.random.stateless_normal((6, 5, 4), seed=(0, 0))
    y = tf.function(layer, input_signature=[tf.TensorSpec((None, None, 4))])(x)
    np.testing.assert_allclose(y[:, 2], layer(x[:, 2]), rtol=1e-5, atol=1e-6)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        layer(x[:3])


def test_fast_weights_are_marked_and_the_kernel_is_not():
    layer = dense(gradient_factor=0.5)
    layer.build((None, 4))
    for weight in (layer.r, layer.s):
        assert (marks(weight).penalized, marks(weight).gradient_factor) == (False, 0.5)
    for weight in (layer.layer.kernel, layer.bias):
        assert (marks(weight).penalized, marks(weight).gradient_factor) == (True, 1.0)


def test_how_fast_weights_begin():
    signs = np.asarray(RandomSigns(0.7, seed=1)((20_000,)))
    np.testing.assert_array_equal(np.unique(signs), [-1, 1])
    assert np.mean(signs == 1) == pytest.approx(0.7, abs=0.02)
    normals = np.asarray(fast_weight_initializer(-0.5)((20_000,)))
    assert (normals.mean(), normals.std()) == (pytest.approx(1, abs=0.02), pytest.approx(0.5, abs=0.02))
    np.testing.assert_array_equal(fast_weight_initializer(0.0)((5,)), 1)
    np.testing.assert_array_equal(fast_weight_initializer(1.0)((5,)), 1)
    layer = dense(units=4)
    layer.build((None, 4))
    assert np.any(np.asarray(layer.r) != np.asarray(layer.s))  # of the same shape, and drawn apart


def test_wrong_arguments():
    for layer, message in (
        (keras.layers.Dense(3), "give these to FastWeights"),
        (keras.layers.Dense(3, use_bias=False, activation="relu"), "give these to FastWeights"),
        (keras.layers.Flatten(), "for a Dense or Conv2D layer, received Flatten"),
        (keras.layers.Conv2D(3, 1, use_bias=False, data_format="channels_first"), "channels last"),
    ):
        with pytest.raises(InputError, match=message):
            FastWeights(layer, members=2)
    with pytest.raises(InputError, match=r"at most 1, not 1\.5"):
        fast_weight_initializer(1.5)


def stochastic(units=3, dtype=None, **kwargs):
    layer = keras.layers.Dense(units, use_bias=False, dtype=dtype)
    return StochasticFastWeights(layer, dtype=dtype, **{"members": 4, **kwargs})


@pytest.mark.parametrize("distribution", ["normal", "cauchy"])
def test_stochastic_layer_promises(distribution, tmp_path):
    def make():
        return stochastic(members=2, distribution=distribution, seed=1)

    check_layer(make, (4,), [(None, 3)], 12 + 2 * (2 * 4 + 2 * 3 + 3), 0, tmp_path)


@RANK1.parametrize("dense_normal_E1_mult", "dense_normal_E4_mult")
def test_golden_draws_and_divergences(case, monkeypatch):
    arrays, members = RANK1[case], RANK1.parameters[case]["ensemble_size"]
    layer = stochastic(units=4, dtype="float64", members=members, prior_scale=RANK1.parameters[case]["prior_stddev"])
    layer.build(arrays["x"].shape)
    values = {"kernel": arrays["kernel"], "bias": arrays["bias"]}
    for ours, theirs in (("r", "alpha"), ("s", "gamma")):
        values |= {ours: arrays[f"{theirs}_mean"], f"{ours}_rho": arrays[f"{theirs}_rho"]}
    for variable in layer.trainable_variables:
        variable.assign(values[variable.name])

    def noise_of(name):
        mean, stddev = (arrays[f"{name}_{moment}"][:, np.newaxis] for moment in ("mean", "stddev"))
        return (arrays[f"{name}_samples_per_row"].reshape(members, -1, mean.shape[-1]) - mean) / stddev

    noise = iter([noise_of("alpha"), noise_of("gamma")])
    monkeypatch.setattr(layer, "_draw", lambda shape, seed: tf.constant(next(noise)))
    np.testing.assert_allclose(layer(arrays["x"]), arrays["y"], rtol=1e-9)
    np.testing.assert_allclose(layer.kl_divergence(), arrays["kl_total"], rtol=1e-9)


@pytest.mark.parametrize("distribution", ["normal", "cauchy"])
def test_draws_have_the_distribution_and_are_those_of_each_row(distribution):
    layer = stochastic(units=1, members=2, distribution=distribution, initial_scale=0.2, seed=1, use_bias=False)
    layer.build((None, 1))
    layer.layer.kernel.assign([[1.0]])
    layer.s.assign([[1.0], [1.0]])
    layer.s_rho.assign([[-50.0], [-50.0]])
    layer.r.assign([[0.5], [-1.0]])
    draws = layer(tf.ones((40_000, 1))).numpy().reshape(2, -1)
    scale = np.log1p(np.exp(np.asarray(layer.r_rho))).ravel()
    quartiles = np.quantile(draws, (0.25, 0.5, 0.75), axis=1).T
    beyond = {"normal": 0.6745, "cauchy": 1.0}[distribution]
    for member, location in enumerate((0.5, -1.0)):
        expected = location + scale[member] * beyond * np.array([-1, 0, 1])
        np.testing.assert_allclose(quartiles[member], expected, atol=0.01)
    assert len(np.unique(draws)) > 39_000
    assert np.abs(draws).max() <= 10.001


@pytest.mark.parametrize("distribution", ["normal", "cauchy"])
def test_divergence_is_that_of_the_densities(distribution):
    stats = pytest.importorskip("scipy.stats")
    kind = {"normal": stats.norm, "cauchy": stats.cauchy}[distribution]
    layer = stochastic(units=1, members=1, distribution=distribution, prior_scale=0.3)
    layer.build((None, 1))
    layer.r.assign([[0.8]])
    layer.s.assign([[1.0]])
    layer.r_rho.assign([[np.log(np.expm1(0.2))]])
    layer.s_rho.assign([[np.log(np.expm1(0.3))]])  # s is the prior
    # By quantiles of the posterior, which reach far into its tails.
    shares = (np.arange(1_000_000) + 0.5) / 1_000_000
    x = kind.ppf(shares, 0.8, 0.2)
    expected = np.mean(kind.logpdf(x, 0.8, 0.2) - kind.logpdf(x, 1.0, 0.3))
    assert float(layer.kl_divergence()) == pytest.approx(expected, rel=1e-3)


def test_without_a_scale_stochastic_fast_weights_are_the_fast_weights():
    layer, plain = stochastic(random_sign_init=-0.5), dense()
    x = TileMembers(4)(tf.random.stateless_normal((5, 4), seed=(0, 0)))
    for each in (layer, plain):
        each.build(x.shape)
    for rho in (layer.r_rho, layer.s_rho):
        rho.assign(tf.fill(rho.shape, -50.0))
    plain.layer.kernel.assign(layer.layer.kernel)
    plain.r.assign(layer.r)
    plain.s.assign(layer.s)
    np.testing.assert_allclose(layer(x), plain(x), rtol=1e-5, atol=1e-6)


def test_the_penalty_leaves_posteriors_out():
    layer = stochastic()
    layer.build((None, 4))
    penalized = {weight.name for weight in layer.trainable_variables if marks(weight).penalized}
    assert penalized == {"kernel", "bias"}


def test_wrong_distributions():
    with pytest.raises(InputError, match=r"Unknown distribution 'cauchi'\. Did you mean 'cauchy'\?"):
        stochastic(distribution="cauchi")
    with pytest.raises(InputError, match="Scales must be above 0"):
        stochastic(prior_scale=0.0)
