"""What a table's numbers are worth: intervals, who is not distinguishable from the best, ranks over tasks, fronts."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from uncertainty_suite.leaderboard import statistics
from uncertainty_suite.leaderboard.scores import load_scores
from uncertainty_suite.leaderboard.tables import Row, Statistic, Table, higher_is_better, is_mean

SIGNIFICANCE = 1 - statistics.LEVEL

# What every configuration has; any other section is a method's own.
_SHARED = {"seed", "precision", "method", "batch_size", "epochs", "dataset", "model", "optimizer", "evaluation"}


@dataclasses.dataclass(frozen=True)
class Estimate:
    """One metric of one row of a table.

    The p-values are Holm-adjusted (`statistics.holm_pairs` for the best, over the rows for the reference), and None
    where there is nothing to test: a metric without direction, a single seed without per-example scores, or fewer than
    two folds in common.
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
        """The 95 % t interval over seeds or folds; None for one."""
        return statistics.t_interval(self.statistic.independent)


class Analysis:
    """The statistics of one table, each computed when it is asked for."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.references = [_reference(row, table.rows) for row in table.rows]

    def reference(self, index: int) -> str | None:
        """Return the method that a row is compared with; None for the reference itself, or where there is none."""
        reference = self.references[index]
        return None if reference in (None, index) else self.table.rows[reference].method

    @functools.cached_property
    def _scores(self) -> list[dict[tuple[int, int], dict[str, np.ndarray]]]:
        """Of each row, the per-example scores by replicate.

        Only where they are of the same examples as the first ones; so none where there are several folds.
        """
        first: np.ndarray | None = None
        result = []
        for row in self.table.rows:
            of_row = {}
            for record in row.records if self.table.num_folds < 2 else ():
                scores = load_scores(record)
                if scores is not None:
                    first = scores["element_id"] if first is None else first
                    if np.array_equal(scores["element_id"], first):
                        of_row[record.replicate] = scores
            result.append(of_row)
        return result

    def scores(self, metric: str) -> list[np.ndarray | None]:
        """Return the scores `[seeds, examples]` whose means a metric is, or None, of each row."""
        place, name = self.table.places.of(metric)
        result: list[np.ndarray | None] = []
        for row, scores in zip(self.table.rows, self._scores):
            statistic = row.statistic(metric)
            of_split = all(place and record.scores and record.scores["split"] == place.key for record in row.records)
            found = None
            if of_split and statistic is not None and is_mean(name):
                of_row = [of_run[name] for one in statistic.replicates if name in (of_run := scores.get(one, {}))]
                found = np.stack(of_row) if len(of_row) == len(statistic.replicates) else None
            result.append(found)
        return result

    def estimates(self, metric: str) -> list[Estimate | None]:
        """Return the estimate of a metric for each row, None where a row has no such metric."""
        statistic_of = {i: found for i, row in enumerate(self.table.rows) if (found := row.statistic(metric))}
        present = list(statistic_of)
        direction = higher_is_better(metric)
        result: list[Estimate | None] = [None] * len(self.table.rows)
        if direction is None:
            for i in present:
                result[i] = Estimate(statistic_of[i], False, False, None, None, None, None)
            return result

        comparison = self._compare(metric, list(statistic_of.values()), present)
        means = np.array([statistic_of[i].mean for i in present])
        best = int(means.argmax() if direction else means.argmin())
        p_best = statistics.holm_pairs(comparison.p)[best]
        tied = p_best >= SIGNIFICANCE  # NaN is not
        tied[best] = tied.sum() > 1
        low, high = comparison.interval()
        place_of = {i: k for k, i in enumerate(present)}
        references = [None if (row := self.references[i]) is None else place_of.get(row) for i in present]
        p_reference = np.full(len(present), np.nan)
        for one in {each for each in references if each is not None}:
            others = [k for k, reference in enumerate(references) if reference == one != k]
            p_reference[others] = statistics.holm(comparison.p[one, others])
        for k, i in enumerate(present):
            reference = references[k]
            against = k if reference is None else reference
            difference = float(comparison.difference[k, against])
            compared, tested = against != k and not np.isnan(difference), not np.isnan(p_reference[k])
            result[i] = Estimate(
                statistic_of[i],
                best=k == best and len(present) > 1,
                tied=bool(tied[k]),
                p_best=None if k == best or np.isnan(p_best[k]) else float(p_best[k]),
                p_reference=float(p_reference[k]) if tested else None,
                difference=difference if compared else None,
                difference_interval=(float(low[k, against]), float(high[k, against])) if tested else None,
            )
        return result

    def _compare(self, metric: str, found: Sequence[Statistic], present: Sequence[int]) -> statistics.Comparison:
        """Compare rows over folds where there are several; else over seeds, and those with scores over examples too."""
        if self.table.num_folds > 1:
            return statistics.compare_folds([statistic.by_fold for statistic in found])
        values = [statistic.values for statistic in found]
        result = _welch(values)
        scores = self.scores(metric)
        scored = [(k, each) for k, i in enumerate(present) if (each := scores[i]) is not None]
        if len(scored) > 1:
            places = [k for k, _ in scored]
            paired = statistics.compare([values[k] for k in places], [each for _, each in scored])
            for field in dataclasses.fields(result):
                getattr(result, field.name)[np.ix_(places, places)] = getattr(paired, field.name)
        return result

    @functools.cached_property
    def example_intervals(self) -> dict[str, list[tuple[float, float] | None]]:
        """Of each metric with per-example scores and each row, the bootstrap interval over test examples."""
        found = {metric: self.scores(metric) for metric in self.table.metrics}
        stacked = [scores.mean(axis=0) for of_metric in found.values() for scores in of_metric if scores is not None]
        ends = iter(zip(*statistics.bootstrap_interval(np.stack(stacked)))) if stacked else iter(())
        return {
            metric: [None if scores is None else _floats(*next(ends)) for scores in of_metric]
            for metric, of_metric in found.items()
            if any(scores is not None for scores in of_metric)
        }

    def pareto(self, metric: str, cost: str) -> list[bool]:
        """Return which rows no other row beats in a metric and a cost at once; rows without both are on no front."""
        sign = -1 if higher_is_better(metric) else 1
        points = {}
        for i, row in enumerate(self.table.rows):
            of_cost, of_metric = row.statistic(cost), row.statistic(metric)
            if of_cost and of_metric:
                points[i] = of_cost.mean, sign * of_metric.mean
        front = [False] * len(self.table.rows)
        if points:
            for i, on_front in zip(points, statistics.pareto_front(*np.transpose(list(points.values())))):
                front[i] = bool(on_front)
        return front


def _floats(low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    return float(low), float(high)


def _welch(values: Sequence[Sequence[float]]) -> statistics.Comparison:
    if any(len(of_one) > 1 for of_one in values):
        return statistics.compare(values)
    means = np.array([np.mean(of_one) for of_one in values])  # nothing to test, so SciPy is not needed
    nothing = np.full((len(means), len(means)), np.nan)
    p = nothing.copy()
    np.fill_diagonal(p, 1.0)
    return statistics.Comparison(means[:, None] - means, nothing, nothing.copy(), p)


def _reference(row: Row, rows: Sequence[Row]) -> int | None:
    """Return the row that a row is compared with: that of the method without hyper-parameters of its own.

    Of several the one with the row's own settings, then the first method in alphabetical order, then the row with the
    most replicates, then the first.
    """
    candidates = [i for i, other in enumerate(rows) if other.records[0].config.keys() <= _SHARED]

    def preference(i: int) -> tuple:
        return rows[i].settings != row.settings, rows[i].method, -len(rows[i].records), i

    return min(candidates, key=preference, default=None)


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

    Nor is there a ranking by a metric without direction.

    Of each task only rows of the same settings count: the settings with the most methods, then the most runs, then the
    first; and of several rows of a method the one with the most runs, then the first. No choice looks at the results.
    Tasks without the metric are left out.
    """
    direction = higher_is_better(metric)
    if direction is None:
        return None
    by_task: dict[str, dict[str, float]] = {}
    for table in tables:
        by_settings: dict[tuple[str, ...], dict[str, tuple[int, float]]] = {}  # number of runs, and mean, by method
        for row in table.rows:
            if statistic := row.statistic(metric):
                of_method = by_settings.setdefault(tuple(row.settings.values()), {})
                if len(row.records) > of_method.get(row.method, (0, 0.0))[0]:
                    of_method[row.method] = len(row.records), statistic.mean
        if by_settings:
            chosen = max(
                by_settings.values(), key=lambda found: (len(found), sum(count for count, _ in found.values()))
            )
            by_task[table.task] = {method: mean for method, (_, mean) in chosen.items()}
    methods = sorted(set.intersection(*map(set, by_task.values()))) if by_task else []
    if len(by_task) < 2 or len(methods) < 2:
        return None
    values = np.array([[means[method] for method in methods] for means in by_task.values()])
    ranks = statistics.average_ranks(values, direction)
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
