"""Bike sharing: which hours are in which split, and what they are made of."""

import csv
import datetime

import numpy as np
import pytest

from uncertainty_suite import datasets
from uncertainty_suite.datasets import bike_sharing


@pytest.fixture(scope="module")
def rows(data_dir):
    """An independent reading of the file."""
    file = data_dir.parent / "tables" / "bike_sharing" / "hour.csv"
    if not file.is_file():
        pytest.skip(f"There is no {file}.")
    return list(csv.DictReader(open(file)))


def test_splits_are_by_date(data_dir, rows):
    dates = [datetime.datetime.strptime(row["dteday"], "%m/%d/%y") for row in rows]
    parts = {
        "train": [date.year == 2011 and date.day < 20 for date in dates],
        "test": [date.year == 2011 and date.day >= 20 for date in dates],
        "2012": [date.year == 2012 for date in dates],
    }
    for split, belongs in parts.items():
        data = datasets.get("bike_sharing", split, data_dir)
        np.testing.assert_array_equal(data.element_ids, np.flatnonzero(belongs))
        np.testing.assert_array_equal(data.labels, [float(rows[i]["cnt"]) for i in data.element_ids])
    assert sum(map(sum, parts.values())) == len(rows) == 17_379


def test_features(data_dir, rows):
    data = datasets.get("bike_sharing", "2012", data_dir)
    numbers = ("holiday", "workingday", "temp", "atemp", "hum", "windspeed")
    for column, name in enumerate(numbers):
        np.testing.assert_array_equal(data.features[:, column], [float(rows[i][name]) for i in data.element_ids])
    # Four seasons, twelve months, 24 hours, seven days, and the three kinds of weather that train has.
    sums = [part.sum(axis=1) for part in np.split(data.features[:, 6:], np.cumsum([4, 12, 24, 7]), axis=1)]
    assert [set(each) for each in sums[:4]] == [{1.0}] * 4
    storm = [rows[i]["weathersit"] == "4" for i in data.element_ids]
    np.testing.assert_array_equal(sums[4] == 0, storm)
    assert sum(storm) == 2
    hours = np.argsort([str(hour) for hour in range(24)])  # categories are sorted as texts
    np.testing.assert_array_equal(
        hours[data.features[:, 22:46].argmax(axis=1)], [int(rows[i]["hr"]) for i in data.element_ids]
    )


@pytest.mark.parametrize("date", ["1/20/11", "2011-01-20"])
def test_dates_of_both_copies(date):
    assert bike_sharing._day(date) == 20
