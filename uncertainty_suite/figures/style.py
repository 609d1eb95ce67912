"""What all figures share: their look, one colour a method, panels in rows, and files that are the same each time."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

from uncertainty_suite import metrics
from uncertainty_suite.errors import InputError
from uncertainty_suite.files import write_atomic
from uncertainty_suite.runs import RunFolder

# Okabe and Ito's colours, which people with any colour vision can tell apart (https://jfly.uni-koeln.de/color/);
# without yellow, which is too light for a line.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY_BLUE, PURPLE, BLACK = "#56B4E9", "#CC79A7", "#000000"
GRAY = "#999999"

_COLORS = (BLUE, ORANGE, GREEN, VERMILION, SKY_BLUE, PURPLE, BLACK)
_LINES = ("-", "--", ":", "-.")

_LOOK = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "font.size": 9,
    "grid.color": "0.9",
    "legend.edgecolor": "none",
    "legend.fancybox": False,
    "legend.framealpha": 0.8,
    "savefig.dpi": 150,
    "svg.hashsalt": "uncertainty_suite",  # ids in an SVG are random without it
}
_UPPER_CASE = {
    *("ace", "augrc", "aurc", "auroc", "crps", "ece", "gce", "mae", "mce", "msce", "nll", "rmsce", "rmse", "sce"),
    "tace",
}
_MAX_COLUMNS = 4

P = ParamSpec("P")
R = TypeVar("R")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Let a function draw in the suite's style, whatever the user's matplotlibrc says, and restore that afterwards."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.style.context(["default", _LOOK]):
            return draw(*args, **kwargs)

    return wrapper


def lines(runs: Mapping[str, RunFolder]) -> dict[str, dict[str, Any]]:
    """Return the colour and line style of each run, by label, as `Axes.plot` takes them.

    Colours go to methods in the order in which they come; further runs of a method are dashed.
    """
    methods = list(dict.fromkeys(run.method for run in runs.values()))
    looks: dict[str, dict[str, Any]] = {}
    for label, run in runs.items():
        color = _COLORS[methods.index(run.method) % len(_COLORS)]
        earlier = sum(look["color"] == color for look in looks.values())
        looks[label] = {"color": color, "linestyle": _LINES[earlier % len(_LINES)]}
    return looks


def color(place: int) -> str:
    """Return the colour of what comes at a place in a legend, from 0."""
    return _COLORS[place % len(_COLORS)]


def panels(
    count: int, width: float, height: float, heights: tuple[float, ...] = (1.0,), **kwargs: Any
) -> tuple[Figure, list[Any]]:
    """Return a figure of `count` panels in rows as equal as can be, and each panel's axes.

    Args:
        count: Number of panels.
        width: Width of a panel, in inches.
        height: Height of a panel, in inches.
        heights: A panel's axes above each other, as parts of its height; with more than one, a panel is a list.
        **kwargs: For `Figure.subplots`.
    """
    num_rows = -(-count // _MAX_COLUMNS)
    num_columns = -(-count // num_rows)
    figure = Figure(figsize=(width * num_columns, height * num_rows), layout="constrained")
    grid = figure.subplots(
        len(heights) * num_rows, num_columns, squeeze=False, height_ratios=heights * num_rows, **kwargs
    )
    stacks = [
        grid[len(heights) * row : len(heights) * (row + 1), column]
        for row in range(num_rows)
        for column in range(num_columns)
    ]
    for axis in np.ravel(stacks[count:]):
        axis.remove()
    return figure, [list(stack) if len(heights) > 1 else stack[0] for stack in stacks[:count]]


def percent(value: float, position: float = 0) -> str:
    """Return a fraction as a tick label: `2.5%`, without needless decimals."""
    del position
    return f"{100 * value:g}%"


def metric_name(name: str) -> str:
    """Return a metric's name as it is written: `ECE` for `ece`, `Debiased ECE` for `debiased_ece`; options follow."""
    name, bracket, options = name.partition("(")
    words = [word.upper() if word in _UPPER_CASE else word for word in name.split("_")]
    text = " ".join(words)
    return text[0].upper() + text[1:] + (f" ({options}" if bracket else "")


def metric_label(name: str) -> str:
    """Return a metric's name with the direction in which it is better."""
    direction = {True: " (higher is better)", False: " (lower is better)", None: ""}
    return metric_name(name) + direction[metrics.info(name).higher_is_better]


@styled
def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure to a file, in the format that the suffix names, and return its path.

    The same figure gives the same bytes: the file bears no date, and ids in it are no random ones.

    Raises:
        InputError: The suffix names no format, or the file cannot be written.
    """
    path = Path(path)
    file_type = path.suffix.removeprefix(".").lower()
    known = figure.canvas.get_supported_filetypes()
    if file_type not in known:
        raise InputError(f"Unknown figure format '{path.suffix}' of {path}. Known: {', '.join(sorted(known))}.")
    _show_names_as_they_are(figure)
    if figure.get_layout_engine() is not None:  # laid out a second time, for a second format, it would differ a little
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(file_type)
    write_atomic(path, lambda file: figure.savefig(file, format=file_type, metadata=metadata))
    return path


def _show_names_as_they_are(figure: Figure) -> None:
    """Let a name with dollars in it be no formula, which it may be a wrong one of; the numbers at ticks are some."""
    axes = [axis for each in figure.axes for axis in (each.xaxis, each.yaxis)]
    at_ticks = {id(text) for axis in axes for text in (*axis.get_ticklabels(which="both"), axis.get_offset_text())}
    for text in figure.findobj(Text):
        if id(text) not in at_ticks:
            text.set_parse_math(False)
