"""Writing tables out: Markdown, LaTeX and plain text for readers, CSV and JSON with every number for programs."""

import csv
import dataclasses
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from uncertainty_suite import configuration
from uncertainty_suite.errors import unknown_name
from uncertainty_suite.leaderboard import statistics
from uncertainty_suite.leaderboard.analysis import Analysis, Estimate, Power
from uncertainty_suite.leaderboard.fields import printable
from uncertainty_suite.leaderboard.records import Record
from uncertainty_suite.leaderboard.tables import EXACT_COSTS, Row, Statistic, Table, higher_is_better, select, tables

NOTE = "Mean ± standard error over {replicates}. ↑ higher is better, ↓ lower is better, the best in bold"
TIES_NOTE = ", with what the tests do not tell from it (5 %, Holm-corrected)"
_NUMBER = re.compile(r"[-+.\d]+(e[-+]?\d+)?")
_MOST_OPTIONS = 2  # that tell rows apart in columns of their own

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
    """Return one table as Markdown, without heading or note, and below it the table of its power if it has tests."""
    found = power_columns(analysis, analysis.table.metrics)
    return _markdown_of(_columns(analysis)) + ("\n" + _markdown_of(found) if found else "")


def _markdown_of(found: Sequence[_Column]) -> str:
    columns = []
    for column in found:
        cells = [(escape_markdown(text), bold) for text, bold in column.cells]
        columns.append([escape_markdown(column.header), *(f"**{text}**" if bold else text for text, bold in cells)])
    names = sum(column.is_name for column in found)
    widths = [max(2, *map(len, column)) for column in columns]  # room for the dash and the colon of a rule
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
    rows = [row for analysis in analyses for row in analysis.table.rows]
    text = NOTE.format(replicates=replicates) + TIES_NOTE * tested + "."
    if any(tuned(row) for row in rows):
        text += " Tuned: on the validation split, with the number of values tried."
    if not all(row.trained_here for row in rows):
        text += " † Scored from predictions; not trained here."
    if any(map(_has_equivalents, analyses)):
        text += " Ensemble equivalent: how many networks in a plain ensemble reach the same calibrated loss."
    text += "\n"
    if any(analysis.power(metric) for analysis in analyses for metric in analysis.table.metrics):
        text += f"\n{about_power(replicates)}\n"
    return text


def about_power(replicates: str) -> str:
    """Return the sentences that explain a table of power, over seeds or folds."""
    return (
        f"Detectable: the smallest difference between the two rows that a test over these {replicates} and examples "
        "(two-sided, 5 %, one comparison) finds with 80 % power; of any two: the same for any pair of rows (root mean "
        f"square). {replicates.capitalize()} needed: of each row, to find the difference seen on these examples. Best "
        f"stays, order stays: in how many of the rankings with one of the {replicates} left out; τ: Kendall's "
        f"correlation of these with the whole ranking, their mean. With two or three {replicates} all of this is rough."
    )


def number(value: float, decimals: int) -> str:
    """Return a number with thousands separated, without the sign of a zero; counts from 10^8 with four digits."""
    return f"{value:.3e}" if decimals == 0 and abs(value) >= 1e8 else f"{value:z,.{decimals}f}"


def decimals(metric: str, statistics: Sequence[Statistic]) -> int:
    """Return how many decimals a column deserves.

    Four significant digits of its largest mean (where 1.0000 counts as 0.9999 does) leaving out those that are more
    than a hundred times the median, and no more than two significant digits of its smallest standard error.
    """
    if metric in EXACT_COSTS or not statistics:
        return 0
    means = [abs(statistic.mean) for statistic in statistics]
    largest = max(mean for mean in means if mean <= 100 * np.median(means))
    count = 3 - _exponent(largest) + (1 <= largest < 10) if largest else 4
    errors = [statistic.standard_error for statistic in statistics if statistic.standard_error]
    if errors:
        count = min(count, 1 - _exponent(min(errors)))
    return min(max(count, 0), 12)


def labels(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Return what names each row: its method, and the model and settings of training in which rows of a table differ.

    Rows that are still alike are told apart by the few options in which they differ and that no search chose, such as a
    width or a number of members, or else by the number of trials of their search, or else by the hash of their
    configuration.
    """
    names = [{"method": row.method} for row in rows]
    for setting in rows[0].settings:
        values = [row.settings[setting] for row in rows]
        if len(set(values)) > 1:
            names = [{**name, setting: value} for name, value in zip(names, values)]
    for field, values in _told_apart_by(rows, names).items():
        names = [{**name, field: value} for name, value in zip(names, values)]
    if len({tuple(name.values()) for name in names}) < len(rows) and len({row.trials for row in rows}) > 1:
        names = [{**name, "trials": str(row.trials)} for name, row in zip(names, rows)]
    if len({tuple(name.values()) for name in names}) < len(rows):
        hashes = {row.config_hash for row in rows}
        longest = max(map(len, hashes))
        length = next((n for n in range(6, longest) if len({name[:n] for name in hashes}) == len(hashes)), longest)
        names = [{**name, "config": row.config_hash[:length]} for name, row in zip(names, rows)]
    return names


def title(name: Mapping[str, str]) -> str:
    """Return one of `labels` in a line: numbers with what they are, `sngp · float32 · epochs 30`."""
    return " · ".join(f"{key} {value}" if _NUMBER.fullmatch(value) else value for key, value in name.items())


def _told_apart_by(rows: Sequence[Row], names: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Return the values of the options in which rows of one name differ, if they are few; not of those searched."""
    flat = [configuration.flatten(dict(row.records[0].config)) for row in rows]
    differing = {
        field
        for i, one in enumerate(flat)
        for k, other in enumerate(flat[:i])
        if names[i] == names[k]
        for field in (one.keys() | other.keys()) - rows[i].searched - rows[k].searched
        if one.get(field) != other.get(field) and field not in ("seed", "dataset.fold")
    }
    if len(differing) > _MOST_OPTIONS:
        return {}
    return {field.rpartition(".")[2]: [str(one.get(field, "—")) for one in flat] for field in sorted(differing)}


def count(table: Table, row: Row) -> str:
    """Return how many seeds a row has; or how many folds, and how many runs where these are more."""
    if table.replicates == "seeds":
        return str(len(row.seeds))
    runs = f" ({len(row.records)} runs)" if len(row.records) > len(row.folds) else ""
    return f"{len(row.folds)}{runs}"


def power_columns(analysis: Analysis, metrics: Iterable[str]) -> list[_Column]:
    """Return what the tests of some metrics could have found, a row a metric; no columns where there are no tests."""
    found = {metric: power for metric in metrics if (power := analysis.power(metric))}
    if not found:
        return []
    replicates = analysis.table.replicates
    stable = {metric: power.stability for metric, power in found.items()}

    def column(header: str, cells: Iterable[str], is_name: bool = False) -> _Column:
        return _Column(header, [(cell, False) for cell in cells], is_name)

    return [
        column("metric", (metric + _ARROWS[higher_is_better(metric)] for metric in found), True),
        column("tested over", (_tested_over(power, replicates) for power in found.values()), True),
        column("difference", (_seen(analysis, power) for power in found.values()), True),
        column("seen", (significant(power.difference, "+") for power in found.values())),
        column("detectable", (significant(power.seen_detectable) for power in found.values())),
        column("of any two", (significant(power.detectable[1]) for power in found.values())),
        column(f"{replicates} needed", (needed(power.seen_needed) for power in found.values())),
        column("best stays", (f"{one.same_best} of {one.left_out}" if one else "—" for one in stable.values())),
        column("order stays", (f"{one.same_order} of {one.left_out}" if one else "—" for one in stable.values())),
        column("τ", (f"{one.kendall_tau:z.2f}" if one else "—" for one in stable.values())),
    ]


def needed(value: float | None) -> str:
    """Return how many seeds or folds are needed; a dash where it is unknown."""
    if value is None:
        return "—"
    return f"{value:.0f}" if math.isfinite(value) else f"> {statistics.MOST_REPLICATES:,}"


def significant(value: float | None, sign: str = "") -> str:
    """Return a number with two significant digits; a dash for None."""
    if value is None:
        return "—"
    return f"{value:{sign}z,.{max(1 - _exponent(abs(value)), 0) if value else 0}f}"


def _tested_over(power: Power, replicates: str) -> str:
    fewest, most = power.replicates
    numbers = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    text = f"{numbers} {replicates if most > 1 else replicates[:-1]}"
    return f"{text} x {power.num_examples:,} examples" if power.num_examples else text


def _seen(analysis: Analysis, power: Power) -> str:
    names = [labels(analysis.table.rows)[i] for i in power.seen]
    methods = [name["method"] for name in names]
    return " minus ".join(methods if len(set(methods)) > 1 else map(title, names))


def _columns(analysis: Analysis) -> list[_Column]:
    rows = analysis.table.rows
    names = labels(rows)
    marked = [{**name, "method": name["method"] + " †" * (not row.trained_here)} for name, row in zip(names, rows)]
    columns = [_Column(key, [(name[key], False) for name in marked], is_name=True) for key in names[0]]
    if any(tuned(row) for row in rows):
        columns.append(_Column("tuned", [(tuned(row) or "—", False) for row in rows], is_name=True))
    columns.append(_Column(analysis.table.replicates, [(count(analysis.table, row), False) for row in rows]))
    columns += [_metric_column(analysis, metric) for metric in analysis.table.metrics]
    if _has_equivalents(analysis):
        cells = [str(one or "—") for one in analysis.ensemble_equivalents]
        columns.append(_Column("ensemble equivalent", [(cell, False) for cell in cells]))
    return columns


def _has_equivalents(analysis: Analysis) -> bool:
    """Return whether a table has the column of ensemble equivalents: with the loss that they are made of."""
    table = analysis.table
    return table.inside(table.calibrated_loss) in table.metrics and any(analysis.ensemble_equivalents)


def tuned(row: Row) -> str:
    """Return what a method chose for its predictions, with the number of values tried.

    OOD scores and calibrations choose too, and alike for all methods: they are left to page and card.
    """
    return ", ".join(
        f"{field.partition('.')[2] or field} ({tried(said[0])})"
        for field, said in row.tuned.items()
        if not field.startswith(("ood_scores.", "posthoc."))
    )


def tried(said: Mapping[str, Any]) -> str:
    """Return how many values of something tuned were tried, or that it was fitted."""
    values = said.get("values")
    return str(len(values)) if isinstance(values, list) else "fitted"


def tuned_on(row: Row) -> list[list[str]]:
    """Return all that was chosen or fitted: field, values tried, criterion, split and the runs' choices."""
    return [
        [field, tried(said[0]), str(said[0].get("criterion", "—")), str(said[0].get("split", "—")), _chosen(said)]
        for field, said in row.tuned.items()
    ]


def _chosen(said: Sequence[Mapping[str, Any]]) -> str:
    """Return the choices or fitted numbers of the runs, and notes on fits, each once."""
    shown = []
    for one in said:
        fitted = one.get("fitted")
        values = list(fitted.values()) if isinstance(fitted, dict) else [one.get("chosen")]
        shown.append(" ".join(_number(value) for value in values if value is not None))
        shown.append(str(one.get("note", "")))
    return ", ".join(dict.fromkeys(filter(None, shown))) or "—"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


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
    # A count is the same for all seeds: "± 0" would say nothing.
    if statistic.standard_error is not None and (statistic.standard_error or metric not in EXACT_COSTS):
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
        blocks.append(f"{printable(analysis.table.task)}\n\n{_terminal_of(_columns(analysis))}")
        if found := power_columns(analysis, analysis.table.metrics):
            blocks.append(_terminal_of(found))
    return "\n".join([*blocks, note(analyses).replace("the best in bold", "* the best")]) if blocks else ""


def _terminal_of(found: Sequence[_Column]) -> str:
    columns = [[c.header, *(printable(text) + ("*" if bold else " ") for text, bold in c.cells)] for c in found]
    columns = [[c[0] + " " * (not f.is_name), *c[1:]] for f, c in zip(found, columns)]
    widths = [max(map(len, column)) for column in columns]
    lines = _aligned(columns, widths, sum(column.is_name for column in found))
    lines.insert(1, ["─" * width for width in widths])
    return "".join("  ".join(line).rstrip() + "\n" for line in lines)


def _latex(analyses: Sequence[Analysis]) -> str:
    blocks = []
    for analysis in analyses:
        found = power_columns(analysis, analysis.table.metrics)
        parts = [_latex_of(_columns(analysis)), *([_latex_of(found)] if found else [])]
        blocks.append(f"% {printable(analysis.table.task)}\n" + "\n".join(parts))
    notes = note(analyses).replace("\n\n", "\n").rstrip("\n").split("\n")
    return "\n".join([*blocks, "".join(f"% {line}\n" for line in notes)]) if blocks else ""


def _latex_of(columns: Sequence[_Column]) -> str:
    names = sum(column.is_name for column in columns)
    header = " & ".join(_latex_escape(column.header) for column in columns)
    lines = [
        " & ".join(rf"\textbf{{{_latex_escape(text)}}}" if bold else _latex_escape(text) for text, bold in cells)
        for cells in zip(*(column.cells for column in columns))
    ]
    body = "".join(rf"{line} \\" + "\n" for line in lines)
    return (
        rf"\begin{{tabular}}{{{'l' * names}{'r' * (len(columns) - names)}}}"
        f"\n\\toprule\n{header} \\\\\n\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n"
    )


def _exponent(value: float) -> int:
    return math.floor(math.log10(value))


def escape_markdown(text: str) -> str:
    """Return a text that Markdown shows as it is. Underscores inside words are harmless and stay readable."""
    return re.sub(r"[\\`*|<>\[\]&~$]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", printable(text))


_LATEX = {character: f"\\{character}" for character in "&%$#_{}"}
_LATEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
_LATEX |= {"±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "—": "---", "†": r"\dag{}"}
_LATEX |= {"τ": r"$\tau$", "[": "{[}", "*": "{*}"}  # the last two after a line's end would be arguments of it


def _latex_escape(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in printable(text))


def _csv(analyses: Sequence[Analysis]) -> str:
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(
        ["task", "protocol_version", "method", "model", "config_hash", "trained_here", "tuned"]
        + ["ensemble_equivalent"]
        + ["metric", "higher_is_better", "num_folds", "num_seeds", "mean", "standard_error"]
        + ["interval_low", "interval_high", "p_best", "reference", "p_reference", "tied_with_best"]
        + ["detectable_difference", "replicates_needed", "left_out", "same_order", "same_best", "kendall_tau"]
    )
    for analysis in analyses:
        table = analysis.table
        columns = {metric: analysis.estimates(metric) for metric in table.metrics}
        powers = {metric: analysis.power(metric) for metric in table.metrics}
        for i, row in enumerate(table.rows):
            for metric, estimates in columns.items():
                if estimate := estimates[i]:
                    stability = _stability(powers[metric])
                    statistic = estimate.statistic
                    writer.writerow(
                        _cell_of_sheet(value)
                        for value in [table.task, table.protocol_version, row.method, row.model, row.config_hash]
                        + [row.trained_here, tuned(row), analysis.ensemble_equivalents[i]]
                        + [metric, higher_is_better(metric), len(statistic.by_fold) if row.folds else None]
                        + [len({seed for _, seed in statistic.replicates}), statistic.mean, statistic.standard_error]
                        + [*(estimate.interval or (None, None)), estimate.p_best]
                        + [analysis.reference(i), estimate.p_reference, estimate.tied or estimate.best]
                        + [*_to_reference(powers[metric], i).values(), *stability.values()]
                    )
    return output.getvalue()


def _cell_of_sheet(value: Any) -> Any:
    """Return a cell that a spreadsheet takes for what it is: no text is a formula. Numbers stay numbers."""
    if value is None or isinstance(value, int | float):
        return value
    text = printable(str(value))
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _json(analyses: Sequence[Analysis]) -> str:
    content = []
    for analysis in analyses:
        table = analysis.table
        columns = {metric: analysis.estimates(metric) for metric in table.metrics}
        powers = {metric: analysis.power(metric) for metric in table.metrics}
        rows = [
            {
                "method": row.method,
                "model": row.model,
                "config_hash": row.config_hash,
                "trained_here": row.trained_here,
                "ensemble_equivalent": (equivalent := analysis.ensemble_equivalents[i]) and str(equivalent),
                "tuned": row.tuned,
                "reference": analysis.reference(i),
                **_replicates(table, [record.replicate for record in row.records]),
                "metrics": {
                    metric: {**_estimate(table, found), **_to_reference(powers[metric], i)}
                    for metric, estimates in columns.items()
                    if (found := estimates[i])
                },
            }
            for i, row in enumerate(table.rows)
        ]
        content.append(
            {
                "task": table.task,
                "protocol_version": table.protocol_version,
                "higher_is_better": {metric: higher_is_better(metric) for metric in table.metrics},
                "power": {metric: _power(table, power) for metric, power in powers.items() if power},
                "rows": rows,
            }
        )
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _to_reference(power: Power | None, row: int) -> dict[str, float | None]:
    """Return what a row's test against its reference could have found; nothing for more replicates than are sought."""
    return {
        "detectable_difference": power.to_reference[row] if power else None,
        "replicates_needed": _finite(power.needed[row]) if power else None,
    }


def _stability(power: Power | None) -> dict[str, float | None]:
    names = ("left_out", "same_order", "same_best", "kendall_tau")
    found = power.stability if power else None
    return {name: getattr(found, name, None) for name in names}


def _power(table: Table, power: Power) -> dict:
    return {
        f"num_{table.replicates}": power.replicates,
        "num_examples": power.num_examples,
        "detectable_differences": power.detectable,
        "rows": power.seen,
        "difference": power.difference,
        "detectable_difference": power.seen_detectable,
        "replicates_needed": _finite(power.seen_needed),
        **_stability(power),
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else value


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
