"""Leaving decisions to an expert: how good a network and an expert are together, under a budget."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def team_accuracy(
    correct: np.ndarray, expert: np.ndarray, order_by: np.ndarray, budgets: Sequence[float]
) -> list[float]:
    """Return the share of right answers when the expert answers a share of the examples, for each such share.

    Args:
        correct: Whether the network is right, `[n]`.
        expert: The probability that the expert is, `[n]`.
        order_by: The examples with the highest values are deferred first, `[n]`. Where the budget ends among equal
            values, each of these is deferred with the same probability.
        budgets: Shares of the examples, each in [0, 1].

    Example:
        >>> team_accuracy(np.array([0, 1, 1, 0]), np.ones(4), np.array([0.9, 0.1, 0.2, 0.3]), [0.0, 0.25, 0.5])
        [0.5, 0.75, 1.0]
    """
    order = np.argsort(-order_by, kind="stable")
    gains = (np.asarray(expert, float) - correct)[order]
    _, first, sizes = np.unique(-order_by[order], return_index=True, return_counts=True)
    gains = np.repeat(np.add.reduceat(gains, first) / sizes, sizes)  # of equal values the mean
    after = np.concatenate([[0.0], gains.cumsum()])
    spent = np.asarray(budgets, float) * len(correct)
    total = np.sum(correct) + np.interp(spent, np.arange(len(correct) + 1), after)
    return (total / len(correct)).tolist()


def expert_accuracy(counts: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the probability that one of the people who labelled an example gave it its label, `[n]`; NaN without any.

    Args:
        counts: How many people gave each label, `[n, classes]`.
        labels: `[n]`.
    """
    totals = counts.sum(axis=1)
    return np.where(totals > 0, counts[np.arange(len(labels)), labels] / np.maximum(totals, 1), np.nan)
