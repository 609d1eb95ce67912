"""The toy regression: its curve, its noise and where its inputs lie."""

import numpy as np
import pytest

from uncertainty_suite import datasets

SPLITS = {"train": 800, "test": 1000, "gap": 500, "ood": 500}


def _points(split):
    data = datasets.get("toy_regression", split)
    return data.features[:, 0], data.labels


@pytest.mark.parametrize("split", SPLITS)
def test_curve_and_noise(split):
    x, y = _points(split)
    assert len(x) == len(y) == SPLITS[split]
    noise = (y - x * np.sin(x)) / (0.3 * np.sqrt(1 + x**2))
    # Five standard deviations of the mean, the deviation and the correlation of so many standard normal numbers.
    tolerance = 5 / np.sqrt(len(x))
    assert abs(noise.mean()) < tolerance
    assert abs(noise.std() - 1) < tolerance / np.sqrt(2)
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < tolerance
    assert abs(np.corrcoef(np.abs(noise), np.abs(x))[0, 1]) < tolerance  # the noise level depends on x as it is said to


@pytest.mark.parametrize(
    ("split", "intervals"),
    [
        ("train", ((0, 4), (6, 10))),
        ("test", ((0, 4), (6, 10))),
        ("gap", ((4, 6),)),
        ("ood", ((-4, 0), (10, 14))),
    ],
)
def test_inputs_fill_their_intervals_alike(split, intervals):
    x, _ = _points(split)
    for low, high in intervals:
        inside = x[(x > low) & (x < high)]
        assert len(inside) == len(x) / len(intervals)
        counts, _ = np.histogram(inside, bins=4, range=(low, high))
        np.testing.assert_allclose(counts, len(inside) / 4, atol=5 * np.sqrt(len(inside) * 3 / 16))


def test_grid_is_the_curve_itself():
    x, y = _points("grid")
    np.testing.assert_allclose(x, -5 + 0.05 * np.arange(401), atol=1e-12)
    np.testing.assert_array_equal(y, x * np.sin(x))


def test_inputs_are_standardised_and_targets_are_not():
    data = datasets.get("toy_regression")
    (batch,) = data.load(800).as_numpy_iterator()
    assert batch["features"].shape == (800, 1)
    assert abs(batch["features"].mean()) < 0.06
    assert batch["features"].std() == pytest.approx(1, abs=0.03)
    np.testing.assert_array_equal(batch["labels"], data.labels)
    (grid,) = datasets.get("toy_regression", "grid").load(500).as_numpy_iterator()
    np.testing.assert_allclose(grid["features"][:, 0] * np.sqrt(31 / 3) + 5, -5 + 0.05 * np.arange(401), atol=1e-5)


def test_points_do_not_depend_on_the_seed_and_differ_between_splits():
    assert datasets.get("toy_regression").fingerprint() == datasets.get("toy_regression").seeded(1).fingerprint()
    assert not set(_points("train")[0]) & set(_points("test")[0])


def test_validation_is_cut_from_train():
    train, validation = (datasets.get("toy_regression", split).holding_out(0.1) for split in ("train", "validation"))
    assert (train.num_examples, validation.num_examples) == (720, 80)
    assert validation.target_mean == train.labels.mean()
