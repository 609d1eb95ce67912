import json
import sys

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.evaluation.conftest import finish, make_run, predict_by_distance

sys.path.append(str(ROOT / "benchmarks"))
import human_labels

from uncertainty_suite import datasets, evaluation
from uncertainty_suite.runs import RunFolder


def test_a_row_is_the_mean_over_the_runs_of_a_method(tmp_path, monkeypatch, capsys):
    size = datasets.get("two_moons", "test").num_examples
    counts = np.random.default_rng(0).multinomial(5, [0.6, 0.4], size)
    monkeypatch.setattr(datasets.Dataset, "human_labels", counts)
    paths = [tmp_path / "seed0", tmp_path / "seed1"]
    for path, slope in zip(paths, (1, 3)):
        run = make_run(path, ood_far=())
        finish(run, evaluation.evaluate(lambda x, slope=slope: predict_by_distance(slope * np.asarray(x)), run))
    human_labels.main([*map(str, paths), "--results_dir", str(tmp_path / "results")])
    written = json.loads((tmp_path / "results/human_labels.json").read_text())
    ((row, values),) = written["boards"]["two_moons"].items()
    assert row == "method, resnet_mlp"
    assert values["runs"] == 2
    each = [
        {**evaluation.human_metrics(RunFolder(path)), **evaluation.human_correlation(RunFolder(path))} for path in paths
    ]
    assert each[0]["label_distribution_kl"] != each[1]["label_distribution_kl"]
    means = {name: np.mean([one[name] for one in each]) for name in each[0]}
    assert {name: values[name] for name in means} == pytest.approx(means)
    printed = capsys.readouterr().out
    assert "| method, network | runs | KL | scaled KL | Brier |" in printed
    assert f"| method, resnet_mlp | 2 | {values['label_distribution_kl']:.3f} |" in printed
    (tmp_path / "unfinished").mkdir()
    with pytest.raises(SystemExit) as error:
        human_labels.main([str(tmp_path / "unfinished")])
    assert str(error.value).startswith("benchmarks/human_labels.py: ")
