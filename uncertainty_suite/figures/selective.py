"""Risk-coverage and referral curves, of a split and of all that is measured."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from uncertainty_suite import metrics
from uncertainty_suite.errors import unknown_name
from uncertainty_suite.evaluation.measurement import Failures
from uncertainty_suite.figures import saved, style
from uncertainty_suite.metrics.base import NoValueError

_LEAST_COVERAGE_IN_VIEW = 0.02
_COVERAGES = [number / 50 for number in range(50, 0, -1)]


@style.styled
def risk_coverage(runs: Mapping[str, str | Path], split: str = "test") -> Figure:
    """Draw the error rate that is left where a run answers only what it is most confident of.

    Geifman and El-Yaniv 2017 (arXiv:1705.08500). The thin dotted curve of a run is its oracle, which answers wrongly
    only what is left when all else is answered: no ranking of the same predictions is better.

    Args:
        runs: Run folders by the label that stands in the legend, beside the area under the curve (AURC).
        split: A labelled split.

    Returns:
        One axis; of each run first the curve, then the oracle's.

    Raises:
        InputError: A run is no classification, or has no predictions of the split, or the split has no labels.
    """
    opened = saved.open_runs(runs, "categorical")
    figure = Figure(figsize=(4.8, 3.6), layout="constrained")
    axis = figure.subplots()
    looks = style.lines(opened)
    highest = 0.0
    for label, run in opened.items():
        batch, _ = saved.classified(run, split)
        coverage, risk = metrics.risk_coverage_curve(batch.probs, batch.labels)
        area = metrics.aurc(batch.probs, batch.labels)
        axis.plot(coverage, risk, label=f"{label}, AURC = {area:.3g}", **looks[label])
        best = metrics.risk_coverage_curve(batch.probs, batch.labels, confidence=batch.correct)
        axis.plot(*best, color=looks[label]["color"], linestyle=":", linewidth=0.8)
        highest = max(highest, risk[coverage >= _LEAST_COVERAGE_IN_VIEW].max())
    _finish(axis, highest)
    axis.set_ylabel("Risk (errors among the answered)")
    handles, _ = axis.get_legend_handles_labels()
    oracle = Line2D([], [], color=style.GRAY, linestyle=":", linewidth=0.8, label="oracle")
    axis.legend(handles=[*handles, oracle], loc="upper left")
    return figure


@style.styled
def referral(runs: Mapping[str, str | Path], split: str = "test") -> Figure:
    """Draw how good the decisions are that a run keeps, where it refers the most uncertain ones to an expert.

    Leibig et al. 2017 and Band et al. 2021 (arXiv:2211.12717) draw it of diagnoses.

    Args:
        runs: Run folders by the label that stands in the legend.
        split: A labelled split.

    Returns:
        Two axes, of the accuracy and of the AUROC of the classes (`macro_auroc_at_coverage`), a curve a run on each;
        the latter ends where one class alone is kept.

    Raises:
        InputError: A run is no classification, or has no predictions of the split, or the split has no labels.
    """
    opened = saved.open_runs(runs, "categorical")
    figure = Figure(figsize=(7.6, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    looks = style.lines(opened)
    for label, run in opened.items():
        batch, _ = saved.classified(run, split)
        coverage, risk = metrics.risk_coverage_curve(batch.probs, batch.labels)
        axes[0].plot(1 - coverage, 1 - risk, label=label, **looks[label])
        areas = {}
        for share in _COVERAGES:
            with contextlib.suppress(NoValueError):
                areas[1 - share] = metrics.macro_auroc_at_coverage(batch.probs, batch.labels, coverage=share)
        axes[1].plot(list(areas), list(areas.values()), label=label, **looks[label])
    for axis, name in zip(axes, ("Accuracy", "AUROC")):
        axis.set(xlim=(0, 1), xlabel="Referred (the most uncertain first)", ylabel=f"{name} of what is kept")
        axis.xaxis.set_major_formatter(style.percent)
    axes[0].legend(loc="lower right")
    return figure


@style.styled
def failure_detection(runs: Mapping[str, str | Path], score: str = "max_prob") -> Figure:
    """Draw the share of failures that is left where a run answers only what it is least uncertain of.

    Jaeger et al. 2023 (arXiv:2211.15259). Of the examples of the in-distribution split, the shifted and the OOD sets
    together, a failure is an error, and whatever is OOD.

    Args:
        runs: Run folders by the label that stands in the legend, beside the area under the generalised curve (AUGRC).
        score: An uncertainty that all runs have: `max_prob`, or what a method saves, such as `mutual_information`.

    Returns:
        One axis, a curve a run.

    Raises:
        InputError: A run is no classification, lacks predictions or that uncertainty.
    """
    opened = saved.open_runs(runs, "categorical")
    figure = Figure(figsize=(4.8, 3.6), layout="constrained")
    axis = figure.subplots()
    looks = style.lines(opened)
    highest = 0.0
    for label, run in opened.items():
        failures = Failures.of(run)
        if score not in failures.uncertainties:
            raise unknown_name(f"uncertainty in the predictions of {run.path}", score, failures.uncertainties)
        errors, uncertainty, is_ood = failures.by(score)
        curve = metrics.failure_curve(errors, uncertainty, is_ood)
        area = metrics.failure_detection(errors, uncertainty, is_ood)["augrc"]
        axis.plot(curve.coverage, curve.risk, label=f"{label}, AUGRC = {area:.3g}", **looks[label])
        highest = max(highest, curve.risk[curve.coverage >= _LEAST_COVERAGE_IN_VIEW].max())
    _finish(axis, highest)
    axis.set_ylabel("Risk (errors and OOD among the answered)")
    axis.legend(loc="upper left", title=f"by {score.replace('_', ' ')}")
    return figure


def _finish(axis: Axes, highest: float) -> None:
    # A few examples on the left may well be all wrong; the view is for the others.
    axis.set(xlim=(0, 1), ylim=(0, 1.08 * highest or 1))
    axis.set_xlabel("Coverage (answered, the most confident first)")
    axis.xaxis.set_major_formatter(style.percent)
    axis.yaxis.set_major_formatter(style.percent)
