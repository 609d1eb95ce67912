"""Noise: images without any content, in the stored form of a task's own images.

The simplest out-of-distribution sets, as in Liang et al., "Enhancing the reliability of out-of-distribution image
detection in neural networks", 2018 (https://arxiv.org/abs/1706.02690), appendix B. Splits:

- `uniform`: 2,000 images of independent uniform values.
- `gaussian`: 2,000 images of independent normal values with mean 0.5 and standard deviation 1, cut to [0, 1].
- `constant`: 2,000 images of one uniform gray or colour each.
- `permuted`: the task's own test images, the pixels of each in an order of its own: the same colours without the
  shapes. A pixel keeps its channels.

All are fixed, whatever the seed, and have the task's number of levels, so that content and not quantisation sets them
apart; labels are -1. The task is named by a view: `get("noise", "uniform").like("cifar10")`.
"""

import functools
import os

import numpy as np

from uncertainty_suite.datasets.forms import Images, describe
from uncertainty_suite.datasets.sources import CATEGORICAL, Source
from uncertainty_suite.errors import InputError

NAME = "noise"
SPLITS = ("uniform", "gaussian", "constant", "permuted")
_NUM_IMAGES = 2000


@functools.cache
def _imitate(task: Source) -> Source:
    """Return the noise that imitates a task's images.

    Raises:
        InputError: If they are no images of integer levels, or have no classes.
    """
    if not isinstance(task.form, Images):
        raise InputError(f"Data set '{NAME}' is made of images, and '{task.name}' of {describe(task.form)}.")
    if task.likelihood != CATEGORICAL:
        raise InputError(f"Data set '{NAME}' has examples of no class, and '{task.name}' has no classes.")
    if not 1 < task.maximum < 256:
        raise InputError(
            f"Data set '{NAME}' has integer levels that 8 bits hold, and '{task.name}' the maximum {task.maximum:g}; "
            "store its images as integers from 0 to 255."
        )
    shape = task.form.input_shape

    def read(split: str, data_dir: str | os.PathLike | None) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(SPLITS.index(split))
        if split == "permuted":
            images = task.read("test", data_dir)[0]
            pixels = images.reshape(len(images), -1, images.shape[-1])
            order = rng.random(pixels.shape[:2], dtype=np.float32).argsort(axis=1)
            images = np.take_along_axis(pixels, order[..., np.newaxis], axis=1).reshape(images.shape)
        elif split == "gaussian":
            images = np.rint(np.clip(rng.normal(0.5, 1.0, (_NUM_IMAGES, *shape)), 0, 1) * task.maximum)
        else:
            varying = shape if split == "uniform" else (1, 1, shape[-1])
            images = rng.integers(0, int(task.maximum), (_NUM_IMAGES, *varying), endpoint=True)
            images = np.broadcast_to(images, (_NUM_IMAGES, *shape))
        return images.astype(np.uint8), np.full(len(images), -1)

    return Source(
        name=NAME,
        splits=SPLITS,
        form=task.form,
        num_classes=task.num_classes,
        maximum=task.maximum,
        read=read,
        imitate=_imitate,
    )


def _read_nothing(split: str, data_dir: str | os.PathLike | None) -> tuple[np.ndarray, np.ndarray]:
    raise InputError(f"Data set '{NAME}' has no form of its own: name the task's data set by `.like(...)`.")


SOURCE = Source(name=NAME, splits=SPLITS, form=None, read=_read_nothing, imitate=_imitate)
