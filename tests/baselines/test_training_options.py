"""Options of training that every method has: what they change, and that they are not there where they are off."""

import numpy as np
import pytest

from tests.tiny import METHODS, load_script, section_of, tiny_config, untimed
from uncertainty_suite import configuration, datasets, load, training
from uncertainty_suite.errors import InputError


def train(method, folder, task="two_moons", **overrides):
    return load_script(method).main(tiny_config(method, task, **overrides), training.Options(output_dir=folder))


def test_an_option_that_is_off_is_not_in_the_configuration(finished, tmp_path):
    folder, results = finished("deterministic")
    assert "loss" not in results["config"]
    config = tiny_config("deterministic", loss__label_smoothing=0.0)
    again = load_script("deterministic").main(config, training.Options(output_dir=folder))
    assert again == results  # it is that run


OPTIONS = [
    ("loss__label_smoothing", 0.2),
    ("loss__focal_gamma", 2.0),
    ("loss__logit_norm", 0.5),
    ("dataset__mixup", 0.2),
]


@pytest.mark.parametrize(("option", "value"), OPTIONS)
def test_an_option_changes_the_training_alone(option, value, finished, tmp_path):
    _, plain = finished("deterministic")
    results = train("deterministic", tmp_path / "run", **{option: value})
    assert results["metrics"]["test/nll"] != plain["metrics"]["test/nll"]
    assert results["likelihood"] == plain["likelihood"]
    assert configuration.flatten(results["config"])[option.replace("__", ".")] == value
    assert results["metrics"]["test/accuracy"] > 0.8


def test_options_are_refused_where_they_mean_nothing(tmp_path):
    with pytest.raises(InputError, match=r"config.loss.label_smoothing is for labels that are classes"):
        train("deterministic", tmp_path / "run", "toy_regression", loss__label_smoothing=0.1)
    with pytest.raises(InputError, match=r"config.loss.label_smoothing must be a number of at least 0 and below 1"):
        train("deterministic", tmp_path / "run", loss__label_smoothing=1.0)
    with pytest.raises(InputError, match=r"Did you mean 'loss.focal_gamma'\?"):
        tiny_config("deterministic", loss__focal_gama=1.0)
    with pytest.raises(InputError, match=r"Examples of data set 'two_moons' are no images: set cutmix to 0"):
        train("deterministic", tmp_path / "run", dataset__cutmix=1.0)
    with pytest.raises(InputError, match=r"config.dataset.mixup and config.dataset.cutmix are both set"):
        train("deterministic", tmp_path / "run", dataset__mixup=1.0, dataset__cutmix=1.0)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", [*(option for option, _ in OPTIONS), "dataset__outliers"])
def test_a_method_with_a_loss_of_its_own_refuses_them(option, tmp_path):
    values = {**dict(OPTIONS), "dataset__outliers": "two_moons/ood_validation"}
    sections = {method: section_of(load_script(method)) for method in METHODS}
    own = [name for name, one in sections.items() if one and one.own_loss and one.likelihoods != ("gaussian",)]
    assert "evidential" in own
    for method in own:
        with pytest.raises(InputError, match=f"'{method}' has a loss of its own"):
            train(method, tmp_path / "run", **{option: values[option]})
    assert not (tmp_path / "run").exists()


def test_every_method_takes_them(tmp_path):
    results = train("sngp", tmp_path / "run", loss__label_smoothing=0.1, loss__focal_gamma=1.0, dataset__mixup=0.1)
    assert untimed(results)["test/accuracy"] > 0.8


EXPOSED = {
    "dataset__outliers": "two_moons/ood_validation",
    "loss__outlier_weight": 0.5,
    "evaluation__ood_validation": (),
}


def test_a_precision_that_would_count_outliers_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"which counts all examples of a step, and config.dataset.outliers"):
        train("sngp", tmp_path / "run", **EXPOSED, sngp__precision="every_step")


def test_outliers_are_recognised(finished, tmp_path):
    results = train("deterministic", tmp_path / "run", **{**EXPOSED, "epochs": 4})
    assert results["metrics"]["test/accuracy"] > 0.8
    outliers = datasets.get("two_moons", "ood_validation").features
    exposed, plain = (
        load(run).arrays(outliers)["log_probs"] for run in (tmp_path / "run", finished("deterministic")[0])
    )
    assert np.exp(exposed).max(axis=1).mean() < 0.7 < np.exp(plain).max(axis=1).mean()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluation__ood_validation": ("two_moons/ood_validation",)}, "which is of the same data set as the OOD set"),
        ({"dataset__outliers": "two_moons/ood"}, "what is trained on cannot be tested on"),
        ({"dataset__outliers": "two_moons/test"}, "'two_moons/test', the task's own data"),
        ({"dataset__outliers": "digits"}, "is named <data set>/<split>, received 'digits'"),
        ({"loss__outlier_weight": 0.0}, "give both, or none"),
        ({"dataset__mixup": 1.0}, "mixed labels are of classes: set one of them"),
    ],
)
def test_outliers_that_are_tested_on_or_mean_nothing_are_refused(changes, message, tmp_path):
    with pytest.raises(InputError, match=message):
        train("deterministic", tmp_path / "run", **{**EXPOSED, **changes})
    assert not (tmp_path / "run").exists()
