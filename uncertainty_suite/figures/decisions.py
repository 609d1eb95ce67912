"""Curves of decisions over their budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from uncertainty_suite.figures import style
from uncertainty_suite.leaderboard.statistics import t_interval

if TYPE_CHECKING:
    from uncertainty_suite.decisions import Record


@style.styled
def decision_curves(record: Record) -> Figure:
    """Draw the mean over seeds of each way to decide, and below it the paired difference to the first reference.

    Args:
        record: Of a script of `baselines/decisions/`.

    Returns:
        A column for each metric. Bands and bars are 95 % t intervals over seeds; there are none with one seed.
    """
    metrics = list(record.curves)
    figure = Figure(figsize=(1 + 3.6 * len(metrics), 5.0), layout="constrained")
    axes = figure.subplots(2, len(metrics), squeeze=False, sharex=True, height_ratios=(3, 2))
    budgets, reference = np.array(record.budgets), record.references[0]
    for column, metric in enumerate(metrics):
        upper, lower = axes[:, column]
        for place, way in enumerate(record.ways(metric, reference)):
            color = style.color(place)
            differences = record.differences(metric, way, reference)
            for axis, values in ((upper, record.values(metric, way)), (lower, differences)):
                if axis is lower and way == reference:
                    continue
                axis.plot(budgets, values.mean(axis=0), color=color, marker=".", label=way)
                if len(values) > 1:
                    low, high = np.transpose([t_interval(each.tolist()) for each in values.T])
                    axis.fill_between(budgets, low, high, color=color, alpha=0.15, linewidth=0)
        lower.axhline(0, color=style.GRAY, linewidth=0.8)
        direction = "higher" if record.higher_is_better[metric] else "lower"
        upper.set_ylabel(f"{style.metric_name(metric)} ({direction} is better)")
        lower.set_ylabel(f"less that of {reference}")
        lower.set_xlabel(record.budget.capitalize())
    axes[0, 0].legend()
    return figure
