"""Fewer training examples: a fraction of them, and a long tail of classes."""

import numpy as np
import pytest

from uncertainty_suite import datasets
from uncertainty_suite.datasets import long_tail
from uncertainty_suite.errors import InputError


@pytest.mark.parametrize("percent", [0.0, 0.2])
def test_fractions_are_nested_and_leave_validation_alone(percent):
    whole = datasets.get("digits").holding_out(percent)
    ids = set(whole.element_ids.tolist())
    for fraction in (0.5, 0.25, 0.01):
        part = whole.fraction(fraction)
        assert part.num_examples == round(whole.num_examples * fraction)
        assert set(part.element_ids.tolist()) < ids
        ids = set(part.element_ids.tolist())
        assert (np.diff(part.element_ids) > 0).all()
        stored = datasets.get("digits")
        np.testing.assert_array_equal(part.labels, stored.labels[part.element_ids])
        np.testing.assert_array_equal(part.features, stored.features[part.element_ids])
    # Not the first ones: these would be the first writers.
    assert max(ids) > 1000
    if percent:
        validation = datasets.get("digits", "validation").holding_out(percent)
        assert validation.fraction(0.5).fingerprint() == validation.fingerprint()
    test = datasets.get("digits", "test")
    assert test.fraction(0.5).imbalanced(3).fingerprint() == test.fingerprint()


def test_a_fraction_of_a_regression_is_standardised_by_its_own_targets():
    part = datasets.get("toy_regression").holding_out(0.1).fraction(0.1)
    assert part.num_examples == 72
    test = datasets.get("toy_regression", "test").holding_out(0.1).fraction(0.1)
    assert test.target_mean == part.target_mean == part.labels.mean()
    assert test.num_examples == 1000


def test_the_sizes_of_the_papers():
    """CIFAR-10-LT and CIFAR-100-LT as in the code of Cao et al., `int(n_max * ratio ** (-k / (K - 1)))`."""
    labels = np.repeat(np.arange(10), 5000)
    order = np.random.default_rng(0).permutation(len(labels))
    sizes = np.bincount(labels[long_tail.choose(labels, order, 10, 100.0)])
    assert sizes.tolist() == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    sizes = np.bincount(labels[long_tail.choose(labels, order, 10, 10.0)])
    assert (sizes.sum(), sizes[-1]) == (20431, 500)
    labels = np.repeat(np.arange(100), 500)
    assert long_tail.choose(labels, np.arange(len(labels)), 100, 100.0).sum() == 10847


@pytest.mark.parametrize("ratio", [1.5, 10, 100])
def test_classes_of_different_sizes_have_the_same_profile(ratio):
    whole = datasets.get("digits").holding_out(0.1)
    tail = whole.imbalanced(ratio)
    sizes, all_sizes = np.bincount(tail.labels), np.bincount(whole.labels)
    expected = ratio ** (-np.arange(10) / 9)
    n_max = (all_sizes / expected).min()  # as many as there can be
    np.testing.assert_array_equal(sizes, np.floor(n_max * expected + 1e-9))
    assert set(tail.element_ids) < set(whole.element_ids)
    assert tail.seeded(5).fingerprint() == tail.fingerprint()
    part = set(whole.imbalanced(1.1 * ratio).element_ids)
    assert len(part & set(tail.element_ids)) > 0.9 * len(part)


def test_a_long_tail_of_known_classes():
    tail = datasets.get("digits").classes((7, 0, 3)).imbalanced(4)
    sizes = np.bincount(tail.labels)
    np.testing.assert_allclose(sizes / sizes[0], [1, 1 / 2, 1 / 4], atol=0.01)
    assert (datasets.get("digits").labels[tail.element_ids] == np.array([7, 0, 3])[tail.labels]).all()


def test_views_together():
    train = datasets.get("digits")
    one = train.holding_out(0.1).fraction(0.5).imbalanced(5).with_label_noise(0.2).classes((1, 2, 4)).subset(60)
    other = train.subset(60).classes((1, 2, 4)).with_label_noise(0.2).imbalanced(5).fraction(0.5).holding_out(0.1)
    assert one.fingerprint() == other.fingerprint()
    assert one.num_examples == 60
    assert (one.labels != one.with_label_noise(0).labels).any()
    again = one.holding_out(0).fraction(1).imbalanced(1).with_label_noise(0).classes(None).subset(0)
    assert again.fingerprint() == train.fingerprint()
    np.testing.assert_array_equal(again.element_ids, np.arange(1297))


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: datasets.get("digits").fraction(0), "train_fraction is a fraction in (0, 1], received 0."),
        (lambda: datasets.get("digits").fraction(1.1), "train_fraction is a fraction in (0, 1], received 1.1."),
        (
            lambda: datasets.get("digits").fraction(1e-5).labels,
            "train_fraction 1e-05 of the 1297 training examples of data set 'digits' keeps all or none; set it to 1",
        ),
        (
            lambda: datasets.get("digits").fraction(0.99999).labels,
            "train_fraction 0.99999 of the 1297 training examples of data set 'digits' keeps all or none; set it to 1",
        ),
        (
            lambda: datasets.get("digits").imbalanced(0.5),
            "imbalance is the ratio of the largest to the smallest class, at least 1; received 0.5.",
        ),
        (
            lambda: datasets.get("digits").imbalanced(float("inf")),
            "imbalance is the ratio of the largest to the smallest class, at least 1; received inf.",
        ),
        (
            lambda: datasets.get("digits").imbalanced(1000).labels,
            "imbalance 1000 leaves class 7 without examples: the classes have 126 to 132. Set it lower.",
        ),
        (
            lambda: datasets.get("digits").classes((3,)).imbalanced(2).labels,
            "imbalance 2 needs at least 2 classes, and there is 1.",
        ),
        (
            lambda: datasets.get("toy_regression").imbalanced(10),
            "imbalance is 10: set it to 1. Data set 'toy_regression' has no classes: its labels are gaussian.",
        ),
    ],
)
def test_wrong_values(use, message):
    with pytest.raises(InputError) as error:
        use()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_regression_takes_the_values_that_change_nothing():
    train = datasets.get("toy_regression")
    assert train.with_label_noise(0).imbalanced(1).fraction(1).fingerprint() == train.fingerprint()
