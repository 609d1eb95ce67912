"""Damaged files and senseless values: an error in one line or the right content, and never anything else."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.reliability.conftest import arguments
from tests.tiny import tiny_config
from uncertainty_suite import configuration, keras, leaderboard, training
from uncertainty_suite.errors import InputError
from uncertainty_suite.files import read_arrays
from uncertainty_suite.runs import RunFolder

fuzz = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def damage(draw):
    """Return a function that truncates bytes, or flips one to eight of their bits."""
    if draw(st.integers(0, 3)) == 0:
        cut = draw(st.floats(0, 1, exclude_max=True))
        return lambda content: content[: int(len(content) * cut)]
    flips = draw(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), min_size=1, max_size=8))
    from_end = draw(st.booleans())  # where a zip file keeps its directory

    def flip(content: bytes) -> bytes:
        damaged = bytearray(content)
        window = min(len(content), 1500) if from_end else len(content)
        for place, bit in flips:
            damaged[len(content) - window + int(place * window)] ^= 1 << bit
        return bytes(damaged)

    return flip


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Return a checkpoint object, the path of the newer of its two files, and what each of them holds."""
    folder = tmp_path_factory.mktemp("checkpoints")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)])
    checkpoint = training.Checkpoint(folder, {variable.path: variable for variable in model.variables})
    held = {}
    for step in (5, 10):
        model.layers[0].kernel.assign(np.full((2, 3), step))
        checkpoint.save(step, {"history": [step]})
        held[step] = [np.asarray(variable) for variable in model.variables]
    return checkpoint, folder / "000000010.npz", held


@fuzz
@given(damage())
def test_a_damaged_checkpoint_is_never_taken_for_a_whole_one(checkpoints, damage):
    checkpoint, newest, held = checkpoints
    content = newest.read_bytes()
    try:
        newest.write_bytes(damage(content))
        for variable in checkpoint.variables.values():
            variable.assign(np.zeros(variable.shape))
        state = checkpoint.restore()  # the older one, or the newer one where the damage is to nothing that matters
        assert state in ({"step": 5, "history": [5]}, {"step": 10, "history": [10]})
        for variable, value in zip(checkpoint.variables.values(), held[state["step"]]):
            np.testing.assert_array_equal(variable, value)
    finally:
        newest.write_bytes(content)


@pytest.fixture
def finished(uninterrupted, tmp_path):
    return Path(shutil.copytree(uninterrupted("deterministic")[0], tmp_path / "run"))


def open_run(folder: Path, config: dict) -> training.Run:
    options = training.Options(output_dir=folder)
    return training.Run(configuration.from_json(config), "deterministic.py", options)


@fuzz
@given(damage())
def test_damaged_arrays_are_never_returned(finished, damage):
    path = finished / "predictions/test.npz"
    content, whole = path.read_bytes(), read_arrays(path)
    try:
        path.write_bytes(damage(content))
        arrays = read_arrays(path)
        assert arrays.keys() == whole.keys()
        for name in whole:
            np.testing.assert_array_equal(arrays[name], whole[name])
    except ValueError:
        pass
    finally:
        path.write_bytes(content)


@fuzz
@given(damage())
def test_damaged_predictions_are_never_evaluated(finished, damage):
    path = finished / "predictions/test.npz"
    content = path.read_bytes()
    whole = RunFolder(finished).predictions("test")
    try:
        path.write_bytes(damage(content))
        loaded = RunFolder(finished).predictions("test")
        assert loaded.keys() == whole.keys()
        for name in whole:
            np.testing.assert_array_equal(loaded[name], whole[name])
    except InputError as error:
        assert "\n" not in str(error)
    finally:
        path.write_bytes(content)


@fuzz
@given(damage())
def test_a_damaged_configuration_is_never_gone_on_with(finished, damage):
    path = finished / "config.json"
    content, config = path.read_bytes(), configuration.read(finished)
    try:
        path.write_bytes(damage(content))
        open_run(finished, config)
        assert json.loads(path.read_bytes()) == json.loads(content)
    except InputError as error:
        assert str(finished) in str(error)
    finally:
        path.write_bytes(content)


@fuzz
@given(damage())
def test_damaged_results_are_refused_or_well_formed(finished, damage):
    path = finished / "results.json"
    content, config = path.read_bytes(), configuration.read(finished)
    try:
        path.write_bytes(damage(content))
        for read in (leaderboard.read_records, lambda folders: open_run(folders[0], config)):
            try:
                read([finished])
            except InputError as error:
                assert str(finished) in str(error)
    finally:
        path.write_bytes(content)


DRY = """
from uncertainty_suite import launch, layers, models, training

def main(config, options):
    run = training.Run(config, "deterministic.py", options)
    data = run.get_data("train")
    model = models.build(run.config.model, data, run.task.likelihood, layers.LayerSet())
    training.get_optimizer(run.config, model, data)
    data.load(run.config.batch_size, training=True)

launch.run(main)
"""
FIELDS = [
    *sorted(configuration.flatten(tiny_config("deterministic").to_dict())),
    "epoch",
    "optimizer",
    "optimizer.name.x",
    "methods",
    "",
]
NUMBERS = ("nan", "inf", "-inf", "-1", "0", "1", "1e400", "1.2", "1_0", "0x10", "9" * 20, "1" * 5000)
TUPLES = ("()", "('a',)", "('nll','nll')", "(1,)", "[]", "{", "1,2", "test,validation", "('nll', 3)", "(" * 200)
TEXTS = ("True", "None", "'", "'x'", "two_moons", "../../x", "lambda: 0", "\n")
VALUES = st.one_of(
    st.sampled_from([*NUMBERS, *TUPLES, *TEXTS]),
    st.text(max_size=6),
)


@settings(fuzz, max_examples=40)  # tests/test_launch.py has more, in one process
@given(st.lists(st.tuples(st.sampled_from(FIELDS), VALUES), min_size=1, max_size=2))
def test_senseless_values_on_the_command_line(scripts, tmp_path_factory, overrides):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "dry.py").write_text(DRY)
    given_ = [f"--config.{field}={value}" for field, value in overrides]
    command = arguments("deterministic", folder / "run", *given_)
    ended = scripts.run([str(folder / "dry.py"), *command[1:]])
    assert ended.status in (0, 1), ended.log
    if ended.status:
        assert ended.error, ended.log
