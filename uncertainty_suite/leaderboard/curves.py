"""The points of a record's figures, few enough for a web page, by the likelihood of its task."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from uncertainty_suite import metrics
from uncertainty_suite.runs import RunFolder

_COVERAGES, _CONFIDENCE_BINS, _LEVELS = 50, 20, 20


def curves(run: RunFolder) -> dict[str, Any]:
    """Return the curves of a run; those that make no sense for its likelihood are left out.

    Of classes:

    - `reliability`: for each bin of the expected calibration error the number of examples, their mean confidence and
      their accuracy;
    - `risk_coverage`: the error rate at coverages 1/50 to 1;
    - `failures`: for each uncertainty the share of failures at these coverages, over the in-distribution split, shifts
      and OOD sets together, as `metrics.failure_detection` counts them; left out where there is no other set;
    - `confidence`: for the in-distribution split and each OOD set the fraction of examples in each of 20 bins of the
      largest probability.

    Of Gaussians:

    - `quantiles`: at levels 1/20 to 19/20 the share of targets below the predicted quantile of that level.
    """
    saved = run.predictions(run.task.in_distribution)
    if run.task.likelihood.name == "categorical":
        return _of_classes(run, saved)
    if run.task.likelihood.name == "gaussian":
        return {"quantiles": _quantiles(saved)}
    return {}


def _of_classes(run: RunFolder, inside: Mapping[str, np.ndarray]) -> dict[str, Any]:
    metric_input = run.task.likelihood.metric_input
    bins = metrics.calibration_bins(metric_input(inside), inside["labels"])
    coverage, risk = metrics.risk_coverage_curve(metric_input(inside), inside["labels"])
    keys = [run.task.in_distribution, *(split.key for split in run.task.of("near_ood", "far_ood"))]
    confidence = {key: metric_input(run.predictions(key)).max(axis=1) for key in keys}
    return {
        "reliability": [
            [int(count), _round(mean), _round(share)]
            for count, mean, share in zip(bins.counts, bins.confidence, bins.accuracy)
        ],
        "risk_coverage": _on_grid(coverage, risk),
        **({"failures": _failures(run)} if run.task.of("shift", "near_ood", "far_ood") else {}),
        "confidence": {
            key: [_round(part) for part in np.histogram(values, _CONFIDENCE_BINS, (0, 1))[0] / len(values)]
            for key, values in confidence.items()
        },
    }


def _failures(run: RunFolder) -> dict[str, list[float]]:
    from uncertainty_suite.evaluation.measurement import Failures

    failures = Failures.of(run)
    found = {name: metrics.failure_curve(*failures.by(name)) for name in failures.uncertainties}
    return {name: _on_grid(curve.coverage, curve.risk) for name, curve in found.items()}


def _on_grid(coverage: np.ndarray, risk: np.ndarray) -> list[float]:
    grid = np.arange(1, _COVERAGES + 1) / _COVERAGES
    return [_round(value) for value in np.interp(grid, coverage, risk)]


def _quantiles(saved: Mapping[str, np.ndarray]) -> list[list[float]]:
    """Return levels and shares: a target is below the quantile of a level where the mixture's CDF of it is below it."""
    from scipy.special import ndtr

    reached = ndtr((saved["labels"] - saved["mean"]) / saved["stddev"]).mean(axis=0)
    levels = np.arange(1, _LEVELS) / _LEVELS
    return [[_round(level), _round((reached < level).mean())] for level in levels]


def _round(value: float) -> float:
    return round(float(value), 5)
