"""Contextual bandits: the wheel, or with the variant `digits` ten arms for each image of a digit.

    python baselines/decisions/bandit.py --method=mc_dropout --config=configs/bandit.py --output_dir=runs/bandit
    python baselines/decisions/bandit.py --method=deep_ensemble --config=configs/bandit.py:digits --output_dir=runs/b2

A network predicts the reward of a pair of context and arm; `datasets/bandits.py` says what these are. Results and times
are in `docs/decisions.md`. Nothing is held out for validation, since rows of one context belong together.
"""

from ml_collections import ConfigDict

from uncertainty_suite.errors import unknown_name

VARIANTS = {"": "bandit/wheel", "digits": "bandit/digits"}

# What differs from the task's settings, for some methods: one value where there is no validation split to choose on.
METHODS = {
    "laplace": {"laplace": {"prior_precision": (1.0,)}},
    "sngp": {"sngp": {"mean_field_factor": (1.0,)}},
    "swag": {"swag": {"scale": (0.5,)}},
}


def get_config(variant=""):
    if variant not in VARIANTS:
        raise unknown_name("variant of configs/bandit.py", variant, VARIANTS)
    config = ConfigDict()
    config.batch_size = 10
    config.epochs = 100

    config.dataset = ConfigDict({"name": VARIANTS[variant], "validation_percent": 0.0})
    config.model = ConfigDict({"name": "resnet_mlp", "num_layers": 2, "num_hidden": 64, "dropout_rate": 0.1})
    config.optimizer = ConfigDict({"name": "adam", "learning_rate": 3e-3, "schedule": "cosine"})

    config.evaluation = ConfigDict({"splits": ("test",)})
    config.methods = ConfigDict(METHODS)
    return config
