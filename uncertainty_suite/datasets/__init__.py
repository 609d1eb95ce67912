"""Data sets: `get(name, split)` gives a builder, its `load(batch_size)` a `tf.data.Dataset`.

Importing this package, listing names and reading shapes import no TensorFlow and read no data.
"""

import os

from uncertainty_suite.datasets import digits, tfds_images, two_moons
from uncertainty_suite.datasets.base import Dataset, Source
from uncertainty_suite.errors import InputError, unknown_name

__all__ = ["Dataset", "Source", "get", "names"]

_SOURCES: dict[str, Source] = {
    source.name: source for source in [two_moons.SOURCE, digits.SOURCE, *tfds_images.SOURCES]
}


def names() -> list[str]:
    """Return the names of all data sets, sorted."""
    return sorted(_SOURCES)


def get(
    name: str,
    split: str = "train",
    data_dir: str | os.PathLike | None = None,
    validation_percent: float = 0.0,
    seed: int = 0,
    like: str | None = None,
    augment: bool | None = None,
) -> Dataset:
    """Return one split of a data set; nothing is read before it is needed.

    Args:
        name: One of `names()`.
        split: `"train"`, `"validation"` (cut from train), `"test"`, or one that the data set has besides
            (`two_moons`: `grid`, `ood`; `digits`: `photos`, `noise`).
        data_dir: Folder of prepared TFDS data sets; without it the environment variable `UNCERTAINTY_SUITE_DATA_DIR`,
            then TFDS's own default. Not used by sets that need no files.
        validation_percent: Fraction of train, in [0, 1), that is kept out of train and forms `"validation"`. Which
            examples these are depends on nothing else, so runs of different seeds can be compared example by example.
        seed: Decides the order of training and the augmentation; never which examples there are.
        like: Name of the task's data set whose input shape and normalisation to imitate. An out-of-distribution set
            must reach the model in the form that the model was trained on, or the form gives it away.
        augment: Whether training batches are augmented. None: yes for `cifar10` and `cifar100`, no for the others.

    Returns:
        A `Dataset`.

    Raises:
        InputError: If a name is unknown or a value makes no sense.

    Example:
        >>> builder = get("two_moons", split="train", validation_percent=0.1)
        >>> for batch in builder.load(batch_size=100, training=True).take(builder.steps_per_epoch(100)):
        ...     batch["features"], batch["labels"], batch["element_id"]
        >>> svhn_for_cifar = get("svhn_cropped", split="test", like="cifar10")
    """
    for known in (name, like):
        if known is not None and known not in _SOURCES:
            raise unknown_name("data set", known, names())
    source = _SOURCES[name]
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
    )
