"""Every metric on every test set of a task, through the one prediction contract.

Two steps: `predict_splits` asks the model once about every example and saves what it says (and measures labelled splits
meanwhile); `compute` makes every metric from what is saved, without the model and without TensorFlow. So a finished run
can be evaluated anew, by another metric or score, with `python -m uncertainty_suite.evaluate`.
"""

import collections
import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from tqdm import tqdm

from uncertainty_suite import configuration, metrics, ood_scores, posthoc
from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.files import read_arrays, write_atomic
from uncertainty_suite.predictions import Predictions

if TYPE_CHECKING:  # imports TensorFlow
    from uncertainty_suite.training import Run

OOD_METRICS = ("auroc", "aupr_in", "aupr_out", "fpr95")

_FIELDS = {"samples": "probs", "logits": "logits", "features": "features"}  # of Predictions, by saved array

_BATCHES_AHEAD = 4  # made while others are predicted

Saved = dict[str, np.ndarray]  # the arrays of a `predictions/<split>.npz`
T = TypeVar("T")


def evaluate(predict: Callable[[Any], Predictions], run: "Run") -> dict[str, float]:
    """Predict every split that the configuration names, and compute every metric.

    Args:
        predict: From features, float32 `[batch, ...]`, to `Predictions`. It always gets
            `config.evaluation.batch_size` examples: the last batch of a split is filled up, and what was filled up is
            cut off again, so that it is compiled once.
        run: The run; predictions are saved in its folder.

    Returns:
        What `compute` returns, and `milliseconds_per_example`, the time of predicting the first split after a warm-up.
    """
    seconds, known = predict_splits(predict, run)
    return {**compute(run.path, known=known), "milliseconds_per_example": 1000 * seconds}


def predict_splits(predict: Callable[[Any], Predictions], run: "Run") -> tuple[float, dict[str, dict[str, float]]]:
    """Predict every split that `config.evaluation` names, save it, and compute the metrics of labelled ones.

    While batches are predicted, one thread makes the next ones and another saves and measures the split before.

    The files are `predictions/<key>.npz` with `probs` float32 `[n, classes]`, the mean over samples; `labels` int32
    `[n]`; `element_id` int64 `[n]`; `uncertainty/<name>` float32 `[n]` for each further uncertainty of the method, and
    the mutual information where it has several samples; `samples`, `logits` (float32 `[samples, n, classes]`) and
    `features` (float32 `[n, d]`) where `config.evaluation.save` names them or an OOD score needs them; and `run`, which
    ties the file to its run.

    Args:
        predict: As for `evaluate`.
        run: The run.

    Returns:
        The seconds that an example of the first split took, and `split_metrics` by split.
    """
    config = run.config.evaluation
    scores = [ood_scores.info(name) for name in config.ood_scores]
    for name in config.save:
        if name not in _FIELDS:
            raise unknown_name("array in config.evaluation.save", name, _FIELDS)
    to_score = {*config.save, *(array for score in scores for array in score.needs)}
    to_fit = {array for score in scores for array in score.fit_needs}
    task = run.config.dataset.name
    plan = [(split, run.get_data(split), 0, to_score) for split in config.splits]
    plan += [(ood_key(source, task), run.get_data(source), 0, to_score) for source in _ood(config)]
    plan += [(split, run.get_data(split), 0, config.save) for split in config.predict_only]
    for name in config.corruptions:
        for severity in config.severities:
            data = run.get_data("test", corruption=name, severity=severity)
            plan.append((f"shift/{name}_{severity}", data, config.shift_examples, config.save))
    if to_fit:
        plan.append(("fit", run.get_data("train"), config.fit_examples, {*config.save, *to_fit}))

    def load_batches(plan: list[tuple]) -> Iterator[Any]:
        for _, data, max_examples, _ in plan:
            yield from data.load(config.batch_size, max_examples=max_examples)
            yield None  # the split ends

    def save(key: str, saved: Saved) -> dict[str, float]:
        saved["run"] = np.array(run_id(run.saved_config))
        write_atomic(run.path / "predictions" / f"{key}.npz", lambda file: np.savez(file, **saved))
        return split_metrics(saved, config.metrics) if key in config.splits or key.startswith("shift/") else {}

    seconds_per_example, measured = None, []
    with (
        tqdm(plan, desc="predict", unit="split", disable=None) as bar,
        ThreadPoolExecutor(max_workers=1) as saver,
        contextlib.closing(_ahead(load_batches(plan[1:]), _BATCHES_AHEAD)) as ahead,
    ):
        # The first split is the one that is timed, so nothing else runs beside it, and what compiles comes before.
        batches = itertools.chain(load_batches(plan[:1]), ahead)
        first = next(batches)
        predict(_filled_up(first["features"], config.batch_size))
        batches = itertools.chain([first], batches)
        for key, _, _, arrays in bar:
            bar.set_postfix(split=key, refresh=False)
            saved, seconds = _predict(predict, iter(lambda: next(batches), None), config.batch_size, arrays)
            if seconds_per_example is None:
                seconds_per_example = seconds / len(saved["labels"])
            if measured:
                measured[-1].result()  # raises what went wrong there; and never do several splits wait in memory
            measured.append(saver.submit(save, key, saved))
    return seconds_per_example, {key: future.result() for (key, *_), future in zip(plan, measured)}


def compute(
    folder: str | Path,
    more_metrics: Iterable[str] = (),
    more_ood_scores: Iterable[str] = (),
    more_posthoc: Iterable[str] = (),
    known: Mapping[str, dict[str, float]] = MappingProxyType({}),
) -> dict[str, float]:
    """Compute every metric from the saved predictions of a run.

    Args:
        folder: The run folder.
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
          corruption error, not divided by another network's; and `shift/relative_mce`, that less the clean error.
        - `ood/mnist/auroc`: how well one minus the largest probability tells an OOD set from the first split;
          `ood/mnist/energy/auroc` by another score or an uncertainty of the method; `ood/mnist/max_prob`, the mean
          largest probability there; `ood/mnist/oscr`, the open-set classification rate; `ood/near/auroc` and
          `ood/far/auroc`, means over the near and the far sets.

    Raises:
        InputError: Predictions are missing, damaged or of another run, or cannot be scored in that way.
    """
    folder = Path(folder)
    config = configuration.read(folder)
    evaluation = config["evaluation"]
    names = list(dict.fromkeys([*evaluation["metrics"], *more_metrics]))
    first = evaluation["splits"][0]
    inside = load(folder, first)
    results = {}
    for split in evaluation["splits"]:
        results |= _prefixed(split, known.get(split) or split_metrics(load(folder, split), names))
    for name in dict.fromkeys([*evaluation["posthoc"], *more_posthoc]):
        if "validation" not in evaluation["splits"]:
            raise InputError(
                f"'{name}' is fitted on the validation split, which {folder} has not predicted: run with "
                "--config.dataset.validation_percent=0.1 --config.evaluation.splits=\"('test', 'validation')\"."
            )
        results |= _prefixed(f"{first}/{name}", posthoc_metrics(name, load(folder, "validation"), inside, names))
    results |= _shift_metrics(folder, evaluation, inside, names, known)

    scores = [ood_scores.get(name) for name in dict.fromkeys([*evaluation["ood_scores"], *more_ood_scores])]
    if any(score.fit_needs for score in scores):
        train = load(folder, "fit")
        scores = [score.fit(train) for score in scores]
    scored = {score.name: score(inside) for score in scores} if _ood(evaluation) else {}
    for distance in ("near", "far"):
        aurocs = []
        for source in evaluation[f"ood_{distance}"]:
            key = ood_key(source, config["dataset"]["name"])
            results |= _prefixed(key, ood_metrics(inside, load(folder, key), scores, scored))
            aurocs.append(results[f"{key}/auroc"])
        if aurocs:
            results[f"ood/{distance}/auroc"] = float(np.mean(aurocs))
    return results


def split_metrics(saved: Saved, names: Iterable[str]) -> dict[str, float]:
    """Return metrics of the saved predictions of a labelled split, keyed by metric."""
    collection = metrics.Collection(list(names))
    collection.add_batch(saved["probs"], label=saved["labels"])
    return collection.result()


def posthoc_metrics(name: str, validation: Saved, test: Saved, names: Iterable[str]) -> dict[str, float]:
    """Return metrics of predictions calibrated on validation predictions, or of conformal sets fitted on them.

    Args:
        name: One of `posthoc.names()`.
        validation: Saved predictions to fit on.
        test: Saved predictions to measure on.
        names: Metrics of calibrated predictions.
    """
    fitted = posthoc.get(name).fit(validation["probs"], validation["labels"])
    if isinstance(fitted, posthoc.ConformalPredictor):
        return posthoc.set_metrics(fitted.predict_sets(test["probs"]), test["labels"])
    return split_metrics({"probs": fitted(test["probs"]), "labels": test["labels"]}, names)


def ood_metrics(
    inside: Saved,
    outside: Saved,
    scores: Iterable[ood_scores.Score] = (),
    known: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> dict[str, float]:
    """Return how well each uncertainty tells an OOD set from the in-distribution one.

    Args:
        inside: Saved predictions of the in-distribution split.
        outside: Saved predictions of the OOD set.
        scores: Fitted OOD scores, beside `uncertainties`.
        known: What they have given for `inside` already, by name.

    Returns:
        `max_prob`, the mean largest probability on the OOD set; `auroc`, `aupr_in`, `aupr_out`, `fpr95` and `oscr` by
        one minus the largest probability; and `<score>/auroc` and so on by each other one.
    """
    results = {"max_prob": float(outside["probs"].max(axis=-1).mean(dtype=np.float64))}
    pairs = {name: (values, uncertainties(outside)[name]) for name, values in uncertainties(inside).items()}
    for score in scores:
        scored_in = known[score.name] if score.name in known else score(inside)
        pairs[score.name] = scored_in, score(outside)
    for score, (scores_in, scores_out) in pairs.items():
        is_ood = np.repeat([0, 1], [len(scores_in), len(scores_out)])
        collection = metrics.Collection(list(OOD_METRICS))
        collection.add_batch(np.concatenate([scores_in, scores_out]), label=is_ood)
        results |= _prefixed(score if score != "max_prob" else "", collection.result())
    correct = inside["probs"].argmax(axis=-1) == inside["labels"]
    return {**results, "oscr": metrics.oscr(*pairs["max_prob"], correct)}


def uncertainties(saved: Saved) -> dict[str, np.ndarray]:
    """Return each uncertainty of saved predictions as `[n]`, larger where the method is less certain.

    `max_prob` is one minus the largest probability; the others are those saved with the predictions.
    """
    named = {name.removeprefix("uncertainty/"): saved[name] for name in saved if name.startswith("uncertainty/")}
    return {"max_prob": 1.0 - saved["probs"].max(axis=-1), **named}


def load(folder: str | Path, key: str) -> Saved:
    """Return the saved predictions `predictions/<key>.npz` of a run.

    Raises:
        InputError: They are missing, damaged or of another run.
    """
    path = Path(folder) / "predictions" / f"{key}.npz"
    try:
        saved = read_arrays(path)
        owner = str(saved.pop("run"))
    except FileNotFoundError as error:
        raise InputError(f"There are no predictions {path}; run the script again to make them.") from error
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"The predictions {path} are damaged ({error}); run the script again.") from error
    expected = run_id(configuration.read(folder))
    if owner != expected:
        raise InputError(f"The predictions {path} are of another run ({owner}, and this is {expected}).")
    return saved


def ood_key(source: str, task: str) -> str:
    """Return the key of an OOD set: `ood/<data set>`, with the split where the data set does not say all."""
    name, split = source.split("/")
    if name == task:
        return f"ood/{split}"
    return f"ood/{name}" if split == "test" else f"ood/{name}_{split}"


def run_id(config: dict[str, Any]) -> str:
    """Return what ties predictions to their run: the configuration's hash and the seed."""
    return f"{configuration.config_hash(config)}/{config['seed']}"


def _ood(evaluation: Mapping[str, Any]) -> list[str]:
    return [*evaluation["ood_near"], *evaluation["ood_far"]]


def _prefixed(prefix: str, results: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}/{name}" if prefix else name: value for name, value in results.items()}


def _shift_metrics(
    folder: Path, evaluation: dict, inside: Saved, names: list[str], known: Mapping[str, dict[str, float]]
) -> dict[str, float]:
    results, by_severity = {}, collections.defaultdict(list)
    for name in evaluation["corruptions"]:
        for severity in evaluation["severities"]:
            key = f"shift/{name}_{severity}"
            of_one = known.get(key) or split_metrics(load(folder, key), names)
            results |= _prefixed(key, of_one)
            by_severity[severity].append(of_one)
    if not by_severity:
        return results
    for severity, rows in by_severity.items():
        results |= _prefixed(f"shift/severity_{severity}", _means(rows))
    results |= _prefixed("shift/mean", _means([row for rows in by_severity.values() for row in rows]))
    if "accuracy" in names:
        correct = inside["probs"].argmax(axis=-1) == inside["labels"]
        clean_error = 1 - correct[: evaluation["shift_examples"] or None].mean()
        results["shift/mce"] = 1 - results["shift/mean/accuracy"]
        results["shift/relative_mce"] = float(results["shift/mce"] - clean_error)
    return results


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _ahead(items: Iterable[T], how_many: int) -> Iterator[T]:
    """Iterate over what a thread of its own makes, so many items ahead."""
    iterator, end = iter(items), object()
    thread = ThreadPoolExecutor(max_workers=1)
    try:
        pending = collections.deque(thread.submit(next, iterator, end) for _ in range(how_many))
        while (item := pending.popleft().result()) is not end:
            pending.append(thread.submit(next, iterator, end))
            yield item
    finally:
        thread.shutdown(cancel_futures=True)


def _filled_up(features: Any, batch_size: int) -> np.ndarray:
    features = np.asarray(features)
    return np.pad(features, [(0, batch_size - len(features))] + [(0, 0)] * (features.ndim - 1), mode="edge")


def _predict(
    predict: Callable[[Any], Predictions], batches: Iterable[Any], batch_size: int, arrays: Iterable[str]
) -> tuple[Saved, float]:
    """Predict the batches of a split; also return the seconds it took."""
    parts: dict[str, list[np.ndarray]] = collections.defaultdict(list)
    seconds = 0.0
    for batch in batches:
        count = len(batch["labels"])
        features = _filled_up(batch["features"], batch_size)
        started_at = time.perf_counter()
        predictions = predict(features)
        samples = np.asarray(predictions.probs)[:, :count]  # [samples, batch, classes]
        uncertainty = {name: np.asarray(values)[:count] for name, values in predictions.uncertainty.items()}
        seconds += time.perf_counter() - started_at
        missing = [name for name, field in _FIELDS.items() if name in arrays and getattr(predictions, field) is None]
        if missing:
            raise InputError(
                f"predict() of this method gives no {' and no '.join(sorted(missing))}, which "
                "config.evaluation.ood_scores or config.evaluation.save ask for."
            )
        if len(samples) > 1:
            uncertainty["mutual_information"] = metrics.mutual_information(samples)
        parts["probs"].append(samples.mean(axis=0, dtype=np.float64).astype(np.float32))
        parts["labels"].append(batch["labels"].numpy())
        parts["element_id"].append(batch["element_id"].numpy())
        for name, values in uncertainty.items():
            parts[f"uncertainty/{name}"].append(values.astype(np.float32))
        if "samples" in arrays:
            parts["samples"].append(samples)
        if "logits" in arrays:
            parts["logits"].append(np.asarray(predictions.logits)[:, :count])
        if "features" in arrays:
            parts["features"].append(np.asarray(predictions.features)[:count].astype(np.float32))
    by_sample = ("samples", "logits")
    return {name: np.concatenate(values, axis=1 if name in by_sample else 0) for name, values in parts.items()}, seconds
