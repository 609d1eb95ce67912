"""Opening the runs of a figure, and the predictions of theirs that figures need."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.likelihoods import Saved
from uncertainty_suite.metrics.base import Batch, labelled_batch
from uncertainty_suite.metrics.regression import RegressionBatch
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.tasks import Split

_GRID = "grid"  # the split of a data set that covers the plane or the line, for figures


def open_runs(runs: Mapping[str, str | Path], likelihood: str = "") -> dict[str, RunFolder]:
    """Return the reader of each run folder.

    Args:
        runs: Run folders by label.
        likelihood: The one that the figure is defined for; empty for any.

    Raises:
        InputError: There is no run, or one of another likelihood.
    """
    if not runs:
        raise InputError("There is no run to draw; expected run folders by their labels.")
    # Legends leave out what begins with an underscore.
    opened = {f" {label}" if label.startswith("_") else label: RunFolder(path) for label, path in runs.items()}
    for run in opened.values():
        if likelihood and run.task.likelihood.name != likelihood:
            raise InputError(
                f"This figure is of a {likelihood} likelihood, and {run.path} has a {run.task.likelihood.name} one."
            )
    return opened


def classified(run: RunFolder, split: str) -> tuple[Batch, Saved]:
    """Return the class probabilities of a labelled split, checked as metrics check them, and all arrays beside them.

    Raises:
        InputError: There are none, or they have no labels.
    """
    arrays = run.predictions(split)
    if np.any(arrays["labels"] < 0):
        raise InputError(
            f"Split '{split}' of {run.path} has examples without a label: there is no right or wrong to draw."
        )
    return labelled_batch(run.task.likelihood.metric_input(arrays), arrays["labels"]), arrays


def regressed(run: RunFolder, split: str) -> RegressionBatch:
    """Return the means and standard deviations of a labelled split, checked as metrics check them.

    Raises:
        InputError: There are none, or targets are missing.
    """
    arrays = run.predictions(split)
    return RegressionBatch(run.task.likelihood.metric_input(arrays), arrays["labels"])


def grid_split(run: RunFolder) -> Split:
    """Return the split that covers the task's plane or line.

    Raises:
        InputError: The run predicts none.
    """
    for split in run.task.of("predict_only"):
        if split.name == _GRID:
            return split
    raise InputError(
        f"Run {run.path} has not predicted the split '{_GRID}': run with "
        f"--config.evaluation.predict_only=\"('{_GRID}',)\"."
    )
