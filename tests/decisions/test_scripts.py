"""The scripts of `baselines/decisions/`, in small."""

import json

import numpy as np
import pytest

from tests.conftest import ROOT
from uncertainty_suite import configuration, datasets
from uncertainty_suite.decisions import read
from uncertainty_suite.decisions.learner import Learner, ask
from uncertainty_suite.errors import InputError

pytestmark = pytest.mark.usefixtures("forget_models")

FOLDER = ROOT / "baselines/decisions"
SMALL = ("--config.epochs=2", "--config.model.num_layers=1", "--config.model.num_hidden=8", "--seeds=1")
MC_DROPOUT = ("--method=mc_dropout", "--config.mc_dropout.num_samples=3")


def run(name, folder, *arguments):
    return configuration.load_module(FOLDER / f"{name}.py").main([*arguments, f"--output_dir={folder}"])


def small_active_learning(folder, *more):
    flags = (*MC_DROPOUT, *SMALL, f"--config={ROOT / 'configs/two_moons.py'}", "--config.batch_size=8", "--first=4")
    sizes = ("--rounds=2", "--labels=3", "--pool_examples=50", "--test_examples=100")
    return run("active_learning", folder, *flags, *sizes, "--acquisitions", "random", "batch_bald", *more)


@pytest.mark.slow
def test_active_learning(tmp_path, capsys):
    record = small_active_learning(tmp_path)
    assert record.budgets == (8, 11, 14)
    ways = record.curves["accuracy"]
    assert ways["random"]["0"][0] == ways["batch_bald"]["0"][0]  # the same first network
    steps = json.loads((tmp_path / "batch_bald/seed0.json").read_text())["steps"]
    first = datasets.get("two_moons").labels[steps[0]["next"][:8]]
    assert np.bincount(first).tolist() == [4, 4]
    assert [len(set(step["next"])) for step in steps] == [11, 14, 14]
    assert read(tmp_path / "active_learning.json").curves == record.curves
    assert (tmp_path / "active_learning.svg").exists()
    assert "batch_bald - random" in (tmp_path / "active_learning.md").read_text()

    # One that was stopped after a round goes on, and sees what it would have seen.
    stopped = {**json.loads((tmp_path / "batch_bald/seed0.json").read_text()), "steps": steps[:1]}
    (tmp_path / "batch_bald/seed0.json").write_text(json.dumps(stopped))
    capsys.readouterr()
    assert small_active_learning(tmp_path).curves == record.curves
    assert "random, seed 0" not in capsys.readouterr().out
    with pytest.raises(InputError, match=r"seed0.json was made with other settings \(config\)"):
        small_active_learning(tmp_path, "--config.mc_dropout.num_samples=4")


def test_active_learning_refuses_what_would_fail_later(tmp_path):
    with pytest.raises(InputError, match=r"config\.batch_size is 9, and at first 8 examples are labelled"):
        small_active_learning(tmp_path, "--config.batch_size=9")
    with pytest.raises(InputError, match=r"'two_moons' has 900 to train on\. Lower --pool_examples"):
        small_active_learning(tmp_path, "--pool_examples=887")
    with pytest.raises(InputError, match=r"Unknown acquisition function of labels 'bold'\. Did you mean 'bald'"):
        small_active_learning(tmp_path, "--acquisitions", "bold")
    with pytest.raises(InputError, match="Unknown method 'dropout'"):
        small_active_learning(tmp_path, "--method=dropout")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_bandits(tmp_path):
    flags = (*MC_DROPOUT, *SMALL, f"--config={ROOT / 'configs/bandit.py'}", "--rounds=2", "--decisions=6", "--first=2")
    record = run("bandit", tmp_path, *flags, "--policies", "uniform", "greedy", "thompson")
    assert record.budgets == (6, 12)
    rewards = datasets.get("bandit/wheel").labels.reshape(-1, 5)
    regrets = rewards.max(axis=1, keepdims=True) - rewards
    contexts = np.random.default_rng(0).permutation(2000)[10:22]
    for policy in ("uniform", "thompson"):
        steps = json.loads((tmp_path / policy / "seed0.json").read_text())["steps"]
        pulled = np.array([step["pulled"] for step in steps]).ravel()
        assert (pulled // 5).tolist() == contexts.tolist()
        sums = regrets.ravel()[pulled].reshape(2, 6).sum(axis=1).cumsum()
        expected = regrets[contexts].mean(axis=1).reshape(2, 6).sum(axis=1).cumsum()
        np.testing.assert_allclose(record.curves["relative_regret"][policy]["0"], sums / expected)
    with pytest.raises(InputError, match="Data set 'toy_regression' is no contextual bandit"):
        run("bandit", tmp_path, *MC_DROPOUT, *SMALL, f"--config={ROOT / 'configs/toy_regression.py'}")


@pytest.mark.slow  # with that below it takes as long as all others
def test_bayesian_optimization(tmp_path):
    flags = (*MC_DROPOUT, *SMALL, f"--config={ROOT / 'configs/optimization.py'}", "--rounds=3")
    record = run("bayesian_optimization", tmp_path, *flags, "--acquisitions", "uniform", "expected_improvement")
    assert record.budgets == (5, 6, 7, 8)
    labels = datasets.get("optimization/branin").labels
    first = np.random.default_rng(0).permutation(1024)[:5]
    for way in record.curves["simple_regret"]:
        steps = json.loads((tmp_path / way / "seed0.json").read_text())["steps"]
        tried = [*first, *(step["tried"] for step in steps)]
        assert len(set(tried)) == 8
        best = np.maximum.accumulate(labels[tried])[4:]
        np.testing.assert_allclose(record.curves["simple_regret"][way]["0"], labels.max() - best)


@pytest.mark.slow
def test_the_greedy_choice_is_what_the_method_says(tmp_path):
    overrides = [each for each in (*MC_DROPOUT, *SMALL) if each.startswith("--config.")]
    learner = Learner("mc_dropout", str(ROOT / "configs/optimization.py"), overrides)
    first = np.random.default_rng(0).permutation(1024)[:5]
    predictor = learner.learn(first, seed=0)
    others = learner.data("train").only(np.setdiff1d(np.arange(1024), first))
    mean = ask(predictor, others, "train").mean.mean(axis=0)
    flags = (*MC_DROPOUT, *SMALL, f"--config={ROOT / 'configs/optimization.py'}", "--rounds=1")
    run("bayesian_optimization", tmp_path, *flags, "--acquisitions", "greedy")
    (step,) = json.loads((tmp_path / "greedy/seed0.json").read_text())["steps"]
    assert step["tried"] == others.element_ids[mean.argmax()]


def test_deferral(finished, tmp_path):
    folder, results = finished("mc_dropout", "two_moons")
    record = run("deferral", tmp_path, str(folder), "--expert=0.9", "--budgets", "0", "0.5", "1")
    curves = record.curves["team_accuracy"]
    assert set(curves) >= {"random", "max_prob", "mutual_information", "oracle"}
    accuracy = results["metrics"]["test/accuracy"]
    for way, by_seed in curves.items():
        (values,) = by_seed.values()
        assert values[0] == pytest.approx(accuracy)
        assert values[2] == pytest.approx(0.9)
        if way == "random":
            assert values[1] == pytest.approx((accuracy + 0.9) / 2)
    with pytest.raises(InputError, match="'two_moons' has no labels of many people"):
        run("deferral", tmp_path, str(folder), "--expert=human")
    with pytest.raises(InputError, match=r"--expert is a probability in \[0, 1\] or 'human', received '2'"):
        run("deferral", tmp_path, str(folder), "--expert=2")
    with pytest.raises(InputError, match=r"is no finished run. Name folders that have a results.json.$"):
        run("deferral", tmp_path, str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="Runs of the same seed"):
        run("deferral", tmp_path, str(folder), str(folder))


def test_scripts_are_named_where_people_look():
    text = (ROOT / "docs/decisions.md").read_text(encoding="utf-8")
    for path in FOLDER.glob("*.py"):
        assert f"baselines/decisions/{path.name}" in text
