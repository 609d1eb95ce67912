"""Selective prediction: what is gained by answering only where the model is confident.

Examples are answered in the order of their uncertainty, the lowest first: one minus the largest probability, or another
uncertainty that the option `uncertainty` names and `add_batch` is given. Of examples with the same uncertainty, but for
rounding, none comes first: each counts as the mean of its group, so that no value depends on the order of the input.
`ties="input"` takes them in the order of the input, as torch-uncertainty.

`failure_detection` asks the same of in-distribution and OOD examples together, where to answer an OOD example is an
error as well: SCOD (Xia & Bouganis 2022) and FD-Shifts (Jaeger 2023).

Where they fail: AURC and AUGRC mix two things, how many errors there are and how well they are ordered. A more accurate
network wins with a useless order; `calibration_auc` is about the order alone, and in turn rewards a network that makes
more errors that are easy to see.
"""

from typing import Any, NamedTuple

import numpy as np

from uncertainty_suite.metrics import base
from uncertainty_suite.metrics.classification import MacroAUROC
from uncertainty_suite.metrics.ood import ranking_auroc

_TIES = ("mean", "input")
_CONVENTIONS = ("torch-uncertainty", "fd-shifts")


def _losses_in_order(uncertainty: np.ndarray, loss: np.ndarray, ties: str) -> np.ndarray:
    """Return the loss of each example, the least uncertain first."""
    if ties == "input":
        return loss[np.argsort(uncertainty, kind="stable")]
    groups = base.tie_groups(uncertainty)
    sizes = np.bincount(groups)
    return np.repeat(np.bincount(groups, loss) / sizes, sizes)


class Curve(NamedTuple):
    """A risk-coverage curve, each field `[batch]`: of the `i` least uncertain of `n` examples, for i from 1 to n.

    Attributes:
        coverage: Their share, `i / n`.
        risk: Their mean loss, the selective risk: the error rate.
        generalized_risk: The sum of their losses over `n`, risk times coverage: what is answered and wrong.
    """

    coverage: np.ndarray
    risk: np.ndarray
    generalized_risk: np.ndarray


def _curve(uncertainty: np.ndarray, loss: np.ndarray, ties: str) -> Curve:
    number = np.arange(1, len(loss) + 1)
    total = np.cumsum(_losses_in_order(uncertainty, loss, ties))
    return Curve(number / len(loss), total / number, total / len(loss))


def _area(values: np.ndarray) -> float:
    """Return the mean height of a curve at evenly spaced coverages, by trapezoids."""
    if len(values) == 1:
        return float(values[0])
    return float((values[:-1] + values[1:]).mean() / 2)


def _areas(uncertainty: np.ndarray, loss: np.ndarray, ties: str, convention: str) -> tuple[float, float]:
    """Return the areas under the selective and the generalised risk."""
    curve = _curve(uncertainty, loss, ties)
    if convention == "torch-uncertainty":
        return _area(curve.risk), _area(curve.generalized_risk)
    # From coverage 0 on, one point for each distinct uncertainty.
    last = np.cumsum(np.bincount(base.tie_groups(uncertainty))) - 1
    coverage, risk, generalized = (np.append(column[0], column[last]) for column in curve)
    coverage[0] = generalized[0] = 0.0
    risk[0] = risk[1]  # goes on as it is
    return float(np.trapezoid(risk, coverage)), float(np.trapezoid(generalized, coverage))


def _num_answered(num_examples: int, coverage: float) -> int:
    # 0.07 * 100 is 7.000000000000001, and means 7.
    return max(int(np.ceil(round(num_examples * coverage, 9))), 1)


class _SelectiveMetric(base.SortingMetric):
    paper = "Geifman & El-Yaniv 2017"

    def __init__(self, ties: str = "mean", uncertainty: str = base.MAX_PROB):
        base.check_choice("ties", ties, _TIES)
        self.ties = ties
        super().__init__(uncertainty)

    def keep(self, batch: base.Batch) -> tuple[np.ndarray, ...]:
        return self.sorted_by(batch), 1.0 - batch.correct


class _AreaMetric(_SelectiveMetric):
    def __init__(self, ties: str = "mean", convention: str = "torch-uncertainty", uncertainty: str = base.MAX_PROB):
        base.check_choice("convention", convention, _CONVENTIONS)
        self.convention = convention
        super().__init__(ties, uncertainty)


@base.REGISTRY.register
class AURC(_AreaMetric):
    """The area under the risk-coverage curve (Geifman & El-Yaniv 2017).

    By trapezoids over coverage `i / n`, i from 1 to n, divided by `1 - 1 / n`: the mean height of the curve, as in
    torch-uncertainty. For one example it is its error.

    Args:
        ties: How equal uncertainties count: `"mean"`, as the mean of their group; `"input"`, in the order of the input.
        convention: `"torch-uncertainty"`: coverage from `1 / n` on; `"fd-shifts"`: from 0 on, by one trapezoid for each
            distinct uncertainty; there it is multiplied by 1000.
        uncertainty: The name of the uncertainty to sort by.
    """

    name = "aurc"
    formula = "area under selective risk over coverage, i/n for i = 1..n, trapezoids / (1 - 1/n)"
    agrees = "torch-uncertainty (tied confidences: ties='input'); FD-Shifts (convention='fd-shifts')"

    def compute(self, uncertainty: np.ndarray, loss: np.ndarray) -> float:
        return _areas(uncertainty, loss, self.ties, self.convention)[0]


@base.REGISTRY.register
class ExcessAURC(_SelectiveMetric):
    """The AURC above the least that any confidence could reach at this accuracy (Geifman 2019).

    Args:
        ties: How equal uncertainties count: `"mean"`, as the mean of their group; `"input"`, in the order of the input.
        uncertainty: The name of the uncertainty to sort by.
    """

    name = "excess_aurc"
    formula = "aurc - aurc when all correct predictions come first"
    paper = "Geifman 2019"

    def compute(self, uncertainty: np.ndarray, loss: np.ndarray) -> float:
        best = _area(_curve(loss, loss, self.ties).risk)  # all correct predictions first
        return max(_area(_curve(uncertainty, loss, self.ties).risk) - best, 0.0)  # the best, but for rounding


@base.REGISTRY.register
class AUGRC(_AreaMetric):
    """The area under the generalised risk-coverage curve, of risk times coverage (Traub 2024); see `aurc`.

    Args:
        ties: How equal uncertainties count: `"mean"`, as the mean of their group; `"input"`, in the order of the input.
        convention: `"torch-uncertainty"`: coverage from `1 / n` on; `"fd-shifts"`: from 0 on, by one trapezoid for each
            distinct uncertainty; there it is multiplied by 1000.
        uncertainty: The name of the uncertainty to sort by.
    """

    name = "augrc"
    formula = "area under selective risk * coverage over coverage, as aurc"
    paper = "Traub 2024"
    agrees = "torch-uncertainty (tied confidences: ties='input'); FD-Shifts (convention='fd-shifts')"

    def compute(self, uncertainty: np.ndarray, loss: np.ndarray) -> float:
        return _areas(uncertainty, loss, self.ties, self.convention)[1]


@base.REGISTRY.register
class RiskAtCoverage(_SelectiveMetric):
    """The error rate of the `ceil(n * coverage)` most confident examples (Geifman & El-Yaniv 2017).

    Args:
        coverage: The share of examples to answer, above 0.
        ties: How equal uncertainties count: `"mean"`, as the mean of their group; `"input"`, in the order of the input.
        uncertainty: The name of the uncertainty to sort by.
    """

    name = "risk_at_coverage"
    formula = "error of the ceil(n c) most confident, c = 0.8"
    agrees = "torch-uncertainty (tied confidences: ties='input')"

    def __init__(self, coverage: float = 0.8, ties: str = "mean", uncertainty: str = base.MAX_PROB):
        base.check_number("coverage", coverage, 0, 1, at_high=True)
        self.coverage = coverage
        super().__init__(ties, uncertainty)

    def compute(self, uncertainty: np.ndarray, loss: np.ndarray) -> float:
        return float(_curve(uncertainty, loss, self.ties).risk[_num_answered(len(loss), self.coverage) - 1])


@base.REGISTRY.register
class AccuracyAtCoverage(RiskAtCoverage):
    """The accuracy of the `ceil(n * coverage)` most confident examples (Geifman & El-Yaniv 2017).

    Args:
        coverage: The share of examples to answer, above 0.
        ties: How equal uncertainties count: `"mean"`, as the mean of their group; `"input"`, in the order of the input.
        uncertainty: The name of the uncertainty to sort by.
    """

    name = "accuracy_at_coverage"
    formula = "accuracy of the ceil(n c) most confident, c = 0.8"
    higher_is_better = True
    agrees = "1 - risk_at_coverage"

    def compute(self, uncertainty: np.ndarray, loss: np.ndarray) -> float:
        return 1.0 - super().compute(uncertainty, loss)


@base.REGISTRY.register
class MacroAUROCAtCoverage(base.SortingMetric, MacroAUROC):
    """The `macro_auroc` of the `ceil(n * coverage)` most confident examples, the others being referred to an expert.

    A point of a clinic's referral curve (Leibig 2017, Band 2021). Examples as uncertain as the last one that is
    answered are answered, too.

    Args:
        coverage: The share of examples to answer, above 0.
        uncertainty: The name of the uncertainty to sort by.
    """

    name = "macro_auroc_at_coverage"
    formula = "macro_auroc of the ceil(n c) most confident, c = 0.8"
    paper = "Leibig 2017"

    def __init__(self, coverage: float = 0.8, uncertainty: str = base.MAX_PROB):
        base.check_number("coverage", coverage, 0, 1, at_high=True)
        self.coverage = coverage
        super().__init__(uncertainty)

    def keep(self, batch: base.Batch) -> tuple[np.ndarray, ...]:
        return self.sorted_by(batch), *super().keep(batch)

    def compute(self, *columns: Any, **unused: Any) -> float:
        uncertainty, probs, labels = columns
        groups = base.tie_groups(uncertainty)
        last = np.searchsorted(np.cumsum(np.bincount(groups)), _num_answered(len(groups), self.coverage))
        return super().compute(probs[groups <= last], labels[groups <= last])


@base.REGISTRY.register
class CoverageAtRisk(_SelectiveMetric):
    """The largest coverage whose error rate is at most `risk` (Geifman & El-Yaniv 2017).

    It is 0 where no coverage is that good; torch-uncertainty gives NaN there, and elsewhere too.

    Args:
        risk: The error rate allowed.
        ties: How equal uncertainties count: `"mean"`, as the mean of their group; `"input"`, in the order of the input.
        uncertainty: The name of the uncertainty to sort by.
    """

    name = "coverage_at_risk"
    formula = "largest i/n whose i most confident have error <= r, r = 0.05; 0 if none"
    higher_is_better = True
    agrees = "torch-uncertainty, wherever that gives a number"

    def __init__(self, risk: float = 0.05, ties: str = "mean", uncertainty: str = base.MAX_PROB):
        base.check_number("risk", risk, 0, 1, at_low=True, at_high=True)
        self.risk = risk
        super().__init__(ties, uncertainty)

    def compute(self, uncertainty: np.ndarray, loss: np.ndarray) -> float:
        curve = _curve(uncertainty, loss, self.ties)
        return float(
            curve.coverage[curve.risk <= self.risk + 1e-12].max(initial=0.0)
        )  # 3/10 is above 0.3 by a rounding


def risk_coverage_curve(
    probs: Any, labels: Any, confidence: Any = None, ties: str = "mean", uncertainty: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the risk-coverage curve (El-Yaniv & Wiener 2010, Geifman & El-Yaniv 2017).

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        confidence: What to sort by `[batch]`, higher is answered first; the largest probability by default.
        ties: How equal uncertainties count: `"mean"`, as the mean of their group; `"input"`, in the order of the input.
        uncertainty: What to sort by in place of a confidence `[batch]`, lower is answered first.

    Returns:
        Coverages `i / n` for i from 1 to n, and the error rates of the `i` most confident examples.

    Raises:
        InputError: The arrays or options are not that.
    """
    metric = AURC(ties)
    metric.add_batch(probs, labels, base.one_uncertainty(confidence, uncertainty))
    sorted_by, loss = metric.kept()
    curve = _curve(sorted_by, loss, ties)
    return curve.coverage, curve.risk


def _union(
    errors: Any, uncertainty: Any, is_ood: Any, ood_cost: float | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the checked uncertainty, loss and failure of each example."""
    scores = base.to_finite(uncertainty, "Uncertainties", (1,), "[batch]")
    wrong = base.to_bools(errors, "Errors", len(scores))
    outside = np.zeros(len(scores), bool) if is_ood is None else base.to_bools(is_ood, "is_ood", len(scores))
    failed = wrong | outside
    if ood_cost is None:
        return scores, failed.astype(np.float64), failed
    base.check_number("ood_cost", ood_cost, 0, 1, at_low=True, at_high=True)
    return scores, np.where(outside, ood_cost, (1 - ood_cost) * wrong), failed


def failure_curve(
    errors: Any, uncertainty: Any, is_ood: Any = None, ood_cost: float | None = None, ties: str = "mean"
) -> Curve:
    """Return the risk-coverage curve of in-distribution and OOD examples together; see `failure_detection`."""
    base.check_choice("ties", ties, _TIES)
    scores, loss, _ = _union(errors, uncertainty, is_ood, ood_cost)
    return _curve(scores, loss, ties)


def failure_detection(
    errors: Any,
    uncertainty: Any,
    is_ood: Any = None,
    ood_cost: float | None = None,
    ties: str = "mean",
    convention: str = "torch-uncertainty",
) -> dict[str, float]:
    """Return how well an uncertainty finds failures: errors, and OOD examples, none of which should be answered.

    Jaeger 2023 (FD-Shifts, https://arxiv.org/abs/2211.15259), Traub 2024 (AUGRC), Xia & Bouganis 2022 (SCOD).

    Args:
        errors: Whether each prediction is wrong, bool or 0 and 1, `[batch]`; of OOD examples it does not matter.
        uncertainty: Of each example `[batch]`, higher where less is known.
        is_ood: Whether each example is OOD, bool or 0 and 1, `[batch]`; None where none is.
        ood_cost: The loss of an OOD example that is answered, from 0 to 1; that of an error is one minus it. None: both
            are 1.
        ties: How equal uncertainties count: `"mean"`, as the mean of their group; `"input"`, in the order of the input.
        convention: As in `aurc`.

    Returns:
        `aurc` and `augrc`, the areas under the selective and the generalised risk over coverage, lower is better; and
        `auroc`, the probability that a failure has a higher uncertainty than a success, ties counting half, which is
        left out where there are only failures or only successes.

    Raises:
        InputError: The arrays or options are not that.

    Example:
        >>> errors = np.concatenate([probs.argmax(-1) != labels, np.zeros(len(ood), bool)])
        >>> failure_detection(errors, np.concatenate([inside, ood]), is_ood=np.arange(len(errors)) >= len(inside))
        {"aurc": 0.11, "augrc": 0.07, "auroc": 0.88}
    """
    base.check_choice("ties", ties, _TIES)
    base.check_choice("convention", convention, _CONVENTIONS)
    scores, loss, failed = _union(errors, uncertainty, is_ood, ood_cost)
    aurc, augrc = _areas(scores, loss, ties, convention)
    found = {"aurc": aurc, "augrc": augrc}
    if failed.any() and not failed.all():
        found["auroc"] = ranking_auroc(scores, failed)
    return found
