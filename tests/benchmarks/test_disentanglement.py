import json
import sys

import numpy as np
import pytest
import scipy.stats

from tests.conftest import ROOT
from tests.evaluation.conftest import SAMPLES, make_run, predict_by_distance

sys.path.append(str(ROOT / "benchmarks"))
import disentanglement

from uncertainty_suite import datasets, evaluation

LEVELS = (0.0, 0.1, 0.2, 0.4)


@pytest.mark.parametrize(
    ("of_seeds", "seen", "furthest"),
    [
        ([(1, 2, 3, 4), (1, 3, 2, 4)], {"rises"}, 4),  # rank correlations of 1 and 0.8
        ([(4, 3, 2, 1), (8, 7, 6, 2)], {"does not rise"}, 0.25),
        ([(1, 2, 3, 4), (1, 4, 2, 3)], set(), 3.5),  # 1 and 0.4, but higher than without noise
        ([(1, 1.05, 1.02, 1.01), (1, 0.95, 1.04, 1.0)], {"does not rise"}, 1.03),
    ],
)
def test_what_is_seen(of_seeds, seen, furthest):
    rows = [
        {
            "method": "mc_dropout",
            "seed": seed,
            "label_noise": noise,
            "train_fraction": 1.0,
            "metrics": {"test/aleatoric": value, "test/epistemic": value},
        }
        for seed, values in enumerate(of_seeds)
        for noise, value in zip(LEVELS, values)
    ]
    claims = disentanglement.judge(rows)
    assert {claim["with"] for claim in claims} == {"label_noise"}  # of the other sweep there is one level
    assert {claim["expected"] for claim in claims if claim["seen"]} == seen
    assert claims[0]["furthest_ratio_to_plain_data"]["mean"] == pytest.approx(furthest)


def test_what_is_seen_of_long_tails():
    rows = [
        {
            "method": "mc_dropout",
            "imbalance": ratio,
            "seed": 0,
            "metrics": {"test/aleatoric": aleatoric, "test/epistemic": epistemic},
        }
        for ratio, aleatoric, epistemic in ((1.0, 0.5, 0.1), (3.0, 0.52, 0.2), (10.0, 0.49, 0.3))
    ]
    claims = disentanglement.judge(rows)
    assert [(claim["part"], claim["expected"], claim["seen"]) for claim in claims] == [
        ("epistemic", "rises", True),
        ("aleatoric", "does not change", True),
    ]
    assert claims[0]["furthest_ratio_to_plain_data"]["mean"] == pytest.approx(3)
    header = disentanglement.table_of_levels(disentanglement.summarize(rows)).splitlines()[0]
    assert header.startswith("| method | imbalance | accuracy |")
    assert "epistemic, rare classes" in header


def test_rare_classes_are_those_of_higher_labels(tmp_path):
    run = make_run(tmp_path, section=SAMPLES, ood_far=())
    evaluation.evaluate(predict_by_distance, run)
    test = datasets.get("two_moons", "test")
    probs, rare = predict_by_distance(test.features).probs[:, test.labels == 1], test.labels[test.labels == 1]
    mean = probs.mean(axis=0)
    aleatoric = scipy.stats.entropy(probs, axis=-1).mean(axis=0)
    assert disentanglement.of_rare_classes(run.folder) == pytest.approx(
        {
            "rare/accuracy": np.mean(mean.argmax(axis=-1) == rare),
            "rare/nll": -np.log(mean[:, 1]).mean(),
            "rare/aleatoric": aleatoric.mean(),
            "rare/epistemic": (scipy.stats.entropy(mean, axis=-1) - aleatoric).mean(),
        },
        rel=1e-4,
    )


NAMES = ["disentanglement.json", "disentanglement_imbalance.json", "disentanglement_labels.json"]


@pytest.mark.parametrize("name", NAMES)
def test_the_page_quotes_the_committed_results(name):
    page = (ROOT / "docs/disentanglement.md").read_text()
    for task in json.loads((ROOT / "benchmarks/results" / name).read_text())["tasks"].values():
        assert disentanglement.table_of_levels(task["levels"]) in page
        assert disentanglement.table_of_claims(task["claims"]) in page


def test_the_entropy_of_symmetric_noise_is_that_of_the_option():
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 10, 200_000)
    given = np.where(rng.random(len(clean)) < 0.2, (clean + rng.integers(1, 10, len(clean))) % 10, clean)
    expected = evaluation.label_entropy(0.2, num_classes=10)
    assert disentanglement.conditional_entropy(given, clean) == pytest.approx(expected, abs=2e-3)
    assert disentanglement.conditional_entropy(clean, clean) == 0
