"""What a script of `baselines/` trains with and predicts with, so that benchmarks time that and no copy of it.

A script is run with stand-ins for the three calls in which it hands over what it made: `training.Loop`, which takes no
steps, `training.train_together`, which notes what it is given, and `evaluation.evaluate`, which ends the script.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from ml_collections import ConfigDict

from uncertainty_suite import configuration, datasets, launch, training
from uncertainty_suite.datasets.forms import Images
from uncertainty_suite.predictions import Predictions

ROOT = Path(__file__).parent.parent
ONLY_TEST = dict.fromkeys(
    [
        f"evaluation.{field}"
        for field in ("corruptions", "ood_near", "ood_far", "ood_validation", "ood_scores", "predict_only")
    ],
    (),
)


@datasets.register
def made_up_images(size: int = 32, channels: int = 3, num_examples: int = 128) -> datasets.Source:
    """Random images of ten classes, for what does not depend on what they show."""
    return _made_up("made_up_images", "categorical", size, channels, num_examples)


@datasets.register
def made_up_targets(size: int = 32, channels: int = 3, num_examples: int = 128) -> datasets.Source:
    """Random images with a number each, for methods of regression."""
    return _made_up("made_up_targets", "gaussian", size, channels, num_examples)


def _made_up(name: str, likelihood: str, size: int, channels: int, num_examples: int) -> datasets.Source:
    num_classes = 10 if likelihood == "categorical" else 0

    def read(split: str, data_dir: Any) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        number = num_examples if split == "train" else 1
        features = rng.integers(0, 256, (number, size, size, channels), np.uint8)
        return features, rng.integers(0, 10, number) if num_classes else rng.normal(size=number)

    form = Images(size, size, channels)
    return datasets.Source(name, ("train", "test"), form, read, likelihood, num_classes, maximum=255)


class Loop(training.Loop):
    """The loop of a script, which hands out no steps before `ready` is set.

    Attributes:
        data: What is trained on.
        model: The model.
        optimizer: Its optimizer.
        ready: Whether iterating it trains.
    """

    def __init__(self, run: Any, data: Any, model: Any, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(run, data, model, optimizer, *args, **kwargs)
        self.data, self.model, self.optimizer = data, model, optimizer
        self.ready = False

    def __iter__(self) -> Iterator[int]:
        return super().__iter__() if self.ready else iter(())


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a script made.

    Attributes:
        run: Its run.
        groups: Its loops: those of a group are trained at once, one group after another.
        predict: Its predict function, of the untrained network.
    """

    run: training.Run
    groups: list[list[Loop]]
    predict: Callable[[Any], Predictions]

    @property
    def loop(self) -> Loop:
        """The loop of a script that has one."""
        ((loop,),) = self.groups
        return loop


class _Evaluating(Exception):
    """A script has come to its evaluation."""


def get_section(method: str) -> configuration.Section | None:
    """Return the hyper-parameters of a script, or None where it has none."""
    return getattr(_load(method), "CONFIG", None)


def get_config(method: str, task: str, overrides: Mapping[str, Any] | None = None) -> ConfigDict:
    """Return the configuration of a method on a task.

    Args:
        method: A script of `baselines/`.
        task: A file of `configs/`.
        overrides: Values that differ from what these say, by field: `{"optimizer.l2": 0.0}`.
    """
    given = [f"--config.{field}={value}" for field, value in (overrides or {}).items()]
    return launch.get_config(ROOT / f"configs/{task}.py", get_section(method), method, given)


def get_parts(method: str, config: ConfigDict, options: training.Options) -> Parts:
    """Run a script without training or evaluating, and return what it made.

    Args:
        method: A script of `baselines/`.
        config: Its configuration.
        options: Its options; the run folder, `output_dir`, is still needed where the loops are used.
    """
    groups: list[list[Loop]] = []
    found: list[Parts] = []

    def make_loop(*args: Any, **kwargs: Any) -> Loop:
        groups.append([Loop(*args, **kwargs)])
        return groups[-1][0]

    def train_together(run: training.Run, loops: Sequence[Loop]) -> None:
        groups[:] = [group for group in groups if group[0] not in loops] + [list(loops)]

    def evaluate(predict: Callable[[Any], Predictions], run: training.Run, *args: Any, **kwargs: Any) -> None:
        found.append(Parts(run, groups, predict))
        raise _Evaluating

    with (
        mock.patch("uncertainty_suite.training.Loop", make_loop),
        mock.patch("uncertainty_suite.training.train_together", train_together),
        mock.patch("uncertainty_suite.evaluation.evaluate", evaluate),
        contextlib.suppress(_Evaluating),
    ):
        _load(method).main(config, options)
    if not found:
        raise RuntimeError(f"{method}.py has not come to its evaluation.")
    return found[0]


def _load(method: str) -> Any:
    return configuration.load_module(ROOT / f"baselines/{method}.py")
