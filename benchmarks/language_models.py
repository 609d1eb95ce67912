"""Score published language models on ChaosNLI: do they doubt where people disagree?

    python benchmarks/language_models.py
    python -m uncertainty_suite.leaderboard add runs/language_models/chaosnli_*/*

The logits of RoBERTa and BERT, trained on SNLI or MNLI by Baan et al. 2022 (arXiv:2210.16133), lie in
`labels/nli_predictions.npz` below the folder of prepared data sets or beside it. Nothing is trained. Each model, and
the ensemble of its seeds, becomes a run of configs/chaosnli.py, with a temperature that is fitted on the other half of
the examples, `validation`. What is finished is not repeated.

It prints tables for each data set. The first has means over seeds: the divergence KL(people || prediction) as it is and
with that temperature; and the rank correlation of the entropy of a prediction with that of the votes of 100 people. Of
an ensemble there are two: of the expected entropy, `aleatoric`, and of the mutual information, `epistemic`. The second
has calibrations, the third conformal sets of 90 % coverage, all fitted on `validation`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from uncertainty_suite import datasets, evaluation, metrics
from uncertainty_suite.datasets import chaosnli
from uncertainty_suite.errors import InputError
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.score import score

ROOT = Path(__file__).parent.parent
METHOD, ENSEMBLE = "published", "published_ensemble"
SPLITS = ("validation", "test")
CALIBRATIONS = ("", "temperature_scaling", "vector_scaling", "isotonic_regression")  # "" is none
SETS = ("split_conformal", "aps", "raps", "saps")
CALIBRATED, OF_SETS = ("accuracy", "nll", "brier", "ece"), ("coverage", "set_size", "worst_class_coverage")
PRINTED = ("accuracy", "nll", "temperature_scaling/nll", "ece", "temperature_scaling/ece")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, default=ROOT / "runs/language_models")
    parser.add_argument("--data_dir", type=Path, help="prepared TFDS data sets; labels/ is in it or beside it")
    arguments = parser.parse_args()
    try:
        for name in chaosnli.NAMES:
            rows = runs(name, arguments.output_dir / name, arguments.data_dir)
            print(f"\n{name}\n\n{table(rows, arguments.data_dir)}", flush=True)
            print(
                f"\n{fitted_table(rows, CALIBRATIONS, CALIBRATED)}\n\n{fitted_table(rows, SETS, OF_SETS)}", flush=True
            )
    except InputError as error:
        sys.exit(f"benchmarks/language_models.py: {error}")


def runs(name: str, output_dir: Path, data_dir: Path | None) -> dict[str, list[RunFolder]]:
    """Return the runs of each model, and of the ensemble of its seeds, by what their row is called."""
    said = {split: chaosnli.predictions(name, split, data_dir) for split in SPLITS}
    seeds: dict[str, list[str]] = {}
    for model in said["test"]:
        seeds.setdefault(model.rpartition("_")[0], []).append(model)
    rows: dict[str, list[RunFolder]] = {}
    for model, of_model in seeds.items():
        for seed, each in enumerate(of_model):
            arrays = {split: said[split][each][1] for split in SPLITS}
            run = scored(name, METHOD, model, seed, arrays, output_dir / each, data_dir)
            rows.setdefault(model, []).append(run)
        arrays = {split: np.stack([said[split][each][1] for each in of_model]) for split in SPLITS}
        ensemble = scored(name, ENSEMBLE, model, 0, arrays, output_dir / f"{model}_ensemble", data_dir)
        rows[f"{model}, ensemble of {len(of_model)}"] = [ensemble]
    return rows


def scored(
    name: str,
    method: str,
    model: str,
    seed: int,
    logits: dict[str, np.ndarray],
    folder: Path,
    data_dir: Path | None,
) -> RunFolder:
    """Return the run of some predictions: logits `[n, 3]` or `[samples, n, 3]` of each split."""
    run = RunFolder(folder)
    if run.results:
        return run
    arrays = {}
    for split, values in logits.items():
        data = datasets.get(name, split, data_dir)
        arrays |= {
            f"{split}/logits": values,
            f"{split}/element_id": data.element_ids,
            f"{split}/labels": data.labels,
        }
    task = f"{ROOT / 'configs/chaosnli.py'}:{name.removeprefix('chaosnli_')}"
    return score(arrays, task, method, model, seed, output_dir=folder, data_dir=data_dir)


def measured(run: RunFolder) -> dict[str, float]:
    """Return what the table has of a run's own metrics."""
    results = run.results or {}
    return {name: results["metrics"][f"test/{name}"] for name in PRINTED}


def people(run: RunFolder, data_dir: Path | None) -> dict[str, float]:
    """Return how the predictions of a run compare with what people said."""
    name = run.task.name
    likelihood, saved = run.task.likelihood, {split: run.predictions(split) for split in SPLITS}
    probs = {split: likelihood.metric_input(each) for split, each in saved.items()}
    counts = datasets.get(name, "test", data_dir).human_labels
    temperature = metrics.fit_temperature(probs["validation"], saved["validation"]["labels"])
    correlation = evaluation.human_correlation(run, data_dir)
    return {
        "KL": metrics.label_distribution_kl(probs["test"], counts),
        "scaled KL": metrics.label_distribution_kl(metrics.apply_temperature(probs["test"], temperature), counts),
        **{f"{part} correlation": value for part, value in correlation.items()},
    }


def table(rows: dict[str, list[RunFolder]], data_dir: Path | None) -> str:
    """Return a Markdown table: means over the runs of a row."""
    said = {}
    for label, of_row in rows.items():
        each = [{**measured(run), **people(run, data_dir)} for run in of_row]
        said[label] = {name: float(np.mean([values[name] for values in each])) for name in each[0]}
    columns = list(dict.fromkeys(name for values in said.values() for name in values))
    lines = [f"| model | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for label, values in said.items():
        cells = [f"{values[name]:.3f}" if name in values else "" for name in columns]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def fitted_table(rows: dict[str, list[RunFolder]], fitted: Sequence[str], measured: Sequence[str]) -> str:
    """Return a Markdown table of what was fitted on `validation`, measured on test: means over the runs of a row."""
    lines = [f"| model | fitted | {' | '.join(measured)} |", "|---" * (len(measured) + 2) + "|"]
    for label, of_row in rows.items():
        found = [(run.results or {})["metrics"] for run in of_row]
        for each in fitted:
            names = [f"test/{each}/{metric}" if each else f"test/{metric}" for metric in measured]
            cells = [f"{np.mean([metrics[name] for metrics in found]):.3f}" for name in names]
            lines.append(f"| {label} | {each or 'none'} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
