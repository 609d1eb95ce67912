"""Find wrong labels of CIFAR-10's test images by the predictions of networks, and measure accuracy without them.

    python benchmarks/published_networks.py --test_only
    python benchmarks/label_errors.py runs/published_test/*/

Northcutt, Athalye and Mueller 2021 (arXiv:2103.14749) had a cross-validated network doubt 275 of the 10,000 labels, and
five people look at each of these: of 54 images fewer than three chose the given label. These are the errors here. The
files are those of https://github.com/cleanlab/label-errors, `labels/cifar10_test_label_errors_mturk.json` and
`labels/cifar10_test_crossval_probs.npz`, below the folder of prepared data sets or beside it.

It takes finished runs of any method on `cifar10` and trains nothing. A row is the mean over the runs of a method and
network that differ in their seeds; `cross-validated` is the network that doubted:

- `accuracy`: by the labels as they are;
- `corrected`: where three people or more chose the label that was proposed, by that one; the other errors are left out;
- `AUROC` and `AP`: of telling the errors from all other images by how improbable their label is, the area under the ROC
  curve and the average precision;
- `in 275`: of the 275 most improbable labels, the share of the errors that are among them.

Nobody looked at the labels that the cross-validated network did not doubt: an error that only another network sees
counts against it, so the last three columns favour `cross-validated` and networks like it.

The numbers are written to `--results_dir`, `label_errors.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.metrics import average_precision_score

from uncertainty_suite import datasets, metrics
from uncertainty_suite.datasets.folders import looked, places
from uncertainty_suite.errors import InputError
from uncertainty_suite.files import write_json
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.training.run import data_of, provenance

ROOT = Path(__file__).parent.parent
TASK, NUM_IMAGES = "cifar10", 10_000
VOTES, CROSS_VALIDATED = "labels/cifar10_test_label_errors_mturk.json", "labels/cifar10_test_crossval_probs.npz"
MAJORITY = 3  # of five people
COLUMNS = ("accuracy", "corrected", "AUROC", "AP", "in 275")


class Checked(NamedTuple):
    """What people said of labels, in the original order of the images.

    Attributes:
        is_error: bool `[10000]`.
        corrected: int64 `[10000]`: the label as it is where it is no error, or what most people chose; -1 without such.
        num_doubted: How many labels people looked at.
    """

    is_error: np.ndarray
    corrected: np.ndarray
    num_doubted: int


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of finished runs")
    parser.add_argument("--results_dir", type=Path, default=ROOT / "benchmarks/results")
    parser.add_argument("--data_dir", type=Path, help="prepared TFDS data sets; labels/ is in it or beside it")
    arguments = parser.parse_args(argv)
    try:
        rows = measure([RunFolder(path) for path in arguments.runs], arguments.data_dir)
    except InputError as error:
        sys.exit(f"benchmarks/label_errors.py: {error}")
    made_with = {name: value for name, value in provenance().items() if name != "host"}
    write_json(arguments.results_dir / "label_errors.json", {**made_with, "rows": rows})
    print(table(rows))


def measure(runs: Sequence[RunFolder], data_dir: Path | None) -> dict[str, dict[str, float]]:
    """Return the means over the runs of each row."""
    found: dict[str, list[dict[str, float]]] = {}
    for run in runs:
        check(run)
    test = datasets.get(TASK, "test", data_dir)
    labels = np.empty(NUM_IMAGES, np.int64)
    labels[test.original_ids] = test.labels
    checked = read_votes(_find(VOTES, data_dir), labels)
    with np.load(_find(CROSS_VALIDATED, data_dir)) as file:
        found["cross-validated"] = [compare(file["probs"], labels, checked)]
    for run in runs:
        row = f"{run.method}, {run.config['model']['name']}"
        found.setdefault(row, []).append(compare(predicted(run, data_dir), labels, checked))
    return {
        row: {"runs": len(each), **{name: float(np.mean([one[name] for one in each])) for name in COLUMNS}}
        for row, each in found.items()
    }


def check(run: RunFolder) -> None:
    """Refuse a run that is not finished, or of another task."""
    if run.results is None:
        raise InputError(f"{run.path} has no results.json: it is no finished run.")
    if run.task.name != TASK:
        raise InputError(f"{run.path} is a run of the task '{run.task.name}', and this is of '{TASK}'.")


def read_votes(path: Path, labels: np.ndarray) -> Checked:
    """Return which labels are wrong.

    Args:
        path: The published file.
        labels: As they are, in the original order, `[10000]`.

    Raises:
        InputError: It is not that file.
    """
    try:
        votes = json.loads(path.read_text(encoding="utf-8"))
        images = np.array([each["id"] for each in votes])
        given = np.array([each["given_original_label"] for each in votes])
        proposed = np.array([each["our_guessed_label"] for each in votes])
        for_given, for_proposed = (np.array([each["mturk"][name] for each in votes]) for name in ("given", "guessed"))
        same = np.array_equal(labels[images], given)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(f"'{path}' is not the file of label errors of CIFAR-10 ({error}).") from error
    if not same:
        raise InputError(f"'{path}' is of other labels than those of CIFAR-10's test images.")
    is_error, corrected = np.zeros(NUM_IMAGES, bool), labels.copy()
    wrong = for_given < MAJORITY
    is_error[images[wrong]] = True
    corrected[images[wrong]] = np.where(for_proposed >= MAJORITY, proposed, -1)[wrong]
    return Checked(is_error, corrected, len(images))


def predicted(run: RunFolder, data_dir: Path | None) -> np.ndarray:
    """Return the probabilities `[10000, 10]` of all test images in their original order."""
    key = run.task.in_distribution
    saved = run.predictions(key)
    data = data_of(run.config["dataset"], run.task.split(key), data_dir)
    place_of = dict(zip(data.element_ids.tolist(), data.original_ids.tolist()))
    places = [place_of[element_id] for element_id in saved["element_id"].tolist()]
    if sorted(places) != list(range(NUM_IMAGES)):
        raise InputError(f"{run.path} has predictions of {len(places)} test images; expected all {NUM_IMAGES:,}.")
    probs = np.empty((NUM_IMAGES, 10))
    probs[places] = run.task.likelihood.metric_input(saved)
    return probs


def compare(probs: np.ndarray, labels: np.ndarray, checked: Checked) -> dict[str, float]:
    """Return what is measured of some predictions, all in the original order."""
    doubt = 1 - probs[np.arange(len(labels)), labels]
    known = checked.corrected >= 0
    most = np.argsort(-doubt, kind="stable")[: checked.num_doubted]
    return {
        "accuracy": metrics.accuracy(probs, labels),
        "corrected": metrics.accuracy(probs[known], checked.corrected[known]),
        "AUROC": metrics.auroc(doubt[~checked.is_error], doubt[checked.is_error]),
        "AP": float(average_precision_score(checked.is_error, doubt)),
        "in 275": float(checked.is_error[most].sum() / checked.is_error.sum()),
    }


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Return a Markdown table."""
    lines = [f"| method, network | runs | {' | '.join(COLUMNS)} |", f"| --- | ---: |{' ---: |' * len(COLUMNS)}"]
    for row, values in rows.items():
        lines.append(f"| {row} | {values['runs']} | {' | '.join(f'{values[name]:.4f}' for name in COLUMNS)} |")
    return "\n".join(lines)


def _find(name: str, data_dir: Path | None) -> Path:
    tried = places(name, data_dir)
    found = next((path for path in tried if path.is_file()), None)
    if found is None:
        raise InputError(
            f"The label errors of CIFAR-10 are not there: {looked(tried)}. They are in "
            "https://github.com/cleanlab/label-errors; name the folder above 'labels' by --data_dir."
        )
    return found


if __name__ == "__main__":
    main()
