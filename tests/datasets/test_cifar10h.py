"""CIFAR-10H and the numbers by which it is joined to CIFAR-10."""

import numpy as np
import pytest

from uncertainty_suite import datasets
from uncertainty_suite.errors import InputError


def test_most_people_agree_with_the_labels(data_dir):
    path = data_dir.parent / "cifar10h" / "cifar10h-counts.npy"
    if not path.exists():
        pytest.skip(f"There is no {path}.")
    test = datasets.get("cifar10", split="test", data_dir=data_dir)
    np.testing.assert_array_equal(np.sort(test.original_ids), np.arange(10_000))
    assert not np.array_equal(test.original_ids, test.element_ids)
    counts = test.human_labels
    np.testing.assert_array_equal(counts, datasets.cifar10h(path)[test.original_ids])
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(test.subset(7).human_labels, counts[:7])
    assert (counts.argmax(axis=1) == test.labels).mean() == pytest.approx(0.9921, abs=0.0005)

    known = test.classes((2, 3))
    np.testing.assert_array_equal(known.human_labels, counts[known.element_ids][:, [2, 3]])
    assert (test.labels[np.isin(test.original_ids, known.original_ids)] // 2 == 1).all()


def test_sets_without_original_numbers_say_so():
    with pytest.raises(InputError, match="'digits' does not keep the original numbers of its examples"):
        _ = datasets.get("digits").original_ids


def test_splits_without_labels_of_many_people_say_so(tmp_path):
    for data, known in ((datasets.get("digits", "test"), "none"), (datasets.get("cifar10", "train"), "test")):
        with pytest.raises(InputError, match=f"has no labels of many people; these have: {known}."):
            _ = data.human_labels
    with pytest.raises(
        InputError, match=f"CIFAR-10H are not there: looked for {tmp_path}/cifar10h/cifar10h-counts.npy"
    ):
        datasets.get("cifar10").source.human_labels["test"](tmp_path)


def test_what_is_not_cifar10h(tmp_path):
    def message(array=None):
        path = tmp_path / "counts.npy"
        if array is not None:
            np.save(path, array)
        with pytest.raises(InputError) as error:
            datasets.cifar10h(path)
        assert "\n" not in str(error.value)
        return str(error.value).replace(str(tmp_path), "DIR")

    assert message().startswith("Cannot read the counts of CIFAR-10H from 'DIR/counts.npy' (")
    assert message(np.zeros((3, 10), int)) == (
        "'DIR/counts.npy' is not CIFAR-10H: expected integers of shape (10000, 10), received int64 (3, 10)."
    )
    assert "received float64" in message(np.zeros((10_000, 10)))
    assert message(np.zeros((10_000, 10), int)).endswith("it has negative counts or images that nobody labelled.")
    (tmp_path / "counts.npy").write_bytes(b"no array")
    assert message().startswith("Cannot read the counts of CIFAR-10H")
