"""The sets read through TFDS: real ones where they are, random ones for the rest, and what is said when they fail."""

import shutil

import numpy as np
import pytest
import requests
import tensorflow_datasets as tfds

from uncertainty_suite import datasets
from uncertainty_suite.datasets import tfds_images
from uncertainty_suite.datasets.forms import Images
from uncertainty_suite.errors import InputError


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_real_test_splits(name, data_dir):
    data = datasets.get(name, split="test", data_dir=data_dir)
    assert data.features.dtype == np.uint8
    assert (data.features.min(), data.features.max()) == (0, 255)
    np.testing.assert_array_equal(np.unique(data.labels), np.arange(10))
    np.testing.assert_array_equal(data.element_ids, np.arange(10_000))
    batch = next(iter(data.load(100)))
    assert batch["features"].shape == (100, *data.input_shape)
    if name == "mnist":
        np.testing.assert_array_equal(np.bincount(data.labels), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])
        assert batch["features"].numpy().max() == 1
    else:
        np.testing.assert_array_equal(np.bincount(data.labels), 1000)


@pytest.mark.slow  # it reads all of it
def test_real_mnist_train(data_dir):
    train, validation = (
        datasets.get("mnist", split=split, data_dir=data_dir).holding_out(0.1) for split in ("train", "validation")
    )
    assert (train.num_examples, validation.num_examples) == (54_000, 6_000)
    labels = np.empty(60_000, np.int32)
    labels[train.element_ids], labels[validation.element_ids] = train.labels, validation.labels
    # The stock builder's reading order, which is not that of the original files (5, 0, 4, 1, 9).
    np.testing.assert_array_equal(labels[:5], [4, 1, 0, 7, 8])
    mean = (train.features.mean() * 54 + validation.features.mean() * 6) / 60 / 255
    assert mean == pytest.approx(0.1307, abs=1e-4)


def test_cifar10_is_standardised(data_dir):
    data = datasets.get("cifar10", split="test", data_dir=data_dir)
    features = np.concatenate([b["features"] for b in data.load(1000).as_numpy_iterator()])
    np.testing.assert_allclose(features.mean(axis=(0, 1, 2)), 0, atol=0.05)
    np.testing.assert_allclose(features.std(axis=(0, 1, 2)), 1, atol=0.02)


def test_ood_set_takes_the_form_of_the_task(data_dir):
    data = datasets.get("fashion_mnist", split="test", data_dir=data_dir).like("cifar10")
    assert next(iter(data.load(8)))["features"].shape == (8, 32, 32, 3)


@pytest.mark.parametrize(
    ("name", "split", "task", "num_examples", "shape"),
    [("omniglot28", "small1", "mnist", 2720, (28, 28, 1)), ("dtd32", "test", "cifar10", 1200, (32, 32, 3))],
)
def test_sets_without_a_stock_builder(name, split, task, num_examples, shape, data_dir, tmp_path):
    data = datasets.get(name, split, data_dir)
    assert data.num_examples == num_examples
    assert set(data.labels) <= set(range(data.num_classes))
    assert next(iter(data.like(task).load(8)))["features"].shape == (8, *shape)
    with pytest.raises(InputError, match="does not keep the original numbers"):  # its ids hold other numbers
        _ = data.original_ids
    with pytest.raises(InputError) as error:
        _ = datasets.get(name, split, tmp_path).num_examples
    assert str(error.value) == (
        f"Data set '{name}' is not prepared in data_dir '{tmp_path}', and TFDS has no builder that could make it. Name "
        "a folder that holds it by --data_dir or UNCERTAINTY_SUITE_DATA_DIR."
    )


def test_environment_names_the_folder(data_dir, monkeypatch):
    monkeypatch.setenv("UNCERTAINTY_SUITE_DATA_DIR", str(data_dir))
    assert datasets.get("mnist", split="test").num_examples == 10_000


@pytest.mark.parametrize(("name", "num_classes"), [("cifar100", 100), ("svhn_cropped", 10)])
def test_sets_that_are_not_here(name, num_classes, tmp_path):
    with tfds.testing.mock_data(num_examples=37):
        data = datasets.get(name, split="train", data_dir=tmp_path).holding_out(0.2)
        assert data.num_examples == 30
        assert data.num_classes == num_classes
        assert data.features.shape == (30, 32, 32, 3)
        assert set(data.labels) <= set(range(num_classes))
        batch = next(iter(data.load(8, training=True)))
        assert batch["features"].shape == (8, 32, 32, 3)
        assert datasets.get(name, split="test", data_dir=tmp_path).num_examples == 37


def test_neither_prepared_nor_downloadable(tmp_path, monkeypatch):
    def head(url, timeout):
        raise requests.exceptions.ConnectionError(request=requests.Request("HEAD", url))

    monkeypatch.setattr(requests, "head", head)
    with pytest.raises(InputError) as error:
        _ = datasets.get("cifar100", data_dir=tmp_path).num_examples
    assert str(error.value) == (
        f"Data set 'cifar100' is not prepared in data_dir '{tmp_path}' and cannot be downloaded "
        "(https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz cannot be reached). Name a folder that holds it by "
        "--data_dir or UNCERTAINTY_SUITE_DATA_DIR; to make one, run on a connected machine: "
        "python -c \"import tensorflow_datasets as tfds; tfds.load('cifar100', data_dir='DIR')\""
    )
    assert not list(tmp_path.iterdir())


def test_a_download_that_fails_later_says_why(tmp_path, monkeypatch):
    def download_and_prepare(self):
        raise OSError("No space\nleft on device")

    monkeypatch.setattr(requests, "head", lambda url, timeout: None)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", download_and_prepare)
    with pytest.raises(InputError) as error:
        _ = datasets.get("mnist", data_dir=tmp_path).num_examples
    assert "cannot be downloaded (OSError: No space left on device). Name a folder" in str(error.value)


def _cut(path):
    path.write_bytes(path.read_bytes()[:1_000_000])


def _alter(path):
    content = bytearray(path.read_bytes())
    content[5000] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "what"),
    [(_cut, "truncated record"), (_alter, "corrupted record"), (lambda path: path.unlink(), "No such")],
)
def test_damaged_files(damage, what, data_dir, tmp_path):
    copied = tmp_path / "mnist" / "3.0.1"
    copied.mkdir(parents=True)
    for file in (data_dir / "mnist" / "3.0.1").iterdir():
        if "train" not in file.name:
            shutil.copyfile(file, copied / file.name)
    (test_file,) = copied.glob("mnist-test*")
    damage(test_file)
    with pytest.raises(InputError) as error:
        _ = datasets.get("mnist", split="test", data_dir=tmp_path).num_examples
    message = str(error.value)
    assert message.startswith(f"Cannot read split 'test' of data set 'mnist' in data_dir '{tmp_path}' (")
    assert message.endswith("delete the folder 'mnist' there and run again to prepare it anew.")
    assert what in message
    assert "\n" not in message


def test_long_errors_are_shortened_to_one_line():
    text = tfds_images._one_line(ValueError("{{function_node x}} a\nb" + "c" * 500))
    assert text.startswith("ValueError: a bccc")
    assert len(text) == 203


@pytest.fixture
def copied(data_dir, tmp_path):
    """A folder of MNIST whose small files may be damaged; and what makes its data set."""
    folder = tmp_path / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    for file in (data_dir / "mnist" / "3.0.1").iterdir():
        if file.suffix == ".json":
            shutil.copyfile(file, folder / file.name)
        else:
            (folder / file.name).symlink_to(file)
    return folder, lambda: datasets.get("mnist", split="test", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"10"', '"3"', "and TFDS differ in the feature 'label', 'int64 [] 3' and 'int64 [] 10'"),
        ('"28"', '"14"', "and TFDS differ in the feature 'image', 'uint8 [14, 14, 1]' and 'uint8 [28, 28, 1]'"),
        ('"label"', '"tag"', "and TFDS differ in the feature 'label', 'nothing' and 'int64 [] 10'"),
        ("{", "", "is damaged ("),
    ],
)
def test_damage_to_what_a_folder_says_of_its_features(copied, old, new, said):
    folder, make = copied
    path = folder / "features.json"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError) as error:
        _ = make().num_examples
    assert str(error.value).startswith(f"{path} {said}")
    assert str(error.value).endswith(f". Delete the folder {folder}, and prepare the data set anew.")


def test_a_folder_that_says_nothing_of_its_features(copied):
    folder, make = copied
    (folder / "features.json").unlink()  # as those of old versions of TFDS
    assert make().num_examples == 10_000


def test_a_set_of_something_else_is_refused(data_dir):
    texts = datasets.from_tfds("banking77", Images(8, 8, 3), 77)
    with pytest.raises(InputError) as error:
        _ = datasets.Dataset(texts, "test", data_dir).features
    assert str(error.value) == (
        "Data set 'banking77' of TFDS has id, label, text, and no 'image'. Name what its examples are made of by "
        "features=... and label=..., or give its arrays to from_arrays."
    )
