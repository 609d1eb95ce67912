"""What the methods share. Fashion-MNIST with the convolutional network of the MC-dropout literature."""

from ml_collections import ConfigDict

from uncertainty_suite.datasets import corruptions


def get_config():
    config = ConfigDict()
    config.seed = 0
    config.precision = "float32"  # or "mixed_bfloat16"
    config.method = ""  # in the results; empty for the script's file name
    config.batch_size = 128  # global, over all devices
    config.epochs = 10

    config.dataset = ConfigDict()
    config.dataset.name = "fashion_mnist"
    config.dataset.validation_percent = 0.0
    config.dataset.classes = ()  # train on these only, the others are unknowns at test (split "unknown"); empty for all

    config.model = ConfigDict()
    config.model.name = "convnet"
    config.model.convnet = ConfigDict({"num_hidden": 128, "dropout_rates": (0.25, 0.5)})

    config.optimizer = ConfigDict()
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.l2 = 0.0
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup_epochs = 0.0

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 500
    config.evaluation.splits = ("test",)
    config.evaluation.metrics = ("accuracy", "nll", "brier", "ece", "entropy")
    config.evaluation.predict_only = ()
    config.evaluation.corruptions = tuple(corruptions.names(channels=1))
    config.evaluation.severities = (1, 2, 3, 4, 5)
    config.evaluation.shift_examples = 1000  # of the test set, the first so many; 0 for all
    config.evaluation.ood_near = ("mnist/test",)
    config.evaluation.ood_far = ("cifar10/test", "noise/uniform")
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
    return config
