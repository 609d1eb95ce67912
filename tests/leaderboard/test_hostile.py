"""Records and what lies beside them, of somebody who means no good or had bad luck: named, left out, no more."""

import csv
import hashlib
import io
import json
import os
import shutil
import stat
import zipfile

import numpy as np
import pytest

from tests.leaderboard.conftest import write_finished
from uncertainty_suite import configuration, evaluation
from uncertainty_suite.files import write_json
from uncertainty_suite.leaderboard import add, cards, read_record, read_records, render, tables
from uncertainty_suite.leaderboard.__main__ import main
from uncertainty_suite.leaderboard.records import file_name, seal
from uncertainty_suite.runs import RunFolder

SECRET = "the secret of somebody"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with four runs of a task, and their records."""
    root = tmp_path_factory.mktemp("made")
    for method, skill in {"deterministic": 1.0, "sngp": 1.6}.items():
        for seed in range(2):
            write_finished(root, method, seed, skill)
    add([root / "runs"], root / "leaderboards")
    return root


@pytest.fixture
def board(made, tmp_path):
    """Return a copy of the records; their runs are in `runs` beside it."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "leaderboards"


def run_of(board, method="sngp", seed=1):
    (run,) = (run for run in board.parent.glob(f"runs/toy/{method}-*") if RunFolder(run).config["seed"] == seed)
    return run


def record_of(board, method="sngp", seed=1):
    (path,) = board.glob(f"toy/{method}-*-seed{seed}.json")
    return path


def edit(path, change):
    """Change what a record says, and seal it again as everybody can; the seal has no key."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content | {"record_sha256": seal(content)}))


def built(board, capsys, status):
    """Build, expect an exit status, and return the lines on stderr."""
    capsys.readouterr()
    assert main(["build", "--folder", str(board)]) == status
    return capsys.readouterr().err.splitlines()


def published_texts(board):
    return [path.read_text() for path in (board / "README.md", board / "index.html", *board.glob("*/cards/*.md"))]


def outside(board):
    path = board.parent / "outside"
    path.mkdir()
    (path / "secret.txt").write_text(SECRET)
    return path


@pytest.mark.parametrize("name", ["toy/about.txt", "published.json"])
def test_a_link_that_leaves_the_folder_is_not_read(board, capsys, name):
    (board / name).symlink_to(outside(board) / "secret.txt")
    (line,) = built(board, capsys, 1)
    assert line.startswith(f"left out: {board}/{name}: ")
    assert line.endswith(f"a link leads out of {board})" if name.endswith("txt") else f"a link leads out of {board}")
    assert len(published_texts(board)) == 4
    assert not any(SECRET in text for text in published_texts(board))


def test_a_link_within_the_folder_is_read(board, capsys):
    (board / "text").write_text("Words.")
    (board / "toy" / "about.txt").symlink_to("../text")
    assert built(board, capsys, 0) == []
    assert "## toy\n\nWords.\n" in (board / "README.md").read_text()


@pytest.mark.parametrize("name", ["toy/about.txt", "published.json", "toy/x-01234567-seed0.json"])
def test_what_is_no_regular_file_does_not_hang(board, capsys, name):
    os.mkfifo(board / name)
    (line,) = built(board, capsys, 1)
    assert line.startswith(f"left out: {board}/{name}: ")
    assert "it is no regular file" in line


def test_a_link_to_itself_is_of_no_record(board, capsys):
    built(board, capsys, 0)
    (board / "toy" / "loop.json").symlink_to("loop.json")
    assert main(["check", "--folder", str(board)]) == 1
    assert capsys.readouterr().err == f"of no record: {board}/toy/loop.json\n"


def test_a_text_about_a_task_that_is_a_book_is_left_out(board, capsys):
    (board / "toy" / "about.txt").write_text("a" * 10_001)
    assert built(board, capsys, 1) == [f"left out: {board}/toy/about.txt: not a text (it has more than 10000 bytes)"]


def scores_of(board, kind):
    """Put something else in the place of a record's scores; return the record."""
    record = record_of(board)
    scores = record.with_suffix(".npz")
    if kind == "bomb":
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("element_id.npy", bytes(2**27))
        scores.write_bytes(data.getvalue())
        assert len(data.getvalue()) < 2**18
    elif kind != "link":
        arrays = dict(np.load(scores))
        changes = {
            "no ids": lambda: arrays.pop("element_id"),
            "no nll": lambda: arrays.pop("nll"),
            "unknown": lambda: arrays.update(secret=np.zeros(300, np.float16)),
            "short": lambda: arrays.update(nll=arrays["nll"][:-1]),
            "infinite": lambda: arrays.update(nll=np.full(300, np.inf, np.float16)),
            "texts": lambda: arrays.update(nll=np.full(300, "a")),
            "repeated": lambda: arrays.update(element_id=np.zeros_like(arrays["element_id"])),
            "better": lambda: arrays.update(accuracy=np.full_like(arrays["accuracy"], 255)),
            "labels": lambda: arrays.update(labels=(arrays["labels"] + 1) % 4),
        }
        changes[kind]()
        np.savez(scores, **arrays)
    else:
        scores.rename(outside(board) / "scores.npz")
        scores.symlink_to(board.parent / "outside" / "scores.npz")
    edit(record, lambda said: said["scores"].update(sha256=hashlib.sha256(scores.read_bytes()).hexdigest()))
    return record


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("link", "the file cannot be read (a link leads out of "),
        ("bomb", "the file cannot be read (its "),
        ("no ids", "there is no array 'element_id'"),
        ("no nll", "there is no array 'nll'"),
        ("unknown", "there is an array 'secret', which no record has"),
        ("short", "array 'nll' is float16 [299], for 300 examples"),
        ("infinite", "array 'nll' has values that are not finite"),
        ("texts", "array 'nll' is <U1 [300], for 300 examples"),
        ("repeated", "an element_id is there twice"),
        ("better", "array 'accuracy' gives 1, and the record says 0."),
        ("labels", "field examples['test'] is not that of its scores"),
    ],
)
def test_scores_that_are_not_what_they_say_are_named_and_left_out(board, capsys, kind, message):
    record = scores_of(board, kind)
    (line,) = built(board, capsys, 1)
    assert line.startswith(f"left out: {record}: ")
    assert message in line
    assert "| sngp          |     1 |" in (board / "README.md").read_text()


def test_scores_that_are_a_fifo_do_not_hang(board, capsys):
    record = record_of(board)
    record.with_suffix(".npz").unlink()
    os.mkfifo(record.with_suffix(".npz"))
    beside = record.with_suffix(".npz").name
    expected = f"left out: {record}: its scores {beside}: the file cannot be read (it is no regular file)"
    assert built(board, capsys, 1) == [expected]


@pytest.mark.parametrize("folder", ["toy/cards", "toy"])
def test_nothing_is_written_or_removed_through_a_link(board, capsys, folder):
    built(board, capsys, 0)
    place = outside(board)
    shutil.move(board / folder, place / "there")
    (board / folder).symlink_to(place / "there")
    (place / "there" / "old.md").write_text(cards.HEADER)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    (line,) = built(board, capsys, 1)[-1:]
    assert "a link leads out of" in line or "No finished run" in line
    assert main(["add", str(run_of(board)), "--to", str(board)]) == (folder == "toy")
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


def test_a_link_in_the_place_of_a_page_is_replaced(board, capsys):
    target = outside(board) / "secret.txt"
    (board / "README.md").symlink_to(target)
    built(board, capsys, 0)
    assert target.read_text() == SECRET
    assert not (board / "README.md").is_symlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 7}, "field 'seed' is 7, and its config has 1"),
        ({"method": "other"}, "field 'method' is other, and its config has sngp"),
        ({"model": "big"}, "field 'model' is big, and its config has mlp"),
        ({"task": "digits"}, "field 'task' is digits, and its config has toy"),
        ({"batch_size_global": 8}, "field 'batch_size_global' is 8, and its config has 32"),
        ({"secret": SECRET}, "holds secret, which no record has"),
        ({"schema_version": "1"}, "field 'schema_version' must be an integer, not '1'"),
        ({"scores": None}, "field 'scores' must be an object, not None"),
        ({"in_distribution": "x"}, "field 'in_distribution' is 'x', which is none of its splits"),
        ({"likelihood": {"name": "categorical", "classes": 3}}, "field 'likelihood': "),
        ({"tuned": {"a": {"values": 3}}}, "field tuned['a']['values'] must be a list, not 3"),
        ({"tuned": {"a": 3}}, "field tuned['a'] must be an object, not 3"),
        ({"curves": {"quantiles": [[0.1]]}}, "field curves['quantiles'] must have 2 to 10000 values, not 1"),
        (
            {"metrics": {"num_parameters": 1e308}},
            "field metrics['num_parameters'] must be a number up to 1e+30, not 1e+",
        ),
    ],
)
def test_a_record_that_is_not_what_it_says_is_named_and_left_out(board, capsys, change, message):
    record = record_of(board)
    edit(record, lambda content: content.update(change))
    (line,) = built(board, capsys, 1)
    assert line.startswith(f"left out: {record}: {message}")
    assert SECRET not in line
    assert "| sngp          |     1 |" in (board / "README.md").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hardware": ["x"]}, "field provenance['hardware'] must be an object, not ['x']"),
        ({"versions": "x"}, "field provenance['versions'] must be an object, not 'x'"),
        ({"command": "\ud800"}, "not a record (it holds a text that is no Unicode)"),
        ({"command": 3}, "field provenance['command'] must be a printable text, not 3"),
        ({"command": "a\x1b[2J"}, "holds fields, which no record has"),
        ({"revision": "a\nb"}, r"field provenance['revision'] must be a printable text, not 'a\nb'"),
        ({"home": SECRET}, "holds provenance.home, which no record has"),
        ({"finished_at": []}, "field provenance['finished_at'] must be a printable text, not []"),
        ({"trained_here": "no"}, "field provenance['trained_here'] must be true or false, not 'no'"),
    ],
)
def test_provenance_that_is_none_is_named_and_left_out(board, capsys, change, message):
    record = record_of(board)
    edit(record, lambda content: content["provenance"].update(change))
    (line,) = built(board, capsys, 1)
    assert line.startswith(f"left out: {record}: {message}")
    assert "| sngp          |     1 |" in (board / "README.md").read_text()


def test_a_record_of_another_task_or_twice_is_left_out(board, capsys):
    """As the only other one, so that no majority says which is right: the first counts."""
    for seed in (0, 1):
        for path in board.glob(f"toy/deterministic-*-seed{seed}.*"):
            path.unlink()
    first, second = record_of(board, seed=0), record_of(board)
    edit(second, lambda content: content["data_fingerprint"].update(test="zz"))
    (line,) = built(board, capsys, 1)
    said = f"data_fingerprint['test'] differs, bb in {first} and zz in {second}. Such runs are never put in one table."
    assert line == f"left out: {second}: Task 'toy': {said}"


@pytest.mark.parametrize("copied", ["seed", "method"])
def test_a_record_that_is_a_copy_of_another_is_named_and_left_out(board, capsys, copied):
    record = record_of(board)
    content = json.loads(record.read_text())
    content[copied] = content["config"][copied] = 5 if copied == "seed" else "twin"
    content["config_hash"] = configuration.config_hash(content["config"])
    copy = board / file_name(content)
    copy.write_text(json.dumps(content | {"record_sha256": seal(content)}))
    shutil.copy(record.with_suffix(".npz"), copy.with_suffix(".npz"))
    (line,) = built(board, capsys, 1)
    first, second = sorted((record, copy))
    end = {
        "seed": ", which is of another seed or fold: one run is no two replicates.",
        "method": ", and so are its metrics: one network under two names.",
    }
    said = f"the scores of {second} are, to the byte, those of {first}{end[copied]}"
    assert line == f"left out: {second}: Task 'toy': {said}"


def refusal(board, run, capsys):
    """Try to add a run beside a sound one, which is added all the same; return the line of the refused one."""
    other = write_finished(board.parent, "another", 3)
    capsys.readouterr()
    assert main(["add", str(run), str(other), "--to", str(board)]) == 1
    assert (board / "toy" / f"another-{read_record(other).config_hash[:8]}-seed3.json").exists()
    line, last = capsys.readouterr().err.splitlines()
    assert last == "leaderboard: 1 of 2 runs refused, 1 added."
    return line


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("seed", 7, "field 'seed' is 7, and its config has 1"),
        ("method", "other", "field 'method' is other, and its config has sngp"),
        ("batch_size_global", 64, "field 'batch_size_global' is 64, and its config has 32"),
        ("model", "big", "field 'model' is big, and its config has mlp"),
    ],
)
def test_fields_that_the_configuration_denies_are_refused(board, capsys, field, value, message):
    run = run_of(board)
    write_json(run / "results.json", RunFolder(run).results | {field: value})
    assert refusal(board, run, capsys) == f"refused: {run}/results.json: {message}"


def change_saved(run, change, split="test"):
    folder = RunFolder(run)
    saved = folder.predictions(split)
    change(saved)
    folder.save_predictions(split, saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda saved: saved.pop("labels"), "there is no array 'labels'"),
        (lambda saved: saved.pop("element_id"), "there is no array 'element_id'"),
        (
            lambda saved: saved.update(log_probs=np.zeros((300, 4), np.int64)),
            "log_probs is int64 [300, 4], which is none of 300 examples",
        ),
        (
            lambda saved: saved.update({name: np.repeat(each[:1], 300, axis=0) for name, each in saved.items()}),
            "element_id 306 is there 300 times, and may be once",
        ),
        (
            lambda saved: saved.update(
                {name: np.repeat(each[:1], 300, axis=0) for name, each in saved.items() if name != "element_id"}
            ),
            "the 300 examples are one, repeated: all have the same predictions and label",
        ),
        (lambda saved: saved.update(element_id=saved["element_id"] + 0.5), "element_id must be an integer for each "),
        (lambda saved: saved.update(labels=saved["labels"] + 4), "there is a label 7, and there are 4 classes"),
        (lambda saved: saved.update(log_probs=saved["log_probs"] * np.nan), "log_probs has values that are no number"),
        (
            lambda saved: saved.update(labels=saved["labels"][1:]),
            "labels is int32 [299], which is none of 300 examples",
        ),
    ],
)
def test_predictions_that_are_none_are_refused(board, capsys, change, message):
    run = run_of(board)
    change_saved(run, change)
    assert refusal(board, run, capsys).startswith(f"refused: {run}: the predictions of 'test': {message}")


def test_labels_that_are_the_predictions_are_refused(board, capsys):
    run = run_of(board)
    record_of(board).unlink()
    change_saved(run, lambda saved: saved.update(labels=saved["log_probs"].argmax(axis=1).astype(np.int32)))
    results = RunFolder(run).results
    results["metrics"] |= evaluation.compute(RunFolder(run)).metrics
    assert results["metrics"]["test/accuracy"] == 1
    write_json(run / "results.json", results)
    assert "Task 'toy': examples['test'] differs, 300 with " in refusal(board, run, capsys)


def test_a_configuration_without_evaluation_is_refused(board, capsys):
    run = run_of(board)
    results = RunFolder(run).results
    del results["config"]["evaluation"]
    results["config_hash"] = configuration.config_hash(results["config"])
    write_json(run / "results.json", results)
    write_json(run / "config.json", results["config"])
    message = "results.json: field config['evaluation'] must be an object, not None"
    assert refusal(board, run, capsys) == f"refused: {run}/{message}"


def test_one_run_under_two_seeds_is_refused(board, capsys):
    """Predictions and configuration are written anew, as whoever wants more seeds can do."""
    run = run_of(board)
    folder = RunFolder(run)
    saved = {split.key: folder.predictions(split.key) for split in folder.task.splits}
    results = folder.results
    results["seed"] = results["config"]["seed"] = 9
    write_json(run / "config.json", results["config"])
    write_json(run / "results.json", results)
    for key, arrays in saved.items():
        RunFolder(run).save_predictions(key, arrays)
    line = refusal(board, run, capsys)
    same = f"the scores of {run} are, to the byte, those of {record_of(board)}"
    assert line == f"refused: Task 'toy': {same}, which is of another seed or fold: one run is no two replicates."


def test_unknown_fields_are_not_copied(tmp_path, capsys):
    run = write_finished(tmp_path, secret=SECRET)
    results = RunFolder(run).results
    results["provenance"] |= {"password": SECRET, "hardware": {"cpus": 2, "serial": SECRET}}
    results["tuned"] = {"a.b": {"chosen": 1, "values": [1, 2], "diary": SECRET}}
    write_json(run / "results.json", results)
    add([run], tmp_path / "boards")
    (record,) = tmp_path.glob("boards/*/*.json")
    assert SECRET not in record.read_text()
    assert read_record(record).tuned == {"a.b": {"chosen": 1, "values": [1, 2]}}


def test_runs_without_a_common_metric_have_no_difference(make_run, capsys):
    first, second = make_run("a", {"test/nll": 0.1}), make_run("b", {"test/ece": 0.1}, method="b")
    assert main(["diff", str(first), str(second)]) == 1
    assert capsys.readouterr().err == f"leaderboard: {first} and {second} have no metric in common.\n"


@pytest.mark.parametrize("task", ["x--><img/src=x>", "a b", "../../a", "README.md", "a\nb", "-a", "", "a" * 300])
def test_a_task_that_no_marker_can_name_is_refused(tmp_path, capsys, task):
    run = write_finished(tmp_path)
    results = RunFolder(run).results
    results["task"] = results["config"]["dataset"]["name"] = task
    write_json(run / "results.json", results)
    write_json(run / "config.json", results["config"])
    assert main(["add", str(run), "--to", str(tmp_path / "boards")]) == 1
    line = capsys.readouterr().err.splitlines()[0]
    assert line.startswith(f"refused: {run}/results.json: field 'task' must be a ")


def test_names_are_escaped_for_each_output(make_run, capsys):
    runs = [
        make_run("a", method="[x] <img src=x> $a$ *b*", config={"precision": "=1+1", "a": {"size": 4}}),
        make_run("b", method="@b", config={"precision": "-2"}),
        make_run("c", method="[c", config={"precision": "16"}),
    ]
    records = read_records(runs)
    markdown = render(records, metrics="test/nll")
    assert r"| \[x\] \<img src=x\> \$a\$ \*b\* |" in markdown
    latex = render(records, "latex", "test/nll")
    assert "\n{[}x] \\textless{}img" in latex
    assert not any(line.startswith(("[", "*")) for line in latex.splitlines())
    lines = list(csv.DictReader(io.StringIO(render(records, "csv", "test/nll"))))
    assert {line["method"] for line in lines} == {"[x] <img src=x> $a$ *b*", "'@b", "[c"}
    assert all(float(line["mean"]) == 0.05 for line in lines)


def test_a_negative_number_of_a_sheet_is_a_number(make_run):
    (line,) = csv.DictReader(io.StringIO(render(read_records([make_run("a", {"test/nll": -0.5})]), "csv")))
    assert line["mean"] == "-0.5"


@pytest.mark.parametrize("text", ["float32\n# big", "a\x1b[31m", "\u202eab"])
def test_what_cannot_be_printed_reaches_no_table(make_run, capsys, text):
    sound, other = make_run("a"), make_run("b", method="b", config={"precision": text})
    assert main([str(sound), str(other), "--format=terminal"]) == 1
    output = capsys.readouterr()
    message = f"field config['precision'] must be a printable text, not {text!r}"
    assert output.err == f"left out: {other}/results.json: {message}\n"
    assert "float32" not in output.out


def test_what_cannot_be_printed_of_a_path_is_escaped(make_run, capsys):
    folder = make_run("a\x1b[31m\n")
    (folder / "results.json").unlink()
    assert main([str(folder)]) == 1
    assert "\x1b" not in (error := capsys.readouterr().err)
    assert rf"unfinished: {folder.parent}/a\x1b[31m\n has no results, left out" in error.splitlines()


def test_a_command_of_several_lines_is_one(tmp_path):
    run = write_finished(tmp_path, provenance={"command": "python a.py 'x\ny' \x1b"})
    add([run], tmp_path / "boards")
    (record,) = read_records([tmp_path / "boards"])
    assert record.provenance["command"] == r"python a.py 'x\ny' '\x1b'"


ENTRY = {"task": "toy", "method": "SNGP", "model": "WRN", "source": "a paper", "metrics": {"test/nll": 0.1}}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            ENTRY | {"metrics": {"test/nll": "0.1"}},
            "field [1]['metrics']['test/nll'] must be a finite number, not '0.1'",
        ),
        (ENTRY | {"metrics": {"a\nb": 1}}, r"field [1]['metrics'][] must be a printable text, not 'a\nb'"),
        (ENTRY | {"source": "\x1b"}, r"field [1]['source'] must be a printable text, not '\x1b'"),
        (
            ENTRY | {"metrics": {"test/nll": 1e300}},
            "field [1]['metrics']['test/nll'] must be a number up to 1e+30, not ",
        ),
        ([], "field [1] must be an object, not []"),
        ({"task": "toy"}, "field [1]['method'] is missing"),
    ],
)
def test_a_published_entry_that_is_none_is_named_and_left_out(board, capsys, entry, message):
    (board / "published.json").write_text(json.dumps([ENTRY | {"secret": SECRET}, entry]))
    (line,) = built(board, capsys, 1)
    assert line.startswith(f"left out: {board}/published.json: {message}")
    assert "| SNGP | WRN | 0.1 | a paper |" in (board / "README.md").read_text()
    assert not any(SECRET in text for text in published_texts(board))


@pytest.mark.parametrize("text", ["{}", "[", "[1" + "0" * 400 + "]", "[NaN]", "[" * 100_000, "\ud800"])
def test_a_file_of_published_results_that_is_none_is_named_and_left_out(board, capsys, text):
    (board / "published.json").write_bytes(text.encode(errors="surrogatepass"))
    (line,) = built(board, capsys, 1)
    assert line.startswith(f"left out: {board}/published.json: ")
    assert (board / "README.md").exists()


def test_a_card_in_another_encoding_is_left_alone(board, capsys):
    (board / "toy" / "cards").mkdir()
    (board / "toy" / "cards" / "mine.md").write_bytes(b"\xe4hnlich")
    assert built(board, capsys, 0) == []
    assert (board / "toy" / "cards" / "mine.md").read_bytes() == b"\xe4hnlich"


def test_cards_of_names_that_look_alike_are_several(tmp_path, capsys):
    for method in ("a/b", "a_b", "A_b", "c"):
        write_finished(tmp_path, method)
    board = tmp_path / "boards"
    add([tmp_path / "runs"], board)
    assert built(board, capsys, 0) == []
    (table,) = tables(read_records([board]))
    titles = [(board / path).read_text().splitlines()[2] for path in cards.paths([table])["toy"]]
    assert titles == [f"# {name} on toy" for name in ("A_b", "a/b", "a_b", "c")]
    assert len({path.lower() for path in cards.paths([table])["toy"]}) == 4
    assert "toy/cards/c.md" in cards.paths([table])["toy"]


def test_an_updated_link_stays_a_link_and_its_file_keeps_its_mode_and_line_ends(board, capsys):
    target = board.parent / "there" / "text.md"
    target.parent.mkdir()
    target.write_bytes(b"A\r\n<!-- leaderboard: toy test/nll -->\r\n<!-- end -->\r\n")
    target.chmod(0o664)
    link = board.parent / "README.md"
    link.symlink_to(target)
    assert main([str(board), "--update", str(link)]) == 0
    assert main([str(board), "--check", str(link)]) == 0
    assert link.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o664
    assert b"| sngp" in target.read_bytes()
    assert target.read_bytes().count(b"\n") == target.read_bytes().count(b"\r\n")


def test_a_record_of_before_has_no_fingerprint_and_check_says_so(board, capsys):
    record = record_of(board)
    arrays = dict(np.load(record.with_suffix(".npz")))
    del arrays["labels"]
    np.savez(record.with_suffix(".npz"), **arrays)

    def older(content):
        del content["examples"]
        content["scores"]["sha256"] = hashlib.sha256(record.with_suffix(".npz").read_bytes()).hexdigest()

    edit(record, older)
    built(board, capsys, 0)
    assert main(["check", "--folder", str(board)]) == 0
    said = "1 of 4 records are of before, and have no fingerprint of their labels\n"
    assert capsys.readouterr().out == said


def test_links_out_of_a_folder_of_runs_are_named_and_not_followed(make_run, tmp_path, capsys):
    run, other = make_run("runs/a"), make_run("elsewhere/b")
    (tmp_path / "runs" / "b").symlink_to(other)
    assert [record.folder for record in read_records([tmp_path / "runs"])] == [run]
    said = f"a link leads out of {tmp_path}/runs; to read what is there, name it"
    assert capsys.readouterr().err == f"left out: {tmp_path}/runs/b: {said}\n"
    assert len(read_records([tmp_path / "runs" / "b"])) == 1
