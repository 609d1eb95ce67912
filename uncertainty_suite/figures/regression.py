"""Regression: predicted against true targets, and how well quantiles are calibrated."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from uncertainty_suite import metrics
from uncertainty_suite.figures import saved, style
from uncertainty_suite.metrics.regression import IntervalCoverage

_LEVEL = 0.95
_MAX_INTERVALS = 200  # more of them would hide each other


@style.styled
def predicted_against_true(runs: Mapping[str, str | Path], split: str = "test") -> Figure:
    """Draw predicted against true targets, with the central 95% intervals of the predictions.

    A point is the mean prediction of an example; perfect ones lie on the dashed line. Of more than 200 examples, the
    intervals of 200 are drawn, evenly spaced in the order of their targets. Above stand the root mean square error, and
    the share of all targets that lie in their intervals. Several samples of a prediction are a mixture of Gaussians.

    Args:
        runs: Run folders by the label that stands over them.
        split: A labelled split.

    Returns:
        An axis a run.

    Raises:
        InputError: A run is no regression, or has no predictions of the split, or the split has no targets.
    """
    opened = saved.open_runs(runs, "gaussian")
    figure, axes = style.panels(len(opened), max(3.0, 4.2 / len(opened)), 3.9, sharex=True, sharey=True)
    looks = style.lines(opened)
    for (label, run), axis in zip(opened.items(), axes):
        batch = saved.regressed(run, split)
        interval = IntervalCoverage(_LEVEL)
        low, high = interval.interval(batch)
        coverage = interval.per_example(batch).mean()
        targets, mean, color = batch.targets, batch.mean, looks[label]["color"]
        order = np.argsort(targets, kind="stable")
        shown = order[np.linspace(0, len(order) - 1, min(len(order), _MAX_INTERVALS)).round().astype(int)]
        axis.vlines(
            targets[shown],
            low[shown],
            high[shown],
            color=color,
            alpha=0.35,
            linewidth=0.8,
            label=f"{_LEVEL:.0%} interval" + (f" ({len(shown)} examples)" if len(shown) < len(order) else ""),
        )
        axis.scatter(targets, mean, s=5, color=color, alpha=0.6, linewidths=0, label="mean prediction")
        axis.axline((targets[order[0]],) * 2, slope=1, color="0.3", linestyle="--", linewidth=1, label="perfect")
        error = metrics.rmse(batch.means, targets)
        axis.set_title(f"{label}\nRMSE = {error:.3g}, {coverage:.1%} in the {_LEVEL:.0%} interval")
        axis.set_xlabel("True target")
        if axis.get_subplotspec().is_first_col():
            axis.set_ylabel("Predicted target")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2 if len(opened) < 2 else 3, markerscale=2)
    return figure


@style.styled
def quantile_calibration(runs: Mapping[str, str | Path], split: str = "test") -> Figure:
    """Draw how many targets lie below each predicted quantile, against the level of the quantile.

    Kuleshov, Fenner and Ermon 2018 (arXiv:1807.00263). A calibrated run lies on the diagonal, but for chance: at each
    level it is within the gray band in 95 of 100 cases, by the binomial distribution. A line above the diagonal on the
    left and below it on the right is of a run that is too sure of itself. Several samples of a prediction are a mixture
    of Gaussians.

    Args:
        runs: Run folders by the label that stands in the legend, beside the quantile calibration error.
        split: A labelled split.

    Returns:
        One axis with a line a run.

    Raises:
        InputError: A run is no regression, or has no predictions of the split, or the split has no targets.
    """
    from scipy.special import ndtr  # a second or two to import
    from scipy.stats import binom

    opened = saved.open_runs(runs, "gaussian")
    figure = Figure(figsize=(4.4, 4.2), layout="constrained")
    axis = figure.subplots()
    looks = style.lines(opened)
    levels = np.linspace(0, 1, 101)
    sizes = []
    for label, run in opened.items():
        batch = saved.regressed(run, split)
        # A target is below the quantile of a level where the distribution function there is below the level.
        reached = np.sort(ndtr((batch.targets - batch.means) / batch.stddevs).mean(axis=0))
        shares = reached.searchsorted(levels, side="right") / len(reached)
        error = metrics.quantile_calibration_error(batch.means, batch.stddevs, batch.targets)
        axis.plot(levels, shares, label=f"{error:.3f} {label}", **looks[label])
        sizes.append(len(reached))
    low, high = binom.ppf(np.array([[0.025], [0.975]]), min(sizes), levels) / min(sizes)
    axis.fill_between(levels, low, high, color="0.85", linewidth=0, zorder=0, label="95% of calibrated runs")
    axis.plot([0, 1], [0, 1], color=style.GRAY, linestyle="--", linewidth=1)
    axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axis.set_xlabel("Level of the predicted quantile")
    axis.set_ylabel("Targets below the quantile")
    axis.xaxis.set_major_formatter(style.percent)
    axis.yaxis.set_major_formatter(style.percent)
    axis.legend(loc="upper left", title="Quantile calibration error")
    return figure
