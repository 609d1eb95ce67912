"""What the methods share. Scikit-learn's 8 x 8 handwritten digits: real, and part of the installation."""

from ml_collections import ConfigDict


def get_config():
    config = ConfigDict()
    config.seed = 0
    config.precision = "float32"  # or "mixed_bfloat16"
    config.method = ""  # in the results; empty for the script's file name
    config.batch_size = 64  # global, over all devices
    config.epochs = 60

    config.dataset = ConfigDict()
    config.dataset.name = "digits"
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
    config.evaluation.corruptions = ("gaussian_noise", "motion_blur", "contrast", "rotate")
    config.evaluation.severities = (1, 3, 5)
    config.evaluation.shift_examples = 0  # of the test set, the first so many; 0 for all
    config.evaluation.ood_near = ()
    config.evaluation.ood_far = ("digits/photos", "digits/noise")
    config.evaluation.ood_scores = ("energy", "mahalanobis", "knn")
    config.evaluation.fit_examples = 5000  # of the training set, for the OOD scores that learn from it
    config.evaluation.posthoc = ()  # calibrations and conformal predictors, fitted on the split "validation"
    config.evaluation.save = ()  # of "samples", "logits" and "features", beside what the OOD scores need
    return config
