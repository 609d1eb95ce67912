"""Two moons: the data, network and training of the SNGP tutorial (tensorflow.org/tutorials/understanding/sngp).

    python baselines/sngp.py --config=configs/two_moons.py --config.seed=1

takes less than a minute on two CPU cores. Expect a test accuracy of 0.995 from every method but SNGP, whose network
separates the moons (1.000); and an AUROC of telling the far cluster of points from the moons near 0 from every method
but SNGP (0.9998), the only one that is unsure there.
"""

from ml_collections import ConfigDict

# What differs from the task's settings, for some methods.
METHODS = {
    "deep_ensemble": {"evaluation": {"ensemble_curve": True}},
    "het_sngp": {
        "het_sngp": {
            "spec_norm_bound": 0.9,
            "feature_type": "random",
            "feature_stddev": 1.0,
            "scale_features": True,
            "normalize_input": False,
            "variance_factor": (1.0,),
        }
    },
    "posterior_network": {"optimizer": {"learning_rate": 1e-3}},  # with less, the flows stay near where they start
    "mc_dropout": {"search": {"model": {"dropout_rate": (0.02, 0.5, "log")}}},
    # Learning rates of gradient descent on the mean loss.
    "ivon": {"optimizer": {"learning_rate": 0.1, "hess_init": 0.5, "beta_2": 0.999}},
    "sg_mcmc": {"optimizer": {"learning_rate": 0.03, "schedule": "cosine"}},
    "sngp": {
        "sngp": {
            "spec_norm_bound": 0.9,
            "feature_type": "random",
            "feature_stddev": 1.0,
            "scale_features": True,
            "normalize_input": False,
            "mean_field_factor": (0.39269908,),  # pi / 8
        }
    },
    # Colder posteriors: with the whole divergence, variational inference on so few examples underfits.
    "radial_bnn": {"radial_bnn": {"kl_weight": 0.1}},
    "variational_inference": {"variational_inference": {"kl_weight": 0.1}},
}


def get_config():
    config = ConfigDict()
    config.batch_size = 128
    config.epochs = 100

    config.dataset = ConfigDict({"name": "two_moons"})
    config.model = ConfigDict({"name": "resnet_mlp", "num_layers": 6, "num_hidden": 128, "dropout_rate": 0.1})
    config.optimizer = ConfigDict({"name": "adam", "learning_rate": 1e-4, "schedule": "constant"})

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 1000
    config.evaluation.metrics = ("accuracy", "nll", "brier", "ece", "entropy")
    config.evaluation.predict_only = ("grid",)
    config.evaluation.ood_far = ("two_moons/ood",)
    config.evaluation.ood_validation = ("two_moons/ood_validation",)
    config.evaluation.ood_scores = ("energy",)

    config.methods = ConfigDict(METHODS)
    config.search = ConfigDict({"optimizer": {"learning_rate": (3e-5, 3e-3, "log")}})
    return config
