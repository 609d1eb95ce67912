"""Adding runs to the records: what is kept, what is refused, and that nothing is lost."""

import copy
import hashlib
import json
import multiprocessing
import re
import shlex
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats

from tests.leaderboard.conftest import EVALUATION
from tests.tiny import probs_of
from uncertainty_suite import evaluation, metrics
from uncertainty_suite.errors import InputError
from uncertainty_suite.leaderboard import add, load_scores, read_record, read_records, store
from uncertainty_suite.leaderboard.__main__ import main
from uncertainty_suite.leaderboard.records import load_labels
from uncertainty_suite.leaderboard.scores import digest
from uncertainty_suite.runs import RunFolder


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refusal(folder, to, capsys, **options):
    """Return the line with which a run is refused."""
    with pytest.raises(InputError, match=r"^1 of 1 runs refused, 0 added\.$"):
        add([folder], to, **options)
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_record_says_what_its_run_says(make_finished, tmp_path):
    run = make_finished("sngp", seed=2)
    add([run], tmp_path / "boards")
    (record,) = read_records([tmp_path / "boards"])
    original = read_record(run)
    name = f"sngp-{original.config_hash[:8]}-seed2"
    assert record.folder == tmp_path / "boards" / "toy" / f"{name}.json"
    assert not record.is_run
    assert record.metrics == original.metrics
    assert record.config == original.config
    assert record.provenance["revision"] == "abc"
    sizes = {path.name: path.stat().st_size for path in record.folder.parent.iterdir()}
    assert sizes.keys() == {f"{name}.json", f"{name}.npz"}
    assert sizes[f"{name}.npz"] < 4000


def test_scores_are_those_of_the_predictions(make_finished, tmp_path):
    run = make_finished()
    add([run], tmp_path / "boards")
    (record,) = read_records([tmp_path / "boards"])
    scores = load_scores(record)
    saved = RunFolder(run).predictions("test")
    order = np.argsort(saved["element_id"])
    np.testing.assert_array_equal(scores["element_id"], saved["element_id"][order])
    probs, labels = probs_of(saved)[order], saved["labels"][order]
    np.testing.assert_array_equal(scores["accuracy"], probs.argmax(axis=1) == labels)
    np.testing.assert_allclose(scores["nll"], -np.log(probs[np.arange(len(labels)), labels]), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(scores["confidence"], probs.max(axis=1), atol=1e-5)
    assert scores.keys() == {"element_id", "accuracy", "nll", "brier", "confidence"}
    for name in ("accuracy", "nll", "brier"):
        np.testing.assert_allclose(scores[name].mean(), record.metrics[f"test/{name}"], rtol=2e-4)
    assert load_scores(read_record(run)) is None


def test_curves_are_those_of_the_predictions(make_finished, tmp_path):
    run = make_finished()
    add([run], tmp_path / "boards")
    (record,) = read_records([tmp_path / "boards"])
    bins = record.curves["reliability"]
    assert sum(count for count, _, _ in bins) == 300
    gaps = sum(count / 300 * abs(accuracy - confidence) for count, confidence, accuracy in bins)
    np.testing.assert_allclose(gaps, record.metrics["test/ece"], atol=1e-4)
    np.testing.assert_allclose(record.curves["risk_coverage"][-1], 1 - record.metrics["test/accuracy"], atol=1e-5)
    splits = ("test", "shift/fog_1", "shift/fog_3")
    errors = sum(300 * (1 - record.metrics[f"{split}/accuracy"]) for split in splits)
    ood = len(RunFolder(run).predictions("ood/photos")["element_id"])
    failures = record.curves["failures"]["max_prob"]
    np.testing.assert_allclose(failures[-1], (errors + ood) / (3 * 300 + ood), atol=1e-5)
    assert record.curves["confidence"].keys() == {"test", "ood/photos"}
    np.testing.assert_allclose([sum(parts) for parts in record.curves["confidence"].values()], 1, atol=1e-3)


def test_adding_again_changes_nothing(make_finished, tmp_path):
    run = make_finished()
    add([run], tmp_path / "boards")
    before = {path: path.read_bytes() for path in tmp_path.glob("boards/*/*")}
    (line,) = add([run], tmp_path / "boards")
    assert line.endswith("is there already")
    assert {path: path.read_bytes() for path in tmp_path.glob("boards/*/*")} == before


def test_another_result_of_the_same_experiment_needs_replace(make_finished, tmp_path, capsys):
    run, to = make_finished(), tmp_path / "boards"
    add([run], to)
    edit(run / "results.json", provenance={"revision": "def", "command": "python x.py"})
    line = refusal(run, to, capsys)
    assert "is there and says something else (provenance.command: " in line
    assert line.endswith("See --replace.")
    add([run], to, replace=True)
    assert [record.provenance["revision"] for record in read_records([to])] == ["def"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "field 'schema_version' is 2, this leaderboard reads 1 to 1"),
        ({"protocol_version": 9}, "field 'protocol_version' is 9, known: 1 to 2"),
        ({"config_hash": "0" * 16}, "field 'config_hash' is 0000000000000000, and its config has "),
        ({"likelihood": {"name": "gaussian"}}, "field 'likelihood' is not that of "),
        ({"splits": []}, "field 'splits' is not that of "),
        ({"in_distribution": "shift/fog_1"}, "field 'in_distribution' is not that of "),
        ({"provenance": {"rollbacks": [{}]}}, "its training was rolled back, so its learning rate is not its config"),
        ({"metrics": {}}, "field metrics['test/accuracy'] is missing, and its predictions give 0."),
        ({"metrics": {"test/nll": 1e300}}, "field metrics['test/nll'] must be a number up to 1e+30, not 1e+300"),
    ],
)
def test_a_run_that_is_not_what_it_says_is_refused(make_finished, tmp_path, capsys, changes, message):
    run = make_finished()
    edit(run / "results.json", **changes)
    assert refusal(run, tmp_path / "boards", capsys).startswith(f"refused: {run}/results.json: {message}")
    assert not list(tmp_path.glob("boards/*/*"))


def test_a_metric_that_its_predictions_do_not_give_is_refused(make_finished, tmp_path, capsys):
    run = make_finished()
    metrics = dict(read_record(run).metrics)
    edit(run / "results.json", metrics=metrics | {"test/nll": metrics["test/nll"] * 1.0001})
    message = r"field metrics\['test/nll'\] is 0\.\d+, and its predictions give 0\.\d+$"
    assert re.search(message, refusal(run, tmp_path / "boards", capsys))


@pytest.mark.parametrize(
    ("name", "examples", "same"),
    [
        ("ood/far/vim/auroc", 0.4, True),
        ("ood/mnist/knn(k=5)/tuned/auroc", 0.4, True),
        ("ood/far/vim/auroc", 2, False),
        ("ood/far/energy/auroc", 0.4, False),
        ("ood/far/auroc", 0.4, False),
        ("test/accuracy", 0.4, False),
    ],
)
def test_only_scores_that_are_fitted_on_features_may_differ_by_an_example(name, examples, same):
    record = SimpleNamespace(
        metrics={name: 0.5 - examples / 1000}, config={"evaluation": {"ood_scores": ("vim", "knn(k=5)", "energy")}}
    )
    splits = {"test": {"num_examples": 2000}, "ood/mnist": {"num_examples": 1000}}
    if same:
        assert store._recomputed("run", record, {name: 0.5}, splits) == record.metrics
    else:
        with pytest.raises(InputError, match=r"and its predictions give 0\.5"):
            store._recomputed("run", record, {name: 0.5}, splits)


def test_a_metric_that_the_configuration_does_not_name_is_left_out(make_finished, tmp_path, capsys):
    run = make_finished()
    edit(run / "results.json", metrics={**read_record(run).metrics, "test/mce": 0.5})
    add([run], tmp_path / "boards")
    assert capsys.readouterr().err.endswith("not in its configuration, left out: test/mce\n")
    assert "test/mce" not in read_records([tmp_path / "boards"])[0].metrics


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"data_fingerprint": {"train": "aa", "test": "ZZ"}}, "data_fingerprint['test'] differs"),
        ({"data_fingerprint": {"train": "ZZ", "test": "bb"}}, "data_fingerprint['train'] differs"),
    ],
)
def test_records_of_other_data_are_never_merged(make_finished, tmp_path, capsys, changes, field):
    to = tmp_path / "boards"
    add([make_finished()], to)
    line = refusal(make_finished("sngp", **changes), to, capsys)
    assert f"refused: Task 'toy': {field}, " in line
    assert len(read_records([to])) == 1


def test_predictions_of_other_examples_are_refused(make_finished, tmp_path, capsys):
    to, run = tmp_path / "boards", make_finished("sngp")
    add([make_finished()], to)
    path = run / "predictions" / "test.npz"
    saved = dict(np.load(path))
    np.savez(path, **saved | {"element_id": saved["element_id"] + 1})
    assert "Task 'toy': element_id of 'test' differs, " in refusal(run, to, capsys)


def test_other_labels_are_refused(make_finished, tmp_path, capsys):
    to, run = tmp_path / "boards", make_finished("sngp")
    add([make_finished()], to)
    folder = RunFolder(run)
    saved = folder.predictions("ood/photos")
    folder.save_predictions("ood/photos", saved | {"labels": saved["labels"] + 1})  # which count for nothing there
    saved = folder.predictions("test")
    labels = saved["labels"].copy()
    first, second = np.argsort(labels)[[0, -1]]
    labels[[first, second]] = labels[[second, first]]
    folder.save_predictions("test", saved | {"labels": labels})
    edit(run / "results.json", metrics=read_record(run).metrics | evaluation.compute(RunFolder(run)).metrics)
    assert "Task 'toy': examples['test'] differs, 300 with " in refusal(run, to, capsys)
    folder.save_predictions("test", saved)
    edit(run / "results.json", metrics=read_record(run).metrics | evaluation.compute(RunFolder(run)).metrics)
    assert len(add([run], to)) == 1


def test_means_over_other_sets_are_refused(make_finished, tmp_path, capsys):
    to = tmp_path / "boards"
    add([make_finished()], to)
    other = copy.deepcopy(EVALUATION) | {"corruptions": ["fog", "snow"]}
    line = refusal(make_finished("sngp", config={"evaluation": other}), to, capsys)
    assert re.search(
        r"'toy': what shift/mean is made of differs, .* and with shift/snow_1 \(all\), shift/snow_3 ", line
    )
    fewer = copy.deepcopy(EVALUATION) | {"shift_examples": 100, "ood_far": []}
    line = refusal(make_finished("sngp", config={"evaluation": fewer}), to, capsys)
    assert " and with shift/fog_1 (100), shift/fog_3 (100) in " in line


def test_a_record_keeps_labels_and_what_was_tuned(make_finished, tmp_path):
    tuned = {"sngp.mean_field_factor": {"values": [0.1, 1.0], "chosen": 1.0, "criterion": "nll", "split": "validation"}}
    run = make_finished(tuned=tuned)
    add([run, make_finished(task="uci/yacht", fold=3, regression=True)], tmp_path / "boards")
    first, second = read_records([tmp_path / "boards"])
    assert (first.tuned, second.tuned) == (tuned, {})
    for record, folder in ((first, run), (second, next(tmp_path.glob("runs/uci_yacht/*")))):
        saved = RunFolder(folder).predictions("test")
        ids, labels = load_labels(record)
        order = np.argsort(saved["element_id"])
        np.testing.assert_array_equal(ids, saved["element_id"][order])
        np.testing.assert_array_equal(labels, saved["labels"][order])
        assert record.examples["test"] == digest(saved["element_id"], saved["labels"])
    assert first.examples.keys() == {"test", "ood/photos"}
    assert load_labels(read_record(run)) is None


def test_a_digest_is_of_pairs_in_any_order():
    ids, labels = np.array([4, 9, 2]), np.array([1, 0, 1])
    one = digest(ids, labels)
    assert digest(ids[::-1], labels[::-1].astype(np.int32)) == one
    assert one["num_examples"] == 3
    others = [digest(ids, labels[::-1] * 2), digest(ids), digest(ids + 1, labels), digest(ids, labels.astype(float))]
    assert len({each["sha256"] for each in [one, *others]}) == 5


def test_the_others_are_added_when_one_is_refused(make_finished, tmp_path, capsys):
    good, bad = make_finished(), make_finished("sngp", protocol_version=9)
    assert main(["add", str(bad), str(good), "--to", str(tmp_path / "boards")]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"refused: {bad}/results.json: ")
    assert second == "leaderboard: 1 of 2 runs refused, 1 added."
    assert len(read_records([tmp_path / "boards"])) == 1


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        (
            "python /home/jo/suite/baselines/a.py --config=/x/configs/t/a.py:big",
            "python baselines/a.py --config=configs/t/a.py:big",
        ),
        ("python baselines/a.py --output_dir=/tmp/x/run --n=1/2", "python baselines/a.py --output_dir=run --n=1/2"),
        ("python a.py --output_dir=~/runs/b --data_dir '/my data/sets'", "python a.py --output_dir=b --data_dir sets"),
        ("python a.py --x=\"('/home/jo/a', 'b')\"", "python a.py '--x=('\"'\"'a'\"'\"', '\"'\"'b'\"'\"')'"),
        ("python C:\\Users\\jo\\a.py --to=gs://bucket/a", "python a.py --to=gs://bucket/a"),
        (f"python {shlex.quote(str(store._ROOT))}/benchmarks/b.py", "python benchmarks/b.py"),
        ("python 'unfinished /home/jo/a", "python 'unfinished a"),
    ],
)  # fmt: skip
def test_no_path_of_a_machine_gets_into_a_record(make_finished, tmp_path, command, kept):
    if "C:" in command:
        command = command.replace("\\", "\\\\")
    add(
        [make_finished(provenance={"command": command, "config_file": "/home/jo/secret", "note": "mine"})],
        tmp_path / "boards",
    )
    (record,) = read_records([tmp_path / "boards"])
    assert record.provenance == {"command": kept, "config_file": "secret"}


def test_a_configuration_with_a_path_is_refused(make_finished, tmp_path, capsys):
    run = make_finished(config={"weights": {"from": "/home/jo/a.h5"}})
    message = "config.weights.from is a path of one machine, which no record may hold"
    assert refusal(run, tmp_path / "boards", capsys).endswith(message)


def test_a_method_cannot_write_outside_of_the_folder(make_finished, tmp_path):
    add([make_finished("../../a/<script>")], tmp_path / "boards")
    (path,) = tmp_path.rglob("*-seed0.json")
    assert path.parent == tmp_path / "boards" / "toy"
    assert re.fullmatch(r"[\w.-]+", path.name)
    assert read_record(path).method == "../../a/<script>"


def damaged(record, kind):
    text = record.read_text()
    if kind == "truncated":
        record.write_text(text[:-100])
    elif kind == "edited":
        record.write_text(re.sub(r'("test/nll": 0\.)\d', r"\g<1>0", text))
    elif kind == "renamed":
        record = record.rename(record.with_name(record.name.replace("seed1", "seed7")))
        record.with_name(record.name.replace("seed7", "seed1")).with_suffix(".npz").rename(record.with_suffix(".npz"))
    elif kind == "scores":
        record.with_suffix(".npz").write_bytes(b"PK")
    elif kind == "no scores":
        record.with_suffix(".npz").unlink()
    elif kind == "stale":
        content = json.loads(text) | {"protocol_version": 0}
        record.write_text(json.dumps(content | {"record_sha256": store.seal(content)}))
    elif kind == "foreign":
        content = json.loads(text)
        content["data_fingerprint"]["test"] = "other"
        record.write_text(json.dumps(content | {"record_sha256": store.seal(content)}))
    return record


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated", "not a record ("),
        ("edited", "was changed after it was added (record_sha256 differs)"),
        ("renamed", "holds what belongs into toy/sngp-"),
        ("scores", "the file is not the file that was added"),
        ("no scores", "the file is missing"),
        ("stale", "field 'protocol_version' is 0, known: 1 to 2"),
        ("foreign", "data_fingerprint['test'] is other, and bb in the other records of 'toy'"),
    ],
)
def test_a_damaged_record_is_named_in_a_line_and_the_others_are_shown(boards, capsys, kind, message):
    (record,) = boards.glob("toy/sngp-*-seed1.json")
    record = damaged(record, kind)
    assert main([str(boards), "--metrics=test/nll"]) == 1
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert line.startswith(f"left out: {record}: ")
    assert message in line
    assert "| sngp          |     2 |" in output.out
    assert "### other" in output.out


def _add(run, to):
    add([run], to)


def test_processes_that_add_at_once_lose_nothing(make_finished, tmp_path):
    to = tmp_path / "boards"
    runs = [make_finished(seed=seed) for seed in range(6)] + [make_finished(seed=0)]
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_add, args=(run, to)) for run in runs]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 7
    assert [record.seed for record in read_records([to])] == list(range(6))


def test_who_adds_waits_for_who_is_adding(make_finished, tmp_path):
    """Without the lock two processes could each find nothing to disagree with, and add what does not go together."""
    to = tmp_path / "boards"
    to.mkdir()
    process = multiprocessing.get_context("fork").Process(target=_add, args=(make_finished(), to))
    with store._locked(to):
        process.start()
        process.join(timeout=1)
        assert process.is_alive()
        assert not list(to.glob("*/*.json"))
    process.join(timeout=30)
    assert len(read_records([to])) == 1


def test_scores_of_regression_are_those_of_the_predictions(make_finished, tmp_path):
    run = make_finished(task="uci/yacht", fold=3, regression=True)
    add([run], tmp_path / "boards")
    (record,) = read_records([tmp_path / "boards"])
    assert record.folder.parent.name == "uci_yacht"
    assert re.fullmatch(r"deterministic-[0-9a-f]{8}-fold3-seed0\.json", record.folder.name)
    assert record.likelihood == {"name": "gaussian", "mean": 0.0, "stddev": 2.0}
    scores = load_scores(record)
    assert scores.keys() == {"element_id", "rmse", "gaussian_nll", "crps", "stddev"}
    saved = RunFolder(run).predictions("test")
    order = np.argsort(saved["element_id"])
    predictions, labels = (saved["mean"][:, order], saved["stddev"][:, order]), saved["labels"][order]
    for name in ("gaussian_nll", "crps"):
        expected = metrics.per_example(name, predictions, labels)
        np.testing.assert_allclose(scores[name], expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(scores["rmse"], (predictions[0].mean(axis=0) - labels) ** 2, rtol=1e-6)
    mixture = np.sqrt((predictions[1] ** 2).mean(axis=0) + predictions[0].var(axis=0))
    np.testing.assert_allclose(scores["stddev"], mixture, rtol=1e-6)


def test_curves_of_regression_are_shares_below_quantiles(make_finished, tmp_path):
    run = make_finished(regression=True)
    add([run], tmp_path / "boards")
    (record,) = read_records([tmp_path / "boards"])
    assert record.curves.keys() == {"quantiles"}
    levels, shares = np.transpose(record.curves["quantiles"])
    np.testing.assert_allclose(levels, np.arange(1, 20) / 20)
    saved = RunFolder(run).predictions("test")
    below = scipy.stats.norm.cdf(saved["labels"], saved["mean"], saved["stddev"]).mean(axis=0) < 0.25
    assert shares[4] == pytest.approx(below.mean(), abs=1e-5)
    assert (np.diff(shares) >= 0).all()


def test_folds_have_examples_of_their_own(make_finished, tmp_path, capsys):
    to = tmp_path / "boards"
    add([make_finished(fold=fold, regression=True) for fold in (0, 1)], to)
    other = make_finished("sngp", fold=1, regression=True)
    saved = RunFolder(other).predictions("test")
    RunFolder(other).save_predictions("test", saved | {"element_id": saved["element_id"] + 1})
    assert "Task 'toy': element_id of 'test' of fold 1 differs, " in refusal(other, to, capsys)
    assert [record.replicate for record in read_records([to])] == [(0, 0), (1, 0)]


def test_a_record_has_known_fields_alone(make_finished, tmp_path):
    run = make_finished()
    edit(run / "results.json", note="of mine")
    add([run], tmp_path / "boards")
    (path,) = tmp_path.glob("boards/*/*.json")
    content = json.loads(path.read_text())
    assert "note" not in content
    assert content["in_distribution"] == "test"
    assert [split["role"] for split in content["splits"]] == ["test", "far_ood", "shift", "shift"]


def test_records_of_before_are_read(make_finished, tmp_path):
    """They name no likelihood and no splits, and the array of what is right has another name."""
    add([make_finished()], tmp_path / "boards")
    (path,) = tmp_path.glob("boards/*/*.json")
    now = read_record(path)
    arrays = dict(np.load(path.with_suffix(".npz")))
    arrays["correct"] = arrays.pop("accuracy")
    np.savez(path.with_suffix(".npz"), **arrays)
    content = json.loads(path.read_text())
    for field in ("likelihood", "splits", "in_distribution", "left_out"):
        del content[field]
    content["scores"]["sha256"] = hashlib.sha256(path.with_suffix(".npz").read_bytes()).hexdigest()
    path.write_text(json.dumps(content | {"record_sha256": store.seal(content)}))
    record = read_record(path)
    assert record.likelihood == {"name": "categorical"}
    assert (record.splits, record.in_distribution) == (now.splits, "test")
    assert load_scores(record)["accuracy"].mean() == pytest.approx(record.metrics["test/accuracy"])
