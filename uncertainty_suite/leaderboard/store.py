"""The committed records: `add` takes from a finished run what a comparison needs, and nothing large or private.

A record is `leaderboards/<task>/<method>-<hash8>-seed<k>.json`, or `...-fold<f>-seed<k>.json`: the fields of the run's
`results.json` that `Record` knows, the points of its figures, and a seal. Beside it lies `<...>.npz` with the scores of
every example of the in-distribution split, for paired tests, sorted by `element_id`, and their labels; `scores` has the
arrays. `examples` tells for every other split, too, which examples were predicted.
"""

import contextlib
import hashlib
import json
import math
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from uncertainty_suite import configuration
from uncertainty_suite.errors import InputError
from uncertainty_suite.leaderboard import scores as per_example
from uncertainty_suite.leaderboard.curves import curves
from uncertainty_suite.leaderboard.places import Places
from uncertainty_suite.leaderboard.records import (
    Record,
    check_comparable,
    check_protocol,
    file_name,
    find_runs,
    read_all,
    read_record,
    seal,
)
from uncertainty_suite.leaderboard.tables import COSTS
from uncertainty_suite.leaderboard.writing import write
from uncertainty_suite.likelihoods import Saved
from uncertainty_suite.runs import SCHEMA_VERSION, RunFolder

# What a record takes over from its run as it is.
_COPIED = (
    *("protocol_version", "task", "method", "model", "seed", "config", "config_hash"),
    *("batch_size_global", "data_fingerprint"),
)
_ROOT = Path(__file__).resolve().parents[2]
# The start of an absolute path, or of one in a home folder: at the start of a word of the command or of a value in it.
_PATH = re.compile(r"(?:(?<![^=,('\"\[\s])|(?<=file:))(?:~[\w-]*|[A-Za-z]:|//)?[/\\][^,'\")\]]*")


def add(runs: Iterable[str | Path], to: str | Path = "leaderboards", replace: bool = False) -> list[str]:
    """Copy finished runs into the committed records.

    Each run is checked first: schema, finite metrics, known protocol, the configuration's hash, every metric computed
    anew from its predictions, and that it may stand in one table with the records that are there. Processes that add
    at the same time wait for each other.

    Args:
        runs: Run folders, or folders above them.
        to: The folder of the records.
        replace: Overwrite a record of the same configuration, fold and seed that says something else.

    Returns:
        A line for each run: where it went.

    Raises:
        InputError: One or more runs were refused, said on stderr line by line; the others were added.
    """
    lines, refused = [], 0
    for folder in find_runs(runs):
        try:
            lines.append(_add(folder, Path(to), replace))
        except InputError as error:
            print(f"refused: {error}", file=sys.stderr)
            refused += 1
    if refused:
        raise InputError(f"{refused} of {refused + len(lines)} runs refused, {len(lines)} added.")
    return lines


def _add(folder: Path, to: Path, replace: bool) -> str:
    record = read_record(folder)
    content, scores = _content(record)
    path = to / file_name(content)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(to):
            if path.exists() and path.read_bytes() == _json_bytes(content) and _matches(path, content):
                return f"{path}: is there already"
            if path.exists() and not replace:
                raise InputError(f"{path} is there and says something else ({_change(path, content)}). See --replace.")
            others = [other for other in neighbours(path.parent) if other.folder != path]
            check_comparable([*others, record])
            _check_examples(others, record, content["examples"])
            _check_means(others, record)
            # First the scores: a record whose scores are missing is damaged, scores without a record are nothing.
            for name, data in ((path.with_suffix(".npz"), scores), (path, _json_bytes(content))):
                write(name, data)
    except OSError as error:
        raise InputError(f"{error.filename or path}: {error.strerror}") from error
    return f"{path}: {len(content['metrics'])} metrics"


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time look at the records and add to them; the system unlocks when a process dies."""
    try:
        import fcntl
    except ImportError as error:
        raise InputError("This system has no flock, so no records can be added here. On Windows, use WSL 2.") from error
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing alone does not where a forked process has it open too
        os.close(descriptor)


def neighbours(folder: Path) -> list[Record]:
    """Return the records that can be read in the folder of a task."""
    if not any(folder.glob("*.json")):
        return []
    try:
        return read_all([folder])[0]
    except InputError:  # all of them are damaged, which `check` says
        return []


def _content(record: Record) -> tuple[dict[str, Any], bytes]:
    """Return what a record's files hold: the JSON object, and the bytes of the scores."""
    from uncertainty_suite import evaluation

    run = RunFolder(record.folder)
    path = record.folder / "results.json"
    check_protocol(path, record.protocol_version)
    expected = configuration.config_hash(dict(record.config))
    if record.config_hash != expected:
        raise InputError(f"{path}: field 'config_hash' is {record.config_hash}, and of its config it is {expected}")
    private = [name for name, value in configuration.flatten(dict(record.config)).items() if _PATH.search(str(value))]
    if private:
        raise InputError(f"{path}: config.{private[0]} is a path of one machine, which no record may hold")
    if "rollbacks" in record.provenance:
        raise InputError(
            f"{path}: its training was rolled back, so its learning rate is not its configuration's; train with a "
            "smaller one and without --on_nan=rollback"
        )
    task = run.task
    said = {name: value for name, value in task.to_json().items() if name != "name"}
    for name, value in said.items():
        if run.results is None or run.results.get(name) != value:
            raise InputError(f"{path}: field {name!r} is not that of {record.folder / 'task.json'}")

    measured = evaluation.compute(run)
    saved = run.predictions(task.in_distribution)
    scores = per_example.to_bytes(saved, task.likelihood, _calibrated(run, saved, measured.metrics))
    content = {
        "schema_version": SCHEMA_VERSION,
        **{name: getattr(record, name) for name in _COPIED},
        **said,
        "metrics": _recomputed(path, record, measured.metrics),
        "left_out": measured.left_out,
        "tuned": dict(record.tuned),
        "examples": _examples(run),
        "provenance": _without_paths(record.provenance),
        "scores": {
            "split": task.in_distribution,
            "num_examples": len(saved["labels"]),
            "sha256": hashlib.sha256(scores).hexdigest(),
        },
        "curves": curves(run),
    }
    content["record_sha256"] = seal(content)
    return content, scores


def _calibrated(run: RunFolder, saved: Saved, metrics: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Return the criterion of each example after the calibration, if the run has it, by its name."""
    from uncertainty_suite import evaluation

    task, likelihood = run.task, run.task.likelihood
    name = f"{likelihood.calibration}/{likelihood.criterion}"
    if f"{task.in_distribution}/{name}" not in metrics:
        return {}
    validation = run.predictions(task.of("validation")[0].key)
    fitted: Any = evaluation.fit_posthoc(likelihood.calibration, validation, likelihood)
    calibrated = fitted(likelihood.calibration_input(saved))
    scores = per_example.of_examples(likelihood.criterion, saved, likelihood, calibrated)
    return {} if scores is None else {name: scores}


def _recomputed(path: Path, record: Record, computed: Mapping[str, float]) -> dict[str, float]:
    """Return the recorded metrics, once they are known to be those of the predictions.

    Equal but for what the order of a sum does on another processor. What was added with `evaluate --metrics` is left
    out: the configuration does not name it, so nobody could make it again.
    """
    for name, value in computed.items():
        recorded = record.metrics.get(name)
        if recorded is None:
            raise InputError(f"{path}: field metrics[{name!r}] is missing, and its predictions give {value}")
        if not math.isclose(recorded, value, rel_tol=1e-9, abs_tol=1e-12):
            raise InputError(f"{path}: field metrics[{name!r}] is {recorded}, and its predictions give {value}")
    left_out = sorted(record.metrics.keys() - computed.keys() - set(COSTS))
    if left_out:
        print(f"{path}: not in its configuration, left out: {', '.join(left_out)}", file=sys.stderr)
    return {name: value for name, value in record.metrics.items() if name not in left_out}


def _without_paths(value: Any, key: str = "") -> Any:
    """Return provenance in which no path says where on which machine something lay.

    A path below the suite's root, or below any folder named `baselines` or `configs`, becomes a relative one, and any
    other absolute path its last name: `--output_dir=/home/me/runs/a` becomes `--output_dir=a`.
    """
    if isinstance(value, dict):
        return {name: _without_paths(below, name) for name, below in value.items()}
    if isinstance(value, list):
        return [_without_paths(below) for below in value]
    if not isinstance(value, str):
        return value
    if key == "command":
        with contextlib.suppress(ValueError):  # no shell would read it: taken as one text
            return shlex.join(_PATH.sub(_relative, word) for word in shlex.split(value))
    return _PATH.sub(_relative, value)


def _relative(match: re.Match) -> str:
    path = match[0].replace("\\", "/")
    below_root = path.removeprefix(f"{_ROOT}/")
    if below_root != path:
        return below_root
    known = re.search(r"/((?:baselines|configs)/.*)", path)
    return known[1] if known else path.rstrip("/").rpartition("/")[2]


def _examples(run: RunFolder) -> dict[str, dict[str, Any]]:
    """Return which examples were predicted of each split that is data of its own; corrupted ones are of another."""
    examples = {}
    for split in run.task.splits:
        if not split.derived and split.role not in ("fit", "predict_only"):
            saved = run.predictions(split.key)
            examples[split.key] = per_example.digest(saved["element_id"], saved["labels"] if split.labelled else None)
    return examples


def _check_examples(others: Iterable[Record], record: Record, examples: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse predictions of other examples than those of the records of the same fold that are there."""
    for other in others:
        for split in sorted(other.examples.keys() & examples.keys()) if other.fold == record.fold else ():
            if other.examples[split] != examples[split]:
                problem = f"{record.folder} has predicted other examples, or with other labels, than {other.folder}"
                raise InputError(f"Task '{record.task}': the examples of '{split}' differ, {problem}.")


def _check_means(others: Iterable[Record], record: Record) -> None:
    """Refuse numbers made of other shifted or OOD sets than those of the same name in the records that are there."""
    mine = _made_of(record)
    for other in others:
        theirs = _made_of(other)
        for key in sorted(mine.keys() & theirs.keys()):
            if mine[key] != theirs[key]:
                missing, more = sorted(theirs[key] - mine[key]), sorted(mine[key] - theirs[key])
                found = [f"without {', '.join(missing)}"] * bool(missing) + [f"with {', '.join(more)}"] * bool(more)
                raise InputError(
                    f"Task '{record.task}': {key} is made of other splits in {record.folder} than in {other.folder}: "
                    f"{' and '.join(found):.200}. Evaluate the same ones."
                )


def _made_of(record: Record) -> dict[str, set[str]]:
    """Return the splits behind each place where metrics of a record are made of several."""
    places = Places(record.splits, record.in_distribution).by_key.values()
    made_of = {place.key: place.splits for place in places if place.is_mean}
    made_of["failure"] = tuple(split for split in record.splits if split.role in ("shift", "near_ood", "far_ood"))
    return {
        key: {f"{split.key} ({split.max_examples or 'all'})" for split in splits}
        for key, splits in made_of.items()
        if any(name.startswith(f"{key}/") for name in record.metrics)
    }


def _json_bytes(content: Mapping[str, Any]) -> bytes:
    """Return a record's file: a line a field, so that it is small and a difference between two is readable."""
    lines = [f"{json.dumps(name)}: {_pretty(name, content[name])}" for name in sorted(content)]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _pretty(name: str, value: Any) -> str:
    if name == "metrics":
        inside = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value[key])}" for key in sorted(value))
        return "{\n" + inside + "\n}"
    return json.dumps(value, sort_keys=True, allow_nan=False)


def _matches(path: Path, content: Mapping[str, Any]) -> bool:
    """Return whether the scores beside a record are those that it names."""
    scores = path.with_suffix(".npz")
    return scores.exists() and hashlib.sha256(scores.read_bytes()).hexdigest() == content["scores"]["sha256"]


def _change(path: Path, content: Mapping[str, Any]) -> str:
    """Return the first field in which a record's file differs from what would be written."""
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
        changes = configuration.differences(old, dict(content))
    except (ValueError, AttributeError):
        return "it cannot be read"
    return next((change for change in changes if not change.startswith("record_sha256")), "its file of scores")
