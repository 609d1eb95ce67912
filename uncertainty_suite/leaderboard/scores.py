"""The scores of every example beside a record: small enough to commit, with the digits that a paired test needs.

An `.npz` file holds `element_id` as steps, the first id and then the differences to the next ones, and an array for
each metric of the likelihood's headline that is made of a value of each example, under the metric's name:

| stored as | what |
|---|---|
| a bit an example, packed (uint8) | what is 0 or 1 everywhere: `accuracy` |
| uint16, 65,535 times the value, rounded | `confidence`, the largest probability |
| float16, three digits | `nll`, `temperature_scaling/nll` (after calibration) and `brier`, of classes |
| float32, seven digits | `gaussian_nll`, the same after calibration, `crps`, `rmse` (squared), `stddev`, in any unit |
| the least unsigned integer, or float64 | `labels`, classes or targets, to check predictions from elsewhere by |

Of classes that is eight bytes an example, some 50 kB for 10,000 of them, and less once compressed.
"""

import hashlib
import io
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from uncertainty_suite import metrics
from uncertainty_suite.leaderboard.fields import printable
from uncertainty_suite.likelihoods import Likelihood
from uncertainty_suite.metrics.base import MeanMetric

Scores = dict[str, np.ndarray]  # `element_id` and, by metric, the value of each example, each `[n]`

_SHARE = 65535
_FORMER_NAMES = {"correct": "accuracy"}  # of arrays, in records of before
LABELS = "labels"
_SPREADS = ("confidence", "stddev")
_KINDS = {"element_id": "i", LABELS: "uf"}  # of the others, any that is stored
_ROUNDING = 1e-3  # more than what float16 does to a mean


def scored(likelihood: Likelihood | type[Likelihood]) -> list[str]:
    """Return the metrics that records have scores of: those of the headline with a direction and a value an example."""
    infos = {name: metrics.info(name) for name in likelihood.headline}
    return [name for name, info in infos.items() if issubclass(info, MeanMetric) and info.higher_is_better is not None]


def of_examples(
    metric: str,
    saved: Mapping[str, np.ndarray],
    likelihood: Likelihood | type[Likelihood],
    predictions: Any = None,
) -> np.ndarray | None:
    """Return the value of each saved example, float64 `[n]`, of which a metric is made; None if it is not made so.

    For a root mean, such as `rmse`, it is what the mean is taken of.

    Args:
        metric: Its name.
        saved: Saved predictions.
        likelihood: Of the task.
        predictions: What the metric receives, if not the saved predictions: the same ones after a calibration.

    Raises:
        InputError: There is no such metric, or it has no value on these labels.
    """
    made = metrics.get(metric)
    if not isinstance(made, MeanMetric) or likelihood.name not in made.likelihoods or "samples" in made.needs:
        return None
    labels = saved["labels"] if "labels" in made.needs else None
    batch = made.checked(likelihood.metric_input(saved) if predictions is None else predictions, labels)
    return made.per_example(batch).astype(np.float64)


def to_bytes(
    saved: Mapping[str, np.ndarray], likelihood: Likelihood, further: Mapping[str, np.ndarray] = MappingProxyType({})
) -> bytes:
    """Return the file of scores of saved predictions; the same predictions give the same bytes.

    Args:
        saved: The predictions.
        likelihood: Of the task.
        further: Further scores `[n]` by metric, in the order of the predictions.
    """
    order = np.argsort(saved["element_id"], kind="stable")
    steps = np.diff(saved["element_id"][order].astype(np.int64), prepend=0)
    arrays: dict[str, Any] = {"element_id": steps.astype(np.int32) if np.abs(steps).max() < 2**31 else steps}
    small = np.float16 if likelihood.name == "categorical" else np.float32
    for name in scored(likelihood):
        scores = of_examples(name, saved, likelihood)
        if scores is not None:
            is_bit = np.isin(scores, (0, 1)).all()
            arrays[name] = np.packbits(scores[order] == 1) if is_bit else _rounded(scores[order], small)
    arrays |= {name: _rounded(scores[order], small) for name, scores in further.items()}
    spread, values = next(iter(likelihood.uncertainties(saved).items()))
    if likelihood.name == "categorical":
        confidence = likelihood.metric_input(saved)[order].max(axis=1).astype(np.float64)
        arrays["confidence"] = np.rint(_SHARE * np.minimum(confidence, 1)).astype(np.uint16)
    else:
        arrays[spread] = values[order].astype(small)
    labels = saved["labels"][order]
    arrays[LABELS] = labels.astype(np.min_scalar_type(labels.max()) if labels.dtype.kind in "iu" else np.float64)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def digest(element_ids: np.ndarray, labels: np.ndarray | None = None) -> dict[str, Any]:
    """Return what tells the examples of a split from any others: how many, and the SHA-256 of ids and labels.

    Their order makes no difference.

    Args:
        element_ids: int `[n]`.
        labels: `[n]`, integers or, of a regression, targets; None where the split has none that count.
    """
    order = np.argsort(element_ids, kind="stable")
    sha256 = hashlib.sha256(element_ids[order].astype("<i8").tobytes())
    if labels is not None:
        sha256.update(labels[order].astype("<i8" if labels.dtype.kind in "iu" else "<f8").tobytes())
    return {"num_examples": len(element_ids), "sha256": sha256.hexdigest()}


def checked(
    arrays: Mapping[str, np.ndarray],
    likelihood: type[Likelihood],
    num_examples: int,
    measured: Mapping[str, float],
) -> dict[str, np.ndarray]:
    """Return the arrays of a file of scores, the ids summed up, once they are as `to_bytes` makes them.

    Args:
        arrays: As they are stored.
        likelihood: Of the task.
        num_examples: How many there are.
        measured: The metrics of the split, which must be what their scores give.

    Raises:
        ValueError: An array is missing, unknown, of another form, or gives another metric.
    """
    names = scored(likelihood)
    arrays = {_FORMER_NAMES.get(name, name): array for name, array in arrays.items()}
    missing = [
        name for name in ("element_id", *names) if name not in arrays and (name in measured or name not in names)
    ]
    if missing:
        raise ValueError(f"there is no array '{missing[0]}'")
    known = {"element_id", *names, f"{likelihood.calibration}/{likelihood.criterion}", *_SPREADS, LABELS}
    if unknown := sorted(arrays.keys() - known):
        raise ValueError(f"there is an array {printable(unknown[0])!r:.80}, which no record has")
    for name, array in arrays.items():
        packed = array.dtype == np.uint8 and name not in (LABELS, "element_id")
        expected = -(-num_examples // 8) if packed else num_examples
        if array.shape != (expected,) or array.dtype.kind not in _KINDS.get(name, "uf"):
            raise ValueError(f"array '{name}' is {array.dtype} {list(array.shape)}, for {num_examples} examples")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"array '{name}' has values that are not finite")
    ids = np.cumsum(arrays["element_id"], dtype=np.int64)
    if (arrays["element_id"][1:] < 1).any() or (ids[1:] <= ids[:-1]).any():
        raise ValueError("an element_id is there twice")
    for name in measured.keys() & arrays.keys():
        metric: Any = metrics.get(name.rpartition("/")[2])
        found = metric.finish(float(_decoded(arrays[name], num_examples).mean(dtype=np.float64)))
        if not math.isclose(found, measured[name], rel_tol=_ROUNDING, abs_tol=1e-6):
            raise ValueError(f"array '{name}' gives {found:.6g}, and the record says {measured[name]:.6g}")
    return {**arrays, "element_id": ids}


def decoded(arrays: Mapping[str, np.ndarray]) -> Scores:
    """Return the scores of arrays that `checked` returned, float32 `[n]` by metric, and their ids, int64."""
    ids = arrays["element_id"]
    stored = {name: array for name, array in arrays.items() if name not in ("element_id", LABELS)}
    return {"element_id": ids, **{name: _decoded(array, len(ids)) for name, array in stored.items()}}


def _rounded(values: np.ndarray, dtype: type[np.floating]) -> np.ndarray:
    """Return values in few digits, more where one is too large for them."""
    return values.astype(dtype if np.abs(values).max() <= np.finfo(dtype).max else np.float64)


def _decoded(stored: np.ndarray, num_examples: int) -> np.ndarray:
    if stored.dtype == np.uint8:
        return np.unpackbits(stored, count=num_examples).astype(np.float32)
    values = stored.astype(np.float32)
    return values / _SHARE if stored.dtype == np.uint16 else values
