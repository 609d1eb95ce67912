import json
import os
import signal
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from uncertainty_suite import training
from uncertainty_suite.errors import InputError
from uncertainty_suite.training.parallel import share_out

NAMES = ("a", "b", "c")


@pytest.fixture
def run(config, tmp_path):
    config.epochs = 3
    return training.Run(config, "m.py", tmp_path / "run")


def train(run, name, losses=range(12)):
    """Train with the losses given."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)

    def train_step(batch):
        return {"loss": batch, "accuracy": tf.zeros(())}

    loop = training.Loop(run, model, optimizer, steps_per_epoch=4, name=name)
    batches = iter(tf.data.Dataset.from_tensor_slices(np.float32(losses)[loop.step :]))
    for num_steps in loop:
        loop.update((yield train_step, batches, num_steps))
    return name, loop.step, loop.seconds


def ended(results) -> list[tuple[str, int]]:
    return [(name, step) for name, step, _ in results]


def history_of(run, name) -> list[tuple]:
    lines = [json.loads(line) for line in (run.path / name / "history.jsonl").read_text().splitlines()]
    return [(line["epoch"], line["step"], line["loss"]) for line in lines]


@pytest.mark.parametrize("at_once", [1, 2, 5, None])
def test_each_training_is_what_it_would_be_alone(at_once, run):
    losses = {name: 100 * i + np.arange(12) for i, name in enumerate(NAMES)}
    for _ in range(2):  # the second time all are finished
        results = training.run_together([train(run, name, losses[name]) for name in NAMES], at_once)
        assert ended(results) == [(name, 12) for name in NAMES]
    for i, name in enumerate(NAMES):
        assert history_of(run, name) == [(1, 4, 100 * i + 1.5), (2, 8, 100 * i + 5.5), (3, 12, 100 * i + 9.5)]


@pytest.mark.parametrize(
    ("num_cpus", "num_trainings", "at_once"),
    [(2, 10, 5), (2, 4, 4), (2, 8, 4), (2, 9, 5), (2, 3, 3), (1, 5, 3), (8, 10, 10), (2, 1, 1), (2, 0, 1)],
)
def test_trainings_are_shared_out_evenly(num_cpus, num_trainings, at_once, monkeypatch):
    monkeypatch.setattr("uncertainty_suite.training.parallel.num_cpus", lambda: num_cpus)
    assert share_out(num_trainings) == at_once


def test_nothing_to_train():
    assert training.run_together([]) == []


def test_some_may_be_further_than_others(run, stopped_at):
    with stopped_at(5):
        training.run_together([train(run, "b")])
    results = training.run_together([train(run, name) for name in NAMES], 3)
    assert ended(results) == [(name, 12) for name in NAMES]
    for name in NAMES:
        assert history_of(run, name) == [(1, 4, 1.5), (2, 8, 5.5), (3, 12, 9.5)]


def test_no_more_start_than_there_is_room_for(run):
    started = []

    def note(name):
        started.append(name)
        results = yield from train(run, name)
        assert started == list(NAMES[: len(started)])
        assert len(started) == (2 if name in "ab" else 3)
        return results

    training.run_together([note(name) for name in NAMES], 2)
    assert started == list(NAMES)


def test_their_seconds_are_those_that_passed(run):
    started_at = time.perf_counter()
    results = training.run_together([train(run, name) for name in NAMES], 3)
    passed = time.perf_counter() - started_at
    assert passed / 4 < sum(seconds for _, _, seconds in results) < passed * 1.01


def test_a_number_that_is_none_names_its_training(run):
    losses = np.where(np.arange(12) == 5, np.nan, 1)
    with pytest.raises(InputError, match=r"The loss is nan at step 5 \(epoch 2\) of b, with a learning rate of 0.1"):
        training.run_together([train(run, "a"), train(run, "b", losses)], 2)


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
        training.run_together([train(run, name) for name in NAMES], at_once)
    saved = {path.parent.parent.name: int(path.stem) for path in sorted(run.path.glob("*/checkpoints/*.npz"))}
    assert list(saved) == list(NAMES[:at_once])
    assert set(saved.values()) <= {1, 2}
    results = training.run_together([train(run, name) for name in NAMES], at_once)
    assert ended(results) == [(name, 12) for name in NAMES]
