"""Benchmarks and baselines for predictive uncertainty and robustness.

Importing the package imports nothing else: each part is imported when it is first used, so that the leaderboard and
the metrics never pay for TensorFlow. Import it before TensorFlow and Keras (the scripts do) for the two settings below
to hold.
"""

import importlib
import os

os.environ["KERAS_BACKEND"] = "tensorflow"  # the train steps are tf.functions, whatever the user's keras.json says
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # a dozen lines about CPU features would bury our one

__version__ = "0.1.0"

_MODULES = (
    "configuration",
    "datasets",
    "errors",
    "evaluation",
    "figures",
    "launch",
    "layers",
    "leaderboard",
    "metrics",
    "models",
    "ood_scores",
    "posthoc",
    "predictions",
    "training",
)

__all__ = list(_MODULES)


def __getattr__(name: str):
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
