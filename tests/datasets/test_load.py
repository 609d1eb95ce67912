"""The input pipeline: order, epochs, resuming, augmentation, preprocessing, distribution."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from uncertainty_suite import datasets
from uncertainty_suite.datasets import Dataset, Source, augmentation, pipeline
from uncertainty_suite.datasets.forms import Images
from uncertainty_suite.errors import InputError

_NUM_IMAGES = 53


def _images(seed: int = 0) -> Dataset:
    """Return a small augmented colour set of random pixels from 1 to 255, so that padding can be told from content."""

    def read(split, data_dir):
        rng = np.random.default_rng(0)
        return rng.integers(1, 256, (_NUM_IMAGES, 32, 32, 3)).astype(np.uint8), np.arange(_NUM_IMAGES) % 10

    form = Images(32, 32, 3)
    source = Source("images", ("train",), form, read, num_classes=10, maximum=255, augmented=True)
    return Dataset(source, "train").seeded(seed)


def _take(data: Dataset, num_batches: int, batch_size: int, **arguments) -> list[dict[str, np.ndarray]]:
    batches = data.load(batch_size, training=True, **arguments)
    return list(batches.take(num_batches).as_numpy_iterator())


def _assert_same(left: list[dict], right: list[dict]) -> None:
    assert len(left) == len(right)
    for a, b in zip(left, right):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])


def _epoch_ids(data: Dataset, epoch: int, batch_size: int = 100) -> np.ndarray:
    steps = data.steps_per_epoch(batch_size)
    batches = _take(data, steps, batch_size, start_step=epoch * steps)
    return np.concatenate([batch["element_id"] for batch in batches])


def test_epochs_made_at_once_are_those_made_batch_by_batch(monkeypatch):
    def take():
        return _take(_images(seed=3), 12, batch_size=16, start_step=2)  # four batches an epoch

    at_once = take()
    monkeypatch.setattr(pipeline, "_EPOCH_BYTES", 0)
    _assert_same(at_once, take())


# One ordered pass


@pytest.mark.parametrize("batch_size", [1, 128, 500, 1000])
def test_a_pass_is_in_the_stored_order(batch_size):
    data = datasets.get("digits", split="test")
    batches = list(data.load(batch_size).as_numpy_iterator())
    assert len(batches) == data.steps_per_epoch(batch_size) == -(-500 // batch_size)
    np.testing.assert_array_equal(np.concatenate([b["element_id"] for b in batches]), np.arange(500))
    np.testing.assert_array_equal(np.concatenate([b["labels"] for b in batches]), data.labels)
    np.testing.assert_array_equal(np.concatenate([b["features"] for b in batches]) * 16, data.features)


@pytest.mark.parametrize(
    ("max_examples", "sizes"), [(0, (200, 200, 100)), (250, (200, 50)), (400, (200, 200)), (900, (200, 200, 100))]
)
def test_a_pass_may_end_early(max_examples, sizes):
    data = datasets.get("digits", split="test")
    batches = list(data.load(200, max_examples=max_examples))
    assert tuple(len(batch["labels"]) for batch in batches) == sizes
    element_ids = np.concatenate([batch["element_id"] for batch in batches])
    np.testing.assert_array_equal(element_ids, data.element_ids[: sum(sizes)])


def views_of_all_forms():
    train = datasets.get("toy_regression")
    return [
        datasets.get("digits", "test").subset(90),
        datasets.get("digits", "test").corrupted("fog", 3).subset(90),
        datasets.get("digits", "photos").like("digits").corrupted("snow", 5).subset(90),
        datasets.get("two_moons", "validation").holding_out(0.1),
        train,
    ]


@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize("max_examples", [0, 50])
def test_batches_without_a_pipeline_are_those_of_load(index, max_examples):
    data = views_of_all_forms()[index]
    pairs = list(zip(data.load(40, max_examples=max_examples), data.batches(40, max_examples), strict=True))
    assert pairs
    for expected, batch in pairs:
        assert batch.keys() == expected.keys()
        for name, values in expected.items():
            assert batch[name].dtype == values.dtype
            np.testing.assert_array_equal(batch[name], values, err_msg=name)


def test_wrong_arguments_of_batches():
    data = datasets.get("digits", split="test")
    with pytest.raises(InputError, match=r"^batch_size must be at least 1, received 0\.$"):
        data.batches(0)
    with pytest.raises(InputError, match=r"^max_examples must be 0, or above 0 outside of training; received -1\.$"):
        data.batches(10, max_examples=-1)


def test_element_spec():
    spec = datasets.get("digits").load(32, training=True).element_spec
    assert spec == {
        "features": tf.TensorSpec([32, 8, 8, 1], tf.float32),
        "labels": tf.TensorSpec([32], tf.int32),
        "element_id": tf.TensorSpec([32], tf.int64),
    }
    assert datasets.get("digits").load(32).element_spec["features"] == tf.TensorSpec([None, 8, 8, 1], tf.float32)


def test_validation_delivers_the_ids_of_train():
    data = datasets.get("digits", split="validation").holding_out(0.2)
    batch = next(iter(data.load(1000)))
    np.testing.assert_array_equal(batch["element_id"], data.element_ids)
    np.testing.assert_array_equal(batch["labels"], datasets.get("digits").labels[data.element_ids])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, received 0."),
        (
            {"batch_size": 501, "training": True},
            "batch_size 501 is larger than split 'test' of data set 'digits' (500 examples). Give 500 or less, as "
            "--config.batch_size=500.",
        ),
        ({"batch_size": 10, "start_step": 1}, "start_step must be 0, or above 0 in training; received 1."),
        (
            {"batch_size": 10, "training": True, "start_step": -1},
            "start_step must be 0, or above 0 in training; received -1.",
        ),
        (
            {"batch_size": 10, "max_examples": -1},
            "max_examples must be 0, or above 0 outside of training; received -1.",
        ),
        (
            {"batch_size": 10, "training": True, "max_examples": 5},
            "max_examples must be 0, or above 0 outside of training; received 5.",
        ),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError) as error:
        datasets.get("digits", split="test").load(**arguments)
    assert str(error.value) == message


# The stream of training


@pytest.mark.parametrize("batch_size", [1297, 1000, 128, 1])
def test_each_epoch_sees_each_example(batch_size):
    data = datasets.get("digits")
    for epoch in (0, 1):
        ids = _epoch_ids(data, epoch, batch_size)
        np.testing.assert_array_equal(np.sort(ids[: data.num_examples]), data.element_ids)
        np.testing.assert_array_equal(ids[data.num_examples :], ids[: len(ids) - data.num_examples])


def test_features_and_labels_stay_with_their_ids():
    data = datasets.get("digits").holding_out(0.1)
    whole = datasets.get("digits")
    for batch in _take(data, 12, 100):
        np.testing.assert_array_equal(batch["features"] * 16, whole.features[batch["element_id"]])
        np.testing.assert_array_equal(batch["labels"], whole.labels[batch["element_id"]])


def test_seeds_and_epochs_differ_in_order():
    orders = [
        _epoch_ids(datasets.get("two_moons").seeded(seed), epoch)
        for seed, epoch in itertools.product((0, 1, 2), (0, 1, 2, 256))
    ]
    for a, b in itertools.combinations(orders, 2):
        assert (a == b).mean() < 0.01


def test_equal_seeds_give_equal_streams():
    _assert_same(_take(_images(seed=3), 10, 16), _take(_images(seed=3), 10, 16))


@pytest.mark.parametrize("start_step", [0, 1, 3, 4, 5, 9, 4000])
def test_start_step_continues_the_stream(start_step):
    data = _images()
    assert data.steps_per_epoch(16) == 4
    if start_step < 10:
        expected = _take(data, start_step + 6, 16)[start_step:]
    else:  # far away, seen by two ways
        expected = _take(data, 8, 16, start_step=start_step - 2)[2:]
    _assert_same(_take(data, 6, 16, start_step=start_step), expected)


@pytest.mark.slow  # twenty seconds
def test_the_order_looks_uniform():
    positions = np.array([np.argsort(_epoch_ids(datasets.get("two_moons"), epoch)) for epoch in range(100)])
    # The mean of 100 uniform positions has standard deviation 28.9; of 1,000 such means none is further off than 5.
    assert np.abs(positions.mean(axis=0) - 499.5).max() < 5 * 28.9


# Augmentation


def _augmented_by_id(data: Dataset, batch_size: int, epoch: int = 0) -> np.ndarray:
    steps = data.steps_per_epoch(batch_size)
    images = {}
    for batch in _take(data, steps, batch_size, start_step=epoch * steps):
        images.update(zip(batch["element_id"].tolist(), batch["features"]))
    return np.stack([images[i] for i in sorted(images)])


def test_augmentation_of_an_example_depends_on_seed_epoch_and_id_only():
    reference = _augmented_by_id(_images(), batch_size=16)
    np.testing.assert_array_equal(_augmented_by_id(_images(), batch_size=7), reference)
    cut = _images().holding_out(0.2)
    np.testing.assert_array_equal(_augmented_by_id(cut, batch_size=16), reference[cut.element_ids])
    for other in (_augmented_by_id(_images(seed=1), 16), _augmented_by_id(_images(), 16, epoch=1)):
        same = [np.array_equal(a, b) for a, b in zip(reference, other)]
        assert np.mean(same) < 0.1


def test_augmentation_is_pad_crop_and_flip():
    data = _images()
    padded = np.pad(data.features, [(0, 0), (4, 4), (4, 4), (0, 0)])
    seen = set()
    for epoch in range(8):
        for image, delivered in zip(padded, np.rint(_augmented_by_id(data, 53, epoch) * 255)):
            views = {
                (top, left, flip): image[top : top + 32, left : left + 32][:, :: -1 if flip else 1]
                for top, left, flip in itertools.product(range(9), range(9), (0, 1))
            }
            (found,) = [view for view, pixels in views.items() if np.array_equal(pixels, delivered)]
            seen.add(found)
    assert {top for top, _, _ in seen} == {left for _, left, _ in seen} == set(range(9))
    assert {flip for _, _, flip in seen} == {0, 1}


def test_draws_are_uniform():
    draws = augmentation.draw_crops_and_flips(50_000, tf.constant([0, 1], tf.int64)).numpy()
    for column, num_values in enumerate([9, 9, 2]):
        np.testing.assert_allclose(
            np.bincount(draws[:, column]) / 50_000, np.full(num_values, 1 / num_values), atol=0.007
        )
    np.testing.assert_allclose(np.corrcoef(draws.T), np.eye(3), atol=0.02)


def test_no_augmentation_where_it_is_off_or_not_training():
    images = _images().features
    (batch,) = _images().load(_NUM_IMAGES).as_numpy_iterator()
    np.testing.assert_array_equal(np.rint(batch["features"] * 255), images)
    np.testing.assert_array_equal(np.rint(_augmented_by_id(_images().augmented(False), 16) * 255), images)


def test_default_augmentation():
    splits = {name: datasets.sources.find(name).splits for name in datasets.names()}
    trainable = [name for name in splits if "train" in splits[name]]
    augmented = [name for name in trainable if datasets.get(name).augment]
    assert [name for name in augmented if not name.startswith("cifar10n/")] == ["cifar10", "cifar100", "imagenet"]
    assert sum(name.startswith("cifar10n/") for name in augmented) == 5
    assert not datasets.get("cifar10").augmented(False).augment


# Forms


def test_gray_digits_like_cifar10():
    data = datasets.get("digits", split="test").like("cifar10")
    assert data.input_shape == (32, 32, 3)
    assert data.num_classes == 10
    features = next(iter(data.load(500)))["features"].numpy()
    assert features.shape == (500, 32, 32, 3)
    gray = features * [0.2470, 0.2435, 0.2616] + [0.4914, 0.4822, 0.4465]
    np.testing.assert_allclose(gray[..., 0], gray[..., 2], atol=1e-5)
    assert -1e-5 < gray.min() < gray.max() < 1 + 1e-5
    np.testing.assert_allclose(gray.mean(axis=(1, 2, 3)), data.features.mean(axis=(1, 2, 3)) / 16, atol=0.02)


def test_colour_like_gray_is_luminance():
    colours = np.eye(3, dtype=np.uint8).reshape(3, 1, 1, 3) * 255  # red, green, blue
    images = np.tile(colours, (1, 32, 32, 1))
    gray = Images(8, 8, 1).bring(tf.constant(images), 255).numpy()
    assert gray.shape == (3, 8, 8, 1)
    np.testing.assert_allclose(gray[:, 3, 3, 0], [0.299, 0.587, 0.114], atol=1e-3)


def test_shrinking_is_antialiased():
    checkers = np.indices((32, 32)).sum(axis=0).reshape(1, 32, 32, 1) % 2
    gray = Images(8, 8, 1).bring(tf.constant(checkers), 1).numpy()
    np.testing.assert_allclose(gray[0, 1:-1, 1:-1, 0], 0.5, atol=0.02)


def test_the_form_does_not_depend_on_the_batch():
    data = datasets.get("digits", split="photos").like("fashion_mnist")
    small, large = (np.concatenate([b["features"] for b in data.load(size).as_numpy_iterator()]) for size in (7, 500))
    np.testing.assert_array_equal(small, large)
