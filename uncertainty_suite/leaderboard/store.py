"""The committed records: `add` takes from a finished run what a comparison needs, and nothing large or private.

A record is `leaderboards/<task>/<method>-<hash8>-seed<k>.json`, or `...-fold<f>-seed<k>.json`: the fields of the run's
`results.json` that `Record` knows, the points of its figures, and a seal. Beside it lies `<...>.npz` with the scores of
every example of the in-distribution split, for paired tests, sorted by `element_id`, and their labels; `scores` has the
arrays. `examples` tells for every other split, too, which examples were predicted.
"""

import contextlib
import dataclasses
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
from uncertainty_suite.files import read_json
from uncertainty_suite.leaderboard import fields
from uncertainty_suite.leaderboard import scores as per_example
from uncertainty_suite.leaderboard.curves import curves
from uncertainty_suite.leaderboard.fields import printable
from uncertainty_suite.leaderboard.records import (
    Agreement,
    Record,
    check_protocol,
    consistent,
    file_name,
    find_runs,
    of_content,
    read_all,
    read_record,
    seal,
)
from uncertainty_suite.leaderboard.saved import CheckedRun
from uncertainty_suite.leaderboard.tables import COSTS
from uncertainty_suite.leaderboard.writing import is_inside, write
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
    lines: list[str] = []
    problems: list[str] = []
    neighbours: dict[Path, _Neighbours] = {}
    folders = find_runs(runs, problems)
    for problem in problems:
        _say(problem)
    refused = len(problems)
    for folder in folders:
        try:
            lines.append(_add(folder, Path(to), replace, neighbours))
        except InputError as error:
            _say(f"refused: {error}")
            refused += 1
    if refused:
        raise InputError(f"{refused} of {refused + len(lines)} runs refused, {len(lines)} added.")
    return lines


def _say(line: str) -> None:
    print(printable(line), file=sys.stderr)


def _add(folder: Path, to: Path, replace: bool, neighbours: dict[Path, "_Neighbours"]) -> str:
    record = read_record(folder)
    try:
        content, scores = _content(record)
    except InputError:
        raise
    except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as error:
        # A run folder may hold anything, and what that makes the arithmetic raise stops no other run.
        raise InputError(f"{folder}: cannot be measured ({type(error).__name__}: {error})") from error
    path = to / file_name(content)
    added = of_content(path, content, scores)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not is_inside(path, to):
            raise InputError(f"{path.parent} is a link that leads out of {to}.")
        with _locked(to):
            if path.exists() and _is(path, _json_bytes(content)) and _is(path.with_suffix(".npz"), scores):
                return f"{path}: is there already"
            if path.exists() and not replace:
                raise InputError(f"{path} is there and says something else ({_change(path, content)}). See --replace.")
            beside = neighbours.setdefault(path.parent, _Neighbours(path.parent))
            beside.check(dataclasses.replace(added, folder=folder), path)
            # First the scores: a record whose scores are missing is damaged, scores without a record are nothing.
            for name, data in ((path.with_suffix(".npz"), scores), (path, _json_bytes(content))):
                write(name, data, to)
            beside.added(added)
    except OSError as error:
        raise InputError(f"{error.filename or path}: {error.strerror}") from error
    return f"{path}: {len(content['metrics'])} metrics"


class _Neighbours:
    """The records in the folder of a task, each read once however many are added to them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[int, int, int] | None = None  # the folder when its files were last looked at
        self._known: dict[Path, tuple[tuple[int, int, int], Record | None]] = {}
        self._agreement = Agreement()

    def check(self, record: Record, path: Path) -> None:
        """Refuse a record that cannot stand beside the others; `path` is where it shall lie, in place of any there."""
        # Whoever adds renames a file into the folder, which changes it: no need to look at every file each time.
        if _stamp(self._folder) != self._seen:  # others were at it
            found = {each: _stamp(each) for each in sorted(self._folder.glob("*.json"))}
            known = {each: self._known[each] for each in found if self._known.get(each, (None,))[0] == found[each]}
            self._known = {each: known.get(each) or (stamp, _readable(each)) for each, stamp in found.items()}
            self._agreement = self._all_but(None)
            self._seen = _stamp(self._folder)
        agreement = self._all_but(path) if path in self._known else self._agreement
        if problem := agreement.problem(record):
            raise InputError(problem)
        if copied := agreement.copied(record):
            said, refused = copied
            if refused:
                raise InputError(said)
            _say(f"note: {said}")

    def added(self, record: Record) -> None:
        """Count a record in that was written."""
        replaces = record.folder in self._known
        self._known[record.folder] = _stamp(record.folder), record
        self._seen = _stamp(self._folder)
        if replaces:
            self._agreement = self._all_but(None)
        else:
            self._agreement.take(record)

    def _all_but(self, path: Path | None) -> Agreement:
        records = [record for each, (_, record) in self._known.items() if record is not None and each != path]
        agreement = Agreement()
        for record in consistent(records)[0]:
            agreement.take(record)
        return agreement


def _stamp(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file is written anew, or when a folder gets one."""
    status = path.lstat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _readable(path: Path) -> Record | None:
    """Return a record, or None for what is damaged or none, which `check` says."""
    try:
        return next(iter(read_all([path])[0]), None)
    except InputError:
        return None


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
    return consistent([record for path in sorted(folder.glob("*.json")) if (record := _readable(path))])[0]


def _content(record: Record) -> tuple[dict[str, Any], bytes]:
    """Return what a record's files hold: the JSON object, and the bytes of the scores."""
    from uncertainty_suite import evaluation

    run = CheckedRun(record.folder)
    path = record.folder / "results.json"
    check_protocol(path, record.protocol_version)
    try:
        fields.evaluation("config['evaluation']", record.config.get("evaluation"))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
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
    results = run.results or {}
    for name, value in said.items():
        if results.get(name) != value:
            raise InputError(f"{path}: field {name!r} is not that of {record.folder / 'task.json'}")

    measured = evaluation.compute(run)
    examples = _examples(run)
    saved = run.predictions(task.in_distribution)
    scores = per_example.to_bytes(saved, task.likelihood, _calibrated(run, saved, measured.metrics))
    content = {
        "schema_version": SCHEMA_VERSION,
        **{name: getattr(record, name) for name in _COPIED},
        **said,
        "metrics": _recomputed(path, record, measured.metrics, examples),
        "left_out": measured.left_out,
        "tuned": dict(record.tuned),
        "examples": examples,
        # Paths first: what escapes a line end would escape it for the shell's rules, too.
        "provenance": fields.provenance("provenance", _without_paths(results["provenance"])),
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


def _recomputed(
    path: Path, record: Record, computed: Mapping[str, float], examples: Mapping[str, Mapping[str, Any]]
) -> dict[str, float]:
    """Return the recorded metrics, once they are known to be those of the predictions.

    Equal but for what the order of a sum does on another processor. OOD scores that are fitted on features put two
    examples of almost the same score in the one order or the other there, which moves a rate by as much as one example.
    What was added with `evaluate --metrics` is left out: the configuration does not name it, so nobody could make it
    again.
    """
    from uncertainty_suite import ood_scores

    scores = record.config["evaluation"]["ood_scores"]
    fitted = {score for score in scores if "features" in ood_scores.info(score).needs}
    one_example = 1 / min(split["num_examples"] for split in examples.values())
    for name, value in computed.items():
        recorded = record.metrics.get(name)
        if recorded is None:
            raise InputError(f"{path}: field metrics[{name!r}] is missing, and its predictions give {value}")
        tolerance = 1e-12 if fitted.isdisjoint(name.split("/")) else one_example
        if not math.isclose(recorded, value, rel_tol=1e-9, abs_tol=tolerance):
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


def _json_bytes(content: Mapping[str, Any]) -> bytes:
    """Return a record's file: a line a field, so that it is small and a difference between two is readable."""
    lines = [f"{json.dumps(name)}: {_pretty(name, content[name])}" for name in sorted(content)]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _pretty(name: str, value: Any) -> str:
    if name == "metrics":
        inside = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value[key])}" for key in sorted(value))
        return "{\n" + inside + "\n}"
    return json.dumps(value, sort_keys=True, allow_nan=False)


def _is(path: Path, data: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data


def _change(path: Path, content: Mapping[str, Any]) -> str:
    """Return the first field in which a record's file differs from what would be written."""
    try:
        changes = configuration.differences(read_json(path), dict(content))
    except (OSError, ValueError):
        return "it cannot be read"
    return next((change for change in changes if not change.startswith("record_sha256")), "its file of scores")
