"""Using a trained method again: its script, and its predict function."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from uncertainty_suite import configuration, shipped, training
from uncertainty_suite.errors import InputError
from uncertainty_suite.evaluation.prediction import Predictor
from uncertainty_suite.runs import RunFolder


def load(run: str | Path, data_dir: str | Path | None = None) -> Predictor:
    """Return the predict function of a finished training, all that it keeps beside weights included.

    Nothing is trained or written. The script of the method is run up to where it has its predict function, so it must
    lie where it lay, or in `baselines/`; the training data are read where the script looks at them.

    Args:
        run: The run's folder.
        data_dir: Folder of prepared data sets; see `datasets.get`.

    Returns:
        A `Predictor`: from features as the data set gives them, `[n, ...]`, to `Predictions`. Called on the examples of
        the first split in their order, it gives the bits that evaluation saved, of a stochastic method too.

    Raises:
        InputError: The folder is of no run, its training is not finished, or its script cannot be found.

    Example:
        >>> predictor = uncertainty_suite.load("runs/digits/sngp-1a2b3c4d/seed0")
        >>> log_probs = predictor.arrays(features)["log_probs"]  # [n, classes]
    """
    restored = restore(run, data_dir)
    return Predictor(restored.predict, restored.run)


def restore(run: str | Path, data_dir: str | Path | None = None) -> training.Restored:
    """Return the predict function of a finished training and its `training.Run`, which has its data; see `load`."""
    folder = RunFolder(run)
    config = configuration.from_json(folder.config)
    options = training.Options(output_dir=run, data_dir=data_dir, restore_only=True)
    try:
        script_of(folder).main(config, options)
    except training.Restored as restored:
        return restored
    raise InputError(f"The script of {run} does not evaluate, so it hands over no predict function.")


def script_of(run: RunFolder) -> Any:
    """Return the script that made a run, as a module; and read its configuration file, as `read_config_file`.

    Raises:
        InputError: It cannot be found.
    """
    read_config_file(run)
    name = str((run.provenance or {}).get("script", ""))
    baselines = shipped.folder("baselines")
    for path in (Path(name), baselines / Path(name).name):
        if path.is_file():
            module: ModuleType = configuration.load_module(path)
            return module
    raise InputError(f"The script of {run.path}, {name or 'which it does not name'}, is not there, nor in {baselines}.")


def read_config_file(run: RunFolder) -> None:
    """Read the configuration file that made a run, if it is there: it may register data sets, metrics and the like."""
    config_file = Path(str((run.provenance or {}).get("config_file", "")).partition(":")[0])
    if config_file.is_file():
        configuration.load_module(config_file)
