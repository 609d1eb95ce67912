"""What every script promises: its results, determinism, resume, and that no setting is silently ignored."""

import json
import shutil

import numpy as np
import pytest

from tests.baselines.conftest import METHODS, load_script, tiny_config
from tests.conftest import ROOT
from uncertainty_suite import configuration, leaderboard, training
from uncertainty_suite.errors import InputError

TIMES = ("train_seconds", "milliseconds_per_example")


def untimed(results: dict) -> dict:
    return {name: value for name, value in results["metrics"].items() if name not in TIMES}


def arrays_of(path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name != "state"}


def assert_same_run(folder, other) -> None:
    """Assert that two run folders hold the same weights, predictions, history and results, bit for bit."""
    for path in sorted(other.rglob("*.npz")):
        mine, theirs = arrays_of(folder / path.relative_to(other)), arrays_of(path)
        assert mine.keys() == theirs.keys()
        for name in theirs:
            np.testing.assert_array_equal(mine[name], theirs[name], err_msg=f"{path}: {name}")
    for path in sorted(other.rglob("history.jsonl")):
        mine, theirs = (
            [{**json.loads(line), "seconds": 0} for line in file.read_text().splitlines()]
            for file in (folder / path.relative_to(other), path)
        )
        assert mine == theirs
    assert untimed(json.loads((folder / "results.json").read_text())) == untimed(
        json.loads((other / "results.json").read_text())
    )


@pytest.mark.parametrize("method", METHODS)
def test_run_folder_and_results(method, finished):
    folder, results = finished(method)
    for name in ("config.json", "provenance.json", "results.json", "predictions/test.npz", "predictions/ood/ood.npz"):
        assert (folder / name).is_file(), name
    assert json.loads((folder / "results.json").read_text()) == results
    assert (results["method"], results["task"], results["model"]) == (method, "two_moons", "resnet_mlp")
    assert (results["seed"], results["batch_size_global"]) == (0, 128)
    assert sorted(results["data_fingerprint"]) == ["grid", "test", "train", "two_moons/ood"]
    metrics = results["metrics"]
    assert metrics["test/accuracy"] > 0.8
    for name in ("nll", "brier", "ece", "entropy"):
        assert 0 < metrics[f"test/{name}"] < 1
    scores = {"mc_dropout": ["mutual_information"], "deep_ensemble": ["mutual_information"], "sngp": ["variance"]}
    for score in ["", *[f"{score}/" for score in scores.get(method, [])]]:
        for name in ("auroc", "aupr_in", "aupr_out", "fpr95"):
            assert 0 <= metrics[f"ood/ood/{score}{name}"] <= 1
    assert 0.5 <= metrics["ood/ood/max_prob"] <= 1
    assert all(metrics[name] > 0 for name in ("num_parameters", *TIMES))
    test = arrays_of(folder / "predictions/test.npz")
    assert test["probs"].shape == (1000, 2)
    assert test["probs"].dtype == np.float32
    np.testing.assert_allclose(test["probs"].sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(test["element_id"], np.arange(1000))
    assert np.mean(test["probs"].argmax(axis=1) == test["labels"]) == metrics["test/accuracy"]
    members = sorted(folder.glob("members/*")) or [folder]
    for member in members:
        history = [json.loads(line) for line in (member / "history.jsonl").read_text().splitlines()]
        assert [line["epoch"] for line in history] == [1, 2]
        assert history[1]["loss"] < history[0]["loss"]
        assert list(member.glob("tensorboard/*"))


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_gives_the_same_bits_and_a_finished_run_is_not_repeated(method, finished, tmp_path):
    folder, _ = finished(method)
    script, config = load_script(method), tiny_config(method)
    results = script.main(config, tmp_path / "again")
    assert_same_run(tmp_path / "again", folder)
    written_at = (tmp_path / "again/results.json").stat().st_mtime_ns
    assert script.main(config, tmp_path / "again") == results
    assert (tmp_path / "again/results.json").stat().st_mtime_ns == written_at


@pytest.mark.parametrize("stop_at", [3, 8, 13])
@pytest.mark.parametrize("method", METHODS)
def test_a_stopped_run_goes_on_bit_for_bit(method, stop_at, finished, tmp_path, stopped_at):
    folder, _ = finished(method)
    script, config = load_script(method), tiny_config(method)
    with stopped_at(stop_at):
        script.main(config, tmp_path / "stopped")
    assert not (tmp_path / "stopped/results.json").exists()
    # Only what was saved survives: what was written after the last checkpoint is the killed process's.
    script.main(config, tmp_path / "stopped")
    shutil.rmtree(tmp_path / "stopped/tensorboard", ignore_errors=True)
    for path in folder.rglob("checkpoints/*.npz"):  # saved oftener here; the last one is the comparison's
        assert (tmp_path / "stopped" / path.relative_to(folder)).exists()
    assert_same_run(tmp_path / "stopped", folder)


KNOBS = {
    "deterministic": {
        "seed": 1,
        "batch_size": 100,
        "epochs": 1,
        "dataset__validation_percent": 0.2,
        "model__resnet_mlp__num_layers": 1,
        "model__resnet_mlp__num_hidden": 8,
        "model__resnet_mlp__dropout_rate": 0.5,
        "optimizer__name": "sgd",
        "optimizer__learning_rate": 0.02,
        "optimizer__l2": 0.01,
        "optimizer__schedule": "cosine",
        "optimizer__warmup_epochs": 1.0,
    },
    "mc_dropout": {"mc_dropout__num_samples": 4, "mc_dropout__filterwise": True, "mc_dropout__shared_masks": True},
    "deep_ensemble": {"deep_ensemble__size": 1, "seed": 1},
    "sngp": {
        "sngp__spec_norm_bound": 0.3,
        "sngp__spec_norm_iterations": 3,
        "sngp__num_features": 16,
        "sngp__kernel_scale": 2.0,
        "sngp__feature_type": "orthogonal",
        "sngp__feature_stddev": 0.5,
        "sngp__scale_features": False,
        "sngp__normalize_input": True,
        "sngp__ridge_penalty": 0.1,
        "sngp__momentum": 0.99,
        "sngp__precision": "every_step",
        "sngp__mean_field_factor": 5.0,
    },
}
# On vectors a mask for whole channels is a mask for each value, so this one has nothing to change.
NO_EFFECT_ON_VECTORS = {"mc_dropout__filterwise"}


@pytest.mark.parametrize(
    ("method", "name"),
    [(method, name) for method in KNOBS for name in KNOBS[method] if name not in NO_EFFECT_ON_VECTORS],
)
def test_every_setting_changes_the_output(method, name, finished, tmp_path):
    _, results = finished(method)
    overrides = {name: KNOBS[method][name]}
    if overrides.get("optimizer__name") == "sgd":
        overrides["optimizer__momentum"] = 0.9
    config = tiny_config(method)
    with config.unlocked():
        config.update_from_flattened_dict({key.replace("__", "."): value for key, value in overrides.items()})
    changed = load_script(method).main(config, tmp_path / "run")
    assert changed["metrics"]["test/nll"] != results["metrics"]["test/nll"]
    assert changed["config_hash"] != results["config_hash"] or name == "seed"


def test_filterwise_dropout_changes_the_output_on_images(tmp_path):
    nll = {}
    for filterwise in (False, True):
        config = configuration.load(ROOT / "configs" / "digits" / "mc_dropout.py")
        config.epochs = 1
        config.mc_dropout.num_samples = 2
        config.mc_dropout.filterwise = filterwise
        nll[filterwise] = load_script("mc_dropout").main(config, tmp_path / str(filterwise))["metrics"]["test/nll"]
    assert nll[True] != nll[False]


def test_an_ensemble_of_one_is_its_member(tmp_path):
    script = load_script("deep_ensemble")
    ensemble = script.main(tiny_config("deep_ensemble", deep_ensemble__size=1), tmp_path / "ensemble")
    config = tiny_config("deterministic", seed=script.member_seed(0, 0))
    assert untimed(load_script("deterministic").main(config, tmp_path / "member")) == untimed(ensemble)


def test_members_trained_at_once_are_the_networks_that_they_would_be_alone(tmp_path):
    script = load_script("deep_ensemble")
    script.main(tiny_config("deep_ensemble"), tmp_path / "ensemble", members_at_once=2)
    for member in range(2):
        config = tiny_config("deterministic", seed=script.member_seed(0, member))
        load_script("deterministic").main(config, tmp_path / f"{member}")
        mine, theirs = (
            arrays_of(max(folder.glob("checkpoints/*.npz")))
            for folder in (tmp_path / f"ensemble/members/{member}", tmp_path / f"{member}")
        )
        assert mine.keys() == theirs.keys()
        for name in theirs:
            np.testing.assert_array_equal(mine[name], theirs[name])


@pytest.mark.parametrize("first", [1, 2])
def test_how_many_members_train_at_once_may_change_on_the_way(first, finished, tmp_path, stopped_at):
    folder, _ = finished("deep_ensemble")
    script, config = load_script("deep_ensemble"), tiny_config("deep_ensemble")
    with stopped_at(5):
        script.main(config, tmp_path / "run", members_at_once=first)
    assert len(list((tmp_path / "run").glob("members/*/checkpoints"))) == first
    script.main(config, tmp_path / "run", members_at_once=3 - first)
    assert_same_run(tmp_path / "run", folder)


def test_members_differ_and_the_ensemble_is_their_mean(finished):
    folder, _ = finished("deep_ensemble")
    first, second = (arrays_of(next(folder.glob(f"members/{i}/checkpoints/*.npz"))) for i in range(2))
    assert np.any(first["00002"] != second["00002"])


def test_dropout_of_rate_zero_is_the_deterministic_network(tmp_path):
    rate = {"model__resnet_mlp__dropout_rate": 0.0}
    deterministic = load_script("deterministic").main(tiny_config("deterministic", **rate), tmp_path / "deterministic")
    dropout = load_script("mc_dropout").main(tiny_config("mc_dropout", **rate), tmp_path / "mc_dropout")
    for name in ("test/nll", "test/brier", "ood/ood/max_prob"):
        assert dropout["metrics"][name] == pytest.approx(deterministic["metrics"][name], rel=1e-6)


def test_a_mean_field_factor_of_zero_is_the_mean_network(tmp_path):
    def nll(name, **overrides):
        results = load_script("sngp").main(tiny_config("sngp", **overrides), tmp_path / name)
        return results["metrics"]["test/nll"]

    # The mean network knows no variance, so no ridge can change it once the correction is off.
    assert nll("zero", sngp__mean_field_factor=0.0) == nll(
        "ridge", sngp__mean_field_factor=0.0, sngp__ridge_penalty=9.0
    )
    # An infinite ridge leaves the prior's variance, which does not depend on the data.
    assert nll("huge", sngp__ridge_penalty=1e8) == pytest.approx(nll("huger", sngp__ridge_penalty=1e9), rel=1e-4)


def test_members_can_be_trained_apart(finished, tmp_path):
    folder, _ = finished("deep_ensemble")
    script, config = load_script("deep_ensemble"), tiny_config("deep_ensemble")
    assert script.main(config, tmp_path / "one", members=[1]) is None
    assert script.main(config, tmp_path / "other", members=[0]) is None
    shutil.copytree(tmp_path / "one/members/1", tmp_path / "other/members/1")
    script.main(config, tmp_path / "other")
    assert_same_run(tmp_path / "other", folder)
    with pytest.raises(InputError, match=r"--members must be among 0 to 1, the members of this ensemble, not \[2\]"):
        script.main(config, tmp_path / "third", members=[2])


@pytest.mark.parametrize("method", ["deterministic", "sngp"])
def test_two_devices_train_as_one(method, two_devices, tmp_path, monkeypatch):
    config = tiny_config(method, model__resnet_mlp__dropout_rate=0.0)
    one = load_script(method).main(config, tmp_path / "one")
    monkeypatch.setattr(training, "get_strategy", lambda: two_devices)
    two = load_script(method).main(config, tmp_path / "two")
    for name in ("test/nll", "test/brier", "ood/ood/max_prob"):
        assert two["metrics"][name] == pytest.approx(one["metrics"][name], rel=1e-3)


FOCAL_LOSS = {
    "Train one network by maximum likelihood": "Train one network by the focal loss (Lin et al. 2017, gamma 2)",
    "            loss = tf.reduce_mean(loss)\n": "            loss = tf.reduce_mean((1 - tf.exp(-loss)) ** 2 * loss)\n",
}


def test_a_copied_script_is_a_new_method_on_the_leaderboard(finished, tmp_path):
    source = (ROOT / "baselines/deterministic.py").read_text()
    for old, new in FOCAL_LOSS.items():
        assert old in source
        source = source.replace(old, new)
    (tmp_path / "focal_loss.py").write_text(source)
    script = configuration.load_module(tmp_path / "focal_loss.py")
    results = script.main(tiny_config("deterministic"), tmp_path / "runs/focal_loss")
    baseline, _ = finished("deterministic")
    assert results["metrics"]["test/nll"] != leaderboard.read_records([baseline])[0].metrics["test/nll"]
    table = leaderboard.render(leaderboard.read_records([tmp_path / "runs", baseline]))
    assert "| focal_loss " in table
    assert "| deterministic " in table


@pytest.mark.parametrize("method", METHODS)
def test_bfloat16_trains_to_about_the_same(method, finished, tmp_path):
    _, results = finished(method)
    half = load_script(method).main(tiny_config(method, precision="mixed_bfloat16"), tmp_path / "run")
    assert half["metrics"]["test/nll"] == pytest.approx(results["metrics"]["test/nll"], rel=0.3)
    assert half["metrics"]["test/nll"] != results["metrics"]["test/nll"]
    assert arrays_of(tmp_path / "run/predictions/test.npz")["probs"].dtype == np.float32
