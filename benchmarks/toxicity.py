"""Say of classifiers of toxicity how they treat groups of people, and how far they can be trusted.

    python benchmarks/toxicity.py runs/toxicity/*/seed*/

Takes finished runs of configs/toxicity.py, prints a row for each method, the mean over its runs, and trains nothing.
The numbers are written to `--results_dir`, `toxicity.json`.

- Groups: of the parts of HateCheck by the people whom a text is about, the least AUROC and the largest ECE, and how far
  these are from those of the group that fares best. A gap without its level says little: a classifier that knows
  nothing has none.
- Identity swaps: of pairs of comments that differ in the identities that they name alone (Dixon et al. 2018), the mean
  difference of the probability of toxicity, the share whose decision changes, and by how much the ECE does.
- Review: the accuracy on tweets when people decide the given share of them, those of least confidence (Kivlichan et al.
  2021), less the share reviewed times what is wrong: above 0, review is better spent than at random.
- Votes: the divergence KL(people || prediction) of the tweets' votes, and the rank correlation of the entropy of a
  prediction with that of the votes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from uncertainty_suite import evaluation, metrics
from uncertainty_suite.errors import InputError
from uncertainty_suite.files import write_json
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.training.run import data_of, provenance

ROOT = Path(__file__).parent.parent
TASK = "toxicity"
GROUP = "hatecheck_"
PAIRS = ("wikipedia", "wikipedia_swapped")
REVIEWED = (0.01, 0.05, 0.2)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders")
    parser.add_argument("--results_dir", type=Path, default=ROOT / "benchmarks/results")
    parser.add_argument("--data_dir", type=Path, help="prepared TFDS data sets, for the votes")
    arguments = parser.parse_args(argv)
    try:
        measured: dict[str, list[dict[str, float]]] = {}
        for path in arguments.runs:
            run = RunFolder(path)
            method = check(run)
            measured.setdefault(method, []).append(measure(run, arguments.data_dir))
    except InputError as error:
        sys.exit(f"benchmarks/toxicity.py: {error}")
    rows = means(measured)
    made_with = {name: value for name, value in provenance().items() if name != "host"}
    write_json(arguments.results_dir / "toxicity.json", {**made_with, "rows": rows})
    print(table(rows))


def check(run: RunFolder) -> str:
    """Return the method of a run; refuse one that is not finished, or of another task."""
    if run.results is None:
        raise InputError(f"{run.path} is no finished run.")
    if run.results["task"] != TASK:
        raise InputError(f"{run.path} is a run of the task '{run.results['task']}', and this is of '{TASK}'.")
    return str(run.results["method"])


def measure(run: RunFolder, data_dir: Path | None = None) -> dict[str, float]:
    """Return all that is said of one run."""
    said = {name: values for part in (groups(run), swaps(run), review(run)) for name, values in part.items()}
    return {**said, **votes(run, data_dir)}


def groups(run: RunFolder) -> dict[str, float]:
    """Return the AUROC and the ECE of the group that fares worst, and the distance to the one that fares best."""
    splits = [split.key for split in run.task.of("test") if split.key.startswith(GROUP)]
    saved = [predictions(run, key) for key in splits]
    areas = [metrics.macro_auroc(probs, labels) for probs, labels, _ in saved]
    errors = [metrics.expected_calibration_error(probs, labels) for probs, labels, _ in saved]
    return {
        "worst group AUROC": min(areas),
        "AUROC gap": max(areas) - min(areas),
        "worst group ECE": max(errors),
        "ECE gap": max(errors) - min(errors),
    }


def swaps(run: RunFolder) -> dict[str, float]:
    """Return what changes when the identities in a comment are swapped."""
    (probs, labels, ids), (others, other_labels, other_ids) = (in_order(*predictions(run, key)) for key in PAIRS)
    if not (np.array_equal(ids, other_ids) and np.array_equal(labels, other_labels)):
        raise InputError(f"{run.path} has predictions of {PAIRS[0]} and {PAIRS[1]} that are no pairs.")
    ece = [metrics.expected_calibration_error(each, labels) for each in (probs, others)]
    return {
        "swap difference": float(np.abs(probs[:, 1] - others[:, 1]).mean()),
        "swap flips": float(np.mean(probs.argmax(axis=1) != others.argmax(axis=1))),
        "swap ECE change": ece[1] - ece[0],
    }


def review(run: RunFolder) -> dict[str, float]:
    """Return what review of a share of the tweets gains over review of as many at random."""
    probs, labels, _ = predictions(run, run.task.in_distribution)
    wrong = 1 - metrics.accuracy(probs, labels)
    gains = {}
    for share in REVIEWED:
        reviewed = metrics.oracle_collaborative_accuracy(probs, labels, fraction=share)
        gains[f"review {share:.0%}"] = reviewed - (1 - wrong) - share * wrong
    return gains


def votes(run: RunFolder, data_dir: Path | None) -> dict[str, float]:
    """Return how predictions compare with the votes of people."""
    key = run.task.in_distribution
    probs, _, ids = predictions(run, key)
    data = data_of(run.config["dataset"], run.task.split(key), data_dir)
    rows = {element_id: row for row, element_id in enumerate(data.element_ids)}
    counts = data.human_labels[[rows[element_id] for element_id in ids]]
    return {
        "votes KL": metrics.label_distribution_kl(probs, counts),
        "votes correlation": evaluation.human_correlation(run, data_dir)["aleatoric"],
    }


def predictions(run: RunFolder, key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the probabilities `[n, 2]`, labels and element ids of a split."""
    saved = run.predictions(key)
    return run.task.likelihood.metric_input(saved), saved["labels"], saved["element_id"]


def in_order(probs: np.ndarray, labels: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return them in the order of their ids."""
    order = np.argsort(ids)
    return probs[order], labels[order], ids[order]


def means(measured: Mapping[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the number of runs of each method, and the means over them."""
    return {
        method: {"runs": len(runs), **{name: float(np.mean([run[name] for run in runs])) for name in runs[0]}}
        for method, runs in sorted(measured.items())
    }


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Return a Markdown table: a row for each quantity, a column for each method."""
    names = [name for name in next(iter(rows.values())) if name != "runs"]
    lines = [f"| | {' | '.join(rows)} |", f"| --- |{' ---: |' * len(rows)}"]
    lines.append(f"| runs | {' | '.join(str(values['runs']) for values in rows.values())} |")
    lines += [f"| {name} | {' | '.join(f'{values[name]:.4f}' for values in rows.values())} |" for name in names]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
