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

- suite: the input pipeline of `datasets` and the compiled loop of `training.compile_steps`, as the scripts use them;
  for Monte Carlo dropout, the network split by `layers.split_at_dropout`, its stochastic part repeated in one call by
  `layers.draw_samples`.
- Keras: its own `model.fit` and `model.predict` on arrays in memory; an ensemble is trained by one `fit` after another.
- tutorials: what the tutorials on MC dropout and SNGP do: a loop over `model(x, training=True)`; the covariance of all
  points, for its diagonal.
- PyTorch: the same networks trained eagerly (see `pytorch.py`; `pip install -e ".[benchmarks]"`), left out if absent.
- SNGP rows compare our SNGP with our deterministic network, and that network with a head of SNGP's matrix products
  alone; start-up rows a script with `import tensorflow` alone.
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
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import keras
import tensorflow as tf
from comparison import HEADER, Row, compare, draw, format_line, read_rows

from uncertainty_suite import configuration, datasets, errors, evaluation, layers, models, training
from uncertainty_suite.datasets.preprocessing import Preprocessing
from uncertainty_suite.files import write_atomic, write_json
from uncertainty_suite.predictions import Predictions
from uncertainty_suite.training.parallel import share_out
from uncertainty_suite.training.run import provenance
from uncertainty_suite.training.strategy import compile_steps_together

ROOT = Path(__file__).parent.parent
HAS_TORCH = importlib.util.find_spec("torch") is not None
BATCH_SIZE = 128
PREDICTION_BATCH_SIZE = 500
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # of Keras, by precision
MC_DROPOUT = layers.LayerSet(dropout=layers.MonteCarloDropout)
SHARED_MASKS = layers.LayerSet(dropout=functools.partial(layers.MonteCarloDropout, shared_masks=True))
SNGP = layers.LayerSet(
    conv=lambda *args, **kwargs: layers.SpectralNormalization(keras.layers.Conv2D(*args, **kwargs), 6.0),
    dense=lambda *args, **kwargs: layers.SpectralNormalization(keras.layers.Dense(*args, **kwargs), 6.0),
    head=layers.RandomFeatureGaussianProcess,
)
KERAS = layers.LayerSet(norm=keras.layers.BatchNormalization)
ARCHITECTURES = {  # input shape, classes, options
    "resnet_mlp": ((2,), 2, {}),
    "convnet": ((28, 28, 1), 10, {}),
    "resnet20": ((32, 32, 3), 10, {}),
    "wide_resnet 10-2": ((32, 32, 3), 10, {"depth": 10, "width": 2}),
    "wide_resnet 16-4": ((32, 32, 3), 10, {"depth": 16, "width": 4}),
}


class ProductsAlone(keras.layers.Layer):
    """The matrix products that SNGP's head cannot do without, and nothing else."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.project, self.whiten = (keras.layers.Dense(1024, use_bias=False, trainable=False) for _ in range(2))
        self.classify = keras.layers.Dense(units)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        features = self.project(inputs)
        return self.classify(features), tf.reduce_sum(self.whiten(features), axis=1)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What `--quick` changes."""

    repeats: int
    quick: bool


def build(architecture: str, layer_set: layers.LayerSet | None = None, precision: str = "float32") -> keras.Model:
    """Return an architecture by its name in `ARCHITECTURES`."""
    input_shape, num_classes, options = ARCHITECTURES[architecture]
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(POLICIES[precision])
    return models.get(architecture.split()[0], input_shape, num_classes, layer_set, **options)


def make_data(architecture: str, num_examples: int) -> datasets.Dataset:
    """Return random examples of the shape that an architecture takes."""
    input_shape, num_classes, _ = ARCHITECTURES[architecture]
    rng = np.random.default_rng(0)
    arrays = rng.random((num_examples, *input_shape), np.float32), rng.integers(0, num_classes, num_examples)
    source = datasets.Source("random", ("train",), num_classes, Preprocessing(input_shape), lambda *_: arrays)
    return datasets.Dataset(source, "train", preprocessing=source.preprocessing)


def forward_operations(model: keras.Model) -> int:
    """Return the operations, two a multiply-add, that a forward pass takes for an example."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            total += 2 * math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            total += 2 * math.prod(layer.kernel.shape)
    return total


def make_train_step(model: keras.Model) -> Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]:
    """Return the train step of the scripts."""
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(model.trainable_variables)

    def train_step(batch):
        with tf.GradientTape() as tape:
            logits = keras.tree.flatten(model(batch["features"], training=True))[0]
            loss = keras.losses.sparse_categorical_crossentropy(batch["labels"], logits, from_logits=True)
            loss = tf.reduce_mean(loss)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        accuracy = keras.metrics.sparse_categorical_accuracy(batch["labels"], logits)
        norm = tf.linalg.global_norm(gradients)
        return {"loss": loss, "accuracy": tf.reduce_mean(accuracy), "gradient_norm": norm}

    return train_step


def in_turn(functions: list[Callable[[], Any]]) -> Callable[[], None]:
    """Return a function that calls others one after another."""

    def call() -> None:
        for function in functions:
            function()

    return call


def suite_training(networks: Sequence[keras.Model], data: datasets.Dataset, epochs: int = 1) -> Callable[[], None]:
    """Return a function that trains epochs as the scripts do, a compiled call each for some networks together."""
    at_once = share_out(len(networks))
    steps = data.steps_per_epoch(BATCH_SIZE)
    calls = []
    for start in range(0, len(networks), at_once):
        group = networks[start : start + at_once]
        train_steps = compile_steps_together([make_train_step(model) for model in group], training.get_strategy())
        batches = [iter(data.load(BATCH_SIZE, training=True)) for _ in group]
        calls += epochs * [functools.partial(train_steps, batches, steps)]
    return in_turn(calls)


def fit(model: keras.Model, data: datasets.Dataset, epochs: int = 1) -> Callable[[], None]:
    """Return a function that trains epochs by `model.fit`."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-4), loss, metrics=["accuracy"])
    return lambda: model.fit(data.features, data.labels, batch_size=BATCH_SIZE, epochs=epochs, verbose=0)


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
    data = datasets.get("two_moons")
    for what, size, epochs, target in [
        ("deterministic", 1, 20, 4),
        *([] if settings.quick else [("10-member ensemble", 10, 5, 7)]),
    ]:
        sides = {
            "suite": suite_training([build("resnet_mlp") for _ in range(size)], data, epochs),
            "fit": in_turn([fit(build("resnet_mlp"), data, epochs) for _ in range(size)]),
        }
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
            data = make_data(name, BATCH_SIZE * (5 if settings.quick else num_batches[name]))
            for precision in POLICIES:
                # Each side builds its own kind of network: fit has Keras' batch normalisation.
                model = build(name, precision=precision)
                sides = {"suite": suite_training([model], data), "Keras fit": fit(build(name, KERAS, precision), data)}
                if pytorch:
                    known = pytorch.request(
                        job="training", architecture=name, precision=precision, num_examples=data.num_examples
                    )
                    assert known["parameters"] == sum(math.prod(v.shape) for v in model.trainable_variables)
                    sides["PyTorch"] = pytorch.request
                seconds = compare(sides, settings.repeats)
                ours = seconds.pop("suite")
                fastest = min(seconds, key=lambda side: np.median(seconds[side]))
                operations = 3 * forward_operations(model) * data.num_examples
                share = operations / np.median(ours) / peaks[precision]
                for side in seconds:
                    target = 1.0 if side == fastest else None
                    yield Row(f"training, {name}, {precision}", side, ours, seconds[side], "x faster", target, share)


def predict_batch(model: keras.Model, inputs: np.ndarray) -> Callable[[], np.ndarray]:
    """Return a function that predicts a batch, for SNGP with the variance by a factor computed once."""
    head = model.layers[-1]
    backbone = keras.Model(model.input, head.input)
    options = (
        {"inverse_cholesky": head.inverse_cholesky()} if isinstance(head, layers.RandomFeatureGaussianProcess) else {}
    )
    predict = tf.function(lambda inputs: head(backbone(inputs, training=False), **options))
    inputs = tf.constant(inputs)
    return lambda: keras.tree.flatten(predict(inputs))[-1].numpy()


def predict_by_covariance(model: keras.Model, inputs: np.ndarray) -> Callable[[], np.ndarray]:
    """Return a function that predicts as the SNGP tutorial does: the covariance of all points, for its diagonal."""
    head = model.layers[-1]
    backbone = keras.Model(model.input, head.input)
    covariance = tf.cast(tf.linalg.inv(head.precision), tf.float32)  # kept by the tutorial's layer, too

    def predict() -> np.ndarray:
        features = head.random_features(backbone(inputs, training=False))
        return tf.linalg.diag_part(features @ tf.matmul(covariance, features, transpose_b=True)).numpy()

    return predict


def sngp(settings: Settings) -> Iterator[Row]:
    """Training and prediction with variance by SNGP, against the deterministic network and the tutorial."""
    for name, num_batches, training_target, prediction_target in [
        ("resnet_mlp", 8, 1.4, 1.3),
        ("convnet", 4, 1.05, 1.05),
        *([] if settings.quick else [("wide_resnet 16-4", 1, 1.05, 1.05)]),
    ]:
        networks = {"sngp": build(name, SNGP), "deterministic": build(name)}
        if not settings.quick:
            networks["products"] = build(name, layers.LayerSet(head=ProductsAlone))
        data, inputs = make_data(name, BATCH_SIZE * num_batches), make_data(name, PREDICTION_BATCH_SIZE).features
        for what, made, target in (
            ("training", lambda model, data=data: suite_training([model], data), training_target),
            ("prediction", lambda model, inputs=inputs: predict_batch(model, inputs), prediction_target),
        ):
            seconds = compare({side: made(model) for side, model in networks.items()}, 4 if settings.quick else 20)
            theirs = seconds["deterministic"]
            yield Row(f"SNGP {what}, {name}", "deterministic", seconds["sngp"], theirs, "x its time", target)
            if "products" in seconds:
                of_what = f"SNGP {what}, {name}, its products alone"
                yield Row(of_what, "deterministic", seconds["products"], theirs, "x its time")
    if settings.quick:
        return
    model, points = build("resnet_mlp", SNGP), datasets.get("two_moons", split="grid").features
    sides = {"suite": predict_batch(model, points), "tutorial": predict_by_covariance(model, points)}
    np.testing.assert_allclose(sides["suite"](), sides["tutorial"](), rtol=1e-3)
    yield Row("SNGP variance of 10,000 points", "tutorial", *compare(sides, settings.repeats).values(), "x faster")


def suite_samples(model: keras.Model, inputs: np.ndarray, num_samples: int) -> Callable[[], list[np.ndarray]]:
    """Return a function that draws samples of Monte Carlo dropout as the script does."""
    trunk, rest = layers.split_at_dropout(model)
    predict = tf.function(lambda inputs: layers.draw_samples(rest, trunk(inputs, training=False), num_samples))
    batches = np.split(inputs, len(inputs) // PREDICTION_BATCH_SIZE)
    return lambda: [predict(batch).numpy() for batch in batches]


def one_pass(model: keras.Model, inputs: np.ndarray) -> Callable[[], list[np.ndarray]]:
    """Return a function that draws one sample as the tutorials do, by calling the model."""
    batches = np.split(inputs, len(inputs) // PREDICTION_BATCH_SIZE)
    return lambda: [model(batch, training=True).numpy() for batch in batches]


def mc_dropout(settings: Settings) -> Iterator[Row]:
    """The marginal cost of a pass of MC dropout over test images.

    Ours is the difference of many and few samples, which leaves out what is computed once for all of them. A loop over
    `predict` or over the model computes everything in each pass; three are timed, since `predict` has two speeds, from
    one call to the next. The targets are for what one has without the suite: a loop over `predict` in float32, in the
    batches of 32 that it takes unless it is told otherwise. The other rows, for information, are loops in our
    precision.
    """
    num_images, few, many, num_passes = 500 if settings.quick else 10_000, 2, 10, 3
    inputs = make_data("convnet", num_images).features
    sides, loops = {}, {}
    for precision in POLICIES:
        model, shared = build("convnet", MC_DROPOUT, precision), build("convnet", SHARED_MASKS, precision)
        predict = functools.partial(model.predict, verbose=0)
        assert np.any(predict(inputs[:2]) != predict(inputs[:2])), "not stochastic"
        sides |= {
            f"few, {precision}": suite_samples(model, inputs, few),
            f"many, {precision}": suite_samples(model, inputs, many),
            f"few, {precision}, shared masks": suite_samples(shared, inputs, few),
            f"many, {precision}, shared masks": suite_samples(shared, inputs, many),
        }
        loops |= {
            f"a loop over predict, {precision}": functools.partial(predict, inputs),
            f"predict in batches of 500, {precision}": functools.partial(
                predict, inputs, batch_size=PREDICTION_BATCH_SIZE
            ),
            f"the tutorials' loop over the model, {precision}": one_pass(model, inputs),
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


def measure_waiting(settings: Settings, data: datasets.Dataset, precision: str) -> dict[str, np.ndarray]:
    """Return seconds a train step `[repeats]`: `total`, `waiting` for its batch, and `pipeline` and `step` alone."""
    num_batches = 10 if settings.quick else 15
    train_step = tf.function(make_train_step(build("wide_resnet 10-2", precision=precision)))
    batches = iter(data.load(BATCH_SIZE, training=True))
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
    """How long the train steps of configs/cifar10 wait for augmented batches."""
    data = datasets.get("cifar10", split="test" if settings.quick else "train", augment=True)
    try:
        data.steps_per_epoch(BATCH_SIZE)  # reads the data
    except errors.InputError as error:
        print(f"# The input pipeline is not measured: {error}")
        return
    for precision in ["bfloat16"] if settings.quick else POLICIES:
        seconds = measure_waiting(settings, data, precision)
        what = f"waiting for CIFAR-10 batches, {precision}"
        yield Row(what, "the train step", seconds["waiting"], seconds["total"], "x its time", 0.05)
        what = f"input pipeline alone, CIFAR-10, {precision}"
        yield Row(what, "the train step alone", seconds["pipeline"], seconds["step"], "x its time")


def evaluate_in_turn(predict: Callable[[Any], Predictions], run: training.Run) -> dict[str, float]:
    """Return what `evaluation.evaluate` does, made by one step after another."""
    config, results = run.config.evaluation, {}
    sets = {"test": (run.get_data("test"), 0)}
    for name, severity in itertools.product(config.corruptions, config.severities):
        data = run.get_data("test", corruption=name, severity=severity)
        sets[f"shift/{name}_{severity}"] = data, config.shift_examples
    for key, (data, max_examples) in sets.items():
        parts = collections.defaultdict(list)
        for batch in data.load(config.batch_size, max_examples=max_examples):
            parts["probs"].append(predict(batch["features"].numpy()).probs.numpy().mean(axis=0))
            parts["labels"].append(batch["labels"].numpy())
        saved = {name: np.concatenate(arrays) for name, arrays in parts.items()}
        write_atomic(run.path / "in_turn" / f"{key}.npz", lambda file, saved=saved: np.savez(file, **saved))
        metrics = evaluation.split_metrics(saved, config.metrics)
        results |= {f"{key}/{name}": value for name, value in metrics.items()}
    return results


def evaluating(settings: Settings) -> Iterator[Row]:
    """Evaluation on the test set of MNIST and on 1,000 of its images in each of 105 shifted sets."""
    if settings.quick:
        return
    config = configuration.load(ROOT / "configs/mnist/deterministic.py")
    config.evaluation.ood_near = config.evaluation.ood_far = config.evaluation.ood_scores = ()
    model = build("convnet")
    predict = tf.function(lambda inputs: Predictions(tf.nn.softmax(model(inputs, training=False))[tf.newaxis]))
    with tempfile.TemporaryDirectory() as folder:
        try:
            run = training.Run(config, "deterministic.py", Path(folder) / "run")
        except errors.InputError as error:
            print(f"# Evaluation is not measured: {error}")
            return
        results = {}

        def side(evaluate: Callable[..., dict[str, float]]) -> Callable[[], None]:
            def call() -> None:
                datasets.corruptions.forget_compiled()  # each run compiles them
                results[evaluate] = evaluate(predict, run)

            return call

        functions = evaluation.evaluate, evaluate_in_turn
        seconds = compare({function.__name__: side(function) for function in functions}, 3)
        ours, theirs = (results[function] for function in functions)
        assert theirs.items() <= ours.items()
        yield Row("evaluation on MNIST, 105 shifted sets", "one step after another", *seconds.values(), "x faster")


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

    with tempfile.TemporaryDirectory() as folder:
        count = iter(range(1000))

        def script(method: str) -> Callable[[], None]:
            path = f"baselines/{method}.py", f"--config=configs/two_moons/{method}.py"
            return lambda: command(*path, f"--output_dir={folder}/{next(count)}")

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
            ("offline evaluation of a two-moons run", without_tensorflow("evaluate", f"{folder}/0")),
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
    settings = Settings(repeats=2 if arguments.quick else 5, quick=arguments.quick)

    made_with = {name: value for name, value in provenance().items() if name != "host"}
    if HAS_TORCH:
        made_with["versions"]["torch"] = importlib.metadata.version("torch")
    tf.get_logger().setLevel("ERROR")  # or it warns that one train step is traced so often, for so many networks
    print(HEADER)
    rows = []
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
