"""What several samples, of a posterior or an ensemble, say together: uncertainty, diversity and joint predictions.

Those that compare pairs of samples have no value on one sample. Functions of what needs no labels give the value of
each example, where the metric is their mean.

Where they fail: diversity is no merit by itself. Members that are wrong in different ways disagree most, so read these
beside the NLL of the mean. The split of the uncertainty into two parts is that of these samples, and need not be what
the words say: on many tasks both parts order the examples alike.
"""

from typing import ClassVar

import numpy as np

from uncertainty_suite.metrics import base


def entropy_of(probs: np.ndarray) -> np.ndarray:
    """Return the entropy in nats over the last axis; `0 log 0 = 0`."""
    probs = probs.astype(np.float64, copy=False)
    return -(probs * np.log(probs, out=np.zeros_like(probs), where=probs > 0)).sum(axis=-1)


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over samples; of equal samples it is the very same numbers, without rounding."""
    return values[0] + (values - values[0]).mean(axis=0)


def _log(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return logarithms in float64, zero being the smallest positive number of the dtype, as in `nll`."""
    return np.log(np.maximum(values.astype(np.float64, copy=False), np.finfo(dtype).smallest_subnormal))


class _UncertaintyMetric(base.MeanMetric):
    """A mean over examples that needs no labels."""

    value_range = base.POSITIVE
    higher_is_better = None
    needs: tuple[str, ...] = ("samples",)
    arrays: ClassVar[tuple[str, ...]] = ("probs",)


@base.REGISTRY.register
class PredictiveEntropy(_UncertaintyMetric):
    """The entropy of the mean prediction, in nats."""

    name = "entropy"
    needs = ()
    formula = "mean H(pbar), pbar the mean over samples, in nats"
    agrees = "SciPy, torch-uncertainty"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        return entropy_of(batch.probs)


@base.REGISTRY.register
class ExpectedEntropy(_UncertaintyMetric):
    """The mean over samples of their entropies, in nats: the aleatoric part (Depeweg 2018)."""

    name = "expected_entropy"
    formula = "mean of mean_s H(p_s), in nats"
    paper = "Depeweg 2018"
    agrees = "SciPy, torch-uncertainty"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        return entropy_of(batch.members).mean(axis=0)


@base.REGISTRY.register
class MutualInformation(_UncertaintyMetric):
    """The mutual information of label and sample, in nats (Houlsby 2011, Depeweg 2018).

    It is the entropy of the mean minus the mean entropy, or the mean KL divergence from each sample to the mean: the
    epistemic part, exactly zero for one sample and for equal ones.
    """

    name = "mutual_information"
    formula = "mean H(pbar) - mean_s H(p_s), in nats"
    paper = "Houlsby 2011; Depeweg 2018"
    agrees = "SciPy, torch-uncertainty"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        samples, mean = batch.members, _mean(batch.members)
        # A difference of entropies would leave their rounding where the samples are equal. The mean of the smallest
        # numbers may round to zero, as what they add does.
        ratio = np.divide(samples, mean, out=np.ones_like(samples), where=(samples > 0) & (mean > 0))
        return np.maximum((samples * np.log(ratio)).sum(axis=-1).mean(axis=0), 0.0)


@base.REGISTRY.register
class ReverseMutualInformation(_UncertaintyMetric):
    """The mean KL divergence from the mean prediction to each sample, in nats (Malinin & Gales 2021).

    With the mutual information it adds up to `expected_pairwise_kl(pairs='all')`. Zeros count as in
    `negative_log_likelihood`.
    """

    name = "reverse_mutual_information"
    formula = "mean of mean_s KL(pbar || p_s), in nats"
    paper = "Malinin & Gales 2021"
    agrees = "SciPy, torch-uncertainty"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        mean, logs = _mean(batch.members), _log(batch.members, batch.samples.dtype)
        return np.maximum((mean * (_log(mean, batch.samples.dtype) - _mean(logs))).sum(axis=-1), 0.0)


@base.REGISTRY.register
class TotalVariance(_UncertaintyMetric):
    """The variance of the one-hot label under the mean prediction, summed over classes: `sum_k pbar_k (1 - pbar_k)`.

    It is the sum of `aleatoric_variance` and `epistemic_variance` (Depeweg 2018, Sale 2024).
    """

    name = "total_variance"
    formula = "mean sum_k pbar_k (1 - pbar_k)"
    value_range = (0.0, 1.0)
    needs = ()
    paper = "Sale 2024"
    agrees = "compared with its definition"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        return (batch.probs * (1 - batch.probs)).sum(axis=-1)


@base.REGISTRY.register
class AleatoricVariance(_UncertaintyMetric):
    """The mean over samples of the variance of the one-hot label, summed over classes (Sale 2024)."""

    name = "aleatoric_variance"
    formula = "mean of mean_s sum_k p_sk (1 - p_sk)"
    value_range = (0.0, 1.0)
    paper = "Sale 2024"
    agrees = "compared with its definition"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        return (batch.members * (1 - batch.members)).sum(axis=-1).mean(axis=0)


@base.REGISTRY.register
class EpistemicVariance(_UncertaintyMetric):
    """The variance over samples of the probabilities, summed over classes (Sale 2024); zero for equal samples."""

    name = "epistemic_variance"
    formula = "mean sum_k var_s p_sk"
    value_range = (0.0, 1.0)
    paper = "Sale 2024"
    agrees = "compared with its definition"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        return ((batch.members - _mean(batch.members)) ** 2).sum(axis=-1).mean(axis=0)


@base.REGISTRY.register
class AleatoricEpistemicCorrelation(base.WholeSetMetric):
    """Spearman's rank correlation of aleatoric and epistemic uncertainty over examples (Mucsanyi 2024).

    Aleatoric is the expected entropy and epistemic the mutual information. Near 1, the two say the same, and the split
    into them says nothing. There is no value where one of them is the same for all examples.
    """

    name = "aleatoric_epistemic_correlation"
    formula = "Spearman correlation of mean_s H(p_s) and H(pbar) - mean_s H(p_s)"
    value_range = (-1.0, 1.0)
    higher_is_better = None
    needs = ("samples",)
    arrays = ("probs",)
    paper = "Mucsanyi 2024"
    agrees = "SciPy (spearmanr)"

    def keep(self, batch: base.Batch) -> tuple[np.ndarray, ...]:
        return ExpectedEntropy().per_example(batch), MutualInformation().per_example(batch)

    def compute(self, aleatoric: np.ndarray, epistemic: np.ndarray) -> float:
        ranks = []
        for what, values in (("expected entropy", aleatoric), ("mutual information", epistemic)):
            groups = base.tie_groups(values)
            if not groups.any():
                raise self._no_value(f"the {what} of all {len(values)} examples is the same")
            sizes = np.bincount(groups)
            rank = (np.cumsum(sizes) - (sizes + 1) / 2)[groups]  # of ties their mean
            ranks.append(rank - rank.mean())
        first, second = ranks
        correlation = (first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum())
        return float(np.clip(correlation, -1.0, 1.0))  # but for rounding


@base.REGISTRY.register
class VariationRatio(_UncertaintyMetric):
    """One minus the share of samples that predict the class of the mean prediction (Freeman 1965).

    Args:
        probabilistic: Take instead one minus the mean probability of that class.
    """

    name = "variation_ratio"
    formula = "mean 1 - share of samples predicting the class of pbar"
    value_range = (0.0, 1.0)
    paper = "Freeman 1965"
    agrees = "torch-uncertainty (given [samples, batch, classes])"

    def __init__(self, probabilistic: bool = False):
        base.check_flag("probabilistic", probabilistic)
        self.probabilistic = probabilistic
        super().__init__()

    def per_example(self, batch: base.Batch) -> np.ndarray:
        if self.probabilistic:
            return 1.0 - batch.confidence
        return (batch.samples.argmax(axis=-1) != batch.predicted).mean(axis=0)


class _PairMetric(_UncertaintyMetric):
    """A mean over examples and over pairs of samples."""

    paper = "Fort 2019"

    def num_pairs(self, batch: base.Batch) -> float:
        """Return the number of pairs of samples, at least one."""
        count = len(batch.samples)
        if count == 1:
            raise self._no_value("one sample makes no pair; predict with more samples or members")
        return count * (count - 1) / 2


@base.REGISTRY.register
class Disagreement(_PairMetric):
    """The share of sample pairs that predict different classes (Fort 2019)."""

    name = "disagreement"
    formula = "mean share of sample pairs that predict different classes"
    value_range = (0.0, 1.0)
    agrees = "Robustness Metrics, torch-uncertainty"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        count, pairs = len(batch.samples), self.num_pairs(batch)
        votes = np.zeros(batch.probs.shape)
        np.add.at(votes, (batch.rows, batch.samples.argmax(axis=-1)), 1.0)
        return (count**2 - (votes**2).sum(axis=1)) / 2 / pairs


@base.REGISTRY.register
class NormalizedDisagreement(Disagreement):
    """The mean disagreement divided by the error of the mean prediction plus 1e-7 (Fort 2019).

    It has no value where no prediction is wrong. 1e-7 is Robustness Metrics'.
    """

    name = "normalized_disagreement"
    formula = "disagreement / (1 - accuracy + 1e-7)"
    value_range = base.POSITIVE
    agrees = "Robustness Metrics (normalize_disagreement=True)"
    needs = ("labels", "samples")
    arrays = ("probs", "labels")
    is_mean = False

    def reset(self) -> None:
        super().reset()
        self._wrong = 0

    def update(self, batch: base.Batch) -> None:
        super().update(batch)
        self._wrong += int((~batch.correct).sum())

    def finish(self, mean: float) -> float:
        if not self._wrong:
            raise self._no_value("every prediction is correct, and it is divided by their error")
        return mean / (self._wrong / self._count + 1e-7)


@base.REGISTRY.register
class CosineSimilarity(_PairMetric):
    """The mean over sample pairs of the cosine between their predictions (Fort 2019); 1 is no diversity."""

    name = "cosine_similarity"
    formula = "mean over sample pairs of p_s.p_t / |p_s||p_t|"
    value_range = (0.0, 1.0)
    agrees = "Robustness Metrics"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        num_pairs = self.num_pairs(batch)
        unit = batch.members / np.linalg.norm(batch.members, axis=-1, keepdims=True)
        total = unit.sum(axis=0)
        pairs = (np.einsum("ij,ij->i", total, total) - len(unit)) / 2
        return np.clip(pairs / num_pairs, 0.0, 1.0)


@base.REGISTRY.register
class PairwiseKL(_PairMetric):
    """The mean over sample pairs `s < t` of `KL(p_s || p_t)`, in nats (Fort 2019).

    It is not symmetric, so it depends on the order of the samples. Zeros count as in `negative_log_likelihood`.
    """

    name = "pairwise_kl"
    formula = "mean over sample pairs s < t of KL(p_s || p_t), in nats"
    agrees = "Robustness Metrics (average_kl)"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        count, dtype, num_pairs = len(batch.samples), batch.samples.dtype, self.num_pairs(batch)
        total, before = np.zeros(len(batch.rows)), np.zeros(batch.probs.shape)
        first = _log(batch.members[0], dtype)  # taken from all, so that of equal samples nothing is left
        for later, sample in enumerate(batch.members):
            # As the second of a pair it meets the sum of those before; as the first, count - 1 - later others.
            log = _log(sample, dtype) - first
            total -= (before * log).sum(axis=1)
            total += (count - 1 - later) * (sample * log).sum(axis=1)
            before += sample
        return np.maximum(total / num_pairs, 0.0)


@base.REGISTRY.register
class ExpectedPairwiseKL(_UncertaintyMetric):
    """The mean over ordered sample pairs of `KL(p_s || p_t)`, in nats (Malinin & Gales 2021); symmetric in the samples.

    Zeros count as in `negative_log_likelihood`.

    Args:
        pairs: `"distinct"`, over the S (S - 1) pairs of different samples; `"all"`, over all S^2, equal ones too, which
            is the mutual information plus its reverse.
    """

    name = "expected_pairwise_kl"
    formula = "mean over sample pairs s != t of KL(p_s || p_t), in nats"
    paper = "Malinin & Gales 2021"
    agrees = "SciPy"

    def __init__(self, pairs: str = "distinct"):
        base.check_choice("pairs", pairs, ("distinct", "all"))
        self.pairs = pairs
        super().__init__()

    def per_example(self, batch: base.Batch) -> np.ndarray:
        count = len(batch.samples)
        if self.pairs == "distinct" and count == 1:
            raise self._no_value("one sample makes no pair; predict with more samples or members")
        logs = _log(batch.members, batch.samples.dtype)
        values = np.maximum((batch.members * (logs - _mean(logs))).sum(axis=-1).mean(axis=0), 0.0)
        return values * count / (count - 1) if self.pairs == "distinct" else values


@base.REGISTRY.register
class BregmanKLVariance(_UncertaintyMetric):
    """The mean KL divergence from the normalised geometric mean to each sample, in nats (Gupta 2022)."""

    name = "bregman_kl_variance"
    formula = "mean of mean_s KL(c || p_s), c the normalised geometric mean, in nats"
    paper = "Gupta 2022"
    agrees = "Robustness Metrics"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        mean, mean_log = _mean(batch.members), _mean(_log(batch.members, batch.samples.dtype))
        # sum_k c_k (log c_k - mean_s log p_sk), with log c = mean_log - log Z, is just -log Z.
        largest = mean_log.max(axis=-1)
        log_z = largest + np.log(np.exp(mean_log - largest[:, np.newaxis]).sum(axis=-1))
        # Where samples are near each other Z is near 1, and its distance from 1 tells more; of equal ones it is 0.
        distance = (mean * np.expm1(np.minimum(mean_log - _log(mean, batch.samples.dtype), 0.0))).sum(axis=-1)
        near = distance > -0.5
        return np.maximum(-np.where(near, np.log1p(np.where(near, distance, 0.0)), log_z), 0.0)


class _LabelledMetric(base.MeanMetric):
    """A mean over examples that looks at each sample and at the labels."""

    value_range = base.POSITIVE
    needs: tuple[str, ...] = ("labels", "samples")


def _label_logs(batch: base.Batch) -> np.ndarray:
    """Return the log-likelihood of the label under each sample, `[samples, batch]`."""
    return _log(batch.members[:, batch.rows, batch.labels], batch.samples.dtype)


def _log_mean_exp(logs: np.ndarray) -> np.ndarray:
    """Return `log mean exp` over the first axis."""
    largest = logs.max(axis=0)
    return largest + np.log(np.exp(logs - largest).mean(axis=0))


@base.REGISTRY.register
class EnsembleCrossEntropy(_LabelledMetric):
    """The mean of `-log mean_s p_s(y)`, in nats: the NLL of the mean prediction.

    Zeros count as in `negative_log_likelihood`, here in each sample. Robustness Metrics takes logits.
    """

    name = "ensemble_cross_entropy"
    formula = "mean -log mean_s p_s(y), in nats"
    agrees = "Robustness Metrics (given logits); nll"
    needs: tuple[str, ...] = ("labels",)  # the mean prediction has the same value

    def per_example(self, batch: base.Batch) -> np.ndarray:
        return np.maximum(-_log_mean_exp(_label_logs(batch)), 0.0)


@base.REGISTRY.register
class GibbsCrossEntropy(_LabelledMetric):
    """The mean over examples and samples of `-log p_s(y)`, in nats: the mean NLL of the members.

    Zeros count as in `negative_log_likelihood`. Robustness Metrics takes logits.
    """

    name = "gibbs_cross_entropy"
    formula = "mean of mean_s -log p_s(y), in nats"
    agrees = "Robustness Metrics (given logits)"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        return np.maximum(-_label_logs(batch).mean(axis=0), 0.0)


@base.REGISTRY.register
class GibbsBrier(_LabelledMetric):
    """The mean Brier score of the members (Brier 1950)."""

    name = "gibbs_brier"
    formula = "mean of mean_s sum_k (p_sk - [y = k])^2"
    value_range = (0.0, 2.0)
    paper = "Brier 1950"
    agrees = "torch-uncertainty (Brier score of members)"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        error = batch.members.copy()
        error[:, batch.rows, batch.labels] -= 1.0
        return np.einsum("sij,sij->i", error, error) / len(error)


@base.REGISTRY.register
class JointNLL(base.WholeSetMetric):
    """The joint, or polyadic, negative log-likelihood in nats per example (Osband 2022).

    The labels of a group of examples are predicted together, `-log mean_s prod_i p_s(y_i) / tau`: samples that are
    each sure of a whole world fare better than their mean. Groups are drawn at random: `kappa` examples, then `tau`
    times one of these; so close relations are asked about, which matter most (https://arxiv.org/abs/2202.13509).

    Args:
        tau: The draws of a group.
        kappa: The examples that a group draws from; None draws each from all examples.
        groups: The number of groups.
        seed: What the groups are drawn from.
    """

    name = "joint_nll"
    formula = "mean -1/tau log mean_s prod_{i in group} p_s(y_i), groups of tau (10) draws of kappa (2) examples"
    value_range = base.POSITIVE
    needs = ("labels", "samples")
    paper = "Osband 2022"

    def __init__(self, tau: int = 10, kappa: int | None = 2, groups: int = 10_000, seed: int = 0):
        base.check_positive_integer("tau", tau)
        base.check_positive_integer("groups", groups)
        if kappa is not None:
            base.check_positive_integer("kappa", kappa)
        base.check_seed(seed)
        self.tau, self.kappa, self.groups, self.seed = tau, kappa, groups, seed
        super().__init__()

    def keep(self, batch: base.Batch) -> tuple[np.ndarray, ...]:
        if self._kept:
            base.check_same_samples(len(batch.samples), self._kept[0][0].shape[1])
        return (_label_logs(batch).T,)

    def compute(self, logs: np.ndarray) -> float:
        # Sorted first, so that the same examples in another order make the same groups.
        logs = logs[np.lexsort(logs.T)]
        random = np.random.default_rng(self.seed)
        anchors = self.tau if self.kappa is None else self.kappa
        members = random.integers(len(logs), size=(self.groups, anchors))
        if self.kappa is not None:
            members = np.take_along_axis(members, random.integers(anchors, size=(self.groups, self.tau)), axis=1)
        joint = np.add.reduce([logs[column] for column in members.T])  # [groups, samples]
        return float(np.maximum(-_log_mean_exp(joint.T), 0.0).mean() / self.tau)


@base.REGISTRY.register
class GeneralizedEnergyDistance(_LabelledMetric):
    """The squared energy distance between the samples and the label (Szekely & Rizzo 2013, Kohl 2018).

    `2 mean_s |p_s - e_y| - mean_{s,t} |p_s - p_t|`, with Euclidean distances, `e_y` the label one-hot, and the second
    mean over all pairs, each with itself too. Kohl takes one minus the intersection over union of segmentations.
    """

    name = "generalized_energy_distance"
    formula = "mean 2 mean_s |p_s - e_y| - mean_st |p_s - p_t|"
    value_range = (0.0, 2 * 2**0.5)
    paper = "Szekely & Rizzo 2013; Kohl 2018"

    def per_example(self, batch: base.Batch) -> np.ndarray:
        samples = batch.members.copy()
        count = len(samples)
        within = np.zeros(len(batch.rows))
        for i in range(1, count):
            within += np.linalg.norm(samples[:i] - samples[i], axis=-1).sum(axis=0)
        samples[:, batch.rows, batch.labels] -= 1.0
        across = np.linalg.norm(samples, axis=-1).mean(axis=0)
        return np.maximum(2 * across - 2 * within / count**2, 0.0)
