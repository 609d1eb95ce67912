import json
import sys

import numpy as np
import pytest
import sklearn.metrics

from tests.conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))
import label_errors

from uncertainty_suite import datasets
from uncertainty_suite.datasets.folders import places
from uncertainty_suite.errors import InputError
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.score import score


@pytest.fixture(scope="module")
def published(data_dir):
    """The published votes and probabilities."""
    paths = []
    for name in (label_errors.VOTES, label_errors.CROSS_VALIDATED):
        found = [path for path in places(name, data_dir) if path.is_file()]
        if not found:
            pytest.skip(f"There is no {name} in {data_dir} or beside it.")
        paths.append(found[0])
    with np.load(paths[1]) as file:
        return json.loads(paths[0].read_text()), file["probs"], file["label"].astype(np.int64)


@pytest.fixture(scope="module")
def run(published, data_dir, tmp_path_factory):
    """A run whose predictions are those of the cross-validated network, in the order of TFDS."""
    data = datasets.get("cifar10", "test", data_dir)
    arrays = {
        "test/probs": published[1][data.original_ids],
        "test/element_id": data.element_ids,
        "test/labels": data.labels,
    }
    folder = tmp_path_factory.mktemp("label_errors") / "run"
    return score(arrays, "cifar10", "mine", "net", 0, output_dir=folder, data_dir=data_dir)


def test_errors_are_the_published_ones_whatever_the_order(published, run, data_dir, tmp_path, capsys):
    votes, probs, labels = published
    label_errors.main([str(run.path), f"--results_dir={tmp_path}", f"--data_dir={data_dir}"])
    rows = json.loads((tmp_path / "label_errors.json").read_text())["rows"]
    theirs, mine = rows["cross-validated"], rows["mine, net"]
    assert mine == pytest.approx(theirs, abs=1e-6)
    assert f"| mine, net | 1 | {mine['accuracy']:.4f} |" in capsys.readouterr().out
    # 54 errors among 275 doubted labels are the published numbers, and 92.94 % the published accuracy.
    wrong = {vote["id"]: vote for vote in votes if vote["mturk"]["given"] < 3}
    assert (len(votes), len(wrong), theirs["accuracy"]) == (275, 54, pytest.approx(0.9294))
    is_error = np.isin(np.arange(10_000), list(wrong))
    doubt = -probs[np.arange(10_000), labels]
    assert theirs["AUROC"] == pytest.approx(sklearn.metrics.roc_auc_score(is_error, doubt), abs=1e-6)
    assert theirs["AP"] == pytest.approx(sklearn.metrics.average_precision_score(is_error, doubt), abs=1e-6)
    better = labels.copy()
    for image, vote in wrong.items():
        better[image] = vote["our_guessed_label"] if vote["mturk"]["guessed"] >= 3 else -1
    assert np.sum(better < 0) == 54 - 18
    assert theirs["corrected"] == pytest.approx(np.mean(probs.argmax(axis=1)[better >= 0] == better[better >= 0]))


def test_what_is_something_else_is_refused(finished, tmp_path):
    folder, _ = finished("deterministic")
    with pytest.raises(InputError, match=r" is a run of the task 'two_moons', and this is of 'cifar10'\.$"):
        label_errors.check(RunFolder(folder))
    with pytest.raises(InputError, match=r" has no results.json: it is no finished run\.$"):
        label_errors.check(RunFolder(tmp_path))
    (tmp_path / "votes.json").write_text('[{"id": 3}]')
    with pytest.raises(InputError, match=r"votes.json' is not the file of label errors of CIFAR-10 \('given_original"):
        label_errors.read_votes(tmp_path / "votes.json", np.zeros(10_000, np.int64))
    vote = {"id": 3, "given_original_label": 1, "our_guessed_label": 2, "mturk": {"given": 0, "guessed": 5}}
    (tmp_path / "votes.json").write_text(json.dumps([vote]))
    with pytest.raises(InputError, match=r"votes.json' is of other labels than those of CIFAR-10's test images\.$"):
        label_errors.read_votes(tmp_path / "votes.json", np.zeros(10_000, np.int64))


def test_the_table_of_the_documentation_is_what_was_measured():
    rows = json.loads((ROOT / "benchmarks/results/label_errors.json").read_text())["rows"]
    lines = set(label_errors.table(rows).splitlines())
    assert lines <= set((ROOT / "docs/posthoc.md").read_text().splitlines())
