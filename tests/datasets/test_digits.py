"""The digits, and the images that are none."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from uncertainty_suite import datasets


@pytest.mark.parametrize(("split", "num_examples"), [("train", 1297), ("test", 500)])
def test_digits(split, num_examples):
    data = datasets.get("digits", split=split)
    assert data.num_examples == len(data.labels) == num_examples
    assert data.features.shape == (num_examples, 8, 8, 1)
    assert data.features.dtype == np.uint8
    assert data.num_classes == 10
    shares = np.bincount(data.labels) / num_examples
    np.testing.assert_allclose(shares, np.bincount(load_digits().target) / 1797, atol=0.001)


def test_train_and_test_are_the_digits_each_once_and_in_order():
    parts = [datasets.get("digits", split=split) for split in ("train", "test")]
    original = [
        (image.tobytes(), label) for image, label in zip(load_digits().data.astype(np.uint8), load_digits().target)
    ]
    positions = {example: i for i, example in enumerate(original)}
    assert len(positions) == 1797  # no digit is there twice
    found = [[positions[image.tobytes(), label] for image, label in zip(part.features, part.labels)] for part in parts]
    assert all(part == sorted(part) for part in found)
    assert sorted(found[0] + found[1]) == list(range(1797))


def test_delivered_in_unit_range():
    batch = next(iter(datasets.get("digits").load(1297)))
    features = batch["features"].numpy()
    assert features.dtype == np.float32
    assert (features.min(), features.max()) == (0.0, 1.0)
    np.testing.assert_array_equal(features * 16, datasets.get("digits").features)


@pytest.mark.parametrize("split", ["photos", "noise", "textures"])
def test_ood(split):
    data = datasets.get("digits", split=split)
    assert data.features.shape == (500, 8, 8, 1)
    assert (data.labels == -1).all()
    assert len(np.unique(data.features)) == 17
    assert data.features.max() == 16


def test_photos_are_smooth_and_noise_is_not():
    def correlation(split):
        left, right = (
            datasets.get("digits", split=split).features[:, :, s].ravel() for s in (slice(-1), slice(1, None))
        )
        return np.corrcoef(left, right)[0, 1]

    assert correlation("photos") > 0.8
    assert abs(correlation("noise")) < 0.02
    assert datasets.get("digits", split="noise").features.mean() == pytest.approx(8, abs=0.1)


def test_textures_are_waves_of_many_frequencies_and_directions():
    waves = datasets.get("digits", split="textures").features[..., 0] / 8.0 - 1
    spectra = np.abs(np.fft.fft2(waves - waves.mean(axis=(1, 2), keepdims=True))) ** 2
    y, x = np.meshgrid(np.fft.fftfreq(8, 1 / 8), np.fft.fftfreq(8, 1 / 8), indexing="ij")
    peaks = spectra.reshape(500, -1).argmax(axis=1)
    # One frequency holds most of the energy, and the 500 images have it at nearly all places from 1 to 4.
    assert np.median(spectra.reshape(500, -1).max(axis=1) * 2 / spectra.sum(axis=(1, 2))) > 0.5
    assert len({(abs(x.ravel()[p]), abs(y.ravel()[p])) for p in peaks}) > 12
    assert len(np.unique(waves.reshape(500, -1), axis=0)) == 500
