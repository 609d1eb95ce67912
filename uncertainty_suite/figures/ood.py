"""Out-of-distribution detection: histograms of a score, and ROC curves."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from uncertainty_suite import metrics, ood_scores
from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.evaluation.measurement import HEAD
from uncertainty_suite.figures import saved, style
from uncertainty_suite.metrics.ood import ranking_counts
from uncertainty_suite.registry import parse
from uncertainty_suite.runs import RunFolder

_NUM_BINS = 40
_LABELS = {
    "max_prob": "log(1 - largest probability)",
    "stddev": "Standard deviation",
    "epistemic_stddev": "Epistemic standard deviation",
}


@style.styled
def ood_detection(runs: Mapping[str, str | Path], split: str, score: str | None = None) -> Figure:
    """Draw how a score is distributed inside and outside the distribution, and how well it tells them apart.

    Hendrycks and Gimpel 2017 (arXiv:1610.02136). What is inside is the task's in-distribution split.

    Args:
        runs: Run folders by the label that stands over the histograms and in the legend, there beside the AUROC.
        split: Key of an OOD set: `ood/fashion_mnist`.
        score: An uncertainty that the likelihood names (`max_prob`, log(1 - p) of the largest probability p; `stddev`,
            the predicted standard deviation) or that the method has saved; or one of `ood_scores.names()` that the
            saved arrays allow. By default the one that every method has.

    Returns:
        An axis of histograms a run, the first one inside, then one of all ROC curves. A bar is the share of examples;
        those at the ends hold what lies beyond them as well.

    Raises:
        InputError: A run has no such split, no predictions of it or no such score; or runs are of different
            in-distribution splits.
    """
    opened = saved.open_runs(runs)
    first = next(iter(opened.values())).task
    inside_key = first.in_distribution
    score = score or next(iter(first.likelihood.uncertainties(next(iter(opened.values())).predictions(inside_key))))
    for run in opened.values():
        if run.task.in_distribution != inside_key:
            raise InputError(
                f"In distribution is '{run.task.in_distribution}' in {run.path}, and '{inside_key}' in the runs before "
                "it: they cannot be compared."
            )
    figure, axes = style.panels(len(runs) + 1, 3.0, 3.0)
    *histograms, roc = axes
    looks = style.lines(opened)
    scores = {label: _scores(run, split, score) for label, run in opened.items()}
    areas = {label: metrics.auroc(*pair) for label, pair in scores.items()}  # refuses scores that are not finite
    sets = [values for pair in scores.values() for values in pair]
    edges = _edges(sets)
    most = max(len(values) for values in sets)
    for (label, (inside, outside)), axis in zip(scores.items(), histograms):
        for values, name, color in [(inside, inside_key, style.GRAY), (outside, split, looks[label]["color"])]:
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
    roc.plot([0, 1], [0, 1], color=style.GRAY, linestyle="--", linewidth=1)
    roc.set(xlim=(-0.01, 1), ylim=(0, 1.01), xlabel=f"False positives ({inside_key} called OOD)")
    roc.set_ylabel("True positives (OOD called OOD)")
    roc.set_title(f"ROC: {inside_key} against {split}")
    for axis in (roc.xaxis, roc.yaxis):
        axis.set_major_formatter(style.percent)
        axis.set_ticks(np.linspace(0, 1, 5))
    roc.legend(loc="lower right", title="AUROC")
    return figure


def _scores(run: RunFolder, outside: str, name: str) -> list[np.ndarray]:
    """Return the score of each example inside and outside; an uncertainty of the method comes before an OOD score."""
    task = run.task
    sets = [run.predictions(key) for key in (task.in_distribution, task.split(outside).key)]
    known = [task.likelihood.uncertainties(arrays) for arrays in sets]
    if all(name in each for each in known):
        return [each[name].astype(np.float64) for each in known]
    defined = [each for each in ood_scores.names() if task.likelihood.name in ood_scores.info(each).likelihoods]
    if parse(name)[0] not in defined:
        raise unknown_name(f"uncertainty in the predictions of {run.path}", name, [*known[0], *defined])
    score = ood_scores.get(name)
    if score.fit_needs:
        for split in task.of("fit"):
            head = run.predictions(HEAD) if run.has_predictions(HEAD) else None
            score.fit(run.predictions(split.key), (head["weights"], head["bias"]) if head else None)
    return [score(arrays) for arrays in sets]


def _edges(sets: list[np.ndarray]) -> np.ndarray:
    """Return the edges of bins for the bulk of all sets, within Tukey's outer fences (1977).

    Scores have no bound, and a single example could leave all others to one bin.
    """
    quartiles = [np.quantile(values, (0.25, 0.75)) for values in sets]
    low = max(min(values.min() for values in sets), min(q1 - 3 * (q3 - q1) for q1, q3 in quartiles))
    high = min(max(values.max() for values in sets), max(q3 + 3 * (q3 - q1) for q1, q3 in quartiles))
    return np.histogram_bin_edges([], _NUM_BINS, range=(low, high))


def _score_label(score: str) -> str:
    return _LABELS.get(score, score.replace("_", " ").capitalize())
