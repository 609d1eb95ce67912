"""Data sets made of an `.npz` file: what its arrays become, and what is refused how."""

import numpy as np
import pytest

from uncertainty_suite import datasets
from uncertainty_suite.datasets import Dataset
from uncertainty_suite.datasets.forms import Images, Vectors
from uncertainty_suite.errors import InputError

X = np.arange(40.0).reshape(20, 2)
Y = np.arange(20) % 2


def make(folder, likelihood="categorical", options=None, **arrays):
    np.savez(folder / "ours.npz", **arrays)
    return datasets.from_npz("ours", folder / "ours.npz", likelihood, **(options or {}))


def refused(folder, *args, **arrays):
    with pytest.raises(InputError) as error:
        make(folder, *args, **arrays)
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(folder), "DIR")


def test_arrays_of_each_split(tmp_path):
    source = make(tmp_path, x_train=X, y_train=Y, x_test=X[:4] + 1, y_test=Y[:4], x_far=X[:3] * 10)
    train, test, far = (Dataset(source, split) for split in ("train", "test", "far"))
    np.testing.assert_array_equal(train.features, X)
    np.testing.assert_array_equal(test.labels, Y[:4])
    assert far.labels.tolist() == [-1, -1, -1]
    assert (source.form, source.standardised, source.num_classes) == (Vectors(2), True, 2)
    (batch,) = test.load(4).as_numpy_iterator()
    np.testing.assert_allclose(batch["features"], (X[:4] + 1 - X.mean(axis=0)) / X.std(axis=0), rtol=1e-6)


def test_one_pair_of_arrays_is_cut(tmp_path):
    source = make(tmp_path, x=X, y=Y)
    train, test = (Dataset(source, split) for split in ("train", "test"))
    assert np.bincount(test.labels).tolist() == [2, 2]
    assert sorted([*train.element_ids, *test.element_ids]) == list(range(20))
    np.testing.assert_array_equal(test.features, X[test.element_ids])


def test_targets(tmp_path):
    source = make(tmp_path, "gaussian", x_train=X, y_train=Y[:, np.newaxis] * 0.5, x_test=X, y_test=Y)
    assert source.num_classes == 0
    np.testing.assert_array_equal(Dataset(source, "train").labels, Y * 0.5)


def test_classes_by_name(tmp_path):
    names = np.array(["no", "yes", "do not know", "yes"])
    source = make(tmp_path, x_train=X[:4], y_train=names, x_test=X[:1], y_test=names[:1])
    assert Dataset(source, "train").labels.tolist() == [1, 2, 0, 2]
    source = make(tmp_path, x_train=X[:4], y_train=np.array([30, 4, 4, 5]), x_test=X[:1], y_test=np.array([5]))
    assert Dataset(source, "train").labels.tolist() == [2, 0, 0, 1]
    assert Dataset(source, "test").labels.tolist() == [1]


def test_images(tmp_path):
    gray = np.zeros((4, 5, 6), np.uint8)
    source = make(tmp_path, x_train=gray, y_train=Y[:4], x_test=gray, y_test=Y[:4])
    assert (source.form, source.maximum, source.standardised) == (Images(5, 6, 1), 255, False)
    color = np.ones((4, 5, 6, 3))
    source = make(tmp_path, x_train=color, y_train=Y[:4], x_test=color, y_test=Y[:4])
    assert (source.form, source.maximum) == (Images(5, 6, 3), 1)
    arrays = {"x_train": color * 200, "y_train": Y[:4], "x_test": color, "y_test": Y[:4]}
    assert refused(tmp_path, **arrays) == (
        "Data set 'ours' has pixels up to 200; give the value that stands for 1, as maximum=255."
    )
    assert make(tmp_path, options={"maximum": 255}, **arrays).maximum == 255


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"images": X}, "DIR/ours.npz has an array 'images'; expected x_train and y_train, x_test and y_test and so "
         "on, or x and y."),
        ({"x": X, "y": Y, "y_test": Y}, "DIR/ours.npz has an array 'y_test'; expected x_train and y_train, x_test and "
         "y_test and so on, or x and y."),
        ({"x": X}, "DIR/ours.npz has 'x_train' and no labels 'y_train'."),
        ({"x": X[:0], "y": Y[:0]}, "'x_train' of DIR/ours.npz has no examples."),
        ({"x": X, "y": Y[:5]}, "'y_train' of DIR/ours.npz is of shape (5,); expected (20,), a label for each example "
         "of 'x_train'."),
        ({"x": X, "y": Y / 2}, "'y_train' of DIR/ours.npz is of type float64; expected integers (as y.astype(int)) or "
         "texts, or numbers with likelihood='gaussian'."),
        ({"x": X.astype(str), "y": Y}, "features are of type <U32 and shape (20, 2); expected numbers of shape "
         "[n, size], [n, height, width] or [n, height, width, channels]."),
        ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y + 1}, "example 1 of 'y_test' is of the class '2', and "
         "no training example is; these have '0', '1'. Mend it, leave it out, or give examples of no known class as "
         "ood=..."),
        ({"x": X, "y": np.array(["a", "b", ""] + ["a"] * 17)}, "'y_train' of DIR/ours.npz has an empty text for "
         "example 2. Name its class, or leave the example out."),
    ],
)  # fmt: skip
def test_wrong_arrays(tmp_path, arrays, said):
    assert refused(tmp_path, **arrays) == f"Data set 'ours': {said}"


def test_features_that_are_no_numbers_name_the_example(tmp_path):
    """By its place in the array, though a test split is cut off."""
    assert refused(tmp_path, x=np.where(X == 6, np.nan, X), y=Y) == (
        "Data set 'ours': 'x_train' of DIR/ours.npz has values that are NaN or infinite, first in example 3. Mend or "
        "remove it."
    )


def test_one_value_stands_for_white_in_all_splits(tmp_path):
    images = np.zeros((4, 5, 5), np.uint8)
    arrays = {"x_train": images, "y_train": Y[:4], "x_test": images / 255, "y_test": Y[:4]}
    assert refused(tmp_path, **arrays) == (
        "Data set 'ours': 'x_train' of DIR/ours.npz has whole numbers and 'x_test' has floats, and one value stands "
        "for 1 in all splits. Save images of one type."
    )


def test_options_that_are_none(tmp_path):
    with pytest.raises(InputError, match=r"^Unknown option of data set 'ours' 'maxmum'. Did you mean 'maximum'\?"):
        make(tmp_path, options={"maxmum": 1}, x=X, y=Y)
    with pytest.raises(InputError, match=r"^Data set 'ours' is made of \['a', 'b'\]; expected a path, or paths by "):
        datasets.from_csv("ours", ["a", "b"], "y")
    with pytest.raises(InputError, match=r"^Data set 'ours' has a split named 'Test'. Write 'test'.$"):
        datasets.from_csv("ours", {"train": "a.csv", "Test": "b.csv"}, "y")


def test_what_is_no_npz(tmp_path):
    (tmp_path / "text.npz").write_text("x,y")
    with pytest.raises(InputError, match=r"^Data set 'ours': .*text.npz is no .npz file of arrays \(.*\)\.$"):
        datasets.from_npz("ours", tmp_path / "text.npz")
    assert refused(tmp_path, x=np.array([{}, 1], dtype=object), y=Y[:2]).startswith(
        "Data set 'ours': DIR/ours.npz is no .npz file of arrays (Object arrays"
    )
    with pytest.raises(InputError, match=r"there is no file nowhere\.npz"):
        datasets.from_npz("ours", "nowhere.npz")
