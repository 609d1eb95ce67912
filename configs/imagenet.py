"""ImageNet with ResNet-50, or with a vision transformer.

    python baselines/deterministic.py --config=configs/imagenet.py --data_dir=DIR --strategy=mirrored
    python baselines/deterministic.py --config=configs/imagenet.py:vit_s16 --data_dir=DIR --strategy=mirrored

The network and training of Uncertainty Baselines: accuracy 0.762, NLL 0.939 (SNGP: 0.761, 0.931; MC dropout: 0.766,
0.919), all published, and with all training images; here a hundredth of them is held out. Not run by us but for some
steps on generated images; it needs accelerators, hours and days of them: docs/scale.md, which says what differs. The
variant `vit_s16` has the rates and epochs of "Better plain ViT baselines" (Beyer et al. 2022, arXiv:2205.01580) and
not all of the rest, so that its accuracy of 0.765 is not to be expected. With the variant `c` the 75 published sets of
ImageNet-C are the shifts, beside V2, A and R, in place of our corruptions; `vit_s16,c` is both. DIR has TFDS's
imagenet2012, imagenet_v2/matched-frequency, imagenet_a, imagenet_r, dtd, places365_small and svhn_cropped, and for `c`
imagenet2012_corrupted; `--config.evaluation.shifts="()"` and the like leave out what is not there.
"""

from ml_collections import ConfigDict

from uncertainty_suite import datasets
from uncertainty_suite.datasets import corruptions
from uncertainty_suite.errors import unknown_name


def _epochs(epochs, **optimizer):
    """Return settings with so many epochs; the rate falls after a third, two thirds and eight ninths of them."""
    places = (epochs // 3, 2 * epochs // 3, 8 * epochs // 9)
    return {"epochs": epochs, "optimizer": {"decay_epochs": places, **optimizer}}


# 1,000 classes are too many for a full Hessian. Masks take the place of dropout, whose rate must be above 0.
OF_BOTH = {"laplace": {"laplace": {"structure": "kronecker"}}, "masksembles": {"model": {"dropout_rate": 0.1}}}
HEAD = {"num_factors": 15, "num_mc_samples": 5000}
# What differs from the task's settings, for some methods. Rates are published for each 256 examples of the batch.
METHODS = {
    **OF_BOTH,
    "deep_ensemble": {"evaluation": {"ensemble_curve": True}},
    "mc_dropout": {
        "mc_dropout": {"num_samples": 10, "filterwise": True},
        "model": {"dropout_rate": 0.05},
        **_epochs(200, learning_rate=4 * 0.05),
    },
    "sngp": {"sngp": {"mean_field_factor": (1.0,), "normalize_input": False}},
    "het_sngp": {
        "het_sngp": {**HEAD, "temperature": 1.25, "normalize_input": False},
        **_epochs(270, learning_rate=4 * 0.07),
    },
    "batch_ensemble": {"batch_ensemble": {"fast_weight_factor": 0.25}, **_epochs(135)},
    "rank1_bnn": {
        "rank1_bnn": {"random_sign_init": 0.75, "prior_scale": 0.05, "annealing": 90 / 135},
        "model": {"dropout_rate": 0.001},
        **_epochs(135),
    },
    "mimo": {"mimo": {"size": 2, "batch_repetitions": 2, "input_repetition_probability": 0.6}, **_epochs(150)},
    "heteroscedastic": {"heteroscedastic": {**HEAD, "temperature": 1.5}, **_epochs(180)},
    "sg_mcmc": {"optimizer": {"schedule": "cosine"}, "sg_mcmc": {"num_samples": 9}},  # half a cosine a cycle
    "snapshot_ensemble": {"optimizer": {"schedule": "cosine"}},
}
OF_VIT = {**OF_BOTH, "mc_dropout": {"mc_dropout": {"num_samples": 10}, "model": {"dropout_rate": 0.1}}}


def get_config(variant=""):
    if unknown := set(variant.split(",")) - {"", "vit_s16", "c"}:
        raise unknown_name("variant of configs/imagenet.py", min(unknown), ["vit_s16", "c"])
    config = ConfigDict({"batch_size": 1024, "epochs": 90})

    config.dataset = ConfigDict({"name": "imagenet", "validation_percent": 0.01})
    config.model = ConfigDict({"name": "resnet50"})
    # Published is an l2 of kernels and biases; here it is of the normalisations' variables, too.
    config.optimizer = ConfigDict({"name": "sgd", "learning_rate": 0.4, "momentum": 0.9, "l2": 1e-4})
    config.optimizer.update(schedule="step", warmup_epochs=5.0, decay_epochs=(30, 60, 80), decay_ratio=0.1)

    config.evaluation = ConfigDict({"batch_size": 250, "shift_examples": 5000})
    config.evaluation.metrics = ("accuracy", "nll", "brier", "ece", "entropy")
    config.evaluation.shifts = ("v2", "a", "r")
    config.evaluation.corruptions = tuple(corruptions.names(channels=3))
    config.evaluation.ood_far = ("dtd/test", "places365_small/validation")
    config.evaluation.ood_validation = ("svhn_cropped/test",)
    config.evaluation.ood_scores = ("energy", "max_logit")
    config.methods = ConfigDict(METHODS)

    if "c" in variant.split(","):
        splits = [split for split in datasets.find("imagenet").splits if split.startswith("c_")]
        config.evaluation.shifts += tuple(splits[:75])  # the four other corruptions come last
        config.evaluation.corruptions = ()
    if "vit_s16" in variant.split(","):
        config.model = ConfigDict({"name": "vit", "dropout_rate": 0.0})
        config.optimizer = ConfigDict({"name": "adamw", "learning_rate": 1e-3, "weight_decay": 0.1})
        config.optimizer.update(schedule="cosine", warmup_epochs=8.0)
        config.methods = ConfigDict(OF_VIT | {"sg_mcmc": METHODS["sg_mcmc"]})
    return config
