import sys

import numpy as np
import pytest
import scipy.special
import scipy.stats

from tests.conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))
import language_models

from uncertainty_suite import datasets
from uncertainty_suite.datasets import chaosnli
from uncertainty_suite.datasets.folders import places


@pytest.fixture(scope="module")
def rows(data_dir, tmp_path_factory):
    """The runs of the models of SNLI."""
    if not any(path.is_file() for path in places(chaosnli.PREDICTIONS, data_dir)):
        pytest.skip(f"There is no {chaosnli.PREDICTIONS} in {data_dir} or beside it.")
    return language_models.runs("chaosnli_snli", tmp_path_factory.mktemp("language_models"), data_dir)


def test_models_and_ensembles_of_their_seeds_are_runs(rows):
    assert {label: len(runs) for label, runs in rows.items()} == {
        "bert_base_uncased": 2,
        "bert_base_uncased, ensemble of 2": 1,
        "roberta_base": 3,
        "roberta_base, ensemble of 3": 1,
    }
    for run in (run for runs in rows.values() for run in runs):
        metrics = run.results["metrics"]
        assert 0.7 < metrics["test/accuracy"] < 0.8
        assert metrics["test/temperature_scaling/nll"] < metrics["test/nll"]
    nll = {label: np.mean([run.results["metrics"]["test/nll"] for run in runs]) for label, runs in rows.items()}
    assert nll["roberta_base, ensemble of 3"] < nll["roberta_base"]


def test_people_are_compared_by_plain_formulas(rows, data_dir):
    _, logits = chaosnli.predictions("chaosnli_snli", "test", data_dir)["roberta_base_1"]
    probs = scipy.special.softmax(logits.astype(float), axis=1)
    people = datasets.get("chaosnli_snli", "test", data_dir).human_labels / 100
    found = language_models.people(rows["roberta_base"][1], data_dir)
    assert found["KL"] == pytest.approx(scipy.stats.entropy(people, probs, axis=1).mean(), rel=1e-4)
    assert found["scaled KL"] < found["KL"]
    entropies = [scipy.stats.entropy(each, axis=1) for each in (people, probs)]
    expected = scipy.stats.spearmanr(*entropies).statistic
    assert found["aleatoric correlation"] == pytest.approx(expected, abs=1e-4)


def test_sets_hold_the_label_of_nine_in_ten(rows):
    """By the plain quantile of split conformal prediction, of `validation`, computed here."""
    run = rows["roberta_base, ensemble of 3"][0]
    saved = {split: run.predictions(split) for split in language_models.SPLITS}
    probs = {split: run.task.likelihood.metric_input(each) for split, each in saved.items()}
    labels = {split: each["labels"] for split, each in saved.items()}
    misfit = np.sort(1 - probs["validation"][np.arange(len(labels["validation"])), labels["validation"]])
    threshold = misfit[int(np.ceil(0.9 * (len(misfit) + 1))) - 1]
    sets = 1 - probs["test"] <= threshold
    metrics = run.results["metrics"]
    assert metrics["test/split_conformal/set_size"] == pytest.approx(sets.sum(axis=1).mean(), abs=0.005)
    covered = sets[np.arange(len(sets)), labels["test"]].mean()
    assert metrics["test/split_conformal/coverage"] == pytest.approx(covered, abs=0.005)
    printed = language_models.fitted_table(rows, language_models.SETS, language_models.OF_SETS)
    coverage = f"{metrics['test/split_conformal/coverage']:.3f}"
    assert f"| roberta_base, ensemble of 3 | split_conformal | {coverage} |" in printed
