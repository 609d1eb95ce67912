import json

import keras
import numpy as np
import pytest

from uncertainty_suite import training
from uncertainty_suite.errors import InputError


def make_variables(units: int = 3) -> list[keras.Variable]:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units), keras.layers.Dropout(0.5)])
    return model.variables


def test_restores_every_variable_and_the_state(tmp_path):
    variables = make_variables()
    training.Checkpoint(tmp_path, variables).save(7, {"history": [1.5]})
    saved = [np.asarray(variable) for variable in variables]
    assert [variable.path.split("/")[-1] for variable in variables][-1] == "seed_generator_state"
    for variable in variables:
        variable.assign(variable.value + 1)
    assert training.Checkpoint(tmp_path, variables).restore() == {"step": 7, "history": [1.5]}
    for variable, value in zip(variables, saved):
        np.testing.assert_array_equal(variable, value)


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
        variables[0].assign(np.full((2, 3), step))
        checkpoint.save(step, {}, keep=[5])
    assert [step for step in (5, 10, 15, 20) if checkpoint.has(step)] == [5, 15, 20]
    assert checkpoint.restore(5) == {"step": 5}
    np.testing.assert_array_equal(variables[0], np.full((2, 3), 5))
    checkpoint.save(5, {"taken": "up"})
    assert [path.name for path in tmp_path.iterdir()] == ["000000005.npz"]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_falls_back_to_the_one_before_a_damaged_one(tmp_path, damage, caplog):
    variables = make_variables()
    checkpoint = training.Checkpoint(tmp_path, variables)
    checkpoint.save(5, {})
    variables[0].assign(variables[0].value + 1)
    checkpoint.save(10, {})
    newest = tmp_path / "000000010.npz"
    content = bytearray(newest.read_bytes())
    kernel = content.find(np.asarray(variables[0]).tobytes())
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
    before = [np.asarray(variable) for variable in variables]
    with pytest.raises(InputError, match=r"holds float32\[2, 3\] for the variable .*kernel, which is float32\[2, 4\]"):
        training.Checkpoint(tmp_path, variables).restore()
    with pytest.raises(InputError, match="holds 3 variables and this model with its optimizer has 1"):
        training.Checkpoint(tmp_path, variables[:1]).restore()
    for variable, value in zip(variables, before):
        np.testing.assert_array_equal(variable, value)


def test_never_loads_a_pickle(tmp_path):
    arrays = {"00000": np.array([print], dtype=object), "state": np.frombuffer(json.dumps({}).encode(), np.uint8)}
    np.savez(tmp_path / "000000005.npz", **arrays)
    with pytest.raises(InputError, match="can be read"):
        training.Checkpoint(tmp_path, make_variables()).restore()
