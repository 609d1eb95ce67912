"""`python -m uncertainty_suite.combine`: ensembles of finished runs."""

import copy
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from scipy.special import logsumexp

from tests.conftest import ROOT
from tests.leaderboard.conftest import EVALUATION, write_finished
from uncertainty_suite import configuration, evaluation
from uncertainty_suite.combine import combine, main
from uncertainty_suite.leaderboard import add, read_record, read_records
from uncertainty_suite.leaderboard.tables import tables
from uncertainty_suite.runs import RunFolder


@pytest.fixture
def runs(tmp_path):
    """Runs of two methods on one task."""
    return [write_finished(tmp_path, method, skill=skill) for method, skill in (("a", 1.0), ("b", 1.5), ("c", 0.8))]


def probs_of(run, key="test"):
    return run.task.likelihood.metric_input(run.predictions(key))


def with_samples(path, samples, name="samples"):
    """Let a run have saved samples of its predictions, or logits, on all splits."""
    config = json.loads((path / "config.json").read_text())
    splits = {split.key: RunFolder(path).predictions(split.key) for split in RunFolder(path).task.splits}
    config["evaluation"]["save"] = [name]
    (path / "config.json").write_text(json.dumps(config))
    run = RunFolder(path)
    rng = np.random.default_rng(samples)
    for key, saved in splits.items():
        logits = np.log(run.task.likelihood.metric_input(saved)) + rng.normal(0, 1, (samples, len(saved["labels"]), 4))
        probs = np.exp(logits - logsumexp(logits, axis=-1, keepdims=True))
        arrays = {"logits": logits, "samples": probs}
        run.save_predictions(key, {**saved, name: arrays[name].astype(np.float32)})
    results = json.loads((path / "results.json").read_text())
    results |= {"config": config, "config_hash": configuration.config_hash(config)}
    (path / "results.json").write_text(json.dumps(results))
    return run


def test_an_ensemble_of_means(runs, tmp_path):
    ensemble = combine(runs, tmp_path / "run", "three")
    members = [RunFolder(path) for path in runs]
    for key in ("test", "ood/photos", "shift/fog_3"):
        mean = np.mean([probs_of(member, key) for member in members], axis=0)
        np.testing.assert_allclose(probs_of(ensemble, key), mean, rtol=1e-6)
        between = scipy.stats.entropy(mean, axis=1)
        between -= np.mean([scipy.stats.entropy(probs_of(member, key), axis=1) for member in members], axis=0)
        found = ensemble.predictions(key)["uncertainty/mutual_information"]
        np.testing.assert_allclose(found, between, atol=1e-6)
    labels = ensemble.predictions("test")["labels"]
    nll = sklearn.metrics.log_loss(labels, np.mean([probs_of(member) for member in members], axis=0), labels=range(4))
    metrics = ensemble.results["metrics"]
    assert metrics["test/nll"] == pytest.approx(nll, rel=1e-6)
    assert metrics["test/nll"] < np.mean([member.results["metrics"]["test/nll"] for member in members])
    for cost in ("num_parameters", "train_seconds", "milliseconds_per_example"):
        assert metrics[cost] == pytest.approx(sum(member.results["metrics"][cost] for member in members))
    assert ensemble.results["model"] == "mlp"
    assert ensemble.results["provenance"]["trained_here"] is True
    made_from = ensemble.results["provenance"]["made_from"]["runs"]
    assert [one["id"] for one in made_from] == [member.id for member in members]
    assert evaluation.compute(ensemble).metrics.items() <= metrics.items()


def test_methods_and_architectures_may_differ(tmp_path):
    members = [
        write_finished(tmp_path, method, model=model, config={"model": {"name": model}})
        for method, model in (("a", "mlp"), ("b", "resnet_mlp"), ("c", "mlp"))
    ]
    ensemble = combine(members, tmp_path / "run", "three")
    mean = np.mean([probs_of(RunFolder(path)) for path in members], axis=0)
    np.testing.assert_allclose(probs_of(ensemble), mean, rtol=1e-6)
    add([*members, ensemble.path], tmp_path / "boards")
    (table,) = tables(read_records([tmp_path / "boards"]))
    assert {row.method: row.model for row in table.rows} == {
        "a": "mlp",
        "b": "resnet_mlp",
        "c": "mlp",
        "three": "mlp+resnet_mlp",
    }


def test_groups_of_seeds_are_one_row_of_the_records(tmp_path):
    pairs = [[write_finished(tmp_path, method, seed) for method in ("a", "b")] for seed in (0, 1)]
    ensembles = [combine(pair, tmp_path / f"pair{i}", "a_and_b") for i, pair in enumerate(pairs)]
    to = tmp_path / "boards"
    add([*pairs[0], *pairs[1], *(ensemble.path for ensemble in ensembles)], to)
    (table,) = tables(read_records([to]))
    assert {row.method: row.seeds for row in table.rows} == {"a": (0, 1), "a_and_b": (0, 1), "b": (0, 1)}


def test_nothing_imports_tensorflow_where_all_is_saved(runs, tmp_path):
    code = (
        "import sys; from uncertainty_suite import combine; status = combine.main(sys.argv[1:]);"
        "sys.exit(7 if {'tensorflow', 'keras'} & set(sys.modules) else status)"
    )
    command = [sys.executable, "-c", code, *map(str, runs), "--output_dir", str(tmp_path / "run")]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert "| combined " in process.stdout


@pytest.mark.parametrize("name", ["samples", "logits"])
def test_samples_are_stacked(name, runs, tmp_path):
    members = [with_samples(path, 3, name) for path in runs[:2]]
    ensemble = combine(runs[:2], tmp_path / "run")
    saved = ensemble.predictions("test")
    stacked = np.concatenate([member.predictions("test")[name] for member in members])
    np.testing.assert_allclose(saved[name], stacked, rtol=1e-6)
    probs = stacked if name == "samples" else np.exp(stacked - logsumexp(stacked, axis=-1, keepdims=True))
    np.testing.assert_allclose(probs_of(ensemble), probs.mean(axis=0), rtol=1e-5)
    within = scipy.stats.entropy(probs.mean(axis=0), axis=1) - scipy.stats.entropy(probs, axis=2).mean(axis=0)
    np.testing.assert_allclose(saved["uncertainty/mutual_information"], within, atol=1e-5)
    assert ensemble.config["evaluation"]["save"] == [name]


def test_each_run_has_the_same_weight_whatever_its_samples(runs, tmp_path):
    members = [with_samples(path, samples) for path, samples in zip(runs, (2, 5, 5))]
    ensemble = combine(runs, tmp_path / "run")
    np.testing.assert_allclose(probs_of(ensemble), np.mean([probs_of(each) for each in members], axis=0), rtol=1e-6)
    assert "samples" not in ensemble.predictions("test")


def test_metrics_that_compare_samples_are_computed(tmp_path):
    wanted = copy.deepcopy(EVALUATION) | {"metrics": ["nll", "disagreement"]}
    members = [write_finished(tmp_path, method, config={"evaluation": wanted}) for method in ("a", "b")]
    ensemble = combine(members, tmp_path / "run")
    one, other = (probs_of(RunFolder(path)).argmax(axis=1) for path in members)
    assert ensemble.results["metrics"]["test/disagreement"] == pytest.approx((one != other).mean())


def test_further_uncertainties_are_averaged_and_examples_joined_by_id(runs, tmp_path):
    runs = runs[:2]
    for path, factor in zip(runs, (1, 3)):
        run = RunFolder(path)
        for split in run.task.splits:
            saved = run.predictions(split.key)
            rows = np.random.default_rng(factor).permutation(len(saved["labels"]))
            saved["uncertainty/variance"] = factor * np.sqrt(saved["element_id"])
            run.save_predictions(split.key, {name: values[rows] for name, values in saved.items()})
    ensemble = combine(runs, tmp_path / "run")
    saved = ensemble.predictions("test")
    np.testing.assert_allclose(saved["uncertainty/variance"], 2 * np.sqrt(saved["element_id"]), rtol=1e-6)
    order = [np.argsort(RunFolder(path).predictions("test")["element_id"]) for path in runs]
    mean = np.mean([probs_of(RunFolder(path))[rows] for path, rows in zip(runs, order)], axis=0)
    np.testing.assert_allclose(probs_of(ensemble)[np.argsort(saved["element_id"])], mean, rtol=1e-6)


def test_a_mixture_of_gaussians(tmp_path):
    members = [write_finished(tmp_path, method, regression=True) for method in ("a", "b")]
    run = RunFolder(members[1])
    saved = run.predictions("test")
    run.save_predictions("test", {**saved, "mean": saved["mean"][:1], "stddev": saved["stddev"][:1]})
    ensemble = combine(members, tmp_path / "run")
    logs = []
    for member in map(RunFolder, members):
        saved = member.predictions("test")
        each = scipy.stats.norm.logpdf(saved["labels"], saved["mean"], saved["stddev"])
        logs.append(logsumexp(each, axis=0) - np.log(len(each)))
    nll = -(logsumexp(logs, axis=0) - np.log(2)).mean()
    assert ensemble.results["metrics"]["test/gaussian_nll"] == pytest.approx(nll)


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refuse_case(name, runs, tmp_path):
    """Return runs that make no ensemble."""
    other = tmp_path / "other"
    if name == "one":
        return runs[:1]
    if name == "twice":
        return [runs[0], runs[0]]
    if name == "copy":
        shutil.copytree(runs[0], other)
        return [runs[0], other]
    if name == "nested":
        return [runs[0], combine(runs[:2], other).path]
    if name == "task":
        return [runs[0], write_finished(tmp_path, task="digits")]
    if name == "fold":
        return [write_finished(tmp_path, fold=fold, regression=True) for fold in (0, 1)]
    if name == "fingerprint":
        return [runs[0], write_finished(tmp_path, "d", data_fingerprint={"train": "other"})]
    if name == "protocol":
        edit(runs[1] / "results.json", protocol_version=99)
    elif name == "unfinished":
        (runs[1] / "results.json").unlink()
    elif name == "damaged":
        (runs[1] / "predictions/shift/fog_1.npz").write_bytes(b"PK")
    elif name == "examples":
        run = RunFolder(runs[1])
        saved = run.predictions("shift/fog_1")
        run.save_predictions("shift/fog_1", saved | {"element_id": saved["element_id"] + 1})
    elif name == "labels":
        run = RunFolder(runs[1])
        saved = run.predictions("test")
        run.save_predictions("test", saved | {"labels": saved["labels"][::-1]})
    elif name == "record":
        add(runs[1:], tmp_path / "boards")
        return [runs[0], *tmp_path.glob("boards/toy/b-*.json")]
    return runs


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("one", "One run is no ensemble"),
        ("twice", "are the same run, or hold it"),
        ("copy", "are the same run, or hold it"),
        ("nested", "are the same run, or hold it"),
        ("task", "task differs, toy in "),
        ("fold", "config.dataset differs"),
        ("fingerprint", "data_fingerprint['train'] differs"),
        ("protocol", "is of protocol 99, and this suite's is "),
        ("unfinished", "the run is not finished"),
        ("damaged", "fog_1.npz are damaged"),
        ("examples", "has predicted other examples of 'shift/fog_1' than "),
        ("labels", "has predicted other examples of 'test' than "),
        ("record", "is a record, which has no predictions"),
    ],
)
def test_what_makes_no_ensemble_is_refused_in_one_line(name, message, runs, tmp_path, capsys):
    chosen = refuse_case(name, runs, tmp_path)
    assert main([*map(str, chosen), "--output_dir", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("combine: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run" / "results.json").exists()


def test_splits_that_not_all_have_are_named(runs, tmp_path, capsys):
    wanted = copy.deepcopy(EVALUATION) | {"severities": [3], "ood_far": []}
    fewer = write_finished(tmp_path, "d", config={"evaluation": wanted})
    assert main([str(runs[0]), str(fewer), "--output_dir", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().err == "combine: not in all runs, left out: ood/photos, shift/fog_1\n"
    ensemble = RunFolder(tmp_path / "run")
    assert [split.key for split in ensemble.task.splits] == ["test", "shift/fog_3"]
    assert "shift/fog_3/nll" in ensemble.results["metrics"]
    assert "shift/mean/nll" in ensemble.results["left_out"]


@pytest.mark.usefixtures("forget_models")
def test_trained_networks_are_asked_again(finished, tmp_path):
    folders = [finished("deterministic")[0], finished("mc_dropout")[0]]
    ensemble = combine(folders, tmp_path / "run", predict=True)
    read = combine(folders, tmp_path / "read")
    assert ensemble.id != read.id
    for key in ("test", "ood/ood"):
        a, b = ensemble.predictions(key), read.predictions(key)
        np.testing.assert_array_equal(a["element_id"], b["element_id"])
        np.testing.assert_allclose(probs_of(ensemble, key), probs_of(read, key), rtol=1e-5)  # by the same masks
    assert read_record(ensemble.path).metrics["num_parameters"] == sum(
        RunFolder(folder).results["metrics"]["num_parameters"] for folder in folders
    )


# Members that are chosen on validation.


def with_validation(path, sharpness, seed):
    """Let a run have predicted a validation split, with more or less luck."""
    run = RunFolder(path)
    test = run.predictions("test")
    rng = np.random.default_rng(seed)
    labels = np.random.default_rng(0).integers(0, 4, 200)
    logits = sharpness * np.eye(4)[labels] + rng.normal(0, 1, (200, 4))
    log_probs = logits - logsumexp(logits, axis=1, keepdims=True)
    config = json.loads((path / "config.json").read_text())
    config["evaluation"]["splits"] = ["test", "validation"]
    task = json.loads((path / "task.json").read_text())
    split = next(each for each in task["splits"] if each["key"] == "test")
    task["splits"].append({**split, "key": "validation", "role": "validation", "source": "toy/validation"})
    saved = {key: run.predictions(key) for key in [each.key for each in run.task.splits]}
    (path / "config.json").write_text(json.dumps(config))
    (path / "task.json").write_text(json.dumps(task))
    results = json.loads((path / "results.json").read_text())
    results |= {"config": config, "config_hash": configuration.config_hash(config), "splits": task["splits"]}
    (path / "results.json").write_text(json.dumps(results))
    run = RunFolder(path)
    for key, arrays in saved.items():
        run.save_predictions(key, arrays)
    extra = {name: np.zeros(200, np.float32) for name in test if name not in ("log_probs", "labels", "element_id")}
    validation = {"log_probs": log_probs.astype(np.float32), "labels": labels, "element_id": np.arange(200)}
    run.save_predictions("validation", {**extra, **validation})
    return run


@pytest.fixture
def pool(tmp_path):
    """Runs with validation predictions, of different quality."""
    sharpness = (1.0, 2.0, 2.2, 0.5, 1.8)
    paths = [write_finished(tmp_path, f"m{i}", skill=1.0 + i / 10) for i in range(len(sharpness))]
    return [with_validation(path, sharp, i) for i, (path, sharp) in enumerate(zip(paths, sharpness))]


def nll(probs, labels):
    return -np.log(probs[np.arange(len(labels)), labels].astype(np.float64)).mean()


def greedy_by_hand(probs, labels, size):
    """Caruana's selection with replacement, by sums."""
    chosen, best, total = [], np.inf, np.zeros_like(probs[0])
    while len(set(chosen)) < size:
        losses = [nll((total + each) / (len(chosen) + 1), labels) for each in probs]
        if min(losses) >= best:
            break
        best = min(losses)
        chosen.append(int(np.argmin(losses)))
        total = total + probs[chosen[-1]]
    return chosen, best


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_members_are_chosen_greedily_with_replacement(size, pool, tmp_path):
    probs = [probs_of(run, "validation").astype(np.float64) for run in pool]
    labels = pool[0].predictions("validation")["labels"]
    expected, loss = greedy_by_hand(probs, labels, size)
    ensemble = combine([run.path for run in pool], tmp_path / "run", "hyper", greedy=size)
    said = ensemble.results["tuned"]["combined.members"]
    assert [said["values"].index(name) for name in said["chosen"]] == expected
    assert said["scores"][-1] == pytest.approx(loss, rel=1e-5)
    assert (len(said["values"]), said["criterion"], said["split"]) == (5, "nll", "validation")
    assert loss <= min(nll(each, labels) for each in probs)
    for key in ("test", "validation"):
        mean = np.mean([probs_of(pool[member], key) for member in expected], axis=0)
        np.testing.assert_allclose(probs_of(ensemble, key), mean, rtol=1e-5)
    unique = list(dict.fromkeys(expected))
    made_from = ensemble.results["provenance"]["made_from"]
    assert [one["id"] for one in made_from["runs"]] == [pool[member].id for member in unique]
    counts = [expected.count(member) for member in unique]
    assert made_from.get("weights", [1] * len(unique)) == counts
    parameters = sum(pool[member].results["metrics"]["num_parameters"] for member in unique)
    assert ensemble.results["metrics"]["num_parameters"] == parameters


def test_a_member_can_have_more_weight(pool, tmp_path):
    probs = [probs_of(run, "validation").astype(np.float64) for run in pool]
    chosen, _ = greedy_by_hand(probs, pool[0].predictions("validation")["labels"], 5)
    assert len(chosen) > len(set(chosen))  # or the test above would not show it


def test_a_greedy_choice_is_refused_without_validation(runs, tmp_path, capsys):
    assert main([*map(str, runs), "--output_dir", str(tmp_path / "run"), "--greedy", "2"]) == 1
    assert "Members are chosen on the validation split, and not all runs have predicted" in capsys.readouterr().err
    assert main([*map(str, runs), "--output_dir", str(tmp_path / "run"), "--greedy", "0"]) == 1
    assert "--greedy must be at least 1, received 0" in capsys.readouterr().err
