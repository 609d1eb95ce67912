"""What the methods share on CIFAR-10, in two sizes.

The default is a wide residual network of a size that two CPU cores can train. The variant `wide_resnet_28_10`, chosen
by `--config=configs/cifar10/<method>.py:wide_resnet_28_10`, is the network and training of Uncertainty Baselines on
eight devices; it needs accelerators and has not been run by us.
"""

from ml_collections import ConfigDict

from uncertainty_suite.datasets import corruptions
from uncertainty_suite.errors import unknown_name


def get_config(variant=""):
    if variant not in ("", "wide_resnet_28_10"):
        raise unknown_name("variant of configs/cifar10", variant, ["wide_resnet_28_10"])
    config = ConfigDict()
    config.seed = 0
    config.precision = "float32"  # or "mixed_bfloat16"
    config.method = ""  # in the results; empty for the script's file name
    config.batch_size = 128  # global, over all devices
    config.epochs = 15

    config.dataset = ConfigDict()
    config.dataset.name = "cifar10"
    config.dataset.validation_percent = 0.0
    config.dataset.classes = ()  # train on these only, the others are unknowns at test (split "unknown"); empty for all

    config.model = ConfigDict()
    config.model.name = "wide_resnet"
    config.model.wide_resnet = ConfigDict({"depth": 10, "width": 2, "dropout_rate": 0.0})

    config.optimizer = ConfigDict()
    config.optimizer.name = "sgd"
    config.optimizer.learning_rate = 0.1
    config.optimizer.momentum = 0.9
    config.optimizer.l2 = 2e-4
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup_epochs = 1.0

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 500
    config.evaluation.splits = ("test",)
    config.evaluation.metrics = ("accuracy", "nll", "brier", "ece", "entropy")
    config.evaluation.predict_only = ()
    config.evaluation.corruptions = tuple(corruptions.names(channels=3))
    config.evaluation.severities = (1, 2, 3, 4, 5)
    config.evaluation.shift_examples = 1000  # of the test set, the first so many; 0 for all
    config.evaluation.ood_near = ()
    config.evaluation.ood_far = ("fashion_mnist/test", "mnist/test", "noise/uniform")
    config.evaluation.ood_scores = (
        "energy",
        "max_logit",
        "dempster_shafer",
        "mahalanobis",
        "relative_mahalanobis",
        "knn",
        "vim",
        "react",
    )
    config.evaluation.fit_examples = 5000  # of the training set, for the OOD scores that learn from it
    config.evaluation.posthoc = ()  # calibrations and conformal predictors, fitted on the split "validation"
    config.evaluation.save = ()  # of "samples", "logits" and "features", beside what the OOD scores need

    if variant == "wide_resnet_28_10":
        config.batch_size = 512
        config.epochs = 200
        config.model.wide_resnet = ConfigDict({"depth": 28, "width": 10, "dropout_rate": 0.0})
        config.optimizer.learning_rate = 0.4  # 0.1 for each 128 examples of the batch
        config.optimizer.schedule = "step"
        config.optimizer.decay_epochs = (60, 120, 160)
        config.optimizer.decay_ratio = 0.2
        config.evaluation.shift_examples = 0
        config.evaluation.ood_near = ("cifar100/test",)
        config.evaluation.ood_far = ("svhn_cropped/test",)
    return config
