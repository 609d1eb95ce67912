"""What to ask next: acquisition functions, from every sample of a prediction, in NumPy.

Those of `LABELS` choose examples to be labelled, by the logarithms of their classes' probabilities. Those of `VALUES`
choose what to try next, by a `Belief` about what each candidate gives. Ties go to the first one, so a choice is a
function of the predictions and the generator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.likelihoods.base import Saved
from uncertainty_suite.metrics.samples import entropy_of
from uncertainty_suite.registry import Registry

LABELS: Registry[Callable[..., np.ndarray]] = Registry("acquisition function of labels")
VALUES: Registry[Callable[..., np.ndarray]] = Registry("acquisition function of values")

_CHUNK = 2**22  # numbers in memory at a time


# Labels: from log probabilities `[samples, n, classes]` to the `count` most wanted examples, int64 `[count]`.


@LABELS.register
def random(log_probs: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Choose examples at random: what all others have to beat."""
    return rng.permutation(log_probs.shape[1])[:count]


@LABELS.register
def entropy(log_probs: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Choose by the entropy of the mean prediction, highest first."""
    return _highest(entropy_of(np.exp(log_probs).mean(axis=0)), count)


@LABELS.register
def margin(log_probs: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Choose by the difference between the two largest mean probabilities, lowest first (Scheffer et al. 2001)."""
    second, first = np.sort(np.exp(log_probs).mean(axis=0), axis=-1)[:, -2:].T
    return _highest(second - first, count)


@LABELS.register
def bald(log_probs: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Choose by the mutual information of label and sample, highest first (Houlsby et al. 2011, arXiv:1112.5745)."""
    return _highest(mutual_information(log_probs), count)


@LABELS.register
def batch_bald(
    log_probs: np.ndarray, count: int, rng: np.random.Generator, num_configurations: int = 2000
) -> np.ndarray:
    """Choose the batch whose labels together have the most mutual information with the sample, greedily.

    Kirsch, van Amersfoort and Gal 2019 (arXiv:1906.08158): beside each other, examples that tell the same are worth
    less. The joint entropy of the labels is a sum over all of their combinations as long as these are at most
    `num_configurations`, and from then on a mean over as many, drawn from the mixture over samples (their equation 14).

    It needs samples that are one function for all examples: of an ensemble, or of MC dropout with
    `--config.mc_dropout.shared_masks`. With masks of its own for each example it is told that labels are independent.
    """
    _require_samples("batch_bald", log_probs)
    probs = np.exp(log_probs).astype(np.float64)  # [samples, n, classes]
    num_samples, _, num_classes = probs.shape
    conditional = entropy_of(probs).mean(axis=0)  # [n]
    joint = np.ones((num_samples, 1))  # the probability of each combination of the labels chosen so far
    weights = np.ones(1)  # by which a combination counts: 1 in a sum, in a mean one over its probability of being drawn
    exact = True
    chosen: list[int] = []
    for _ in range(count):
        scores = _joint_entropies(probs, joint, weights) - conditional  # what the others add is the same for all
        scores[chosen] = -np.inf
        best = int(scores.argmax())
        chosen.append(best)
        if exact and joint.shape[1] * num_classes <= num_configurations:
            joint = (joint[:, :, np.newaxis] * probs[:, best, np.newaxis]).reshape(num_samples, -1)
            weights = np.ones(joint.shape[1])
        else:
            exact = False
            joint = _drawn(probs[:, chosen], num_configurations, rng)
            weights = 1 / (joint.mean(axis=0) * num_configurations)
    return np.array(chosen)


def mutual_information(log_probs: np.ndarray) -> np.ndarray:
    """Return the mutual information of label and sample in nats, `[n]`: entropy of the mean less mean entropy.

    Raises:
        InputError: There is one sample, which has nothing to disagree with.
    """
    _require_samples("bald", log_probs)
    probs = np.exp(log_probs)
    return entropy_of(probs.mean(axis=0)) - entropy_of(probs).mean(axis=0)


def _joint_entropies(probs: np.ndarray, joint: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the entropy `[n]` of the labels chosen so far together with that of each example."""
    num_samples, num_examples, num_classes = probs.shape
    entropies = np.empty(num_examples)
    step = max(1, _CHUNK // (num_classes * joint.shape[1]))
    for start in range(0, num_examples, step):
        part = probs[:, start : start + step]
        both = part.reshape(num_samples, -1).T @ joint / num_samples  # [n * classes, combinations]
        terms = both * np.log(both, out=np.zeros_like(both), where=both > 0)
        entropies[start : start + step] = -(terms @ weights).reshape(-1, num_classes).sum(axis=1)
    return entropies


def _drawn(probs: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw combinations of labels from the mixture; return each sample's probability of each, `[samples, count]`.

    Args:
        probs: Of the examples chosen, `[samples, chosen, classes]`.
        count: How many combinations.
        rng: The generator.
    """
    sources = np.arange(count) % len(probs)  # equally many of each sample, which the mixture weighs equally
    limits = probs.cumsum(axis=-1)[sources]  # [count, chosen, classes]
    draws = rng.random((count, probs.shape[1], 1)) * limits[..., -1:]
    labels = (draws > limits).sum(axis=-1)  # [count, chosen]
    joint = np.ones((len(probs), count))
    for place in range(probs.shape[1]):
        joint *= probs[:, place, labels[:, place]]
    return joint


def _require_samples(name: str, log_probs: np.ndarray) -> None:
    if len(log_probs) < 2:
        raise InputError(
            f"The acquisition function '{name}' is about how samples disagree, and predictions have one. Take a method "
            "with several, or 'entropy' or 'margin'."
        )


# Values: from a belief about candidates to scores, of which the highest is tried next.


class Belief(NamedTuple):
    """What a method thinks that candidates give; more is better. Noise is no part of it.

    Attributes:
        mean: `[n]`.
        stddev: How uncertain the mean is, `[n]`.
        samples: What each sample thinks, `[samples, n]`; None where the method gives the mean and its spread alone.
    """

    mean: np.ndarray
    stddev: np.ndarray
    samples: np.ndarray | None = None

    @classmethod
    def of(cls, saved: Saved) -> Belief:
        """Return that of a Gaussian likelihood's predictions, as a run saves them.

        The standard deviation is what the method itself says is epistemic (`uncertainty/epistemic_stddev`), or that of
        its samples' means. With one sample and nothing said there is none: zero.
        """
        means = saved["mean"]
        several = means if len(means) > 1 else None
        stddev = saved.get("uncertainty/epistemic_stddev", means.std(axis=0))
        return cls(means.mean(axis=0), np.asarray(stddev, np.float64), several)

    def part(self, candidates: slice) -> Belief:
        """Return that of some candidates."""
        samples = None if self.samples is None else self.samples[:, candidates]
        return Belief(self.mean[candidates], self.stddev[candidates], samples)


@VALUES.register
def uniform(belief: Belief, best: float, rng: np.random.Generator) -> np.ndarray:
    """Score at random, whatever is believed."""
    return rng.random(len(belief.mean))


@VALUES.register
def greedy(belief: Belief, best: float, rng: np.random.Generator) -> np.ndarray:
    """Score by the mean: what seems best now."""
    return belief.mean


@VALUES.register
def ucb(belief: Belief, best: float, rng: np.random.Generator, stddevs: float = 1.0) -> np.ndarray:
    """Score by an upper confidence bound, so many standard deviations above the mean (Auer 2002)."""
    _require_spread("ucb", belief)
    return belief.mean + stddevs * belief.stddev


@VALUES.register
def thompson(belief: Belief, best: float, rng: np.random.Generator) -> np.ndarray:
    """Score by one sample, drawn anew at each decision (Thompson 1933; Riquelme et al. 2018, arXiv:1802.09127).

    Where a method gives no samples, each candidate's value is drawn from a normal distribution of its own.
    """
    _require_spread("thompson", belief)
    if belief.samples is None:
        return rng.normal(belief.mean, belief.stddev)
    return belief.samples[rng.integers(len(belief.samples))]


@VALUES.register
def expected_improvement(belief: Belief, best: float, rng: np.random.Generator) -> np.ndarray:
    """Score by the mean of what exceeds the best so far, E max(f - best, 0) of a normal f (Jones et al. 1998)."""
    from scipy.stats import norm  # a second or two to import

    _require_spread("expected_improvement", belief)
    gain = belief.mean - best
    z = np.divide(gain, belief.stddev, out=np.zeros_like(gain), where=belief.stddev > 0)
    uncertain = gain * norm.cdf(z) + belief.stddev * norm.pdf(z)
    return np.where(belief.stddev > 0, uncertain, np.maximum(gain, 0.0))


def _require_spread(name: str, belief: Belief) -> None:
    if not belief.stddev.any():
        raise InputError(
            f"The acquisition function '{name}' needs to know how uncertain a mean is, and predictions have one sample "
            "and no 'epistemic_stddev'. Take a method with several samples, or 'greedy'."
        )


def _highest(scores: np.ndarray, count: int) -> np.ndarray:
    return np.argsort(-scores, kind="stable")[:count]
