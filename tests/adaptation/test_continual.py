"""Classes after classes: what is seen in which way, what is forgotten, and that a stopped sequence goes on."""

import json

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.tiny import arrays_of, newest_checkpoint
from uncertainty_suite import configuration, datasets, training
from uncertainty_suite.decisions.learner import Learner
from uncertainty_suite.errors import InputError

pytestmark = pytest.mark.usefixtures("forget_models")

DIGITS = (f"--config={ROOT / 'configs/digits.py'}", "--config.model.num_filters=(4, 8)", "--config.model.num_hidden=16")
SMALL = (*DIGITS, "--config.optimizer.learning_rate=0.01", "--config.batch_size=32", "--seeds=1")


@pytest.fixture(scope="module")
def script():
    return configuration.load_module(ROOT / "baselines/adaptation/continual.py")


@pytest.mark.slow  # five trainings, and again
def test_split_digits(script, tmp_path, capsys):
    # With less of a network, one that has learnt the first task learns no other.
    network = ("--config.model.num_filters=(8, 16)", "--config.model.num_hidden=64")
    how = ("--config.optimizer.learning_rate=0.003", "--config.batch_size=32", "--config.epochs=12")
    flags = ["--method=deterministic", DIGITS[0], *network, *how, "--seeds=1", "--classes=5", "--memory=10"]
    record = script.main([*flags, f"--output_dir={tmp_path}"])
    assert record.budgets == (2,)
    curves = {metric: {way: by_seed["0"][0] for way, by_seed in ways.items()} for metric, ways in record.curves.items()}
    assert curves["accuracy"]["joint"] > 0.85
    assert curves["accuracy"]["fine_tuning"] < 0.6  # at most half is right where all of the first task is forgotten
    assert curves["accuracy"]["joint"] > curves["accuracy"]["replay"] > curves["accuracy"]["fine_tuning"]
    assert curves["forgetting"]["fine_tuning"] > curves["forgetting"]["replay"] > curves["forgetting"]["joint"]
    assert curves["task_accuracy"]["fine_tuning"] > curves["accuracy"]["fine_tuning"]
    assert curves["old_nll"]["fine_tuning"] > curves["old_nll"]["joint"]
    assert curves["augrc"]["fine_tuning"] > curves["augrc"]["joint"]
    first = [record.made_by["after_each_task"][way]["0"][0] for way in script.WAYS]
    assert first[0] == first[1] == first[2]  # the same network
    matrix = [step["accuracies"] for step in record.made_by["after_each_task"]["fine_tuning"]["0"]]
    assert matrix[1][1] > 0.6  # what is new is learnt
    assert curves["forgetting"]["fine_tuning"] == pytest.approx(matrix[0][0] - matrix[1][0])
    assert curves["accuracy"]["fine_tuning"] == pytest.approx((matrix[1][0] + matrix[1][1]) / 2)

    # What is finished is not done again; a way that was stopped after the first task goes on.
    path = tmp_path / "replay/seed0/progress.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "steps": content["steps"][:1]}))
    capsys.readouterr()
    assert script.main([*flags, f"--output_dir={tmp_path}"]).curves == record.curves
    assert capsys.readouterr().out.count("seed 0, task") == 1
    with pytest.raises(InputError, match=r"progress.json was made with other settings \(memory\)"):
        script.main([*flags[:-1], "--memory=3", f"--output_dir={tmp_path}"])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sngp", "deep_ensemble", "batch_ensemble", "swag"])
def test_any_method_goes_on_from_the_task_before(method, script, tmp_path):
    flags = [f"--method={method}", *SMALL, "--config.epochs=4", "--classes=5", f"--output_dir={tmp_path}"]
    record = script.main(flags)
    assert all(np.isfinite(by_seed["0"]).all() for ways in record.curves.values() for by_seed in ways.values())


def test_a_training_starts_from_the_networks_of_another(tmp_path):
    learner = Learner("deterministic", str(ROOT / "configs/two_moons.py"), ["--config.epochs=1"])
    learner.learn(learner.data("train").element_ids[:300], 0, tmp_path / "first")
    first = newest_checkpoint(tmp_path / "first")
    options = {"output_dir": tmp_path / "second", "train_only": True, "start_from": tmp_path / "first"}
    config = configuration.from_json(configuration.to_json(learner.config))
    run = training.Run(config, ROOT / "baselines/deterministic.py", training.Options(**options))
    # A loop as the script makes it, before any step.
    from uncertainty_suite import models

    data = run.get_data("train")
    with run.scope():
        model = models.build(run.config.model, data, run.task.likelihood)
        optimizer = training.get_optimizer(run.config, model, data)
    loop = training.Loop(run, data, model, optimizer, lambda batch: {})
    assert loop.step == 0
    for variable in model.variables:
        np.testing.assert_array_equal(variable, first[f"model/{variable.path}"])
    assert int(optimizer.iterations) == 0
    assert max(np.abs(each).max() for each in arrays_of(max((tmp_path / "first").rglob("*.npz"))).values()) > 0
    moved = [np.abs(np.asarray(each)).max() for each in optimizer.variables if "learning_rate" not in each.path]
    assert max(moved) == 0  # its moments are not those of the task before


def test_starting_from_another_training_is_no_run_of_its_own(tmp_path):
    with pytest.raises(InputError) as error:
        training.Options(start_from=tmp_path)
    assert str(error.value) == "Results depend on start_from, and no record says so: it needs train_only."
    learner = Learner("deterministic", str(ROOT / "configs/two_moons.py"), ["--config.epochs=1"])
    with pytest.raises(InputError) as error:
        learner.learn(learner.data("train").element_ids, 0, tmp_path / "run", tmp_path / "nothing")
    assert str(error.value) == f"There is no checkpoint in {tmp_path}/nothing/checkpoints to start from."


def test_what_a_way_to_learn_sees(script):
    data = datasets.get("digits", "train")
    tasks = np.arange(10).reshape(5, 2)

    def counts(way):
        ids = script.examples(way, data, tasks, 2, 3, seed=0)
        assert len(set(ids)) == len(ids)
        return np.bincount(data.labels[np.isin(data.element_ids, ids)], minlength=10)

    of_class = np.bincount(data.labels)
    np.testing.assert_array_equal(counts("fine_tuning"), of_class * np.isin(np.arange(10), (4, 5)))
    np.testing.assert_array_equal(counts("joint"), of_class * (np.arange(10) < 6))
    np.testing.assert_array_equal(counts("replay"), [3] * 4 + list(of_class[4:6]) + [0] * 4)


def test_forgetting_is_from_the_best_that_there_was(script):
    accuracies = [[0.5, 0.0, 0.0], [0.9, 0.8, 0.0], [0.3, 0.6, 1.0]]
    steps = [{"accuracies": row, "task_accuracies": [1.0, 0.5, 0.3], "old_nll": 2.0} for row in accuracies]
    assert script.value_of("forgetting", steps, 2) == pytest.approx((0.9 - 0.3 + 0.8 - 0.6) / 2)
    assert script.value_of("forgetting", steps, 1) == pytest.approx(0.5 - 0.9)
    assert script.value_of("accuracy", steps, 1) == pytest.approx(0.85)
    assert script.value_of("task_accuracy", steps, 2) == pytest.approx(0.6)
    assert script.value_of("old_nll", steps, 2) == 2.0


def test_what_would_fail_later_is_refused(script, tmp_path):
    flags = ["--method=deterministic", *SMALL, f"--output_dir={tmp_path}"]
    for more, message in (
        (["--classes=3"], "--classes must divide the 10 classes of data set 'digits' into two tasks or more"),
        (
            ["--classes=10"],
            "--classes must divide the 10 classes of data set 'digits' into two tasks or more, received",
        ),
        (["--memory=0"], "--memory must be at least 1, received 0"),
        (
            ["--config.batch_size=400"],
            r"config.batch_size is 400, and the smallest task has 2\d\d examples",
        ),
    ):
        with pytest.raises(InputError, match=message):
            script.main([*flags, *more])
    with pytest.raises(InputError, match="Labels of data set 'toy_regression' are gaussian; tasks are made of classes"):
        script.main(["--method=deterministic", f"--config={ROOT / 'configs/toy_regression.py'}", *flags[-1:]])
    assert not list(tmp_path.iterdir())


def test_scripts_are_named_where_people_look():
    text = (ROOT / "docs/adaptation.md").read_text(encoding="utf-8")
    for path in (ROOT / "baselines/adaptation").glob("*.py"):
        assert f"baselines/adaptation/{path.name}" in text
