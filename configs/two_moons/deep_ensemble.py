"""Deep ensemble on two_moons."""

from pathlib import Path

from ml_collections import ConfigDict

from uncertainty_suite import configuration


def get_config():
    config = configuration.load(Path(__file__).with_name("task.py"))
    config.deep_ensemble = ConfigDict()
    config.deep_ensemble.size = 4
    return config.lock()
