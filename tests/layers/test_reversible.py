"""Inverses are exact, and log-determinants those of the Jacobian by automatic differentiation."""

import numpy as np
import pytest

from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import AffineCoupling, FlowDensities, RadialFlow
from uncertainty_suite.testing import check_layer

RNG = np.random.default_rng(0)
X = 2 * RNG.normal(size=(20, 5))


def coupling(**arguments):
    """Return a coupling layer in float64 that is not the identity any more."""
    layer = AffineCoupling((8, 8), dtype="float64", **arguments)
    layer.build((None, 5))
    for variable in layer.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    return layer


def radial():
    layer = RadialFlow(dtype="float64")
    layer.build((None, 5))
    for variable in layer.trainable_variables:
        variable.assign(2 * RNG.normal(size=variable.shape))
    return layer


MAKERS = {"radial": radial, "coupling": coupling, "coupling_first": lambda: coupling(changes_first=True)}
everywhere = pytest.mark.parametrize("make_layer", MAKERS.values(), ids=MAKERS.keys())


@everywhere
def test_the_inverse_is_exact(make_layer):
    for _ in range(3):
        layer = make_layer()
        z, _ = layer(tf.constant(X))
        assert np.abs(z - X).max() > 0.01
        np.testing.assert_allclose(layer.inverse(z), X, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(layer(layer.inverse(tf.constant(X)))[0], X, rtol=1e-7, atol=1e-9)


@everywhere
def test_the_log_determinant_is_that_of_the_jacobian(make_layer):
    for _ in range(3):
        layer = make_layer()
        with tf.GradientTape() as tape:
            tape.watch(inputs := tf.constant(X))
            z, log_det = layer(inputs)
        jacobian = tape.batch_jacobian(z, inputs)
        sign, expected = np.linalg.slogdet(jacobian)
        np.testing.assert_allclose(log_det, expected, rtol=1e-7, atol=1e-9)
        assert (sign == 1).all()


@pytest.mark.parametrize("case", ["radial_flow_dim2", "radial_flow_dim6"])
def test_golden_radial_flows(case, golden_dir):
    with np.load(golden_dir / "methods" / "posterior_network.npz", allow_pickle=False) as arrays:
        golden = {key.partition("/")[2]: arrays[key] for key in arrays.files if key.startswith(f"{case}/")}
    classes, depth, dimensions = golden["x0"].shape
    z = tf.repeat(tf.constant(golden["x"])[:, tf.newaxis], classes, axis=1)
    log_det = 0.0
    for step in range(depth):
        flow = RadialFlow(dtype="float64")  # of all classes at once
        flow.build(z.shape)
        flow.x0.assign(golden["x0"][:, step])
        flow.raw_alpha.assign(golden["alpha_prime"][:, step])
        flow.raw_beta.assign(golden["beta_prime"][:, step])
        z, more = flow(z)
        np.testing.assert_allclose(more, golden["log_det_per_step"][:, :, step], rtol=1e-7, atol=1e-9)
        log_det += more
    np.testing.assert_allclose(z, golden["z"], rtol=1e-9, atol=1e-9)
    log_density = log_det - 0.5 * (tf.reduce_sum(z**2, axis=-1) + dimensions * np.log(2 * np.pi))
    np.testing.assert_allclose(log_density, golden["log_density"], rtol=1e-7)

    head = FlowDensities(classes, golden["class_counts"], dimensions, depth)
    head.build((None, dimensions))
    head.projection.set_weights([np.eye(dimensions), np.zeros(dimensions)])
    head.normalization.set_weights([np.ones(dimensions)] + [np.zeros(dimensions)] * 2 + [np.full(dimensions, 1 - 1e-3)])
    for step, flow in enumerate(head.flows):
        for name, key in (("x0", "x0"), ("raw_alpha", "alpha_prime"), ("raw_beta", "beta_prime")):
            getattr(flow, name).assign(golden[key][:, step])
    evidence = np.exp(head(golden["x"].astype("float32"), training=False))
    np.testing.assert_allclose(1 + evidence, golden["alpha"], rtol=1e-3)


def test_a_density_integrates_to_one():
    head = FlowDensities(2, [1, 1], latent_size=1, depth=3)
    head.build((None, 1))
    head.projection.set_weights([np.ones((1, 1)), np.zeros(1)])
    for flow in head.flows:
        for variable in flow.trainable_variables:
            variable.assign(RNG.normal(size=variable.shape))
    grid = np.linspace(-40, 40, 80_001, dtype=np.float32)
    density = np.exp(head(grid[:, np.newaxis], training=False)) * (1 + 1e-3) ** 0.5  # by the normalisation's epsilon
    np.testing.assert_allclose(density.sum(axis=0) * (grid[1] - grid[0]), 1, rtol=1e-3)


@pytest.mark.parametrize(
    ("make_layer", "shapes", "trainable", "non_trainable"),
    [
        (lambda: RadialFlow(seed=1), [(None, 4), (None,)], 4 + 1 + 1, 0),
        (lambda: FlowDensities(3, [5, 6, 7], latent_size=2, depth=2), [(None, 3)], 4 * 2 + 2 + 4 + 2 * 3 * 4, 4),
    ],
)
def test_layer_promises(make_layer, shapes, trainable, non_trainable, tmp_path):
    check_layer(make_layer, (4,), shapes, trainable, non_trainable, tmp_path)


def test_a_coupling_starts_as_the_identity_and_is_saved(tmp_path):
    inputs = keras.Input((5,))
    model = keras.Model(inputs, AffineCoupling((4,), changes_first=True, name="coupling")(inputs))
    x = X.astype("float32")
    z, log_det = model(x)
    np.testing.assert_array_equal(z, x)
    np.testing.assert_array_equal(log_det, np.zeros(20))
    for variable in model.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    model.save(tmp_path / "model.keras")
    for mine, other in zip(model(x), keras.models.load_model(tmp_path / "model.keras")(x)):
        np.testing.assert_array_equal(mine, other)
    assert not np.allclose(model(x)[0], x)


@pytest.mark.parametrize(
    ("make_layer", "message"),
    [
        (lambda: AffineCoupling().build((None, 1)), "needs at least two dimensions"),
        (lambda: FlowDensities(2, [1, 0]), "The 2 classes need training examples each"),
        (lambda: FlowDensities(2, [1]), "The 2 classes need training examples each"),
        (lambda: FlowDensities(2, [1, 1], depth=0), "depth must be above 0"),
    ],
)
def test_refused_arguments(make_layer, message):
    with pytest.raises(InputError, match=message):
        make_layer()
