"""Data sets: `get(name, split)` gives a builder, its `load(batch_size)` a `tf.data.Dataset`.

Importing this package, listing names and reading shapes import no TensorFlow and read no data.
"""

import os
from typing import Any

from uncertainty_suite.datasets import (
    adult,
    bandits,
    bike_sharing,
    chaosnli,
    corruptions,
    digits,
    forms,
    herg,
    large_images,
    noise,
    test_functions,
    tfds_images,
    tfds_texts,
    toy_regression,
    two_moons,
    uci,
)
from uncertainty_suite.datasets.arrays import from_npz
from uncertainty_suite.datasets.base import Dataset
from uncertainty_suite.datasets.cifar10h import cifar10h
from uncertainty_suite.datasets.image_folders import from_images
from uncertainty_suite.datasets.imagenet_real import imagenet_real
from uncertainty_suite.datasets.sources import Source, find, from_arrays, is_own, names, options, register
from uncertainty_suite.datasets.tables import from_csv, from_text_csv
from uncertainty_suite.datasets.texts import from_texts
from uncertainty_suite.datasets.tfds_builders import from_tfds

__all__ = [
    "Dataset",
    "Source",
    "cifar10h",
    "corruptions",
    "find",
    "folds",
    "forms",
    "from_arrays",
    "from_csv",
    "from_images",
    "from_npz",
    "from_text_csv",
    "from_texts",
    "from_tfds",
    "get",
    "imagenet_real",
    "is_own",
    "names",
    "options",
    "register",
]

for _source in (
    *(two_moons.SOURCE, digits.SOURCE, noise.SOURCE, toy_regression.SOURCE),
    *tfds_images.SOURCES,
    *large_images.SOURCES,
):
    register(_source)
for _pairs in chaosnli.SOURCES:
    register(_pairs)
for _made in (
    *uci.SOURCES,
    *(adult.SOURCE, bike_sharing.SOURCE, *herg.SOURCES),
    *tfds_texts.SOURCES,
    *bandits.SOURCES,
    *test_functions.SOURCES,
):
    register(_made)


def get(name: str, split: str = "train", data_dir: str | os.PathLike | None = None, **options: Any) -> Dataset:
    """Return one split of a data set; nothing is read before it is needed.

    What else can be asked for are views: `get("cifar10", "test").corrupted("fog", 3).subset(1000)`; see `Dataset`.

    Args:
        name: One of `names()`; options may stand in it: `"uci/yacht(fold=3)"`.
        split: `"train"`, `"validation"` (cut from train, see `Dataset.holding_out`), `"test"`, or one that the data set
            has besides (`two_moons`: `grid`, `ood`, `ood_validation`; `toy_regression`: `grid`, `gap`, `ood`; `digits`:
            `photos`, `noise`, `textures`; `noise`: `uniform`, `gaussian`, `constant`, `permuted`; `omniglot28`:
            `small1`, `small2`; `adult`: `female`, `under_25` and so on; `bike_sharing`: `2012`; `herg`:
            `new_scaffolds`; `imagenet`: `v2`, `a`, `r`, `c_fog_3` and so on; `diabetic_retinopathy/country`: `aptos`;
            `diabetic_retinopathy/severity`: `severe`; `cifar10_corrupted`: `gaussian_noise_3` and so on;
            `mnist_corrupted`: `zigzag` and so on).
            `"unknown"`: the examples of test that belong to none of the known `Dataset.classes`.
        data_dir: Folder of prepared TFDS data sets; without it the environment variable `UNCERTAINTY_SUITE_DATA_DIR`,
            then TFDS's own default. Not used by sets that need no files; where `uci/...` lie is said in `datasets.uci`.
        **options: Of the data set. `uci/...`: `fold`, the number of the published division into train and test.
            `cifar10`: `labels`, whose labels train has: `clean`, or `aggregate`, `random1`, `random2`, `random3` or
            `worst` of CIFAR-10N. `bandit/wheel`: `delta`, the radius beyond which it pays to explore.

    Returns:
        A `Dataset`.

    Raises:
        InputError: If a name is unknown or a value makes no sense.

    Example:
        >>> builder = get("two_moons", "train").holding_out(0.1)
        >>> for batch in builder.load(batch_size=100, training=True).take(builder.steps_per_epoch(100)):
        ...     batch["features"], batch["labels"], batch["element_id"]
        >>> svhn_for_cifar = get("svhn_cropped", "test").like("cifar10")
    """
    return Dataset(find(name, **options), split, data_dir)


def folds(name: str) -> int:
    """Return how many published divisions into train and test a data set has; the option `fold` of `get` names one."""
    return find(name).num_folds
