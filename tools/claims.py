"""What papers say of their methods, and whether our records show it: `docs/claims.json` against `leaderboards/`.

A claim is that a method is better by a metric than the method that it is compared with. With `by`, the AUROC of near
or far OOD sets is by that uncertainty or OOD score of the method; of the other it is by probability, as such papers
compare them, or by the same score where it has that and it is better. A claim is *seen* where the difference is
significant in its direction: the test of the leaderboard, Holm-adjusted over the methods of the table, or for a claim
with `by` a Welch test over seeds. Where no difference is significant it is *not seen*, with the smallest one that a
test of these seeds detects in 80 % of cases.
"""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from uncertainty_suite.leaderboard import Analysis, Row, statistics
from uncertainty_suite.leaderboard.analysis import SIGNIFICANCE
from uncertainty_suite.leaderboard.tables import higher_is_better


@dataclasses.dataclass(frozen=True)
class Claim:
    """What a paper says of a method."""

    method: str
    says: str
    metric: str
    by: str = ""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What the records of a task say of a claim.

    Attributes:
        row, reference: Places of the rows in the table.
        means: Of the row and of its reference.
        difference: The first minus the second.
        interval: Its 95 % interval, not adjusted; None where there is no test, as with one seed.
        p: Two-sided.
        detectable: The smallest difference that is found with 80 % power.
    """

    claim: Claim
    analysis: Analysis
    row: int
    reference: int
    means: tuple[float, float]
    difference: float
    interval: tuple[float, float] | None
    p: float | None
    detectable: float | None

    @property
    def verdict(self) -> str:
        """Seen, the opposite, not seen, or not tested."""
        if self.p is None:
            return "not tested"
        if self.p >= SIGNIFICANCE:
            return "not seen"
        return "**seen**" if (self.difference > 0) == higher_is_better(self.claim.metric) else "the opposite"


def read(path: Path) -> list[Claim]:
    """Return the claims of a file, in its order."""
    return [Claim(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]


def find(claims: Sequence[Claim], analyses: Sequence[Analysis]) -> Iterator[Finding]:
    """Yield what the tables say of each claim; nothing where a method or its reference has no such metric."""
    for claim in claims:
        for analysis in analyses:
            for index, row in enumerate(analysis.table.rows):
                reference = analysis.references[index]
                if row.method == claim.method and reference is not None and reference != index:
                    of_claim = _by_uncertainty if claim.by else _by_metric
                    yield from of_claim(claim, analysis, index, reference)


def _by_metric(claim: Claim, analysis: Analysis, index: int, reference: int) -> Iterator[Finding]:
    rows = analysis.table.rows
    if rows[index].statistic(claim.metric) is None or rows[reference].statistic(claim.metric) is None:
        return
    estimates, power = analysis.estimates(claim.metric), analysis.power(claim.metric)
    mine, other = estimates[index], estimates[reference]
    yield Finding(
        claim,
        analysis,
        index,
        reference,
        (mine.statistic.mean, other.statistic.mean),
        mine.difference,
        mine.difference_interval,
        mine.p_reference,
        None if power is None else power.to_reference[index],
    )


def _by_uncertainty(claim: Claim, analysis: Analysis, index: int, reference: int) -> Iterator[Finding]:
    near_or_far = claim.metric.split("/")[1]
    mine = _auroc(analysis.table.rows[index], near_or_far, f"{claim.by}/")
    other = max((_auroc(analysis.table.rows[reference], near_or_far, by) for by in ("", f"{claim.by}/")), key=_mean)
    if min(len(mine), len(other)) < 2:
        return
    comparison = statistics.compare([mine, other])
    low, high = comparison.interval()
    yield Finding(
        claim,
        analysis,
        index,
        reference,
        (_mean(mine), _mean(other)),
        float(comparison.difference[0, 1]),
        (float(low[0, 1]), float(high[0, 1])),
        float(comparison.p[0, 1]),
        float(comparison.detectable()[0, 1]),
    )


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def _auroc(row: Row, near_or_far: str, uncertainty: str) -> list[float]:
    """Return the mean over the near or the far OOD sets, of each record that has them."""
    found = []
    for record in row.records:
        sets = [split.key for split in record.splits if split.role == f"{near_or_far}_ood"]
        values = [record.metrics.get(f"{key}/{uncertainty}auroc") for key in sets]
        if values and None not in values:
            found.append(float(np.mean(values)))
    return found
