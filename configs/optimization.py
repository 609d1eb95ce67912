"""Test functions of optimisation: Branin's, or with the variant `hartmann6` that of Hartmann in six dimensions.

    python baselines/decisions/bayesian_optimization.py --method=deep_ensemble --config=configs/optimization.py \\
        --output_dir=runs/branin

A network predicts what a candidate gives; `datasets/test_functions.py` says what these are. Nothing is held out for
validation: all candidates can be tried. Results are in `docs/decisions.md`.
"""

from ml_collections import ConfigDict

from uncertainty_suite.errors import unknown_name

VARIANTS = {"": "optimization/branin", "hartmann6": "optimization/hartmann6"}

# What differs from the task's settings, for some methods: one value where there is no validation split to choose on.
METHODS = {
    "laplace": {"laplace": {"prior_precision": (1.0,)}},
    "sngp": {"sngp": {"mean_field_factor": (1.0,)}},
    "swag": {"swag": {"scale": (0.5,)}},
}


def get_config(variant=""):
    if variant not in VARIANTS:
        raise unknown_name("variant of configs/optimization.py", variant, VARIANTS)
    config = ConfigDict()
    config.batch_size = 5
    config.epochs = 200

    config.dataset = ConfigDict({"name": VARIANTS[variant], "validation_percent": 0.0})
    config.model = ConfigDict({"name": "resnet_mlp", "num_layers": 2, "num_hidden": 64, "dropout_rate": 0.1})
    config.optimizer = ConfigDict({"name": "adam", "learning_rate": 3e-3, "schedule": "cosine"})

    config.evaluation = ConfigDict({"splits": ("test",), "batch_size": 512})
    config.methods = ConfigDict(METHODS)
    return config
