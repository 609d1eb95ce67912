"""The page: one HTML file that opens from disk, with all of its data, style and code inside and no network.

The three files beside this one are its text, style and code. Everything that comes from records reaches the page as
JSON in which no character can end the script element, and the code sets it as text, never as markup.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from uncertainty_suite import configuration
from uncertainty_suite.leaderboard.analysis import Analysis, Equivalent, Estimate, Power, rank
from uncertainty_suite.leaderboard.places import Place
from uncertainty_suite.leaderboard.records import Record
from uncertainty_suite.leaderboard.rendering import (
    about_power,
    count,
    decimals,
    labels,
    needed,
    power_columns,
    title,
    tuned,
    tuned_on,
)
from uncertainty_suite.leaderboard.tables import COSTS, Row, Table, higher_is_better, tables

_EQUIVALENT = "ensemble equivalent"
_DIRECTIONS = {True: 1, False: -1, None: 0}


def page(
    records: Iterable[Record], published: Sequence[dict[str, Any]] = (), abouts: Mapping[str, str] | None = None
) -> str:
    """Return the page of some records; the same records give the same text.

    Args:
        records: What `read_records` returned.
        published: Results of others that stand apart, as `published.read` returns them.
        abouts: A paragraph by task, shown above its table.
    """
    found = tables(records)
    ranked = dict.fromkeys(
        table.inside(metric) for table in found for metric in (*table.likelihood.headline, table.calibrated_loss)
    )
    rankings = [ranking for metric in ranked if (ranking := rank(found, metric))]
    data = {
        "costs": COSTS,
        "published": [entry for entry in published if entry["task"] in {table.task for table in found}],
        "tasks": [_task(table) | {"about": (abouts or {}).get(table.task, "")} for table in found],
        "rankings": [
            {
                "metric": ranking.metric,
                "tasks": ranking.tasks,
                "methods": ranking.methods,
                "ranks": [_short(value) for value in ranking.ranks],
                "critical_difference": _short(ranking.critical_difference),
                "friedman_p": _short(ranking.friedman_p),
                "groups": ranking.groups,
            }
            for ranking in rankings
        ],
    }
    text, style, code = (Path(__file__).with_name(f"page.{kind}").read_text("utf-8") for kind in ("html", "css", "js"))
    before, between, after, end = _split(text, "/* style */", "{/* data */}", "/* code */")
    return before + style + between + embed(data) + after + code + end


def embed(data: Any) -> str:
    """Return JSON that is safe inside a script element: `<`, `>`, `&` and line separators are escaped."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _split(text: str, *marks: str) -> list[str]:
    """Split a text at each mark, once and in order, so that nothing put in is searched for the next one."""
    parts = []
    for mark in marks:
        part, _, text = text.partition(mark)
        parts.append(part)
    return [*parts, text]


def _task(table: Table) -> dict[str, Any]:
    analysis = Analysis(table)
    columns = {metric: analysis.estimates(metric) for metric in table.metrics}
    names = labels(table.rows)
    powers = {metric: analysis.power(metric) for metric in table.headline}
    power = power_columns(analysis, table.headline)
    return {
        "task": table.task,
        "protocol": table.protocol_version,
        "replicates": table.replicates,
        "inside": table.in_distribution,
        "loss": table.loss,
        "metrics": [
            {
                "name": metric,
                "direction": _DIRECTIONS[higher_is_better(metric)],
                "headline": metric in table.headline or metric in COSTS,
                "decimals": decimals(metric, [estimate.statistic for estimate in estimates if estimate]),
                **_measured(*table.places.of(metric)),
            }
            for metric, estimates in columns.items()
        ]
        + [{"name": _EQUIVALENT, "direction": 1, "headline": True, "decimals": 1}] * any(analysis.ensemble_equivalents),
        "power": power
        and {
            "columns": [column.header for column in power],
            "rows": [[text for text, _ in line] for line in zip(*(column.cells for column in power))],
            "note": about_power(table.replicates),
        },
        "pareto": {
            metric: {cost: analysis.pareto(metric, cost) for cost in COSTS if cost in table.metrics}
            for metric in map(table.inside, (*table.likelihood.headline[:2], table.calibrated_loss))
            if metric in table.metrics
        },
        "rows": [
            {
                "label": title(names[i]),
                "count": count(table, row),
                "reference": analysis.reference(i),
                **_row(row),
                "values": [
                    *(_cell(analysis, metric, i, powers.get(metric)) for metric in columns),
                    *([_equivalent(found, len(row.records))] if (found := analysis.ensemble_equivalents[i]) else []),
                ],
            }
            for i, row in enumerate(table.rows)
        ],
    }


def _measured(place: Place | None, name: str) -> dict[str, Any]:
    """Return where a metric was measured and as what, so that the page takes no name to pieces."""
    if place is None:
        return {}
    if place.section != "ood":
        label = place.key
    elif place.is_mean:
        label = f"{place.key.removeprefix('ood/')}, mean over sets"
    else:
        label = place.key.removeprefix("ood/")
    found = {"section": place.section, "place": label, "metric": name}
    if not place.is_mean:
        return found
    return {**found, "mean": True, **({} if place.severity is None else {"severity": place.severity})}


def _cell(analysis: Analysis, metric: str, row: int, power: Power | None) -> dict[str, Any] | None:
    """Return what a cell shows; None where a row has no such metric.

    Intervals and tests of each corruption of each severity are left out: there may be a hundred of them, which would
    be most of the page.
    """
    estimate = analysis.estimates(metric)[row]
    if estimate is None:
        return None
    examples = analysis.example_intervals.get(metric)
    value = {**_value(estimate, examples[row] if examples else None), **_detectable(power, row)}
    place, _ = analysis.table.places.of(metric)
    if place and any(split.key == place.key and split.derived for split in place.splits):
        return {name: value[name] for name in ("mean", "runs", "error", "best", "tied") if name in value}
    return value


def _value(estimate: Estimate, examples: tuple[float, float] | None) -> dict[str, Any]:
    """Return what a cell shows; what there is none of is left out."""
    statistic = estimate.statistic
    value = {
        "mean": _short(statistic.mean),
        "runs": len(statistic.values),
        "error": _short(statistic.standard_error),
        "interval": estimate.interval and [_short(end) for end in estimate.interval],
        "examples": examples and [_short(end) for end in examples],
        "p_best": _short(estimate.p_best),
        "p_reference": _short(estimate.p_reference),
        "best": estimate.best or None,
        "tied": estimate.tied or None,
    }
    return {name: part for name, part in value.items() if part is not None}


def _detectable(power: Power | None, row: int) -> dict[str, Any]:
    """Return what the test of a row against its reference could have found."""
    if power is None or power.to_reference[row] is None:
        return {}
    return {"detectable": _short(power.to_reference[row]), "needed": needed(power.needed[row])}


def _equivalent(found: Equivalent, runs: int) -> dict[str, Any]:
    """Return the cell of the ensemble equivalent, a number to sort by and what is shown."""
    return {"mean": _short(min(found.members, found.largest + 1)), "runs": runs, "text": str(found)}


def _row(row: Row) -> dict[str, Any]:
    first = row.records[0]
    flat = configuration.flatten(dict(first.config))
    return {
        "method": row.method,
        "model": row.model,
        "hash": row.config_hash,
        "batch_size": first.batch_size_global or "unknown",
        "trained_here": row.trained_here,
        "tuned": tuned_on(row),
        "tuned_method": tuned(row),
        "config": {name: json.dumps(flat[name], ensure_ascii=False) for name in sorted(flat) if name != "seed"},
        **_runs([_run(record) for record in row.records]),
        "curves": _mean_curves([record.curves for record in row.records if record.curves]),
    }


def _run(record: Record) -> dict[str, Any]:
    provenance = record.provenance
    hardware = provenance.get("hardware", {})
    return {
        **({} if record.fold is None else {"fold": record.fold}),
        "seed": record.seed,
        "command": str(provenance.get("command", "")),
        "revision": str(provenance.get("revision", "")),
        "finished": str(provenance.get("finished_at", ""))[:10],
        "hardware": f"{hardware.get('cpus', '?')} x {hardware.get('processor', 'unknown')}",
        "versions": ", ".join(f"{name} {value}" for name, value in provenance.get("versions", {}).items()),
    }


def _runs(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what all runs have in common, and what else each of them has."""
    shared = {name: value for name, value in runs[0].items() if all(run.get(name) == value for run in runs)}
    each = [{name: value for name, value in run.items() if name not in shared} for run in runs]
    return {"all_runs": shared, "runs": each}


def _mean_curves(curves: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the curves of several runs together: bins are pooled, curves and histograms averaged."""
    if not curves:
        return None
    result: dict[str, Any] = {}
    if all("reliability" in curve for curve in curves):
        result["reliability"] = []
        for of_runs in zip(*(curve["reliability"] for curve in curves)):
            total = sum(n for n, _, _ in of_runs)
            if total:
                means = [sum(n * bin[k] for n, *bin in of_runs) / total for k in (0, 1)]
                result["reliability"].append([total, *(round(mean, 4) for mean in means)])
    if all("risk_coverage" in curve for curve in curves):
        result["risk_coverage"] = _mean([curve["risk_coverage"] for curve in curves])
    for several in ("failures", "confidence"):
        if all(several in curve for curve in curves):
            result[several] = {
                name: _mean([curve[several][name] for curve in curves if name in curve[several]])
                for name in curves[0][several]
            }
    if all("quantiles" in curve for curve in curves):
        result["quantiles"] = [_mean(of_level) for of_level in zip(*(curve["quantiles"] for curve in curves))]
    return result


def _mean(rows: Sequence[Sequence[float]]) -> list[float]:
    return [round(sum(column) / len(column), 4) for column in zip(*rows)]


def _short(value: float | None) -> float | None:
    """Return a number with six digits, which is more than a page shows."""
    return None if value is None else float(f"{value:.6g}")
