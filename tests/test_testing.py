"""The contracts hold for the suite's own, and each check names the promise that a broken subject breaks."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.tiny import METHODS, load_script, section_of, small_values
from uncertainty_suite import datasets, keras, metrics, testing, tf
from uncertainty_suite.datasets import Dataset
from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics.classification import Accuracy

REQUIRED_OPTIONS = {"temperature_scaled_nll": "(temperature=1.5)", "temperature_scaled_ece": "(temperature=1.5)"}


def broken(promise: str):
    """Return the context in which a check must find a broken promise."""
    return pytest.raises(AssertionError, match=re.escape(promise))


def likelihoods_of_methods():
    """Give each method with each likelihood that it is for, of which the first one is tested by default."""
    for method in METHODS:
        section = section_of(load_script(method))
        for i, likelihood in enumerate((section and section.likelihoods) or ("categorical", "gaussian")):
            yield pytest.param(method, likelihood, marks=pytest.mark.slow if i else [])


@pytest.mark.parametrize(("method", "likelihood"), list(likelihoods_of_methods()))
def test_methods(method, likelihood, tmp_path):
    """With one layer, and two of everything: what takes the time is TensorFlow's tracing of each operation."""
    script = load_script(method)
    section = section_of(script)
    numbers = {name: one for name, one in section.parameters.items() if one.type is int} if section else {}
    two = {f"{section.name}.{name}": 2 for name, one in numbers.items() if one.default > 2}
    values = {"model.num_layers": 1, **two, **small_values(section)}
    testing.check_method(script.__file__, tmp_path, [likelihood], values)


def broken_script(folder: Path, **changes: tuple[str, str]) -> Path:
    """Return a copy of the deterministic script in which lines are changed."""
    text = (ROOT / "baselines" / "deterministic.py").read_text()
    for line, others in changes.values():
        assert text.count(line) == 1
        text = text.replace(line, others)
    (folder / "broken.py").write_text(text)
    return folder / "broken.py"


STEP = "        with tf.GradientTape() as tape:\n"
LAYERS = "    layer_set = layers.LayerSet()\n"


def test_predictions_that_depend_on_unsaved_state_are_found(tmp_path):
    script = broken_script(
        tmp_path,
        state=(LAYERS, LAYERS + "    trained = tf.Variable(0.0)\n"),
        step=(STEP, "        trained.assign(1.0)\n" + STEP),
        use=('said["outputs"][tf.newaxis]', '(1.0 + trained) * said["outputs"][tf.newaxis]'),
    )
    with broken("uncertainty_suite.load gives other predictions than"):
        testing.check_method(script, tmp_path / "runs", ["categorical"])


def test_training_that_depends_on_unsaved_state_is_found(tmp_path):
    script = broken_script(
        tmp_path,
        state=(LAYERS, LAYERS + "    steps_seen = tf.Variable(0.0)\n"),
        step=(STEP, "        steps_seen.assign_add(1.0)\n" + STEP),
        use=("objective = loss +", "objective = steps_seen * loss +"),
    )
    with broken("does not go on bit for bit: the variables in"):
        testing.check_method(script, tmp_path / "runs", ["gaussian"])


def test_a_method_whose_bits_do_not_repeat_is_found(tmp_path):
    script = broken_script(
        tmp_path,
        draw=("with run.scope():", "with run.scope(int.from_bytes(__import__('os').urandom(3))):"),
    )
    with broken("with one seed differ: the variables in"):
        testing.check_method(script, tmp_path / "runs", ["categorical"])


def test_a_method_that_refuses_a_task_or_lacks_a_meaning_is_found(tmp_path):
    section = 'CONFIG = Section("broken", rate=Parameter(0.5, MEANING, at_most=LIMIT))'
    script = broken_script(
        tmp_path,
        section=(
            "\n\ndef main(",
            f"\nfrom uncertainty_suite.configuration import Parameter, Section\n\n{section}\n\n\ndef main(",
        ),
        run=("training.Run(config, __file__, options)", "training.Run(config, __file__, options, CONFIG)"),
    )
    text = script.read_text()
    for meaning, limit, promise in (
        ("''", 1.0, "config.broken.rate does not say in one line what it means"),
        (
            "'a rate'",
            0.1,
            "the default of config.broken.rate is not legal: config.broken.rate must be a number of at most",
        ),
    ):
        script.write_text(text.replace("MEANING", meaning).replace("LIMIT", str(limit)))
        with broken(promise):
            testing.check_method(script, tmp_path / "runs", [])
    script.write_text(text.replace("MEANING", "'a rate'").replace("LIMIT", "1.0"))
    with broken("refuses a small run on two_moons: Unknown architecture 'nothing'"):
        testing.check_method(script, tmp_path / "runs", ["categorical"], {"model.name": "nothing"})


@pytest.mark.parametrize("name", metrics.names())
def test_metrics(name):
    testing.check_metric(name + REQUIRED_OPTIONS.get(name, ""))


@pytest.mark.parametrize("text", ["ece(num_bins=10)", "top_k_accuracy(k=2)", "crps(mixture='moments')"])
def test_metrics_with_options(text):
    testing.check_metric(text)


class IgnoresLastBatch(Accuracy):
    def reset(self):
        super().reset()
        self.waiting = None

    def update(self, batch):
        if self.waiting is not None:
            super().update(self.waiting)
        self.waiting = batch

    def result(self):
        if not self._count and self.waiting is not None:  # it is the only one
            super().update(self.waiting)
        return super().result()


class CountsWhatItRefuses(Accuracy):
    def add_batch(self, predictions, label=None):
        self._count += 1
        super().add_batch(predictions, label)
        self._count -= 1


class TakesTheMean(Accuracy):
    needs = ("labels", "samples")


class LooksAtSamples(Accuracy):
    higher_is_better = None

    def per_example(self, batch):
        return batch.samples.std(axis=0).max(axis=-1)


class Reversed(Accuracy):
    higher_is_better = False


class Narrow(Accuracy):
    value_range = (0.0, 0.5)


class OfRegression(Accuracy):
    likelihoods = ("gaussian",)


class NeedsNothing(Accuracy):
    needs = ()


class OtherKeys(Accuracy):
    def result(self):
        return {"other": super().result()["accuracy"]}


@pytest.mark.parametrize(
    ("metric", "promise"),
    [
        (IgnoresLastBatch, "in one batch and"),
        (CountsWhatItRefuses, "counts what it refused: no labels"),
        (TakesTheMean, "is the same without samples, and says that it needs them"),
        (LooksAtSamples, "is another one without samples, and does not say that it needs them"),
        (Reversed, "of bad ones, and higher_is_better is False"),
        (Narrow, "and its value_range is 0.0 to 0.5"),
        (OfRegression, "refuses the predictions of a gaussian likelihood: "),
        (NeedsNothing, "Labels are missing"),
        (OtherKeys, "its result_keys are ['accuracy']"),
    ],
)
def test_a_broken_metric_is_found(metric, promise):
    with broken(promise):
        testing.check_metric(metric)


def test_a_metric_of_an_unknown_batch_is_not_guessed_at():
    unknown = type("Unknown", (Accuracy,), {"batch_type": dict})
    with pytest.raises(InputError, match="No inputs can be drawn for the batch_type"):
        testing.check_metric(unknown)


@keras.saving.register_keras_serializable("tests")
class Scale(keras.layers.Layer):
    """Multiplies by a trained weight."""

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

    def call(self, inputs):
        return inputs * self.scale

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable("tests")
class LosesWeight(Scale):
    def save_own_variables(self, store):
        pass

    def load_own_variables(self, store):
        pass


@keras.saving.register_keras_serializable("tests")
class HasNoGradient(Scale):
    def call(self, inputs):
        return inputs * tf.stop_gradient(self.scale)


@keras.saving.register_keras_serializable("tests")
class IsSecretlyRandom(Scale):
    def call(self, inputs):
        return super().call(inputs) + tf.random.normal(tf.shape(inputs))


@keras.saving.register_keras_serializable("tests")
class LosesArgument(Scale):
    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return self.factor * super().call(inputs)

    def get_config(self):
        return {name: value for name, value in super().get_config().items() if name != "factor"}


def test_a_layer_that_keeps_its_promises(tmp_path):
    testing.check_layer(Scale, (3,), [(None, 3)], 3, 0, tmp_path)


@pytest.mark.parametrize(
    ("make_layer", "promise"),
    [
        (LosesWeight, "a saved and loaded model gives other outputs: a weight or an argument is not saved"),
        (lambda: LosesArgument(2.0), "a saved and loaded model gives other outputs: a weight or an argument is not"),
        (HasNoGradient, "has no gradient"),
        (IsSecretlyRandom, "two predictions are not equal, and its attribute stochastic says otherwise"),
        (lambda: keras.layers.Dense(3), "it has 12 trainable parameters, expected 3"),
        (keras.layers.Flatten, "it has 0 trainable parameters, expected 3"),
        (lambda: keras.layers.RepeatVector(2), "the shapes of its outputs are [(None, 2, 3)], expected [(None, 3)]"),
    ],
)
def test_a_broken_layer_is_found(make_layer, promise, tmp_path):
    with broken(promise):
        testing.check_layer(make_layer, (3,), [(None, 3)], 3, 0, tmp_path)


@pytest.mark.parametrize("name", ["two_moons", "digits", "toy_regression"])
def test_data_sets(name):
    testing.check_dataset(name)


class _Unseeded(Dataset):
    """A data set whose order ignores the seed."""

    def _with(self, *args, seed=0, **changes):
        view = super()._with(*args, **changes)
        return _Unseeded(view.source, view.split, view._data_dir, view._view)


class _Restarting(Dataset):
    """A data set that begins anew wherever it is entered."""

    def _with(self, *args, **changes):
        view = super()._with(*args, **changes)
        return _Restarting(view.source, view.split, view._data_dir, view._view)

    def load(self, batch_size, training=False, start_step=0, max_examples=0):
        return super().load(batch_size, training, 0, max_examples)


class _Reversed(Dataset):
    """A data set whose ordered pass is not in its order."""

    def load(self, batch_size, training=False, start_step=0, max_examples=0):
        batches = super().load(batch_size, training, start_step, max_examples)
        return batches.map(lambda batch: {name: each[::-1] for name, each in batch.items()})


@pytest.mark.parametrize(
    ("kind", "promise"),
    [
        (_Unseeded, "the order of training on split 'train' of data set 'toy_regression' ignores the seed"),
        (_Restarting, "training on split 'train' of data set 'toy_regression' from step 6 on is another one"),
        (_Reversed, "gives other labels than are stored, or another order"),
    ],
)
def test_a_broken_data_set_is_found(kind, promise):
    data = datasets.get("toy_regression", "train")
    with broken(promise):
        testing.check_dataset(kind(data.source, "train"))


def test_a_data_set_that_is_drawn_anew_is_found():
    def read(split, data_dir):
        return np.random.default_rng().normal(size=(20, 2)).astype(np.float32), np.arange(20) % 2

    source = datasets.Source("drawn", ("train",), datasets.forms.Vectors(2), read, num_classes=2)
    with broken("split 'train' of data set 'drawn' is not the same when it is read again"):
        testing.check_dataset(Dataset(source, "train"))
