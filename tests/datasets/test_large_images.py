"""Sets of large images, as TFDS writes them: examples and labels of a split, and what is looked at of an image."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from uncertainty_suite import datasets, tf
from uncertainty_suite.datasets import augmentation
from uncertainty_suite.datasets.forms import Images
from uncertainty_suite.errors import InputError


def stored(name, split, folder):
    """What TFDS reads, in its order."""
    return list(tfds.as_numpy(tfds.builder(name, data_dir=folder).as_dataset(split=split)))


def test_imagenet_is_made_of_several_sets(large_images):
    for split, (name, theirs) in {
        "train": ("imagenet2012", "train"),
        "test": ("imagenet2012", "validation"),
        "v2": ("imagenet_v2/matched-frequency", "test"),
        "a": ("imagenet_a", "test"),
        "r": ("imagenet_r", "test"),
    }.items():
        data = datasets.get("imagenet", split, large_images)
        examples = stored(name, theirs, large_images)
        np.testing.assert_array_equal(data.labels, [example["label"] for example in examples])
        batches = list(data.load(3).as_numpy_iterator())
        features = np.concatenate([batch["features"] for batch in batches])
        assert features.shape == (len(examples), 224, 224, 3)
        for mine, example in zip(features, examples):
            height, width = example["image"].shape[:2]
            side = min(height, width) * 0.875
            top, left = (height - side) / 2, (width - side) / 2
            part = example["image"][round(top) : round(top + side), round(left) : round(left + side)]
            expected = (part.mean(axis=(0, 1)) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
            np.testing.assert_allclose(mine.mean(axis=(0, 1)), expected, atol=0.05)


def test_the_files_of_imagenet_c_are_central_parts_already(large_images):
    data = datasets.get("imagenet", "c_fog_3", large_images)
    examples = stored("imagenet2012_corrupted/fog_3", "validation", large_images)
    np.testing.assert_array_equal(data.labels, [example["label"] for example in examples])
    features = next(iter(data.load(3)))["features"].numpy() * [0.229, 0.224, 0.225] + [0.485, 0.456, 0.406]
    np.testing.assert_allclose(features, np.stack([each["image"] for each in examples]) / 255, atol=1e-5)
    assert sum(split.startswith("c_") for split in data.source.splits) == 95


def test_ood_sets_come_in_the_form_of_imagenet(large_images):
    task = datasets.get("imagenet", "test", large_images)
    for name, split in (("dtd", "test"), ("places365_small", "validation")):
        batch = next(iter(datasets.get(name, split, large_images).like(task).load(2)))
        assert batch["features"].shape == (2, 224, 224, 3)
        assert batch["features"].numpy().min() < -1  # standardised


def test_large_images_are_corrupted_like_small_ones(large_images):
    data = datasets.get("imagenet", "test", large_images)
    plain, foggy = (next(iter(each.load(3)))["features"].numpy() for each in (data, data.corrupted("fog", 3)))
    assert foggy.shape == plain.shape == (3, 224, 224, 3)
    assert np.all(np.abs(foggy - plain).mean(axis=(1, 2, 3)) > 0.1)


def test_training_takes_random_parts_that_are_functions_of_seed_and_epoch(large_images):
    data = datasets.get("imagenet", "train", large_images).seeded(3)

    def batches(data, start_step=0, count=4):
        return list(data.load(8, training=True, start_step=start_step).take(count).as_numpy_iterator())

    def by_id(batches):
        pairs = [(batch["element_id"], batch["features"]) for batch in batches]
        return {int(i): image for ids, images in pairs for i, image in zip(ids, images)}

    whole = batches(data)
    for mine, again in zip(whole[1:], batches(data, 1, 3)):
        np.testing.assert_array_equal(mine["features"], again["features"])
    first, second, plain = by_id(whole[:2]), by_id(whole[2:]), by_id(batches(data.augmented(False), 0, 2))
    assert sorted(first) == sorted(second) == sorted(plain) == list(range(16))
    for i in range(16):
        assert np.any(first[i] != second[i])
        assert np.any(first[i] != plain[i])
    np.testing.assert_array_equal(plain[0], next(iter(data.load(1)))["features"][0])


def test_random_parts_have_all_sizes_and_places_and_half_are_flipped():
    """An image whose colours are its coordinates says what was taken of it."""
    rows, columns = np.meshgrid(np.arange(200), np.arange(250), indexing="ij")
    image = tf.constant(np.stack([rows, columns, 0 * rows], axis=-1).astype(np.uint8))
    shares, ratios, flips = [], [], 0
    for i in range(300):
        part = augmentation.random_part(image, (32, 32), tf.constant([7, i], tf.int64)).numpy().astype(float)
        height, width = (np.ptp(part[..., axis].mean(axis=1 - axis)) * 32 / 31 for axis in (0, 1))
        shares.append(height * width / (200 * 250))
        ratios.append(width / height)
        flips += part[0, 0, 1] > part[0, -1, 1]
    assert min(shares) > 0.06
    assert min(shares) < 0.15
    assert max(shares) > 0.85
    assert 0.7 < min(ratios) < 0.8
    assert 1.25 < max(ratios) < 1.45
    assert 110 < flips < 190


def test_the_central_part_of_a_form_that_is_no_square():
    image = np.zeros((100, 100, 3), np.uint8)
    image[31:69, 7:93] = 255  # 0.875 of the largest part with these sides is 43.75 x 87.5 pixels
    part = augmentation.central_part(tf.constant(image), (44, 88)).numpy()
    assert part.shape == (44, 88, 3)
    assert part[22, 44, 0] == part[22, 3, 0] == part[5, 44, 0] == 255
    assert part[0, 44, 0] == part[43, 44, 0] == 0


def test_retinas_have_two_classes(large_images):
    for split in ("train", "validation", "test"):
        examples = stored("diabetic_retinopathy_detection/btgraham-300", split, large_images)
        data = datasets.get("diabetic_retinopathy/country", split, large_images)
        np.testing.assert_array_equal(data.labels, [example["label"] > 1 for example in examples])
    aptos = datasets.get("diabetic_retinopathy/country", "aptos", large_images)
    theirs = [example["label"] for example in stored("aptos2019", "test", large_images)]
    np.testing.assert_array_equal(aptos.labels, np.array(theirs) > 1)
    assert next(iter(aptos.load(2)))["features"].shape == (2, 512, 512, 3)


def test_severe_cases_are_apart(large_images):
    name = "diabetic_retinopathy_detection/btgraham-300"
    for split in ("train", "validation", "test"):
        grades = np.array([example["label"] for example in stored(name, split, large_images)])
        data = datasets.get("diabetic_retinopathy/severity", split, large_images)
        np.testing.assert_array_equal(data.labels, grades[grades <= 2] > 1)
    examples = [example for example in stored(name, "test", large_images) if example["label"] > 2]
    severe = datasets.get("diabetic_retinopathy/severity", "severe", large_images)
    assert len(examples) == severe.num_examples > 0
    assert severe.labels.all()
    batch = next(iter(severe.load(10)))
    expected = [example["image"].mean() / 255 for example in examples]
    np.testing.assert_allclose(batch["features"].numpy().mean(axis=(1, 2, 3)), expected, atol=0.01)
    np.testing.assert_array_equal(batch["labels"], severe.labels)
    train = datasets.get("diabetic_retinopathy/severity", "train", large_images)
    epoch = list(train.load(5, training=True).take(train.steps_per_epoch(5)).as_numpy_iterator())
    labels = {int(i): label for batch in epoch for i, label in zip(batch["element_id"], batch["labels"])}
    assert labels == dict(enumerate(train.labels))


def test_crops_are_of_streamed_images():
    with pytest.raises(InputError) as error:
        datasets.from_tfds("food101", Images(8, 8, 3), 101, crops=True)
    assert str(error.value) == "Data set 'food101' is in memory, where images have one size: crops needs streamed=True."


def test_what_is_not_prepared_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"Cannot stream .*'aptos2019'"):
        _ = datasets.get("diabetic_retinopathy/country", "aptos", tmp_path).labels
