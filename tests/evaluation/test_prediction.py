import threading
import time

import numpy as np
import pytest

from tests.evaluation.conftest import SAMPLES, make_run, predict_by_distance, predict_images, predict_targets
from uncertainty_suite import datasets, evaluation, files, metrics, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.evaluation import prediction
from uncertainty_suite.likelihoods import base
from uncertainty_suite.predictions import Predictions


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run", batch_size=300)  # which does not divide the 1,000 examples


def described(saved):
    return {name: (array.shape, array.dtype.name) for name, array in saved.items()}


def test_what_is_saved_of_classes(run):
    evaluation.evaluate(predict_by_distance, run)
    saved = run.folder.predictions("test")
    assert described(saved) == {
        "log_probs": ((1000, 2), "float32"),
        "labels": ((1000,), "int32"),
        "element_id": ((1000,), "int64"),
        "uncertainty/distance": ((1000,), "float32"),
        "uncertainty/expected_entropy": ((1000,), "float32"),
        "uncertainty/mutual_information": ((1000,), "float32"),
    }
    assert run.folder.predictions("grid")["log_probs"].shape == (10_000, 2)
    samples = np.asarray(predict_by_distance(datasets.get("two_moons", "test").features).probs)
    np.testing.assert_allclose(saved["log_probs"], np.log(samples.mean(axis=0)), rtol=1e-6)
    expected = metrics.mutual_information(samples)
    np.testing.assert_allclose(saved["uncertainty/mutual_information"], expected, atol=1e-6)


def test_what_is_saved_of_targets(tmp_path):
    run = make_run(tmp_path / "run", "toy_regression", batch_size=300)
    measured = evaluation.evaluate(predict_targets, run)
    saved, data = run.folder.predictions("test"), datasets.get("toy_regression", "test")
    count = data.num_examples
    assert described(saved) == {
        "mean": ((2, count), "float64"),
        "stddev": ((2, count), "float64"),
        "labels": ((count,), "float64"),
        "element_id": ((count,), "int64"),
    }
    (batch,) = data.load(count)
    np.testing.assert_array_equal(saved["mean"], predict_targets(batch["features"]).mean)
    errors = saved["mean"].mean(axis=0) - data.labels
    assert measured.metrics["test/rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)))


def test_what_is_asked_for_is_saved_of_every_split(tmp_path):
    run = make_run(tmp_path / "run", save=("samples",))
    evaluation.evaluate(predict_by_distance, run)
    for key, count in (("test", 1000), ("ood/ood", 500), ("grid", 10_000)):
        assert described(run.folder.predictions(key))["samples"] == ((2, count, 2), "float64")


def test_arrays_that_a_method_does_not_have_are_one_line(tmp_path):
    with pytest.raises(InputError, match=r"predict\(\) of this method gives no logits, which config"):
        evaluation.evaluate(predict_by_distance, make_run(tmp_path / "a", save=("logits",)))
    with pytest.raises(InputError, match=r"Unknown array in config.evaluation.save 'logit'"):
        make_run(tmp_path / "b", save=("logit",))


@pytest.mark.parametrize("save", [(), ("samples",)])
def test_metrics_that_compare_samples_need_none_to_be_saved(save, tmp_path):
    names = ("accuracy", "disagreement", "mutual_information", "joint_nll")
    run = make_run(tmp_path / "run", section=SAMPLES, metrics=names, save=save, batch_size=300)
    measured = evaluation.evaluate(predict_by_distance, run)
    data = datasets.get("two_moons", "test")
    samples = np.asarray(predict_by_distance(data.features).probs)
    for name in names:
        metric = metrics.get(name)
        metric.add_batch(samples if name in names[1:] else samples.mean(axis=0), label=data.labels)
        (expected,) = metric.result().values()
        assert measured.metrics[f"test/{name}"] == pytest.approx(expected, rel=1e-6)
    choices = samples.argmax(axis=-1)
    assert measured.metrics["test/disagreement"] == pytest.approx(np.mean(choices[0] != choices[1]))
    again = evaluation.compute(run.folder)
    assert again.left_out == {}
    assert {name: again.metrics[name] for name in measured.metrics if name in again.metrics} == again.metrics


def test_a_metric_of_samples_without_a_value_says_why(tmp_path):
    run = make_run(tmp_path / "run", section=SAMPLES, metrics=("accuracy", "normalized_disagreement"))
    data = datasets.get("two_moons", "test")
    labels = {row.tobytes(): label for row, label in zip(np.asarray(data.features, np.float32), data.labels)}

    def always_right(features):
        found = [labels.get(row.tobytes(), 0) for row in np.asarray(features, np.float32)]
        return Predictions(probs=np.stack([0.1 + 0.8 * np.eye(2)[found]] * 2))

    measured = evaluation.evaluate(always_right, run)
    assert measured.metrics["test/accuracy"] == 1
    assert "test/normalized_disagreement" not in measured.metrics
    reason = measured.left_out["test/normalized_disagreement"]
    assert "none are saved" not in reason
    assert evaluation.compute(run.folder).left_out == measured.left_out


def test_predict_is_compiled_once_for_all_batches_and_splits(run):
    shapes = []

    @tf.function
    def predict(features):
        shapes.append(features.shape)
        probs = tf.nn.softmax(tf.cast(features, tf.float32))[tf.newaxis]
        return Predictions(probs=probs, logits=probs)

    evaluation.evaluate(predict, run)
    assert shapes == [(300, 2)]


def test_a_predictor_cuts_off_what_it_filled_up(run):
    predictor = evaluation.Predictor(predict_by_distance, run)
    features = np.asarray(datasets.get("two_moons", "test").features)
    assert predictor(features[:7]).probs.shape == (2, 7, 2)
    assert predictor.input_shape == (2,)
    arrays = predictor.arrays(features)
    evaluation.evaluate(predict_by_distance, run)
    saved = run.folder.predictions("test")
    assert arrays.keys() == saved.keys() - {"labels", "element_id"}
    for name, values in arrays.items():
        np.testing.assert_array_equal(values, saved[name])


def test_batches_are_made_and_splits_saved_while_others_are_predicted(run, monkeypatch):
    made, batches = [], datasets.Dataset.batches
    predicted = []

    def noted(data, *arguments, **options):
        for batch in batches(data, *arguments, **options):
            made.append((data.split, threading.current_thread()))
            yield batch

    def predict(features):
        predicted.append(made[max(0, len(predicted) - 1)][0])  # the first batch comes twice: once to compile
        if predicted.count("grid") == 1:  # its other batches, and the file of the split before, come even so
            assert wait_for(lambda: [split for split, _ in made].count("grid") > 3)
            assert wait_for(lambda: (run.path / "predictions/ood/ood.npz").exists())
        return predict_by_distance(features)

    monkeypatch.setattr(datasets.Dataset, "batches", noted)
    evaluation.evaluate(predict, run)
    here = threading.current_thread()
    assert [split for split, _ in made] == 4 * ["test"] + ["validation"] + 2 * ["ood"] + 34 * ["grid"]
    assert {(split, thread is here) for split, thread in made} == {
        ("test", True),
        ("validation", False),
        ("ood", False),
        ("grid", False),
    }


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize("where", ["batches", "split_metrics"])
def test_what_goes_wrong_in_another_thread_is_raised_here_and_ends_it(where, tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", splits=("test", "train"))
    owner = datasets.Dataset if where == "batches" else prediction
    original, calls, num_threads = getattr(owner, where), [], threading.active_count()

    def fails_the_second_time(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            raise InputError("gone")
        return original(*arguments, **options)

    monkeypatch.setattr(owner, where, fails_the_second_time)
    with pytest.raises(InputError, match="gone"):
        evaluation.evaluate(predict_by_distance, run)
    assert len(calls) == 2
    assert threading.active_count() == num_threads


def test_images_are_predicted_in_the_forms_that_scores_need(tmp_path):
    run = make_run(tmp_path / "run", "digits", corruptions=(), ood_scores=("energy", "knn"), fit_examples=700)
    evaluation.evaluate(predict_images, run)
    assert {"logits", "features"} <= run.folder.predictions("test").keys()
    assert described(run.folder.predictions("fit"))["features"] == ((700, 10), "float32")


def test_what_is_too_large_for_memory_is_saved_and_measured_the_same(tmp_path, monkeypatch):
    fields = {"save": ("samples", "features"), "ood_scores": ("knn",), "batch_size": 64}
    fields |= {"metrics": ("accuracy", "nll", "ece", "aurc", "disagreement"), "posthoc": ("temperature_scaling",)}

    def predict(features):
        return predict_by_distance(features)._replace(features=np.asarray(features))

    def evaluated(name):
        run = make_run(tmp_path / name, section=SAMPLES, **fields)
        return run, evaluation.evaluate(predict, run)

    one, whole = evaluated("one")
    monkeypatch.setattr(files, "LARGE", 1)  # bytes of an array that is in a file
    monkeypatch.setattr(base, "_NUMBERS_AT_ONCE", 700)
    other, in_pieces = evaluated("other")
    test = other.folder.predictions("test")
    assert not test["log_probs"].flags.writeable
    assert [len(piece["labels"]) for piece in one.task.likelihood.pieces(test)] == [175] * 5 + [125]
    saved, others = (
        {path.relative_to(run.path) for path in (run.path / "predictions").rglob("*") if path.is_file()}
        for run in (one, other)
    )
    assert saved == others
    assert {path.suffix for path in saved} == {".npz"}
    for path in saved:
        assert (one.path / path).read_bytes() == (other.path / path).read_bytes()
    assert whole.metrics.keys() == in_pieces.metrics.keys()
    for name in whole.metrics.keys() - {"milliseconds_per_example"}:
        assert in_pieces.metrics[name] == pytest.approx(whole.metrics[name], rel=1e-9, abs=1e-12), name
