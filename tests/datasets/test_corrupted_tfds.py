"""The published corrupted test sets, through TFDS's own builders on random images."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from uncertainty_suite import datasets
from uncertainty_suite.errors import InputError


@pytest.mark.parametrize(
    ("name", "split", "shape"),
    [
        ("cifar10_corrupted", "gaussian_noise_3", (32, 32, 3)),
        ("cifar10_corrupted", "frosted_glass_blur_5", (32, 32, 3)),
        ("mnist_corrupted", "zigzag", (28, 28, 1)),
    ],
)
def test_a_configuration_is_a_split(name, split, shape, tmp_path):
    task = name.removesuffix("_corrupted")
    with tfds.testing.mock_data(num_examples=20):
        data = datasets.get(name, split=split, data_dir=tmp_path).like(task)
        assert data.features.shape == (20, *shape)
        assert data.num_classes == 10
        batch = next(iter(data.load(20)))["features"].numpy()
        unit = data.features / np.float32(255)
        if task == "cifar10":
            unit = (unit - (0.4914, 0.4822, 0.4465)) / (0.2470, 0.2435, 0.2616)
        np.testing.assert_allclose(batch, unit, atol=1e-5)


def test_the_configuration_reaches_tfds(tmp_path, monkeypatch):
    asked_for = []
    builder = tfds.builder

    def note(name, **arguments):
        asked_for.append(name)
        return builder(name, **arguments)

    monkeypatch.setattr(tfds, "builder", note)
    with tfds.testing.mock_data(num_examples=2):
        _ = datasets.get("cifar10_corrupted", split="fog_2", data_dir=tmp_path).features
    assert asked_for == ["cifar10_corrupted/fog_2"]


@pytest.mark.parametrize(("name", "number"), [("cifar10_corrupted", 95), ("mnist_corrupted", 16)])
def test_splits_are_all_configurations_of_tfds(name, number):
    configurations = set(tfds.builder_cls(name).builder_configs)
    assert len(configurations) == number
    for split in configurations:
        datasets.get(name, split=split)


def test_wrong_split():
    with pytest.raises(InputError) as error:
        datasets.get("cifar10_corrupted", split="gaussian_noise_6")
    assert str(error.value).startswith("Unknown split of data set 'cifar10_corrupted' 'gaussian_noise_6'. Did you mean")
    for split in ("train", "validation", "test", "unknown"):
        with pytest.raises(InputError, match="Unknown split"):
            datasets.get("cifar10_corrupted", split=split)
