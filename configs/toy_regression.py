"""One input, one noisy target, and a gap in the training inputs: a regression whose uncertainty can be drawn.

    python baselines/deep_ensemble.py --config=configs/toy_regression.py
    python -m uncertainty_suite.figures RUN

takes less than a minute on two CPU cores. The figure `curve` shows the mean and the bands of the prediction over the
grid; a method that knows what it does not know widens them in the gap and beyond the data.
"""

from ml_collections import ConfigDict

# What differs from the task's settings, for some methods.
METHODS = {
    # Learning rates of gradient descent on the mean loss; the noise of the one takes the place of dropout.
    "ivon": {"optimizer": {"learning_rate": 0.1, "clip_radius": 0.2}, "model": {"dropout_rate": 0.0}},
    "sg_mcmc": {"optimizer": {"learning_rate": 0.01}},
    "sngp": {
        "sngp": {
            "spec_norm_bound": 0.9,
            "feature_type": "random",
            "feature_stddev": 1.0,
            "scale_features": True,
            "normalize_input": False,
            "mean_field_factor": (1.0,),  # Bayesian linear regression on the features
        }
    },
    # Colder posteriors: with the whole divergence, variational inference on so few examples predicts their mean.
    "radial_bnn": {"radial_bnn": {"kl_weight": 0.1}},
    "variational_inference": {"variational_inference": {"kl_weight": 0.1}},
}


def get_config():
    config = ConfigDict()
    config.batch_size = 64
    config.epochs = 200

    config.dataset = ConfigDict({"name": "toy_regression"})
    config.model = ConfigDict({"name": "resnet_mlp", "num_layers": 3, "num_hidden": 64, "dropout_rate": 0.05})
    config.optimizer = ConfigDict({"name": "adam", "learning_rate": 3e-3, "schedule": "cosine"})

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 1000
    config.evaluation.predict_only = ("grid",)
    config.evaluation.ood_near = ("toy_regression/gap",)
    config.evaluation.ood_far = ("toy_regression/ood",)

    config.methods = ConfigDict(METHODS)
    config.search = ConfigDict({"optimizer": {"learning_rate": (3e-4, 3e-2, "log")}})
    return config
