"""Metrics against label distributions: what many annotators said of an example, as counts or shares.

A row of counts is divided by its sum, so that each example weighs the same however many annotators it had. CIFAR-10H
(Peterson 2019) is such a set.

Where they fail: few annotators make a rough distribution, whose own noise counts as the network's error; the values of
two sets with other numbers of annotators cannot be compared.
"""

from typing import Any

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics import base
from uncertainty_suite.metrics.calibration import ExpectedCalibrationError
from uncertainty_suite.metrics.samples import entropy_of


class DistributionBatch(base.Batch):
    """A batch whose labels are distributions, `label_distribution` `[batch, classes]`, each row summing to one."""

    def __init__(self, predictions: Any, label: Any):
        super().__init__(predictions)
        counts = base.to_finite(label, "Label distributions", (2,), "[batch, classes]")
        if counts.shape != self.probs.shape:
            raise InputError(
                f"Label distributions must have the shape of the predictions, {list(self.probs.shape)}, "
                f"got {list(counts.shape)}."
            )
        if counts.min() < 0:
            i, k = (int(j) for j in np.argwhere(counts < 0)[0])
            raise InputError(f"Label distributions must not be negative, but example {i}, class {k} is {counts[i, k]}.")
        totals = counts.sum(axis=1, keepdims=True)
        if totals.min() == 0:
            raise InputError(
                f"Label distributions must have a positive sum, but example {int(totals.argmin())} is all zero; "
                "leave out examples without annotations."
            )
        self.label_distribution = counts / totals


class _DistributionMetric(base.MeanMetric):
    batch_type = DistributionBatch
    value_range = base.POSITIVE
    paper = "Peterson 2019"
    likelihoods = ()
    needs = ("label_distribution",)
    arrays = ("probs", "label_distribution")

    def per_example(self, batch: DistributionBatch) -> np.ndarray:
        """Return the cross-entropy of each example; a zero is the smallest number of the dtype, as in `nll`."""
        least = np.finfo(batch.samples.dtype).smallest_subnormal
        return -(batch.label_distribution * np.log(np.maximum(batch.probs, least))).sum(axis=1)


@base.REGISTRY.register
class LabelDistributionNLL(_DistributionMetric):
    """The cross-entropy against label distributions, the mean of `-sum_k q_k log p_k` in nats."""

    name = "label_distribution_nll"
    formula = "mean -sum_k q_k log p_k, in nats"
    agrees = "Robustness Metrics (nll with soft_labels=True)"


@base.REGISTRY.register
class LabelDistributionKL(_DistributionMetric):
    """The mean of `KL(q || p)` in nats, zero where predictions are the label distributions."""

    name = "label_distribution_kl"
    formula = "mean KL(q || p), in nats"
    agrees = "SciPy"

    def per_example(self, batch: DistributionBatch) -> np.ndarray:
        return np.maximum(super().per_example(batch) - entropy_of(batch.label_distribution), 0.0)


@base.REGISTRY.register
class LabelDistributionBrier(_DistributionMetric):
    """The mean squared distance from label distributions, `sum_k (p_k - q_k)^2`."""

    name = "label_distribution_brier"
    formula = "mean sum_k (p_k - q_k)^2"
    value_range = (0.0, 2.0)

    def per_example(self, batch: DistributionBatch) -> np.ndarray:
        return ((batch.probs - batch.label_distribution) ** 2).sum(axis=1)


@base.REGISTRY.register
class LabelSetAccuracy(_DistributionMetric):
    """The share of examples whose most probable class is one that anybody chose, as the labels of ReaL are used."""

    name = "label_set_accuracy"
    formula = "mean [q_pred > 0]"
    value_range = (0.0, 1.0)
    higher_is_better = True
    paper = "Beyer 2020"

    def per_example(self, batch: DistributionBatch) -> np.ndarray:
        return (batch.label_distribution[batch.rows, batch.predicted] > 0).astype(np.float64)


@base.REGISTRY.register
class LabelDistributionECE(ExpectedCalibrationError):
    """The ECE where the share of annotators who chose the predicted class takes the place of correctness.

    Args:
        num_bins: The number of bins.
    """

    name = "label_distribution_ece"
    formula = "sum_b n_b/n |mean_b q_pred - conf_b|, equal-width bins of the confidence"
    paper = "Peterson 2019"
    agrees = "ece, where each q is one-hot"
    batch_type = DistributionBatch
    likelihoods = ()
    needs = ("label_distribution",)
    arrays = ("probs", "label_distribution")

    def __init__(self, num_bins: int = 15):
        super().__init__(num_bins)

    def hits(self, batch: DistributionBatch) -> np.ndarray:
        return batch.label_distribution[batch.rows, batch.predicted]
