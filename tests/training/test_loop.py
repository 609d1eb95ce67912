import dataclasses
import json
import signal

import numpy as np
import pytest

from uncertainty_suite import keras, training
from uncertainty_suite.errors import InputError
from uncertainty_suite.training import interruption


@pytest.fixture
def run(config, tmp_path):
    """A run of three epochs of four steps."""
    config.epochs, config.batch_size = 3, 250
    return training.Run(config, "m.py", training.Options(output_dir=tmp_path / "run"))


def make_model() -> tuple[keras.Model, keras.Optimizer]:
    inputs = keras.Input((2,), name="features")
    model = keras.Model(inputs, keras.layers.Dense(1, name="head")(inputs))
    optimizer = keras.optimizers.SGD(0.1, name="optimizer")
    optimizer.build(model.trainable_variables)
    return model, optimizer


def make_loop(run, *, model=None, state=None, name="", **options) -> training.Loop:
    """Return a loop of a run, with options of its own, whose steps the tests make up."""
    run.options = dataclasses.replace(run.options, **options)
    model, optimizer = model or make_model()
    return training.Loop(run, run.get_data("train"), model, optimizer, lambda batch: {}, state, name)


EVERY_STEP = {"checkpoint_every": "1step"}
OFTEN = {"checkpoint_every": "0.000001s"}
ROLLBACK = {"on_nan": "rollback"}
KERNEL = "model/head/kernel"


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


def test_removes_what_a_process_killed_after_its_last_checkpoint_had_yet_to_remove(run):
    checkpoints = run.path / "checkpoints"
    for num_steps in (loop := make_loop(run, **EVERY_STEP)):
        loop.update(losses(loop, num_steps))
    (checkpoints / "000000010.npz").write_bytes((checkpoints / "000000011.npz").read_bytes())
    assert list(make_loop(run)) == []
    assert sorted(path.name for path in checkpoints.iterdir()) == ["000000011.npz", "000000012.npz"]


def test_starts_behind_the_checkpoint_and_forgets_what_came_after_it(run):
    loop = make_loop(run, **OFTEN)
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


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_its_checkpoint(run):
    loop = make_loop(run, **OFTEN)
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


def test_forgetting_to_take_the_steps_is_a_bug_that_says_so(run):
    with pytest.raises(RuntimeError, match=r"Loop.take\(\) was not called"):
        for _ in make_loop(run):
            pass


def test_weights_that_are_no_numbers_are_never_saved(run):
    model, optimizer = make_model()
    loop = make_loop(run, model=(model, optimizer), checkpoint_every="2steps")
    message = (
        r"The variable model/head/kernel is not finite at step 5 \(epoch 2\) of m, with a learning rate of 0.1. Try "
    )
    with pytest.raises(InputError, match=message):
        for num_steps in loop:
            loop.update(losses(loop, num_steps))
            if loop.step > 4:
                model.get_layer("head").kernel.assign([[1.0], [np.inf]])
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


def test_a_number_of_steps_in_a_call(run):
    loop = make_loop(run, steps_per_call=3)
    calls = []
    for num_steps in loop:
        calls.append(num_steps)
        loop.update(losses(loop, num_steps))
    assert calls == [3, 1, 3, 1, 3, 1]


# Rolled back.


def diverge(loop, at=6) -> None:
    """Train until the loss is no number, with weights that tell the step, one step a call."""
    for _ in loop:
        loop.update({"loss": np.array([np.nan if loop.step == at else loop.step])})
        loop._checkpoint.variables[KERNEL].assign([[loop.step], [0.0]])


def test_rolled_back_to_the_start_of_the_epoch_with_half_the_rate(run, caplog):
    run.options = training.Options(**EVERY_STEP, **ROLLBACK)
    message = r"The loss is nan at step 6 \(epoch 2\) of m, with a learning rate of 0.1: rolled back to step 4, "
    with pytest.raises(training.RolledBack, match=message):
        diverge(make_loop(run))
    assert "the start of that epoch; from there on the learning rate is 0.5 times the configuration's" in caplog.text
    loop = make_loop(run)
    assert loop.step == 4
    assert [line["epoch"] for line in loop.history] == [1]
    assert float(loop._optimizer.learning_rate) == pytest.approx(0.05)
    np.testing.assert_array_equal(loop._checkpoint.variables[KERNEL], [[4], [0]])
    assert run.rollbacks == [{"training": "m", "epoch": 2, "step": 4, "learning_rate_factor": 0.5}]
    with pytest.raises(training.RolledBack, match=r"rate of 0.05: .* is 0.25 times .*rollback 2 of at most 5"):
        diverge(loop, at=9)
    assert make_loop(run).step == 8
    assert run.rollbacks[-1] == {"training": "m", "epoch": 3, "step": 8, "learning_rate_factor": 0.25}


def test_rolled_back_five_times_it_stops(run):
    run.options = training.Options(**ROLLBACK)
    for _ in range(5):
        with pytest.raises(training.RolledBack):
            diverge(make_loop(run))
    with pytest.raises(InputError, match=r"The loss is nan at step 6 .* rate of 0.00313 after 5 rollbacks\. Try a sm"):
        diverge(make_loop(run))
    assert make_loop(run).step == 4


def test_killed_before_later_checkpoints_were_removed_it_is_rolled_back_once(run):
    run.options = training.Options(**EVERY_STEP, **ROLLBACK)
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


def test_weights_that_are_no_numbers_are_seen_in_their_own_epoch(run):
    run.options = training.Options(**ROLLBACK)
    loop = make_loop(run)
    with pytest.raises(training.RolledBack, match=r"kernel is not finite at step 7 \(epoch 2\) of m"):
        for num_steps in loop:
            loop.update(losses(loop, num_steps))
            if loop.step == 8:
                loop._checkpoint.variables[KERNEL].assign([[np.inf], [0.0]])
    assert make_loop(run).step == 4


def test_asked_to_stop_while_it_is_rolled_back(run):
    run.options = training.Options(**ROLLBACK)
    loop = make_loop(run)
    with pytest.raises(training.Interrupted):
        for _ in loop:
            if loop.step == 6:
                interruption._receive(signal.SIGTERM, None)
            loop.update({"loss": np.array([np.nan if loop.step == 6 else loop.step])})
    assert make_loop(run).step == 4
    assert run.rollbacks == [{"training": "m", "epoch": 2, "step": 4, "learning_rate_factor": 0.5}]


def test_begun_without_there_is_nothing_to_go_back_to(run):
    run.options = training.Options(**EVERY_STEP)
    with pytest.raises(InputError, match="The loss is nan at step 7"):
        diverge(make_loop(run), at=7)
    with pytest.raises(InputError, match="was begun without --on_nan=rollback, so nothing was kept to go back to"):
        make_loop(run, **ROLLBACK)


# What a method keeps beside weights.


def test_further_state_is_in_the_checkpoint_by_name(run):
    moment = keras.Variable([1.0, 2.0])
    for num_steps in (loop := make_loop(run, state={"moment": moment})):
        loop.update(losses(loop, num_steps))
        moment.assign([loop.step, 0.0])
    again = keras.Variable([0.0, 0.0])
    make_loop(run, state={"moment": again})
    np.testing.assert_array_equal(again, [12, 0])
    with pytest.raises(InputError, match=r"holds state/moment, which this model lacks: it belongs to another"):
        make_loop(run)
    with pytest.raises(InputError, match=r"lacks the variable state/other of this model"):
        make_loop(run, state={"moment": again, "other": keras.Variable(0.0)})


def test_what_is_fitted_after_training_is_fitted_once_and_kept(run):
    for _ in range(2):
        model, optimizer = make_model()
        for num_steps in (loop := make_loop(run, model=(model, optimizer))):
            loop.update(losses(loop, num_steps))
        bias = model.get_layer("head").bias
        loop.once(lambda bias=bias: bias.assign(bias + 7.0))
        np.testing.assert_array_equal(bias, [7.0])


def test_restoring_needs_a_training_that_is_complete_and_writes_nothing(run):
    for num_steps in (loop := make_loop(run, **EVERY_STEP)):
        loop.update(losses(loop, num_steps))
        if loop.step >= 5:
            break
    with pytest.raises(InputError, match=r"is trained up to step \d+ of 12: give its command again to finish"):
        make_loop(run, restore_only=True)
    for num_steps in (loop := make_loop(run, restore_only=False)):
        loop.update(losses(loop, num_steps))
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    restored = make_loop(run, restore_only=True)
    assert list(restored) == []
    with pytest.raises(InputError, match="was stopped before its training was complete"):
        restored.once(lambda: None)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before
