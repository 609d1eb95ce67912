"""What the methods share on two moons: the data, network and training of the SNGP tutorial."""

from ml_collections import ConfigDict


def get_config():
    config = ConfigDict()
    config.seed = 0
    config.precision = "float32"  # or "mixed_bfloat16"
    config.method = ""  # in the results; empty for the script's file name
    config.batch_size = 128  # global, over all devices
    config.epochs = 100

    config.dataset = ConfigDict()
    config.dataset.name = "two_moons"
    config.dataset.validation_percent = 0.0
    config.dataset.classes = ()  # train on these only, the others are unknowns at test (split "unknown"); empty for all

    config.model = ConfigDict()
    config.model.name = "resnet_mlp"
    config.model.resnet_mlp = ConfigDict({"num_layers": 6, "num_hidden": 128, "dropout_rate": 0.1})

    config.optimizer = ConfigDict()
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 1e-4
    config.optimizer.l2 = 0.0
    config.optimizer.schedule = "constant"
    config.optimizer.warmup_epochs = 0.0

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 1000
    config.evaluation.splits = ("test",)
    config.evaluation.metrics = ("accuracy", "nll", "brier", "ece", "entropy")
    config.evaluation.predict_only = ("grid",)
    config.evaluation.corruptions = ()
    config.evaluation.severities = ()
    config.evaluation.shift_examples = 0  # of the test set, the first so many; 0 for all
    config.evaluation.ood_near = ()
    config.evaluation.ood_far = ("two_moons/ood",)
    config.evaluation.ood_scores = ()
    config.evaluation.fit_examples = 5000  # of the training set, for the OOD scores that learn from it
    config.evaluation.posthoc = ()  # calibrations and conformal predictors, fitted on the split "validation"
    config.evaluation.save = ()  # of "samples", "logits" and "features", beside what the OOD scores need
    return config
