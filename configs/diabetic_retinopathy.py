"""Diabetic retinopathy: should somebody see a doctor, and does the network know where it does not know?

    python baselines/mc_dropout.py --config=configs/diabetic_retinopathy.py --data_dir=DIR --strategy=mirrored
    python baselines/mc_dropout.py --config=configs/diabetic_retinopathy.py:severity --data_dir=DIR --strategy=mirrored

The first is measured on patients of another country, too (DIR has `aptos2019`, which you prepare: docs/scale.md), the
variant `severity` trains without the two most severe grades, and is measured on them. The network, ResNet-50 on 512 x
512 pixels, and settings are those of Uncertainty Baselines (32 examples on each of eight devices), as Band et al. 2021
(arXiv:2211.12717) tuned them, whose paper has results. Not run by us but for some steps on generated images.
"""

from ml_collections import ConfigDict

from uncertainty_suite.errors import unknown_name

# What differs from the task's settings, for some methods.
METHODS = {
    "deep_ensemble": {"deep_ensemble": {"size": 3}},
    "masksembles": {"model": {"dropout_rate": 0.1}},  # above 0: masks take the place of dropout
    "mc_dropout": {
        "mc_dropout": {"num_samples": 5},
        "model": {"dropout_rate": 0.17798},
        "optimizer": {"learning_rate": 0.02725, "momentum": 1 - 0.035193, "l2": 1.4128e-05},
        "batch_size": 128,  # 16 on each device
    },
    # Each cycle is half a cosine: the steps are those of one training.
    "sg_mcmc": {"optimizer": {"schedule": "cosine"}, "sg_mcmc": {"num_samples": 9}},
    "snapshot_ensemble": {"optimizer": {"schedule": "cosine"}},
}
SHIFTS = {"": ("country", "aptos"), "severity": ("severity", "severe")}


def get_config(variant=""):
    if variant not in SHIFTS:
        raise unknown_name("variant of configs/diabetic_retinopathy.py", variant, ["severity"])
    task, shift = SHIFTS[variant]
    config = ConfigDict()
    config.batch_size = 256
    config.epochs = 90

    config.dataset = ConfigDict({"name": f"diabetic_retinopathy/{task}"})
    config.model = ConfigDict({"name": "resnet50"})
    config.optimizer = ConfigDict({"name": "sgd", "learning_rate": 0.023072, "momentum": 1 - 0.0098467})
    config.optimizer.l2 = 0.00010674
    config.optimizer.schedule = "step"
    config.optimizer.warmup_epochs = 1.0
    config.optimizer.decay_epochs = (30, 60)
    config.optimizer.decay_ratio = 0.2

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 50
    config.evaluation.metrics = (
        *("accuracy", "nll", "brier", "ece", "balanced_accuracy", "macro_auroc"),
        *("accuracy_at_coverage(coverage=0.5)", "macro_auroc_at_coverage(coverage=0.5)"),
    )
    config.evaluation.shifts = (shift,)
    config.evaluation.ood_far = ("places365_small/validation",)
    config.evaluation.ood_validation = ("dtd/validation",)
    config.evaluation.ood_scores = ("energy", "max_logit")
    config.methods = ConfigDict(METHODS)
    return config
