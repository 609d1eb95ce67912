"""Training examples mixed with others."""

import numpy as np
import pytest

from uncertainty_suite import datasets, tf
from uncertainty_suite.datasets import mixing
from uncertainty_suite.errors import InputError

SIZE = 50


def batches(data, num=1, size=SIZE, start=0):
    taken = data.load(size, training=True, start_step=start).take(num)
    return [{name: each.numpy() for name, each in batch.items()} for batch in taken]


def by_id(data, epoch=0, size=SIZE):
    """Return the features and labels of one epoch by element id."""
    steps = data.steps_per_epoch(size)
    found = {}
    for batch in batches(data, steps, size, start=epoch * steps):
        for i, element in enumerate(batch["element_id"]):
            found[int(element)] = batch["features"][i], batch["labels"][i]
    return found


def plain(data):
    return dict(
        zip(data.element_ids.tolist(), zip(next(iter(data.load(data.num_examples)))["features"].numpy(), data.labels))
    )


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_an_example_is_a_mixture_of_itself_and_another_one(kind):
    data = datasets.get("digits", "train")
    whole, mixed = plain(data), by_id(data.mixed(kind, 1.0).seeded(1))
    assert mixed.keys() == whole.keys()
    shares = []
    for element, (features, label) in mixed.items():
        mine, number = whole[element]
        assert label.shape == (10,)
        assert label.sum() == pytest.approx(1, abs=1e-5)
        shares.append(label[number])
        if kind == "cutmix":  # its pixels are its own or a rectangle's, whose share is that of the label, at most
            same = np.mean(features == mine)
            assert same >= label[number] - 1e-5 or label[number] == pytest.approx(1)
    # Beta(1, 1) is uniform: half, and what partners of the same class and the edge add.
    assert 0.5 < np.mean(shares) < (0.8 if kind == "cutmix" else 0.6)
    assert np.std(shares) > 0.2


def test_targets_are_mixed_as_features_are():
    data = datasets.get("toy_regression", "train")
    pairs = by_id(data.mixed("mixup", 1.0))
    whole = plain(data)
    inputs = np.array([features[0] for features, _ in whole.values()])
    targets = np.array([label for _, label in whole.values()])
    for element, (features, label) in list(pairs.items())[:20]:
        mine, target = whole[element]
        # There is a partner such that one share explains the input and the target.
        apart = np.abs(mine[0] - inputs) > 1e-3
        share = (features[0] - inputs[apart]) / (mine[0] - inputs[apart])
        assert np.min(np.abs(share * target + (1 - share) * targets[apart] - label)) < 1e-3


def test_draws_depend_on_seed_epoch_and_example_alone():
    data = datasets.get("digits", "train").mixed("cutmix", 1.0).seeded(3)
    first, again, others = by_id(data), by_id(data, size=SIZE), by_id(data, size=70)
    later, seeded = by_id(data, epoch=1), by_id(data.seeded(4))
    for element, (features, label) in first.items():
        for same in (again, others):
            np.testing.assert_array_equal(same[element][0], features)
            np.testing.assert_array_equal(same[element][1], label)
    for different in (later, seeded):
        assert np.mean([np.array_equal(different[each][0], first[each][0]) for each in first]) < 0.2


def test_only_training_is_mixed():
    data = datasets.get("digits", "train")
    for one, other in zip(data.load(100), data.mixed("mixup", 1.0).load(100)):
        np.testing.assert_array_equal(one["features"], other["features"])
        np.testing.assert_array_equal(one["labels"], other["labels"])
    for one, other in zip(batches(data, 2), batches(data.mixed("mixup").mixed(None), 2)):
        np.testing.assert_array_equal(one["features"], other["features"])


def test_shares_have_the_distribution_that_is_asked_for():
    for alpha in (0.01, 0.3, 4.0):
        share = mixing.draw(20_000, alpha, tf.constant([1, 2], tf.int64))["share"].numpy().astype(np.float64)
        assert np.isfinite(share).all()
        variance = 1 / (4 * (2 * alpha + 1))
        assert share.mean() == pytest.approx(0.5, abs=5 * (variance / 20_000) ** 0.5)
        assert share.var() == pytest.approx(variance, rel=0.05)


def test_a_rectangle_has_the_area_of_the_share_but_for_the_edge():
    image, other = np.zeros((3, 40, 20, 1), np.float32), np.ones((3, 40, 20, 1), np.float32)
    centre = tf.constant([[0.5, 0.5], [0.5, 0.5], [0.0, 0.0]])
    mixed, share = mixing.mix("cutmix", tf.constant(image), tf.constant(other), tf.constant([0.75, 0.0, 0.75]), centre)
    np.testing.assert_allclose(share, [0.75, 0.0, 1 - 0.25 / 4], atol=0.02)
    np.testing.assert_allclose(1 - share, mixed.numpy().mean(axis=(1, 2, 3)), atol=1e-6)
    assert mixed.numpy()[0, 10:30, 5:15].all()


def test_what_cannot_be_mixed_is_refused():
    with pytest.raises(InputError, match="'toy_regression' are no images: set cutmix to 0"):
        datasets.get("toy_regression", "train").mixed("cutmix")
    with pytest.raises(InputError, match="alpha of mixup must be above 0, received -1"):
        datasets.get("digits", "train").mixed("mixup", -1.0)
    with pytest.raises(InputError, match="Unknown kind of mixing 'mixp'"):
        datasets.get("digits", "train").mixed("mixp")


def test_outliers_follow_each_batch_and_go_on_where_they_were():
    data = datasets.get("two_moons", "train").seeded(2)
    outliers = datasets.get("two_moons", "ood").like(data)
    exposed = data.with_outliers(outliers)
    found, alone = batches(exposed, 12), batches(data, 12)
    others = batches(outliers.seeded(2), 12)
    for batch, mine, other in zip(found, alone, others):
        for name in ("features", "element_id"):
            np.testing.assert_array_equal(batch[name], np.concatenate([mine[name], other[name]]))
        np.testing.assert_array_equal(batch["labels"], [*mine["labels"], *[-1] * SIZE])
    for later, batch in zip(batches(exposed, 2, start=10), found[10:]):
        np.testing.assert_array_equal(later["features"], batch["features"])
    (whole,) = exposed.load(data.num_examples)
    assert len(whole["labels"]) == data.num_examples
