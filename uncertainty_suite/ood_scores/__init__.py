"""Out-of-distribution scores from saved predictions: post hoc, for every method, larger for what looks OOD.

Everything goes in and out as the arrays of a `predictions/<split>.npz`, or any mapping with those of them that the
score `needs`; nothing here imports TensorFlow.

Example:
    >>> from uncertainty_suite import metrics, ood_scores
    >>> score = ood_scores.get("mahalanobis")  # with options: "knn(k=10)"
    >>> score.fit_needs, score.needs
    (('features', 'labels'), ('features',))
    >>> score.fit(np.load("predictions/train.npz"))
    >>> scores_in, scores_out = score(np.load("predictions/test.npz")), score(np.load("predictions/ood/mnist.npz"))
    >>> metrics.auroc(scores_in, scores_out)

`fit` does nothing where there is nothing to fit, so a loop over scores need not know which is which:

    >>> {text: ood_scores.get(text).fit(train)(test) for text in ("energy", "knn(k=10)", "vim")}
"""

from uncertainty_suite.ood_scores.base import REGISTRY, Score, get, info, names
from uncertainty_suite.ood_scores.features import KNN, ClassGaussians, GaussianDensity, Mahalanobis, RelativeMahalanobis
from uncertainty_suite.ood_scores.heads import ReAct, ViM
from uncertainty_suite.ood_scores.logits import DempsterShafer, Energy, MaxLogit
from uncertainty_suite.ood_scores.probabilities import Entropy, ExpectedEntropy, MaxProb, MutualInformation, Variance

__all__ = [
    "KNN",
    "REGISTRY",
    "ClassGaussians",
    "DempsterShafer",
    "Energy",
    "Entropy",
    "ExpectedEntropy",
    "GaussianDensity",
    "Mahalanobis",
    "MaxLogit",
    "MaxProb",
    "MutualInformation",
    "ReAct",
    "RelativeMahalanobis",
    "Score",
    "Variance",
    "ViM",
    "get",
    "info",
    "names",
]
