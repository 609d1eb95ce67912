"""ReaL: all that can be seen in each of the 50,000 validation images of ImageNet, of its 1,000 classes.

Beyer et al., "Are we done with ImageNet?", 2020 (https://arxiv.org/abs/2006.07159).
"""

import json
import os
from pathlib import Path

import numpy as np

from uncertainty_suite.datasets import folders
from uncertainty_suite.errors import InputError

_NUM_IMAGES, _NUM_CLASSES = 50_000, 1000
_FILE = "imagenet_real/real.json"


def imagenet_real(path: str | os.PathLike) -> np.ndarray:
    """Read the published `real.json`.

    Args:
        path: The file.

    Returns:
        uint8 `[50001, 1000]`: 1 for each class that is in an image, by the number in the name of its file, which begins
        with 1: `ILSVRC2012_val_00000001.JPEG`. Some images have none of the classes.

    Raises:
        InputError: If it is not that file.
    """
    try:
        classes = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"Cannot read the labels of ReaL from '{path}' ({error}).") from error
    sound = isinstance(classes, list) and all(
        isinstance(each, list) and all(type(k) is int and 0 <= k < _NUM_CLASSES for k in each) for each in classes
    )
    if not sound or len(classes) != _NUM_IMAGES:
        raise InputError(f"'{path}' is not ReaL: expected {_NUM_IMAGES} lists of classes from 0 to {_NUM_CLASSES - 1}.")
    labels = np.zeros((1 + _NUM_IMAGES, _NUM_CLASSES), np.uint8)
    for number, of_image in enumerate(classes, 1):
        labels[number, of_image] = 1
    return labels


def find(data_dir: str | os.PathLike | None) -> np.ndarray:
    """Read the labels from `imagenet_real/real.json` in the folder of prepared data sets or beside it.

    Raises:
        InputError: If they are not there, or not ReaL.
    """
    source = "real.json of https://github.com/google-research/reassessed-imagenet"
    return imagenet_real(folders.find("imagenet_real", _FILE, data_dir, source))
