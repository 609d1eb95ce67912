"""From records to tables: one a task, a row an experiment, a column a metric. `rendering` writes them out."""

import dataclasses
import fnmatch
import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from uncertainty_suite import likelihoods
from uncertainty_suite import metrics as metrics_library
from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.leaderboard.places import Places
from uncertainty_suite.leaderboard.records import Record, check_comparable
from uncertainty_suite.leaderboard.statistics import standard_error
from uncertainty_suite.likelihoods import Likelihood


def headline(names: Iterable[str], in_distribution: str = "test") -> tuple[str, ...]:
    """Return the metrics that a table shows first.

    Args:
        names: The likelihoods: what of their metrics, see `Likelihood.headline`. Beside the criterion and the last one,
            a calibration error, stands the same after a calibration.
        in_distribution: Key of the in-distribution split.
    """
    inside, shifted = [], []
    for likelihood in map(likelihoods.info, names):
        for metric in likelihood.headline:
            calibrated = metric in (likelihood.criterion, likelihood.headline[-1])
            inside += [metric, f"{likelihood.calibration}/{metric}"] if calibrated else [metric]
            shifted.append(metric)
    places = ((in_distribution, inside), ("shift/mean", shifted))
    of_splits = dict.fromkeys(f"{place}/{metric}" for place, of_place in places for metric in of_place)
    return (*of_splits, "ood/near/auroc", "ood/far/auroc", "failure/max_prob/augrc")


EXACT_COSTS = ("num_parameters", "train_flops", "prediction_flops_per_example")  # counted, the same for all seeds
COSTS = ("num_parameters", "train_flops", "train_seconds", "prediction_flops_per_example", "milliseconds_per_example")
HEADLINE = headline(likelihoods.names())

_SETTINGS = ("precision", "epochs", "batch_size")
_SECTIONS = ("inside", "labelled", "shift", "ood", "failure")
_CALIBRATIONS = {likelihoods.info(name).calibration for name in likelihoods.names()}
_ORDER = (
    *dict.fromkeys(metric for name in likelihoods.names() for metric in likelihoods.info(name).headline),
    *("entropy", "auroc", "aupr_in", "aupr_out", "fpr95", "max_prob"),
)


@dataclasses.dataclass(frozen=True)
class Statistic:
    """One metric of one experiment over its replicates: a fold (0 where the data has none) and a seed each."""

    replicates: tuple[tuple[int, int], ...]
    values: tuple[float, ...]

    @functools.cached_property
    def by_fold(self) -> dict[int, float]:
        """The mean over the seeds of each fold."""
        values: dict[int, list[float]] = {}
        for (fold, _), value in zip(self.replicates, self.values):
            values.setdefault(fold, []).append(value)
        return {fold: float(np.mean(of_fold)) for fold, of_fold in values.items()}

    @property
    def independent(self) -> tuple[float, ...]:
        """The values whose spread counts: of the folds where there are several, of the seeds where there is one.

        Seeds of one fold share its data, so they are averaged first.
        """
        return tuple(self.by_fold.values()) if len(self.by_fold) > 1 else self.values

    @functools.cached_property
    def mean(self) -> float:
        return float(np.mean(self.independent))

    @functools.cached_property
    def standard_error(self) -> float | None:
        """The sample standard deviation over the root of the number of folds or seeds; None for one."""
        return standard_error(self.independent)


@dataclasses.dataclass(frozen=True)
class Row:
    """One experiment (a method, model and configuration): its records in the order of their replicates."""

    method: str
    model: str
    config_hash: str
    records: tuple[Record, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Each seed once."""
        return tuple(sorted({record.seed for record in self.records}))

    @property
    def folds(self) -> tuple[int, ...]:
        """Each fold once; none where the data has no folds."""
        return tuple(sorted({record.fold for record in self.records if record.fold is not None}))

    @functools.cached_property
    def settings(self) -> dict[str, str]:
        """The model and how it was trained: where these differ, more than the method does."""
        config = self.records[0].config
        return {"model": self.model, **{name: str(config.get(name, "—")) for name in _SETTINGS}}

    @property
    def trained_here(self) -> bool:
        """Whether its networks were trained by the suite, and not only their predictions scored."""
        return all(record.provenance.get("trained_here", True) for record in self.records)

    @property
    def tuned(self) -> dict[str, list[Mapping[str, Any]]]:
        """Of each field that was chosen or fitted on held-out data, what each run says of it."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for record in self.records:
            for field, said in record.tuned.items():
                found.setdefault(field, []).append(said)
        return found

    @property
    def trials(self) -> int:
        """How many trials a search had that chose its hyper-parameters; 0 for values that nobody searched."""
        return max((len(self.records[0].tuned[field].get("values", ())) for field in self.searched), default=0)

    @property
    def searched(self) -> set[str]:
        """The fields of the configuration whose values a search chose."""
        return {field for field, said in self.records[0].tuned.items() if "range" in said}

    def statistic(self, metric: str) -> Statistic | None:
        """Return the statistic of a metric over the replicates that have it, None if none has."""
        return self._statistics.get(metric)

    @functools.cached_property
    def _statistics(self) -> dict[str, Statistic]:
        having: dict[str, list[Record]] = {}
        for record in self.records:
            for metric in record.metrics:
                having.setdefault(metric, []).append(record)
        return {
            metric: Statistic(tuple(one.replicate for one in records), tuple(one.metrics[metric] for one in records))
            for metric, records in having.items()
        }


@dataclasses.dataclass(frozen=True)
class Table:
    """All experiments of one task, comparable with each other."""

    task: str
    protocol_version: int
    rows: tuple[Row, ...]
    metrics: tuple[str, ...]  # every metric that a row has, in the order of the columns

    @property
    def likelihood(self) -> type[Likelihood]:
        """What the labels of the task are."""
        return likelihoods.info(self.rows[0].records[0].likelihood["name"])

    @property
    def in_distribution(self) -> str:
        """Key of the split that shifted and OOD sets are compared with."""
        return self.rows[0].records[0].in_distribution

    @functools.cached_property
    def places(self) -> Places:
        """Where metrics were measured."""
        return _places([record for row in self.rows for record in row.records])

    @property
    def replicates(self) -> str:
        """What tells the runs of a row apart: `folds` where the data has folds, else `seeds`."""
        return "folds" if any(row.folds for row in self.rows) else "seeds"

    @functools.cached_property
    def num_folds(self) -> int:
        """How many folds its rows have, 0 where the data has none."""
        return len({fold for row in self.rows for fold in row.folds})

    def inside(self, metric: str) -> str:
        """Return the name of a metric of the in-distribution split, e.g. `test/nll`."""
        return f"{self.in_distribution}/{metric}"

    @property
    def headline(self) -> tuple[str, ...]:
        """Those of the headline metrics that it has."""
        return tuple(name for name in headline([self.likelihood.name], self.in_distribution) if name in self.metrics)

    @property
    def loss(self) -> str:
        """See `first_loss`."""
        return first_loss(self.likelihood)

    @property
    def calibrated_loss(self) -> str:
        """The criterion of its likelihood after a calibration, e.g. `temperature_scaling/nll`."""
        return f"{self.likelihood.calibration}/{self.likelihood.criterion}"


def first_loss(likelihood: type[Likelihood]) -> str:
    """Return the first metric of a likelihood's headline that is the mean of a loss of each example, e.g. `nll`."""
    infos = {name: metrics_library.info(name) for name in likelihood.headline}
    return next(name for name, info in infos.items() if info.is_mean and info.higher_is_better is False)


def tables(records: Iterable[Record]) -> list[Table]:
    """Group records into one table a task and one row an experiment, both in alphabetical order.

    Raises:
        InputError: Records of one task differ in protocol or data, or one experiment has a replicate twice.
    """

    def experiment(record: Record) -> tuple[str, str, str]:
        return record.method, record.model, record.config_hash

    records = list(records)
    check_comparable(records)
    records.sort(key=lambda record: (record.task, experiment(record), record.replicate))
    result = []
    for task, group_of_task in itertools.groupby(records, key=lambda record: record.task):
        in_task = list(group_of_task)
        rows = [Row(*names, tuple(group)) for names, group in itertools.groupby(in_task, key=experiment)]
        rows.sort(key=lambda row: (row.method, *row.settings.values()))  # stable: else by hash
        names = {name for record in in_task for name in record.metrics}
        order = functools.partial(_column_order, _places(in_task))
        result.append(Table(task, in_task[0].protocol_version, tuple(rows), tuple(sorted(names, key=order))))
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
        return [dataclasses.replace(table, metrics=_headline(table)) for table in found] if headline else found
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


@functools.cache
def is_mean(metric: str) -> bool:
    """Return whether a metric, named without its split, is the mean of a value of each example."""
    try:
        return metrics_library.info(metric).is_mean
    except InputError:  # no metric of that name
        return False


def _places(records: Iterable[Record]) -> Places:
    records = list(records)
    return Places((split for record in records for split in record.splits), records[0].in_distribution)


def _column_order(places: Places, metric: str) -> tuple:
    """Sort key of a metric: test, shift, OOD, failures, anything else, costs; then by split, then the usual order.

    Behind a metric stands the same after a calibration.
    """
    if metric in COSTS:
        return len(_SECTIONS) + 1, "", "", COSTS.index(metric), "", metric
    place, rest = places.of(metric)
    score, _, name = rest.rpartition("/")
    section, key = (_SECTIONS.index(place.section), place.key) if place else (len(_SECTIONS), "")
    order = _ORDER.index(name) if name in _ORDER else len(_ORDER)
    calibration = score if score in _CALIBRATIONS else ""
    return section, key, "" if calibration else score, order, calibration, name


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


def _headline(table: Table) -> tuple[str, ...]:
    """Return the metrics of the default table; all of them if a task has none of the usual ones."""
    costs = tuple(name for name in COSTS if name in table.metrics)
    return table.headline + costs if table.headline else table.metrics
