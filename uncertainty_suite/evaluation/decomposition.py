"""What the aleatoric and the epistemic part of the uncertainty are, and what each is good for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from uncertainty_suite import metrics
from uncertainty_suite.errors import InputError
from uncertainty_suite.evaluation.people import join_people
from uncertainty_suite.metrics.base import tie_groups
from uncertainty_suite.metrics.label_distribution import DistributionBatch
from uncertainty_suite.metrics.samples import entropy_of
from uncertainty_suite.runs import RunFolder

PARTS = ("aleatoric", "epistemic")


def uncertainty_parts(run: RunFolder) -> dict[str, float]:
    """Return how large the parts of the uncertainty are, and how well each finds errors and OOD examples.

    The tests of Mucsanyi 2024 (https://arxiv.org/abs/2402.19460) that need no further training: the epistemic part
    should tell OOD examples, and the aleatoric one should not.

    Args:
        run: The folder of a run whose predictions have several samples.

    Returns:
        For each part, `aleatoric` and `epistemic`:

        - `test/aleatoric`, `ood/photos/aleatoric`: its mean over the in-distribution split and over each OOD set, in
          the units of the likelihood's `decomposed`: of classes nats.
        - `test/aleatoric/auroc`, `/aurc` and `/augrc`: how well it finds the errors of the in-distribution split, and
          what abstention by it leaves, as `metrics.failure_detection`. AUROC is left out where all is right or wrong.
        - `ood/photos/aleatoric/auroc`: how well it tells that set from the in-distribution split.

    Raises:
        InputError: The predictions have one sample, or they are missing or damaged.

    Example:
        >>> uncertainty_parts(RunFolder("runs/digits/mc_dropout/seed0"))["test/epistemic"]
        0.0627
    """
    likelihood, key = run.task.likelihood, run.task.in_distribution
    saved = run.predictions(key)
    inside = likelihood.decomposed(saved)
    if inside is None:
        raise InputError(f"{run.path} has predictions of one sample, which have no epistemic part: take an ensemble.")
    results: dict[str, float] = {}
    for name, values in zip(PARTS, inside):
        results[f"{key}/{name}"] = float(values.mean(dtype=np.float64))
        if likelihood.has_errors:
            correct = metrics.per_example("accuracy", likelihood.metric_input(saved), saved["labels"])
            found = metrics.failure_detection(correct == 0, values)
            results |= {f"{key}/{name}/{metric}": value for metric, value in found.items()}
    for split in run.task.of("near_ood", "far_ood"):
        outside = likelihood.decomposed(run.predictions(split.key))
        for name, values, others in zip(PARTS, inside, outside or ()):
            results[f"{split.key}/{name}"] = float(others.mean(dtype=np.float64))
            results[f"{split.key}/{name}/auroc"] = metrics.auroc(values, others)
    return results


def label_entropy(label_noise: float, num_classes: int) -> float:
    """Return the entropy in nats of a label of which a share is replaced by another class, each being as likely.

    Of data whose labels were right before, it is the aleatoric uncertainty that the noise makes.

    Args:
        label_noise: The share, as `config.dataset.label_noise`.
        num_classes: Number of classes, at least 2.

    Example:
        >>> label_entropy(0.4, num_classes=10)
        1.552
    """
    others = [label_noise / (num_classes - 1)] * (num_classes - 1)
    return float(entropy_of(np.array([1 - label_noise, *others]))) + 0.0  # which makes 0 of -0


def human_correlation(run: RunFolder, data_dir: str | Path | None = None) -> dict[str, float]:
    """Return the rank correlation of each part of the uncertainty with the entropy of what people say of an example.

    People disagree where the label is ambiguous, whatever a network was trained on: the aleatoric part should follow
    them and the epistemic one should not (Mucsanyi 2024, https://arxiv.org/abs/2402.19460, on CIFAR-10H).

    Args:
        run: The folder of a run on a data set with the labels of many people (`Dataset.human_labels`): `cifar10`.
        data_dir: Where prepared data sets lie; see `datasets.get`.

    Returns:
        Spearman's correlations over the examples of the in-distribution split that anyone labelled: `aleatoric`, of
        the expected entropy; and `epistemic`, of the mutual information. Of predictions with one sample there is
        `aleatoric` alone, of their entropy. One that is the same for all examples has no correlation.

    Raises:
        InputError: There are no such labels, or people disagree equally on all; or the run is no classification, or its
            predictions are missing or damaged.

    Example:
        >>> human_correlation(RunFolder("runs/cifar10/deep_ensemble/seed0"))["aleatoric"]
    """
    from scipy.stats import spearmanr  # a second or two to import

    likelihood = run.task.likelihood
    saved, counts = join_people(run, data_dir)
    labelled = counts.sum(axis=1) > 0
    probs = likelihood.metric_input(saved)
    people = tie_groups(entropy_of(DistributionBatch(probs[labelled], counts[labelled]).label_distribution))
    if not people.any():
        raise InputError(
            f"People disagree equally on all examples of data set '{run.task.name}': there is nothing to rank."
        )
    parts = likelihood.decomposed(saved) or (entropy_of(probs),)
    ranked = {name: tie_groups(values[labelled]) for name, values in zip(PARTS, parts)}
    return {name: float(spearmanr(values, people).statistic) for name, values in ranked.items() if values.any()}
