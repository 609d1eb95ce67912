"""OOD scores from class probabilities, and from whatever uncertainty the method itself saved."""

import numpy as np

from uncertainty_suite import metrics
from uncertainty_suite.errors import InputError
from uncertainty_suite.likelihoods.categorical import log_probability_of_others
from uncertainty_suite.metrics.base import to_finite
from uncertainty_suite.ood_scores.base import REGISTRY, Saved, Score


def _log_probs_of(saved: Saved) -> np.ndarray:
    """Return checked log-probabilities of two classes or more, float64 `[n, classes]`."""
    log_probs = to_finite(saved["log_probs"], "Log-probabilities", (2,), "[n, classes]")
    if log_probs.shape[1] < 2:
        raise InputError("Log-probabilities are of one class, which is always sure; expected two classes or more.")
    return log_probs


@REGISTRY.register
class MaxProb(Score):
    """The probability that the prediction is wrong, as the network has it: the baseline of them all.

    Its logarithm is computed, which orders examples in the same way and never rounds to zero.

    Hendrycks & Gimpel, *A Baseline for Detecting Misclassified and Out-of-Distribution Examples*, ICLR 2017,
    https://arxiv.org/abs/1610.02136.
    """

    name = "max_prob"
    formula = "log(1 - max_k pbar_k), pbar the mean over samples"
    paper = "Hendrycks & Gimpel 2017"
    needs = ("log_probs",)

    def _score(self, saved: Saved) -> np.ndarray:
        return log_probability_of_others(_log_probs_of(saved))


@REGISTRY.register
class Entropy(Score):
    """Entropy of the mean prediction: aleatoric and epistemic uncertainty together.

    Of a large probability p, as float64 holds it, 1 - p is a multiple of 1e-16; it is computed from the others instead.
    """

    name = "entropy"
    formula = "H(pbar), pbar the mean over samples, in nats"
    needs = ("log_probs",)

    def _score(self, saved: Saved) -> np.ndarray:
        log_probs = _log_probs_of(saved)
        rest = np.exp(log_probability_of_others(log_probs))
        terms = np.exp(log_probs) * log_probs
        terms[np.arange(len(terms)), log_probs.argmax(axis=1)] = (1 - rest) * np.log1p(-rest)
        return -terms.sum(axis=1)


@REGISTRY.register
class ExpectedEntropy(Score):
    """Mean over samples of their entropies: the aleatoric part. With one sample it is the entropy.

    Depeweg et al., *Decomposition of Uncertainty in Bayesian Deep Learning*, ICML 2018,
    https://arxiv.org/abs/1710.07283.
    """

    name = "expected_entropy"
    formula = "mean_s H(p_s), in nats"
    paper = "Depeweg 2018"
    needs = ("samples",)

    def _score(self, saved: Saved) -> np.ndarray:
        return metrics.expected_entropy(saved["samples"])


@REGISTRY.register
class MutualInformation(Score):
    """Mutual information of label and sample: the epistemic part. With one sample it is zero for every example.

    Houlsby et al., *Bayesian Active Learning for Classification and Preference Learning*, 2011,
    https://arxiv.org/abs/1112.5745.
    """

    name = "mutual_information"
    formula = "H(pbar) - mean_s H(p_s), in nats"
    paper = "Houlsby 2011; Depeweg 2018"
    needs = ("samples",)

    def _score(self, saved: Saved) -> np.ndarray:
        return metrics.mutual_information(saved["samples"])


@REGISTRY.register
class Variance(Score):
    """A per-example uncertainty that the method saved, as it is: by default SNGP's predictive variance.

    Liu et al., *Simple and Principled Uncertainty Estimation with Deterministic Deep Learning via Distance Awareness*,
    NeurIPS 2020, https://arxiv.org/abs/2006.10108.

    Args:
        uncertainty: Its name: `"variance"` reads `uncertainty/variance`.
    """

    name = "variance"
    formula = "the saved uncertainty/<name>"
    paper = "Liu 2020"
    likelihoods = ("categorical", "gaussian")
    needs = ("uncertainty/variance",)

    def __init__(self, uncertainty: str = "variance"):
        self._key = f"uncertainty/{uncertainty}"
        self.needs = (self._key,)

    def _score(self, saved: Saved) -> np.ndarray:
        return to_finite(saved[self._key], f"Values of {self._key}", (1,), "[n]")
