"""Time the suite side by side with the ways in which one would otherwise do the same.

    python benchmarks/speed.py
    python benchmarks/speed.py --quick
    python benchmarks/speed.py --only methods

For each row, both sides do the same work in turn, several times over; printed are medians, their spread (half the
distance of the quartiles, as a share of the median), the ratio of the medians, and how many times its floor ours takes:
the time that it takes at least on this machine, whose limits are measured first (see `limits.py`). Where speed does not
depend on the data, they are made up. The rows of each group, with what they were made with, are put into the record of
this kind of processor, `<processor>.json`, and a figure of all groups of that record beside it: in
`benchmarks/results/speed`, with `--quick` in `runs/speed`, or where `--output_dir` says. `comparison.py` puts the
records into the page. The exit status is 1 if a target is missed.

The sides:

- suite: the data, train step and predict function of the scripts in `baselines/`, taken from these by `scripts.py`; an
  epoch is a call of `training.compile_steps`, as in their loop.
- Keras: its own `model.fit` and `model.predict` on arrays in memory; an ensemble is trained by one `fit` after another.
- tutorials: what the tutorials on MC dropout and SNGP do: a loop over `model(x, training=True)`; the covariance of all
  points, for its diagonal.
- PyTorch: the same networks trained eagerly (see `pytorch.py`; `pip install -e ".[benchmarks]"`), left out if absent.
- SNGP rows compare our SNGP with our deterministic network, both trained as the task's configuration says; start-up
  rows a script with `import tensorflow` alone.
- its products alone: the matrix products and convolutions of the script's own graph, and nothing else (`limits.py`).
  Where that target is missed, the line ends with what takes the most beside them, as shares of all operations' time.
- one step after another: batches made, predicted, saved and measured as `evaluation` does, but nothing beside anything.

bfloat16 is left out where there is no hardware for it.
"""

import argparse
import collections
import contextlib
import dataclasses
import functools
import importlib.metadata
import importlib.util
import json
import math
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from comparison import HEADER, RESULTS, Row, compare, draw_record, format_line, kind_of, write_group
from limits import Limits, Traced, Work, measure, precisions
from profiling import shares_of_operations
from scripts import ONLY_TEST, ROOT, Loop, Parts, get_config, get_parts, get_section

from uncertainty_suite import cost, datasets, errors, evaluation, keras, layers, models, tf, training
from uncertainty_suite.files import write_atomic
from uncertainty_suite.predictions import Predictions
from uncertainty_suite.training.run import provenance

HAS_TORCH = importlib.util.find_spec("torch") is not None
BATCH_SIZE = 128
PREDICTION_BATCH_SIZE = 500
PRODUCT = re.compile("MatMul|Conv|Einsum|MatrixTriangularSolve|Cholesky")  # also with what is fused to it
SECONDS_A_ROW = 2.0  # of `methods`, more where it takes longer to repeat it as often as other rows
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # of Keras, by precision
KERAS = layers.LayerSet(norm=keras.layers.BatchNormalization)
MADE_UP = {  # all of them are trained on, so that an epoch has the batches that are asked for, on each side
    **ONLY_TEST,
    "dataset.name": "made_up_images",
    "dataset.validation_percent": 0.0,
    "evaluation.splits": ("test",),
    "evaluation.posthoc": (),
}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {  # a file of configs/, and what differs from it
    "resnet_mlp": ("two_moons", {}),
    "convnet": ("mnist", {**MADE_UP, "dataset.size": 28, "dataset.channels": 1}),
    "resnet20": ("cifar10", {**MADE_UP, "model.name": "resnet20"}),
    "wide_resnet 16-4": ("cifar10", {**MADE_UP, "model.depth": 16, "model.width": 4}),
    "vit": (
        "cifar10",
        {**MADE_UP, "model.name": "vit", "model.patch_size": 4}
        | {"model.num_layers": 4, "model.num_hidden": 128, "model.num_heads": 4},
    ),
}
AS_PEERS = {  # the optimizer that fit and PyTorch have
    "optimizer.name": "adam",
    "optimizer.learning_rate": 1e-4,
    "optimizer.schedule": "constant",
    "optimizer.warmup_epochs": 0.0,
    "optimizer.l2": 0.0,
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What `--quick` changes, a folder that is deleted in the end, and what this machine can do."""

    repeats: int
    quick: bool
    folder: Path
    limits: Limits


def take(
    method: str, network: str, folder: Path, num_batches: int = 1, overrides: Mapping[str, Any] | None = None
) -> Parts:
    """Return what a script makes of a network.

    Args:
        method: The script.
        network: One of `NETWORKS`.
        folder: Where its run folder is made.
        num_batches: Of an epoch, where the data are made up.
        overrides: What differs from the configuration besides.
    """
    task, differing = NETWORKS[network]
    if "dataset.name" in differing:
        differing = {**differing, "dataset.num_examples": num_batches * BATCH_SIZE}
    config = get_config(method, task, {**differing, **(overrides or {})})
    return get_parts(method, config, training.Options(output_dir=Path(tempfile.mkdtemp(dir=folder), "run")))


def make_inputs(parts: Parts, number: int) -> np.ndarray:
    """Return random examples of the shape that a network takes."""
    return np.random.default_rng(0).random((number, *parts.run.input_shape), np.float32)


def in_turn(functions: list[Callable[[], Any]]) -> Callable[[], None]:
    """Return a function that calls others one after another."""

    def call() -> None:
        for function in functions:
            function()

    return call


def train(parts: Parts, epochs: int = 1) -> Callable[[], None]:
    """Return a function that trains epochs, a compiled call each for the networks that are trained together."""
    calls = []
    for loops in parts.groups:
        train_steps = training.compile_steps([loop.train_step for loop in loops], parts.run.strategy)
        steps = loops[0].data.steps_per_epoch(BATCH_SIZE)
        calls += epochs * [functools.partial(train_steps, [loop.batches for loop in loops], steps)]
    return in_turn(calls)


def compile_step(loops: list[Loop]) -> Any:
    """Return the train step of networks that are trained together, a `tf.function` of one batch for all of them."""

    def train_step(batch: dict[str, Any]) -> list[dict[str, Any]]:
        return [loop.train_step(batch) for loop in loops]

    return tf.function(train_step)


def trace_step(loops: list[Loop], train_step: Any, batch: dict[str, Any]) -> Traced:
    """Return what has to be done for it."""
    written = [each for loop in loops for each in (*loop.model.trainable_variables, *loop.optimizer.variables)]
    return Traced(train_step, batch, written=written)


def work_of_training(parts: Parts, epochs: int = 1) -> Work:
    """Return what has to be done for epochs of training, as `train` does them."""
    work = Work(0, 0, 0)
    for loops in parts.groups:
        steps = epochs * loops[0].data.steps_per_epoch(BATCH_SIZE)
        work += trace_step(loops, compile_step(loops), next(loops[0].batches)).work * steps
    return work


def trace_prediction(parts: Parts, inputs: np.ndarray) -> Traced:
    """Return what has to be done for the prediction of a batch."""
    predict, chosen = parts.predict, {}
    if isinstance(predict, functools.partial):  # `evaluation.tune` has chosen an argument
        predict, chosen = predict.func, predict.keywords
    return Traced(predict, tf.constant(inputs), **chosen)


def fit(parts: Parts, epochs: int = 1) -> Callable[[], None]:
    """Return a function that trains the network of a script for epochs by `model.fit`."""
    run, data = parts.run, parts.groups[0][0].data
    with run.scope():
        model = models.build(run.config.model, data, run.task.likelihood, KERAS)
    model = keras.Model(model.input, model.output["outputs"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-4), loss, metrics=["accuracy"])
    examples = next(iter(data.load(data.num_examples)))
    features, labels = examples["features"].numpy(), examples["labels"].numpy()
    return lambda: model.fit(features, labels, batch_size=BATCH_SIZE, epochs=epochs, verbose=0)


class PyTorch:
    """The process of `pytorch.py`."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("pytorch.py"))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> "PyTorch":
        return self

    def __exit__(self, *_) -> None:
        self._process.communicate()  # closes its stdin, which ends it

    def request(self, **values: Any) -> dict[str, Any]:
        """Return its answer to a request."""
        print(json.dumps(values), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("PyTorch's process has ended; its error stands above.")
        return json.loads(answer)


def two_moons(settings: Settings) -> Iterator[Row]:
    """An epoch on two moons, of one network and of ten."""
    for what, method, size, epochs, target in [
        ("deterministic", "deterministic", 1, 20, 4),
        *([] if settings.quick else [("10-member ensemble", "deep_ensemble", 10, 5, 7)]),
    ]:
        overrides = {"deep_ensemble.size": size} if method == "deep_ensemble" else {}
        parts = take(method, "resnet_mlp", settings.folder, overrides={**AS_PEERS, **overrides})
        sides = {"suite": train(parts, epochs), "fit": in_turn([fit(parts, epochs) for _ in range(size)])}
        ours, theirs = (seconds / epochs for seconds in compare(sides, settings.repeats).values())
        floor = settings.limits.floor(work_of_training(parts))
        yield Row(f"epoch on two moons, {what}", "Keras fit", ours, theirs, "x faster", target, floor)


def training_throughput(settings: Settings) -> Iterator[Row]:
    """Training on images, against the faster of `fit` and PyTorch."""
    if not HAS_TORCH:
        print("# PyTorch is not installed, so training is compared with Keras only.")
    with PyTorch() if HAS_TORCH else contextlib.nullcontext() as pytorch:
        num_batches = {"convnet": 20, "resnet20": 8, "wide_resnet 16-4": 2, "vit": 4}
        for name in ["convnet"] if settings.quick else num_batches:
            for precision in precisions():
                overrides = {**AS_PEERS, "precision": POLICIES[precision]}
                batches = 5 if settings.quick else num_batches[name]
                parts = take("deterministic", name, settings.folder, batches, overrides)
                model, num_examples = parts.loop.model, parts.loop.data.num_examples
                # Each side builds its own kind of network: fit has Keras' batch normalisation.
                sides = {"suite": train(parts), "Keras fit": fit(parts)}
                if pytorch:
                    known = pytorch.request(
                        job="training", architecture=name, precision=precision, num_examples=num_examples
                    )
                    assert known["parameters"] == sum(math.prod(v.shape) for v in model.trainable_variables)
                    sides["PyTorch"] = pytorch.request
                seconds = compare(sides, settings.repeats)
                ours = seconds.pop("suite")
                fastest = min(seconds, key=lambda side: np.median(seconds[side]))
                floor = settings.limits.floor(work_of_training(parts), precision)
                for side in seconds:
                    target = 1.0 if side == fastest else None
                    yield Row(f"training, {name}, {precision}", side, ours, seconds[side], "x faster", target, floor)


def predict_batch(parts: Parts, inputs: np.ndarray) -> Callable[[], np.ndarray]:
    """Return a function that predicts a batch: probabilities, or means."""
    inputs, said = tf.constant(inputs), "mean" if parts.run.task.likelihood.name == "gaussian" else "probs"
    return lambda: getattr(parts.predict(inputs), said).numpy()


def predict_by_covariance(model: keras.Model, inputs: np.ndarray) -> Callable[[], np.ndarray]:
    """Return a function that predicts as the SNGP tutorial does: the covariance of all points, for its diagonal."""
    head = model.get_layer("head")
    backbone = keras.Model(model.input, model.output["features"])
    covariance = tf.cast(head.ridge_penalty * tf.linalg.inv(head.precision), tf.float32)  # kept by its layer, too

    def predict() -> np.ndarray:
        features = head.random_features(backbone(inputs, training=False))
        return tf.linalg.diag_part(features @ tf.matmul(covariance, features, transpose_b=True)).numpy()

    return predict


def sngp(settings: Settings) -> Iterator[Row]:
    """Training and prediction with variance by SNGP, against the deterministic network and the tutorial.

    What SNGP may cost depends on the network beside its head, so its target is in `methods`: against its own products.
    """
    networks = {"resnet_mlp": 8, "convnet": 4} | ({} if settings.quick else {"wide_resnet 16-4": 1})
    for name, num_batches in networks.items():
        ours = take("sngp", name, settings.folder, num_batches, {"sngp.mean_field_factor": (1.0,)})
        theirs = take("deterministic", name, settings.folder, num_batches)
        inputs = make_inputs(ours, PREDICTION_BATCH_SIZE)
        for what, make, work in (
            ("training", train, work_of_training(ours)),
            ("prediction", functools.partial(predict_batch, inputs=inputs), trace_prediction(ours, inputs).work),
        ):
            seconds = compare({"sngp": make(ours), "deterministic": make(theirs)}, 4 if settings.quick else 20)
            floor = settings.limits.floor(work)
            yield Row(f"SNGP {what}, {name}", "deterministic", *seconds.values(), "x its time", floor=floor)
    if settings.quick:
        return
    parts, points = take("sngp", "resnet_mlp", settings.folder), tf.constant(datasets.get("two_moons", "grid").features)
    sides = {
        "suite": lambda: parts.predict(points).uncertainty["variance"].numpy(),
        "tutorial": predict_by_covariance(parts.loop.model, points),
    }
    np.testing.assert_allclose(sides["suite"](), sides["tutorial"](), rtol=1e-3)
    yield Row("SNGP variance of 10,000 points", "tutorial", *compare(sides, settings.repeats).values(), "x faster")


def in_batches(function: Callable[[np.ndarray], Any], inputs: np.ndarray) -> Callable[[], list[np.ndarray]]:
    """Return a function that calls another one on batches of inputs."""
    batches = np.split(inputs, len(inputs) // PREDICTION_BATCH_SIZE)
    return lambda: [function(batch).numpy() for batch in batches]


def mc_dropout(settings: Settings) -> Iterator[Row]:
    """The marginal cost of a pass of MC dropout over test images.

    Ours is the difference of many and few samples, which leaves out what is computed once for all of them. A loop over
    `predict` or over the model computes everything in each pass; three are timed, since `predict` has two speeds, from
    one call to the next. The targets are for what one has without the suite: a loop over `predict` in float32, in the
    batches of 32 that it takes unless it is told otherwise. The other rows, for information, are loops in our
    precision.
    """
    num_images, few, many, num_passes = 500 if settings.quick else 10_000, 2, 10, 3
    sides, loops, works = {}, {}, {}
    for precision in precisions():
        for shared in (True, False):
            for what, num_samples in (("few", few), ("many", many)):
                overrides = {"mc_dropout.num_samples": num_samples, "mc_dropout.shared_masks": shared}
                overrides["precision"] = POLICIES[precision]
                parts = take("mc_dropout", "convnet", settings.folder, overrides=overrides)
                inputs = make_inputs(parts, num_images)
                side = f"{what}, {precision}{', shared masks' if shared else ''}"
                sides[side] = in_batches(lambda batch, parts=parts: parts.predict(batch).probs, inputs)
                work = trace_prediction(parts, inputs[:PREDICTION_BATCH_SIZE]).work
                works[side] = work * (num_images / PREDICTION_BATCH_SIZE)
        model = keras.Model(parts.loop.model.input, parts.loop.model.output["outputs"])  # without shared masks
        predict = functools.partial(model.predict, verbose=0)
        assert np.any(predict(inputs[:2]) != predict(inputs[:2])), "not stochastic"
        loops |= {
            f"a loop over predict, {precision}": functools.partial(predict, inputs),
            f"predict in batches of 500, {precision}": functools.partial(
                predict, inputs, batch_size=PREDICTION_BATCH_SIZE
            ),
            f"the tutorials' loop over the model, {precision}": in_batches(
                functools.partial(model, training=True), inputs
            ),
        }
    sides |= {name: in_turn(num_passes * [one]) for name, one in loops.items()}
    seconds = compare(sides, settings.repeats)
    of_loops = {name: seconds[name] / num_passes for name in loops}

    def one_pass_of(kind: str) -> np.ndarray:
        return (seconds[f"many, {kind}"] - seconds[f"few, {kind}"]) / (many - few)

    def floor_of(kind: str) -> float:
        one_pass = (works[f"many, {kind}"] + works[f"few, {kind}"] * -1) * (1 / (many - few))
        return settings.limits.floor(one_pass, kind.partition(",")[0])

    usual = "a loop over predict, float32"
    for precision in precisions():
        target, shared_target = {"float32": (10, 15), "bfloat16": (14, 34)}[precision]
        what = f"MC dropout, {num_images:,} images, {precision}"
        ours, floor = one_pass_of(precision), floor_of(precision)
        yield Row(what, usual, ours, of_loops[usual], "x faster", target, floor)
        for other in of_loops:
            if other.endswith(f", {precision}") and other != usual:
                yield Row(what, other, ours, of_loops[other], "x faster", floor=floor)
        shared = f"{precision}, shared masks"
        ours, floor = one_pass_of(shared), floor_of(shared)
        yield Row(f"{what}, shared masks", usual, ours, of_loops[usual], "x faster", shared_target, floor)


def take_for_its_products(method: str, folder: Path) -> Parts:
    """Return what a script makes of the smallest network of convolutions, for labels that it is for.

    Nothing is chosen on validation: of hyper-parameters with several values the first is taken.
    """
    section = get_section(method)
    # As many epochs as the default of any method needs; and validation data, on which some choose in training.
    overrides = {"epochs": 60, "dataset.validation_percent": 0.1, "evaluation.splits": ("test", "validation")}
    if section is not None:
        overrides |= {f"{section.name}.{name}": section.parameters[name].default[:1] for name in section.tuned}
        if section.likelihoods and "categorical" not in section.likelihoods:
            overrides |= {"dataset.name": "made_up_targets", "evaluation.metrics": ()}
    return take(method, "convnet", folder, 2, overrides)


def step_once(parts: Parts) -> Callable[[], Any]:
    """Return a function that takes one step with each network."""
    return in_turn([functools.partial(compile_step(loops), next(loops[0].batches)) for loops in parts.groups])


def methods(settings: Settings) -> Iterator[Row]:
    """Each method's train step and prediction against its products alone, and BatchEnsemble against its members.

    Of networks that are trained together, as members of an ensemble, a train step is one of each.
    """
    all_methods = sorted(path.stem for path in (ROOT / "baselines").glob("*.py"))
    for method in ["deterministic", "mc_dropout"] if settings.quick else all_methods:
        try:
            parts = take_for_its_products(method, settings.folder)
            yield from compare_with_products(method, parts, settings)
        except (errors.InputError, cost.UnknownShapeError) as error:
            print(f"# Not measured: {method}. {error}")
    parts = {method: take_for_its_products(method, settings.folder) for method in ("batch_ensemble", "deterministic")}
    size = parts["batch_ensemble"].run.config.batch_ensemble.size
    inputs = make_inputs(parts["deterministic"], BATCH_SIZE)
    for what, make in (("train step", step_once), ("prediction", functools.partial(predict_batch, inputs=inputs))):
        ours, one = (make(each) for each in parts.values())
        seconds = compare({"ours": ours, "theirs": in_turn(size * [one])}, settings.repeats)
        yield Row(f"{what}, batch_ensemble of {size}", f"{size} members in turn", *seconds.values(), "x its time", 1)


def compare_with_products(method: str, parts: Parts, settings: Settings) -> Iterator[Row]:
    """Compare the train step and the prediction that a script has made with the products that they contain."""
    loops, *_ = parts.groups
    train_step, batch, inputs = compile_step(loops), next(loops[0].batches), make_inputs(parts, BATCH_SIZE // 2)
    for what, traced, ours in (
        ("train step", trace_step(loops, train_step, batch), functools.partial(train_step, batch)),
        ("prediction", trace_prediction(parts, inputs), predict_batch(parts, inputs)),
    ):
        sides = {"ours": ours, "theirs": traced.products_alone()}
        once = sum(float(seconds[0]) for seconds in compare(sides, 1).values())
        repeats = int(np.clip((0 if settings.quick else SECONDS_A_ROW) / once, settings.repeats, 30))
        seconds = compare(sides, repeats, warm_up=False)
        floor, beside = settings.limits.floor(traced.work), beside_products(ours)
        yield Row(f"{what}, {method}", "its products alone", *seconds.values(), "x its time", 1.2, floor, beside)


def beside_products(function: Callable[[], Any]) -> dict[str, float]:
    """Return the operations that take the most of a call beside products, with their shares: why a target is missed."""
    shares = shares_of_operations(function)
    return dict([(name, share) for name, share in shares.items() if not PRODUCT.search(name)][:3])


def measure_waiting(settings: Settings, loop: Loop) -> dict[str, np.ndarray]:
    """Return seconds a train step `[repeats]`: `total`, `waiting` for its batch, and `pipeline` and `step` alone."""
    num_batches = 10 if settings.quick else 15
    train_step, batches = tf.function(loop.train_step), loop.batches
    ready = next(batches)
    waits = []

    def train() -> None:
        waits.append(0.0)
        for _ in range(num_batches):
            started_at = time.perf_counter()
            batch = next(batches)
            waits[-1] += time.perf_counter() - started_at
            train_step(batch)["loss"].numpy()

    def draw_batches() -> None:  # more of them, since some lie ready
        for _ in range(10 * num_batches):
            next(batches)

    def train_on_one() -> None:
        for _ in range(num_batches):
            train_step(ready)["loss"].numpy()

    seconds = compare({"total": train, "pipeline": draw_batches, "step": train_on_one}, settings.repeats)
    seconds["waiting"] = np.array(waits[1:])
    return {name: s / num_batches / (10 if name == "pipeline" else 1) for name, s in seconds.items()}


def input_pipeline(settings: Settings) -> Iterator[Row]:
    """How long the train steps of configs/cifar10.py wait for augmented batches."""
    for precision in ["float32"] if settings.quick else precisions():
        config = get_config("deterministic", "cifar10", {**ONLY_TEST, "precision": POLICIES[precision]})
        options = training.Options(output_dir=settings.folder / f"cifar10 {precision}")
        try:
            loop = get_parts("deterministic", config, options).loop
        except errors.InputError as error:
            print(f"# The input pipeline is not measured: {error}")
            return
        seconds = measure_waiting(settings, loop)
        what = f"waiting for CIFAR-10 batches, {precision}"
        yield Row(what, "the train step", seconds["waiting"], seconds["total"], "x its time", 0.05)
        what = f"input pipeline alone, CIFAR-10, {precision}"
        yield Row(what, "the train step alone", seconds["pipeline"], seconds["step"], "x its time")


def evaluate_in_turn(predict: Callable[[Any], Predictions], run: training.Run) -> evaluation.Measured:
    """Return what `evaluation.evaluate` does, made by one step after another."""
    config, likelihood, results = run.config.evaluation, run.task.likelihood, {}
    for split in run.task.of("test", "shift"):
        parts = collections.defaultdict(list)
        for batch in run.get_data(split).load(config.batch_size, max_examples=split.max_examples):
            said = Predictions(probs=predict(batch["features"].numpy()).probs.numpy())
            parts["labels"].append(batch["labels"].numpy())
            for name, values in likelihood.to_saved(said).items():
                parts[name].append(values)
        saved = {name: np.concatenate(arrays) for name, arrays in parts.items()}
        write_atomic(run.path / "in_turn" / f"{split.key}.npz", lambda file, saved=saved: np.savez(file, **saved))
        results |= evaluation.split_metrics(saved, config.metrics, likelihood).prefixed(split.key).metrics
    return evaluation.Measured(results, {})


def evaluating(settings: Settings) -> Iterator[Row]:
    """Evaluation on the test set of MNIST and on 1,000 of its images in each of 105 shifted sets."""
    overrides = {f"evaluation.{field}": () for field in ("ood_near", "ood_far", "ood_scores")}
    if settings.quick:
        overrides["evaluation.severities"] = (3,)
    config = get_config("deterministic", "mnist", overrides)
    try:
        parts = get_parts("deterministic", config, training.Options(output_dir=settings.folder / "mnist"))
    except errors.InputError as error:
        print(f"# Evaluation is not measured: {error}")
        return
    results = {}

    def side(evaluate: Callable[..., evaluation.Measured]) -> Callable[[], None]:
        def call() -> None:
            results[evaluate] = evaluate(parts.predict, parts.run).metrics

        return call

    functions = evaluation.evaluate, evaluate_in_turn
    seconds = compare({function.__name__: side(function) for function in functions}, 1 if settings.quick else 3)
    ours, theirs = (results[function] for function in functions)
    for name, value in theirs.items():  # to rounding: probabilities were saved there, and logits here
        assert math.isclose(ours[name], value, rel_tol=1e-4, abs_tol=1e-6), name
    what = f"evaluation on MNIST, {len(parts.run.task.of('shift'))} shifted sets"
    yield Row(what, "one step after another", *seconds.values(), "x faster")


def scripts(settings: Settings) -> Iterator[Row]:
    """Commands from their start to their results."""

    def command(*arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, check=True)

    def without_tensorflow(module: str, *arguments: str) -> Callable[[], None]:
        code = (
            f"import runpy, sys; sys.argv[1:] = {arguments}\n"
            f"try: runpy.run_module('uncertainty_suite.{module}', run_name='__main__')\n"
            "except SystemExit as end: sys.exit(end.code or 'tensorflow' in sys.modules)"
        )
        return lambda: command("-c", code)

    count = iter(range(1000))

    def script(method: str) -> Callable[[], None]:
        path = f"baselines/{method}.py", "--config=configs/two_moons.py"
        return lambda: command(*path, f"--output_dir={settings.folder}/{next(count)}")

    methods = {"deterministic": 6} if settings.quick else {"deterministic": 6, "sngp": 10}
    sides = {"import tensorflow": lambda: command("-c", "import tensorflow")}
    sides |= {method: script(method) for method in methods}
    seconds = compare(sides, 1 if settings.quick else 3, warm_up=False)
    for method, target in methods.items():
        theirs = seconds["import tensorflow"]
        what = f"two-moons script, {method}"
        yield Row(what, "import tensorflow", seconds[method], theirs, "s beyond it", target)
    for what, side in (
        ("leaderboard of leaderboards/", without_tensorflow("leaderboard", "leaderboards")),
        ("offline evaluation of a two-moons run", without_tensorflow("evaluate", f"{settings.folder}/0")),
    ):
        yield Row(what, "the clock", compare({what: side}, settings.repeats)[what], None, "s", 2)


GROUPS = {
    "two_moons": two_moons,
    "training": training_throughput,
    "sngp": sngp,
    "mc_dropout": mc_dropout,
    "methods": methods,
    "input_pipeline": input_pipeline,
    "evaluation": evaluating,
    "scripts": scripts,
}


def main() -> int:
    """Run the benchmark; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="about a minute: fewer repeats, the smaller networks")
    parser.add_argument("--only", nargs="+", choices=GROUPS, metavar="GROUP", help=f"some of {', '.join(GROUPS)}")
    parser.add_argument("--output_dir", type=Path, help="where the record and its figure are written")
    arguments = parser.parse_args()
    output_dir = arguments.output_dir or (ROOT / "runs/speed" if arguments.quick else RESULTS)

    made_with = {name: value for name, value in provenance().items() if name != "host"}
    if HAS_TORCH:
        made_with["versions"]["torch"] = importlib.metadata.version("torch")
    tf.get_logger().setLevel("ERROR")  # or it warns that one train step is traced so often, for so many networks
    path = output_dir / f"{kind_of(made_with['hardware'])}.json"
    with PyTorch() if HAS_TORCH else contextlib.nullcontext() as pytorch:
        limits = measure(pytorch and pytorch.request)
    made_with["limits"] = dataclasses.asdict(limits)
    print(HEADER)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(2 if arguments.quick else 5, arguments.quick, Path(folder), limits)
        for group in arguments.only or GROUPS:
            rows_of_group = []
            for row in GROUPS[group](settings):
                rows_of_group.append(row.summarize())
                print(format_line(rows_of_group[-1]), flush=True)
                write_group(path, group, made_with, rows_of_group)
            rows += rows_of_group
    if rows:
        draw_record(path)

    missed = [row["what"] for row in rows if not row["met"]]
    if missed:
        print(f"Missed: {'; '.join(missed)}.")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
