import json
import sys

import numpy as np
import pytest

from tests.conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))
import posthoc


def make_network(num_examples=400, num_classes=10, scale=2.0, seed=0):
    """Return what an overconfident linear network says: logits are twice those that labels follow."""
    rng = np.random.default_rng(seed)
    kernel, bias = rng.normal(size=(6, num_classes)), rng.normal(size=num_classes)
    network, labels = {}, {}
    for key, size in {"test": num_examples, "fit": 60, **{f"ood/{name}": 50 for name in posthoc.OOD}}.items():
        features = rng.normal(size=(size, 6)) * (3.0 if key.startswith("ood") else 1.0)
        logits = features @ kernel + bias
        labels[key] = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
        network[key] = posthoc.saved_of(scale * logits[np.newaxis], features)
    return network, labels, (scale * kernel, scale * bias)


@pytest.fixture(scope="module")
def measured():
    network, labels, head = make_network()
    variances = posthoc.laplace_variances(network, labels["fit"], head, 60)
    return posthoc.measure(network["test"], labels["test"], variances), network, labels, head, variances


def test_what_was_overconfident_is_mended_on_the_other_half(measured):
    results, *_ = measured
    assert results["temperature_scaling"]["nll"]["mean"] < results["none"]["nll"]["mean"] - 0.1
    assert results["temperature_scaling"]["accuracy"] == results["none"]["accuracy"]
    assert results["none"]["nll"]["stddev"] == pytest.approx(0, abs=1e-12)  # both halves are the whole
    assert results["laplace"]["nll"]["mean"] < results["none"]["nll"]["mean"]
    for name in posthoc.SETS:
        # 200 examples to fit on: the standard deviation of the coverage of a fit is 0.02, and that of 10 less.
        assert results[name]["coverage"]["mean"] == pytest.approx(0.9, abs=0.03)


def test_the_variances_are_those_of_the_inverse_hessian(measured):
    _, network, _, _, variances = measured
    inputs = {key: np.pad(network[key]["features"], [(0, 0), (0, 1)], constant_values=1) for key in ("fit", "test")}
    probs = network["fit"]["samples"][0]
    hessian = sum(np.kron(np.diag(p) - np.outer(p, p), np.outer(phi, phi)) for p, phi in zip(probs, inputs["fit"]))
    covariance = np.linalg.inv(hessian + 10.0 * np.eye(len(hessian))).reshape(10, 7, 10, 7)
    expected = np.einsum("bi,kikj,bj->bk", inputs["test"], covariance, inputs["test"])
    np.testing.assert_allclose(variances[10.0], expected, rtol=1e-3)


def test_examples_count_as_often_as_they_stand_for(measured):
    """(2 H + 2 c I)^-1 is half of (H + c I)^-1."""
    _, network, labels, head, variances = measured
    twice = posthoc.laplace_variances(network, labels["fit"], head, 120)
    np.testing.assert_array_less(twice[10.0], variances[10.0])
    np.testing.assert_array_less(variances[10.0] / 2, twice[1.0])


def test_ood_scores_and_ensembles(measured):
    _, network, labels, head, _ = measured
    found = posthoc.ood(network, ("max_prob", "mahalanobis", "vim"), labels["fit"], head)
    assert all(found["mahalanobis"][name] > 0.85 for name in posthoc.OOD)
    other, *_ = make_network(seed=1)
    both = np.concatenate([network["test"]["logits"], other["test"]["logits"]])
    said = posthoc.saved_of(both)
    np.testing.assert_allclose(np.exp(said["log_probs"]), said["samples"].mean(axis=0))
    people = np.random.default_rng(0).dirichlet(np.ones(10), 400)
    assert posthoc.human_correlation(said, people).keys() == {"aleatoric", "epistemic"}
    entropy = {"aleatoric": pytest.approx(1)}
    assert posthoc.human_correlation(network["test"], network["test"]["samples"][0]) == entropy


def test_tables_have_every_number(measured):
    results, network, labels, head, _ = measured
    whole = {**results, "ood": posthoc.ood(network, posthoc.SCORES, labels["fit"], head)}
    text = posthoc.tables({"mine": {**whole, "human_correlation": {"aleatoric": 0.5}}})
    for name in (*posthoc.CALIBRATIONS, "laplace", *posthoc.SETS, *posthoc.SCORES):
        assert f"| mine | {name} |" in text
    assert "| mine | aleatoric | 0.500 |" in text


def test_tables_in_the_docs_are_those_of_the_results():
    results = json.loads((ROOT / "benchmarks/results/posthoc.json").read_text(encoding="utf-8"))
    rows = (ROOT / "docs/posthoc.md").read_text(encoding="utf-8").splitlines()
    lines = [line for line in posthoc.tables(results["networks"]).splitlines() if line]
    assert len(lines) > 50
    assert set(lines) <= set(rows)
