"""Bike sharing: how many bicycles were hired in an hour of 2011 in Washington, and a year later.

Fanaee-T and Gama, 2014 (https://doi.org/10.24432/C5W894): 17,379 hours with the weather and the calendar. Of 2011,
`train` are the first 19 days of each month and `test` the others, as Kaggle's competition on these data divides them.
`2012` is the next year, of which nothing is trained on: the scheme had grown, and 1.6 times as many were hired.

Left out are date and year, and the two parts that the target is the sum of. Element ids are row numbers, from 0.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np

from uncertainty_suite.datasets import folders, tables
from uncertainty_suite.datasets.forms import Vectors
from uncertainty_suite.datasets.sources import GAUSSIAN, Source
from uncertainty_suite.errors import InputError

_COLUMNS = tables.Columns(
    "cnt",
    GAUSSIAN,
    categorical=("season", "mnth", "hr", "weekday", "weathersit"),
    ignore=("instant", "dteday", "yr", "casual", "registered"),
)
_NUM_ROWS = 17_379
_LAST_DAY = 19  # of a month, in train
_FROM = "hour.csv of https://archive.ics.uci.edu/dataset/275/bike+sharing+dataset"


@functools.lru_cache(maxsize=1)
def _make(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    rows = tables.read_rows(path, "Data set 'bike_sharing'")
    if len(rows.cells) != _NUM_ROWS:
        raise InputError(f"{path} has {len(rows.cells)} rows; expected {_NUM_ROWS}, as published.")
    later = np.array([year == "1" for year in rows.column("yr")])
    begins = np.array([_day(date) <= _LAST_DAY for date in rows.column("dteday")])
    parts = {"train": ~later & begins, "test": ~later & ~begins, "2012": later}
    chosen = {split: rows.chosen(which) for split, which in parts.items()}
    return tables.encode("bike_sharing", chosen, _COLUMNS).splits


def _day(date: str) -> int:
    """Return the day of the month in "1/20/11", or in "2011-01-20" as the file has it that UCI distributes."""
    return int(date.split("/")[1] if "/" in date else date.split("-")[2])


def _read(split: str, data_dir: str | os.PathLike | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return _make(folders.find("bike_sharing", "tables/bike_sharing/hour.csv", data_dir, _FROM))[split]


SOURCE = Source(
    name="bike_sharing",
    splits=("train", "test", "2012"),
    form=Vectors(56, indicators=50),
    likelihood=GAUSSIAN,
    read=_read,
    standardised=True,
    identified=True,
)
