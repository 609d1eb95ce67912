import json

import numpy as np
import pytest

from uncertainty_suite import keras, layers, likelihoods, tf, training
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import VariationalLastLayer, variational_last_layer
from uncertainty_suite.testing import check_layer

CASES = {
    "regression_diagonal_out1": "diagonal",
    "regression_dense_out1": "dense",
    "regression_lowrank_out1": "low_rank",
    "classification_diagonal": "diagonal",
    "classification_dense": "dense",
    "classification_lowrank": "low_rank",
}


@pytest.fixture(scope="module")
def golden(golden_dir):
    with np.load(golden_dir / "methods" / "vbll.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files if name != "__meta__"}
        return arrays, json.loads(str(file["__meta__"]))["cases"]


def with_golden_weights(golden, case: str) -> tuple[VariationalLastLayer, dict[str, np.ndarray], dict[str, float]]:
    """Return the layer of a golden case, its arrays and its parameters."""
    arrays, cases = golden
    values = {name.removeprefix(f"{case}/"): array for name, array in arrays.items() if name.startswith(f"{case}/")}
    num_latents, dimensions = values["W_mean"].shape
    layer = VariationalLastLayer(
        num_latents if case.startswith("classification") else num_latents + 1,
        num_latents,
        covariance=CASES[case],
        rank=values["W_offdiag"].shape[-1] if "W_offdiag" in values else 1,
        prior_scale=cases[case]["effective_prior_variance"] * dimensions,
        use_bias=False,
    )
    layer.build((None, dimensions))
    layer.mean.assign(values["W_mean"])
    layer.log_diagonal.assign(values["W_logdiag"])
    if "W_offdiag" in values:
        layer.factor.assign(values["W_offdiag"])
    if layer.others is None:
        layer.log_noise.assign(values["noise_logdiag"])
    return layer, values, cases[case]


@pytest.mark.parametrize("case", CASES)
def test_the_divergence_and_the_variances_are_the_golden_ones(golden, case):
    layer, values, _ = with_golden_weights(golden, case)
    assert float(layer.kl_divergence()) == pytest.approx(float(values["kl"]), rel=1e-5)
    said = layer(values["x_test"])
    noise = np.exp(2 * values["noise_logdiag"])
    if case.startswith("classification"):
        np.testing.assert_allclose(said["outputs"], values["logit_mean"], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(said["output_variance"], values["logit_variance"], rtol=1e-5)
        probs = layers.monte_carlo_softmax(
            said["outputs"], said["output_variance"], 20, 0, noise=tf.constant(values["normals"], tf.float32)
        )
        np.testing.assert_allclose(tf.reduce_mean(probs, axis=0), values["probs_for_normals"], rtol=1e-4)
    else:
        np.testing.assert_allclose(said["outputs"][:, :1], values["predictive_mean"], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(said["output_variance"] + noise, values["predictive_variance"], rtol=1e-5)


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("classification")])
def test_the_bound_of_classes_is_the_golden_one(golden, case):
    layer, values, _ = with_golden_weights(golden, case)
    said = layer(values["x"])
    likelihood = likelihoods.get("categorical", num_classes=layer.units)
    bound = -likelihood.expected_loss(said["outputs"], said["output_variance"], values["y"].astype(int))
    np.testing.assert_allclose(bound, values["jensen_bound"], rtol=1e-4, atol=1e-5)


def wishart(log_noise: np.ndarray, dof: float, scale: float) -> float:
    """Return the negative log density of a noise under its prior, up to a constant."""
    return float(np.sum(2 * dof * log_noise + scale / 2 * np.exp(-2 * log_noise)))


def test_the_noise_penalty_is_the_golden_one_but_for_the_parameters_of_the_prior(golden):
    layer, values, parameters = with_golden_weights(golden, "classification_dense")
    log_noise = values["noise_logdiag"]
    golden_penalty = wishart(log_noise, parameters["effective_dof"], parameters["wishart_scale"])
    assert golden_penalty == pytest.approx(-float(values["wishart_term"]))
    assert float(layer.noise_penalty()) == pytest.approx(wishart(log_noise, (2 + layer.units) / 2, 1.0), rel=1e-5)


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("regression")])
def test_the_bound_of_a_regression_is_the_golden_one(golden, case):
    layer, values, _ = with_golden_weights(golden, case)
    said = layer(values["x"])
    raw = np.log(np.expm1(np.exp(values["noise_logdiag"][0]) - 1e-3))  # what the likelihood takes for that noise
    outputs = tf.stack([said["outputs"][:, 0], tf.fill([len(values["x"])], np.float32(raw))], axis=1)
    likelihood = likelihoods.get("gaussian", mean=0.0, stddev=1.0)
    expected = -likelihood.expected_loss(outputs, said["output_variance"], values["y"][:, 0])
    np.testing.assert_allclose(expected, values["expected_log_likelihood"], rtol=1e-4, atol=1e-5)
    assert float(layer.noise_penalty()) == 0.0


@pytest.mark.parametrize(
    ("arguments", "outputs", "trainable"),
    [
        ({"units": 3}, 3, 3 * (5 + 5 + 25) + 3),
        ({"units": 2, "num_latents": 1, "covariance": "diagonal"}, 2, 10 + 5),
        ({"units": 2, "covariance": "low_rank", "rank": 2, "use_bias": False, "prior_scale": 2.0}, 2, 2 * 16 + 2),
    ],
)
def test_layer_promises(arguments, outputs, trainable, tmp_path):
    @keras.saving.register_keras_serializable("tests")
    class Sum(keras.layers.Layer):
        """Both outputs in one, so that every weight has a gradient."""

        def __init__(self, layer=None, **kwargs):
            super().__init__(**kwargs)
            self.layer = layer or VariationalLastLayer(**arguments, name="head")

        def build(self, input_shape):
            self.layer.build(input_shape)

        def call(self, inputs):
            said = self.layer(inputs)
            # Above its diagonal the factor of a dense covariance is not used.
            unused = 0.0
            if self.layer.covariance == "dense":
                unused = tf.reduce_sum(self.layer.factor)
            return said["outputs"] + tf.reduce_sum(said["output_variance"], axis=1, keepdims=True) + unused

        def compute_output_shape(self, input_shape):
            return (input_shape[0], self.layer.units)

    check_layer(Sum, (4,), [(None, outputs)], trainable, 0, tmp_path)
    layer = VariationalLastLayer(**arguments)
    assert VariationalLastLayer.from_config(layer.get_config()).get_config() == layer.get_config()
    shapes = {name: each.shape for name, each in layer(tf.ones((2, 4))).items()}
    assert shapes == layer.compute_output_shape((2, 4))


def test_bayesian_linear_regression():
    """At the exact posterior, of given noise, the bound has no slope, and its value is the log evidence."""
    rng = np.random.default_rng(0)
    x, noise_stddev, prior_scale = rng.normal(size=(30, 4)), 0.5, 3.0
    y = x @ [1.0, -2.0, 0.5, 0.0] + noise_stddev * rng.normal(size=30)
    prior_variance = prior_scale / 4
    covariance = np.linalg.inv(x.T @ x / noise_stddev**2 + np.eye(4) / prior_variance)
    mean = covariance @ x.T @ y / noise_stddev**2
    evidence_covariance = noise_stddev**2 * np.eye(30) + prior_variance * x @ x.T
    _, log_determinant = np.linalg.slogdet(evidence_covariance)
    evidence = -0.5 * (y @ np.linalg.solve(evidence_covariance, y) + log_determinant + 30 * np.log(2 * np.pi))
    layer = VariationalLastLayer(2, 1, prior_scale=prior_scale, use_bias=False)
    layer.build((None, 4))
    cholesky = np.linalg.cholesky(covariance)
    layer.mean.assign(mean[np.newaxis])
    layer.log_diagonal.assign(np.log(np.diag(cholesky))[np.newaxis])
    layer.factor.assign(cholesky[np.newaxis])
    likelihood = likelihoods.get("gaussian", mean=0.0, stddev=1.0)
    raw = tf.fill([30, 1], np.float32(np.log(np.expm1(noise_stddev - 1e-3))))
    with tf.GradientTape() as tape:
        said = layer(x)
        outputs = tf.concat([said["outputs"][:, :1], raw], axis=1)
        bound = tf.reduce_sum(likelihood.expected_loss(outputs, said["output_variance"], y)) + layer.kl_divergence()
    assert float(-bound) == pytest.approx(evidence, rel=1e-5)
    slopes = tape.gradient(bound, [variable.value for variable in (layer.mean, layer.log_diagonal, layer.factor)])
    for slope, scale in zip(slopes, (np.sqrt(np.diag(covariance)), np.ones(4), cholesky)):
        np.testing.assert_allclose(slope[0] * scale, 0, atol=2e-3)


def test_the_penalty_leaves_the_posterior_out():
    x = keras.Input((4,))
    model = keras.Model(x, VariationalLastLayer(3)(x))
    assert float(training.penalty(model, 0.5)) == 0.0


def test_wrong_arguments():
    with pytest.raises(InputError, match="Unknown covariance 'full'"):
        VariationalLastLayer(3, covariance="full")
    with pytest.raises(InputError, match="prior_scale must be above 0, received 0"):
        VariationalLastLayer(3, prior_scale=0)
    assert set(CASES.values()) == set(variational_last_layer.COVARIANCES)
