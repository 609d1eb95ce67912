"""MNIST with the convolutional network of the MC-dropout literature.

    python baselines/mc_dropout.py --config=configs/mnist.py

takes about ten minutes on two CPU cores, or two and a half in bfloat16 where the processor has instructions for it
(`--config.precision=mixed_bfloat16`); an ensemble of four takes four times as long. In bfloat16, means of three
seeds: the deterministic network has a test accuracy of 0.992 and an NLL of 0.027, MC dropout 0.992 and 0.029, SNGP
0.992 and 0.026, an ensemble of four 0.993 and 0.024, Laplace and VBLL 0.992 and 0.025; and under corruption 0.925 and
0.32, 0.925 and 0.27, 0.917 and 0.29, 0.928 and 0.30, 0.925 and 0.30, 0.922 and 0.30.
"""

from ml_collections import ConfigDict

from uncertainty_suite.datasets import corruptions

# What differs from the task's settings, for some methods. Values of methods' own were found by the search of digits
# (`tuned/digits.json`) and are carried over.
METHODS = {
    "batch_ensemble": {"batch_ensemble": {"random_sign_init": -0.5}},
    "deep_ensemble": {"evaluation": {"ensemble_curve": True}},
    "ivon": {"optimizer": {"learning_rate": 0.82, "hess_init": 0.5, "beta_2": 0.999}},
    "sg_mcmc": {"optimizer": {"learning_rate": 0.056}, "sg_mcmc": {"num_samples": 6}},  # two cycles of five epochs
    "vbll": {"vbll": {"prior_scale": 1.4}},
}


def get_config():
    config = ConfigDict()
    config.batch_size = 128
    config.epochs = 10

    config.dataset = ConfigDict({"name": "mnist"})
    config.model = ConfigDict({"name": "convnet", "num_hidden": 128, "dropout_rates": (0.25, 0.5)})
    config.optimizer = ConfigDict({"name": "adam", "learning_rate": 1e-3, "schedule": "cosine"})

    config.evaluation = ConfigDict()
    config.evaluation.metrics = ("accuracy", "nll", "brier", "ece", "entropy")
    config.evaluation.corruptions = tuple(corruptions.names(channels=1))
    config.evaluation.shift_examples = 1000
    config.evaluation.ood_near = ("fashion_mnist/test",)
    config.evaluation.ood_far = ("cifar10/test", "noise/uniform")
    config.evaluation.ood_validation = ("omniglot28/small1",)
    config.evaluation.ood_scores = (
        *("energy", "max_logit", "dempster_shafer", "mahalanobis", "relative_mahalanobis", "knn", "vim", "react"),
    )
    config.methods = ConfigDict(METHODS)
    config.search = ConfigDict({"optimizer": {"learning_rate": (3e-4, 1e-2, "log")}})
    return config
