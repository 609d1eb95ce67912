"""Writing tables out: Markdown, LaTeX and plain text for readers, CSV and JSON with every number for programs."""

import csv
import dataclasses
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence

from uncertainty_suite.errors import unknown_name
from uncertainty_suite.leaderboard.analysis import Analysis, Estimate
from uncertainty_suite.leaderboard.records import Record
from uncertainty_suite.leaderboard.tables import Row, Statistic, Table, higher_is_better, select, tables

NOTE = "Mean ± standard error over {replicates}. ↑ higher is better, ↓ lower is better, the best in bold"
TIES_NOTE = ", with what the tests do not tell from it (5 %, Holm-corrected)"

_ARROWS = {True: " ↑", False: " ↓", None: ""}


@dataclasses.dataclass(frozen=True)
class _Column:
    """A column for readers, as plain text: each cell, and whether it stands out."""

    header: str
    cells: list[tuple[str, bool]]
    is_name: bool = False


def render(records: Iterable[Record], format: str = "markdown", metrics: str | Sequence[str] | None = None) -> str:
    """Render the tables of some records.

    Args:
        records: What `read_records` returned.
        format: For readers `"markdown"`, `"latex"` (needs the package booktabs) or `"terminal"`; with every number
            `"csv"` (one line a task, experiment and metric) or `"json"` (with each run's value too).
        metrics: Patterns of the metrics wanted, see `select`. By default readers are shown the headline metrics, and
            CSV and JSON hold all.

    Raises:
        InputError: The records are not comparable, a pattern matches no metric, or the format is not known.
    """
    if format not in _RENDERERS:
        raise unknown_name("format", format, _RENDERERS)
    found = select(tables(records), metrics, headline=format not in ("csv", "json"))
    return _RENDERERS[format]([Analysis(table) for table in found])


def markdown_table(analysis: Analysis) -> str:
    """Return one table as Markdown, without heading or note."""
    found = _columns(analysis)
    columns = []
    for column in found:
        cells = [(escape_markdown(text), bold) for text, bold in column.cells]
        columns.append([escape_markdown(column.header), *(f"**{text}**" if bold else text for text, bold in cells)])
    names = sum(column.is_name for column in found)
    widths = [max(map(len, column)) for column in columns]
    lines = _aligned(columns, widths, names)
    rule = ["-" * width if i < names else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    lines.insert(1, rule)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def note(analyses: Iterable[Analysis]) -> str:
    """Return the sentence that explains the tables."""
    analyses = list(analyses)
    replicates = " or ".join(sorted({analysis.table.replicates for analysis in analyses}, reverse=True))
    tested = any(
        estimate and estimate.p_best is not None
        for analysis in analyses
        for metric in analysis.table.metrics
        for estimate in analysis.estimates(metric)
    )
    return NOTE.format(replicates=replicates) + TIES_NOTE * tested + ".\n"


def number(value: float, decimals: int) -> str:
    """Return a number with thousands separated, and without the sign of a zero."""
    return f"{value:z,.{decimals}f}"


def decimals(metric: str, statistics: Sequence[Statistic]) -> int:
    """Return how many decimals a column deserves.

    Four significant digits of its largest mean (where 1.0000 counts as 0.9999 does), and no more than two significant
    digits of its smallest standard error.
    """
    if metric == "num_parameters" or not statistics:
        return 0
    largest = max(abs(statistic.mean) for statistic in statistics)
    count = 3 - _exponent(largest) + (1 <= largest < 10) if largest else 4
    errors = [statistic.standard_error for statistic in statistics if statistic.standard_error]
    if errors:
        count = min(count, 1 - _exponent(min(errors)))
    return min(max(count, 0), 12)


def labels(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Return what names each row: its method, and the model and settings of training in which rows of a table differ.

    Rows that are still alike are told apart by the hash of their configuration.
    """
    names = [{"method": row.method} for row in rows]
    for setting in rows[0].settings:
        values = [row.settings[setting] for row in rows]
        if len(set(values)) > 1:
            names = [{**name, setting: value} for name, value in zip(names, values)]
    if len({tuple(name.values()) for name in names}) < len(rows):
        hashes = {row.config_hash for row in rows}
        longest = max(map(len, hashes))
        length = next((n for n in range(6, longest) if len({name[:n] for name in hashes}) == len(hashes)), longest)
        names = [{**name, "config": row.config_hash[:length]} for name, row in zip(names, rows)]
    return names


def count(table: Table, row: Row) -> str:
    """Return how many seeds a row has; or how many folds, and how many runs where these are more."""
    if table.replicates == "seeds":
        return str(len(row.seeds))
    runs = f" ({len(row.records)} runs)" if len(row.records) > len(row.folds) else ""
    return f"{len(row.folds)}{runs}"


def _columns(analysis: Analysis) -> list[_Column]:
    rows = analysis.table.rows
    names = labels(rows)
    columns = [_Column(key, [(name[key], False) for name in names], is_name=True) for key in names[0]]
    columns.append(_Column(analysis.table.replicates, [(count(analysis.table, row), False) for row in rows]))
    return columns + [_metric_column(analysis, metric) for metric in analysis.table.metrics]


def _metric_column(analysis: Analysis, metric: str) -> _Column:
    """Return the column of one metric, with the best and its ties standing out.

    All cells of a column have the same number of decimals, so that what looks equal is equal: it stands out together.
    """
    estimates = analysis.estimates(metric)
    count = decimals(metric, [estimate.statistic for estimate in estimates if estimate])
    best = next((number(estimate.statistic.mean, count) for estimate in estimates if estimate and estimate.best), None)
    cells = [
        _cell(metric, row, estimate, count, best) if estimate else ("—", False)
        for row, estimate in zip(analysis.table.rows, estimates)
    ]
    return _Column(metric + _ARROWS[higher_is_better(metric)], cells)


def _cell(metric: str, row: Row, estimate: Estimate, count: int, best: str | None) -> tuple[str, bool]:
    statistic = estimate.statistic
    text = number(statistic.mean, count)
    stands_out = estimate.tied or text == best
    # A parameter count is the same for all seeds: "± 0" would say nothing.
    if statistic.standard_error is not None and (statistic.standard_error or metric != "num_parameters"):
        text += f" ± {number(statistic.standard_error, count)}"
    if len(statistic.values) < len(row.records):
        text += f" (n={len(statistic.values)})"
    return text, stands_out


def _aligned(columns: Sequence[Sequence[str]], widths: Sequence[int], names: int) -> list[list[str]]:
    """Return the lines of some columns, the first `names` aligned to the left."""
    return [
        [cell.ljust(width) if i < names else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths))]
        for line in zip(*columns)
    ]


def _markdown(analyses: Sequence[Analysis]) -> str:
    blocks = [f"### {escape_markdown(analysis.table.task)}\n\n{markdown_table(analysis)}" for analysis in analyses]
    return "\n".join([*blocks, note(analyses)]) if blocks else ""


def _terminal(analyses: Sequence[Analysis]) -> str:
    blocks = []
    for analysis in analyses:
        found = _columns(analysis)
        columns = [[c.header, *(text + ("*" if bold else " ") for text, bold in c.cells)] for c in found]
        columns = [[c[0] + " " * (not f.is_name), *c[1:]] for f, c in zip(found, columns)]
        widths = [max(map(len, column)) for column in columns]
        lines = _aligned(columns, widths, sum(column.is_name for column in found))
        lines.insert(1, ["─" * width for width in widths])
        text = "".join("  ".join(line).rstrip() + "\n" for line in lines)
        blocks.append(f"{analysis.table.task}\n\n{text}")
    return "\n".join([*blocks, note(analyses).replace("the best in bold", "* the best")]) if blocks else ""


def _latex(analyses: Sequence[Analysis]) -> str:
    blocks = []
    for analysis in analyses:
        columns = _columns(analysis)
        names = sum(column.is_name for column in columns)
        header = " & ".join(_latex_escape(column.header) for column in columns)
        lines = [
            " & ".join(
                rf"\textbf{{{_latex_escape(text)}}}" if bold else _latex_escape(text)
                for text, bold in (column.cells[i] for column in columns)
            )
            for i in range(len(analysis.table.rows))
        ]
        body = "".join(rf"{line} \\" + "\n" for line in lines)
        blocks.append(
            f"% {analysis.table.task}\n"
            rf"\begin{{tabular}}{{{'l' * names}{'r' * (len(columns) - names)}}}"
            f"\n\\toprule\n{header} \\\\\n\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n"
        )
    return "\n".join([*blocks, "% " + note(analyses)]) if blocks else ""


def _exponent(value: float) -> int:
    return math.floor(math.log10(value))


def escape_markdown(text: str) -> str:
    """Return a text that Markdown shows as it is. Underscores inside words are harmless and stay readable."""
    return re.sub(r"[\\`*|<>\[\]&~]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", text)


_LATEX = {character: f"\\{character}" for character in "&%$#_{}"}
_LATEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
_LATEX |= {"±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "—": "---"}


def _latex_escape(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _csv(analyses: Sequence[Analysis]) -> str:
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(
        ["task", "protocol_version", "method", "model", "config_hash"]
        + ["metric", "higher_is_better", "num_folds", "num_seeds", "mean", "standard_error"]
        + ["interval_low", "interval_high", "p_best", "reference", "p_reference", "tied_with_best"]
    )
    for analysis in analyses:
        table = analysis.table
        columns = {metric: analysis.estimates(metric) for metric in table.metrics}
        for i, row in enumerate(table.rows):
            for metric, estimates in columns.items():
                if estimate := estimates[i]:
                    statistic = estimate.statistic
                    writer.writerow(
                        [table.task, table.protocol_version, row.method, row.model, row.config_hash]
                        + [metric, higher_is_better(metric), len(statistic.by_fold) if row.folds else None]
                        + [len({seed for _, seed in statistic.replicates}), statistic.mean, statistic.standard_error]
                        + [*(estimate.interval or (None, None)), estimate.p_best]
                        + [analysis.reference(i), estimate.p_reference, estimate.tied or estimate.best]
                    )
    return output.getvalue()


def _json(analyses: Sequence[Analysis]) -> str:
    content = []
    for analysis in analyses:
        table = analysis.table
        columns = {metric: analysis.estimates(metric) for metric in table.metrics}
        rows = [
            {
                "method": row.method,
                "model": row.model,
                "config_hash": row.config_hash,
                "reference": analysis.reference(i),
                **_replicates(table, [record.replicate for record in row.records]),
                "metrics": {
                    metric: _estimate(table, found) for metric, estimates in columns.items() if (found := estimates[i])
                },
            }
            for i, row in enumerate(table.rows)
        ]
        content.append(
            {
                "task": table.task,
                "protocol_version": table.protocol_version,
                "higher_is_better": {metric: higher_is_better(metric) for metric in table.metrics},
                "rows": rows,
            }
        )
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _replicates(table: Table, replicates: Iterable[tuple[int, int]]) -> dict[str, list[int]]:
    """Return the fold, where there are folds, and the seed of each run."""
    folds, seeds = zip(*replicates)
    return {**({"folds": list(folds)} if table.replicates == "folds" else {}), "seeds": list(seeds)}


def _estimate(table: Table, estimate: Estimate) -> dict:
    statistic = estimate.statistic
    return {
        "mean": statistic.mean,
        "standard_error": statistic.standard_error,
        "interval": estimate.interval,
        "p_best": estimate.p_best,
        "p_reference": estimate.p_reference,
        "tied_with_best": estimate.tied or estimate.best,
        **_replicates(table, statistic.replicates),
        "values": statistic.values,
    }


_RENDERERS: dict[str, Callable[[Sequence[Analysis]], str]] = {
    "markdown": _markdown,
    "terminal": _terminal,
    "latex": _latex,
    "csv": _csv,
    "json": _json,
}
FORMATS = tuple(_RENDERERS)
