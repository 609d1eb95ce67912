"""What methods believe over the plane of two moons."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from uncertainty_suite import datasets, evaluation
from uncertainty_suite.errors import InputError
from uncertainty_suite.figures import saved, style


@style.styled
def two_moons_surfaces(runs: Mapping[str, str | Path]) -> Figure:
    """Draw what each method believes over the plane of two moons.

    Above, the probability of class 1; below, the variance p (1 - p) of the predicted class, as a share of its maximum:
    the figure of the SNGP tutorial. The points are the training data of both classes and the OOD cluster.

    Args:
        runs: Run folders on `two_moons` by the name that stands over them.

    Returns:
        Two axes a run, one above the other, and a colour bar.

    Raises:
        InputError: A run has no predictions on the grid.
    """
    style.check_runs(runs)
    train, ood, grid = (datasets.get("two_moons", split=split) for split in ("train", "ood", "grid"))
    x, y = grid.features.T
    extent = (x.min(), x.max(), y.min(), y.max())
    figure = Figure(figsize=(2.9 * len(runs) + 0.8, 5.2), layout="constrained")
    axes = figure.subplots(2, len(runs), squeeze=False, sharex=True, sharey=True)
    for column, (name, run) in enumerate(runs.items()):
        if "grid" not in saved.keys(run):
            raise InputError(f"Run {run} has no predictions/grid.npz: it is no finished run on two_moons.")
        probs = evaluation.load(run, "grid")["probs"]
        if probs.shape != (grid.num_examples, 2):
            raise InputError(f"The grid of {run} has probabilities {probs.shape}, not {(grid.num_examples, 2)}.")
        probability = probs[:, 1].reshape(100, 100)
        surfaces = {"p(class 1)": probability, "4 p (1 - p)": 4 * probability * (1 - probability)}
        for row, (label, surface) in enumerate(surfaces.items()):
            axis = axes[row, column]
            image = axis.imshow(surface, extent=extent, origin="lower", vmin=0, vmax=1, cmap="plasma", aspect="auto")
            for points, color, edge, group in [
                (train.features[train.labels == 0], "white", "0.5", "class 0"),
                (train.features[train.labels == 1], "black", "0.5", "class 1"),
                (ood.features, "tab:red", "white", "OOD"),
            ]:
                axis.scatter(*points.T, s=5, color=color, edgecolors=edge, linewidths=0.3, label=group)
            axis.set_title(f"{name}: {label}")
            axis.grid(visible=False)
    axes[0, 0].legend(loc="upper left", markerscale=2)
    figure.colorbar(image, ax=axes, shrink=0.6)
    return figure
