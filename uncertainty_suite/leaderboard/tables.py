"""From records to tables: the statistics over seeds, and their rendering as Markdown, CSV and JSON."""

import csv
import dataclasses
import fnmatch
import io
import itertools
import json
import math
import re
from collections.abc import Iterable, Sequence

import numpy as np

from uncertainty_suite import metrics as metrics_library
from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.leaderboard.records import Record, check_comparable

COSTS = ("num_parameters", "train_seconds", "milliseconds_per_example")
HEADLINE = (
    *("test/accuracy", "test/nll", "test/brier", "test/ece"),
    *("shift/mean/accuracy", "shift/mean/nll", "shift/mean/ece"),
    *("ood/near/auroc", "ood/far/auroc"),
)

_SECTIONS = ("test", "shift", "ood")
_ORDER = ("accuracy", "nll", "brier", "ece", "entropy", "auroc", "aupr_in", "aupr_out", "fpr95", "max_prob")


@dataclasses.dataclass(frozen=True)
class Statistic:
    """One metric of one experiment over its seeds."""

    seeds: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def standard_error(self) -> float | None:
        """The sample standard deviation over the root of the number of seeds; None for one seed."""
        if len(self.values) < 2:
            return None
        return float(np.std(self.values, ddof=1) / math.sqrt(len(self.values)))


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

    def statistic(self, metric: str) -> Statistic | None:
        """Return the statistic of a metric over the seeds that have it, None if no seed has."""
        having = [record for record in self.records if metric in record.metrics]
        if not having:
            return None
        return Statistic(
            seeds=tuple(record.seed for record in having), values=tuple(record.metrics[metric] for record in having)
        )


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
        names = {name for record in in_task for name in record.metrics}
        result.append(Table(task, in_task[0].protocol_version, tuple(rows), tuple(sorted(names, key=_column_order))))
    return result


def render(records: Iterable[Record], format: str = "markdown", metrics: str | Sequence[str] | None = None) -> str:
    """Render the tables of some records.

    Args:
        records: What `read_records` returned.
        format: `"markdown"`, `"csv"` (one line a task, experiment and metric) or `"json"` (with each seed's value).
        metrics: Patterns of the metrics wanted, as a list or one text with commas. `*` stands for one part of a name,
            and a pattern takes all that lies below it: `ood/*/auroc` is the AUROC of every out-of-distribution set,
            `test` every metric on the test set. By default Markdown shows the headline metrics, CSV and JSON show all.

    Raises:
        InputError: The records are not comparable, a pattern matches no metric, or the format is not known.
    """
    if format not in _RENDERERS:
        raise unknown_name("format", format, _RENDERERS)
    found = tables(records)
    patterns = metrics.split(",") if isinstance(metrics, str) else metrics
    if patterns is not None:
        known = {name for table in found for name in table.metrics}
        for pattern in patterns:
            if not _matching(pattern, known):
                raise unknown_name("metric", pattern, known)
        found = [dataclasses.replace(table, metrics=_select(table.metrics, patterns)) for table in found]
    elif format == "markdown":
        found = [dataclasses.replace(table, metrics=_headline(table.metrics)) for table in found]
    return _RENDERERS[format](found)


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


def _markdown(found: Sequence[Table]) -> str:
    blocks = []
    for table in found:
        columns = [*_names(table), *(_column(table, metric) for metric in table.metrics)]
        left = sum(1 for header, *_ in columns if header in ("method", "model", "config"))
        widths = [max(map(len, column)) for column in columns]
        rule = ["-" * width if i < left else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
        lines = [
            " | ".join(cell.ljust(width) if i < left else cell.rjust(width) for i, (cell, width) in cells)
            for cells in (enumerate(zip(line, widths)) for line in zip(*columns))
        ]
        lines.insert(1, " | ".join(rule))
        blocks.append(f"### {_escape(table.task)}\n\n" + "\n".join(f"| {line} |" for line in lines) + "\n")
    if found:
        blocks.append("Mean ± standard error over seeds. ↑ higher is better, ↓ lower is better, the best in bold.\n")
    return "\n".join(blocks)


def _names(table: Table) -> list[list[str]]:
    """Return the columns that name a row's experiment: model and configuration only where they tell rows apart."""
    columns = [["method", *(_escape(row.method) for row in table.rows)]]
    if len({row.model for row in table.rows}) > 1:
        columns.append(["model", *(_escape(row.model) for row in table.rows)])
    if len({(row.method, row.model) for row in table.rows}) < len(table.rows):
        hashes = {row.config_hash for row in table.rows}
        longest = max(map(len, hashes))
        length = next((n for n in range(6, longest) if len({name[:n] for name in hashes}) == len(hashes)), longest)
        columns.append(["config", *(_escape(row.config_hash[:length]) for row in table.rows)])
    columns.append(["seeds", *(str(len(row.seeds)) for row in table.rows)])
    return columns


def _column(table: Table, metric: str) -> list[str]:
    """Return the header and the cells of one metric, with the best in bold.

    All cells of a column have the same number of decimals, so that what looks equal is equal: ties are all bold.
    """
    statistics = [row.statistic(metric) for row in table.rows]
    present = [statistic for statistic in statistics if statistic]
    decimals = 0 if metric == "num_parameters" else _decimals(present)
    direction = higher_is_better(metric)
    best = None
    if direction is not None and len(present) > 1:
        mean = (max if direction else min)(statistic.mean for statistic in present)
        best = _number(mean, decimals)

    column = [_escape(metric) + {True: " ↑", False: " ↓", None: ""}[direction]]
    for row, statistic in zip(table.rows, statistics):
        if statistic is None:
            column.append("—")
            continue
        text = _number(statistic.mean, decimals)
        bold = text == best
        # A parameter count is the same for all seeds: "± 0" would say nothing.
        if statistic.standard_error is not None and (statistic.standard_error or metric != "num_parameters"):
            text += f" ± {_number(statistic.standard_error, decimals)}"
        if len(statistic.seeds) < len(row.seeds):
            text += f" (n={len(statistic.seeds)})"
        column.append(f"**{text}**" if bold else text)
    return column


def _decimals(statistics: Sequence[Statistic]) -> int:
    """Return how many decimals a column deserves.

    Four significant digits of its largest mean (where 1.0000 counts as 0.9999 does), and no more than two significant
    digits of its smallest standard error.
    """
    largest = max(abs(statistic.mean) for statistic in statistics)
    decimals = 3 - _exponent(largest) + (1 <= largest < 10) if largest else 4
    errors = [statistic.standard_error for statistic in statistics if statistic.standard_error]
    if errors:
        decimals = min(decimals, 1 - _exponent(min(errors)))
    return min(max(decimals, 0), 12)


def _exponent(value: float) -> int:
    return math.floor(math.log10(value))


def _number(value: float, decimals: int) -> str:
    return f"{value:z,.{decimals}f}"


def _escape(text: str) -> str:
    """Return a text that Markdown shows as it is. Underscores inside words are harmless and stay readable."""
    return re.sub(r"[\\`*|<>\[\]&~]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", text)


def _csv(found: Sequence[Table]) -> str:
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(
        ["task", "protocol_version", "method", "model", "config_hash"]
        + ["metric", "higher_is_better", "num_seeds", "mean", "standard_error"]
    )
    for table in found:
        for row in table.rows:
            for metric in table.metrics:
                if statistic := row.statistic(metric):
                    writer.writerow(
                        [table.task, table.protocol_version, row.method, row.model, row.config_hash]
                        + [metric, higher_is_better(metric), len(statistic.seeds)]
                        + [statistic.mean, statistic.standard_error]
                    )
    return output.getvalue()


def _json(found: Sequence[Table]) -> str:
    content = [
        {
            "task": table.task,
            "protocol_version": table.protocol_version,
            "higher_is_better": {metric: higher_is_better(metric) for metric in table.metrics},
            "rows": [
                {
                    "method": row.method,
                    "model": row.model,
                    "config_hash": row.config_hash,
                    "seeds": row.seeds,
                    "metrics": {
                        metric: {
                            "mean": statistic.mean,
                            "standard_error": statistic.standard_error,
                            "seeds": statistic.seeds,
                            "values": statistic.values,
                        }
                        for metric in table.metrics
                        if (statistic := row.statistic(metric))
                    },
                }
                for row in table.rows
            ],
        }
        for table in found
    ]
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


_RENDERERS = {"markdown": _markdown, "csv": _csv, "json": _json}
