import json
import signal
import sys

import keras
import numpy as np
import pytest

from uncertainty_suite import training
from uncertainty_suite.errors import InputError
from uncertainty_suite.training import interruption


@pytest.fixture
def run(config, tmp_path):
    config.epochs = 3
    return training.Run(config, "m.py", tmp_path / "run")


def make_loop(run, steps_per_epoch=4, **options) -> training.Loop:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    return training.Loop(run, model, optimizer, steps_per_epoch, **options)


def losses(loop, num_steps) -> dict[str, np.ndarray]:
    return {"loss": np.arange(loop.step, loop.step + num_steps, dtype=np.float32)}


def test_hands_out_each_step_once_and_no_call_crosses_an_epoch(run):
    loop = make_loop(run)
    starts = []
    for num_steps in loop:
        starts.append(loop.step)
        assert loop.step // 4 == (loop.step + num_steps - 1) // 4
        loop.update(losses(loop, num_steps))
    assert loop.step == 12
    assert {0, 4, 8} <= set(starts)
    assert len(starts) < 12  # several steps in a call, once the first has been timed
    history = [json.loads(line) for line in (run.path / "history.jsonl").read_text().splitlines()]
    assert [(line["epoch"], line["step"], line["loss"]) for line in history] == [(1, 4, 1.5), (2, 8, 5.5), (3, 12, 9.5)]
    assert history == loop.history


def test_a_finished_training_hands_out_nothing(run):
    for loop in (make_loop(run), make_loop(run)):
        for num_steps in loop:
            loop.update(losses(loop, num_steps))
    assert loop.step == 12
    assert list(loop) == []


def test_removes_what_a_process_killed_after_its_last_checkpoint_had_yet_to_remove(run, monkeypatch):
    monkeypatch.setattr("uncertainty_suite.training.loop._STEPS_PER_CHECKPOINT", 1)
    checkpoints = run.path / "checkpoints"
    for num_steps in (loop := make_loop(run)):
        loop.update(losses(loop, num_steps))
    (checkpoints / "000000010.npz").write_bytes((checkpoints / "000000011.npz").read_bytes())
    assert list(make_loop(run)) == []
    assert sorted(path.name for path in checkpoints.iterdir()) == ["000000011.npz", "000000012.npz"]


def test_starts_behind_the_checkpoint_and_forgets_what_came_after_it(run, monkeypatch):
    monkeypatch.setattr("uncertainty_suite.training.loop._SECONDS_PER_CHECKPOINT", 0)
    loop = make_loop(run)
    for num_steps in loop:
        if loop.step >= 5:
            break
        loop.update(losses(loop, num_steps))
    with open(run.path / "history.jsonl", "a") as file:
        file.write('{"epoch": 2, "of": "a killed process"}\n{"torn')
    again = make_loop(run)
    assert again.step == loop.step
    for num_steps in again:
        again.update(losses(again, num_steps))
    history = [json.loads(line) for line in (run.path / "history.jsonl").read_text().splitlines()]
    assert [(line["epoch"], line["loss"]) for line in history] == [(1, 1.5), (2, 5.5), (3, 9.5)]


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_its_checkpoint(run, monkeypatch):
    monkeypatch.setattr("uncertainty_suite.training.loop._SECONDS_PER_CHECKPOINT", 0)
    loop = make_loop(run)
    message = (
        r"The loss is nan at step 5 \(epoch 2\) of m, with a learning rate of 0.1. "
        "Try a smaller --config.optimizer.learning_rate"
    )
    with pytest.raises(InputError, match=message):
        for num_steps in loop:
            values = losses(loop, num_steps)
            values["loss"][values["loss"] == 5] = np.nan
            loop.update(values)
    assert make_loop(run).step in (4, 5)


def test_several_trainings_share_a_run(run):
    for name in ("members/0", "members/1"):
        loop = make_loop(run, name=name)
        assert loop.step == 0
        for num_steps in loop:
            loop.update(losses(loop, num_steps))
        assert (run.path / name / "history.jsonl").exists()


def test_forgetting_update_is_a_bug_that_says_so(run):
    with pytest.raises(RuntimeError, match=r"Loop.update\(\) was not called"):
        for _ in make_loop(run):
            pass


@pytest.mark.parametrize(
    ("interval", "seconds", "steps"),
    [
        ("30s", 30, np.inf),
        ("1min", 60, np.inf),
        ("1.5h", 5400, np.inf),
        ("1step", np.inf, 1),
        ("500 steps", np.inf, 500),
    ],
)
def test_checkpoint_interval(interval, seconds, steps, monkeypatch):
    module = sys.modules[training.Loop.__module__]
    for name in ("_SECONDS_PER_CHECKPOINT", "_STEPS_PER_CHECKPOINT"):
        monkeypatch.setattr(module, name, None)  # put back at the end
    training.set_checkpoint_interval(interval)
    received = (module._SECONDS_PER_CHECKPOINT, module._STEPS_PER_CHECKPOINT)
    assert received == (seconds, steps)


@pytest.mark.parametrize("interval", ["", "5", "0s", "-5s", "1.5steps", "1e3s", "fivemin", "5min "])
def test_unreadable_checkpoint_interval(interval):
    with pytest.raises(InputError, match=f"say; received '{interval}'"):
        training.set_checkpoint_interval(interval)


def test_weights_that_are_no_numbers_are_never_saved(run, monkeypatch):
    monkeypatch.setattr("uncertainty_suite.training.loop._STEPS_PER_CHECKPOINT", 2)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="head")])
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    loop = training.Loop(run, model, optimizer, steps_per_epoch=4)
    message = r"The variable \S*head/kernel is not finite at step 5 \(epoch 2\) of m, with a learning rate of 0.1. Try "
    with pytest.raises(InputError, match=message):
        for num_steps in loop:
            loop.update(losses(loop, num_steps))
            if loop.step > 4:
                model.layers[0].kernel.assign([[1.0], [np.inf]])
    assert make_loop(run).step == 4


def test_a_metric_that_is_no_number_stops_the_run(run):
    loop = make_loop(run)
    with pytest.raises(InputError, match=r"The accuracy is inf at step 0 \(epoch 1\) of m"):
        for num_steps in loop:
            loop.update({**losses(loop, num_steps), "accuracy": np.full(num_steps, np.inf)})


def test_of_several_that_are_no_numbers_the_first_is_named_and_the_loss_before_its_gradient(run):
    for loss_at, norm_at, name in ((2, 1, "gradient norm"), (1, 1, "loss"), (1, 2, "loss")):
        loop = make_loop(run)
        with pytest.raises(InputError, match=rf"The {name} is nan at step 1 \(epoch 1\) of m"):
            for _ in loop:
                values = {"gradient_norm": np.ones(3), "loss": np.ones(3)}
                values["gradient_norm"][norm_at] = values["loss"][loss_at] = np.nan
                loop.update(values)


def test_a_number_of_steps_in_a_call(run, monkeypatch):
    monkeypatch.setattr("uncertainty_suite.training.loop._STEPS_PER_CALL", None)  # put back at the end
    training.set_steps_per_call(3)
    loop = make_loop(run)
    calls = []
    for num_steps in loop:
        calls.append(num_steps)
        loop.update(losses(loop, num_steps))
    assert calls == [3, 1, 3, 1, 3, 1]


# Rolled back.


@pytest.fixture
def _rollback(monkeypatch):
    monkeypatch.setattr("uncertainty_suite.training.loop._MAX_ROLLBACKS", None)  # put back at the end
    training.set_on_nan("rollback")


def diverge(loop, at=6) -> None:
    """Train until the loss is no number, with weights that tell the step, one step a call."""
    for _ in loop:
        loop.update({"loss": np.array([np.nan if loop.step == at else loop.step])})
        loop._checkpoint.variables[0].assign([[loop.step], [0.0]])


@pytest.mark.usefixtures("_rollback")
def test_rolled_back_to_the_start_of_the_epoch_with_half_the_rate(run, monkeypatch, caplog):
    monkeypatch.setattr("uncertainty_suite.training.loop._STEPS_PER_CHECKPOINT", 1)
    message = r"The loss is nan at step 6 \(epoch 2\) of m, with a learning rate of 0.1: rolled back to step 4, "
    with pytest.raises(training.RolledBack, match=message):
        diverge(make_loop(run))
    assert "the start of that epoch; from there on the learning rate is 0.5 times the configuration's" in caplog.text
    loop = make_loop(run)
    assert loop.step == 4
    assert [line["epoch"] for line in loop.history] == [1]
    assert float(loop._optimizer.learning_rate) == pytest.approx(0.05)
    np.testing.assert_array_equal(loop._checkpoint.variables[0], [[4], [0]])
    assert run.rollbacks == [{"training": "m", "epoch": 2, "step": 4, "learning_rate_factor": 0.5}]
    with pytest.raises(training.RolledBack, match=r"rate of 0.05: .* is 0.25 times .*rollback 2 of at most 5"):
        diverge(loop, at=9)
    assert make_loop(run).step == 8
    assert run.rollbacks[-1] == {"training": "m", "epoch": 3, "step": 8, "learning_rate_factor": 0.25}


@pytest.mark.usefixtures("_rollback")
def test_rolled_back_five_times_it_stops(run):
    for _ in range(5):
        with pytest.raises(training.RolledBack):
            diverge(make_loop(run))
    with pytest.raises(InputError, match=r"The loss is nan at step 6 .* rate of 0.00313 after 5 rollbacks\. Try a sm"):
        diverge(make_loop(run))
    assert make_loop(run).step == 4


@pytest.mark.usefixtures("_rollback")
def test_killed_before_later_checkpoints_were_removed_it_is_rolled_back_once(run, monkeypatch):
    monkeypatch.setattr("uncertainty_suite.training.loop._STEPS_PER_CHECKPOINT", 1)
    with pytest.raises(KeyboardInterrupt):
        for num_steps in (loop := make_loop(run)):
            loop.update(losses(loop, num_steps))
            if loop.step == 6:
                raise KeyboardInterrupt
    later = run.path / "checkpoints/000000005.npz"
    content = later.read_bytes()
    with pytest.raises(training.RolledBack):
        diverge(make_loop(run))
    later.write_bytes(content)
    assert make_loop(run).step == 5
    with pytest.raises(training.RolledBack):
        diverge(make_loop(run))
    run.rollbacks.clear()
    assert make_loop(run).step == 4
    assert run.rollbacks == [{"training": "m", "epoch": 2, "step": 4, "learning_rate_factor": 0.5}]


@pytest.mark.usefixtures("_rollback")
def test_weights_that_are_no_numbers_are_seen_in_their_own_epoch(run):
    loop = make_loop(run)
    with pytest.raises(training.RolledBack, match=r"kernel is not finite at step 7 \(epoch 2\) of m"):
        for num_steps in loop:
            loop.update(losses(loop, num_steps))
            if loop.step == 8:
                loop._checkpoint.variables[0].assign([[np.inf], [0.0]])
    assert make_loop(run).step == 4


@pytest.mark.usefixtures("_rollback")
def test_asked_to_stop_while_it_is_rolled_back(run):
    loop = make_loop(run)
    with pytest.raises(training.Interrupted):
        for _ in loop:
            if loop.step == 6:
                interruption._receive(signal.SIGTERM, None)
            loop.update({"loss": np.array([np.nan if loop.step == 6 else loop.step])})
    assert make_loop(run).step == 4
    assert run.rollbacks == [{"training": "m", "epoch": 2, "step": 4, "learning_rate_factor": 0.5}]


def test_begun_without_there_is_nothing_to_go_back_to(run, monkeypatch):
    monkeypatch.setattr("uncertainty_suite.training.loop._STEPS_PER_CHECKPOINT", 1)
    with pytest.raises(InputError, match="The loss is nan at step 7"):
        diverge(make_loop(run), at=7)
    monkeypatch.setattr("uncertainty_suite.training.loop._MAX_ROLLBACKS", 5)
    with pytest.raises(InputError, match="was begun without --on_nan=rollback, so nothing was kept to go back to"):
        make_loop(run)
