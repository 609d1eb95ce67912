"""Which runs a sweep has, and what is refused before the first one begins."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.sweep.conftest import DIGITS, write_script
from uncertainty_suite import configuration
from uncertainty_suite.errors import InputError
from uncertainty_suite.sweep.plan import (
    Place,
    check_folders,
    get_methods,
    get_numbers,
    get_settings,
    get_tasks,
    plan,
)

UCI = f"{ROOT}/configs/uci.py"


def plan_of(tmp_path, files, methods, settings=(), seeds=(), folds=(), **tuned):
    place = Place(tmp_path, command="python -m uncertainty_suite.sweep")
    return plan(get_tasks(files), get_methods(methods), get_settings(settings), seeds, folds, place, **tuned)


def test_numbers():
    assert get_numbers(["0:3", "7", "2"], "--seeds") == [0, 1, 2, 7]
    assert get_numbers([], "--seeds") == []
    for text in ("x", "3:3", "-1", "1:2:3", "1.5"):
        with pytest.raises(InputError, match=r"--seeds takes numbers such as 0, 1 and 7, or 0:5 for 0 to 4; received"):
            get_numbers([text], "--seeds")
    with pytest.raises(InputError, match=r"^--folds names more than 100,000 numbers\. Make several sweeps of it\.$"):
        get_numbers(["0:1000000000"], "--folds")


def test_settings_are_all_combinations_and_brackets_hold_together():
    assert get_settings([]) == [{}]
    found = get_settings(["model.num_filters=(8,16),(16,32)", "epochs=1,2", "evaluation.metrics=('nll', 'ece(a=1)')"])
    assert found[:2] == [
        {"model.num_filters": "(8,16)", "epochs": "1", "evaluation.metrics": "('nll', 'ece(a=1)')"},
        {"model.num_filters": "(8,16)", "epochs": "2", "evaluation.metrics": "('nll', 'ece(a=1)')"},
    ]
    assert len(found) == 4


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["epochs"], "--set takes field=value, or field=value,value for several; received 'epochs'"),
        (["epochs=1", "epochs=2"], "--set gives epochs twice"),
        (["seed=1"], "--set seed: give --seeds instead"),
        (["dataset.fold=1"], "--set dataset.fold: give --folds instead"),
    ],
)
def test_settings_that_are_refused(texts, message):
    with pytest.raises(InputError, match=message):
        get_settings(texts)


def test_runs_are_tasks_by_methods_by_settings_by_seeds(tmp_path):
    runs = plan_of(
        tmp_path, [DIGITS, f"{ROOT}/configs/two_moons.py"], ["deterministic", "sngp"], ["epochs=2"], seeds=[0, 4]
    )
    assert [run.name for run in runs] == [
        f"{task}/{method}/seed{seed}"
        for task in ("digits", "two_moons")
        for method in ("deterministic", "sngp")
        for seed in (0, 4)
    ]
    assert {run.config["epochs"] for run in runs} == {2}
    assert [run.config["seed"] for run in runs[:2]] == [0, 4]
    assert runs[0].folder == tmp_path / "digits/deterministic/seed0"
    assert runs[0].log == tmp_path / "digits/deterministic/seed0.log"


def test_several_settings_have_folders_and_a_section_is_its_methods_own(tmp_path):
    settings = ["optimizer.learning_rate=0.1,0.2", "sngp.num_features=32,64", "epochs=1"]
    runs = plan_of(tmp_path, [DIGITS], ["deterministic", "sngp"], settings)
    assert [run.name for run in runs] == [
        "digits/deterministic/optimizer.learning_rate_0.1/seed0",
        "digits/deterministic/optimizer.learning_rate_0.2/seed0",
        *(
            f"digits/sngp/optimizer.learning_rate_{rate}-sngp.num_features_{number}/seed0"
            for rate in (0.1, 0.2)
            for number in (32, 64)
        ),
    ]
    assert runs[-1].config["sngp"]["num_features"] == 64
    with pytest.raises(InputError, match=r"digits/deterministic: Unknown configuration field 'sngp.num_features'"):
        plan_of(tmp_path, [DIGITS], ["deterministic"], ["sngp.num_features=32"])


def test_folds_as_far_as_there_are(tmp_path):
    runs = plan_of(tmp_path, [f"{UCI}:yacht", f"{UCI}:protein", DIGITS], ["deterministic"], seeds=[1], folds=[3, 4, 5])
    assert [run.name for run in runs] == [
        *(f"uci_yacht/deterministic/fold{fold}-seed1" for fold in (3, 4, 5)),
        *(f"uci_protein/deterministic/fold{fold}-seed1" for fold in (3, 4)),
        "digits/deterministic/seed1",
    ]
    with pytest.raises(InputError, match=r"--folds: data set 'uci/protein' has the folds 0 to 4"):
        plan_of(tmp_path, [f"{UCI}:protein"], ["deterministic"], folds=[7])


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (["sngpp"], "Unknown method 'sngpp'. Did you mean 'sngp'?"),
        (["nowhere/mine.py"], "There is no file nowhere/mine.py"),
        (["sngp", str(ROOT / "baselines/sngp.py")], "Two methods are named 'sngp'"),
        ([DIGITS], "has no function main"),
    ],
)
def test_methods_that_are_refused(methods, message):
    with pytest.raises(InputError, match=message):
        get_methods(methods)


def test_a_script_that_cannot_be_imported_is_named(tmp_path):
    (tmp_path / "broken.py").write_text("import nothing_of_that_name")
    with pytest.raises(InputError, match=r"broken.py, line 1: ModuleNotFoundError: No module named 'noth"):
        get_methods([str(tmp_path / "broken.py")])


def test_a_script_of_ones_own(tmp_path):
    section = (
        "from uncertainty_suite.configuration import Parameter, Section\n"
        'CONFIG = Section("mine", gamma=Parameter(2.0, "a factor"))'
    )
    script = write_script(tmp_path / "mine.py", section=section)
    (run,) = plan_of(tmp_path, [DIGITS], [str(script)], ["mine.gamma=3"])
    assert (run.name, run.config["mine"], run.script) == ("digits/mine/seed0", {"gamma": 3.0}, script)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epohs=1", "digits/deterministic: Unknown configuration field 'epohs'. Did you mean 'epochs'?"),
        ("epochs=0", "digits/deterministic: config.epochs must be an integer of at least 1, received 0"),
        ("evaluation.ood_far=('mnits/test',)", "digits/deterministic: .*'mnits'. Did you mean 'mnist'"),
        ("evaluation.corruptions=('frog',)", "digits/deterministic: Unknown corruption 'frog'"),
    ],
)
def test_configurations_are_checked_before_the_first_run(setting, message, tmp_path):
    with pytest.raises(InputError, match=message):
        plan_of(tmp_path, [DIGITS], ["deterministic"], [setting])


def test_a_folder_of_another_training_is_refused(tmp_path):
    (run,) = plan_of(tmp_path, [DIGITS], ["deterministic"])
    run.folder.mkdir(parents=True)
    (run.folder / "config.json").write_text(json.dumps(run.config | {"epochs": 7}))
    with pytest.raises(InputError, match=r"holds a run of another configuration \(epochs: 7 -> 60\)"):
        check_folders([run])
    evaluated = run.config | {"evaluation": run.config["evaluation"] | {"corruptions": []}}
    (run.folder / "config.json").write_text(json.dumps(evaluated))
    check_folders([run])  # its network is kept


def test_what_a_search_chose_is_taken_from_beside_the_configuration_file(tmp_path):
    (tmp_path / "digits.py").write_text((ROOT / "configs/digits.py").read_text())
    path = configuration.tuned_path(tmp_path / "digits.py")
    said = {
        "optimizer.learning_rate": {"values": [0.1, 0.02], "chosen": 0.02},
        "model.dropout_rates": {"chosen": [0.1, 0.2]},
    }
    path.parent.mkdir()
    path.write_text(json.dumps({"deterministic": {"tuned": said}}))
    one, other = plan_of(tmp_path, [str(tmp_path / "digits.py")], ["deterministic", "sngp"])
    assert (one.config["optimizer"]["learning_rate"], one.config["model"]["dropout_rates"]) == (0.02, [0.1, 0.2])
    assert other.config["optimizer"]["learning_rate"] == 1e-3
    assert (one.tuned, other.tuned) == (said, {})
    (given,) = plan_of(tmp_path, [str(tmp_path / "digits.py")], ["deterministic"], ["optimizer.learning_rate=0.5"])
    assert given.config["optimizer"]["learning_rate"] == 0.5
    path.write_text("{")
    with pytest.raises(InputError, match=r"tuned/digits.json cannot be read"):
        plan_of(tmp_path, [str(tmp_path / "digits.py")], ["deterministic"])


WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None  # whose import fails
from uncertainty_suite.sweep.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("more", [[], ["--tune", "2"]])
def test_a_dry_run_imports_no_tensorflow(more, tmp_path):
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW, "configs/digits.py", "configs/uci.py:yacht"]
    command += ["--methods", "sngp", "--seeds", "0:2", "--dry_run", "--output_dir", str(tmp_path / "out"), *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert "digits/sngp/" in process.stdout and "uci_yacht/sngp/" in process.stdout
    assert f"{8 if more else 4} runs, {8 if more else 4} to do" in process.stdout
    assert not (tmp_path / "out").exists()
