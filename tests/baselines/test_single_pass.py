"""Methods of one network and one pass: what each becomes without its ingredient, and what it refuses."""

import numpy as np
import pytest

from tests.tiny import TASKS, arrays_of, load_script, section_of, tiny_config
from uncertainty_suite import training
from uncertainty_suite.errors import InputError
from uncertainty_suite.runs import RunFolder

FOR_CLASSES = ("heteroscedastic", "het_sngp", "duq", "ddu", "posterior_network")
FOR_TARGETS = ("mixture_density", "quantile_regression")


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
