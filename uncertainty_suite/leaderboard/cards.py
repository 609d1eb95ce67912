"""Model cards (Mitchell et al. 2019, arXiv:1810.03993): a Markdown page a method and task, made from its records."""

import collections
import json
from collections.abc import Iterable
from pathlib import Path

from uncertainty_suite import configuration
from uncertainty_suite.files import open_regular
from uncertainty_suite.leaderboard.analysis import SIGNIFICANCE, Analysis, Estimate
from uncertainty_suite.leaderboard.records import Record, experiment_name
from uncertainty_suite.leaderboard.rendering import decimals, escape_markdown, number, significant, tuned_on
from uncertainty_suite.leaderboard.tables import COSTS, Row, Table, higher_is_better, select, tables
from uncertainty_suite.leaderboard.writing import is_inside
from uncertainty_suite.leaderboard.writing import write as write_text

HEADER = "<!-- Made from the records by `python -m uncertainty_suite.leaderboard cards`. -->\n"

_DETECTABLE = " Detectable: the smallest difference that this test finds with 80 % power (5 %, one comparison)."
_BIASED = 0.01  # a difference of confidence and accuracy worth a sentence
_BIASED_INTERVAL = 0.03  # and one of an interval's level and what it holds


def cards(records: Iterable[Record]) -> dict[str, str]:
    """Return the text of each card by its path, `<task>/cards/<method>.md`, with the hash where there are several."""
    result: dict[str, str] = {}
    found = tables(records)
    places = paths(found)
    for table in found:
        analysis = Analysis(table)
        result |= {path: card(analysis, row) for path, row in zip(places[table.task], table.rows)}
    return result


def paths(found: Iterable[Table]) -> dict[str, list[str]]:
    """Return by task where the card of each row of its table lies, below the folder of the records.

    The name is the method's, with the hash where a file system could take two of them for one: `a/b` and `a_b`.
    """
    rows = [(table.task, row) for table in found for row in table.rows]
    hashed = [experiment_name(task, row.method, row.config_hash).split("/") for task, row in rows]
    short = [f"{folder}/cards/{stem.rpartition('-')[0]}" for folder, stem in hashed]
    taken = collections.Counter(name.casefold() for name in short)
    taken.update(f"{folder}/cards/{stem}".casefold() for folder, stem in hashed)
    result: dict[str, list[str]] = {}
    for (task, row), (folder, stem), name in zip(rows, hashed, short):
        with_hash = f"{folder}/cards/{stem}"
        whole = f"{name}-{row.config_hash}"
        unique = next((each for each in (name, with_hash) if taken[each.casefold()] == 1), whole)
        result.setdefault(task, []).append(f"{unique}.md")
    return result


def card(analysis: Analysis, row: Row) -> str:
    """Return the card of one row of a table."""
    (headline,) = select([analysis.table], None, headline=True)
    blocks = [
        f"{HEADER}\n# {escape_markdown(row.method)} on {escape_markdown(analysis.table.task)}\n",
        _facts(analysis, row),
        f"## Results\n\n{_results(analysis, row, headline.metrics)}",
        _findings(analysis, row),
        f"## Make it again\n\n{_code(_commands(row))}",
        f"## Configuration\n\n{_code(_configuration(row))}",
    ]
    return "\n".join(block for block in blocks if block)


def write(records: Iterable[Record], folder: str | Path) -> list[Path]:
    """Write all cards below a folder, remove those of no record, and return the paths written."""
    written = []
    for name, text in cards(records).items():
        path = Path(folder) / name
        write_text(path, text, Path(folder))
        written.append(path)
    for path in stale(folder, written):
        path.unlink()
    return written


def stale(folder: str | Path, current: Iterable[Path]) -> list[Path]:
    """Return the cards below a folder that were made earlier and are none of the current ones."""
    current = set(current)
    return [
        path for path in sorted(Path(folder).glob("*/cards/*.md")) if path not in current and _is_made(path, folder)
    ]


def _is_made(path: Path, folder: str | Path) -> bool:
    """Return whether a file was made here earlier, and so may be removed."""
    try:
        with open_regular(path, folder) as file:
            return is_inside(path, Path(folder)) and file.read(len(HEADER)) == HEADER.encode()
    except (OSError, ValueError):
        return False


def _facts(analysis: Analysis, row: Row) -> str:
    equivalent = analysis.ensemble_equivalents[analysis.table.rows.index(row)]
    record = row.records[0]
    hardware = record.provenance.get("hardware", {})
    seconds = row.statistic("train_seconds")
    parameters = row.statistic("num_parameters")
    flops, of_prediction = row.statistic("train_flops"), row.statistic("prediction_flops_per_example")
    facts = {
        "architecture": row.model + (f", {number(parameters.mean, 0)} parameters" if parameters else ""),
        "folds": ", ".join(map(str, row.folds)),
        "seeds": ", ".join(map(str, row.seeds)),
        "training": (f"{seconds.mean:.3g} s a run on " if seconds else "") + _hardware(hardware)
        if row.trained_here
        else "not trained here, scored from predictions",
        "training FLOPs": number(flops.mean, 0) if flops else "",
        "FLOPs a prediction": number(of_prediction.mean, 0) if of_prediction else "",
        "tuned": "; ".join(
            f"{field}: {tried} by {criterion} on {split}, chosen {chosen}"
            for field, tried, criterion, split, chosen in tuned_on(row)
        ),
        "global batch size": str(record.batch_size_global or ""),
        "configuration": row.config_hash,
        "ensemble equivalent": f"{equivalent} networks in a plain ensemble" if equivalent else "",
        "protocol": str(analysis.table.protocol_version),
        "finished": _span(row, "finished_at"),
        "revision": ", ".join(sorted({str(one.provenance.get("revision")) for one in row.records})),
        "versions": ", ".join(f"{name} {value}" for name, value in record.provenance.get("versions", {}).items()),
    }
    lines = "".join(f"| {name} | {escape_markdown(value)} |\n" for name, value in facts.items() if value)
    return f"| | |\n| --- | --- |\n{lines}"


def _hardware(hardware: dict) -> str:
    devices = ", ".join(map(str, hardware.get("devices", [])))
    return f"{hardware.get('cpus', '?')} cores of {hardware.get('processor', 'unknown')} ({devices})"


def _span(row: Row, key: str) -> str:
    days = sorted(str(record.provenance[key])[:10] for record in row.records if key in record.provenance)
    return " to ".join(dict.fromkeys([days[0], days[-1]])) if days else ""


def _results(analysis: Analysis, row: Row, metrics: Iterable[str]) -> str:
    index = analysis.table.rows.index(row)
    against = analysis.reference(index)
    replicates = analysis.table.replicates
    header = ["metric", "mean", f"95 % over {replicates}", "95 % over test examples"]
    header += [f"minus {escape_markdown(against)}, 95 %", "p", "detectable"] if against else []
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for metric in metrics:
        column = analysis.estimates(metric)
        estimate = column[index]
        if estimate is None:
            continue
        count = decimals(metric, [other.statistic for other in column if other])
        examples = analysis.example_intervals.get(metric, [None] * (index + 1))[index]
        arrow = {True: " ↑", False: " ↓", None: ""}[higher_is_better(metric)]
        cells = [escape_markdown(metric) + arrow, _mean(estimate, count)]
        over_seeds = None if metric in COSTS else estimate.interval
        cells += [_interval(over_seeds, count), _interval(examples, count)]
        if against:
            cells += [_difference(estimate, count), "" if estimate.p_reference is None else _p(estimate.p_reference)]
            power = analysis.power(metric)
            cells.append("" if power is None else significant(power.to_reference[index]))
        lines.append(cells)
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return (
        f"{table}\nIn bold: the best of the task, or not told from it by the tests. p is Holm-adjusted over the "
        f"methods. A dash: one {replicates[:-1]}, or no per-example scores."
        f"{_DETECTABLE if against else ''}\n"
    )


def _mean(estimate: Estimate, count: int) -> str:
    text = number(estimate.statistic.mean, count)
    return f"**{text}**" if estimate.tied or estimate.best else text


def _interval(interval: tuple[float, float] | None, count: int) -> str:
    return f"[{number(interval[0], count)}, {number(interval[1], count)}]" if interval else "—"


def _difference(estimate: Estimate, count: int) -> str:
    if estimate.difference is None:
        return ""
    return f"{estimate.difference:+z.{count}f} {_interval(estimate.difference_interval, count)}"


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def _findings(analysis: Analysis, row: Row) -> str:
    """Say in sentences what the numbers show, the unflattering first."""
    sentences = []
    table, index = analysis.table, analysis.table.rows.index(row)
    reference = analysis.reference(index)
    worse: list[str] = []
    better: list[str] = []
    for metric in table.headline:
        estimate = analysis.estimates(metric)[index]
        if estimate is None or estimate.difference is None or estimate.p_reference is None:
            continue
        if estimate.p_reference < SIGNIFICANCE:
            gained = (estimate.difference > 0) == higher_is_better(metric)
            (better if gained else worse).append(metric)
    if worse:
        sentences.append(f"Worse than {reference} in {', '.join(worse)}.")
    if better:
        sentences.append(f"Better than {reference} in {', '.join(better)}.")
    sentences += _calibration(row)
    sentences += _shift(table, row)
    for metric in table.metrics:
        place, name = table.places.of(metric)
        statistic = row.statistic(metric)
        is_auroc = place is not None and place.section == "ood" and name.rpartition("/")[2] == "auroc"
        if is_auroc and statistic and statistic.mean < 0.5:
            sentences.append(
                f"Surer on the OOD set than on its own: {metric} is {statistic.mean:.3f}, below a coin's 0.5."
            )
    if len(row.records) == 1:
        sentences.append(f"One {table.replicates[:-1]}: every test is about this one network, not about the method.")
    if not sentences:
        return ""
    return "## What to know\n\n" + "".join(f"- {escape_markdown(sentence)}\n" for sentence in sentences)


def _shift(table: Table, row: Row) -> list[str]:
    """Compare the first and the last of the headline, error and calibration, with their means over shifted splits."""
    said = []
    for name in (table.likelihood.headline[0], table.likelihood.headline[-1]):
        clean, shifted = row.statistic(table.inside(name)), row.statistic(f"shift/mean/{name}")
        if clean and shifted:
            said.append(f"{name} {shifted.mean:.3g} instead of {clean.mean:.3g}")
    return [f"On corrupted test sets: {', '.join(said)}."] if said else []


def _calibration(row: Row) -> list[str]:
    """Say whether a row is over- or underconfident on the in-distribution split, by its curves."""
    found = [record.curves for record in row.records if record.curves]
    bins = [bin for curves in found for bin in curves.get("reliability", [])]
    if total := sum(count for count, _, _ in bins):
        confidence = sum(count * mean for count, mean, _ in bins) / total
        accuracy = sum(count * right for count, _, right in bins) / total
        if abs(confidence - accuracy) > _BIASED:
            kind = "Overconfident" if confidence > accuracy else "Underconfident"
            return [f"{kind} on the test set: mean confidence {confidence:.3f}, accuracy {accuracy:.3f}."]
    quantiles = [curves["quantiles"] for curves in found if "quantiles" in curves]
    if quantiles:
        (low, *_, high) = quantiles[0]
        level = high[0] - low[0]
        share = sum(of_run[-1][1] - of_run[0][1] for of_run in quantiles) / len(quantiles)
        if abs(share - level) > _BIASED_INTERVAL:
            kind = "Overconfident" if share < level else "Underconfident"
            return [f"{kind} on the test set: central {level:.0%} intervals hold {share:.1%} of the targets."]
    return []


def _commands(row: Row) -> str:
    commands = dict.fromkeys(str(record.provenance.get("command", "unknown")) for record in row.records)
    return "\n".join(command.replace("\n", "\\n") for command in commands)


def _configuration(row: Row) -> str:
    flat = configuration.flatten(dict(row.records[0].config))
    return "\n".join(f"{name} = {json.dumps(value)}" for name, value in sorted(flat.items()) if name != "seed")


def _code(text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}\n"
