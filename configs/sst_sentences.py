"""SST-5: sentences of film reviews from very negative to very positive, five classes, with a text CNN.

    python baselines/sngp.py --config=configs/sst_sentences.py

takes half a minute of one core. Sentences alone are trained on, not the phrases in them. Far OOD are questions to a
bank. With five seeds the deterministic network has a test accuracy of 0.424 and an NLL of 1.311, SNGP 0.408 and 1.332,
an ensemble of four 0.429 and 1.301, SWAG 0.431 and 1.295; no method is less sure of far OOD than of the reviews.
"""

from ml_collections import ConfigDict

VOCABULARY_SIZE = 10_000
# What differs from the task's settings, for some methods: learning rates as for CLINC150.
METHODS = {
    "deep_ensemble": {"evaluation": {"ensemble_curve": True}},
    "duq": {"duq": {"gradient_penalty": 0.0}},  # the penalty is on inputs that are real-valued
    "ivon": {"optimizer": {"learning_rate": 1.6, "hess_init": 0.5, "beta_2": 0.999}},
    "sg_mcmc": {"optimizer": {"learning_rate": 0.3}, "sg_mcmc": {"num_samples": 3}},  # one cycle
    "snapshot_ensemble": {"snapshot_ensemble": {"size": 2}},  # of two epochs each
}


def get_config():
    config = ConfigDict()
    config.batch_size = 128
    config.epochs = 4  # of 2, 3, 4, 5, 6 and 12 with the least NLL on validation: more overfit

    config.dataset = ConfigDict({"name": "sst_sentences", "vocabulary_size": VOCABULARY_SIZE})
    config.model = ConfigDict({"name": "text_cnn", "vocabulary_size": VOCABULARY_SIZE})
    config.model.num_embedding = 100
    config.model.num_filters = 64
    config.optimizer = ConfigDict({"name": "adam", "learning_rate": 2e-3, "schedule": "cosine"})

    config.evaluation = ConfigDict()
    config.evaluation.metrics = ("accuracy", "nll", "brier", "ece", "entropy")
    config.evaluation.ood_far = ("banking77/test",)
    config.evaluation.ood_validation = ("clinc_oos/validation_oos",)
    config.evaluation.ood_scores = (
        *("energy", "max_logit", "dempster_shafer", "mahalanobis", "relative_mahalanobis", "knn", "vim", "react"),
    )
    config.methods = ConfigDict(METHODS)
    config.search = ConfigDict({"optimizer": {"learning_rate": (3e-4, 1e-2, "log")}})
    return config
