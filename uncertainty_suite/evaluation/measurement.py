"""Every metric of a run from its saved predictions, without the model and without TensorFlow."""

import collections
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from uncertainty_suite import likelihoods, metrics, ood_scores, posthoc
from uncertainty_suite.errors import InputError
from uncertainty_suite.likelihoods import Likelihood, Saved
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.tasks import Split, Task

OOD_METRICS = ("auroc", "aupr_in", "aupr_out", "fpr95")

HEAD = "head"  # the file of the head's weights among the predictions
MEASURED = "measured/"  # begins the names of metrics that were computed while samples were at hand
NO_VALUE = "no_value/"  # begins the names of those that had none, with the reason


class Measured(NamedTuple):
    """Metrics by name, and why others that were asked for have no value here."""

    metrics: dict[str, float]
    left_out: dict[str, str]

    def prefixed(self, prefix: str) -> "Measured":
        """Return the same with names that say what was measured."""
        metrics = {f"{prefix}/{name}": value for name, value in self.metrics.items()}
        return Measured(metrics, {f"{prefix}/{name}": reason for name, reason in self.left_out.items()})


def compute(
    run: RunFolder,
    more_metrics: Iterable[str] = (),
    more_ood_scores: Iterable[str] = (),
    more_posthoc: Iterable[str] = (),
    known: Mapping[str, Measured] = MappingProxyType({}),
) -> Measured:
    """Compute every metric from the saved predictions of a run.

    Args:
        run: The run's folder.
        more_metrics: Metrics beside those of `config.evaluation.metrics`.
        more_ood_scores: OOD scores beside those of `config.evaluation.ood_scores`.
        more_posthoc: Calibrations and conformal predictors beside those of `config.evaluation.posthoc`.
        known: What `split_metrics` has given already, by split.

    Returns:
        Metrics keyed by what they were measured on:

        - `test/nll`: of a labelled split.
        - `test/temperature_scaling/nll`: the same after a calibration fitted on the validation split, and
          `test/raps/coverage`: of conformal sets for a miscoverage of 0.1.
        - `shift/fog_3/nll`: of a corrupted test set; `shift/severity_3/nll` its mean over corruptions, and
          `shift/mean/nll` over severities too (the cNLL, cAccuracy and cECE of papers); `shift/mce`, the mean
          corruption error, not divided by another network's; and `shift/relative_mce`, that less the error of the
          same examples of the in-distribution split.
        - `ood/mnist/auroc`: how well the uncertainty that every method has (of classes, one minus the largest
          probability) tells an OOD set from the in-distribution split; `ood/mnist/energy/auroc` by another score or an
          uncertainty of the method; `ood/mnist/max_prob` and `ood/mnist/oscr`: see the likelihood's `ood_summary`;
          `ood/near/auroc` and `ood/far/auroc`, means over the near and the far sets.

    Raises:
        InputError: Predictions are missing, damaged or of another run, or cannot be scored in that way.
    """
    config = run.config["evaluation"]
    task = run.task
    names = list(dict.fromkeys([*config["metrics"], *more_metrics]))
    for name in more_metrics:
        _check_defined(name, metrics.info(name), task.likelihood)
    inside = run.predictions(task.in_distribution)
    results: dict[str, float] = {}
    left_out: dict[str, str] = {}

    def add(measured: Measured, prefix: str) -> None:
        metrics, reasons = measured.prefixed(prefix)
        results.update(metrics)
        left_out.update(reasons)

    of_split = {
        split.key: known.get(split.key) or split_metrics(run.predictions(split.key), names, task.likelihood)
        for split in task.of("validation", "test", "shift")
    }
    for split in task.of("validation", "test"):
        add(of_split[split.key], split.key)
    for text in dict.fromkeys([*config["posthoc"], *more_posthoc]):
        if not task.of("validation"):
            raise InputError(
                f"'{text}' is fitted on the validation split, which {run.path} has not predicted: run with "
                "--config.dataset.validation_percent=0.1 --config.evaluation.splits=\"('test', 'validation')\"."
            )
        validation = run.predictions(task.of("validation")[0].key)
        add(posthoc_metrics(text, validation, inside, names, task.likelihood), f"{task.in_distribution}/{text}")
    shifts = task.of("shift")
    for split in shifts:
        add(of_split[split.key], split.key)
    results |= _shift_means(shifts, of_split, inside)
    ood_results, ood_left_out = _ood(run, task, inside, [*config["ood_scores"], *more_ood_scores])
    return Measured({**results, **ood_results}, {**left_out, **ood_left_out})


def of_samples(names: Iterable[str]) -> list[str]:
    """Return the metrics that compare samples, and so are computed while a method predicts."""
    return [name for name in names if "samples" in metrics.info(name).needs]


def split_metrics(saved: Saved, names: Iterable[str], likelihood: Likelihood) -> Measured:
    """Return metrics of the saved predictions of a labelled split.

    Args:
        saved: The predictions.
        names: The metrics. Those that compare samples are taken from where they were computed, or computed from
            `samples` where these are saved.
        likelihood: Of the task.
    """
    names = list(names)
    compared = of_samples(names)
    there = {name.removeprefix(MEASURED): float(saved[name]) for name in saved if name.startswith(MEASURED)}
    reasons = {name.removeprefix(NO_VALUE): str(saved[name]) for name in saved if name.startswith(NO_VALUE)}
    measured = _measure([name for name in names if name not in compared], likelihood.metric_input(saved), saved)
    measured.left_out.update({name: reasons[name] for name in compared if name in reasons})
    missing = [name for name in compared if name not in there and name not in reasons]
    if missing and "samples" in saved:
        further = _measure(missing, saved["samples"], saved)
        measured = Measured({**measured.metrics, **further.metrics}, {**measured.left_out, **further.left_out})
    elif missing:
        reason = "it compares samples, and none are saved: --config.evaluation.save=\"('samples',)\""
        measured = Measured(measured.metrics, {**measured.left_out, **dict.fromkeys(missing, reason)})
    found = {**measured.metrics, **{name: there[name] for name in compared if name in there}}
    return Measured({name: found[name] for name in [*names, *found] if name in found}, measured.left_out)


def _measure(names: list[str], predictions: Any, saved: Saved) -> Measured:
    collection = metrics.Collection(names)
    if names:
        collection.add_batch(predictions, label=saved["labels"])
    return Measured(collection.result(), dict(collection.left_out))


def posthoc_metrics(
    text: str, validation: Saved, test: Saved, names: Iterable[str], likelihood: Likelihood
) -> Measured:
    """Return metrics of predictions calibrated on validation predictions, or of conformal sets fitted on them.

    Args:
        text: One of `posthoc.names()`, with options or without.
        validation: Saved predictions to fit on.
        test: Saved predictions to measure on.
        names: Metrics of calibrated predictions; those that compare samples are left out.
        likelihood: Of the task.
    """
    _check_defined(text, posthoc.info(text), likelihood)
    fitted = posthoc.get(text).fit(validation["probs"], validation["labels"])
    if isinstance(fitted, posthoc.ConformalPredictor):
        return Measured(posthoc.set_metrics(fitted.predict_sets(test["probs"]), test["labels"]), {})
    names = [name for name in names if name not in of_samples(names)]
    return _measure(names, fitted(test["probs"]), test)


def _check_defined(text: str, info: Any, likelihood: Likelihood) -> None:
    if likelihood.name not in info.likelihoods:
        raise InputError(f"'{text}' is not defined for a {likelihood.name} likelihood. Leave it out.")


def _shift_means(shifts: list[Split], of_split: Mapping[str, Measured], inside: Saved) -> dict[str, float]:
    """Return means over shifted sets, of the metrics that all of them have."""
    if not shifts:
        return {}
    results: dict[str, float] = {}
    by_severity = collections.defaultdict(list)
    for split in shifts:
        by_severity[split.severity].append(of_split[split.key].metrics)
    for severity, rows in by_severity.items():
        results |= _prefixed(f"shift/severity_{severity}", _means(rows))
    results |= _prefixed("shift/mean", _means([row for rows in by_severity.values() for row in rows]))
    if "shift/mean/accuracy" in results:
        correct = inside["probs"].argmax(axis=-1) == inside["labels"]
        clean_error = 1 - correct[: shifts[0].max_examples or None].mean()
        results["shift/mce"] = 1 - results["shift/mean/accuracy"]
        results["shift/relative_mce"] = float(results["shift/mce"] - clean_error)
    return results


def _ood(run: RunFolder, task: Task, inside: Saved, names: Iterable[str]) -> Measured:
    outside = task.of("near_ood", "far_ood")
    results: dict[str, float] = {}
    if not outside:
        return Measured(results, {})
    for name in names:
        _check_defined(name, ood_scores.info(name), task.likelihood)
    scores = {name: ood_scores.get(name) for name in dict.fromkeys(names)}
    if any(score.fit_needs for score in scores.values()):
        train = run.predictions(task.of("fit")[0].key if task.of("fit") else "fit")
        head = run.predictions(HEAD) if run.has_predictions(HEAD) else None
        weights = (head["weights"], head["bias"]) if head else None
        scores = {name: score.fit(train, weights) for name, score in scores.items()}
    scored = {name: score(inside) for name, score in scores.items()}
    for role in ("near_ood", "far_ood"):
        aurocs = []
        for split in task.of(role):
            found = ood_metrics(inside, run.predictions(split.key), task.likelihood, scores, scored)
            results |= _prefixed(split.key, found)
            aurocs.append(results[f"{split.key}/auroc"])
        if aurocs:
            results[f"ood/{role.removesuffix('_ood')}/auroc"] = float(np.mean(aurocs))
    return Measured(results, {})


def ood_metrics(
    inside: Saved,
    outside: Saved,
    likelihood: Likelihood | type[Likelihood] = likelihoods.Categorical,
    scores: Mapping[str, ood_scores.Score] = MappingProxyType({}),
    known: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> dict[str, float]:
    """Return how well each uncertainty tells an OOD set from the in-distribution split.

    Args:
        inside: Saved predictions of the in-distribution split.
        outside: Saved predictions of the OOD set.
        likelihood: Of the task.
        scores: Fitted OOD scores by name, beside the likelihood's `uncertainties`.
        known: What they have given for `inside` already, by name.

    Returns:
        `auroc`, `aupr_in`, `aupr_out` and `fpr95` by the uncertainty that every method has, `<score>/auroc` and so on
        by each other one, and the likelihood's `ood_summary`.
    """
    inner, outer = likelihood.uncertainties(inside), likelihood.uncertainties(outside)
    pairs = {name: (values, outer[name]) for name, values in inner.items()}
    for name, score in scores.items():
        pairs[name] = known[name] if name in known else score(inside), score(outside)
    results: dict[str, float] = {}
    first = next(iter(inner))
    for name, (scores_in, scores_out) in pairs.items():
        is_ood = np.repeat([0, 1], [len(scores_in), len(scores_out)])
        collection = metrics.Collection(list(OOD_METRICS))
        collection.add_batch(np.concatenate([scores_in, scores_out]), label=is_ood)
        results |= collection.result() if name == first else _prefixed(name, collection.result())
    return {**results, **likelihood.ood_summary(inside, outside)}


def _prefixed(prefix: str, results: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}/{name}": value for name, value in results.items()}


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0] if all(name in row for row in rows)}
