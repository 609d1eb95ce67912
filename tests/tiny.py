"""The scripts in `baselines/`, small configurations of them, and what is the same in two runs."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from ml_collections import ConfigDict

from tests.conftest import ROOT
from uncertainty_suite import configuration, launch
from uncertainty_suite.configuration import Section
from uncertainty_suite.likelihoods import Categorical

METHODS = tuple(sorted(path.stem for path in (ROOT / "baselines").glob("*.py")))
# The methods of `make benchmark` stand for all where a test is of the machinery; `testing.check_method` is of all.
CORE = tuple(
    next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("CORE := ")).split()[2:]
)
TASKS = ("two_moons", "toy_regression")
TIMES = ("train_seconds", "milliseconds_per_example")
_RESNET_MLP = {"epochs": 2, "model.num_layers": 2, "model.num_hidden": 16, "optimizer.learning_rate": 0.01}
_TINY: dict[str, dict[str, Any]] = {
    "two_moons": _RESNET_MLP,
    "toy_regression": _RESNET_MLP,
    "cifar10": {"epochs": 2, "model.width": 1},
    "digits": {"epochs": 1, "evaluation.corruptions": (), "evaluation.ood_scores": ()},
}
_LARGE = 32


probs_of = Categorical.metric_input  # the class probabilities [n, classes] in saved predictions


def quick_with(*methods: str) -> pytest.MarkDecorator:
    """Run a test with each core method; slow are those that show the same as these."""
    marks = {method: [] if method in methods else [pytest.mark.slow] for method in CORE}
    return pytest.mark.parametrize("method", [pytest.param(method, marks=marks[method]) for method in CORE])


def load_script(method: str) -> ModuleType:
    """Return a script as a module."""
    return configuration.load_module(ROOT / "baselines" / f"{method}.py")


def section_of(script: ModuleType) -> Section | None:
    """Return the hyper-parameters that a script declares."""
    return getattr(script, "CONFIG", None)


def small_values(section: Section | None) -> dict[str, int]:
    """Return hyper-parameters that make a method fast: two samples, and large numbers divided by 32."""
    if section is None:
        return {}
    large = {
        name: one.default // _LARGE
        for name, one in section.parameters.items()
        if one.type is int and one.default >= _LARGE
    }
    samples = {section.samples: 2} if section.samples else {}
    return {f"{section.name}.{name}": value for name, value in {**large, **samples}.items()}


def flags_of(values: dict[str, Any]) -> list[str]:
    """Return the command line of values of a configuration, whose names have dots or, as keywords, two underscores."""
    return [f"--config.{name.replace('__', '.')}={value}" for name, value in values.items()]


def tiny_config(method: str, task: str = "two_moons", script: ModuleType | None = None, **overrides: Any) -> ConfigDict:
    """Return a small configuration of a method; overrides are named as in `optimizer__learning_rate`.

    Args:
        method: A script's name.
        task: A configuration file's name, with `:<variant>` after it where it has variants.
        script: The script, where it lies elsewhere.
        **overrides: Values that differ.
    """
    section = section_of(script or load_script(method))
    name, _, variant = task.partition(":")
    flags = flags_of({**_TINY.get(name, {"epochs": 2}), **small_values(section), **overrides})
    file = f"{ROOT / 'configs' / name}.py"
    return launch.get_config(f"{file}:{variant}" if variant else file, section, method, flags)


def untimed(results: dict[str, Any]) -> dict[str, float]:
    """Return the metrics of a run but those that are times."""
    return {name: value for name, value in results["metrics"].items() if name not in TIMES}


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a checkpoint or of predictions, without a checkpoint's state."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name != "state.json"}


def newest_checkpoint(folder: Path) -> dict[str, np.ndarray]:
    """Return the variables of the newest checkpoint."""
    return arrays_of(max(folder.glob("checkpoints/*.npz")))


def assert_same_arrays(mine: dict[str, np.ndarray], theirs: dict[str, np.ndarray], where: object = "") -> None:
    """Assert that two sets of arrays are the same, bit for bit."""
    assert mine.keys() == theirs.keys()
    for name in theirs:
        assert mine[name].dtype == theirs[name].dtype
        np.testing.assert_array_equal(mine[name], theirs[name], err_msg=f"{where}: {name}")


def assert_same_run(folder: Path, other: Path) -> None:
    """Assert that two run folders hold the same weights, predictions, history and results, bit for bit."""
    for path in sorted(other.rglob("*.npz")):
        assert_same_arrays(arrays_of(folder / path.relative_to(other)), arrays_of(path), path)
    for path in sorted(other.rglob("history.jsonl")):
        assert history_of(folder / path.relative_to(other)) == history_of(path)
    mine, theirs = (json.loads((each / "results.json").read_text()) for each in (folder, other))
    assert untimed(mine) == untimed(theirs)


def history_of(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a `history.jsonl`, without their times."""
    return [{**json.loads(line), "seconds": 0} for line in path.read_text().splitlines()]
