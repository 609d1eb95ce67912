"""Runs without a training, and predict functions without a network."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.conftest import ROOT
from uncertainty_suite import configuration, evaluation, keras, training
from uncertainty_suite.configuration import Parameter, Section
from uncertainty_suite.predictions import Predictions

SAMPLES = Section("several", samples="size", size=Parameter(2, "samples of a prediction"))


def make_run(path: Path, task: str = "two_moons", section: Section | None = None, **fields: Any) -> training.Run:
    """Return a new run of a task; fields are those of `config.evaluation`, and `dataset__<option>`."""
    config = configuration.load(ROOT / f"configs/{task}.py")
    if task == "two_moons":  # `predict_by_distance` has no logits
        config.evaluation.update({"ood_scores": (), "ood_validation": ()})
    for name, value in fields.items():
        place, _, option = name.rpartition("__")
        config[place or "evaluation"][option] = value
    return training.Run(config, "method.py", training.Options(output_dir=path), section)


def finish(run: training.Run, evaluated: evaluation.Measured) -> dict[str, Any]:
    """Write the results of a run that trained for a second, and return them."""

    class Loop:
        seconds, flops = 1.0, 1e9

    return run.finish(evaluated, keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), Loop())


def predict_by_distance(features: Any) -> Predictions:
    """Two samples of a classifier by the second coordinate, and the distance from the origin."""
    features = np.asarray(features, np.float64)
    samples = [1 / (1 + np.exp(-slope * features[:, 1])) for slope in (2.0, 5.0)]
    probs = np.stack([[p, 1 - p] for p in samples]).transpose(0, 2, 1)
    return Predictions(probs=probs, uncertainty={"distance": np.linalg.norm(features, axis=1)})


def predict_images(features: Any) -> Predictions:
    """A classifier of images by their mean brightness in ten places, with logits and features."""
    features = np.asarray(features, np.float64).reshape(len(features), -1)
    features = np.stack([part.mean(axis=1) for part in np.array_split(features, 10, axis=1)], axis=1)
    logits = (8 * features)[np.newaxis]
    probs = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return Predictions(probs=probs, logits=logits, features=features)


def predict_targets(features: Any) -> Predictions:
    """Two Gaussians for each input, wider the farther it is from the origin."""
    x = np.asarray(features, np.float64)[:, 0]
    means = np.stack([x, x + 0.5])
    return Predictions(mean=means, stddev=np.stack([1 + np.abs(x), 2 + np.abs(x)]))
