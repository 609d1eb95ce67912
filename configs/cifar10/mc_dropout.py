"""Monte Carlo dropout on CIFAR-10; see task.py for the variant wide_resnet_28_10."""

from pathlib import Path

from ml_collections import ConfigDict

from uncertainty_suite import configuration


def get_config(variant=""):
    config = configuration.load(Path(__file__).with_name("task.py"), variant)
    config.model.wide_resnet.dropout_rate = 0.1
    config.mc_dropout = ConfigDict()
    config.mc_dropout.num_samples = 10
    config.mc_dropout.filterwise = False
    config.mc_dropout.shared_masks = False  # True: faster, but the examples of a batch depend on each other
    if variant == "wide_resnet_28_10":
        config.optimizer.learning_rate = 0.2  # 0.05 for each 128 examples of the batch
        config.optimizer.l2 = 3e-4
    return config.lock()
