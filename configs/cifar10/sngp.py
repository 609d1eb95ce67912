"""SNGP on CIFAR-10; see task.py for the variant wide_resnet_28_10."""

from pathlib import Path

from ml_collections import ConfigDict

from uncertainty_suite import configuration


def get_config(variant=""):
    config = configuration.load(Path(__file__).with_name("task.py"), variant)
    config.sngp = ConfigDict()
    config.sngp.spec_norm_bound = 6.0
    config.sngp.spec_norm_iterations = 1
    config.sngp.num_features = 1024
    config.sngp.kernel_scale = 1.0
    config.sngp.feature_type = "orthogonal"  # or "random"
    config.sngp.feature_stddev = 0.05
    config.sngp.scale_features = False
    config.sngp.normalize_input = True  # without, the small network starts at losses near 9
    config.sngp.ridge_penalty = 1.0
    config.sngp.momentum = -1.0  # negative for the exact sum over the data
    config.sngp.precision = "after_training"  # or "every_step"
    # Of 0.5, 1, 2, 5, 10 and 20 the largest whose NLL on a tenth of the training images, after three epochs, was within
    # a standard error of the least.
    config.sngp.mean_field_factor = 10.0
    if variant == "wide_resnet_28_10":
        config.batch_size = 256
        config.epochs = 250
        config.model.wide_resnet.dropout_rate = 0.1
        config.sngp.normalize_input = False
        config.sngp.mean_field_factor = 20.0
        config.optimizer.learning_rate = 0.16  # 0.08 for each 128 examples of the batch
        config.optimizer.l2 = 3e-4
    return config.lock()
