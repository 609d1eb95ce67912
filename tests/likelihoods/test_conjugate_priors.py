"""Against values of the field's libraries, and against quadrature and scipy."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import softplus

from uncertainty_suite import likelihoods, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.likelihoods import Dirichlet, NormalInverseGamma

CLASSIFICATIONS = ["classification_k2", "classification_k3", "classification_k10", "classification_extreme"]
DIRICHLETS = ["dirichlet_k3", "dirichlet_k10", "dirichlet_extreme"]


@pytest.fixture(scope="module")
def golden(golden_dir):
    """A function of a file and a case that returns its arrays."""

    def arrays_of(file, case):
        with np.load(golden_dir / "methods" / f"{file}.npz", allow_pickle=False) as arrays:
            return {key.partition("/")[2]: arrays[key] for key in arrays.files if key.startswith(f"{case}/")}

    return arrays_of


def logarithm(evidence):
    """Return outputs whose exponential is the evidence, float64."""
    return tf.constant(np.log(np.maximum(evidence, 1e-300)))


@pytest.mark.parametrize("case", CLASSIFICATIONS)
def test_golden_losses_and_predictions_of_a_dirichlet(case, golden):
    values = golden("evidential", case)
    outputs, labels = logarithm(values["evidence"]), tf.constant(values["labels"].astype(np.int64))
    classes = outputs.shape[1]
    for loss, name in (("squared_error", "mse"), ("log", "log"), ("cross_entropy", "digamma")):
        likelihood = Dirichlet(classes, loss, "exp")
        np.testing.assert_allclose(likelihood.loss(outputs, labels), values[f"loss_{name}"], rtol=1e-9, atol=1e-12)
        total = likelihood.loss(outputs, labels) + 0.3 * likelihood.regularizer(outputs, labels)
        np.testing.assert_allclose(np.mean(total), values[f"loss_{name}_mean_annealed_epoch3_of10"], rtol=1e-9)
    np.testing.assert_allclose(likelihood.regularizer(outputs, labels), values["kl"], rtol=1e-9, atol=1e-9)
    said = likelihood.predict(outputs[tf.newaxis])
    np.testing.assert_allclose(said.probs[0], values["probs"], rtol=1e-9)
    np.testing.assert_allclose(said.uncertainty["vacuity"], values["vacuity"], rtol=1e-9)
    softened = Dirichlet(classes).concentration(tf.constant(np.linspace(-9.0, 9.0, 2 * classes).reshape(2, classes)))
    np.testing.assert_allclose(np.ravel(softened), 1 + softplus(np.linspace(-9.0, 9.0, 2 * classes)), rtol=1e-12)


@pytest.mark.parametrize("case", DIRICHLETS)
def test_golden_uncertainties_of_a_dirichlet(case, golden):
    values = golden("posterior_network", case)
    rows = (values["alpha"] >= 1).all(axis=1)  # concentrations below 1 are no evidence
    alpha = values["alpha"][rows]
    assert len(alpha) > 0
    likelihood = Dirichlet(alpha.shape[1], "cross_entropy", "exp")
    outputs, labels = logarithm(alpha - 1), tf.constant(values["labels"][rows].astype(np.int64))
    said = likelihood.predict(outputs[tf.newaxis])
    np.testing.assert_allclose(said.probs[0], values["mean"][rows], rtol=1e-9)
    for name in ("mutual_information", "expected_entropy"):
        np.testing.assert_allclose(said.uncertainty[name], values[name][rows], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(likelihood.entropy(outputs), values["differential_entropy"][rows], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(likelihood.loss(outputs, labels), values["uce"][rows], rtol=1e-9)


def test_the_expected_loss_is_that_of_draws():
    outputs, labels = tf.constant([[0.5, 2.0, -1.0]]), tf.constant([1])
    alpha = 1 + softplus(np.asarray(outputs[0], np.float64))
    probs = np.random.default_rng(0).dirichlet(alpha, size=400_000)
    squared = ((np.eye(3)[1] - probs) ** 2).sum(axis=1)
    for loss, draws in (("squared_error", squared), ("cross_entropy", -np.log(probs[:, 1]))):
        assert float(Dirichlet(3, loss).loss(outputs, labels)[0]) == pytest.approx(draws.mean(), rel=0.01)
    assert float(Dirichlet(3, "log").loss(outputs, labels)[0]) == pytest.approx(-np.log(probs[:, 1].mean()), rel=0.01)
    without = Dirichlet(3).regularizer(tf.constant([[-40.0, 9.0, -40.0]]), labels)
    assert float(without[0]) == pytest.approx(0, abs=1e-6)  # evidence for the label costs nothing


def nig_outputs(values):
    """Return outputs, float64, that have these parameters."""

    def inverse(positive):
        return np.log(np.expm1(positive))

    nu, alpha, beta = values["nu"] - 1e-3, values["alpha"] - 1 - 1e-3, values["beta"] - 1e-6
    return tf.constant(np.stack([values["gamma"], inverse(nu), inverse(alpha), inverse(beta)], axis=1))


def test_golden_normal_inverse_gamma(golden):
    values = golden("evidential", "regression_n25")
    outputs, labels = nig_outputs(values), tf.constant(values["y"])
    likelihood = NormalInverseGamma(0.0, 1.0)
    np.testing.assert_allclose(likelihood.loss(outputs, labels), values["nll"], rtol=1e-8)
    np.testing.assert_allclose(likelihood.regularizer(outputs, labels), values["regulariser"], rtol=1e-8)
    total = likelihood.loss(outputs, labels) + likelihood.regularization * likelihood.regularizer(outputs, labels)
    np.testing.assert_allclose(total, values["loss_lambda0.01"], rtol=1e-8)
    said = likelihood.predict(outputs[tf.newaxis])
    np.testing.assert_allclose(said.mean[0], values["gamma"])
    np.testing.assert_allclose(said.stddev[0] ** 2, values["predictive_variance"], rtol=1e-8)
    np.testing.assert_allclose(said.uncertainty["epistemic_stddev"] ** 2, values["epistemic_variance"], rtol=1e-8)
    arrays = {name: np.asarray(values) for name, values in said.uncertainty.items()}
    said = said._replace(mean=np.asarray(said.mean), stddev=np.asarray(said.stddev), uncertainty=arrays)
    saved = likelihood.to_saved(said)
    aleatoric, epistemic = likelihood.decomposed(saved)
    np.testing.assert_allclose(aleatoric, values["aleatoric_variance"], rtol=1e-4)
    np.testing.assert_allclose(epistemic, values["epistemic_variance"], rtol=1e-6)


def test_targets_have_their_own_units():
    outputs = tf.constant([[0.3, 1.0, 2.0, -1.0]])
    likelihood = NormalInverseGamma(mean=20.0, stddev=5.0)
    nu, alpha, beta = softplus(1.0) + 1e-3, softplus(2.0) + 1.001, softplus(-1.0) + 1e-6
    scale = 5 * np.sqrt(beta * (1 + nu) / (nu * alpha))
    expected = -stats.t.logpdf(24.0, 2 * alpha, loc=20 + 5 * 0.3, scale=scale) - np.log(5)
    assert float(likelihood.loss(outputs, tf.constant([24.0]))[0]) == pytest.approx(expected, rel=1e-5)
    said = likelihood.predict(outputs[tf.newaxis])
    assert float(said.mean[0, 0]) == pytest.approx(21.5)
    assert float(said.stddev[0, 0]) == pytest.approx(stats.t(2 * alpha, scale=scale).std(), rel=1e-5)


def test_each_likelihood_has_its_conjugate():
    for name, parameters, expected in (
        ("categorical", {"num_classes": 4}, Dirichlet),
        ("gaussian", {"mean": 1.0, "stddev": 2.0}, NormalInverseGamma),
    ):
        task = likelihoods.get(name, **parameters)
        made = likelihoods.conjugate(task)
        assert type(made) is expected
        assert made.name == task.name  # so all that comes after predictions is the task's
        assert isinstance(made, type(task))
    with pytest.raises(InputError, match="Unknown loss 'mse'"):
        Dirichlet(3, "mse")
    with pytest.raises(InputError, match="Unknown evidence 'relu'"):
        Dirichlet(3, evidence="relu")
