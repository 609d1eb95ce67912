"""ViM and ReAct against what they must be where the null space, the head and the clipping are known."""

import numpy as np
import pytest
from scipy.special import logsumexp

from uncertainty_suite import ood_scores
from uncertainty_suite.errors import InputError

RANDOM = np.random.default_rng(0)
WEIGHTS = np.concatenate([RANDOM.normal(size=(3, 4)), np.zeros((3, 4))])  # six features, the head reads the first three
BIAS = RANDOM.normal(size=4)
HEAD = (WEIGHTS, BIAS)


def saved(features: np.ndarray) -> dict[str, np.ndarray]:
    return {"features": features, "logits": features @ WEIGHTS + BIAS}


def principal(count: int, seed: int = 1, rest: float = 0.01) -> np.ndarray:
    """Return features that vary in the first three dimensions, and hardly in the others."""
    return np.random.default_rng(seed).normal(size=(count, 6)) * [3, 3, 3, rest, rest, rest]


@pytest.fixture
def train() -> dict[str, np.ndarray]:
    return saved(principal(20_000))


def test_vim_is_the_formula_where_the_residual_space_is_known(train):
    test = saved(principal(50, seed=2) + 0.1 * np.random.default_rng(3).normal(size=(50, 6)))
    scores = ood_scores.get("vim", dimension=3).fit(train, head=HEAD)(test)
    alpha = train["logits"].max(axis=1).mean() / np.linalg.norm(train["features"][:, 3:], axis=1).mean()
    expected = alpha * np.linalg.norm(test["features"][:, 3:], axis=1) - logsumexp(test["logits"], axis=1)
    np.testing.assert_allclose(scores, expected, rtol=0.01, atol=0.5)


def test_vim_orders_as_the_softmax_of_the_virtual_logit(train):
    score = ood_scores.get("vim", dimension=3).fit(train, head=HEAD)
    test = saved(principal(50, seed=2))
    virtual = score(test) + logsumexp(test["logits"], axis=1)
    joint = np.concatenate([test["logits"], virtual[:, None]], axis=1)
    probability = np.exp(virtual - logsumexp(joint, axis=1))
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-score(test))), rtol=1e-9)


def test_vim_sees_the_null_space_and_energy_does_not(train):
    test = principal(50, seed=2)
    moved = test + [0, 0, 0, 1, 0, 0]
    score = ood_scores.get("vim", dimension=3).fit(train, head=HEAD)
    assert (score(saved(moved)) > score(saved(test)).max()).all()
    energy = ood_scores.get("energy")
    np.testing.assert_array_equal(energy(saved(moved)), energy(saved(test)))


def test_vim_of_training_data_without_residual_is_finite():
    score = ood_scores.get("vim", dimension=3).fit(saved(principal(1000, rest=0.0)), head=HEAD)
    inside = saved(principal(50, seed=2, rest=0.0))
    energy = ood_scores.get("energy")(inside)
    np.testing.assert_allclose(score(inside), energy, atol=1)  # rounding errors are not blown up to residuals
    outside = score(saved(principal(50, seed=2)))
    assert np.isfinite(outside).all() and outside.min() > energy.max()


def test_vim_takes_half_of_few_dimensions(train):
    test = saved(principal(50, seed=2))
    default, half, other = (ood_scores.get("vim", dimension=each).fit(train)(test) for each in (None, 3, 2))
    np.testing.assert_array_equal(default, half)
    assert np.abs(default - other).max() > 1


def test_react_without_clipping_is_energy(train):
    score = ood_scores.get("react", percentile=100).fit(train, head=HEAD)
    np.testing.assert_allclose(score(train), ood_scores.get("energy")(train), rtol=1e-9)


def test_react_is_the_formula(train):
    score = ood_scores.get("react").fit(train, head=HEAD)
    test = saved(principal(50, seed=2) * 3)
    clipped = np.minimum(test["features"], np.percentile(train["features"], 90))
    np.testing.assert_allclose(score(test), -logsumexp(clipped @ WEIGHTS + BIAS, axis=1), rtol=1e-9)
    assert np.abs(score(test) - ood_scores.get("energy")(test)).max() > 1


@pytest.mark.parametrize("name", ["vim", "react"])
def test_a_linear_head_is_found_by_least_squares(name, train):
    test = saved(principal(50, seed=2) * 3)
    given, found = ood_scores.get(name).fit(train, head=HEAD), ood_scores.get(name).fit(train)
    assert given.head_error < 1e-9 and found.head_error < 1e-9
    np.testing.assert_allclose(found(test), given(test), rtol=1e-6)


@pytest.mark.parametrize("name", ["vim", "react"])
def test_a_head_that_is_not_linear_is_approximated_and_says_how_well(name, train):
    bent = {**train, "logits": train["logits"] + 3 * np.cos(train["features"][:, :1]) * [1, 0, 0, 0]}
    score = ood_scores.get(name).fit(bent)
    assert 0.05 < score.head_error < 1


@pytest.mark.parametrize("name", ["vim", "react"])
def test_samples_of_logits_count_by_their_mean(name, train):
    test = saved(principal(50, seed=2))
    noise = np.array([-0.1, 0.1])[:, None, None]
    several = {**train, "logits": train["logits"] + noise}
    score = ood_scores.get(name).fit(several, head=HEAD)
    scores = score({**test, "logits": test["logits"] + noise})
    np.testing.assert_allclose(scores, ood_scores.get(name).fit(train, head=HEAD)(test), rtol=1e-9)


@pytest.mark.parametrize("name", ["vim", "react"])
@pytest.mark.parametrize(
    ("head", "message"),
    [
        ((WEIGHTS.T, BIAS), r"must have weights \[6, 4\] and bias \[4\].*got \[4, 6\]"),
        ((WEIGHTS, BIAS[:3]), r"got \[6, 4\] and \[3\]"),
        ((WEIGHTS[:, ::-1], BIAS[::-1]), "does not give the saved logits from the saved features"),
        ((WEIGHTS * np.nan, BIAS), "must be finite"),
    ],
)
def test_a_wrong_head_is_one_line(name, head, message, train):
    with pytest.raises(InputError, match=message):
        ood_scores.get(name).fit(train, head=head)


def test_vim_mistakes_are_one_line(train):
    with pytest.raises(InputError, match="dimension=6 of 6 feature dimensions leaves no residual"):
        ood_scores.get("vim", dimension=6).fit(train)
    with pytest.raises(InputError, match="needs largest logits above zero on average"):
        ood_scores.get("vim").fit({**train, "logits": train["logits"] - 100})
    with pytest.raises(InputError, match="20000 features but logits of 10 examples"):
        ood_scores.get("react").fit({**train, "logits": train["logits"][:10]})
    with pytest.raises(InputError, match="50 features but logits of 10 examples"):
        ood_scores.get("vim").fit(train)({"features": principal(50), "logits": train["logits"][:10]})
