"""Contracts: what every method, layer, metric and data set promises, checked for the suite's own and for anyone's.

Each check raises an `AssertionError` whose message names the broken promise, and returns nothing otherwise. They are
made for tests, and take seconds:

    >>> from uncertainty_suite import testing
    >>> testing.check_method("my_method.py", tmp_path)
    >>> testing.check_layer(lambda: MyDense(3), (4,), [(None, 3)], trainable=15, non_trainable=0, folder=tmp_path)
    >>> testing.check_metric(MyMetric)
    >>> testing.check_dataset("my_data")
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from ml_collections import ConfigDict

from uncertainty_suite import (
    configuration,
    datasets,
    keras,
    layers,
    likelihoods,
    metrics,
    ood_scores,
    tf,
    trained,
    training,
)
from uncertainty_suite.configuration import REQUIRED, Section
from uncertainty_suite.datasets import Dataset
from uncertainty_suite.datasets.trees import leaves
from uncertainty_suite.errors import InputError
from uncertainty_suite.evaluation import OOD_METRICS
from uncertainty_suite.files import read_arrays
from uncertainty_suite.leaderboard.tables import COSTS
from uncertainty_suite.metrics import base, label_distribution, ood, regression
from uncertainty_suite.predictions import Predictions
from uncertainty_suite.registry import parse
from uncertainty_suite.runs import RunFolder

__all__ = ["check_dataset", "check_layer", "check_method", "check_metric"]


def _promise(kept: Any, broken: str) -> None:
    """Raise an `AssertionError` with what is broken, unless the promise is kept."""
    if not kept:
        raise AssertionError(broken)


# Methods

_TASKS = {"categorical": "two_moons", "gaussian": "toy_regression"}
_EPOCHS, _BATCH_SIZE = 2, 100
_TIMES = ("train_seconds", "milliseconds_per_example")


def check_method(
    script: str | Path,
    folder: str | Path,
    likelihood_names: Sequence[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> None:
    """Check that a training script keeps the promises of every method.

    Its hyper-parameters have meanings and legal defaults. On a small task of each likelihood, the results of a run are
    complete and finite; a finished run is not done again; the same seed gives the same bits; a run that is stopped goes
    on bit for bit; and `uncertainty_suite.load` gives the predictions that were saved, bit for bit.

    Args:
        script: The script.
        folder: An empty folder, for the runs.
        likelihood_names: The likelihoods to check it with; by default those that it is for.
        overrides: Fields of the configuration that make it small, by dotted names: `{"sngp.num_features": 32}`. The
            number of samples is 2 without being said.

    Raises:
        AssertionError: The script breaks a promise.

    Example:
        >>> check_method("my_method.py", tmp_path, ["categorical"], {"my_method.num_features": 32})
    """
    script, folder = Path(script), Path(folder)
    module = configuration.load_module(script)
    _promise(callable(getattr(module, "main", None)), f"{script} has no function main(config, options)")
    section = getattr(module, "CONFIG", None)
    if section is not None:
        _check_section(section, script)
    if likelihood_names is None:
        likelihood_names = section.likelihoods if section and section.likelihoods else tuple(_TASKS)
    for likelihood in likelihood_names:
        task = _TASKS[likelihood]
        try:
            _check_runs(script, folder / task, _tiny_config(task, section, overrides or {}))
            _check_uncertainties(script, folder / task, section)
        except InputError as error:
            raise AssertionError(f"{script} refuses a small run on {task}: {error}") from error


def _check_section(section: Any, script: Path) -> None:
    _promise(isinstance(section, Section), f"CONFIG of {script} is no configuration.Section")
    for name, parameter in section.parameters.items():
        field = f"config.{section.name}.{name}"
        meaning = parameter.meaning.strip()
        _promise(meaning and "\n" not in meaning, f"{field} does not say in one line what it means")
        _promise(parameter.default is not REQUIRED, f"{field} has no default: no task's configuration could run it")
        try:
            parameter.check(field, json.loads(json.dumps(parameter.default)))
        except InputError as error:
            raise AssertionError(f"the default of {field} is not legal: {error}") from error
    known = section.samples in ("", *section.parameters)
    _promise(known, f"CONFIG of {script} counts samples by '{section.samples}', which is none of its parameters")


def _tiny_config(task: str, section: Section | None, overrides: Mapping[str, Any]) -> ConfigDict:
    fields = {
        "batch_size": _BATCH_SIZE,
        "epochs": _EPOCHS,
        "dataset.name": task,
        "dataset.validation_percent": 0.2,
        "model.name": "resnet_mlp",
        "model.num_layers": 2,
        "model.num_hidden": 16,
        "model.dropout_rate": 0.1,
        "optimizer.name": "adam",
        "optimizer.learning_rate": 0.01,
        "evaluation.batch_size": 400,  # no divisor of what is predicted
        "evaluation.splits": ("test", "validation"),
        "evaluation.ood_far": (f"{task}/ood",),
    }
    if section and section.samples:
        fields[f"{section.name}.{section.samples}"] = 2
    if "model.name" in overrides:  # whose options are other ones
        fields = {name: value for name, value in fields.items() if not name.startswith("model.")}
    config: dict[str, Any] = {}
    for field, value in {**fields, **overrides}.items():
        *places, last = field.split(".")
        part = config
        for place in places:
            part = part.setdefault(place, {})
        part[last] = value
    return ConfigDict(config)


def _check_runs(script: Path, folder: Path, config: ConfigDict) -> None:
    results = _train(script, folder / "run", config)
    run = RunFolder(folder / "run")
    _promise(results == run.results, f"main() of {script} returns something else than results.json holds")
    _check_complete(run)

    written_at = (run.path / "results.json").stat().st_mtime_ns
    again = _train(script, run.path, config)
    kept = again == results and (run.path / "results.json").stat().st_mtime_ns == written_at
    _promise(kept, f"{script} does a finished run again, or returns other results for it")

    num_steps = max(line["step"] for _, lines in run.histories() for line in lines)
    step = num_steps * 3 // 4  # in the second epoch
    with _stopped_at(step):
        _train(script, folder / "stopped", config)
    _promise(
        not (folder / "stopped" / "results.json").exists(),
        f"{script} cannot be stopped at step {step} of {num_steps}: it does not train by training.Loop",
    )
    _train(script, folder / "stopped", config)
    difference = _difference(run, RunFolder(folder / "stopped"))
    if difference:
        # A method that repeats its bits but for a stop has state that the checkpoint lacks.
        _train(script, folder / "again", config)
        repeats = not _difference(run, RunFolder(folder / "again"))
        stopped = f"a run of {script} that was stopped at step {step} does not go on bit for bit"
        raise AssertionError(f"{stopped if repeats else f'two runs of {script} with one seed differ'}: {difference}")
    _check_loaded(script, run)


def _check_uncertainties(script: Path, folder: Path, section: Section | None) -> None:
    run = RunFolder(folder / "run")
    own = {f"uncertainty/{name}" for name in (section.uncertainties if section else ())}
    scored = {need for name in ood_scores.names() for need in ood_scores.info(name).needs}  # by some OOD score
    saved = scored & {name for name in run.predictions(run.task.in_distribution) if name.startswith("uncertainty/")}
    _promise(
        saved <= own, f"CONFIG of {script} does not name {min(saved - own, default='')} in Section(uncertainties=)"
    )


def _train(script: Path, folder: Path, config: ConfigDict) -> Any:
    """Run a script as a process of its own would, in that nothing is left of what it kept in its variables."""
    options = training.Options(output_dir=folder, checkpoint_every="3steps")
    return configuration.load_module(script).main(ConfigDict(config), options)


class _Stopped(KeyboardInterrupt):
    """The training was stopped, as by Ctrl-C."""


@contextlib.contextmanager
def _stopped_at(step: int) -> Iterator[None]:
    """Stop a training within this at a step, between two checkpoints; what it did after the last one is lost."""
    update = training.Loop.update

    def update_and_stop(loop: training.Loop, values: Mapping[str, np.ndarray]) -> None:
        update(loop, values)
        if loop.step >= step:
            raise _Stopped

    with mock.patch.object(training.Loop, "update", update_and_stop), contextlib.suppress(_Stopped):
        yield


def _check_complete(run: RunFolder) -> None:
    results = run.results or {}
    found, left_out = results["metrics"], results["left_out"]
    for split in run.task.splits:
        saved = run.predictions(split.key)
        what = f"the predictions of '{split.key}'"
        wrong = [name for name, array in saved.items() if array.dtype.kind == "f" and not np.isfinite(array).all()]
        _promise(not wrong, f"{what} are not finite: {', '.join(wrong)}")
        data = datasets.get(split.dataset, split.name).holding_out(run.config["dataset"]["validation_percent"])
        whole = {name: len(saved.get(name, ())) for name in ("labels", "element_id")}
        _promise(set(whole.values()) == {data.num_examples}, f"{what} are of {whole}, not {data.num_examples} examples")
    expected = [*COSTS]
    for split in run.task.of("test", "validation"):
        for text in run.config["evaluation"]["metrics"]:
            if f"{split.key}/{text}" not in left_out:
                expected += [f"{split.key}/{key}" for key in metrics.get(text).result_keys()]
    for split in run.task.of("far_ood"):
        expected += [f"{split.key}/{name}" for name in OOD_METRICS]
    lacking = [key for key in expected if key not in found]
    _promise(not lacking, f"the results lack {', '.join(lacking)}")
    wrong = [key for key, value in found.items() if not math.isfinite(value)]
    _promise(not wrong, f"these results are not finite: {', '.join(wrong)}")
    histories = dict(run.histories())
    _promise(histories, "the run has no history.jsonl")
    for name, lines in histories.items():
        epochs = [line["epoch"] for line in lines]
        what = f"the history {name}".rstrip()
        _promise(epochs == [*range(1, _EPOCHS + 1)], f"{what} has lines of the epochs {epochs}, of {_EPOCHS}")
        _promise(all(map(math.isfinite, _numbers(lines))), f"{what} has numbers that are not finite")


def _numbers(lines: Iterable[Mapping[str, Any]]) -> Iterator[float]:
    for line in lines:
        yield from line.values()


def _difference(run: RunFolder, other: RunFolder) -> str:
    """Return in which bits two runs of one configuration differ first; empty if they do not."""
    for checkpoints in sorted(run.path.rglob("checkpoints")):
        place = checkpoints.relative_to(run.path)
        newest = max(checkpoints.glob("*.npz")).name
        mine, theirs = (_arrays(each.path / place / newest, "state.json") for each in (run, other))
        if difference := _unequal(mine, theirs):
            return f"the variables in {place / newest}, by {difference}"
    for split in run.task.splits:
        if difference := _unequal(run.predictions(split.key), other.predictions(split.key)):
            return f"the predictions of '{split.key}', by {difference}"
    histories = [[(name, _untimed(lines)) for name, lines in each.histories()] for each in (run, other)]
    if histories[0] != histories[1]:
        return "history.jsonl"
    results, others = ((each.results or {})["metrics"] for each in (run, other))
    unequal = [key for key in results.keys() | others.keys() if results.get(key) != others.get(key)]
    return min(set(unequal) - set(_TIMES), default="")


def _arrays(path: Path, left_out: str) -> dict[str, np.ndarray]:
    return {name: array for name, array in read_arrays(path).items() if name != left_out} if path.exists() else {}


def _untimed(lines: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**line, "seconds": 0} for line in lines]


def _unequal(arrays: Mapping[str, np.ndarray], others: Mapping[str, np.ndarray]) -> str:
    """Return the name of an array that is not the same in both, empty if there is none."""
    unequal = [name for name in arrays.keys() & others.keys() if not np.array_equal(arrays[name], others[name])]
    return min(unequal + sorted(arrays.keys() ^ others.keys()), default="")


def _check_loaded(script: Path, run: RunFolder) -> None:
    first = run.task.splits[0]
    batches = datasets.get(first.dataset, first.name).load(_BATCH_SIZE)
    features = np.concatenate([batch["features"].numpy() for batch in batches])
    said, saved = trained.load(run.path).arrays(features), run.predictions(first.key)
    both = said.keys() & saved.keys()
    unequal = _unequal({name: said[name] for name in both}, {name: saved[name] for name in both})
    _promise(
        not unequal,
        f"uncertainty_suite.load gives other predictions than {script} saved, by '{unequal}': what they depend on is "
        "neither among the model's variables nor in Loop(..., state=...)",
    )


# Layers


def check_layer(
    make_layer: Callable[[], Any],
    input_shape: tuple[int, ...],
    output_shapes: list[tuple[int | None, ...]],
    trainable: int,
    non_trainable: int,
    folder: str | Path,
) -> None:
    """Check that a layer keeps the promises of every layer.

    Its shapes and numbers of parameters are the expected ones, symbolically, too; every trained weight has a gradient;
    it is made again by its configuration; a saved model and saved weights give the same outputs when they are loaded;
    the paths of its variables differ, and depend on its name only; and it says by `stochastic` whether its predictions
    are random, and by `draws_per_example` whether they are so for each example independently.

    Args:
        make_layer: Returns a new layer.
        input_shape: Shape of one example.
        output_shapes: Expected shapes of the outputs, with `None` for the batch; those of a dict by sorted keys.
        trainable: Expected number of trainable parameters.
        non_trainable: Expected number of parameters that are not trained (the state of random numbers not counted).
        folder: An empty folder.

    Raises:
        AssertionError: The layer breaks a promise.

    Example:
        >>> check_layer(lambda: MyDense(3), (4,), [(None, 3)], trainable=15, non_trainable=0, folder=tmp_path)
    """
    folder = Path(folder)
    keras.utils.set_random_seed(1)
    inputs = keras.Input(input_shape)
    layer = make_layer()
    model = keras.Model(inputs, layer(inputs))
    x = np.random.default_rng(0).normal(size=(4, *input_shape)).astype("float32")

    found = {
        "of its outputs": [(None, *y.shape[1:]) for y in keras.tree.flatten(model(x))],
        "of its symbolic outputs": [y.shape for y in model.outputs],
        "by compute_output_shape": _shapes(layer.compute_output_shape((None, *input_shape))),
    }
    for what, shapes in found.items():
        _promise(shapes == output_shapes, f"the shapes {what} are {shapes}, expected {output_shapes}")
    for what, weights, expected in (
        ("trainable", layer.trainable_weights, trainable),
        ("non-trainable", layer.non_trainable_weights, non_trainable),
    ):
        count = sum(math.prod(weight.shape) for weight in weights)
        _promise(count == expected, f"it has {count} {what} parameters, expected {expected}")

    _check_stochastic(layer, model, x)
    _check_train_step(model, x)

    config = json.dumps(layer.get_config())
    again = type(layer).from_config(json.loads(config))
    _promise(json.dumps(again.get_config()) == config, "the layer that is made by its configuration has another one")

    model.save(folder / "model.keras")
    _check_equal_outputs(model, keras.models.load_model(folder / "model.keras"), x, "a saved and loaded model")
    model.save_weights(folder / "model.weights.h5")
    inputs = keras.Input(input_shape)
    other = make_layer()
    fresh = keras.Model(inputs, other(inputs))
    fresh.load_weights(folder / "model.weights.h5")
    _check_equal_outputs(model, fresh, x, "a new model with the saved weights")
    _check_paths(layer, other)


def _shapes(shapes: Any) -> list[tuple[int | None, ...]]:
    if isinstance(shapes, dict):
        return [shapes[key] for key in sorted(shapes)]
    return [shapes] if shapes[0] is None else list(shapes)


def _check_stochastic(layer: Any, model: Any, x: np.ndarray) -> None:
    first, second = (keras.tree.flatten(model(x, training=False)) for _ in range(2))
    random = any(np.any(a != b) for a, b in zip(first, second))
    broken = f"two predictions are {'not ' * random}equal, and its attribute stochastic says otherwise"
    _promise(layers.has_stochastic(layer) == random, broken)
    if random and getattr(layer, "draws_per_example", False):
        copies = keras.tree.flatten(model(np.concatenate([x, x]), training=False))
        differ = any(np.any(y[: len(x)] != y[len(x) :]) for y in copies)
        _promise(differ, "two copies of an example have equal draws, and its attribute draws_per_example is True")


def _check_train_step(model: Any, x: np.ndarray) -> None:
    @tf.function
    def step(x: Any) -> Any:
        with tf.GradientTape() as tape:
            output = keras.tree.flatten(model(x, training=True))[0]
            loss = tf.reduce_sum(output**2)
        return tape.gradient(loss, [w.value for w in model.trainable_variables])

    for weight, gradient in zip(model.trainable_variables, step(tf.constant(x))):
        _promise(gradient is not None and np.any(gradient != 0), f"the trained weight {weight.path} has no gradient")
        weight.assign_sub(1e-3 * gradient)


def _check_equal_outputs(model: Any, other: Any, x: np.ndarray, what: str) -> None:
    outputs = []
    for each in (model, other):
        for variable in each.variables:
            if variable.name == "seed_generator_state":  # Keras saves no random state.
                variable.assign([1, 0])
        outputs.append(keras.tree.flatten(each(x, training=False)))
    equal = all(np.array_equal(a, b) for a, b in zip(*outputs))
    _promise(equal, f"{what} gives other outputs: a weight or an argument is not saved")


def _check_paths(layer: Any, other: Any) -> None:
    paths, others = (_paths(one) for one in (layer, other))
    _promise(paths == others, "the names of its variables depend on how many layers there were before")
    _promise(len(set(paths)) == len(paths), "two of its variables have the same path")
    _promise(all(path.startswith("layer/") for path in paths), "a variable is not named after its layer")


def _paths(layer: Any) -> list[str]:
    """Return the paths of a layer's variables, with `layer` for its name, which a layer within it may have too."""
    split = [variable.path.split("/") for variable in layer.variables]
    return ["/".join([*("layer" if part == layer.name else part for part in parts[:-1]), parts[-1]]) for parts in split]


# Metrics

_NUM_EXAMPLES, _NUM_CLASSES, _NUM_SAMPLES = 70, 3, 4
_CUTS = (1, 2, 12, 29, 30, 57)  # between seven batches, among them batches of one example
_NEEDS = {"labels", "samples", "label_distribution", "uncertainty"}
_BATCH_OF_LIKELIHOOD = {"categorical": base.Batch, "gaussian": regression.RegressionBatch}


def check_metric(metric: str | type[metrics.Metric]) -> None:
    """Check that a metric keeps the promises of every metric, on inputs drawn for its `batch_type`.

    Its value is the same in one batch and in seven, after `reset`, and as a plain function; it lies within
    `value_range`; good predictions are not worse than bad ones, if it says which direction is better; it takes the
    predictions of each of its `likelihoods`; it needs what `needs` says and nothing else; its results have the keys
    that `result_keys` says and are floats; and it refuses NaN, wrong shapes and no example at all in one line, and
    counts nothing of what it refused.

    Args:
        metric: Its text, with options or without, or its class.

    Raises:
        AssertionError: The metric breaks a promise.

    Example:
        >>> check_metric("ece(num_bins=10)")
        >>> check_metric(MyMetric)
    """
    _MetricCheck(metric).run()


class _Data(NamedTuple):
    """What a metric is fed with.

    Attributes:
        predictions: As `add_batch` takes them; examples are on the second axis, or on the only one.
        label: As `add_batch` takes it.
        arrays: The same, by the names that plain functions give them.
        said: The same predictions as fields of `Predictions`.
    """

    predictions: Any
    label: Any
    arrays: dict[str, np.ndarray]
    said: dict[str, Any]

    def cut(self, points: Sequence[int]) -> list[_Data]:
        """Return batches that are cut at these points."""
        starts, ends = (0, *points), (*points, len(self.label))
        return [self._rows(slice(start, end)) for start, end in zip(starts, ends)]

    def _rows(self, rows: slice) -> _Data:
        predictions = _map(lambda array: array[:, rows] if array.ndim > 1 else array[rows], self.predictions)
        return self._replace(predictions=predictions, label=self.label[rows])


def _map(change: Callable[[np.ndarray], np.ndarray], predictions: Any) -> Any:
    return tuple(map(change, predictions)) if isinstance(predictions, tuple) else change(predictions)


def _with_nan(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flat[0] = np.nan
    return array


def _draw(batch_type: Any, seed: int, skill: str) -> _Data:
    """Return inputs for a metric's `batch_type`, of a method that is good, bad, or has some skill."""
    rng = np.random.default_rng(seed)
    if isinstance(batch_type, type) and issubclass(batch_type, base.Batch):
        return _draw_classes(rng, skill, issubclass(batch_type, label_distribution.DistributionBatch))
    if isinstance(batch_type, type) and issubclass(batch_type, ood.ScoreBatch):
        return _draw_scores(rng, skill, batch_type.num_kinds)
    if isinstance(batch_type, type) and issubclass(batch_type, regression.RegressionBatch):
        return _draw_targets(rng, skill, issubclass(batch_type, regression.SampleBatch))
    raise InputError(
        f"No inputs can be drawn for the batch_type {batch_type}; expected metrics.base.Batch, DistributionBatch, "
        "ScoreBatch, OutcomeBatch, RegressionBatch, SampleBatch or a subclass of one of them."
    )


def _draw_classes(rng: np.random.Generator, skill: str, distributions: bool) -> _Data:
    labels = rng.integers(0, _NUM_CLASSES, _NUM_EXAMPLES)
    right = np.arange(_NUM_EXAMPLES) % 10 < {"good": 8, "bad": 2, "some": 6}[skill]
    # Good predictions are sure where they are right, bad ones where they are wrong.
    sure = {"good": right, "bad": ~right, "some": rng.random(_NUM_EXAMPLES) < 0.5}[skill]
    predicted = np.where(right, labels, (labels + 1) % _NUM_CLASSES)
    logits = rng.normal(scale=0.3, size=(_NUM_SAMPLES, _NUM_EXAMPLES, _NUM_CLASSES))
    logits += np.where(sure, 3.0, 0.7)[:, np.newaxis] * np.eye(_NUM_CLASSES)[predicted]
    probs = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    annotations = rng.integers(1, 4, (_NUM_EXAMPLES, _NUM_CLASSES)) + 9 * np.eye(_NUM_CLASSES, dtype=int)[labels]
    arrays = {"probs": probs, "labels": labels, "label_distribution": annotations}
    return _Data(probs, annotations if distributions else labels, arrays, {"probs": probs})


def _draw_scores(rng: np.random.Generator, skill: str, num_kinds: int) -> _Data:
    kinds = np.arange(_NUM_EXAMPLES) % num_kinds
    outside = kinds == num_kinds - 1
    # Of in-distribution examples, those that are classified correctly have the lower scores.
    place = np.where(outside, 1.0, np.where(kinds == 1, 0.0, 0.5))
    scores = rng.normal(size=_NUM_EXAMPLES) + {"good": 4.0, "bad": -4.0, "some": 1.0}[skill] * place
    arrays = {"scores_in": scores[~outside], "scores_out": scores[outside], "correct": kinds[~outside] == 1}
    return _Data(scores, kinds, arrays, {})


def _draw_targets(rng: np.random.Generator, skill: str, samples_only: bool) -> _Data:
    targets = rng.normal(1.0, 2.0, _NUM_EXAMPLES)
    errors = rng.normal(0.0, {"good": 0.3, "bad": 3.0, "some": 1.0}[skill], _NUM_EXAMPLES)
    means = targets + errors + rng.normal(scale=0.2, size=(_NUM_SAMPLES, _NUM_EXAMPLES))
    stddevs = {
        "good": np.abs(errors) + 0.1,
        "bad": 1 / (np.abs(errors) + 0.5),  # unsure where it is right
        "some": rng.uniform(0.5, 1.5, _NUM_EXAMPLES),
    }[skill] * rng.uniform(0.8, 1.2, (_NUM_SAMPLES, _NUM_EXAMPLES))
    said = {"mean": means, "stddev": stddevs}
    arrays = {**said, "samples": means, "target": targets}
    return _Data(means if samples_only else (means, stddevs), targets, arrays, said)


class _MetricCheck:
    """The check of one metric."""

    def __init__(self, metric: str | type[metrics.Metric]) -> None:
        self.text = metric if isinstance(metric, str) else getattr(metric, "name", metric.__name__)
        self.make = (lambda: metrics.get(metric)) if isinstance(metric, str) else metric
        self.cls = type(self.make())
        self.options = parse(metric)[1] if isinstance(metric, str) else {}
        self.what = f"metric '{self.text}'"

    def run(self) -> None:
        """Check every promise."""
        self._check_declarations()
        for seed in range(3):
            for skill in ("good", "bad", "some"):
                self._check_value(_draw(self.cls.batch_type, seed, skill))
        self._check_direction()
        data = _draw(self.cls.batch_type, 0, "some")
        self._check_function(data)
        self._check_likelihoods()
        self._check_needs(data)
        self._check_refusals(data)
        self._check_reset(data)

    def value(self, *parts: _Data) -> dict[str, float]:
        """Return the result of a new metric that was fed with parts."""
        metric = self.make()
        try:
            for part in parts:
                metric.add_batch(part.predictions, label=part.label)
            return metric.result()
        except InputError as error:
            raise AssertionError(f"{self.what} refuses what its batch_type takes: {error}") from error

    def _check_declarations(self) -> None:
        one = self.cls
        low, high = one.value_range
        known = set(likelihoods.names())
        _promise(one.name and one.formula, f"{self.what} has no name or no formula")
        _promise(low < high, f"{self.what} has the value_range {one.value_range}")
        _promise(one.higher_is_better in (True, False, None), f"{self.what}: higher_is_better is no such value")
        _promise(set(one.likelihoods) <= known, f"{self.what} has likelihoods that are none: {one.likelihoods}")
        _promise(set(one.needs) <= _NEEDS, f"{self.what} has needs that are none: {one.needs}")

    def _check_value(self, data: _Data) -> None:
        whole, parts = self.value(data), self.value(*data.cut(_CUTS))
        for key in whole:
            same = _close(whole[key], parts.get(key))
            _promise(same, f"{self.what} is {whole[key]} in one batch and {parts.get(key)} in seven, by '{key}'")
            low, high = self.cls.value_range
            inside = low - 1e-9 <= whole[key] <= high + 1e-9
            _promise(inside, f"{self.what} is {whole[key]}, and its value_range is {low} to {high}")
            _promise(isinstance(whole[key], float), f"{self.what} has a result that is no float: {whole[key]!r}")
        keys = self.make().result_keys()
        _promise(list(whole) == keys, f"{self.what} has results by {list(whole)}, and its result_keys are {keys}")

    def _check_direction(self) -> None:
        key = self.make().result_keys()[0]
        good, bad = (self.value(_draw(self.cls.batch_type, 0, skill))[key] for skill in ("good", "bad"))
        if self.cls.higher_is_better is not None:
            better = good >= bad if self.cls.higher_is_better else good <= bad
            direction = f"higher_is_better is {self.cls.higher_is_better}"
            _promise(better, f"{self.what} is {good} of good predictions and {bad} of bad ones, and {direction}")

    def _check_function(self, data: _Data) -> None:
        result = self.value(data)
        arrays = {name: data.arrays[name] for name in self.cls.arrays}
        value = metrics.function(self.cls)(**arrays, **self.options)
        values = value if isinstance(value, dict) else {self.cls.name: value}
        expected = list(result.values())
        same = len(values) == len(expected) and all(map(_close, values.values(), expected))
        _promise(same, f"{self.what} is {result}, and its plain function gives {value}")

    def _check_likelihoods(self) -> None:
        for name in self.cls.likelihoods:
            data = _draw(_BATCH_OF_LIKELIHOOD[name], 0, "some")
            one = likelihoods.info(name)
            predictions = Predictions(**data.said)
            if "samples" in self.cls.needs:
                given = one.samples_input(predictions)
            else:
                given = one.metric_input(one.to_saved(predictions))
            try:
                metric = self.make()
                metric.add_batch(given, label=data.label)
                metric.result()
            except InputError as error:
                raise AssertionError(f"{self.what} refuses the predictions of a {name} likelihood: {error}") from error

    def _check_needs(self, data: _Data) -> None:
        needs_label = bool({"labels", "label_distribution"} & set(self.cls.needs))
        unlabelled = data._replace(label=None)
        if needs_label:
            self._refused(unlabelled, "no labels, which it says that it needs")
        else:
            same = self.value(unlabelled) == self.value(data)
            _promise(same, f"{self.what} changes with the labels, and does not say that it needs them")
        if "probs" in data.said:
            compares = "samples" in self.cls.needs
            metric = self.make()
            metric.add_batch(data.predictions.mean(axis=0), label=data.label)
            try:
                same = all(map(_close, metric.result().values(), self.value(data).values()))
            except metrics.NoValueError:
                same = False
            says = "says" if compares else "does not say"
            changes = "the same" if same else "another one"
            _promise(same != compares, f"{self.what} is {changes} without samples, and {says} that it needs them")

    def _check_refusals(self, data: _Data) -> None:
        self._refused(data._replace(predictions=_map(_with_nan, data.predictions)), "NaN")
        deeper = _map(lambda array: array[np.newaxis, np.newaxis], data.predictions)
        self._refused(data._replace(predictions=deeper), "predictions with two more axes")
        self._refused(data._replace(label=data.label[:-1]), "one label too few")
        try:
            self.make().result()
        except InputError as error:
            _promise("\n" not in str(error), f"{self.what} refuses to have no example in several lines")
        else:
            raise AssertionError(f"{self.what} has a value on no example")

    def _refused(self, wrong: _Data, what: str) -> None:
        metric, data = self.make(), _draw(self.cls.batch_type, 0, "some")
        metric.add_batch(data.predictions, label=data.label)
        try:
            metric.add_batch(wrong.predictions, label=wrong.label)
        except InputError as error:
            _promise("\n" not in str(error), f"{self.what} refuses {what} in several lines")
        except Exception as error:
            raise AssertionError(f"{self.what} refuses {what} by a {type(error).__name__}: {error}") from error
        else:
            raise AssertionError(f"{self.what} takes {what}")
        _promise(metric.result() == self.value(data), f"{self.what} counts what it refused: {what}")

    def _check_reset(self, data: _Data) -> None:
        metric, other = self.make(), _draw(self.cls.batch_type, 1, "some")
        metric.add_batch(other.predictions, label=other.label)
        metric.reset()
        metric.add_batch(data.predictions, label=data.label)
        _promise(metric.result() == self.value(data), f"{self.what} keeps something after reset()")


def _close(value: float, other: float | None) -> bool:
    return other is not None and math.isclose(value, other, rel_tol=1e-9, abs_tol=1e-10)


# Data sets

_TAKEN = 200  # examples, of large data sets


def check_dataset(data: str | Dataset, data_dir: str | Path | None = None) -> None:
    """Check that a data set keeps the promises of every data set.

    It is read the same whenever it is read. Labels are legal and element ids differ. An ordered pass gives the stored
    order, whatever the batch size, in the shapes and dtypes that were said, and all numbers are finite. The order of
    training is a function of the seed and the epoch alone, each epoch has every example, every batch is full, and the
    stream can be entered at any step. The fingerprint depends on the examples and not on the seed. The views `subset`,
    `holding_out` and `classes` give the examples that they should, and leave the data set as it is.

    Args:
        data: Name of a data set, all of whose splits are checked; or one split.
        data_dir: Folder of prepared data sets; see `datasets.get`.

    Raises:
        AssertionError: The data set breaks a promise.

    Example:
        >>> check_dataset("two_moons")
        >>> check_dataset(datasets.get("my_data", "train"))
    """
    if isinstance(data, Dataset):
        splits = [data]
    else:
        splits = [datasets.get(data, split, data_dir) for split in datasets.get(data, data_dir=data_dir).source.splits]
    for split in splits:
        _DatasetCheck(split, data_dir).run()


class _DatasetCheck:
    """The check of one split."""

    def __init__(self, data: Dataset, data_dir: str | Path | None) -> None:
        self.data, self.data_dir = data, data_dir
        self.what = f"split '{data.split}' of data set '{data.name}'"

    def run(self) -> None:
        """Check every promise."""
        before = self.data.fingerprint()
        self._check_read()
        self._check_labels()
        self._check_ordered()
        if self.data.split == "train":
            self._check_training()
        self._check_views()
        same = self.data.fingerprint() == self.data.seeded(1).fingerprint() == before
        _promise(same, f"the fingerprint of {self.what} changes with the seed, or is another one later")
        if self.data.num_examples > 1:
            differs = self.data.subset(self.data.num_examples - 1).fingerprint() != before
            _promise(differs, f"the fingerprint of {self.what} does not change with its examples")

    def _check_read(self) -> None:
        source, split = self.data.source, self.data.split
        if split in source.splits:
            read = source.stream or source.read
            once, twice = (read(split, self.data_dir)[1 if source.stream else 0 :] for _ in range(2))
            same = _equal(once, twice)
            _promise(same, f"{self.what} is not the same when it is read again: all that is random needs a fixed seed")

    def _check_labels(self) -> None:
        data = self.data
        features = [] if data.source.stream else keras.tree.flatten(data.features)
        lengths = {len(each) for each in (*features, data.labels, data.element_ids)}
        _promise(
            lengths == {data.num_examples}, f"{self.what} has {data.num_examples} examples, and arrays of {lengths}"
        )
        if data.likelihood == "categorical":
            legal = data.labels.dtype == np.int32 and np.all((data.labels >= -1) & (data.labels < data.num_classes))
            _promise(legal, f"{self.what} has labels that are not int32 from 0 to {data.num_classes - 1}, or -1")
        else:
            legal = data.labels.dtype == np.float64 and np.isfinite(data.labels).all()
            _promise(legal, f"{self.what} has targets that are not float64 and finite")
        unique = data.element_ids.dtype == np.int64 and len(np.unique(data.element_ids)) == data.num_examples
        _promise(unique, f"{self.what} has element ids that are not int64, or not unique")

    def _check_ordered(self) -> None:
        data, count = self.data, min(_TAKEN, self.data.num_examples)
        whole = _joined(data.load(count, max_examples=count))
        features = [array for _, array in leaves(whole["features"])]
        found = [array.shape for array in features]
        expected = [(count, *form.input_shape) for _, form in leaves(data.form)]
        _promise(found == expected, f"{self.what} has features of the shapes {found}, expected {expected}")
        numbers = all(array.dtype in (np.float32, np.int32) and np.isfinite(array).all() for array in features)
        _promise(numbers, f"{self.what} has features that are not float32 or int32, or not finite")
        for name, stored in (("labels", data.labels), ("element_id", data.element_ids)):
            same = whole[name].dtype == stored.dtype and np.array_equal(whole[name], stored[:count])
            _promise(same, f"an ordered pass over {self.what} gives other {name} than are stored, or another order")
        parts = _joined(data.load(7, max_examples=count))
        _promise(_equal(whole, parts), f"an ordered pass over {self.what} depends on the batch size")

    def _check_training(self) -> None:
        data = self.data.subset(min(_TAKEN, self.data.num_examples))
        size = min(64, data.num_examples)
        steps = data.steps_per_epoch(size)

        def stream(seed: int, start_step: int = 0, num_steps: int = 2 * steps) -> list[Any]:
            return _arrays_of(data.seeded(seed).load(size, training=True, start_step=start_step).take(num_steps))

        batches = stream(1)
        full = all(len(batch["labels"]) == size for batch in batches)
        _promise(full, f"training on {self.what} has batches that are not full")
        epochs = [
            np.concatenate([batch["element_id"] for batch in part]) for part in (batches[:steps], batches[steps:])
        ]
        for ids in epochs:
            every = np.array_equal(np.sort(ids[: data.num_examples]), np.sort(data.element_ids))
            _promise(
                every, f"an epoch of training on {self.what} does not have every example once before it is filled up"
            )
        label_of = dict(zip(data.element_ids.tolist(), data.labels.tolist()))
        own = all(
            label_of[key] == label
            for batch in batches
            for key, label in zip(batch["element_id"].tolist(), batch["labels"].tolist())
        )
        _promise(own, f"training on {self.what} gives an example the label of another one")
        _promise(_equal(batches, stream(1)), f"the order of training on {self.what} is no function of the seed")
        if data.num_examples > 10:  # that two orders of fewer are equal may be chance
            other = np.concatenate([batch["element_id"] for batch in stream(2, num_steps=steps)])
            _promise(not np.array_equal(epochs[0], other), f"the order of training on {self.what} ignores the seed")
            _promise(
                not np.array_equal(epochs[0], epochs[1]),
                f"the order of training on {self.what} is the same in each epoch",
            )
        start = steps + steps // 2
        resumed = stream(1, start, 2 * steps - start)
        _promise(_equal(batches[start:], resumed), f"training on {self.what} from step {start} on is another one")

    def _check_views(self) -> None:
        source, split = self.data.source, self.data.split
        if split not in source.splits:
            return
        data = Dataset(source, split, self.data_dir)  # without the views that it has already
        ids = data.element_ids
        first = np.array_equal(data.subset(3).element_ids, ids[:3])
        _promise(first, f"subset(3) of {self.what} is not its first three examples")
        if split == "train" and "validation" not in source.splits:
            held_out = Dataset(source, "validation", self.data_dir).holding_out(0.2)
            parts = np.concatenate([data.holding_out(0.2).element_ids, held_out.element_ids])
            shared_out = np.array_equal(np.sort(parts), np.sort(ids))
            _promise(shared_out, f"holding_out(0.2) does not share out {self.what} to train and validation")
        if data.likelihood == "categorical" and np.isin((0, 2), data.labels).all():
            numbers = {2: 0, 0: 1, -1: -1}
            expected = [numbers[label] for label in data.labels.tolist() if label in numbers]
            right = data.classes((2, 0)).labels.tolist() == expected
            _promise(right, f"classes((2, 0)) of {self.what} does not number the examples of these classes 0 and 1")
        _promise(np.array_equal(data.element_ids, ids), f"a view of {self.what} changes it")


def _arrays_of(batches: Any) -> list[Any]:
    return [keras.tree.map_structure(np.asarray, batch) for batch in batches]


def _joined(batches: Any) -> Any:
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *_arrays_of(batches))


def _equal(batches: Any, others: Any) -> bool:
    mine, theirs = keras.tree.flatten(batches), keras.tree.flatten(others)
    return len(mine) == len(theirs) and all(np.array_equal(one, other) for one, other in zip(mine, theirs))
