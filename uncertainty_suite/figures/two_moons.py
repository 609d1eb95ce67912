"""What methods believe over the plane of two moons, or of another task of two classes on a plane."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from uncertainty_suite.errors import InputError
from uncertainty_suite.figures import data, saved, style


@style.styled
def two_moons_surfaces(runs: Mapping[str, str | Path], data_dir: str | Path | None = None) -> Figure:
    """Draw what each method believes over the plane of two moons.

    Above, the probability of class 1; below, the variance p (1 - p) of the predicted class, as a share of its maximum:
    the figure of the SNGP tutorial. The points are the training data of both classes, and the OOD sets that are splits
    of the task's own data set.

    Args:
        runs: Run folders, by the name that stands over them, on one task of two classes whose inputs are two numbers
            and whose split `grid` covers a rectangle of them, the first number running fastest.
        data_dir: Where prepared data sets lie; see `datasets.get`.

    Returns:
        Two axes a run, one above the other, and a colour bar.

    Raises:
        InputError: A run is no classification or has no predictions on the grid, or the data cannot be had.
    """
    opened = saved.open_runs(runs, "categorical")
    first = next(iter(opened.values()))
    split = saved.grid_split(first)
    train, grid = (data.read(first, name, data_dir) for name in ("train", split.name))
    outside = [each.name for each in first.task.of("near_ood", "far_ood") if each.dataset == first.task.name]
    points = [
        (train.features[train.labels == 0], "white", "0.5", "class 0"),
        (train.features[train.labels == 1], "black", "0.5", "class 1"),
    ]
    if outside:
        places = np.concatenate([data.read(first, name, data_dir).features for name in outside])
        points.append((places, "tab:red", "white", "OOD"))
    x, y = grid.features.T
    extent = (x.min(), x.max(), y.min(), y.max())
    shape = len(np.unique(y)), len(np.unique(x))
    figure = Figure(figsize=(2.9 * len(runs) + 0.8, 5.2), layout="constrained")
    axes = figure.subplots(2, len(runs), squeeze=False, sharex=True, sharey=True)
    for column, (name, run) in enumerate(opened.items()):
        probs = run.task.likelihood.metric_input(run.predictions(split.key))
        if probs.shape != (grid.num_examples, 2):
            raise InputError(f"The grid of {run.path} has probabilities {probs.shape}, not {(grid.num_examples, 2)}.")
        probability = probs[:, 1].reshape(shape)
        surfaces = {"p(class 1)": probability, "4 p (1 - p)": 4 * probability * (1 - probability)}
        for row, (label, surface) in enumerate(surfaces.items()):
            axis = axes[row, column]
            image = axis.imshow(surface, extent=extent, origin="lower", vmin=0, vmax=1, cmap="plasma", aspect="auto")
            for places, color, edge, group in points:
                axis.scatter(*places.T, s=5, color=color, edgecolors=edge, linewidths=0.3, label=group)
            axis.set_title(f"{name}: {label}")
            axis.grid(visible=False)
    axes[0, 0].legend(loc="upper left", markerscale=2)
    figure.colorbar(image, ax=axes, shrink=0.6)
    return figure
