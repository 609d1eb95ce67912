"""Bike sharing: bicycles hired in an hour of 2011, and as the shift in 2012, when 1.6 times as many were.

    python baselines/deterministic.py --config=configs/bike_sharing.py

takes half a minute on two CPU cores. With five seeds the deterministic network has a test RMSE of 46.3 bicycles and a
Gaussian NLL of 5.45, an ensemble of five 45.5 and 5.11; in 2012, 131.1 and 16.7, 130.9 and 13.9. Nothing has been
tuned.
"""

from ml_collections import ConfigDict

# What differs from the task's settings, for some methods.
METHODS = {
    "deep_ensemble": {"deep_ensemble": {"size": 5}},
    # Learning rates of gradient descent on the mean loss, and steps that are clipped, as for the tables of UCI.
    "ivon": {"optimizer": {"learning_rate": 0.1, "hess_init": 0.5, "beta_2": 0.999, "clip_radius": 0.2}},
    "mc_dropout": {"search": {"model": {"dropout_rate": (0.01, 0.3, "log")}}},
    "sg_mcmc": {"optimizer": {"learning_rate": 0.03}},
    "sngp": {
        "sngp": {  # as for the tables of UCI
            "spec_norm_bound": 0.9,
            "feature_type": "random",
            "feature_stddev": 1.0,
            "scale_features": True,
            "normalize_input": False,
            "mean_field_factor": (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0),
        },
    },
}


def get_config():
    config = ConfigDict()
    config.batch_size = 64
    config.epochs = 60

    config.dataset = ConfigDict({"name": "bike_sharing"})
    config.model = ConfigDict({"name": "mlp", "num_layers": 2, "num_hidden": 100, "dropout_rate": 0.05})
    config.optimizer = ConfigDict({"name": "adam", "learning_rate": 3e-3, "schedule": "cosine"})

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 2000
    config.evaluation.shifts = ("2012",)
    config.methods = ConfigDict(METHODS)
    config.search = ConfigDict({"optimizer": {"learning_rate": (3e-4, 3e-2, "log")}})
    return config
