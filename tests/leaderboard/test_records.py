"""Reading run folders: what is found, what is left out, and what is refused in one line."""

import json
import re

import pytest

from uncertainty_suite.errors import InputError
from uncertainty_suite.leaderboard import find_runs, read_record, read_records, tables


def refused(message: str):
    """Expect an `InputError` with exactly this message."""
    return pytest.raises(InputError, match=f"^{re.escape(message)}$")


def test_a_record_holds_what_the_file_says(make_run):
    folder = make_run("run", method="sngp", seed=3, metrics={"test/nll": 1, "num_parameters": 99714})
    record = read_record(folder)
    assert (record.task, record.method, record.model, record.seed) == ("two_moons", "sngp", "resnet_mlp", 3)
    assert record.folder == folder
    assert record.metrics == {"test/nll": 1.0, "num_parameters": 99714.0}
    assert (record.config["seed"], record.config["dataset"]) == (3, {"name": "two_moons"})
    assert record.likelihood == {"name": "categorical", "num_classes": 2}
    assert [split.key for split in record.splits] == ["test", "ood/ood", "shift/blur_1"]
    assert (record.in_distribution, record.left_out, record.replicate) == ("test", {}, (0, 3))
    assert record.data_fingerprint["ood/ood"] == "cc"
    assert record.provenance["revision"] == "abc"


def test_runs_are_found_below_a_folder_but_not_inside_a_run(make_run, tmp_path):
    ensemble = make_run("runs/moons/ensemble")
    make_run("runs/moons/ensemble/members/0")
    other = make_run("runs/a")
    assert find_runs([tmp_path]) == [other, ensemble]


def test_members_of_an_unfinished_ensemble_are_not_runs(make_run, tmp_path, capsys):
    make_run("runs/ensemble/members/0")
    (tmp_path / "runs/ensemble/config.json").write_text("{}")
    finished = make_run("runs/finished")
    assert [record.folder for record in read_records([tmp_path / "runs"])] == [finished]
    assert capsys.readouterr().err == f"unfinished: {tmp_path}/runs/ensemble has no results, left out\n"


@pytest.mark.parametrize("order", [("", "run"), ("run", ""), ("run", "run/../run"), ("", "link")])
def test_a_run_reached_twice_is_one_run(make_run, tmp_path, order, capsys):
    make_run("run")
    (tmp_path / "link").symlink_to(tmp_path)
    assert len(read_records(tmp_path / name for name in order)) == 1
    assert capsys.readouterr().err == ""


def test_an_unfinished_run_is_named_and_left_out(make_run, tmp_path, capsys):
    finished = make_run("finished")
    (tmp_path / "started").mkdir()
    assert len(read_records([finished, tmp_path / "started"])) == 1
    assert capsys.readouterr().err == f"unfinished: {tmp_path}/started has no results, left out\n"


def test_nothing_finished_is_an_error(tmp_path):
    with refused(f"No finished run (a folder with a results.json) in {tmp_path}."):
        read_records([tmp_path])


def test_a_path_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    expected = "Expected a run folder, or a folder above run folders."
    with refused(f"{tmp_path}/file is not a folder. {expected}"):
        find_runs([tmp_path / "file"])
    with refused(f"{tmp_path}/none does not exist. {expected}"):
        find_runs([tmp_path / "none"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "field 'schema_version' is 2, this leaderboard reads 1 to 1"),
        ({"task": ""}, "field 'task' must be a printable text, not ''"),
        ({"method": "a\x1b[31m\nb"}, r"field 'method' must be a printable text, not 'a\x1b[31m\nb'"),
        (
            {"likelihood": {"name": "poisson"}},
            "field likelihood['name'] must be one of categorical, gaussian, not 'poisson'",
        ),
        ({"left_out": {"test/ece": ""}}, "field left_out['test/ece'] must be a printable text, not ''"),
        ({"seed": 3}, "field 'seed' is 3, and its config has 0"),
        ({"data_fingerprint": {"test": 1}}, "field data_fingerprint['test'] must be a printable text, not 1"),
        ({"metrics": {"test/nll": -1e31}}, "field metrics['test/nll'] must be a number up to 1e+30, not -1e+31"),
        ({"metrics": {"a\nb": 1}}, r"field metrics[] must be a printable text, not 'a\nb'"),
    ],
)
def test_a_damaged_field_is_named(make_run, changes, message):
    folder = make_run("run")
    content = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps(content | changes))
    with refused(f"{folder}/results.json: {message}"):
        read_record(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": "0"}, "its field seed is '0'"),
        ({"seed": True}, "its field seed is 'True'"),
        ({"metrics": [0.5]}, "its field metrics is '[0.5]'"),
        ({"metrics": {"test/nll": "0.5"}}, "its field metrics['test/nll'] is '0.5'"),
    ],
)
def test_results_of_other_types_are_damaged(make_run, changes, message):
    folder = make_run("run")
    content = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps(content | changes))
    advice = "Delete that file and give the same command again: the rest of the run is kept."
    with refused(f"{folder}/results.json is damaged ({message}). {advice}"):
        read_record(folder)


@pytest.mark.parametrize("field", ["schema_version", "task", "seed", "config_hash", "model", "data_fingerprint"])
def test_a_missing_field_is_named(make_run, field):
    folder = make_run("run")
    content = json.loads((folder / "results.json").read_text())
    del content[field]
    (folder / "results.json").write_text(json.dumps(content))
    with refused(f"{folder}/results.json: field '{field}' is missing"):
        read_record(folder)


def test_an_integer_beyond_any_float_is_not_finite(make_run):
    folder = make_run("run", metrics={"test/nll": 10**400})
    with pytest.raises(InputError, match=r"results\.json is damaged \(it holds an integer of 401 digits\)"):
        read_record(folder)


@pytest.mark.parametrize("text", [b'{"task": ', b"", b"\xff\xfe", b"[" * 100_000, b"[1, 2]", b"{}"])
def test_results_that_are_no_results_are_refused_in_one_line(make_run, text):
    folder = make_run("run")
    (folder / "results.json").write_bytes(text)
    with pytest.raises(InputError, match=r"results\.json is damaged \(.*\)\. Delete that file") as error:
        read_record(folder)
    assert "\n" not in str(error.value)


def test_results_of_another_configuration_are_refused(make_run):
    folder = make_run("run")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"seed": 7}))
    with pytest.raises(InputError, match=r"results\.json is of another configuration than config\.json"):
        read_record(folder)


def test_a_run_that_is_being_evaluated_in_another_way_is_unfinished(make_run, capsys):
    finished, folder = make_run("finished"), make_run("run", seed=1)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"evaluation": {"metrics": ["nll"]}}))
    assert [record.folder for record in read_records([finished, folder])] == [finished]
    assert capsys.readouterr().err == f"unfinished: {folder} has no results, left out\n"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"seed": None}, "config.json is no run's (its field seed is 'None')."),
        ({"dataset": {"fold": "a"}}, "config.json is no run's (its field dataset.fold is 'a')."),
        ({"dataset": {"fold": -1}}, "results.json: field config['dataset']['fold'] must be at least 0, not -1"),
    ],
)
def test_a_configuration_that_names_no_replicate_is_refused(make_run, config, message):
    folder = make_run("run", config=config)
    with refused(f"{folder}/{message}"):
        read_record(folder)


def test_splits_of_another_form_are_refused(make_run):
    folder = make_run("run", splits=[{"key": "test"}])
    with pytest.raises(InputError, match=r"field splits\[\]\['role'\] is missing"):
        read_record(folder)


def test_results_of_before_are_of_classes_and_have_the_splits_of_their_configuration(make_run):
    evaluation = {"splits": ["test"], "ood_near": [], "ood_far": ["mnist/test"], "corruptions": ["fog"]}
    evaluation |= {"severities": [1, 3], "shift_examples": 0, "predict_only": []}
    folder = make_run("run", config={"evaluation": evaluation})
    content = json.loads((folder / "results.json").read_text())
    for field in ("likelihood", "splits", "in_distribution", "left_out"):
        del content[field]
    (folder / "results.json").write_text(json.dumps(content))
    record = read_record(folder)
    assert record.likelihood == {"name": "categorical"}
    assert [split.key for split in record.splits] == ["test", "ood/mnist", "shift/fog_1", "shift/fog_3"]
    assert (record.in_distribution, record.left_out) == ("test", {})


def test_different_protocols_are_never_in_one_table(make_run):
    a, b = make_run("a"), make_run("b", protocol_version=2, method="sngp")
    message = f"protocol_version differs, 1 in {a} and 2 in {b}. Such runs are never put in one table."
    with refused(f"Task 'two_moons': {message}"):
        tables(read_records([a, b]))


def test_different_data_is_never_in_one_table(make_run):
    a = make_run("a")
    b = make_run("b", seed=1, data_fingerprint={"train": "aa"})  # has no test set: nothing to compare
    c = make_run("c", seed=2, data_fingerprint={"train": "aa", "ood/ood": "dd"})
    tables(read_records([a, b]))
    message = f"data_fingerprint['ood/ood'] differs, cc in {a} and dd in {c}. Such runs are never put in one table."
    with refused(f"Task 'two_moons': {message}"):
        tables(read_records([b, a, c]))


def test_tasks_may_differ_in_protocol_and_data(make_run):
    a = make_run("a")
    b = make_run("b", task="digits", protocol_version=2, data_fingerprint={"test": "zz"})
    assert [(table.task, table.protocol_version) for table in tables(read_records([a, b]))] == [
        ("digits", 2),
        ("two_moons", 1),
    ]


def test_folds_have_data_of_their_own(make_run):
    def run(name, fold, data, **changes):
        config = {"dataset": {"name": "two_moons", "fold": fold}}
        return make_run(name, config=config, data_fingerprint={"test": data}, **changes)

    a, b = run("a", 0, "aa"), run("b", 1, "bb")
    (table,) = tables(read_records([a, b]))
    assert [record.replicate for record in table.rows[0].records] == [(0, 0), (1, 0)]
    c = run("c", 1, "cc", method="sngp")
    message = f"data_fingerprint['test'] of fold 1 differs, bb in {b} and cc in {c}. Such runs are never put in one "
    with refused(f"Task 'two_moons': {message}table."):
        tables(read_records([a, b, c]))
    d = run("d", 1, "bb")
    message = f"fold 1, seed 0 of 'deterministic' is there twice, in {b} and {d}. Give one of them."
    with refused(f"Task 'two_moons': {message}"):
        tables(read_records([a, b, d]))


def test_one_seed_twice_is_refused(make_run):
    a, b = make_run("a"), make_run("b")
    message = f"seed 0 of 'deterministic' is there twice, in {a} and {b}. Give one of them."
    with refused(f"Task 'two_moons': {message}"):
        tables(read_records([a, b]))
