"""Benchmarks and baselines for predictive uncertainty and robustness.

Each part is imported when it is first used, so that the leaderboard, the metrics and a script's `--help` never pay for
TensorFlow. Keras and TensorFlow are parts like the others: `from uncertainty_suite import keras, tf` is how the scripts
and the library get them, and no sorting of imports can bring them in before the settings below are made.
"""

import importlib
import os
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from uncertainty_suite.trained import load

os.environ["KERAS_BACKEND"] = "tensorflow"  # the train steps are tf.functions, whatever the user's keras.json says
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # a dozen lines about CPU features would bury our one

importlib.import_module(f"{__name__}.program").quiet_imports()

__version__ = "0.1.0"

_PARTS = (
    *("configuration", "datasets", "decisions", "errors", "evaluation", "figures", "launch", "layers", "leaderboard"),
    *("likelihoods", "metrics", "models", "ood_scores", "posthoc", "predictions", "registry", "runs", "tasks"),
    *("testing", "trained", "training"),
)
_MODULES = {"keras": "keras", "tf": "tensorflow", **{part: f"{__name__}.{part}" for part in _PARTS}}

__all__ = ["keras", "load", "tf"]


class _Lazy(types.ModuleType):
    """A module that is imported when something of it is first used."""

    def _imported(self) -> types.ModuleType:
        module = self.__dict__.get("_module")
        if module is None:
            module = self.__dict__["_module"] = importlib.import_module(self.__name__)
            if self.__name__ == "keras":
                _set_up_keras(module)
        return module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._imported(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._imported(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._imported(), name)

    def __dir__(self) -> list[str]:
        return dir(self._imported())


def _set_up_keras(module: Any) -> None:
    """Have Keras' own defaults, whatever the user's keras.json says: results depend on them and nothing records them.

    Raises:
        InputError: Keras was imported before, with another backend.
    """
    if module.config.backend() != "tensorflow":
        from uncertainty_suite.errors import InputError

        raise InputError(
            f"Keras was imported with the backend '{module.config.backend()}' before uncertainty_suite, which needs "
            "'tensorflow'. Import uncertainty_suite first, or set KERAS_BACKEND=tensorflow."
        )
    module.config.set_floatx("float32")
    module.config.set_epsilon(1e-7)
    module.config.set_image_data_format("channels_last")


def __getattr__(name: str) -> Any:
    if name == "load":
        return _Lazy(f"{__name__}.trained").load
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return _Lazy(_MODULES[name])


def __dir__() -> list[str]:
    return sorted([*globals(), "load", *_MODULES])
