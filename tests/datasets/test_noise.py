"""Noise in the form of a task's images."""

import numpy as np
import pytest

from uncertainty_suite import datasets
from uncertainty_suite.errors import InputError


@pytest.mark.parametrize("split", ["uniform", "gaussian", "constant"])
@pytest.mark.parametrize(("like", "shape", "maximum"), [("cifar100", (32, 32, 3), 255), ("digits", (8, 8, 1), 16)])
def test_noise_has_the_form_of_the_task(split, like, shape, maximum):
    data = datasets.get("noise", split=split).like(like)
    assert data.features.shape == (2000, *shape)
    assert data.features.dtype == np.uint8
    assert (data.features.min(), data.features.max()) == (0, maximum)
    assert data.num_classes == (100 if like == "cifar100" else 10)
    np.testing.assert_array_equal(data.labels, -1)
    batch = next(iter(data.load(10)))
    assert batch["features"].shape == (10, *shape)
    again = datasets.get("noise", split=split).seeded(1).like(like)
    np.testing.assert_array_equal(again.features, data.features)


def test_what_the_noises_are():
    uniform, gaussian, constant = (
        datasets.get("noise", split=split).like("cifar100").features / 255
        for split in ("uniform", "gaussian", "constant")
    )
    assert uniform.mean() == pytest.approx(0.5, abs=0.01)
    assert uniform.std() == pytest.approx(np.sqrt(1 / 12), abs=0.01)
    assert (gaussian == 0).mean() == pytest.approx(0.309, abs=0.005)  # of a normal number below -0.5 deviations
    assert (gaussian == 1).mean() == pytest.approx(0.309, abs=0.005)
    assert np.ptp(constant, axis=(1, 2)).max() == 0
    assert constant[:, 0, 0].std(axis=0) == pytest.approx([np.sqrt(1 / 12)] * 3, abs=0.02)
    for noise in (uniform, gaussian):
        assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.01


def test_permuted_keeps_the_pixels_of_each_image():
    test = datasets.get("digits", split="test")
    permuted = datasets.get("noise", split="permuted").like("digits")
    assert permuted.features.shape == test.features.shape
    np.testing.assert_array_equal(permuted.labels, -1)
    before, after = (data.features.reshape(500, 64) for data in (test, permuted))
    np.testing.assert_array_equal(np.sort(after, axis=1), np.sort(before, axis=1))
    assert np.corrcoef(before.mean(axis=0), after.mean(axis=0))[0, 1] < 0.5  # each in an order of its own
    assert test.fingerprint() != permuted.fingerprint()


def test_permuted_keeps_colours(data_dir):
    test = datasets.get("cifar10", split="test", data_dir=data_dir)
    permuted = datasets.get("noise", split="permuted", data_dir=data_dir).like("cifar10")
    before, after = (data.features[17].reshape(-1, 3) for data in (test, permuted))
    assert sorted(map(tuple, before)) == sorted(map(tuple, after))


def test_noise_can_be_corrupted_and_is_read_once():
    first, second = (datasets.get("noise", split="uniform").like("digits") for _ in range(2))
    assert first.features is second.features
    corrupted = datasets.get("noise", split="uniform").like("digits").corrupted("pixelate", 5)
    assert np.std(next(iter(corrupted.load(100)))["features"]) < 0.2


def test_noise_of_another_task():
    uniform = datasets.get("noise", "uniform")
    assert uniform.like("mnist").like("digits").fingerprint() == uniform.like("digits").fingerprint()
    assert uniform.like(datasets.get("digits", "test").like("cifar10")).input_shape == (32, 32, 3)


def test_noise_needs_a_task():
    data = datasets.get("noise", "uniform")
    message = "Data set 'noise' has no form of its own: name the task's data set by `.like"
    for use in (lambda: data.input_shape, lambda: data.form, lambda: data.num_examples, lambda: data.load(1)):
        with pytest.raises(InputError, match=message):
            use()
    assert repr(data) == "Dataset(name='noise', split='uniform')"


@pytest.mark.parametrize(
    ("split", "like", "message"),
    [
        ("uniform", "two_moons", "Data set 'noise' is made of images, and 'two_moons' of vectors of shape (2,)."),
        ("uniform", "noise", "Data set 'noise' has no form of its own: name by `.like(...)` the data set of a task."),
        (
            "perlin",
            "mnist",
            "Unknown split of data set 'noise' 'perlin'. Known: constant, gaussian, permuted, uniform.",
        ),
    ],
)
def test_wrong_arguments(split, like, message):
    with pytest.raises(InputError) as error:
        datasets.get("noise", split).like(like)
    assert str(error.value) == message


def test_noise_of_eight_bits_cannot_imitate_floats():
    images = np.full((5, 4, 4, 1), 0.5, np.float32), np.arange(5)
    task = datasets.from_arrays("floats", {"train": images}, form=datasets.forms.Images(4, 4, 1))
    with pytest.raises(InputError, match="'floats' the maximum 1; store its images as integers"):
        datasets.get("noise", "uniform").like(datasets.Dataset(task, "train"))
