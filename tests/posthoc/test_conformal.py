"""Conformal sets: that coverage is what was promised, and that the sets are what their formulas say."""

import json

import numpy as np
import pytest
from scipy import stats

from uncertainty_suite import posthoc
from uncertainty_suite.errors import InputError

PREDICTORS = posthoc.names("conformal")
everywhere = pytest.mark.parametrize("name", PREDICTORS)


def draw(random: np.random.Generator, count: int, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities of a model that is overconfident, and labels."""
    logits = 1.5 * random.normal(size=(count, classes))
    labels = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
    odds = np.exp(2 * logits)
    return odds / odds.sum(axis=1, keepdims=True), labels


@everywhere
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
def test_coverage_is_what_was_promised(name, alpha):
    """Over splits, the number of covered test examples is beta-binomial, exactly: scores have no ties.

    Of n calibration scores the r-th smallest is the threshold, so the coverage is Beta(r, n + 1 - r), and the count
    binomial given that. Its mean over many splits is held to four standard errors, and its whole distribution by how
    often it falls below its own quartiles.
    """
    splits, calibration, tested = 400, 99, 50
    law = stats.betabinom(tested, round(100 * (1 - alpha)), round(100 * alpha))
    covered = []
    for seed in range(splits):
        random = np.random.default_rng(seed)
        probs, labels = draw(random, calibration + tested)
        options = {} if name == "split_conformal" else {"seed": seed}
        predictor = posthoc.get(name, **options).fit(probs[:calibration], labels[:calibration], alpha=alpha)
        sets = predictor.predict_sets(probs[calibration:])
        covered.append(sets[np.arange(tested), labels[calibration:]].sum())
    assert np.mean(covered) == pytest.approx(law.mean(), abs=4 * law.std() / np.sqrt(splits))
    assert np.std(covered) == pytest.approx(law.std(), rel=0.2)
    for quantile in law.ppf([0.25, 0.5, 0.75]):
        share = law.cdf(quantile)
        assert np.mean(covered <= quantile) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / splits))


@pytest.mark.parametrize("name", ["aps", "raps"])
def test_without_randomness_coverage_is_at_least_what_was_promised(name):
    coverage = []
    for seed in range(200):
        probs, labels = draw(np.random.default_rng(seed), 199)
        predictor = posthoc.get(name, randomized=False).fit(probs[:99], labels[:99], alpha=0.2)
        coverage.append(posthoc.set_metrics(predictor.predict_sets(probs[99:]), labels[99:])["coverage"])
    assert np.mean(coverage) > 0.8 - 4 * np.std(coverage) / np.sqrt(200)


def test_split_conformal_is_its_formula():
    probs, labels = draw(np.random.default_rng(0), 500)
    predictor = posthoc.get("split_conformal").fit(probs[:99], labels[:99], alpha=0.1)
    threshold = np.sort(1 - probs[np.arange(99), labels[:99]])[89]  # ceil(100 * 0.9) = 90th
    assert predictor.parameters == {"classes": 5, "examples": 99, "alpha": 0.1, "threshold": threshold}
    np.testing.assert_array_equal(predictor.predict_sets(probs), probs >= 1 - threshold)


@pytest.mark.parametrize(("name", "k_reg", "regularization"), [("aps", 1, 0.0), ("raps", 2, 0.1)])
@pytest.mark.parametrize("randomized", [False, True])
def test_adaptive_sets_are_their_formula(name, k_reg, regularization, randomized):
    probs, labels = draw(np.random.default_rng(0), 300)
    options = {"k_reg": k_reg, "regularization": regularization} if name == "raps" else {}
    predictor = posthoc.get(name, randomized=randomized, seed=3, **options).fit(probs[:100], labels[:100], alpha=0.2)

    def score(row: np.ndarray, k: int, share: float) -> float:
        rank = 1 + (row > row[k]).sum()
        return row[row > row[k]].sum() + share * row[k] + regularization * max(0, rank - k_reg)

    fit_shares, shares = (
        np.random.default_rng([3, stream]).random(count) if randomized else np.ones(count)
        for stream, count in ((0, 100), (1, 200))
    )
    calibration = sorted(score(row, k, share) for row, k, share in zip(probs, labels[:100], fit_shares))
    threshold = calibration[int(np.ceil(101 * 0.8)) - 1]
    assert predictor.parameters["threshold"] == pytest.approx(threshold, rel=1e-12)
    expected = [
        [score(row, k, share) <= threshold + 1e-12 for k in range(5)] for row, share in zip(probs[100:], shares)
    ]
    np.testing.assert_array_equal(predictor.predict_sets(probs[100:]), expected)


def test_raps_without_a_cost_is_aps_and_with_one_is_smaller():
    probs, labels = draw(np.random.default_rng(0), 2000, classes=30)
    sets = {
        cost: posthoc.get("raps", k_reg=2, regularization=cost, seed=1).fit(probs[:1000], labels[:1000])
        for cost in (0.0, 0.2)
    }
    sets = {cost: predictor.predict_sets(probs[1000:]) for cost, predictor in sets.items()}
    aps = posthoc.get("aps", seed=1).fit(probs[:1000], labels[:1000]).predict_sets(probs[1000:])
    np.testing.assert_array_equal(sets[0.0], aps)
    assert sets[0.2].sum(axis=1).max() < aps.sum(axis=1).max()
    assert sets[0.2].sum() < aps.sum()


def test_adaptive_sets_grow_where_the_model_is_unsure():
    probs, labels = draw(np.random.default_rng(0), 4000)
    sizes = posthoc.get("aps").fit(probs[:2000], labels[:2000]).predict_sets(probs[2000:]).sum(axis=1)
    sure = probs[2000:].max(axis=1) > 0.9
    assert sizes[~sure].mean() > sizes[sure].mean() + 0.5


@everywhere
def test_sets_shrink_as_alpha_grows_and_hold_the_likelier_classes(name):
    probs, labels = draw(np.random.default_rng(0), 600)
    sets = [
        posthoc.get(name).fit(probs[:300], labels[:300], alpha=alpha).predict_sets(probs[300:])
        for alpha in (0.02, 0.1, 0.3)
    ]
    assert (sets[0] >= sets[1]).all() and (sets[1] >= sets[2]).all() and sets[0].sum() > sets[2].sum()
    ordered = np.take_along_axis(sets[1], np.argsort(-probs[300:], axis=1), axis=1)
    assert (ordered[:, :-1] >= ordered[:, 1:]).all()


@pytest.mark.parametrize("name", ["aps", "raps"])
def test_seed_decides_and_matters(name):
    probs, labels = draw(np.random.default_rng(0), 600)
    first, again, other, whole = (
        posthoc.get(name, **options).fit(probs[:300], labels[:300]).predict_sets(probs[300:])
        for options in ({"seed": 1}, {"seed": 1}, {"seed": 2}, {"randomized": False})
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and (first != whole).any()


@everywhere
def test_an_alpha_too_small_for_the_examples_gives_full_sets(name):
    probs, labels = draw(np.random.default_rng(0), 20)
    few = posthoc.get(name).fit(probs[:8], labels[:8], alpha=0.1)
    assert few.parameters["threshold"] is None
    assert few.predict_sets(probs).all()
    enough = posthoc.get(name).fit(probs[:9], labels[:9], alpha=0.1)
    assert enough.parameters["threshold"] is not None
    assert posthoc.get(name).fit(probs[:1], labels[:1]).predict_sets(probs).all()


@everywhere
def test_degenerate_probabilities(name):
    one_hot, uniform = np.eye(4)[np.arange(100) % 4], np.full((100, 4), 0.25)
    labels = np.arange(100) % 3  # class 3 is absent
    for probs in (one_hot, uniform):
        sets = posthoc.get(name).fit(probs, labels).predict_sets(probs)
        assert sets.shape == (100, 4) and sets.dtype == bool
        assert posthoc.set_metrics(sets, labels)["coverage"] >= 0.8


@everywhere
def test_parameters_survive_json(name):
    probs, labels = draw(np.random.default_rng(0), 50)
    for count in (5, 50):
        predictor, restored = posthoc.get(name).fit(probs[:count], labels[:count]), posthoc.get(name)
        restored.parameters = json.loads(json.dumps(predictor.parameters, allow_nan=False))
        np.testing.assert_array_equal(restored.predict_sets(probs), predictor.predict_sets(probs))


def test_options_may_stand_in_the_text():
    probs, labels = draw(np.random.default_rng(0), 300)
    predictor = posthoc.get("raps(k_reg=2, seed=1)").fit(probs[:150], labels[:150])
    assert predictor.key == "raps(k_reg=2, seed=1)"
    assert posthoc.info("raps(k_reg=2)").likelihoods == ("categorical",)
    other = posthoc.get("raps", k_reg=2, seed=1).fit(probs[:150], labels[:150])
    np.testing.assert_array_equal(predictor.predict_sets(probs), other.predict_sets(probs))


def test_samples_count_by_their_mean():
    probs, labels = draw(np.random.default_rng(0), 200)
    samples = np.stack([probs, np.roll(probs, 1, axis=1)])
    predictor = posthoc.get("split_conformal").fit(samples, labels)
    np.testing.assert_array_equal(predictor.predict_sets(samples), predictor.predict_sets(samples.mean(axis=0)))


def test_set_metrics_count():
    sets = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0]], bool)
    assert posthoc.set_metrics(sets, [0, 0, 0, 1, 0]) == pytest.approx(
        {
            "coverage": 3 / 5,
            "set_size": 7 / 5,
            "empty": 1 / 5,
            "singleton": 2 / 5,
            "worst_class_coverage": 2 / 4,
            "class_0/coverage": 2 / 4,
            "class_0/set_size": 4 / 4,
            "class_1/coverage": 1.0,
            "class_1/set_size": 3.0,
        }
    )


@everywhere
@pytest.mark.parametrize("alpha", [0, 1, -0.1, 1.5, float("nan"), "0.1", None])
def test_a_wrong_alpha_is_one_line(name, alpha):
    with pytest.raises(InputError, match=r"alpha=.* is not allowed; expected a number above 0 and below 1"):
        posthoc.get(name).fit(*draw(np.random.default_rng(0), 50), alpha=alpha)


@everywhere
def test_mistakes_are_one_line(name):
    probs, labels = draw(np.random.default_rng(0), 50)
    predictor = posthoc.get(name)
    with pytest.raises(InputError, match=f"'{name}' is not fitted; call fit"):
        predictor.predict_sets(probs)
    with pytest.raises(InputError, match="must be probabilities"):
        predictor.fit(np.where(probs == probs[0, 0], np.nan, probs), labels)
    with pytest.raises(InputError, match="Labels must be from 0 to 4"):
        predictor.fit(probs, labels - 1)
    with pytest.raises(InputError, match="fitted on 5 classes, got 2"):
        predictor.fit(probs, labels).predict_sets(np.full((3, 2), 0.5))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("raps", {"k_reg": 0}, "k_reg=0 is not allowed"),
        ("raps", {"regularization": -0.1}, "regularization=-0.1 is not allowed"),
        ("aps", {"seed": -1}, "seed=-1 is not allowed"),
        ("aps", {"k_reg": 1}, "Unknown option of post-hoc method 'aps' 'k_reg'. Known: randomized, seed."),
    ],
)
def test_wrong_options_are_one_line(name, options, message):
    with pytest.raises(InputError) as error:
        posthoc.get(name, **options)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_sets_that_are_no_sets_are_one_line():
    with pytest.raises(InputError, match="Sets must be of dtype bool"):
        posthoc.set_metrics(np.full((3, 2), 0.5), [0, 1, 0])
    with pytest.raises(InputError, match="Labels must be from 0 to 1"):
        posthoc.set_metrics(np.ones((3, 2), bool), [0, 1, -1])
