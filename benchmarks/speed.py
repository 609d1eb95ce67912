"""Time training and prediction side by side with the way in which a Keras user would otherwise do them.

    python benchmarks/speed.py
    python benchmarks/speed.py --quick

For each row, both sides do the same work in turn, several times over; printed are medians, their spread (half the
distance of the quartiles, as a share of the median) and the ratio of the medians. The data are made up, since speed
does not depend on them. The exit status is 1 if a target is missed.

The sides:

- `fit`, `predict`: Keras 3's own `model.fit` and `model.predict` on arrays in memory.
- suite: the input pipeline of `datasets` and the compiled loop of `training.compile_steps`, as the scripts use them;
  for Monte Carlo dropout, the network split by `layers.split_at_dropout`, its stochastic part repeated in one call.
- SNGP rows compare our SNGP with our deterministic network.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import keras
import tensorflow as tf

from uncertainty_suite import datasets, layers, models, training
from uncertainty_suite.datasets.preprocessing import Preprocessing

BATCH_SIZE = 128
MC_DROPOUT = layers.LayerSet(dropout=layers.MonteCarloDropout)
SNGP = layers.LayerSet(
    conv=lambda *args, **kwargs: layers.SpectralNormalization(keras.layers.Conv2D(*args, **kwargs), 6.0),
    dense=lambda *args, **kwargs: layers.SpectralNormalization(keras.layers.Dense(*args, **kwargs), 6.0),
    head=layers.RandomFeatureGaussianProcess,
)
ARCHITECTURES = {
    "resnet_mlp": ((2,), {}),
    "convnet": ((28, 28, 1), {}),
    "resnet20": ((32, 32, 3), {}),
    "wide_resnet 16-4": ((32, 32, 3), {"depth": 16, "width": 4}),
}


def build(architecture: str, layer_set: layers.LayerSet | None = None, precision: str = "float32") -> keras.Model:
    """Return an architecture by its name in `ARCHITECTURES`."""
    input_shape, options = ARCHITECTURES[architecture]
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(precision)
    return models.get(architecture.split()[0], input_shape, 10, layer_set, **options)


def make_data(architecture: str, num_examples: int) -> datasets.Dataset:
    """Return random examples of the shape that an architecture takes."""
    input_shape, _ = ARCHITECTURES[architecture]
    rng = np.random.default_rng(0)
    arrays = rng.random((num_examples, *input_shape), np.float32), rng.integers(0, 10, num_examples)
    source = datasets.Source("random", ("train",), 10, Preprocessing(input_shape), lambda split, data_dir: arrays)
    return datasets.Dataset(source, "train", preprocessing=source.preprocessing)


def suite_epoch(model: keras.Model, data: datasets.Dataset) -> Callable[[], None]:
    """Return a function that trains an epoch as the scripts do."""
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(model.trainable_variables)
    strategy = training.get_strategy()

    def train_step(batch):
        with tf.GradientTape() as tape:
            logits = keras.tree.flatten(model(batch["features"], training=True))[0]
            loss = keras.losses.sparse_categorical_crossentropy(batch["labels"], logits, from_logits=True)
            loss = tf.reduce_mean(loss)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        accuracy = keras.metrics.sparse_categorical_accuracy(batch["labels"], logits)
        return {"loss": loss, "accuracy": tf.reduce_mean(accuracy)}

    train_steps = training.compile_steps(train_step, strategy)
    batches = iter(strategy.experimental_distribute_dataset(data.load(BATCH_SIZE, training=True)))
    steps = data.steps_per_epoch(BATCH_SIZE)
    return lambda: train_steps(batches, steps)


def fit_epoch(model: keras.Model, data: datasets.Dataset) -> Callable[[], None]:
    """Return a function that trains an epoch by `model.fit`."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-4), loss, metrics=["accuracy"])
    return lambda: model.fit(data.features, data.labels, batch_size=BATCH_SIZE, verbose=0)


def suite_samples(model: keras.Model, inputs: np.ndarray, num_samples: int) -> Callable[[], np.ndarray]:
    """Return a function that draws samples of Monte Carlo dropout as the script does."""
    trunk, rest = layers.split_at_dropout(model)

    @tf.function
    def predict(inputs):
        hidden = trunk(inputs, training=False)
        samples = tf.range(num_samples)
        return tf.map_fn(
            lambda _: rest(hidden, training=False), samples, fn_output_signature=tf.float32, parallel_iterations=1
        )

    inputs = tf.constant(inputs)
    return lambda: predict(inputs).numpy()


def predict_samples(model: keras.Model, inputs: np.ndarray, num_samples: int) -> Callable[[], np.ndarray]:
    """Return a function that draws them by a loop over `model.predict`."""
    return lambda: np.stack([model.predict(inputs, batch_size=len(inputs), verbose=0) for _ in range(num_samples)])


def suite_predict(model: keras.Model, inputs: np.ndarray) -> Callable[[], None]:
    """Return a function that predicts a batch, for SNGP with the variance by a factor computed once."""
    head = model.layers[-1]
    backbone = keras.Model(model.input, head.input)
    options = (
        {"inverse_cholesky": head.inverse_cholesky()} if isinstance(head, layers.RandomFeatureGaussianProcess) else {}
    )
    predict = tf.function(lambda inputs: head(backbone(inputs, training=False), **options))
    inputs = tf.constant(inputs)
    return lambda: keras.tree.flatten(predict(inputs))[-1].numpy()


def compare(sides: dict[str, Callable], repeats: int) -> dict[str, np.ndarray]:
    """Return the seconds of each side `[repeats]`, taken in turn after a warm-up."""
    seconds = {name: [] for name in sides}
    for repeat in range(repeats + 1):
        for name, side in sides.items():
            started_at = time.perf_counter()
            side()
            if repeat:
                seconds[name].append(time.perf_counter() - started_at)
    return {name: np.array(values) for name, values in seconds.items()}


def main() -> int:
    """Run the benchmark; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repeats and no wide_resnet")
    arguments = parser.parse_args()
    repeats = 3 if arguments.quick else 7
    missed = []

    def report(what: str, against: str, seconds: dict[str, np.ndarray], target: float, faster: bool) -> None:
        (_, ours), (_, theirs) = seconds.items()
        ratio = np.median(theirs) / np.median(ours) if faster else np.median(ours) / np.median(theirs)
        ok = ratio >= target if faster else ratio <= target
        spread = max((np.quantile(s, 0.75) - np.quantile(s, 0.25)) / 2 / np.median(s) for s in seconds.values())
        wanted = f"{'>=' if faster else '<='} {target:g}"
        meaning = "x faster" if faster else "x its time"
        print(
            f"{what:<46} {1000 * np.median(ours):9.1f} {1000 * np.median(theirs):9.1f} {spread:7.0%} "
            f"{ratio:6.2f} {meaning:<10} {wanted:>8} {'' if ok else 'MISSED'}  against {against}",
            flush=True,
        )
        if not ok:
            missed.append(what)

    print(f"{'what':<46} {'ours ms':>9} {'theirs ms':>9} {'spread':>7} {'ratio':>17} {'target':>8}")
    data = make_data("resnet_mlp", 1000)
    sides = {"suite": suite_epoch(build("resnet_mlp"), data), "fit": fit_epoch(build("resnet_mlp"), data)}
    report("epoch of 8 steps, resnet_mlp", "fit", compare(sides, 3 * repeats), 4, faster=True)

    names = ["convnet", "resnet20"] if arguments.quick else ["convnet", "resnet20", "wide_resnet 16-4"]
    for name in names:
        data = make_data(name, BATCH_SIZE * (20 if name == "convnet" else 4))
        for precision in ("float32", "mixed_bfloat16"):
            # Each side builds its own kind of network: fit has Keras' batch normalisation.
            plain = layers.LayerSet(norm=keras.layers.BatchNormalization)
            sides = {
                "suite": suite_epoch(build(name, precision=precision), data),
                "fit": fit_epoch(build(name, plain, precision), data),
            }
            report(f"training, {name}, {precision}", "fit", compare(sides, repeats), 1, faster=True)

    for name, training_target, prediction_target in [
        ("resnet_mlp", 1.4, 1.3),
        *[(name, 1.05, 1.05) for name in names if name != "resnet20"],
    ]:
        data = make_data(name, BATCH_SIZE * (8 if name == "resnet_mlp" else 4))
        sides = {side: suite_epoch(build(name, layer_set), data) for side, layer_set in (("sngp", SNGP), ("det", None))}
        report(f"SNGP training, {name}", "deterministic", compare(sides, repeats), training_target, faster=False)
        inputs = data.features[:BATCH_SIZE]
        sides = {
            side: suite_predict(build(name, layer_set), inputs) for side, layer_set in (("sngp", SNGP), ("det", None))
        }
        what = f"SNGP prediction with variance, {name}"
        report(what, "deterministic", compare(sides, 3 * repeats), prediction_target, faster=False)

    inputs = make_data("convnet", 500).features
    for precision, target in (("float32", 10), ("mixed_bfloat16", 14)):
        model = build("convnet", MC_DROPOUT, precision)
        assert np.any(model.predict(inputs[:2], verbose=0) != model.predict(inputs[:2], verbose=0)), "not stochastic"
        seconds = {}
        for side, make in (("suite", suite_samples), ("predict", predict_samples)):
            few, many = (compare({side: make(model, inputs, count)}, repeats)[side] for count in (2, 12))
            seconds[side] = (many - few) / 10  # the marginal cost of a pass
        report(f"a pass of MC dropout, convnet, {precision}", "a loop over predict", seconds, target, faster=True)

    if missed:
        print(f"Missed: {'; '.join(missed)}.")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
