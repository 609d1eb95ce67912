"""Data that cannot be right is refused when it is read."""

import numpy as np
import pytest

from uncertainty_suite import datasets
from uncertainty_suite.datasets.forms import Images, Tokens, Vectors
from uncertainty_suite.errors import InputError

FEATURES = np.zeros((5, 2), np.float32)
LABELS = np.array([0, 1, 2, -1, 0])


def read(features, labels, form=None, num_classes=3, **fields) -> datasets.Dataset:
    source = datasets.Source(
        "odd", ("train",), form or Vectors(2), lambda *_: (features, labels), num_classes=num_classes, **fields
    )
    dataset = datasets.Dataset(source, "train")
    assert dataset.num_examples == len(labels)
    return dataset


def with_nan() -> np.ndarray:
    features = FEATURES.copy()
    features[3, 1] = np.nan
    return features


SCALARS = np.arange(5.0)
IMAGES = np.zeros((5, 2, 2, 1), np.uint8)


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (FEATURES[:0], LABELS[:0], "has 0 examples and 0 labels; expected as many, and some."),
        (FEATURES, LABELS[:4], "has 5 examples and 4 labels; expected as many, and some."),
        (np.zeros((5, 3), np.float32), LABELS, "has examples of shape (3,); expected (2,)."),
        (FEATURES, LABELS + 1, "has the label 3 at example 2; expected 0 to 2, or -1 for none."),
        (FEATURES, LABELS - 1, "has the label -2 at example 3; expected 0 to 2, or -1 for none."),
        (with_nan(), LABELS, "has features that are NaN or infinite, first at example 3; mend or remove it."),
        (FEATURES, LABELS[:, np.newaxis], "has labels of shape (5, 1); expected one for each example."),
        (
            FEATURES,
            LABELS / 2,
            "has labels of type float64; expected integers, or the likelihood 'gaussian' for numbers.",
        ),
        (FEATURES.tolist(), LABELS, "has features of <class 'list'>; expected a NumPy array."),
        ({"x": FEATURES}, LABELS, "has the features ['/x']; expected the structure of the form, ['']."),
    ],
)
def test_refuses(features, labels, message):
    with pytest.raises(InputError) as error:
        read(features, labels)
    assert str(error.value) == f"Split 'train' of data set 'odd' {message}"


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.array([0, 1, np.nan, 2, 3]), "has the target nan at example 2; expected a finite number."),
        (np.array([0, -np.inf, 1, 2, 3]), "has the target -inf at example 1; expected a finite number."),
        (np.array(list("abcde")), "has targets of type <U1; expected numbers."),
    ],
)
def test_refuses_targets(targets, message):
    with pytest.raises(InputError) as error:
        read(FEATURES, targets, num_classes=0, likelihood="gaussian")
    assert str(error.value) == f"Split 'train' of data set 'odd' {message}"


@pytest.mark.parametrize(
    ("form", "features", "message"),
    [
        (Tokens(2, 10), FEATURES, "has token ids of type float32; expected integers."),
        (Tokens(2, 10), FEATURES.astype(int) + 10, "has the token id 10; expected 0 to 9."),
        (Tokens(2, 10), FEATURES.astype(int) - 1, "has the token id -1; expected 0 to 9."),
        (
            Images(2, 2, 1),
            IMAGES + 255,
            "has pixels of value 255, above the maximum 1 that stands for 1; set the maximum of the data set.",
        ),
        (Images(2, 2, 1), IMAGES[:, :1], "has examples of shape (1, 2, 1); expected (2, 2, 1)."),
        ((Vectors(2), Vectors(1)), (FEATURES, FEATURES), ", features /1, has examples of shape (2,); expected (1,)."),
    ],
)
def test_refuses_features(form, features, message):
    with pytest.raises(InputError) as error:
        read(features, LABELS, form)
    assert str(error.value) == f"Split 'train' of data set 'odd' {message}".replace("' ,", "',")


@pytest.mark.parametrize("ids", [(), (np.arange(4),), (np.zeros(5, int),)])
def test_refuses_numbers_that_identify_nothing(ids):
    source = datasets.Source(
        "odd", ("train",), Vectors(2), lambda *_: (FEATURES, LABELS, *ids), num_classes=3, identified=True
    )
    with pytest.raises(InputError, match="numbers"):
        _ = datasets.Dataset(source, "train").num_examples


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"likelihood": "gausian"}, "Unknown likelihood of data set 'odd' 'gausian'. Did you mean 'gaussian'? Known: "),
        (
            {"likelihood": "gaussian"},
            "Data set 'odd' has the likelihood 'gaussian' and num_classes 3; expected a number",
        ),
        ({"num_classes": 0}, "Data set 'odd' has the likelihood 'categorical' and num_classes 0; expected a number"),
        ({"augmented": True}, "Data set 'odd' is not made of images, and has no augmentation: set augmented to False."),
        (
            {"form": Images(2, 2, 1), "standardised": True},
            "Data set 'odd' has no vectors without means of their own: set standardised to False.",
        ),
        (
            {"splits": ("test",), "standardised": True},
            "Data set 'odd' has no split 'train' to be standardised with: set standardised to False.",
        ),
    ],
)
def test_refuses_a_source_that_contradicts_itself(fields, message):
    usual = {"name": "odd", "splits": ("train",), "form": Vectors(2), "read": lambda *_: (), "num_classes": 3}
    with pytest.raises(InputError) as error:
        datasets.Source(**{**usual, **fields})
    assert str(error.value).startswith(message)


def test_takes_what_is_right():
    np.testing.assert_array_equal(read(FEATURES, LABELS).labels, LABELS)
    assert read(FEATURES, SCALARS, num_classes=0, likelihood="gaussian").labels.dtype == np.float64


def test_an_array_stays_its_owners():
    features = FEATURES.copy()
    data = read(features, LABELS)
    assert not data.features.flags.writeable
    features[0] = 1
