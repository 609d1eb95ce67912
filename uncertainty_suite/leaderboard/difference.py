"""Two runs side by side: what differs in configuration and provenance, and by how much each metric does."""

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from uncertainty_suite import configuration
from uncertainty_suite.errors import InputError
from uncertainty_suite.leaderboard import statistics
from uncertainty_suite.leaderboard.records import Record, check_comparable, find_runs, read_record
from uncertainty_suite.leaderboard.rendering import number
from uncertainty_suite.leaderboard.store import load_scores
from uncertainty_suite.leaderboard.tables import higher_is_better, tables

_MEANS = ("accuracy", "nll", "brier", "entropy")
_ECE_BINS = 15  # as the metric `ece`
_TIMES = {"provenance.started_at", "provenance.finished_at"}

Scores = Mapping[str, np.ndarray]  # of a split: `element_id`, per-example scores, `confidence`, each `[n]`


@dataclasses.dataclass(frozen=True)
class Difference:
    """A metric of two runs, and the 95 % bootstrap interval of the second minus the first, None where there is none."""

    metric: str
    first: float
    second: float
    interval: tuple[float, float] | None


def diff(first: str | Path, second: str | Path, num_resamples: int = 1000) -> str:
    """Say what differs between two runs, each a run folder or a record's file.

    Intervals are paired: the test examples are drawn with replacement, the same ones for both runs, and both are
    measured anew (Efron 1979). They are about these two networks; of other seeds, `compare` knows. Metrics that are no
    function of what was saved for each example have none.

    Raises:
        InputError: There is no such run, or they are of different tasks, protocols or data.
    """
    records = [_one(first), _one(second)]
    if records[0].task != records[1].task:
        raise InputError(f"The runs are of different tasks, '{records[0].task}' and '{records[1].task}'.")
    # Two records of one experiment and seed, e.g. before and after a change, may well be compared here.
    check_comparable([records[0], dataclasses.replace(records[1], method=records[1].method + "\0")])
    lines = [f"a: {records[0].folder}", f"b: {records[1].folder}"]
    lines += ["", "Configuration (a -> b)", *_changes(_configuration(records[0]), _configuration(records[1]))]
    provenance = [
        {"provenance": record.provenance, "batch_size_global": record.batch_size_global} for record in records
    ]
    lines += ["", "Provenance (a -> b)", *_changes(*provenance)]
    found = differences(records[0], records[1], num_resamples)
    width = max(len(difference.metric) for difference in found) + 2
    lines += ["", f"{'Metrics':{width}} {'a':>10} {'b':>10} {'b - a':>10}   95 % interval, paired over test examples"]
    return "\n".join([*lines, *(_line(difference, width) for difference in found)]) + "\n"


def differences(first: Record, second: Record, num_resamples: int = 1000) -> list[Difference]:
    """Return the difference of each metric that both records have, in the order of the tables' columns."""
    resampled = [_Resampled(record, num_resamples) for record in (first, second)]
    (table,) = tables([dataclasses.replace(first, metrics={**first.metrics, **second.metrics})])
    result = []
    for metric in table.metrics:
        if metric in first.metrics and metric in second.metrics:
            values = [of_one.metric(metric) for of_one in resampled]
            interval = None
            if all(value is not None for value in values) and _same_examples(*resampled, metric):
                low, high = np.quantile(values[1] - values[0], [0.025, 0.975])
                interval = float(low), float(high)
            result.append(Difference(metric, first.metrics[metric], second.metrics[metric], interval))
    return result


class _Resampled:
    """The metrics of one run on resampled test sets, `[resamples]` each, from the scores of its splits."""

    def __init__(self, record: Record, num_resamples: int) -> None:
        self._load, self._num_resamples = _splits(record), num_resamples
        self._metrics = record.metrics
        self._test = record.config.get("evaluation", {}).get("splits", ["test"])[0]
        self._known: dict[str, Scores | None] = {}

    def scores(self, split: str) -> Scores | None:
        """Return the scores of a split in the order of its examples' ids, or None."""
        if split not in self._known:
            scores = self._load(split)
            if scores is not None:
                order = np.argsort(scores["element_id"], kind="stable")
                scores = {name: values[order] for name, values in scores.items()}
            self._known[split] = scores
        return self._known[split]

    def metric(self, name: str) -> np.ndarray | None:
        """Return a metric on each resampled test set, or None if it cannot be had from the scores."""
        split, _, kind = name.rpartition("/")
        if parts := self.parts(name):
            values = [self.metric(part) for part in parts]
            return None if any(value is None for value in values) else np.mean(values, axis=0)
        if kind == "auroc" and split.startswith("ood/"):
            _, source, *score = split.split("/")
            return self._auroc(f"ood/{source}", *score)
        scores = self.scores(split) if split else None
        if scores is None:
            return None
        if kind == "ece":
            return self._ece(scores)
        return self._weights(len(scores[kind])) @ scores[kind] if kind in _MEANS and kind in scores else None

    def parts(self, name: str) -> list[str]:
        """Return the metrics that a metric is the mean of: over corruptions and severities."""
        split, _, kind = name.rpartition("/")
        if split == "shift/mean":
            ending = f"/{kind}"
        elif split.startswith("shift/severity_"):
            ending = f"_{split.removeprefix('shift/severity_')}/{kind}"
        else:
            return []
        names = [other for other in self._metrics if other.startswith("shift/") and other.endswith(ending)]
        return [other for other in names if not re.match(r"shift/(mean|severity_\d+)/", other)]

    def splits(self, name: str) -> list[str]:
        """Return the splits that a metric was measured on."""
        if parts := self.parts(name):
            return [split for part in parts for split in self.splits(part)]
        split = name.rpartition("/")[0]
        return [self._test, "/".join(split.split("/")[:2])] if split.startswith("ood/") else [split]

    def _weights(self, num_examples: int) -> np.ndarray:
        return _weights(num_examples, self._num_resamples)

    def _ece(self, scores: Scores) -> np.ndarray:
        bins = np.minimum((scores["confidence"] * _ECE_BINS).astype(int), _ECE_BINS - 1)
        gaps = np.zeros((len(bins), _ECE_BINS), np.float32)
        gaps[np.arange(len(bins)), bins] = scores["accuracy"] - scores["confidence"]
        return np.abs(self._weights(len(bins)) @ gaps).sum(axis=1)

    def _auroc(self, key: str, score: str = "max_prob") -> np.ndarray | None:
        """Return `P(outside > inside) + P(outside = inside) / 2`, both sets resampled."""
        inside, outside = self.scores(self._test), self.scores(key)
        if inside is None or outside is None or score not in inside or score not in outside:
            return None
        order = np.argsort(inside[score], kind="stable")
        ranked = inside[score][order]
        below = [np.searchsorted(ranked, outside[score], side) for side in ("left", "right")]
        sums = np.cumsum(self._weights(len(ranked))[:, order], axis=1, dtype=np.float64)
        sums = np.concatenate([np.zeros((len(sums), 1)), sums], axis=1)
        mass = (sums[:, below[0]] + sums[:, below[1]]) / 2
        return (self._weights(len(below[0])) * mass).sum(axis=1)


_drawn: dict[tuple[int, int], np.ndarray] = {}


def _weights(num_examples: int, num_resamples: int) -> np.ndarray:
    """Return the weights of the resamples, the same for both runs and for all splits of one size."""
    key = num_examples, num_resamples
    if key not in _drawn:
        _drawn.clear()  # one size at a time: 10,000 examples are 40 MB
        _drawn[key] = np.concatenate(list(statistics.resamples(num_examples, num_resamples)))
    return _drawn[key]


def _same_examples(first: _Resampled, second: _Resampled, metric: str) -> bool:
    if first.splits(metric) != second.splits(metric):
        return False
    return all(
        np.array_equal(first.scores(split)["element_id"], second.scores(split)["element_id"])
        for split in first.splits(metric)
    )


def _splits(record: Record) -> Callable[[str], Scores | None]:
    """Return what loads the scores of a split of a run."""
    if not record.is_run:
        of_test = record.scores["split"] if record.scores else None
        return lambda split: load_scores(record) if split == of_test else None

    def load(split: str) -> Scores | None:
        from uncertainty_suite import evaluation

        if not (record.folder / "predictions" / f"{split}.npz").is_file():
            return None
        saved = evaluation.load(record.folder, split)
        if "probs" not in saved:
            return None
        probs, labels = saved["probs"].astype(np.float64), saved["labels"]
        scores = {"element_id": saved["element_id"], "confidence": probs.max(axis=1)}
        scores |= evaluation.uncertainties(saved)
        tiny = np.finfo(saved["probs"].dtype).smallest_subnormal
        scores["entropy"] = -(probs * np.log(np.maximum(probs, tiny))).sum(axis=1)
        if (labels >= 0).all():
            of_label = probs[np.arange(len(labels)), np.minimum(labels, probs.shape[1] - 1)]
            scores["accuracy"] = (probs.argmax(axis=1) == labels).astype(np.float64)
            scores["nll"] = -np.log(np.maximum(of_label, tiny))
            scores["brier"] = (probs**2).sum(axis=1) - 2 * of_label + 1
        return scores

    return load


def _one(path: str | Path) -> Record:
    found = find_runs([path])
    if len(found) != 1:
        raise InputError(f"{path} holds {len(found)} runs; name one of them.")
    return read_record(found[0])


def _configuration(record: Record) -> dict:
    return {"method": record.method, "model.name": record.model, **record.config}


def _changes(first: Mapping, second: Mapping) -> list[str]:
    # As JSON, so that a control character in a record stays text on a terminal.
    changes = configuration.differences(dict(first), dict(second))
    shown = [json.dumps(change, ensure_ascii=True)[1:-1] for change in changes if change.split(":")[0] not in _TIMES]
    return [f"  {change}" for change in shown] or ["  the same"]


def _line(difference: Difference, width: int) -> str:
    change = difference.second - difference.first
    decimals = 0 if difference.metric == "num_parameters" else 4
    numbers = [number(value, decimals) for value in (difference.first, difference.second)]
    text = f"  {difference.metric:{width - 2}} {numbers[0]:>10} {numbers[1]:>10} {change:>+10.{decimals}f}"
    if difference.interval is None:
        return text
    low, high = difference.interval
    text += f"   [{low:+.4f}, {high:+.4f}]"
    direction = higher_is_better(difference.metric)
    if direction is None or low <= 0 <= high:
        return text
    return text + ("  b is better" if (low > 0) == direction else "  b is worse")
