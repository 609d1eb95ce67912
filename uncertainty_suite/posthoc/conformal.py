"""Split conformal prediction of classes: sets that hold the label with a probability that is promised.

A score `s(x, k)` says how strange class `k` would be for an example. `fit` takes the scores of `n` held-out labels and
keeps the `ceil((n + 1)(1 - alpha))`-th smallest; a set holds every class whose score is no larger. If held-out and new
examples are exchangeable, the label is in its set with probability `1 - alpha` or more, and with no more than
`1 - alpha + 1 / (n + 1)` where scores have no ties, whatever the model. Where `n + 1 < 1 / alpha` no score is large
enough for the promise: the sets are then full, the only ones that keep it, and `note` says so.

That probability is over the held-out examples too: for those in hand the coverage follows a Beta distribution. It is
also over all classes together: some may be covered less. `per="class"` promises it of each class.
"""

import math
from typing import Any, Self

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics.base import (
    check_choice,
    check_flag,
    check_number,
    check_positive_integer,
    check_seed,
    to_array,
    to_labels,
    to_samples,
)
from uncertainty_suite.posthoc.base import REGISTRY, PostHoc

SLACK = 1e-12  # by which a score may exceed the threshold: probabilities that add up to it do so but for rounding
_PER_RANK = 1e-11  # decides between classes whose sums are the same, such as all those after one of probability 1
_CLUSTERED_BY = (0.5, 0.6, 0.7, 0.8, 0.9)  # the quantiles of its scores by which a class is known
_FIT, _PREDICT, _CLUSTER = range(3)  # what random numbers are for

# The sizes that share a stratum begin here (Angelopoulos 2021).
_STRATA = (0, 2, 4, 11, 101)


def order_statistic(count: int, alpha: float) -> int:
    """Return which smallest of `count` scores is the threshold, `ceil((count + 1)(1 - alpha))`, from 1."""
    return math.ceil((count + 1) * (1 - alpha) * (1 - 1e-12))  # 100 * (1 - 0.93) is 6.999999999999995 or the like


def conformal_threshold(scores: np.ndarray, alpha: float) -> float:
    """Return the threshold of scores `[n]`, infinite where they are too few."""
    rank = order_statistic(len(scores), alpha)
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else math.inf


def least_examples(alpha: float) -> int:
    """Return how many examples a finite threshold needs."""
    return math.ceil((1 / alpha - 1) * (1 - 1e-12))


def uniform_numbers(ids: np.ndarray, seed: int, purpose: int) -> np.ndarray:
    """Return for each id a number in [0, 1) that depends on nothing but the id, the seed and the purpose.

    SplitMix64 (Steele et al., *Fast Splittable Pseudorandom Number Generators*, OOPSLA 2014).
    """
    key = np.random.default_rng([seed, purpose]).integers(2**64, dtype=np.uint64)
    bits = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + key
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((bits ^ (bits >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


def cluster_classes(
    scores: np.ndarray, labels: np.ndarray, classes: int, alpha: float, num_clusters: int | None = None, seed: int = 0
) -> np.ndarray:
    """Return the cluster of each class, `[classes]`, -1 for those too rare to tell (Ding 2023).

    A class is known by quantiles of the scores of its examples; k-means, weighted by the root of their number, puts
    like ones together.

    Args:
        scores: The score of each example's label, `[n]`.
        labels: `[n]`.
        classes: How many there are.
        alpha: The miscoverage. A class of fewer examples than a finite threshold needs is too rare.
        num_clusters: How many; by default the authors' rule.
        seed: Of k-means.
    """
    from sklearn.cluster import KMeans

    counts = np.bincount(labels, minlength=classes)
    clusters = np.full(classes, -1)
    known = np.flatnonzero(counts >= least_examples(alpha))
    if num_clusters is None:
        num_clusters = _num_clusters(counts, alpha)[1]
    num_clusters = min(num_clusters, len(known))
    if num_clusters < 1:
        return clusters
    levels = np.unique([*_CLUSTERED_BY, 1 - alpha])
    by_class = [np.sort(scores[labels == k]) for k in known]
    places = [np.ceil(len(ordered) * levels * (1 - 1e-12)).astype(int) - 1 for ordered in by_class]
    embedding = np.stack([ordered[place] for ordered, place in zip(by_class, places)])
    means = KMeans(num_clusters, n_init=10, random_state=seed)
    clusters[known] = means.fit(embedding, sample_weight=np.sqrt(counts[known])).labels_
    return clusters


def _num_clusters(counts: np.ndarray, alpha: float) -> tuple[float, int]:
    """Return the share of examples to cluster by and the number of clusters, by the rule of Ding 2023."""
    least = max(counts.min(), least_examples(alpha))
    frequent = int((counts >= least).sum())
    share = frequent / (75 + frequent)
    return share, max(1, int(share * least / 2))


class ConformalPredictor(PostHoc):
    """A predictor that promises a coverage: of sets of classes or, for targets, of intervals.

    `fit` sets the parameters `alpha`, `threshold` (None where it is infinite) and the number of `examples`.
    """

    kind = "conformal"

    def fit(self, predictions: Any, labels: Any, alpha: float = 0.1, element_ids: Any = None) -> Self:
        """Find the threshold on held-out predictions.

        Args:
            predictions: As its likelihood's `metric_input` gives them, of `n` examples.
            labels: Class indices or targets `[n]`.
            alpha: How often a set or an interval may miss the label, above 0 and below 1.
            element_ids: Integers `[n]` from which random shares are derived, as `element_id` of saved predictions; by
                default the places in the arrays.

        Returns:
            The predictor itself.

        Raises:
            InputError: The arrays or `alpha` are not that.
        """
        raise NotImplementedError

    def measure(self, predictions: Any, labels: Any, element_ids: Any = None) -> dict[str, float]:
        """Return how often sets or intervals hold the label, and how large they are: of any labelled predictions.

        Args:
            predictions: As in `fit`.
            labels: As in `fit`.
            element_ids: As in `fit`.

        Returns:
            What `set_metrics` or `interval_metrics` says.

        Raises:
            InputError: The arrays are not that, or nothing was fitted.
        """
        raise NotImplementedError


class SetPredictor(ConformalPredictor):
    """A predictor of sets of classes; a subclass gives `_scores`.

    With `per` the parameter `threshold` is a list, of each class, and for `"cluster"` there is `cluster` too.

    Example:
        >>> predictor = SplitConformal().fit(validation_probs, validation_labels, alpha=0.1)
        >>> sets = predictor.predict_sets(test_probs)  # bool [n, classes]
        >>> predictor.measure(test_probs, test_labels)["coverage"]
        0.903

    Args:
        per: What has a threshold of its own: None, all classes share one; `"class"`, each class (Vovk 2005,
            Mondrian; every class is covered, those of too few examples by being in every set); `"cluster"`, each
            cluster of classes with like scores, classes too rare to tell sharing the common one (Ding et al.,
            *Class-Conditional Conformal Prediction with Many Classes*, NeurIPS 2023, https://arxiv.org/abs/2306.09335;
            it is made for a hundred classes and more).
        allow_empty: Whether a set may be empty; otherwise it then holds the most probable class, and the coverage may
            be above what was asked for.
    """

    seed = 0

    def __init__(self, per: str | None = None, allow_empty: bool = True):
        check_choice("per", per, (None, "class", "cluster"))
        check_flag("allow_empty", allow_empty)
        self.per, self.allow_empty = per, allow_empty

    def fit(self, predictions: Any, labels: Any, alpha: float = 0.1, element_ids: Any = None) -> Self:
        """See `ConformalPredictor.fit`.

        Args:
            predictions: Class probabilities `[n, classes]` or `[samples, n, classes]` (averaged over samples).
            labels: Class indices `[n]`.
            alpha: As there.
            element_ids: As there.
        """
        check_number("alpha", alpha, 0, 1)
        probs = to_samples(predictions, "Probabilities")[1]
        count, classes = probs.shape
        labels = to_labels(labels, count, classes)
        ids = _to_ids(element_ids, count)
        scores = self._scores(probs, self._uniform(ids, _FIT))[np.arange(count), labels]
        self.note = ""
        further: dict[str, Any] = {}
        if self.per is None:
            common = conformal_threshold(scores, alpha)
            threshold: Any = _finite(common)
            if threshold is None:
                self.note = f"{count} examples are too few for alpha={alpha:g}: every set is full."
        elif self.per == "class":
            found = [conformal_threshold(scores[labels == k], alpha) for k in range(classes)]
            threshold = [_finite(each) for each in found]
            if None in threshold:
                self.note = (
                    f"{threshold.count(None)} of {classes} classes have fewer than {least_examples(alpha)} examples, "
                    "too few for a threshold, and are in every set."
                )
        else:
            share, number = _num_clusters(np.bincount(labels, minlength=classes), alpha)
            first = uniform_numbers(ids, self.seed, _CLUSTER) < share
            clusters = cluster_classes(scores[first], labels[first], classes, alpha, number, self.seed)
            threshold = [_finite(each) for each in cluster_thresholds(scores[~first], labels[~first], clusters, alpha)]
            further = {"cluster": clusters.tolist()}
            if (clusters < 0).any():
                self.note = (
                    f"{(clusters < 0).sum()} of {classes} classes have too few examples to be put in a cluster, and "
                    "have the common threshold."
                )
        self.parameters = {
            "classes": classes,
            "examples": count,
            "alpha": float(alpha),
            "threshold": threshold,
            **further,
        }
        return self

    def predict_sets(self, predictions: Any, element_ids: Any = None) -> np.ndarray:
        """Return which classes are in the set of each example, bool `[n, classes]`.

        Args:
            predictions: Class probabilities `[n, classes]` or `[samples, n, classes]` (averaged over samples).
            element_ids: As in `fit`.

        Raises:
            InputError: The array is not that, or nothing was fitted.
        """
        probs = to_samples(predictions, "Probabilities")[1]
        threshold = np.array(self.fitted(probs.shape[1])["threshold"], float)  # None becomes NaN
        threshold[np.isnan(threshold)] = np.inf
        uniform = self._uniform(_to_ids(element_ids, len(probs)), _PREDICT)
        sets = self._scores(probs, uniform) <= threshold + SLACK
        if not self.allow_empty:
            empty = np.flatnonzero(~sets.any(axis=1))
            sets[empty, probs[empty].argmax(axis=1)] = True
        return sets

    def measure(self, predictions: Any, labels: Any, element_ids: Any = None) -> dict[str, float]:
        """See `ConformalPredictor.measure`; the metrics are those of `set_metrics`."""
        sets = self.predict_sets(predictions, element_ids)
        return set_metrics(sets, labels, self.fitted()["alpha"])

    def _uniform(self, ids: np.ndarray, purpose: int) -> np.ndarray | float:
        """Return a random number in [0, 1) of each example, `[n, 1]`, or 0 of all where the score is not random."""
        return 0.0

    def _scores(self, probs: np.ndarray, uniform: np.ndarray | float) -> np.ndarray:
        """Return the score of each class, `[n, classes]`."""
        raise NotImplementedError


def cluster_thresholds(scores: np.ndarray, labels: np.ndarray, clusters: np.ndarray, alpha: float) -> list[float]:
    """Return the threshold of each class: that of its cluster, of all examples for those in none (-1).

    Args:
        scores: The score of each example's label, `[n]`.
        labels: `[n]`.
        clusters: The cluster of each class, `[classes]`.
        alpha: The miscoverage.
    """
    of_example = clusters[labels]
    found = {c: conformal_threshold(scores[of_example == c], alpha) for c in np.unique(clusters) if c >= 0}
    common = conformal_threshold(scores, alpha)
    return [found.get(c, common) for c in clusters]


def _to_ids(element_ids: Any, count: int) -> np.ndarray:
    if element_ids is None:
        return np.arange(count)
    ids = to_array(element_ids, "Element ids", (1,), "[n]")
    if ids.dtype.kind not in "iu" or len(ids) != count:
        raise InputError(
            f"Element ids must be {count} integers, one for each prediction, got {len(ids)} of dtype {ids.dtype}."
        )
    return ids


def _finite(threshold: float) -> float | None:
    return threshold if threshold < math.inf else None


@REGISTRY.register
class SplitConformal(SetPredictor):
    """Least ambiguous sets: all classes more probable than a threshold. The smallest sets on average; some are empty.

    Sadinle et al., *Least Ambiguous Set-Valued Classifiers with Bounded Error Levels*, JASA 2019,
    https://arxiv.org/abs/1609.00451.
    """

    name = "split_conformal"
    formula = "1 - p_k"
    paper = "Sadinle 2019"

    def _scores(self, probs: np.ndarray, uniform: np.ndarray | float) -> np.ndarray:
        return 1.0 - probs


class _RankedPredictor(SetPredictor):
    """Sets that hold the most probable classes; a subclass gives `_ranked`."""

    def __init__(
        self, randomized: bool = True, seed: int = 0, per: str | None = None, allow_empty: bool = True
    ) -> None:
        check_flag("randomized", randomized)
        check_seed(seed)
        super().__init__(per, allow_empty)
        self.randomized, self.seed = randomized, int(seed)

    def _uniform(self, ids: np.ndarray, purpose: int) -> np.ndarray | float:
        return uniform_numbers(ids, self.seed, purpose)[:, np.newaxis] if self.randomized else 0.0

    def _scores(self, probs: np.ndarray, uniform: np.ndarray | float) -> np.ndarray:
        order = np.argsort(-probs, axis=1, kind="stable")
        rank = np.arange(1, probs.shape[1] + 1)
        ranked = self._ranked(np.take_along_axis(probs, order, axis=1), rank, uniform) + _PER_RANK * rank
        scores = np.empty_like(probs)
        np.put_along_axis(scores, order, ranked, axis=1)
        return scores

    def _ranked(self, ordered: np.ndarray, rank: np.ndarray, uniform: np.ndarray | float) -> np.ndarray:
        """Return the scores of classes in the order of their probabilities `[n, classes]`, of ranks from 1."""
        raise NotImplementedError


@REGISTRY.register
class AdaptivePredictionSets(_RankedPredictor):
    """APS: the most probable classes until their probabilities reach a threshold, larger where the model is unsure.

    Romano et al., *Classification with Valid and Adaptive Coverage*, NeurIPS 2020, https://arxiv.org/abs/2006.02544.
    Equally probable classes rank by their index. Classes whose sums are the same to 1e-11 come in by their rank: where
    one has probability 1, the others do not come with it.

    Args:
        randomized: Whether a class counts less by a random share of its probability, one for each example, which makes
            the coverage exact and some sets empty; otherwise it counts whole, and sets are larger.
        seed: What the shares are derived from, with the element id of each example.
        per: As in `SetPredictor`: None, `"class"` or `"cluster"`.
        allow_empty: As in `SetPredictor`.
    """

    name = "aps"
    formula = "sum of p_j down to k - u p_k, u uniform in [0, 1) (0 if not randomized)"
    paper = "Romano 2020"

    def _ranked(self, ordered: np.ndarray, rank: np.ndarray, uniform: np.ndarray | float) -> np.ndarray:
        return np.cumsum(ordered, axis=1) - uniform * ordered


@REGISTRY.register
class RegularizedAdaptivePredictionSets(AdaptivePredictionSets):
    """RAPS: as APS, but classes of a rank beyond `k_reg` cost extra, which keeps the long tail out of the sets.

    Angelopoulos et al., *Uncertainty Sets for Image Classifiers using Conformal Prediction*, ICLR 2021,
    https://arxiv.org/abs/2009.14193.

    Args:
        k_reg: How many classes cost nothing extra. The default suits ten classes; the authors' for the 1,000 of
            ImageNet is 5, with a `regularization` of 0.01. Where no label of the held-out data ranks beyond it, the
            threshold is that of APS, and `note` says so.
        regularization: The paper's `lambda`, the cost of each rank beyond. Zero is APS.
        randomized: As in `AdaptivePredictionSets`.
        seed: As in `AdaptivePredictionSets`.
        per: As in `SetPredictor`: None, `"class"` or `"cluster"`.
        allow_empty: As in `SetPredictor`.
    """

    name = "raps"
    formula = "the score of aps + lambda max(0, rank of k - k_reg)"
    paper = "Angelopoulos 2021"

    def __init__(
        self,
        k_reg: int = 1,
        regularization: float = 0.05,
        randomized: bool = True,
        seed: int = 0,
        per: str | None = None,
        allow_empty: bool = True,
    ) -> None:
        check_positive_integer("k_reg", k_reg)
        check_number("regularization", regularization, at_low=True)
        super().__init__(randomized, seed, per, allow_empty)
        self.k_reg, self.regularization = k_reg, regularization

    def fit(self, predictions: Any, labels: Any, alpha: float = 0.1, element_ids: Any = None) -> Self:
        """See `SetPredictor.fit`."""
        super().fit(predictions, labels, alpha, element_ids)
        probs = to_samples(predictions, "Probabilities")[1]
        rank = 1 + (probs > probs[np.arange(len(probs)), np.asarray(labels)][:, np.newaxis]).sum(axis=1)
        if not self.note and rank.max() <= self.k_reg:
            self.note = f"No label ranks beyond k_reg={self.k_reg}: the threshold is that of aps."
        return self

    def _ranked(self, ordered: np.ndarray, rank: np.ndarray, uniform: np.ndarray | float) -> np.ndarray:
        return super()._ranked(ordered, rank, uniform) + self.regularization * np.maximum(rank - self.k_reg, 0)


@REGISTRY.register
class SortedAdaptivePredictionSets(_RankedPredictor):
    """SAPS: of the probabilities only the largest counts, and after it the rank.

    Huang et al., *Conformal Prediction for Deep Classifier via Label Ranking*, ICML 2024,
    https://arxiv.org/abs/2310.06430, with `1 - u` for their `u`, the same to fit and to predict.

    Args:
        weight: What a rank counts. The authors choose it on held-out data, from 0.02 to 0.6.
        randomized: As in `AdaptivePredictionSets`.
        seed: As in `AdaptivePredictionSets`.
        per: As in `SetPredictor`: None, `"class"` or `"cluster"`.
        allow_empty: As in `SetPredictor`.
    """

    name = "saps"
    formula = "(1 - u) p_max for rank 1, else p_max + weight (rank - 1 - u)"
    paper = "Huang 2024"

    def __init__(
        self,
        weight: float = 0.2,
        randomized: bool = True,
        seed: int = 0,
        per: str | None = None,
        allow_empty: bool = True,
    ) -> None:
        check_number("weight", weight)
        super().__init__(randomized, seed, per, allow_empty)
        self.weight = weight

    def _ranked(self, ordered: np.ndarray, rank: np.ndarray, uniform: np.ndarray | float) -> np.ndarray:
        largest = ordered[:, :1]
        return np.where(rank == 1, largest * (1 - uniform), largest + self.weight * (rank - 1 - uniform))


def set_metrics(sets: Any, labels: Any, alpha: float | None = None) -> dict[str, float]:
    """Return how often sets hold the label and how large they are, overall, for each class and for each size.

    Args:
        sets: Which classes are in the set of each example, bool `[n, classes]`.
        labels: Class indices `[n]`.
        alpha: The miscoverage that sets were made for.

    Returns:
        `coverage`, the share of sets that hold the label; `set_size`, the mean size; `empty` and `singleton`, the
        shares of sets of no and of one class; `worst_class_coverage`; `size_stratified_coverage`, the least coverage
        of sets of a like size (0 to 1, 2 to 3, 4 to 10, 11 to 100 and more classes; Angelopoulos 2021); with `alpha`
        `class_coverage_gap`, the mean over classes of how far their coverage is from `1 - alpha` (CovGap, Ding 2023);
        and for each class `k` among the labels `class_<k>/coverage` and `class_<k>/set_size`, of the examples of that
        class.

    Raises:
        InputError: The arrays are not that.

    Example:
        >>> set_metrics(predictor.predict_sets(test_probs), test_labels)["coverage"]
        0.903
    """
    sets = to_array(sets, "Sets", (2,), "[n, classes]")
    if sets.dtype != bool:
        raise InputError(f"Sets must be of dtype bool, got {sets.dtype}; pass the output of predict_sets.")
    if alpha is not None:
        check_number("alpha", alpha, 0, 1)
    labels = to_labels(labels, *sets.shape)
    sizes = sets.sum(axis=1)
    covered = sets[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=sets.shape[1])
    present = np.flatnonzero(counts)
    coverages = np.bincount(labels, covered, sets.shape[1])[present] / counts[present]
    mean_sizes = np.bincount(labels, sizes, sets.shape[1])[present] / counts[present]
    results = {
        "coverage": float(covered.mean()),
        "set_size": float(sizes.mean()),
        "empty": float((sizes == 0).mean()),
        "singleton": float((sizes == 1).mean()),
        "worst_class_coverage": float(coverages.min()),
        "size_stratified_coverage": least_coverage(covered, np.searchsorted(_STRATA, sizes, side="right")),
    }
    if alpha is not None:
        results["class_coverage_gap"] = float(np.abs(coverages - (1 - alpha)).mean())
    for k, coverage, size in zip(present, coverages, mean_sizes):
        results |= {f"class_{k}/coverage": float(coverage), f"class_{k}/set_size": float(size)}
    return results


def least_coverage(covered: np.ndarray, stratum: np.ndarray) -> float:
    """Return the least share of covered examples in a stratum; both `[n]`."""
    return float(min(covered[stratum == each].mean() for each in np.unique(stratum)))
