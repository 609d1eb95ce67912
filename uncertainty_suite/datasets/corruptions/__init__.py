"""Corruptions of images of any size, gray or colour, in five severities: how shifted test sets are made.

After Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", 2019
(https://arxiv.org/abs/1903.12261; ImageNet-C and CIFAR-10-C), whose names are kept, and Mu and Gilmer, "MNIST-C: a
robustness benchmark for computer vision", 2019 (https://arxiv.org/abs/1906.02337), for `rotate`, `translate`, `shear`
and `scale`. The code and the severities are ours, so numbers are comparable within this suite; for the papers' own
images there are the data sets `cifar10_corrupted` and `mnist_corrupted`. Where and why we deviate:

- All lengths are fractions of an image's shorter side. The papers have one set of lengths in pixels for 224 x 224
  and another for 32 x 32; in fractions both are much the same, and serve every size.
- Noise is not a length. Its severities begin where CIFAR-10-C's end and end before ImageNet-C's: a noise that spares
  a photograph of 224 x 224 pixels leaves nothing of one of 32 x 32.
- Damage (the mean squared error) grows with severity. The paper's `saturate` takes colour away first and adds it
  later; here it only adds. Its `frost` pastes photographs of frost, ours is generated.

An image's corruption is a function of (seed, name, severity, element id) alone. It is applied to the image in [0, 1] at
the size in which the model receives it, before normalisation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from uncertainty_suite import tf
from uncertainty_suite.errors import InputError, unknown_name

SEVERITIES = (1, 2, 3, 4, 5)
SEED = 0  # the benchmark's: all runs see the same corrupted images, so that they can be paired
VERSION = 1  # to be raised with every change that alters corrupted images; part of a data set's fingerprint

# What the five severities are; the function of the same name in `operations` says what of. Fractions of the image's
# shorter side are marked "side".
_PARAMETERS: dict[str, Sequence[Any]] = {
    # Noise
    "gaussian_noise": (0.04, 0.08, 0.12, 0.18, 0.26),  # standard deviation
    "shot_noise": (250, 60, 25, 12, 5),  # photons of a white pixel
    "impulse_noise": (0.01, 0.03, 0.06, 0.09, 0.17),  # fraction of the values that become 0 or 1
    "speckle_noise": (0.06, 0.15, 0.2, 0.35, 0.45),  # standard deviation over value
    # Blur
    "defocus_blur": (0.015, 0.025, 0.035, 0.05, 0.065),  # side: radius
    "gaussian_blur": (0.015, 0.02, 0.027, 0.035, 0.045),  # side: standard deviation
    "glass_blur": (0.02, 0.03, 0.04, 0.055, 0.075),  # side: largest displacement
    "motion_blur": (0.03, 0.05, 0.08, 0.11, 0.14),  # side: half the path
    "zoom_blur": (1.06, 1.11, 1.16, 1.21, 1.26),  # largest magnification
    # Weather
    "snow": ((1.75, 0.05), (1.5, 0.1), (1.25, 0.15), (1.0, 0.2), (0.75, 0.25)),  # flakes' threshold, whitening
    "frost": (0.3, 0.4, 0.5, 0.6, 0.7),  # how far it has grown
    "fog": ((0.25, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75)),  # density, smoothness
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),  # added
    # Digital
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),  # factor
    "saturate": (1.5, 2.0, 3.0, 5.0, 20.0),  # factor
    "pixelate": (0.85, 0.65, 0.5, 0.375, 0.25),  # blocks per pixel
    "jpeg_compression": (80, 50, 25, 15, 7),  # quality
    # Geometry
    "elastic_transform": (0.01, 0.018, 0.026, 0.034, 0.042),  # side: root mean square displacement
    "rotate": (10, 20, 30, 40, 50),  # degrees
    "translate": (0.04, 0.08, 0.12, 0.16, 0.2),  # side: distance
    "shear": (0.1, 0.2, 0.3, 0.4, 0.5),  # tangent of the angle
    "scale": (0.9, 0.8, 0.7, 0.6, 0.5),  # factor
}
_COLOUR_ONLY = ("saturate",)


def names(channels: int = 3) -> list[str]:
    """Return the names of the corruptions that change images of so many channels, in the order of the papers."""
    return [name for name in _PARAMETERS if channels == 3 or name not in _COLOUR_ONLY]


def check(name: str, severity: int, input_shape: Any) -> None:
    """Raise an `InputError` unless there is such a corruption of such examples."""
    if name not in _PARAMETERS:
        raise unknown_name("corruption", name, names())
    if severity not in SEVERITIES:
        raise InputError(f"The severity of corruption '{name}' is 1, 2, 3, 4 or 5, received {severity}.")
    if not isinstance(input_shape, tuple) or len(input_shape) != 3 or input_shape[-1] not in (1, 3):
        raise InputError(
            f"Corruptions are made for images (height, width, 1 or 3), not for examples of shape {input_shape}."
        )
    if name not in names(input_shape[-1]):
        raise InputError(f"Corruption '{name}' needs colour: it would leave gray images as they are.")


def corrupt(images: tf.Tensor, element_ids: tf.Tensor, name: str, severity: int, seed: int = SEED) -> tf.Tensor:
    """Corrupt a batch of images, each by itself.

    Args:
        images: float32 `[batch, height, width, channels]` in [0, 1]; 1 or 3 channels.
        element_ids: int64 `[batch]`.
        name: One of `names(channels)`.
        severity: 1 to 5.
        seed: Decides, with the other arguments, all that is random.

    Returns:
        Images of the same shape and dtype, in [0, 1].

    Raises:
        InputError: If there is no such corruption of such images.
    """
    from uncertainty_suite.datasets.corruptions import operations

    check(name, severity, tuple(images.shape[1:]))
    key = int.from_bytes(hashlib.sha256(f"{seed}/{name}/{severity}".encode()).digest()[:7])  # below 2 ** 56
    random = operations.Random(key, element_ids)
    corrupted = getattr(operations, name)(images, random, _PARAMETERS[name][severity - 1])
    return tf.clip_by_value(corrupted, 0.0, 1.0)
