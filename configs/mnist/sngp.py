"""SNGP on mnist."""

from pathlib import Path

from ml_collections import ConfigDict

from uncertainty_suite import configuration


def get_config():
    config = configuration.load(Path(__file__).with_name("task.py"))
    config.sngp = ConfigDict()
    config.sngp.spec_norm_bound = 6.0
    config.sngp.spec_norm_iterations = 1
    config.sngp.num_features = 1024
    config.sngp.kernel_scale = 1.0
    config.sngp.feature_type = "orthogonal"  # or "random"
    config.sngp.feature_stddev = 0.05
    config.sngp.scale_features = False
    config.sngp.normalize_input = True
    config.sngp.ridge_penalty = 1.0
    config.sngp.momentum = -1.0  # negative for the exact sum over the data
    config.sngp.precision = "after_training"  # or "every_step"
    config.sngp.mean_field_factor = 0.5  # of 0.5, 1 and 2, the least NLL on a fifth of the training digits
    return config.lock()
