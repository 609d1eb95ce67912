"""Deep ensemble on CIFAR-10; see task.py for the variant wide_resnet_28_10."""

from pathlib import Path

from ml_collections import ConfigDict

from uncertainty_suite import configuration


def get_config(variant=""):
    config = configuration.load(Path(__file__).with_name("task.py"), variant)
    config.deep_ensemble = ConfigDict()
    config.deep_ensemble.size = 4
    return config.lock()
