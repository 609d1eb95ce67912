"""Every metric on every test set of a task, through the one prediction contract."""

import collections
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from uncertainty_suite import metrics
from uncertainty_suite.files import write_atomic
from uncertainty_suite.predictions import Predictions

if TYPE_CHECKING:  # imports TensorFlow, and evaluating what is saved needs none
    from uncertainty_suite.training import Run

OOD_METRICS = ("auroc", "aupr_in", "aupr_out", "fpr95")


def evaluate(predict: Callable[[Any], Predictions], run: "Run") -> dict[str, float]:
    """Predict every split that the configuration names, save the predictions, and compute every metric from them.

    `config.evaluation` names them: `splits` (in-distribution, labelled), `ood` (`<data set>/<split>`), `predict_only`
    (no labels, only saved), the `metrics` of the labelled ones, and `batch_size`.

    Args:
        predict: From features, float32 `[batch, ...]`, to `Predictions`. It always gets `batch_size` examples: the last
            batch of a split is filled up, and what is filled up is cut off again.
        run: The run; `predictions/<split>.npz` are written into its folder.

    Returns:
        Metrics keyed `split/metric`: `test/nll`, `ood/photos/auroc` (by one minus the largest probability),
        `ood/photos/variance/auroc` (by another uncertainty of the method), and `milliseconds_per_example`, the time
        of predicting the first split after a warm-up.
    """
    config = run.config.evaluation
    results = {}
    saved = {}
    for split in config.splits:
        saved[split], seconds = _predict_split(predict, run, split, split)
        results |= {f"{split}/{key}": value for key, value in split_metrics(saved[split], config.metrics).items()}
        results.setdefault("milliseconds_per_example", 1000 * seconds / len(saved[split]["labels"]))
    for source in config.ood:
        name, split = source.split("/")
        key = f"ood/{split if name == run.config.dataset.name else name}"
        outside, _ = _predict_split(predict, run, source, key)
        results |= {f"{key}/{name}": value for name, value in ood_metrics(saved[config.splits[0]], outside).items()}
    for split in config.predict_only:
        _predict_split(predict, run, split, split)
    return results


def split_metrics(saved: dict[str, np.ndarray], names: Iterable[str]) -> dict[str, float]:
    """Return metrics of the saved predictions of a labelled split, keyed by metric.

    Args:
        saved: Arrays of a `predictions/<split>.npz`.
        names: Metrics, as `metrics.get` knows them.
    """
    results = {}
    for name in names:
        metric = metrics.get(name)
        metric.add_batch(saved["probs"], label=saved["labels"])
        results |= metric.result()
    return results


def ood_metrics(inside: dict[str, np.ndarray], outside: dict[str, np.ndarray]) -> dict[str, float]:
    """Return how well each uncertainty tells an OOD set from the in-distribution one.

    Args:
        inside: Saved predictions of the in-distribution split.
        outside: Saved predictions of the OOD set.

    Returns:
        `max_prob`, the mean largest probability on the OOD set; `auroc`, `aupr_in`, `aupr_out` and `fpr95` by one minus
        the largest probability; and `<uncertainty>/auroc` and so on by each other one.
    """
    results = {"max_prob": float(outside["probs"].max(axis=-1).mean(dtype=np.float64))}
    scores_outside = uncertainties(outside)
    for score, scores_inside in uncertainties(inside).items():
        scores = np.concatenate([scores_inside, scores_outside[score]])
        is_ood = np.repeat([0, 1], [len(scores_inside), len(scores_outside[score])])
        for name in OOD_METRICS:
            metric = metrics.get(name)
            metric.add_batch(scores, label=is_ood)
            prefix = "" if score == "max_prob" else f"{score}/"
            results |= {prefix + key: value for key, value in metric.result().items()}
    return results


def uncertainties(saved: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return each uncertainty of saved predictions as `[examples]`, larger where the method is less certain.

    `max_prob` is one minus the largest probability; the others are those saved with the predictions.
    """
    named = {name.removeprefix("uncertainty/"): saved[name] for name in saved if name.startswith("uncertainty/")}
    return {"max_prob": 1.0 - saved["probs"].max(axis=-1), **named}


def _predict_split(
    predict: Callable[[Any], Predictions], run: "Run", source: str, key: str
) -> tuple[dict[str, np.ndarray], float]:
    """Predict a split and save what came of it in `predictions/<key>.npz`; also return the seconds it took."""
    data = run.get_data(source)
    batch_size = run.config.evaluation.batch_size
    parts: dict[str, list[np.ndarray]] = collections.defaultdict(list)
    seconds = 0.0
    for batch in tqdm(data.load(batch_size), desc=f"predict {key}", unit="batch", leave=False, disable=None):
        features = batch["features"].numpy()
        count = len(features)
        features = np.pad(features, [(0, batch_size - count)] + [(0, 0)] * (features.ndim - 1), mode="edge")
        if not parts:
            predict(features)  # compiles, where it has not yet
        started_at = time.perf_counter()
        predictions = predict(features)
        samples = np.asarray(predictions.probs)[:, :count]  # [samples, batch, classes]
        uncertainty = {name: np.asarray(values)[:count] for name, values in predictions.uncertainty.items()}
        seconds += time.perf_counter() - started_at
        if len(samples) > 1:
            uncertainty["mutual_information"] = metrics.mutual_information(samples)
        parts["probs"].append(samples.mean(axis=0, dtype=np.float64).astype(np.float32))
        parts["labels"].append(batch["labels"].numpy())
        parts["element_id"].append(batch["element_id"].numpy())
        for name, values in uncertainty.items():
            parts[f"uncertainty/{name}"].append(values.astype(np.float32))
        if run.config.evaluation.save_samples:
            parts["samples"].append(samples)
    saved = {name: np.concatenate(arrays, axis=1 if name == "samples" else 0) for name, arrays in parts.items()}
    write_atomic(run.path / "predictions" / f"{key}.npz", lambda file: np.savez(file, **saved))
    return saved, seconds
