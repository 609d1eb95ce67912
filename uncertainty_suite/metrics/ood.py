"""Out-of-distribution detection: how well a score, higher for OOD, tells OOD from in-distribution.

`add_batch` takes the scores `[batch]` and, as labels, whether each example is OOD. All of it counts tied scores as
tied: no value depends on the order of the examples. Scores also tie where they differ by less than 1e-12 of their size,
so that one that is constant but for rounding has an AUROC of 0.5.

Give scores in float64. `1 - p_max` of float32 probabilities is a multiple of 6e-8, so `p_max` of 1 - 1e-9 and of
1 - 1e-12 tie by their nature; `log(1 - p_max)`, made of logits by log-sum-exp over the other classes, keeps them apart.

Where they fail: an AUROC is about the order alone. It is the same whatever the scores' scale, so it says nothing of a
threshold that will hold tomorrow, nor of how sure a network is on OOD inputs; AUPR changes with the share of OOD
examples. And each value is about one OOD set: no score is the best on all of them.
"""

from typing import Any, ClassVar

import numpy as np

from uncertainty_suite.metrics import base


def ranking_counts(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many positives and negatives score at least each distinct score, from the highest score down.

    Scores that differ by rounding only (see `base.differ`) are one.
    """
    order = np.argsort(-scores, kind="stable")
    scores, positive = scores[order], positive[order]
    last_of_tie = np.append(base.differ(scores[1:], scores[:-1]), True)
    true_positives = np.cumsum(positive, dtype=np.int64)[last_of_tie]
    return true_positives, np.flatnonzero(last_of_tie) + 1 - true_positives


def ranking_auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the probability that a positive scores higher than a negative, ties counting half."""
    true_positives, false_positives = ranking_counts(scores, positive)
    above = np.append(0, true_positives[:-1])
    won = (np.diff(false_positives, prepend=0) * (above + true_positives)).sum() / 2
    return float(won / (int(true_positives[-1]) * int(false_positives[-1])))


def ranking_average_precision(scores: np.ndarray, positive: np.ndarray, interpolation: str = "step") -> float:
    """Return the area under the precision-recall curve, by steps (the average precision) or trapezoids."""
    true_positives, false_positives = ranking_counts(scores, positive)
    precision = true_positives / (true_positives + false_positives)
    if interpolation == "trapezoid":
        precision = (precision + np.append(1.0, precision[:-1])) / 2
    # Divided last, so that a perfect ranking gives 1 and no rounding above it.
    # Not a dot product: BLAS sums in another order when it has other threads, and evaluation must repeat bit for bit.
    return float((np.diff(true_positives, prepend=0) * precision).sum() / true_positives[-1])


class ScoreBatch:
    """Checked scores `[batch]` and, as labels, what each example is: 0 in-distribution, 1 OOD."""

    num_kinds = 2

    def __init__(self, scores: Any, label: Any):
        self.scores = base.to_finite(scores, "Scores", (1,), "[batch]").copy()
        self.kinds = base.to_labels(label, len(self.scores), self.num_kinds).copy()


class OutcomeBatch(ScoreBatch):
    """Checked scores `[batch]` and what became of each example: 0 misclassified, 1 classified, 2 OOD."""

    num_kinds = 3


class _OODMetric(base.WholeSetMetric):
    batch_type = ScoreBatch
    higher_is_better = True
    paper = "Hendrycks & Gimpel 2017"
    likelihoods = ()
    needs = ("labels", "uncertainty")
    arrays: ClassVar[tuple[str, ...]] = ("scores_in", "scores_out")

    @classmethod
    def joined(cls, **arrays: Any) -> tuple[Any, Any]:
        inside = base.to_finite(arrays["scores_in"], "Scores of in-distribution examples", (1,), "[batch]")
        outside = base.to_finite(arrays["scores_out"], "Scores of OOD examples", (1,), "[batch]")
        kinds = np.zeros(len(inside), np.int64)
        if "correct" in arrays:
            kinds = base.to_bools(arrays["correct"], "Correctness", len(inside)).astype(np.int64)
        ood = np.full(len(outside), cls.batch_type.num_kinds - 1)
        return np.concatenate([inside, outside]), np.concatenate([kinds, ood])

    def keep(self, batch: ScoreBatch) -> tuple[np.ndarray, ...]:
        return batch.scores, batch.kinds == batch.num_kinds - 1

    def result(self) -> dict[str, float]:
        seen = {bool(value) for _, is_ood, *_ in self._kept for value in np.unique(is_ood)}
        if len(seen) == 1:
            missing = "in-distribution" if seen == {True} else "OOD"
            raise self._no_value(f"it has seen no {missing} example, and needs some of both kinds")
        return super().result()


@base.REGISTRY.register
class AUROC(_OODMetric):
    """The area under the ROC curve (Hendrycks & Gimpel 2017): `P(out > in) + P(out = in) / 2`."""

    name = "auroc"
    formula = "P(score of OOD > score of in) + P(equal) / 2"
    agrees = "Robustness Metrics, scikit-learn, SciPy (Mann-Whitney U)"

    def compute(self, scores: np.ndarray, is_ood: np.ndarray) -> float:
        return ranking_auroc(scores, is_ood)


class _AUPR(_OODMetric):
    def __init__(self, interpolation: str = "step"):
        base.check_choice("interpolation", interpolation, ("step", "trapezoid"))
        self.interpolation = interpolation
        super().__init__()


@base.REGISTRY.register
class AUPROut(_AUPR):
    """The area under the precision-recall curve with OOD as the positive class (Hendrycks & Gimpel 2017).

    Args:
        interpolation: `"step"`, the average precision, as scikit-learn and Robustness Metrics; `"trapezoid"` joins the
            points by lines, which is optimistic.
    """

    name = "aupr_out"
    formula = "sum_t (R_t - R_{t-1}) P_t, OOD positive"
    agrees = "Robustness Metrics, scikit-learn (average precision)"

    def compute(self, scores: np.ndarray, is_ood: np.ndarray) -> float:
        return ranking_average_precision(scores, is_ood, self.interpolation)


@base.REGISTRY.register
class AUPRIn(_AUPR):
    """The area under the precision-recall curve with in-distribution as the positive class, scores negated.

    Args:
        interpolation: As in `aupr_out`.
    """

    name = "aupr_in"
    formula = "sum_t (R_t - R_{t-1}) P_t, in-distribution positive, score negated"
    agrees = "Robustness Metrics, scikit-learn (average precision)"

    def compute(self, scores: np.ndarray, is_ood: np.ndarray) -> float:
        return ranking_average_precision(-scores, ~is_ood, self.interpolation)


@base.REGISTRY.register
class FPRAtTPR(_OODMetric):
    """The false positive rate where the true positive rate reaches `tpr`, with OOD as the positive class.

    It is the share of in-distribution examples that raise a false alarm where the share `tpr` of OOD examples is found
    (Hendrycks 2019, https://arxiv.org/abs/1812.04606). Liang 2018 (ODIN, https://arxiv.org/abs/1706.02690) asks the
    other way round, `positive="in"`: the share of OOD examples that pass as in-distribution where the share `tpr` of
    in-distribution examples is kept. OpenOOD, too, has the latter under this name.

    Args:
        tpr: The share of positive examples that must be found.
        cutoff: `"first"` point of the ROC curve with at least that share, as scikit-learn and Robustness Metrics, or
            the `"nearest"`, as torch-uncertainty.
        positive: The positive class: `"ood"` or `"in"`. The error is that of the other one.
    """

    name = "fpr95"
    formula = "share of in with score >= t, t the highest that finds a share tpr (0.95) of OOD"
    higher_is_better = False
    paper = "Hendrycks 2019 (Liang 2018: positive='in')"
    agrees = "Robustness Metrics, scikit-learn (first ROC point at the level)"

    def __init__(self, tpr: float = 0.95, cutoff: str = "first", positive: str = "ood"):
        base.check_number("tpr", tpr, 0, 1, at_low=True, at_high=True)
        base.check_choice("positive", positive, ("ood", "in"))
        base.check_choice("cutoff", cutoff, ("first", "nearest"))
        self.tpr, self.positive, self.cutoff = tpr, positive, cutoff
        super().__init__()

    def compute(self, scores: np.ndarray, is_ood: np.ndarray) -> float:
        found = (scores, is_ood) if self.positive == "ood" else (-scores, ~is_ood)
        true_positives, false_positives = ranking_counts(*found)
        # Rounded, for 0.95 may be a rounding away from 570 / 600.
        distance = np.round(true_positives / true_positives[-1] - self.tpr, 12)
        if self.cutoff == "first":
            point = np.argmax(distance >= 0)
        else:  # the higher of two that are equally near
            point = np.flatnonzero(np.abs(distance) == np.abs(distance).min())[-1]
        return float(false_positives[point] / false_positives[-1])


@base.REGISTRY.register
class OSCR(_OODMetric):
    """The area under the open-set classification rate curve (Dhamija 2018).

    For each threshold of the score, the share of in-distribution examples that are accepted and correctly classified,
    over the share of OOD ones that are accepted; ties count half. With every example classified it is the AUROC. The
    labels of `add_batch` are 0 for a misclassified example, 1 for a classified one, 2 for an OOD one.
    """

    name = "oscr"
    formula = "area under the rate of correctly classified knowns over the FPR of unknowns"
    paper = "Dhamija 2018"
    agrees = "none (tested against the definition)"
    batch_type = OutcomeBatch
    arrays = ("scores_in", "scores_out", "correct")

    def keep(self, batch: ScoreBatch) -> tuple[np.ndarray, ...]:
        return *super().keep(batch), batch.kinds == 1

    def compute(self, scores: np.ndarray, is_ood: np.ndarray, classified: np.ndarray) -> float:
        if not classified.any():
            return 0.0
        # Only classified examples count on the vertical axis, so the area is their share times their AUROC.
        share = classified.sum() / (~is_ood).sum()
        return float(share * ranking_auroc(scores[classified | is_ood], is_ood[classified | is_ood]))
