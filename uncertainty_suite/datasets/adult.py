"""Adult: whether a person of the census of 1994 earns more than 50,000 dollars a year, with groups of people as shifts.

Becker and Kohavi, 1996 (https://doi.org/10.24432/C5XW20), with its published division: 32,561 rows of `train` and
16,281 of `test`. The splits `female`, `male`, `white`, `black`, `other_race`, `under_25` and `over_64` are the parts of
test with just these people, and have its element ids.

Left out are the weight of a row in the census, and the name of the education, of which the table also has the rank. A
gap is a category of its own.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from uncertainty_suite.datasets import folders, tables
from uncertainty_suite.datasets.forms import Vectors
from uncertainty_suite.datasets.sources import Source
from uncertainty_suite.errors import InputError

_COLUMNS = tables.Columns(
    "income",
    categorical=("workclass", "marital_status", "occupation", "relationship", "race", "sex", "native_country"),
    ignore=("fnlwgt", "education"),
    missing="fill",
)
_GROUPS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "female": ("sex", lambda sex: sex == "Female"),
    "male": ("sex", lambda sex: sex == "Male"),
    "white": ("race", lambda race: race == "White"),
    "black": ("race", lambda race: race == "Black"),
    "other_race": ("race", lambda race: race not in ("White", "Black")),
    "under_25": ("age", lambda age: int(age) < 25),
    "over_64": ("age", lambda age: int(age) > 64),
}
_NUM_ROWS = {"train": 32_561, "test": 16_281}
_FROM = "made of https://archive.ics.uci.edu/dataset/2/adult, with a header"


@functools.lru_cache(maxsize=1)  # each split is made of both files
def _make(train: Path, test: Path) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    rows = {"train": tables.read_rows(train, "Data set 'adult'"), "test": tables.read_rows(test, "Data set 'adult'")}
    for split, expected in _NUM_ROWS.items():
        if len(rows[split].cells) != expected:
            raise InputError(
                f"{rows[split].path} has {len(rows[split].cells)} rows; expected {expected}, as published."
            )
    splits = tables.encode("adult", rows, _COLUMNS).splits
    for group, (column, belongs) in _GROUPS.items():
        index = np.flatnonzero([belongs(cell) for cell in rows["test"].column(column)])
        features, labels, numbers = splits["test"]
        splits[group] = features[index], labels[index], numbers[index]
    return splits


def _read(split: str, data_dir: str | os.PathLike | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    train, test = (folders.find("adult", f"tables/adult/{each}.csv", data_dir, _FROM) for each in ("train", "test"))
    return _make(train, test)[split]


SOURCE = Source(
    name="adult",
    splits=("train", "test", *_GROUPS),
    form=Vectors(91, indicators=86),
    num_classes=2,
    read=_read,
    standardised=True,
    identified=True,
)
