"""All figures that the predictions of a run allow, or of several runs together."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from uncertainty_suite import configuration, datasets
from uncertainty_suite.datasets.forms import Images
from uncertainty_suite.errors import InputError
from uncertainty_suite.evaluation.measurement import Failures
from uncertainty_suite.figures.calibration import reliability_diagram
from uncertainty_suite.figures.curve import predictive_curve
from uncertainty_suite.figures.data import NoDataError
from uncertainty_suite.figures.images import uncertain_images
from uncertainty_suite.figures.ood import ood_detection
from uncertainty_suite.figures.regression import predicted_against_true, quantile_calibration
from uncertainty_suite.figures.selective import failure_detection, referral, risk_coverage
from uncertainty_suite.figures.shift import shift_by_severity
from uncertainty_suite.figures.style import save
from uncertainty_suite.figures.two_moons import two_moons_surfaces
from uncertainty_suite.files import check_folder
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.tasks import Split

if TYPE_CHECKING:  # only a comparison needs the leaderboard
    from uncertainty_suite.leaderboard.records import Record

_Draw = Callable[[Mapping[str, str | Path]], Figure]

_DRAWN = ("validation", "test", "near_ood", "far_ood", "predict_only", "shift")
# By likelihood: the figures of a labelled split, and the metrics that are drawn against the severity of a corruption.
_OF_SPLIT: dict[str, dict[str, Callable[..., Figure]]] = {
    "categorical": {"reliability": reliability_diagram, "risk_coverage": risk_coverage},
    "gaussian": {"predicted": predicted_against_true, "quantile_calibration": quantile_calibration},
}
_SHIFT_METRICS = {
    "categorical": ("accuracy", "nll", "ece"),
    "gaussian": ("rmse", "gaussian_nll", "quantile_calibration_error"),
}
_SUFFIXES = (".png", ".svg")


def draw(run: str | Path, data_dir: str | Path | None = None, output_dir: str | Path | None = None) -> list[Path]:
    """Draw every figure that the predictions of a run allow.

    The run need not have its `results.json` yet, so a script may call this before it finishes. Where predictions are
    missing, or the data that a figure shows cannot be had, that figure is left out and one line on stderr says why.

    Args:
        run: A run folder.
        data_dir: Where prepared data sets lie; see `datasets.get`.
        output_dir: Where to write; by default the run's folder `figures`.

    Returns:
        The files, each figure as PNG and as SVG.

    Raises:
        InputError: The run has no predictions, or they are damaged, or the folder cannot be written.
    """
    if output_dir is None:
        check_folder(run)
    return _draw({RunFolder(run).method: run}, Path(output_dir or Path(run) / "figures"), data_dir)


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
        {"method": each.method, "model": each.model, "hash": each.config_hash[:8], "seed": _replicate(each)}
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


def _replicate(record: "Record") -> str:
    fold, seed = configuration.replicate(dict(record.config))
    return f"fold {fold}, seed {seed}" if "fold" in record.config["dataset"] else f"seed {seed}"


def _draw(runs: Mapping[str, str | Path], folder: Path, data_dir: str | Path | None) -> list[Path]:
    paths = []
    for name, draw_figure in _possible([RunFolder(run) for run in runs.values()], data_dir):
        try:
            figure = draw_figure(runs)
        except NoDataError as error:
            _leave_out(f"{name}. {error}")
        else:
            paths += [save(figure, folder / f"{name}{suffix}") for suffix in _SUFFIXES]
    return paths


def _possible(runs: Sequence[RunFolder], data_dir: str | Path | None) -> Iterator[tuple[str, _Draw]]:
    """Yield the file name of each figure that the predictions of all runs allow, and the function that draws it."""
    splits = _predicted(runs)
    task = runs[0].task
    likelihood = task.likelihood
    form = _form(task.name)
    for split in splits:
        if split.role in ("validation", "test"):
            for name, draw_split in _OF_SPLIT.get(likelihood.name, {}).items():
                yield f"{name}_{split.key}", partial(draw_split, split=split.key)
            if likelihood.name == "categorical" and likelihood.num_outputs == 2:
                yield f"referral_{split.key}", partial(referral, split=split.key)
            if likelihood.name == "categorical" and isinstance(form, Images):
                count = 8 if len(runs) == 1 else 4
                yield f"images_{split.key}", partial(uncertain_images, split=split.key, count=count, data_dir=data_dir)
    yield from _against_in_distribution(runs, splits)
    if any(split.role == "predict_only" and split.name == "grid" for split in splits):
        shape = getattr(form, "input_shape", None)
        if likelihood.name == "categorical" and shape == (2,) and likelihood.num_outputs == 2:
            yield "two_moons", partial(two_moons_surfaces, data_dir=data_dir)
        elif likelihood.name == "gaussian" and shape == (1,):
            yield "curve", partial(predictive_curve, data_dir=data_dir)


def _against_in_distribution(runs: Sequence[RunFolder], splits: Sequence[Split]) -> Iterator[tuple[str, _Draw]]:
    """Yield the figures that compare OOD and shifted sets with the in-distribution split."""
    outside = [split for split in splits if split.role in ("near_ood", "far_ood")]
    shifts = [split for split in splits if split.role == "shift"]
    inside = {run.task.in_distribution for run in runs}
    if (outside or shifts) and (len(inside) > 1 or not inside <= {split.key for split in splits}):
        _leave_out(
            "figures of OOD and shifted sets, for want of one in-distribution split that all runs have predicted; "
            f"theirs: {', '.join(sorted(inside))}"
        )
        return
    for split in outside:
        found = [run.task.likelihood.uncertainties(run.predictions(split.key)) for run in runs]
        for number, score in enumerate(found[0]):
            if all(score in each for each in found):
                name = split.key.replace("/", "_") + (f"_{score}" if number else "")
                yield name, partial(ood_detection, split=split.key, score=score)
    measured = [run.task.of("shift", "near_ood", "far_ood") for run in runs]
    if (outside or shifts) and all(set(each) == {*outside, *shifts} for each in measured):
        known = [Failures.of(run).uncertainties for run in runs]
        for score in known[0]:
            if all(score in each for each in known):
                yield f"failures_{score}", partial(failure_detection, score=score)
    corrupted = [split for split in shifts if split.derived]
    if corrupted and all([split for split in run.task.of("shift") if split.derived] == corrupted for run in runs):
        for metric in _SHIFT_METRICS.get(runs[0].task.likelihood.name, ()):
            yield f"shift_{metric}", partial(shift_by_severity, metric=metric)
    elif any(split.derived for run in runs for split in run.task.of("shift")):
        _leave_out("figures of shifts, which are means over corruptions, and not all runs have predicted all of them")


def _predicted(runs: Sequence[RunFolder]) -> list[Split]:
    """Return the splits that every run has predicted, and name on stderr those that only some have, or none."""
    lacking: dict[str, list[str]] = {}
    splits = {split.key: split for run in reversed(runs) for split in run.task.of(*_DRAWN)}
    for key in splits:
        have = [run for run in runs if key in {split.key for split in run.task.splits} and run.has_predictions(key)]
        lacking[key] = [str(run.path) for run in runs if run not in have]
    there = [split for split in runs[0].task.splits if split.key in splits and not lacking[split.key]]
    if not there:
        raise InputError(f"There are no predictions in {', '.join(str(run.path) for run in runs)}, so nothing to draw.")
    for key, folders in sorted(lacking.items()):
        if folders:
            _leave_out(f"{key}, of which there are no predictions in {', '.join(folders)}")
    return there


def _form(task: str) -> object:
    """Return the form of a task's examples, or None where its data set is not known here."""
    try:
        return datasets.find(task).form
    except InputError as error:
        _leave_out(f"figures that show the data. {error}")
        return None


def _leave_out(what: str) -> None:
    print(f"left out: {what}", file=sys.stderr)
