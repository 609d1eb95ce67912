"""Adult: income above 50,000 dollars or not, from a census; groups of people as shifts.

    python baselines/deterministic.py --config=configs/adult.py

takes about a minute on two CPU cores. With five seeds the deterministic network has a test accuracy of 0.857 and an
NLL of 0.308; all methods that were run are within a hundredth of these. Nothing has been tuned.
"""

from ml_collections import ConfigDict

# What differs from the task's settings, for some methods.
METHODS = {
    "deep_ensemble": {"evaluation": {"ensemble_curve": True}},
    # Learning rates of gradient descent on the mean loss; Adam's is far too small for it.
    "ivon": {"optimizer": {"learning_rate": 0.1, "hess_init": 0.5, "beta_2": 0.999}},
    "mc_dropout": {"search": {"model": {"dropout_rate": (0.02, 0.5, "log")}}},
    "sg_mcmc": {"optimizer": {"learning_rate": 0.03}, "sg_mcmc": {"num_samples": 6}},  # two cycles of five epochs
}


def get_config():
    config = ConfigDict()
    config.batch_size = 256
    config.epochs = 10

    config.dataset = ConfigDict({"name": "adult"})
    config.model = ConfigDict({"name": "mlp", "num_layers": 2, "num_hidden": 128, "dropout_rate": 0.1})
    config.optimizer = ConfigDict({"name": "adam", "learning_rate": 1e-3, "schedule": "cosine"})

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 2000
    config.evaluation.metrics = (
        "accuracy",
        "nll",
        "brier",
        "ece",
        "macro_auroc",
        "macro_auroc_at_coverage",
        "entropy",
    )
    config.evaluation.shifts = ("female", "male", "white", "black", "other_race", "under_25", "over_64")
    config.methods = ConfigDict(METHODS)
    config.search = ConfigDict({"optimizer": {"learning_rate": (3e-4, 1e-2, "log")}})
    return config
