"""Make an ensemble of finished runs, without training: of SNGPs, of MC dropouts, of different architectures, of seeds.

    python -m uncertainty_suite.combine RUN RUN ... --output_dir runs/mnist/three_sngps/seed0 --method three_sngps
    python -m uncertainty_suite.combine RUN RUN ... --output_dir DIR --predict
    python -m uncertainty_suite.combine RUN RUN ... --output_dir DIR --greedy 4

The ensemble is a run like any other: a folder that can be evaluated anew, drawn, compared, and added to the records.
Its prediction is the mixture of those of its runs, each with the same weight. For several seeds of it combine each
group of runs once: the seed of an ensemble is the least of its runs.

- Where all runs have saved their samples (`--config.evaluation.save="('samples',)"`, or logits) and equally many, these
  are the ensemble's samples; a mutual information is that of all of them, within runs and between.
- Else each run is one sample, its mean. The mixture is the same to the last digits, and the mutual information is that
  between runs. Of a regression all samples are saved anyway, and are repeated where runs have different numbers.
- With `--predict` all samples, those of the runs' evaluation, are predicted anew from the trained networks, which needs
  TensorFlow and the data.

With `--greedy SIZE` members are chosen from the runs, on the validation split: first the run of the least NLL, then
again and again the one with which the mixture has the least. The same run can be taken again, and then has as much more
weight (with replacement, as in Caruana et al. 2004). It ends with the SIZE-th different run, or where no run makes the
mixture better. Of runs that differ in their hyper-parameters, such as the trials of a search, this is a hyper-deep
ensemble (Wenzel et al. 2020, arXiv:2006.13570).

Metrics, OOD scores and calibrations are those that all runs have, on the splits that all have.

A method's own uncertainties, such as a variance, are averaged where all runs have them. OOD scores are those of logits
where these are saved; features of different networks have no mean. Parameters, times and FLOPs are sums.

One split of all runs is in memory at a time, and computed in pieces. With 1,000 classes and 50,000 examples, a file of
one split has 0.2 GB, and as much again for each sample saved; the 95 shifted sets of ImageNet-C are 19 GB on disk for
each run and for the ensemble. An ensemble of five runs needs some 2 GB of memory, whatever the number of sets.
"""

from __future__ import annotations

import argparse
import collections
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from uncertainty_suite import assembled, configuration, metrics, program, trained
from uncertainty_suite.errors import InputError, one_line
from uncertainty_suite.evaluation.measurement import MEASURED, NO_VALUE, of_samples
from uncertainty_suite.evaluation.prediction import Predictor
from uncertainty_suite.leaderboard import Record, read_record, render
from uncertainty_suite.leaderboard.records import check_comparable
from uncertainty_suite.leaderboard.tables import COSTS
from uncertainty_suite.likelihoods import Likelihood, Saved
from uncertainty_suite.likelihoods.base import further_uncertainties
from uncertainty_suite.metrics.recalibration import log_softmax
from uncertainty_suite.predictions import Predictions
from uncertainty_suite.program import Parser
from uncertainty_suite.runs import PROTOCOL_VERSION, RunFolder
from uncertainty_suite.tasks import Split, Task

_NUMBERS_AT_ONCE = 2**22  # probabilities of all samples in a piece


class _Piece(NamedTuple):
    """What every run says of some examples of a split."""

    said: list[Predictions]
    labels: np.ndarray
    element_id: np.ndarray


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = Parser(
        prog="python -m uncertainty_suite.combine",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a finished run's folder")
    parser.add_argument("--output_dir", required=True, type=Path, metavar="DIR", help="the folder of the ensemble")
    parser.add_argument("--method", default="combined", help="its name in tables; default: combined")
    parser.add_argument("--predict", action="store_true", help="predict anew from the trained networks, all samples")
    parser.add_argument("--greedy", type=int, metavar="SIZE", help="choose members on the validation split")
    parser.add_argument("--data_dir", help="prepared data sets, to predict anew")
    try:
        arguments = parser.parse_args(argv)
        run = combine(**vars(arguments))
        kept = [split.key for split in run.task.splits]
        lost = {split.key for path in arguments.runs for split in _splits(RunFolder(path)) if split.key not in kept}
        if lost:
            print(f"combine: not in all runs, left out: {', '.join(sorted(lost))}", file=sys.stderr)
        print(run.path)
        print(render([read_record(run.path)]), end="")
    except InputError as error:
        print(f"combine: {one_line(error)}", file=sys.stderr)
        return 1
    return 0


def combine(
    runs: Sequence[str | Path],
    output_dir: str | Path,
    method: str = "combined",
    predict: bool = False,
    data_dir: str | Path | None = None,
    greedy: int | None = None,
) -> RunFolder:
    """Make a run of several, whose predictions are the mean of theirs.

    Args:
        runs: Folders of finished runs of one task, two at least.
        output_dir: The new run's folder.
        method: Its name.
        predict: Predict anew from the trained networks, to have all samples, instead of reading what is saved.
        data_dir: Folder of prepared data sets, to predict anew.
        greedy: How many different runs are chosen, at most, on the validation split; None for all.

    Returns:
        The new run's folder.

    Raises:
        InputError: Runs differ in task, data, fold or protocol, or one is there twice, is not finished or damaged.

    Example:
        >>> ensemble = combine(["runs/digits/sngp-1a2b3c4d/seed0", "runs/digits/sngp-1a2b3c4d/seed1"], "runs/both")
        >>> ensemble.results["metrics"]["test/nll"]
    """
    records = [read_record(path) for path in runs]
    folders = [RunFolder(path) for path in runs]
    _check(records, folders)
    configuration.check_name("--method", method)
    if greedy is not None and greedy < 1:
        raise InputError(f"--greedy must be at least 1, received {greedy}.")
    pool, seed = records, min(record.seed for record in records)
    weights = [1] * len(records)
    tuned: dict[str, dict[str, Any]] = {}
    if greedy is not None:
        chosen, tuned = _chosen(records, folders, greedy)
        counts = collections.Counter(chosen)
        records, folders = [records[i] for i in counts], [folders[i] for i in counts]
        weights = list(counts.values())
    task = folders[0].task
    splits = [split for split in _splits(folders[0]) if all(split in _splits(folder) for folder in folders)]
    if all(split.role != "validation" for split in splits):  # with which OOD validation sets are compared
        splits = [split for split in splits if split.role != "ood_validation"]
    if all(split.key != task.in_distribution for split in splits):
        raise InputError(f"The runs have not all predicted the same split '{task.in_distribution}'.")
    inside = [folder.predictions(task.in_distribution) for folder in folders]
    arrays = inside[0].keys() - task.likelihood.savable().keys()
    stacked = [] if predict else _stacked(folders, inside, task.likelihood)
    del inside

    parts = [{"method": one.method, "model": one.model, "config_hash": one.config_hash} for one in pool]
    evaluation = dict(folders[0].config["evaluation"])
    for field in ("metrics", "ood_scores", "posthoc"):
        lists = [folder.config["evaluation"][field] for folder in folders]
        evaluation[field] = [each for each in lists[0] if all(each in others for others in lists)]
    config = {
        "method": method,
        "seed": seed,
        "dataset": dict(records[0].config["dataset"]),
        "model": {"name": "+".join(dict.fromkeys(record.model for record in records))},
        "evaluation": assembled.evaluation_of(evaluation, stacked, [*arrays, *stacked]),
        # Not which runs, but of which experiments: so the groups of several seeds are replicates of one experiment.
        "combined": {
            "parts": sorted(parts, key=lambda part: tuple(part.values())),
            "predict": predict,
            **({} if greedy is None else {"greedy": greedy}),
        },
    }
    kept = Task(task.name, task.likelihood, tuple(splits), task.in_distribution)
    what = _describe(config, kept, records, folders, weights, tuned)
    pieces = (
        _predicted(folders, splits, what, data_dir) if predict else _saved(folders, splits, stacked, task.likelihood)
    )
    weighted = ((split, (_weighted(piece, weights) for piece in each)) for split, each in pieces)
    mixed = (
        (split, _mixture(each, split, evaluation["metrics"], stacked, task.likelihood)) for split, each in weighted
    )
    return assembled.write_run(Path(output_dir), what, mixed)


def _chosen(
    records: Sequence[Record], folders: Sequence[RunFolder], size: int
) -> tuple[list[int], dict[str, dict[str, Any]]]:
    """Return the runs that a greedy choice takes, one after the other, and what a record says of it."""
    split = next(iter(folders[0].task.of("validation")), None)
    if split is None or any(split not in folder.task.splits for folder in folders):
        raise InputError("Members are chosen on the validation split, and not all runs have predicted the same one.")
    likelihood = folders[0].task.likelihood
    saved = [folder.predictions(split.key) for folder in folders]
    pieces = list(_pieces(split, saved, folders, (), likelihood))

    def loss(members: Sequence[int]) -> float:
        metric = metrics.get(likelihood.criterion)
        for piece in pieces:
            mixed = _mixed([piece.said[member] for member in members], likelihood)
            metric.add_batch(likelihood.metric_input(likelihood.to_saved(mixed)), label=piece.labels)
        return metric.result()[likelihood.criterion]

    chosen: list[int] = []
    scores: list[float] = []
    while len(set(chosen)) < size:
        losses = [loss([*chosen, member]) for member in range(len(folders))]
        best = int(np.argmin(losses))
        if scores and losses[best] >= scores[-1]:
            break
        chosen.append(best)
        scores.append(losses[best])
    names = [
        f"{record.method}-{record.config_hash[:8]}/{configuration.replicate_name(folder.config)}"
        for record, folder in zip(records, folders)
    ]
    said = {
        "values": names,
        "chosen": [names[member] for member in chosen],
        "scores": scores,  # after each of them
        "criterion": likelihood.criterion,
        "split": split.key,
    }
    return chosen, {"combined.members": said}


def _weighted(piece: _Piece, weights: Sequence[int]) -> _Piece:
    """Return a piece in which each run says what it says as often as its weight."""
    return piece._replace(said=[one for one, weight in zip(piece.said, weights) for _ in range(weight)])


def _splits(run: RunFolder) -> list[Split]:
    """Return the splits of a run that an ensemble can have; training examples are there for features alone."""
    return [split for split in run.task.splits if split.role != "fit"]


def _check(records: Sequence[Record], folders: Sequence[RunFolder]) -> None:
    """Refuse what makes no ensemble."""
    if len(records) < 2:
        raise InputError("One run is no ensemble: give two at least.")
    first = records[0]
    holders: dict[str, Path] = {}
    for record, folder in zip(records, folders):
        if not record.is_run:
            raise InputError(f"{record.folder} is a record, which has no predictions. Give the run's folder.")
        if record.protocol_version != PROTOCOL_VERSION:
            old = f"{record.folder} is of protocol {record.protocol_version}"
            raise InputError(f"{old}, and this suite's is {PROTOCOL_VERSION}. Run it anew.")
        for name, mine, other in (
            ("task", record.task, first.task),
            ("config.dataset", dict(record.config["dataset"]), dict(first.config["dataset"])),
        ):
            if mine != other:
                raise InputError(f"{name} differs, {other} in {first.folder} and {mine} in {record.folder}.")
        for member in _members(folder):
            holder = holders.get(member["trained_id"])
            if holder is not None:
                raise InputError(f"{holder} and {record.folder} are the same run, or hold it. Give it once.")
            holders[member["trained_id"]] = record.folder
    check_comparable(records)


def _members(run: RunFolder) -> list[dict[str, Any]]:
    """Return what names a run, or each of those that it was made of."""
    made_from = (run.provenance or {}).get("made_from", {})
    own = {"method": run.method, "seed": run.config["seed"], "id": run.id}
    return made_from.get("runs") or [{**own, "trained_id": configuration.trained_id(run.config)}]


def _describe(
    config: dict[str, Any],
    task: Task,
    records: Sequence[Record],
    folders: Sequence[RunFolder],
    weights: Sequence[int],
    tuned: Mapping[str, Any],
) -> assembled.Assembled:
    """Return what the ensemble's folder says of it."""
    fingerprints = {key: value for record in records for key, value in record.data_fingerprint.items()}
    kept = {"train", *(split.key for split in task.splits)}
    sizes = {record.batch_size_global for record in records}
    made_from: dict[str, Any] = {"runs": [member for folder in folders for member in _members(folder)]}
    if set(weights) != {1}:
        made_from["weights"] = list(weights)
    return assembled.Assembled(
        config=config,
        task=task,
        fingerprints={key: value for key, value in fingerprints.items() if key in kept},
        provenance={
            "made_from": made_from,
            "trained_here": all(record.provenance.get("trained_here", True) for record in records),
            **{name: value for name, value in records[0].provenance.items() if name == "config_file"},
        },
        costs={
            name: sum(record.metrics[name] for record in records)
            for name in COSTS
            if all(name in record.metrics for record in records)
        },
        batch_size=sizes.pop() if len(sizes) == 1 else 0,
        tuned=tuned,
    )


def _stacked(folders: Sequence[RunFolder], inside: Sequence[Saved], likelihood: Likelihood) -> list[str]:
    """Return the arrays of samples to read and to save: those that all runs were asked to save, of as many samples.

    What is saved of some splits alone, for an OOD score, does not count: uncertainties must mean the same on all.
    """
    names = [name for name in likelihood.by_sample if name in likelihood.savable()]
    asked = [name for name in names if all(name in folder.config["evaluation"]["save"] for folder in folders)]
    return [name for name in asked if len({len(saved[name]) for saved in inside}) == 1]


def _saved(
    folders: Sequence[RunFolder], splits: Iterable[Split], stacked: Sequence[str], likelihood: Likelihood
) -> Iterator[tuple[Split, Iterator[_Piece]]]:
    """Yield each split with what the runs have saved of it."""
    for split in splits:
        yield split, _pieces(split, [folder.predictions(split.key) for folder in folders], folders, stacked, likelihood)


def _pieces(
    split: Split,
    saved: Sequence[Saved],
    folders: Sequence[RunFolder],
    stacked: Sequence[str],
    likelihood: Likelihood,
) -> Iterator[_Piece]:
    labels, ids = saved[0]["labels"], saved[0]["element_id"]
    rows = []
    for one, folder in zip(saved, folders):
        order = np.argsort(one["element_id"])
        places = np.searchsorted(one["element_id"], ids, sorter=order)
        own = order[np.minimum(places, len(order) - 1)]
        same = len(own) == len(order) and np.array_equal(one["element_id"][own], ids)
        if not same or (split.labelled and not np.array_equal(one["labels"][own], labels)):
            raise InputError(
                f"{folder.path} has predicted other examples of '{split.key}' than {folders[0].path}, or with other "
                "labels."
            )
        rows.append(own)
    numbers = sum(values.size for one in saved for values in one.values())
    step = max(1, _NUMBERS_AT_ONCE * len(ids) // numbers)
    for start in range(0, len(ids), step):
        chosen = slice(start, start + step)
        said = [_said(one, own[chosen], stacked, likelihood) for one, own in zip(saved, rows)]
        yield _Piece(said, labels[chosen], ids[chosen])


def _said(saved: Saved, rows: np.ndarray, stacked: Sequence[str], likelihood: Likelihood) -> Predictions:
    """Return saved predictions of some examples: with all their samples, or their mean as the one that there is."""
    further = {name: values[rows] for name, values in further_uncertainties(saved).items()}
    if "mean" in saved:
        return Predictions(mean=saved["mean"][:, rows], stddev=saved["stddev"][:, rows], uncertainty=further)
    if "logits" in stacked:
        logits = saved["logits"][:, rows].astype(np.float64)
        return Predictions(probs=np.exp(log_softmax(logits)), logits=logits, uncertainty=further)
    if "samples" in stacked:
        return Predictions(probs=saved["samples"][:, rows], uncertainty=further)
    of_examples = {name: values for name, values in saved.items() if values.ndim and name not in likelihood.savable()}
    one = {name: values[rows] for name, values in of_examples.items()}
    return Predictions(probs=likelihood.metric_input(one)[np.newaxis], uncertainty=further)


def _predicted(
    folders: Sequence[RunFolder], splits: Iterable[Split], what: assembled.Assembled, data_dir: str | Path | None
) -> Iterator[tuple[Split, Iterator[_Piece]]]:
    """Yield each split with what the runs' trained networks say of it now."""
    restored = [trained.restore(folder.path, data_dir) for folder in folders]
    predictors = [Predictor(one.predict, one.run) for one in restored]
    batch_size = min(predictor.batch_size for predictor in predictors)

    def pieces(split: Split) -> Iterator[_Piece]:
        data = restored[0].run.get_data(split)
        if data.fingerprint() != what.fingerprints.get(split.key, data.fingerprint()):
            raise InputError(f"The data of '{split.key}' are not those that the runs were evaluated on.")
        for predictor in predictors:
            predictor.begin(split.key)
        for batch in data.batches(batch_size, max_examples=split.max_examples):
            said = [predictor(batch["features"]) for predictor in predictors]
            yield _Piece(said, batch["labels"].numpy(), batch["element_id"].numpy())

    for split in splits:
        yield split, pieces(split)


def _mixture(
    pieces: Iterable[_Piece], split: Split, names: Iterable[str], stacked: Sequence[str], likelihood: Likelihood
) -> Saved:
    """Return what a run saves of a split, of the mixture of what some runs say."""
    collection = metrics.Collection(of_samples(names) if split.labelled else ())
    parts: dict[str, list[np.ndarray]] = collections.defaultdict(list)
    for piece in pieces:
        mixed = _mixed(piece.said, likelihood)
        kept = {name: getattr(mixed, likelihood.savable()[name]).astype(np.float32) for name in stacked}
        rest = {"labels": piece.labels, "element_id": piece.element_id}
        for name, values in {**likelihood.to_saved(mixed), **kept, **rest}.items():
            parts[name].append(values)
        if collection.metrics:
            collection.add_batch(likelihood.samples_input(mixed), label=piece.labels)
    saved = {name: np.concatenate(each, axis=1 if name in likelihood.by_sample else 0) for name, each in parts.items()}
    if collection.metrics:
        saved |= {f"{MEASURED}{name}": np.asarray(value) for name, value in collection.result().items()}
        saved |= {f"{NO_VALUE}{name}": np.asarray(reason) for name, reason in collection.left_out.items()}
    return saved


def _mixed(said: Sequence[Predictions], likelihood: Likelihood) -> Predictions:
    """Return predictions with the samples of all, so that each of them has the same weight."""
    shared = set.intersection(*(set(one.uncertainty) for one in said))
    uncertainty = {name: np.mean([one.uncertainty[name] for one in said], axis=0) for name in sorted(shared)}
    if said[0].mean is not None:
        common = math.lcm(*(len(one.mean) for one in said))
        repeated = {
            name: np.concatenate([np.repeat(values, common // len(values), axis=0) for values in arrays])
            for name, arrays in (("mean", [one.mean for one in said]), ("stddev", [one.stddev for one in said]))
        }
        return Predictions(**repeated, uncertainty=uncertainty)
    if len({len(one.probs) for one in said}) > 1:
        means = [likelihood.metric_input(likelihood.to_saved(one)) for one in said]
        return Predictions(probs=np.stack(means), uncertainty=uncertainty)
    logits = [one.logits for one in said]
    return Predictions(
        probs=np.concatenate([one.probs for one in said]),
        logits=None if any(values is None for values in logits) else np.concatenate(logits),
        uncertainty=uncertainty,
    )


if __name__ == "__main__":
    program.run("combine", main)
