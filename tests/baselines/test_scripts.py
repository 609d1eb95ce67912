"""What every script promises: its results, determinism, resume, and that no setting is silently ignored."""

import json
import shutil

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.tiny import (
    CORE,
    METHODS,
    TASKS,
    TIMES,
    arrays_of,
    assert_same_arrays,
    assert_same_run,
    history_of,
    load_script,
    newest_checkpoint,
    probs_of,
    quick_with,
    section_of,
    tiny_config,
    untimed,
)
from uncertainty_suite import configuration, datasets, launch, metrics, training
from uncertainty_suite.errors import InputError

VARIANTS_OF_FILES = (
    *("adult", "bandit", "banking77", "bike_sharing", "cifar10", "cifar10:wide_resnet_28_10", "clinc_oos"),
    *("clinc_oos:minilm", "clinc_oos:transformer", "diabetic_retinopathy", "digits", "fashion_mnist", "herg"),
    *("herg:graphs", "imagenet", "imagenet:vit_s16", "mnist", "optimization", "sst_sentences", "toxicity"),
    *("toy_regression", "two_moons", "uci:energy", "uci:yacht"),
)


def train(method, folder, task="two_moons", options=None, **overrides) -> dict:
    """Run a script in a folder, and return its results."""
    config = tiny_config(method, task, **overrides)
    return load_script(method).main(config, training.Options(output_dir=folder, **(options or {})))


def check_folder(folder, results) -> None:
    """Check what the run folders of all tasks have in common."""
    for name in ("config.json", "provenance.json", "results.json", "task.json", "predictions/test.npz"):
        assert (folder / name).is_file(), name
    assert json.loads((folder / "results.json").read_text()) == results
    assert (results["model"], results["seed"]) == ("resnet_mlp", 0)
    assert results["in_distribution"] == "test"
    assert results["left_out"] == {}
    assert all(np.isfinite(value) for value in results["metrics"].values())
    assert all(results["metrics"][name] > 0 for name in ("num_parameters", *TIMES))
    histories = list(folder.rglob("history.jsonl"))
    assert histories
    for path in histories:
        history = history_of(path)
        assert [line["epoch"] for line in history] == [1, 2]
        assert history[1]["loss"] < history[0]["loss"]
        assert list(path.parent.glob("tensorboard/*"))


@pytest.mark.parametrize("method", CORE)
def test_classification(method, finished):
    folder, results = finished(method)
    check_folder(folder, results)
    assert (results["method"], results["task"], results["batch_size_global"]) == (method, "two_moons", 128)
    assert results["likelihood"] == {"name": "categorical", "num_classes": 2}
    assert [(split["key"], split["role"]) for split in results["splits"]] == [
        ("test", "test"),
        ("validation", "validation"),
        ("ood/ood", "far_ood"),
        ("ood/ood_validation", "ood_validation"),
        ("grid", "predict_only"),
    ]
    assert sorted(results["data_fingerprint"]) == [
        "grid",
        "ood/ood",
        "ood/ood_validation",
        "test",
        "train",
        "validation",
    ]
    values = results["metrics"]
    assert values["test/accuracy"] > 0.8
    for name in ("nll", "brier", "ece", "entropy"):
        assert 0 < values[f"test/{name}"] < 1
    test = arrays_of(folder / "predictions/test.npz")
    further = [name for name in test if name.startswith("uncertainty/")]
    section = section_of(load_script(method))
    assert ("uncertainty/mutual_information" in further) == bool(section and section.samples)
    for score in ["", *[f"{name.removeprefix('uncertainty/')}/" for name in further]]:
        for name in ("auroc", "aupr_in", "aupr_out", "fpr95"):
            assert 0 <= values[f"ood/ood/{score}{name}"] <= 1
    assert 0.5 <= values["ood/ood/max_prob"] <= 1
    assert test["log_probs"].shape == (1000, 2)
    assert test["log_probs"].dtype == np.float32
    np.testing.assert_allclose(np.exp(test["log_probs"]).sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(test["element_id"], np.arange(1000))
    assert np.mean(test["log_probs"].argmax(axis=1) == test["labels"]) == values["test/accuracy"]


@pytest.mark.parametrize("method", CORE)
def test_regression(method, finished):
    folder, results = finished(method, "toy_regression")
    check_folder(folder, results)
    train_data, test_data = (datasets.get("toy_regression", split).holding_out(0.1) for split in ("train", "test"))
    labels = np.asarray(train_data.labels)
    likelihood = results["likelihood"]
    assert likelihood["name"] == "gaussian"
    assert likelihood["mean"] == pytest.approx(labels.mean())
    assert likelihood["stddev"] == pytest.approx(labels.std())
    test = arrays_of(folder / "predictions/test.npz")
    np.testing.assert_array_equal(test["labels"], test_data.labels)  # in the target's own units
    assert test["mean"].dtype == test["stddev"].dtype == np.float64
    assert np.all(test["stddev"] > 0)
    values = results["metrics"]
    errors = test["mean"].mean(axis=0) - test["labels"]
    assert values["test/rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert 0.1 < values["test/rmse"] / labels.std() < 1.2  # that of the mean of the training targets is 1
    for name in ("gaussian_nll", "crps", "interval_coverage", "interval_width", "quantile_calibration_error"):
        assert f"test/{name}" in values
    assert 0 <= values["ood/near/auroc"] <= 1
    assert 0 <= values["ood/far/auroc"] <= 1
    assert values["ood/ood/stddev"] > 0


@pytest.mark.parametrize("stop_at", [8, *(pytest.param(step, marks=pytest.mark.slow) for step in (3, 13))])
@quick_with("deep_ensemble")
def test_a_stopped_run_goes_on_bit_for_bit(method, stop_at, finished, tmp_path, stopped_at):
    folder, _ = finished(method)
    with stopped_at(stop_at):
        train(method, tmp_path / "stopped")
    assert not (tmp_path / "stopped/results.json").exists()
    # Only what was saved survives: what was written after the last checkpoint is the killed process's.
    train(method, tmp_path / "stopped")
    for path in folder.rglob("checkpoints/*.npz"):  # saved oftener here; the last one is the comparison's
        assert (tmp_path / "stopped" / path.relative_to(folder)).exists()
    assert_same_run(tmp_path / "stopped", folder)


# Every setting changes the output.

TASK_KNOBS = {
    "seed": 1,
    "batch_size": 100,
    "epochs": 1,
    "dataset.validation_percent": 0.2,
    "dataset.train_fraction": 0.5,
    "dataset.label_noise": 0.2,
    "dataset.imbalance": 5.0,
    "model.num_layers": 1,
    "model.num_hidden": 8,
    "model.dropout_rate": 0.5,
    "optimizer.name": "sgd",
    "optimizer.learning_rate": 0.02,
    "optimizer.beta_1": 0.5,
    "optimizer.beta_2": 0.5,
    "optimizer.epsilon": 0.1,
    "optimizer.l2": 0.01,
    "optimizer.schedule": "cosine",
    "optimizer.warmup_epochs": 1.0,
}
# Values that the rule below does not find, and what must be set in both runs for the setting to count at all.
OTHER_VALUES = {"sngp.momentum": 0.99}
TOGETHER = {
    "sngp.momentum": {"sngp.precision": "every_step"},
    "ddu.spec_norm_iterations": {"ddu.spec_norm_bound": 0.5},  # a bound that is reached
}
# What is no part of the probabilities, and where it is seen.
ELSEWHERE = {"ddu.shrinkage": "ood/ood/negative_log_density/auroc"}
# What leaves out all other predictions.
TEST_ALONE = {f"evaluation.{field}": () for field in ("ood_far", "ood_scores", "ood_validation", "predict_only")}
# On vectors a mask for whole channels is a mask for each value, so this one has nothing to change.
NO_EFFECT_ON_VECTORS = {"mc_dropout.filterwise"}


def other_value(parameter, value):
    """Return another value of a hyper-parameter: another choice, one more, or a third."""
    if parameter.type is bool:
        return not value
    if parameter.choices:
        return next(choice for choice in parameter.choices if choice != value)
    if parameter.type is tuple:
        return tuple(each / 3 for each in value)
    return value + 1 if parameter.type is int else value / 3


def method_knobs():
    for method in METHODS:
        section = section_of(load_script(method))
        for name in section.parameters if section else ():
            if f"{section.name}.{name}" not in NO_EFFECT_ON_VECTORS:
                yield pytest.param(method, name, marks=[] if method in CORE else pytest.mark.slow)


@pytest.mark.parametrize("name", TASK_KNOBS)
def test_every_setting_of_a_task_changes_the_output(name, finished, tmp_path):
    _, results = finished("deterministic")
    changed = train("deterministic", tmp_path / "run", **TEST_ALONE, **{name: TASK_KNOBS[name]})
    assert changed["metrics"]["test/nll"] != results["metrics"]["test/nll"]
    mine, theirs = (hash_of_training(each["config"]) for each in (changed, results))
    assert (mine != theirs) == (name != "seed")


def hash_of_training(config):
    return configuration.config_hash({**config, "evaluation": None})


@pytest.mark.parametrize(("method", "name"), list(method_knobs()))
def test_every_setting_of_a_method_changes_the_output(method, name, finished, tmp_path):
    section = section_of(load_script(method))
    field = f"{section.name}.{name}"
    together = TOGETHER.get(field, {})
    _, results = finished(method, **together)
    value = OTHER_VALUES.get(field) or other_value(section.parameters[name], results["config"][section.name][name])
    fields = {**({} if field in ELSEWHERE else TEST_ALONE), **together, field: value}
    changed = train(method, tmp_path / "run", **fields)
    metric = ELSEWHERE.get(field, "test/nll")
    assert changed["metrics"][metric] != results["metrics"][metric]
    assert hash_of_training(changed["config"]) != hash_of_training(results["config"])


def test_filterwise_dropout_changes_the_output_on_images(tmp_path):
    results = [
        train("mc_dropout", tmp_path / str(filterwise), "digits", mc_dropout__filterwise=filterwise)
        for filterwise in (False, True)
    ]
    assert results[0]["metrics"]["test/nll"] != results[1]["metrics"]["test/nll"]


@pytest.mark.parametrize(
    ("method", "precision"),
    [
        ("sngp", "mixed_bfloat16"),
        *(pytest.param(method, "mixed_bfloat16", marks=pytest.mark.slow) for method in CORE if method != "sngp"),
        ("deterministic", "mixed_float16"),
    ],
)
def test_half_precision_trains_to_about_the_same(method, precision, finished, tmp_path):
    _, results = finished(method)
    half = train(method, tmp_path / "run", precision=precision)
    assert half["metrics"]["test/nll"] == pytest.approx(results["metrics"]["test/nll"], rel=0.3)
    assert half["metrics"]["test/nll"] != results["metrics"]["test/nll"]
    assert arrays_of(tmp_path / "run/predictions/test.npz")["log_probs"].dtype == np.float32


@pytest.mark.parametrize("method", [pytest.param("deterministic", marks=pytest.mark.slow), "sngp"])
def test_two_devices_train_as_one(method, two_devices, tmp_path):
    one = train(method, tmp_path / "one", batch_size=47)  # which two does not divide, with dropout
    two = train(method, tmp_path / "two", options={"strategy": two_devices}, batch_size=47)
    mine, theirs = (newest_checkpoint(tmp_path / name) for name in ("two", "one"))
    for name, array in theirs.items():
        np.testing.assert_allclose(mine[name], array, rtol=0, atol=1e-3 * max(np.abs(array).max(), 1e-3), err_msg=name)
    for name in ("test/nll", "test/brier", "ood/ood/max_prob"):
        assert two["metrics"][name] == pytest.approx(one["metrics"][name], rel=1e-3)


# Metrics that compare the samples of a prediction.

SAMPLE_METRICS = {"evaluation.metrics": ("accuracy", "disagreement", "mutual_information", "joint_nll")}


def has_samples(method: str) -> bool:
    section = section_of(load_script(method))
    return bool(section and section.samples)


@pytest.mark.parametrize("method", [method for method in CORE if has_samples(method)])
def test_metrics_of_samples_are_those_of_the_saved_ones_and_need_none_to_be_saved(method, tmp_path):
    # A size that does not divide the 1,000 examples; and a curve would keep samples.
    fields = {**SAMPLE_METRICS, "evaluation.batch_size": 300, "evaluation.ensemble_curve": False}
    results = train(method, tmp_path / "saved", **fields, evaluation__save=("samples",))
    saved = arrays_of(tmp_path / "saved/predictions/test.npz")
    first, second = saved["samples"].astype(np.float64)
    values = {name.removeprefix("test/"): value for name, value in results["metrics"].items()}
    assert values["accuracy"] == np.mean((first + second).argmax(axis=1) == saved["labels"])
    assert values["disagreement"] == pytest.approx(np.mean(first.argmax(axis=1) != second.argmax(axis=1)))

    def entropy(probs):
        return -np.sum(probs * np.log(probs), axis=1)

    information = entropy((first + second) / 2) - (entropy(first) + entropy(second)) / 2
    assert values["mutual_information"] == pytest.approx(information.mean(), rel=1e-4)
    joint_nll = metrics.get("joint_nll")
    joint_nll.add_batch(saved["samples"], label=saved["labels"])
    assert values["joint_nll"] == pytest.approx(joint_nll.result()["joint_nll"])
    assert untimed(train(method, tmp_path / "not_saved", **fields)) == untimed(results)
    assert "samples" not in arrays_of(tmp_path / "not_saved/predictions/test.npz")


@pytest.mark.parametrize("method", [method for method in CORE if not has_samples(method)])
def test_metrics_of_samples_are_refused_before_training_where_there_is_one(method, tmp_path):
    with pytest.raises(InputError, match=rf"'disagreement' compares the samples .* of '{method}' has one. Leave it"):
        train(method, tmp_path / "run", **SAMPLE_METRICS)
    assert not (tmp_path / "run").exists()


# Deep ensemble.


def train_ensemble(folder, members=None, members_at_once=None, **overrides):
    options = training.Options(output_dir=folder)
    config = tiny_config("deep_ensemble", **overrides)
    return load_script("deep_ensemble").main(config, options, members=members, members_at_once=members_at_once)


@pytest.mark.parametrize("task", TASKS)
def test_an_ensemble_of_one_is_its_member(task, tmp_path):
    alone = {"deep_ensemble__size": 1, "evaluation__ensemble_curve": False}
    ensemble = train("deep_ensemble", tmp_path / "ensemble", task, **alone)
    seed = load_script("deep_ensemble").member_seed(0, 0)
    assert untimed(train("deterministic", tmp_path / "member", task, seed=seed)) == untimed(ensemble)


def test_members_trained_at_once_are_the_networks_that_they_would_be_alone(finished, tmp_path):
    train_ensemble(tmp_path / "ensemble", members_at_once=2)
    member_seed, probs = load_script("deep_ensemble").member_seed, []
    for member in range(2):
        train("deterministic", tmp_path / f"{member}", seed=member_seed(0, member))
        probs.append(probs_of(arrays_of(tmp_path / f"{member}/predictions/test.npz")))
        mine = newest_checkpoint(tmp_path / f"ensemble/members/{member}")
        assert_same_arrays(mine, newest_checkpoint(tmp_path / f"{member}"))
    assert np.any(probs[0] != probs[1])
    mixture = probs_of(arrays_of(tmp_path / "ensemble/predictions/test.npz"))
    np.testing.assert_allclose(mixture, np.mean(probs, axis=0), atol=1e-6)


@pytest.mark.parametrize("first", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_how_many_members_train_at_once_may_change_on_the_way(first, finished, tmp_path, stopped_at):
    folder, _ = finished("deep_ensemble")
    with stopped_at(5):
        train_ensemble(tmp_path / "run", members_at_once=first)
    assert len(list((tmp_path / "run").glob("members/*/checkpoints"))) == first
    train_ensemble(tmp_path / "run", members_at_once=3 - first)
    assert_same_run(tmp_path / "run", folder)


def test_members_can_be_trained_apart(finished, tmp_path):
    folder, _ = finished("deep_ensemble")
    assert train_ensemble(tmp_path / "one", members=[1]) is None
    assert train_ensemble(tmp_path / "other", members=[0]) is None
    shutil.copytree(tmp_path / "one/members/1", tmp_path / "other/members/1")
    train_ensemble(tmp_path / "other")
    assert_same_run(tmp_path / "other", folder)
    with pytest.raises(InputError, match=r"--members must be among 0 to 1, the members of this ensemble, not \[2\]"):
        train_ensemble(tmp_path / "third", members=[2])


# MC dropout.


def test_dropout_of_rate_zero_is_refused(tmp_path):
    with pytest.raises(InputError, match="MC dropout has nothing to do in 'resnet_mlp' without dropout") as error:
        train("mc_dropout", tmp_path / "run", model__dropout_rate=0.0)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.rglob("checkpoints"))
    assert not list(tmp_path.rglob("results.json"))


# SNGP.


def test_a_mean_field_factor_of_zero_is_the_mean_network(tmp_path):
    def nll(name, **overrides):
        return train("sngp", tmp_path / name, **overrides)["metrics"]["test/nll"]

    # The mean network knows no variance, so no ridge can change it once the correction is off.
    assert nll("zero", sngp__mean_field_factor=(0.0,)) == nll(
        "ridge", sngp__mean_field_factor=(0.0,), sngp__ridge_penalty=9.0
    )
    # An infinite ridge leaves the prior's variance, which does not depend on the data.
    assert nll("huge", sngp__ridge_penalty=1e8) == pytest.approx(nll("huger", sngp__ridge_penalty=1e9), rel=1e-4)


def test_a_momentum_that_would_do_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"config.sngp.momentum .* Give --config.sngp.precision=every_step too"):
        train("sngp", tmp_path / "run", sngp__momentum=0.9)
    assert not list(tmp_path.rglob("checkpoints"))


def test_the_precision_is_a_part_of_the_checkpoint_and_not_computed_again(finished, tmp_path, monkeypatch):
    from uncertainty_suite import layers, load

    folder, _ = finished("sngp")
    saved = newest_checkpoint(folder)
    (name,) = [name for name in saved if "precision" in name]
    monkeypatch.setattr(layers.RandomFeatureGaussianProcess, "update_precision", None)  # nobody may call it
    monkeypatch.setattr(layers.RandomFeatureGaussianProcess, "reset_precision", None)
    predictor = load(folder)
    test = arrays_of(folder / "predictions/test.npz")
    arrays = predictor.arrays(datasets.get("two_moons", "test").features)
    np.testing.assert_array_equal(arrays["uncertainty/variance"], test["uncertainty/variance"])
    assert np.any(saved[name] != np.eye(len(saved[name])))


@pytest.mark.parametrize("task", VARIANTS_OF_FILES)
@pytest.mark.parametrize("method", ["sg_mcmc", "snapshot_ensemble", "swag"])
def test_the_epochs_of_every_task_are_enough_for_a_method_that_shares_them_out(method, task, tmp_path, monkeypatch):
    """Up to its first step, on two moons: the epochs, the optimizer and the method's own values are the task's."""
    name, _, variant = task.partition(":")
    script = load_script(method)
    file = f"{ROOT / 'configs' / name}.py"
    of_task = launch.get_config(f"{file}:{variant}" if variant else file, section_of(script), method)
    config = tiny_config(method)
    for key in ("epochs", "optimizer", method):
        config[key] = of_task[key]

    class Reached(Exception):
        pass

    def reach(*arguments, **options):
        raise Reached

    monkeypatch.setattr(training.loop.Loop, "__init__", reach)
    with pytest.raises(Reached):
        script.main(config, training.Options(output_dir=tmp_path / "run"))


OF_IDS = (
    "banking77",
    *(task for task in VARIANTS_OF_FILES if "clinc" in task),
    "herg:graphs",
    "sst_sentences",
    "toxicity",
)


@pytest.mark.parametrize("task", OF_IDS)
def test_duq_has_no_penalty_on_gradients_with_regard_to_ids(task):
    assert tiny_config("duq", task).duq.gradient_penalty == 0
