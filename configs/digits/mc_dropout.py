"""Monte Carlo dropout on digits."""

from pathlib import Path

from ml_collections import ConfigDict

from uncertainty_suite import configuration


def get_config():
    config = configuration.load(Path(__file__).with_name("task.py"))
    config.mc_dropout = ConfigDict()
    config.mc_dropout.num_samples = 50
    config.mc_dropout.filterwise = False
    config.mc_dropout.shared_masks = False  # True: faster, but the examples of a batch depend on each other
    return config.lock()
