"""The statistics on simulated data whose truth is known: intervals cover, tests keep their level, groups are right."""

import numpy as np
import pytest
import scipy.stats

from uncertainty_suite.leaderboard import statistics

TRIALS = 600
# Three standard deviations of a proportion of 5 % in so many trials.
SLACK = 3 * (0.05 * 0.95 / TRIALS) ** 0.5


def scores(generator, num_methods, num_seeds, num_examples, seed_sd, example_sd, both_sd, shift=0.0):
    """Draw `[seeds, examples]` of each method: effects of the seed, of the example (mostly shared) and of both."""
    shared = generator.normal(0, 1, num_examples)
    return [
        method * shift
        + shared
        + generator.normal(0, seed_sd, (num_seeds, 1))
        + generator.normal(0, example_sd, num_examples)
        + generator.normal(0, both_sd, (num_seeds, num_examples))
        for method in range(num_methods)
    ]


def compared(drawn):
    return statistics.compare([of_one.mean(axis=1) for of_one in drawn], drawn)


def test_the_t_interval_is_scipys_and_covers():
    generator = np.random.default_rng(0)
    draws = generator.normal(3, 2, (2000, 4))
    low, high = statistics.t_interval(draws[0])
    expected = scipy.stats.t.interval(0.95, 3, draws[0].mean(), scipy.stats.sem(draws[0]))
    np.testing.assert_allclose((low, high), expected)
    covers = np.mean([low <= 3 <= high for low, high in map(statistics.t_interval, draws)])
    assert abs(covers - 0.95) < 0.015  # with 1.96 for the t quantile it is 0.86, with ddof=0 it is 0.92
    assert statistics.t_interval([0.5]) is None


def test_bootstrap_intervals_cover_and_are_seeded():
    generator = np.random.default_rng(0)
    draws = generator.exponential(2, (300, 150))
    ends = [statistics.bootstrap_interval(row, num_resamples=300, seed=i) for i, row in enumerate(draws)]
    covers = np.mean([low <= 2 <= high for low, high in ends])
    assert 0.90 < covers < 0.975
    again = statistics.bootstrap_interval(draws[0], num_resamples=300, seed=0)
    assert again == ends[0] != statistics.bootstrap_interval(draws[0], num_resamples=300, seed=1)


def test_bootstrap_of_rows_uses_the_same_draws():
    generator = np.random.default_rng(0)
    first = generator.normal(size=200)
    second = first + 1
    together = np.stack([first, second, second - first])
    low, high = statistics.bootstrap_interval(together)
    np.testing.assert_allclose([low[1] - low[0], high[1] - high[0]], 1, atol=1e-5)
    np.testing.assert_allclose([low[2], high[2]], 1, atol=1e-5)  # a constant difference has no spread


def test_the_weights_of_a_resample_sum_to_one():
    chunks = np.concatenate(list(statistics.resamples(7, 250)))
    assert chunks.shape == (250, 7)
    np.testing.assert_allclose(chunks.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(chunks.mean(axis=0), 1 / 7, atol=0.02)


@pytest.mark.parametrize(
    ("num_seeds", "seed_sd", "example_sd", "both_sd"),
    [(1, 0, 0.5, 0.5), (2, 0.2, 0.3, 0.3), (3, 0, 0.5, 0.5), (3, 0.05, 0.5, 0.5), (3, 0.2, 0.3, 0.3), (5, 0.1, 0.3, 1)],
)
def test_the_paired_test_keeps_its_level(num_seeds, seed_sd, example_sd, both_sd):
    generator = np.random.default_rng(1)
    rejected = [
        compared(scores(generator, 2, num_seeds, 120, seed_sd, example_sd, both_sd)).p[0, 1] < 0.05
        for _ in range(TRIALS)
    ]
    assert np.mean(rejected) < 0.05 + SLACK


def test_the_variance_of_a_difference_is_the_true_one():
    """What seed and example do together is in both other terms: counted twice it would be 1.7 of the truth."""
    generator = np.random.default_rng(4)
    estimates = [compared(scores(generator, 2, 5, 120, 0, 0.3, 1)).standard_error[0, 1] ** 2 for _ in range(TRIALS)]
    truth = 2 * (0.3**2 / 120 + 1 / (5 * 120))
    assert 0.95 < np.mean(estimates) / truth < 1.25  # above 1, for it is at least each of its parts


def test_tests_that_forget_a_source_of_luck_do_not_keep_it():
    """What `compare` would be without its seed term: the test of this file must be able to fail."""
    generator = np.random.default_rng(1)
    wrong = []
    for _ in range(TRIALS):
        first, second = scores(generator, 2, 3, 120, 0.2, 0.3, 0.3)
        wrong.append(scipy.stats.ttest_rel(first.mean(axis=0), second.mean(axis=0)).pvalue < 0.05)
    assert np.mean(wrong) > 0.3


def test_the_paired_interval_covers_and_finds_more_than_seeds_alone():
    generator = np.random.default_rng(2)
    covers, found, found_by_seeds = [], [], []
    for _ in range(TRIALS):
        drawn = scores(generator, 2, 3, 120, 0.05, 0.3, 0.3, shift=0.2)
        comparison = compared(drawn)
        low, high = comparison.interval()
        covers.append(low[1, 0] <= 0.2 <= high[1, 0])
        found.append(comparison.p[0, 1] < 0.05)
        found_by_seeds.append(statistics.compare([of_one.mean(axis=1) for of_one in drawn]).p[0, 1] < 0.05)
    assert np.mean(covers) > 0.95 - SLACK
    assert np.mean(found) > 0.7
    # Seeds alone know nothing of the examples' luck: they find more, and are wrong more often than 5 %.
    wrong = [
        statistics.compare([x.mean(axis=1) for x in scores(generator, 2, 3, 120, 0.01, 0.5, 0.1)]).p[0, 1] < 0.05
        for _ in range(TRIALS)
    ]
    assert np.mean(wrong) > 0.2


def folds(generator, num_methods, num_folds, fold_sd, own_sd, shift=0.0):
    """Draw a metric by fold of each method: effects of the fold, which all methods share, and of both together."""
    shared = generator.normal(0, fold_sd, num_folds)
    draws = [method * shift + shared + generator.normal(0, own_sd, num_folds) for method in range(num_methods)]
    return [dict(enumerate(of_one)) for of_one in draws]


def test_folds_are_compared_by_the_paired_t_test():
    generator = np.random.default_rng(0)
    first, second, third = folds(generator, 3, 8, 1, 0.3)
    del second[2], third[5]
    comparison = statistics.compare_folds([first, second, third])
    shared = [[of_one[fold] for fold in (0, 1, 3, 4, 6, 7)] for of_one in (second, third)]
    expected = scipy.stats.ttest_rel(*shared)
    np.testing.assert_allclose(comparison.p[1, 2], expected.pvalue)
    np.testing.assert_allclose(comparison.p, comparison.p.T)
    np.testing.assert_allclose(comparison.difference[2, 1], np.mean(shared[1]) - np.mean(shared[0]))
    interval = expected.confidence_interval()
    np.testing.assert_allclose([end[1, 2] for end in comparison.interval()], [interval.low, interval.high])


@pytest.mark.parametrize(("num_folds", "fold_sd", "own_sd"), [(2, 1, 1), (5, 2, 0.1), (20, 1, 0.3)])
def test_the_test_over_folds_keeps_its_level(num_folds, fold_sd, own_sd):
    generator = np.random.default_rng(5)
    drawn = [folds(generator, 2, num_folds, fold_sd, own_sd) for _ in range(TRIALS)]
    assert abs(np.mean([statistics.compare_folds(one).p[0, 1] < 0.05 for one in drawn]) - 0.05) < SLACK


def test_pairs_of_folds_find_what_differs_by_less_than_folds_do():
    generator = np.random.default_rng(6)
    drawn = [folds(generator, 2, 20, 2, 0.3, shift=0.3) for _ in range(200)]
    found = [statistics.compare_folds(one).p[0, 1] < 0.05 for one in drawn]
    unpaired = [statistics.compare([list(of_one.values()) for of_one in one]).p[0, 1] < 0.05 for one in drawn]
    assert np.mean(found) > 0.7
    assert np.mean(unpaired) < 0.05
    low, high = np.transpose([[end[1, 0] for end in statistics.compare_folds(one).interval()] for one in drawn])
    assert abs(np.mean((low <= 0.3) & (high >= 0.3)) - 0.95) < 3 * (0.05 * 0.95 / 200) ** 0.5


def test_fewer_than_two_folds_in_common_are_not_tested():
    comparison = statistics.compare_folds([{0: 1.0, 1: 2.0}, {1: 2.5, 2: 3.0}, {5: 1.0}])
    assert np.isnan(comparison.p[0, 1])
    assert comparison.difference[1, 0] == 0.5
    assert np.isnan(comparison.difference[0, 2])
    np.testing.assert_allclose(np.diag(comparison.p), 1)


def test_folds_without_spread_are_equal_or_different():
    comparison = statistics.compare_folds([{0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0}, {0: 1.5, 1: 2.5}])
    np.testing.assert_allclose(comparison.p[0], [1, 1, 0])


def test_without_scores_it_is_welchs_test():
    generator = np.random.default_rng(0)
    first, second = generator.normal(0, 1, 4), generator.normal(1, 3, 6)
    comparison = statistics.compare([first, second])
    expected = scipy.stats.ttest_ind(first, second, equal_var=False)
    np.testing.assert_allclose(comparison.p, [[1, expected.pvalue], [expected.pvalue, 1]])
    interval = expected.confidence_interval()
    np.testing.assert_allclose([end[0, 1] for end in comparison.interval()], [interval.low, interval.high])


def test_one_seed_with_scores_is_the_paired_t_test():
    generator = np.random.default_rng(0)
    first, second = generator.normal(0, 1, (2, 1, 50))
    expected = scipy.stats.ttest_rel(first[0], second[0]).pvalue
    np.testing.assert_allclose(compared([first, second]).p[0, 1], expected)


def test_one_seed_without_scores_is_not_tested():
    p = statistics.compare([[0.1], [0.2, 0.3], [0.3, 0.5]]).p
    assert np.isnan(p[0, 1])
    assert np.isnan(p[2, 0])
    assert 0 < p[1, 2] < 1


def test_equal_scores_are_equal_and_constant_differences_are_differences():
    same = np.ones((3, 10))
    assert compared([same, same]).p[0, 1] == 1
    assert statistics.compare([[0.5, 0.5], [0.6, 0.6]]).p[0, 1] == 0


def test_holm_by_hand():
    # Holm's own steps: 4 x 0.01, 3 x 0.02, 2 x 0.03, and 1 x 0.04 not below the one before.
    np.testing.assert_allclose(
        statistics.holm(np.array([0.03, 0.01, np.nan, 0.04, 0.02])), [0.06, 0.04, np.nan, 0.06, 0.06]
    )
    np.testing.assert_allclose(statistics.holm(np.array([0.9, 0.8])), [1, 1])
    assert statistics.holm(np.array([])).shape == (0,)


def test_no_equal_method_is_told_from_the_best_more_often_than_the_level_allows():
    generator = np.random.default_rng(3)
    wrong, too_few = [], []
    for _ in range(2000):
        drawn = list(generator.normal(0, 1, (4, 25)))
        p = statistics.compare(drawn).p
        best = np.argmax([of_one.mean() for of_one in drawn])
        others = np.arange(4) != best
        wrong.append((statistics.holm_pairs(p)[best] < 0.05).any())
        too_few.append((statistics.holm(p[best, others]) < 0.05).any())
    assert np.mean(wrong) < 0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5
    assert np.mean(too_few) > 0.06  # what a correction for the comparisons with the best alone would do


def test_average_ranks_are_scipys():
    values = np.array([[0.1, 0.3, 0.2, 0.3], [0.5, 0.5, 0.5, 0.1], [1, 2, 3, 4]])
    np.testing.assert_allclose(
        statistics.average_ranks(values, False), scipy.stats.rankdata(values, axis=1).mean(axis=0)
    )
    np.testing.assert_allclose(
        statistics.average_ranks(values, True), scipy.stats.rankdata(-values, axis=1).mean(axis=0)
    )


@pytest.mark.parametrize(("num_methods", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_critical_differences_are_demsars_and_scipys(num_methods, q):
    root = (num_methods * (num_methods + 1) / (6 * 14)) ** 0.5
    found = statistics.critical_difference(num_methods, 14)
    assert abs(found / root - q) < 0.001  # Demšar 2006, Table 5(a)
    if num_methods == 4:
        exact = scipy.stats.studentized_range.ppf(0.95, 4, np.inf) / 2**0.5
        np.testing.assert_allclose(found / root, exact, rtol=1e-6)


def test_friedman_is_scipys():
    values = np.random.default_rng(0).normal(size=(6, 4))
    expected = scipy.stats.friedmanchisquare(*values.T).pvalue
    np.testing.assert_allclose(statistics.friedman_p(statistics.average_ranks(values, True), 6), expected)


def test_cliques_are_the_largest_groups_within_the_difference():
    ranks = np.array([1.0, 3.5, 1.5, 2.4, 6.0])
    assert statistics.cliques(ranks, 1.5) == [(0, 2, 3), (3, 1)]
    assert statistics.cliques(ranks, 0.1) == []
    assert statistics.cliques(ranks, 10) == [(0, 2, 3, 1, 4)]


def test_the_pareto_front_is_that_of_the_definition():
    generator = np.random.default_rng(0)
    costs, losses = generator.integers(0, 6, (2, 30)).astype(float)
    beaten = [
        any(
            costs[j] <= costs[i] and losses[j] <= losses[i] and (costs[j] < costs[i] or losses[j] < losses[i])
            for j in range(30)
        )
        for i in range(30)
    ]
    np.testing.assert_array_equal(statistics.pareto_front(costs, losses), ~np.array(beaten))
