import json

import numpy as np
import pytest

from uncertainty_suite import likelihoods, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import LastLayerLaplace, last_layer_laplace

TAUS = {"tau0.1": 0.1, "tau1": 1.0, "tau10": 10.0}
# The golden file's factors of weights and bias together; its `kron` has them apart.
FORMS = {"full": "full", "kronecker": "kron_joint_numpy"}


@pytest.fixture(scope="module")
def golden(golden_dir):
    with np.load(golden_dir / "methods" / "laplace.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files if name != "__meta__"}
        return arrays, json.loads(str(file["__meta__"]))["cases"]


def gathered(golden, case: str, structure: str):
    """Return what `LastLayerLaplace` gathers of the training data of a case, in batches, and its arrays."""
    arrays, cases = golden
    values = {name.removeprefix(f"{case}/"): array for name, array in arrays.items() if name.startswith(f"{case}/")}
    classes = cases[case]["likelihood"] == "classification"
    num_latents = values["W2"].shape[1]
    laplace = LastLayerLaplace(len(values["W2"]), num_latents, structure)
    for rows in np.array_split(np.arange(len(values["phi_train"])), 3):
        outputs = tf.constant(values["out_train"][rows])
        if classes:
            likelihood = likelihoods.get("categorical", num_classes=num_latents)
            information = likelihood.fisher_information(outputs)
            log_likelihood = -likelihood.loss(outputs, values["y_train"][rows].astype(int))
        else:
            variance = cases[case]["sigma_noise"] ** 2
            information = tf.eye(num_latents, batch_shape=[len(rows)], dtype=tf.float64) / variance
            squares = np.sum((values["out_train"][rows] - values["y_train"][rows].reshape(len(rows), -1)) ** 2, axis=1)
            log_likelihood = -squares / (2 * variance) - num_latents / 2 * np.log(2 * np.pi * variance)
        laplace.add(tf.constant(values["phi_train"][rows]), information, log_likelihood)
    return laplace, values


CASES = ("clf_K2", "clf_K3", "clf_K3_batches_of_7", "reg_1out", "reg_2out", "reg_1out_at_map")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("structure", FORMS)
def test_the_posterior_is_the_golden_one(golden, case, structure):
    laplace, values = gathered(golden, case, structure)
    if structure == "full":
        hessian = np.asarray(laplace.variables["hessian"])
        order = values["index_to_keras_order"]
        expected = values["full/hessian"][np.ix_(order, order)]  # kernel [features, outputs], then bias
        size = len(expected)
        np.testing.assert_allclose(hessian.transpose(1, 0, 3, 2).reshape(size, size), expected, rtol=1e-9, atol=1e-9)
    posterior = laplace.posterior(values["W2"], values["b2"])
    for name, tau in TAUS.items():
        form = f"{FORMS[structure]}/{name}"
        variance = posterior.variance(values["phi_test"], tau)
        expected = np.diagonal(values[f"{form}/functional_variance"], axis1=1, axis2=2)
        np.testing.assert_allclose(variance, expected, rtol=1e-4)
        evidence = values[f"{form}/log_marginal_likelihood"]
        assert posterior.log_marginal_likelihood(tau) == pytest.approx(float(evidence), rel=1e-9)
        if f"{form}/probit_probs" in values:
            likelihood = likelihoods.get("categorical", num_classes=expected.shape[1])
            outputs = tf.constant(values["out_test"], tf.float32)[tf.newaxis]
            probs = likelihood.predict(outputs, output_variance=variance).probs[0]
            np.testing.assert_allclose(probs, values[f"{form}/probit_probs"], rtol=1e-4)


def test_the_evidence_at_the_exact_mean_is_exact(golden):
    laplace, values = gathered(golden, "reg_1out_at_map", "full")
    posterior = laplace.posterior(values["W2"], values["b2"])
    evidence = float(values["exact_log_evidence_at_map_prior"])
    assert posterior.log_marginal_likelihood(1.0) == pytest.approx(evidence, rel=1e-9)
    grid = [posterior.log_marginal_likelihood(tau) for tau in values["grid"]]
    np.testing.assert_allclose(grid, values["full/grid_log_marginal_likelihood"], rtol=1e-9)
    assert int(np.argmax(grid)) == values["full/grid_argmax"]


@pytest.mark.parametrize("case", ["blr_n20_d4", "blr_n6_d9"])
def test_bayesian_linear_regression(golden, case):
    """Without a bias, that is with a feature more that is 0 where the bias has its 1, it is the exact posterior."""
    arrays, cases = golden
    values = {name.removeprefix(f"{case}/"): array for name, array in arrays.items() if name.startswith(f"{case}/")}
    features, test = (values[name] / values[name][:, -1:] for name in ("Phi", "Phi_test"))
    # Scaled so that the last feature is the 1 that the layer appends; the scale is that of the noise and the outputs.
    noise, tau = cases[case]["noise_std"], cases[case]["prior_precision"]
    laplace = LastLayerLaplace(features.shape[1] - 1, 1)
    information = (values["Phi"][:, -1] / noise)[:, np.newaxis, np.newaxis] ** 2
    laplace.add(features[:, :-1], information, np.zeros(len(features)))
    mean = values["posterior_mean"]
    posterior = laplace.posterior(mean[:-1, np.newaxis], mean[-1:])
    variance = posterior.variance(test[:, :-1], tau)[:, 0] * values["Phi_test"][:, -1] ** 2
    np.testing.assert_allclose(variance, values["functional_variance"], rtol=1e-4)


@pytest.mark.parametrize("case", ["clf_K3", "reg_1out"])
@pytest.mark.parametrize("structure", FORMS)
def test_draws_have_the_moments_of_the_posterior(golden, case, structure):
    laplace, values = gathered(golden, case, structure)
    posterior = laplace.posterior(values["W2"], values["b2"])
    shape = [4000, laplace.num_latents, values["phi_test"].shape[1] + 1]
    outputs = np.pad(values["out_test"], [(0, 0), (0, 1)], constant_values=7.0)  # one more, that has no distribution
    drawn = posterior.draw(values["phi_test"], outputs, 1.0, tf.random.stateless_normal(shape, [1, 2])).numpy()
    np.testing.assert_array_equal(drawn[..., -1], 7.0)
    covariance = values[f"{FORMS[structure]}/tau1/functional_variance"]
    scale = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    errors = (drawn[..., :-1].mean(axis=0) - values["out_test"]) / scale
    np.testing.assert_allclose(errors, 0, atol=5 / np.sqrt(len(drawn)))
    centred = drawn[..., :-1] - drawn[..., :-1].mean(axis=0)
    found = np.einsum("sbk,sbl->bkl", centred, centred) / len(drawn)
    np.testing.assert_allclose(found, covariance, atol=5 * np.sqrt(2 / len(drawn)) * covariance.max())


def test_one_example_has_a_hessian_of_two_factors():
    rng = np.random.default_rng(0)
    features, outputs, test = (rng.normal(size=shape) for shape in ((1, 3), (1, 2), (5, 3)))
    information = likelihoods.get("categorical", num_classes=2).fisher_information(tf.constant(outputs))
    variances = []
    for structure in FORMS:
        laplace = LastLayerLaplace(3, 2, structure)
        laplace.add(features, information, np.zeros(1))
        variances.append(laplace.posterior(np.zeros((3, 2)), np.zeros(2)).variance(test, 0.5))
    np.testing.assert_allclose(*variances, rtol=1e-4)


def test_an_infinite_prior_precision_leaves_no_variance(golden):
    for structure in FORMS:
        laplace, values = gathered(golden, "clf_K3", structure)
        posterior = laplace.posterior(values["W2"], values["b2"])
        np.testing.assert_allclose(posterior.variance(values["phi_test"], 1e30), 0, atol=1e-20)


def test_forgetting(golden):
    laplace, _ = gathered(golden, "clf_K3", "kronecker")
    laplace.reset()
    assert all(not np.any(variable) for variable in laplace.variables.values())


def test_what_cannot_be_kept_is_refused():
    with pytest.raises(InputError, match="Unknown structure 'diagonal'"):
        LastLayerLaplace(3, 2, "diagonal")
    with pytest.raises(
        InputError, match=r"has 10,010 parameters, .* for 10,000 at most. Take the structure 'kronecker'"
    ):
        LastLayerLaplace(1000, 10)
    assert tuple(FORMS) == last_layer_laplace.STRUCTURES
    laplace = LastLayerLaplace(1, 1)
    laplace.add(np.ones((1, 1)), np.full((1, 1, 1), np.nan), np.zeros(1))
    with pytest.raises(InputError, match="The Hessian of the last layer is not finite: training diverged"):
        laplace.posterior(np.zeros((1, 1)), np.zeros(1))
