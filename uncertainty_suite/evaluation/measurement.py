"""Every metric of a run from its saved predictions, without the model and without TensorFlow."""

import collections
import operator
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from uncertainty_suite import likelihoods, metrics, ood_scores, posthoc, tasks
from uncertainty_suite.errors import InputError
from uncertainty_suite.likelihoods import Likelihood, Saved
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.tasks import Task

OOD_METRICS = ("auroc", "aupr_in", "aupr_out", "fpr95")

HEAD = "head"  # the file of the head's weights among the predictions
_NEEDED = {
    *("splits", "in_distribution", "metrics", "predict_only", "corruptions", "severities", "shift_examples"),
    *("ood_near", "ood_far", "ood_validation", "ood_scores", "posthoc", "ensemble_curve"),
}
MEASURED = "measured/"  # begins the names of metrics that were computed while samples were at hand
NO_VALUE = "no_value/"  # begins the names of those that had none, with the reason


class Measured(NamedTuple):
    """Metrics by name, why others that were asked for have no value here, and what was chosen on which data."""

    metrics: dict[str, float]
    left_out: dict[str, str]
    tuned: dict[str, dict[str, Any]] = {}  # noqa: RUF012 - never written to

    def prefixed(self, prefix: str) -> "Measured":
        """Return the same with names that say what was measured."""
        metrics = {f"{prefix}/{name}": value for name, value in self.metrics.items()}
        return Measured(metrics, {f"{prefix}/{name}": reason for name, reason in self.left_out.items()}, self.tuned)


def _joined(parts: Iterable[Measured]) -> Measured:
    whole = Measured({}, {}, {})
    for part in parts:
        whole.metrics.update(part.metrics)
        whole.left_out.update(part.left_out)
        whole.tuned.update(part.tuned)
    return whole


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
          `test/raps/coverage`: of conformal sets for a miscoverage of 0.1. Of shifted sets it is there too.
        - `ensemble/3/nll`: of the in-distribution split, the mean over ensembles of so many of the samples; and
          `ensemble/3/temperature_scaling/nll`, each of them calibrated.
        - `shift/fog_3/nll`: of a corrupted test set; `shift/severity_3/nll` its mean over corruptions, and
          `shift/mean/nll` over severities too (the cNLL, cAccuracy and cECE of papers); `shift/mce`, the mean
          corruption error, not divided by another network's; and `shift/relative_mce`, that less the error of the
          same examples of the in-distribution split.
        - `ood/mnist/auroc`: how well the uncertainty that every method has (of classes log(1 - p), p being the largest
          probability) tells an OOD set from the in-distribution split; `ood/mnist/energy/auroc` by another score or an
          uncertainty of the method; `ood/mnist/max_prob` and `ood/mnist/oscr`: see the likelihood's `ood_summary`;
          `ood/near/auroc` and `ood/far/auroc`, means over the near and the far sets.
        - `ood/mnist/knn/tuned/auroc`: by a score whose option was chosen on the OOD validation sets, and
          `ood/mnist/knn/oracle/auroc` by the one that is best there, which nobody could know; `tuning_gap/knn`, how
          much better the second is, a mean over the near and the far sets.
        - `failure/max_prob/augrc`: how well an uncertainty finds failures among the examples of the in-distribution
          split, the shifted and the OOD sets together: errors, and all that is OOD; `aurc` and `auroc`, too.
        - `test/aleatoric_epistemic_correlation`: the rank correlation of the two parts of the uncertainty.

    Raises:
        InputError: Predictions are missing, damaged or of another run, or cannot be scored in that way.
    """
    config = run.config.get("evaluation", {})
    lacking = sorted(_NEEDED - config.keys())
    if lacking:
        raise InputError(f"{run.path / 'config.json'} has no field evaluation.{lacking[0]}, by which it is evaluated.")
    task = run.task
    names = list(dict.fromkeys([*config["metrics"], *more_metrics]))
    for name in more_metrics:
        _check_defined(name, metrics.info(name), task.likelihood)
    inside = run.predictions(task.in_distribution)
    fitted, not_fitted = _fit_all(run, config["posthoc"], more_posthoc, names)
    failures = Failures(task.likelihood)
    of_split: dict[str, Measured] = {}
    for split in task.of("validation", "test", "shift"):
        saved = inside if split.key == task.in_distribution else run.predictions(split.key)
        found = [known.get(split.key) or split_metrics(saved, names, task.likelihood)]
        if split.key == task.in_distribution or split.role == "shift":
            for text, fit in fitted.items():
                corrected = posthoc_metrics(fit, saved, names, task.likelihood)
                if split.role == "shift":  # those of single classes are too many for each of a hundred splits
                    kept = {name: value for name, value in corrected.metrics.items() if "/" not in name}
                    corrected = corrected._replace(metrics=kept)
                found.append(corrected.prefixed(text))
            failures.add(saved)
        of_split[split.key] = _joined(found)
    parts = [measured.prefixed(key) for key, measured in of_split.items()]
    parts.append(_decomposition(inside, task.likelihood).prefixed(task.in_distribution))
    parts.append(_shift_means(task, of_split, inside))
    if config["ensemble_curve"]:
        sizes = range(1, task.likelihood.num_samples(inside) + 1)
        parts += [_ensembles_of(run, inside, size).prefixed(f"ensemble/{size}") for size in sizes]
    parts.append(_ood(run, inside, [*config["ood_scores"], *more_ood_scores], failures))
    parts.append(failures.measured())
    parts += [Measured({}, {}, {f"posthoc.{text}": _said_of(fit, task)}) for text, fit in fitted.items()]
    parts.append(Measured({}, not_fitted))
    return _of_whole_groups(run, _joined(parts))


def _of_whole_groups(run: RunFolder, measured: Measured) -> Measured:
    """Leave out what is made of several splits where one that the configuration asks for was not predicted.

    Predictions from elsewhere may lack some, and a mean over others is another number under the same name.
    """
    missing = [split for split in tasks.plan(run.config, fit=False) if split not in run.task.splits]
    shifts = [split for split in missing if split.role == "shift"]
    outside = [split for split in missing if split.role in ("near_ood", "far_ood")]
    begins = [f"shift/severity_{split.severity}/" for split in shifts if split.derived]
    begins += ["shift/mean/", "shift/mce", "shift/relative_mce"] if shifts else []
    begins += [f"ood/{split.role.removesuffix('_ood')}/" for split in outside]
    begins += ["tuning_gap/"] if outside else []
    begins += ["failure/"] if shifts or outside else []
    names = [name for name in measured.metrics if name.startswith(tuple(begins))]
    if not names:
        return measured
    lacking = [split.key for split in (*shifts, *outside)]
    reason = f"it is made of several splits, and there are no predictions of {len(lacking)}, such as {lacking[0]}"
    kept = {name: value for name, value in measured.metrics.items() if name not in names}
    return measured._replace(metrics=kept, left_out={**measured.left_out, **dict.fromkeys(names, reason)})


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
    from_mean = [name for name in names if name not in compared]
    measured = _measure(from_mean, likelihood.metric_input, saved, likelihood)
    measured.left_out.update({name: reasons[name] for name in compared if name in reasons})
    missing = [name for name in compared if name not in there and name not in reasons]
    if missing and "samples" in saved:
        further = _measure(missing, operator.itemgetter("samples"), saved, likelihood)
        measured = Measured({**measured.metrics, **further.metrics}, {**measured.left_out, **further.left_out})
    elif missing:
        reason = "it compares samples, and none are saved: of a method that has several, evaluate --save samples does"
        measured = Measured(measured.metrics, {**measured.left_out, **dict.fromkeys(missing, reason)})
    found = {**measured.metrics, **{name: there[name] for name in compared if name in there}}
    return Measured({name: found[name] for name in [*names, *found] if name in found}, measured.left_out)


def _measure(names: list[str], predictions: Callable[[Saved], Any], saved: Saved, likelihood: Likelihood) -> Measured:
    """Return metrics of saved predictions, given what makes of them the predictions that a metric receives."""
    collection = metrics.Collection(names)
    for piece in likelihood.pieces(saved) if names else ():
        uncertainties = likelihood.uncertainties(piece)
        collection.add_batch(predictions(piece), label=piece["labels"], uncertainties=uncertainties)
    return Measured(collection.result(), dict(collection.left_out))


def fit_posthoc(text: str, validation: Saved, likelihood: Likelihood) -> posthoc.PostHoc:
    """Return a calibration or a conformal predictor, fitted on saved predictions of the validation split.

    Args:
        text: One of `posthoc.names()`, with options or without.
        validation: Saved predictions to fit on.
        likelihood: Of the task.
    """
    info = posthoc.info(text)
    _check_defined(text, info, likelihood)
    if info.kind == "conformal":
        predictions = likelihood.metric_input(validation)
        return posthoc.get(text).fit(predictions, validation["labels"], element_ids=validation["element_id"])
    fitted = posthoc.get(text, **likelihood.calibration_options)
    return fitted.fit(likelihood.calibration_input(validation), validation["labels"])


def posthoc_metrics(fitted: posthoc.PostHoc, saved: Saved, names: Iterable[str], likelihood: Likelihood) -> Measured:
    """Return metrics of calibrated predictions, or of conformal sets or intervals.

    Args:
        fitted: What `fit_posthoc` returned.
        saved: Saved predictions of a labelled split.
        names: Metrics of calibrated predictions; those that compare samples are left out.
        likelihood: Of the task.
    """
    if isinstance(fitted, posthoc.ConformalPredictor):
        return Measured(fitted.measure(likelihood.metric_input(saved), saved["labels"], saved["element_id"]), {})
    calibrate: Any = fitted
    names = [name for name in names if name not in of_samples(names)]
    return _measure(names, lambda piece: calibrate(likelihood.calibration_input(piece)), saved, likelihood)


def _check_defined(text: str, info: Any, likelihood: Likelihood) -> None:
    if likelihood.name not in info.likelihoods:
        raise InputError(f"'{text}' is not defined for a {likelihood.name} likelihood. Leave it out.")


def _fit_all(
    run: RunFolder, configured: Iterable[str], more: Iterable[str], names: Iterable[str]
) -> tuple[dict[str, posthoc.PostHoc], dict[str, str]]:
    """Return what is fitted on the validation split, and why metrics of what the configuration names are left out.

    Predictions from elsewhere may have no validation split, e.g. where a network was trained on all examples.
    """
    task, configured, more = run.task, list(configured), list(more)
    splits = task.of("validation")
    if more and not splits:
        raise InputError(
            f"'{more[0]}' is fitted on the validation split, which {run.path} has not predicted: run with "
            "--config.dataset.validation_percent=0.1 --config.evaluation.splits=\"('test', 'validation')\"."
        )
    texts = list(dict.fromkeys([*configured, *more]))
    if not splits:
        reason = "it is fitted on the validation split, and there are no predictions of it"
        of_mean = [name for name in names if name not in of_samples([name])]
        measured = {text: of_mean if posthoc.info(text).kind == "calibration" else ["coverage"] for text in texts}
        missing = [f"{task.in_distribution}/{text}/{name}" for text in texts for name in measured[text]]
        return {}, dict.fromkeys(missing, reason)
    validation = run.predictions(splits[0].key) if texts else {}
    return {text: fit_posthoc(text, validation, task.likelihood) for text in texts}, {}


def _said_of(fitted: posthoc.PostHoc, task: Task) -> dict[str, Any]:
    """Return what a record says of a fit: numbers, not curves, and the note."""
    numbers = {name: value for name, value in (fitted.parameters or {}).items() if type(value) is float}
    criterion = {"criterion": task.likelihood.criterion} if fitted.kind == "calibration" else {}
    note = {"note": fitted.note} if fitted.note else {}
    return {"fitted": numbers, **criterion, "split": task.of("validation")[0].key, **note}


def _decomposition(inside: Saved, likelihood: Likelihood) -> Measured:
    """Return how far the two parts of the uncertainty say the same, of predictions with several samples."""
    parts = likelihood.decomposed(inside)
    if parts is None:
        return Measured({}, {})
    metric: Any = metrics.get("aleatoric_epistemic_correlation")
    try:
        return Measured({metric.name: metric.compute(*parts)}, {})
    except metrics.NoValueError as error:
        return Measured({}, {metric.name: str(error)})


def _ensembles_of(run: RunFolder, inside: Saved, size: int) -> Measured:
    """Return the likelihood's criterion of ensembles of so many samples, those that follow one another in a circle."""
    likelihood, splits = run.task.likelihood, run.task.of("validation")
    validation = run.predictions(splits[0].key) if splits else None
    names, rows = [likelihood.criterion], []
    count = likelihood.num_samples(inside)
    for first in range(count if size < count else 1):
        members = [(first + i) % count for i in range(size)]
        test = {**likelihood.of_members(inside, members), "labels": inside["labels"]}
        found = [_measure(names, likelihood.metric_input, test, likelihood)]
        if validation is not None:
            held_out = {**likelihood.of_members(validation, members), "labels": validation["labels"]}
            calibrate = fit_posthoc(likelihood.calibration, held_out, likelihood)
            found.append(posthoc_metrics(calibrate, test, names, likelihood).prefixed(likelihood.calibration))
        rows.append(_joined(found).metrics)
    return Measured(_means(rows), {})


def _shift_means(task: Task, of_split: Mapping[str, Measured], inside: Saved) -> Measured:
    """Return means over shifted sets, of the metrics that all of them have."""
    shifts = task.of("shift")
    if not shifts:
        return Measured({}, {})
    results: dict[str, float] = {}
    by_severity = collections.defaultdict(list)
    for split in shifts:
        by_severity[split.severity].append(of_split[split.key].metrics)
    for severity, rows in by_severity.items():
        if severity:
            results |= _prefixed(f"shift/severity_{severity}", _means(rows))
    results |= _prefixed("shift/mean", _means([row for rows in by_severity.values() for row in rows]))
    if "shift/mean/accuracy" in results:
        correct = _correct(inside, task.likelihood)
        clean_error = 1 - correct[: max(split.max_examples for split in shifts) or None].mean()
        results["shift/mce"] = 1 - results["shift/mean/accuracy"]
        results["shift/relative_mce"] = float(results["shift/mce"] - clean_error)
    return Measured(results, {})


def _correct(saved: Saved, likelihood: Likelihood) -> np.ndarray:
    """Return 1 for each example that is right, 0 for each that is wrong."""
    return likelihood.by_example(
        lambda piece: metrics.per_example("accuracy", likelihood.metric_input(piece), piece["labels"]), saved
    )


def _by_example(
    function: Callable[[Saved], dict[Any, np.ndarray]], saved: Saved, likelihood: Likelihood | type[Likelihood]
) -> dict[Any, np.ndarray]:
    """Return what `Likelihood.by_example` does, of a function that gives several values for each example."""
    found = [function(piece) for piece in likelihood.pieces(saved)]
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


class Failures:
    """What is wrong, and how uncertain a method is of it, in several splits together.

    Example:
        >>> failures = Failures.of(run)
        >>> metrics.failure_curve(*failures.by("max_prob"))
    """

    def __init__(self, likelihood: Likelihood) -> None:
        """Begin with nothing."""
        self._likelihood = likelihood
        self._errors: list[np.ndarray] = []
        self._is_ood: list[np.ndarray] = []
        self._uncertainties: list[dict[str, np.ndarray]] = []

    @classmethod
    def of(cls, run: RunFolder) -> "Failures":
        """Return those of a run: of its in-distribution split, its shifted and its OOD sets."""
        failures = cls(run.task.likelihood)
        failures.add(run.predictions(run.task.in_distribution))
        for split in run.task.of("shift", "near_ood", "far_ood"):
            failures.add(run.predictions(split.key), is_ood=split.role != "shift")
        return failures

    def add(self, saved: Saved, is_ood: bool = False) -> None:
        """Add the predictions of a split; of OOD examples every answer is a failure."""
        if not self._likelihood.has_errors:
            return
        count = len(saved["element_id"])
        if is_ood:
            self._errors.append(np.zeros(count, bool))
        else:
            self._errors.append(_correct(saved, self._likelihood) == 0)
        self._is_ood.append(np.full(count, is_ood))
        self._uncertainties.append(_by_example(self._likelihood.uncertainties, saved, self._likelihood))

    @property
    def uncertainties(self) -> list[str]:
        """Names of the uncertainties that all splits have."""
        first = self._uncertainties[0] if self._uncertainties else ()
        return [name for name in first if all(name in each for each in self._uncertainties)]

    def by(self, uncertainty: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return errors, uncertainty and which examples are OOD, as `metrics.failure_detection` takes them."""
        scores = np.concatenate([each[uncertainty] for each in self._uncertainties])
        return np.concatenate(self._errors), scores, np.concatenate(self._is_ood)

    def measured(self) -> Measured:
        """Return how well each uncertainty finds failures."""
        found = {name: metrics.failure_detection(*self.by(name)) for name in self.uncertainties}
        return _joined(Measured(values, {}).prefixed(f"failure/{name}") for name, values in found.items())


def _ood(run: RunFolder, inside: Saved, names: Iterable[str], failures: Failures) -> Measured:
    task = run.task
    if not task.of("near_ood", "far_ood"):
        return Measured({}, {})
    for name in names:
        _check_defined(name, ood_scores.info(name), task.likelihood)
    scores = {name: ood_scores.get(name) for name in dict.fromkeys(names)}
    reasons: dict[str, str] = {}
    if any(score.fit_needs for score in scores.values()):
        train = run.predictions(task.of("fit")[0].key if task.of("fit") else "fit")
        head = run.predictions(HEAD) if run.has_predictions(HEAD) else None
        weights = (head["weights"], head["bias"]) if head else None
        scores, reasons = _fitted(scores, train, weights)
    scored = {name: task.likelihood.by_example(score, inside) for name, score in scores.items()}
    # Scores are chosen by telling the OOD validation set from the validation split: a folder of others may lack either.
    can_choose = task.of("ood_validation") and task.of("validation")
    choices = _Choices(run, inside, scores) if can_choose else None
    results: dict[str, float] = {}
    left_out: dict[str, str] = {}
    for role in ("near_ood", "far_ood"):
        aurocs = []
        for split in task.of(role):
            left_out |= {f"{split.key}/{name}/auroc": reason for name, reason in reasons.items()}
            outside = run.predictions(split.key)
            results |= _prefixed(split.key, ood_metrics(inside, outside, task.likelihood, scores, scored))
            if choices:
                results |= _prefixed(split.key, choices.metrics(outside))
            failures.add(outside, is_ood=True)
            aurocs.append(results[f"{split.key}/auroc"])
        if aurocs:
            results[f"ood/{role.removesuffix('_ood')}/auroc"] = float(np.mean(aurocs))
    if not choices:
        return Measured(results, left_out)
    return Measured({**results, **choices.gaps()}, left_out, choices.tuned)


def _fitted(
    scores: Mapping[str, ood_scores.Score], train: Saved, head: tuple[np.ndarray, np.ndarray] | None
) -> tuple[dict[str, ood_scores.Score], dict[str, str]]:
    """Return the scores fitted, and why there are none of those that have no value for this network."""
    fitted, reasons = {}, {}
    for name, score in scores.items():
        try:
            fitted[name] = score.fit(train, head)
        except metrics.NoValueError as error:
            reasons[name] = str(error)
    return fitted, reasons


class _Choices:
    """OOD scores whose option is chosen on the OOD validation sets; those named with options have nothing to choose.

    Attributes:
        tuned: What was tried and chosen.
    """

    def __init__(self, run: RunFolder, inside: Saved, scores: Mapping[str, ood_scores.Score]) -> None:
        task = run.task
        held_out = run.predictions(task.of("validation")[0].key)
        outside = {split.key: run.predictions(split.key) for split in task.of("ood_validation")}
        self.tuned: dict[str, dict[str, Any]] = {}
        self._scores = {name: score for name, score in scores.items() if score.tunable and name == score.name}
        self._likelihood = task.likelihood
        self._inside = {name: self._variants(score, inside) for name, score in self._scores.items()}
        self._chosen: dict[str, Any] = {}
        self._gaps: dict[str, list[float]] = collections.defaultdict(list)
        for name, score in self._scores.items():
            variants = self._variants(score, held_out)
            found = [_aurocs(variants, self._variants(score, each)) for each in outside.values()]
            means = {value: float(np.mean([aurocs[value] for aurocs in found])) for value in variants}
            # The score's own value, where that is among the best.
            self._chosen[name] = max(means, key=lambda value: means[value])
            self.tuned[f"ood_scores.{name}.{score.tunable}"] = {
                "values": list(means),
                "chosen": self._chosen[name],
                "scores": list(means.values()),
                "criterion": "auroc",
                "split": ", ".join(outside),
            }

    def metrics(self, outside: Saved) -> dict[str, float]:
        """Return the AUROC of an OOD test set by the chosen value, and by the one that is best on that set."""
        results: dict[str, float] = {}
        for name, score in self._scores.items():
            aurocs = _aurocs(self._inside[name], self._variants(score, outside))
            chosen, best = aurocs[self._chosen[name]], max(aurocs.values())
            results |= {f"{name}/tuned/auroc": chosen, f"{name}/oracle/auroc": best}
            self._gaps[name].append(best - chosen)
        return results

    def _variants(self, score: ood_scores.Score, saved: Saved) -> dict[Any, np.ndarray]:
        return _by_example(score.variants, saved, self._likelihood)

    def gaps(self) -> dict[str, float]:
        """Return how much better the best values would have been, means over the OOD test sets."""
        return {f"tuning_gap/{name}": float(np.mean(gaps)) for name, gaps in self._gaps.items()}


def _aurocs(inside: Mapping[Any, np.ndarray], outside: Mapping[Any, np.ndarray]) -> dict[Any, float]:
    return {value: metrics.auroc(scores, outside[value]) for value, scores in inside.items()}


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
    inner, outer = (_by_example(likelihood.uncertainties, saved, likelihood) for saved in (inside, outside))
    pairs = {name: (values, outer[name]) for name, values in inner.items()}
    for name, score in scores.items():
        scores_in = known[name] if name in known else likelihood.by_example(score, inside)
        pairs[name] = scores_in, likelihood.by_example(score, outside)
    results: dict[str, float] = {}
    first = next(iter(inner))
    for name, (scores_in, scores_out) in pairs.items():
        collection = metrics.Collection(list(OOD_METRICS))
        is_ood = np.repeat([0, 1], [len(scores_in), len(scores_out)])
        collection.add_batch(np.concatenate([scores_in, scores_out]), label=is_ood)
        results |= collection.result() if name == first else _prefixed(name, collection.result())
    return {**results, **likelihood.ood_summary(inside, outside)}


def _prefixed(prefix: str, results: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}/{name}": value for name, value in results.items()}


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0] if all(name in row for row in rows)}
