"""Scikit-learn's 8 x 8 handwritten digits: real, and part of the installation.

    python baselines/deterministic.py --config=configs/digits.py --config.seed=1

takes less than a minute on two CPU cores. The values that the search with eight trials chose for each method stand in
`tuned/digits.json`. Expect a test accuracy of 0.991 and an NLL of 0.032 from the deterministic network, 0.994 and 0.016
from an ensemble of four, 0.992 and 0.027 from SNGP; and, under corruption, 0.867 and 0.95, 0.888 and 0.77, 0.811 and
1.09.
"""

from ml_collections import ConfigDict

# What differs from the task's settings, for some methods.
METHODS = {
    "deep_ensemble": {"evaluation": {"ensemble_curve": True}},
    # Learning rates of gradient descent on the mean loss.
    "ivon": {
        "optimizer": {"learning_rate": 0.1, "hess_init": 0.5, "beta_2": 0.999},
        "search": {"optimizer": {"learning_rate": (0.01, 1.0, "log")}},
    },
    "mc_dropout": {"search": {"model": {"dropout_rates": ((0.1, 0.1), (0.1, 0.3), (0.25, 0.5), (0.4, 0.6))}}},
    "sg_mcmc": {
        "optimizer": {"learning_rate": 0.03},
        "search": {"optimizer": {"learning_rate": (1e-3, 0.3, "log")}},
    },
}


def get_config():
    config = ConfigDict()
    config.batch_size = 64
    config.epochs = 60

    config.dataset = ConfigDict({"name": "digits"})
    config.model = ConfigDict({"name": "convnet", "num_hidden": 128, "dropout_rates": (0.25, 0.5)})
    config.optimizer = ConfigDict({"name": "adam", "learning_rate": 1e-3, "schedule": "cosine"})

    config.evaluation = ConfigDict()
    config.evaluation.metrics = ("accuracy", "nll", "brier", "ece", "entropy")
    config.evaluation.corruptions = ("gaussian_noise", "motion_blur", "contrast", "rotate")
    config.evaluation.severities = (1, 3, 5)
    config.evaluation.ood_far = ("digits/photos", "digits/noise")
    config.evaluation.ood_validation = ("digits/textures",)
    config.evaluation.ood_scores = ("energy", "mahalanobis", "knn")
    config.methods = ConfigDict(METHODS)
    config.search = ConfigDict({"optimizer": {"learning_rate": (3e-4, 1e-2, "log")}})
    return config
