"""Corruptions: each is what it says, grows with severity, and is a function of (seed, name, severity, id) alone."""

import numpy as np
import pytest
import tensorflow as tf

from uncertainty_suite import datasets
from uncertainty_suite.datasets import corruptions
from uncertainty_suite.datasets.corruptions import operations
from uncertainty_suite.errors import InputError

NAMES = corruptions.names()
RANDOM = [
    *("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "glass_blur", "motion_blur", "snow", "frost"),
    *("fog", "elastic_transform", "rotate", "translate", "shear"),
]


def _corrupt(images, name, severity=3, element_ids=None, **arguments):
    element_ids = np.arange(len(images)) if element_ids is None else element_ids
    images = tf.constant(images, tf.float32)
    return corruptions.corrupt(images, tf.constant(element_ids, tf.int64), name, severity, **arguments).numpy()


def _images(num_images=4, height=9, width=13, channels=3, seed=0):
    """Smooth coloured images, in [0.1, 0.9]: noise would look the same after most corruptions."""
    grid = tf.random.stateless_uniform([num_images, 4, 4, channels], [seed, 0], 0.1, 0.9)
    return tf.image.resize(grid, [height, width]).numpy()


def _of_one(data, num_images=300):
    images = data.features[:num_images].astype(np.float32)
    return images / (16 if data.name == "digits" else 255)


# What holds for all of them


def test_names():
    assert len(NAMES) == 22
    assert set(NAMES) - set(corruptions.names(channels=1)) == {"saturate"}
    assert set(RANDOM) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(9, 13, 3), (8, 8, 1)])
def test_any_size_and_channels(name, shape):
    if name not in corruptions.names(channels=shape[-1]):
        return
    images = _images(3, *shape)
    images = np.concatenate([images] * 3)  # a fraction of so few pixels may be none
    previous = images
    for severity in corruptions.SEVERITIES:
        corrupted = _corrupt(images, name, severity)
        assert corrupted.shape == images.shape
        assert corrupted.dtype == np.float32
        assert corrupted.min() >= 0
        assert corrupted.max() <= 1
        assert np.abs(corrupted - previous).mean() > 1e-4
        previous = corrupted


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_black_and_white_images_stay_finite(name, value):
    corrupted = _corrupt(np.full((2, 8, 8, 3), value), name, 5)
    assert np.isfinite(corrupted).all()


def _check_damage_grows(images, name):
    clean = np.zeros_like(images) + images
    damages = [((_corrupt(images, name, severity) - clean) ** 2).mean() for severity in corruptions.SEVERITIES]
    assert damages[0] > 0
    assert (np.diff(damages) > 0.03 * damages[0]).all(), damages


@pytest.mark.parametrize("name", corruptions.names(channels=1))
def test_damage_grows_on_digits(name):
    _check_damage_grows(_of_one(datasets.get("digits", split="test"), 500), name)


@pytest.mark.parametrize("name", corruptions.names(channels=1))
def test_damage_grows_on_mnist(name, mnist):
    _check_damage_grows(mnist, name)


@pytest.mark.parametrize("name", NAMES)
def test_damage_grows_on_cifar10(name, cifar10):
    _check_damage_grows(cifar10, name)


@pytest.fixture(scope="module")
def mnist(data_dir):
    return _of_one(datasets.get("mnist", split="test", data_dir=data_dir))


@pytest.fixture(scope="module")
def cifar10(data_dir):
    return _of_one(datasets.get("cifar10", split="test", data_dir=data_dir))


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_corrupted_alike_in_any_batch(name):
    images = _images(7)
    ids = np.array([5, 2**40, 0, 3, 77, 1, 2])
    together = _corrupt(images, name, element_ids=ids)
    order = np.array([4, 0, 6, 1, 2, 5, 3])
    np.testing.assert_allclose(_corrupt(images[order], name, element_ids=ids[order]), together[order], atol=1e-6)
    alone = np.concatenate([_corrupt(images[i : i + 1], name, element_ids=ids[i : i + 1]) for i in range(7)])
    np.testing.assert_allclose(alone, together, atol=1e-6)
    np.testing.assert_array_equal(_corrupt(images, name, element_ids=ids), together)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_random_depends_on_element_id_and_seed(name):
    images = np.repeat(_images(1), 20, axis=0)
    corrupted = _corrupt(images, name)
    all_alike = np.ptp(corrupted, axis=0).max() < 1e-6
    assert all_alike == (name not in RANDOM)
    assert np.array_equal(_corrupt(images, name, seed=1), corrupted) == (name not in RANDOM)


def test_every_corruption_and_severity_has_random_numbers_of_its_own():
    images = np.full((1, 16, 16, 1), 0.5)
    noises = [_corrupt(images, "gaussian_noise", severity) - images for severity in (1, 2)]
    noises.append(_corrupt(images, "speckle_noise", 1) - images)
    correlations = np.corrcoef([noise.ravel() for noise in noises])
    assert np.abs(correlations[np.triu_indices(3, 1)]).max() < 0.3


# Mean squared errors on the test images of digits, severity 3. If one of them changes on purpose, raise
# `corruptions.VERSION`: results on the old and the new images must not be compared.
_DAMAGES_OF_VERSION_1 = {
    "gaussian_noise": 0.009405,
    "shot_noise": 0.008564,
    "impulse_noise": 0.02567,
    "speckle_noise": 0.006585,
    "defocus_blur": 0.002282,
    "gaussian_blur": 0.004529,
    "glass_blur": 0.008383,
    "motion_blur": 0.009581,
    "zoom_blur": 0.005924,
    "snow": 0.04993,
    "frost": 0.09343,
    "fog": 0.0463,
    "brightness": 0.07369,
    "contrast": 0.05054,
    "pixelate": 0.04972,
    "jpeg_compression": 0.009691,
    "elastic_transform": 0.01034,
    "rotate": 0.1131,
    "translate": 0.1037,
    "shear": 0.06569,
    "scale": 0.1205,
}


@pytest.mark.parametrize("name", corruptions.names(channels=1))
def test_images_change_only_with_the_version(name):
    assert corruptions.VERSION == 1
    images = _of_one(datasets.get("digits", split="test"), 500)
    damage = ((_corrupt(images, name) - images) ** 2).mean()
    assert damage == pytest.approx(_DAMAGES_OF_VERSION_1[name], rel=1e-3)


# What each of them is


def test_gaussian_noise_has_its_deviation():
    noise = _corrupt(np.full((20, 32, 32, 3), 0.5), "gaussian_noise", 2) - 0.5
    assert noise.mean() == pytest.approx(0, abs=0.002)
    assert noise.std() == pytest.approx(0.08, rel=0.02)


def test_shot_noise_counts_photons():
    noisy = _corrupt(np.full((20, 32, 32, 1), 0.2), "shot_noise", 3)
    counts = noisy * 25
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-4)
    assert counts.mean() == pytest.approx(5, rel=0.02)
    assert counts.var() == pytest.approx(5, rel=0.05)


def test_impulse_noise_sets_its_fraction_to_black_and_white():
    noisy = _corrupt(np.full((20, 32, 32, 1), 0.5), "impulse_noise", 5)
    assert set(np.unique(noisy)) == {0, 0.5, 1}
    assert (noisy == 0).mean() == pytest.approx(0.085, abs=0.01)
    assert (noisy == 1).mean() == pytest.approx(0.085, abs=0.01)


def test_speckle_noise_grows_with_the_value():
    images = np.zeros((20, 32, 32, 1))
    images[:, 16:] = 0.4
    noise = _corrupt(images, "speckle_noise", 3) - images
    assert noise[:, :16].std() == 0
    assert noise[:, 16:].std() == pytest.approx(0.4 * 0.2, rel=0.02)


@pytest.mark.parametrize("name", ["defocus_blur", "gaussian_blur", "glass_blur", "motion_blur", "zoom_blur"])
def test_blurs_leave_a_constant_image(name):
    np.testing.assert_allclose(_corrupt(np.full((2, 9, 13, 3), 0.3), name, 5), 0.3, atol=1e-5)


def test_blurs_spread_a_point_as_far_as_they_say():
    size, centre = 65, 32
    point = np.zeros((1, size, size, 1), np.float32)
    point[0, centre, centre] = 1
    y, x = np.indices((size, size)) - centre
    for name, variance in [
        ("defocus_blur", (0.065 * size) ** 2 / 4),  # of a disc, along one axis
        ("gaussian_blur", (0.045 * size) ** 2),
    ]:
        spread = _corrupt(point, name, 5)[0, :, :, 0]
        assert spread.sum() == pytest.approx(1, abs=1e-4)
        assert (spread * x**2).sum() == pytest.approx(variance, rel=0.1)
        np.testing.assert_allclose(spread, spread.T, atol=1e-6)
    path = _corrupt(point, "motion_blur", 5)[0, :, :, 0]
    (smaller, larger) = np.linalg.eigvalsh([[(path * a * b).sum() for a in (x, y)] for b in (x, y)])
    assert larger == pytest.approx((0.14 * size) ** 2 / 3, rel=0.1)
    assert smaller < 0.5  # only what interpolation adds


def test_a_blur_narrower_than_a_pixel_still_blurs():
    matrix = operations._gaussian(8, 0.1)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    assert 0.01 < matrix[4, 3] < 0.1


def test_glass_takes_pixels_from_nearby():
    columns = np.broadcast_to(np.linspace(0, 1, 40)[:, np.newaxis], (2, 40, 40, 1))
    moved = (_corrupt(columns, "glass_blur", 5) - columns) * 39
    assert 2 < np.abs(moved).max() <= 0.075 * 40 + 1e-3


def test_zoom_draws_from_the_middle_in_proportion_to_the_distance():
    across = np.broadcast_to(np.linspace(0, 1, 33)[:, np.newaxis], (1, 33, 33, 1))
    # 1 to 1.26 in steps that move the border, 16 pixels away, by less than one.
    nearer = np.mean(1 / np.linspace(1, 1.26, 6))
    np.testing.assert_allclose(_corrupt(across, "zoom_blur", 5), 0.5 + nearer * (across - 0.5), atol=1e-5)


def test_snow_and_frost_hide_more_and_more():
    black = np.zeros((20, 32, 32, 1))
    for name in ("snow", "frost"):
        covered = [(_corrupt(black, name, severity) > 0.4).mean() for severity in corruptions.SEVERITIES]
        assert covered[0] < 0.2 < covered[-1]
        assert (np.diff(covered) > 0).all()


def test_fog_keeps_white_white():
    images = np.ones((20, 32, 32, 1))
    images[:, :, 16:] = 0
    foggy = _corrupt(images, "fog", 5)
    assert foggy.max(axis=(1, 2, 3)) == pytest.approx(1, abs=0.4)
    assert (foggy[:, :, :16].mean() - foggy[:, :, 16:].mean()) == pytest.approx(1 / (1 + 1.5), abs=0.1)


def test_brightness_shifts_and_clips():
    images = _images()
    np.testing.assert_allclose(_corrupt(images, "brightness", 5), np.minimum(images + 0.5, 1), atol=1e-6)


def test_contrast_draws_to_the_mean_of_each_channel():
    images = _images()
    means = images.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(_corrupt(images, "contrast", 2), means + 0.5 * (images - means), atol=1e-6)


def test_saturate_keeps_value_and_leaves_gray():
    images = _images()
    images[0] = images[0, :, :, :1]
    saturated = _corrupt(images, "saturate", 3)
    np.testing.assert_allclose(saturated[0], images[0], atol=1e-6)
    np.testing.assert_allclose(saturated.max(axis=-1), images.max(axis=-1), atol=1e-6)
    assert np.ptp(saturated[1:], axis=-1).mean() > 1.5 * np.ptp(images[1:], axis=-1).mean()


def test_pixelate_takes_means_of_blocks():
    images = np.random.default_rng(0).random((2, 8, 16, 3), np.float32)
    blocks = images.reshape(2, 4, 2, 8, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(_corrupt(images, "pixelate", 3), blocks.repeat(2, axis=1).repeat(2, axis=2), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_jpeg_mosaic_is_the_jpeg_of_each_image(channels):
    images = _images(5, 16, 32, channels)  # whole blocks: nothing is filled up
    kind = "grayscale" if channels == 1 else "rgb"
    for image, mosaic in zip(images, _corrupt(images, "jpeg_compression", 5)):
        encoded = tf.io.encode_jpeg(np.rint(image * 255).astype(np.uint8), quality=7, format=kind)
        alone = tf.io.decode_jpeg(encoded, fancy_upscaling=False, dct_method="INTEGER_ACCURATE").numpy() / 255
        np.testing.assert_allclose(mosaic, alone, atol=1e-6)


def test_jpeg_of_no_whole_blocks_stays_near_the_image():
    images = _images(5, 17, 9, channels=1)
    assert np.abs(_corrupt(images, "jpeg_compression", 1) - images).mean() < 0.03


def _centre_of_mass(image):
    return np.array([(image[..., 0] * index).sum() / image.sum() for index in np.indices(image.shape[:2])])


def test_translate_moves_a_pixel_by_its_distance_in_any_direction():
    images = np.zeros((200, 25, 25, 1))
    images[:, 12, 12] = 1
    moved = np.array([_centre_of_mass(image) - 12 for image in _corrupt(images, "translate", 4)])
    np.testing.assert_allclose(np.hypot(*moved.T), 0.16 * 25, atol=1e-3)
    np.testing.assert_allclose(moved.mean(axis=0), 0, atol=0.6)


def test_rotate_turns_a_pixel_about_the_middle_both_ways():
    images = np.zeros((200, 25, 25, 1))
    images[:, 12, 20:23] = 1 / 3
    ends = np.array([_centre_of_mass(image) - 12 for image in _corrupt(images, "rotate", 3)])
    np.testing.assert_allclose(np.abs(np.degrees(np.arctan2(*ends.T))), 30, atol=0.5)
    assert 0.35 < (ends[:, 0] > 0).mean() < 0.65


def test_shear_moves_rows_by_their_height():
    images = np.zeros((50, 25, 25, 1))
    images[:, 2, 12] = 1
    moved = np.array([_centre_of_mass(image) - (2, 12) for image in _corrupt(images, "shear", 5)])
    np.testing.assert_allclose(np.abs(moved), np.tile([0, 5], (50, 1)), atol=1e-3)
    assert 0.2 < (moved[:, 1] > 0).mean() < 0.8


def test_scale_shrinks_on_black():
    scaled = _corrupt(np.ones((1, 20, 20, 1)), "scale", 5)
    assert scaled.sum() == pytest.approx(100, rel=0.02)
    assert scaled[0, 10, 10] == 1
    assert scaled[0, 4].max() == 0


def test_elastic_displaces_near_pixels_alike():
    size = 40
    across = np.broadcast_to(np.linspace(0, 1, size), (50, size, size))[..., np.newaxis]
    moved = (_corrupt(across, "elastic_transform", 5) - across)[:, 8:-8, 8:-8, 0] * (size - 1)
    assert moved.std() == pytest.approx(0.042 * size, rel=0.1)
    assert np.corrcoef(moved[:, 1:].ravel(), moved[:, :-1].ravel())[0, 1] > 0.95


# As a part of a data set


def test_a_data_set_is_corrupted_before_it_is_normalised(data_dir):
    clean, dark = (
        np.concatenate([b["features"] for b in data.load(16).take(2).as_numpy_iterator()])
        for data in (
            datasets.get("cifar10", split="test", data_dir=data_dir),
            datasets.get("cifar10", split="test", data_dir=data_dir).corrupted("brightness", 1),
        )
    )
    deviations = np.array([0.2470, 0.2435, 0.2616])
    means = np.array([0.4914, 0.4822, 0.4465])
    unit = clean * deviations + means
    np.testing.assert_allclose(dark * deviations + means, np.minimum(unit + 0.1, 1), atol=1e-5)


@pytest.mark.parametrize("name", ["gaussian_noise", "elastic_transform", "motion_blur", "jpeg_compression"])
def test_a_data_set_is_the_same_for_any_batch_size_and_seed(name):
    data = [datasets.get("digits", split="test").corrupted(name, 3).seeded(seed) for seed in (0, 1)]
    first, second = (
        np.concatenate([b["features"] for b in d.load(size).as_numpy_iterator()]) for d, size in zip(data, (500, 33))
    )
    np.testing.assert_allclose(first, second, atol=1e-6)
    images = data[0].features / np.float32(16)
    np.testing.assert_allclose(first, _corrupt(images, name), atol=1e-6)


def test_an_ood_set_is_corrupted_at_the_size_of_the_task():
    data = datasets.get("digits", split="photos").like("mnist").corrupted("impulse_noise", 3)
    batch = next(iter(data.load(100)))["features"].numpy()
    assert batch.shape == (100, 28, 28, 1)
    assert (batch == 0).mean() > 0.01  # resized afterwards, hardly any would be


def test_training_data_can_be_corrupted():
    data = datasets.get("digits").corrupted("shot_noise", 5)
    batch = next(iter(data.load(8, training=True)))
    images = data.features[batch["element_id"]] / np.float32(16)
    corrupted = _corrupt(images, "shot_noise", 5, batch["element_id"])
    np.testing.assert_allclose(batch["features"], corrupted, atol=1e-6)


def test_fingerprints_tell_corruptions_apart():
    test = datasets.get("digits", split="test")
    views = [
        test,
        test.corrupted("fog", 1),
        test.corrupted("fog", 2),
        test.corrupted("frost", 2),
        test.corrupted("fog", 1, seed=1),
        test.corrupted("fog", 1).like("mnist"),
    ]
    fingerprints = [view.fingerprint() for view in views]
    assert len(set(fingerprints)) == len(views)
    assert test.seeded(3).corrupted("fog", 1).fingerprint() == fingerprints[1]
    assert test.corrupted("fog", 1).corrupted(None).fingerprint() == fingerprints[0]


def test_repr_names_the_corruption():
    data = datasets.get("digits", split="test").corrupted("fog", 2)
    assert "corruption='fog', severity=2" in repr(data)


@pytest.mark.parametrize(
    ("name", "corruption", "message"),
    [
        (
            "digits",
            ("gausian_noise", 1),
            "Unknown corruption 'gausian_noise'. Did you mean 'gaussian_noise'? Known: brightness, ",
        ),
        ("digits", ("fog",), "The severity of corruption 'fog' is 1, 2, 3, 4 or 5, received 0."),
        ("digits", ("fog", 6), "The severity of corruption 'fog' is 1, 2, 3, 4 or 5, received 6."),
        ("digits", (None, 2), "There is no severity 2 without a corruption: name one, or set severity to 0."),
        (
            "two_moons",
            ("fog", 1),
            "Corruptions are made for images (height, width, 1 or 3), not for examples of shape (2,).",
        ),
        ("mnist", ("saturate", 1), "Corruption 'saturate' needs colour: it would leave gray images as they are."),
    ],
)
def test_wrong_arguments(name, corruption, message):
    with pytest.raises(InputError) as error:
        datasets.get(name).corrupted(*corruption)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_form_without_colour_is_refused_after_a_corruption_that_needs_it():
    with pytest.raises(InputError, match="Corruption 'saturate' needs colour"):
        datasets.get("svhn_cropped", "test").corrupted("saturate", 1).like("mnist")
