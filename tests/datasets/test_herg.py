"""hERG: fingerprints, graphs, and a division that no scaffold is on both sides of."""

import collections
import sys

import numpy as np
import pytest

from uncertainty_suite import datasets
from uncertainty_suite.datasets import herg, tables
from uncertainty_suite.errors import InputError


def table(tmp_path, *smiles):
    file = tmp_path / "molecules.csv"
    file.write_text("smiles,blocker\n" + "".join(f"{each},1\n" for each in smiles))
    return tables.read_rows(file, "Data set 'herg'")


def molecules(tmp_path, *smiles):
    return herg.read_molecules(table(tmp_path, *smiles))


def test_molecules_become_fingerprints(tmp_path):
    pytest.importorskip("rdkit", reason="RDKit is not installed.")
    fingerprints = herg.describe(molecules(tmp_path, "CCO", "OCC", "Cc1ccccc1", "c1ccccc1CCC2CC2"))
    assert (fingerprints.shape, fingerprints.dtype) == ((4, 1024), np.uint8)
    np.testing.assert_array_equal(fingerprints[0], fingerprints[1])  # the same molecule
    # Ethanol: three atoms, the surroundings of radius 1 of each, and that of radius 2 is the same bonds again.
    assert fingerprints[0].sum() == 6
    with pytest.raises(InputError, match=r"molecules.csv, line 3: 'C1CC' is no molecule in SMILES.$"):
        molecules(tmp_path, "CCO", "C1CC")


def test_molecules_become_graphs(tmp_path):
    pytest.importorskip("rdkit", reason="RDKit is not installed.")
    graphs = herg.to_graphs(molecules(tmp_path, "CCO", "C#N", "c1ccccc1", "C[N+](C)(C)CC=O"))
    herg.GRAPHS.check(graphs, 1, "Graphs")
    assert (graphs.shape, graphs.dtype) == ((4, 64, 70), np.uint8)
    # Ethanol. Elements are 1 to 10, neighbours 0 to 4 are 11 to 15, hydrogens 16 to 20, charges 21 to 23.
    np.testing.assert_array_equal(
        graphs[0, :4, :9],
        [
            [1, 12, 19, 22, 24, 26, 0, 1, 0],  # CH3, joined with the second atom
            [1, 13, 18, 22, 24, 26, 1, 0, 1],
            [3, 12, 17, 22, 24, 26, 0, 1, 0],  # OH
            [0] * 9,
        ],
    )
    assert (graphs[1, 0, 7], graphs[1, 1, 6]) == (3, 3)  # a triple bond
    assert set(graphs[2, :6, 4]) == {25}  # benzene is aromatic,
    assert set(graphs[2, :6, 5]) == {27}  # and a ring
    np.testing.assert_array_equal((graphs[2, :6, 6:] == 4).sum(axis=1), 2)
    assert graphs[3, 1, 3] == 23  # the charged nitrogen, which has four neighbours
    assert graphs[3, 1, 1] == 15
    with pytest.raises(InputError, match=r"^Graphs of molecules have up to 64 atoms, and one has 65. Leave it out.$"):
        herg.to_graphs(molecules(tmp_path, "C" * 65))


def test_without_rdkit_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(InputError) as error:
        molecules(tmp_path, "CCO")
    assert str(error.value) == (
        "Data set 'herg' needs RDKit, which reads molecules: pip install 'uncertainty-suite[molecules]'."
    )


def test_new_scaffolds_are_the_rarest_ones():
    scaffolds = ["a"] * 10 + ["b"] * 6 + ["c"] * 2 + ["d", "e", "f"]
    new = herg.has_new_scaffold(scaffolds)
    assert {scaffold for scaffold, is_new in zip(scaffolds, new) if is_new} == {"d", "e", "f"}  # "c" would be too many
    order = np.random.default_rng(0).permutation(len(scaffolds))
    np.testing.assert_array_equal(herg.has_new_scaffold([scaffolds[i] for i in order]), new[order])


def test_stereoisomers_are_on_one_side():
    structures = [f"m{i // 2}" for i in range(400)]
    labels = np.array([i % 4 == 0 for i in range(400)]).astype(np.int64)
    chosen = herg.in_test(structures, labels)
    assert (chosen[::2] == chosen[1::2]).all()
    assert chosen.sum() == 80
    assert labels[::2][chosen[::2]].sum() == 20  # a fifth of the structures whose first molecule is of class 1
    order = np.random.default_rng(0).permutation(200)
    reordered = np.stack([2 * order, 2 * order + 1], axis=1).ravel()
    np.testing.assert_array_equal(
        herg.in_test([structures[i] for i in reordered], labels[reordered]), chosen[reordered]
    )


@pytest.mark.slow  # RDKit takes a quarter of a minute or more
def test_no_scaffold_and_no_structure_is_on_both_sides(data_dir):
    pytest.importorskip("rdkit", reason="RDKit is not installed.")
    file = data_dir.parent / "tables" / "herg" / "herg.csv"
    if not file.is_file():
        pytest.skip(f"There is no {file}.")
    rows = tables.read_rows(file, "Data set 'herg'")
    from rdkit import Chem
    from rdkit.Chem.Scaffolds import MurckoScaffold

    read = herg.read_molecules(rows)
    scaffolds = [MurckoScaffold.MurckoScaffoldSmiles(mol=molecule) for molecule in read]
    data = {split: datasets.get("herg", split, data_dir) for split in ("train", "test", "new_scaffolds")}
    found = {split: {scaffolds[i] for i in each.element_ids} for split, each in data.items()}
    assert not found["new_scaffolds"] & (found["train"] | found["test"])
    assert sorted(np.concatenate([each.element_ids for each in data.values()])) == list(range(9876))
    assert data["new_scaffolds"].num_examples == 1975
    sizes = collections.Counter(scaffolds)
    assert {sizes[scaffold] for scaffold in found["new_scaffolds"]} == {1}
    blockers = np.array(rows.column("blocker")).astype(int)
    for each in data.values():
        np.testing.assert_array_equal(each.labels, blockers[each.element_ids])
    graphs = datasets.get("herg/graphs", "test", data_dir)
    np.testing.assert_array_equal(graphs.element_ids, data["test"].element_ids)
    np.testing.assert_array_equal(graphs.labels, data["test"].labels)
    # Without stereochemistry no molecule of test is in train, and shares are of such structures.
    flat = np.array([Chem.MolToSmiles(molecule, isomericSmiles=False) for molecule in read])
    assert not set(flat[data["train"].element_ids]) & set(flat[data["test"].element_ids])
    structures = {split: np.unique(flat[data[split].element_ids]).size for split in ("train", "test")}
    assert abs(structures["test"] / sum(structures.values()) - 0.2) < 1e-3
    assert abs(data["train"].labels.mean() - data["test"].labels.mean()) < 3e-3
