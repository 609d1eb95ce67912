"""Time the suite side by side with the ways in which one would otherwise do the same.

    python benchmarks/speed.py
    python benchmarks/speed.py --quick
    python benchmarks/speed.py --only sngp mc_dropout

For each row, both sides do the same work in turn, several times over; printed are medians, their spread (half the
distance of the quartiles, as a share of the median) and the ratio of the medians. Where speed does not depend on the
data, they are made up. The rows of each group, with what they were made with, are written as `<group>.json`, and a
figure of all groups in that folder as `speed.png`: into `benchmarks/results`, with `--quick` into `runs/speed`, or
where `--output_dir` says. The exit status is 1 if a target is missed.

The sides:

- suite: the data, train step and predict function of the scripts in `baselines/`, taken from these by `scripts.py`; an
  epoch is a call of `training.compile_steps`, as in their loop.
- Keras: its own `model.fit` and `model.predict` on arrays in memory; an ensemble is trained by one `fit` after another.
- tutorials: what the tutorials on MC dropout and SNGP do: a loop over `model(x, training=True)`; the covariance of all
  points, for its diagonal.
- PyTorch: the same networks trained eagerly (see `pytorch.py`; `pip install -e ".[benchmarks]"`), left out if absent.
- SNGP rows compare our SNGP with our deterministic network, and that network with a head of SNGP's matrix products
  alone, all trained as the task's configuration says; start-up rows a script with `import tensorflow` alone.
- one step after another: batches made, predicted, saved and measured as `evaluation` does, but nothing beside anything.

The peak is the fastest matrix product or convolution that this machine was seen to do, by TensorFlow or PyTorch. A
training's share of it counts three forward passes a step, two operations a multiply-add, of convolutions and dense
layers.
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
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from comparison import HEADER, Row, compare, draw, format_line, read_rows
from scripts import ONLY_TEST, ROOT, Loop, Parts, get_config, get_parts

from uncertainty_suite import datasets, errors, evaluation, keras, layers, models, tf, training
from uncertainty_suite.files import write_atomic, write_json
from uncertainty_suite.predictions import Predictions
from uncertainty_suite.training.run import provenance

HAS_TORCH = importlib.util.find_spec("torch") is not None
BATCH_SIZE = 128
PREDICTION_BATCH_SIZE = 500
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # of Keras, by precision
KERAS = layers.LayerSet(norm=keras.layers.BatchNormalization)
MADE_UP = {**ONLY_TEST, "dataset.name": "made_up_images"}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {  # a file of configs/, and what differs from it
    "resnet_mlp": ("two_moons", {}),
    "convnet": ("mnist", {**MADE_UP, "dataset.size": 28, "dataset.channels": 1}),
    "resnet20": ("cifar10", {**MADE_UP, "model.name": "resnet20"}),
    "wide_resnet 16-4": ("cifar10", {**MADE_UP, "model.depth": 16, "model.width": 4}),
}
AS_PEERS = {  # the optimizer that fit and PyTorch have
    "optimizer.name": "adam",
    "optimizer.learning_rate": 1e-4,
    "optimizer.schedule": "constant",
    "optimizer.warmup_epochs": 0.0,
    "optimizer.l2": 0.0,
}


class ProductsAlone(keras.layers.Layer):
    """The matrix products that SNGP's head cannot do without, and nothing else."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.project, self.whiten = (keras.layers.Dense(1024, use_bias=False, trainable=False) for _ in range(2))
        self.classify = keras.layers.Dense(units)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        features = self.project(inputs)
        outputs = self.classify(features)
        if training:  # which does not use the variance
            return outputs
        return outputs + tf.reduce_sum(self.whiten(features), axis=1, keepdims=True)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What `--quick` changes, and a folder that is deleted in the end."""

    repeats: int
    quick: bool
    folder: Path


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


def forward_operations(model: keras.Model) -> int:
    """Return the operations, two a multiply-add, that a forward pass takes for an example."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            total += 2 * math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            total += 2 * math.prod(layer.kernel.shape)
    return total


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
        yield Row(f"epoch on two moons, {what}", "Keras fit", ours, theirs, "x faster", target)


def measure_peaks(pytorch: PyTorch | None) -> dict[str, float]:
    """Return the most operations a second by precision; print what each operation reaches."""
    size, shape = 2048, (64, 32, 32, 64)  # of the square matrices and of the images
    product = tf.function(lambda a: tf.matmul(a, a)[0, 0])
    convolution = tf.function(lambda x, kernel: tf.nn.conv2d(x, kernel, 1, "SAME")[0, 0, 0, 0])
    peaks = dict.fromkeys(POLICIES, 0.0)
    for precision in POLICIES:
        matrix, images, kernel = (
            tf.cast(tf.random.stateless_uniform(s, (0, 0)), precision) for s in ((size, size), shape, (3, 3, 64, 64))
        )
        for job, operations, tensorflow, options in (
            ("matrix product", 2 * size**3, functools.partial(product, matrix), {"size": size}),
            (
                "convolution",
                18 * 64 * math.prod(shape),
                functools.partial(convolution, images, kernel),
                {"shape": shape},
            ),
        ):
            sides = {"TensorFlow": lambda tensorflow=tensorflow: tensorflow().numpy()}
            if pytorch:
                pytorch.request(job=job, precision=precision, **options)
                sides["PyTorch"] = pytorch.request
            for side, seconds in compare(sides, 20).items():
                reached = operations / float(np.median(seconds))
                print(f"# {job}, {precision}, {side}: {reached / 1e9:.0f} GFLOP/s")
                peaks[precision] = max(peaks[precision], reached)
    return peaks


def training_throughput(settings: Settings) -> Iterator[Row]:
    """Training on images, against the faster of `fit` and PyTorch."""
    if not HAS_TORCH:
        print("# PyTorch is not installed, so training is compared with Keras only.")
    with PyTorch() if HAS_TORCH else contextlib.nullcontext() as pytorch:
        peaks = measure_peaks(pytorch)
        num_batches = {"convnet": 20, "resnet20": 8, "wide_resnet 16-4": 2}
        for name in ["convnet"] if settings.quick else num_batches:
            for precision, policy in POLICIES.items():
                overrides = {**AS_PEERS, "precision": policy}
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
                operations = 3 * forward_operations(model) * num_examples
                share = operations / np.median(ours) / peaks[precision]
                for side in seconds:
                    target = 1.0 if side == fastest else None
                    yield Row(f"training, {name}, {precision}", side, ours, seconds[side], "x faster", target, share)


def predict_probs(parts: Parts, inputs: np.ndarray) -> Callable[[], np.ndarray]:
    """Return a function that predicts a batch."""
    inputs = tf.constant(inputs)
    return lambda: parts.predict(inputs).probs.numpy()


def predict_by_covariance(model: keras.Model, inputs: np.ndarray) -> Callable[[], np.ndarray]:
    """Return a function that predicts as the SNGP tutorial does: the covariance of all points, for its diagonal."""
    head = model.get_layer("head")
    backbone = keras.Model(model.input, model.output["features"])
    covariance = tf.cast(tf.linalg.inv(head.precision), tf.float32)  # kept by the tutorial's layer, too

    def predict() -> np.ndarray:
        features = head.random_features(backbone(inputs, training=False))
        return tf.linalg.diag_part(features @ tf.matmul(covariance, features, transpose_b=True)).numpy()

    return predict


def take_products_alone(network: str, folder: Path, num_batches: int) -> Parts:
    """Return what the deterministic script makes of a network whose head is `ProductsAlone`."""
    layer_set = functools.partial(layers.LayerSet, head=ProductsAlone)
    with mock.patch("uncertainty_suite.layers.LayerSet", layer_set):
        return take("deterministic", network, folder, num_batches)


def sngp(settings: Settings) -> Iterator[Row]:
    """Training and prediction with variance by SNGP, against the deterministic network and the tutorial."""
    for name, num_batches, training_target, prediction_target in [
        ("resnet_mlp", 8, 1.4, 1.3),
        ("convnet", 4, 1.05, 1.05),
        *([] if settings.quick else [("wide_resnet 16-4", 1, 1.05, 1.05)]),
    ]:
        parts = {method: take(method, name, settings.folder, num_batches) for method in ("sngp", "deterministic")}
        if not settings.quick:
            parts["products"] = take_products_alone(name, settings.folder, num_batches)
        inputs = make_inputs(parts["sngp"], PREDICTION_BATCH_SIZE)
        for what, made, target in (
            ("training", train, training_target),
            ("prediction", functools.partial(predict_probs, inputs=inputs), prediction_target),
        ):
            seconds = compare({side: made(each) for side, each in parts.items()}, 4 if settings.quick else 20)
            theirs = seconds["deterministic"]
            yield Row(f"SNGP {what}, {name}", "deterministic", seconds["sngp"], theirs, "x its time", target)
            if "products" in seconds:
                of_what = f"SNGP {what}, {name}, its products alone"
                yield Row(of_what, "deterministic", seconds["products"], theirs, "x its time")
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
    sides, loops = {}, {}
    for precision, policy in POLICIES.items():
        for shared in (True, False):
            for what, num_samples in (("few", few), ("many", many)):
                overrides = {"mc_dropout.num_samples": num_samples, "mc_dropout.shared_masks": shared}
                parts = take("mc_dropout", "convnet", settings.folder, overrides={**overrides, "precision": policy})
                inputs = make_inputs(parts, num_images)
                side = in_batches(lambda batch, parts=parts: parts.predict(batch).probs, inputs)
                sides[f"{what}, {precision}{', shared masks' if shared else ''}"] = side
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

    usual = "a loop over predict, float32"
    for precision, target, shared_target in (("float32", 10, 15), ("bfloat16", 14, 34)):
        what, ours = f"MC dropout, {num_images:,} images, {precision}", one_pass_of(precision)
        yield Row(what, usual, ours, of_loops[usual], "x faster", target)
        for other in of_loops:
            if other.endswith(f", {precision}") and other != usual:
                yield Row(what, other, ours, of_loops[other], "x faster")
        ours = one_pass_of(f"{precision}, shared masks")
        yield Row(f"{what}, shared masks", usual, ours, of_loops[usual], "x faster", shared_target)


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
    for precision in ["float32"] if settings.quick else POLICIES:  # the one that is fast on every processor
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
    assert theirs.items() <= ours.items()
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
    "input_pipeline": input_pipeline,
    "evaluation": evaluating,
    "scripts": scripts,
}


def main() -> int:
    """Run the benchmark; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="about a minute: fewer repeats, the smaller networks")
    parser.add_argument("--only", nargs="+", choices=GROUPS, metavar="GROUP", help=f"some of {', '.join(GROUPS)}")
    parser.add_argument("--output_dir", type=Path, help="where the JSON files and the figure are written")
    arguments = parser.parse_args()
    output_dir = arguments.output_dir or ROOT / ("runs/speed" if arguments.quick else "benchmarks/results")

    made_with = {name: value for name, value in provenance().items() if name != "host"}
    if HAS_TORCH:
        made_with["versions"]["torch"] = importlib.metadata.version("torch")
    tf.get_logger().setLevel("ERROR")  # or it warns that one train step is traced so often, for so many networks
    print(HEADER)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(2 if arguments.quick else 5, arguments.quick, Path(folder))
        for group in arguments.only or GROUPS:
            rows_of_group = []
            for row in GROUPS[group](settings):
                rows_of_group.append(row.summarize())
                print(format_line(rows_of_group[-1]), flush=True)
            write_json(output_dir / f"{group}.json", {**made_with, "rows": rows_of_group})
            rows += rows_of_group
    figure = draw(read_rows(output_dir))
    write_atomic(output_dir / "speed.png", lambda file: figure.savefig(file, format="png"))

    missed = [row["what"] for row in rows if not row["met"]]
    if missed:
        print(f"Missed: {'; '.join(missed)}.")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
