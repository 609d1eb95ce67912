"""OOD metrics against scikit-learn and by hand, ties above all."""

import numpy as np
import pytest
import sklearn.metrics
import threadpoolctl
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from uncertainty_suite import metrics
from uncertainty_suite.errors import InputError

scores = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=30)


@given(scores_in=scores, scores_out=scores, level=st.sampled_from([0.0, 0.3, 0.5, 0.95, 1.0]))
def test_values_are_those_of_scikit_learn(scores_in: list[float], scores_out: list[float], level: float) -> None:
    truth = np.repeat([0, 1], [len(scores_in), len(scores_out)])
    score = np.array(scores_in + scores_out)
    assert metrics.auroc(scores_in, scores_out) == pytest.approx(sklearn.metrics.roc_auc_score(truth, score))
    assert metrics.aupr_out(scores_in, scores_out) == pytest.approx(
        sklearn.metrics.average_precision_score(truth, score)
    )
    assert metrics.aupr_in(scores_in, scores_out) == pytest.approx(
        sklearn.metrics.average_precision_score(1 - truth, -score)
    )
    precision, recall, _ = sklearn.metrics.precision_recall_curve(truth, score)
    assert metrics.aupr_out(scores_in, scores_out, interpolation="trapezoid") == pytest.approx(
        sklearn.metrics.auc(recall, precision)
    )
    fpr, tpr, _ = sklearn.metrics.roc_curve(truth, score, drop_intermediate=False)
    first = np.argmax(tpr[1:] >= level - 1e-12)  # without the point that calls nothing OOD
    assert metrics.fpr_at_tpr(scores_in, scores_out, tpr=level) == pytest.approx(fpr[1:][first])


def test_perfect_inverted_and_constant_scores() -> None:
    low, high = [0.0, 0.1], [0.9, 1.0, 1.0]
    assert metrics.auroc(low, high) == metrics.aupr_in(low, high) == metrics.aupr_out(low, high) == 1
    assert metrics.fpr_at_tpr(low, high) == 0
    assert metrics.auroc(high, low) == 0
    assert metrics.fpr_at_tpr(high, low) == 1
    assert metrics.auroc([1.0, 1.0], [1.0]) == 0.5
    assert metrics.aupr_out([1.0, 1.0], [1.0]) == pytest.approx(1 / 3)
    assert metrics.fpr_at_tpr([1.0, 1.0], [1.0]) == 1


def test_streaming_takes_scores_and_whether_ood() -> None:
    rng = np.random.default_rng(0)
    score, is_ood = rng.normal(size=100), rng.random(100) < 0.3
    metric = metrics.get("fpr95", tpr=0.8)
    metric.add_batch(score[:40], label=is_ood[:40])
    metric.add_batch(score[40:], label=is_ood[40:])
    assert metric.result() == {"fpr95(tpr=0.8)": metrics.fpr_at_tpr(score[~is_ood], score[is_ood], tpr=0.8)}


def test_one_kind_only_is_refused() -> None:
    metric = metrics.get("auroc")
    metric.add_batch([0.1, 0.2], label=[0, 0])
    with pytest.raises(metrics.NoValueError, match="Metric 'auroc' has no value: it has seen no OOD example"):
        metric.result()


def test_bad_scores_are_refused() -> None:
    with pytest.raises(InputError, match="Scores of OOD examples must be finite, but the value at 1 is nan"):
        metrics.auroc([0.0], [0.0, np.nan])
    with pytest.raises(InputError, match="Scores of in-distribution examples hold no example at all"):
        metrics.auroc([], [0.0])
    with pytest.raises(InputError, match="Labels must be from 0 to 1"):
        metrics.get("auroc").add_batch([0.1, 0.2], label=[0, 2])
    with pytest.raises(InputError, match="tpr=95 is not allowed; expected a number of at least 0 and at most 1"):
        metrics.get("fpr95", tpr=95)


def test_oscr_is_the_area_under_the_curve_of_its_definition():
    rng = np.random.default_rng(0)
    scores_in, scores_out = rng.integers(0, 9, 200) / 9, rng.integers(2, 12, 150) / 12
    correct = rng.random(200) < 0.8
    thresholds = np.unique(np.concatenate([[-1], scores_in, scores_out]))
    classified = [np.mean(correct & (scores_in <= threshold)) for threshold in thresholds]
    false_positives = [np.mean(scores_out <= threshold) for threshold in thresholds]
    expected = integrate.trapezoid(classified, false_positives)
    assert metrics.oscr(scores_in, scores_out, correct) == pytest.approx(expected, rel=1e-12)
    assert metrics.oscr(scores_in, scores_out, np.ones(200, bool)) == metrics.auroc(scores_in, scores_out)
    assert metrics.oscr(scores_in, scores_out, np.zeros(200, bool)) == 0
    assert metrics.oscr(scores_in, scores_out, correct.astype(int)) == metrics.oscr(scores_in, scores_out, correct)
    with pytest.raises(InputError, match="Correctness must be one for each of 200 examples, got 199"):
        metrics.oscr(scores_in, scores_out, correct[1:])
    for wrong in (correct + 0.9, correct + 1, correct.astype(float), correct * np.nan):
        with pytest.raises(InputError, match="Correctness must be true or false, got dtype"):
            metrics.oscr(scores_in, scores_out, wrong)


def test_scores_that_differ_by_rounding_tie():
    rng = np.random.default_rng(0)
    for size in (1e-300, 1.0, -700.0, 1e300):
        constant = size * (1 + 1e-16 * rng.integers(0, 9, (2, 200)))
        assert len(np.unique(constant)) > 1
        assert metrics.auroc(*constant) == 0.5
        assert metrics.aupr_out(*constant) == 0.5
        assert metrics.fpr_at_tpr(*constant) == 1
    # Small differences that are not rounding count: small scores beside large ones, and on a logarithmic scale.
    assert metrics.auroc([1e-20, 1e-15], [1e-14, 1.0]) == 1
    assert metrics.auroc(np.log([1e-20, 1e-15]), np.log([1.001e-15, 1.0])) == 1


def test_logarithms_rank_what_float32_cannot():
    rest_in, rest_out = np.array([1e-11, 1e-12]), np.array([1e-9, 1e-10])
    tied = [1 - (1 - rest).astype(np.float32) for rest in (rest_in, rest_out)]
    assert metrics.auroc(*tied) == 0.5
    assert metrics.auroc(np.log(rest_in), np.log(rest_out)) == 1


@given(scores_in=scores, scores_out=scores)
def test_the_fpr_of_either_class(scores_in: list[float], scores_out: list[float]) -> None:
    # With in-distribution as the positive class: what share of OOD is accepted where 95% of in-distribution are.
    inside, outside = np.array(scores_in), np.array(scores_out)
    accepted = [threshold for threshold in np.unique(inside) if np.mean(inside <= threshold) >= 0.95 - 1e-12]
    assert metrics.fpr_at_tpr(inside, outside, positive="in") == np.mean(outside <= min(accepted))
    found = [threshold for threshold in np.unique(outside) if np.mean(outside >= threshold) >= 0.95 - 1e-12]
    assert metrics.fpr_at_tpr(inside, outside) == np.mean(inside >= max(found))


def test_bits_do_not_depend_on_the_number_of_threads():
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(size=(2, 30_000))
    found = []
    for num_threads in (1, 2):
        with threadpoolctl.threadpool_limits(num_threads):
            found.append([metric(inside, outside + 1) for metric in (metrics.auroc, metrics.aupr_in, metrics.aupr_out)])
    assert found[0] == found[1]
