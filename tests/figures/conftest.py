"""What the tests of figures share: runs written by hand."""

import json

import numpy as np
import pytest

from uncertainty_suite import configuration, datasets, likelihoods
from uncertainty_suite.likelihoods import Categorical
from uncertainty_suite.predictions import Predictions
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.tasks import Split, Task

CORRUPTIONS = ("fog", "gaussian_noise", "rotate")
SHIFT_EXAMPLES = 200


def probabilities(num, sharpness=4.0, classes=10, seed=0):
    """Class probabilities `[num, classes]` of random logits."""
    logits = sharpness * np.random.default_rng(seed).normal(size=(num, classes))
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)


def classified(probs, labels, **more):
    """The saved predictions of a classification."""
    labels = np.asarray(labels, np.int32)
    saved = Categorical.to_saved(Predictions(probs=np.asarray(probs)[np.newaxis]))
    return {**saved, "labels": labels, "element_id": np.arange(len(labels)), **more}


def regressed(mean, stddev, labels, **more):
    """The saved predictions of a regression; mean and stddev are `[samples, n]`."""
    labels = np.asarray(labels, np.float64)
    arrays = {"mean": np.asarray(mean, np.float64), "stddev": np.asarray(stddev, np.float64)}
    return {**arrays, "labels": labels, "element_id": np.arange(len(labels)), **more}


def digits_predictions(shift=0.0, uncertainty="variance"):
    """Predictions of every kind on digits, wrong on some; `shift` makes one run differ from another."""
    labels = datasets.get("digits", "test").labels

    def predict(strength, seed):
        probs = probabilities(len(labels), 3 + shift, seed=seed).astype(np.float64)
        probs[np.arange(len(labels)), labels] += strength
        return probs / probs.sum(axis=1, keepdims=True)

    further = f"uncertainty/{uncertainty}"
    predictions = {
        "test": classified(predict(0.5, 0), labels, **{further: np.linspace(0, 1, 500, dtype=np.float32)}),
        "fit": classified(predict(0.5, 0)[:100], labels[:100]),
        "ood/photos": classified(
            probabilities(300, 1.0, seed=1), [-1] * 300, **{further: np.full(300, 0.9, np.float32)}
        ),
    }
    for i, name in enumerate(CORRUPTIONS):
        for severity in (1, 3, 5):
            probs = predict(0.5 - severity / 12, i)[:SHIFT_EXAMPLES]
            predictions[f"shift/{name}_{severity}"] = classified(probs, labels[:SHIFT_EXAMPLES])
    return predictions


def curve_predictions(num_samples=1, spread=1.0):
    """Predictions of every kind on toy_regression, by someone who knows the curve better near the training data."""
    rng = np.random.default_rng(0)
    offsets = rng.normal(size=(num_samples, 1))

    def predict(split):
        data = datasets.get("toy_regression", split)
        x = data.features[:, 0]
        away = np.clip(np.maximum(np.abs(x - 5) - 5, 1 - np.abs(x - 5)), 0, None)
        mean = x * np.sin(x) + offsets * away
        return regressed(mean, np.broadcast_to(spread * 0.3 * np.sqrt(1 + x**2), mean.shape), data.labels)

    return {"test": predict("test"), "grid": predict("grid"), "ood/ood": predict("ood"), "ood/gap": predict("gap")}


def _split(key, task):
    if key.startswith("shift/"):
        name, _, severity = key.removeprefix("shift/").rpartition("_")
        return Split(key, "shift", f"{task}/test", name, int(severity), SHIFT_EXAMPLES)
    if key.startswith("ood/"):
        name = key.removeprefix("ood/")
        return Split(key, "far_ood", f"{task}/{name}" if name in ("ood", "gap", "photos") else f"{name}/test")
    if key in ("validation", "test"):
        return Split(key, key, f"{task}/{key}")
    return Split(key, "fit", f"{task}/train") if key == "fit" else Split(key, "predict_only", f"{task}/{key}")


@pytest.fixture
def make_run(tmp_path):
    """Write a finished run with the given predictions by split, and those splits in its task; return its folder."""

    def make(predictions, name="run", task="digits", method="deterministic", seed=0, fold=None, **results):
        config = {
            "seed": seed,
            "method": method,
            "dataset": {
                "name": task,
                "validation_percent": 0.0,
                "classes": [],
                "train_fraction": 1.0,
                "imbalance": 1.0,
                "label_noise": 0.0,
                **({} if fold is None else {"fold": fold}),
            },
            "model": {"name": "convnet"},
            "evaluation": {"splits": ["test"]},
        }
        first = next(iter(predictions.values()))
        if "log_probs" in first:
            likelihood = likelihoods.get("categorical", num_classes=first["log_probs"].shape[1])
        else:
            likelihood = likelihoods.get("gaussian", mean=0.0, stddev=1.0)
        described = Task(task, likelihood, tuple(_split(key, task) for key in predictions), "test").to_json()
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "task.json").write_text(json.dumps(described))
        for key, arrays in predictions.items():
            RunFolder(folder).save_predictions(key, arrays)
        record = {
            "schema_version": 1,
            "protocol_version": 1,
            "task": task,
            "likelihood": described["likelihood"],
            "splits": described["splits"],
            "in_distribution": "test",
            "method": method,
            "model": "convnet",
            "seed": seed,
            "config": config,
            "config_hash": configuration.config_hash(config),
            "batch_size_global": 64,
            "data_fingerprint": {"test": "aa"},
            "metrics": {"test/nll": 0.1},
            "left_out": {},
            "provenance": {"revision": "abc"},
        }
        (folder / "results.json").write_text(json.dumps(record | results))
        return folder

    return make


def bars_of(axis, label):
    """The bars or error bars of an axis that have a label."""
    return next(container for container in axis.containers if container.get_label() == label)


def texts(axis):
    """The texts in the legend of an axis."""
    return [text.get_text() for text in axis.get_legend().get_texts()]
