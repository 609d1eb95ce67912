"""Sides that take turns, and the table, record and figure of what came of it.

    python benchmarks/comparison.py
    python benchmarks/comparison.py docs/speed.md

prints the tables of the records in `benchmarks/results/speed`, one for each kind of processor; with a page, writes them
there, between the lines `<!-- tables -->` and `<!-- end of tables -->`.
"""

import argparse
import dataclasses
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from uncertainty_suite.files import read_json, write_atomic, write_json

RESULTS = Path(__file__).parent / "results/speed"
MARKS = "<!-- tables -->\n", "<!-- end of tables -->\n"  # of a page
WIDEST = ("amx_tile", "avx512f", "avx2", "sve", "asimd")  # instructions, of which a processor is called by the first

# The value of a row, made from the medians of ours and theirs, by its unit; and on which side of the target it must be.
UNITS = {
    "x faster": (lambda ours, theirs: theirs / ours, ">="),
    "x its time": (lambda ours, theirs: ours / theirs, "<="),
    "s beyond it": (lambda ours, theirs: ours - theirs, "<="),
    "s": (lambda ours, theirs: ours, "<="),
}
HEADER = f"{'what':<53} {'ours ms':>8} {'theirs ms':>9} {'spread':>6} {'value':>18} {'target':>7} {'x floor':>7}"


def compare(
    sides: dict[str, Callable[[], Any]],
    repeats: int,
    warm_up: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, np.ndarray]:
    """Return the seconds of each side `[repeats]`, taken in turn after a warm-up."""
    seconds = {name: [] for name in sides}
    for repeat in range(repeats + warm_up):
        for name, side in sides.items():
            started_at = clock()
            side()
            if repeat >= warm_up:
                seconds[name].append(clock() - started_at)
    return {name: np.array(values) for name, values in seconds.items()}


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        what: What is done.
        against: Who else does it.
        ours: Our seconds `[repeats]`.
        theirs: Theirs, or None where the target is a time.
        unit: Of the value, one of `UNITS`.
        target: What the value must reach; None for a row that is only for information.
        floor: The seconds that ours takes at least on this machine, or None where nobody knows; see `limits.py`.
        beside: What ours does beside what theirs does, where that was looked at: operations with the share that each
            has in the time of all.
    """

    what: str
    against: str
    ours: np.ndarray
    theirs: np.ndarray | None
    unit: str
    target: float | None = None
    floor: float | None = None
    beside: dict[str, float] | None = None

    def summarize(self) -> dict[str, Any]:
        """Return medians, spread, value and whether it reaches the target (`met`), as plain values."""
        sides = {"ours": self.ours, "theirs": self.theirs}
        medians = {side: None if values is None else float(np.median(values)) for side, values in sides.items()}
        quartiles = {side: np.quantile(values, (0.25, 0.75)) for side, values in sides.items() if values is not None}
        calculate, relation = UNITS[self.unit]
        value = calculate(**medians)
        met = self.target is None or (value >= self.target if relation == ">=" else value <= self.target)
        return {
            **medians,
            "what": self.what,
            "against": self.against,
            "unit": self.unit,
            "value": value,
            "target": self.target,
            "met": met,
            "spread": max(float((high - low) / 2 / medians[side]) for side, (low, high) in quartiles.items()),
            "repeats": len(self.ours),
            "floor": self.floor,
            "beside": self.beside,
        }


def kind_of(hardware: dict[str, Any]) -> str:
    """Return what a kind of processor is called, for a file: its name, its widest instructions and how many cores."""
    words = re.findall("[a-z0-9]+", re.sub(r"\((r|tm)\)", "", hardware["processor"].lower()))
    return "_".join([*words, *_widest(hardware), f"{hardware['cpus']}_cores"])


def _widest(hardware: dict[str, Any]) -> list[str]:
    """Return the widest instructions of a processor, or nothing if none are known."""
    return [each for each in WIDEST if each in (hardware.get("instructions") or ())][:1]


def write_group(path: Path, group: str, made_with: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Put the summarized rows of a group, with what they were made with, into a record, in place of older ones."""
    record = read_json(path) if path.exists() else {}
    write_json(path, record | {group: {**made_with, "rows": rows}})


def draw_record(path: Path) -> None:
    """Write the figure of a record's rows beside it."""
    figure = draw(rows_of(read_json(path)))
    write_atomic(path.with_suffix(".png"), lambda file: figure.savefig(file, format="png"))


def rows_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the summarized rows of all groups of a record."""
    return [row for group in sorted(record) for row in record[group]["rows"]]


def format_tables(folder: Path = RESULTS) -> str:
    """Return a section of a page for each record of a folder, that is, for each kind of processor."""
    sections = []
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text())
        hardware = next(iter(record.values()))["hardware"]
        made = {}
        for group in sorted(record):
            one = record[group]
            made.setdefault((one["started_at"][:10], one["revision"][:7], format_machine(one)), []).append(f"`{group}`")
        lines = [
            f"- {', '.join(groups)}: {date}, revision {revision}{limits}."
            for (date, revision, limits), groups in made.items()
        ]
        table = [HEADER, *map(format_line, rows_of(record))]
        sections.append(
            "\n".join(
                [
                    f"### {', '.join([hardware['processor'], *_widest(hardware), str(hardware['cpus'])])} cores\n",
                    f"[{path.name}](../benchmarks/results/speed/{path.name}):\n",
                    *[*lines, ""],
                    *["```", *table, "```\n"],
                    "![How far each of these rows is from its target]"
                    f"(../benchmarks/results/speed/{path.with_suffix('.png').name})\n",
                ]
            )
        )
    return "\n".join(sections)


def format_machine(group: dict[str, Any]) -> str:
    """Return in words what a machine was seen to do at most, or how busy it was before, where a group has that."""
    if "load" in group:
        return f"; load average {group['load']:.1f} before"
    if "limits" not in group:
        return ""
    limits = group["limits"]
    rates = [f"{rate / 1e9:.0f} GFLOP/s in {precision}" for precision, rate in limits["flops"].items()]
    rates += [f"{rate / 1e9:.1f} GB/s {where}" for where, rate in limits["moved"].items()]
    return f"; at most {', '.join(rates)}, {limits['drawn'] / 1e9:.2f} GB/s of random numbers"


def format_line(row: dict[str, Any]) -> str:
    """Return a summarized row's line of the table."""
    theirs = "" if row["theirs"] is None else f"{1000 * row['theirs']:.1f}"
    floor = "" if row["floor"] is None else f"{row['ours'] / row['floor']:.2f}"
    against = f"against {row['against']}"
    if not row["met"] and row.get("beside"):
        against += f": {format_shares(row['beside'])}"
    return (
        f"{row['what']:<53} {1000 * row['ours']:8.1f} {theirs:>9} {row['spread']:6.0%} {row['value']:6.2f} "
        f"{row['unit']:<11} {_wanted(row):>7} {floor:>7} {'' if row['met'] else 'MISSED':<6} {against}"
    )


def format_shares(shares: dict[str, float]) -> str:
    """Return operations with their shares in words, the largest first; a record has them by name."""
    largest_first = sorted(shares.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{operation} {share:.0%}" for operation, share in largest_first)


def draw(rows: list[dict[str, Any]]) -> Figure:
    """Draw how far each summarized row is from its target, on a logarithmic axis."""
    rows = [row for row in reversed(rows) if row["target"] is not None]
    margins = [
        row["value"] / row["target"] if UNITS[row["unit"]][1] == ">=" else row["target"] / row["value"] for row in rows
    ]
    figure = Figure(figsize=(9, 1 + 0.25 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    colors = ["tab:blue" if row["met"] else "tab:red" for row in rows]
    axes.barh(range(len(rows)), np.array(margins) - 1, left=1, color=colors)
    labels = [f"{row['what']}: {row['value']:.2f} {row['unit']} ({_wanted(row)})" for row in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda margin, _: f"{margin:g}")
    axes.set_xlabel("times better than the target (blue), or worse (red)")
    axes.axvline(1, color="black", linewidth=1)
    return figure


def _wanted(row: dict[str, Any]) -> str:
    return "" if row["target"] is None else f"{UNITS[row['unit']][1]} {row['target']:g}"


def main() -> None:
    """Print the tables, or write them into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", nargs="?", type=Path, help="a page that has the two lines")
    page = parser.parse_args().page
    if page is None:
        print(format_tables())
        return
    text = page.read_text()
    if not all(text.count(mark) == 1 for mark in MARKS):
        parser.error(f"{page} must have the lines {' and '.join(mark.strip() for mark in MARKS)} once each.")
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    changed = "".join([before, MARKS[0], "\n", format_tables(), "\n", MARKS[1], after])
    write_atomic(page, lambda file: file.write(changed.encode()))


if __name__ == "__main__":
    main()
