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
    config.evaluation.ood = ("two_moons/ood",)
    config.evaluation.predict_only = ("grid",)
    config.evaluation.save_samples = False
    return config
