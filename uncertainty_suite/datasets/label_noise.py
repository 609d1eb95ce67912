"""Label noise: wrong labels of training examples, drawn or given by people.

Symmetric noise as in Patrini et al., "Making deep neural networks robust to label noise", 2017
(https://arxiv.org/abs/1609.03683), and CIFAR-10N, Wei et al., "Learning with noisy labels revisited: a study using
real-world human annotations", 2022 (https://arxiv.org/abs/2110.12088).
"""

from __future__ import annotations

import os

import numpy as np

from uncertainty_suite.datasets.folders import DATA_DIR_VARIABLE, looked, places
from uncertainty_suite.datasets.stored import Stored
from uncertainty_suite.errors import InputError

SEED = 0  # the benchmark's: all runs see the same wrong labels, so that they can be paired
_STREAM = 1  # the validation cut is another stream, and which labels are wrong has nothing to do with it

# The names of the paper, and those of the published file.
CIFAR10N = {
    "aggregate": "aggre_label",
    "random1": "random_label1",
    "random2": "random_label2",
    "random3": "random_label3",
    "worst": "worse_label",
}
_CIFAR10N_FILE = "labels/cifar10n_train.npz"


def symmetric(
    labels: np.ndarray, rows: np.ndarray, num_stored: int, num_classes: int, fraction: float, seed: int
) -> np.ndarray:
    """Return labels a fraction of which is replaced by a uniformly drawn other class.

    Args:
        labels: int32 `[n]`; those that are -1 stay, and do not count.
        rows: int64 `[n]`: each example's place in the stored split, which decides with the seed whether and by which
            class its label is replaced. A larger fraction replaces the same labels in the same way, and more.
        num_stored: Size of the stored split.
        num_classes: Labels are in [0, num_classes).
        fraction: Of the labels, in (0, 1): exactly so many are replaced, but for rounding.
        seed: Of the noise.

    Raises:
        InputError: If there is no other class, or the fraction is so small that no label is replaced.
    """
    if num_classes < 2:
        raise InputError(f"label_noise {fraction} needs at least 2 classes, and there is {num_classes}.")
    rng = np.random.default_rng([_STREAM, seed])
    order, shifts = rng.permutation(num_stored), rng.integers(1, num_classes, num_stored, dtype=np.int32)
    labelled = np.flatnonzero(labels >= 0)
    num_replaced = round(len(labelled) * fraction)
    if not num_replaced:
        raise InputError(f"label_noise {fraction} replaces none of {len(labelled)} labels; set it to 0, or higher.")
    replaced = labelled[np.argsort(order[rows[labelled]])[:num_replaced]]
    noisy = labels.copy()
    noisy[replaced] = (labels[replaced] + shifts[rows[replaced]]) % num_classes
    return noisy


def cifar10n(kind: str, stored: Stored, data_dir: str | os.PathLike | None) -> np.ndarray:
    """Return what people on Mechanical Turk took CIFAR-10's training images for.

    Args:
        kind: One of `CIFAR10N`.
        stored: CIFAR-10's training split.
        data_dir: Where prepared data sets lie; the labels are in `labels/cifar10n_train.npz` there or beside it.

    Returns:
        int32 `[50000]`, in the order of the stored split.

    Raises:
        InputError: If the file is not there, or not that file, or the stored images have no numbers to join it by.
    """
    tried = places(_CIFAR10N_FILE, data_dir)
    path = next((place for place in tried if place.is_file()), None)
    if path is None:
        raise InputError(
            f"The labels of CIFAR-10N are not there: {looked(tried)}. Name by --data_dir or {DATA_DIR_VARIABLE} a "
            f"folder that holds {_CIFAR10N_FILE}, which has the arrays of CIFAR-10_human.pt of "
            "https://github.com/UCSC-REAL/cifar-10-100n, or set labels to 'clean'."
        )
    try:
        with np.load(path) as content:
            clean, labels = content["clean_label"].astype(np.int32), content[CIFAR10N[kind]].astype(np.int32)
    except Exception as error:  # zip files and arrays raise anything
        raise InputError(f"Cannot read the labels of CIFAR-10N from '{path}' ({error}).") from error
    if stored.original_ids is None:
        raise InputError(
            "CIFAR-10N needs the original numbers of CIFAR-10's images, which this copy does not keep: prepare data "
            "set 'cifar10' in version 3.0.2 of TFDS, or set labels to 'clean'."
        )
    valid = clean.shape == labels.shape == (50_000,) and labels.min() >= 0 and labels.max() < 10
    if not valid or not np.array_equal(clean[stored.original_ids], stored.labels):
        raise InputError(f"'{path}' is not CIFAR-10N: its clean labels are not those of the training images.")
    return labels[stored.original_ids]
