"""Adult: the published rows, what becomes of their cells, and the groups of test."""

import csv

import numpy as np
import pytest

from uncertainty_suite import datasets
from uncertainty_suite.errors import InputError


@pytest.fixture(scope="module")
def tables(data_dir):
    """An independent reading of the files."""
    folder = data_dir.parent / "tables" / "adult"
    if not folder.is_dir():
        pytest.skip(f"There is no {folder}.")
    return {split: list(csv.DictReader(open(folder / f"{split}.csv"))) for split in ("train", "test")}


def test_published_rows(data_dir, tables):
    for split, number, above in (("train", 32_561, 7841), ("test", 16_281, 3846)):  # as adult.names has them
        data = datasets.get("adult", split, data_dir)
        assert (data.num_examples, int(data.labels.sum())) == (number, above)
        np.testing.assert_array_equal(data.labels, [row["income"] == ">50K" for row in tables[split]])
        np.testing.assert_array_equal(data.element_ids, np.arange(number))
        np.testing.assert_array_equal(data.features[:, 0], [float(row["age"]) for row in tables[split]])


def test_categories_are_those_of_train(data_dir, tables):
    names = ("workclass", "marital_status", "occupation", "relationship", "race", "sex", "native_country")
    data = datasets.get("adult", "train", data_dir)
    start = 5
    for name in names:
        # A gap, "?", is the first one.
        known = sorted({row[name] for row in tables["train"]}, key=lambda cell: "" if cell == "?" else cell)
        expected = np.array([[row[name] == category for category in known] for row in tables["train"][:500]])
        np.testing.assert_array_equal(data.features[:500, start : start + len(known)], expected)
        start += len(known)
    assert start == 91 == data.input_shape[0]
    assert data.form.means[5:] == (0.0,) * 86
    np.testing.assert_allclose(data.form.means[:1], np.mean([float(row["age"]) for row in tables["train"]]))


def test_groups_are_parts_of_test(data_dir, tables):
    rows = tables["test"]
    groups = {
        "female": [row["sex"] == "Female" for row in rows],
        "male": [row["sex"] == "Male" for row in rows],
        "white": [row["race"] == "White" for row in rows],
        "black": [row["race"] == "Black" for row in rows],
        "other_race": [row["race"] not in ("White", "Black") for row in rows],
        "under_25": [int(row["age"]) < 25 for row in rows],
        "over_64": [int(row["age"]) >= 65 for row in rows],
    }
    test = datasets.get("adult", "test", data_dir)
    assert set(test.source.splits) == {"train", "test", *groups}
    for name, belongs in groups.items():
        group = datasets.get("adult", name, data_dir)
        np.testing.assert_array_equal(group.element_ids, np.flatnonzero(belongs))
        np.testing.assert_array_equal(group.features, test.features[group.element_ids])
        np.testing.assert_array_equal(group.labels, test.labels[group.element_ids])


def test_missing_or_other_files_are_one_line(tmp_path, monkeypatch):
    monkeypatch.delenv("UNCERTAINTY_SUITE_DATA_DIR", raising=False)
    (tmp_path / "prepared").mkdir()

    def message():
        with pytest.raises(InputError) as error:
            _ = datasets.get("adult", "test", tmp_path / "prepared").labels
        return str(error.value).replace(str(tmp_path), "DIR")

    assert message() == (
        "Data set 'adult' is not there: looked for DIR/prepared/tables/adult/train.csv, DIR/tables/adult/train.csv. It "
        "is made of https://archive.ics.uci.edu/dataset/2/adult, with a header. Name a folder that holds "
        "tables/adult/train.csv by --data_dir or UNCERTAINTY_SUITE_DATA_DIR."
    )
    (tmp_path / "tables/adult").mkdir(parents=True)
    for split in ("train", "test"):
        (tmp_path / f"tables/adult/{split}.csv").write_text("age,income\n30,>50K\n")
    assert message() == "DIR/tables/adult/train.csv has 1 rows; expected 32561, as published."
