"""What methods predict along the line, where the input is one number."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from uncertainty_suite.errors import InputError
from uncertainty_suite.figures import data, saved, style

_GAP = 0.04  # of the grid's length: neighbouring training inputs that are further apart have a gap between them


@style.styled
def predictive_curve(runs: Mapping[str, str | Path], data_dir: str | Path | None = None) -> Figure:
    """Draw the mean and the standard deviations that each method predicts along the line.

    The bands reach one and two predicted standard deviations from the mean. Where a prediction has several samples, the
    thin dashed lines show the epistemic part: they are two standard deviations of the samples' means from the mean. The
    points are the training data; where there are none, the background is gray. Above and below the training targets the
    view shows as much as their range; bands may be wider.

    Args:
        runs: Run folders, by the name that stands over them, on one regression task whose input is one number and whose
            split `grid` covers the line.
        data_dir: Where prepared data sets lie; see `datasets.get`.

    Returns:
        An axis a run.

    Raises:
        InputError: A run is no regression of one number or has no predictions on the grid, or the data cannot be had.
    """
    opened = saved.open_runs(runs, "gaussian")
    first = next(iter(opened.values()))
    split = saved.grid_split(first)
    train, grid = (data.read(first, name, data_dir) for name in ("train", split.name))
    if grid.input_shape != (1,):
        raise InputError(f"Data set '{grid.name}' is no curve: its inputs are of shape {grid.input_shape}, not (1,).")
    order = np.argsort(grid.features[:, 0], kind="stable")
    x = grid.features[order, 0]
    gaps = _gaps(train.features[:, 0], x)
    figure, axes = style.panels(len(opened), max(3.2, 5.2 / len(opened)), 3.6, sharex=True, sharey=True)
    looks = style.lines(opened)
    named: dict[str, Artist] = {}
    reached = []
    for (label, run), axis in zip(opened.items(), axes):
        arrays = run.predictions(split.key)
        if arrays["mean"].shape[-1] != len(x):
            raise InputError(f"The grid of {run.path} has {arrays['mean'].shape[-1]} examples, not {len(x)}.")
        stddevs = {name: values[order] for name, values in run.task.likelihood.uncertainties(arrays).items()}
        mean = arrays["mean"].mean(axis=0)[order]
        for start, end in gaps:
            axis.axvspan(start, end, color="0.94", linewidth=0, zorder=0, label="no training data")
        axis.scatter(train.features[:, 0], train.labels, s=4, color="0.25", linewidths=0, label="training data")
        _draw_bands(axis, x, mean, stddevs, looks[label]["color"])
        axis.set(title=label, xlabel="Input")
        if axis.get_subplotspec().is_first_col():
            axis.set_ylabel("Target")
        here = {name: handle for handle, name in zip(*axis.get_legend_handles_labels())}
        named = max(named, here, key=len)
        reached += [mean - 2 * stddevs["stddev"], mean + 2 * stddevs["stddev"]]
    low, high = train.labels.min(), train.labels.max()
    bottom, top = max(np.min(reached), 2 * low - high), min(np.max(reached), 2 * high - low)
    axes[0].set(xlim=(x[0], x[-1]), ylim=(min(bottom, low), max(top, high)))
    ncols = 2 if len(opened) < 3 else 3
    figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=ncols)
    return figure


def _draw_bands(axis: Axes, x: np.ndarray, mean: np.ndarray, stddevs: dict[str, np.ndarray], color: str) -> None:
    stddev, epistemic = stddevs["stddev"], stddevs.get("epistemic_stddev")
    for number, alpha in ((2, 0.2), (1, 0.3)):
        low, high = mean - number * stddev, mean + number * stddev
        label = f"{number} standard deviation{'s' * (number > 1)}"
        axis.fill_between(x, low, high, color=color, alpha=alpha, linewidth=0, label=label)
    axis.plot(x, mean, color=color, linewidth=1.8, label="mean")
    if epistemic is not None:
        for side in (-2, 2):
            edge = mean + side * epistemic
            axis.plot(x, edge, color=color, linestyle="--", linewidth=1, label="2 epistemic standard deviations")


def _gaps(inputs: np.ndarray, grid: np.ndarray) -> list[tuple[float, float]]:
    """Return the intervals of an ascending grid in which there is no training input."""
    edges = np.concatenate([grid[:1], np.sort(inputs), grid[-1:]])
    wide = np.diff(edges) > _GAP * (grid[-1] - grid[0])
    return list(zip(edges[:-1][wide], edges[1:][wide]))
