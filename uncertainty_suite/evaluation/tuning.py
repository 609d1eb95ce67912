"""Choosing a setting of a trained method on the validation split: the one mechanism, and what a record says of it."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from uncertainty_suite import metrics, tf
from uncertainty_suite.evaluation.prediction import Predictor
from uncertainty_suite.predictions import Predictions

if TYPE_CHECKING:
    from uncertainty_suite.training import Run


def tune(
    predict: Callable[..., Predictions],
    run: "Run",
    parameter: str,
    evidence: Callable[[float], float] | None = None,
) -> Callable[[Any], Predictions]:
    """Return the predict function with the value of a hyper-parameter that does best on the validation split.

    The values to try are those of the hyper-parameter, a tuple. The best one has the least NLL, the first of a tie. Of
    a single value nothing is chosen. What was tried and chosen is in the record, as `tuned`. A note says so where the
    choice is the largest value, or the smallest one if that is above 0: a better one may lie beyond.

    Args:
        predict: From features `[batch, ...]` and, by the parameter's name, a float32 scalar, to `Predictions`. It is
            compiled once, whatever the values.
        run: The run.
        parameter: The hyper-parameter, `<section>.<name>`, which the script's `Section` declares as `tuned`.
        evidence: The log marginal likelihood of the training data given a value: with it, that of the greatest is
            chosen, and the validation split is not looked at.

    Returns:
        A function of features alone, for `evaluate`.

    Example:
        >>> predict = evaluation.tune(predict_with, run, "sngp.mean_field_factor")
    """
    section, _, name = parameter.partition(".")
    values = tuple(float(value) for value in run.config[section][name])

    def predict_with(value: float) -> Callable[[Any], Predictions]:
        return functools.partial(predict, **{name: tf.constant(value, tf.float32)})

    if len(values) == 1 or not run.chief:
        return predict_with(values[0])
    known = (run.folder.results or {}).get("tuned", {}).get(parameter, {}) if run.options.restore_only else {}
    if known.get("values") != list(values):
        if evidence is None:
            split = run.task.of("validation")[0]
            batches = list(run.get_data(split).batches(run.config.evaluation.batch_size))
            losses = [_criterion(Predictor(predict_with(value), run), split.key, batches) for value in values]
            criterion, key = run.task.likelihood.criterion, split.key
        else:
            losses = [-float(evidence(value)) for value in values]
            criterion, key = "negative_log_marginal_likelihood", "train"
        chosen = values[int(np.argmin(losses))]
        known = {"values": list(values), "chosen": chosen, "scores": losses, "criterion": criterion, "split": key}
        beyond = "larger" if chosen == max(values) else "smaller" if chosen == min(values) > 0 else ""
        if beyond:
            known["note"] = f"{chosen:g} is at the edge of the values tried: a {beyond} one may be better."
    run.tuned[parameter] = known
    return predict_with(known["chosen"])


def _criterion(predictor: Predictor, key: str, batches: list[Any]) -> float:
    likelihood = predictor.likelihood
    metric = metrics.get(likelihood.criterion)
    predictor.begin(key)
    for batch in batches:
        saved = likelihood.to_saved(predictor(batch["features"]))
        metric.add_batch(likelihood.metric_input(saved), label=batch["labels"].numpy())
    return metric.result()[likelihood.criterion]
