"""Standard test functions of optimisation as data sets: candidates, and what each of them would give.

The candidates of `train` are the first 1,024 points of an unscrambled Sobol' sequence in the function's domain, those
of `test` the 512 after them, on which a network can be measured. Labels are the function with the sign turned, so that
the largest is the best; there is no noise. Features are delivered as coordinates in [-1, 1].

- `optimization/branin`: two inputs, (x, y) in [-5, 10] x [0, 15], with three equal maxima of -0.397887 (Branin 1972;
  constants of Picheny, Wagner and Ginsbourger 2013, https://doi.org/10.1007/s00158-013-0919-4). The best candidate has
  -0.476387.
- `optimization/hartmann6`: six inputs in [0, 1], six local maxima, the highest 3.32237 (Hartman 1973; same constants).
  The best candidate has 2.46374.
"""

from collections.abc import Callable

import numpy as np

from uncertainty_suite.datasets.forms import Vectors
from uncertainty_suite.datasets.sources import GAUSSIAN, Source

_PLACES = {"train": slice(0, 1024), "test": slice(1024, 1536)}

_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
_A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def branin(points: np.ndarray) -> np.ndarray:
    """Return the Branin function of points `[n, 2]`, which is to be minimised."""
    x, y = points.T
    parabola = y - 5.1 / (4 * np.pi**2) * x**2 + 5 / np.pi * x - 6
    return parabola**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x) + 10


def hartmann6(points: np.ndarray) -> np.ndarray:
    """Return the six-dimensional Hartmann function of points `[n, 6]`, which is to be minimised."""
    distances = (_A * (points[:, np.newaxis] - _P) ** 2).sum(axis=-1)
    return -np.exp(-distances) @ _ALPHA


def _source(function: Callable[[np.ndarray], np.ndarray], lows: list[float], highs: list[float]) -> Source:
    low, high = np.array(lows), np.array(highs)

    def read(split: str, data_dir: object) -> tuple[np.ndarray, np.ndarray]:
        del data_dir  # generated
        from scipy.stats import qmc

        points = low + (high - low) * qmc.Sobol(len(low), scramble=False).random(2048)[_PLACES[split]]
        return points.astype(np.float32), -function(points)

    form = Vectors(len(low), means=tuple((low + high) / 2), stddevs=tuple((high - low) / 2))
    return Source(f"optimization/{function.__name__}", tuple(_PLACES), form, read, likelihood=GAUSSIAN)


SOURCES = (_source(branin, [-5, 0], [10, 15]), _source(hartmann6, [0] * 6, [1] * 6))
