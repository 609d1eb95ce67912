"""The committed records: `add` takes from a finished run what a comparison needs, and nothing large or private.

A record is `leaderboards/<task>/<method>-<hash8>-seed<k>.json`: the run's `results.json`, the points of its figures,
and a seal. Beside it lies `<...>.npz` with the scores of every test example, for paired tests, sorted by `element_id`:

| array | |
|---|---|
| `element_id` | int32: the first id, then the steps to the next ones |
| `correct` | a bit an example, packed |
| `nll`, `brier` | float16: three digits, where a paired test needs the spread over examples |
| `confidence` | uint16: the largest probability times 65,535, rounded |

That is seven bytes an example, some 50 kB for 10,000 of them, and less once compressed.
"""

import contextlib
import hashlib
import io
import json
import math
import os
import re
import shlex
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from uncertainty_suite import configuration
from uncertainty_suite.errors import InputError
from uncertainty_suite.files import write_atomic
from uncertainty_suite.leaderboard.records import (
    KNOWN_PROTOCOLS,
    Record,
    check_comparable,
    file_name,
    find_runs,
    read_all,
    read_record,
    seal,
)

SCORES = ("accuracy", "nll", "brier")  # the metrics that are means of per-example scores

_MEASURED = ("num_parameters", "train_seconds", "milliseconds_per_example")  # what no prediction tells
_RELIABILITY_BINS, _COVERAGES, _CONFIDENCE_BINS = 15, 50, 20
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
        replace: Overwrite a record of the same configuration and seed that says something else.

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
            neighbours = [other for other in _neighbours(path.parent) if other.folder != path]
            check_comparable([*neighbours, record])
            _check_examples(neighbours, record, scores)
            # First the scores: a record whose scores are missing is damaged, scores without a record are nothing.
            if scores is not None:
                write_atomic(path.with_suffix(".npz"), lambda file: file.write(scores))
            write_atomic(path, lambda file: file.write(_json_bytes(content)))
    except OSError as error:
        raise InputError(f"{error.filename or path}: {error.strerror}") from error
    return f"{path}: {len(content['metrics'])} metrics"


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time look at the records and add to them; the system unlocks when a process dies."""
    import fcntl  # on no Windows, where records can be read but not added

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing alone does not where a forked process has it open too
        os.close(descriptor)


def _neighbours(folder: Path) -> list[Record]:
    """Return the records that can be read among those of a task."""
    if not any(folder.glob("*.json")):
        return []
    try:
        return read_all([folder])[0]
    except InputError:  # all of them are damaged, which `check` says
        return []


def _content(record: Record) -> tuple[dict[str, Any], bytes | None]:
    """Return what a record's files hold: the JSON object, and the bytes of the scores or None."""
    from uncertainty_suite import evaluation

    content = json.loads((record.folder / "results.json").read_text(encoding="utf-8"))
    path = record.folder / "results.json"
    if record.protocol_version not in KNOWN_PROTOCOLS:
        known = ", ".join(map(str, KNOWN_PROTOCOLS))
        raise InputError(f"{path}: field 'protocol_version' is {record.protocol_version}, known: {known}")
    for config, owner in ((record.config, path), (configuration.read(record.folder), record.folder / "config.json")):
        expected = configuration.config_hash(config)
        if record.config_hash != expected:
            raise InputError(f"{path}: field 'config_hash' is {record.config_hash}, and of {owner} it is {expected}")
    private = [name for name, value in configuration.flatten(record.config).items() if _PATH.search(str(value))]
    if private:
        raise InputError(f"{path}: config.{private[0]} is a path of one machine, which no record may hold")

    if "rollbacks" in record.provenance:
        raise InputError(
            f"{path}: its training was rolled back, so its learning rate is not its configuration's; train with a "
            "smaller one and without --on_nan=rollback"
        )

    content["metrics"] = _recomputed(path, record, evaluation.compute(record.folder))
    content["provenance"] = _without_paths(content["provenance"])
    scores = None
    split = record.config["evaluation"]["splits"][0]
    saved = evaluation.load(record.folder, split)
    if "probs" in saved:
        scores = _score_bytes(saved)
        content["scores"] = {
            "split": split,
            "num_examples": len(saved["labels"]),
            "sha256": hashlib.sha256(scores).hexdigest(),
        }
        content["curves"] = _curves(record, saved)
    content["record_sha256"] = seal(content)
    return content, scores


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
    left_out = sorted(record.metrics.keys() - computed.keys() - set(_MEASURED))
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


def _score_bytes(saved: Mapping[str, np.ndarray]) -> bytes:
    """Return the file of scores of saved predictions; the same predictions give the same bytes."""
    order = np.argsort(saved["element_id"], kind="stable")
    probs, labels = saved["probs"][order].astype(np.float64), saved["labels"][order]
    ids = saved["element_id"][order].astype(np.int64)
    of_label = probs[np.arange(len(labels)), labels]
    # Zeros as `metrics.negative_log_likelihood` has them: the least that the stored type can tell from zero.
    nll = -np.log(np.maximum(of_label, np.finfo(saved["probs"].dtype).smallest_subnormal))
    brier = (probs**2).sum(axis=1) - 2 * of_label + 1
    steps = np.diff(ids, prepend=0)
    file = io.BytesIO()
    np.savez_compressed(
        file,
        element_id=steps.astype(np.int32) if np.abs(steps).max() < 2**31 else steps,
        correct=np.packbits(probs.argmax(axis=1) == labels),
        nll=nll.astype(np.float16),
        brier=brier.astype(np.float16),
        confidence=np.rint(65535 * np.minimum(probs.max(axis=1), 1)).astype(np.uint16),
    )
    return file.getvalue()


def load_scores(record: Record) -> dict[str, np.ndarray] | None:
    """Return `accuracy` (0 or 1), `nll`, `brier` and `confidence` of each test example, sorted by `element_id`.

    None for a run folder, and for a record without scores.

    Raises:
        InputError: The file cannot be read.
    """
    if record.is_run or record.scores is None:
        return None
    path = record.folder.with_suffix(".npz")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    return {
        "element_id": np.cumsum(arrays["element_id"], dtype=np.int64),
        "accuracy": np.unpackbits(arrays["correct"], count=len(arrays["nll"])).astype(np.float32),
        "nll": arrays["nll"].astype(np.float32),
        "brier": arrays["brier"].astype(np.float32),
        "confidence": arrays["confidence"].astype(np.float32) / 65535,
    }


def _check_examples(neighbours: Iterable[Record], record: Record, scores: bytes | None) -> None:
    """Refuse scores of other examples than those of the records that are there."""
    if scores is None:
        return
    with np.load(io.BytesIO(scores)) as file:
        ids = np.cumsum(file["element_id"], dtype=np.int64)
    for other in neighbours:
        try:
            known = load_scores(other)
        except InputError:  # a damaged neighbour is no reason to refuse
            continue
        if known is not None and not np.array_equal(known["element_id"], ids):
            problem = f"{record.folder} has predicted other test examples than {other.folder}"
            raise InputError(f"Task '{record.task}': element_id differs, {problem}.")


def _curves(record: Record, saved: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the points of a record's figures, few enough for a web page.

    `reliability`: for each of 15 bins of confidence the number of examples, their mean confidence and their accuracy;
    `risk_coverage`: the error rate at coverages 1/50 to 1; `confidence`: for the test set and each OOD set the fraction
    of examples in each of 20 bins of the largest probability.
    """
    from uncertainty_suite import evaluation, metrics

    confidence = saved["probs"].max(axis=1).astype(np.float64)
    correct = saved["probs"].argmax(axis=1) == saved["labels"]
    bins = np.minimum((confidence * _RELIABILITY_BINS).astype(int), _RELIABILITY_BINS - 1)
    counts = np.bincount(bins, minlength=_RELIABILITY_BINS)
    sums = [np.bincount(bins, values, minlength=_RELIABILITY_BINS) for values in (confidence, correct)]
    means = [values / np.maximum(counts, 1) for values in sums]
    coverage, risk = metrics.risk_coverage_curve(saved["probs"], saved["labels"])
    grid = np.arange(1, _COVERAGES + 1) / _COVERAGES
    sets = {"test": confidence}
    settings = record.config["evaluation"]
    for source in (*settings["ood_near"], *settings["ood_far"]):
        key = evaluation.ood_key(source, record.config["dataset"]["name"])
        sets[key] = evaluation.load(record.folder, key)["probs"].max(axis=1)
    return {
        "reliability": [[int(n), _round(c), _round(a)] for n, c, a in zip(counts, *means)],
        "risk_coverage": [_round(value) for value in np.interp(grid, coverage, risk)],
        "confidence": {
            name: [_round(part) for part in np.histogram(values, _CONFIDENCE_BINS, (0, 1))[0] / len(values)]
            for name, values in sets.items()
        },
    }


def _round(value: float) -> float:
    return round(float(value), 5)


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
    if "scores" not in content:
        return True
    return scores.exists() and hashlib.sha256(scores.read_bytes()).hexdigest() == content["scores"]["sha256"]


def _change(path: Path, content: Mapping[str, Any]) -> str:
    """Return the first field in which a record's file differs from what would be written."""
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
        changes = configuration.differences(old, dict(content))
    except (ValueError, AttributeError):
        return "it cannot be read"
    return next((change for change in changes if not change.startswith("record_sha256")), "its file of scores")
