import json

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.tiny import CORE, TASKS, arrays_of, load_script, tiny_config
from uncertainty_suite import datasets, load, training
from uncertainty_suite.errors import InputError

pytestmark = pytest.mark.usefixtures("forget_models")


def content_of(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def features_of(task):
    """Return the features of the test split, as a script's predict function gets them."""
    return np.concatenate([np.asarray(batch["features"]) for batch in datasets.get(task, "test").load(400)])


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", CORE)
def test_a_loaded_method_gives_the_saved_predictions_and_writes_nothing(method, task, finished):
    folder, results = finished(method, task)
    before = content_of(folder)
    predictor = load(folder)
    assert predictor.likelihood.name == results["likelihood"]["name"]
    arrays = predictor.arrays(features_of(task))
    saved = arrays_of(folder / "predictions/test.npz")
    assert arrays.keys() - {"features"} == saved.keys() - {"labels", "element_id", "run", "logits", "samples"}
    for name in arrays.keys() & saved.keys():
        np.testing.assert_array_equal(arrays[name], saved[name], err_msg=name)
    assert len(arrays["features"]) == len(saved["labels"])
    assert content_of(folder) == before


def test_a_training_that_is_not_finished_is_refused(tmp_path, stopped_at):
    folder = tmp_path / "run"
    with stopped_at(5):
        load_script("deterministic").main(tiny_config("deterministic"), training.Options(output_dir=folder))
    before = content_of(folder)
    with pytest.raises(InputError, match=r"run is trained up to step \d+ of \d+: give its command again to finish"):
        load(folder)
    assert content_of(folder) == before
    with pytest.raises(InputError, match=r"is no run folder: its config.json cannot be read"):
        load(tmp_path)


def test_a_script_that_is_gone_is_named(finished, tmp_path):
    import shutil

    script = tmp_path / "mine.py"
    shutil.copy(load_script("deterministic").__file__, script)
    from uncertainty_suite import configuration

    main = configuration.load_module(script).main
    main(tiny_config("deterministic"), training.Options(output_dir=tmp_path / "run"))
    load(tmp_path / "run")
    script.unlink()
    with pytest.raises(InputError, match=r"The script of .*run, .*mine.py, is not there, nor in "):
        load(tmp_path / "run")


OWN_TASK = '''
import numpy as np
from ml_collections import ConfigDict

from uncertainty_suite import datasets, keras, metrics, models
from uncertainty_suite.metrics import base

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, 90)
POINTS = RNG.normal(size=(90, 4)) + LABELS[:, np.newaxis]
datasets.register(
    datasets.from_arrays("ours", {"train": (POINTS[:60], LABELS[:60]), "test": (POINTS[60:], LABELS[60:])})
)


@models.register
def linear(inputs, layers, scale: float = 1.0):
    return keras.layers.Rescaling(scale, name="scale")(inputs)


@base.REGISTRY.register
class Errors(base.MeanMetric):
    """The share of wrong predictions."""

    name = "errors"
    formula = "mean [argmax p != y]"

    def per_example(self, batch):
        return (batch.predicted != batch.labels).astype(float)


def get_config():
    config = ConfigDict({"batch_size": 20, "epochs": 1})
    config.dataset = {"name": "ours"}
    config.model = {"name": "linear", "scale": 0.5}
    config.optimizer = {"name": "sgd", "learning_rate": 0.1}
    config.evaluation = {"metrics": ("accuracy", "errors")}
    return config
'''


def test_a_configuration_file_may_register_a_data_set_an_architecture_and_a_metric(scripts, tmp_path):
    (tmp_path / "ours.py").write_text(OWN_TASK)

    def run(program: str, *arguments: str) -> str:
        ended = scripts.run([str(ROOT / program), *arguments], cwd=str(tmp_path))
        assert ended.status == 0, ended.log
        return ended.log

    run("baselines/deterministic.py", "--config=ours.py", "--config.model.scale=2", "--output_dir=run")
    metrics = json.loads((tmp_path / "run/results.json").read_text())["metrics"]
    assert metrics["test/errors"] == pytest.approx(1 - metrics["test/accuracy"])
    assert "metrics, 0 added, 0 changed" in run("uncertainty_suite/evaluate.py", "run")
    np.save(tmp_path / "x.npy", np.zeros((5, 4), np.float32))
    run("uncertainty_suite/predict.py", "run", "--inputs", "x.npy", "--output", "y.npz")
    with np.load(tmp_path / "y.npz") as arrays:
        assert arrays["log_probs"].shape == (5, 3)
