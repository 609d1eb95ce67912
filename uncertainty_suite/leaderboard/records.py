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

from uncertainty_suite import configuration
from uncertainty_suite.errors import InputError

SCHEMA_VERSION = 1
KNOWN_PROTOCOLS = (1,)  # of `training.run.PROTOCOL_VERSION`, which cannot be imported without TensorFlow

_FILE = re.compile(r".+-[0-9a-f]{1,8}-seed-?\d+\.json")

_ALLOWED = {str: "a printable text", int: "an integer", dict: "an object"}


@dataclasses.dataclass(frozen=True)
class Record:
    """What one finished run says about itself: its `results.json`, checked, and where it was read.

    A record that `add` made lies in a file and holds two things more: `scores` names and seals the file of per-example
    scores beside it, and `curves` are the points of its figures.
    """

    folder: Path  # the run's, or the record's file
    protocol_version: int
    task: str
    method: str
    model: str
    seed: int
    config: Mapping[str, Any]
    config_hash: str  # of the configuration without its seed: the same for all seeds of one experiment
    batch_size_global: int
    data_fingerprint: Mapping[str, str]  # split -> hash of its data
    metrics: Mapping[str, float]  # "split/metric" -> value, all finite
    provenance: Mapping[str, Any]
    scores: Mapping[str, Any] | None = None
    curves: Mapping[str, Any] | None = None

    @property
    def is_run(self) -> bool:
        """Whether it was read from a run folder and not from a file that `add` made."""
        return self.folder.suffix != ".json"


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
    records, problems = [], []
    for place in find_runs(paths):
        if place.is_dir() and not (place / "results.json").exists():
            problems.append(f"unfinished: {place} has no results.json, left out")
            continue
        try:
            records.append(read_record(place))
        except InputError as error:
            problems.append(f"left out: {error}")
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
    """Read and check the `results.json` of one run folder, or one file that `add` made.

    Raises:
        InputError: The file cannot be read, is no JSON object, or has a field that is missing, of the wrong type or
            not finite; or a record's file is not as `add` wrote it. The message names file and field.
    """
    path = Path(folder)
    is_run = path.suffix != ".json"
    path = path / "results.json" if is_run else path
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected an object, not {reprlib.repr(content)}")

    version = _field(path, content, "schema_version", int)
    if version != SCHEMA_VERSION:
        raise InputError(f"{path}: field 'schema_version' is {version}, this leaderboard reads {SCHEMA_VERSION}")
    fields = {
        field.name: _field(path, content, field.name, _json_type(field.type))
        for field in dataclasses.fields(Record)
        if field.default is dataclasses.MISSING and field.name != "folder"
    }
    for split in fields["data_fingerprint"]:
        _field(path, fields["data_fingerprint"], split, str, parent="data_fingerprint")
    fields["metrics"] = {name: _metric(path, name, value) for name, value in fields["metrics"].items()}
    if not is_run:
        _check_seal(path, content)
        fields |= {"scores": content.get("scores"), "curves": content.get("curves")}
    return Record(folder=Path(folder), **fields)


def seal(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a record's content, but for the seal itself."""
    unsealed = {name: value for name, value in content.items() if name != "record_sha256"}
    return hashlib.sha256(json.dumps(unsealed, sort_keys=True).encode()).hexdigest()


def file_name(content: Mapping[str, Any]) -> str:
    """Return `<task>/<method>-<hash8>-seed<k>.json`, where a record lies; what is unsafe in a name becomes `_`."""
    task, method = (re.sub(r"[^\w.-]|^\.+", "_", content[name]) for name in ("task", "method"))
    return f"{task}/{method}-{content['config_hash'][:8]}-seed{content['seed']}.json"


def _check_seal(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse a record that is not what `add` wrote, or not where it wrote it."""
    if content.get("record_sha256") != seal(content):
        raise InputError(f"{path}: was changed after it was added (record_sha256 differs); add its run again")
    expected = configuration.config_hash(content["config"])
    if content["config_hash"] != expected:
        raise InputError(f"{path}: field 'config_hash' is {content['config_hash']}, its config has {expected}")
    if content["protocol_version"] not in KNOWN_PROTOCOLS:
        known = ", ".join(map(str, KNOWN_PROTOCOLS))
        raise InputError(f"{path}: field 'protocol_version' is {content['protocol_version']}, known: {known}")
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
    """Return the fields that all records of a task must share."""
    splits = {f"data_fingerprint[{split!r}]": value for split, value in record.data_fingerprint.items()}
    return {"protocol_version": record.protocol_version, **splits}


def _json_type(annotation: Any) -> type:
    """Return the JSON type of a field of `Record`."""
    return annotation if annotation in (str, int) else dict


def _field(path: Path, content: Mapping[str, Any], name: str, kind: type, parent: str | None = None) -> Any:
    """Return `content[name]` once it is known to be there and of the right type."""
    shown = f"{parent}[{name!r}]" if parent else repr(name)
    if name not in content:
        raise InputError(f"{path}: field {shown} is missing")
    value = content[name]
    # `type` and not `isinstance`: true and false are no integers. Printable: names end up in terminals and tables.
    if type(value) is not kind or (kind is str and not (value and value.isprintable())):
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

    Within a task, all records share one protocol and, for each split, the same data; and one experiment (method,
    model, configuration) has each seed once.

    Raises:
        InputError: Names the field that differs, or the seed that is there twice, and the two runs.
    """
    seen: dict[tuple, tuple[Any, Record]] = {}
    for record in records:
        for name, value in _shared(record).items():
            other_value, other = seen.setdefault((record.task, name), (value, record))
            if value != other_value:
                raise InputError(
                    f"Task '{record.task}': {name} differs, {other_value} in {other.folder} and {value} in "
                    f"{record.folder}. Such runs are never put in one table."
                )
        experiment = (record.task, record.method, record.model, record.config_hash, record.seed)
        _, other = seen.setdefault(experiment, (None, record))
        if other is not record:
            raise InputError(
                f"Task '{record.task}': seed {record.seed} of '{record.method}' is there twice, in {other.folder} and "
                f"{record.folder}. Give one of them."
            )
