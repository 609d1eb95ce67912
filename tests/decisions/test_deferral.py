import itertools

import numpy as np
import pytest

from uncertainty_suite.decisions.deferral import expert_accuracy, team_accuracy


def test_the_expert_answers_what_is_deferred():
    correct = np.array([0, 1, 1, 0])
    order = np.array([0.9, 0.1, 0.2, 0.3])
    assert team_accuracy(correct, np.ones(4), order, [0, 0.25, 0.5, 1]) == [0.5, 0.75, 1.0, 1.0]
    # One who is worse than the network makes it worse.
    np.testing.assert_allclose(team_accuracy(correct, np.full(4, 0.2), order, [0, 0.25, 1]), [0.5, 0.55, 0.2])


def test_equal_values_are_deferred_in_all_orders():
    rng = np.random.default_rng(0)
    correct, expert = rng.integers(0, 2, 6), rng.random(6)
    order = np.array([1.0, 0.0, 1.0, 0.0, 0.0, 2.0])
    for count in range(7):
        seen = []
        for permutation in itertools.permutations(range(6)):
            deferred = sorted(permutation, key=lambda x: -order[x])[:count]  # stable
            seen.append(np.where(np.isin(np.arange(6), deferred), expert, correct).mean())
        assert team_accuracy(correct, expert, order, [count / 6])[0] == pytest.approx(np.mean(seen))


def test_people_are_right_as_often_as_they_gave_the_label():
    counts = np.array([[3, 1, 0], [0, 0, 5]])
    np.testing.assert_allclose(expert_accuracy(counts, np.array([0, 1])), [0.75, 0.0])
    nobody = np.zeros((1, 3), np.int64)
    np.testing.assert_allclose(
        expert_accuracy(np.concatenate([counts, nobody]), np.array([0, 1, 2])), [0.75, 0, np.nan]
    )
