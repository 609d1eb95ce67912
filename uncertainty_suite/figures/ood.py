"""Out-of-distribution detection: histograms of a score, and ROC curves."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from uncertainty_suite import evaluation, metrics, ood_scores
from uncertainty_suite.errors import unknown_name
from uncertainty_suite.figures import saved, style
from uncertainty_suite.metrics.ood import ranking_counts

_NUM_BINS = 40


@style.styled
def ood_detection(runs: Mapping[str, str | Path], key: str, score: str = "max_prob") -> Figure:
    """Draw how a score is distributed inside and outside the distribution, and how well it tells them apart.

    Hendrycks and Gimpel 2017 (arXiv:1610.02136). What is inside is the first split that the run's configuration
    evaluates.

    Args:
        runs: Run folders by the label that stands over the histograms and in the legend, there beside the AUROC.
        key: An OOD set: `fashion_mnist` for `predictions/ood/fashion_mnist.npz`.
        score: `max_prob`, one minus the largest probability; another uncertainty that the method has saved, as
            `evaluation.uncertainties` names them; or one of `ood_scores.names()` that the saved arrays allow.

    Returns:
        An axis of histograms a run, the first one inside, then one of all ROC curves. A bar is the share of examples;
        those at the ends hold what lies beyond them as well.

    Raises:
        InputError: A run has no predictions of one of the two sets, or no such score.
    """
    style.check_runs(runs)
    figure, axes = style.panels(len(runs) + 1, 3.0, 3.0)
    *histograms, roc = axes
    looks = style.lines(runs)
    splits = {label: saved.splits(run)[0] for label, run in runs.items()}
    scores = {label: _scores(run, splits[label], f"ood/{key}", score) for label, run in runs.items()}
    areas = {label: metrics.auroc(*pair) for label, pair in scores.items()}  # refuses scores that are not finite
    sets = [values for pair in scores.values() for values in pair]
    edges = _edges(sets, fenced=score != "max_prob")
    most = max(len(values) for values in sets)
    for (label, (inside, outside)), axis in zip(scores.items(), histograms):
        for values, name, color in [(inside, splits[label], style.GRAY), (outside, key, looks[label]["color"])]:
            shares = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / len(values)
            axis.stairs(shares, edges, fill=True, color=color, alpha=0.5, label=name)
            axis.stairs(shares, edges, color=color, linewidth=0.8)
        axis.set(title=label, xlabel=_score_label(score), yscale="log", ylim=(0.5 / most, 4))
        axis.yaxis.set_major_formatter(style.percent)
        if axis.get_subplotspec().is_first_col():
            axis.set_ylabel("Share of examples (log scale)")
        axis.legend(loc="upper center", ncols=2, columnspacing=1)  # where no bar can be

        is_ood = np.repeat([False, True], [len(inside), len(outside)])
        counts = ranking_counts(np.concatenate([inside, outside]), is_ood)
        found, false_alarms = (np.append(0, each) / each[-1] for each in counts)
        roc.plot(false_alarms, found, label=f"{areas[label]:.3f} {label}", **looks[label])
    split = splits[label]
    roc.plot([0, 1], [0, 1], color=style.GRAY, linestyle="--", linewidth=1)
    roc.set(xlim=(-0.01, 1), ylim=(0, 1.01), xlabel=f"False positives ({split} called OOD)")
    roc.set_ylabel(f"True positives ({key} called OOD)")
    roc.set_title(f"ROC: {split} against {key}")
    for axis in (roc.xaxis, roc.yaxis):
        axis.set_major_formatter(style.percent)
        axis.set_ticks(np.linspace(0, 1, 5))
    roc.legend(loc="lower right", title="AUROC")
    return figure


def _scores(run: str | Path, inside: str, outside: str, name: str) -> list[np.ndarray]:
    """Return the score of each example inside and outside; an uncertainty of the method comes before an OOD score."""
    sets = [evaluation.load(run, key) for key in (inside, outside)]
    known = [evaluation.uncertainties(arrays) for arrays in sets]
    if all(name in each for each in known):
        return [each[name].astype(np.float64) for each in known]
    if name not in ood_scores.names():
        raise unknown_name(f"uncertainty in the predictions of {run}", name, [*known[0], *ood_scores.names()])
    score = ood_scores.get(name)
    if score.fit_needs:
        score.fit(evaluation.load(run, "fit"))
    return [score(arrays) for arrays in sets]


def _edges(sets: list[np.ndarray], fenced: bool) -> np.ndarray:
    """Return the edges of bins for all sets.

    Args:
        sets: Scores.
        fenced: Whether to show only the bulk of every set, within Tukey's outer fences (1977): some scores have no
            bound, and a single example could leave all others to one bin.
    """
    low, high = min(values.min() for values in sets), max(values.max() for values in sets)
    if fenced:
        quartiles = [np.quantile(values, (0.25, 0.75)) for values in sets]
        low = max(low, min(q1 - 3 * (q3 - q1) for q1, q3 in quartiles))
        high = min(high, max(q3 + 3 * (q3 - q1) for q1, q3 in quartiles))
    return np.histogram_bin_edges([], _NUM_BINS, range=(low, high))


def _score_label(score: str) -> str:
    if score == "max_prob":
        return "1 - largest probability"
    return score.replace("_", " ").capitalize()
