"""What a table's numbers are worth: intervals, who is not distinguishable from the best, power, ranks, fronts."""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from uncertainty_suite.leaderboard import statistics
from uncertainty_suite.leaderboard.records import load_scores
from uncertainty_suite.leaderboard.tables import Row, Statistic, Table, higher_is_better, is_mean

SIGNIFICANCE = 1 - statistics.LEVEL

_SIZES = frozenset(map(str, range(1, 1000)))  # of an ensemble, as metrics are named

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


@dataclasses.dataclass(frozen=True)
class Power:
    """What the tests of one metric could have found: two-sided, 5 %, not corrected for their number, 80 % power.

    Attributes:
        replicates: The fewest and the most seeds (or folds) of a row.
        num_examples: How many test examples the test of `seen` is over; 0 where it is over seeds or folds alone.
        detectable: The smallest difference that would be found, over the pairs of rows: its least, its root mean square
            (a variance that few seeds tell is right in the mean, and its median is too small) and its largest.
        to_reference: Of each row, the smallest difference to its reference that would be found, None without a test.
        needed: Of each row, how many seeds (or folds) would find the difference to its reference that was seen;
            infinity where not even `statistics.MOST_REPLICATES` would, None where their spread is unknown.
        seen: The rows of one difference: the best row that has a reference and its reference, or the two best rows.
        difference: Of the first of them minus the second.
        seen_detectable: The smallest difference between these two that would be found, like `to_reference`.
        seen_needed: How many seeds (or folds) would find the difference that was seen, like `needed`.
        stability: None where every row has one seed (or fold).
    """

    replicates: tuple[int, int]
    num_examples: int
    detectable: tuple[float, float, float]
    to_reference: tuple[float | None, ...]
    needed: tuple[float | None, ...]
    seen: tuple[int, int]
    difference: float
    seen_detectable: float | None
    seen_needed: float | None
    stability: "Stability | None"


@dataclasses.dataclass(frozen=True)
class Stability:
    """What is left of a ranking by means when one seed (or fold) is left out of all rows, each in turn."""

    left_out: int  # how many there are to leave out
    same_order: int  # of which so many leave all rows in their order
    same_best: int  # and so many the best row
    kendall_tau: float  # rank correlation with the whole ranking, the mean over them


@dataclasses.dataclass(frozen=True)
class Equivalent:
    """How many members of a plain ensemble reach a row's loss, the deep-ensemble equivalent (Ashukha et al. 2020).

    `members` is 0 for what a single network betters, and infinity for what the largest ensemble does not reach.
    """

    members: float
    largest: int

    def __str__(self) -> str:
        if self.members == 0:
            return "< 1"
        return f"{self.members:.1f}" if math.isfinite(self.members) else f"> {self.largest}"


class Analysis:
    """The statistics of one table, each computed when it is asked for."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._estimates: dict[str, list[Estimate | None]] = {}
        self._powers: dict[str, Power | None] = {}
        self._comparisons: dict[str, statistics.Comparison] = {}
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
            if of_split and statistic is not None and (is_mean(name) or name == self.table.calibrated_loss):
                of_row = [of_run[name] for one in statistic.replicates if name in (of_run := scores.get(one, {}))]
                found = np.stack(of_row) if len(of_row) == len(statistic.replicates) else None
            result.append(found)
        return result

    def estimates(self, metric: str) -> list[Estimate | None]:
        """Return the estimate of a metric for each row, None where a row has no such metric."""
        if metric not in self._estimates:
            self._estimates[metric] = self._estimated(metric)
        return self._estimates[metric]

    def _estimated(self, metric: str) -> list[Estimate | None]:
        statistic_of = {i: found for i, row in enumerate(self.table.rows) if (found := row.statistic(metric))}
        present = list(statistic_of)
        direction = higher_is_better(metric)
        result: list[Estimate | None] = [None] * len(self.table.rows)
        if direction is None:
            for i in present:
                result[i] = Estimate(statistic_of[i], False, False, None, None, None, None)
            return result

        comparison = self._comparison(metric, list(statistic_of.values()), present)
        means = np.array(self._comparable_means(list(statistic_of.values())))
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

    def _comparable_means(self, found: Sequence[Statistic]) -> list[float]:
        """Return the means that tell which row is the best: over the folds that all rows have, if there are such."""
        folds = [fold for fold in found[0].by_fold if all(fold in statistic.by_fold for statistic in found)]
        if self.table.num_folds < 2 or not folds:
            return [statistic.mean for statistic in found]
        return [float(np.mean([statistic.by_fold[fold] for fold in folds])) for statistic in found]

    def _comparison(self, metric: str, found: Sequence[Statistic], present: Sequence[int]) -> statistics.Comparison:
        if metric not in self._comparisons:
            self._comparisons[metric] = self._compare(metric, found, present)
        return self._comparisons[metric]

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

    def power(self, metric: str) -> Power | None:
        """Return what the tests of a metric could have found; None where there are none, or fewer than two rows."""
        if metric not in self._powers:
            self._powers[metric] = self._power(metric)
        return self._powers[metric]

    def _power(self, metric: str) -> Power | None:
        statistic_of = {i: found for i, row in enumerate(self.table.rows) if (found := row.statistic(metric))}
        present = list(statistic_of)
        direction = higher_is_better(metric)
        if direction is None or len(present) < 2:
            return None
        comparison = self._comparison(metric, list(statistic_of.values()), present)
        detectable = comparison.detectable()
        of_pairs = detectable[np.triu_indices(len(present), 1)]
        of_pairs = of_pairs[~np.isnan(of_pairs)]
        if not len(of_pairs):
            return None
        # The rows that have a reference, with it, and the difference that is shown.
        against = {i: j for i in present if (j := self.references[i]) in present and j != i}
        mean_of = dict(zip(present, self._comparable_means(list(statistic_of.values()))))
        order = sorted(present, key=mean_of.__getitem__, reverse=direction)
        seen = next(((i, against[i]) for i in order if i in against), (order[0], order[1]))
        pairs = [*against.items(), seen]
        place_of = {i: k for k, i in enumerate(present)}
        places = tuple([place_of[pair[end]] for pair in pairs] for end in (0, 1))
        of_shown = comparison.of(*places)
        *needed, seen_needed = map(_known, of_shown.replicates_needed())
        *to_reference, seen_detectable = map(_known, detectable[places])
        needed_of, detectable_of = dict(zip(against, needed)), dict(zip(against, to_reference))
        numbers = [len(statistic.independent) for statistic in statistic_of.values()]
        scores = [self.scores(metric)[i] for i in seen] if self.table.num_folds < 2 else [None]
        return Power(
            replicates=(min(numbers), max(numbers)),
            num_examples=0 if scores[0] is None or scores[1] is None else scores[0].shape[1],
            detectable=(float(of_pairs.min()), float(np.sqrt(np.mean(of_pairs**2))), float(of_pairs.max())),
            to_reference=tuple(detectable_of.get(i) for i in range(len(self.table.rows))),
            needed=tuple(needed_of.get(i) for i in range(len(self.table.rows))),
            seen=seen,
            difference=float(of_shown.difference[-1]),
            seen_detectable=seen_detectable,
            seen_needed=seen_needed,
            stability=self._stability(list(statistic_of.values()), direction),
        )

    def _stability(self, found: Sequence[Statistic], direction: bool) -> Stability | None:
        """Rank the rows anew without each seed or fold; a row that has no other keeps it."""
        several = self.table.num_folds > 1
        seeds = [{seed: value for (_, seed), value in zip(one.replicates, one.values)} for one in found]
        values = [one.by_fold for one in found] if several else seeds
        replicates = sorted({replicate for of_row in values for replicate in of_row if len(of_row) > 1})
        if not replicates:
            return None

        def mean(of_row: dict[int, float], without: int | None) -> float:
            kept = [value for one, value in of_row.items() if one != without] or list(of_row.values())
            return math.fsum(kept) / len(kept)

        means = np.array([[mean(of_row, without) for of_row in values] for without in (None, *replicates)])
        best = means.argmax(axis=1) if direction else means.argmin(axis=1)
        taus = statistics.kendall_tau(means[0], means[1:])
        return Stability(len(replicates), int((taus == 1).sum()), int((best[1:] == best[0]).sum()), float(taus.mean()))

    @functools.cached_property
    def ensemble_equivalents(self) -> list[Equivalent | None]:
        """Of each row, how many members of a plain ensemble reach its calibrated loss; see `Equivalent`.

        Plain ensembles are the rows whose members are networks like their reference, trained one by one: with a whole
        number of times its parameters and at least about as many times its training FLOPs, where both are recorded. Of
        several it is one with the row's own settings, then that with the largest ensembles, then the first.
        """
        curves = {i: curve for i in range(len(self.table.rows)) if (curve := self._ensembles(i))}
        ensembles = {i: self.table.rows[i] for i in curves}
        result: list[Equivalent | None] = []
        for row in self.table.rows:
            statistic = row.statistic(self.table.inside(self.table.calibrated_loss))
            if not (curves and statistic):
                result.append(None)
                continue
            differs = {
                i: (other.settings != row.settings, other.trials != row.trials) for i, other in ensembles.items()
            }
            curve = curves[min(curves, key=lambda i: (*differs[i], -max(curves[i]), i))]
            result.append(Equivalent(statistics.ensemble_equivalent(curve, statistic.mean), max(curve)))
        return result

    def _ensembles(self, index: int) -> dict[int, float]:
        """Return the mean calibrated loss of ensembles by their size, if a row is a plain ensemble and has it."""
        row, reference = self.table.rows[index], self.references[index]
        losses = {}
        for metric in sorted({name for record in row.records for name in record.metrics}):
            place, _, rest = metric.partition("/")
            size, _, name = rest.partition("/")
            statistic = row.statistic(metric)
            if place == "ensemble" and name == self.table.calibrated_loss and size in _SIZES and statistic:
                losses[int(size)] = statistic.mean
        if len(losses) < 2 or 1 not in losses or reference in (None, index):
            return {}
        times = {}
        for cost in ("num_parameters", "train_flops"):
            one, of_reference = row.statistic(cost), self.table.rows[reference].statistic(cost)
            if one and of_reference and of_reference.mean:
                times[cost] = one.mean / of_reference.mean
        members = times.get("num_parameters", 0)
        is_plain = math.isfinite(members) and members == round(members) >= max(losses)
        is_plain = is_plain and times.get("train_flops", members) > 0.9 * members
        return losses if is_plain else {}

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


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _floats(low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    return float(low), float(high)


def _welch(values: Sequence[Sequence[float]]) -> statistics.Comparison:
    if any(len(of_one) > 1 for of_one in values):
        return statistics.compare(values)
    means = np.array([np.mean(of_one) for of_one in values])  # nothing to test, so SciPy is not needed
    nothing = np.full((len(means), len(means)), np.nan)
    p = nothing.copy()
    np.fill_diagonal(p, 1.0)
    parts = (nothing.copy() for _ in range(5))
    return statistics.Comparison(means[:, None] - means, nothing, nothing.copy(), p, *parts)


def _reference(row: Row, rows: Sequence[Row]) -> int | None:
    """Return the row that a row is compared with: that of the method without hyper-parameters of its own.

    Of several the one with the row's own settings, then the one whose architecture most rows have to the letter (so a
    wider network is no reference but compared with one), then one whose search had as many trials, then the first
    method in alphabetical order, then the row with the most replicates, then the first.
    """
    candidates = [i for i, other in enumerate(rows) if other.records[0].config.keys() <= _SHARED]
    models = [other.records[0].config.get("model") for other in rows]

    def preference(i: int) -> tuple:
        other = rows[i]
        differs = other.settings != row.settings, -models.count(models[i]), other.trials != row.trials
        return *differs, other.method, -len(other.records), i

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
    """Rank methods by their means of a metric, over tasks that have all of them; None for fewer than two of either.

    Nor is there a ranking by a metric without direction.

    Which methods and tasks: tasks are left out one after another, that with the fewest methods first, and of the
    rankings of what is left the one counts whose critical difference is the least part of the range of ranks, of equals
    that of the most tasks.

    Of each task only rows of the same settings and number of trials count: those of the most methods, then the most
    runs, then the first; and of several rows of a method the one whose architecture most rows have to the letter, then
    the most runs, then the first. No choice looks at the results.
    Tasks without the metric are left out, and so are tasks of one method, in which nothing is ranked.
    """
    direction = higher_is_better(metric)
    if direction is None:
        return None
    by_task: dict[str, dict[str, float]] = {}
    for table in tables:
        models = [row.records[0].config.get("model") for row in table.rows]
        # By method: how many rows have its architecture, its number of runs, and its mean.
        by_settings: dict[tuple[object, ...], dict[str, tuple[int, int, float]]] = {}
        for row, model in zip(table.rows, models):
            if statistic := row.statistic(metric):
                of_method = by_settings.setdefault((*row.settings.values(), row.trials), {})
                weight = models.count(model), len(row.records)
                if weight > of_method.get(row.method, (0, 0, 0.0))[:2]:
                    of_method[row.method] = *weight, statistic.mean
        if by_settings:
            chosen = max(
                by_settings.values(), key=lambda found: (len(found), sum(count for _, count, _ in found.values()))
            )
            if len(chosen) > 1:
                by_task[table.task] = {method: mean for method, (_, _, mean) in chosen.items()}
    by_task, methods = _complete(by_task)
    if not methods:
        return None
    values = np.array([[means[method] for method in methods] for means in by_task.values()])
    of_tasks = statistics.ranks(values, direction)
    ranks = of_tasks.mean(axis=0)
    difference = statistics.critical_difference(len(methods), len(by_task))
    order = np.argsort(ranks, kind="stable")
    return Ranking(
        metric,
        tuple(by_task),
        tuple(methods[i] for i in order),
        tuple(float(ranks[i]) for i in order),
        difference,
        statistics.friedman_p(of_tasks),
        tuple(tuple(methods[i] for i in group) for group in statistics.cliques(ranks, difference)),
    )


def _complete(by_task: dict[str, dict[str, float]]) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Return the tasks to rank over and the methods that all of them have; none of either where nothing is ranked."""
    most_first = sorted(by_task, key=lambda task: -len(by_task[task]))
    best, chosen, methods = math.inf, set(), []
    for count in range(len(by_task), 1, -1):
        common = set.intersection(*(set(by_task[task]) for task in most_first[:count]))
        if len(common) > 1:
            part = statistics.critical_difference(len(common), count) / (len(common) - 1)
            if part < best:
                best, chosen, methods = part, set(most_first[:count]), sorted(common)
    return {task: means for task, means in by_task.items() if task in chosen}, methods
