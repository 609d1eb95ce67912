"""CIFAR-10H: how about 50 people each labelled the 10,000 test images of CIFAR-10.

Peterson et al., "Human uncertainty makes classification more robust", 2019 (https://arxiv.org/abs/1908.07086).
"""

import os

import numpy as np

from uncertainty_suite.errors import InputError

_SHAPE = (10_000, 10)


def cifar10h(path: str | os.PathLike) -> np.ndarray:
    """Read the published `cifar10h-counts.npy`.

    Args:
        path: The file.

    Returns:
        int64 `[10000, 10]`: how many people gave each image each label. Rows are in the original order of CIFAR-10's
        test images, which is not the order in which TFDS reads them: `original_ids` of a `Dataset` says which is which.

    Raises:
        InputError: If it is not that file.

    Example:
        >>> test = datasets.get("cifar10", split="test")
        >>> counts = datasets.cifar10h("cifar10h-counts.npy")[test.original_ids]  # [examples of test, 10]
        >>> label_distributions = counts / counts.sum(axis=1, keepdims=True)
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
