"""A search with a fair budget: what it chooses, from what, what it reads, and what records say of it."""

import json
import os
import shutil

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.sweep.conftest import TINY, write_script
from tests.tiny import assert_same_run
from uncertainty_suite.datasets import stored
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.sweep import engines

SECTION = """
from uncertainty_suite.configuration import Parameter, Section

CONFIG = Section("mine", factor=Parameter(1.0, "of nothing", search=(0.5, 2.0, "log")))
"""


@pytest.fixture
def config_file(tmp_path):
    """A copy of the configuration file of digits, beside which what is chosen can be written."""
    folder = tmp_path / "configs"
    folder.mkdir()
    return shutil.copy(ROOT / "configs/digits.py", folder)


@pytest.fixture
def read(monkeypatch):
    """Which splits of which data sets are read, by the name of the run that reads them."""
    found: dict[str, set[str]] = {}
    execute, read = engines.execute, stored.read

    def noted(run):
        with monkeypatch.context() as patch:

            def read_and_note(source, split, data_dir):
                found.setdefault(run.name, set()).add(f"{source.name}/{split}")
                return read(source, split, data_dir)

            patch.setattr(stored, "read", read_and_note)
            return execute(run)

    monkeypatch.setattr(engines, "execute", noted)
    return found


def check_search(out, method, number):
    """Check what a search left behind, and return what it chose."""
    trials = [RunFolder(out / f"trials/digits/{method}/{trial:03}/seed0") for trial in range(number)]
    scores = [trial.results["metrics"]["validation/nll"] for trial in trials]
    best = int(np.argmin(scores))
    for trial in trials:
        assert [split.key for split in trial.task.splits] == ["validation"]
        assert not any(name.startswith(("test", "ood", "shift")) for name in trial.results["metrics"])
    final = RunFolder(out / f"digits/{method}/tuned_{number}/seed1")
    rates = [trial.config["optimizer"]["learning_rate"] for trial in trials]
    assert len(set(rates)) == number
    assert final.config["optimizer"]["learning_rate"] == rates[best]
    said = final.results["tuned"]["optimizer.learning_rate"]
    assert said == {
        "values": rates,
        "chosen": rates[best],
        "scores": scores,
        "criterion": "nll",
        "split": "validation",
        "range": [3e-4, 1e-2, "log"],
    }
    assert "test/nll" in final.results["metrics"]
    table = (out / f"trials/digits/{method}.md").read_text().splitlines()
    assert len(table) == 2 + number and table[2].startswith(f"| {best} | {rates[best]} |")
    for suffix in ("png", "svg"):
        assert (out / f"trials/digits/{method}.{suffix}").exists()
    return {field: one["chosen"] for field, one in final.results["tuned"].items() if "range" in one}


def test_the_best_on_validation_is_chosen_and_test_data_are_not_read(sweep, config_file, read, tmp_path):
    script = write_script(tmp_path / "mine.py", section=SECTION)
    command = [config_file, "--methods", script, "--seeds", "1", "--set", *TINY, "--tune", "4"]
    status, printed, err = sweep(*command)
    assert status == 0, err
    chosen = check_search(tmp_path / "out", "mine", 4)
    assert chosen.keys() == {"optimizer.learning_rate", "mine.factor"}
    trials = {name: splits for name, splits in read.items() if name.startswith("trials/")}
    assert len(trials) == 4 and all(splits == {"digits/train"} for splits in trials.values())
    assert {"digits/test", "digits/photos"} < read["digits/mine/tuned_4/seed1"]
    assert "learning_rate (4)" in printed

    # It is written where later runs read it; the same command again changes no bit, and makes no run.
    path = tmp_path / "configs/tuned/digits.json"
    assert {field: said["chosen"] for field, said in json.loads(path.read_text())["mine"]["tuned"].items()} == chosen
    before, results = path.read_bytes(), tmp_path / "out/digits/mine/tuned_4/seed1/results.json"
    modified = os.stat(results).st_mtime_ns
    read.clear()
    assert sweep(*command)[0] == 0
    assert (path.read_bytes(), os.stat(results).st_mtime_ns, read) == (before, modified, {})

    # A later sweep without a search takes it, and says so in its records.
    status, printed, err = sweep(config_file, "--methods", script, "--seeds", "1", "--set", *TINY)
    assert status == 0, err
    plain = RunFolder(tmp_path / "out/digits/mine/seed1")
    assert plain.results["tuned"]["optimizer.learning_rate"]["chosen"] == chosen["optimizer.learning_rate"]
    assert_same_run(plain.path, results.parent)


DIVERGING = """
    if config.mine.factor > 1:
        from uncertainty_suite.errors import DivergedError
        raise DivergedError("The loss is nan.")
    if config.mine.factor > LIMIT:
        raise RuntimeError("out of memory")
"""


@pytest.mark.slow
def test_a_trial_that_diverges_counts_and_one_that_the_machine_failed_must_be_repeated(sweep, config_file, tmp_path):
    script = write_script(tmp_path / "mine.py", DIVERGING.replace("LIMIT", "1"), SECTION)
    command = [config_file, "--methods", script, "--set", *TINY, "--tune", "3", "--tuned_dir", tmp_path / "elsewhere"]
    assert sweep(*command)[0] == 0
    content = json.loads((tmp_path / "elsewhere/digits.json").read_text())["mine"]["tuned"]["mine.factor"]
    scores = dict(zip(content["values"], content["scores"]))
    assert {factor > 1 for factor in scores} == {True, False}
    assert all((score is None) == (factor > 1) for factor, score in scores.items())
    assert "not finite" in (tmp_path / "out/trials/digits/mine.md").read_text()
    assert not (tmp_path / "configs/tuned").exists()

    shutil.rmtree(tmp_path / "out")
    (tmp_path / "elsewhere/digits.json").unlink()
    write_script(script, DIVERGING.replace("LIMIT", "0"), SECTION)
    status, _, err = sweep(*command, "--retries", "0")
    assert status == 1
    assert "RuntimeError: out of memory" in err and "The loss is nan" not in err.partition("sweep: ")[2]
    assert not (tmp_path / "elsewhere/digits.json").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["optimizer.learning_rate=0.1"], "digits/deterministic: there is nothing to search. Give a range"),
        (
            ["dataset.validation_percent=0.0", "evaluation.splits=('test',)"],
            "are chosen on the validation split, and",
        ),
    ],
)
def test_searches_that_are_refused(more, message, sweep, config_file, tmp_path):
    status, _, err = sweep(config_file, "--methods", "deterministic", "--tune", "2", "--set", *more)
    assert (status, message in err, err.count("\n")) == (1, True, 1)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow  # sixteen trials
def test_methods_with_hyper_parameters_of_their_own(sweep, config_file, tmp_path):
    command = [config_file, "--methods", "sngp", "mc_dropout", "--seeds", "1", "--set", *TINY, "--tune", "8"]
    status, _, err = sweep(*command)
    assert status == 0, err
    chosen = {method: check_search(tmp_path / "out", method, 8) for method in ("sngp", "mc_dropout")}
    assert chosen["sngp"].keys() == {"optimizer.learning_rate", "sngp.spec_norm_bound", "sngp.ridge_penalty"}
    assert chosen["mc_dropout"].keys() == {"optimizer.learning_rate", "model.dropout_rates"}
    # Both tried the same learning rates.
    tuned = json.loads((tmp_path / "configs/tuned/digits.json").read_text())
    one, other = (tuned[method]["tuned"]["optimizer.learning_rate"]["values"] for method in ("sngp", "mc_dropout"))
    assert one == other
    before = (tmp_path / "configs/tuned/digits.json").read_bytes()
    shutil.rmtree(tmp_path / "out")
    shutil.rmtree(tmp_path / "configs/tuned")
    assert sweep(*command)[0] == 0  # all of it again
    assert (tmp_path / "configs/tuned/digits.json").read_bytes() == before


@pytest.mark.slow  # half a minute, most of it for reading images
def test_a_search_does_without_the_files_of_test_data(sweep, config_file, data_dir, tmp_path):
    shutil.copy(ROOT / "configs/mnist.py", tmp_path / "configs")
    shutil.copytree(data_dir / "mnist", tmp_path / "data/mnist", copy_function=os.symlink)
    for path in (tmp_path / "data").rglob("*-test*"):
        path.unlink()
    few = ["epochs=1", "dataset.train_fraction=0.01", "dataset.validation_percent=0.01"]
    command = [tmp_path / "configs/mnist.py", "--methods", "deterministic", "--tune", "2", "--set", *few]
    status, _, err = sweep(*command, "--data_dir", tmp_path / "data")
    trials = [RunFolder(tmp_path / f"out/trials/mnist/deterministic/{i:03}/seed0") for i in (0, 1)]
    assert all("validation/nll" in trial.results["metrics"] for trial in trials)
    assert status == 1 and "mnist/deterministic/tuned_2/seed0 failed" in err  # the run itself needs them
