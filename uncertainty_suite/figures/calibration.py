"""Reliability diagrams."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from uncertainty_suite import metrics
from uncertainty_suite.figures import saved, style


@style.styled
def reliability_diagram(runs: Mapping[str, str | Path], split: str = "test", num_bins: int = 15) -> Figure:
    """Draw how often each run is right, among the predictions that it is about equally confident of.

    A bar is the accuracy in a bin of the confidence, the largest probability, with its 95% Wilson interval (Wilson
    1927). The hatched part is the gap to the mean confidence in the bin; the ECE, above, is the mean of these gaps over
    the examples (Guo et al. 2017, arXiv:1706.04599). Below stand the numbers of examples.

    Args:
        runs: Run folders by the label that stands over them.
        split: A labelled split.
        num_bins: Bins of equal width from 0 to 1, as in `metrics.calibration_bins`.

    Returns:
        A panel a run: its first axis the bars, its second the counts.

    Raises:
        InputError: A run is no classification, or has no predictions of the split, or the split has no labels.
    """
    opened = saved.open_runs(runs, "categorical")
    figure, panels = style.panels(len(runs), max(2.6, 4.2 / len(runs)), 3.6, heights=(3, 1), sharex=True, sharey="row")
    looks = style.lines(opened)
    for (label, run), (bars, counts) in zip(opened.items(), panels):
        batch, _ = saved.classified(run, split)
        ece = metrics.expected_calibration_error(batch.probs, batch.labels, num_bins=num_bins)
        bars.set_title(f"{label}\nECE = {ece:.2%}")
        _draw_panel(bars, counts, metrics.calibration_bins(batch.probs, batch.labels, num_bins), looks[label]["color"])
        bars.label_outer()
        counts.set_xlabel("Confidence")
        if bars.get_subplotspec().is_first_col():
            bars.set_ylabel("Accuracy")
            counts.set_ylabel("Examples\n(log scale)")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2 if len(runs) < 3 else 4)
    return figure


def _draw_panel(bars: Axes, counts: Axes, bins: metrics.Bins, color: str) -> None:
    from scipy.stats import binomtest  # a second or two to import

    used = bins.counts > 0
    accuracy, confidence = bins.accuracy[used], bins.confidence[used]
    intervals = [binomtest(k, n).proportion_ci(method="wilson") for k, n in zip(bins.correct[used], bins.counts[used])]
    below, above = np.abs(np.array(intervals).T - accuracy)  # the interval holds the accuracy, but for rounding

    width = 1 / len(bins.counts)
    centers = (np.arange(len(bins.counts)) + 0.5) * width
    bars.bar(centers[used], accuracy, 0.9 * width, color=color, alpha=0.6, label="accuracy")
    bars.errorbar(
        centers[used],
        accuracy,
        (below, above),
        linestyle="none",
        color="0.2",
        elinewidth=1,
        capsize=1.5,
        label="95% interval",
    )
    bars.bar(
        centers[used],
        confidence - accuracy,
        0.9 * width,
        bottom=accuracy,
        fill=False,
        edgecolor="0.2",
        linewidth=0.5,
        hatch="//////",
        label="gap to mean confidence",
    )
    bars.plot([0, 1], [0, 1], color=style.GRAY, linestyle="--", linewidth=1, label="perfect calibration")
    bars.set(xlim=(0, 1), ylim=(0, 1.02))
    bars.yaxis.set_major_formatter(style.percent)
    counts.bar(centers, bins.counts, 0.9 * width, color=color, alpha=0.6)
    counts.set_yscale("log")
    counts.set_ylim(bottom=0.5)  # so that a single example is seen
    counts.yaxis.set_major_formatter("{x:g}")
    counts.xaxis.set_major_formatter(style.percent)
