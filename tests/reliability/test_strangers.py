"""Run folders from strangers: nothing outside is touched, nothing hangs, and what is wrong is one line."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.reliability.conftest import arguments
from uncertainty_suite import configuration, evaluate, evaluation, figures, training
from uncertainty_suite.errors import InputError
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.training import lock

fuzz = settings(
    max_examples=80,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@contextmanager
def within(seconds):
    """Raise if a block takes longer, as one that waits for a FIFO would."""

    def stop(*arguments):
        raise TimeoutError(f"nothing came of it in {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def finished(uninterrupted, tmp_path):
    return Path(shutil.copytree(uninterrupted("deterministic")[0], tmp_path / "run"))


@pytest.fixture
def unfinished(finished):
    (finished / "results.json").unlink()
    return finished


@pytest.fixture
def victim(tmp_path):
    """A file and a folder outside, which nobody may change."""
    (tmp_path / "victim/folder").mkdir(parents=True)
    (tmp_path / "victim/file").write_text('{"secret": 1}')
    yield tmp_path / "victim"
    assert sorted(path.name for path in (tmp_path / "victim").rglob("*")) == ["file", "folder"]
    assert (tmp_path / "victim/file").read_text() == '{"secret": 1}'


def open_run(folder: Path, config: dict) -> training.Run:
    options = training.Options(output_dir=folder)
    return training.Run(configuration.from_json(config), "deterministic.py", options)


def replace(path: Path, by) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    by(path)


# Links, FIFOs and devices.

FILES = (".lock", "history.jsonl", "checkpoints/000000008.npz", "predictions/test.npz", "predictions/mine/x.npz", "x")
FOLDERS = ("checkpoints", "predictions", "predictions/ood", "tensorboard", "members", "figures")
NOTHING = "Nothing is read or written through it: remove it, or choose another --output_dir."


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_a_run_is_not_taken_up_through_a_link_that_leads_out(unfinished, victim, name):
    config = configuration.read(unfinished)
    (unfinished / name).parent.mkdir(exist_ok=True)
    replace(unfinished / name, lambda path: path.symlink_to(victim / ("folder" if name in FOLDERS else "file")))
    with pytest.raises(InputError) as error:
        open_run(unfinished, config)
    assert str(error.value) == f"{unfinished / name} is a link that leads out of the run folder. {NOTHING}"


@pytest.mark.parametrize("name", ["config.json", "provenance.json", "results.json", "task.json"])
@pytest.mark.parametrize(
    ("by", "what"),
    [
        (os.mkfifo, "it is no regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "a link leads out of {}"),
        (lambda path: path.symlink_to("../victim/file"), "a link leads out of {}"),
        (Path.mkdir, "it is no regular file"),
    ],
)
def test_what_is_read_is_a_file_of_the_folder(finished, victim, name, by, what):
    config = configuration.read(finished)
    if name == "task.json":  # which a run that is finished does not read
        (finished / "results.json").unlink()
    replace(finished / name, by)
    with within(20), pytest.raises(InputError) as error:
        open_run(finished, config)
    message, what = str(error.value), what.format(finished)
    damaged = f"{finished / name} is damaged ({what}). Delete that file and give the same command again: the rest of "
    if name == "config.json":
        assert message == f"{finished} is no run folder: its config.json cannot be read ({what})."
    elif name == "task.json" and by is not Path.mkdir:  # which is looked at once the folder is this process's
        link = "a link that leads out of the run folder" if by is not os.mkfifo else "no regular file"
        assert message == f"{finished / name} is {link}. {NOTHING}"
    else:
        assert message == f"{damaged}the run is kept."


@pytest.mark.parametrize("name", ["checkpoints/000000008.npz", ".lock", "history.jsonl", "x"])
def test_a_run_with_a_fifo_is_not_taken_up(unfinished, name):
    replace(unfinished / name, os.mkfifo)
    with within(20), pytest.raises(InputError) as error:
        open_run(unfinished, configuration.read(unfinished))
    assert str(error.value) == f"{unfinished / name} is no regular file. {NOTHING}"


def test_a_lock_that_has_another_name_elsewhere_is_not_emptied(unfinished, victim):
    (unfinished / ".lock").hardlink_to(victim / "file")
    with pytest.raises(InputError, match=r"/.lock is no regular file, or has another name elsewhere. Remove it.$"):
        open_run(unfinished, configuration.read(unfinished))


def test_links_within_the_folder_and_to_it_are_followed(unfinished, tmp_path):
    config = configuration.read(unfinished)
    (tmp_path / "alias").symlink_to(unfinished)
    shutil.move(unfinished / "predictions", unfinished / "elsewhere")
    (unfinished / "predictions").symlink_to("elsewhere")
    assert open_run(tmp_path / "alias", config).results is None
    assert RunFolder(tmp_path / "alias").predictions("test").keys() >= {"labels", "log_probs"}


@pytest.mark.parametrize(
    ("by", "what"),
    [
        (os.mkfifo, "it is no regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "a link leads out of {}"),
        (
            lambda path: np.savez_compressed(path, x=np.zeros(10**8, np.uint8)),
            "bytes declare arrays of 100000128 bytes",
        ),
    ],
)
def test_predictions_that_are_no_file_or_a_bomb(finished, by, what, capsys):
    path = finished / "predictions/test.npz"
    replace(path, by)
    with within(20):
        assert evaluate.main([str(finished)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"evaluate: {finished}: The predictions {path} are damaged (")
    assert what.format(finished) in line


def test_figures_are_not_drawn_into_a_folder_outside(finished, victim):
    (finished / "figures").symlink_to(victim / "folder")
    with pytest.raises(InputError, match="/figures is a link that leads out of the run folder"):
        figures.draw(finished)


def test_a_split_names_no_file_outside(finished):
    task = json.loads((finished / "task.json").read_text())
    task["splits"][0]["key"] = "../../escaped"
    (finished / "task.json").write_text(json.dumps(task))
    with pytest.raises(InputError, match=r"task.json cannot be read \(a split has the key '../../escaped'\)"):
        _ = RunFolder(finished).task


@pytest.mark.parametrize("name", ["checkpoints", "tensorboard"])
def test_a_file_in_the_place_of_a_folder(scripts, tmp_path, name, uninterrupted):
    folder = Path(shutil.copytree(uninterrupted("deterministic")[0], tmp_path / "run"))
    (folder / "results.json").unlink()
    replace(folder / name, lambda path: path.write_text(""))
    ended = scripts.run(arguments("deterministic", folder, "--checkpoint_every=1steps"))
    assert ended.status == 1
    assert ended.error == f"{folder / name} is no folder. Remove it, or choose another --output_dir."


@pytest.mark.parametrize(
    ("field", "value"),
    [("step", 10**9), ("history", 3), ("epoch_values", {"loss": 3})],
)
def test_a_checkpoint_with_a_state_that_no_training_has(scripts, unfinished, field, value):
    for path in unfinished.glob("checkpoints/*.npz"):
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        state = {**json.loads(arrays["state.json"].tobytes()), field: value}
        np.savez(path, **{**arrays, "state.json": np.frombuffer(json.dumps(state).encode(), np.uint8)})
    ended = scripts.run(arguments("deterministic", unfinished, "--checkpoint_every=1steps"))
    assert ended.status == 1
    assert ended.error == (
        f"The state in the newest checkpoint of {unfinished}/checkpoints is none that a training has. Delete that "
        "folder to train from the start."
    )


# Two at once.


def test_two_evaluations_at_once_both_keep_what_they_added(finished, monkeypatch, capsys):
    compute, others = evaluation.compute, [["--metrics", "mce", "disagreement"]]

    def and_another(*args, **kwargs):
        computed = compute(*args, **kwargs)
        while others:  # which so begins and ends between reading and writing of the first
            assert evaluate.main([str(finished), *others.pop()]) == 0
        return computed

    monkeypatch.setattr("uncertainty_suite.evaluation.compute", and_another)  # of the module itself
    assert evaluate.main([str(finished), "--metrics", "ece(num_bins=5)"]) == 0, capsys.readouterr().err
    results = RunFolder(finished).results
    assert {"test/mce", "test/ece(num_bins=5)"} <= results["metrics"].keys()
    assert "test/disagreement" in results["left_out"]


HOLDER = """
import fcntl, sys, time
with open(sys.argv[1], "a+") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holding(folder, seconds):
    command = [sys.executable, "-c", HOLDER, str(folder / lock.NAME), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_an_evaluation_waits_for_another_one_to_write(finished, monkeypatch, capsys):
    with holding(finished, 1):
        assert evaluate.main([str(finished), "--metrics", "mce"]) == 0
    assert "test/mce" in RunFolder(finished).results["metrics"]
    monkeypatch.setattr(evaluate, "_PATIENCE", 0.1)
    before = (finished / "results.json").read_bytes()
    with holding(finished, 30) as process:
        assert evaluate.main([str(finished), "--metrics", "ece(num_bins=7)"]) == 1
        process.kill()
    assert f"{finished} is in use by another process. Wait until" in capsys.readouterr().err
    assert (finished / "results.json").read_bytes() == before


# Anything in the place of anything.

NASTY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["../../../escaped", "/dev/zero", "\ud800", "\x1b[31m", "a\nb", "", "x" * 5000, "1" * 400]),
    st.sampled_from([[], {}, [[]], {"name": 3}, ["x"], [1, "x"], {"": {}}]),
)
JSON_FILES = ("config.json", "task.json", "provenance.json", "results.json")


@st.composite
def changes(draw):
    """Return a function that puts something else in the place of something in a run folder, in one file or in two."""
    names = draw(st.sampled_from([(name,) for name in JSON_FILES] + [("config.json", "results.json")]))
    places = draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=5))
    value, delete = draw(NASTY), draw(st.booleans())

    def change(folder: Path) -> None:
        for name in names:
            path = folder / name
            content = json.loads(path.read_text())
            node = content["config"] if len(names) > 1 and name == "results.json" else content
            _change(node, places, value, delete)
            path.write_text(json.dumps(content))

    return change


def _change(node, places, value, delete) -> None:
    for place in places[:-1]:
        inner = list(node.values()) if isinstance(node, dict) else node
        inner = [each for each in inner if isinstance(each, dict | list) and each]
        if not inner:
            break
        node = inner[place % len(inner)]
    keys = list(node) if isinstance(node, dict) else range(len(node))
    key = keys[places[-1] % len(keys)]
    if delete:
        del node[key]
    else:
        node[key] = value


REPLACEMENTS = {
    "fifo": os.mkfifo,
    "zero": lambda path: path.symlink_to("/dev/zero"),
    "out": lambda path: path.symlink_to("../victim/file"),
    "out of all": lambda path: path.symlink_to("../../../../../../../etc/passwd"),
    "to a folder outside": lambda path: path.symlink_to("../victim/folder"),
    "loop": lambda path: path.symlink_to(path.name),
    "folder": Path.mkdir,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("{}"),
    "latin": lambda path: path.write_bytes(b'{"a": "\xe9"}'),
    "deep": lambda path: path.write_bytes(b"[" * 100_000),
    "large": lambda path: path.touch() or os.truncate(path, 2**40),
    "nothing": lambda path: None,
}


@st.composite
def replacements(draw):
    """Return a function that puts something else in the place of a file or folder of a run folder."""
    number, by = draw(st.integers(0, 10**6)), REPLACEMENTS[draw(st.sampled_from(sorted(REPLACEMENTS)))]

    def change(folder: Path) -> None:
        paths = sorted(path for path in folder.rglob("*") if path.parent.name != "tensorboard")
        replace(paths[number % len(paths)], by)

    return change


def check_stranger(original: Path, place: Path, change, capsys, measured: bool) -> None:
    """Change a copy of a run folder, and use it in each way: what is wrong is one line, and nothing else happens."""
    folder, outside = place / "run", place / "victim"
    shutil.rmtree(place, ignore_errors=True)
    (outside / "folder").mkdir(parents=True)
    (outside / "file").write_text('{"secret": 1}')
    shutil.copytree(original, folder)
    config = configuration.read(folder)
    change(folder)
    capsys.readouterr()
    with within(60):
        if measured:
            status = evaluate.main([str(folder), "--metrics", "mce"])
            errors = capsys.readouterr().err.splitlines()
            assert status in (0, 1)
            assert len(errors) == status, errors
        for use in (
            lambda: RunFolder(folder).results,
            lambda: RunFolder(folder).task,
            lambda: RunFolder(folder).predictions("test"),
            lambda: list(RunFolder(folder).histories()),
            lambda: open_run(folder, config),
        ):
            try:
                use()
            except InputError as error:
                assert "\n" not in str(error), str(error)
    assert sorted(path.name for path in place.iterdir()) == ["run", "victim"]
    assert sorted(path.name for path in outside.rglob("*")) == ["file", "folder"]
    assert (outside / "file").read_text() == '{"secret": 1}'


CHANGES = st.one_of(changes(), replacements())
MEASURED = st.integers(0, 9).map(lambda number: number == 0)  # which takes longest


@fuzz
@given(CHANGES, MEASURED)
def test_folders_of_strangers(uninterrupted, tmp_path, capsys, change, measured):
    check_stranger(uninterrupted("deterministic")[0], tmp_path / "place", change, capsys, measured)


@pytest.mark.slow
@settings(fuzz, max_examples=10_000)
@given(CHANGES, MEASURED)
def test_ten_thousand_folders_of_strangers(uninterrupted, tmp_path, capsys, change, measured):
    check_stranger(uninterrupted("deterministic")[0], tmp_path / "place", change, capsys, measured)
