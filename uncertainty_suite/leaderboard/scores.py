"""The scores of every example beside a record: small enough to commit, with the digits that a paired test needs.

An `.npz` file holds `element_id` as steps, the first id and then the differences to the next ones, and an array for
each metric of the likelihood's headline that is made of a value of each example, under the metric's name:

| stored as | what |
|---|---|
| a bit an example, packed (uint8) | what is 0 or 1 everywhere: `accuracy` |
| uint16, 65,535 times the value, rounded | `confidence`, the largest probability |
| float16, three digits | `nll` and `brier`, of classes |
| float32, seven digits | `gaussian_nll`, `crps`, `rmse` (of it the squared error) and `stddev`, in units of any size |

Of classes that is seven bytes an example, some 50 kB for 10,000 of them, and less once compressed.
"""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from uncertainty_suite import metrics
from uncertainty_suite.errors import InputError
from uncertainty_suite.leaderboard.records import Record
from uncertainty_suite.likelihoods import Likelihood
from uncertainty_suite.metrics.base import MeanMetric

Scores = dict[str, np.ndarray]  # `element_id` and, by metric, the value of each example, each `[n]`

_SHARE = 65535
_FORMER_NAMES = {"correct": "accuracy"}  # of arrays, in records of before


def scored(likelihood: Likelihood | type[Likelihood]) -> list[str]:
    """Return the metrics that records have scores of: those of the headline with a direction and a value an example."""
    infos = {name: metrics.info(name) for name in likelihood.headline}
    return [name for name, info in infos.items() if issubclass(info, MeanMetric) and info.higher_is_better is not None]


def of_examples(
    metric: str, saved: Mapping[str, np.ndarray], likelihood: Likelihood | type[Likelihood]
) -> np.ndarray | None:
    """Return the value of each saved example, float64 `[n]`, of which a metric is made; None if it is not made so.

    For a root mean, such as `rmse`, it is what the mean is taken of.

    Raises:
        InputError: There is no such metric, or it has no value on these labels.
    """
    made = metrics.get(metric)
    if not isinstance(made, MeanMetric) or likelihood.name not in made.likelihoods or "samples" in made.needs:
        return None
    labels = saved["labels"] if "labels" in made.needs else None
    batch = made.checked(likelihood.metric_input(saved), labels)
    return made.per_example(batch).astype(np.float64)


def to_bytes(saved: Mapping[str, np.ndarray], likelihood: Likelihood) -> bytes:
    """Return the file of scores of saved predictions; the same predictions give the same bytes."""
    order = np.argsort(saved["element_id"], kind="stable")
    steps = np.diff(saved["element_id"][order].astype(np.int64), prepend=0)
    arrays: dict[str, Any] = {"element_id": steps.astype(np.int32) if np.abs(steps).max() < 2**31 else steps}
    small = np.float16 if likelihood.name == "categorical" else np.float32
    for name in scored(likelihood):
        scores = of_examples(name, saved, likelihood)
        if scores is not None:
            is_bit = np.isin(scores, (0, 1)).all()
            arrays[name] = np.packbits(scores[order] == 1) if is_bit else scores[order].astype(small)
    spread, values = next(iter(likelihood.uncertainties(saved).items()))
    if likelihood.name == "categorical":
        confidence = saved["probs"][order].max(axis=1).astype(np.float64)
        arrays["confidence"] = np.rint(_SHARE * np.minimum(confidence, 1)).astype(np.uint16)
    else:
        arrays[spread] = values[order].astype(small)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def element_ids(scores: bytes) -> np.ndarray:
    """Return the ids of the examples in a file of scores, int64 `[n]`."""
    with np.load(io.BytesIO(scores), allow_pickle=False) as file:
        return np.cumsum(file["element_id"], dtype=np.int64)


def load_scores(record: Record) -> Scores | None:
    """Return the scores of each example of a record, float32 `[n]` by metric, sorted by `element_id`, int64.

    None for a run folder, and for a record without scores.

    Raises:
        InputError: The file cannot be read.
    """
    if record.is_run or record.scores is None:
        return None
    path = record.folder.with_suffix(".npz")
    try:
        # The SHA-256 in the record was compared when it was read, so `files.read_arrays` would check the file again.
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        ids = np.cumsum(arrays.pop("element_id"), dtype=np.int64)
        return {
            "element_id": ids,
            **{_FORMER_NAMES.get(name, name): _decoded(arrays[name], len(ids)) for name in arrays},
        }
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def _decoded(stored: np.ndarray, num_examples: int) -> np.ndarray:
    if stored.dtype == np.uint8:
        return np.unpackbits(stored, count=num_examples).astype(np.float32)
    values = stored.astype(np.float32)
    return values / _SHARE if stored.dtype == np.uint16 else values
