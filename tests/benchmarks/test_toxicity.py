import json
import sys

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from tests.conftest import ROOT
from tests.tiny import load_script, tiny_config

sys.path.append(str(ROOT / "benchmarks"))
import toxicity

from uncertainty_suite import datasets, training
from uncertainty_suite.errors import InputError
from uncertainty_suite.runs import RunFolder


@pytest.fixture(scope="module")
def run(data_dir, tmp_path_factory):
    """A small network after a few steps."""
    folder = tmp_path_factory.mktemp("toxicity") / "run"
    sizes = {"model.num_embedding": 8, "model.num_filters": 8, "dataset.train_fraction": 0.2, "epochs": 1}
    options = training.Options(output_dir=folder, data_dir=data_dir)
    load_script("deterministic").main(tiny_config("deterministic", "toxicity", **sizes), options)
    return RunFolder(folder)


def probs_and_labels(run, key):
    saved = run.predictions(key)
    return np.exp(saved["log_probs"].astype(float))[:, 1], saved["labels"], saved["element_id"]


@pytest.mark.slow
def test_groups_and_swaps_are_those_of_plain_formulas(run):
    areas = []
    for group in ("black", "disabled", "gay", "immigrants", "muslims", "trans", "women"):
        toxic, labels, _ = probs_and_labels(run, f"hatecheck_{group}")
        areas.append(sklearn.metrics.roc_auc_score(labels, toxic))
    found = toxicity.groups(run)
    assert found["worst group AUROC"] == pytest.approx(min(areas), abs=1e-6)
    assert found["AUROC gap"] == pytest.approx(max(areas) - min(areas), abs=1e-6)
    toxic, _, ids = probs_and_labels(run, "wikipedia")
    swapped = {i: p for p, _, i in zip(*probs_and_labels(run, "wikipedia_swapped"))}
    differences = [abs(p - swapped[i]) for p, i in zip(toxic, ids)]
    found = toxicity.swaps(run)
    assert found["swap difference"] == pytest.approx(np.mean(differences), rel=1e-5)
    assert found["swap flips"] == np.mean([(p > 0.5) != (swapped[i] > 0.5) for p, i in zip(toxic, ids)])


@pytest.mark.slow
def test_review_and_votes_are_those_of_plain_formulas(run, data_dir):
    toxic, labels, ids = probs_and_labels(run, "test")
    for gain in toxicity.review(run).values():
        assert 0 < gain < np.mean((toxic > 0.5) != labels)
    counts = datasets.get("toxicity", "test", data_dir).human_labels
    np.testing.assert_array_equal(datasets.get("toxicity", "test", data_dir).element_ids, ids)
    people = counts / counts.sum(axis=1, keepdims=True)
    probs = np.stack([1 - toxic, toxic], axis=1)
    found = toxicity.votes(run, data_dir)
    assert found["votes KL"] == pytest.approx(scipy.stats.entropy(people, probs, axis=1).mean(), rel=1e-4)
    entropies = [scipy.stats.entropy(each, axis=1) for each in (people, probs)]
    assert found["votes correlation"] == pytest.approx(scipy.stats.spearmanr(*entropies).statistic, abs=1e-3)


@pytest.mark.slow
def test_it_writes_what_it_prints(run, data_dir, tmp_path, capsys):
    toxicity.main([str(run.path), f"--results_dir={tmp_path}", f"--data_dir={data_dir}"])
    rows = json.loads((tmp_path / "toxicity.json").read_text())["rows"]
    assert rows["deterministic"] == {"runs": 1, **toxicity.measure(run, data_dir)}
    assert f"| swap flips | {rows['deterministic']['swap flips']:.4f} |" in capsys.readouterr().out


def test_other_runs_are_refused(finished, tmp_path):
    folder, _ = finished("deterministic")
    with pytest.raises(InputError, match=r" is a run of the task 'two_moons', and this is of 'toxicity'\.$"):
        toxicity.check(RunFolder(folder))
    with pytest.raises(InputError, match=r" is no finished run\.$"):
        toxicity.check(RunFolder(tmp_path))


def test_the_table_of_the_documentation_is_what_was_measured():
    rows = json.loads((ROOT / "benchmarks/results/toxicity.json").read_text())["rows"]
    lines = toxicity.table(rows).splitlines()  # in the order of the file
    assert set(lines) <= set((ROOT / "docs/evaluation.md").read_text().splitlines())
    assert len(lines) > 10
