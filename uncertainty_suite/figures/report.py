"""All figures that the predictions of a run allow, or of several runs together."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from uncertainty_suite import configuration, datasets, evaluation
from uncertainty_suite.errors import InputError
from uncertainty_suite.figures import saved
from uncertainty_suite.figures.calibration import reliability_diagram
from uncertainty_suite.figures.images import uncertain_images
from uncertainty_suite.figures.ood import ood_detection
from uncertainty_suite.figures.selective import risk_coverage
from uncertainty_suite.figures.shift import shift_by_severity
from uncertainty_suite.figures.style import save
from uncertainty_suite.figures.two_moons import two_moons_surfaces

if TYPE_CHECKING:  # only a comparison needs the leaderboard
    from uncertainty_suite.leaderboard.records import Record

_SHIFT_METRICS = ("accuracy", "nll", "ece")
_SUFFIXES = (".png", ".svg")


def draw(run: str | Path, data_dir: str | Path | None = None, output_dir: str | Path | None = None) -> list[Path]:
    """Draw every figure that the predictions of a run allow.

    The run need not have its `results.json` yet, so a script may call this before it finishes. Where the images cannot
    be had, that figure is left out and one line on stderr says why.

    Args:
        run: A run folder.
        data_dir: Where prepared data sets lie; see `datasets.get`.
        output_dir: Where to write; by default the run's folder `figures`.

    Returns:
        The files, each figure as PNG and as SVG.

    Raises:
        InputError: The run has no predictions, or they are damaged, or the folder cannot be written.
    """
    return _draw({saved.method(run): run}, Path(output_dir or Path(run) / "figures"), data_dir)


def compare(runs: Sequence[str | Path], output_dir: str | Path, data_dir: str | Path | None = None) -> list[Path]:
    """Draw every figure that the predictions of all runs allow, the runs side by side or laid over each other.

    Args:
        runs: Folders of finished runs on one task.
        output_dir: Where to write.
        data_dir: Where prepared data sets lie; see `datasets.get`.

    Returns:
        The files, each figure as PNG and as SVG.

    Raises:
        InputError: A run is unfinished, or runs are of different tasks, data or protocols, or one is given twice; or as
            `draw`.
    """
    from uncertainty_suite.leaderboard.records import check_comparable, read_record

    records = [read_record(run) for run in runs]
    tasks = {record.task: record for record in records}
    if len(tasks) > 1:
        (one, first), (other, second), *_ = tasks.items()
        raise InputError(
            f"Runs of different tasks in one figure: {first.folder} is on {one}, {second.folder} on {other}."
        )
    check_comparable(records)
    return _draw(dict(zip(_labels(records), runs)), Path(output_dir), data_dir)


def _labels(records: Sequence["Record"]) -> list[str]:
    """Return the method of each run, with as much more as it takes to tell the runs apart."""
    said = [
        {"method": each.method, "model": each.model, "hash": each.config_hash[:8], "seed": f"seed {each.seed}"}
        for each in records
    ]
    for fields in (
        ("method",),
        ("method", "seed"),
        ("method", "model"),
        ("method", "model", "seed"),
        ("method", "hash", "seed"),
    ):
        labels = [", ".join(each[field] for field in fields) for each in said]
        if len(set(labels)) == len(labels):
            break
    return labels


def _draw(runs: Mapping[str, str | Path], folder: Path, data_dir: str | Path | None) -> list[Path]:
    paths = []
    for name, draw_figure in _possible(runs, data_dir):
        try:
            figure = draw_figure(runs)
        except InputError as error:
            if not name.startswith("images_"):
                raise
            # The figures before it have read the same predictions, so it is the data that cannot be had.
            print(f"left out: {name}. {error}", file=sys.stderr)
        else:
            paths += [save(figure, folder / f"{name}{suffix}") for suffix in _SUFFIXES]
    return paths


def _possible(
    runs: Mapping[str, str | Path], data_dir: str | Path | None
) -> Iterator[tuple[str, Callable[[Mapping[str, str | Path]], Figure]]]:
    """Yield the file name of each figure that the predictions of all runs allow, and the function that draws it."""
    predicted, ood, shift = (_common(runs, below) for below in ("", "ood", "shift"))
    if not predicted:
        raise InputError(f"There are no predictions in {', '.join(map(str, runs.values()))}, so nothing to draw.")
    config = configuration.read(next(iter(runs.values())))
    task = datasets.get(config["dataset"]["name"])
    for split in config["evaluation"]["splits"]:
        if split in predicted:
            yield f"reliability_{split}", partial(reliability_diagram, split=split)
            yield f"risk_coverage_{split}", partial(risk_coverage, split=split)
            if len(task.input_shape) == 3:
                count = 8 if len(runs) == 1 else 4
                yield f"images_{split}", partial(uncertain_images, split=split, count=count, data_dir=data_dir)
    for key in ood:
        loaded = [evaluation.uncertainties(evaluation.load(run, f"ood/{key}")) for run in runs.values()]
        for score in loaded[0]:
            if all(score in each for each in loaded):
                name = f"ood_{key}" if score == "max_prob" else f"ood_{key}_{score}"
                yield name, partial(ood_detection, key=key, score=score)
    if shift:
        for metric in _SHIFT_METRICS:
            yield f"shift_{metric}", partial(shift_by_severity, metric=metric)
    if task.name == "two_moons" and "grid" in predicted:
        yield "two_moons", two_moons_surfaces


def _common(runs: Mapping[str, str | Path], below: str) -> list[str]:
    """Return the predictions that every run has, and name on stderr those that only some have."""
    there = {run: saved.keys(run, below) for run in runs.values()}
    for key in sorted({key for found in there.values() for key in found}):
        lacking = [str(run) for run, found in there.items() if key not in found]
        if lacking:
            name = f"{below}/{key}" if below else key
            print(f"left out: {name}, of which there are no predictions in {', '.join(lacking)}", file=sys.stderr)
    first, *others = there.values()
    return [key for key in first if all(key in found for found in others)]
