"""Sweep label noise and training-set size: does the split into aleatoric and epistemic do what it says?

    python benchmarks/disentanglement.py
    python benchmarks/disentanglement.py --tasks fashion_mnist --seeds 1 --data_dir=... --results_dir=...
    python benchmarks/disentanglement.py --tasks cifar10 --labels clean aggregate random1 worst --methods mc_dropout
    python benchmarks/disentanglement.py --imbalance 1 3 10 30

Methods with several samples are trained with a share of the training labels replaced by other classes, and with a share
of the training examples; test and OOD examples stay as they are. The number of training steps is the same everywhere:
with a tenth of the examples there are ten times as many epochs, or a network would be uncertain for want of training.
Runs that are finished are not repeated, and one that was stopped goes on, so the command can be given again.

With `--labels` the noise is that of people, CIFAR-10N's: its level is the share of the training labels that are not the
clean ones, and the entropy of the label that of the given ones within each clean class, a mean over examples. There is
no figure then, nor with `--imbalance`: there the training classes fall off exponentially, the first with so many times
the examples of the last (`dataset.imbalance`), and test examples of the rare half of the classes are measured, too.

What should be seen (Mucsanyi et al. 2024, arXiv:2402.19460; de Jong et al. 2024, arXiv:2408.12175) is judged by the
mean uncertainty on the test split. It rises or falls with the level where the rank correlation of the two is at least
0.8, or at most -0.8, for every seed. Of four levels in random order it is that high with a probability of 1/6, so three
seeds see a trend that is not there in one of 108 cases. It does not rise, or does not change, where its mean over seeds
is at no level more than 10 % above that of the plain data, or away from it: a rank correlation would find no trend in
what rises first and then falls a little.

Beside the run folders, in `--output_dir`, it writes the tables that it prints, `disentanglement.md`; and into
`--results_dir` the numbers, `disentanglement.json` (`disentanglement_labels.json` with `--labels`,
`disentanglement_imbalance.json` with `--imbalance`), and a figure for each task, `disentanglement_<task>.svg`.
"""

import argparse
import itertools
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
from scripts import ROOT, get_config

from uncertainty_suite import configuration, evaluation, figures, keras, launch, metrics
from uncertainty_suite.errors import InputError
from uncertainty_suite.files import write_atomic, write_json
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.training.run import data_of, provenance

# What the sweep does without of a task's evaluation.
LEFT_OUT = {
    "evaluation.corruptions": (),
    "evaluation.ood_scores": (),
    "evaluation.ood_validation": (),
    "evaluation.ensemble_curve": False,
}
NOTHING_SWEPT = {"label_noise": 0.0, "train_fraction": 1.0}
BALANCED = {"imbalance": 1.0}  # the same for `--imbalance`
LEVEL = ("method", *NOTHING_SWEPT, "label_entropy", *BALANCED)  # a row has those of its sweep
# What should be seen: the part of the uncertainty, what grows, and the trend.
CLAIMS = (
    ("epistemic", "train_fraction", "falls"),
    ("aleatoric", "label_noise", "rises"),
    ("epistemic", "label_noise", "does not rise"),
    ("aleatoric", "train_fraction", "does not change"),
    ("epistemic", "imbalance", "rises"),
    ("aleatoric", "imbalance", "does not change"),
)
CLEAR = 0.8  # of a rank correlation, for every seed
MARGIN = 1.1  # of the ratio to the plain data
RECORDED = ("test/accuracy", "test/nll", "test/aleatoric_epistemic_correlation")
# Columns of the table: one value with its standard error, or the means of both parts.
COLUMNS = {
    "accuracy": "test/accuracy",
    "NLL": "test/nll",
    "aleatoric": "test/aleatoric",
    "epistemic": "test/epistemic",
    "OOD aleatoric": "ood/aleatoric",
    "OOD epistemic": "ood/epistemic",
    "rank correlation": "test/aleatoric_epistemic_correlation",
}
OF_RARE_CLASSES = {
    "accuracy, rare classes": "rare/accuracy",
    "NLL, rare classes": "rare/nll",
    "aleatoric, rare classes": "rare/aleatoric",
    "epistemic, rare classes": "rare/epistemic",
}
PAIRS = {
    "error AUROC": "test/{}/auroc",
    "AURC": "test/{}/aurc",
    "AUGRC": "test/{}/augrc",
    "OOD AUROC": "ood/{}/auroc",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["digits"], help="files of configs/")
    parser.add_argument("--methods", nargs="+", default=["deep_ensemble", "mc_dropout"], help="scripts of baselines/")
    parser.add_argument("--label_noise", nargs="+", type=float, default=[0.0, 0.1, 0.2, 0.4], help="with all examples")
    parser.add_argument("--train_fraction", nargs="+", type=float, default=[0.1, 0.25, 0.5, 1.0], help="without noise")
    swept = parser.add_mutually_exclusive_group()
    swept.add_argument("--labels", nargs="+", default=[], help="label sets of cifar10, in place of both sweeps")
    swept.add_argument("--imbalance", nargs="+", type=float, default=[], help="ratios, in place of both sweeps")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="FIELD=VALUE", help="what differs from the task's settings"
    )
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to N - 1 are run")
    parser.add_argument("--output_dir", type=Path, default=ROOT / "runs" / "disentanglement", help="of the run folders")
    parser.add_argument("--results_dir", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--data_dir", type=Path, help="prepared TFDS data sets, for tasks that need them")
    arguments = parser.parse_args()
    started_at = time.perf_counter()
    made_with = {name: value for name, value in provenance().items() if name != "host"}
    plain = BALANCED if arguments.imbalance else NOTHING_SWEPT
    tasks, text = {}, ""
    try:
        for task in arguments.tasks:
            runs = {method: sweep(task, method, arguments) for method in arguments.methods}
            rows = [measure(run, plain, arguments.data_dir) for of_method in runs.values() for run in of_method]
            tasks[task] = {"levels": summarize(rows), "claims": judge(rows)}
            if not arguments.labels and not arguments.imbalance:
                figure = figures.decomposition_sweep({method: [run.path for run in runs[method]] for method in runs})
                print(figures.save(figure, arguments.results_dir / f"disentanglement_{task}.svg"))
            text += (
                f"### {task}\n\n{table_of_levels(tasks[task]['levels'])}\n{table_of_claims(tasks[task]['claims'])}\n"
            )
    except InputError as error:
        sys.exit(f"benchmarks/disentanglement.py: {error}")
    kind = "_labels" if arguments.labels else "_imbalance" if arguments.imbalance else ""
    write_json(arguments.results_dir / f"disentanglement{kind}.json", {**made_with, "tasks": tasks})
    write_atomic(arguments.output_dir / "disentanglement.md", lambda file: file.write(text.encode()))
    print(f"\n{text}\n{time.perf_counter() - started_at:.0f} seconds.")


def sweep(task: str, method: str, arguments: argparse.Namespace) -> list[RunFolder]:
    """Train a method at every level with every seed, and return the runs."""
    levels = [{**NOTHING_SWEPT, "label_noise": noise} for noise in arguments.label_noise]
    levels += [{**NOTHING_SWEPT, "train_fraction": fraction} for fraction in arguments.train_fraction]
    if arguments.labels:
        levels = [{**NOTHING_SWEPT, "labels": labels} for labels in arguments.labels]
    if arguments.imbalance:
        levels = [{"imbalance": ratio} for ratio in arguments.imbalance]
    settings = dict(setting.split("=", 1) for setting in arguments.set)
    script = configuration.load_module(ROOT / f"baselines/{method}.py")
    runs = []
    for level in [each for index, each in enumerate(levels) if each not in levels[:index]]:
        for seed in range(arguments.seeds):
            of_data = {f"dataset.{field}": value for field, value in level.items()}
            config = get_config(method, task, {**LEFT_OUT, **settings, **of_data, "seed": seed})
            of_all = {**config.dataset, "train_fraction": 1.0, "imbalance": 1.0}
            in_part, in_all = (
                data_of(dataset, "train", arguments.data_dir).steps_per_epoch(config.batch_size)
                for dataset in (config.dataset, of_all)
            )
            config.epochs = round(config.epochs * in_all / in_part)  # the same number of steps
            name = level.get("labels") or "-".join(f"{field}{value:g}" for field, value in level.items())
            folder = arguments.output_dir / task / method / name / f"seed{seed}"
            print(f"{task}: {method}, {name}, seed {seed}", flush=True)
            script.main(config, launch.Options(output_dir=folder, data_dir=arguments.data_dir))
            keras.utils.clear_session()
            runs.append(RunFolder(folder))
    return runs


def measure(run: RunFolder, plain: dict[str, float], data_dir: Path | None = None) -> dict[str, Any]:
    """Return what a run is of, as in `LEVEL`, and its metrics; `ood/<metric>` is the mean over OOD sets."""
    recorded = run.results["metrics"]
    found = {name: recorded[name] for name in RECORDED if name in recorded} | evaluation.uncertainty_parts(run)
    sets = [split.key for split in run.task.of("near_ood", "far_ood")]
    for part in evaluation.PARTS if sets else ():
        for name in (part, f"{part}/auroc"):
            found[f"ood/{name}"] = float(np.mean([found[f"{key}/{name}"] for key in sets]))
    data = {name: run.config["dataset"][name] for name in plain}
    row = {"method": run.method, **data, "seed": run.config["seed"], "metrics": found}
    if plain == BALANCED:
        found |= of_rare_classes(run)
        return row
    entropy = evaluation.label_entropy(data["label_noise"], run.task.likelihood.num_outputs)
    if run.config["dataset"].get("labels", "clean") != "clean":
        given, clean = (
            data_of({**run.config["dataset"], "labels": labels}, "train", data_dir).labels
            for labels in (run.config["dataset"]["labels"], "clean")
        )
        row["label_noise"], entropy = float(np.mean(given != clean)), conditional_entropy(given, clean)
    return {**row, "label_entropy": entropy}


def of_rare_classes(run: RunFolder) -> dict[str, float]:
    """Return means over test examples of the rare half of the classes, those with the higher labels."""
    likelihood, saved = run.task.likelihood, run.predictions(run.task.in_distribution)
    rare = saved["labels"] >= likelihood.num_outputs / 2
    of_example = dict(zip(evaluation.PARTS, likelihood.decomposed(saved)))
    for name in ("accuracy", "nll"):
        of_example[name] = metrics.per_example(name, likelihood.metric_input(saved), saved["labels"])
    return {f"rare/{name}": float(values[rare].mean(dtype=np.float64)) for name, values in of_example.items()}


def conditional_entropy(given: np.ndarray, clean: np.ndarray) -> float:
    """Return the entropy in nats of given labels `[n]` where the clean ones `[n]` are known."""
    counts = np.zeros((clean.max() + 1, given.max() + 1))
    np.add.at(counts, (clean, given), 1)
    return float(np.average(scipy.stats.entropy(counts, axis=1), weights=counts.sum(axis=1)))


def summarize(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return mean and standard error over seeds of each metric, for each method and level."""
    levels: dict[tuple, list[dict[str, float]]] = {}
    for row in rows:
        level = tuple((name, row[name]) for name in LEVEL if name in row)
        levels.setdefault(level, []).append(row["metrics"])
    summary = []
    for level, of_level in levels.items():
        shared = [name for name in of_level[0] if all(name in of_run for of_run in of_level)]
        means = {name: statistic([of_run[name] for of_run in of_level]) for name in shared}
        summary.append({**dict(level), "seeds": len(of_level), "metrics": means})
    return summary


def statistic(values: list[float]) -> dict[str, float | None]:
    """Return the mean and its standard error; of one value there is none."""
    error = float(scipy.stats.sem(np.subtract(values, values[0]))) if len(values) > 1 else None  # 0 of equal ones
    return {"mean": float(np.mean(values)), "standard_error": error}


def judge(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was to be seen and what was seen, for each method."""
    claims = []
    plain = BALANCED if "imbalance" in rows[0] else NOTHING_SWEPT
    of_fields = [claim for claim in CLAIMS if claim[1] in plain]
    for method, (part, swept, expected) in itertools.product(dict.fromkeys(row["method"] for row in rows), of_fields):
        of_seed: dict[int, dict[float, float]] = {}  # the mean uncertainty by level
        for row in rows:
            if row["method"] == method and all(row[name] == plain[name] for name in plain if name != swept):
                of_seed.setdefault(row["seed"], {})[row[swept]] = row["metrics"][f"test/{part}"]
        if any(len(values) < 2 for values in of_seed.values()):
            continue
        correlations = [float(scipy.stats.spearmanr(*zip(*each.items())).statistic) for each in of_seed.values()]
        correlations = [round(value, 9) for value in correlations]  # 0.8 may be 0.7999999999999999
        plainest = min(next(iter(of_seed.values())), key=lambda level: abs(level - plain[swept]))
        ratios = [[each[level] / each[plainest] for each in of_seed.values()] for level in next(iter(of_seed.values()))]
        means = np.mean(ratios, axis=1)
        seen = {
            "rises": min(correlations) >= CLEAR,
            "falls": max(correlations) <= -CLEAR,
            "does not rise": means.max() <= MARGIN,
            "does not change": means.max() <= MARGIN and means.min() >= 1 / MARGIN,
        }
        furthest = statistic(ratios[int(np.abs(np.log(means)).argmax())])
        claim = {"method": method, "part": part, "with": swept, "expected": expected, "seen": bool(seen[expected])}
        claims.append({**claim, "rank_correlations": correlations, "furthest_ratio_to_plain_data": furthest})
    return claims


def table_of_levels(levels: list[dict[str, Any]]) -> str:
    """Return the metrics of all levels as a Markdown table."""
    rows, columns = [], {**COLUMNS, **(OF_RARE_CLASSES if "imbalance" in levels[0] else {})}
    fields = [name for name in LEVEL[1:] if name in levels[0]]
    for level in levels:
        of_level = level["metrics"]
        cells = [level["method"], *(f"{level[name]:.3g}" for name in fields)]
        cells += [write(of_level.get(name)) for name in columns.values()]
        for name in PAIRS.values():
            cells.append(" / ".join(write(of_level.get(name.format(part)), error=False) for part in evaluation.PARTS))
        rows.append(cells)
    pairs = [f"{name} by aleatoric / epistemic" for name in PAIRS]
    return markdown(["method", *(name.replace("_", " ") for name in fields), *columns, *pairs], rows)


def table_of_claims(claims: list[dict[str, Any]]) -> str:
    """Return what was seen as a Markdown table."""
    rows = [
        [
            claim["method"],
            f"{claim['part']} {claim['expected']} with `{claim['with']}`",
            "seen" if claim["seen"] else "not seen",
            ", ".join(f"{value:.2g}" for value in claim["rank_correlations"]),
            write(claim["furthest_ratio_to_plain_data"]),
        ]
        for claim in claims
    ]
    header = [
        "method",
        "what should be seen",
        "",
        "rank correlation with the level, by seed",
        "furthest ratio to the plain data",
    ]
    return markdown(header, rows)


def write(value: dict[str, float | None] | None, error: bool = True) -> str:
    """Return a statistic as a table has it, with its standard error or without."""
    if value is None:
        return "-"
    mean, spread = value["mean"], value["standard_error"]
    return f"{mean:.3g} ± {spread:.1g}" if error and spread is not None else f"{mean:.3g}"


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
