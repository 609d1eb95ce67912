"""Probes on the features of a finished run: which examples they see, what is fitted, and what is refused."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from tests.conftest import ROOT
from uncertainty_suite import configuration, datasets
from uncertainty_suite.decisions import read
from uncertainty_suite.errors import InputError
from uncertainty_suite.runs import RunFolder

SCRIPT = ROOT / "baselines/adaptation/few_shot.py"


@pytest.fixture(scope="module")
def script():
    return configuration.load_module(SCRIPT)


def test_probes_of_digits_by_a_network_and_without(finished, script, tmp_path, capsys):
    folder, _ = finished("deterministic", "digits")
    flags = [str(folder), "--draws=1", f"--output_dir={tmp_path}"]
    record = script.main([*flags, "--shots", "1", "10"])
    assert record.budgets == (1, 10)
    assert "| 10 |" in capsys.readouterr().out
    assert (tmp_path / "few_shot.svg").exists()
    assert read(tmp_path / "few_shot.json").curves == record.curves
    for way in ("inputs", "deterministic"):
        for values in record.curves["accuracy"][way].values():
            assert 0.2 < values[0] < values[1] < 1
            assert values[1] > 0.7
        for values in record.curves["nll"][way].values():
            assert values[1] < values[0]

    with pytest.raises(InputError) as error:
        script.main([*flags, "--shots", "500"])
    assert str(error.value).startswith("--shots has 500 examples of each class, and of class ")
    with pytest.raises(InputError, match="A run is named twice"):
        script.main([str(folder), *flags])
    with pytest.raises(InputError, match="--draws and --shots must be at least 1"):
        script.main([*flags, "--shots", "0"])


def test_another_data_set_is_learnt_in_the_form_of_the_network(finished, script, tmp_path):
    folder, _ = finished("deterministic", "digits")
    rng = np.random.default_rng(0)

    def split(size):
        labels = np.arange(size) % 3
        images = 60 * labels[:, np.newaxis, np.newaxis, np.newaxis] + rng.integers(0, 100, (size, 12, 12, 1))
        return images.astype(np.uint8), labels.astype(np.int32)

    form = datasets.forms.Images(12, 12, 1)
    datasets.register(
        datasets.from_arrays("shades", {"train": split(90), "test": split(60)}, form, num_classes=3, maximum=255)
    )
    record = script.main([str(folder), "--dataset=shades", "--shots", "10", "--draws=1", f"--output_dir={tmp_path}"])
    assert record.curves["accuracy"]["deterministic"]["0"][0] > 0.9  # the brightness says all


def test_features_are_those_that_the_head_sees(finished, script):
    folder, _ = finished("deterministic", "digits")
    run = RunFolder(folder)
    data = script.split_of(run, "digits", "test", None)
    features = script.features_of(run, data, None)
    head, saved = run.predictions("head"), run.predictions("test")
    logits = features @ head["weights"] + head["bias"]
    np.testing.assert_allclose(softmax(logits, axis=1), run.task.likelihood.metric_input(saved), rtol=1e-3, atol=1e-5)


def test_draws_are_nested_and_the_same_for_all(script):
    data = datasets.get("digits", "train")
    one, five = script.draw(data, [1, 5], seed=3)
    assert np.bincount(data.labels[one]).tolist() == [1] * 10
    assert np.bincount(data.labels[five]).tolist() == [5] * 10
    assert set(one) < set(five)
    assert set(one) != set(script.draw(data, [1], seed=4)[0])


def test_the_probe_of_one_example_a_class_is_the_penalised_regression(script):
    """Against a minimum found without scikit-learn: sum of the NLL + |w|^2 / 2, on standardised features."""
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(3, 4)), np.arange(3)
    tests = rng.normal(size=(50, 4))
    test_labels = rng.integers(0, 3, 50)
    mean, stddev = features.mean(axis=0), features.std(axis=0)
    x, x_test = (features - mean) / stddev, (tests - mean) / stddev

    def objective(flat):
        weights, bias = flat[:12].reshape(4, 3), flat[12:]
        return -log_softmax(x @ weights + bias, axis=1)[np.arange(3), labels].sum() + (weights**2).sum() / 2

    best = minimize(objective, np.zeros(15), tol=1e-12).x
    log_probs = log_softmax(x_test @ best[:12].reshape(4, 3) + best[12:], axis=1)
    measured = script.probe(features, labels, tests, test_labels, seed=0)
    assert measured["nll"] == pytest.approx(-log_probs[np.arange(50), test_labels].mean(), abs=2e-3)
    assert measured["accuracy"] == pytest.approx((log_probs.argmax(axis=1) == test_labels).mean(), abs=0.021)


def test_the_penalty_is_chosen_for_what_generalises(script):
    """With noise in place of signal only a strong penalty is near the NLL of knowing nothing, log 2."""
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(40, 60)), np.arange(40) % 2
    tests, test_labels = rng.normal(size=(400, 60)), np.arange(400) % 2
    assert script.probe(features, labels, tests, test_labels, seed=0)["nll"] < np.log(2) + 0.02
