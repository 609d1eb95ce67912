"""Contextual bandits as data sets: what every arm would give in every context, of which decisions reveal one each.

A row is a pair of context and arm, its features the context and which arm it is (one of `num_arms` numbers is 1), its
label the reward. Row `context * num_arms + arm` has that id. Splits: `train`, the contexts that come one after the
other, and `test`, others, on which a network's rewards can be measured. All is fixed, whatever the seed.

- `bandit/wheel`: Riquelme, Tucker and Snoek, "Deep Bayesian bandits showdown", 2018 (https://arxiv.org/abs/1802.09127).
  2,000 and 500 contexts, uniform in the unit disk; five arms. The first gives 1.2 everywhere. The others give 1, but
  beyond the radius `delta` the arm of the quadrant gives 50. All with noise of standard deviation 0.01. The larger
  `delta`, the more a method has to explore to find these.
- `bandit/digits`: an image of `digits` and ten arms; the arm that is the digit gives 1, all others 0. 1,297 and 500
  contexts. So a classification becomes a bandit: what is not tried is not known.
"""

import numpy as np

from uncertainty_suite.datasets import digits
from uncertainty_suite.datasets.forms import Vectors
from uncertainty_suite.datasets.sources import GAUSSIAN, Source
from uncertainty_suite.errors import InputError

_NUM_CONTEXTS = {"train": 2000, "test": 500}
_RANDOM_STATES = {"train": 0, "test": 1}
_SAFE, _SMALL, _LARGE, _STDDEV = 1.2, 1.0, 50.0, 0.01


def _wheel(delta: float = 0.5) -> Source:
    """Return the wheel bandit.

    Args:
        delta: The radius beyond which an arm gives a large reward, in (0, 1).

    Raises:
        InputError: If it is out of that range.
    """
    if not 0 < delta < 1:
        raise InputError(f"delta of data set 'bandit/wheel' is a radius in (0, 1), received {delta}.")

    def read(split: str, data_dir: object) -> tuple[np.ndarray, np.ndarray]:
        del data_dir  # generated
        rng = np.random.default_rng(_RANDOM_STATES[split])
        size = _NUM_CONTEXTS[split]
        radius, angle = np.sqrt(rng.random(size)), rng.uniform(0, 2 * np.pi, size)
        contexts = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
        rewards = np.full((size, 5), _SMALL)
        rewards[:, 0] = _SAFE
        arm_of_quadrant = 1 + (contexts < 0) @ [1, 2]
        rewards[np.arange(size), arm_of_quadrant] = np.where(radius > delta, _LARGE, _SMALL)
        return rows(contexts, rewards + _STDDEV * rng.standard_normal(rewards.shape))

    # Contexts have a standard deviation of 0.5, and are left as they are.
    form = Vectors(2 + 5)
    return Source("bandit/wheel", ("train", "test"), form, read, likelihood=GAUSSIAN, num_arms=5)


_wheel.__name__ = "bandit/wheel"  # by which it is known


def _read_digits(split: str, data_dir: object) -> tuple[np.ndarray, np.ndarray]:
    del data_dir  # scikit-learn ships it
    images, labels = digits.SOURCE.read(split, None)
    return rows(images.reshape(len(images), -1) / digits.SOURCE.maximum, np.eye(10)[labels])


def rows(contexts: np.ndarray, rewards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return features and labels of all pairs of context and arm, an arm after the other.

    Args:
        contexts: `[contexts, size]`.
        rewards: `[contexts, arms]`.
    """
    num_contexts, num_arms = rewards.shape
    arms = np.tile(np.eye(num_arms), (num_contexts, 1))
    features = np.concatenate([np.repeat(contexts, num_arms, axis=0), arms], axis=1)
    return features.astype(np.float32), rewards.ravel()


_DIGITS = Source("bandit/digits", ("train", "test"), Vectors(64 + 10), _read_digits, likelihood=GAUSSIAN, num_arms=10)

SOURCES = (_wheel, _DIGITS)
