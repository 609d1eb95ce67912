import functools
import sys

import numpy as np
import pytest

from tests.conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))
import scripts

from uncertainty_suite import configuration, cost, tf, training
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


@pytest.mark.parametrize(
    "method", ["mc_dropout", "swag", "variational_inference", "radial_bnn", "rank1_bnn", "ivon", "sg_mcmc"]
)
def test_all_samples_of_a_prediction_are_one_compiled_call(method, tmp_path):
    section = scripts.get_section(method)
    overrides = {f"{method}.{name}": section.parameters[name].default[:1] for name in section.tuned}
    _, parts = get_parts(method, tmp_path, **overrides, **{"epochs": 12, f"{method}.{section.samples}": 6})
    predict = parts.predict.func if isinstance(parts.predict, functools.partial) else parts.predict
    given = parts.predict.keywords if isinstance(parts.predict, functools.partial) else {}
    inputs = tf.zeros([50, 2])
    assert parts.predict(inputs).probs.shape == parts.predict(inputs + 1).probs.shape == (6, 50, 2)
    assert isinstance(predict, tf.types.experimental.PolymorphicFunction)
    assert predict.experimental_get_tracing_count() == 1
    # Behind the first thing that is random, at least the head is computed for each sample, and within this graph.
    head = 2 * 50 * parts.loop.model.output["features"].shape[-1] * 2
    assert cost.count_flops(predict, inputs, **given) >= 6 * head
