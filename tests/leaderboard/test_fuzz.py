"""Generated records, run folders and texts: never a traceback, a hang, an escape or a wrong acceptance."""

import contextlib
import copy
import csv
import hashlib
import io
import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.leaderboard.conftest import write_finished
from uncertainty_suite import configuration
from uncertainty_suite.errors import InputError
from uncertainty_suite.leaderboard import Record, add, publication, published, read_record, render
from uncertainty_suite.leaderboard.records import file_name, read_all, seal
from uncertainty_suite.leaderboard.rendering import FORMATS, escape_markdown
from uncertainty_suite.runs import RunFolder

fuzz = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

_TEXTS = [
    "",
    "x",
    "\x1b[31m",
    "a\nb",
    "<script>",
    "=1+1",
    "[x",
    "-->",
    "../../x",
    "/etc/passwd",
    "\u202e",
    "x" * 20_000,
]
_NUMBERS = [-1, 0, 1, 2**31, 2**63, 1e300, -1e300, 1e-320, 0.5, 1e20, 1e30]
_OTHERS = [None, True, False, [], {}, [[]], {"x": 1}, [1, "x"], [1e300] * 3, ["x"] * 3, {"a": {"b": {"c": {}}}}]
hostile = st.one_of(
    st.sampled_from([*_TEXTS, *_NUMBERS, *_OTHERS]),
    st.text(max_size=8),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
)


def places(value, path=()):
    """Yield the path of everything in a JSON value."""
    for key in value if isinstance(value, dict) else range(min(len(value), 3)) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(value[key], (*path, key))


@st.composite
def changed(draw, content):
    """Return a JSON object with one to three of its parts replaced, removed or added."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        if not content:  # all of it is removed
            break
        path = draw(st.sampled_from(list(places(content))))
        holder = content
        for key in path[:-1]:
            holder = holder[key]
        kind = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
        if kind == "replace" or not isinstance(holder, dict):
            holder[path[-1]] = copy.deepcopy(draw(hostile))  # which the next change may be in
        elif kind == "remove":
            del holder[path[-1]]
        else:
            holder[draw(st.text(max_size=6))] = copy.deepcopy(draw(hostile))
    return content


def follow(content):
    """Make the fields that follow from the configuration do so, as a careful stranger would."""
    with contextlib.suppress(KeyError, TypeError, AttributeError):
        config = content["config"]
        content |= {name: config[name] for name in ("method", "seed")}
        content |= {"task": config["dataset"]["name"], "model": config["model"]["name"]}
        content["batch_size_global"] = config.get("batch_size", content["batch_size_global"])
        content["config_hash"] = configuration.config_hash(config)


def check_texts(texts):
    """Every line can be read on a terminal."""
    for text in texts:
        assert all(line.isprintable() for line in text.split("\n"))


def check_markdown(texts):
    """Beside, no name has become markup, which means nothing between fences."""
    for text in texts:
        check_texts([text])
        is_code = False
        for line in text.split("\n"):
            is_code ^= line.startswith("```")
            assert is_code or "<script>" not in line


def check_published(records, folder):
    """Everything that is made of records is made, and in order."""
    check_texts(render(records, name) for name in FORMATS if name != "json")
    json.loads(render(records, "json"))
    for line in csv.reader(io.StringIO(render(records, "csv"))):
        assert not any(cell.startswith(("=", "+", "@")) for cell in line)
        assert all(float(cell) < 0 for cell in line if cell.startswith("-"))
    made = publication.generated(records, folder, [], dict.fromkeys({record.task for record in records}, ""))
    check_markdown([text for path, text in made.items() if path.suffix == ".md"])
    check_markdown([render(records)])
    assert all(path.resolve().is_relative_to(folder.resolve()) for path in made)
    assert len({str(path).lower() for path in made}) == len(made)


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """Return records of which the last is to be changed, with the content of its two files."""
    root = tmp_path_factory.mktemp("fuzz")
    for method, seed in (("deterministic", 0), ("deterministic", 1), ("sngp", 0), ("sngp", 1)):
        tuned = {"sngp.size": {"values": [1, 2.5], "chosen": 1, "scores": [0.1, 0.2], "criterion": "nll", "split": "x"}}
        write_finished(root, method, seed, 1.0 + (method == "sngp"), tuned=tuned if method == "sngp" else {})
    add([root / "runs"], root / "leaderboards")
    (path,) = root.glob("leaderboards/toy/sngp-*-seed1.json")
    files = json.loads(path.read_text()), path.with_suffix(".npz").read_bytes()
    path.unlink()
    path.with_suffix(".npz").unlink()
    return root / "leaderboards", *files


def check_read(folder, content, scores):
    """Put a record there, and read all: the sound ones stand, and what is taken of the other is in order."""
    content["record_sha256"] = seal(content)
    try:
        path = folder / file_name(content)
        assert path.parent.parent == folder  # not so where the task has no name
        assert not path.exists()  # so where another seed makes its name that of a neighbour
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
        path.with_suffix(".npz").write_bytes(scores)
    except (AssertionError, KeyError, TypeError, ValueError, OSError, AttributeError):
        return  # it has no name that a record could have
    try:
        records, problems = read_all([folder])
        sound = [record for record in records if record.folder != path]
        assert [(record.method, record.seed) for record in sound] == [
            ("deterministic", 0),
            ("deterministic", 1),
            ("sngp", 0),
        ]
        if len(records) + len(problems) != 4:  # it has not the name of a record, and `check` calls it a stranger
            assert f"of no record: {path}" in publication.check(records, folder)
            return
        assert all(problem.startswith(f"left out: {path}: ") and "\n" not in problem for problem in problems)
        if len(records) == 4:
            check_accepted(next(record for record in records if record.folder == path), content)
            check_published(records, folder)
    finally:
        path.unlink()
        path.with_suffix(".npz").unlink()
        if path.parent.name != "toy":
            path.parent.rmdir()


def check_accepted(record: Record, content):
    config = content["config"]
    assert (record.method, record.seed, record.task) == (config["method"], config["seed"], config["dataset"]["name"])
    assert record.config_hash == configuration.config_hash(config)
    assert record.replicate[1] >= 0
    assert all(abs(value) <= 1e30 for value in record.metrics.values())
    assert record.metrics.get("test/accuracy", 0) <= 1


def _records_are_in_order_or_named(board, data):
    folder, content, scores = board
    new = data.draw(changed(content))
    if data.draw(st.booleans()):
        follow(new)
    check_read(folder, new, scores)


@settings(fuzz, max_examples=60)
@given(st.data())
def test_a_generated_record_is_in_order_or_named(board, data):
    _records_are_in_order_or_named(board, data)


@pytest.mark.slow
@settings(fuzz, max_examples=10_000)
@given(st.data())
def test_many_generated_records_are_in_order_or_named(board, data):
    _records_are_in_order_or_named(board, data)


arrays = st.sampled_from(
    [
        np.zeros(300),
        np.zeros(300, np.float16),
        np.full(300, np.nan, np.float16),
        np.zeros(38, np.uint8),
        np.full(38, 255, np.uint8),
        np.zeros((300, 2)),
        np.ones(300, np.int32),
        np.full(300, 2**62),
        np.full(300, "x"),
        np.array(3),
        np.zeros(0),
        np.zeros(300, np.complex64),
        np.zeros(300, bool),
        np.zeros(300, "datetime64[s]"),
    ]
)


@settings(fuzz, max_examples=40)
@given(st.data())
def test_generated_scores_are_in_order_or_named(board, data):
    folder, content, scores = board
    held = dict(np.load(io.BytesIO(scores)))
    name = data.draw(st.sampled_from([*held, "new", "\x1b"]))
    if data.draw(st.booleans()) or name not in held:
        held[name] = data.draw(arrays)
    else:
        del held[name]
    file = io.BytesIO()
    np.savez(file, **held)
    new = copy.deepcopy(content)
    new["scores"]["sha256"] = hashlib.sha256(file.getvalue()).hexdigest()
    check_read(folder, new, file.getvalue())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a folder of records with a sound one, and a finished run of another method."""
    root = tmp_path_factory.mktemp("runs")
    add([write_finished(root)], root / "leaderboards")
    return root / "leaderboards", write_finished(root, "sngp", 1)


def _runs_are_added_or_refused(run, data, place):
    to, original = run
    before = {path: path.read_bytes() for path in to.rglob("*") if path.is_file()}
    folder = place.mktemp("run") / "run"
    shutil.copytree(original, folder)
    sound = RunFolder(original)
    kind = data.draw(st.sampled_from(["results", "config", "task", "predictions"]))
    if kind == "predictions":
        key = data.draw(st.sampled_from(["test", "ood/photos", "shift/fog_1"]))
        saved = sound.predictions(key)
        saved[data.draw(st.sampled_from([*saved, "new"]))] = data.draw(arrays)
        RunFolder(folder).save_predictions(key, saved)
    elif kind == "task":
        task = json.loads((folder / "task.json").read_text())
        (folder / "task.json").write_text(json.dumps(data.draw(changed(task))))
    else:
        results = sound.results if kind == "results" else {"config": sound.config}
        new = data.draw(changed(results))
        whole = {**sound.results, **new}
        follow(whole)
        (folder / "results.json").write_text(json.dumps(whole))
        (folder / "config.json").write_text(json.dumps(whole.get("config")))
        if isinstance(whole.get("config"), dict) and whole["config"] != sound.config:
            with contextlib.suppress(InputError, TypeError):
                for split in sound.task.splits:
                    RunFolder(folder).save_predictions(split.key, sound.predictions(split.key))
    try:
        try:
            add([folder], to)
        except InputError as error:
            assert str(error) == "1 of 1 runs refused, 0 added."
        added = [path for path in to.rglob("*") if path.is_file() and path not in before]
        assert sorted(path.suffix for path in added) in ([], [".json", ".npz"])
        for path in added:
            if path.suffix == ".json":
                assert read_record(path).arrays is not None
                records, problems = read_all([to])
                assert (len(records), problems) == (2, [])
                check_published(records, to)
        assert all(path.read_bytes() == content for path, content in before.items())
    finally:
        for path in to.rglob("*"):
            if path.is_file() and path not in before:
                path.unlink()
        shutil.rmtree(folder.parent)


@settings(fuzz, max_examples=60)
@given(st.data())
def test_a_generated_run_is_added_or_refused(run, tmp_path_factory, data):
    _runs_are_added_or_refused(run, data, tmp_path_factory)


@pytest.mark.slow
@settings(fuzz, max_examples=10_000)
@given(st.data())
def test_many_generated_runs_are_added_or_refused(run, tmp_path_factory, data):
    _runs_are_added_or_refused(run, data, tmp_path_factory)


ENTRY = {"task": "toy", "method": "SNGP", "model": "WRN", "source": "a paper", "metrics": {"test/nll": 0.1}}


@settings(fuzz, max_examples=100)
@given(st.data())
def test_generated_results_of_others_are_shown_or_named(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("published")
    entries = [data.draw(changed(ENTRY)), ENTRY]
    (folder / "published.json").write_text(json.dumps(entries))
    problems = []
    found = published.read(folder, problems)
    assert not found or len(found) + len(problems) == 2
    check_markdown([published.markdown_table(found)])


@settings(fuzz, max_examples=100)
@given(st.text())
def test_any_text_is_one_line_of_markdown(text):
    escaped = escape_markdown(text)
    assert escaped.isprintable()
    for mark in "<>|`*[]$":
        assert all(escaped[i - 1] == "\\" for i, character in enumerate(escaped) if character == mark)
