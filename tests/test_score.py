"""`python -m uncertainty_suite.score`: runs of predictions that were made elsewhere."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import sklearn.metrics
from scipy.special import log_softmax, softmax

from tests.conftest import ROOT
from tests.leaderboard.conftest import NUM_EXAMPLES, write_finished
from uncertainty_suite import datasets, evaluation
from uncertainty_suite.errors import InputError
from uncertainty_suite.leaderboard import add, read_record, read_records
from uncertainty_suite.leaderboard.tables import tables
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.score import main, score

TASK = """
from ml_collections import ConfigDict

def get_config():
    config = ConfigDict({"batch_size": 64, "epochs": 1})
    config.dataset = ConfigDict({"name": "digits", "validation_percent": 0.1})
    config.model = ConfigDict({"name": "mlp"})
    config.optimizer = ConfigDict({"name": "adam", "learning_rate": 0.1})
    config.evaluation = ConfigDict({"splits": ("test", "validation"), "posthoc": ("temperature_scaling",)})
    config.evaluation.ood_far = ("digits/photos", "digits/noise")
    config.evaluation.ood_scores = ("energy", "knn")
    config.evaluation.corruptions = ("contrast",)
    config.evaluation.severities = (1, 5)
    return config
"""


@pytest.fixture(scope="module")
def mnist_records(tmp_path_factory):
    """Records of two methods on a task of that name with 300 examples of four classes, and a run of one of them."""
    root = tmp_path_factory.mktemp("records")
    runs = [write_finished(root, method, seed, task="mnist") for method in ("a", "b") for seed in (0, 1)]
    add(runs, root / "leaderboards")
    return root / "leaderboards", RunFolder(runs[0])


@pytest.fixture
def mine(mnist_records):
    """Predictions of that run as somebody else would have them: in an order of their own."""
    run = mnist_records[1]
    saved = run.predictions("test")
    rows = np.random.default_rng(0).permutation(NUM_EXAMPLES)
    probs = run.task.likelihood.metric_input(saved)[rows]
    return {"probs": probs, "element_id": saved["element_id"][rows], "labels": saved["labels"][rows]}


def test_a_file_becomes_a_row_with_tests_without_slow_imports(mnist_records, mine, tmp_path):
    records, run = mnist_records
    np.savez(tmp_path / "mine.npz", probs=mine["probs"], element_id=mine["element_id"])
    code = (
        "import sys; from uncertainty_suite import score; status = score.main(sys.argv[1:]);"
        "sys.exit(7 if {'tensorflow', 'keras', 'scipy.stats'} & set(sys.modules) else status)"
    )
    to = shutil.copytree(records, tmp_path / "leaderboards")
    arguments = [tmp_path / "mine.npz", "--task=mnist", "--method=mine", "--add", f"--records={to}"]
    arguments += [f"--output_dir={tmp_path / 'run'}"]
    process = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert "| mine " in process.stdout
    assert "what the tests do not tell from it" in process.stdout
    (record,) = [record for record in read_records([to]) if record.method == "mine"]
    assert record.metrics["test/nll"] == pytest.approx(run.results["metrics"]["test/nll"], rel=1e-6)
    assert record.provenance["trained_here"] is False
    assert record.data_fingerprint == {"test": "bb"}
    assert record.model == "unknown"
    assert "failure/max_prob/augrc" in record.left_out  # that of others is over shifted and OOD sets, too


def test_metrics_are_those_of_the_probabilities(mnist_records, mine, tmp_path):
    run = score(mine, "mnist", "mine", output_dir=tmp_path / "run", records=mnist_records[0])
    nll = sklearn.metrics.log_loss(mine["labels"], mine["probs"], labels=range(4))
    assert run.results["metrics"]["test/nll"] == pytest.approx(nll, rel=1e-6)
    saved = run.predictions("test")
    np.testing.assert_array_equal(saved["element_id"], np.sort(mine["element_id"]))
    assert evaluation.compute(run).metrics == run.results["metrics"]


def test_logits_say_what_probabilities_say_and_samples_disagree(mnist_records, mine, tmp_path):
    logits = np.log(mine["probs"]) + np.random.default_rng(1).normal(0, 1, (3, 1, 4))
    ids = mine["element_id"]

    def run(name, **arrays):
        return score({**arrays, "element_id": ids}, "mnist", name, output_dir=tmp_path / name, records=mnist_records[0])

    a, b = run("a", logits=logits), run("b", probs=softmax(logits, axis=-1))
    expected = log_softmax(logits, axis=-1)
    nll = -np.log(np.exp(expected).mean(axis=0))[np.arange(NUM_EXAMPLES), mine["labels"]].mean()
    for each, kept in ((a, "logits"), (b, "samples")):
        assert each.results["metrics"]["test/nll"] == pytest.approx(nll, rel=1e-5)
        saved = each.predictions("test")
        assert saved[kept].shape == (3, NUM_EXAMPLES, 4)
        assert saved["uncertainty/mutual_information"].max() > 0
        assert each.config["evaluation"]["save"] == [kept]
    np.testing.assert_allclose(a.predictions("test")["logits"], logits[:, np.argsort(ids)])


def changed(arrays, **changes):
    return {name: values for name, values in {**arrays, **changes}.items() if values is not None}


def with_value(array, index, value):
    array = array.copy()
    array[index] = value
    return array


REFUSED = {
    "ids in another order": (
        lambda a: changed(a, element_id=np.roll(a["element_id"], 1)),
        "other labels than the task for ",
    ),
    "ids in another order, without labels": (
        lambda a: changed(a, element_id=np.roll(a["element_id"], 1), labels=None),
        "as if element_id were permuted",
    ),
    "rows in the task's order, ids not": (
        lambda a: changed(
            a, probs=a["probs"][np.argsort(a["element_id"])], element_id=np.sort(a["element_id"])[::-1], labels=None
        ),
        "the rows fit the labels in the task's order and not by their element_id",
    ),
    "other labels": (lambda a: changed(a, labels=(a["labels"] + 1) % 4), "for 300 of 300 examples"),
    "labels that are no classes": (lambda a: changed(a, labels=a["labels"] + 0.5), "must be integers"),
    "NaN": (lambda a: changed(a, probs=with_value(a["probs"], (5, 1), np.nan)), "the value at (5, 1) is nan"),
    "infinite logits": (
        lambda a: changed(a, probs=None, logits=with_value(np.log(a["probs"]), (5, 1), -np.inf)),
        "the value at (5, 1) is -inf",
    ),
    "missing rows": (lambda a: {name: each[1:] for name, each in a.items()}, "lacks 1 of the task's 300 examples"),
    "fewer rows than ids": (lambda a: changed(a, probs=a["probs"][1:]), "300 values for 299 rows"),
    "a row twice": (
        lambda a: changed(a, element_id=with_value(a["element_id"], 0, a["element_id"][1])),
        "is there twice",
    ),
    "another id": (
        lambda a: changed(a, element_id=with_value(a["element_id"], 0, 9999)),
        "element_id 9999, which is none of the task's 300 examples",
    ),
    "no ids": (lambda a: changed(a, element_id=None), "has no element_id"),
    "other classes": (
        lambda a: changed(a, probs=np.full((300, 5), 0.2)),
        "has 5 classes, and the task has 4",
    ),
    "logits by the name of probs": (lambda a: changed(a, probs=np.log(a["probs"])), "must be probabilities"),
    "probs by the name of logits": (lambda a: changed(a, probs=None, logits=a["probs"]), "Name them probs"),
    "probs of half precision by the name of logits": (
        lambda a: changed(a, probs=None, logits=a["probs"].astype(np.float16)),
        "are probabilities: each row sums to one. Name them probs.",
    ),
    "log-probabilities by the name of logits": (
        lambda a: changed(a, probs=None, logits=np.log(a["probs"]).astype(np.float32)),
        "are log-probabilities: the exponentials of each row sum to one",
    ),
    "probs and logits": (lambda a: changed(a, logits=np.log(a["probs"])), "both probs and logits of 'test'"),
    "another name": (lambda a: changed(a, prob=a["probs"]), "Unknown array in "),
    "another split": (lambda a: changed(a, **{"shift/fgo_3/probs": a["probs"]}), "the task no split 'shift/fgo_3'"),
    "a split twice": (lambda a: changed(a, **{"test/probs": a["probs"]}), "are of the same split"),
    "no test": (lambda a: {f"shift/fog_3/{name}": each for name, each in a.items()}, "no predictions of 'test'"),
    "samples of one split alone": (
        lambda a: {
            **{f"shift/fog_3/{name}": each for name, each in a.items()},
            **a,
            "probs": np.stack([a["probs"]] * 2),
        },
        "one sample of 'test' or 'shift/fog_3', and several of the other",
    ),
    "a shift with other labels": (
        lambda a: {**a, **{f"shift/fog_3/{name}": each for name, each in changed(a, labels=a["labels"][::-1]).items()}},
        "shift/fog_3 has other labels than the task",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_refused_in_one_line(case, mnist_records, mine, tmp_path, capsys):
    change, message = REFUSED[case]
    path = tmp_path / "mine.npz"
    np.savez(path, **change(mine))
    records, folder = str(mnist_records[0]), tmp_path / "run"
    assert main([str(path), "--task=mnist", "--method=a", "--records", records, "--output_dir", str(folder)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("score: ")
    assert message in error
    assert error.count("\n") == 1
    assert not folder.exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY", None])
def test_a_file_that_cannot_be_read_is_refused(content, tmp_path):
    path = tmp_path / "mine.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^Cannot read {path} \(.*\)\. It must be as numpy\.savez writes it\.$"):
        score(path, "mnist", "mine")


def test_what_a_file_unpacks_to_is_known_before_it_is_read(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, probs=np.zeros(10**8, np.uint8))
    with pytest.raises(InputError) as error:
        score(path, "mnist", "mine")
    assert str(error.value) == (
        f"Cannot read {path} (its {path.stat().st_size} bytes declare arrays of 100000128 bytes, of at most 67108864). "
        "It must be as numpy.savez writes it."
    )


def test_an_unknown_task_is_refused(mine):
    with pytest.raises(InputError, match=r"Unknown task 'minst'\. Did you mean 'mnist'\?"):
        score(mine, "minst", "mine")


def test_seeds_are_one_row_and_folders_are_not_overwritten(mnist_records, mine, tmp_path):
    records = mnist_records[0]
    first = score(mine, "mnist", "mine", output_dir=tmp_path / "0", records=records)
    other = changed(mine, probs=0.9 * mine["probs"] + 0.025)
    second = score(other, "mnist", "mine", seed=1, output_dir=tmp_path / "1", records=records)
    (table,) = tables([read_record(first.path), read_record(second.path)])
    assert [row.seeds for row in table.rows] == [(0, 1)]
    assert score(mine, "mnist", "mine", output_dir=tmp_path / "0", records=records).results["seed"] == 0
    with pytest.raises(InputError, match=r"was made from other predictions\. Delete it, or"):
        score(other, "mnist", "mine", output_dir=tmp_path / "0", records=records)
    with pytest.raises(InputError, match=r"belongs to another run \(method: mine -> yours\)"):
        score(mine, "mnist", "yours", output_dir=tmp_path / "0", records=records)


def test_one_that_was_killed_while_it_was_made_is_made_again(mnist_records, mine, tmp_path):
    run = score(mine, "mnist", "mine", output_dir=tmp_path / "run", records=mnist_records[0])
    before = run.results["metrics"]
    for name in ("results", "provenance", "task"):
        (run.path / f"{name}.json").unlink()
    (run.path / ".task.json.0123abcd.partial").write_text("{")
    again = score(mine, "mnist", "mine", output_dir=tmp_path / "run", records=mnist_records[0])
    assert again.results["metrics"] == before
    assert not list(run.path.glob(".*"))


# Where there are no records, the data say what is right.


@pytest.fixture
def digits(tmp_path):
    """A task, and predictions of all its splits in reverse order."""
    path = tmp_path / "task.py"
    path.write_text(TASK)
    rng = np.random.default_rng(0)
    arrays = {}
    for key, name in {
        "test": "test",
        "validation": "validation",
        "shift/contrast_1": "test",
        "shift/contrast_5": "test",
        "ood/photos": "photos",
        "ood/noise": "noise",
    }.items():
        data = datasets.get("digits", name).holding_out(0.1)
        logits = rng.normal(0, 1, (data.num_examples, 10))
        if data.labels.min() >= 0:
            logits[np.arange(data.num_examples), data.labels] += 3
        arrays |= {f"{key}/logits": logits[::-1], f"{key}/element_id": data.element_ids[::-1]}
        if name in ("test", "validation"):
            arrays[f"{key}/labels"] = data.labels[::-1]
    return str(path), arrays


def test_all_splits_are_measured(digits, tmp_path):
    path, arrays = digits
    run = score(arrays, path, "mine", output_dir=tmp_path / "run", records=tmp_path / "none")
    found = run.results["metrics"]
    names = {"test/temperature_scaling/nll", "validation/nll", "shift/mean/nll", "shift/relative_mce"}
    assert names | {"ood/photos/energy/auroc", "ood/far/auroc"} <= found.keys()
    assert not any("knn" in name for name in found)  # which learns from features
    test = datasets.get("digits", "test")
    assert found["test/nll"] == pytest.approx(
        sklearn.metrics.log_loss(test.labels, softmax(arrays["test/logits"][::-1], axis=-1)), rel=1e-6
    )
    assert run.results["data_fingerprint"]["test"] == test.fingerprint()
    assert run.results["data_fingerprint"]["shift/contrast_5"] == test.corrupted("contrast", 5).fingerprint()
    add([run.path], tmp_path / "records")
    (record,) = read_records([tmp_path / "records"])
    assert record.examples.keys() == {"test", "validation", "ood/photos", "ood/noise"}
    again = score(arrays, path, "mine", output_dir=tmp_path / "again", records=tmp_path / "records")  # from the record
    assert again.results["metrics"] == found
    assert again.results["data_fingerprint"] == run.results["data_fingerprint"]


def test_a_temperature_that_does_not_exist_is_one_and_the_record_says_so(digits, tmp_path):
    path, arrays = digits
    logits, labels = arrays["validation/logits"].copy(), arrays["validation/labels"]
    logits[np.arange(len(labels)), labels] += 30  # all right
    run = score({**arrays, "validation/logits": logits}, path, "mine", output_dir=tmp_path / "run", records=tmp_path)
    found = run.results["metrics"]
    assert found["test/temperature_scaling/nll"] == pytest.approx(found["test/nll"], rel=1e-12)
    add([run.path], tmp_path / "records")
    (record,) = read_records([tmp_path / "records"])
    said = record.tuned["posthoc.temperature_scaling"]
    assert said["fitted"] == {"temperature": 1.0}
    assert said["note"].startswith(f"There is no best temperature: all {len(labels)} predictions are right")


def test_there_is_no_mean_over_some_of_the_splits(digits, tmp_path):
    path, arrays = digits
    some = {key: each for key, each in arrays.items() if not key.startswith(("shift/contrast_5", "ood/photos"))}
    run = score(some, path, "mine", output_dir=tmp_path / "run", records=tmp_path / "none")
    found, left_out = run.results["metrics"], run.results["left_out"]
    assert {"shift/contrast_1/nll", "shift/severity_1/nll", "ood/noise/auroc"} <= found.keys()
    for name in ("shift/severity_5/nll", "shift/mean/nll", "shift/mce", "ood/far/auroc", "failure/max_prob/augrc"):
        assert name not in found
    assert left_out["shift/mean/nll"].endswith("there are no predictions of 2, such as shift/contrast_5")
    assert evaluation.compute(run).left_out == left_out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: changed(a, **{"validation/labels": None}), "validation has no labels"),
        (
            lambda a: changed(a, **{"validation/labels": a["validation/labels"][::-1]}),
            "validation has other element_id",
        ),
        (
            lambda a: changed(a, **{"ood/noise/element_id": a["ood/noise/element_id"] + 1}),
            "ood/noise has other element",
        ),
        (
            lambda a: {name: each[1:] if name.startswith("ood/photos") else each for name, each in a.items()},
            "ood/photos has 499 rows, and the split 500 examples",
        ),
    ],
)
def test_other_splits_are_checked_too(change, message, digits, tmp_path):
    path, arrays = digits
    with pytest.raises(InputError, match=message):
        score(change(arrays), path, "mine", output_dir=tmp_path / "run", records=tmp_path / "none")


def test_without_a_validation_split_the_record_says_why_nothing_was_fitted(digits, tmp_path):
    path, arrays = digits
    some = {key: each for key, each in arrays.items() if not key.startswith("validation/")}
    run = score(some, path, "mine", output_dir=tmp_path / "run", records=tmp_path / "none")
    assert not any("temperature_scaling" in name for name in run.results["metrics"])
    assert run.results["left_out"]["test/temperature_scaling/nll"].startswith("it is fitted on the validation split")
    add([run.path], tmp_path / "records")
    (record,) = read_records([tmp_path / "records"])
    assert record.left_out == run.results["left_out"]
    with pytest.raises(InputError, match=r"which .* has not predicted"):
        evaluation.compute(run, more_posthoc=["temperature_scaling"])


def test_targets(tmp_path):
    data = datasets.get("toy_regression", "test")
    rng = np.random.default_rng(0)
    mean = data.labels + rng.normal(0, 1, (2, data.num_examples))
    arrays = {"mean": mean, "stddev": np.ones_like(mean), "element_id": data.element_ids, "labels": data.labels}

    def run(name, **changes):
        arguments = {"output_dir": tmp_path / name, "records": tmp_path / "none"}
        return score(changed(arrays, **changes), "toy_regression", "mine", **arguments)

    rmse = np.sqrt(((mean.mean(axis=0) - data.labels) ** 2).mean())
    assert run("run").results["metrics"]["test/rmse"] == pytest.approx(rmse)
    assert run("one", mean=mean[0], stddev=np.ones_like(mean[0]), labels=None).results["metrics"]["test/rmse"] > rmse
    for changes, message in [
        ({"stddev": None}, "needs mean and stddev of 'test', and has mean"),
        ({"stddev": -np.ones_like(mean)}, "stddev must be above 0, received -1"),
        ({"stddev": np.ones_like(mean[0])}, "have the shapes"),
        ({"element_id": data.element_ids[::-1]}, "other labels than the task"),
        ({"element_id": data.element_ids[::-1], "labels": None}, "the rows fit the labels in the task's order"),
        ({"mean": rng.permuted(mean, axis=1), "labels": None}, "as if element_id were permuted"),
    ]:
        with pytest.raises(InputError, match=message):
            run("refused", **changes)
