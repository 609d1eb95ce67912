"""What every OOD score promises: the interface, the checks, and that it tells far data from training data."""

import subprocess
import sys

import numpy as np
import pytest

from uncertainty_suite import metrics, ood_scores
from uncertainty_suite.errors import InputError

OPTIONS = {"knn": {"k": 10}, "vim": {"dimension": 3}}
everywhere = pytest.mark.parametrize("name", ood_scores.names())
fitted_ones = pytest.mark.parametrize("name", [name for name in ood_scores.names() if ood_scores.info(name).fit_needs])

# A classifier that knows where its three classes are: features are six-dimensional, classes vary in the first three,
# and the head is linear. Weights are those of equal Gaussians, so that logits are large only near the classes.
MEANS = 4.0 * np.eye(3, 6)
WEIGHTS, BIAS = MEANS.T / 2, -np.full(3, 4.0)


def predictions(features: np.ndarray, labels: np.ndarray | int = -1, samples: int = 3) -> dict[str, np.ndarray]:
    """Return what a model would save of features: several samples of logits around those of the head."""
    noise = 0.01 * np.random.default_rng(1).normal(size=(samples, 1, 3))
    logits = features @ WEIGHTS + BIAS + noise - noise.mean(axis=0)  # [samples, n, classes]
    # As an ensemble does, samples disagree where no class is near.
    distance = np.sqrt(((features[:, None] - MEANS) ** 2).sum(-1)).min(1)
    tilt = np.eye(3)[:, None] * np.minimum(distance / 4, 1.5)[:, None]
    probs = np.exp(logits + tilt[:samples])
    probs /= probs.sum(axis=-1, keepdims=True)
    return {
        "log_probs": np.log(probs.mean(axis=0)).astype(np.float32),
        "samples": probs.astype(np.float32),
        "logits": logits.astype(np.float32),
        "features": features.astype(np.float32),
        "labels": np.broadcast_to(labels, len(features)).astype(np.int32),
        "uncertainty/variance": distance.astype(np.float32),
    }


def draw(seed: int, count: int = 300) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(3, size=count)
    return predictions(MEANS[labels] + random.normal(size=(count, 6)) * [1, 1, 1, 0.1, 0.1, 0.1], labels)


@pytest.fixture(scope="module")
def train() -> dict[str, np.ndarray]:
    return draw(seed=0)


@pytest.fixture(scope="module")
def test() -> dict[str, np.ndarray]:
    return draw(seed=1)


@pytest.fixture(scope="module")
def far() -> dict[str, np.ndarray]:
    random = np.random.default_rng(2)
    return predictions(-2.0 + 0.5 * random.normal(size=(200, 6)))


@everywhere
def test_larger_far_from_the_training_data(name, train, test, far):
    score = ood_scores.get(name, **OPTIONS.get(name, {})).fit(train)
    assert metrics.auroc(score(test), score(far)) > 0.9


@everywhere
def test_gives_one_finite_float64_for_each_example_in_any_order(name, train, test):
    score = ood_scores.get(name, **OPTIONS.get(name, {})).fit(train)
    scores = score(test)
    assert scores.shape == (300,) and scores.dtype == np.float64 and np.isfinite(scores).all()
    assert len(np.unique(scores)) > 250
    order = np.random.default_rng(3).permutation(300)
    shuffled = {key: values[:, order] if values.ndim == 3 else values[order] for key, values in test.items()}
    np.testing.assert_allclose(score(shuffled), scores[order], rtol=1e-6, atol=1e-9)


@everywhere
def test_does_not_depend_on_the_order_of_training_data(name, train, test):
    score = ood_scores.get(name, **OPTIONS.get(name, {}))
    scores = score.fit(train)(test)
    order = np.random.default_rng(3).permutation(300)
    shuffled = {key: values[:, order] if values.ndim == 3 else values[order] for key, values in train.items()}
    np.testing.assert_allclose(score.fit(shuffled)(test), scores, rtol=1e-5, atol=1e-6)


@everywhere
def test_needs_what_it_says_and_no_more(name, train, test):
    score = ood_scores.get(name, **OPTIONS.get(name, {}))
    score.fit({key: train[key] for key in score.fit_needs})
    score({key: test[key] for key in score.needs})
    for key in score.needs:
        with pytest.raises(InputError, match=f"'{name}.*' needs {key} to score") as error:
            score({other: values for other, values in test.items() if other != key})
        assert "\n" not in str(error.value)


@fitted_ones
def test_learns_from_the_training_data(name, train, test):
    score = ood_scores.get(name, **OPTIONS.get(name, {}))
    before = score.fit(train)(test)
    half = {key: values[:, :100] if values.ndim == 3 else values[:100] for key, values in train.items()}
    half["features"] = half["features"] + np.linspace(0, 2, 100)[:, None]
    assert np.abs(score.fit(half)(test) - before).max() > 0.01


@fitted_ones
def test_unfitted_is_one_line(name, train, test):
    score = ood_scores.get(name, **OPTIONS.get(name, {}))
    with pytest.raises(InputError, match=f"'{name}.*' is not fitted; call fit"):
        score(test)
    with pytest.raises(InputError, match=f"'{name}.*' needs features to fit.*--config.evaluation.save=.*features"):
        score.fit({"log_probs": train["log_probs"]})


@fitted_ones
def test_refuses_features_of_another_model(name, train, test):
    score = ood_scores.get(name, **OPTIONS.get(name, {})).fit(train)
    with pytest.raises(InputError, match=r"have 5 dimensions, but the score was fitted on 6"):
        score({**test, "features": test["features"][:, :5]})


@pytest.mark.parametrize("name", ["energy", "max_prob", "variance"])
def test_fit_is_a_no_op_where_there_is_nothing_to_fit(name, test):
    score = ood_scores.get(name)
    scores = score(test)
    assert score.fit({}) is score
    np.testing.assert_array_equal(score(test), scores)


@pytest.mark.parametrize("name", ["mahalanobis", "knn", "vim", "react", "energy"])
def test_refuses_nan(name, train, test):
    score = ood_scores.get(name, **OPTIONS.get(name, {})).fit(train)
    key = score.needs[0]
    broken = np.array(test[key])
    broken[(0,) * broken.ndim] = np.nan
    with pytest.raises(InputError, match="must be finite"):
        score({**test, key: broken})


@pytest.mark.parametrize(
    ("name", "options", "changed"),
    [
        ("energy", {"temperature": 1.0}, {"temperature": 10.0}),
        ("knn", {"k": 1}, {"k": 20}),
        ("mahalanobis", {"shrinkage": 1e-6}, {"shrinkage": 1.0}),
        ("relative_mahalanobis", {"shrinkage": 1e-6}, {"shrinkage": 1.0}),
        ("gaussian_density", {"shrinkage": 1e-6}, {"shrinkage": 1.0}),
        ("vim", {"dimension": 3}, {"dimension": 4}),
        ("react", {"percentile": 90}, {"percentile": 60}),
    ],
)
def test_options_change_the_score(name, options, changed, train, test):
    before, after = (ood_scores.get(name, **each).fit(train)(test) for each in (options, changed))
    order = [np.argsort(np.argsort(scores)) for scores in (before, after)]
    assert (order[0] != order[1]).any()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mahalanobi", {}, "Unknown OOD score 'mahalanobi'. Did you mean 'mahalanobis'?"),
        ("knn", {"neighbours": 3}, "Unknown option of OOD score 'knn' 'neighbours'. Known: k."),
        ("knn", {"k": 0}, "k=0 is not allowed"),
        ("knn(k=0)", {}, "k=0 is not allowed"),
        ("energy", {"temperature": 0}, "temperature=0 is not allowed"),
        ("mahalanobis", {"shrinkage": -1}, "shrinkage=-1 is not allowed"),
        ("vim", {"dimension": 0}, "dimension=0 is not allowed"),
        ("react", {"percentile": 101}, "percentile=101 is not allowed"),
    ],
)
def test_wrong_options_are_one_line(name, options, message):
    with pytest.raises(InputError) as error:
        ood_scores.get(name, **options)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_everything_is_documented():
    for name in ood_scores.names():
        score = ood_scores.info(name)
        assert score.name == name and score.formula and score.needs and score.__doc__
        assert score.likelihoods and set(score.likelihoods) <= {"categorical", "gaussian"}
    assert [name for name in ood_scores.names() if "gaussian" in ood_scores.info(name).likelihoods] == [
        "knn",
        "variance",
    ]


def test_options_may_stand_in_the_text(train, test):
    score = ood_scores.get("knn(k=10)")
    assert score.key == "knn(k=10)" and ood_scores.get("knn").key == "knn"
    assert ood_scores.info("knn(k=10)").needs == ("features",)
    np.testing.assert_array_equal(score.fit(train)(test), ood_scores.get("knn", k=10).fit(train)(test))


def test_reads_a_saved_file(train, test, tmp_path):
    np.savez(tmp_path / "train.npz", **train)
    with np.load(tmp_path / "train.npz") as saved:
        score = ood_scores.get("mahalanobis").fit(saved)
        with pytest.raises(InputError, match="needs uncertainty/spread to score, but none are saved; there are log_p"):
            ood_scores.get("variance", uncertainty="spread")(saved)
    np.testing.assert_array_equal(score(test), ood_scores.get("mahalanobis").fit(train)(test))


def test_imports_no_tensorflow():
    code = "import sys, uncertainty_suite.ood_scores, uncertainty_suite.posthoc; print(sorted(sys.modules))"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "'uncertainty_suite.posthoc'" in output
    for module in ("tensorflow", "keras", "scipy", "sklearn"):
        assert f"'{module}'" not in output
