"""Split conformal prediction: sets of classes that hold the label with a probability that is promised.

A score `s(x, k)` says how strange class `k` would be for an example. `fit` takes the scores of `n` held-out labels and
keeps the `ceil((n + 1)(1 - alpha))`-th smallest; a set holds every class whose score is no larger. If held-out and new
examples are exchangeable, the label is in its set with probability `1 - alpha` or more, and with no more than
`1 - alpha + 1 / (n + 1)` where scores have no ties, whatever the model. Where `n + 1 < 1 / alpha` no score is large
enough for the promise: the sets are then full, the only ones that keep it.

That probability is over the held-out examples too: for those in hand the coverage follows a Beta distribution.
"""

from typing import Any, Self

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics.base import check_number, check_positive_integer, to_array, to_labels, to_samples
from uncertainty_suite.posthoc.base import REGISTRY, PostHoc


class ConformalPredictor(PostHoc):
    """A predictor of sets; a subclass gives `_scores`.

    `fit` sets the parameters `alpha`, `threshold` (None: sets are full), and the `classes` and `examples` fitted on.

    Example:
        >>> predictor = SplitConformal().fit(validation_probs, validation_labels, alpha=0.1)
        >>> sets = predictor.predict_sets(test_probs)  # bool [n, classes]
    """

    kind = "conformal"

    def fit(self, probs: Any, labels: Any, alpha: float = 0.1) -> Self:
        """Find the threshold on held-out predictions.

        Args:
            probs: Class probabilities `[n, classes]` or `[samples, n, classes]` (averaged over samples).
            labels: Class indices `[n]`.
            alpha: How often a set may miss the label, above 0 and below 1.

        Returns:
            The predictor itself.

        Raises:
            InputError: The arrays or `alpha` are not that.
        """
        check_number("alpha", alpha, 0, 1)
        probs = to_samples(probs, "Probabilities")[1]
        count, classes = probs.shape
        labels = to_labels(labels, count, classes)
        scores = np.sort(self._scores(probs, stream=0)[np.arange(count), labels])
        rank = int(np.ceil(round((count + 1) * (1 - alpha), 9)))  # 0.07 * 100 is 7.000000000000001, and means 7
        threshold = float(scores[rank - 1]) if rank <= count else None
        self.parameters = {"classes": classes, "examples": count, "alpha": float(alpha), "threshold": threshold}
        return self

    def predict_sets(self, probs: Any) -> np.ndarray:
        """Return which classes are in the set of each example, bool `[n, classes]`.

        Args:
            probs: Class probabilities `[n, classes]` or `[samples, n, classes]` (averaged over samples).

        Raises:
            InputError: The array is not that, or nothing was fitted.
        """
        probs = to_samples(probs, "Probabilities")[1]
        threshold = self.fitted(probs.shape[1])["threshold"]
        return np.ones(probs.shape, bool) if threshold is None else self._scores(probs, stream=1) <= threshold

    def _scores(self, probs: np.ndarray, stream: int) -> np.ndarray:
        """Return the score of each class, `[n, classes]`; `stream` is 0 to fit and 1 to predict."""
        raise NotImplementedError


@REGISTRY.register
class SplitConformal(ConformalPredictor):
    """Least ambiguous sets: all classes more probable than a threshold. The smallest sets on average; some are empty.

    Sadinle et al., *Least Ambiguous Set-Valued Classifiers with Bounded Error Levels*, JASA 2019,
    https://arxiv.org/abs/1609.00451.
    """

    name = "split_conformal"
    formula = "1 - p_k"
    paper = "Sadinle 2019"

    def _scores(self, probs: np.ndarray, stream: int) -> np.ndarray:
        return 1.0 - probs


@REGISTRY.register
class AdaptivePredictionSets(ConformalPredictor):
    """APS: the most probable classes until their probabilities reach a threshold, larger where the model is unsure.

    Romano et al., *Classification with Valid and Adaptive Coverage*, NeurIPS 2020, https://arxiv.org/abs/2006.02544.
    Equally probable classes rank by their index.

    Args:
        randomized: Whether a class counts by a random share of its probability, one for each example, which makes the
            coverage exact and some sets empty; otherwise it counts whole, and sets are larger.
        seed: What the shares are derived from, and the place of the example in the array: predict a test set in one
            call.
    """

    name = "aps"
    formula = "sum of p_j more probable than k + u p_k, u uniform in [0, 1) (1 if not randomized)"
    paper = "Romano 2020"

    def __init__(self, randomized: bool = True, seed: int = 0):
        if not isinstance(seed, (int, np.integer)) or seed < 0:
            raise InputError(f"seed={seed!r} is not allowed; expected a whole number of at least 0.")
        self.randomized, self.seed = randomized, seed

    def _scores(self, probs: np.ndarray, stream: int) -> np.ndarray:
        order = np.argsort(-probs, axis=1, kind="stable")
        ordered = np.take_along_axis(probs, order, axis=1)
        share = np.random.default_rng([self.seed, stream]).random((len(probs), 1)) if self.randomized else 1.0
        ranked = np.cumsum(ordered, axis=1) - (1.0 - share) * ordered + self._penalty(np.arange(1, probs.shape[1] + 1))
        scores = np.empty_like(probs)
        np.put_along_axis(scores, order, ranked, axis=1)
        return scores

    def _penalty(self, rank: np.ndarray) -> np.ndarray | float:
        """Return what is added to the score of the class of a rank, from 1, the most probable."""
        return 0.0


@REGISTRY.register
class RegularizedAdaptivePredictionSets(AdaptivePredictionSets):
    """RAPS: as APS, but classes of a rank beyond `k_reg` cost extra, which keeps the long tail out of the sets.

    Angelopoulos et al., *Uncertainty Sets for Image Classifiers using Conformal Prediction*, ICLR 2021,
    https://arxiv.org/abs/2009.14193.

    Args:
        k_reg: How many classes cost nothing extra. The default is the authors' for ImageNet: for a task of ten classes
            take 1 or 2.
        regularization: The paper's `lambda`, the cost of each rank beyond. Zero is APS.
        randomized: As in `AdaptivePredictionSets`.
        seed: As in `AdaptivePredictionSets`.
    """

    name = "raps"
    formula = "the score of aps + lambda max(0, rank of k - k_reg)"
    paper = "Angelopoulos 2021"

    def __init__(self, k_reg: int = 5, regularization: float = 0.01, randomized: bool = True, seed: int = 0):
        check_positive_integer("k_reg", k_reg)
        check_number("regularization", regularization, at_low=True)
        super().__init__(randomized, seed)
        self.k_reg, self.regularization = k_reg, regularization

    def _penalty(self, rank: np.ndarray) -> np.ndarray | float:
        return self.regularization * np.maximum(rank - self.k_reg, 0)


def set_metrics(sets: Any, labels: Any) -> dict[str, float]:
    """Return how often sets hold the label and how large they are, overall and for each class.

    Args:
        sets: Which classes are in the set of each example, bool `[n, classes]`.
        labels: Class indices `[n]`.

    Returns:
        `coverage`, the share of sets that hold the label; `set_size`, the mean size; `empty` and `singleton`, the
        shares of sets of no and of one class; `worst_class_coverage`; and for each class `k` among the labels
        `class_<k>/coverage` and `class_<k>/set_size`, of the examples of that class.

    Raises:
        InputError: The arrays are not that.

    Example:
        >>> set_metrics(predictor.predict_sets(test_probs), test_labels)["coverage"]
        0.903
    """
    sets = to_array(sets, "Sets", (2,), "[n, classes]")
    if sets.dtype != bool:
        raise InputError(f"Sets must be of dtype bool, got {sets.dtype}; pass the output of predict_sets.")
    labels = to_labels(labels, *sets.shape)
    sizes = sets.sum(axis=1)
    covered = sets[np.arange(len(labels)), labels]
    results = {
        "coverage": float(covered.mean()),
        "set_size": float(sizes.mean()),
        "empty": float((sizes == 0).mean()),
        "singleton": float((sizes == 1).mean()),
    }
    by_class = {}
    for k in np.unique(labels):
        by_class[f"class_{k}/coverage"] = float(covered[labels == k].mean())
        by_class[f"class_{k}/set_size"] = float(sizes[labels == k].mean())
    worst = min(value for key, value in by_class.items() if key.endswith("/coverage"))
    return {**results, "worst_class_coverage": worst, **by_class}
