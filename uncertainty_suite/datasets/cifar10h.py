"""CIFAR-10H: how about 50 people each labelled the 10,000 test images of CIFAR-10.

Peterson et al., "Human uncertainty makes classification more robust", 2019 (https://arxiv.org/abs/1908.07086).
"""

import os

import numpy as np

from uncertainty_suite.datasets.folders import DATA_DIR_VARIABLE, looked, places
from uncertainty_suite.errors import InputError

_SHAPE = (10_000, 10)
_FILE = "cifar10h/cifar10h-counts.npy"


def cifar10h(path: str | os.PathLike) -> np.ndarray:
    """Read the published `cifar10h-counts.npy`.

    Args:
        path: The file.

    Returns:
        int64 `[10000, 10]`: how many people gave each image each label. Rows are in the original order of CIFAR-10's
        test images, which is not the order in which TFDS reads them: `human_labels` of a `Dataset` has them in that of
        its examples.

    Raises:
        InputError: If it is not that file.

    Example:
        >>> counts = datasets.cifar10h("cifar10h-counts.npy")
    """
    try:
        counts = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"Cannot read the counts of CIFAR-10H from '{path}' ({error}).") from error
    if getattr(counts, "shape", None) != _SHAPE or counts.dtype.kind not in "iu":
        received = f"{counts.dtype} {counts.shape}" if isinstance(counts, np.ndarray) else "several arrays"
        raise InputError(f"'{path}' is not CIFAR-10H: expected integers of shape {_SHAPE}, received {received}.")
    if counts.min() < 0 or counts.sum(axis=1).min() == 0:
        raise InputError(f"'{path}' is not CIFAR-10H: it has negative counts or images that nobody labelled.")
    return counts.astype(np.int64)


def find(data_dir: str | os.PathLike | None) -> np.ndarray:
    """Read the counts from `cifar10h/cifar10h-counts.npy` in the folder of prepared data sets or beside it.

    Raises:
        InputError: If they are not there, or not CIFAR-10H.
    """
    tried = places(_FILE, data_dir)
    path = next((place for place in tried if place.is_file()), None)
    if path is None:
        raise InputError(
            f"The counts of CIFAR-10H are not there: {looked(tried)}. Name by --data_dir or {DATA_DIR_VARIABLE} a "
            f"folder that holds {_FILE}, from https://github.com/jcpeterson/cifar-10h."
        )
    return cifar10h(path)
