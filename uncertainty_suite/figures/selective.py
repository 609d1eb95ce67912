"""Risk-coverage curves."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from uncertainty_suite import metrics
from uncertainty_suite.figures import saved, style

_LEAST_COVERAGE_IN_VIEW = 0.02


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
    # A few examples on the left may well be all wrong; the view is for the others.
    axis.set(xlim=(0, 1), ylim=(0, 1.08 * highest or 1))
    axis.set_xlabel("Coverage (answered, the most confident first)")
    axis.set_ylabel("Risk (errors among the answered)")
    axis.xaxis.set_major_formatter(style.percent)
    axis.yaxis.set_major_formatter(style.percent)
    handles, _ = axis.get_legend_handles_labels()
    oracle = Line2D([], [], color=style.GRAY, linestyle=":", linewidth=0.8, label="oracle")
    axis.legend(handles=[*handles, oracle], loc="upper left")
    return figure
