"""Names, splits, the validation cut, ids, fingerprints and the messages for what is wrong."""

import subprocess
import sys

import numpy as np
import pytest

from uncertainty_suite import datasets
from uncertainty_suite.errors import InputError


def test_names():
    assert datasets.names() == [
        "cifar10",
        "cifar100",
        "cifar10_corrupted",
        "digits",
        "fashion_mnist",
        "mnist",
        "mnist_corrupted",
        "noise",
        "svhn_cropped",
        "two_moons",
    ]


def test_names_and_shapes_need_neither_tensorflow_nor_files():
    program = (
        "import sys; from uncertainty_suite import datasets; datasets.names();"
        "assert datasets.get('cifar10', data_dir='nowhere').input_shape == (32, 32, 3);"
        "assert not {'tensorflow', 'tensorflow_datasets', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "two_moon"}, "Unknown data set 'two_moon'. Did you mean 'two_moons'? Known: "),
        ({"name": "digits", "like": "minst"}, "Unknown data set 'minst'. Did you mean 'mnist'? Known: "),
        (
            {"name": "digits", "split": "tests"},
            "Unknown split of data set 'digits' 'tests'. Did you mean 'test'? Known: "
            "noise, photos, test, train, validation.",
        ),
        (
            {"name": "digits", "split": "validation"},
            "Split 'validation' of data set 'digits' is empty: set validation_percent above 0.",
        ),
        (
            {"name": "digits", "validation_percent": 1.0},
            "validation_percent is a fraction in [0, 1), received 1.0.",
        ),
        (
            {"name": "digits", "validation_percent": -0.1},
            "validation_percent is a fraction in [0, 1), received -0.1.",
        ),
        ({"name": "mnist", "augment": True}, "Data set 'mnist' has no augmentation: set augment to False."),
        (
            {"name": "two_moons", "like": "mnist"},
            "Data set 'two_moons' of shape (2,) cannot be made like 'mnist' of shape (28, 28, 1).",
        ),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError) as error:
        datasets.get(**arguments)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_validation_cut_that_leaves_nothing():
    with pytest.raises(InputError, match="leaves train or validation empty"):
        _ = datasets.get("digits", split="validation", validation_percent=1e-9).num_examples


@pytest.mark.parametrize("name", ["two_moons", "digits"])
@pytest.mark.parametrize("validation_percent", [0.1, 0.25])
def test_train_and_validation_partition_the_stored_train(name, validation_percent):
    whole, train, validation = (
        datasets.get(name, split=split, validation_percent=percent, seed=seed)
        for split, percent, seed in [
            ("train", 0.0, 0),
            ("train", validation_percent, 1),
            ("validation", validation_percent, 2),
        ]
    )
    assert validation.num_examples == round(whole.num_examples * validation_percent)
    np.testing.assert_array_equal(
        np.sort(np.concatenate([train.element_ids, validation.element_ids])), whole.element_ids
    )
    for part in (train, validation):
        assert part.element_ids.dtype == np.int64
        assert part.labels.dtype == np.int32
        np.testing.assert_array_equal(part.features, whole.features[part.element_ids])
        np.testing.assert_array_equal(part.labels, whole.labels[part.element_ids])
    # A cut by position would take the last writers of the digits only.
    assert validation.element_ids.min() < whole.num_examples * 0.1


def test_the_validation_cut_leaves_other_splits_alone():
    assert datasets.get("digits", split="test", validation_percent=0.5).num_examples == 500


def test_fingerprint_tells_data_apart_and_nothing_else():
    def fingerprint(**arguments):
        return datasets.get("digits", **arguments).fingerprint()

    assert len(fingerprint()) == 64
    assert fingerprint() == fingerprint(seed=1, like="mnist")
    assert len({fingerprint(split=split) for split in ("train", "test", "photos", "noise")}) == 4
    assert fingerprint(validation_percent=0.1) != fingerprint(validation_percent=0.2)


def test_train_and_validation_share_what_was_read():
    train, validation = (
        datasets.get("digits", split=split, validation_percent=0.1) for split in ("train", "validation")
    )
    assert train._stored is validation._stored
    with pytest.raises(ValueError, match="read-only"):
        datasets.get("digits").features[:] = 0
