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
    "herg:graphs": ("new_scaffolds",),
}


def run(task, method, data_dir, folder):
    table = data_dir.parent / "tables" / task.partition(":")[0]
    if not table.is_dir():
        pytest.skip(f"There is no {table}.")
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
        data = datasets.get(task.replace(":", "/"), split, data_dir)
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
    if task.startswith("herg"):
        pytest.importorskip("rdkit", reason="RDKit is not installed.")
    check(task, run(task, method, data_dir, tmp_path), tmp_path, data_dir)


@pytest.mark.parametrize("method", ["deterministic", "sngp"])
def test_molecules_are_graphs_to_a_message_passing_network(method, tmp_path):
    """64 molecules of one ring, and 16 of scaffolds of their own."""
    pytest.importorskip("rdkit", reason="RDKit is not installed.")
    rings = ("c1ccccc1", "C1CCCC1", "C1CCCCC1", "c1ccncc1")
    common = [f"{end}{'C' * k}{ring}" for end in "NO" for k in range(8) for ring in rings]
    smiles = [*common, *(f"c1ccccc1{'C' * k}c2ccccc2" for k in range(1, 17))]
    (tmp_path / "tables/herg").mkdir(parents=True)
    lines = [f"{each},{int('N' in each)}" for each in smiles]
    (tmp_path / "tables/herg/herg.csv").write_text("\n".join(["smiles,blocker", *lines]) + "\n")
    overrides = {"model__num_layers": 1, "model__num_hidden": 8, "batch_size": 16, "epochs": 2}
    config = tiny_config(method, "herg:graphs", **overrides, dataset__validation_percent=0.2)
    assert config.model.name == "message_passing"
    options = training.Options(output_dir=tmp_path / "run", data_dir=tmp_path)
    metrics = load_script(method).main(config, options)["metrics"]
    assert 0 <= metrics["test/accuracy"] <= 1
    saved = arrays_of(tmp_path / "run/predictions/shift/new_scaffolds.npz")
    np.testing.assert_array_equal(saved["element_id"], np.arange(64, 80))
    assert np.ptp(saved["log_probs"][:, 0]) > 0
