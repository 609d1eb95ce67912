"""ChaosNLI: how far trained language models, and ensembles of them, say what 100 people say.

    python benchmarks/language_models.py
    python -m uncertainty_suite.score predictions.npz --task chaosnli:mnli --method mine

Nothing is trained here: there is no split `train`. The first command makes the rows of published models in a minute;
the second one that of yours, whose file of predictions has `validation` and `test`. Calibrations and conformal sets
are fitted on `validation`. Labels are what most of the people said.
"""

from ml_collections import ConfigDict

from uncertainty_suite.errors import unknown_name

VARIANTS = ("mnli", "snli")


def get_config(variant="mnli"):
    if variant not in VARIANTS:
        raise unknown_name("variant of configs/chaosnli.py", variant, VARIANTS)
    config = ConfigDict()
    # Of no use, since nothing is trained; every configuration has them.
    config.batch_size = 1
    config.epochs = 1
    config.model = ConfigDict({"name": "transformer"})
    config.optimizer = ConfigDict({"name": "adam", "learning_rate": 1e-3})

    config.dataset = ConfigDict({"name": f"chaosnli_{variant}"})
    config.evaluation = ConfigDict()
    config.evaluation.metrics = ("accuracy", "nll", "brier", "ece", "entropy")
    config.evaluation.posthoc = (
        *("temperature_scaling", "vector_scaling", "isotonic_regression"),
        *("split_conformal", "aps", "raps", "saps"),
    )
    return config
