"""What a run has saved, as far as figures need it."""

from pathlib import Path

import numpy as np

from uncertainty_suite import configuration, evaluation
from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics.base import Batch, labelled_batch


def method(run: str | Path) -> str:
    """Return the name of a run's method."""
    return configuration.read(run)["method"]


def splits(run: str | Path) -> list[str]:
    """Return the labelled splits that a run evaluates, the first of which stands for what is in distribution."""
    return list(configuration.read(run)["evaluation"]["splits"])


def keys(run: str | Path, below: str = "") -> list[str]:
    """Return the names of the predictions that a run has saved, sorted.

    Args:
        run: A run folder.
        below: `"ood"` or `"shift"`, for what is in that folder.
    """
    files = (Path(run) / "predictions" / below).glob("*.npz")
    return sorted(file.stem for file in files if not file.name.startswith("."))


def labelled(run: str | Path, split: str) -> tuple[Batch, evaluation.Saved]:
    """Return the predictions of a labelled split, checked as the metrics check them, and all arrays beside them.

    Raises:
        InputError: There are none, or they have no labels.
    """
    arrays = evaluation.load(run, split)
    if np.any(arrays["labels"] < 0):
        raise InputError(f"Split '{split}' of {run} has examples without a label: there is no right or wrong to draw.")
    return labelled_batch(arrays["probs"], arrays["labels"]), arrays
