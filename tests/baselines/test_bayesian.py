"""Methods whose weights have a distribution, by variational inference or around trained ones."""

import types

import numpy as np
import pytest

from tests.tiny import arrays_of, load_script, newest_checkpoint, section_of, tiny_config, untimed
from uncertainty_suite import datasets, layers, models, training
from uncertainty_suite.errors import InputError

VARIATIONAL = ("radial_bnn", "variational_inference")


def train(method, folder, task="two_moons", **overrides) -> dict:
    """Run a script in a folder, and return its results."""
    return load_script(method).main(tiny_config(method, task, **overrides), training.Options(output_dir=folder))


# Variational inference.


@pytest.mark.parametrize("method", VARIATIONAL)
def test_without_variance_it_is_the_network_of_the_means(method, tmp_path):
    train(method, tmp_path / "run", **{f"{method}__initial_stddev": 1e-12, f"{method}__kl_weight": 1e-9})
    config = tiny_config(method)
    data = datasets.get("two_moons", "test")
    model = models.build(config.model, data, types.SimpleNamespace(num_outputs=2))
    saved = newest_checkpoint(tmp_path / "run")
    for variable in model.variables:
        if variable.name != "seed_generator_state":
            layer, name = variable.path.split("/")
            plain, within = f"model/{layer}/{name}", f"model/{layer}/{layer}/{name}"
            variable.assign(saved[plain if plain in saved else within])
    expected = model(np.asarray(data.features), training=False)["outputs"].numpy()
    expected -= np.log(np.exp(expected).sum(axis=1, keepdims=True))
    test = arrays_of(tmp_path / "run/predictions/test.npz")
    np.testing.assert_allclose(test["log_probs"], expected, atol=1e-5)
    np.testing.assert_allclose(test["uncertainty/mutual_information"], 0, atol=1e-6)


@pytest.mark.parametrize(
    ("architecture", "input_shape", "options"),
    [
        ("wide_resnet", (8, 8, 3), {"depth": 10, "width": 1}),
        ("transformer", (6,), {"vocabulary_size": 10, "num_layers": 1, "num_hidden": 8, "num_heads": 2}),
        ("lstm", (6,), {"vocabulary_size": 10, "num_embedding": 6, "num_hidden": 8}),
    ],
)
def test_every_kernel_of_an_architecture_has_a_distribution(architecture, input_shape, options):
    script = load_script("variational_inference")
    defaults = {name: one.default for name, one in section_of(script).parameters.items()}
    layer_set = script.get_layer_set(types.SimpleNamespace(**defaults))
    data, likelihood = types.SimpleNamespace(input_shape=input_shape), types.SimpleNamespace(num_outputs=3)
    model = models.build({"name": architecture, **options}, data, likelihood, layer_set)
    names = [variable.name for variable in model.trainable_variables]
    assert names.count("rho") == names.count("kernel") + names.count("embeddings") > 3
    assert float(layers.kl_divergence(model)) > 0
    inputs = np.random.default_rng(0).integers(1, 9, (2, *input_shape)).astype(np.float32)
    trunk, rest = layers.split_at_stochastic(model)
    outputs = layers.draw_samples(rest, trunk(inputs, training=False), num_samples=3)["outputs"]
    assert outputs.shape == (3, 2, 3)
    assert len({sample.numpy().tobytes() for sample in outputs}) == 3


# Laplace approximation.


@pytest.mark.parametrize("task", ["two_moons", "toy_regression"])
def test_an_infinite_prior_precision_is_the_deterministic_network(task, finished, tmp_path):
    _, baseline = finished("deterministic", task)
    overrides = {"laplace__prior_precision": (1e30,), "laplace__num_samples": 1}
    results = train("laplace", tmp_path / "run", task, **overrides)
    values = untimed(results)
    same = ("accuracy", "nll", "ece") if task == "two_moons" else ("rmse", "gaussian_nll", "crps")
    for name in same:
        assert values[f"test/{name}"] == pytest.approx(baseline["metrics"][f"test/{name}"], rel=1e-6)
    mine, theirs = (newest_checkpoint(folder) for folder in (tmp_path / "run", finished("deterministic", task)[0]))
    for name, value in theirs.items():  # trained to the bit
        np.testing.assert_array_equal(mine[name], value)


def test_a_trained_run_stands_for_the_training(finished, tmp_path):
    trained, _ = finished("deterministic")
    config = tiny_config("laplace")
    results = load_script("laplace").main(config, training.Options(output_dir=tmp_path / "taken", trained=trained))
    assert untimed(results) == untimed(train("laplace", tmp_path / "whole"))
    assert (tmp_path / "taken/history.jsonl").read_text() == (trained / "history.jsonl").read_text()
    for name, value in newest_checkpoint(tmp_path / "whole").items():
        np.testing.assert_array_equal(newest_checkpoint(tmp_path / "taken")[name], value)


def test_a_trained_run_of_another_training_is_refused(finished, tmp_path):
    trained, _ = finished("deterministic")
    other, _ = finished("mc_dropout")

    def refused(method, run, message, **overrides):
        config = tiny_config(method, **overrides)
        with pytest.raises(InputError, match=message):
            load_script(method).main(config, training.Options(output_dir=tmp_path / "run", trained=run))
        assert not (tmp_path / "run").exists()

    refused("laplace", trained, "a network of another configuration .seed: 0 -> 7.", seed=7)
    refused("laplace", other, "is no finished run of deterministic.py")
    refused("laplace", tmp_path, "is no finished run of deterministic.py")
    refused("sngp", trained, "'sngp' trains a network of its own. Leave it out")


@pytest.mark.parametrize("task", ["two_moons", "toy_regression"])
def test_the_prior_precision_can_be_chosen_by_marginal_likelihood(task, tmp_path):
    overrides = {"laplace__chosen_by": "marginal_likelihood", "laplace__num_samples": 1}
    tuned = train("laplace", tmp_path / "run", task, **overrides)["tuned"]["laplace.prior_precision"]
    assert (tuned["criterion"], tuned["split"]) == ("negative_log_marginal_likelihood", "train")
    assert tuned["chosen"] == tuned["values"][int(np.argmin(tuned["scores"]))]


@pytest.mark.parametrize("structure", [pytest.param("full", marks=pytest.mark.slow), "kronecker"])
def test_many_draws_and_the_closed_form_say_the_same(structure, tmp_path):
    """In regression the closed form is exact: the moments of many draws are its."""
    overrides = {"laplace__structure": structure, "laplace__prior_precision": (10.0,)}
    overrides["evaluation__metrics"] = ("rmse",)  # the others compare all samples with all
    said = []
    for num_samples in (1, 300):
        folder = tmp_path / f"{num_samples}"
        train("laplace", folder, "toy_regression", **overrides, laplace__num_samples=num_samples)
        said.append(arrays_of(folder / "predictions/test.npz"))
    (closed, drawn) = said
    epistemic = np.sqrt(closed["stddev"][0] ** 2 - drawn["stddev"][0] ** 2)
    np.testing.assert_allclose(drawn["mean"].mean(axis=0), closed["mean"][0], atol=0.3 * epistemic.max())
    np.testing.assert_allclose(drawn["mean"].std(axis=0), epistemic, rtol=0.25)
