"""OOD scores from logits.

With several samples each sample is scored by itself, and the score is the mean over samples. Logits must be those of
the model: log-probabilities have lost the very level that these scores measure, and their energy is always zero.
"""

import numpy as np

from uncertainty_suite.metrics.base import check_number
from uncertainty_suite.ood_scores.base import REGISTRY, Saved, Score, logits_of


def mean_energy(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return `mean_s -T logsumexp_k(z_sk / T)`, `[n]`, of logits `[samples, n, classes]`."""
    from scipy.special import logsumexp

    return -temperature * logsumexp(logits / temperature, axis=-1).mean(axis=0)


@REGISTRY.register
class MaxLogit(Score):
    """Minus the largest logit, which softmax would normalise away.

    Hendrycks et al., *Scaling Out-of-Distribution Detection for Real-World Settings*, ICML 2022,
    https://arxiv.org/abs/1911.11132.
    """

    name = "max_logit"
    formula = "-mean_s max_k z_sk"
    paper = "Hendrycks 2022"
    needs = ("logits",)

    def _score(self, saved: Saved) -> np.ndarray:
        return -logits_of(saved).max(axis=-1).mean(axis=0)


@REGISTRY.register
class Energy(Score):
    """The energy of the logits, minus the log of their unnormalised density.

    Liu et al., *Energy-based Out-of-distribution Detection*, NeurIPS 2020, https://arxiv.org/abs/2010.03759.

    Args:
        temperature: The paper's `T`; its choice is 1 (section 4.2).
    """

    name = "energy"
    formula = "mean_s -T logsumexp_k(z_sk / T)"
    paper = "Liu 2020"
    needs = ("logits",)
    tunable = "temperature"
    candidates = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0)

    def __init__(self, temperature: float = 1.0):
        check_number("temperature", temperature)
        self.temperature = temperature

    def _score(self, saved: Saved) -> np.ndarray:
        return mean_energy(logits_of(saved), self.temperature)


@REGISTRY.register
class DempsterShafer(Score):
    """Dempster-Shafer uncertainty: the share of `classes` units of no evidence in all evidence, `exp(z)` being that of
    a class. From 0 to 1; below the smallest float64, for logits beyond 700, all are zero.

    Sensoy et al., *Evidential Deep Learning to Quantify Classification Uncertainty*, NeurIPS 2018,
    https://arxiv.org/abs/1806.01768; as an OOD score in Liu et al. 2020 (SNGP), https://arxiv.org/abs/2006.10108.
    """

    name = "dempster_shafer"
    formula = "mean_s K / (K + sum_k exp z_sk), K classes"
    paper = "Sensoy 2018; Liu 2020"
    needs = ("logits",)

    def _score(self, saved: Saved) -> np.ndarray:
        from scipy.special import expit, logsumexp

        logits = logits_of(saved)
        # K / (K + e) = 1 / (1 + exp(log e - log K)), which does not overflow
        return expit(np.log(logits.shape[-1]) - logsumexp(logits, axis=-1)).mean(axis=0)
