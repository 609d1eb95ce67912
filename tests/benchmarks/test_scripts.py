import sys

import numpy as np

from tests.conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))
import scripts

from uncertainty_suite import configuration, training
from uncertainty_suite.likelihoods import Categorical
from uncertainty_suite.predictions import Predictions
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.training.checkpoint import named_variables

SHORT = {**scripts.ONLY_TEST, "epochs": 1, "optimizer.l2": 0.001}


def get_parts(method, folder, **overrides):
    config = scripts.get_config(method, "two_moons", {**SHORT, **overrides})
    return config, scripts.get_parts(method, config, training.Options(output_dir=folder))


def test_the_parts_train_and_predict_as_the_script_does(tmp_path):
    config, parts = get_parts("deterministic", tmp_path / "parts")
    loop = parts.loop
    assert loop.step == 0
    loop.ready = True
    for steps in loop:
        loop.take(steps)
    script = configuration.load_module(ROOT / "baselines/deterministic.py")
    script.main(config, training.Options(output_dir=tmp_path / "script"))
    (path,) = (tmp_path / "script/checkpoints").glob("*.npz")
    saved = np.load(path)
    for name, variable in named_variables(loop.model, loop.optimizer).items():
        np.testing.assert_array_equal(variable, saved[name], err_msg=name)
    test = parts.run.get_data("test").load(config.evaluation.batch_size)
    logits = np.concatenate([parts.predict(batch["features"]).logits for batch in test], axis=1)
    expected = Categorical.to_saved(Predictions(logits=logits))["log_probs"]
    np.testing.assert_array_equal(expected, RunFolder(tmp_path / "script").predictions("test")["log_probs"])


def test_members_are_trained_at_once_as_in_the_script(tmp_path):
    _, parts = get_parts("deep_ensemble", tmp_path, **{"deep_ensemble.size": 3})
    assert sum(len(group) for group in parts.groups) == 3
    heads = {loop.model.get_layer("head").kernel.numpy().tobytes() for group in parts.groups for loop in group}
    assert len(heads) == 3
    assert parts.predict(np.zeros((5, 2), np.float32)).probs.shape == (3, 5, 2)


def test_the_library_is_left_as_it_was(tmp_path):
    from uncertainty_suite import evaluation

    before = training.Loop, training.train_together, evaluation.evaluate
    get_parts("mc_dropout", tmp_path)
    assert (training.Loop, training.train_together, evaluation.evaluate) == before
