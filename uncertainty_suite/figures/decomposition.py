"""Aleatoric and epistemic uncertainty where what should change one of them is changed: label noise, amount of data."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from uncertainty_suite import evaluation
from uncertainty_suite.errors import InputError
from uncertainty_suite.figures import saved, style
from uncertainty_suite.runs import RunFolder

# Fields of `config.dataset` that are swept: the value that changes nothing, and the name on the axis.
_SWEPT = {"label_noise": (0.0, "Wrong training labels"), "train_fraction": (1.0, "Training examples used")}
_MEASURES = {"aleatoric": "expected entropy", "epistemic": "mutual information"}
_HOLLOW: dict[str, Any] = {"markerfacecolor": "white", "linewidth": 0.8}
_REFERENCE: dict[str, Any] = {"color": style.GRAY, "linestyle": ":", "linewidth": 1.2}


@style.styled
def decomposition_sweep(runs: Mapping[str, Sequence[str | Path]]) -> Figure:
    """Draw the parts of the uncertainty against the label noise, and against the share of the training data used.

    If the parts are what they are called, the aleatoric one rises with the noise and stays with the data, and the
    epistemic one falls with the data and does not rise with the noise (Mucsanyi 2024, arXiv:2402.19460; de Jong 2024,
    arXiv:2408.12175). Filled markers are means over the in-distribution split, hollow ones over the OOD sets; bars are
    standard errors over the runs of a level. The dotted line is the entropy that the noise gives to the labels.

    Args:
        runs: By the label that stands in the legend, the folders of several runs on one task, which differ in
            `dataset.label_noise`, or in `dataset.train_fraction`, and in the seed.

    Returns:
        Two axes above each other, aleatoric and epistemic, for the label noise and for the data, each where the runs
        have several levels of it.

    Raises:
        InputError: A run is no classification, or its predictions have one sample or are missing; or the runs are on
            several tasks or have different OOD sets; or one has label noise and less data; or all have the same.
    """
    opened = {label: _open(paths) for label, paths in runs.items()}
    looks = style.lines({label: group[0] for label, group in opened.items()})
    every = [run for group in opened.values() for run in group]
    swept = _swept(every)
    measured = {run.path: evaluation.uncertainty_parts(run) for run in every}
    first = every[0].task
    sets = {"in distribution": ([first.in_distribution], {}), "OOD": (_ood_sets(every), _HOLLOW)}
    sets = {name: (keys, more) for name, (keys, more) in sets.items() if keys}
    figure = Figure(figsize=(1 + 3.2 * len(swept), 5.2), layout="constrained")
    axes = figure.subplots(2, len(swept), squeeze=False, sharex="col", sharey="row")
    for column, field in enumerate(swept):
        for (label, group), (keys, more) in itertools.product(opened.items(), sets.values()):
            levels = _by_level(group, field)
            for axis, part in zip(axes[:, column], evaluation.PARTS):
                values = [
                    [float(np.mean([measured[run.path][f"{key}/{part}"] for key in keys])) for run in of_level]
                    for of_level in levels.values()
                ]
                _draw(axis, list(levels), values, {**looks[label], **more})
        if field == "label_noise":
            noise = np.linspace(0, max(run.config["dataset"][field] for run in every), 101)
            entropy = [evaluation.label_entropy(each, first.likelihood.num_outputs) for each in noise]
            axes[0, column].plot(noise, entropy, **_REFERENCE)
        else:
            axes[1, column].set_xscale("log")
        ticks = sorted({run.config["dataset"][field] for run in every})
        axes[1, column].set_xticks(ticks, map(style.percent, ticks))
        axes[1, column].xaxis.set_minor_locator(NullLocator())
        axes[1, column].set_xlabel(_SWEPT[field][1])
    for axis, part in zip(axes[:, 0], evaluation.PARTS):
        axis.set_ylim(bottom=0)
        axis.set_ylabel(f"{part.capitalize()}\n({_MEASURES[part]}, nats)")
    figure.legend(handles=_legend(looks, sets, swept), loc="outside lower center", ncols=3)
    return figure


def _open(paths: Sequence[str | Path]) -> list[RunFolder]:
    return list(saved.open_runs({str(path): path for path in paths}, "categorical").values())


def _swept(runs: Sequence[RunFolder]) -> list[str]:
    """Return the fields of which the runs have several levels."""
    for run in runs:
        first, task, data = runs[0], run.task.name, run.config["dataset"]
        if task != first.task.name:
            raise InputError(
                f"Runs of different tasks in one sweep: {first.path} is on {first.task.name}, {run.path} on {task}."
            )
        if all(data[field] != plain for field, (plain, _) in _SWEPT.items()):
            raise InputError(
                f"Run {run.path} has label_noise {data['label_noise']:g} and train_fraction "
                f"{data['train_fraction']:g}: a sweep changes one of them."
            )
    swept = [field for field in _SWEPT if len({run.config["dataset"][field] for run in runs}) > 1]
    if not swept:
        raise InputError("There is no sweep to draw: all runs have the same label_noise and the same train_fraction.")
    return swept


def _ood_sets(runs: Sequence[RunFolder]) -> list[str]:
    """Return the keys of the OOD sets that all runs have predicted."""
    sets = runs[0].task.of("near_ood", "far_ood")
    for run in runs:
        if run.task.of("near_ood", "far_ood") != sets:
            raise InputError(
                f"The OOD sets of {run.path} are not those of {runs[0].path}: their means cannot be compared."
            )
    return [split.key for split in sets]


def _by_level(runs: Sequence[RunFolder], field: str) -> dict[float, list[RunFolder]]:
    """Return the runs of a sweep by their level, the lowest first."""
    (other,) = _SWEPT.keys() - {field}
    of_sweep = [run for run in runs if run.config["dataset"][other] == _SWEPT[other][0]]
    levels = sorted({run.config["dataset"][field] for run in of_sweep})
    return {level: [run for run in of_sweep if run.config["dataset"][field] == level] for level in levels}


def _draw(axis: Axes, levels: Sequence[float], values: Sequence[Sequence[float]], look: Mapping[str, Any]) -> None:
    means = np.array([np.mean(of_level) for of_level in values])
    errors = [np.std(of_level, ddof=1) / len(of_level) ** 0.5 if len(of_level) > 1 else 0.0 for of_level in values]
    axis.errorbar(np.array(levels), means, errors, marker="o", markersize=4.5, capsize=2, **look)


def _legend(
    looks: Mapping[str, Mapping[str, Any]],
    sets: Mapping[str, tuple[Sequence[str], Mapping[str, Any]]],
    swept: Sequence[str],
) -> list[Line2D]:
    handles = [Line2D([], [], label=label, **look) for label, look in looks.items()]
    for name, (_, more) in sets.items():
        handles.append(Line2D([], [], color=style.GRAY, marker="o", markersize=4.5, label=f"mean, {name}", **more))
    if "label_noise" in swept:
        handles.append(Line2D([], [], label="entropy of the noise", **_REFERENCE))
    return handles
