"""Sides that take turns, and the table, record and figure of what came of it.

    python benchmarks/comparison.py

prints the table of the files in `benchmarks/results`.
"""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

# The value of a row, made from the medians of ours and theirs, by its unit; and on which side of the target it must be.
UNITS = {
    "x faster": (lambda ours, theirs: theirs / ours, ">="),
    "x its time": (lambda ours, theirs: ours / theirs, "<="),
    "s beyond it": (lambda ours, theirs: ours - theirs, "<="),
    "s": (lambda ours, theirs: ours, "<="),
}
HEADER = f"{'what':<53} {'ours ms':>8} {'theirs ms':>9} {'spread':>6} {'value':>18} {'target':>7} {'of peak':>7}"


def compare(sides: dict[str, Callable[[], Any]], repeats: int, warm_up: bool = True) -> dict[str, np.ndarray]:
    """Return the seconds of each side `[repeats]`, taken in turn after a warm-up."""
    seconds = {name: [] for name in sides}
    for repeat in range(repeats + warm_up):
        for name, side in sides.items():
            started_at = time.perf_counter()
            side()
            if repeat >= warm_up:
                seconds[name].append(time.perf_counter() - started_at)
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
        share_of_peak: Operations a second that ours takes, as a share of the machine's peak; for training.
    """

    what: str
    against: str
    ours: np.ndarray
    theirs: np.ndarray | None
    unit: str
    target: float | None = None
    share_of_peak: float | None = None

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
            "share_of_peak": self.share_of_peak,
        }


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the summarized rows of all groups in a folder of results."""
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return [row for record in records for row in record.get("rows", [])]


def format_line(row: dict[str, Any]) -> str:
    """Return a summarized row's line of the table."""
    theirs = "" if row["theirs"] is None else f"{1000 * row['theirs']:.1f}"
    share = "" if row["share_of_peak"] is None else f"{row['share_of_peak']:.1%}"
    return (
        f"{row['what']:<53} {1000 * row['ours']:8.1f} {theirs:>9} {row['spread']:6.0%} {row['value']:6.2f} "
        f"{row['unit']:<11} {_wanted(row):>7} {share:>7} {'' if row['met'] else 'MISSED':<6} against {row['against']}"
    )


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


if __name__ == "__main__":
    print("\n".join([HEADER, *map(format_line, read_rows(Path(__file__).parent / "results"))]))
