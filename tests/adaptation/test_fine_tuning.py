"""Fine-tuning: it begins with the trained network, what is measured, and what is refused."""

import json
import re

import numpy as np
import pytest

from tests.conftest import ROOT
from uncertainty_suite import configuration, metrics, posthoc
from uncertainty_suite.decisions.learner import Learner, ask
from uncertainty_suite.errors import InputError

pytestmark = pytest.mark.usefixtures("forget_models")

SMALL = ("--config.model.num_layers=2", "--config.model.num_hidden=16", "--config.optimizer.learning_rate=0.01")
MOONS = (f"--config={ROOT / 'configs/two_moons.py'}", *SMALL, "--config.batch_size=20")


@pytest.fixture(scope="module")
def script():
    return configuration.load_module(ROOT / "baselines/adaptation/fine_tuning.py")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the run `seed0` of a network that knows the moons."""
    folder = tmp_path_factory.mktemp("trained")
    learner = Learner("deterministic", MOONS[0].partition("=")[2], [*MOONS[1:], "--config.epochs=8"])
    learner.learn(learner.data("train").element_ids, 0, folder / "seed0")
    return folder


@pytest.mark.slow  # four trainings, and again
def test_few_examples_are_enough_for_a_trained_network(script, trained, tmp_path, capsys):
    flags = ["--method=deterministic", *MOONS, "--config.epochs=1", "--seeds=1", f"--start_from={trained}"]
    record = script.main([*flags, "--examples", "20", "40", f"--output_dir={tmp_path}"])
    curves = {metric: {way: by_seed["0"] for way, by_seed in ways.items()} for metric, ways in record.curves.items()}
    assert curves["accuracy"]["fine_tuning"][0] > 0.97 > curves["accuracy"]["from_scratch"][0]
    for metric in ("nll", "ece", "scaled_nll"):
        assert curves[metric]["fine_tuning"][0] < curves[metric]["from_scratch"][0] / 3
    assert "| 20 |" in capsys.readouterr().out

    # The same numbers by hand, of the training that is kept.
    learner = Learner("deterministic", MOONS[0].partition("=")[2], [*MOONS[1:], "--config.epochs=1"])
    order = np.random.default_rng(0).permutation(learner.data("train").element_ids)
    predictor = learner.learn(order[:20], 0, tmp_path / "fine_tuning/seed0/examples20", trained / "seed0")
    (probs, labels), (test_probs, test_labels) = (
        (np.exp(log_softmax(ask(predictor, data).logits[0])), data.labels)
        for data in (learner.data("validation"), learner.data("test"))
    )
    scaled = posthoc.get("temperature_scaling").fit(probs, labels)(test_probs)
    ece = metrics.expected_calibration_error(test_probs, test_labels)
    assert curves["ece"]["fine_tuning"][0] == pytest.approx(ece, rel=1e-4)
    nll = -np.log(scaled[np.arange(len(scaled)), test_labels]).mean()
    assert curves["scaled_nll"]["fine_tuning"][0] == pytest.approx(nll, rel=1e-4)

    # What is finished is not done again; one that was stopped after the first number goes on.
    path = tmp_path / "fine_tuning/seed0/progress.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "steps": content["steps"][:1]}))
    capsys.readouterr()
    again = script.main([*flags, "--examples", "20", "40", f"--output_dir={tmp_path}"])
    assert again.curves == record.curves
    assert capsys.readouterr().out.count("seed 0, ") == 1


def log_softmax(logits):
    logits = logits.astype(np.float64)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--examples", "10"],
            "--examples must be from 20, which is config.batch_size, to 900, which data set 'two_moons' has, received "
            "10.",
        ),
        (
            ["--examples", "20", "--seeds=2"],
            "There is no training in {trained}/seed1: give as --start_from a folder with seed0, seed1 and so on, as "
            "many as --seeds.",
        ),
    ],
)
def test_what_would_fail_later_is_refused(flags, message, script, trained, tmp_path):
    common = ["--method=deterministic", *MOONS, "--seeds=1", f"--start_from={trained}", f"--output_dir={tmp_path}"]
    with pytest.raises(InputError, match=f"^{re.escape(message.format(trained=trained))}$"):
        script.main([*common, *flags])
