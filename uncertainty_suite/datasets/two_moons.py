"""Two moons: the two-dimensional toy problem on which a model's uncertainty can be seen.

As in the TensorFlow tutorial "Uncertainty-aware deep learning with SNGP"
(https://www.tensorflow.org/tutorials/understanding/sngp), after Liu et al., "Simple and principled uncertainty
estimation with deterministic deep learning via distance awareness", 2020 (https://arxiv.org/abs/2006.10108).

Splits: `train` and `test`, 1,000 points each; `grid`, 100 x 100 points for the surface (x runs fastest); `ood`, 500
points far from both moons, which belong to neither class, and `ood_validation`, 500 more in the opposite corner of the
surface, for what is tuned on OOD examples. The labels of the last three are -1. Points are fixed: the benchmark's seeds
share them, so that results can be paired.
"""

import numpy as np

from uncertainty_suite.datasets.forms import Vectors
from uncertainty_suite.datasets.sources import Source

X_RANGE = (-3.5, 3.5)
Y_RANGE = (-2.5, 2.5)
_RANDOM_STATES = {"train": 0, "test": 1, "ood": 2, "ood_validation": 3}
_OOD_CENTERS = {"ood": (2.5, -1.75), "ood_validation": (-2.5, 1.75)}


def _moons(random_state: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import make_moons

    points, labels = make_moons(n_samples=2 * 500, noise=0.1, random_state=random_state)
    points[labels == 0] += [-0.1, 0.2]
    points[labels == 1] += [0.1, -0.2]
    return points, labels


def _read(split: str, data_dir: object) -> tuple[np.ndarray, np.ndarray]:
    del data_dir  # generated
    if split == "grid":
        x, y = np.meshgrid(np.linspace(*X_RANGE, 100), np.linspace(*Y_RANGE, 100))
        points = np.stack([x.ravel(), y.ravel()], axis=-1)
        labels = np.full(len(points), -1)
    elif split in _OOD_CENTERS:
        # 0.01 is the variance: np.random.multivariate_normal(cov=np.diag([0.01, 0.01])) in the tutorial.
        rng = np.random.default_rng(_RANDOM_STATES[split])
        points = rng.normal(_OOD_CENTERS[split], np.sqrt(0.01), size=(500, 2))
        labels = np.full(len(points), -1)
    else:
        points, labels = _moons(_RANDOM_STATES[split])
    return points.astype(np.float32), labels


SOURCE = Source(
    name="two_moons",
    splits=("train", "test", "grid", *_OOD_CENTERS),
    num_classes=2,
    form=Vectors(2),
    read=_read,
)
