"""Data that cannot be right is refused when it is read."""

import numpy as np
import pytest

from uncertainty_suite import datasets
from uncertainty_suite.datasets.preprocessing import Preprocessing
from uncertainty_suite.errors import InputError

FEATURES = np.zeros((5, 2), np.float32)
LABELS = np.array([0, 1, 2, -1, 0])


def read(features, labels) -> datasets.Dataset:
    source = datasets.Source("odd", ("train",), 3, Preprocessing((2,)), lambda split, data_dir: (features, labels))
    dataset = datasets.Dataset(source, "train", preprocessing=source.preprocessing)
    assert dataset.num_examples == 5
    return dataset


def with_nan() -> np.ndarray:
    features = FEATURES.copy()
    features[3, 1] = np.nan
    return features


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (FEATURES[:0], LABELS[:0], "has 0 examples and 0 labels; expected as many, and some."),
        (FEATURES, LABELS[:4], "has 5 examples and 4 labels; expected as many, and some."),
        (np.zeros((5, 3), np.float32), LABELS, r"has examples of shape \(3,\); expected \(2,\)."),
        (FEATURES, LABELS + 1, "has the label 3 at example 2; expected 0 to 2, or -1 for none."),
        (FEATURES, LABELS - 1, "has the label -2 at example 3; expected 0 to 2, or -1 for none."),
        (with_nan(), LABELS, "has features that are NaN or infinite, first at example 3; mend or remove it."),
    ],
)
def test_refuses(features, labels, message):
    with pytest.raises(InputError, match=f"Split 'train' of data set 'odd' {message}"):
        read(features, labels)


def test_takes_what_is_right():
    np.testing.assert_array_equal(read(FEATURES, LABELS).labels, LABELS)
