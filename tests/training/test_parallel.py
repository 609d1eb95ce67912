import json
import os
import signal
import time

import numpy as np
import pytest

from uncertainty_suite import keras, tf, training
from uncertainty_suite.errors import InputError
from uncertainty_suite.training.parallel import group_size

NAMES = ("a", "b", "c")


@pytest.fixture
def run(config, tmp_path):
    """A run of three epochs of four steps."""
    config.epochs, config.batch_size = 3, 250
    return training.Run(config, "m.py", training.Options(output_dir=tmp_path / "run"))


class Data:
    """A data set of losses."""

    rows_per_example = 1

    def __init__(self, losses) -> None:
        self._losses = np.float32(losses)

    def steps_per_epoch(self, batch_size: int) -> int:
        return 4

    def load(self, batch_size: int, training: bool, start_step: int) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(self._losses[start_step:])


def make_loop(run, name, losses=range(12)) -> training.Loop:
    """Return a training with the losses given."""
    inputs = keras.Input((2,), name="features")
    model = keras.Model(inputs, keras.layers.Dense(1, name="head")(inputs))
    optimizer = keras.optimizers.SGD(0.1, name="optimizer")
    optimizer.build(model.trainable_variables)

    def train_step(batch):
        return {"loss": batch, "accuracy": tf.zeros(())}

    return training.Loop(run, Data(losses), model, optimizer, train_step, name=name)


def train(run, names, at_once=None, losses=None) -> list[training.Loop]:
    """Train with the losses given, so many at once."""
    loops = []
    for group in training.shared_out(run, names, at_once):
        together = [make_loop(run, name, *([losses[name]] if losses else [])) for name in group]
        training.train_together(run, together)
        loops += together
    return loops


def history_of(run, name) -> list[tuple]:
    lines = [json.loads(line) for line in (run.path / name / "history.jsonl").read_text().splitlines()]
    return [(line["epoch"], line["step"], line["loss"]) for line in lines]


@pytest.mark.parametrize("at_once", [1, 2, 5, None])
def test_each_training_is_what_it_would_be_alone(at_once, run):
    losses = {name: 100 * i + np.arange(12) for i, name in enumerate(NAMES)}
    for _ in range(2):  # the second time all are finished
        assert [loop.step for loop in train(run, NAMES, at_once, losses)] == [12, 12, 12]
    for i, name in enumerate(NAMES):
        assert history_of(run, name) == [(1, 4, 100 * i + 1.5), (2, 8, 100 * i + 5.5), (3, 12, 100 * i + 9.5)]


@pytest.mark.parametrize(
    ("num_cpus", "num_trainings", "at_once"),
    [(2, 10, 5), (2, 4, 4), (2, 8, 4), (2, 9, 5), (2, 3, 3), (1, 5, 3), (8, 10, 10), (2, 1, 1), (2, 0, 1)],
)
def test_trainings_are_shared_out_evenly(num_cpus, num_trainings, at_once, monkeypatch):
    monkeypatch.setattr("uncertainty_suite.training.parallel.num_cpus", lambda: num_cpus)
    assert group_size(num_trainings) == at_once


def test_nothing_to_train(run):
    assert train(run, []) == []


def test_some_may_be_further_than_others(run, stopped_at):
    with stopped_at(5):
        train(run, ["b"])
    assert [loop.step for loop in train(run, NAMES, 3)] == [12, 12, 12]
    for name in NAMES:
        assert history_of(run, name) == [(1, 4, 1.5), (2, 8, 5.5), (3, 12, 9.5)]


def test_no_more_than_there_is_room_for_are_in_a_group(run):
    assert list(training.shared_out(run, NAMES, 2)) == [("a", "b"), ("c",)]


def test_their_seconds_are_those_that_passed(run):
    started_at = time.perf_counter()
    loops = train(run, NAMES, 3)
    passed = time.perf_counter() - started_at
    assert passed / 4 < sum(loop.seconds for loop in loops) < passed * 1.01


def test_a_number_that_is_none_names_its_training(run):
    losses = np.where(np.arange(12) == 5, np.nan, 1)
    with pytest.raises(InputError, match=r"The loss is nan at step 5 \(epoch 2\) of b, with a learning rate of 0.1"):
        train(run, ["a", "b"], 2, {"a": range(12), "b": losses})


@pytest.fixture
def handlers():
    """Put back what signals do."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.mark.parametrize(("at_once", "asked_in"), [(1, "a"), (2, "a"), (2, "b"), (3, "b")])
def test_asked_to_stop_all_under_way_save_first(at_once, asked_in, run, handlers, monkeypatch):
    training.interruption.install()
    update = training.Loop.update

    def ask(loop, values):
        update(loop, values)
        if loop._name == asked_in and loop.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(training.Interrupted):
        patch.setattr(training.Loop, "update", ask)
        patch.setattr("uncertainty_suite.training.loop._SECONDS_PER_CALL", 0)  # one step a call
        train(run, NAMES, at_once)
    saved = {path.parent.parent.name: int(path.stem) for path in sorted(run.path.glob("*/checkpoints/*.npz"))}
    assert list(saved) == list(NAMES[:at_once])
    assert set(saved.values()) <= {1, 2}
    assert [loop.step for loop in train(run, NAMES, at_once)] == [12, 12, 12]
