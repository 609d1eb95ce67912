"""Two moons as in the SNGP tutorial."""

import numpy as np
import pytest

from uncertainty_suite import datasets


@pytest.mark.parametrize("split", ["train", "test"])
def test_moons(split):
    data = datasets.get("two_moons", split=split)
    assert data.features.shape == (1000, 2)
    assert data.features.dtype == np.float32
    assert data.num_classes == 2
    assert data.input_shape == (2,)
    # Noiseless make_moons: class 0 is (cos t, sin t), class 1 (1 - cos t, 0.5 - sin t), t in [0, pi].
    means = [[-0.1, 2 / np.pi + 0.2], [1.1, 0.5 - 2 / np.pi - 0.2]]
    variances = [0.5 + 0.01, 0.5 - (2 / np.pi) ** 2 + 0.01]
    for label in (0, 1):
        points = data.features[data.labels == label]
        assert len(points) == 500
        np.testing.assert_allclose(points.mean(axis=0), means[label], atol=0.02)
        np.testing.assert_allclose(points.var(axis=0), variances, rtol=0.1)
        center = np.array([[-0.1, 0.2], [1.1, 0.3]])[label]
        np.testing.assert_allclose(np.linalg.norm(points - center, axis=1).std(), 0.1, rtol=0.15)


def test_train_and_test_are_other_points():
    train, test = (datasets.get("two_moons", split=split) for split in ("train", "test"))
    assert not set(map(tuple, train.features)) & set(map(tuple, test.features))


def test_points_do_not_depend_on_the_seed():
    assert datasets.get("two_moons").fingerprint() == datasets.get("two_moons").seeded(1).fingerprint()


def test_grid():
    grid = datasets.get("two_moons", split="grid")
    assert grid.features.shape == (10_000, 2)
    assert (grid.labels == -1).all()
    surface = grid.features.reshape(100, 100, 2)
    np.testing.assert_allclose(surface[0, :, 0], np.linspace(-3.5, 3.5, 100), rtol=1e-6)
    np.testing.assert_allclose(surface[:, 0, 1], np.linspace(-2.5, 2.5, 100), rtol=1e-6)


@pytest.mark.parametrize(("split", "center"), [("ood", (2.5, -1.75)), ("ood_validation", (-2.5, 1.75))])
def test_ood(split, center):
    ood = datasets.get("two_moons", split=split)
    assert ood.features.shape == (500, 2)
    assert (ood.labels == -1).all()
    np.testing.assert_allclose(ood.features.mean(axis=0), center, atol=0.02)
    np.testing.assert_allclose(np.cov(ood.features.T), np.diag([0.01, 0.01]), atol=0.0015)


def test_ood_sets_are_far_from_the_moons_and_from_each_other():
    ood, validation, train = (datasets.get("two_moons", s).features for s in ("ood", "ood_validation", "train"))
    for one, other in ((ood, train), (validation, train), (ood, validation)):
        assert np.linalg.norm(one[:, None] - other, axis=-1).min() > 0.8
