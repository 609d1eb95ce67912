"""Metrics under covariate shift, by severity."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from uncertainty_suite import evaluation, metrics
from uncertainty_suite.errors import InputError
from uncertainty_suite.figures import saved, style

_SHIFTED = re.compile(r"(.+)_(\d+)")


@style.styled
def shift_by_severity(runs: Mapping[str, str | Path], metric: str = "ece") -> Figure:
    """Draw a metric against the severity of the corruptions, as Ovadia et al. 2019 (arXiv:1906.02530).

    The line joins the means over the corruptions. A box spans the quartiles over them, with the median as its line;
    the whiskers end at the mildest and the worst corruption. At the left stand the same examples of
    the test set as they are.

    Args:
        runs: Run folders by the label that stands in the legend.
        metric: As `metrics.get` knows it.

    Returns:
        One axis; a line of means and the boxes of each run.

    Raises:
        InputError: A run has no shifted predictions, or not of the same corruptions at every severity and in every
            run, over which means could not be compared; or the metric is unknown.
    """
    style.check_runs(runs)
    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axis = figure.subplots()
    looks = style.lines(runs)
    width = 0.8 / len(runs)
    first = None
    for i, (label, run) in enumerate(runs.items()):
        shifted = _corruptions_by_severity(run)
        first = first or (run, shifted)
        if shifted != first[1]:
            raise InputError(f"The corruptions in {run} are not those in {first[0]}: their means cannot be compared.")
        values = [[_value(_clean(run, f"shift/{shifted[min(shifted)][0]}_{min(shifted)}"), metric)]]
        for severity, corruptions in shifted.items():
            values.append([_value(evaluation.load(run, f"shift/{name}_{severity}"), metric) for name in corruptions])
        severities = np.array([0, *shifted])
        places = severities + (i - (len(runs) - 1) / 2) * width
        _draw_boxes(axis, places[1:], np.array(values[1:]), 0.75 * width, looks[label]["color"])
        means = [np.mean(at_severity) for at_severity in values]
        axis.plot(places, means, marker="o", markersize=4, label=label, **looks[label])
    count = len(next(iter(first[1].values())))
    axis.set_title(f"Mean and quartiles over {count} corruption{'s' * (count > 1)}")
    axis.set_xticks(severities, ["clean", *map(str, severities[1:])])
    axis.set(xlabel="Severity of the corruption", ylabel=style.metric_label(metric))
    axis.grid(axis="x", visible=False)
    # Metrics get worse to the right, so this corner is empty.
    axis.legend(loc="lower left" if metrics.info(metric).higher_is_better else "upper left")
    return figure


def _draw_boxes(axis: Axes, places: np.ndarray, values: np.ndarray, width: float, color: str) -> None:
    """Draw a box over each place from values `[places, corruptions]`; `Axes.boxplot` would import pyplot."""
    low, first, median, third, high = np.quantile(values, (0, 0.25, 0.5, 0.75, 1), axis=1)
    axis.bar(places, third - first, width, bottom=first, color=color, alpha=0.35)
    axis.vlines(places, low, high, color=color, linewidth=0.8)
    axis.hlines(median, places - width / 2, places + width / 2, color=color, linewidth=1.2)


def _corruptions_by_severity(run: str | Path) -> dict[int, list[str]]:
    """Return the names of the corruptions that a run has predicted at each severity."""
    shifted: dict[int, list[str]] = {}
    for key in saved.keys(run, "shift"):
        match = _SHIFTED.fullmatch(key)
        if match:
            shifted.setdefault(int(match[2]), []).append(match[1])
    if not shifted:
        raise InputError(f"Run {run} has no predictions/shift/<corruption>_<severity>.npz.")
    every = {corruption for corruptions in shifted.values() for corruption in corruptions}
    for severity, corruptions in shifted.items():
        missing = every - set(corruptions)
        if missing:
            raise InputError(
                f"Run {run} has no predictions/shift/{min(missing)}_{severity}.npz, but other severities of it: means "
                "over different corruptions cannot be compared."
            )
    return dict(sorted(shifted.items()))


def _clean(run: str | Path, shifted: str) -> evaluation.Saved:
    """Return the predictions of the clean test set, of those examples that were also predicted corrupted."""
    arrays = evaluation.load(run, "test")
    chosen = np.isin(arrays["element_id"], evaluation.load(run, shifted)["element_id"])
    return {name: arrays[name][chosen] for name in ("probs", "labels")}


def _value(arrays: evaluation.Saved, metric: str) -> float:
    values = evaluation.split_metrics(arrays, [metric])
    if metric not in values:
        raise InputError(f"Metric '{metric}' is no single number but {', '.join(values)}: name another one.")
    return values[metric]
