"""The image tasks on real data, a few steps of them: that they run, and that they go on."""

import json

import pytest

from tests.baselines.conftest import METHODS, load_script
from tests.conftest import ROOT
from uncertainty_suite import configuration

OOD = {"mnist": "fashion_mnist/test", "fashion_mnist": "mnist/test", "cifar10": "fashion_mnist/test"}


def small_config(task: str, method: str):
    """Return a task's configuration with a handful of training steps: most of the training set is held out."""
    config = configuration.load(ROOT / "configs" / task / f"{method}.py")
    config.epochs = 2
    config.dataset.validation_percent = 0.99
    config.evaluation.corruptions = ("fog",)
    config.evaluation.severities = (3,)
    config.evaluation.shift_examples = 100
    config.evaluation.ood_near = ()
    config.evaluation.ood_far = (OOD[task], "noise/uniform")
    config.evaluation.ood_scores = ("energy", "knn")
    if method == "mc_dropout":
        config.mc_dropout.num_samples = 2
    if method == "deep_ensemble":
        config.deep_ensemble.size = 2
    return config


QUICK = {("mnist", "sngp"), ("fashion_mnist", "mc_dropout"), ("mnist", "deep_ensemble"), ("cifar10", "deterministic")}


@pytest.mark.parametrize(
    ("task", "method"),
    [
        pytest.param(task, method, marks=[] if (task, method) in QUICK else [pytest.mark.slow])
        for task in ("mnist", "fashion_mnist", "cifar10")
        for method in METHODS
    ],
)
def test_image_tasks_run_and_resume(task, method, data_dir, tmp_path, stopped_at):
    script, config = load_script(method), small_config(task, method)
    with stopped_at(6):
        script.main(config, tmp_path / "run", data_dir)
    results = script.main(config, tmp_path / "run", data_dir)
    metrics = results["metrics"]
    keys = {name.split("/")[1] for name in metrics if name.startswith("ood/")}
    assert keys == {OOD[task].split("/")[0], "noise_uniform", "far"}
    assert metrics["shift/mean/nll"] == metrics["shift/fog_3/nll"] > 0
    assert 0 <= metrics["ood/noise_uniform/knn/auroc"] <= 1
    assert metrics["test/accuracy"] > {"mnist": 0.5, "fashion_mnist": 0.4, "cifar10": 0.09}[task]
    histories = [path.read_text().splitlines() for path in (tmp_path / "run").rglob("history.jsonl")]
    for history in histories:
        assert [json.loads(line)["epoch"] for line in history] == [1, 2]
