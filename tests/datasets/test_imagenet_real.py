"""ReaL: which classes are in ImageNet's validation images, by the names of their files."""

import json

import numpy as np
import pytest
import tensorflow_datasets as tfds

from uncertainty_suite import datasets
from uncertainty_suite.datasets.imagenet_real import find
from uncertainty_suite.errors import InputError


def test_labels_are_joined_by_the_names_of_files(large_images, tmp_path):
    (tmp_path / "imagenet_real").mkdir()
    classes = [[], [3, 7], [1], *([[2]] * 49_997)]
    (tmp_path / "imagenet_real/real.json").write_text(json.dumps(classes))
    for prepared in large_images.iterdir():
        (tmp_path / prepared.name).symlink_to(prepared)
    data = datasets.get("imagenet", "test", tmp_path)
    examples = tfds.as_numpy(tfds.builder("imagenet2012", data_dir=large_images).as_dataset(split="validation"))
    numbers = [int(example["file_name"][-13:-5]) for example in examples]
    assert numbers != sorted(numbers)  # TFDS has another order
    np.testing.assert_array_equal(data.original_ids, numbers)
    assert [np.flatnonzero(row).tolist() for row in data.human_labels] == [classes[i - 1] for i in numbers]


@pytest.mark.parametrize("text", ["[[1], [2]]", "{}", "[3]", *(json.dumps([[k]] * 50_000) for k in (1000, "1"))])
def test_what_is_not_real(text, tmp_path):
    path = tmp_path / "real.json"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        datasets.imagenet_real(path)
    assert str(error.value) == f"'{path}' is not ReaL: expected 50000 lists of classes from 0 to 999."


def test_what_cannot_be_read_or_is_not_there(tmp_path):
    (tmp_path / "real.json").write_text("[[1], ")
    with pytest.raises(InputError, match=r"^Cannot read the labels of ReaL from "):
        datasets.imagenet_real(tmp_path / "real.json")
    with pytest.raises(InputError, match=r"^Data set 'imagenet_real' is not there: .* It is real.json of https://"):
        find(tmp_path)
