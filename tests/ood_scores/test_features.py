"""Scores of features against closed forms on Gaussian data."""

import numpy as np
import pytest

from uncertainty_suite import ood_scores
from uncertainty_suite.errors import InputError

MEANS = np.array([[2.0, 0.0, 1.0], [-2.0, 1.0, 0.0]])
FACTOR = np.array([[1.0, 0.0, 0.0], [0.7, 0.5, 0.0], [-0.3, 0.2, 2.0]])
COVARIANCE = FACTOR @ FACTOR.T
POINTS = np.random.default_rng(9).normal(size=(40, 3)) * 4


def gaussians(count: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    labels = np.arange(count) % 2
    return {"features": MEANS[labels] + random.normal(size=(count, 3)) @ FACTOR.T, "labels": labels}


def squared_distance(points: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    return np.einsum("ni,ij,nj->n", points - mean, np.linalg.inv(covariance), points - mean)


def analytic() -> np.ndarray:
    return np.min([squared_distance(POINTS, mean, COVARIANCE) for mean in MEANS], axis=0)


def test_mahalanobis_nears_the_analytic_distance_as_data_grow():
    errors = []
    for count in (100, 10_000, 1_000_000):
        scores = ood_scores.get("mahalanobis").fit(gaussians(count))({"features": POINTS})
        errors.append(np.abs(scores / analytic() - 1).max())
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.01


def test_relative_mahalanobis_nears_the_analytic_difference():
    offsets = MEANS - MEANS.mean(axis=0)
    everything = COVARIANCE + offsets.T @ offsets / 2
    expected = analytic() - squared_distance(POINTS, MEANS.mean(axis=0), everything)
    scores = ood_scores.get("relative_mahalanobis").fit(gaussians(1_000_000))({"features": POINTS})
    np.testing.assert_allclose(scores, expected, rtol=0.01, atol=0.05)


def test_mahalanobis_is_the_formula_on_the_sample():
    train = gaussians(200)
    features, labels = train["features"], train["labels"]
    means = np.array([features[labels == k].mean(axis=0) for k in (0, 1)])
    covariance = sum(np.outer(row, row) for row in features - means[labels]) / 200
    expected = np.min([squared_distance(POINTS, mean, covariance) for mean in means], axis=0)
    scores = ood_scores.get("mahalanobis", shrinkage=1e-12).fit(train)({"features": POINTS})
    np.testing.assert_allclose(scores, expected, rtol=1e-8)


def test_mahalanobis_does_not_see_scale_or_rotation():
    train, random = gaussians(500), np.random.default_rng(1)
    transform = random.normal(size=(3, 3)) * 100
    score = ood_scores.get("mahalanobis", shrinkage=1e-13)
    before = score.fit(train)({"features": POINTS})
    after = score.fit({**train, "features": train["features"] @ transform})({"features": POINTS @ transform})
    np.testing.assert_allclose(after, before, rtol=1e-5)


def test_relative_mahalanobis_ignores_a_dimension_without_class():
    random = np.random.default_rng(2)
    train = gaussians(100_000)
    noise = random.normal(size=(100_000, 1))
    wide = {**train, "features": np.concatenate([train["features"], noise], axis=1)}
    points = np.concatenate([POINTS, np.full((len(POINTS), 1), 5.0)], axis=1)
    for name, difference in (("mahalanobis", 25), ("relative_mahalanobis", 0)):
        plain = ood_scores.get(name).fit(train)({"features": POINTS})
        np.testing.assert_allclose(ood_scores.get(name).fit(wide)({"features": points}) - plain, difference, atol=0.5)


@pytest.mark.parametrize("name", ["mahalanobis", "relative_mahalanobis"])
def test_singular_covariances_are_seen_through(name):
    random = np.random.default_rng(3)
    labels = np.arange(20) % 2
    features = random.normal(size=(20, 50))  # fewer examples than dimensions
    features[:, 7] = 1.0  # never varies
    features[10:] = features[:10]  # duplicates
    score = ood_scores.get(name).fit({"features": features, "labels": labels})
    inside, outside = score({"features": features}), score({"features": features + np.eye(50)[7]})
    assert np.isfinite(inside).all() and np.isfinite(outside).all()
    if name == "mahalanobis":
        assert inside.max() < 100 and outside.min() > 1000


def test_constant_features_are_a_distance_to_the_constant():
    score = ood_scores.get("mahalanobis").fit({"features": np.ones((5, 2)), "labels": np.zeros(5, int)})
    scores = score({"features": np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])})
    assert scores[0] == 0 and 0 < scores[1] < scores[2] < np.inf


def test_one_class():
    train = {**gaussians(500), "labels": np.zeros(500, int)}
    mean, covariance = train["features"].mean(axis=0), np.cov(train["features"].T, bias=True)
    scores = ood_scores.get("mahalanobis").fit(train)({"features": POINTS})
    np.testing.assert_allclose(scores, squared_distance(POINTS, mean, covariance), rtol=1e-4)
    with pytest.raises(InputError, match="of one class is zero everywhere"):
        ood_scores.get("relative_mahalanobis").fit(train)


def test_classes_need_not_be_consecutive():
    train = gaussians(100)
    score = ood_scores.get("mahalanobis")
    before = score.fit(train)({"features": POINTS})
    np.testing.assert_array_equal(score.fit({**train, "labels": train["labels"] * 5})({"features": POINTS}), before)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full(10, -1), "all of them known"),
        (np.zeros(10), "all of them known"),
        (np.zeros(9, int), "10 features but 9 labels"),
    ],
)
def test_bad_labels_are_one_line(labels, message):
    with pytest.raises(InputError, match=message):
        ood_scores.get("mahalanobis").fit({"features": np.ones((10, 2)), "labels": labels})


@pytest.mark.parametrize("k", [1, 7, 100])
def test_knn_is_the_kth_smallest_distance(k):
    from sklearn.neighbors import NearestNeighbors

    train = gaussians(100)["features"]
    scores = ood_scores.get("knn", k=k).fit({"features": train})({"features": POINTS})
    unit_train, unit = (rows / np.linalg.norm(rows, axis=1)[:, None] for rows in (train, POINTS))
    slow = np.sort(np.linalg.norm(unit[:, None] - unit_train, axis=2), axis=1)[:, k - 1]
    np.testing.assert_allclose(scores, slow, rtol=1e-7)
    tree = NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(unit_train)
    np.testing.assert_allclose(scores, tree.kneighbors(unit)[0][:, -1], rtol=1e-7)


def test_knn_sees_direction_and_not_length():
    score = ood_scores.get("knn", k=3).fit(gaussians(100))
    np.testing.assert_allclose(score({"features": POINTS * 100}), score({"features": POINTS}), rtol=1e-9)


def test_knn_of_zeros_and_duplicates():
    train = np.repeat([[1.0, 0.0]], 5, axis=0)
    scores = ood_scores.get("knn", k=5).fit({"features": train})({"features": np.array([[2.0, 0.0], [0.0, 0.0]])})
    np.testing.assert_allclose(scores, [0, 1], atol=1e-7)


def test_knn_of_too_few_is_one_line_and_known_before_training():
    message = r"'knn' needs k=50 training examples or more, got 45; fit it on more, or take a smaller k: knn\(k=4\)"
    with pytest.raises(InputError, match=message):
        ood_scores.get("knn").fit({"features": np.ones((45, 2))})
    with pytest.raises(InputError, match=message):
        ood_scores.get("knn").check_fit_examples(45)
    ood_scores.get("knn").check_fit_examples(50)
    ood_scores.get("energy").check_fit_examples(0)


@pytest.fixture(scope="module")
def golden_densities(golden_dir):
    """A function of a case that returns its arrays, computed by the code of the paper's authors."""

    def arrays_of(case):
        with np.load(golden_dir / "methods" / "ddu.npz", allow_pickle=False) as arrays:
            return {key.partition("/")[2]: arrays[key] for key in arrays.files if key.startswith(f"{case}/")}

    return arrays_of


@pytest.mark.parametrize(
    ("case", "jitter"),
    [
        ("plain", "0.001"),
        ("float32", "0.001"),
        ("rank_deficient", "0.001"),
        ("rank_deficient", "1e-06"),
        ("class_smaller_than_dimension", "0.001"),
        ("class_smaller_than_dimension", "1e-06"),
    ],
)
def test_golden_gaussian_density(case, jitter, golden_densities):
    values = golden_densities(case)
    eigenvalues = np.linalg.eigvalsh(values["covariances_without_jitter"])
    shrinkage = float(jitter) / eigenvalues.mean()
    score = ood_scores.get("gaussian_density", shrinkage=shrinkage).fit(values)
    expected = -values[f"jitter{jitter}/score_with_class_prior"]
    rtol = 1e-3 if "float32" in case else 1e-6
    np.testing.assert_allclose(score({"features": values["features_test"]}), expected, rtol=rtol)


def test_gaussian_density_is_that_of_scipy():
    from scipy.stats import multivariate_normal

    train = gaussians(300)
    train["labels"][:100] = 0  # classes of unequal size, and no Gaussians any more
    density = 0.0
    for label in (0, 1):
        features = train["features"][train["labels"] == label]
        gaussian = multivariate_normal(features.mean(axis=0), np.cov(features.T))
        density = density + len(features) / 300 * gaussian.pdf(POINTS)
    score = ood_scores.get("gaussian_density", shrinkage=1e-12).fit(train)
    np.testing.assert_allclose(score({"features": POINTS}), -np.log(density), rtol=1e-7)


def test_gaussian_density_far_away_keeps_its_order():
    score = ood_scores.get("gaussian_density").fit(gaussians(200))
    far = score({"features": np.outer(10.0 ** np.arange(2, 8), np.ones(3))})  # where the density itself is 0
    assert np.isfinite(far).all() and (np.diff(far) > 0).all()


def test_gaussian_density_needs_two_examples_of_a_class():
    train = {"features": np.random.default_rng(0).normal(size=(5, 2)), "labels": np.array([0, 0, 1, 0, 0])}
    with pytest.raises(InputError, match="Class 1 has 1 of 5 examples"):
        ood_scores.get("gaussian_density").fit(train)
