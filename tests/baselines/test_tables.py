"""The tasks of tables, a few steps of them by real scripts: that they run, and that their shifts are measured."""

import numpy as np
import pytest

from tests.tiny import CORE, arrays_of, load_script, tiny_config
from uncertainty_suite import datasets, training
from uncertainty_suite.leaderboard.__main__ import main as leaderboard

SHIFTS = {
    "adult": ("female", "male", "white", "black", "other_race", "under_25", "over_64"),
    "bike_sharing": ("2012",),
    "herg": ("new_scaffolds",),
}


def run(task, method, data_dir, folder):
    if not (data_dir.parent / "tables" / task).is_dir():
        pytest.skip(f"There is no {data_dir.parent / 'tables' / task}.")
    config = tiny_config(method, task, dataset__train_fraction=0.05, epochs=2)
    return load_script(method).main(config, training.Options(output_dir=folder, data_dir=data_dir))


def check(task, results, folder, data_dir):
    metrics = results["metrics"]
    name = "gaussian_nll" if task == "bike_sharing" else "nll"
    found = [metrics[f"shift/{split}/{name}"] for split in SHIFTS[task]]
    assert metrics[f"shift/mean/{name}"] == pytest.approx(np.mean(found))
    assert not [name for name in metrics if name.startswith("shift/severity")]
    for split in SHIFTS[task]:
        saved = arrays_of(folder / f"predictions/shift/{split}.npz")
        data = datasets.get(task, split, data_dir)
        np.testing.assert_array_equal(saved["labels"], data.labels)
        np.testing.assert_array_equal(saved["element_id"], data.element_ids)


@pytest.mark.parametrize("task", ["adult", "bike_sharing"])
def test_tables_run_and_make_records(task, data_dir, tmp_path, capsys):
    results = run(task, "deterministic", data_dir, tmp_path / "run")
    check(task, results, tmp_path / "run", data_dir)
    assert leaderboard(["add", str(tmp_path / "run"), "--to", str(tmp_path / "records")]) == 0
    assert leaderboard([str(tmp_path / "records")]) == 0
    assert "| shift/mean/" in capsys.readouterr().out


@pytest.mark.slow  # ten runs of some seconds each, and RDKit
@pytest.mark.parametrize("task", SHIFTS)
@pytest.mark.parametrize("method", CORE)
def test_methods_run_on_tables(task, method, data_dir, tmp_path):
    if task == "herg":
        pytest.importorskip("rdkit", reason="RDKit is not installed.")
    check(task, run(task, method, data_dir, tmp_path), tmp_path, data_dir)
