"""Choosing on the validation split."""

import functools

import numpy as np
import pytest

from tests.evaluation.conftest import finish, make_run, predict_by_distance
from uncertainty_suite import evaluation
from uncertainty_suite.configuration import Parameter, Section
from uncertainty_suite.predictions import Predictions

SECTION = Section(
    "mine", tuned=("sharpness",), sharpness=Parameter((0.0, 0.5, 1.0, 1e3), "how sure", at_least=0, of=float)
)


def predict_with(features, sharpness, seen=None):
    """Say what the first sample of `predict_by_distance` says, surer or less sure."""
    if seen is not None:
        seen.append((len(features), float(sharpness)))
    logits = float(sharpness) * np.log(np.asarray(predict_by_distance(features).probs[:1]))
    return Predictions(logits=logits, probs=np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True))


def test_the_value_of_least_loss_on_validation_is_taken_and_recorded(tmp_path):
    run = make_run(tmp_path / "run", section=SECTION)
    predict = evaluation.tune(predict_with, run, "mine.sharpness")
    results = finish(run, evaluation.evaluate(predict, run))
    said = results["tuned"]["mine.sharpness"]
    assert said["values"] == [0.0, 0.5, 1.0, 1000.0]
    assert (said["criterion"], said["split"]) == ("nll", "validation")
    assert said["scores"][0] == pytest.approx(np.log(2))
    assert said["chosen"] == said["values"][int(np.argmin(said["scores"]))]
    assert min(said["scores"]) == pytest.approx(results["metrics"]["validation/nll"], rel=1e-6)


def test_the_value_of_most_evidence_is_taken_where_that_decides(tmp_path):
    run = make_run(tmp_path / "run", section=SECTION)
    seen = []
    predict = functools.partial(predict_with, seen=seen)
    predict = evaluation.tune(predict, run, "mine.sharpness", lambda value: -abs(value - 0.6))
    said = run.tuned["mine.sharpness"]
    assert (said["chosen"], said["criterion"], said["split"]) == (0.5, "negative_log_marginal_likelihood", "train")
    assert said["scores"] == pytest.approx([0.6, 0.1, 0.4, 999.4])
    assert not seen  # nothing was predicted


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ((0.0, 0.1), "0.1 is at the edge of the values tried: a larger one may be better."),
        ((300.0, 1e3), "300 is at the edge of the values tried: a smaller one may be better."),
        ((0.0, 1e3), None),  # nothing is smaller than 0
        ((0.0, 1.0, 1e3), None),
    ],
)
def test_a_choice_at_the_edge_of_the_values_says_so(values, note, tmp_path):
    run = make_run(tmp_path / "run", section=SECTION)
    with run.config.unlocked():
        run.config.mine.sharpness = values
    evaluation.tune(predict_with, run, "mine.sharpness")
    assert run.tuned["mine.sharpness"].get("note") == note


def test_a_single_value_is_not_tuned(tmp_path):
    run = make_run(tmp_path / "run", section=SECTION)
    with run.config.unlocked():
        run.config.mine.sharpness = (0.5,)
    seen = []
    predict = evaluation.tune(functools.partial(predict_with, seen=seen), run, "mine.sharpness")
    assert run.tuned == {} and seen == []
    predict(np.zeros((3, 2)))
    assert seen == [(3, 0.5)]
