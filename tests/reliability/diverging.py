"""Two moons with a rate at which weight decay makes the weights grow, as it does with half that rate, more slowly.

With a quarter of it they shrink. So a run is rolled back twice, in its first and in its second epoch of 25 steps.
"""

from tests.conftest import ROOT
from uncertainty_suite import configuration


def get_config():
    config = configuration.load(ROOT / "configs/two_moons.py")
    config.batch_size = 40
    config.dataset.validation_percent = 0.0
    config.evaluation.update({"splits": ("test",), "ood_validation": ()})
    config.optimizer = {"name": "sgd", "momentum": 0.0, "learning_rate": 0.9, "l2": 4.0}
    return config
