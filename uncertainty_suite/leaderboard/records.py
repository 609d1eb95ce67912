"""Reading what runs left behind: run folders, and the records that `add` made of them, each checked on the way in."""

import collections
import dataclasses
import functools
import hashlib
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from uncertainty_suite import configuration, likelihoods, tasks
from uncertainty_suite.errors import InputError
from uncertainty_suite.files import read_arrays, read_bytes, read_json
from uncertainty_suite.leaderboard import fields, scores
from uncertainty_suite.leaderboard.fields import printable
from uncertainty_suite.leaderboard.places import Places
from uncertainty_suite.runs import PROTOCOL_VERSION, SCHEMA_VERSION, RunFolder
from uncertainty_suite.tasks import Split

_FILE = re.compile(r".+-[0-9a-f]{1,8}(-fold\d+)?-seed-?\d+\.json")

_MOST_BYTES = 16 * 2**20  # of a record; those that are there have 60 thousand


@dataclasses.dataclass(frozen=True)
class Record:
    """What one finished run says about itself: its `results.json`, checked, and where it was read.

    A record that `add` made lies in a file and holds more: `scores` names and seals the file of per-example scores
    beside it, `curves` are the points of its figures, and `examples` tells by split which examples were predicted.
    """

    folder: Path  # the run's, or the record's file
    protocol_version: int
    task: str
    method: str
    model: str
    seed: int
    config: Mapping[str, Any]
    config_hash: str  # of the configuration without seed and fold: the same for all replicates of one experiment
    batch_size_global: int  # 0 where it is unknown
    data_fingerprint: Mapping[str, str]  # split -> hash of its data
    metrics: Mapping[str, float]  # "split/metric" -> value, all finite
    provenance: Mapping[str, Any]
    likelihood: Mapping[str, Any]  # its name and its parameters
    splits: tuple[Split, ...]  # none where they are unknown
    in_distribution: str  # key of the split that shifted and OOD sets are compared with
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)  # metric -> why it has no value
    tuned: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # field -> the values tried, and the chosen one
    examples: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)  # split -> `scores.digest`
    scores: Mapping[str, Any] | None = None
    curves: Mapping[str, Any] | None = None
    arrays: Mapping[str, np.ndarray] | None = dataclasses.field(default=None, compare=False, repr=False)  # of `scores`

    @property
    def is_run(self) -> bool:
        """Whether it was read from a run folder and not from a file that `add` made."""
        return self.folder.suffix != ".json"

    @property
    def fold(self) -> int | None:
        """The fold of the data; None where the data has no folds."""
        return self.config["dataset"].get("fold")

    @property
    def replicate(self) -> tuple[int, int]:
        """What tells it from the other runs of its experiment: fold (0 where there is none) and seed."""
        return configuration.replicate(dict(self.config))

    @property
    def has_fingerprint(self) -> bool:
        """Whether it tells which labels the examples of its scores have; records of before may not."""
        return self.in_distribution in self._examples

    @functools.cached_property
    def shared(self) -> dict[str, Any]:
        """What all records of a task must share, by what an error calls it; of data, those of one fold.

        Records share, beside what runs do, the examples with their labels, and the splits that means are made of.
        """
        of_fold = "" if self.fold is None else f" of fold {self.fold}"
        found = {
            "protocol_version": self.protocol_version,
            "likelihood": self.likelihood["name"],
            "in_distribution": self.in_distribution,
            **{f"data_fingerprint[{split!r}]{of_fold}": value for split, value in self.data_fingerprint.items()},
        }
        if self.scores is None or self.arrays is None:
            return found
        ids = scores.digest(self.arrays["element_id"])["sha256"][:12]
        found[f"element_id of '{self.in_distribution}'{of_fold}"] = f"{self.scores['num_examples']} with {ids}"
        for split, digest in self._examples.items():
            found[f"examples[{split!r}]{of_fold}"] = f"{digest['num_examples']} with {digest['sha256'][:12]}"
        return found | {f"what {key} is made of": value for key, value in self._made_of().items()}

    @functools.cached_property
    def _examples(self) -> dict[str, Mapping[str, Any]]:
        """What tells the examples of each split from any others; of the one with scores, these say it themselves."""
        if self.arrays is None or scores.LABELS not in self.arrays:
            return dict(self.examples)
        inside = scores.digest(self.arrays["element_id"], self.arrays[scores.LABELS])
        return {self.in_distribution: inside, **self.examples}

    def _made_of(self) -> dict[str, frozenset[str]]:
        """The splits behind each place where metrics are made of several."""
        places = Places(self.splits, self.in_distribution).by_key.values()
        made_of = {place.key: place.splits for place in places if place.is_mean}
        made_of["failure"] = tuple(split for split in self.splits if split.role in ("shift", "near_ood", "far_ood"))
        measured = {"/".join(parts[:n]) for name in self.metrics for parts in [name.split("/")] for n in (1, 2)}
        return {
            key: frozenset(f"{split.key} ({split.max_examples or 'all'})" for split in splits)
            for key, splits in made_of.items()
            if key in measured
        }


class Agreement:
    """What the records of some tasks say of what all of a task share: the first that says it counts."""

    def __init__(self) -> None:
        """Begin with no record."""
        self._said: dict[tuple[str, str], tuple[Any, Record]] = {}
        self._replicates: dict[tuple, Record] = {}
        self._scores: dict[tuple[str, str], list[Record]] = collections.defaultdict(list)

    def take(self, record: Record) -> None:
        """Take a record's word for what others have not said."""
        for name, value in record.shared.items():
            self._said.setdefault((record.task, name), (value, record))
        self._replicates.setdefault(_replicate(record), record)
        if record.scores is not None:
            self._scores[record.task, record.scores["sha256"]].append(record)

    def problem(self, record: Record) -> str | None:
        """Return why a record cannot stand in one table with those that were taken, naming the other one."""
        for name, value in record.shared.items():
            other_value, other = self._said.get((record.task, name), (value, record))
            if value != other_value:
                return (
                    f"Task '{record.task}': {name} differs, {_difference(other_value, value)} in {other.folder} and "
                    f"{_difference(value, other_value)} in {record.folder}. Such runs are never put in one table."
                )
        other = self._replicates.get(_replicate(record), record)
        if other is record:
            return None
        fold = "" if record.fold is None else f"fold {record.fold}, "
        return (
            f"Task '{record.task}': {fold}seed {record.seed} of '{record.method}' is there twice, in {other.folder} "
            f"and {record.folder}. Give one of them."
        )

    def copied(self, record: Record) -> tuple[str, bool] | None:
        """Return what to say of a record whose scores are, to the byte, those of another, and whether it is refused.

        Two seeds, or two folds, never give the same. Two methods may, where they differ in what makes nothing of the
        scores; but then they differ in some metric.
        """
        if record.scores is None:
            return None
        others = self._scores.get((record.task, record.scores["sha256"]), ())
        for other in others:
            same = f"Task '{record.task}': the scores of {record.folder} are, to the byte, those of {other.folder}"
            if other.replicate != record.replicate:
                return f"{same}, which is of another seed or fold: one run is no two replicates.", True
            if _measured(other) == _measured(record):
                return f"{same}, and so are its metrics: one network under two names.", True
        return (f"{same}.", False) if others else None


def _replicate(record: Record) -> tuple:
    return record.task, record.method, record.model, record.config_hash, record.replicate


def _measured(record: Record) -> dict[str, float]:
    return {name: value for name, value in record.metrics.items() if "/" in name}  # costs have no split


def _difference(value: Any, other: Any) -> str:
    """Return how an error shows a value beside another one."""
    if not isinstance(value, frozenset):
        return str(value)
    more = ", ".join(sorted(value - other))
    return f"with {more:.200}" if more else "without these"


def read_records(paths: Iterable[str | Path]) -> list[Record]:
    """Read every finished run and every record at or below the given folders.

    What is unfinished or damaged is named on stderr and left out; see `read_all`.

    Raises:
        InputError: A folder does not exist, or nothing in them can be read.
    """
    records, problems = read_all(paths)
    for problem in problems:
        print(printable(problem), file=sys.stderr)
    return records


def read_all(paths: Iterable[str | Path]) -> tuple[list[Record], list[str]]:
    """Read every finished run and every record, and say what is wrong with the others.

    Args:
        paths: Run folders, folders above them, or folders of records such as `leaderboards`.

    Returns:
        The records, in the order of `paths` and within each in the order of names; and a line for each run that is not
        finished (it starts with `unfinished`) or that is damaged.

    Raises:
        InputError: A folder does not exist, or nothing in them can be read.
    """
    paths = [Path(path) for path in paths]
    records: list[Record] = []
    problems: list[str] = []
    for place in find_runs(paths, problems):
        try:
            record = _read(place)
        except InputError as error:
            problems.append(f"left out: {error}")
        else:
            if record is None:
                problems.append(f"unfinished: {place} has no results, left out")
            else:
                records.append(record)
    records, foreign = consistent(records)
    problems += foreign
    if not records:
        for problem in problems:
            print(printable(problem), file=sys.stderr)
        searched = ", ".join(map(str, paths)) or "an empty list of folders"
        raise InputError(f"No finished run (a folder with a results.json) in {searched}.")
    return records, problems


def consistent(records: list[Record]) -> tuple[list[Record], list[str]]:
    """Leave out the files of records that cannot stand in one table with the others of their task, and say why.

    `add` lets none in, so one that is there was copied by hand. It is first sought in what most others say, then in the
    order of `records`. Run folders are not judged here: of a few runs that someone names, none is more right than
    another, and `check_comparable` refuses them together.
    """
    counts: dict[tuple, collections.Counter] = collections.defaultdict(collections.Counter)
    for record in records:
        if not record.is_run:
            for name, value in record.shared.items():
                counts[record.task, name][value] += 1
    usual = {}
    for key, values in counts.items():
        (value, most), *others = values.most_common()
        if not others or most > others[0][1]:
            usual[key] = value
    kept, problems, agreement = [], [], Agreement()
    for record in records:
        if record.is_run:
            kept.append(record)
            continue
        copied, refused = agreement.copied(record) or ("", False)
        problem = _foreign(record, usual) or agreement.problem(record) or (copied if refused else None)
        if problem:
            problems.append(f"left out: {record.folder}: {problem}")
        else:
            kept.append(record)
            agreement.take(record)
    return kept, problems


def _foreign(record: Record, usual: Mapping[tuple[str, str], Any]) -> str | None:
    for name, value in record.shared.items():
        most = usual.get((record.task, name), value)
        if value != most:
            shown = f"{_difference(value, most)}, and {_difference(most, value)}"
            return f"{name} is {shown} in the other records of '{record.task}'"
    return None


def find_runs(paths: Iterable[str | Path], problems: list[str] | None = None) -> list[Path]:
    """Find the run folders and the records' files at or below the given folders, each once.

    A run is a folder with a `results.json`, or with a `config.json` only while it is unfinished. What lies inside a
    run (the members of an ensemble, finished or not) belongs to it and is not searched. A given folder with no run at
    or below it is returned as well: whoever named it meant a run. A given folder may be a link; below it, links that
    lead out of it are not followed.

    Args:
        paths: The folders, or files of records.
        problems: A line is added to it for what is not searched: such links, and folders that cannot be read.

    Raises:
        InputError: A path is not a folder or cannot be read.
    """
    problems = [] if problems is None else problems
    runs: dict[str, Path] = {}
    for path in map(Path, paths):
        try:
            if not path.is_dir() and not (path.is_file() and _FILE.fullmatch(path.name)):
                problem = "is not a folder" if path.exists() else "does not exist"
                raise InputError(f"{path} {problem}. Expected a run folder, or a folder above run folders.")
            before = len(problems)
            found = list(_search(path, os.path.realpath(path), set(), problems))
            if not found and len(problems) == before:
                found = [path]
        except OSError as error:
            raise InputError(f"{error.filename or path}: {error.strerror}") from error
        for run in found:
            runs.setdefault(os.path.realpath(run), run)
    return list(runs.values())


def _search(path: Path, root: str, seen: set[str], problems: list[str]) -> Iterator[Path]:
    """Yield the runs and records at or below `path`; `seen` stops links that lead in a circle."""
    real = os.path.realpath(path)
    if not Path(real).is_relative_to(root):
        problems.append(f"left out: {path}: a link leads out of {root}; to read what is there, name it")
    elif path.is_file():
        yield path
    elif not path.is_dir():
        problems.append(f"left out: {path}: it is no regular file")
    elif real not in seen:
        seen.add(real)
        if (path / "results.json").exists() or (path / "config.json").exists():
            yield path
            return
        try:
            children = sorted(path.iterdir())
        except OSError as error:
            if real == root:  # somebody named it
                raise
            problems.append(f"left out: {path}: {error.strerror}")
            return
        for child in children:
            if child.is_dir() or _FILE.fullmatch(child.name):
                yield from _search(child, root, seen, problems)


def read_record(folder: str | Path) -> Record:
    """Read and check the results of one run folder, or one file that `add` made.

    Raises:
        InputError: The run is not finished; a file cannot be read or has a field that is missing, of the wrong type or
            not finite; or a record's file is not as `add` wrote it. The message names file and field.
    """
    record = _read(Path(folder))
    if record is None:
        raise InputError(f"{folder} has no results: the run is not finished. Give its command again to finish it.")
    return record


def _read(path: Path) -> Record | None:
    """Return the record of a run folder, None while it is unfinished, or that of a file."""
    if path.suffix != ".json":
        content = RunFolder(path).results
        return None if content is None else _record(path, path / "results.json", _known(path / "results.json", content))
    try:
        content = read_json(path, at_most=_MOST_BYTES)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path}: not a record ({error})") from error
    if content.get("record_sha256") != seal(content):
        raise InputError(f"{path}: was changed after it was added (record_sha256 differs); add its run again")
    record = _record_of_file(path, content)
    if path.absolute().parts[-2:] != tuple(file_name(content).split("/")):
        raise InputError(f"{path}: holds what belongs into {file_name(content)}")
    return _with_scores(record, _read_scores(path, content))


def of_content(path: Path, content: Mapping[str, Any], data: bytes) -> Record:
    """Return the record that two files shall hold, once both are known to be as they are read.

    Args:
        path: The record's file, which need not be there.
        content: What shall be in it.
        data: What shall be in the file of scores beside it.

    Raises:
        InputError: Something of it would not be read.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return _with_scores(_record_of_file(path, content), arrays)


def _read_scores(path: Path, content: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays beside a record, once they are known to be those that were added."""
    beside = path.with_suffix(".npz")
    said = f"{path}: its scores {beside.name}: the file"
    try:
        if hashlib.sha256(read_bytes(beside, path.parent)).hexdigest() != content["scores"]["sha256"]:
            raise InputError(f"{said} is not the file that was added; add its run again")
        return read_arrays(beside, path.parent, at_most=_MOST_BYTES + 64 * content["scores"]["num_examples"])
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{said} is missing; add its run again") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{said} cannot be read ({error})") from error


def _record_of_file(path: Path, content: Mapping[str, Any]) -> Record:
    """Return the record that a file holds, without its scores, once nothing in it is unknown."""
    known = _known(path, content)
    if known != content:
        names = configuration.flatten(dict(content)).keys() - configuration.flatten(known).keys()
        raise InputError(f"{path}: holds {', '.join(sorted(names)) or 'fields':.200}, which no record has")
    if "scores" not in known:
        raise InputError(f"{path}: field 'scores' is missing")
    check_protocol(path, known["protocol_version"])
    record = _record(path, path, known)
    return dataclasses.replace(record, scores=known["scores"], curves=known.get("curves"))


def _with_scores(record: Record, arrays: Mapping[str, np.ndarray]) -> Record:
    """Return a record of a file with its scores, once they go together."""
    path, said = record.folder, record.scores or {}
    if said["split"] != record.in_distribution:
        raise InputError(f"{path}: field scores['split'] is '{said['split']}', and not '{record.in_distribution}'")
    inside = f"{record.in_distribution}/"
    measured = {name.removeprefix(inside): value for name, value in record.metrics.items() if name.startswith(inside)}
    try:
        arrays = scores.checked(arrays, likelihoods.info(record.likelihood["name"]), said["num_examples"], measured)
    except ValueError as error:
        raise InputError(f"{path}: its scores {path.with_suffix('.npz').name}: {error}") from error
    record = dataclasses.replace(record, arrays=arrays)
    found = load_labels(record)
    digest = record.examples.get(record.in_distribution)
    if found and digest and scores.digest(*found) != digest:
        raise InputError(f"{path}: field examples['{record.in_distribution}'] is not that of its scores")
    return record


def load_scores(record: Record) -> scores.Scores | None:
    """Return the scores of each example of a record, float32 `[n]` by metric, sorted by `element_id`, int64.

    None for a run folder.
    """
    return None if record.arrays is None else scores.decoded(record.arrays)


def load_labels(record: Record) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the ids of the in-distribution split's examples, int64 `[n]`, ascending, and their labels `[n]`.

    None for a run folder, and for a record without them, as those of before are.
    """
    if record.arrays is None or scores.LABELS not in record.arrays:
        return None
    return record.arrays["element_id"], record.arrays[scores.LABELS]


def _known(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known fields of a file, each checked."""
    version = content.get("schema_version", 1)
    if type(version) is int and not 1 <= version <= SCHEMA_VERSION:
        raise InputError(f"{path}: field 'schema_version' is {version}, this leaderboard reads 1 to {SCHEMA_VERSION}")
    try:
        return fields.checked(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _record(folder: Path, path: Path, known: Mapping[str, Any]) -> Record:
    """Return what the known fields of a file say.

    Records that were made before runs named their likelihood and splits are of classes, and their splits are those of
    their configuration.
    """
    _check_derived(path, known)
    config = known["config"]
    splits = tuple(Split(**split) for split in known["splits"]) if "splits" in known else _planned_splits(config)
    inside = known.get("in_distribution", next((split.key for split in splits if split.role == "test"), "test"))
    if splits and inside not in [split.key for split in splits]:
        raise InputError(f"{path}: field 'in_distribution' is '{inside}', which is none of its splits")
    likelihood = known.get("likelihood", {"name": "categorical"})
    own = {"likelihood": likelihood, "splits": splits, "in_distribution": inside}
    elsewhere = {"schema_version", "scores", "curves", "record_sha256", *own}
    return Record(folder=folder, **own, **{name: value for name, value in known.items() if name not in elsewhere})


def _check_derived(path: Path, known: Mapping[str, Any]) -> None:
    """Refuse fields that say something else than the configuration, from which they follow."""
    config = known["config"]
    derived = {
        "task": config["dataset"]["name"],
        "method": config["method"],
        "model": config["model"]["name"],
        "seed": config["seed"],
        "batch_size_global": config.get("batch_size", known["batch_size_global"]),
        "config_hash": configuration.config_hash(config),
    }
    for name, value in derived.items():
        if known[name] != value:
            raise InputError(f"{path}: field '{name}' is {known[name]}, and its config has {value}")


def _planned_splits(config: Mapping[str, Any]) -> tuple[Split, ...]:
    """Return the splits that a configuration asks for; none where it does not say."""
    try:
        evaluation = config["evaluation"]
        inside = {"in_distribution": evaluation["splits"][0], "ood_validation": ()}
        return tasks.plan({**config, "evaluation": {**inside, **evaluation}}, fit=False)
    except (KeyError, TypeError, IndexError, InputError):
        return ()


def seal(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a record's content, but for the seal itself."""
    unsealed = {name: value for name, value in content.items() if name != "record_sha256"}
    return hashlib.sha256(json.dumps(unsealed, sort_keys=True).encode()).hexdigest()


def safe(name: str) -> str:
    """Return a name for a folder or file; what is unsafe in one becomes `_`, so `uci/yacht` is `uci_yacht`."""
    return re.sub(r"[^\w.-]|^\.+", "_", name)


def experiment_name(task: str, method: str, config_hash: str) -> str:
    """Return `<task>/<method>-<hash8>`, with which the names of an experiment's files begin."""
    return f"{safe(task)}/{safe(method)}-{config_hash[:8]}"


def file_name(content: Mapping[str, Any]) -> str:
    """Return where a record lies: `<task>/<method>-<hash8>-seed<k>.json`, or `...-fold<f>-seed<k>.json`."""
    dataset = content["config"]["dataset"]
    fold = f"-fold{dataset['fold']}" if "fold" in dataset else ""
    name = experiment_name(content["task"], content["method"], content["config_hash"])
    return f"{name}{fold}-seed{content['seed']}.json"


def check_protocol(path: Path, version: int) -> None:
    """Refuse a protocol that this version of the suite does not know.

    Raises:
        InputError: It is newer.
    """
    if not 1 <= version <= PROTOCOL_VERSION:
        raise InputError(f"{path}: field 'protocol_version' is {version}, known: 1 to {PROTOCOL_VERSION}")


def check_comparable(records: Iterable[Record]) -> None:
    """Refuse records that must not stand in one table.

    Within a task, all records share protocol, likelihood and in-distribution split; those of one fold share for each
    split the same data; and one experiment (method, model, configuration) has each replicate (fold and seed) once.

    Raises:
        InputError: Names the field that differs, or the replicate that is there twice, and the two runs.
    """
    agreement = Agreement()
    for record in records:
        if problem := agreement.problem(record):
            raise InputError(problem)
        agreement.take(record)
