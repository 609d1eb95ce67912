"""Data sets: `get(name, split)` gives a builder, its `load(batch_size)` a `tf.data.Dataset`.

Importing this package, listing names and reading shapes import no TensorFlow and read no data.
"""

import os
from collections.abc import Sequence

from uncertainty_suite.datasets import corruptions, digits, noise, tfds_images, two_moons
from uncertainty_suite.datasets.base import Dataset, Source
from uncertainty_suite.datasets.cifar10h import cifar10h
from uncertainty_suite.errors import InputError, unknown_name

__all__ = ["Dataset", "Source", "cifar10h", "corruptions", "get", "names"]

_SOURCES: dict[str, Source] = {
    source.name: source for source in [two_moons.SOURCE, digits.SOURCE, *tfds_images.SOURCES]
}


def names() -> list[str]:
    """Return the names of all data sets, sorted."""
    return sorted([*_SOURCES, noise.NAME])


def get(
    name: str,
    split: str = "train",
    data_dir: str | os.PathLike | None = None,
    validation_percent: float = 0.0,
    seed: int = 0,
    like: str | None = None,
    augment: bool | None = None,
    corruption: str | None = None,
    severity: int = 0,
    corruption_seed: int = corruptions.SEED,
    classes: Sequence[int] | None = None,
) -> Dataset:
    """Return one split of a data set; nothing is read before it is needed.

    Args:
        name: One of `names()`.
        split: `"train"`, `"validation"` (cut from train), `"test"`, or one that the data set has besides
            (`two_moons`: `grid`, `ood`; `digits`: `photos`, `noise`; `noise`: `uniform`, `gaussian`, `constant`,
            `permuted`; `cifar10_corrupted`: `gaussian_noise_3` and so on; `mnist_corrupted`: `zigzag` and so on).
            `"unknown"`: the examples of test that belong to none of `classes`.
        data_dir: Folder of prepared TFDS data sets; without it the environment variable `UNCERTAINTY_SUITE_DATA_DIR`,
            then TFDS's own default. Not used by sets that need no files.
        validation_percent: Fraction of train, in [0, 1), that is kept out of train and forms `"validation"`. Which
            examples these are depends on nothing else, so runs of different seeds can be compared example by example.
        seed: Decides the order of training and the augmentation; never which examples there are.
        like: Name of the task's data set whose input shape and normalisation to imitate. An out-of-distribution set
            must reach the model in the form that the model was trained on, or the form gives it away. `noise` has no
            form of its own and needs it.
        augment: Whether training batches are augmented. None: yes for `cifar10` and `cifar100`, no for the others.
        corruption: One of `corruptions.names()`: corrupt every image, at the task's size and before normalisation.
        severity: Severity of the corruption, 1 to 5; 0 without one.
        corruption_seed: Decides, with an image's element id, what is random in its corruption. A constant of the
            benchmark: only if runs see the same corrupted images can they be compared example by example.
        classes: For open-set recognition: keep only the examples of these classes, and number them anew in this order.
            Examples of all other classes are left out, or with label -1 are the split `"unknown"`. Element ids stay.

    Returns:
        A `Dataset`.

    Raises:
        InputError: If a name is unknown or a value makes no sense.

    Example:
        >>> builder = get("two_moons", split="train", validation_percent=0.1)
        >>> for batch in builder.load(batch_size=100, training=True).take(builder.steps_per_epoch(100)):
        ...     batch["features"], batch["labels"], batch["element_id"]
        >>> svhn_for_cifar = get("svhn_cropped", split="test", like="cifar10")
        >>> foggy = get("cifar10", split="test", corruption="fog", severity=3)
        >>> permuted = get("noise", split="permuted", like="cifar10")
        >>> known, unknown = (get("mnist", split=split, classes=(0, 1, 2, 3)) for split in ("test", "unknown"))
    """
    for known in (name, like):
        if known is not None and known not in names():
            raise unknown_name("data set", known, names())
    if noise.NAME in (like, name if like is None else None):
        raise InputError(f"Data set '{noise.NAME}' has no form of its own: name by `like` the task's data set.")
    source = noise.source(_SOURCES[like]) if name == noise.NAME else _SOURCES[name]
    preprocessing = _SOURCES[like or name].preprocessing
    own, wanted = source.preprocessing.input_shape, preprocessing.input_shape
    if own != wanted and not len(own) == len(wanted) == 3:
        raise InputError(f"Data set '{name}' of shape {own} cannot be made like '{like}' of shape {wanted}.")
    return Dataset(
        source,
        split,
        preprocessing=preprocessing,
        data_dir=data_dir,
        validation_percent=validation_percent,
        seed=seed,
        augment=augment,
        corruption=corruption,
        severity=severity,
        corruption_seed=corruption_seed,
        classes=classes,
    )
