import json
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf

from tests.conftest import ROOT
from uncertainty_suite import configuration, datasets, evaluation, metrics, ood_scores, posthoc, training
from uncertainty_suite.errors import InputError
from uncertainty_suite.predictions import Predictions


@pytest.fixture
def run(tmp_path):
    config = configuration.load(ROOT / "configs/two_moons/deterministic.py")
    config.evaluation.batch_size = 300  # does not divide the 1,000 examples
    return training.Run(config, "method.py", tmp_path / "run")


def predict_by_distance(features):
    """Two samples of a classifier by the second coordinate, and the distance from the origin."""
    features = np.asarray(features, np.float64)
    samples = [1 / (1 + np.exp(-slope * features[:, 1])) for slope in (2.0, 5.0)]
    probs = np.stack([[p, 1 - p] for p in samples]).transpose(0, 2, 1)
    return Predictions(probs=probs, uncertainty={"distance": np.linalg.norm(features, axis=1)})


def test_results_are_those_of_the_whole_split_at_once(run):
    results = evaluation.evaluate(predict_by_distance, run)
    test, ood = (datasets.get("two_moons", split=split) for split in ("test", "ood"))
    probs = np.asarray(predict_by_distance(test.features).probs).mean(axis=0)
    assert results["test/accuracy"] == np.mean(probs.argmax(axis=1) == test.labels)
    assert results["test/nll"] == pytest.approx(sklearn.metrics.log_loss(test.labels, probs), rel=1e-5)
    ood_probs = np.asarray(predict_by_distance(ood.features).probs).mean(axis=0)
    labels = [0] * 1000 + [1] * 500
    by_probs = 1 - np.concatenate([probs, ood_probs]).max(axis=1)
    assert results["ood/ood/auroc"] == pytest.approx(sklearn.metrics.roc_auc_score(labels, by_probs), abs=1e-4)
    by_distance = np.linalg.norm(np.concatenate([test.features, ood.features]), axis=1)
    expected = sklearn.metrics.roc_auc_score(labels, by_distance)
    assert results["ood/ood/distance/auroc"] == pytest.approx(expected, abs=1e-6)
    assert results["ood/ood/max_prob"] == pytest.approx(ood_probs.max(axis=1).mean(), rel=1e-6)
    assert results["milliseconds_per_example"] > 0


def test_saves_what_the_metrics_are_computed_from(run):
    results = evaluation.evaluate(predict_by_distance, run)
    saved = evaluation.load(run.path, "test")
    assert {name: (array.shape, array.dtype.name) for name, array in saved.items()} == {
        "probs": ((1000, 2), "float32"),
        "labels": ((1000,), "int32"),
        "element_id": ((1000,), "int64"),
        "uncertainty/distance": ((1000,), "float32"),
        "uncertainty/mutual_information": ((1000,), "float32"),
    }
    for name in run.config.evaluation.metrics:
        assert evaluation.split_metrics(saved, [name])[name] == results[f"test/{name}"]
    again = evaluation.ood_metrics(saved, evaluation.load(run.path, "ood/ood"))
    assert {f"ood/ood/{name}": value for name, value in again.items()}.items() <= results.items()
    assert evaluation.load(run.path, "grid")["probs"].shape == (10_000, 2)
    samples = np.asarray(predict_by_distance(datasets.get("two_moons", split="test").features).probs)
    expected = metrics.mutual_information(samples)
    np.testing.assert_allclose(saved["uncertainty/mutual_information"], expected, atol=1e-6)


def make_run(tmp_path, task="two_moons", **fields):
    config = configuration.load(ROOT / f"configs/{task}/deterministic.py")
    config.evaluation.update(fields)
    return training.Run(config, "method.py", tmp_path / "run")


def predict_images(features):
    """A classifier of images by their mean brightness in ten places, with logits and features."""
    features = np.asarray(features, np.float64).reshape(len(features), -1)
    features = np.stack([part.mean(axis=1) for part in np.array_split(features, 10, axis=1)], axis=1)
    logits = (8 * features)[np.newaxis]
    return Predictions(np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True), logits, features)


def test_what_is_asked_for_is_saved(tmp_path):
    run = make_run(tmp_path, save=("samples",))
    evaluation.evaluate(predict_by_distance, run)
    assert evaluation.load(run.path, "test")["samples"].shape == (2, 1000, 2)


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    """A run on digits with shift, OOD scores and post-hoc calibration, evaluated; and its metrics."""
    config = configuration.load(ROOT / "configs/digits/deterministic.py")
    config.dataset.validation_percent = 0.2
    config.evaluation.splits = ("test", "validation")
    config.evaluation.corruptions = ("gaussian_noise", "contrast")
    config.evaluation.severities = (1, 5)
    config.evaluation.shift_examples = 300
    config.evaluation.posthoc = ("temperature_scaling", "split_conformal")
    run = training.Run(config, "method.py", tmp_path_factory.mktemp("digits") / "run")
    results = evaluation.evaluate(predict_images, run)
    run.finish(results, num_parameters=1, train_seconds=1.0)
    return run, results


def test_shifted_test_sets_and_their_means(digits_run):
    run, results = digits_run
    clean, noisy = (evaluation.load(run.path, key) for key in ("test", "shift/gaussian_noise_5"))
    np.testing.assert_array_equal(noisy["labels"], clean["labels"][:300])
    np.testing.assert_array_equal(noisy["element_id"], clean["element_id"][:300])
    assert np.any(noisy["probs"] != clean["probs"][:300])
    for name in ("accuracy", "nll", "ece"):
        values = {
            (corruption, severity): results[f"shift/{corruption}_{severity}/{name}"]
            for corruption in ("gaussian_noise", "contrast")
            for severity in (1, 5)
        }
        assert results[f"shift/mean/{name}"] == pytest.approx(np.mean(list(values.values())))
        severe = np.mean([value for (_, severity), value in values.items() if severity == 5])
        assert results[f"shift/severity_5/{name}"] == pytest.approx(severe)
    clean_error = np.mean(clean["probs"][:300].argmax(axis=1) != clean["labels"][:300])
    assert results["shift/mce"] == pytest.approx(1 - results["shift/mean/accuracy"])
    assert results["shift/relative_mce"] == pytest.approx(results["shift/mce"] - clean_error)


def test_ood_scores_are_fitted_on_training_data(digits_run):
    run, results = digits_run
    assert evaluation.load(run.path, "fit")["features"].shape == (1038, 10)
    for score in ("energy", "mahalanobis", "knn"):
        assert 0 <= results[f"ood/photos/{score}/auroc"] <= 1
    mean = (results["ood/photos/auroc"] + results["ood/noise/auroc"]) / 2
    assert results["ood/far/auroc"] == pytest.approx(mean)
    assert results["ood/photos/oscr"] <= results["test/accuracy"]


def test_posthoc_is_fitted_on_validation(digits_run):
    run, results = digits_run
    nll = {split: evaluation.load(run.path, split) for split in ("test", "validation")}
    temperature = metrics.fit_temperature(nll["validation"]["probs"], nll["validation"]["labels"])
    scaled = metrics.get("temperature_scaled_nll", temperature=temperature)
    scaled.add_batch(nll["test"]["probs"], label=nll["test"]["labels"])
    (expected,) = scaled.result().values()
    assert results["test/temperature_scaling/nll"] == pytest.approx(expected, rel=1e-3)
    assert results["test/temperature_scaling/accuracy"] == results["test/accuracy"]
    assert 0.8 < results["test/split_conformal/coverage"] <= 1


def evaluate_command(*arguments) -> subprocess.CompletedProcess:
    code = (
        "import sys; from uncertainty_suite import evaluate; status = evaluate.main(sys.argv[1:]);"
        "sys.exit(7 if 'tensorflow' in sys.modules else status)"
    )
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)


def test_command_reproduces_the_results_and_adds_new_ones_without_tensorflow(digits_run):
    run, results = digits_run
    before = (run.path / "results.json").read_bytes()
    process = evaluate_command(run.path)
    assert process.returncode == 0, process.stderr
    assert f"{len(results) - 1} metrics, 0 added, 0 changed" in process.stdout
    assert (run.path / "results.json").read_bytes() == before
    process = evaluate_command(run.path, "--metrics", "mce", "--ood_scores", "max_logit", "--posthoc", "aps")
    assert process.returncode == 0, process.stderr
    added = json.loads((run.path / "results.json").read_text())["metrics"]
    assert {"test/mce", "shift/mean/mce", "ood/photos/max_logit/auroc", "test/aps/coverage"} <= added.keys() - results
    assert results.items() <= added.items()


def test_predictions_of_another_run_or_damaged_ones_are_refused(tmp_path):
    run, other = make_run(tmp_path / "a"), make_run(tmp_path / "b", batch_size=500)
    evaluation.predict_splits(predict_by_distance, run)
    evaluation.predict_splits(predict_by_distance, other)
    path = run.path / "predictions/test.npz"
    content = path.read_bytes()
    path.write_bytes((other.path / "predictions/test.npz").read_bytes())
    with pytest.raises(InputError, match=r"test.npz are of another run"):
        evaluation.compute(run.path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"test.npz are damaged .*; run the script again"):
        evaluation.compute(run.path)
    path.unlink()
    with pytest.raises(InputError, match=r"There are no predictions .*test.npz"):
        evaluation.compute(run.path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metrics", "eec"], "Unknown metric 'eec'. Did you mean 'ece'?"),
        (["--ood_scores", "vim"], "There are no predictions"),
        (
            ["--ood_scores", "energy"],
            "OOD score 'energy' needs logits to score, but none are saved; run with --config.",
        ),
        (["--posthoc", "temperature_scaling"], "'temperature_scaling' is fitted on the validation split, which"),
    ],
)
def test_command_says_what_is_wrong_in_one_line(arguments, message, tmp_path, capsys):
    from uncertainty_suite import evaluate

    run = make_run(tmp_path)
    assert evaluate.main([str(run.path)]) == 1
    assert "is no finished run" in capsys.readouterr().err
    run.finish(evaluation.evaluate(predict_by_distance, run), 1, 1.0)
    before = (run.path / "results.json").read_bytes()
    assert evaluate.main([str(run.path), *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert (run.path / "results.json").read_bytes() == before


def test_arrays_that_a_method_does_not_have_are_one_line(tmp_path):
    with pytest.raises(InputError, match=r"predict\(\) of this method gives no logits, which config"):
        evaluation.evaluate(predict_by_distance, make_run(tmp_path / "a", save=("logits",)))
    with pytest.raises(InputError, match=r"Unknown array in config.evaluation.save 'logit'"):
        evaluation.evaluate(predict_by_distance, make_run(tmp_path / "b", save=("logit",)))


def test_open_set_recognition(tmp_path):
    config = configuration.load(ROOT / "configs/digits/deterministic.py")
    config.dataset.classes = (0, 1, 2, 3, 4, 5)
    config.evaluation.corruptions = ()
    config.evaluation.ood_near = ("digits/unknown",)
    config.evaluation.ood_far = ()
    config.evaluation.ood_scores = ()
    run = training.Run(config, "method.py", tmp_path / "run")

    def predict(features):
        probs = predict_images(features).probs[..., :6]
        return Predictions(probs / probs.sum(axis=-1, keepdims=True))

    results = evaluation.evaluate(predict, run)
    test, unknown = evaluation.load(run.path, "test"), evaluation.load(run.path, "ood/unknown")
    assert (test["labels"].max(), set(unknown["labels"])) == (5, {-1})
    assert len(test["labels"]) + len(unknown["labels"]) == 500
    correct = test["probs"].argmax(axis=1) == test["labels"]
    scores_in, scores_out = (1 - saved["probs"].max(axis=1) for saved in (test, unknown))
    assert results["ood/unknown/oscr"] == metrics.oscr(scores_in, scores_out, correct)
    assert results["ood/near/auroc"] == results["ood/unknown/auroc"]


def test_predict_is_compiled_once_for_all_batches_and_splits(run):
    shapes = []

    @tf.function
    def predict(features):
        shapes.append(features.shape)
        probs = tf.nn.softmax(tf.cast(features, tf.float32))[tf.newaxis]
        return Predictions(probs=probs, logits=probs)

    evaluation.evaluate(predict, run)
    assert shapes == [(300, 2)]


def test_batches_are_made_and_splits_saved_while_others_are_predicted(run, monkeypatch):
    made, load = [], datasets.Dataset.load
    predicted = []

    def noted(data, *arguments, **options):
        for batch in load(data, *arguments, **options):
            made.append((data.split, threading.current_thread()))
            yield batch

    def predict(features):
        predicted.append(made[max(0, len(predicted) - 1)][0])  # the first batch comes twice: once to compile
        if predicted.count("grid") == 1:  # its other batches, and the file of the split before, come even so
            assert wait_for(lambda: [split for split, _ in made].count("grid") > 3)
            assert wait_for(lambda: (run.path / "predictions/ood/ood.npz").exists())
        return predict_by_distance(features)

    monkeypatch.setattr(datasets.Dataset, "load", noted)
    evaluation.evaluate(predict, run)
    here = threading.current_thread()
    assert [split for split, _ in made] == 4 * ["test"] + 2 * ["ood"] + 34 * ["grid"]
    assert {(split, thread is here) for split, thread in made} == {("test", True), ("ood", False), ("grid", False)}


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize("where", ["load", "split_metrics"])
def test_what_goes_wrong_in_another_thread_is_raised_here_and_ends_it(where, run, monkeypatch):
    owner = datasets.Dataset if where == "load" else evaluation
    original, calls, num_threads = getattr(owner, where), [], threading.active_count()

    def fails_the_second_time(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            raise InputError("gone")
        return original(*arguments, **options)

    config = run.config
    with config.unlocked():
        config.evaluation.splits = ("test", "test", "test")
    monkeypatch.setattr(owner, where, fails_the_second_time)
    with pytest.raises(InputError, match="gone"):
        evaluation.evaluate(predict_by_distance, run)
    assert len(calls) == 2
    assert threading.active_count() == num_threads


def test_the_page_names_every_score_and_method():
    page = (ROOT / "docs/evaluation.md").read_text()
    for name in (*ood_scores.names(), *posthoc.names()):
        assert f"| `{name}` |" in page
