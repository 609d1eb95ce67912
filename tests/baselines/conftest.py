"""The four scripts on two moons, in a size that trains in seconds."""

from pathlib import Path
from types import ModuleType

import keras
import pytest
from ml_collections import ConfigDict

from tests.conftest import ROOT
from uncertainty_suite import configuration

METHODS = ("deterministic", "mc_dropout", "deep_ensemble", "sngp")


def load_script(method: str) -> ModuleType:
    return configuration.load_module(ROOT / "baselines" / f"{method}.py")


def tiny_config(method: str, **overrides) -> ConfigDict:
    """Return the two-moons configuration of a method, small; overrides are named as in `optimizer__learning_rate`."""
    config = configuration.load(ROOT / "configs" / "two_moons" / f"{method}.py")
    config.epochs = 2
    config.optimizer.learning_rate = 0.01
    config.model.resnet_mlp = ConfigDict({"num_layers": 2, "num_hidden": 16, "dropout_rate": 0.1})
    if method == "mc_dropout":
        config.mc_dropout.num_samples = 3
    if method == "deep_ensemble":
        config.deep_ensemble.size = 2
    if method == "sngp":
        config.sngp.num_features = 32
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in overrides.items()})
    return config


@pytest.fixture(autouse=True)
def _forget_models():
    yield
    keras.utils.clear_session()


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Return the run folder and the results of a method's tiny run, trained once for all tests."""
    runs: dict[str, tuple[Path, dict]] = {}

    def run(method: str) -> tuple[Path, dict]:
        if method not in runs:
            folder = tmp_path_factory.mktemp("finished") / method
            runs[method] = folder, load_script(method).main(tiny_config(method), folder)
        return runs[method]

    return run
