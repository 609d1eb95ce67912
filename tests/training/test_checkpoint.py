import errno
import json
import os

import numpy as np
import pytest

from uncertainty_suite import keras, layers, training
from uncertainty_suite.errors import InputError
from uncertainty_suite.training.checkpoint import named_variables


def make_variables(units: int = 3) -> dict[str, keras.Variable]:
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(units, name="dense")(inputs)
    model = keras.Model(inputs, layers.Dropout(0.5, name="dropout")(hidden))
    return {variable.path: variable for variable in model.variables}


def test_restores_every_variable_and_the_state(tmp_path):
    variables = make_variables()
    training.Checkpoint(tmp_path, variables).save(7, {"history": [1.5]})
    saved = {name: np.asarray(variable) for name, variable in variables.items()}
    assert len(saved) == 3  # the random state of the dropout among them
    for variable in variables.values():
        variable.assign(variable.value + 1)
    assert training.Checkpoint(tmp_path, variables).restore() == {"step": 7, "history": [1.5]}
    for name, value in saved.items():
        np.testing.assert_array_equal(variables[name], value)


def test_nothing_to_restore(tmp_path):
    assert training.Checkpoint(tmp_path / "none", make_variables()).restore() is None


def test_keeps_the_last_two(tmp_path):
    checkpoint = training.Checkpoint(tmp_path, make_variables())
    for step in (5, 10, 15):
        checkpoint.save(step, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000010.npz", "000000015.npz"]


def test_keeps_and_restores_what_it_is_told_to(tmp_path):
    variables = make_variables()
    checkpoint = training.Checkpoint(tmp_path, variables)
    for step in (5, 10, 15, 20):
        variables["dense/kernel"].assign(np.full((2, 3), step))
        checkpoint.save(step, {}, keep=[5])
    assert [step for step in (5, 10, 15, 20) if checkpoint.has(step)] == [5, 15, 20]
    assert checkpoint.restore(5) == {"step": 5}
    np.testing.assert_array_equal(variables["dense/kernel"], np.full((2, 3), 5))
    checkpoint.save(5, {"taken": "up"})
    assert [path.name for path in tmp_path.iterdir()] == ["000000005.npz"]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_falls_back_to_the_one_before_a_damaged_one(tmp_path, damage, caplog):
    variables = make_variables()
    checkpoint = training.Checkpoint(tmp_path, variables)
    checkpoint.save(5, {})
    variables["dense/kernel"].assign(variables["dense/kernel"].value + 1)
    checkpoint.save(10, {})
    newest = tmp_path / "000000010.npz"
    content = bytearray(newest.read_bytes())
    kernel = content.find(np.asarray(variables["dense/kernel"]).tobytes())
    content[kernel] ^= 1
    newest.write_bytes({"truncated": content[: len(content) // 2], "flipped": content, "empty": b""}[damage])
    assert checkpoint.restore()["step"] == 5
    assert "000000010.npz is damaged" in caplog.text


def test_refuses_when_none_can_be_read(tmp_path):
    (tmp_path / "000000005.npz").write_bytes(b"no zip file")
    with pytest.raises(InputError, match=r"No checkpoint in .* can be read\. Delete that folder"):
        training.Checkpoint(tmp_path, make_variables()).restore()


def test_refuses_another_architecture(tmp_path):
    training.Checkpoint(tmp_path, make_variables(units=3)).save(5, {})
    variables = make_variables(units=4)
    before = {name: np.asarray(variable) for name, variable in variables.items()}
    message = r"holds float32\[2, 3\] for the variable dense/kernel, which is float32\[2, 4\]: it belongs to another"
    with pytest.raises(InputError, match=message):
        training.Checkpoint(tmp_path, variables).restore()
    with pytest.raises(
        InputError, match=r"holds dense/bias, which this model lacks: it belongs to another architecture"
    ):
        training.Checkpoint(tmp_path, {"dense/kernel": variables["dense/kernel"]}).restore()
    for name, value in before.items():
        np.testing.assert_array_equal(variables[name], value)


def test_variables_are_named_by_what_they_are_of():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="head")(inputs))
    optimizer = keras.optimizers.Adam(name="anything")
    optimizer.build(model.trainable_variables)
    named = named_variables(model, optimizer, {"moment": keras.Variable(0.0)})
    assert {"model/head/kernel", "model/head/bias", "optimizer/iteration", "state/moment"} <= named.keys()
    assert len(named) == len(model.variables) + len(optimizer.variables) + 1
    twice = keras.Model(inputs, keras.layers.Dense(2, name="a")(inputs))
    twice.get_layer("a").bias._path = "a/kernel"
    with pytest.raises(ValueError, match="Two variables are named model/a/kernel"):
        named_variables(twice, optimizer)


def test_never_loads_a_pickle(tmp_path):
    arrays = {"00000": np.array([print], dtype=object), "state.json": np.frombuffer(json.dumps({}).encode(), np.uint8)}
    np.savez(tmp_path / "000000005.npz", **arrays)
    with pytest.raises(InputError, match="can be read"):
        training.Checkpoint(tmp_path, make_variables()).restore()


def test_a_checkpoint_that_the_system_does_not_let_be_read_is_not_given_up(tmp_path, monkeypatch):
    checkpoint = training.Checkpoint(tmp_path, make_variables())
    for step in (5, 10):
        checkpoint.save(step, {})

    def fail(*arguments, **options):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(InputError) as error:
        checkpoint.restore()
    assert str(error.value) == (
        f"Checkpoint {tmp_path}/000000010.npz cannot be read (Too many open files). Mend that, and give the same "
        "command again."
    )
