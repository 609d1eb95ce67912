"""Conformal sets: that coverage is what was promised, and that the sets are what their formulas say."""

import json

import numpy as np
import pytest
from scipy import stats
from scipy.special import softmax

from uncertainty_suite import posthoc
from uncertainty_suite.errors import InputError
from uncertainty_suite.posthoc.conformal import (
    cluster_classes,
    cluster_thresholds,
    conformal_threshold,
    least_examples,
    uniform_numbers,
)

PREDICTORS = [name for name in posthoc.names("conformal") if posthoc.info(name).likelihoods == ("categorical",)]
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


@pytest.mark.parametrize("name", ["aps", "raps", "saps"])
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


GOLDEN = {
    "lac": "split_conformal",
    "aps": "aps",
    "raps": "raps(k_reg=2, regularization=0.05)",
    "saps": "saps(weight=0.15)",
}
alphas = pytest.mark.parametrize("alpha", ["0.1", "0.05"])


def with_uniform(name: str, to_fit: np.ndarray | float, to_predict: np.ndarray | float, **options):
    """Return a predictor whose random numbers are given."""
    predictor = posthoc.get(name, **options)
    predictor._uniform = lambda ids, purpose: to_predict if purpose else to_fit
    return predictor


@alphas
@pytest.mark.parametrize(
    ("score", "how"), [(score, "u0") for score in GOLDEN] + [(score, "given_u") for score in GOLDEN if score != "lac"]
)
def test_sets_are_those_of_the_formulas(golden_dir, score, how, alpha):
    arrays = np.load(golden_dir / "methods/regression_conformal.npz")
    expected = f"conformal_classification_alpha{alpha}/numpy/{score}_{how}"
    data = {key: arrays[f"conformal_classification_alpha0.1/{key}"] for key in ("probs_cal", "y_cal", "probs_test")}
    given = [arrays[f"conformal_classification_alpha0.1/u_{part}"][:, np.newaxis] for part in ("cal", "test")]
    predictor = with_uniform(GOLDEN[score], *(given if how == "given_u" else (0.0, 0.0)))
    predictor.fit(data["probs_cal"], data["y_cal"], alpha=float(alpha))
    assert predictor.parameters["threshold"] == pytest.approx(arrays[f"{expected}/threshold"], abs=1e-9)
    np.testing.assert_array_equal(predictor.predict_sets(data["probs_test"]), arrays[f"{expected}/sets"])


@alphas
@pytest.mark.parametrize(
    ("score", "how"), [(score, "plain") for score in GOLDEN] + [(score, "random") for score in GOLDEN if score != "lac"]
)
def test_sets_are_those_of_torchcp(golden_dir, score, how, alpha):
    arrays = np.load(golden_dir / "methods/conformal_torchcp.npz")
    given = (0.0, 0.0) if how == "plain" else (arrays["data/u_cal"][:, np.newaxis], arrays["data/u_test_per_label"])
    predictor = with_uniform(GOLDEN[score], *given)
    predictor.fit(softmax(arrays["data/logits_cal"], axis=1), arrays["data/y_cal"], alpha=float(alpha))
    # A defect of TorchCP: its SAPS calibrates with u p_max and predicts with (1 - u) p_max.
    form = "_consistent" if score == "saps" else ""
    expected = f"split_{score}_{how}_alpha{alpha}"
    assert predictor.parameters["threshold"] == pytest.approx(arrays[f"{expected}/threshold{form}"], abs=1e-9)
    sets = predictor.predict_sets(softmax(arrays["data/logits_test"], axis=1))
    np.testing.assert_array_equal(sets, arrays[f"{expected}/sets{form}"])


def test_saps_covers_easy_data(golden_dir):
    arrays = np.load(golden_dir / "methods/conformal_torchcp.npz")
    case = "saps_plain_defect_easy_data"
    predictor = posthoc.get("saps(weight=0.15, randomized=False)")
    predictor.fit(softmax(arrays[f"{case}/logits_cal"], axis=1), arrays[f"{case}/y_cal"])
    probs, labels = softmax(arrays[f"{case}/logits_test"], axis=1), arrays[f"{case}/y_test"]
    np.testing.assert_array_equal(predictor.predict_sets(probs), arrays[f"{case}/sets"])
    assert predictor.measure(probs, labels)["coverage"] == pytest.approx(arrays[f"{case}/coverage"])


@pytest.mark.parametrize("alpha", ["0.1", "0.02"])
@pytest.mark.parametrize(("score", "name"), [("lac", "split_conformal"), ("aps", "aps(randomized=False)")])
def test_a_threshold_of_each_class(golden_dir, score, name, alpha):
    arrays = np.load(golden_dir / "methods/conformal_torchcp.npz")
    expected = f"class_conditional_{score}_alpha{alpha}"
    predictor = posthoc.get(name, per="class")
    predictor.fit(softmax(arrays["data/logits_cal"], axis=1), arrays["data/y_cal"], alpha=float(alpha))
    found = np.array(predictor.parameters["threshold"], float)
    np.testing.assert_allclose(
        np.where(np.isnan(found), np.inf, found), arrays[f"{expected}/threshold_per_class"], atol=1e-9
    )
    sets = predictor.predict_sets(softmax(arrays["data/logits_test"], axis=1))
    np.testing.assert_array_equal(sets, arrays[f"{expected}/sets"])
    rare = arrays[f"{expected}/n_per_class"] < least_examples(float(alpha))
    assert bool(predictor.note) == rare.any() and sets[:, rare].all()


def test_clusters_of_classes(golden_dir):
    arrays = np.load(golden_dir / "methods/conformal_torchcp.npz")
    case = "clustered_lac_doubledip"
    labels = arrays[f"{case}/y_cal"]
    scores = 1 - softmax(arrays[f"{case}/logits_cal"], axis=1)[np.arange(len(labels)), labels]
    clusters = cluster_classes(scores, labels, 12, 0.1, num_clusters=3, seed=2023)
    expected = arrays[f"{case}/cluster"]
    assert least_examples(0.1) == arrays[f"{case}/rare_threshold_count"]
    # The same partition, whatever the numbers, and the same classes in none.
    np.testing.assert_array_equal(clusters[:, None] == clusters, expected[:, None] == expected)
    np.testing.assert_array_equal(clusters == -1, expected == -1)
    thresholds = cluster_thresholds(scores, labels, clusters, 0.1)
    np.testing.assert_allclose(thresholds, arrays[f"{case}/threshold_per_class_null_cluster_marginal"], rtol=1e-12)


def unequal(random: np.random.Generator, count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions that know the first half of the classes much better than the second."""
    labels = random.integers(classes, size=count)
    logits = random.normal(size=(count, classes))
    logits[np.arange(count), labels] += np.where(labels < classes // 2, 6.0, 1.0)
    return softmax(logits, axis=1), labels


@pytest.mark.parametrize("name", ["split_conformal", "aps", "saps"])
def test_thresholds_of_classes_and_clusters_cover_the_hard_classes(name):
    random = np.random.default_rng(0)
    probs, labels = unequal(random, 24_000, 20)
    hard = labels[12_000:] >= 10
    covered = {}
    for per in (None, "class", "cluster"):
        predictor = posthoc.get(name, per=per).fit(probs[:12_000], labels[:12_000])
        results = predictor.measure(probs[12_000:], labels[12_000:])
        sets = predictor.predict_sets(probs[12_000:])
        hit = sets[np.arange(12_000), labels[12_000:]]
        covered[per] = hit[hard].mean(), results["class_coverage_gap"]
        assert results["coverage"] == pytest.approx(0.9, abs=0.015)
    assert covered[None][0] < 0.87 < 0.885 < min(covered["class"][0], covered["cluster"][0])
    assert max(covered["class"][1], covered["cluster"][1]) < 0.6 * covered[None][1]


def test_the_threshold_is_guarded_against_rounding(golden_dir):
    arrays = np.load(golden_dir / "methods/regression_conformal.npz")
    case = "threshold_edge_cases"
    for alpha in ("0.05", "0.1", "0.5", "0.04"):
        assert conformal_threshold(arrays[f"{case}/scores"], float(alpha)) == arrays[f"{case}/alpha{alpha}"]
    for count in (19, 199):
        for confidence in ("0.9", "0.95", "0.8"):
            key = f"{case}/n{count}_conf{confidence}"
            scores = np.abs(arrays[f"{key}/residuals"])
            assert conformal_threshold(scores, 1 - float(confidence)) == arrays[f"{key}/threshold"]
    for count in (19, 99, 999, 9_999, 99_999):  # (count + 1) alpha is whole: that many scores are above the threshold
        for percent in range(1, 100):
            above = (count + 1) * percent / 100
            if above == int(above) <= count:
                assert conformal_threshold(np.arange(count), percent / 100) == count - int(above)


def test_where_one_class_has_all_the_probability_the_others_do_not_come_with_it():
    """Stopping at the threshold: Iris had 3.00 of 3 classes in every set."""
    labels = np.arange(300) % 3
    probs = np.eye(3)[np.where(np.arange(300) % 25 == 0, (labels + 1) % 3, labels)]  # 96 % right, and always sure
    predictor = posthoc.get("aps(randomized=False)").fit(probs, labels)
    sets = predictor.predict_sets(probs)
    assert (sets.sum(axis=1) == 1).all()
    assert predictor.measure(probs, labels)["coverage"] == pytest.approx(0.96)
    # At a coverage that needs the second class, it comes, and the third one only where the second is not the label.
    full = posthoc.get("aps(randomized=False)").fit(probs, labels, alpha=0.01).predict_sets(probs)
    assert full[np.arange(300), labels].mean() >= 0.99


def test_the_default_raps_differs_from_aps_on_ten_classes():
    probs, labels = draw(np.random.default_rng(0), 4000, classes=10)
    aps, raps = (posthoc.get(name).fit(probs[:2000], labels[:2000]) for name in ("aps", "raps"))
    assert (aps.predict_sets(probs[2000:]) != raps.predict_sets(probs[2000:])).any(axis=1).mean() > 0.1
    assert raps.measure(probs[2000:], labels[2000:])["coverage"] == pytest.approx(0.9, abs=0.03)
    assert "No label ranks beyond k_reg=10" in posthoc.get("raps(k_reg=10)").fit(probs, labels).note


@pytest.mark.parametrize("name", ["split_conformal", "aps", "raps"])
def test_empty_sets_can_be_forbidden(name):
    random = np.random.default_rng(0)
    labels = random.integers(4, size=2000)
    probs = softmax(5 * np.eye(4)[labels] + random.normal(size=(2000, 4)), axis=1)
    free, forbidden = (
        posthoc.get(name, allow_empty=each).fit(probs[:1000], labels[:1000]).predict_sets(probs[1000:])
        for each in (True, False)
    )
    empty = ~free.any(axis=1)
    assert 0.02 < empty.mean() < 0.2
    np.testing.assert_array_equal(forbidden[~empty], free[~empty])
    np.testing.assert_array_equal(forbidden[empty], np.eye(4, dtype=bool)[probs[1000:][empty].argmax(axis=1)])


@pytest.mark.parametrize("name", ["aps", "raps", "saps"])
def test_the_set_of_an_example_depends_on_its_id_and_not_on_its_place(name):
    probs, labels = draw(np.random.default_rng(0), 600)
    ids = np.random.default_rng(1).permutation(10_000)[:600]
    order = np.random.default_rng(2).permutation(300)
    fitted = posthoc.get(name).fit(probs[:300], labels[:300], element_ids=ids[:300])
    again = posthoc.get(name).fit(probs[:300][order], labels[:300][order], element_ids=ids[:300][order])
    assert fitted.parameters == again.parameters
    sets = fitted.predict_sets(probs[300:], ids[300:])
    np.testing.assert_array_equal(fitted.predict_sets(probs[300:][order], ids[300:][order]), sets[order])
    np.testing.assert_array_equal(fitted.predict_sets(probs[300:350], ids[300:350]), sets[:50])
    assert (fitted.predict_sets(probs[300:]) != sets).any()
    with pytest.raises(InputError, match="Element ids must be 300 integers, one for each prediction, got 299"):
        fitted.predict_sets(probs[300:], ids[301:])


def test_random_numbers_are_uniform_and_independent():
    first, second, other = (uniform_numbers(np.arange(20_000), *which) for which in ((0, 0), (0, 1), (1, 0)))
    assert stats.kstest(first, "uniform").pvalue > 0.01
    for pair in ((first, second), (first, other), (first[1:], first[:-1])):
        assert abs(stats.pearsonr(*pair).statistic) < 0.03
    assert uniform_numbers(np.array([-1, 2**62]), 0, 0).max() < 1


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


@pytest.mark.parametrize("name", ["aps", "raps", "saps"])
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
    assert few.parameters["threshold"] is None and "8 examples are too few for alpha=0.1" in few.note
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
    for per in ("class", "cluster"):
        predictor, restored = posthoc.get(name, per=per).fit(probs, labels), posthoc.get(name, per=per)
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
            "size_stratified_coverage": 1 / 3,  # of the sets of 0 and 1; of those of 2 and 3 both hold the label
            "class_0/coverage": 2 / 4,
            "class_0/set_size": 4 / 4,
            "class_1/coverage": 1.0,
            "class_1/set_size": 3.0,
        }
    )
    assert posthoc.set_metrics(sets, [0, 0, 0, 1, 0], alpha=0.1)["class_coverage_gap"] == pytest.approx((0.4 + 0.1) / 2)


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
        ("aps", {"seed": 2**32, "per": "cluster"}, "seed=4294967296 is not allowed; expected a whole number from 0 to"),
        ("aps", {"randomized": "no"}, "randomized='no' is not allowed; expected True or False."),
        ("split_conformal", {"allow_empty": "false"}, "allow_empty='false' is not allowed; expected True or False."),
        ("saps", {"weight": 0}, "weight=0 is not allowed"),
        ("aps", {"per": "group"}, "per='group' is not allowed; expected one of None, 'class', 'cluster'."),
        (
            "aps",
            {"k_reg": 1},
            "Unknown option of post-hoc method 'aps' 'k_reg'. Known: allow_empty, per, randomized, seed.",
        ),
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
