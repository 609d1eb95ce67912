"""Reading what runs left behind: finding run folders and checking each `results.json` on the way in."""

import dataclasses
import json
import math
import reprlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from uncertainty_suite.errors import InputError

SCHEMA_VERSION = 1

_ALLOWED = {str: "a printable text", int: "an integer", dict: "an object"}


@dataclasses.dataclass(frozen=True)
class Record:
    """What one finished run says about itself: its `results.json`, checked, and the folder it lies in."""

    folder: Path
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


def read_records(paths: Iterable[str | Path]) -> list[Record]:
    """Read every finished run at or below the given folders.

    A run without `results.json` is named on stderr and left out.

    Args:
        paths: Run folders, or folders above them.

    Returns:
        The records, in the order of `paths` and within each in the order of the folders' names.

    Raises:
        InputError: A folder does not exist, a `results.json` is damaged, or no run is finished.
    """
    paths = [Path(path) for path in paths]
    records = []
    for folder in find_runs(paths):
        if (folder / "results.json").exists():
            records.append(read_record(folder))
        else:
            print(f"unfinished: {folder} has no results.json, left out", file=sys.stderr)
    if not records:
        searched = ", ".join(map(str, paths)) or "an empty list of folders"
        raise InputError(f"No finished run (a folder with a results.json) in {searched}.")
    return records


def find_runs(paths: Iterable[str | Path]) -> list[Path]:
    """Find the run folders at or below the given folders, each once.

    A run is a folder with a `results.json`, or with a `config.json` only while it is unfinished. What lies inside a
    run (the members of an ensemble, finished or not) belongs to it and is not searched. A given folder with no run at
    or below it is returned as well: whoever named it meant a run.

    Raises:
        InputError: A path is not a folder or cannot be read.
    """
    runs: dict[Path, Path] = {}
    for path in map(Path, paths):
        try:
            if not path.is_dir():
                problem = "is not a folder" if path.exists() else "does not exist"
                raise InputError(f"{path} {problem}. Expected a run folder, or a folder above run folders.")
            for run in list(_search(path, set())) or [path]:
                runs.setdefault(run.resolve(), run)
        except OSError as error:
            raise InputError(f"{error.filename or path}: {error.strerror}") from error
    return list(runs.values())


def _search(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """Yield the runs at or below `folder`; `seen` stops links that lead in a circle."""
    if folder.resolve() in seen:
        return
    seen.add(folder.resolve())
    if (folder / "results.json").exists() or (folder / "config.json").exists():
        yield folder
        return
    for child in sorted(folder.iterdir()):
        if child.is_dir():
            yield from _search(child, seen)


def read_record(folder: str | Path) -> Record:
    """Read and check the `results.json` of one run folder.

    Raises:
        InputError: The file cannot be read, is no JSON object, or has a field that is missing, of the wrong type or
            not finite; the message names file and field.
    """
    path = Path(folder) / "results.json"
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
        if field.name != "folder"
    }
    for split in fields["data_fingerprint"]:
        _field(path, fields["data_fingerprint"], split, str, parent="data_fingerprint")
    fields["metrics"] = {name: _metric(path, name, value) for name, value in fields["metrics"].items()}
    return Record(folder=Path(folder), **fields)


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
        shared = {"protocol_version": record.protocol_version}
        shared |= {f"data_fingerprint[{split!r}]": value for split, value in record.data_fingerprint.items()}
        for name, value in shared.items():
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
