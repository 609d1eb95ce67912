"""From records to tables: one a task, a row an experiment, a column a metric. `rendering` writes them out."""

import dataclasses
import fnmatch
import functools
import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from uncertainty_suite import metrics as metrics_library
from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.leaderboard.records import Record, check_comparable
from uncertainty_suite.leaderboard.statistics import standard_error

COSTS = ("num_parameters", "train_seconds", "milliseconds_per_example")
HEADLINE = (
    *("test/accuracy", "test/nll", "test/brier", "test/ece"),
    *("shift/mean/accuracy", "shift/mean/nll", "shift/mean/ece"),
    *("ood/near/auroc", "ood/far/auroc"),
)

_SETTINGS = ("precision", "epochs", "batch_size")
_SECTIONS = ("test", "shift", "ood")
_ORDER = ("accuracy", "nll", "brier", "ece", "entropy", "auroc", "aupr_in", "aupr_out", "fpr95", "max_prob")


@dataclasses.dataclass(frozen=True)
class Statistic:
    """One metric of one experiment over its seeds."""

    seeds: tuple[int, ...]
    values: tuple[float, ...]

    @functools.cached_property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @functools.cached_property
    def standard_error(self) -> float | None:
        """The sample standard deviation over the root of the number of seeds; None for one seed."""
        return standard_error(self.values)


@dataclasses.dataclass(frozen=True)
class Row:
    """One experiment (a method, model and configuration): its records in the order of their seeds."""

    method: str
    model: str
    config_hash: str
    records: tuple[Record, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(record.seed for record in self.records)

    @functools.cached_property
    def settings(self) -> dict[str, str]:
        """The model and how it was trained: where these differ, more than the method does."""
        config = self.records[0].config
        return {"model": self.model, **{name: str(config.get(name, "—")) for name in _SETTINGS}}

    def statistic(self, metric: str) -> Statistic | None:
        """Return the statistic of a metric over the seeds that have it, None if no seed has."""
        return self._statistics.get(metric)

    @functools.cached_property
    def _statistics(self) -> dict[str, Statistic]:
        having: dict[str, list[Record]] = {}
        for record in self.records:
            for metric in record.metrics:
                having.setdefault(metric, []).append(record)
        return {
            metric: Statistic(tuple(one.seed for one in records), tuple(one.metrics[metric] for one in records))
            for metric, records in having.items()
        }


@dataclasses.dataclass(frozen=True)
class Table:
    """All experiments of one task, comparable with each other."""

    task: str
    protocol_version: int
    rows: tuple[Row, ...]
    metrics: tuple[str, ...]  # every metric that a row has, in the order of the columns


def tables(records: Iterable[Record]) -> list[Table]:
    """Group records into one table a task and one row an experiment, both in alphabetical order.

    Raises:
        InputError: Records of one task differ in protocol or data, or one experiment has a seed twice.
    """

    def experiment(record: Record) -> tuple[str, str, str]:
        return record.method, record.model, record.config_hash

    records = list(records)
    check_comparable(records)
    records.sort(key=lambda record: (record.task, experiment(record), record.seed))
    result = []
    for task, in_task in itertools.groupby(records, key=lambda record: record.task):
        in_task = list(in_task)
        rows = [Row(*names, tuple(group)) for names, group in itertools.groupby(in_task, key=experiment)]
        rows.sort(key=lambda row: (row.method, *row.settings.values()))  # stable: else by hash
        names = {name for record in in_task for name in record.metrics}
        result.append(Table(task, in_task[0].protocol_version, tuple(rows), tuple(sorted(names, key=_column_order))))
    return result


def select(found: Iterable[Table], metrics: str | Sequence[str] | None, headline: bool = False) -> list[Table]:
    """Return tables with the metrics wanted, in the order of the patterns.

    Args:
        found: The tables.
        metrics: Patterns, as a list or one text with commas. `*` stands for one part of a name, and a pattern takes all
            that lies below it: `ood/*/auroc` is the AUROC of every out-of-distribution set, `test` every metric on the
            test set. None for all.
        headline: Take the headline metrics where `metrics` is None, all of a task that has none of them.

    Raises:
        InputError: A pattern matches no metric.
    """
    found = list(found)
    if metrics is None:
        return [dataclasses.replace(table, metrics=_headline(table.metrics)) for table in found] if headline else found
    patterns = metrics.split(",") if isinstance(metrics, str) else metrics
    known = {name for table in found for name in table.metrics}
    for pattern in patterns:
        if not _matching(pattern, known):
            raise unknown_name("metric", pattern, known)
    return [dataclasses.replace(table, metrics=_select(table.metrics, patterns)) for table in found]


@functools.cache
def higher_is_better(metric: str) -> bool | None:
    """Return the direction of a metric such as `test/nll`, or None for what has none: costs, `max_prob`, entropies."""
    try:
        return metrics_library.info(metric.rpartition("/")[2]).higher_is_better
    except InputError:  # no metric of that name
        return None


def _column_order(metric: str) -> tuple:
    """Sort key of a metric: test, shift, OOD, anything else, costs; then by split, then the usual order of metrics."""
    if metric in COSTS:
        return len(_SECTIONS) + 1, (), COSTS.index(metric), metric
    *split, name = metric.split("/")
    section = _SECTIONS.index(split[0]) if split and split[0] in _SECTIONS else len(_SECTIONS)
    return section, tuple(split), _ORDER.index(name) if name in _ORDER else len(_ORDER), name


def _matching(pattern: str, metrics: Iterable[str]) -> list[str]:
    """Return the metrics whose leading parts match the pattern's part by part."""
    parts = pattern.strip().split("/")
    return [
        metric
        for metric in metrics
        if len(names := metric.split("/")) >= len(parts)
        and all(fnmatch.fnmatchcase(name, part) for name, part in zip(names, parts))
    ]


def _select(metrics: Sequence[str], patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the metrics that match, in the order of the patterns, each once."""
    return tuple(dict.fromkeys(metric for pattern in patterns for metric in _matching(pattern, metrics)))


def _headline(metrics: Sequence[str]) -> tuple[str, ...]:
    """Return the metrics of the default table; all of them if a task has none of the usual ones."""
    return _select(metrics, HEADLINE + COSTS) if _select(metrics, HEADLINE) else tuple(metrics)
