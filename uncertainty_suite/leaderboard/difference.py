"""Two runs side by side: what differs in configuration and provenance, and by how much each metric does."""

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from uncertainty_suite import configuration, likelihoods, metrics
from uncertainty_suite.errors import InputError
from uncertainty_suite.leaderboard import statistics
from uncertainty_suite.leaderboard.places import Place, Places
from uncertainty_suite.leaderboard.records import Record, check_comparable, find_runs, load_scores, read_record
from uncertainty_suite.leaderboard.rendering import number
from uncertainty_suite.leaderboard.saved import CheckedRun
from uncertainty_suite.leaderboard.scores import Scores, of_examples
from uncertainty_suite.leaderboard.tables import EXACT_COSTS, higher_is_better, tables
from uncertainty_suite.likelihoods import Saved
from uncertainty_suite.metrics.base import MeanMetric
from uncertainty_suite.metrics.calibration import even_bins

_TIMES = {"provenance.started_at", "provenance.finished_at"}


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
    if records[0].fold != records[1].fold:
        raise InputError(f"The runs are of different folds, {records[0].fold} and {records[1].fold}.")
    # Two records of one experiment and seed, e.g. before and after a change, may well be compared here.
    check_comparable([records[0], dataclasses.replace(records[1], method=records[1].method + "\0")])
    lines = [f"a: {records[0].folder}", f"b: {records[1].folder}"]
    lines += ["", "Configuration (a -> b)", *_changes(_configuration(records[0]), _configuration(records[1]))]
    provenance = [
        {"provenance": record.provenance, "batch_size_global": record.batch_size_global} for record in records
    ]
    lines += ["", "Provenance (a -> b)", *_changes(*provenance)]
    found = differences(records[0], records[1], num_resamples)
    if not found:
        raise InputError(f"{records[0].folder} and {records[1].folder} have no metric in common.")
    width = max(len(difference.metric) for difference in found) + 2
    lines += ["", f"{'Metrics':{width}} {'a':>10} {'b':>10} {'b - a':>10}   95 % interval, paired over test examples"]
    return "\n".join([*lines, *(_line(difference, width) for difference in found)]) + "\n"


def differences(first: Record, second: Record, num_resamples: int = 1000) -> list[Difference]:
    """Return the difference of each metric that both records have, in the order of the tables' columns."""
    resampled = Resampled(first, num_resamples), Resampled(second, num_resamples)
    (table,) = tables([dataclasses.replace(first, metrics={**first.metrics, **second.metrics})])
    result = []
    for metric in table.metrics:
        if metric in first.metrics and metric in second.metrics:
            interval = _interval(*resampled, metric)
            result.append(Difference(metric, first.metrics[metric], second.metrics[metric], interval))
    return result


def _interval(first: "Resampled", second: "Resampled", metric: str) -> tuple[float, float] | None:
    values = first.metric(metric), second.metric(metric)
    if values[0] is None or values[1] is None or not _same_examples(first, second, metric):
        return None
    low, high = np.quantile(values[1] - values[0], [0.025, 0.975])
    return float(low), float(high)


class Resampled:
    """The metrics of one run on resampled test sets, `[resamples]` each, from what was saved of each example."""

    def __init__(self, record: Record, num_resamples: int) -> None:
        """Look at a run folder or a record; nothing is read before it is needed."""
        self._splits: _RunSplits | _RecordSplits = _RunSplits(record) if record.is_run else _RecordSplits(record)
        self._num_resamples = num_resamples
        self._places = Places(record.splits, record.in_distribution)
        self._test = record.in_distribution

    def metric(self, name: str) -> np.ndarray | None:
        """Return a metric on each resampled test set, or None if it cannot be had from what was saved."""
        place, kind = self._places.of(name)
        if place is None:
            return None
        if parts := _parts(place, kind):
            found = [each for part in parts if (each := self.metric(part)) is not None]
            return np.mean(found, axis=0) if len(found) == len(parts) else None
        score, _, last = kind.rpartition("/")
        if place.section == "ood":
            return self._auroc(place.key, score) if last == "auroc" else None
        if kind == "ece":
            return self._ece(place.key)
        values = self._splits.values(place.key, kind)
        return None if values is None else self._finished(kind, self.weights(len(values)) @ values)

    def examples(self, name: str) -> list[np.ndarray | None]:
        """Return the ids of the examples that a metric was measured on, of each of its splits."""
        place, _ = self._places.of(name)
        if place is None:
            return []
        keys = [split.key for split in place.splits] or [place.key]
        return [self._splits.ids(key) for key in ([self._test, *keys] if place.section == "ood" else keys)]

    def weights(self, num_examples: int) -> np.ndarray:
        """Return the weights of the resamples, `[resamples, examples]`."""
        return _weights(num_examples, self._num_resamples)

    @staticmethod
    def _finished(kind: str, means: np.ndarray) -> np.ndarray | None:
        """Return a metric's value of each mean over examples; a root mean has something left to do."""
        metric = metrics.get(kind.rpartition("/")[2])  # without a calibration before it
        return np.array([metric.finish(float(mean)) for mean in means]) if isinstance(metric, MeanMetric) else None

    def _ece(self, key: str) -> np.ndarray | None:
        confidence, correct = (self._splits.values(key, name) for name in ("confidence", "accuracy"))
        if confidence is None or correct is None:
            return None
        num_bins = metrics.REGISTRY.options("ece")["num_bins"]
        gaps = np.zeros((len(confidence), num_bins), np.float32)
        gaps[np.arange(len(confidence)), even_bins(confidence, num_bins)] = correct - confidence
        return np.abs(self.weights(len(confidence)) @ gaps).sum(axis=1)

    def _auroc(self, key: str, score: str) -> np.ndarray | None:
        """Return `P(outside > inside) + P(outside = inside) / 2`, both sets resampled."""
        inside, outside = self._splits.uncertainty(self._test, score), self._splits.uncertainty(key, score)
        if inside is None or outside is None:
            return None
        order = np.argsort(inside, kind="stable")
        ranked = inside[order]
        below = [np.searchsorted(ranked, outside, "left"), np.searchsorted(ranked, outside, "right")]
        sums = np.cumsum(self.weights(len(ranked))[:, order], axis=1, dtype=np.float64)
        sums = np.concatenate([np.zeros((len(sums), 1)), sums], axis=1)
        mass = (sums[:, below[0]] + sums[:, below[1]]) / 2
        return (self.weights(len(outside)) * mass).sum(axis=1)


def _parts(place: Place, kind: str) -> list[str]:
    """Return the metrics that a metric is the mean of: over corruptions and severities, or over OOD sets."""
    return [f"{split.key}/{kind}" for split in place.splits] if place.is_mean else []


class _RecordSplits:
    """What a record has of each example, in the order of their ids: scores of its in-distribution split."""

    def __init__(self, record: Record) -> None:
        self._split = record.scores["split"] if record.scores else None
        self._scores: Scores = load_scores(record) or {}

    def values(self, key: str, metric: str) -> np.ndarray | None:
        return self._scores.get(metric) if key == self._split else None

    def ids(self, key: str) -> np.ndarray | None:
        return self.values(key, "element_id")

    def uncertainty(self, key: str, score: str) -> np.ndarray | None:
        return None


class _RunSplits:
    """What a run has saved of each example, in the order of their ids."""

    def __init__(self, record: Record) -> None:
        self._run = CheckedRun(record.folder)
        self._likelihood = likelihoods.info(record.likelihood["name"])
        self._saved = functools.cache(self._load)

    def _load(self, key: str) -> tuple[Saved, np.ndarray] | None:
        if not self._run.has_predictions(key):
            return None
        saved = self._run.predictions(key)
        return saved, np.argsort(saved["element_id"], kind="stable")

    def values(self, key: str, metric: str) -> np.ndarray | None:
        """Return the value of each example of which a metric is made."""
        found = self._saved(key)
        try:
            values = of_examples(metric, found[0], self._likelihood) if found else None
        except InputError:  # no metric of that name, or none on these labels
            return None
        return values[found[1]] if found and values is not None else None

    def ids(self, key: str) -> np.ndarray | None:
        found = self._saved(key)
        return found[0]["element_id"][found[1]] if found else None

    def uncertainty(self, key: str, score: str) -> np.ndarray | None:
        """Return an uncertainty by name; the one that every method has where there is no name."""
        found = self._saved(key)
        known = self._likelihood.uncertainties(found[0]) if found else {}
        score = score or next(iter(known), "")
        return known[score][found[1]] if found and score in known else None


_drawn: dict[tuple[int, int], np.ndarray] = {}


def _weights(num_examples: int, num_resamples: int) -> np.ndarray:
    """Return the weights of the resamples, the same for both runs and for all splits of one size."""
    key = num_examples, num_resamples
    if key not in _drawn:
        _drawn.clear()  # one size at a time: 10,000 examples are 40 MB
        _drawn[key] = np.concatenate(list(statistics.resamples(num_examples, num_resamples)))
    return _drawn[key]


def _same_examples(first: Resampled, second: Resampled, metric: str) -> bool:
    ids = first.examples(metric), second.examples(metric)
    return len(ids[0]) == len(ids[1]) and all(
        one is not None and other is not None and np.array_equal(one, other) for one, other in zip(*ids)
    )


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
    decimals = 0 if difference.metric in EXACT_COSTS else 4
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
