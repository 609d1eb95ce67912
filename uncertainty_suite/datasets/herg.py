"""hERG: whether a molecule blocks the heart's potassium channel, with molecules of new scaffolds as the shift.

9,876 molecules (https://github.com/DonghaiZHAO-ZJU/Benchmark-ADMET-2025) as Morgan fingerprints of radius 2 folded to
1,024 bits (Rogers and Hahn, 2010), which RDKit computes: `pip install "uncertainty-suite[molecules]"`.

There is no published division. Molecules are sorted by their Bemis-Murcko scaffold (Bemis and Murcko, 1996), the most
frequent first. The last fifth, of scaffolds that occur once, is `new_scaffolds`: no scaffold of it is in the other two.
These are `test`, a fifth of each class of the rest, and `train`. All of it is a function of the molecules alone.
Element ids are row numbers, from 0; class 1 are blockers.
"""

from __future__ import annotations

import collections
import functools
import hashlib
import os
from pathlib import Path

import numpy as np

from uncertainty_suite.datasets import folders, own, tables
from uncertainty_suite.datasets.forms import Vectors
from uncertainty_suite.datasets.sources import Source
from uncertainty_suite.errors import InputError

NUM_BITS = 1024
RADIUS = 2
SHIFTED_PERCENT = 0.2
_FROM = "of https://github.com/DonghaiZHAO-ZJU/Benchmark-ADMET-2025, with the columns smiles and blocker"


def describe(rows: tables.Rows) -> tuple[np.ndarray, list[str]]:
    """Return the fingerprints of molecules, uint8 `[n, 1024]`, and their scaffolds as SMILES, some of them empty.

    Args:
        rows: A table with a column `smiles`.

    Raises:
        InputError: RDKit is not installed, or cannot read a molecule.
    """
    try:
        from rdkit import Chem, rdBase
        from rdkit.Chem import rdFingerprintGenerator
        from rdkit.Chem.Scaffolds import MurckoScaffold
    except ModuleNotFoundError as error:
        raise InputError(
            "Data set 'herg' needs RDKit, which reads molecules: pip install 'uncertainty-suite[molecules]'."
        ) from error

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=NUM_BITS)
    fingerprints, scaffolds = [], []
    for smiles, line in zip(rows.column("smiles"), rows.lines):
        with rdBase.BlockLogs():  # what it cannot read is said in one line
            molecule = Chem.MolFromSmiles(smiles)
        if molecule is None or not molecule.GetNumAtoms():
            raise InputError(f"{rows.path}, line {line}: '{smiles[:60]}' is no molecule in SMILES.")
        fingerprints.append(generator.GetFingerprintAsNumPy(molecule))
        scaffolds.append(MurckoScaffold.MurckoScaffoldSmiles(mol=molecule))
    return np.stack(fingerprints), scaffolds


def has_new_scaffold(scaffolds: list[str]) -> np.ndarray:
    """Return which molecules are of the rarest scaffolds, bool `[n]`: a fifth, or somewhat less, of whole scaffolds."""
    sizes = collections.Counter(scaffolds)
    rarest_first = sorted(sizes, key=lambda scaffold: (sizes[scaffold], hashlib.sha256(scaffold.encode()).digest()))
    total = np.cumsum([sizes[scaffold] for scaffold in rarest_first])
    new = set(rarest_first[: np.searchsorted(total, SHIFTED_PERCENT * len(scaffolds), side="right")])
    return np.array([scaffold in new for scaffold in scaffolds])


@functools.lru_cache(maxsize=1)  # a quarter of a minute
def _make(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    rows = tables.read_rows(path, "Data set 'herg'")
    features, scaffolds = describe(rows)
    labels, numbers = np.array(rows.column("blocker")).astype(np.int64), np.array(rows.numbers)
    is_new = has_new_scaffold(scaffolds)
    rest = np.flatnonzero(~is_new)
    smiles = rows.column("smiles")
    is_test = own.cut("herg", [smiles[i] for i in rest], labels[rest].tolist(), own.TEST_PERCENT, seed=0)
    index = {"train": rest[~is_test], "test": rest[is_test], "new_scaffolds": np.flatnonzero(is_new)}
    return {split: (features[chosen], labels[chosen], numbers[chosen]) for split, chosen in index.items()}


def _read(split: str, data_dir: str | os.PathLike | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return _make(folders.find("herg", "tables/herg/herg.csv", data_dir, _FROM))[split]


SOURCE = Source(
    name="herg",
    splits=("train", "test", "new_scaffolds"),
    form=Vectors(NUM_BITS),
    num_classes=2,
    read=_read,
    identified=True,
)
