"""Toy regression: a curve of one input with noise that depends on it, and a gap in the training inputs.

The curve and the noise are those of Detlefsen, Jørgensen and Hauberg, "Reliable training and estimation of variance
networks", 2019 (https://arxiv.org/abs/1906.03260):

    y = x sin(x) + s(x) e,  e ~ N(0, 1),  s(x) = 0.3 sqrt(1 + x^2)

(they write the noise as 0.3 e1 + 0.3 x e2). The gap is ours: a model that knows what it does not know is uncertain in
it. Splits:

- `train`, 800 points, and `test`, 1,000: x uniform in [0, 4] and [6, 10].
- `gap`, 500 points: x uniform in (4, 6), between the training inputs.
- `ood`, 500 points: x uniform in (-4, 0) and (10, 14), outside of them. In `gap` and `ood` targets follow the same
  curve and noise: only the inputs are out of distribution.
- `grid`, 401 points: x from -5 to 15 in steps of 0.05, for figures; targets are the curve without noise, so metrics of
  this split mean nothing: predict only.

All is fixed, whatever the seed. Inputs are delivered as (x - 5) / sqrt(31 / 3), mean and standard deviation of the
distribution of training inputs; targets are in their own units.
"""

import math

import numpy as np

from uncertainty_suite.datasets.forms import Vectors
from uncertainty_suite.datasets.sources import GAUSSIAN, Source

GRID = (-5.0, 15.0)
_INTERVALS = {
    "train": ((0.0, 4.0), (6.0, 10.0)),
    "test": ((0.0, 4.0), (6.0, 10.0)),
    "gap": ((4.0, 6.0),),
    "ood": ((-4.0, 0.0), (10.0, 14.0)),
}
_NUM_EXAMPLES = {"train": 800, "test": 1000, "gap": 500, "ood": 500}
_RANDOM_STATES = {"train": 0, "test": 1, "gap": 2, "ood": 3}


def curve(x: np.ndarray) -> np.ndarray:
    """Return the mean of the target, x sin(x)."""
    return x * np.sin(x)


def noise_stddev(x: np.ndarray) -> np.ndarray:
    """Return the standard deviation of the target, 0.3 sqrt(1 + x^2)."""
    return 0.3 * np.sqrt(1 + x**2)


def _read(split: str, data_dir: object) -> tuple[np.ndarray, np.ndarray]:
    del data_dir  # generated
    if split == "grid":
        x = np.linspace(*GRID, 401)
        return x[:, np.newaxis], curve(x)
    rng = np.random.default_rng(_RANDOM_STATES[split])
    lows, highs = np.transpose(_INTERVALS[split])
    interval = np.arange(_NUM_EXAMPLES[split]) % len(lows)  # equally many in each
    x = rng.uniform(lows[interval], highs[interval])
    return x[:, np.newaxis], curve(x) + noise_stddev(x) * rng.standard_normal(len(x))


SOURCE = Source(
    name="toy_regression",
    splits=("train", "test", "gap", "ood", "grid"),
    form=Vectors(1, means=(5.0,), stddevs=(math.sqrt(31 / 3),)),
    likelihood=GAUSSIAN,
    read=_read,
)
