"""What the methods share. MNIST with the convolutional network of the MC-dropout literature."""

from ml_collections import ConfigDict


def get_config():
    config = ConfigDict()
    config.seed = 0
    config.precision = "float32"  # or "mixed_bfloat16"
    config.method = ""  # in the results; empty for the script's file name
    config.batch_size = 128  # global, over all devices
    config.epochs = 10

    config.dataset = ConfigDict()
    config.dataset.name = "mnist"
    config.dataset.validation_percent = 0.0

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
    config.evaluation.ood = ("fashion_mnist/test",)
    config.evaluation.predict_only = ()
    config.evaluation.save_samples = False
    return config
