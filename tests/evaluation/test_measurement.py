import numpy as np
import pytest
import sklearn.metrics

from tests.conftest import ROOT
from tests.evaluation.conftest import SAMPLES, finish, make_run, predict_by_distance, predict_images, predict_targets
from tests.tiny import probs_of
from uncertainty_suite import datasets, evaluation, likelihoods, metrics, ood_scores, posthoc
from uncertainty_suite.errors import InputError
from uncertainty_suite.predictions import Predictions


def test_results_are_those_of_the_whole_split_at_once(tmp_path):
    run = make_run(tmp_path / "run", batch_size=300)  # which does not divide the 1,000 examples
    measured = evaluation.evaluate(predict_by_distance, run)
    results = measured.metrics
    assert measured.left_out == {}
    test, ood = (datasets.get("two_moons", split) for split in ("test", "ood"))
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


def test_metrics_come_from_what_is_saved(tmp_path):
    run = make_run(tmp_path / "run")
    results = evaluation.evaluate(predict_by_distance, run).metrics
    saved = run.folder.predictions("test")
    for name in run.config.evaluation.metrics:
        measured = evaluation.split_metrics(saved, [name], run.task.likelihood)
        assert measured.metrics == {name: results[f"test/{name}"]}
    again = evaluation.ood_metrics(saved, run.folder.predictions("ood/ood"))
    assert {f"ood/ood/{name}": value for name, value in again.items()}.items() <= results.items()
    computed = evaluation.compute(run.folder).metrics
    assert {**computed, "milliseconds_per_example": results["milliseconds_per_example"]} == results


def test_targets_are_told_apart_by_the_spread_of_the_mixture(tmp_path):
    run = make_run(tmp_path / "run", "toy_regression")
    results = evaluation.evaluate(predict_targets, run).metrics
    test, ood = (run.folder.predictions(key) for key in ("test", "ood/ood"))
    scores = []
    for saved in (test, ood):
        mean = saved["mean"].mean(axis=0)
        second_moment = (saved["stddev"] ** 2 + saved["mean"] ** 2).mean(axis=0)
        scores.append(np.sqrt(second_moment - mean**2))
    labels = np.repeat([0, 1], [len(each) for each in scores])
    expected = sklearn.metrics.roc_auc_score(labels, np.concatenate(scores))
    assert results["ood/ood/auroc"] == pytest.approx(expected, abs=1e-6)
    assert results["ood/far/auroc"] == results["ood/ood/auroc"]
    assert results["ood/near/auroc"] == results["ood/gap/auroc"]
    assert results["ood/ood/stddev"] == pytest.approx(scores[1].mean())
    assert "ood/ood/epistemic_stddev/auroc" in results
    assert not any(name.endswith(("max_prob", "oscr")) for name in results)


def test_an_ood_score_without_a_value_for_the_network_is_left_out_by_name(tmp_path):
    run = make_run(
        tmp_path / "run",
        "digits",
        corruptions=(),
        ood_scores=("energy", "vim"),
        ood_far=("digits/noise",),
        fit_examples=700,
    )

    def with_logits_below_zero(images):
        found = predict_images(images)
        return found._replace(logits=found.logits - 100)

    measured = evaluation.evaluate(with_logits_below_zero, run)
    reason = "OOD score 'vim' needs largest logits above zero on average in training; use 'knn'."
    assert measured.left_out == {"ood/noise/vim/auroc": reason}
    assert "ood/noise/vim/auroc" not in measured.metrics
    assert "ood/noise/energy/auroc" in measured.metrics


def test_a_metric_without_a_value_is_left_out_by_name(tmp_path):
    run = make_run(tmp_path / "run", metrics=("accuracy", "calibration_auc", "nll"))
    data = datasets.get("two_moons", "test")
    labels = {row.tobytes(): label for row, label in zip(np.asarray(data.features, np.float32), data.labels)}

    def always_right(features):
        found = [labels.get(row.tobytes(), 0) for row in np.asarray(features, np.float32)]
        return Predictions(probs=(0.1 + 0.8 * np.eye(2)[found])[np.newaxis])

    results = finish(run, evaluation.evaluate(always_right, run))
    assert set(results["left_out"]) == {"test/calibration_auc", "test/temperature_scaling/calibration_auc"}
    assert results["metrics"]["test/accuracy"] == 1
    assert results["metrics"]["test/nll"] == pytest.approx(-np.log(0.9))
    assert "test/calibration_auc" not in results["metrics"]


DIGITS = {
    "corruptions": ("gaussian_noise", "contrast"),
    "severities": (1, 5),
    "shift_examples": 300,
    "dataset__validation_percent": 0.2,
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A run on digits with shift, OOD scores and post-hoc calibration, evaluated; and its metrics."""
    fields = {**DIGITS, "posthoc": ("temperature_scaling", "split_conformal")}
    run = make_run(tmp_path_factory.mktemp("digits") / "run", "digits", **fields)
    return run, finish(run, evaluation.evaluate(predict_images, run))["metrics"]


def test_shifted_test_sets_and_their_means(digits):
    run, results = digits
    clean, noisy = (run.folder.predictions(key) for key in ("test", "shift/gaussian_noise_5"))
    np.testing.assert_array_equal(noisy["labels"], clean["labels"][:300])
    np.testing.assert_array_equal(noisy["element_id"], clean["element_id"][:300])
    assert np.any(noisy["log_probs"] != clean["log_probs"][:300])
    for name in ("accuracy", "nll", "ece"):
        values = {
            (corruption, severity): results[f"shift/{corruption}_{severity}/{name}"]
            for corruption in ("gaussian_noise", "contrast")
            for severity in (1, 5)
        }
        assert results[f"shift/mean/{name}"] == pytest.approx(np.mean(list(values.values())))
        severe = np.mean([value for (_, severity), value in values.items() if severity == 5])
        assert results[f"shift/severity_5/{name}"] == pytest.approx(severe)
    clean_error = np.mean(clean["log_probs"][:300].argmax(axis=1) != clean["labels"][:300])
    assert results["shift/mce"] == pytest.approx(1 - results["shift/mean/accuracy"])
    assert results["shift/relative_mce"] == pytest.approx(results["shift/mce"] - clean_error)


@pytest.mark.parametrize("splits", [("validation", "test"), ("test", "validation")])
@pytest.mark.parametrize("inside", ["test", "validation"])
def test_shift_and_ood_are_compared_with_the_split_that_is_named(inside, splits, tmp_path):
    fields = {**DIGITS, "corruptions": ("contrast",), "severities": (5,), "splits": splits, "ood_scores": ()}
    run = make_run(tmp_path / "run", "digits", in_distribution=inside, **fields)
    results = evaluation.evaluate(predict_images, run).metrics
    clean = run.folder.predictions(inside)
    count = min(300, len(clean["labels"]))
    error = np.mean(clean["log_probs"][:count].argmax(axis=1) != clean["labels"][:count])
    assert results["shift/relative_mce"] == pytest.approx(results["shift/mce"] - error)
    np.testing.assert_array_equal(run.folder.predictions("shift/contrast_5")["labels"], clean["labels"][:count])
    photos = run.folder.predictions("ood/photos")
    expected = evaluation.ood_metrics(clean, photos)["auroc"]
    assert results["ood/photos/auroc"] == expected


def test_ood_scores_are_fitted_on_training_data(digits):
    run, results = digits
    assert run.folder.predictions("fit")["features"].shape == (1038, 10)
    for score in ("energy", "mahalanobis", "knn"):
        assert 0 <= results[f"ood/photos/{score}/auroc"] <= 1
    mean = (results["ood/photos/auroc"] + results["ood/noise/auroc"]) / 2
    assert results["ood/far/auroc"] == pytest.approx(mean)
    assert results["ood/photos/oscr"] <= results["test/accuracy"]


def test_posthoc_is_fitted_on_validation(digits):
    run, results = digits
    saved = {split: run.folder.predictions(split) for split in ("test", "validation")}
    temperature = metrics.fit_temperature(probs_of(saved["validation"]), saved["validation"]["labels"])
    scaled = metrics.get("temperature_scaled_nll", temperature=temperature)
    scaled.add_batch(probs_of(saved["test"]), label=saved["test"]["labels"])
    (expected,) = scaled.result().values()
    assert results["test/temperature_scaling/nll"] == pytest.approx(expected, rel=1e-3)
    assert results["test/temperature_scaling/accuracy"] == results["test/accuracy"]
    assert 0.8 < results["test/split_conformal/coverage"] <= 1


def test_open_set_recognition(tmp_path):
    fields = {"corruptions": (), "ood_near": ("digits/unknown",), "ood_far": (), "ood_scores": ()}
    run = make_run(tmp_path / "run", "digits", dataset__classes=(0, 1, 2, 3, 4, 5), **fields)

    def predict(features):
        probs = predict_images(features).probs[..., :6]
        return Predictions(probs=probs / probs.sum(axis=-1, keepdims=True))

    results = evaluation.evaluate(predict, run).metrics
    test, unknown = run.folder.predictions("test"), run.folder.predictions("ood/unknown")
    assert (test["labels"].max(), set(unknown["labels"])) == (5, {-1})
    assert len(test["labels"]) + len(unknown["labels"]) == 500
    correct = test["log_probs"].argmax(axis=1) == test["labels"]
    scores_in, scores_out = (np.log(1 - probs_of(saved).max(axis=1)) for saved in (test, unknown))
    assert results["ood/unknown/oscr"] == metrics.oscr(scores_in, scores_out, correct)
    assert results["ood/near/auroc"] == results["ood/unknown/auroc"]


def test_what_a_likelihood_does_not_define_is_one_line(tmp_path):
    run = make_run(tmp_path / "run", "toy_regression")
    evaluation.evaluate(predict_targets, run)
    for more in ({"more_metrics": ["ece"]}, {"more_ood_scores": ["energy"]}):
        with pytest.raises(InputError, match=r"'(ece|energy)' is not defined for a gaussian likelihood. Leave it out."):
            evaluation.compute(run.folder, **more)
    likelihood = likelihoods.get("gaussian", mean=0.0, stddev=1.0)
    with pytest.raises(InputError, match="'temperature_scaling' is not defined for a gaussian likelihood"):
        evaluation.fit_posthoc("temperature_scaling", {}, likelihood)


def test_the_page_names_every_score_and_method():
    page = (ROOT / "docs/evaluation.md").read_text()
    for name in (*ood_scores.names(), *posthoc.names()):
        assert f"| `{name}` |" in page


def test_ensembles_of_the_samples(tmp_path):
    fields = {"save": ("samples",), "ensemble_curve": True}
    run = make_run(tmp_path / "run", section=SAMPLES, **fields)
    results = evaluation.evaluate(predict_by_distance, run).metrics
    assert results["ensemble/2/nll"] == pytest.approx(results["test/nll"], rel=1e-6)
    calibrated = results["test/temperature_scaling/nll"]
    assert results["ensemble/2/temperature_scaling/nll"] == pytest.approx(calibrated, rel=1e-6)
    saved = run.folder.predictions("test")
    alone = [sklearn.metrics.log_loss(saved["labels"], samples) for samples in saved["samples"]]
    assert results["ensemble/1/nll"] == pytest.approx(np.mean(alone), rel=1e-6)


def test_scores_choose_on_the_ood_validation_set_alone(digits, tmp_path):
    run, results = digits
    measured = evaluation.compute(run.folder)
    test, held_out = run.folder.predictions("test"), run.folder.predictions("validation")
    for name, option in (("energy", "temperature"), ("knn", "k"), ("mahalanobis", "shrinkage")):
        said = measured.tuned[f"ood_scores.{name}.{option}"]
        assert (said["split"], said["criterion"]) == ("ood/textures", "auroc")
        scores = {
            value: ood_scores.get(name, **{option: value}).fit(run.folder.predictions("fit"))
            for value in said["values"]
        }
        outside = run.folder.predictions("ood/textures")
        expected = {value: metrics.auroc(score(held_out), score(outside)) for value, score in scores.items()}
        np.testing.assert_allclose(said["scores"], list(expected.values()))
        assert expected[said["chosen"]] == max(expected.values())
        gaps = []
        for key in ("ood/photos", "ood/noise"):
            outside = run.folder.predictions(key)
            found = {value: metrics.auroc(score(test), score(outside)) for value, score in scores.items()}
            assert results[f"{key}/{name}/tuned/auroc"] == pytest.approx(found[said["chosen"]])
            assert results[f"{key}/{name}/oracle/auroc"] == pytest.approx(max(found.values()))
            gaps.append(max(found.values()) - found[said["chosen"]])
        assert results[f"tuning_gap/{name}"] == pytest.approx(np.mean(gaps))


def test_failures_are_sought_in_all_that_is_measured(digits):
    run, results = digits
    keys = ["test", *(f"shift/{name}_{severity}" for name in ("gaussian_noise", "contrast") for severity in (1, 5))]
    saved = [run.folder.predictions(key) for key in keys]
    wrong = [probs_of(each).argmax(axis=1) != each["labels"] for each in saved]
    outside = [run.folder.predictions(key) for key in ("ood/photos", "ood/noise")]
    is_ood = np.repeat([False, True], [sum(map(len, wrong)), sum(len(each["labels"]) for each in outside)])
    errors = np.concatenate([*wrong, np.zeros(is_ood.sum(), bool)])
    scores = np.concatenate([np.log(1 - probs_of(each).max(axis=1)) for each in [*saved, *outside]])
    for name, value in metrics.failure_detection(errors, scores, is_ood).items():
        assert results[f"failure/max_prob/{name}"] == pytest.approx(value, rel=1e-6)


def test_shifted_sets_are_calibrated_by_what_validation_says(digits):
    run, results = digits
    fitted = evaluation.fit_posthoc("temperature_scaling", run.folder.predictions("validation"), run.task.likelihood)
    shifted = run.folder.predictions("shift/contrast_5")
    expected = evaluation.posthoc_metrics(fitted, shifted, ["nll"], run.task.likelihood).metrics["nll"]
    assert results["shift/contrast_5/temperature_scaling/nll"] == expected
    assert 0 < results["shift/mean/split_conformal/coverage"] < 1
    tuned = evaluation.compute(run.folder).tuned["posthoc.temperature_scaling"]
    assert tuned == {
        "fitted": {"temperature": fitted.parameters["temperature"]},
        "criterion": "nll",
        "split": "validation",
    }
