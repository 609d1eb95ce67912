"""Metrics by name, alone and several together; among them, as `rm/<name>`, those of Robustness Metrics."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics.base import (
    REGISTRY,
    Batch,
    MeanMetric,
    Metric,
    NoValueError,
    check_same_classes,
    check_same_samples,
)
from uncertainty_suite.metrics.robustness_metrics import PREFIX, RobustnessMetric
from uncertainty_suite.registry import parse, suffix

_HELD_NUMBERS = 2**14  # what a collection holds back before its metrics see it; more leaves the fast cache


def names() -> list[str]:
    """Return the names of all native metrics."""
    return REGISTRY.names()


def info(text: str) -> type[Metric]:
    """Return what is known of a metric without making one: its class, whose attributes say it.

    For `rm/<name>` that is the native metric of the same name, or else `RobustnessMetric`.

    Args:
        text: A name or the key of a result, with options or without.

    Example:
        >>> info("ece(num_bins=10)").higher_is_better
        False

    Raises:
        InputError: The name is unknown, or the text is no name with options.
    """
    name, _ = parse(text)
    native = name.removeprefix(PREFIX)
    if native != name and native not in REGISTRY.names():
        return RobustnessMetric
    return REGISTRY.info(native)


def get(text: str, **options: Any) -> Metric:
    """Return a metric by name. The key of its result is the text, or the text that would say the same.

    Args:
        text: One of `names()`, with options or without, or `rm/<name>` for one of Robustness Metrics, where that is
            installed.
        **options: The metric's options, e.g. `num_bins=15`.

    Raises:
        InputError: The name or an option is unknown, or an option's value is not allowed.

    Example:
        >>> get("ece(num_bins=10)").key, get("ece", num_bins=10).key
        ('ece(num_bins=10)', 'ece(num_bins=10)')
    """
    name, given = parse(text)
    if not name.startswith(PREFIX):
        return REGISTRY.make(text, **options)
    metric = RobustnessMetric(name, **{**given, **options})
    metric.suffix = suffix(text, options)
    return metric


def per_example(text: str, predictions: Any, label: Any = None) -> np.ndarray:
    """Return the value of each example of a metric that is a mean over examples.

    Args:
        text: The metric, with options or without: `"nll"`, `"brier"`, `"accuracy"`, `"confidence"`, `"crps"`.
        predictions: As `Metric.add_batch` takes them.
        label: As `Metric.add_batch` takes them; None where the metric needs none.

    Returns:
        float64 `[batch]`.

    Raises:
        InputError: The metric is no mean over examples, or the arrays are not what it takes.
        NoValueError: The metric has no value on these arrays.

    Example:
        >>> per_example("nll", probs, labels).mean()
    """
    metric = get(text)
    if not isinstance(metric, MeanMetric) or not metric.is_mean:
        known = ", ".join(name for name in names() if REGISTRY.info(name).is_mean)
        raise InputError(f"Metric '{text}' is no mean of values of single examples; these are: {known}.")
    return metric.per_example(metric.checked(predictions, label)).astype(np.float64)


class Collection:
    """Several metrics fed together: a batch is checked once, and what they share of it is computed once.

    Example:
        >>> collection = Collection(["accuracy", "nll", "ece", "ece(num_bins=10)"])
        >>> collection.add_batch(probs, label=labels)
        >>> collection.result()
        {"accuracy": 0.93, "nll": 0.21, "ece": 0.012, "ece(num_bins=10)": 0.011}

    Attributes:
        metrics: The metrics.
        left_out: After `result`, why a metric is not in it, by its key: those without a value on what was added.
    """

    def __init__(self, members: Iterable[str | Metric]):
        """Make the metrics.

        Args:
            members: Names of metrics, with options or without, or metrics.

        Raises:
            InputError: A name is unknown, or two members would give the same key.
        """
        self.metrics = [get(member) if isinstance(member, str) else member for member in members]
        self.left_out: dict[str, str] = {}
        seen = [key for metric in self.metrics for key in metric.result_keys()]
        twice = sorted({key for key in seen if seen.count(key) > 1})
        if twice:
            raise InputError(f"Metric '{twice[0]}' is in the collection twice; give it once, or use two collections.")
        self._batch_types = {metric.batch_type for metric in self.metrics}
        self._sorted_by = {metric.uncertainty for metric in self.metrics}
        self._held: list[Batch] = []
        self._held_numbers = 0
        self._compares_samples = any("samples" in metric.needs for metric in self.metrics)
        self._form: tuple[int, int, list[str]] | None = None  # classes, samples and uncertainties of the batches so far

    def add_batch(self, predictions: Any, label: Any = None, uncertainties: Mapping[str, Any] | None = None) -> None:
        """Add a batch to every metric; see `Metric.add_batch`.

        Args:
            predictions: As `Metric.add_batch` takes them.
            label: As `Metric.add_batch` takes it.
            uncertainties: Uncertainties by name, each `[batch]` and higher where less is known, for metrics that sort
                by one: `aurc(uncertainty='mutual_information')`. Those that no metric sorts by are not looked at; a
                metric whose uncertainty is missing is left out of the result.

        Raises:
            InputError: The arrays are not what a metric expects. Nothing is added then.
        """
        if label is None:
            for metric in self.metrics:
                metric.check_label_given(label)
        wanted = {name: values for name, values in (uncertainties or {}).items() if name in self._sorted_by}
        batches = [
            Batch(predictions, label, wanted) if batch_type is Batch else batch_type(predictions, label)
            for batch_type in self._batch_types
        ]
        self._check_form(batches)
        for batch in batches:
            if type(batch) is Batch:
                self._hold(batch)
            else:
                self._update(batch)

    def _check_form(self, batches: Iterable[Any]) -> None:
        """Refuse classes, samples or uncertainties that are not those of the batches before."""
        for batch in batches:
            if isinstance(batch, Batch):
                form = batch.probs.shape[1], len(batch.samples), sorted(batch.uncertainties)
                before = self._form or form
                check_same_classes(form[0], before[0])
                if self._compares_samples:
                    check_same_samples(form[1], before[1])
                if type(batch) is Batch and form[2] != before[2]:
                    raise InputError(
                        f"Batches before had the uncertainties {before[2]} to sort by, this one has {form[2]}; "
                        "give the same with every batch."
                    )
                self._form = before

    def _hold(self, batch: Batch) -> None:
        """Keep small batches back to feed them as one: with few classes a metric's time goes into calling numpy."""
        if self._held and not self._held[0].can_join(batch):
            self._feed_held()
        if not self._held and batch.samples.size >= _HELD_NUMBERS:
            self._update(batch)
            return
        batch.own()
        self._held.append(batch)
        self._held_numbers += batch.samples.size
        if self._held_numbers >= _HELD_NUMBERS:
            self._feed_held()

    def _feed_held(self) -> None:
        if self._held:
            held = Batch.joined(self._held)
            self._held, self._held_numbers = [], 0
            self._update(held)

    def _update(self, batch: Any) -> None:
        for metric in self.metrics:
            if metric.batch_type is type(batch):
                metric.update(batch)

    def result(self) -> dict[str, float]:
        """Return the values of all metrics by key, but for those in `left_out`.

        Raises:
            InputError: Nothing was added.
        """
        self._feed_held()
        results: dict[str, float] = {}
        self.left_out = {}
        for metric in self.metrics:
            try:
                results |= metric.result()
            except NoValueError as error:
                self.left_out[metric.key] = str(error)
        return results

    def reset(self) -> None:
        """Forget all that was added."""
        self._held, self._held_numbers, self._form, self.left_out = [], 0, None, {}
        for metric in self.metrics:
            metric.reset()
