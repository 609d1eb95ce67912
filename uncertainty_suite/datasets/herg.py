"""hERG: whether a molecule blocks the heart's potassium channel, with molecules of new scaffolds as the shift.

9,876 molecules (https://github.com/DonghaiZHAO-ZJU/Benchmark-ADMET-2025) as Morgan fingerprints of radius 2 folded to
1,024 bits (Rogers and Hahn, 2010), which RDKit computes: `pip install "uncertainty-suite[molecules]"`.

`herg/graphs` has the same molecules as graphs of their atoms and bonds, for an architecture that passes messages.

There is no published division. Molecules are sorted by their Bemis-Murcko scaffold (Bemis and Murcko, 1996), the most
frequent first. The last fifth, of scaffolds that occur once, is `new_scaffolds`: no scaffold of it is in the other two.
These are `test`, a fifth of the rest, and `train`; stereoisomers, which fingerprints and graphs do not tell apart, are
all in one of them. All of it is a function of the molecules alone. Element ids are row numbers, from 0; class 1 are
blockers.
"""

from __future__ import annotations

import collections
import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from uncertainty_suite.datasets import folders, own, tables
from uncertainty_suite.datasets.forms import Graphs, Vectors
from uncertainty_suite.datasets.sources import Source
from uncertainty_suite.errors import InputError

if TYPE_CHECKING:
    from rdkit import Chem

NUM_BITS = 1024
RADIUS = 2
ELEMENTS = ("C", "N", "O", "F", "S", "Cl", "Br", "P", "I")  # others are one more
BONDS = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")  # others count as the first
# Of an atom: its element, neighbours, hydrogens, sign of the charge, whether it is aromatic, and in a ring.
_NUM_CHOICES = np.array([len(ELEMENTS) + 1, 5, 5, 3, 2, 2])
_FIRST_IDS = 1 + np.cumsum(_NUM_CHOICES) - _NUM_CHOICES
GRAPHS = Graphs(64, len(_NUM_CHOICES), 1 + int(_NUM_CHOICES.sum()), len(BONDS))
SHIFTED_PERCENT = 0.2
_FROM = "of https://github.com/DonghaiZHAO-ZJU/Benchmark-ADMET-2025, with the columns smiles and blocker"


def read_molecules(rows: tables.Rows) -> list[Chem.Mol]:
    """Return the molecules of a table with a column `smiles`.

    Raises:
        InputError: RDKit is not installed, or cannot read a molecule.
    """
    try:
        from rdkit import Chem, rdBase
    except ModuleNotFoundError as error:
        raise InputError(
            "Data set 'herg' needs RDKit, which reads molecules: pip install 'uncertainty-suite[molecules]'."
        ) from error

    molecules = []
    for smiles, line in zip(rows.column("smiles"), rows.lines):
        with rdBase.BlockLogs():  # what it cannot read is said in one line
            molecule = Chem.MolFromSmiles(smiles)
        if molecule is None or not molecule.GetNumAtoms():
            raise InputError(f"{rows.path}, line {line}: '{smiles[:60]}' is no molecule in SMILES.")
        molecules.append(molecule)
    return molecules


def describe(molecules: list[Chem.Mol]) -> np.ndarray:
    """Return fingerprints, uint8 `[n, 1024]`."""
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=NUM_BITS)
    return np.stack([generator.GetFingerprintAsNumPy(molecule) for molecule in molecules])


def to_graphs(molecules: list[Chem.Mol]) -> np.ndarray:
    """Return graphs of atoms and bonds, uint8 `[n, *GRAPHS.input_shape]`.

    Raises:
        InputError: A molecule has more atoms than a graph.
    """
    graphs = np.zeros((len(molecules), *GRAPHS.input_shape), np.uint8)
    for graph, molecule in zip(graphs, molecules):
        if molecule.GetNumAtoms() > GRAPHS.num_nodes:
            raise InputError(
                f"Graphs of molecules have up to {GRAPHS.num_nodes} atoms, and one has {molecule.GetNumAtoms()}. Leave "
                "it out."
            )
        for atom in molecule.GetAtoms():
            charge = atom.GetFormalCharge()
            choices = (
                ELEMENTS.index(atom.GetSymbol()) if atom.GetSymbol() in ELEMENTS else len(ELEMENTS),
                min(atom.GetDegree(), 4),
                min(atom.GetTotalNumHs(), 4),
                (charge > 0) - (charge < 0) + 1,
                atom.GetIsAromatic(),
                atom.IsInRing(),
            )
            graph[atom.GetIdx(), : len(choices)] = _FIRST_IDS + np.array(choices)
        for bond in molecule.GetBonds():
            places = [bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()]
            kind = BONDS.index(str(bond.GetBondType())) if str(bond.GetBondType()) in BONDS else 0
            graph[places, GRAPHS.num_features + np.array(places[::-1])] = 1 + kind
    return graphs


def has_new_scaffold(scaffolds: list[str]) -> np.ndarray:
    """Return which molecules are of the rarest scaffolds, bool `[n]`: a fifth, or somewhat less, of whole scaffolds."""
    sizes = collections.Counter(scaffolds)
    rarest_first = sorted(sizes, key=lambda scaffold: (sizes[scaffold], hashlib.sha256(scaffold.encode()).digest()))
    total = np.cumsum([sizes[scaffold] for scaffold in rarest_first])
    new = set(rarest_first[: np.searchsorted(total, SHIFTED_PERCENT * len(scaffolds), side="right")])
    return np.array([scaffold in new for scaffold in scaffolds])


def in_test(structures: list[str], labels: np.ndarray) -> np.ndarray:
    """Return which molecules are in `test`, bool `[n]`: a fifth of the structures, and of those of each class.

    Args:
        structures: Of each molecule what its stereoisomers share, `[n]`.
        labels: `[n]`; a structure is of the class of its first molecule.
    """
    label_of: dict[str, int] = {}
    for structure, label in zip(structures, labels.tolist()):
        label_of.setdefault(structure, label)
    chosen = own.cut("herg", list(label_of), list(label_of.values()), own.TEST_PERCENT, seed=0)
    test = {structure for structure, is_test in zip(label_of, chosen) if is_test}
    return np.array([structure in test for structure in structures])


@functools.lru_cache(maxsize=1)  # a quarter of a minute
def _make(
    described: Callable[[list[Chem.Mol]], np.ndarray], path: Path
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    rows = tables.read_rows(path, "Data set 'herg'")
    molecules = read_molecules(rows)
    from rdkit import Chem
    from rdkit.Chem.Scaffolds import MurckoScaffold

    features = described(molecules)
    scaffolds = [MurckoScaffold.MurckoScaffoldSmiles(mol=molecule) for molecule in molecules]
    labels, numbers = np.array(rows.column("blocker")).astype(np.int64), np.array(rows.numbers)
    is_new = has_new_scaffold(scaffolds)
    rest = np.flatnonzero(~is_new)
    is_test = in_test([Chem.MolToSmiles(molecules[i], isomericSmiles=False) for i in rest], labels[rest])
    index = {"train": rest[~is_test], "test": rest[is_test], "new_scaffolds": np.flatnonzero(is_new)}
    return {split: (features[chosen], labels[chosen], numbers[chosen]) for split, chosen in index.items()}


def _read(
    described: Callable[[list[Chem.Mol]], np.ndarray], split: str, data_dir: str | os.PathLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return _make(described, folders.find("herg", "tables/herg/herg.csv", data_dir, _FROM))[split]


SOURCES = [
    Source(
        name=name,
        splits=("train", "test", "new_scaffolds"),
        form=form,
        num_classes=2,
        read=functools.partial(_read, described),
        identified=True,
    )
    for name, form, described in (("herg", Vectors(NUM_BITS), describe), ("herg/graphs", GRAPHS, to_graphs))
]
