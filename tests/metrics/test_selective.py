"""Selective prediction, by hand and by slow formulas."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uncertainty_suite import metrics
from uncertainty_suite.errors import InputError


def predictions(confidence: list[float], correct: list[int]) -> tuple[np.ndarray, np.ndarray]:
    confidence = np.array(confidence)
    return np.stack([confidence, 1 - confidence], axis=1), 1 - np.array(correct)


CONFIDENCE, CORRECT = [0.95, 0.9, 0.8, 0.7, 0.6], [1, 1, 0, 1, 0]


def test_the_curve_by_hand() -> None:
    coverage, risk = metrics.risk_coverage_curve(*predictions(CONFIDENCE, CORRECT))
    np.testing.assert_allclose(coverage, [0.2, 0.4, 0.6, 0.8, 1.0])
    np.testing.assert_allclose(risk, [0, 0, 1 / 3, 1 / 4, 2 / 5])


def test_areas_by_hand() -> None:
    data = predictions(CONFIDENCE, CORRECT)
    assert metrics.aurc(*data) == pytest.approx((0 + 0 + 1 / 3 + 1 / 4 + 0.2) / 4)
    assert metrics.augrc(*data) == pytest.approx((0 + 0 + 0.2 + 0.2 + 0.2) / 4)
    best = (0 + 0 + 0 + 1 / 4 + 0.2) / 4
    assert metrics.excess_aurc(*data) == pytest.approx(metrics.aurc(*data) - best)


def test_points_of_the_curve() -> None:
    data = predictions(CONFIDENCE, CORRECT)
    assert metrics.risk_at_coverage(*data, coverage=0.6) == pytest.approx(1 / 3)
    assert metrics.risk_at_coverage(*data, coverage=0.61) == pytest.approx(1 / 4)
    assert metrics.accuracy_at_coverage(*data, coverage=0.4) == 1
    assert metrics.coverage_at_risk(*data, risk=0.3) == 0.8
    assert metrics.coverage_at_risk(*data, risk=0.0) == 0.4
    assert metrics.coverage_at_risk(*predictions([0.9, 0.8], [0, 0]), risk=0.5) == 0


@given(st.lists(st.tuples(st.sampled_from([0.6, 0.7, 0.8]), st.booleans()), min_size=1, max_size=6))
def test_ties_count_as_the_mean_over_all_orders(examples: list[tuple[float, bool]]) -> None:
    orders = [predictions(*zip(*order)) for order in itertools.permutations(examples)]
    for function in (metrics.aurc, metrics.augrc):
        by_order = [function(probs, labels.astype(int), ties="input") for probs, labels in orders]
        probs, labels = orders[0]
        assert function(probs, labels.astype(int)) == pytest.approx(np.mean(by_order))


@given(st.integers(0, 2**32 - 1))
def test_the_best_order_has_no_excess(seed: int) -> None:
    correct = np.random.default_rng(seed).random(30) < 0.6
    probs, labels = predictions([0.6] * 30, correct)
    best = metrics.excess_aurc(probs, labels.astype(int), confidence=correct)
    assert best == pytest.approx(0, abs=1e-12)
    assert metrics.excess_aurc(probs, labels.astype(int), confidence=~correct) >= best


def test_one_example() -> None:
    assert metrics.aurc([[0.9, 0.1]], [1]) == 1
    assert metrics.augrc([[0.9, 0.1]], [0]) == 0


def test_bad_options_are_refused() -> None:
    data = predictions(CONFIDENCE, CORRECT)
    with pytest.raises(InputError, match="coverage=0 is not allowed; expected a number above 0 and at most 1"):
        metrics.risk_at_coverage(*data, coverage=0)
    with pytest.raises(InputError, match="5 predictions but 2 confidences"):
        metrics.aurc(*data, confidence=[0.1, 0.2])
    with pytest.raises(InputError, match="ties='first' is not allowed"):
        metrics.aurc(*data, ties="first")
