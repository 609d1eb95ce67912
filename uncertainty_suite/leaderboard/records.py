"""Reading what runs left behind: run folders, and the records that `add` made of them, each checked on the way in."""

import collections
import dataclasses
import hashlib
import json
import math
import re
import reprlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from uncertainty_suite import configuration, likelihoods, tasks
from uncertainty_suite.errors import InputError
from uncertainty_suite.files import read_json
from uncertainty_suite.runs import PROTOCOL_VERSION, SCHEMA_VERSION, RunFolder
from uncertainty_suite.tasks import Split

_FILE = re.compile(r".+-[0-9a-f]{1,8}(-fold\d+)?-seed-?\d+\.json")

_ALLOWED = {str: "a printable text", int: "an integer", dict: "an object", list: "a list"}
_FIELDS: dict[str, type] = {
    "protocol_version": int,
    "task": str,
    "method": str,
    "model": str,
    "seed": int,
    "config": dict,
    "config_hash": str,
    "batch_size_global": int,
    "data_fingerprint": dict,
    "metrics": dict,
    "provenance": dict,
}


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


def read_records(paths: Iterable[str | Path]) -> list[Record]:
    """Read every finished run and every record at or below the given folders.

    What is unfinished or damaged is named on stderr and left out; see `read_all`.

    Raises:
        InputError: A folder does not exist, or nothing in them can be read.
    """
    records, problems = read_all(paths)
    for problem in problems:
        print(problem, file=sys.stderr)
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
    problems = []
    for place in find_runs(paths):
        try:
            record = _read(place)
        except InputError as error:
            problems.append(f"left out: {error}")
        else:
            if record is None:
                problems.append(f"unfinished: {place} has no results, left out")
            else:
                records.append(record)
    records, foreign = _without_foreign(records)
    problems += foreign
    if not records:
        for problem in problems:
            print(problem, file=sys.stderr)
        searched = ", ".join(map(str, paths)) or "an empty list of folders"
        raise InputError(f"No finished run (a folder with a results.json) in {searched}.")
    return records, problems


def _without_foreign(records: list[Record]) -> tuple[list[Record], list[str]]:
    """Leave out the files of records whose protocol or data most other files of their task do not share.

    `add` lets none in, so one that is there was copied by hand. Run folders are not judged here: of a few runs that
    someone names, none is more right than another, and `check_comparable` refuses them together.
    """
    counts: dict[tuple, collections.Counter] = collections.defaultdict(collections.Counter)
    for record in records:
        if not record.is_run:
            for name, value in _shared(record).items():
                counts[record.task, name][value] += 1
    kept, problems = [], []
    for record in records:
        for name, value in {} if record.is_run else _shared(record).items():
            (usual, most), *others = counts[record.task, name].most_common()
            if value != usual and (not others or most > others[0][1]):
                problems.append(
                    f"left out: {record.folder}: {name} is {value}, and {usual} in the other records of '{record.task}'"
                )
                break
        else:
            kept.append(record)
    return kept, problems


def find_runs(paths: Iterable[str | Path]) -> list[Path]:
    """Find the run folders and the records' files at or below the given folders, each once.

    A run is a folder with a `results.json`, or with a `config.json` only while it is unfinished. What lies inside a
    run (the members of an ensemble, finished or not) belongs to it and is not searched. A given folder with no run at
    or below it is returned as well: whoever named it meant a run.

    Raises:
        InputError: A path is not a folder or cannot be read.
    """
    runs: dict[Path, Path] = {}
    for path in map(Path, paths):
        try:
            if not path.is_dir() and not (path.is_file() and _FILE.fullmatch(path.name)):
                problem = "is not a folder" if path.exists() else "does not exist"
                raise InputError(f"{path} {problem}. Expected a run folder, or a folder above run folders.")
            for run in list(_search(path, set())) or [path]:
                runs.setdefault(run.resolve(), run)
        except OSError as error:
            raise InputError(f"{error.filename or path}: {error.strerror}") from error
    return list(runs.values())


def _search(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """Yield the runs and records at or below `folder`; `seen` stops links that lead in a circle."""
    if folder.is_file():
        yield folder
    if folder.is_file() or folder.resolve() in seen:
        return
    seen.add(folder.resolve())
    if (folder / "results.json").exists() or (folder / "config.json").exists():
        yield folder
        return
    for child in sorted(folder.iterdir()):
        if child.is_dir() or _FILE.fullmatch(child.name):
            yield from _search(child, seen)


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
        return None if content is None else _record(path, path / "results.json", content)
    try:
        content = read_json(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path}: not a record ({error})") from error
    record = _record(path, path, content)
    _check_seal(path, content)
    return dataclasses.replace(record, scores=content.get("scores"), curves=content.get("curves"))


def _record(folder: Path, path: Path, content: Mapping[str, Any]) -> Record:
    """Return what a file holds, each field checked.

    Records that were made before runs named their likelihood and splits are of classes, and their splits are those of
    their configuration.
    """
    version = _field(path, content, "schema_version", int)
    if not 1 <= version <= SCHEMA_VERSION:
        raise InputError(f"{path}: field 'schema_version' is {version}, this leaderboard reads 1 to {SCHEMA_VERSION}")
    fields = {name: _field(path, content, name, kind) for name, kind in _FIELDS.items()}
    for split in fields["data_fingerprint"]:
        _field(path, fields["data_fingerprint"], split, str, parent="data_fingerprint")
    fields["metrics"] = {name: _metric(path, name, value) for name, value in fields["metrics"].items()}
    _check_replicate(path, fields)
    fields["likelihood"] = {"name": "categorical"}
    if "likelihood" in content:
        fields["likelihood"] = _field(path, content, "likelihood", dict)
        name = _field(path, fields["likelihood"], "name", str, parent="likelihood")
        if name not in likelihoods.names():
            raise InputError(f"{path}: field likelihood['name'] is '{name}', known: {', '.join(likelihoods.names())}")
    fields["splits"] = _splits(path, content) if "splits" in content else _planned_splits(fields["config"])
    first = next((split.key for split in fields["splits"] if split.role == "test"), "test")
    fields["in_distribution"] = first
    if "in_distribution" in content:
        fields["in_distribution"] = _field(path, content, "in_distribution", str)
    fields["left_out"] = _field(path, content, "left_out", dict) if "left_out" in content else {}
    for name in fields["left_out"]:
        _field(path, fields["left_out"], name, str, parent="left_out")
    for field in ("tuned", "examples"):
        fields[field] = _field(path, content, field, dict) if field in content else {}
        for name in fields[field]:
            _field(path, fields[field], name, dict, parent=field)
    for split, digest in fields["examples"].items():
        _field(path, digest, "num_examples", int, parent=f"examples[{split!r}]")
        _field(path, digest, "sha256", str, parent=f"examples[{split!r}]")
    return Record(folder=folder, **fields)


def _check_replicate(path: Path, fields: Mapping[str, Any]) -> None:
    """Refuse a configuration that does not say which seed and fold it is of."""
    config = fields["config"]
    seed = _field(path, config, "seed", int, parent="config")
    if seed != fields["seed"]:
        raise InputError(f"{path}: field 'seed' is {fields['seed']}, and its config has {seed}")
    dataset = _field(path, config, "dataset", dict, parent="config")
    if "fold" in dataset and _field(path, dataset, "fold", int, parent="config.dataset") < 0:
        raise InputError(f"{path}: field config.dataset['fold'] must be at least 0, not {dataset['fold']}")


def _splits(path: Path, content: Mapping[str, Any]) -> tuple[Split, ...]:
    splits = _field(path, content, "splits", list)
    kinds = {field.name: int if field.type == "int" else str for field in dataclasses.fields(Split)}
    for split in splits:
        good = isinstance(split, dict) and split.keys() == kinds.keys()
        if not (good and all(type(split[name]) is kind for name, kind in kinds.items()) and split["key"]):
            raise InputError(f"{path}: field 'splits' must hold objects with {', '.join(kinds)}, not {split!r:.80}")
    return tuple(Split(**split) for split in splits)


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


def _check_seal(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse a record that is not what `add` wrote, or not where it wrote it."""
    if content.get("record_sha256") != seal(content):
        raise InputError(f"{path}: was changed after it was added (record_sha256 differs); add its run again")
    expected = configuration.config_hash(content["config"])
    if content["config_hash"] != expected:
        raise InputError(f"{path}: field 'config_hash' is {content['config_hash']}, its config has {expected}")
    check_protocol(path, content["protocol_version"])
    scores = content.get("scores")
    if scores is not None:
        beside = path.with_suffix(".npz")
        sha256 = _field(path, _field(path, content, "scores", dict), "sha256", str, parent="scores")
        if not beside.is_file() or hashlib.sha256(beside.read_bytes()).hexdigest() != sha256:
            problem = "is not the file that was added" if beside.exists() else "is missing"
            raise InputError(f"{path}: its scores {beside.name}: the file {problem}; add its run again")
    if path.absolute().parts[-2:] != tuple(file_name(content).split("/")):
        raise InputError(f"{path}: holds what belongs into {file_name(content)}")


def _shared(record: Record) -> dict[str, Any]:
    """Return the fields that all records of a task must share; data, that those of one fold must."""
    of_fold = "" if record.fold is None else f" of fold {record.fold}"
    return {
        "protocol_version": record.protocol_version,
        "likelihood": record.likelihood["name"],
        "in_distribution": record.in_distribution,
        **{f"data_fingerprint[{split!r}]{of_fold}": value for split, value in record.data_fingerprint.items()},
    }


def _field(path: Path, content: Mapping[str, Any], name: str, kind: type, parent: str | None = None) -> Any:
    """Return `content[name]` once it is known to be there and of the right type."""
    shown = f"{parent}[{name!r}]" if parent else repr(name)
    if name not in content:
        raise InputError(f"{path}: field {shown} is missing")
    value: Any = content[name]
    # `type` and not `isinstance`: true and false are no integers. Printable: names end up in terminals and tables.
    if type(value) is not kind or (isinstance(value, str) and not (value and value.isprintable())):
        raise InputError(f"{path}: field {shown} must be {_ALLOWED[kind]}, not {reprlib.repr(value)}")
    return value


def _metric(path: Path, name: str, value: Any) -> float:
    """Return one metric as a finite float."""
    try:
        finite = type(value) in (int, float) and math.isfinite(value)
    except OverflowError:  # an integer too large for a float
        finite = False
    if not (finite and name.isprintable()):
        expected = "a finite number" if name.isprintable() else "a finite number with a printable name"
        raise InputError(f"{path}: field metrics[{name!r}] must be {expected}, not {reprlib.repr(value)}")
    return float(value)


def check_comparable(records: Iterable[Record]) -> None:
    """Refuse records that must not stand in one table.

    Within a task, all records share protocol, likelihood and in-distribution split; those of one fold share for each
    split the same data; and one experiment (method, model, configuration) has each replicate (fold and seed) once.

    Raises:
        InputError: Names the field that differs, or the replicate that is there twice, and the two runs.
    """
    shared: dict[tuple[str, str], tuple[Any, Record]] = {}
    seen: dict[tuple, Record] = {}
    for record in records:
        for name, value in _shared(record).items():
            other_value, other = shared.setdefault((record.task, name), (value, record))
            if value != other_value:
                raise InputError(
                    f"Task '{record.task}': {name} differs, {other_value} in {other.folder} and {value} in "
                    f"{record.folder}. Such runs are never put in one table."
                )
        experiment = (record.task, record.method, record.model, record.config_hash)
        other = seen.setdefault((*experiment, record.replicate), record)
        if other is not record:
            fold = "" if record.fold is None else f"fold {record.fold}, "
            raise InputError(
                f"Task '{record.task}': {fold}seed {record.seed} of '{record.method}' is there twice, in "
                f"{other.folder} and {record.folder}. Give one of them."
            )
