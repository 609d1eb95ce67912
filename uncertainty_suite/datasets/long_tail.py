"""Long tail: training classes whose sizes fall exponentially."""

import numpy as np

from uncertainty_suite.errors import InputError


def choose(labels: np.ndarray, order: np.ndarray, num_classes: int, ratio: float) -> np.ndarray:
    """Return which examples an exponential long tail keeps: class k has n_max ratio^(-k / (K - 1)) of them.

    Cui et al., "Class-balanced loss based on effective number of samples", 2019 (https://arxiv.org/abs/1901.05555), and
    Cao et al., "Learning imbalanced datasets with label-distribution-aware margin loss", 2019
    (https://arxiv.org/abs/1906.07413). n_max is the largest number for which every class has examples enough: the size
    of a class where all are of one size.

    Args:
        labels: int `[n]`; examples of label -1 are all kept.
        order: int `[n]`: examples of a class are kept by ascending order.
        num_classes: K; labels are in [0, K).
        ratio: Of the largest to the smallest class, above 1.

    Returns:
        bool `[n]`.

    Raises:
        InputError: If there is one class only, or a class would keep no example.

    Example:
        >>> np.bincount(labels[choose(labels, order, 10, 100.0)])  # of CIFAR-10, "CIFAR-10-LT"
        array([5000, 2997, 1796, 1077,  645,  387,  232,  139,   83,   50])
    """
    if num_classes < 2:
        raise InputError(f"imbalance {ratio:g} needs at least 2 classes, and there is {num_classes}.")
    shrinkage = float(ratio) ** (np.arange(num_classes) / (num_classes - 1))
    sizes = np.bincount(labels[labels >= 0], minlength=num_classes)
    wanted = np.floor((sizes * shrinkage).min() / shrinkage + 1e-9).astype(int)  # the papers round down, too
    if not wanted.all():
        raise InputError(
            f"imbalance {ratio:g} leaves class {int(wanted.argmin())} without examples: the classes have "
            f"{sizes.min()} to {sizes.max()}. Set it lower."
        )
    kept = labels < 0
    for label, size in enumerate(wanted):
        members = np.flatnonzero(labels == label)
        kept[members[np.argsort(order[members])[:size]]] = True
    return kept
