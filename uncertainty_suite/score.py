"""Make a run of predictions from anywhere: of PyTorch, JAX, scikit-learn, another machine.

    python -m uncertainty_suite.score predictions.npz --task mnist --method mine --seed 0
    python -m uncertainty_suite.score predictions.npz --task mnist --method mine --seed 0 --add

The run is measured as all others are and stands beside them in tables, figures and tests; it says that it was not
trained here. `--add` adds it to the records of `--records` and prints their table, with its tests.

The file, as `numpy.savez` writes it, holds for the task's test split

- `probs` or, which say more, `logits`, `[n, classes]` or `[samples, n, classes]`; of a regression `mean` and `stddev`,
  `[n]` or `[samples, n]`, in the target's own units;
- `element_id` `[n]`: which example each row is. `datasets.get("mnist", "test")` has them, with `features` and `labels`;
- `labels` `[n]`, which may be left out,

and the same for further splits of the task, with their key before the name: `validation/probs`, `shift/fog_3/probs`,
`ood/fashion_mnist/probs`, each with its `<split>/element_id`, and `validation/labels`. What has no predictions is not
measured: without `validation` there is no temperature scaling, without one of the shifted sets no mean over them. The
record says so of each number that is left out.

Rows may be in any order, but each split must be whole, and its labels the task's. They are compared with those of the
records, without the data and without TensorFlow; where no record has the split, the data are read.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from uncertainty_suite import assembled, configuration, datasets, likelihoods, program, shipped, tasks
from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.files import OpenArrays, open_regular
from uncertainty_suite.leaderboard import fields, render, store
from uncertainty_suite.leaderboard import records as leaderboard_records
from uncertainty_suite.leaderboard.fields import printable
from uncertainty_suite.leaderboard.records import load_labels
from uncertainty_suite.leaderboard.scores import digest
from uncertainty_suite.likelihoods import Likelihood, Saved
from uncertainty_suite.metrics.base import to_array, to_finite, to_samples
from uncertainty_suite.metrics.recalibration import are_probs, log_softmax
from uncertainty_suite.predictions import Predictions
from uncertainty_suite.program import Parser
from uncertainty_suite.runs import PROTOCOL_VERSION, RunFolder
from uncertainty_suite.tasks import Split, Task
from uncertainty_suite.training.run import data_of
from uncertainty_suite.training.schema import complete

_PREDICTED = {"categorical": ("probs", "logits"), "gaussian": ("mean", "stddev")}
_CLASSES = "[n, classes] or [samples, n, classes]"
_TARGETS = "[n] or [samples, n]"
_STANDARD_ERRORS = 3  # by which predictions must fit their labels better than those of other examples
_CLEARLY = 5  # the same, to say that rows are in another order than their ids


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = Parser(
        prog="python -m uncertainty_suite.score",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("predictions", type=Path, metavar="FILE", help="the predictions, .npz")
    parser.add_argument("--task", required=True, help="mnist, uci:yacht, or a configuration file with its variant")
    parser.add_argument("--method", required=True, help="its name in tables; the seeds of a method have the same one")
    parser.add_argument("--model", default="unknown", help="name of the architecture")
    parser.add_argument("--seed", type=int, default=0, help="of the training; default: 0")
    parser.add_argument("--fold", type=int, help="of the data, where the task has folds; default: 0")
    parser.add_argument("--output_dir", help="default: runs/<task>/<method>-<hash>/seed<seed>")
    parser.add_argument("--records", type=Path, default=Path("leaderboards"), help="default: leaderboards")
    parser.add_argument("--add", action="store_true", help="add the run to the records, and print their table")
    parser.add_argument("--data_dir", help="prepared data sets, for what no record has")
    try:
        given = vars(parser.parse_args(argv))
        add = given.pop("add")
        run = score(**given)
        found = [leaderboard_records.read_record(run.path)]
        print(run.path)
        if add:
            print("\n".join(store.add([run.path], given["records"])))
            found = store.neighbours(given["records"] / leaderboard_records.safe(run.task.name))
        print(render(found), end="")
    except InputError as error:
        print(f"score: {printable(str(error))}", file=sys.stderr)
        return 1
    return 0


def score(
    predictions: Mapping[str, Any] | str | Path,
    task: str,
    method: str,
    model: str = "unknown",
    seed: int = 0,
    fold: int | None = None,
    output_dir: str | Path | None = None,
    records: str | Path = "leaderboards",
    data_dir: str | Path | None = None,
) -> RunFolder:
    """Make a finished run of predictions from anywhere, and measure them.

    Args:
        predictions: Arrays by name, or an `.npz` file of them; the module says which.
        task: Name of a task's configuration file, with its variant: `"mnist"`, `"uci:yacht"`; or its path.
        method: Name of the method.
        model: Name of the architecture.
        seed: Of the training. The runs of a method that differ in seed and fold alone are one row of a table.
        fold: Of the data, where the task has folds; 0 if None.
        output_dir: The run's folder; `runs/<data set>/<method>-<hash>/seed<seed>` if None.
        records: Folder of the records with which examples and labels are compared.
        data_dir: Folder of prepared data sets, which are read where no record has a split.

    Returns:
        The run's folder.

    Raises:
        InputError: There is no such task; or an array is missing, of another shape, not finite, no probabilities, or of
            other examples than the task's.

    Example:
        >>> run = score({"logits": logits, "element_id": ids}, task="mnist", method="mine")
        >>> run.results["metrics"]["test/nll"]
    """
    if output_dir == "":
        raise InputError("--output_dir is empty. Name a folder, or leave it out.")
    file = _Arrays(predictions)
    config_file, config = _config(task, method, model, seed, fold)
    splits, inside = _splits(file, config)
    reference = _of_records(Path(records), config, splits) or _of_data(config, splits, data_dir)
    likelihood = reference.likelihood
    save = _saved_arrays(file, splits, inside, likelihood)

    def prepared() -> Iterator[tuple[Split, Saved]]:
        for split in splits:
            yield split, _prepare(file, split, inside, reference, save)

    kept: set[str] = set()
    for split, saved in prepared():  # all of it is checked before any of it is written
        kept = kept or set(saved)
        if kept != saved.keys():  # of one sample there is no mutual information
            raise InputError(
                f"{file.name} has one sample of '{splits[0].key}' or '{split.key}', and several of the other."
            )
    config["evaluation"] = assembled.evaluation_of(config["evaluation"], save, kept)
    given = {split.key for split in splits}
    what = assembled.Assembled(
        config=config,
        task=Task(config["dataset"]["name"], likelihood, tuple(splits), inside),
        fingerprints={key: value for key, value in reference.fingerprints.items() if key in given},
        provenance={"made_from": {"sha256": file.sha256()}, "trained_here": False, "config_file": config_file},
        costs={},
    )
    return assembled.write_run(Path(output_dir or assembled.default_path(config)), what, prepared())


class _Arrays:
    """Arrays by name, of a file or in memory, each read when it is asked for."""

    def __init__(self, source: Mapping[str, Any] | str | Path) -> None:
        self._path = None if isinstance(source, Mapping) else Path(source)
        self.name = str(self._path or "predictions")
        self._arrays: Mapping[str, Any] = source if isinstance(source, Mapping) else self._reading(self._open)
        self.keys = list(self._arrays)

    def _open(self) -> OpenArrays:
        assert self._path is not None
        return OpenArrays(self._path)  # which stays open: arrays are read when needed

    def __getitem__(self, key: str) -> Any:
        return self._reading(lambda: self._arrays[key])

    def _reading(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except (OSError, ValueError) as error:
            raise InputError(f"Cannot read {self.name} ({error}). It must be as numpy.savez writes it.") from error

    def sha256(self) -> str:
        """Return the SHA-256 of the file, or of the arrays."""
        if self._path:
            with open_regular(self._path) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        sha256 = hashlib.sha256()
        for key in sorted(self.keys):
            array = np.asarray(self[key])
            sha256.update(f"{key} {array.dtype} {array.shape} ".encode() + array.tobytes())
        return sha256.hexdigest()


class _Reference(NamedTuple):
    """What is known of the examples of a task."""

    likelihood: Likelihood
    element_ids: np.ndarray  # of the in-distribution split, in its order
    labels: np.ndarray
    digests: Mapping[str, Mapping[str, Any]]  # of the other splits; see `leaderboard.scores.digest`
    fingerprints: Mapping[str, str]


def _config(text: str, method: str, model: str, seed: int, fold: int | None) -> tuple[str, dict[str, Any]]:
    """Return a task's configuration file, and the configuration of a run that was not trained here.

    Of the task's it has data and evaluation. It does not name the file of predictions, so that the runs of several
    seeds are one experiment; the provenance does.
    """
    file = shipped.config_file(text)
    path, _, variant = file.partition(":")
    config = configuration.to_json(complete(configuration.load(path, *[variant] if variant else []), None, ""))
    if "fold" in config["dataset"]:
        config["dataset"]["fold"] = fold or 0
    elif fold is not None:
        raise InputError(f"Task '{text}' has no folds: leave out the fold.")
    fields.name("method", method)
    fields.name("model", model)
    if not 0 <= seed < 2**32:
        raise InputError(f"The seed must be from 0 to {2**32 - 1}, received {seed}.")
    parts = {part: config[part] for part in ("dataset", "evaluation")}
    own = {"method": method, "model": {"name": model}, "seed": seed, "source": "predictions"}
    return file, {**own, **parts}


def _splits(file: _Arrays, config: Mapping[str, Any]) -> tuple[list[Split], str]:
    """Return the splits of the task that a file has predictions of, in the task's order, and which one is inside."""
    inside = config["evaluation"]["in_distribution"]
    known = {split.key: split for split in tasks.plan(config, fit=False)}
    names = _PREDICTED[datasets.find(config["dataset"]["name"]).likelihood]
    found: dict[str, set[str]] = {}
    for key in file.keys:
        split, _, name = key.rpartition("/")
        split = split or inside
        if name not in (*names, "element_id", "labels"):
            raise unknown_name(f"array in {file.name}", key, (*names, "element_id", "labels"))
        if split not in known:
            shifts = [each.key for each in known.values() if each.derived]
            names_of_splits = [name for name in known if name not in shifts]
            more = f", and {len(shifts)} like {shifts[0]}" if shifts else ""
            raise InputError(
                f"{file.name} has '{key}', and the task no split '{split}'. It has {', '.join(names_of_splits)}{more}."
            )
        if name in found.setdefault(split, set()):
            raise InputError(f"{file.name} has {name} and {inside}/{name}, which are of the same split. Give one.")
        found[split].add(name)
    if inside not in found:
        raise InputError(f"{file.name} has no predictions of '{inside}', the task's own data: {' or '.join(names)}.")
    splits = [split for split in known.values() if split.key in found]
    roles = {split.role for split in splits}
    if "ood_validation" in roles and "validation" not in roles:
        raise InputError(f"{file.name} has OOD sets to choose options on, which need the split 'validation', too.")
    return splits, inside


def _saved_arrays(file: _Arrays, splits: Sequence[Split], inside: str, likelihood: Likelihood) -> tuple[str, ...]:
    """Return which arrays are saved beside what every run saves: logits, or else samples where there are several."""
    if "samples" not in likelihood.savable():
        return ()
    if all(_key(file, split.key, "logits", inside) for split in splits):
        return ("logits",)
    probs = _key(file, inside, "probs", inside)
    return ("samples",) if probs and np.ndim(file[probs]) == 3 else ()


def _of_records(folder: Path, config: Mapping[str, Any], splits: Sequence[Split]) -> _Reference | None:
    """Return what the records of the task know of its examples; None where they lack one of the splits."""
    name, inside = config["dataset"]["name"], config["evaluation"]["in_distribution"]
    known: tuple[Likelihood, np.ndarray, np.ndarray] | None = None
    digests: dict[str, Any] = {}
    fingerprints: dict[str, str] = {}
    for record in store.neighbours(folder / leaderboard_records.safe(name)):
        same = (record.protocol_version, record.in_distribution) == (PROTOCOL_VERSION, inside)
        if not same or record.fold != config["dataset"].get("fold"):
            continue
        labels = load_labels(record) if known is None else None
        if labels is not None:
            parameters = dict(record.likelihood)
            known = likelihoods.get(parameters.pop("name"), **parameters), *labels
        digests = {**record.examples, **digests}
        fingerprints = {**record.data_fingerprint, **fingerprints}
    checked = {split.key for split in splits if not split.derived and split.role != "predict_only"}
    if known is None or not checked <= digests.keys():
        return None
    return _Reference(*known, digests, fingerprints)


def _of_data(config: Mapping[str, Any], splits: Sequence[Split], data_dir: str | Path | None) -> _Reference:
    """Return what the data themselves say."""
    digests, fingerprints, inside = {}, {}, None
    for split in splits:
        data = data_of(config["dataset"], split, data_dir)
        fingerprints[split.key] = data.fingerprint()
        digests[split.key] = digest(data.element_ids, data.labels if split.labelled else None)
        if split.key == config["evaluation"]["in_distribution"]:
            inside = data
    assert inside is not None
    parameters = (
        {"num_classes": inside.num_classes}
        if inside.likelihood == "categorical"
        else {"mean": inside.target_mean, "stddev": inside.target_stddev}
    )
    likelihood = likelihoods.get(inside.likelihood, **parameters)
    return _Reference(likelihood, inside.element_ids, inside.labels, digests, fingerprints)


def _prepare(file: _Arrays, split: Split, inside: str, reference: _Reference, save: Sequence[str]) -> Saved:
    """Return what a run saves of a split, in the task's order, once it is known to be right."""
    likelihood = reference.likelihood
    what = f"{file.name}: {split.key}"
    said = _predictions(file, split, inside, likelihood)
    count = next(values.shape[1] for values in said[:4] if values is not None)
    element_ids = _of_rows(file, split, "element_id", inside, count, "integers")
    if element_ids is None:
        raise InputError(f"{what} has no element_id, which says what example each row is; see --help.")
    unique, first = np.unique(element_ids, return_index=True)
    if len(unique) < count:
        twice = np.delete(element_ids, first)[0]
        raise InputError(f"{what}: element_id {twice} is there twice. Each example must have one row.")
    kind = "integers" if likelihood.name == "categorical" else "numbers"
    labels = _of_rows(file, split, "labels", inside, count, kind) if split.labelled else None
    if split.key == inside or split.derived:
        last = split.max_examples or None
        rows = _places(what, element_ids, reference.element_ids[:last])
        expected = reference.labels[:last]
        _check_labels(what, element_ids[rows], None if labels is None else labels[rows], expected)
        needed = labels is None and split.key == inside
        _check_pairing(what, likelihood.metric_input(likelihood.to_saved(said)), rows, expected, needed)
        labels = expected
    else:
        rows = np.argsort(element_ids)
        if split.labelled and labels is None:
            raise InputError(f"{what} has no labels. Give them as {split.key}/labels.")
        if split.role != "predict_only":
            _check_digest(what, element_ids, labels, reference.digests[split.key])
        labels = np.full(count, -1) if labels is None else labels[rows]
    arrays = zip(Predictions._fields, said[:4])
    said = said._replace(**{name: values[:, rows] for name, values in arrays if values is not None})
    further = {name: getattr(said, likelihood.savable()[name]) for name in save}
    dtype = np.int32 if likelihood.name == "categorical" else np.float64
    ids = element_ids[rows].astype(np.int64)
    return {**likelihood.to_saved(said), **further, "labels": labels.astype(dtype), "element_id": ids}


def _key(file: _Arrays, split: str, name: str, inside: str) -> str | None:
    """Return under which key a file has an array of a split."""
    keys = (f"{split}/{name}", *([name] if split == inside else []))
    return next((key for key in keys if key in file.keys), None)


def _predictions(file: _Arrays, split: Split, inside: str, likelihood: Likelihood) -> Predictions:
    """Return the checked predictions of a split, with a sample axis."""
    keys = {name: _key(file, split.key, name, inside) for name in _PREDICTED[likelihood.name]}
    given = {name: key for name, key in keys.items() if key}
    if likelihood.name == "gaussian":
        return _of_targets(file, split, given)
    if len(given) != 1:
        found = "both probs and logits" if given else "neither probs nor logits"
        raise InputError(f"{file.name} has {found} of '{split.key}'. Give one of them; logits say more.")
    ((name, key),) = given.items()
    what = f"{file.name}: {key}"
    received = np.asarray(file[key])
    if received.ndim == 1 and likelihood.num_outputs == 2:
        raise InputError(f"{what} must have shape {_CLASSES}. Of sigmoid outputs p pass np.stack([1 - p, p], axis=-1).")
    values = to_finite(received, what, (2, 3), _CLASSES)
    if values.shape[-1] != likelihood.num_outputs:
        raise InputError(f"{what} has {values.shape[-1]} classes, and the task has {likelihood.num_outputs}.")
    if name == "probs":
        samples, _ = to_samples(received, what)
        return Predictions(probs=samples)
    if are_probs(values):
        raise InputError(f"{what} are probabilities: each row sums to one. Name them probs.")
    if values.max() < 1e-2 and are_probs(np.exp(values)):  # whose energy is 0 for every example, but for rounding
        raise InputError(
            f"{what} are log-probabilities: the exponentials of each row sum to one. Give the logits, before "
            "log_softmax, or these exponentials, in float64, as probs."
        )
    logits = values.reshape(-1, *values.shape[-2:])
    return Predictions(probs=np.exp(log_softmax(logits)), logits=logits)


def _of_targets(file: _Arrays, split: Split, given: Mapping[str, str]) -> Predictions:
    if len(given) < 2:
        raise InputError(
            f"{file.name} needs mean and stddev of '{split.key}', and has {' and '.join(given) or 'none'}."
        )
    arrays = {name: to_finite(file[key], f"{file.name}: {key}", (1, 2), _TARGETS) for name, key in given.items()}
    if arrays["mean"].shape != arrays["stddev"].shape:
        shapes = " and ".join(str(list(values.shape)) for values in arrays.values())
        raise InputError(f"{file.name}: mean and stddev of '{split.key}' have the shapes {shapes}; expected the same.")
    if arrays["stddev"].min() <= 0:
        raise InputError(f"{file.name}: {given['stddev']} must be above 0, received {arrays['stddev'].min():g}.")
    mean, stddev = (arrays[name].reshape(-1, arrays[name].shape[-1]) for name in ("mean", "stddev"))
    return Predictions(mean=mean, stddev=stddev)


def _of_rows(file: _Arrays, split: Split, name: str, inside: str, count: int, kind: str) -> np.ndarray | None:
    """Return an array with a value for each row, or None."""
    key = _key(file, split.key, name, inside)
    if key is None:
        return None
    what = f"{file.name}: {key}"
    array = to_array(file[key], what, (1,), "[n]")
    if array.dtype.kind not in ("iu" if kind == "integers" else "iuf"):
        raise InputError(f"{what} must be {kind}, received {array.dtype}.")
    if len(array) != count:
        raise InputError(f"{what} has {len(array)} values for {count} rows of predictions; expected one for each row.")
    if array.dtype.kind == "f":
        to_finite(array, what, (1,), "[n]")
    return array


def _places(what: str, element_ids: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return in which row each expected example is."""
    missing, foreign = np.setdiff1d(expected, element_ids), np.setdiff1d(element_ids, expected)
    if len(foreign):
        raise InputError(f"{what} has element_id {foreign[0]}, which is none of the task's {len(expected)} examples.")
    if len(missing):
        raise InputError(
            f"{what} lacks {len(missing)} of the task's {len(expected)} examples, the first with element_id "
            f"{missing[0]}. Predict all of them."
        )
    order = np.argsort(element_ids)
    return order[np.searchsorted(element_ids, expected, sorter=order)]


def _check_labels(what: str, element_ids: np.ndarray, labels: np.ndarray | None, expected: np.ndarray) -> None:
    if labels is None:
        return
    same = np.isclose(labels, expected, rtol=1e-6) if expected.dtype.kind == "f" else labels == expected
    if not same.all():
        first = int(np.argmin(same))
        raise InputError(
            f"{what} has other labels than the task for {(~same).sum()} of {len(same)} examples, the first of them "
            f"{labels[first]} and not {expected[first]} for element_id {element_ids[first]}: its rows are not in the "
            "order of its ids, or of other data."
        )


def _check_digest(what: str, element_ids: np.ndarray, labels: np.ndarray | None, expected: Mapping[str, Any]) -> None:
    found = digest(element_ids, labels)
    if found["num_examples"] != expected["num_examples"]:
        raise InputError(f"{what} has {found['num_examples']} rows, and the split {expected['num_examples']} examples.")
    if found != expected:
        other = "element_id" if labels is None else "element_id or labels, or these in another order,"
        raise InputError(f"{what} has other {other} than the task. Predict the task's own examples; see --help.")


def _check_pairing(what: str, said: Any, rows: np.ndarray, labels: np.ndarray, unproven: bool) -> None:
    """Refuse predictions that fit other examples than those that their ids name.

    Args:
        what: Begins the error.
        said: What a metric receives.
        rows: Row of each example.
        labels: Of each example.
        unproven: Whether nothing but the ids says which example a row is.
    """
    predicted = said[0].mean(axis=0) if isinstance(said, tuple) else said.argmax(axis=-1)
    by_id, by_row = _fit(predicted[rows], labels), _fit(predicted, labels)
    if by_row > max(by_id, 0) + _CLEARLY:
        raise InputError(
            f"{what}: the rows fit the labels in the task's order and not by their element_id, which is permuted. Give "
            "each row its own."
        )
    if unproven and by_id < _STANDARD_ERRORS:
        raise InputError(
            f"{what}: the predictions fit the labels no better than those of other examples would, as if element_id "
            "were permuted. If it is not, give labels to show it."
        )


def _fit(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Return by how many standard errors predictions fit labels better than they would in a random order."""
    count = len(labels)
    if labels.dtype.kind == "f":
        spread = float(predicted.std() * labels.std())
        covariance = float(((predicted - predicted.mean()) * (labels - labels.mean())).mean())
        return count**0.5 * covariance / spread if spread else 0.0
    classes = int(max(predicted.max(), labels.max())) + 1
    shares = [np.bincount(each, minlength=classes) / count for each in (predicted, labels)]
    by_chance = float(shares[0] @ shares[1])
    error = (by_chance * (1 - by_chance) / count) ** 0.5
    return float((predicted == labels).mean() - by_chance) / error if error else 0.0


if __name__ == "__main__":
    program.run("score", main)
