"""The statistics of a comparison: intervals, paired tests, their power, corrections, ranks and Pareto fronts.

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
POWER = 0.8
MOST_REPLICATES = 1000  # that `Comparison.replicates_needed` thinks of

_MOST_DEGREES = 1e9  # of freedom: beyond, SciPy's t distributions are the normal one and may be NaN
_LARGEST_EFFECT = 30.0  # in standard errors: every test finds it, and beyond SciPy returns NaN
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
    """Every method against every other: the element `[i, j]` is about `i` minus `j`.

    The parts of the variance say what other numbers of replicates (seeds, or folds where these are compared) would do.
    With S of them for each method it is `example + replicate / S`, and at least `example + residual / S`.
    """

    difference: np.ndarray
    standard_error: np.ndarray
    degrees_of_freedom: np.ndarray
    p: np.ndarray  # two-sided; NaN where there is nothing to test with
    example_variance: np.ndarray  # of the test examples: more replicates do not lessen it
    example_degrees: np.ndarray  # the degrees of freedom of what the examples contribute
    residual_variance: np.ndarray  # of example and replicate together, with one replicate
    replicate_variance: np.ndarray  # of the replicates, with one; NaN where a method has only one
    replicate_squares: np.ndarray  # the squares of what `i` and `j` contribute to it, summed

    def of(self, rows: Sequence[int] | np.ndarray, columns: Sequence[int] | np.ndarray) -> "Comparison":
        """Return the same about some pairs: each array `[pairs]`."""
        found = {field.name: getattr(self, field.name)[rows, columns] for field in dataclasses.fields(self)}
        return Comparison(**found)

    def interval(self, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
        """Return the t intervals of the differences; NaN where there is nothing to make one of."""
        if np.isnan(self.standard_error).all():
            return self.standard_error, self.standard_error
        from scipy.special import stdtrit

        half = stdtrit(self.degrees_of_freedom, (1 + level) / 2) * self.standard_error
        return self.difference - half, self.difference + half

    def detectable(self, power: float = POWER, level: float = LEVEL) -> np.ndarray:
        """Return the smallest differences that the tests find with the given power; NaN where there is no test.

        A test is one comparison at the level, without a correction for others.
        """
        if np.isnan(self.standard_error).all():
            return self.standard_error
        return detectable_effect(self.degrees_of_freedom, power, level) * self.standard_error

    def replicates_needed(self, power: float = POWER, level: float = LEVEL) -> np.ndarray:
        """Return how many seeds (or folds) of each method would find the differences seen, were they the true ones.

        Two is the least. Infinity where `MOST_REPLICATES` are too few: there is hardly a difference, or the test
        examples are too few; NaN where the spread over replicates is unknown.
        """
        from scipy.special import nctdtr, stdtrit

        def enough(num: np.ndarray) -> np.ndarray:
            by_example = self.example_variance + self.residual_variance / num
            by_replicate = self.replicate_variance / num
            variance = np.maximum(self.example_variance + by_replicate, np.maximum(by_example, by_replicate))
            spent = self.replicate_squares / num**2 / np.maximum(num - 1, 1) + by_example**2 / self.example_degrees
            degrees = np.where(variance > 0, variance**2 / spent, np.inf)
            effect = np.where(self.difference == 0, 0.0, np.abs(self.difference) / np.sqrt(variance))
            degrees, effect = np.minimum(degrees, _MOST_DEGREES), np.minimum(effect, _LARGEST_EFFECT)
            return nctdtr(degrees, effect, stdtrit(degrees, (1 + level) / 2)) <= 1 - power

        low, high = np.full(self.difference.shape, 1), np.full(self.difference.shape, MOST_REPLICATES)
        with np.errstate(divide="ignore", invalid="ignore"):
            reached = enough(high)
            while (high - low > 1).any():
                middle = (low + high) // 2
                found = enough(middle)
                low, high = np.where(found, low, middle), np.where(found, middle, high)
        return np.where(np.isnan(self.replicate_variance), np.nan, np.where(reached, np.maximum(high, 2), np.inf))


def t_power(effect: np.ndarray, degrees: np.ndarray, level: float = LEVEL) -> np.ndarray:
    """Return the power of a two-sided t test, by the noncentral t distribution (Johnson, Kotz & Balakrishnan 1995).

    Args:
        effect: The true difference over its standard error; `d sqrt(n)` for n pairs with the standardised effect d.
        degrees: The degrees of freedom.
        level: One minus the test's level.
    """
    from scipy.special import nctdtr, stdtrit

    effect, degrees = np.minimum(effect, _LARGEST_EFFECT), np.minimum(degrees, _MOST_DEGREES)
    limit = stdtrit(degrees, (1 + level) / 2)
    below = np.nan_to_num(nctdtr(degrees, effect, -limit))  # NaN where it is less than a double holds
    return 1 - nctdtr(degrees, effect, limit) + below


def detectable_effect(degrees: np.ndarray, power: float = POWER, level: float = LEVEL) -> np.ndarray:
    """Return the effect, a difference over its standard error, that a two-sided t test finds with the given power."""
    from scipy.special import nctdtrinc, stdtrit

    degrees = np.minimum(degrees, _MOST_DEGREES)
    effect = nctdtrinc(degrees, 1 - power, stdtrit(degrees, (1 + level) / 2))  # six digits, without the other tail
    step = 1e-4
    found, above = t_power(effect, degrees, level), t_power(effect + step, degrees, level)
    return effect + (power - found) * step / (above - found)


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

    if scores is not None and scores[0].shape[1] < 2:
        scores = None  # one example says nothing of how examples differ
    num_seeds = np.array([len(of_one) for of_one in values])
    means = np.array([math.fsum(of_one) / len(of_one) for of_one in values])
    by_seed = np.array([(standard_error(of_one) or 0.0) ** 2 for of_one in values])
    num_methods = len(values)
    by_example = residual = one_residual = np.zeros((num_methods, num_methods))
    num_examples = 1
    if scores is not None:
        num_examples = scores[0].shape[1]
        covariance = np.atleast_2d(np.cov([of_one.mean(axis=0, dtype=np.float64) for of_one in scores]))
        variances = np.diag(covariance)
        by_example = np.maximum(variances[:, None] + variances - 2 * covariance, 0) / num_examples
        residual = np.array([_residual(of_one) for of_one in scores])
        one_residual = (num_seeds * residual)[:, None] + num_seeds * residual
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
        p = 2 * stdtr(np.minimum(degrees, _MOST_DEGREES), -statistic)
    error = np.sqrt(variance)
    if scores is None:
        untested = (num_seeds[:, None] < 2) | (num_seeds < 2)
        error, p = np.where(untested, np.nan, error), np.where(untested, np.nan, p)
    np.fill_diagonal(p, 1.0)
    of_one_seed = np.where(num_seeds < 2, np.nan, num_seeds * by_seed)
    return Comparison(
        difference,
        error,
        degrees,
        p,
        example_variance=np.maximum(by_example - residual, 0),
        example_degrees=np.full_like(difference, max(num_examples - 1, 1)),
        residual_variance=one_residual,
        replicate_variance=of_one_seed[:, None] + of_one_seed,
        replicate_squares=(of_one_seed**2)[:, None] + of_one_seed**2,
    )


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
    of_one_fold = error**2 * (degrees + 1)
    nothing = np.zeros(shape)
    return Comparison(difference, error, degrees, p, nothing, nothing + 1, nothing, of_one_fold, of_one_fold**2)


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


def ranks(values: np.ndarray, higher_is_better: bool) -> np.ndarray:
    """Return each method's rank in each task, `[tasks, methods]`, 1 for the best; equal values share their mean rank.

    Args:
        values: `[tasks, methods]`.
        higher_is_better: The metric's direction.
    """
    values = -np.asarray(values) if higher_is_better else np.asarray(values)
    one, other = values[:, :, None], values[:, None, :]
    return (other < one).sum(axis=2) + ((other == one).sum(axis=2) + 1) / 2


def friedman_p(ranks: np.ndarray) -> float:
    """Return the p-value of Friedman's test (1937) that all methods are alike, corrected for ties (Conover 1999).

    `chi^2 = (k - 1) N^2 sum_j (R_j - (k + 1) / 2)^2 / sum_ij (r_ij - (k + 1) / 2)^2` with `k - 1` degrees of freedom,
    `R_j` the average of the ranks `r_ij`. One where all methods tie in every task.

    Args:
        ranks: `[tasks, methods]`, as `ranks` returns them.
    """
    from scipy.special import chdtrc

    num_tasks, k = ranks.shape
    spread = ((ranks - (k + 1) / 2) ** 2).sum()
    between = ((ranks.mean(axis=0) - (k + 1) / 2) ** 2).sum()
    return float(chdtrc(k - 1, (k - 1) * num_tasks**2 * between / spread)) if spread else 1.0


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


def kendall_tau(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Kendall's rank correlation of two rankings of the same methods, tau-b with ties (Kendall 1945).

    1 where both order all methods in the same way, ties included, and 0 where one of them orders nothing.

    Args:
        first: `[methods]`.
        second: `[..., methods]`, one or more rankings.

    Returns:
        `[...]`.
    """
    above = np.triu_indices(len(first), 1)
    one, other = (np.sign(values[..., above[0]] - values[..., above[1]]) for values in (first, second))
    root = np.sqrt((one**2).sum() * (other**2).sum(axis=-1))
    tau = (one * other).sum(axis=-1) / np.where(root > 0, root, 1)
    return np.where((one == other).all(axis=-1), 1.0, tau)


def ensemble_equivalent(losses: Mapping[int, float], loss: float) -> float:
    """Return how many members of an ensemble reach a loss (Ashukha et al. 2020, https://arxiv.org/abs/2002.06470).

    Between two sizes the loss is taken to be linear in 1 / size, as the squared error of a mean of alike members is. Of
    a loss that is reached several times the smallest size counts.

    Args:
        losses: The mean loss of ensembles by their size.
        loss: Less is better.

    Returns:
        The size; 0 for what is worse than the smallest ensemble, infinity for what none reaches.

    Example:
        >>> ensemble_equivalent({1: 0.5, 2: 0.4, 4: 0.35}, 0.375)  # a + b / m is 0.375 at 1 / m = 0.375
        2.6666666666666665
    """
    sizes = sorted(losses)
    if loss > losses[sizes[0]]:
        return 0.0
    for smaller, larger in itertools.pairwise(sizes):
        if losses[larger] <= loss:
            drop = losses[smaller] - losses[larger]
            share = (losses[smaller] - loss) / drop if drop else 0.0
            return 1 / (1 / smaller + share * (1 / larger - 1 / smaller))
    return float(sizes[0]) if loss == losses[sizes[0]] else math.inf


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
