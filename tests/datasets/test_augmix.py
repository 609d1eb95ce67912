"""AugMix: operations beside Pillow's, and what draws depend on."""

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

from uncertainty_suite import datasets, tf
from uncertainty_suite.datasets import augmix
from uncertainty_suite.errors import InputError

SIZE = (12, 10)


def images(channels=3, number=4) -> np.ndarray:
    """Return smooth images, uint8, of which no two are alike and the first has one level only."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    waves = [np.sin(0.3 * (i + 1) * x + 0.5 * y * (c + 1) + i) for i in range(number) for c in range(channels)]
    found = (40 + 20 * np.arange(number)[:, None, None, None]) + 60 * np.stack(waves).reshape(
        number, channels, *SIZE
    ).transpose(0, 2, 3, 1)
    found[0] = 77
    return found.round().clip(0, 255).astype(np.uint8)


def operated(name: str, level: float, sign: float = 1.0) -> np.ndarray:
    """Return all images after an operation, in [0, 255]."""
    whole = images()
    operation = tf.fill([len(whole)], augmix.OPERATIONS.index(name))
    parameter, maps = augmix.strengths(operation, tf.fill([len(whole)], level), tf.fill([len(whole)], sign), SIZE)
    return 255 * augmix.operate(tf.constant(whole / 255, tf.float32), operation, parameter, maps).numpy()


def by_pillow(function) -> np.ndarray:
    return np.stack([np.asarray(function(PIL.Image.fromarray(image))) for image in images()])


@pytest.mark.parametrize(
    ("name", "level", "function"),
    [
        ("autocontrast", 0.5, PIL.ImageOps.autocontrast),
        ("equalize", 0.5, PIL.ImageOps.equalize),
        ("posterize", 0.3, lambda image: PIL.ImageOps.posterize(image, 4 - int(0.3 * 4))),
        ("posterize", 0.8, lambda image: PIL.ImageOps.posterize(image, 4 - int(0.8 * 4))),
        ("solarize", 0.3, lambda image: PIL.ImageOps.solarize(image, 256 - int(0.3 * 256))),
        ("solarize", 0.8, lambda image: PIL.ImageOps.solarize(image, 256 - int(0.8 * 256))),
    ],
)
def test_operations_of_levels_are_those_of_pillow(name, level, function):
    np.testing.assert_allclose(operated(name, level), by_pillow(function), atol=1e-3)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("level", [0.1, 0.95])
def test_operations_of_places_are_those_of_pillow(level, sign):
    height, width = SIZE
    across, down = sign * int(width / 3 * level), sign * int(height / 3 * level)
    shear = sign * 0.3 * level
    affine = {
        "shear_x": (1, shear, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, shear, 1, 0),
        "translate_x": (1, 0, across, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, down),
    }
    inside = (slice(None), slice(3, -3), slice(3, -3))  # at the edge, interpolation with what is outside differs
    for name, values in affine.items():
        expected = by_pillow(lambda image, values=values: image.transform(image.size, 0, values, PIL.Image.BILINEAR))
        if name.startswith("translate"):
            np.testing.assert_allclose(operated(name, level, sign), expected, atol=1e-3)
        assert np.abs(operated(name, level, sign)[inside] - expected[inside]).max() < 1  # Pillow rounds to levels
    angle = sign * int(30 * level)
    expected = by_pillow(lambda image: image.rotate(angle, PIL.Image.BILINEAR))
    assert np.abs(operated("rotate", level, sign)[inside] - expected[inside]).max() < 1


def test_no_operation_leaves_images_as_they_are():
    whole = tf.constant(images() / 255, tf.float32)
    none = tf.fill([len(whole)], len(augmix.OPERATIONS))
    parameter, maps = augmix.strengths(none, tf.fill([len(whole)], 0.5), tf.ones([len(whole)]), SIZE)
    np.testing.assert_array_equal(augmix.operate(whole, none, parameter, maps), whole)


def test_draws_are_of_the_distributions_of_the_paper():
    draws = augmix.draw(20_000, 3.0, SIZE, tf.constant([0, 1], tf.int64)).numpy()
    weights, share, steps = draws[:, :3], draws[:, 3], draws[:, 4:].reshape(-1, 3, 3, 10)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(weights.var(axis=0), 1 / 18, atol=2e-3)  # of Dirichlet(1, 1, 1)
    assert share.mean() == pytest.approx(0.5, abs=0.01)
    assert share.var() == pytest.approx(1 / 12, abs=2e-3)
    operation = steps[..., 0]
    depth = (operation < len(augmix.OPERATIONS)).sum(axis=2)
    for value in (1, 2, 3):
        assert np.mean(depth == value) == pytest.approx(1 / 3, abs=0.01)
    used = np.bincount(operation[operation < len(augmix.OPERATIONS)].astype(int)) / depth.sum()
    np.testing.assert_allclose(used, 1 / len(augmix.OPERATIONS), atol=5e-3)


def by_id(data, epoch=0, size=50):
    steps = data.steps_per_epoch(size)
    found = {}
    for batch in data.load(size, training=True, start_step=epoch * steps).take(steps):
        found |= dict(zip(batch["element_id"].numpy().tolist(), batch["features"].numpy()))
    return found


def test_training_images_change_anew_in_each_epoch_as_seed_and_example_have_it():
    data = datasets.get("digits", "train").subset(400)
    mixed = data.augmixed(3.0)
    plain, first, other_size = by_id(data), by_id(mixed), by_id(mixed, size=70)
    later, seeded = by_id(mixed, epoch=1), by_id(mixed.seeded(1))
    assert first.keys() == plain.keys()
    for element, image in first.items():
        np.testing.assert_array_equal(other_size[element], image)
        assert image.min() >= 0
        assert image.max() <= 1
    for others in (plain, later, seeded):
        assert np.mean([np.array_equal(others[each], first[each]) for each in first]) < 0.1
    # They are still recognised: nearest to their own image among all, for most.
    elements = list(plain)
    originals = np.stack([plain[each] for each in elements]).reshape(len(plain), -1)
    changed = np.stack([first[each] for each in elements[:200]]).reshape(200, -1)
    nearest = ((changed[:, np.newaxis] - originals) ** 2).sum(axis=-1).argmin(axis=1)
    assert np.mean(nearest == np.arange(200)) > 0.6
    ordered = next(iter(mixed.load(50)))["features"].numpy()
    np.testing.assert_array_equal(ordered, next(iter(data.load(50)))["features"].numpy())


def test_a_partner_of_mixup_is_changed_as_it_is_alone():
    data = datasets.get("digits", "train").subset(400).augmixed(3.0)
    alone, mixed = by_id(data), by_id(data.mixed("mixup", 0.01))
    # With shares of nearly 0 or 1 an example is itself or its partner, both as they are alone.
    known = {image.round(3).tobytes() for image in alone.values()}
    assert np.mean([image.round(3).tobytes() in known for image in mixed.values()]) > 0.8


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="Examples of data set 'two_moons' are no images: set augmix to 0"):
        datasets.get("two_moons").augmixed(3.0)
    with pytest.raises(InputError, match="The severity of AugMix is from 0 to 10, received 11"):
        datasets.get("digits").augmixed(11)
