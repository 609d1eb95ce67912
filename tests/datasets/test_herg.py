"""hERG: fingerprints, and a division that no scaffold is on both sides of."""

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


def test_molecules_become_fingerprints_and_scaffolds(tmp_path):
    pytest.importorskip("rdkit", reason="RDKit is not installed.")
    fingerprints, scaffolds = herg.describe(table(tmp_path, "CCO", "OCC", "Cc1ccccc1", "c1ccccc1CCC2CC2"))
    assert (fingerprints.shape, fingerprints.dtype) == ((4, 1024), np.uint8)
    np.testing.assert_array_equal(fingerprints[0], fingerprints[1])  # the same molecule
    # Ethanol: three atoms, the surroundings of radius 1 of each, and that of radius 2 is the same bonds again.
    assert fingerprints[0].sum() == 6
    assert scaffolds == ["", "", "c1ccccc1", "c1ccc(CCC2CC2)cc1"]
    with pytest.raises(InputError, match=r"molecules.csv, line 3: 'C1CC' is no molecule in SMILES.$"):
        herg.describe(table(tmp_path, "CCO", "C1CC"))


def test_without_rdkit_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(InputError) as error:
        herg.describe(table(tmp_path, "CCO"))
    assert str(error.value) == (
        "Data set 'herg' needs RDKit, which reads molecules: pip install 'uncertainty-suite[molecules]'."
    )


def test_new_scaffolds_are_the_rarest_ones():
    scaffolds = ["a"] * 10 + ["b"] * 6 + ["c"] * 2 + ["d", "e", "f"]
    new = herg.has_new_scaffold(scaffolds)
    assert {scaffold for scaffold, is_new in zip(scaffolds, new) if is_new} == {"d", "e", "f"}  # "c" would be too many
    order = np.random.default_rng(0).permutation(len(scaffolds))
    np.testing.assert_array_equal(herg.has_new_scaffold([scaffolds[i] for i in order]), new[order])


@pytest.mark.slow  # RDKit takes a quarter of a minute or more
def test_no_scaffold_is_on_both_sides(data_dir):
    pytest.importorskip("rdkit", reason="RDKit is not installed.")
    file = data_dir.parent / "tables" / "herg" / "herg.csv"
    if not file.is_file():
        pytest.skip(f"There is no {file}.")
    rows = tables.read_rows(file, "Data set 'herg'")
    _, scaffolds = herg.describe(rows)
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
    assert abs(data["train"].labels.mean() - data["test"].labels.mean()) < 1e-3
