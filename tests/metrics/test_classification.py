"""Accuracy, NLL and Brier, against closed forms, plain formulas and scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from uncertainty_suite import metrics
from uncertainty_suite.errors import InputError


def dirichlet(seed: int, count: int = 200, classes: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(classes, 0.3), count), rng.integers(0, classes, count)


@given(seed=st.integers(0, 2**32 - 1))
def test_values_are_those_of_scikit_learn(seed: int) -> None:
    probs, labels = dirichlet(seed)
    classes = np.arange(6)
    assert metrics.accuracy(probs, labels) == pytest.approx(sklearn.metrics.accuracy_score(labels, probs.argmax(1)))
    assert metrics.top_k_accuracy(probs, labels, k=3) == pytest.approx(
        sklearn.metrics.top_k_accuracy_score(labels, probs, k=3, labels=classes)
    )
    probs = (probs + 1e-9) / (probs + 1e-9).sum(axis=1, keepdims=True)
    assert metrics.negative_log_likelihood(probs, labels) == pytest.approx(
        sklearn.metrics.log_loss(labels, probs, labels=classes), rel=1e-12
    )
    onehot = np.eye(6)[labels]
    assert metrics.brier_score(probs, labels) == pytest.approx(((probs - onehot) ** 2).sum(axis=1).mean(), rel=1e-12)


@given(seed=st.integers(0, 2**32 - 1))
def test_areas_by_class_are_those_of_scikit_learn(seed: int) -> None:
    probs, labels = dirichlet(seed, classes=3)
    expected = sklearn.metrics.roc_auc_score(labels, probs, multi_class="ovr")
    assert metrics.macro_auroc(probs, labels) == pytest.approx(expected, rel=1e-12)
    probs, labels = dirichlet(seed, classes=2)
    probs = probs.round(1)  # ties
    assert metrics.macro_auroc(probs, labels) == pytest.approx(sklearn.metrics.roc_auc_score(labels, probs[:, 1]))


def test_areas_need_examples_of_two_classes() -> None:
    assert metrics.macro_auroc([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]], [0, 1]) == 1  # class 2 is left out
    with pytest.raises(InputError, match="all examples have the same label, and it needs some of two classes"):
        metrics.macro_auroc([[0.9, 0.1], [0.2, 0.8]], [1, 1])


def test_perfect_and_inverted_predictions() -> None:
    probs, labels = np.eye(2)[[0, 1, 1]], np.array([0, 1, 1])
    assert metrics.accuracy(probs, labels) == 1
    assert metrics.negative_log_likelihood(probs, labels) == 0
    assert metrics.brier_score(probs, labels) == 0
    assert metrics.accuracy(probs, 1 - labels) == 0
    assert metrics.brier_score(probs, 1 - labels) == 2
    assert metrics.brier_score(probs, 1 - labels, half=True) == 1
    assert metrics.brier_top_class(probs, 1 - labels) == 1


def test_one_class_and_one_example() -> None:
    assert metrics.accuracy([[1.0]], [0]) == 1
    assert metrics.negative_log_likelihood([[1.0]], [0]) == 0
    assert metrics.brier_score([[0.25, 0.75]], [0]) == pytest.approx(2 * 0.75**2)


@pytest.mark.parametrize(
    ("dtype", "nats"), [(np.float16, 16.64), (np.float32, 103.28), (np.float64, 744.44), (np.longdouble, 744.44)]
)
def test_a_zero_probability_counts_as_the_least_number_of_the_dtype(dtype: type, nats: float) -> None:
    probs = np.array([[1.0, 0.0]], dtype)
    assert metrics.negative_log_likelihood(probs, [1]) == pytest.approx(nats, abs=0.01)


def test_other_conventions_for_a_zero_probability() -> None:
    probs = np.array([[1.0, 0.0]])
    assert metrics.negative_log_likelihood(probs, [1], clip=0) == np.inf
    assert metrics.negative_log_likelihood(probs, [1], clip="eps") == pytest.approx(-np.log(np.finfo(float).eps))
    assert metrics.negative_log_likelihood(probs, [1], clip=1e-7) == pytest.approx(-np.log(1e-7))
    assert metrics.negative_log_likelihood(probs, [1], clip=1e-7, renormalize=True) == pytest.approx(-np.log(1e-7))
    with pytest.raises(InputError, match=r"clip=0\.5 is not allowed; expected None, 'eps', or a number from 0"):
        metrics.negative_log_likelihood(probs, [1], clip=0.5)


def test_a_tiny_positive_probability_is_not_altered() -> None:
    probs = np.array([[1.0, 1e-30]], np.float32)
    assert metrics.negative_log_likelihood(probs, [1]) == pytest.approx(30 * np.log(10), rel=1e-6)


def test_the_first_of_tied_classes_is_predicted() -> None:
    assert metrics.accuracy([[0.4, 0.4, 0.2]], [0]) == 1
    assert metrics.accuracy([[0.4, 0.4, 0.2]], [1]) == 0
    assert metrics.top_k_accuracy([[0.4, 0.4, 0.2]], [1], k=1) == 0
    assert metrics.top_k_accuracy([[0.4, 0.4, 0.2]], [1], k=2) == 1
    assert metrics.top_k_accuracy([[0.4, 0.4, 0.2]], [2], k=9) == 1


def test_samples_are_averaged() -> None:
    samples = np.random.default_rng(0).dirichlet(np.ones(3), (4, 50))
    labels = np.arange(50) % 3
    for function in (metrics.accuracy, metrics.brier_score, metrics.negative_log_likelihood):
        assert function(samples, labels) == pytest.approx(function(samples.mean(axis=0), labels), rel=1e-12)
        assert function(samples[:1], labels) == function(samples[0], labels)


def test_the_brier_decomposition_adds_up_where_predictions_are_constant_in_each_group() -> None:
    rng = np.random.default_rng(1)
    rows = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.1, 0.6]])
    probs, labels = rows[rng.integers(0, 3, 500)], rng.integers(0, 3, 500)
    parts = metrics.brier_decomposition(probs, labels)
    total = parts["brier_uncertainty"] - parts["brier_resolution"] + parts["brier_reliability"]
    assert total == pytest.approx(metrics.brier_score(probs, labels) - 1, rel=1e-12)
    for part, value in parts.items():
        metric = metrics.get(part)
        metric.add_batch(probs, label=labels)
        assert metric.result() == {part: value}


@given(seed=st.integers(0, 2**32 - 1))
def test_the_brier_decomposition_is_that_of_its_definition(seed: int) -> None:
    probs, labels = dirichlet(seed)
    predicted, onehot = probs.argmax(axis=1), np.eye(6)[labels]
    groups = np.stack([onehot[predicted == predicted[i]].mean(axis=0) for i in range(len(probs))])
    rowwise = groups - onehot.mean(axis=0)[predicted][:, np.newaxis]
    parts = metrics.brier_decomposition(probs, labels)
    assert parts["brier_resolution"] == pytest.approx(((groups - onehot.mean(axis=0)) ** 2).sum(axis=1).mean())
    assert parts["brier_reliability"] == pytest.approx(((probs - groups) ** 2).sum(axis=1).mean())
    other = metrics.brier_decomposition(probs, labels, resolution="rowwise")["brier_resolution"]
    assert other == pytest.approx((rowwise**2).sum(axis=1).mean())


def test_the_brier_decomposition_of_many_classes_fits_into_memory() -> None:
    classes = 100_000  # all of them by all of them are 80 GB
    metric = metrics.get("brier_decomposition")
    for i in range(2):
        probs = np.full((3, classes), 0.5 / (classes - 1))
        probs[np.arange(3), [7, classes - 1, 7]] = 0.5
        metric.add_batch(probs, label=[7, i, classes - 2])
    parts = metric.result()
    assert parts["brier_uncertainty"] == pytest.approx(-(2 * (2 / 6) ** 2 + 2 * (1 / 6) ** 2))
    # Of class 7 half the labels are 7 and half another; of the last one half are 0 and half are 1.
    assert parts["brier_reliability"] == pytest.approx((4 * 0.5**2 + 2 * (0.5**2 + 2 * 0.5**2)) / 6, abs=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        *("brier_decomposition", "sce", "classwise_ece", "gce", "gce(class_conditional=True)", "ace", "tace"),
        *("balanced_accuracy", "worst_class_accuracy", "macro_auroc", "macro_auroc_at_coverage(coverage=1)"),
    ],
)
def test_a_change_of_classes_is_refused(name: str) -> None:
    metric = metrics.get(name)
    metric.add_batch([[0.5, 0.5], [0.3, 0.7]], label=[0, 1])
    before = metric.result()
    with pytest.raises(InputError, match=r"^Predictions of 3 classes after 2; use one metric for each\.$"):
        metric.add_batch([[0.5, 0.5, 0.0]], label=[0])
    assert metric.result() == before


@given(seed=st.integers(0, 2**32 - 1))
def test_accuracies_of_classes_are_those_of_scikit_learn(seed: int) -> None:
    probs, labels = dirichlet(seed, count=60, classes=5)
    labels[labels == 3] = 4  # a class that does not occur
    predicted = probs.argmax(axis=1)
    recalls = sklearn.metrics.recall_score(labels, predicted, labels=[0, 1, 2, 4], average=None)
    by_class = metrics.accuracy_by_class(probs, labels)
    np.testing.assert_allclose(by_class[[0, 1, 2, 4]], recalls)
    assert np.isnan(by_class[3])
    assert metrics.worst_class_accuracy(probs, labels) == pytest.approx(recalls.min())
    assert metrics.balanced_accuracy(probs, labels) == pytest.approx(recalls.mean())


def test_the_balanced_accuracy_does_not_gain_from_frequent_classes() -> None:
    probs, labels = np.tile([0.9, 0.1], (100, 1)), np.repeat([0, 1], [95, 5])
    assert metrics.balanced_accuracy(probs, labels) == sklearn.metrics.balanced_accuracy_score(labels, np.zeros(100))
    assert metrics.balanced_accuracy(probs, labels) == 0.5 and metrics.worst_class_accuracy(probs, labels) == 0


@given(
    seed=st.integers(0, 2**32 - 1),
    off=st.floats(-9e-5, 9e-5),
    sharpness=st.sampled_from([1.0, 30.0]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_rows_within_tolerance_are_divided_by_their_sum(seed: int, off: float, sharpness: float, dtype: type) -> None:
    probs, labels = dirichlet(seed, count=30, classes=3)
    probs = probs**sharpness / (probs**sharpness).sum(axis=1, keepdims=True)
    scaled = (probs * (1 + off)).astype(dtype)
    for text in ("nll", "brier", "gibbs_brier", "gibbs_cross_entropy", "brier_top_class", "entropy"):
        value = metrics.per_example(text, scaled, labels)
        low, high = metrics.info(text).value_range
        assert low <= value.min() and value.max() <= high
        if dtype is np.float64:
            np.testing.assert_allclose(value, metrics.per_example(text, probs, labels), rtol=1e-9, atol=1e-12)


def test_a_row_above_one_has_no_negative_nll() -> None:
    assert metrics.negative_log_likelihood([[1.00009, 0.0]], [0]) == 0
    assert metrics.brier_score([[1.00009, 0.0]], [1]) == 2
    assert metrics.gibbs_brier([[1.00009, 0.0]], [1]) == 2
