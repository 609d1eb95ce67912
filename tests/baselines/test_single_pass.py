"""Methods of one network and one pass: what each becomes without its ingredient, and what it refuses."""

import numpy as np
import pytest
from scipy import integrate, stats

from tests.tiny import TASKS, arrays_of, load_script, section_of, tiny_config
from uncertainty_suite import datasets, tf, training
from uncertainty_suite.errors import InputError
from uncertainty_suite.runs import RunFolder

FOR_CLASSES = ("heteroscedastic", "het_sngp", "duq", "ddu", "posterior_network")
FOR_TARGETS = ("mixture_density", "noise_contrastive_prior", "quantile_regression")


def train(method, folder, task="two_moons", **overrides):
    """Run a script in a folder, and return its results."""
    return load_script(method).main(tiny_config(method, task, **overrides), training.Options(output_dir=folder))


@pytest.mark.parametrize(
    ("method", "likelihood", "task"),
    [
        *((method, "categorical", "toy_regression") for method in FOR_CLASSES),
        *((method, "gaussian", "two_moons") for method in FOR_TARGETS),
    ],
)
def test_methods_refuse_other_labels_before_training(method, likelihood, task, tmp_path):
    assert section_of(load_script(method)).likelihoods == (likelihood,)
    with pytest.raises(InputError, match=f"'{method}' is for labels that are {likelihood}"):
        train(method, tmp_path / "run", task)
    assert not (tmp_path / "run").exists()


def test_ddu_with_a_bound_that_is_never_reached_is_the_deterministic_network(finished):
    folder, _ = finished("ddu", ddu__spec_norm_bound=1e6)
    test, expected = (arrays_of(each / "predictions/test.npz") for each in (folder, finished("deterministic")[0]))
    np.testing.assert_array_equal(test["log_probs"], expected["log_probs"])
    ood = arrays_of(folder / "predictions/ood/ood.npz")["uncertainty/negative_log_density"]
    assert ood.min() > np.median(test["uncertainty/negative_log_density"])


@pytest.mark.parametrize("method", ["evidential"])
def test_methods_split_the_uncertainty_of_one_pass(method, finished):
    for task in TASKS:
        run = RunFolder(finished(method, task)[0])
        aleatoric, epistemic = run.task.likelihood.decomposed(run.predictions("test"))
        assert (aleatoric >= 0).all() and (epistemic > 0).all()


def test_the_regulariser_of_evidential_networks_takes_evidence_away(finished):
    vacuity = []
    for factor in (0.0, 10.0):
        folder, _ = finished("evidential", evidential__regularization=factor)
        vacuity.append(arrays_of(folder / "predictions/test.npz")["uncertainty/vacuity"].mean())
    assert vacuity[0] < vacuity[1] < 1


def test_a_noise_contrastive_prior_is_a_divergence_of_two_gaussians():
    divergence = load_script("noise_contrastive_prior").divergence_from_normal
    target, stddev, mean, variance = 0.3, 0.7, -0.5, 2.0
    first, second = stats.norm(target, stddev), stats.norm(mean, variance**0.5)
    expected, _ = integrate.quad(lambda y: first.pdf(y) * (first.logpdf(y) - second.logpdf(y)), -8, 8)
    assert float(divergence(target, stddev, mean, tf.constant(variance))) == pytest.approx(expected, rel=1e-5)
    assert float(divergence(target, stddev, target, tf.constant(stddev**2))) == pytest.approx(0, abs=1e-6)


def test_a_noise_contrastive_prior_makes_uncertain_what_is_not_in_the_data(finished):
    variances = []
    for weight in (0.0, 1.0):
        overrides = {"noise_contrastive_prior__weight": weight, "epochs": 20}
        folder, _ = finished("noise_contrastive_prior", "toy_regression", **overrides)
        for split in ("test", "ood/ood"):
            variances.append(arrays_of(folder / f"predictions/{split}.npz")["uncertainty/variance"].mean())
    _, ood_without, test, ood = variances
    assert ood > test
    assert ood > 2 * ood_without


def test_a_noise_contrastive_prior_is_for_numbers(tmp_path):
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 9, (20, 4)).astype(np.int32)
    splits = {"train": (ids, rng.normal(size=20)), "test": (ids, rng.normal(size=20))}
    form = datasets.forms.Tokens(4, vocabulary_size=9)
    datasets.register(datasets.from_arrays("ratings_of_texts", splits, form, likelihood="gaussian"))
    others = {f"evaluation__{field}": () for field in ("ood_near", "ood_far", "predict_only")}  # of vectors
    overrides = {"dataset__name": "ratings_of_texts", "batch_size": 8, **others}
    with pytest.raises(InputError, match="noise on real-valued inputs, and 'ratings_of_texts' has ids"):
        train("noise_contrastive_prior", tmp_path / "run", "toy_regression", **overrides)
    assert not list(tmp_path.rglob("checkpoints"))
