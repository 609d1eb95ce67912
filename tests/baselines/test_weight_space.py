"""Methods that sample weights: what they reduce to, and what they refuse."""

import numpy as np
import pytest

from tests.tiny import arrays_of, load_script, newest_checkpoint, probs_of, tiny_config, untimed
from uncertainty_suite import combine, training
from uncertainty_suite.errors import InputError
from uncertainty_suite.runs import RunFolder


def train(method, folder, **overrides):
    return load_script(method).main(tiny_config(method, **overrides), training.Options(output_dir=folder))


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    """A run of the averaged weights alone: with a scale of 0."""
    folder = tmp_path_factory.mktemp("averaged")
    only = {"evaluation__save": ("samples",), "evaluation__ood_scores": ()}
    train("swag", folder, swag__scale=(0.0,), **only)
    return folder


def test_without_covariance_all_samples_are_the_averaged_network(averaged):
    first, second = arrays_of(averaged / "predictions/test.npz")["samples"]
    np.testing.assert_array_equal(first, second)
    kept = newest_checkpoint(averaged)
    assert int(kept["state/count"]) == 2  # after each of two epochs
    for name in kept:
        if name.startswith("state/mean/"):
            path = name.removeprefix("state/mean/")
            np.testing.assert_array_equal(kept[f"state/bank/{path}"][1], kept[name])
            np.testing.assert_allclose(  # of two weights the deviations are opposite, but for the running mean
                kept[f"model/{path}"], kept[name] + kept[f"state/deviations/{path}"][1], rtol=1e-5, atol=1e-6
            )


def test_the_scale_is_chosen_on_validation_and_moves_predictions(averaged, tmp_path):
    results = train("swag", tmp_path / "run", swag__scale=(0.5, 100.0), evaluation__save=("samples",))
    tuned = results["tuned"]["swag.scale"]
    assert len(set(tuned["scores"])) == 2
    assert tuned["chosen"] == tuned["values"][int(np.argmin(tuned["scores"]))]
    samples = arrays_of(tmp_path / "run/predictions/test.npz")["samples"]
    assert np.any(samples[0] != samples[1])


def test_runs_of_averaged_weights_make_an_ensemble(averaged, tmp_path):
    train(
        "swag", tmp_path / "other", swag__scale=(0.0,), seed=1, evaluation__ood_scores=(), evaluation__save=("samples",)
    )
    both = combine.combine([averaged, tmp_path / "other"], tmp_path / "both", predict=True)
    assert both.results["metrics"]["num_parameters"] == 2 * RunFolder(averaged).results["metrics"]["num_parameters"]
    parts = [probs_of(arrays_of(each / "predictions/test.npz")) for each in (averaged, tmp_path / "other")]
    np.testing.assert_allclose(probs_of(both.predictions("test")), np.mean(parts, axis=0), atol=1e-6)


def test_a_training_too_short_for_samples_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"config.epochs=1 has no more after config.swag.start"):
        train("swag", tmp_path / "swag", epochs=1)
    with pytest.raises(InputError, match=r"make it a multiple of config.sg_mcmc.samples_per_cycle, and epochs enough"):
        train("sg_mcmc", tmp_path / "sg_mcmc", epochs=1)
    assert not list(tmp_path.rglob("checkpoints"))


def test_a_chain_keeps_the_weights_of_its_last_epochs(tmp_path):
    overrides = {"optimizer__temperature": 0.0, "optimizer__learning_rate": 0.05, "evaluation__ood_scores": ()}
    train("sg_mcmc", tmp_path / "run", **overrides)
    kept = newest_checkpoint(tmp_path / "run")
    for name in kept:
        if name.startswith("state/bank/"):
            np.testing.assert_array_equal(kept[name][1], kept[f"model/{name.removeprefix('state/bank/')}"])
            assert "projection" in name or np.any(kept[name][0] != kept[name][1])  # which is not trained


def test_optimizers_that_sample_are_for_methods_that_do(tmp_path):
    with pytest.raises(InputError, match=r"'sgld' is a part of methods that sample .* one of: adam, adamw, sgd"):
        train("deterministic", tmp_path / "one", optimizer__name="sgld")
    with pytest.raises(InputError, match=r"'ivon' is for the optimizer ivon, and config.optimizer.name is 'adam'"):
        train("ivon", tmp_path / "two", optimizer__name="adam")
    assert tiny_config("sg_mcmc").optimizer.name == "sghmc"
    assert tiny_config("sg_mcmc", optimizer__name="sgld").optimizer.to_dict().keys() >= {"temperature", "prior_stddev"}
    assert "beta_1" not in tiny_config("sg_mcmc").optimizer


def test_a_narrow_posterior_is_its_mean(tmp_path):
    wide, narrow = (
        train("ivon", tmp_path / f"{hessian}", optimizer__hess_init=hessian, optimizer__learning_rate=0.1)
        for hessian in (0.1, 1e8)
    )
    assert untimed(wide) != untimed(narrow)
    assert narrow["metrics"]["failure/mutual_information/augrc"] >= 0
    kept = newest_checkpoint(tmp_path / "100000000.0")
    for name in kept:
        path = name.removeprefix("state/bank/")
        if path != name:
            np.testing.assert_allclose(kept[name], [kept[f"model/{path}"]] * 2, atol=1e-4)
