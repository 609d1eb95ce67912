"""OOD scores from features, the penultimate representation: how far an example is from the training data.

With several samples the features are their mean, as they are saved. For an ensemble that is the mean of unrelated
representations: it works, but the scores of one member are the better defined.
"""

from typing import Any

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics.base import check_number, check_positive_integer
from uncertainty_suite.ood_scores.base import (
    REGISTRY,
    Head,
    Saved,
    Score,
    features_of,
    train_labels_of,
)


class _Covariance:
    """The covariance `C` of centred rows."""

    def __init__(self, centred: np.ndarray) -> None:
        values, self._vectors = np.linalg.eigh(centred.T @ centred / len(centred))
        self._values = np.maximum(values, 0.0)  # below zero by rounding

    def whitening(self, shrinkage: float) -> np.ndarray:
        """Return `M` `[d, d]` such that `|x M|^2 = x^T (C + ridge)^-1 x`."""
        return self._vectors / np.sqrt(self._values + shrinkage * (self._values.mean() or 1.0))


@REGISTRY.register
class Mahalanobis(Score):
    """Squared Mahalanobis distance to the nearest class mean, with one covariance for all classes.

    Lee et al., *A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks*, NeurIPS
    2018, https://arxiv.org/abs/1807.03888; here for the penultimate layer alone, and without their input perturbation.
    Their code inverts the covariance by a pseudo-inverse, which is blind to the directions in which training features
    never vary; the ridge here sees them, and makes more dimensions than examples harmless.

    Args:
        shrinkage: Added to the diagonal of the covariance, times its mean eigenvalue.
    """

    name = "mahalanobis"
    formula = "min_c (f - mu_c)^T S^-1 (f - mu_c), S the covariance within classes"
    paper = "Lee 2018"
    needs = ("features",)
    fit_needs = ("features", "labels")
    tunable = "shrinkage"
    candidates = (1e-8, 1e-6, 1e-4, 1e-2, 1.0)

    def __init__(self, shrinkage: float = 1e-6):
        check_number("shrinkage", shrinkage)
        self.shrinkage = shrinkage

    def _fit(self, train: Saved, head: Head | None) -> None:
        features = features_of(train)
        classes, index = np.unique(train_labels_of(train, len(features)), return_inverse=True)
        self._means = np.stack([features[index == k].mean(axis=0) for k in range(len(classes))])  # [classes, d]
        self._within = _Covariance(features - self._means[index])

    def _score(self, saved: Saved) -> np.ndarray:
        from scipy.spatial.distance import cdist

        whiten = self._within.whitening(self.shrinkage)
        whitened = features_of(saved, len(whiten)) @ whiten
        return cdist(whitened, self._means @ whiten, "sqeuclidean").min(axis=1)


@REGISTRY.register
class RelativeMahalanobis(Mahalanobis):
    """Mahalanobis distance to the nearest class, less that to all training data as one Gaussian.

    Directions that say nothing of the class count the same in both and fall out, which helps near OOD.

    Ren et al., *A Simple Fix to Mahalanobis Distance for Improving Near-OOD Detection*, 2021,
    https://arxiv.org/abs/2106.09022.

    Args:
        shrinkage: As in `Mahalanobis`, of either covariance.
    """

    name = "relative_mahalanobis"
    formula = "min_c (f - mu_c)^T S^-1 (f - mu_c) - (f - mu)^T S_0^-1 (f - mu), S_0 the covariance of all"
    paper = "Ren 2021"

    def _fit(self, train: Saved, head: Head | None) -> None:
        super()._fit(train, head)
        if len(self._means) == 1:
            raise InputError(
                f"OOD score '{self.key}' of one class is zero everywhere; fit on more classes, or use 'mahalanobis'."
            )
        features = features_of(train)
        self._mean = features.mean(axis=0)
        self._of_all = _Covariance(features - self._mean)

    def _score(self, saved: Saved) -> np.ndarray:
        background = (features_of(saved, len(self._mean)) - self._mean) @ self._of_all.whitening(self.shrinkage)
        return super()._score(saved) - (background**2).sum(axis=1)


class ClassGaussians:
    """A Gaussian for each class, fitted to features: their means and covariances, in float64.

    Args:
        features: Features `[n, d]`.
        labels: Their classes `[n]`, from 0 to the largest one; at least two examples of each.

    Raises:
        InputError: A class has fewer than two examples.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray) -> None:
        features = np.asarray(features, np.float64)
        counts = np.bincount(labels)
        if counts.min() < 2:
            raise InputError(
                f"Class {counts.argmin()} has {counts.min()} of {len(labels)} examples, and a covariance of its "
                "features needs two: fit on more examples, e.g. --config.evaluation.fit_examples=0."
            )
        self._means = np.stack([features[labels == k].mean(axis=0) for k in range(len(counts))])
        centred = [features[labels == k] - mean for k, mean in enumerate(self._means)]
        covariances = np.stack([each.T @ each / (len(each) - 1) for each in centred])
        self._values, self._vectors = np.linalg.eigh(covariances)  # [classes, d], [classes, d, d]
        self._log_prior = np.log(counts / len(labels))

    def parameters(self, shrinkage: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what gives the density: log p(f, c) = offset_c - |(f - mean_c) whitening_c|^2 / 2.

        Args:
            shrinkage: Added to the diagonal of each covariance, times the mean eigenvalue of all.

        Returns:
            Means `[classes, d]`, whitening matrices `[classes, d, d]` and offsets `[classes]`, the logarithm of the
            share of each class within.
        """
        ridge = shrinkage * (self._values.mean() or 1.0)
        values = np.maximum(self._values, 0.0) + ridge  # below zero by rounding
        whitening = self._vectors / np.sqrt(values)[:, np.newaxis, :]
        log_norm = 0.5 * (np.log(values).sum(axis=1) + values.shape[1] * np.log(2 * np.pi))
        return self._means, whitening, self._log_prior - log_norm


@REGISTRY.register
class GaussianDensity(Score):
    """Negative log-density of features, by a Gaussian with a covariance of its own for each class.

    Mukhoti et al., *Deep Deterministic Uncertainty: A New Simple Baseline*, CVPR 2023,
    https://arxiv.org/abs/2102.11582. Their code leaves out the share of each class, which the paper's equation has. In
    place of their search for the least jitter with which a Cholesky decomposition works, whose densities are decided by
    rounding where features have less than full rank, the ridge is in proportion to the variance of the features.

    Args:
        shrinkage: Added to the diagonal of each covariance, times the mean eigenvalue of all.
    """

    name = "gaussian_density"
    formula = "-log sum_c pi_c N(f; mu_c, S_c)"
    paper = "Mukhoti 2023"
    needs = ("features",)
    fit_needs = ("features", "labels")
    tunable = "shrinkage"
    candidates = (1e-8, 1e-6, 1e-4, 1e-2, 1.0)

    def __init__(self, shrinkage: float = 1e-6):
        check_number("shrinkage", shrinkage)
        self.shrinkage = shrinkage

    def _fit(self, train: Saved, head: Head | None) -> None:
        features = features_of(train)
        _, labels = np.unique(train_labels_of(train, len(features)), return_inverse=True)
        self._dimension = features.shape[1]
        self._gaussians = ClassGaussians(features, labels)

    def _score(self, saved: Saved) -> np.ndarray:
        from scipy.special import logsumexp

        features = features_of(saved, self._dimension)
        log_densities = [
            offset - 0.5 * (((features - mean) @ whitening) ** 2).sum(axis=1)
            for mean, whitening, offset in zip(*self._gaussians.parameters(self.shrinkage))
        ]
        return -logsumexp(log_densities, axis=0)


@REGISTRY.register
class KNN(Score):
    """Distance to the k-th nearest training example, features being scaled to length one.

    Sun et al., *Out-of-Distribution Detection with Deep Nearest Neighbors*, ICML 2022,
    https://arxiv.org/abs/2204.06507. An example scored against a training set that holds it is its own first neighbour.

    Args:
        k: Which neighbour; the paper takes 50 for CIFAR-10, 200 for CIFAR-100 and 1000 for ImageNet (section 4).
    """

    name = "knn"
    formula = "|g - g_(k)|, g = f / |f|, g_(k) the k-th nearest of training"
    paper = "Sun 2022"
    likelihoods = ("categorical", "gaussian")
    needs = ("features",)
    fit_needs = ("features",)
    tunable = "k"
    candidates = (1, 5, 10, 20, 50, 100, 200)

    def __init__(self, k: int = 50):
        check_positive_integer("k", k)
        self.k = int(k)

    def check_fit_examples(self, count: int) -> None:
        if count < self.k:
            raise InputError(
                f"OOD score '{self.key}' needs k={self.k} training examples or more, got {count}; fit it on more, or "
                f"take a smaller k: {self.name}(k={max(count // 10, 1)})."
            )

    def _fit(self, train: Saved, head: Head | None) -> None:
        from sklearn.neighbors import NearestNeighbors

        features = features_of(train)
        self.check_fit_examples(len(features))
        self._dimension = features.shape[1]
        self._neighbours = NearestNeighbors(n_neighbors=self.k, algorithm="brute").fit(_unit_length(features))

    def _score(self, saved: Saved) -> np.ndarray:
        return self._distances(saved, self.k)[:, -1]

    def variants(self, saved: Saved) -> dict[Any, np.ndarray]:
        values = [k for k in dict.fromkeys([self.k, *self.candidates]) if k <= self._neighbours.n_samples_fit_]
        distances = self._distances(saved, max(values))  # the neighbours are sought once
        return {k: distances[:, k - 1] for k in values}

    def _distances(self, saved: Saved, k: int) -> np.ndarray:
        """Return the distances to the k nearest training examples, the nearest first, `[n, k]`."""
        return self._neighbours.kneighbors(_unit_length(features_of(saved, self._dimension)), k)[0]


def _unit_length(features: np.ndarray) -> np.ndarray:
    """Return rows divided by their lengths; a row of zeros stays one."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(length > 0, length, 1.0)
