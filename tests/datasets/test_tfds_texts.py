import numpy as np
import pytest

from uncertainty_suite import datasets


def test_clinc_has_its_intents_and_queries_out_of_scope(data_dir):
    sizes = {"train": 15_000, "validation": 3_000, "test": 4_500, "validation_oos": 100, "test_oos": 1_000}
    for split, size in sizes.items():
        data = datasets.get("clinc_oos", split, data_dir)
        assert data.num_examples == size
        if split.endswith("oos"):
            assert set(data.labels) == {-1}
        else:
            np.testing.assert_array_equal(np.bincount(data.labels), [size // 150] * 150)
    assert 0.15 < np.mean(data.features[data.features > 0] == 1) < 0.25  # unknown words of queries out of scope


@pytest.mark.parametrize(
    ("name", "sizes", "num_classes"),
    [
        ("banking77", {"train": 10_003, "test": 3_080}, 77),
        ("sst_sentences", {"train": 8_544, "validation": 1_101, "test": 2_210}, 5),
        ("davidson_hate", {"train": 24_783 - 4_957, "test": 4_957}, 3),
    ],
)
def test_sets_have_their_published_sizes_and_classes(name, sizes, num_classes, data_dir):
    splits = {split: datasets.get(name, split, data_dir) for split in sizes}
    assert {split: data.num_examples for split, data in splits.items()} == sizes
    assert set(splits["test"].labels) == set(range(num_classes))
    unknown = splits["test"].features == 1
    assert 0.005 < unknown.sum() / (splits["test"].features > 0).sum() < 0.2


def test_votes_are_those_of_the_tweets(data_dir):
    data = datasets.get("davidson_hate", "test", data_dir)
    assert data.human_labels.sum(axis=1).min() >= 3
    # The label is what most people said, ties aside.
    highest = data.human_labels.max(axis=1)
    np.testing.assert_array_equal(data.human_labels[np.arange(len(highest)), data.labels], highest)
    train = datasets.get("davidson_hate", "train", data_dir)
    assert not set(train.original_ids) & set(data.original_ids)
    toxic = datasets.get("toxicity", "test", data_dir)
    np.testing.assert_array_equal(toxic.element_ids, data.original_ids)
    np.testing.assert_array_equal(toxic.labels, data.labels < 2)
    np.testing.assert_array_equal(toxic.human_labels[:, 0], data.human_labels[:, 2])


def test_toxicity_is_tested_by_identity(data_dir):
    groups = [split for split in datasets.get("toxicity").source.splits if split.startswith("hatecheck_")]
    whole, *parts = (datasets.get("toxicity", split, data_dir) for split in ("hatecheck", *groups))
    assert whole.num_examples == 3_728
    assert sum(part.num_examples for part in parts) == 3_728 - 292  # so many are about nobody's group
    assert {part.num_examples for part in parts} == {551, 509, 484, 482, 463}
    assert all(0.6 < part.labels.mean() < 0.8 for part in parts)


def test_swapped_comments_are_pairs(data_dir):
    comments, swapped = (datasets.get("toxicity", split, data_dir) for split in ("wikipedia", "wikipedia_swapped"))
    rows, others = (np.argsort(data.element_ids) for data in (comments, swapped))
    np.testing.assert_array_equal(comments.element_ids[rows], swapped.element_ids[others])
    np.testing.assert_array_equal(comments.labels[rows], swapped.labels[others])
    same = (comments.features[rows] == swapped.features[others]).mean(axis=1)
    assert 0.9 < same.mean() < 1
