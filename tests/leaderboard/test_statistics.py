"""The statistics on simulated data whose truth is known: intervals cover, tests keep their level, groups are right."""

from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from uncertainty_suite.leaderboard import statistics

TRIALS = 600
# Three standard deviations of a proportion of 5 % in so many trials.
SLACK = 3 * (0.05 * 0.95 / TRIALS) ** 0.5


@pytest.fixture
def golden(golden_dir: Path):
    """Return a case of the values that other libraries computed, array by name."""
    with np.load(golden_dir / "methods/statistics.npz") as file:
        arrays = dict(file)
    return lambda case: {name.removeprefix(f"{case}/"): arrays[name] for name in arrays if name.startswith(f"{case}/")}


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


def test_one_example_says_nothing_of_examples():
    values = [[0.1, 0.2, 0.4], [0.5, 0.6, 0.9]]
    with np.errstate(all="raise"):
        found = statistics.compare(values, [np.array(each)[:, np.newaxis] for each in values])
    assert found.p[0, 1] == statistics.compare(values).p[0, 1]


def test_equal_scores_are_equal_and_constant_differences_are_differences():
    same = np.ones((3, 10))
    assert compared([same, same]).p[0, 1] == 1
    assert statistics.compare([[0.5, 0.5], [0.6, 0.6]]).p[0, 1] == 0


def test_the_parts_of_the_variance_are_those_of_the_analysis_of_variance(golden):
    """Against a method that is always 0, the mixed model is the balanced two-way layout of the other one."""
    expected = golden("seeds_by_examples")
    of_one = expected["y"][0]
    num_examples = of_one.shape[1]
    comparison = compared([of_one, np.zeros_like(of_one)])
    found = {name: getattr(comparison, name)[0, 1] for name in ("example_variance", "residual_variance")}
    assert found["example_variance"] * num_examples == pytest.approx(expected["anova_method0/example_variance"])
    assert found["residual_variance"] * num_examples == pytest.approx(expected["anova_method0/residual_variance"])
    seeds = comparison.replicate_variance[0, 1] - found["residual_variance"]
    assert seeds == pytest.approx(expected["anova_method0/seed_variance"])
    assert comparison.standard_error[0, 1] ** 2 == pytest.approx(expected["anova_method0/variance_of_grand_mean"])


def test_paired_tests_are_those_of_other_libraries(golden):
    expected = golden("paired_tests")
    first, second = expected["a"], expected["b"]
    over_examples = compared([first[None], second[None]])
    over_folds = statistics.compare_folds([dict(enumerate(first)), dict(enumerate(second))])
    for comparison in (over_examples, over_folds):
        assert comparison.p[0, 1] == pytest.approx(expected["p"])
        np.testing.assert_allclose([end[0, 1] for end in comparison.interval()], expected["ci95"])


def test_power_is_that_of_other_libraries(golden):
    expected = golden("power_paired_t")
    num_pairs, effects = expected["n_pairs"], expected["effect_sizes"][:, None]
    found = statistics.t_power(effects * np.sqrt(num_pairs), num_pairs - 1)
    np.testing.assert_allclose(found, expected["power_two_sided"], rtol=1e-9)
    found = statistics.t_power(effects * np.sqrt(num_pairs), num_pairs - 1, 1 - 0.05 / 10)
    np.testing.assert_allclose(found, expected["power_two_sided_alpha_0.05_over_10"], rtol=1e-9)
    found = statistics.detectable_effect(num_pairs - 1) / np.sqrt(num_pairs)
    np.testing.assert_allclose(found, expected["detectable_effect_at_power_0.8"], rtol=1e-9)
    normal = scipy.stats.norm.ppf(0.975) + scipy.stats.norm.ppf(0.8)
    np.testing.assert_allclose(statistics.detectable_effect(np.array([1e7, np.inf])), normal, rtol=1e-5)


def test_folds_needed_are_those_of_other_libraries(golden):
    expected = golden("power_paired_t")
    values = np.array([-1.0, 0, 1])  # of standard deviation 1
    for effect, needed in zip(expected["effect_sizes"], expected["pairs_for_power_0.8_ceiling"]):
        first = dict(enumerate(values + effect))
        comparison = statistics.compare_folds([first, dict.fromkeys(first, 0.0)])
        assert comparison.replicates_needed()[0, 1] == needed


def stated_by(draw) -> float:
    """Return the detectable difference that experiments state, their root mean square as over the pairs of a table.

    A variance that is estimated with few degrees of freedom is right in the mean only: the median of three seeds' would
    be detected in 71 % of draws.
    """
    return np.mean([draw(0).detectable()[0, 1] ** 2 for _ in range(TRIALS)]) ** 0.5


@pytest.mark.parametrize(
    ("num_seeds", "seed_sd", "example_sd", "both_sd"), [(2, 0.2, 0.3, 0.3), (3, 0.05, 0.5, 0.5), (5, 0.1, 0.3, 1)]
)
def test_the_stated_difference_is_detected_in_four_of_five_draws(num_seeds, seed_sd, example_sd, both_sd):
    generator = np.random.default_rng(7)

    def draw(shift: float) -> statistics.Comparison:
        return compared(scores(generator, 2, num_seeds, 120, seed_sd, example_sd, both_sd, shift))

    stated = stated_by(draw)
    found = [draw(stated).p[0, 1] < 0.05 for _ in range(TRIALS)]
    assert abs(np.mean(found) - 0.8) < 0.06


def test_over_seeds_alone_and_over_folds_the_stated_difference_is_detected_too():
    generator = np.random.default_rng(8)

    def over_seeds(shift: float) -> statistics.Comparison:
        return statistics.compare(generator.normal([[0], [shift]], 0.1, (2, 5)))

    def over_folds(shift: float) -> statistics.Comparison:
        return statistics.compare_folds(folds(generator, 2, 10, 1, 0.3, shift))

    for draw in (over_seeds, over_folds):
        stated = stated_by(draw)
        assert abs(np.mean([draw(stated).p[0, 1] < 0.05 for _ in range(TRIALS)]) - 0.8) < 0.06


def test_so_many_seeds_as_are_said_to_be_needed_find_the_difference():
    generator = np.random.default_rng(9)
    pilot = [compared(scores(generator, 2, 10, 120, 0.2, 0.3, 0.3, shift=0.25)) for _ in range(50)]
    needed = int(np.median([one.replicates_needed()[0, 1] for one in pilot]))
    power = {}
    for num_seeds in (needed // 2, needed):
        drawn = [scores(generator, 2, num_seeds, 120, 0.2, 0.3, 0.3, shift=0.25) for _ in range(300)]
        power[num_seeds] = np.mean([compared(one).p[0, 1] < 0.05 for one in drawn])
    assert power[needed // 2] < 0.7
    assert 0.73 < power[needed] < 0.92


def test_no_number_of_seeds_finds_what_the_examples_do_not_show():
    generator = np.random.default_rng(10)
    comparison = compared(scores(generator, 2, 3, 20, 0.01, 1, 0.1, shift=0.05))
    assert comparison.replicates_needed()[0, 1] == np.inf
    assert compared(scores(generator, 2, 3, 20000, 0.01, 1, 0.1, shift=0.05)).replicates_needed()[0, 1] < 10


def test_with_one_seed_the_number_needed_is_unknown():
    generator = np.random.default_rng(11)
    comparison = compared(scores(generator, 2, 1, 50, 0, 0.3, 0.3))
    assert np.isnan(comparison.replicates_needed()[0, 1])
    assert comparison.detectable()[0, 1] > 0
    assert np.isnan(statistics.compare([[0.1], [0.2, 0.3]]).detectable()[0, 1])


def test_kendalls_tau_is_scipys():
    generator = np.random.default_rng(12)
    for _ in range(20):
        first, second = generator.integers(0, 5, (2, 7))
        np.testing.assert_allclose(statistics.kendall_tau(first, second), scipy.stats.kendalltau(first, second)[0])
    assert statistics.kendall_tau(np.ones(3), np.ones(3)) == 1
    assert statistics.kendall_tau(np.ones(3), np.arange(3)) == 0


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


def test_ranks_are_scipys():
    values = np.array([[0.1, 0.3, 0.2, 0.3], [0.5, 0.5, 0.5, 0.1], [1, 2, 3, 4]])
    np.testing.assert_allclose(statistics.ranks(values, False), scipy.stats.rankdata(values, axis=1))
    np.testing.assert_allclose(statistics.ranks(values, True), scipy.stats.rankdata(-values, axis=1))


@pytest.mark.parametrize(("num_methods", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_critical_differences_are_demsars_and_scipys(num_methods, q):
    root = (num_methods * (num_methods + 1) / (6 * 14)) ** 0.5
    found = statistics.critical_difference(num_methods, 14)
    assert abs(found / root - q) < 0.001  # Demšar 2006, Table 5(a)
    if num_methods == 4:
        exact = scipy.stats.studentized_range.ppf(0.95, 4, np.inf) / 2**0.5
        np.testing.assert_allclose(found / root, exact, rtol=1e-6)


def test_methods_that_tie_everywhere_are_alike():
    assert statistics.friedman_p(statistics.ranks(np.ones((6, 4)), True)) == 1


@pytest.mark.parametrize("case", ["ranks_n12_k5", "ranks_n20_k4", "ranks_n10_k5_ties", "ranks_n6_k3"])
def test_ranks_over_tasks_are_those_of_other_libraries(golden, case):
    expected = golden(case)
    ranks = statistics.ranks(expected["scores"], True)
    np.testing.assert_allclose(ranks, expected["ranks"], atol=1e-12)
    np.testing.assert_allclose(ranks.mean(axis=0), expected["mean_ranks"])
    np.testing.assert_allclose(statistics.friedman_p(ranks), expected["friedman_p"], rtol=1e-9)
    num_tasks, num_methods = ranks.shape
    for alpha in (0.05, 0.1):
        found = statistics.critical_difference(num_methods, num_tasks, 1 - alpha)
        np.testing.assert_allclose(found, expected[f"nemenyi_cd_alpha{alpha}"], rtol=1e-8)
    np.testing.assert_allclose(statistics.holm(expected["control_p"]), expected["control_p_holm"])


def test_cliques_are_the_largest_groups_within_the_difference():
    ranks = np.array([1.0, 3.5, 1.5, 2.4, 6.0])
    assert statistics.cliques(ranks, 1.5) == [(0, 2, 3), (3, 1)]
    assert statistics.cliques(ranks, 0.1) == []
    assert statistics.cliques(ranks, 10) == [(0, 2, 3, 1, 4)]


def test_ensembles_whose_loss_is_linear_in_one_over_their_size_have_the_size_of_its_inverse():
    def loss(size: float) -> float:
        return 0.3 + 0.2 / size

    losses = {size: loss(size) for size in (1, 2, 3, 5, 10)}
    for size in (1, 1.5, 2, 4, 7.5, 10):
        assert statistics.ensemble_equivalent(losses, loss(size)) == pytest.approx(size)
    assert statistics.ensemble_equivalent(losses, 0.51) == 0
    assert statistics.ensemble_equivalent(losses, 0.31) == np.inf


def test_ensembles_that_get_no_better_do_not_count():
    losses = {1: 0.5, 2: 0.4, 3: 0.41, 4: 0.38}
    assert statistics.ensemble_equivalent(losses, 0.4) == pytest.approx(2)
    assert 3 < statistics.ensemble_equivalent(losses, 0.39) < 4
    assert statistics.ensemble_equivalent({1: 0.5, 2: 0.5}, 0.5) == pytest.approx(1)
    assert statistics.ensemble_equivalent({1: 0.5, 2: 0.6}, 0.5) == 1
    assert statistics.ensemble_equivalent({1: 0.5, 2: 0.6}, 0.4) == np.inf


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
