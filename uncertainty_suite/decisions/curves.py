"""Curves of decisions: a value at each budget, for each way to decide and each seed; their record, table and figure.

A record is one JSON file: what was run, and every curve. Tables and figures are made of it alone:

    python -m uncertainty_suite.decisions benchmarks/results/decisions/*.json
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.files import read_json, write_json
from uncertainty_suite.leaderboard import fields
from uncertainty_suite.leaderboard.rendering import escape_markdown
from uncertainty_suite.leaderboard.statistics import t_interval

Curves = Mapping[str, Mapping[str, Sequence[float]]]  # by way to decide, then by seed: a value at each budget


@dataclasses.dataclass(frozen=True)
class Record:
    """What a script of decisions has seen.

    Attributes:
        decision: The script's name.
        title: The task and the method, for people.
        budget: What is spent: `labels`, `decisions`, `evaluations` or `deferred`.
        budgets: How much of it has been spent at each point of the curves.
        references: The ways to decide that all others are compared with, the first one in figures.
        curves: By metric.
        higher_is_better: Of each metric.
        made_by: Settings, configuration and provenance.
    """

    decision: str
    title: str
    budget: str
    budgets: tuple[float, ...]
    references: tuple[str, ...]
    curves: Mapping[str, Curves]
    higher_is_better: Mapping[str, bool]
    made_by: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.curves:
            raise InputError("There are no curves.")
        for metric, curves in self.curves.items():
            if metric not in self.higher_is_better:
                raise InputError(f"Nothing says whether a higher {metric} is better.")
            for reference in self.references:
                if reference not in curves:
                    raise unknown_name(f"way to decide in {metric}", reference, curves)
                for way, by_seed in curves.items():
                    if not by_seed.keys() & curves[reference].keys():
                        raise InputError(f"The curves {metric} of {way} and {reference} have no seed in common.")
            for way, by_seed in curves.items():
                for seed, values in by_seed.items():
                    if len(values) != len(self.budgets):
                        raise InputError(
                            f"The curve {metric} of {way}, seed {seed}, has {len(values)} values, and there are "
                            f"{len(self.budgets)} budgets."
                        )

    def ways(self, metric: str, reference: str) -> list[str]:
        """Return the ways to decide that have curves of a metric, the reference first."""
        return [reference, *(way for way in self.curves[metric] if way != reference)]

    def values(self, metric: str, way: str) -> np.ndarray:
        """Return the values of a way to decide, `[seeds, budgets]`."""
        return np.array([values for _, values in sorted(self.curves[metric][way].items())], float)

    def differences(self, metric: str, way: str, reference: str) -> np.ndarray:
        """Return what a way to decide has more than a reference, `[seeds, budgets]`, of the seeds that both have.

        A seed decides the same for both: initial weights, what is known at first, what there is to choose from.
        """
        ours, theirs = self.curves[metric][way], self.curves[metric][reference]
        return np.array([np.subtract(ours[seed], theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())], float)

    def write(self, path: Path) -> None:
        """Write the record."""
        write_json(path, dataclasses.asdict(self))


def read(path: Path) -> Record:
    """Return the record in a file.

    Raises:
        InputError: It cannot be read, or is none.
    """
    try:
        content = fields.decisions("", read_json(path))
        return Record(**{**content, **{name: tuple(content[name]) for name in ("budgets", "references")}})
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no record of decisions ({error}).") from error


def table(record: Record, metric: str, reference: str) -> str:
    """Return the curves of a metric as a Markdown table.

    A row a budget: of the reference the mean over seeds, of all others the paired difference to it with its 95 % t
    interval over seeds, bold where that leaves out zero. The last row is of the mean over all budgets.
    """
    ways = record.ways(metric, reference)
    better = "higher" if record.higher_is_better[metric] else "lower"
    header = [record.budget, f"{ways[0]}: {metric} ({better} is better)", *(f"{way} - {ways[0]}" for way in ways[1:])]
    header = list(map(escape_markdown, header))
    lines = [header, ["---:"] * len(header)]
    columns = [np.atleast_2d(record.values(metric, ways[0]))]
    columns += [np.atleast_2d(record.differences(metric, way, reference)) for way in ways[1:]]
    places = [*(f"{budget:g}" for budget in record.budgets), "mean"]
    for row, place in enumerate(places):
        cells = [place]
        for column, values in enumerate(columns):
            of_row = values.mean(axis=1) if place == "mean" else values[:, row]
            cells.append(_mean(of_row) if column == 0 else _difference(of_row))
        lines.append(cells)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def report(record: Record) -> str:
    """Return all tables of a record, as Markdown."""
    seeds = max(len(by_seed) for curves in record.curves.values() for by_seed in curves.values())
    text = f"{escape_markdown(record.title)}, {seeds} seed{'s' * (seeds > 1)}.\n"
    for metric in record.curves:
        for reference in record.references:
            text += f"\n{table(record, metric, reference)}"
    return text


def _mean(values: np.ndarray) -> str:
    interval = t_interval(values.tolist())
    mean = f"{values.mean():.4g}"
    return f"{mean} ± {(interval[1] - interval[0]) / 2:.2g}" if interval else mean


def _difference(values: np.ndarray) -> str:
    interval = t_interval(values.tolist())
    mean = f"{values.mean():+.3g}"
    if interval is None:
        return mean
    text = f"{mean} [{interval[0]:+.2g}, {interval[1]:+.2g}]"
    return f"**{text}**" if interval[0] > 0 or interval[1] < 0 else text


class Progress:
    """What one sequence of decisions has seen so far, in a file; so that one that was stopped goes on.

    Attributes:
        steps: What `add` was given, one after the other.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Read the file, if there is one.

        Args:
            path: The file.
            settings: All that the sequence depends on, as JSON has it.

        Raises:
            InputError: The file is of other settings, or damaged.
        """
        self._path, self._settings = path, json.loads(json.dumps(settings))
        self.steps: list[dict[str, Any]] = []
        if not path.exists():
            return
        try:
            content = read_json(path)
            found, self.steps = content["settings"], content["steps"]
            if not isinstance(found, dict) or not isinstance(self.steps, list):
                raise ValueError("it holds no steps of some settings")
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path} is damaged ({error}). Remove it, to begin anew.") from error
        if found != self._settings:
            changed = [name for name in {**found, **self._settings} if found.get(name) != self._settings.get(name)]
            raise InputError(
                f"{path} was made with other settings ({', '.join(sorted(changed))}). Choose another --output_dir."
            )

    def add(self, step: Mapping[str, Any]) -> None:
        """Note a step, and write the file."""
        self.steps.append(json.loads(json.dumps(step)))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._path, {"settings": self._settings, "steps": self.steps})
