"""Selective prediction, by hand and by slow formulas."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uncertainty_suite import metrics
from uncertainty_suite.errors import InputError


def predictions(confidence: list[float], correct: list[int]) -> tuple[np.ndarray, np.ndarray]:
    confidence = np.array(confidence)
    return np.stack([confidence, 1 - confidence], axis=1), 1 - np.array(correct)


CONFIDENCE, CORRECT = [0.95, 0.9, 0.8, 0.7, 0.6], [1, 1, 0, 1, 0]


def test_the_curve_by_hand() -> None:
    coverage, risk = metrics.risk_coverage_curve(*predictions(CONFIDENCE, CORRECT))
    np.testing.assert_allclose(coverage, [0.2, 0.4, 0.6, 0.8, 1.0])
    np.testing.assert_allclose(risk, [0, 0, 1 / 3, 1 / 4, 2 / 5])


def test_areas_by_hand() -> None:
    data = predictions(CONFIDENCE, CORRECT)
    assert metrics.aurc(*data) == pytest.approx((0 + 0 + 1 / 3 + 1 / 4 + 0.2) / 4)
    assert metrics.augrc(*data) == pytest.approx((0 + 0 + 0.2 + 0.2 + 0.2) / 4)
    best = (0 + 0 + 0 + 1 / 4 + 0.2) / 4
    assert metrics.excess_aurc(*data) == pytest.approx(metrics.aurc(*data) - best)


def test_points_of_the_curve() -> None:
    data = predictions(CONFIDENCE, CORRECT)
    assert metrics.risk_at_coverage(*data, coverage=0.6) == pytest.approx(1 / 3)
    assert metrics.risk_at_coverage(*data, coverage=0.61) == pytest.approx(1 / 4)
    assert metrics.accuracy_at_coverage(*data, coverage=0.4) == 1
    assert metrics.coverage_at_risk(*data, risk=0.3) == 0.8
    assert metrics.coverage_at_risk(*data, risk=0.0) == 0.4
    assert metrics.coverage_at_risk(*predictions([0.9, 0.8], [0, 0]), risk=0.5) == 0


@given(st.lists(st.tuples(st.sampled_from([0.6, 0.7, 0.8]), st.booleans()), min_size=1, max_size=6))
def test_ties_count_as_the_mean_over_all_orders(examples: list[tuple[float, bool]]) -> None:
    orders = [predictions(*zip(*order)) for order in itertools.permutations(examples)]
    for function in (metrics.aurc, metrics.augrc):
        by_order = [function(probs, labels.astype(int), ties="input") for probs, labels in orders]
        probs, labels = orders[0]
        assert function(probs, labels.astype(int)) == pytest.approx(np.mean(by_order))


@given(st.integers(0, 2**32 - 1))
def test_the_best_order_has_no_excess(seed: int) -> None:
    correct = np.random.default_rng(seed).random(30) < 0.6
    probs, labels = predictions([0.6] * 30, correct)
    best = metrics.excess_aurc(probs, labels.astype(int), confidence=correct)
    assert best == pytest.approx(0, abs=1e-12)
    assert metrics.excess_aurc(probs, labels.astype(int), confidence=~correct) >= best


def test_one_example() -> None:
    assert metrics.aurc([[0.9, 0.1]], [1]) == 1
    assert metrics.augrc([[0.9, 0.1]], [0]) == 0


def test_bad_options_are_refused() -> None:
    data = predictions(CONFIDENCE, CORRECT)
    with pytest.raises(InputError, match="coverage=0 is not allowed; expected a number above 0 and at most 1"):
        metrics.risk_at_coverage(*data, coverage=0)
    with pytest.raises(InputError, match="5 predictions but 2 values of 'max_prob'"):
        metrics.aurc(*data, confidence=[0.1, 0.2])
    with pytest.raises(InputError, match="ties='first' is not allowed"):
        metrics.aurc(*data, ties="first")
    with pytest.raises(InputError, match="pass one of them to sort by"):
        metrics.aurc(*data, confidence=CONFIDENCE, uncertainty=CONFIDENCE)
    with pytest.raises(InputError, match="uncertainty=nan is not allowed"):
        metrics.get("aurc", uncertainty=float("nan"))


def test_macro_auroc_is_that_of_what_is_answered() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    p = rng.beta(1 + 2 * labels, 3 - 2 * labels)
    probs = np.stack([1 - p, p], axis=1)
    order = np.argsort(-np.abs(p - 0.5))
    for coverage, count in ((1.0, 200), (0.75, 150), (0.667, 134)):
        expected = roc_auc_score(labels[order[:count]], p[order[:count]])
        assert metrics.macro_auroc_at_coverage(probs, labels, coverage=coverage) == pytest.approx(expected, rel=1e-12)
    # Ties with the last one that is answered are answered: the order of the input decides nothing.
    probs, labels = np.array([[0.9, 0.1], [0.3, 0.7], [0.7, 0.3], [0.3, 0.7]]), np.array([0, 0, 1, 1])
    assert metrics.macro_auroc_at_coverage(probs, labels, coverage=0.5) == metrics.macro_auroc(probs, labels) == 0.625
    with pytest.raises(InputError, match=r"'macro_auroc_at_coverage.*all examples have the same label"):
        metrics.macro_auroc_at_coverage(probs, labels, coverage=0.25)


SORTING = ["accuracy_at_coverage", "augrc", "aurc", "coverage_at_risk", "excess_aurc", "risk_at_coverage"]
SORTING += [
    "macro_auroc_at_coverage(coverage=0.7)",
    "calibration_auc",
    "calibration_auc(positive='wrong')",
    "calibration_auc(curve='PR')",
]


@pytest.mark.parametrize("text", SORTING)
def test_any_uncertainty_sorts(text: str) -> None:
    rng = np.random.default_rng(0)
    samples, labels = rng.dirichlet(np.ones(3), (4, 300)), rng.integers(0, 3, 300)
    information = metrics.mutual_information(samples)
    name, _, options = text.rstrip(")").partition("(")
    named = f"{name}(uncertainty='mutual_information'{options and ', ' + options})"
    collection = metrics.Collection([named, text, f"{name}(uncertainty='variance')"])
    for rows in np.split(np.arange(300), [7, 90, 91]):
        given_ = {"mutual_information": information[rows], "unused": None}
        collection.add_batch(samples[:, rows], label=labels[rows], uncertainties=given_)
    alone = metrics.get(named)
    alone.add_batch(samples, label=labels, uncertainty=information)
    result = collection.result()
    assert result[named] == pytest.approx(alone.result()[named], rel=1e-12)
    assert result[named] != pytest.approx(result[text])
    # Another dimension has the same order, and without one the largest probability sorts.
    again = metrics.get(text)
    again.add_batch(samples, label=labels, uncertainty=np.log(information))
    assert again.result()[text] == pytest.approx(result[named], rel=1e-12)
    again.reset()
    again.add_batch(samples, label=labels, uncertainty=1 - samples.mean(axis=0).max(axis=1))
    assert again.result()[text] == pytest.approx(result[text], rel=1e-12)
    assert list(collection.left_out) == [f"{name}(uncertainty='variance')"]
    assert "'variance', which was not given" in collection.left_out[f"{name}(uncertainty='variance')"]


def test_an_uncertainty_is_given_and_of_every_batch() -> None:
    probs, labels = predictions(CONFIDENCE, CORRECT)
    metric = metrics.get("aurc(uncertainty='variance')")
    with pytest.raises(InputError, match=r"sorts by 'variance'; call add_batch\(..., uncertainty=values"):
        metric.add_batch(probs, label=labels)
    with pytest.raises(InputError, match="Values of 'variance' must be finite"):
        metric.add_batch(probs, label=labels, uncertainty=[0, 0, 0, np.nan, 0])
    metric = metrics.get("aurc")
    metric.add_batch(probs, label=labels)
    with pytest.raises(InputError, match="for some batches only; give it for all or none"):
        metric.add_batch(probs, label=labels, uncertainty=CONFIDENCE)
    collection = metrics.Collection(["aurc", "nll"])
    collection.add_batch(probs, label=labels, uncertainties={"max_prob": CONFIDENCE})
    with pytest.raises(InputError, match=r"had the uncertainties \['max_prob'\] to sort by, this one has \[\]"):
        collection.add_batch(probs, label=labels)
    with pytest.raises(InputError, match="are of the largest probability; leave uncertainty out"):
        metrics.get("calibration_auc", num_thresholds=200, uncertainty="variance")
    with pytest.raises(InputError, match="num_thresholds is of the largest probability"):
        metrics.calibration_auc(probs, labels, num_thresholds=200, confidence=CONFIDENCE)


def test_confidences_that_differ_by_rounding_tie() -> None:
    rng = np.random.default_rng(0)
    probs, labels = predictions(rng.uniform(0.5, 1, 100), rng.random(100) < 0.7)
    constant = 0.7 + 1e-16 * rng.integers(0, 3, 100)
    for function in (metrics.aurc, metrics.augrc, metrics.excess_aurc, metrics.calibration_auc):
        noisy = function(probs, labels.astype(int), uncertainty=constant)
        assert noisy == pytest.approx(function(probs, labels.astype(int), uncertainty=np.zeros(100)), rel=1e-12)
    tiny = np.array([1e-20, 1e-15, 1e-12, 0.1, 0.2])  # of scores that differ by orders of magnitude none tie
    assert metrics.calibration_auc(*predictions(CONFIDENCE, [1, 1, 0, 0, 0]), uncertainty=tiny) == 1


@pytest.mark.parametrize("case", ["id_only", "id_ood", "id_ood_ties", "all_correct", "n5"])
def test_failure_detection_is_that_of_the_libraries(case: str, golden_dir: Path) -> None:
    with np.load(golden_dir / "methods" / "decomposition_failure.npz", allow_pickle=False) as arrays:
        golden = {key.split("/")[1]: arrays[key] for key in arrays.files if key.startswith(f"failure_{case}/")}
    errors, is_ood, uncertainty = golden["error"] > 0, golden["is_ood"] > 0, -golden["confidence"]

    def found(**options: Any) -> dict[str, float]:
        return metrics.failure_detection(errors, uncertainty, is_ood, **options)

    ours = {f"{key}_tu": value for key, value in found().items()}
    ours |= {f"{key}_fd": value for key, value in found(convention="fd-shifts").items()}
    ours["auroc_failure"] = found().get("auroc", np.nan)
    curve = metrics.failure_curve(errors, uncertainty, is_ood)
    ours |= {"aurc_mean": curve.risk.mean(), "augrc_mean": curve.generalized_risk.mean()}
    for cost in (0.5, 0.3):
        ours |= {f"scod_{key}_cost{cost}": value for key, value in found(ood_cost=cost).items()}
    # An OOD example is a failure whether or not it counts as an error too.
    assert metrics.failure_detection(errors & ~is_ood, uncertainty, is_ood.astype(int)) == found()
    compared = ours.keys() & golden.keys()
    assert compared >= {"aurc_fd", "augrc_fd"}
    for key in compared:
        np.testing.assert_allclose(ours[key], golden[key], rtol=1e-9, atol=1e-15, err_msg=key)
    for key in ("aurc", "augrc"):
        if f"{key}_tu_range_over_orders" in golden:
            low, high = golden[f"{key}_tu_range_over_orders"]
            assert low < ours[f"{key}_tu"] < high


def test_in_distribution_alone_failure_detection_is_selective_prediction() -> None:
    probs, labels = predictions(CONFIDENCE, CORRECT)
    uncertainty = 1 - np.array(CONFIDENCE)
    found = metrics.failure_detection(probs.argmax(axis=1) != labels, uncertainty)
    assert found["aurc"] == pytest.approx(metrics.aurc(probs, labels))
    assert found["augrc"] == pytest.approx(metrics.augrc(probs, labels))
    assert found["auroc"] == pytest.approx(metrics.calibration_auc(probs, labels))
    with pytest.raises(InputError, match="Errors must be true or false, got dtype float64"):
        metrics.failure_detection([0.0, 1.0], [0.1, 0.2])
    with pytest.raises(InputError, match="is_ood must be one for each of 2 examples, got 1"):
        metrics.failure_detection([0, 1], [0.1, 0.2], [True])
    with pytest.raises(InputError, match="ood_cost=nan is not allowed"):
        metrics.failure_detection([0, 1], [0.1, 0.2], [False, True], ood_cost=np.nan)
