"""UCI regression: nine tables, the network with one hidden layer of the literature, and the published folds.

    python baselines/mc_dropout.py --config=configs/uci.py:yacht --config.dataset.fold=3
    python -m uncertainty_suite.sweep configs/uci.py:yacht configs/uci.py:boston --methods sngp --folds 0:20

The variant names the table: boston, concrete, energy, kin8nm, naval, power, protein, wine or yacht. A fold takes
seconds to a minute on two CPU cores; expect the numbers in `leaderboards/README.md`. Hernandez-Lobato and Adams 2015
(arXiv:1502.05336) published the folds and the network (50 hidden units, 100 for protein); Gal and Ghahramani 2016
(arXiv:1506.02142) the dropout before each layer, here of rate 0.05; Lakshminarayanan et al. 2017 (arXiv:1612.01474) the
outputs, mean and variance, and the ensemble of five. The values that a search with eight trials chose for other
methods stand in `tuned/uci_<table>.json`; a run takes them.
"""

from ml_collections import ConfigDict

from uncertainty_suite.errors import unknown_name

BATCH_SIZES = {
    **dict.fromkeys(("boston", "concrete", "energy", "wine", "yacht"), 32),
    **dict.fromkeys(("kin8nm", "naval", "power"), 64),
    "protein": 256,
}
# Epochs of boston, concrete, energy and yacht: of 40, 100 and 300 those with the least NLL on a tenth of the training
# rows, a mean over folds 0, 1 and 2, for each method; members of an ensemble are deterministic networks. Those of the
# other tables have not been tuned.
EPOCHS = {"boston": 40, "concrete": 40, "energy": 100, "yacht": 100}
EPOCHS_OF = {
    "mc_dropout": {"boston": 100, "concrete": 300, "energy": 300, "yacht": 300},
    "sngp": {"boston": 40, "concrete": 40, "energy": 300, "yacht": 100},
}


def get_methods(table):
    """Return what differs from the task's settings, for some methods."""
    epochs = {method: {"epochs": of_method.get(table, 40)} for method, of_method in EPOCHS_OF.items()}
    return {
        "mc_dropout": {
            **epochs["mc_dropout"],
            "model": {"dropout_rate": 0.05},
            "search": {"model": {"dropout_rate": (0.005, 0.2, "log")}},
        },
        "deep_ensemble": {"deep_ensemble": {"size": 5}},
        # Learning rates of gradient descent on the mean loss. Steps of IVON are clipped, as on toy_regression: without
        # that it leaves some folds with errors of thousands.
        "ivon": {
            "optimizer": {"learning_rate": 0.1, "hess_init": 0.5, "beta_2": 0.999, "clip_radius": 0.2},
            "search": {"optimizer": {"learning_rate": (0.01, 1.0, "log")}},
        },
        "masksembles": {"model": {"dropout_rate": 0.05}},  # masks take the place of dropout
        "sg_mcmc": {
            "optimizer": {"learning_rate": 0.03},
            "search": {"optimizer": {"learning_rate": (1e-3, 0.3, "log")}},
        },
        "sngp": {
            **epochs["sngp"],
            "sngp": {
                "spec_norm_bound": 0.9,
                "feature_type": "random",
                "feature_stddev": 1.0,
                "scale_features": True,
                "normalize_input": False,
                "mean_field_factor": (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0),
            },
        },
    }


def get_config(variant=""):
    if variant not in BATCH_SIZES:
        raise unknown_name("variant of configs/uci.py", variant, BATCH_SIZES)
    config = ConfigDict()
    config.batch_size = BATCH_SIZES[variant]
    config.epochs = EPOCHS.get(variant, 40)

    config.dataset = ConfigDict({"name": f"uci/{variant}", "fold": 0})
    num_hidden = 100 if variant == "protein" else 50
    config.model = ConfigDict({"name": "mlp", "num_layers": 1, "num_hidden": num_hidden, "dropout_rate": 0.0})
    config.optimizer = ConfigDict({"name": "adam", "learning_rate": 0.01, "schedule": "cosine"})
    config.methods = ConfigDict(get_methods(variant))
    config.search = ConfigDict({"optimizer": {"learning_rate": (1e-3, 3e-2, "log")}})
    return config
