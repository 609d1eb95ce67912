"""What several samples, of a posterior or an ensemble, say together: uncertainty, diversity and joint predictions.

One sample is an ensemble of one: it disagrees with nothing and is all similar to itself.
"""

from typing import Any

import numpy as np

from uncertainty_suite.metrics import base


def entropy_of(probs: np.ndarray) -> np.ndarray:
    """Return the entropy in nats over the last axis; `0 log 0 = 0`."""
    probs = probs.astype(np.float64, copy=False)
    return -(probs * np.log(probs, out=np.zeros_like(probs), where=probs > 0)).sum(axis=-1)


def _log(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return logarithms in float64, zero being the smallest positive number of the dtype, as in `nll`."""
    return np.log(np.maximum(values.astype(np.float64, copy=False), np.finfo(dtype).smallest_subnormal))


class _UncertaintyMetric(base.MeanMetric):
    """A mean over examples that needs no labels."""

    value_range = base.POSITIVE
    higher_is_better = None
    needs_label = False


@base.register
class PredictiveEntropy(_UncertaintyMetric):
    """See `predictive_entropy`; the metric is its mean over examples."""

    name = "entropy"
    formula = "mean H(pbar), pbar the mean over samples, in nats"
    agrees = "SciPy, torch-uncertainty"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        return entropy_of(batch.probs)


@base.register
class ExpectedEntropy(_UncertaintyMetric):
    """See `expected_entropy`; the metric is its mean over examples."""

    name = "expected_entropy"
    formula = "mean of mean_s H(p_s), in nats"
    paper = "Depeweg 2018"
    agrees = "SciPy, torch-uncertainty"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        return entropy_of(batch.samples).mean(axis=0)


@base.register
class MutualInformation(_UncertaintyMetric):
    """See `mutual_information`; the metric is its mean over examples."""

    name = "mutual_information"
    formula = "mean H(pbar) - mean_s H(p_s), in nats"
    paper = "Houlsby 2011; Depeweg 2018"
    agrees = "SciPy, torch-uncertainty"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        # Non-negative by Jensen's inequality, but for rounding.
        return np.maximum(entropy_of(batch.probs) - entropy_of(batch.samples).mean(axis=0), 0.0)


@base.register
class VariationRatio(_UncertaintyMetric):
    """See `variation_ratio`; the metric is its mean over examples."""

    name = "variation_ratio"
    formula = "mean 1 - share of samples predicting the class of pbar"
    value_range = (0.0, 1.0)
    paper = "Freeman 1965"
    agrees = "torch-uncertainty (given [samples, batch, classes])"

    def __init__(self, probabilistic: bool = False):
        self.probabilistic = probabilistic
        super().__init__()

    def per_example(self, batch: base.Batch) -> np.ndarray:
        if self.probabilistic:
            return np.maximum(1.0 - batch.confidence, 0.0)
        return (batch.samples.argmax(axis=-1) != batch.predicted).mean(axis=0)


def _mean_of_pairs(total: np.ndarray, samples: int) -> np.ndarray:
    return total / max(samples * (samples - 1) / 2, 1)


@base.register
class Disagreement(_UncertaintyMetric):
    """See `disagreement`; the metric is its mean over examples."""

    name = "disagreement"
    formula = "mean share of sample pairs that predict different classes"
    value_range = (0.0, 1.0)
    paper = "Fort 2019"
    agrees = "Robustness Metrics, torch-uncertainty"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        count = len(batch.samples)
        votes = np.zeros(batch.probs.shape)
        np.add.at(votes, (batch.rows, batch.samples.argmax(axis=-1)), 1.0)
        return _mean_of_pairs((count**2 - (votes**2).sum(axis=1)) / 2, count)


@base.register
class NormalizedDisagreement(Disagreement):
    """See `normalized_disagreement`."""

    name = "normalized_disagreement"
    formula = "disagreement / (1 - accuracy + 1e-7)"
    value_range = base.POSITIVE
    agrees = "Robustness Metrics (normalize_disagreement=True)"
    needs_label = True

    def reset(self) -> None:
        super().reset()
        self._wrong = 0

    def update(self, batch: base.Batch) -> None:
        super().update(batch)
        self._wrong += int((~batch.correct).sum())

    def result(self) -> dict[str, float]:
        return {self.name: super().result()[self.name] / (self._wrong / self._count + 1e-7)}


@base.register
class CosineSimilarity(_UncertaintyMetric):
    """See `cosine_similarity`; the metric is its mean over examples."""

    name = "cosine_similarity"
    formula = "mean over sample pairs of p_s.p_t / |p_s||p_t|"
    value_range = (0.0, 1.0)
    paper = "Fort 2019"
    agrees = "Robustness Metrics"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        count = len(batch.samples)
        if count == 1:
            return np.ones(len(batch.rows))
        unit = batch.samples / np.linalg.norm(batch.samples.astype(np.float64, copy=False), axis=-1, keepdims=True)
        total = unit.sum(axis=0)
        pairs = (np.einsum("ij,ij->i", total, total) - count) / 2
        return np.clip(_mean_of_pairs(pairs, count), 0.0, 1.0)


@base.register
class PairwiseKL(_UncertaintyMetric):
    """See `pairwise_kl`; the metric is its mean over examples."""

    name = "pairwise_kl"
    formula = "mean over sample pairs s < t of KL(p_s || p_t), in nats"
    paper = "Fort 2019"
    agrees = "Robustness Metrics (average_kl)"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        count, dtype = len(batch.samples), batch.samples.dtype
        total, before = np.zeros(len(batch.rows)), np.zeros(batch.probs.shape)
        for later, sample in enumerate(batch.samples):
            # As the second of a pair it meets the sum of those before; as the first, count - 1 - later others.
            log = _log(sample, dtype)
            total -= (before * log).sum(axis=1)
            total += (count - 1 - later) * (sample * log).sum(axis=1)
            before += sample
        return np.maximum(_mean_of_pairs(total, count), 0.0)


@base.register
class BregmanKLVariance(_UncertaintyMetric):
    """See `bregman_kl_variance`; the metric is its mean over examples."""

    name = "bregman_kl_variance"
    formula = "mean of mean_s KL(c || p_s), c the normalised geometric mean, in nats"
    paper = "Gupta 2022"
    agrees = "Robustness Metrics"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        mean_log = _log(batch.samples, batch.samples.dtype).mean(axis=0)
        # sum_k c_k (log c_k - mean_s log p_sk), with log c = mean_log - log Z, is just -log Z.
        largest = mean_log.max(axis=-1)
        return np.maximum(-largest - np.log(np.exp(mean_log - largest[:, np.newaxis]).sum(axis=-1)), 0.0)


def _label_logs(batch: base.Batch) -> np.ndarray:
    """Return the log-likelihood of the label under each sample, `[samples, batch]`."""
    return _log(batch.samples[:, batch.rows, batch.labels], batch.samples.dtype)


def _log_mean_exp(logs: np.ndarray) -> np.ndarray:
    """Return `log mean exp` over the first axis."""
    largest = logs.max(axis=0)
    return largest + np.log(np.exp(logs - largest).mean(axis=0))


@base.register
class EnsembleCrossEntropy(base.MeanMetric):
    """See `ensemble_cross_entropy`."""

    name = "ensemble_cross_entropy"
    formula = "mean -log mean_s p_s(y), in nats"
    value_range = base.POSITIVE
    agrees = "Robustness Metrics (given logits); nll"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        return np.maximum(-_log_mean_exp(_label_logs(batch)), 0.0)


@base.register
class GibbsCrossEntropy(base.MeanMetric):
    """See `gibbs_cross_entropy`."""

    name = "gibbs_cross_entropy"
    formula = "mean of mean_s -log p_s(y), in nats"
    value_range = base.POSITIVE
    agrees = "Robustness Metrics (given logits)"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        return np.maximum(-_label_logs(batch).mean(axis=0), 0.0)


@base.register
class GibbsBrier(base.MeanMetric):
    """See `gibbs_brier`."""

    name = "gibbs_brier"
    formula = "mean of mean_s sum_k (p_sk - [y = k])^2"
    value_range = (0.0, 2.0)
    paper = "Brier 1950"
    agrees = "torch-uncertainty (Brier score of members)"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        error = batch.samples.astype(np.float64)
        error[:, batch.rows, batch.labels] -= 1.0
        return np.einsum("sij,sij->i", error, error) / len(error)


@base.register
class JointNLL(base.WholeSetMetric):
    """See `joint_nll`."""

    name = "joint_nll"
    formula = "mean -1/tau log mean_s prod_{i in group} p_s(y_i), groups of tau (10) draws of kappa (2) examples"
    value_range = base.POSITIVE
    paper = "Osband 2022"
    agrees = "compared with no library"

    def __init__(self, tau: int = 10, kappa: int | None = 2, groups: int = 10_000, seed: int = 0):
        base.check_positive_integer("tau", tau)
        base.check_positive_integer("groups", groups)
        if kappa is not None:
            base.check_positive_integer("kappa", kappa)
        self.tau, self.kappa, self.groups, self.seed = tau, kappa, groups, seed
        super().__init__()

    def keep(self, batch: base.Batch) -> tuple[np.ndarray, ...]:
        return (_label_logs(batch).T,)

    def compute(self, logs: np.ndarray) -> float:
        # Sorted first, so that the same examples in another order make the same groups.
        logs = logs[np.lexsort(logs.T)]
        random = np.random.default_rng(self.seed)
        anchors = self.tau if self.kappa is None else self.kappa
        members = random.integers(len(logs), size=(self.groups, anchors))
        if self.kappa is not None:
            members = np.take_along_axis(members, random.integers(anchors, size=(self.groups, self.tau)), axis=1)
        joint = sum(logs[column] for column in members.T)  # [groups, samples]
        return float(np.maximum(-_log_mean_exp(joint.T), 0.0).mean() / self.tau)


@base.register
class GeneralizedEnergyDistance(base.MeanMetric):
    """See `generalized_energy_distance`."""

    name = "generalized_energy_distance"
    formula = "mean 2 mean_s |p_s - e_y| - mean_st |p_s - p_t|"
    value_range = (0.0, 2 * 2**0.5)
    paper = "Szekely & Rizzo 2013; Kohl 2018"
    agrees = "compared with no library"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        samples = batch.samples.astype(np.float64)
        count = len(samples)
        within = np.zeros(len(batch.rows))
        for i in range(1, count):
            within += np.linalg.norm(samples[:i] - samples[i], axis=-1).sum(axis=0)
        samples[:, batch.rows, batch.labels] -= 1.0
        across = np.linalg.norm(samples, axis=-1).mean(axis=0)
        return np.maximum(2 * across - 2 * within / count**2, 0.0)


def predictive_entropy(probs: Any) -> np.ndarray:
    """Return the entropy of the mean prediction of each example, in nats.

    Args:
        probs: Class probabilities `[samples, batch, classes]`; `[batch, classes]` is one sample.

    Returns:
        Values `[batch]`.

    Raises:
        InputError: The array is not that.
    """
    return PredictiveEntropy().per_example(base.Batch(probs))


def expected_entropy(probs: Any) -> np.ndarray:
    """Return the mean over samples of their entropies, in nats: the aleatoric part (Depeweg 2018).

    Args:
        probs: Class probabilities `[samples, batch, classes]`; `[batch, classes]` is one sample.

    Returns:
        Values `[batch]`.

    Raises:
        InputError: The array is not that.
    """
    return ExpectedEntropy().per_example(base.Batch(probs))


def mutual_information(probs: Any) -> np.ndarray:
    """Return the mutual information of label and sample, in nats (Houlsby 2011, Depeweg 2018).

    It is the entropy of the mean minus the mean entropy: the epistemic part, zero for one sample.

    Args:
        probs: Class probabilities `[samples, batch, classes]`; `[batch, classes]` is one sample.

    Returns:
        Values `[batch]`.

    Raises:
        InputError: The array is not that.
    """
    return MutualInformation().per_example(base.Batch(probs))


def variation_ratio(probs: Any, probabilistic: bool = False) -> np.ndarray:
    """Return one minus the share of samples that predict the class of the mean prediction (Freeman 1965).

    Args:
        probs: Class probabilities `[samples, batch, classes]`; `[batch, classes]` is one sample.
        probabilistic: Return instead one minus the mean probability of that class.

    Returns:
        Values `[batch]`.

    Raises:
        InputError: The array is not that.
    """
    return VariationRatio(probabilistic).per_example(base.Batch(probs))


def disagreement(probs: Any) -> np.ndarray:
    """Return the share of sample pairs that predict different classes (Fort 2019).

    Args:
        probs: Class probabilities `[samples, batch, classes]`; `[batch, classes]` is one sample.

    Returns:
        Values `[batch]`.

    Raises:
        InputError: The array is not that.
    """
    return Disagreement().per_example(base.Batch(probs))


def cosine_similarity(probs: Any) -> np.ndarray:
    """Return the mean over sample pairs of the cosine between their predictions (Fort 2019); 1 is no diversity.

    Args:
        probs: Class probabilities `[samples, batch, classes]`; `[batch, classes]` is one sample.

    Returns:
        Values `[batch]`.

    Raises:
        InputError: The array is not that.
    """
    return CosineSimilarity().per_example(base.Batch(probs))


def pairwise_kl(probs: Any) -> np.ndarray:
    """Return the mean over sample pairs `s < t` of `KL(p_s || p_t)`, in nats (Fort 2019).

    It is not symmetric, so it depends on the order of the samples. Zeros count as in `negative_log_likelihood`.

    Args:
        probs: Class probabilities `[samples, batch, classes]`; `[batch, classes]` is one sample.

    Returns:
        Values `[batch]`.

    Raises:
        InputError: The array is not that.
    """
    return PairwiseKL().per_example(base.Batch(probs))


def bregman_kl_variance(probs: Any) -> np.ndarray:
    """Return the mean KL divergence from the normalised geometric mean to each sample, in nats (Gupta 2022).

    Args:
        probs: Class probabilities `[samples, batch, classes]`; `[batch, classes]` is one sample.

    Returns:
        Values `[batch]`.

    Raises:
        InputError: The array is not that.
    """
    return BregmanKLVariance().per_example(base.Batch(probs))


def normalized_disagreement(probs: Any, labels: Any) -> float:
    """Return the mean disagreement divided by the error of the mean prediction plus 1e-7 (Fort 2019).

    Args:
        probs: Class probabilities `[samples, batch, classes]`; `[batch, classes]` is one sample.
        labels: Class indices `[batch]`.

    Raises:
        InputError: The arrays are not that.
    """
    return base.evaluate(NormalizedDisagreement(), probs, labels)


def ensemble_cross_entropy(probs: Any, labels: Any) -> float:
    """Return the mean of `-log mean_s p_s(y)`, in nats: the NLL of the mean prediction.

    Zeros count as in `negative_log_likelihood`, here in each sample. Robustness Metrics takes logits.

    Args:
        probs: Class probabilities `[samples, batch, classes]`; `[batch, classes]` is one sample.
        labels: Class indices `[batch]`.

    Raises:
        InputError: The arrays are not that.
    """
    return base.evaluate(EnsembleCrossEntropy(), probs, labels)


def gibbs_cross_entropy(probs: Any, labels: Any) -> float:
    """Return the mean over examples and samples of `-log p_s(y)`, in nats: the mean NLL of the members.

    Zeros count as in `negative_log_likelihood`. Robustness Metrics takes logits.

    Args:
        probs: Class probabilities `[samples, batch, classes]`; `[batch, classes]` is one sample.
        labels: Class indices `[batch]`.

    Raises:
        InputError: The arrays are not that.
    """
    return base.evaluate(GibbsCrossEntropy(), probs, labels)


def gibbs_brier(probs: Any, labels: Any) -> float:
    """Return the mean Brier score of the members (Brier 1950).

    Args:
        probs: Class probabilities `[samples, batch, classes]`; `[batch, classes]` is one sample.
        labels: Class indices `[batch]`.

    Raises:
        InputError: The arrays are not that.
    """
    return base.evaluate(GibbsBrier(), probs, labels)


def joint_nll(
    probs: Any, labels: Any, tau: int = 10, kappa: int | None = 2, groups: int = 10_000, seed: int = 0
) -> float:
    """Return the joint, or polyadic, negative log-likelihood in nats per example (Osband 2022).

    The labels of a group of examples are predicted together, `-log mean_s prod_i p_s(y_i) / tau`: samples that are
    each sure of a whole world fare better than their mean. Groups are drawn at random: `kappa` examples, then `tau`
    times one of these; so close relations are asked about, which matter most (https://arxiv.org/abs/2202.13509).

    Args:
        probs: Class probabilities `[samples, batch, classes]`; `[batch, classes]` is one sample.
        labels: Class indices `[batch]`.
        tau: The draws of a group.
        kappa: The examples that a group draws from; None draws each from all examples.
        groups: The number of groups.
        seed: What the groups are drawn from.

    Raises:
        InputError: The arrays or options are not that.
    """
    return base.evaluate(JointNLL(tau, kappa, groups, seed), probs, labels)


def generalized_energy_distance(probs: Any, labels: Any) -> float:
    """Return the squared energy distance between the samples and the label (Szekely & Rizzo 2013, Kohl 2018).

    `2 mean_s |p_s - e_y| - mean_{s,t} |p_s - p_t|`, with Euclidean distances, `e_y` the label one-hot, and the second
    mean over all pairs, each with itself too. Kohl takes one minus the intersection over union of segmentations.

    Args:
        probs: Class probabilities `[samples, batch, classes]`; `[batch, classes]` is one sample.
        labels: Class indices `[batch]`.

    Raises:
        InputError: The arrays are not that.
    """
    return base.evaluate(GeneralizedEnergyDistance(), probs, labels)
