"""The statistics of a comparison: intervals, paired tests, corrections, ranks and Pareto fronts, as plain functions.

Two things are drawn at random in a benchmark: the seed that a network was trained with, and the examples it was tested
on. `t_interval` is about the first, `bootstrap_interval` about the second, and `compare` about both at once. Where data
are split into folds, a fold decides training data and test examples together, and `compare_folds` is about these.
SciPy is imported where it is needed, so that a table without tests does not wait for it.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

LEVEL = 0.95

_CHUNK = 100  # resamples at a time, so that a test set of 50,000 examples takes 20 MB


def standard_error(values: Sequence[float]) -> float | None:
    """Return the standard error of a mean, `s / sqrt(S)` with `s` the sample standard deviation; None for one value."""
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)  # for a few numbers this is ten times as fast as NumPy
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))


def t_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float] | None:
    """Return the t interval of a mean over seeds, `mean ± t_{S-1} s / sqrt(S)` (Student 1908); None for one value.

    It tells where the mean over many more seeds would lie, on this very test set.
    """
    error = standard_error(values)
    if error is None:
        return None
    from scipy.special import stdtrit

    mean = math.fsum(values) / len(values)
    half = float(stdtrit(len(values) - 1, (1 + level) / 2)) * error
    return mean - half, mean + half


def resamples(num_examples: int, num_resamples: int = 1000, seed: int = 0) -> Iterator[np.ndarray]:
    """Yield the weights of bootstrap resamples in chunks, float32 `[chunk, num_examples]`, each row with the sum 1.

    A row counts how often each example is drawn among `num_examples` draws with replacement (Efron 1979).
    """
    generator = np.random.default_rng(seed)
    for start in range(0, num_resamples, _CHUNK):
        size = min(_CHUNK, num_resamples - start)
        drawn = generator.integers(num_examples, size=(size, num_examples))
        drawn += num_examples * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * num_examples).reshape(size, num_examples)
        yield (counts / num_examples).astype(np.float32)


def bootstrap_interval(
    scores: np.ndarray, level: float = LEVEL, num_resamples: int = 1000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return percentile intervals of means over test examples (Efron 1979).

    It tells where the mean of these very networks would lie on many more examples. Give the mean over seeds of each
    example: an example that is drawn is drawn for all seeds, as in "bootstrap over examples within seeds".

    Args:
        scores: `[..., examples]`. All rows see the same resamples, so the interval of a difference is a paired one.
        level: The coverage.
        num_resamples: How many times the examples are drawn.
        seed: Decides the draws.

    Returns:
        Lower and upper ends, `[...]`.
    """
    scores = np.asarray(scores, np.float64)
    centre = scores.mean(axis=-1, keepdims=True)  # float32 then has digits for the spread alone
    deviations = (scores - centre).astype(np.float32)
    means = np.concatenate(
        [weights @ np.moveaxis(deviations, -1, 0).reshape(scores.shape[-1], -1) for weights in
         resamples(scores.shape[-1], num_resamples, seed)]
    )  # fmt: skip
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    centre = centre[..., 0]
    return centre + low.reshape(centre.shape), centre + high.reshape(centre.shape)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Every method against every other: the element `[i, j]` is about `i` minus `j`."""

    difference: np.ndarray
    standard_error: np.ndarray
    degrees_of_freedom: np.ndarray
    p: np.ndarray  # two-sided; NaN where there is nothing to test with

    def interval(self, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
        """Return the t intervals of the differences; NaN where there is nothing to make one of."""
        if np.isnan(self.standard_error).all():
            return self.standard_error, self.standard_error
        from scipy.special import stdtrit

        half = stdtrit(self.degrees_of_freedom, (1 + level) / 2) * self.standard_error
        return self.difference - half, self.difference + half


def compare(values: Sequence[Sequence[float]], scores: Sequence[np.ndarray] | None = None) -> Comparison:
    """Test every pair of methods for a difference of their means, over seeds and test examples at once.

    A score of method m, seed s and example i is a mean plus effects of the seed, of the example and of both together.
    Examples are shared by all methods, so their differences are paired; seeds are not: seed 0 of two methods makes two
    networks that have no more in common than seeds 0 and 1 (were they alike, the test would be conservative). So

        Var(mean_i - mean_j) = Var_examples(a_i - a_j) / n + s_i^2 / S_i + s_j^2 / S_j - R_i / (n S_i) - R_j / (n S_j)

    with `a` the mean over seeds of each example, `s^2` the variance over seeds of the mean over examples, and `R` the
    residual variance, which the other terms each hold once; the whole is at least each of its two parts. This is the
    crossed random-effects analysis that radiology uses for readers and cases (Obuchowski & Rockette 1995), with
    Satterthwaite's degrees of freedom (Hillis 2007). Averaging over seeds first and pairing examples only would call
    the luck of three seeds a difference between methods; a t test over three seeds alone ignores that they answered
    the same questions and finds next to nothing.

    With one seed a method's seed variance is unknown and left out: the test is then about this one network.
    Without scores it is Welch's t test over seeds (Welch 1947), and NaN if either method has one seed.

    Args:
        values: Of each method, the metric of its seeds.
        scores: Of each method, `[seeds, examples]` whose means are those values; None if the metric is no such mean.
    """
    from scipy.special import stdtr

    num_seeds = np.array([len(of_one) for of_one in values])
    means = np.array([math.fsum(of_one) / len(of_one) for of_one in values])
    by_seed = np.array([(standard_error(of_one) or 0.0) ** 2 for of_one in values])
    num_methods = len(values)
    by_example = residual = np.zeros((num_methods, num_methods))
    num_examples = 1
    if scores is not None:
        num_examples = scores[0].shape[1]
        covariance = np.atleast_2d(np.cov([of_one.mean(axis=0, dtype=np.float64) for of_one in scores]))
        variances = np.diag(covariance)
        by_example = np.maximum(variances[:, None] + variances - 2 * covariance, 0) / num_examples
        residual = np.array([_residual(of_one) for of_one in scores])
        residual = residual[:, None] + residual
    both = by_seed[:, None] + by_seed
    variance = np.maximum(by_example + both - residual, np.maximum(by_example, both))
    # A method with one seed has a seed variance of 0 here, which takes no degrees of freedom.
    spent = by_seed**2 / np.maximum(num_seeds - 1, 1)
    spent = by_example**2 / max(num_examples - 1, 1) + spent[:, None] + spent
    difference = means[:, None] - means
    with np.errstate(divide="ignore", invalid="ignore"):
        degrees = np.where(variance > 0, variance**2 / spent, np.inf)
        statistic = np.where(difference == 0, 0.0, np.abs(difference) / np.sqrt(variance))
        p = 2 * stdtr(np.minimum(degrees, 1e9), -statistic)
    error = np.sqrt(variance)
    if scores is None:
        untested = (num_seeds[:, None] < 2) | (num_seeds < 2)
        error, p = np.where(untested, np.nan, error), np.where(untested, np.nan, p)
    np.fill_diagonal(p, 1.0)
    return Comparison(difference, error, degrees, p)


def compare_folds(values: Sequence[Mapping[int, float]]) -> Comparison:
    """Test every pair of methods by a paired t test over the folds that both have (Student 1908).

    A fold has the same training and test examples for all methods, so that what makes it hard or easy cancels in the
    difference. Differences of several folds are taken to be independent. They are not quite, since folds share training
    examples, so that the test finds somewhat more than it should (Nadeau & Bengio 2003).

    Args:
        values: Of each method, the metric by fold: the mean over its seeds.

    Returns:
        The comparison, NaN where two methods have fewer than two folds in common.
    """
    shape = len(values), len(values)
    difference, error, degrees, p = (np.full(shape, np.nan) for _ in range(4))
    for matrix, value in ((difference, 0.0), (error, 0.0), (p, 1.0)):
        np.fill_diagonal(matrix, value)
    for i, j in itertools.combinations(range(len(values)), 2):
        shared = sorted(values[i].keys() & values[j].keys())
        paired = [values[i][fold] - values[j][fold] for fold in shared]
        if paired:
            difference[i, j] = math.fsum(paired) / len(paired)
            difference[j, i] = -difference[i, j]
        found = standard_error(paired)
        if found is not None:
            error[i, j] = error[j, i] = found
            degrees[i, j] = degrees[j, i] = len(paired) - 1
            p[i, j] = p[j, i] = _two_sided(difference[i, j], found, len(paired) - 1)
    return Comparison(difference, error, degrees, p)


def _two_sided(difference: float, error: float, degrees: float) -> float:
    from scipy.special import stdtr

    if difference == 0:
        return 1.0
    return 2 * float(stdtr(degrees, -abs(difference) / error)) if error else 0.0


def _residual(scores: np.ndarray) -> float:
    """Return what seed and example together contribute to the variance of a mean, `R / (n S)`; 0 for one seed."""
    num_seeds, num_examples = scores.shape
    if num_seeds < 2 or num_examples < 2:
        return 0.0
    scores = scores.astype(np.float64)
    rest = scores - scores.mean(axis=0) - scores.mean(axis=1, keepdims=True) + scores.mean()
    return float((rest**2).sum() / ((num_seeds - 1) * (num_examples - 1)) / (num_seeds * num_examples))


def holm(p: np.ndarray) -> np.ndarray:
    """Return p-values adjusted for their number by Holm's step-down method (Holm 1979); NaN is left out of the count.

    The k-th smallest of m is multiplied by `m - k + 1`, and none is less than a smaller one's. The chance that any true
    hypothesis has an adjusted value below 0.05 is at most 0.05, however the tests depend on each other.
    """
    p = np.asarray(p, np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1.0)
    return adjusted


def holm_pairs(p: np.ndarray) -> np.ndarray:
    """Return Holm-adjusted p-values of all pairs, from and as a symmetric matrix `[methods, methods]`.

    The best method is chosen by looking at the data, so a correction for its `M - 1` comparisons would not keep the
    level: with four equal methods one is wrongly told from "the best" in 8 % of cases. All `M (M - 1) / 2` pairs
    are the family whose every subset is safe to look at.
    """
    adjusted = np.ones_like(p)
    above = np.triu_indices(len(p), 1)
    adjusted[above] = holm(p[above])
    adjusted.T[above] = adjusted[above]
    return adjusted


def average_ranks(values: np.ndarray, higher_is_better: bool) -> np.ndarray:
    """Return each method's mean rank over tasks, 1 for the best; equal values share the mean of their ranks.

    Args:
        values: `[tasks, methods]`.
        higher_is_better: The metric's direction.
    """
    values = -np.asarray(values) if higher_is_better else np.asarray(values)
    one, other = values[:, :, None], values[:, None, :]
    return ((other < one).sum(axis=2) + ((other == one).sum(axis=2) + 1) / 2).mean(axis=0)


def friedman_p(ranks: np.ndarray, num_tasks: int) -> float:
    """Return the p-value of Friedman's test (1937) that all methods are alike, from average ranks without ties.

    `chi^2 = 12 N / (k (k + 1)) sum_j (R_j - (k + 1) / 2)^2` with `k - 1` degrees of freedom.
    """
    from scipy.special import chdtrc

    k = len(ranks)
    return float(chdtrc(k - 1, 12 * num_tasks / (k * (k + 1)) * ((ranks - (k + 1) / 2) ** 2).sum()))


@functools.cache
def critical_difference(num_methods: int, num_tasks: int, level: float = LEVEL) -> float:
    """Return how far two average ranks must lie apart to differ (Nemenyi 1963, Demšar 2006, Section 3.2.2).

    `CD = q sqrt(k (k + 1) / (6 N))`, `q` the quantile of the range of k standard normal variables over the root of 2.
    """
    from scipy.special import ndtr

    # P(range <= r) = k ∫ φ(z) (Φ(z) - Φ(z - r))^(k - 1) dz. By bisection: SciPy's own is right and takes a second.
    z = np.linspace(-8, 8, 2001)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    low, high = 0.0, 20.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        probability = num_methods * (density * (ndtr(z) - ndtr(z - middle)) ** (num_methods - 1)).sum() * (z[1] - z[0])
        low, high = (middle, high) if probability < level else (low, middle)
    return float(low / np.sqrt(2) * np.sqrt(num_methods * (num_methods + 1) / (6 * num_tasks)))


def cliques(ranks: np.ndarray, difference: float) -> list[tuple[int, ...]]:
    """Return the largest groups of methods whose average ranks lie within a critical difference, the best first."""
    order = np.argsort(ranks, kind="stable")
    groups: list[tuple[int, ...]] = []
    for start in range(len(order)):
        group = tuple(int(i) for i in order[start:] if ranks[i] - ranks[order[start]] < difference)
        if len(group) > 1 and not (groups and set(group) <= set(groups[-1])):
            groups.append(group)
    return groups


def pareto_front(costs: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Return which points no other point beats: none costs no more and loses no more, and either of them less.

    Args:
        costs: `[points]`, less is better.
        losses: `[points]`, less is better.
    """
    costs, losses = np.asarray(costs), np.asarray(losses)
    no_worse = (costs <= costs[:, None]) & (losses <= losses[:, None])
    better = (costs < costs[:, None]) | (losses < losses[:, None])
    return np.logical_not((no_worse & better).any(axis=1))
