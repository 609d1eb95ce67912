"""Asking a model about every example of every split, once."""

import collections
import contextlib
import functools
import itertools
import time
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from absl import logging
from tqdm import tqdm

from uncertainty_suite import cost, keras, layers, metrics, ood_scores
from uncertainty_suite.errors import InputError
from uncertainty_suite.evaluation.measurement import HEAD, MEASURED, NO_VALUE, Measured, of_samples, split_metrics
from uncertainty_suite.likelihoods import Likelihood, Saved
from uncertainty_suite.predictions import Predictions
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.tasks import Split

if TYPE_CHECKING:
    from uncertainty_suite.training import Run

_BATCHES_AHEAD = 4  # made while others are predicted

T = TypeVar("T")


class Predictor:
    """A method's predict function behind batches of one size, with NumPy arrays on both sides.

    What a stochastic method draws is a function of the run's seed and a split's key, whatever was predicted before.

    Example:
        >>> predictor = Predictor(predict, run)
        >>> predictor.arrays(features)["log_probs"]  # [n, classes]

    Attributes:
        likelihood: What the labels are.
        batch_size: Examples a call; the last batch is filled up.
        input_shape: Shape of one example.
    """

    def __init__(self, predict: Callable[[Any], Predictions], run: "Run") -> None:
        """Hold a predict function.

        Args:
            predict: From features `[batch_size, ...]` to `Predictions`.
            run: Its run, which says how many examples a call takes, and of what shape.
        """
        self._predict = predict
        self._warm = False
        self._models, self._seed = run.models, run.config.seed
        self._first = run.task.in_distribution
        self.likelihood = run.task.likelihood
        self.batch_size = run.config.evaluation.batch_size
        self.input_shape = run.input_shape

    def warm_up(self, features: Any) -> None:
        """Compile the function on a first batch."""
        if not self._warm:
            self._predict(_filled_up(features, self.batch_size))
            self._warm = True

    def begin(self, key: str) -> None:
        """Begin with a split: draw from here on what the method draws for it; the in-distribution one if empty."""
        layers.seed_draws(self._models, self._seed, zlib.crc32((key or self._first).encode()))

    def flops_per_example(self, features: Any) -> float | None:
        """Return what `cost.count_flops` counts of a full batch, as `features` fill one, by its examples.

        None where it cannot be counted: a size is known only when the function runs, or it is no `tf.function`.
        """
        function: Any = self._predict
        bound: dict[str, Any] = {}
        if isinstance(function, functools.partial):  # `tune` has chosen an argument
            function, bound = function.func, function.keywords
        if not hasattr(function, "get_concrete_function"):
            return None
        try:
            return cost.count_flops(function, _filled_up(features, self.batch_size), **bound) / self.batch_size
        except cost.UnknownShapeError as error:
            logging.warning("The FLOPs of prediction are not counted: %s.", error)
            return None

    def __call__(self, features: Any) -> Predictions:
        """Return the predictions of a batch of at most `batch_size` examples, as NumPy arrays."""
        count = len(keras.tree.flatten(features)[0])
        said = self._predict(_filled_up(features, self.batch_size))

        def of_samples(values: Any) -> Any:
            return None if values is None else np.asarray(values)[:, :count]

        return Predictions(
            probs=of_samples(said.probs),
            logits=of_samples(said.logits),
            mean=of_samples(said.mean),
            stddev=of_samples(said.stddev),
            features=None if said.features is None else np.asarray(said.features)[:count].astype(np.float32),
            uncertainty={name: np.asarray(values)[:count] for name, values in said.uncertainty.items()},
        )

    def arrays(self, features: Any, key: str = "") -> Saved:
        """Return what a run would save of examples, and their features.

        Args:
            features: A tree of arrays `[n, ...]`.
            key: The split of which they are; the in-distribution one if empty.
        """
        size = len(keras.tree.flatten(features)[0])
        self.begin(key)
        parts: dict[str, list[np.ndarray]] = collections.defaultdict(list)
        for start in range(0, size, self.batch_size):
            chosen = slice(start, start + self.batch_size)
            said = self(keras.tree.map_structure(lambda each, chosen=chosen: each[chosen], features))
            for name, values in self.likelihood.to_saved(said).items():
                parts[name].append(values)
            if said.features is not None:
                parts["features"].append(said.features)
        by_sample = self.likelihood.by_sample
        return {name: np.concatenate(values, axis=int(name in by_sample)) for name, values in parts.items()}


def predict_splits(
    predict: Callable[[Any], Predictions], run: "Run", head: tuple[np.ndarray, np.ndarray] | None = None
) -> tuple[dict[str, float], dict[str, Measured]]:
    """Predict every split of the task, save it, and compute the metrics of labelled ones.

    While batches are predicted, one thread makes the next ones and another saves and measures the split before.

    The files are `predictions/<key>.npz`, with what the likelihood saves of predictions (`Likelihood.to_saved`);
    `labels` `[n]`; `element_id` int64 `[n]`; what `config.evaluation.save` names or an OOD score needs (`features`,
    and of classes `samples` and `logits`); and `run`, which ties the file to its run. Metrics that compare samples are
    computed here, batch by batch, and their values are kept in the file, too, as `measured/<metric>`; where one has
    none, the reason is, as `no_value/<metric>`.

    Args:
        predict: As for `evaluate`.
        run: The run.
        head: As for `evaluate`.

    Returns:
        What a prediction costs: `milliseconds_per_example`, the time of predicting the first split after a warm-up, and
        `prediction_flops_per_example`, where it can be counted. And `split_metrics` by split.
    """
    config = run.config.evaluation
    likelihood = run.task.likelihood
    scores = [ood_scores.info(name) for name in config.ood_scores]
    needed = {array for score in scores for array in score.needs}
    to_fit = {array for score in scores for array in score.fit_needs}

    def arrays_of(split: Split) -> set[str]:
        needs = {"fit": to_fit, "predict_only": set(), "shift": set()}
        samples = {"samples"} if config.ensemble_curve and split.role in ("test", "validation") else set()
        return {*config.save, *samples, *needs.get(split.role, needed)} & likelihood.savable().keys()

    def load_batches(splits: Iterable[Split]) -> Iterator[Any]:
        for split in splits:
            data = run.get_data(split)
            yield min(split.max_examples or data.num_examples, data.num_examples)  # how many come
            yield from data.batches(config.batch_size, max_examples=split.max_examples)
            yield None  # the split ends

    def save(split: Split, saved: Saved) -> Measured:
        run.folder.save_predictions(split.key, saved)
        return split_metrics(saved, config.metrics, likelihood) if split.labelled else Measured({}, {})

    if head is not None:
        run.folder.save_predictions(HEAD, {"weights": head[0], "bias": head[1]})
    splits = run.task.splits
    predictor = Predictor(predict, run)
    compared = of_samples(config.metrics)
    costs, measured = dict[str, float](), list[Future[Measured]]()
    with (
        tqdm(splits, desc="predict", unit="split", disable=None) as bar,
        ThreadPoolExecutor(max_workers=1) as saver,
        contextlib.closing(_ahead(load_batches(splits[1:]), _BATCHES_AHEAD)) as ahead,
    ):
        # The first split is the one that is timed, so nothing else runs beside it, and what compiles comes before.
        batches = itertools.chain(load_batches(splits[:1]), ahead)
        count, first = next(batches), next(batches)
        predictor.warm_up(first["features"])
        flops = predictor.flops_per_example(first["features"])
        if flops is not None:
            costs["prediction_flops_per_example"] = flops
        batches = itertools.chain([count, first], batches)
        for split in bar:
            bar.set_postfix(split=split.key, refresh=False)
            predictor.begin(split.key)
            collection = metrics.Collection(compared if split.labelled else ())
            saved = _Saved(next(batches), run.folder, likelihood)
            seconds = _predict(
                predictor, iter(lambda: next(batches), None), arrays_of(split), collection, split.labelled, saved
            )
            costs.setdefault("milliseconds_per_example", 1000 * seconds / saved.count)
            if measured:
                measured[-1].result()  # raises what went wrong there; and never do several splits wait in memory
            measured.append(saver.submit(save, split, saved.arrays))
    return costs, {split.key: future.result() for split, future in zip(splits, measured)}


class _Saved:
    """The arrays of a split, filled batch by batch.

    Attributes:
        count: How many examples there are.
        arrays: The arrays, whole when all batches were added.
    """

    def __init__(self, count: int, folder: RunFolder, likelihood: Likelihood) -> None:
        self.count = count
        self.arrays: Saved = {}
        self._folder, self._likelihood = folder, likelihood
        self._filled = 0

    def add(self, batch: Saved) -> None:
        """Put what a batch gives behind what is there."""
        rows = slice(self._filled, self._filled + len(batch["labels"]))
        for name, values in batch.items():
            of_samples = name in self._likelihood.by_sample
            if name not in self.arrays:
                shape = (len(values), self.count, *values.shape[2:]) if of_samples else (self.count, *values.shape[1:])
                self.arrays[name] = self._folder.room_for(shape, values.dtype)
            self.arrays[name][(slice(None), rows) if of_samples else rows] = values
        self._filled = rows.stop


def _predict(
    predictor: Predictor,
    batches: Iterable[Any],
    arrays: Iterable[str],
    collection: metrics.Collection,
    labelled: bool,
    saved: _Saved,
) -> float:
    """Predict the batches of a split, and return the seconds it took."""
    likelihood = predictor.likelihood
    seconds = 0.0
    for batch in batches:
        started_at = time.perf_counter()
        said = predictor(batch["features"])
        seconds += time.perf_counter() - started_at
        savable = {name: getattr(said, likelihood.savable()[name]) for name in arrays}
        missing = sorted(name for name, values in savable.items() if values is None)
        if missing:
            raise InputError(
                f"predict() of this method gives no {' and no '.join(missing)}, which config.evaluation.ood_scores or "
                "config.evaluation.save ask for. Leave these out: the trained network is kept."
            )
        labels, ids = batch["labels"].numpy(), batch["element_id"].numpy()
        saved.add({**likelihood.to_saved(said), **savable, "labels": labels, "element_id": ids})
        if collection.metrics:
            collection.add_batch(likelihood.samples_input(said), label=labels if labelled else None)
    if collection.metrics:
        saved.arrays |= {f"{MEASURED}{name}": np.asarray(value) for name, value in collection.result().items()}
        saved.arrays |= {f"{NO_VALUE}{name}": np.asarray(reason) for name, reason in collection.left_out.items()}
    return seconds


def _ahead(items: Iterable[T], how_many: int) -> Generator[T]:
    """Iterate over what a thread of its own makes, so many items ahead."""
    iterator: Iterator[Any] = iter(items)
    end = object()
    thread = ThreadPoolExecutor(max_workers=1)
    try:
        pending: collections.deque[Future[Any]] = collections.deque(
            thread.submit(next, iterator, end) for _ in range(how_many)
        )
        while (item := pending.popleft().result()) is not end:
            pending.append(thread.submit(next, iterator, end))
            yield item
    finally:
        thread.shutdown(cancel_futures=True)


def _filled_up(features: Any, batch_size: int) -> Any:
    """Return features of `batch_size` examples, the last one repeated where there are fewer."""

    def fill_up(values: Any) -> np.ndarray:
        values = np.asarray(values)
        return np.pad(values, [(0, batch_size - len(values))] + [(0, 0)] * (values.ndim - 1), mode="edge")

    return keras.tree.map_structure(fill_up, features)
