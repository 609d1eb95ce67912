"""Metrics under covariate shift, by severity."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from uncertainty_suite import evaluation, metrics
from uncertainty_suite.errors import InputError
from uncertainty_suite.figures import saved, style
from uncertainty_suite.likelihoods import Likelihood, Saved
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.tasks import Split


@style.styled
def shift_by_severity(runs: Mapping[str, str | Path], metric: str = "ece") -> Figure:
    """Draw a metric against the severity of the corruptions, as Ovadia et al. 2019 (arXiv:1906.02530).

    The line joins the means over the corruptions. A box spans the quartiles over them, with the median as its line;
    the whiskers end at the mildest and the worst corruption. At the left stand the same examples of the in-distribution
    split as they are.

    Args:
        runs: Run folders by the label that stands in the legend.
        metric: As `metrics.get` knows it.

    Returns:
        One axis; a line of means and the boxes of each run.

    Raises:
        InputError: A run has no corrupted splits, or not of the same corruptions at every severity and in every run,
            over which means could not be compared; or predictions are missing; or the metric is unknown or has no
            value.
    """
    opened = saved.open_runs(runs)
    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axis = figure.subplots()
    looks = style.lines(opened)
    width = 0.8 / len(opened)
    first = next(iter(opened.values()))
    shifts = _corrupted(first)
    by_severity = _by_severity(first)
    severities = np.array([0, *by_severity])
    for i, (label, run) in enumerate(opened.items()):
        if _corrupted(run) != shifts:
            raise InputError(
                f"The corruptions in {run.path} are not those in {first.path}: their means cannot be compared."
            )
        likelihood = run.task.likelihood
        values = [
            [_value(run.predictions(split.key), metric, likelihood) for split in splits]
            for splits in by_severity.values()
        ]
        clean = _value(_clean(run, shifts[0]), metric, likelihood)
        places = severities + (i - (len(opened) - 1) / 2) * width
        _draw_boxes(axis, places[1:], np.array(values), 0.75 * width, looks[label]["color"])
        axis.plot(places, [clean, *np.mean(values, axis=1)], marker="o", markersize=4, label=label, **looks[label])
    count = len(shifts) // len(by_severity)
    axis.set_title(f"Mean and quartiles over {count} corruption{'s' * (count > 1)}")
    axis.set_xticks(severities, ["clean", *map(str, by_severity)])
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


def _corrupted(run: RunFolder) -> list[Split]:
    return [split for split in run.task.of("shift") if split.derived]


def _by_severity(run: RunFolder) -> dict[int, list[Split]]:
    """Return the corrupted splits of a run at each severity, the mildest first."""
    shifts = _corrupted(run)
    if not shifts:
        raise InputError(f"Run {run.path} has no corrupted splits: see config.evaluation.corruptions.")
    found = {
        severity: [split for split in shifts if split.severity == severity]
        for severity in sorted({split.severity for split in shifts})
    }
    if len({frozenset(split.corruption for split in splits) for splits in found.values()}) > 1:
        raise InputError(
            f"Run {run.path} has not the same corruptions at every severity: means over different ones cannot be "
            "compared."
        )
    return found


def _clean(run: RunFolder, shifted: Split) -> Saved:
    """Return the predictions of the in-distribution split, of those examples that were also predicted corrupted."""
    arrays = run.predictions(run.task.in_distribution)
    chosen = np.isin(arrays["element_id"], run.predictions(shifted.key)["element_id"])
    by_sample = run.task.likelihood.by_sample
    return {
        name: values.compress(chosen, axis=1 if name in by_sample else 0)
        for name, values in arrays.items()
        if values.ndim  # metrics of the whole split are no arrays of examples
    }


def _value(arrays: Saved, metric: str, likelihood: Likelihood) -> float:
    measured = evaluation.split_metrics(arrays, [metric], likelihood)
    if metric in measured.metrics:
        return measured.metrics[metric]
    if metric in measured.left_out:
        raise InputError(f"Metric '{metric}' cannot be drawn: {measured.left_out[metric]}")
    raise InputError(f"Metric '{metric}' is no single number but {', '.join(measured.metrics)}: name another one.")
