"""CLINC150: intents of queries to an assistant, and queries that are out of scope, with a text CNN or a transformer.

    python baselines/sngp.py --config=configs/clinc_oos.py
    python baselines/sngp.py --config=configs/clinc_oos.py:transformer
    python baselines/sngp.py --config=configs/clinc_oos.py:minilm

The text CNN takes half a minute of one core in all with the deterministic network; an ensemble of four trains four of
them. With five seeds the deterministic network has a test accuracy of 0.909, an NLL of 0.359 and an AUROC of 0.928 for
queries that are out of scope (`ood/near/auroc`), SNGP 0.908, 0.380 and 0.917, an ensemble of four 0.917, 0.324 and
0.935; by the Dempster-Shafer score SNGP has 0.935. Out-of-scope queries are never trained on.

The variant `transformer` has two blocks and takes a minute and a half of one core. With five seeds the deterministic
network has an accuracy of 0.898, an NLL of 0.504 and an AUROC of 0.900, SNGP 0.900, 0.444 and 0.922.

The variant `minilm` fine-tunes a trained encoder of sentences, which has to be installed (`models/pretrained.py` says
how). That takes a quarter of an hour of one core; with three seeds the deterministic one has 0.953, 0.219 and 0.966.

The variant `keras_hub=<preset>` fine-tunes a BERT of keras-hub, from a folder or a preset that keras-hub downloads
(`models/keras_hub_presets.py`); `sngp` is then SNGP-BERT. It is tested with a tiny network of random weights.

    python baselines/sngp.py --config=configs/clinc_oos.py:keras_hub=bert_small_en_uncased
"""

from ml_collections import ConfigDict

from uncertainty_suite.errors import unknown_name

VOCABULARY_SIZE = 3_000
VARIANTS = ("transformer", "minilm", "keras_hub")
# What differs from the task's settings, for some methods.
METHODS = {
    "deep_ensemble": {"evaluation": {"ensemble_curve": True}},
    "duq": {"duq": {"gradient_penalty": 0.0}},  # the penalty is on inputs that are real-valued
    # Learning rates of gradient descent on the mean loss. Of 0.1, 0.4 and 1.6, and for `sg_mcmc` of 0.03, 0.1 and 0.3,
    # these had the least NLL on validation.
    "ivon": {"optimizer": {"learning_rate": 1.6, "hess_init": 0.5, "beta_2": 0.999}},
    "laplace": {"laplace": {"structure": "kronecker"}},  # 150 classes are too many for a full Hessian
    "sg_mcmc": {"optimizer": {"learning_rate": 0.3}},
    "snapshot_ensemble": {"snapshot_ensemble": {"size": 4}},  # of three epochs each
}
METHODS_OF_PRETRAINED = {
    "sg_mcmc": {"sg_mcmc": {"num_samples": 2}},
    "snapshot_ensemble": {"snapshot_ensemble": {"size": 3}},
}


def get_config(variant=""):
    variant, _, preset = variant.partition("=")
    if variant not in ("", *VARIANTS):
        raise unknown_name("variant of configs/clinc_oos.py", variant, VARIANTS)
    config = ConfigDict()
    config.batch_size = 128
    config.epochs = 12

    config.dataset = ConfigDict({"name": "clinc_oos", "vocabulary_size": VOCABULARY_SIZE})
    config.model = ConfigDict({"name": "text_cnn", "vocabulary_size": VOCABULARY_SIZE})
    config.model.update(num_embedding=100, num_filters=64)
    config.optimizer = ConfigDict({"name": "adam", "learning_rate": 2e-3, "schedule": "cosine"})

    config.evaluation = ConfigDict()
    config.evaluation.metrics = ("accuracy", "nll", "brier", "ece", "entropy")
    config.evaluation.ood_near = ("clinc_oos/test_oos",)
    config.evaluation.ood_validation = ("clinc_oos/validation_oos",)
    config.evaluation.ood_scores = (
        *("energy", "max_logit", "dempster_shafer", "mahalanobis", "relative_mahalanobis", "knn", "vim", "react"),
    )
    config.methods = ConfigDict(METHODS)
    config.search = ConfigDict({"optimizer": {"learning_rate": (3e-4, 1e-2, "log")}})

    if variant == "transformer":
        config.model = ConfigDict({"name": "transformer", "vocabulary_size": VOCABULARY_SIZE})
    if variant in ("minilm", "keras_hub"):
        name = f"{variant}/clinc_oos"
        config.epochs = 3
        config.methods.update(METHODS_OF_PRETRAINED)
        config.dataset = ConfigDict({"name": name})
        config.optimizer.learning_rate = 1e-4
        config.optimizer.warmup_epochs = 0.1
        config.evaluation.ood_near = (f"{name}/test_oos",)
        config.evaluation.ood_validation = (f"{name}/validation_oos",)
        config.search = ConfigDict({"optimizer": {"learning_rate": (2e-5, 5e-4, "log")}})
    if variant == "minilm":
        config.model = ConfigDict({"name": "bert", "pretrained": "minilm"})
    if variant == "keras_hub":
        config.dataset.preset = preset
        config.model = ConfigDict({"name": "keras_hub_bert", "preset": preset})
        # Bound and number of features of Uncertainty Baselines' baselines/clinc_intent/sngp.py.
        config.methods.sngp = {"sngp": {"spec_norm_bound": 0.95, "num_features": 2048}}
    return config
