"""What a table's numbers are worth: intervals, who is not distinguishable from the best, ranks over tasks, fronts."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from uncertainty_suite.leaderboard import statistics
from uncertainty_suite.leaderboard.store import SCORES, load_scores
from uncertainty_suite.leaderboard.tables import Row, Statistic, Table, higher_is_better

REFERENCE = "deterministic"
SIGNIFICANCE = 1 - statistics.LEVEL


@dataclasses.dataclass(frozen=True)
class Estimate:
    """One metric of one row of a table.

    The p-values are Holm-adjusted (`statistics.holm_pairs` for the best, over the rows for the reference), and None
    where there is nothing to test: a metric without direction, or a single seed without per-example scores.
    """

    statistic: Statistic
    best: bool
    tied: bool  # with the best, or the best itself where another row ties with it
    p_best: float | None
    p_reference: float | None
    difference: float | None  # to the reference
    difference_interval: tuple[float, float] | None  # 95 %, not adjusted

    @functools.cached_property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % t interval over seeds; None for one seed."""
        return statistics.t_interval(self.statistic.values)


class Analysis:
    """The statistics of one table, each computed when it is asked for."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.references = [_reference(row, table.rows) for row in table.rows]

    @functools.cached_property
    def _scores(self) -> list[dict[int, dict[str, np.ndarray]]]:
        """Of each row, the per-example scores by seed; only where they are of the same examples as the first ones."""
        first, result = None, []
        for row in self.table.rows:
            of_row = {}
            for record in row.records:
                scores = load_scores(record)
                if scores is not None:
                    first = scores["element_id"] if first is None else first
                    if np.array_equal(scores["element_id"], first):
                        of_row[record.seed] = scores
            result.append(of_row)
        return result

    def scores(self, metric: str) -> list[np.ndarray | None]:
        """Return the scores `[seeds, examples]` whose means a metric is, or None, of each row."""
        split, _, name = metric.rpartition("/")
        result = []
        for row, by_seed in zip(self.table.rows, self._scores):
            statistic = row.statistic(metric)
            of_split = all(record.scores and record.scores["split"] == split for record in row.records)
            has_all = statistic is not None and set(statistic.seeds) <= by_seed.keys()
            known = name in SCORES and of_split and has_all
            result.append(np.stack([by_seed[seed][name] for seed in statistic.seeds]) if known else None)
        return result

    def estimates(self, metric: str) -> list[Estimate | None]:
        """Return the estimate of a metric for each row, None where a row has no such metric."""
        statistic_of = [row.statistic(metric) for row in self.table.rows]
        present = [i for i, statistic in enumerate(statistic_of) if statistic]
        direction = higher_is_better(metric)
        result: list[Estimate | None] = [None] * len(statistic_of)
        if direction is None:
            for i in present:
                result[i] = Estimate(statistic_of[i], False, False, None, None, None, None)
            return result

        comparison = self._compare(metric, present)
        means = np.array([statistic_of[i].mean for i in present])
        best = int(means.argmax() if direction else means.argmin())
        p_best = statistics.holm_pairs(comparison.p)[best]
        tied = p_best >= SIGNIFICANCE  # NaN is not
        tied[best] = tied.sum() > 1
        low, high = comparison.interval()
        references = [present.index(self.references[i]) if self.references[i] in present else None for i in present]
        p_reference = np.full(len(present), np.nan)
        for reference in set(references) - {None}:
            others = [k for k, of_row in enumerate(references) if of_row == reference != k]
            p_reference[others] = statistics.holm(comparison.p[reference, others])
        for k, i in enumerate(present):
            reference = references[k]
            compared = reference is not None and reference != k
            tested = compared and not np.isnan(p_reference[k])
            result[i] = Estimate(
                statistic_of[i],
                best=k == best and len(present) > 1,
                tied=bool(tied[k]),
                p_best=None if k == best or np.isnan(p_best[k]) else float(p_best[k]),
                p_reference=float(p_reference[k]) if tested else None,
                difference=float(comparison.difference[k, reference]) if compared else None,
                difference_interval=(float(low[k, reference]), float(high[k, reference])) if tested else None,
            )
        return result

    def _compare(self, metric: str, present: Sequence[int]) -> statistics.Comparison:
        """Compare rows over seeds, and those with scores over seeds and examples."""
        values = [self.table.rows[i].statistic(metric).values for i in present]
        result = _welch(values)
        scores = self.scores(metric) if metric.rpartition("/")[2] in SCORES else [None] * len(self.table.rows)
        scored = [k for k, i in enumerate(present) if scores[i] is not None]
        if len(scored) > 1:
            paired = statistics.compare([values[k] for k in scored], [scores[present[k]] for k in scored])
            for field in dataclasses.fields(result):
                getattr(result, field.name)[np.ix_(scored, scored)] = getattr(paired, field.name)
        return result

    @functools.cached_property
    def example_intervals(self) -> dict[str, list[tuple[float, float] | None]]:
        """Of each metric with per-example scores and each row, the bootstrap interval over test examples."""
        found = {metric: self.scores(metric) for metric in self.table.metrics if metric.rpartition("/")[2] in SCORES}
        stacked = [scores.mean(axis=0) for of_metric in found.values() for scores in of_metric if scores is not None]
        ends = iter(zip(*statistics.bootstrap_interval(np.stack(stacked)))) if stacked else iter(())
        return {
            metric: [None if scores is None else tuple(map(float, next(ends))) for scores in of_metric]
            for metric, of_metric in found.items()
            if any(scores is not None for scores in of_metric)
        }

    def pareto(self, metric: str, cost: str) -> list[bool]:
        """Return which rows no other row beats in a metric and a cost at once; rows without both are on no front."""
        pairs = [(row.statistic(cost), row.statistic(metric)) for row in self.table.rows]
        present = [i for i, pair in enumerate(pairs) if all(pair)]
        sign = -1 if higher_is_better(metric) else 1
        front = [False] * len(pairs)
        if present:
            costs = np.array([pairs[i][0].mean for i in present])
            losses = np.array([sign * pairs[i][1].mean for i in present])
            for i, on_front in zip(present, statistics.pareto_front(costs, losses)):
                front[i] = bool(on_front)
        return front


def _welch(values: Sequence[Sequence[float]]) -> statistics.Comparison:
    if any(len(of_one) > 1 for of_one in values):
        return statistics.compare(values)
    means = np.array([np.mean(of_one) for of_one in values])  # nothing to test, so SciPy is not needed
    nothing = np.full((len(means), len(means)), np.nan)
    p = nothing.copy()
    np.fill_diagonal(p, 1.0)
    return statistics.Comparison(means[:, None] - means, nothing, nothing.copy(), p)


def _reference(row: Row, rows: Sequence[Row]) -> int | None:
    """Return the row that a row is compared with: the deterministic network's.

    Of several the one with the row's own settings, then the most seeds, then the first.
    """
    candidates = [i for i, other in enumerate(rows) if other.method == REFERENCE]
    return max(candidates, key=lambda i: (rows[i].settings == row.settings, len(rows[i].seeds), -i), default=None)


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Average ranks of methods over tasks."""

    metric: str
    tasks: tuple[str, ...]
    methods: tuple[str, ...]  # the best first
    ranks: tuple[float, ...]
    critical_difference: float
    friedman_p: float
    groups: tuple[tuple[str, ...], ...]  # methods that the tasks do not tell apart


def rank(tables: Sequence[Table], metric: str) -> Ranking | None:
    """Rank the methods that all tasks have, by their means of a metric; None for fewer than two tasks or methods.

    Of each task only rows of the same settings count: the settings with the most methods, then the most seeds, then the
    first; and of several rows of a method the one with the most seeds, then the first. No choice looks at the results.
    Tasks without the metric are left out.
    """
    by_task: dict[str, dict[str, float]] = {}
    for table in tables:
        by_settings: dict[tuple[str, ...], dict[str, Row]] = {}
        for row in table.rows:
            if row.statistic(metric):
                of_method = by_settings.setdefault(tuple(row.settings.values()), {})
                of_method[row.method] = max(of_method.get(row.method, row), row, key=lambda row: len(row.seeds))
        if by_settings:
            chosen = max(by_settings.values(), key=lambda rows: (len(rows), sum(len(r.seeds) for r in rows.values())))
            by_task[table.task] = {method: row.statistic(metric).mean for method, row in chosen.items()}
    methods = sorted(set.intersection(*map(set, by_task.values()))) if by_task else []
    if len(by_task) < 2 or len(methods) < 2:
        return None
    values = np.array([[means[method] for method in methods] for means in by_task.values()])
    ranks = statistics.average_ranks(values, bool(higher_is_better(metric)))
    difference = statistics.critical_difference(len(methods), len(by_task))
    order = np.argsort(ranks, kind="stable")
    return Ranking(
        metric,
        tuple(by_task),
        tuple(methods[i] for i in order),
        tuple(float(ranks[i]) for i in order),
        difference,
        statistics.friedman_p(ranks, len(by_task)),
        tuple(tuple(methods[i] for i in group) for group in statistics.cliques(ranks, difference)),
    )
