"""Digits: scikit-learn's 1,797 handwritten digits of 8 x 8 pixels in 17 gray levels, with two sets of other images.

Alpaydin and Kaynak, "Optical recognition of handwritten digits", 1998 (https://doi.org/10.24432/C50P49); scikit-learn
ships the test part of it. There is no official split: 500 examples, stratified by class, are `test` and the other 1,297
`train`, each in the original order. The writers are not marked in the data, so both parts may hold the same hand.

Out of distribution: `photos`, 500 patches of 8 x 8 pixels from the two photographs that scikit-learn ships (some are
plain sky), and `noise`, 500 images of independent uniform pixels. Both have the digits' 17 gray levels, so that content
and not quantisation sets them apart; their labels are -1. `textures` are for what is tuned on OOD examples, and share
neither source nor content with these: 500 drawn sinusoidal gratings, of uniform direction and phase and 1 to 4 cycles
an image, in the same levels. All of it is fixed, whatever the seed.
"""

import numpy as np

from uncertainty_suite.datasets.forms import Images
from uncertainty_suite.datasets.sources import Source

_SIZE = 8
_MAXIMUM = 16
_NUM_TEST = 500
_NUM_OOD = 500
_RANDOM_STATES = {"split": 0, "photos": 1, "noise": 2, "textures": 3}
_CYCLES = (1.0, 4.0)  # of a grating in an image; 4 of them are 2 pixels each, the finest that there is
_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in tf.image.rgb_to_grayscale


def _digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=_NUM_TEST, stratify=labels, random_state=_RANDOM_STATES["split"]
    )
    chosen = np.sort(train if split == "train" else test)
    return images[chosen].reshape(-1, _SIZE, _SIZE, 1), labels[chosen]


def _photos() -> np.ndarray:
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(_RANDOM_STATES["photos"])
    levels = [np.rint(photo @ _LUMINANCE / 255 * _MAXIMUM) for photo in load_sample_images().images]
    patches = []
    for i in range(_NUM_OOD):
        photo = levels[i % len(levels)]
        top, left = rng.integers(0, np.array(photo.shape) - _SIZE, endpoint=True)
        patches.append(photo[top : top + _SIZE, left : left + _SIZE])
    return np.stack(patches)[..., np.newaxis]


def _noise() -> np.ndarray:
    rng = np.random.default_rng(_RANDOM_STATES["noise"])
    return rng.integers(0, _MAXIMUM, size=(_NUM_OOD, _SIZE, _SIZE, 1), endpoint=True)


def _textures() -> np.ndarray:
    rng = np.random.default_rng(_RANDOM_STATES["textures"])
    cycles, direction, phase = (
        rng.uniform(low, high, (_NUM_OOD, 1, 1)) for low, high in (_CYCLES, (0, np.pi), (0, 2 * np.pi))
    )
    y, x = np.mgrid[:_SIZE, :_SIZE] / _SIZE
    waves = np.sin(2 * np.pi * cycles * (x * np.cos(direction) + y * np.sin(direction)) + phase)
    return np.rint((waves + 1) / 2 * _MAXIMUM)[..., np.newaxis]


_OOD = {"photos": _photos, "noise": _noise, "textures": _textures}


def _read(split: str, data_dir: object) -> tuple[np.ndarray, np.ndarray]:
    del data_dir  # scikit-learn ships it all
    if split in _OOD:
        images = _OOD[split]()
        labels = np.full(len(images), -1)
    else:
        images, labels = _digits(split)
    return images.astype(np.uint8), labels


SOURCE = Source(
    name="digits",
    splits=("train", "test", *_OOD),
    num_classes=10,
    form=Images(_SIZE, _SIZE, 1),
    maximum=_MAXIMUM,
    read=_read,
)
