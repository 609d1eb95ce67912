"""Predictions beside what many people say of the same examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from uncertainty_suite import metrics
from uncertainty_suite.evaluation.measurement import fit_posthoc
from uncertainty_suite.likelihoods import Saved
from uncertainty_suite.runs import RunFolder

HUMAN_METRICS = (
    "label_distribution_nll",
    "label_distribution_kl",
    "label_distribution_brier",
    "label_distribution_ece",
    "label_set_accuracy",
)


def join_people(run: RunFolder, data_dir: str | Path | None = None) -> tuple[Saved, np.ndarray]:
    """Return the saved predictions of the in-distribution split, and how many people gave each example each label.

    Args:
        run: The folder of a run on a data set with the labels of many people (`Dataset.human_labels`): `cifar10`.
        data_dir: Where prepared data sets lie; see `datasets.get`.

    Returns:
        The arrays of `predictions/<split>.npz`, and the counts `[n, classes]`, some rows of which may be all 0.

    Raises:
        InputError: There are no such labels, or predictions are missing or damaged.
    """
    from uncertainty_suite.training.run import data_of  # which imports this package

    key = run.task.in_distribution
    saved = run.predictions(key)
    data = data_of(run.config["dataset"], run.task.split(key), data_dir)
    rows = {element_id: row for row, element_id in enumerate(data.element_ids)}
    return saved, data.human_labels[[rows[element_id] for element_id in saved["element_id"]]]


def human_metrics(run: RunFolder, data_dir: str | Path | None = None) -> dict[str, float]:
    """Return the metrics of predictions against what people say.

    Args:
        run: As for `join_people`.
        data_dir: Where prepared data sets lie; see `datasets.get`.

    Returns:
        Each of `HUMAN_METRICS` over the examples of the in-distribution split that anyone labelled; and, where the run
        has predicted the validation split, `temperature_scaling/<metric>`, the same with a temperature that is fitted
        there, to one label an example.

    Raises:
        InputError: As `join_people`; or the run is no classification.

    Example:
        >>> human_metrics(RunFolder("runs/cifar10/deep_ensemble/seed0"))["label_distribution_kl"]
    """
    likelihood = run.task.likelihood
    saved, counts = join_people(run, data_dir)
    labelled = counts.sum(axis=1) > 0
    predictions = {"": likelihood.metric_input(saved)}
    for split in run.task.of("validation")[:1]:
        fitted: Any = fit_posthoc(likelihood.calibration, run.predictions(split.key), likelihood)
        predictions[f"{likelihood.calibration}/"] = fitted(likelihood.calibration_input(saved))
    found: dict[str, float] = {}
    for prefix, probs in predictions.items():
        collection = metrics.Collection(HUMAN_METRICS)
        collection.add_batch(probs[labelled], label=counts[labelled])
        found |= {f"{prefix}{name}": value for name, value in collection.result().items()}
    return found
