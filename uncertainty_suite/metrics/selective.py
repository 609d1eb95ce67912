"""Selective prediction: what is gained by answering only where the model is confident.

Everywhere here examples are sorted by confidence, the largest probability, or by a confidence that the caller gives.
Of examples with the same confidence none comes first: each counts as the mean of its group, so that no value depends on
the order of the input. `ties="input"` takes them in the order of the input, as torch-uncertainty.
"""

from typing import Any

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics import base

_TIES = ("mean", "input")


def _errors_in_order(confidence: np.ndarray, correct: np.ndarray, ties: str) -> np.ndarray:
    """Return the error of each example, the most confident first."""
    order = np.argsort(-confidence, kind="stable")
    errors = 1.0 - correct[order]
    if ties == "input":
        return errors
    _, group = np.unique(-confidence[order], return_inverse=True)
    return (np.bincount(group, errors) / np.bincount(group))[group]


def _curve(confidence: np.ndarray, correct: np.ndarray, ties: str) -> tuple[np.ndarray, np.ndarray]:
    """Return coverages `i / n` and selective risks, for i from 1 to n."""
    number = np.arange(1, len(confidence) + 1)
    return number / len(confidence), np.cumsum(_errors_in_order(confidence, correct, ties)) / number


def _area(values: np.ndarray) -> float:
    """Return the mean height of a curve at evenly spaced coverages, by trapezoids."""
    if len(values) == 1:
        return float(values[0])
    return float((values[:-1] + values[1:]).mean() / 2)


class _SelectiveMetric(base.WholeSetMetric):
    paper = "Geifman & El-Yaniv 2017"
    more_arrays = ("confidence",)

    def __init__(self, ties: str = "mean"):
        base.check_choice("ties", ties, _TIES)
        self.ties = ties
        super().__init__()

    def keep(self, batch: base.Batch) -> tuple[np.ndarray, ...]:
        return batch.confidence, batch.correct

    def of(self, **arrays: Any) -> float:
        confidence = arrays.pop("confidence", None)
        if confidence is None:
            return super().of(**arrays)
        return self.compute(*_columns(confidence=confidence, **arrays))


@base.REGISTRY.register
class AURC(_SelectiveMetric):
    """The area under the risk-coverage curve (Geifman & El-Yaniv 2017).

    By trapezoids over coverage `i / n`, i from 1 to n, divided by `1 - 1 / n`: the mean height of the curve, as in
    torch-uncertainty. For one example it is its error.

    Args:
        ties: How equal confidences count: `"mean"`, as the mean of their group; `"input"`, in the order of the input.
    """

    name = "aurc"
    formula = "area under selective risk over coverage, i/n for i = 1..n, trapezoids / (1 - 1/n)"
    agrees = "torch-uncertainty (tied confidences: ties='input')"

    def compute(self, confidence: np.ndarray, correct: np.ndarray) -> float:
        return _area(_curve(confidence, correct, self.ties)[1])


@base.REGISTRY.register
class ExcessAURC(_SelectiveMetric):
    """The AURC above the least that any confidence could reach at this accuracy (Geifman 2019).

    Args:
        ties: How equal confidences count: `"mean"`, as the mean of their group; `"input"`, in the order of the input.
    """

    name = "excess_aurc"
    formula = "aurc - aurc when all correct predictions come first"
    paper = "Geifman 2019"

    def compute(self, confidence: np.ndarray, correct: np.ndarray) -> float:
        best = _area(_curve(-np.arange(len(correct)), np.sort(correct)[::-1], "input")[1])
        return max(_area(_curve(confidence, correct, self.ties)[1]) - best, 0.0)  # the best, but for rounding


@base.REGISTRY.register
class AUGRC(_SelectiveMetric):
    """The area under the generalised risk-coverage curve, of risk times coverage (Traub 2024); see `aurc`.

    Args:
        ties: How equal confidences count: `"mean"`, as the mean of their group; `"input"`, in the order of the input.
    """

    name = "augrc"
    formula = "area under selective risk * coverage over coverage, as aurc"
    paper = "Traub 2024"
    agrees = "torch-uncertainty (tied confidences: ties='input')"

    def compute(self, confidence: np.ndarray, correct: np.ndarray) -> float:
        coverage, risk = _curve(confidence, correct, self.ties)
        return _area(coverage * risk)


@base.REGISTRY.register
class RiskAtCoverage(_SelectiveMetric):
    """The error rate of the `ceil(n * coverage)` most confident examples (Geifman & El-Yaniv 2017).

    Args:
        ties: How equal confidences count: `"mean"`, as the mean of their group; `"input"`, in the order of the input.
        coverage: The share of examples to answer, above 0.
    """

    name = "risk_at_coverage"
    formula = "error of the ceil(n c) most confident, c = 0.8"
    agrees = "torch-uncertainty (tied confidences: ties='input')"

    def __init__(self, coverage: float = 0.8, ties: str = "mean"):
        base.check_number("coverage", coverage, 0, 1, at_high=True)
        self.coverage = coverage
        super().__init__(ties)

    def compute(self, confidence: np.ndarray, correct: np.ndarray) -> float:
        # 0.07 * 100 is 7.000000000000001, and means 7.
        answered = int(np.ceil(round(len(correct) * self.coverage, 9)))
        return float(_curve(confidence, correct, self.ties)[1][max(answered, 1) - 1])


@base.REGISTRY.register
class AccuracyAtCoverage(RiskAtCoverage):
    """The accuracy of the `ceil(n * coverage)` most confident examples (Geifman & El-Yaniv 2017).

    Args:
        ties: How equal confidences count: `"mean"`, as the mean of their group; `"input"`, in the order of the input.
        coverage: The share of examples to answer, above 0.
    """

    name = "accuracy_at_coverage"
    formula = "accuracy of the ceil(n c) most confident, c = 0.8"
    higher_is_better = True
    agrees = "1 - risk_at_coverage"

    def compute(self, confidence: np.ndarray, correct: np.ndarray) -> float:
        return 1.0 - super().compute(confidence, correct)


@base.REGISTRY.register
class CoverageAtRisk(_SelectiveMetric):
    """The largest coverage whose error rate is at most `risk` (Geifman & El-Yaniv 2017).

    It is 0 where no coverage is that good; torch-uncertainty gives NaN there, and elsewhere too.

    Args:
        ties: How equal confidences count: `"mean"`, as the mean of their group; `"input"`, in the order of the input.
        risk: The error rate allowed.
    """

    name = "coverage_at_risk"
    formula = "largest i/n whose i most confident have error <= r, r = 0.05; 0 if none"
    higher_is_better = True
    agrees = "torch-uncertainty, wherever that gives a number"

    def __init__(self, risk: float = 0.05, ties: str = "mean"):
        base.check_number("risk", risk, 0, 1, at_low=True, at_high=True)
        self.risk = risk
        super().__init__(ties)

    def compute(self, confidence: np.ndarray, correct: np.ndarray) -> float:
        coverage, risk = _curve(confidence, correct, self.ties)
        return float(coverage[risk <= self.risk + 1e-12].max(initial=0.0))  # 3/10 is above 0.3 by a rounding


def _columns(probs: Any, labels: Any, confidence: Any) -> tuple[np.ndarray, np.ndarray]:
    batch = base.labelled_batch(probs, labels)
    if confidence is None:
        return batch.confidence, batch.correct
    given = base.to_finite(confidence, "Confidences", (1,), "[batch]")
    if len(given) != len(batch.rows):
        raise InputError(f"{len(batch.rows)} predictions but {len(given)} confidences; pass one for each prediction.")
    return given, batch.correct


def risk_coverage_curve(
    probs: Any, labels: Any, confidence: Any = None, ties: str = "mean"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the risk-coverage curve (El-Yaniv & Wiener 2010, Geifman & El-Yaniv 2017).

    Args:
        probs: Class probabilities `[batch, classes]` or `[samples, batch, classes]` (averaged over samples).
        labels: Class indices `[batch]`.
        confidence: What to sort by `[batch]`, higher is answered first; the largest probability by default.
        ties: How equal confidences count: `"mean"`, as the mean of their group; `"input"`, in the order of the input.

    Returns:
        Coverages `i / n` for i from 1 to n, and the error rates of the `i` most confident examples.

    Raises:
        InputError: The arrays or options are not that.
    """
    base.check_choice("ties", ties, _TIES)
    return _curve(*_columns(probs, labels, confidence), ties)
