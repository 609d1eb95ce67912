"""Figures, drawn from the predictions that runs have saved."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from uncertainty_suite import datasets
from uncertainty_suite.errors import InputError


def two_moons_surfaces(runs: Mapping[str, str | Path]) -> Figure:
    """Draw what each method believes over the plane of two moons.

    Above, the probability of class 1; below, the variance p (1 - p) of the predicted class, as a share of its maximum:
    the figure of the SNGP tutorial. The points are the training data of both classes and the OOD cluster.

    Args:
        runs: Run folders on `two_moons` by the name that stands over them.

    Raises:
        InputError: A run has no predictions on the grid.
    """
    train, ood, grid = (datasets.get("two_moons", split=split) for split in ("train", "ood", "grid"))
    x, y = grid.features.T
    extent = (x.min(), x.max(), y.min(), y.max())
    figure = Figure(figsize=(3.6 * len(runs), 6.4), layout="constrained")
    axes = figure.subplots(2, len(runs), squeeze=False, sharex=True, sharey=True)
    for column, (name, run) in enumerate(runs.items()):
        path = Path(run) / "predictions" / "grid.npz"
        if not path.exists():
            raise InputError(f"Run {run} has no predictions/grid.npz: it is no finished run on two_moons.")
        with np.load(path, allow_pickle=False) as saved:
            probability = saved["probs"][:, 1].reshape(100, 100)
        surfaces = {"p(class 1)": probability, "4 p (1 - p)": 4 * probability * (1 - probability)}
        for row, (label, surface) in enumerate(surfaces.items()):
            axis = axes[row, column]
            image = axis.imshow(surface, extent=extent, origin="lower", vmin=0, vmax=1, cmap="plasma", aspect="auto")
            for points, color, group in [
                (train.features[train.labels == 0], "tab:orange", "class 0"),
                (train.features[train.labels == 1], "tab:blue", "class 1"),
                (ood.features, "tab:red", "OOD"),
            ]:
                axis.scatter(*points.T, s=3, alpha=0.3, color=color, label=group)
            axis.set_title(f"{name}: {label}")
    axes[0, 0].legend(loc="upper left", markerscale=3)
    figure.colorbar(image, ax=axes, shrink=0.6)
    return figure


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure to a file, in the format that the suffix names, and return its path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path
