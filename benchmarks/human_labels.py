"""Compare predictions with what many people say of the same examples: CIFAR-10H, ChaosNLI, tweets, or ReaL.

    python benchmarks/published_networks.py --test_only
    python benchmarks/language_models.py
    python -m uncertainty_suite.combine runs/published_test/resnet20 runs/published_test/resnet56 \\
        --output_dir=runs/published_test/both
    python benchmarks/human_labels.py runs/published_test/*/ runs/language_models/chaosnli_*/*

It takes finished runs of any method on data whose test examples were labelled by many people: `cifar10`,
`chaosnli_mnli` and `chaosnli_snli`, `davidson_hate` and `toxicity`, and `imagenet`, whose labels of ReaL say which
classes are in an image (`label_set_accuracy` is the accuracy of the papers). For each data set it prints a table; a row
is the mean over the runs of a method and network that differ in their seeds:

- `KL` and `Brier`: the divergence KL(people || prediction) in nats, and the squared distance from what people say;
- `ECE`: by the share of people who chose the predicted class; `anybody`: how often anybody chose it;
- `scaled KL`: with a temperature, where the run has predicted a validation split;
- `correlation`: of the rank of the entropy of a prediction with that of the votes; of several samples their expected
  entropy, `aleatoric`, and their mutual information, `epistemic`.

The numbers are written to `--results_dir`, `human_labels.json`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from uncertainty_suite import evaluation
from uncertainty_suite.errors import InputError
from uncertainty_suite.files import write_json
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.training.run import provenance

ROOT = Path(__file__).parent.parent
COLUMNS = {
    "label_distribution_kl": "KL",
    "temperature_scaling/label_distribution_kl": "scaled KL",
    "label_distribution_brier": "Brier",
    "label_distribution_ece": "ECE",
    "label_set_accuracy": "anybody",
    "aleatoric": "correlation",
    "epistemic": "epistemic correlation",
}

Rows = dict[str, dict[str, float]]  # of each row, what was measured


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of finished runs")
    parser.add_argument("--results_dir", type=Path, default=ROOT / "benchmarks/results")
    parser.add_argument("--data_dir", type=Path, help="prepared TFDS data sets; labels of people lie beside them")
    arguments = parser.parse_args(argv)
    try:
        boards = measure([RunFolder(path) for path in arguments.runs], arguments.data_dir)
    except InputError as error:
        sys.exit(f"benchmarks/human_labels.py: {error}")
    made_with = {name: value for name, value in provenance().items() if name != "host"}
    write_json(arguments.results_dir / "human_labels.json", {**made_with, "boards": boards})
    for name, rows in boards.items():
        print(f"\n{name}\n\n{table(rows)}", flush=True)


def measure(runs: Sequence[RunFolder], data_dir: Path | None) -> dict[str, Rows]:
    """Return the means over the runs of each row, by data set."""
    of_rows: dict[str, dict[str, list[dict[str, float]]]] = {}
    for run in runs:
        if run.results is None:
            raise InputError(f"{run.path} has no results.json: it is no finished run.")
    for run in runs:
        found = {**evaluation.human_metrics(run, data_dir), **evaluation.human_correlation(run, data_dir)}
        row = f"{run.method}, {run.config['model']['name']}"
        of_rows.setdefault(run.task.name, {}).setdefault(row, []).append(found)
    return {
        name: {
            row: {"runs": len(each), **{key: float(np.mean([one[key] for one in each])) for key in each[0]}}
            for row, each in rows.items()
        }
        for name, rows in of_rows.items()
    }


def table(rows: Rows) -> str:
    """Return a Markdown table."""
    columns = [column for column in COLUMNS if any(column in values for values in rows.values())]
    lines = [
        f"| method, network | runs | {' | '.join(COLUMNS[column] for column in columns)} |",
        f"| --- | ---: |{' ---: |' * len(columns)}",
    ]
    for row, values in rows.items():
        cells = [f"{values[column]:.3f}" if column in values else "" for column in columns]
        lines.append(f"| {row} | {values['runs']} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
