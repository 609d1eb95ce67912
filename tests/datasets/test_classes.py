"""Held-out classes: what is known is numbered anew, what is not is the split `unknown`."""

import numpy as np
import pytest

from uncertainty_suite import datasets
from uncertainty_suite.errors import InputError

CLASSES = (7, 0, 3)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_known_classes_are_numbered_in_their_order(split):
    whole = datasets.get("digits", split).holding_out(0.2)
    known = whole.classes(CLASSES)
    assert known.num_classes == 3
    kept = np.isin(whole.labels, CLASSES)
    assert known.num_examples == kept.sum()
    np.testing.assert_array_equal(known.element_ids, whole.element_ids[kept])
    np.testing.assert_array_equal(known.features, whole.features[kept])
    np.testing.assert_array_equal(np.array(CLASSES)[known.labels], whole.labels[kept])
    assert known.labels.dtype == np.int32


def test_unknown_is_the_rest_of_test():
    test = datasets.get("digits", split="test")
    known, unknown = (datasets.get("digits", split).classes(CLASSES) for split in ("test", "unknown"))
    assert unknown.num_classes == 3
    np.testing.assert_array_equal(unknown.labels, -1)
    np.testing.assert_array_equal(np.sort(np.concatenate([known.element_ids, unknown.element_ids])), test.element_ids)
    assert not set(test.labels[unknown.element_ids]) & set(CLASSES)
    assert len({data.fingerprint() for data in (test, known, unknown)}) == 3


def test_order_of_classes_changes_labels_and_fingerprint():
    first, second = (datasets.get("digits").classes(classes) for classes in ((1, 2), (2, 1)))
    np.testing.assert_array_equal(first.labels, 1 - second.labels)
    assert first.fingerprint() != second.fingerprint()


def test_examples_without_a_class_stay():
    photos = datasets.get("digits", "photos").classes(CLASSES)
    assert photos.num_examples == 500
    np.testing.assert_array_equal(photos.labels, -1)


def test_training_batches_hold_known_classes_only():
    data = datasets.get("digits").classes(CLASSES)
    seen = set()
    labels = dict(zip(data.element_ids, data.labels))
    for batch in data.load(32, training=True).take(data.steps_per_epoch(32)):
        assert [labels[i] for i in batch["element_id"].numpy()] == batch["labels"].numpy().tolist()
        seen |= set(batch["element_id"].numpy())
    assert seen == set(labels)


def test_a_class_keeps_its_corruption():
    data = datasets.get("digits", "test").corrupted("gaussian_noise", 3)
    whole, known = (next(iter(view.load(500))) for view in (data, data.classes(CLASSES)))
    np.testing.assert_allclose(known["features"], whole["features"].numpy()[known["element_id"]], atol=1e-6)


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ((), "classes of data set 'digits' is empty: name those that are known, or None for all."),
        ((1, 2, 1), "classes of data set 'digits' names a class twice, received (1, 2, 1)."),
        ((1, 10), "classes of data set 'digits' are in 0..9, received (1, 10)."),
        ((-1, 1), "classes of data set 'digits' are in 0..9, received (-1, 1)."),
        (range(10), "classes of data set 'digits' names all 10: none would be unknown."),
    ],
)
def test_wrong_classes(known, message):
    with pytest.raises(InputError) as error:
        datasets.get("digits").classes(known)
    assert str(error.value) == message


def test_unknown_needs_classes():
    message = "Split 'unknown' of data set 'digits' needs classes: those that are known, by `.classes"
    unknown = datasets.get("digits", "unknown")
    for use in (lambda: unknown.num_examples, lambda: unknown.load(1), lambda: unknown.classes(None)):
        with pytest.raises(InputError, match=message):
            use()
    with pytest.raises(InputError, match=r"Unknown split of data set 'digits' 'unknow'. Did you mean 'unknown'"):
        datasets.get("digits", "unknow")


def test_all_classes_are_none_in_particular():
    data = datasets.get("digits")
    assert data.classes((1, 2)).classes(None).fingerprint() == data.fingerprint()
