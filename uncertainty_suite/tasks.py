"""A task: what its labels are, and the one list of splits that are read, predicted, measured and drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from uncertainty_suite import likelihoods
from uncertainty_suite.errors import InputError, unknown_name

ROLES = ("train", "validation", "test", "near_ood", "far_ood", "ood_validation", "predict_only", "shift", "fit")
_LABELLED = ("validation", "test", "shift")
_STANDARD = ("train", "validation", "test")  # splits that a network of the task has seen, or is measured on


@dataclasses.dataclass(frozen=True)
class Split:
    """A set of examples and what it is for.

    Attributes:
        key: Its name, that of its predictions and the beginning of its results: `test`, `shift/fog_3`, `ood/mnist`.
        role: One of `ROLES`. `shift` are the in-distribution examples corrupted, or others that are shifted as they
            are. `fit` are the training examples that OOD scores learn from; on `ood_validation` those with something
            to choose choose it; `predict_only` is saved and not measured.
        source: Where its examples come from, `<data set>/<split>`.
        corruption: Name of the corruption, empty for none.
        severity: Of the corruption, 0 for none.
        max_examples: How many examples are taken, the first; 0 for all.
    """

    key: str
    role: str
    source: str
    corruption: str = ""
    severity: int = 0
    max_examples: int = 0

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.source.rpartition("/")[0]

    @property
    def name(self) -> str:
        """Name of the split in the data set."""
        return self.source.rpartition("/")[2]

    @property
    def derived(self) -> bool:
        """Whether its examples are those of the in-distribution split, corrupted."""
        return bool(self.corruption)

    @property
    def labelled(self) -> bool:
        """Whether metrics of labels are computed on it."""
        return self.role in _LABELLED


@dataclasses.dataclass(frozen=True)
class Task:
    """What a run is trained and measured on.

    Attributes:
        name: That of its data set.
        likelihood: What its labels are.
        splits: All splits that evaluation predicts, in the order in which it does so.
        in_distribution: Key of the split that shifted and OOD sets are compared with.

    Example:
        >>> [split.key for split in task.of("near_ood", "far_ood")]
        ['ood/fashion_mnist', 'ood/noise_uniform']
    """

    name: str
    likelihood: likelihoods.Likelihood
    splits: tuple[Split, ...]
    in_distribution: str

    def of(self, *roles: str) -> list[Split]:
        """Return the splits that have one of these roles, in their order."""
        return [split for split in self.splits if split.role in roles]

    def split(self, key: str) -> Split:
        """Return the split of a key.

        Raises:
            InputError: The task has none.
        """
        for split in self.splits:
            if split.key == key:
                return split
        raise unknown_name(f"split of task '{self.name}'", key, [split.key for split in self.splits])

    def to_json(self) -> dict[str, Any]:
        """Return the task as JSON has it."""
        return {
            "name": self.name,
            "likelihood": {"name": self.likelihood.name, **self.likelihood.parameters},
            "splits": [dataclasses.asdict(split) for split in self.splits],
            "in_distribution": self.in_distribution,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Task:
        """Return the task that `to_json` wrote.

        Raises:
            ValueError: Something is missing, unknown or of another type.
        """
        try:
            parameters = dict(content["likelihood"])
            likelihood = likelihoods.get(parameters.pop("name"), **parameters)
            splits = tuple(Split(**split) for split in content["splits"])
            for split in splits:  # they name files below the run's folder
                if not split.key or ".." in split.key.split("/") or split.key.startswith("/"):
                    raise ValueError(f"a split has the key {split.key!r}")
            return cls(content["name"], likelihood, splits, content["in_distribution"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it describes no task ({error})") from error


def plan(config: Mapping[str, Any], fit: bool) -> tuple[Split, ...]:
    """Return the splits that a configuration has evaluation predict, in order.

    Args:
        config: The configuration, as JSON has it.
        fit: Whether OOD scores learn from training examples.

    Raises:
        InputError: The in-distribution split is not measured, or an OOD set is no such name or the task's own data.
    """
    task, evaluation = config["dataset"]["name"], config["evaluation"]
    inside = evaluation["in_distribution"]
    if inside not in evaluation["splits"]:
        raise InputError(
            f"config.evaluation.in_distribution is '{inside}', which is none of config.evaluation.splits, "
            f"{tuple(evaluation['splits'])}. Name it there too."
        )
    splits = [
        Split(name, "validation" if name == "validation" else "test", f"{task}/{name}") for name in evaluation["splits"]
    ]
    for distance in ("near", "far"):
        for source in evaluation[f"ood_{distance}"]:
            splits.append(Split(_ood_key(source, task), f"{distance}_ood", source))
    splits += [Split(_ood_key(source, task), "ood_validation", source) for source in evaluation["ood_validation"]]
    splits += [Split(name, "predict_only", f"{task}/{name}") for name in evaluation["predict_only"]]
    for name in evaluation.get("shifts", ()):
        if name in _STANDARD:
            raise InputError(f"config.evaluation.shifts has '{name}', which is not shifted. Name it in splits.")
        splits.append(Split(f"shift/{name}", "shift", f"{task}/{name}"))
    splits += [
        Split(f"shift/{name}_{severity}", "shift", f"{task}/{inside}", name, severity, evaluation["shift_examples"])
        for name in evaluation["corruptions"]
        for severity in evaluation["severities"]
    ]
    if fit:
        splits.append(Split("fit", "fit", f"{task}/train", max_examples=evaluation["fit_examples"]))
    return tuple(splits)


def _ood_key(source: str, task: str) -> str:
    """Return the key of an OOD set: `ood/<data set>`, with the split where the data set does not say all."""
    name, _, split = source.rpartition("/")
    if not name or not split:
        raise InputError(f"An OOD set is named <data set>/<split>, e.g. mnist/test, received {source!r}.")
    if name == task and split in _STANDARD:
        raise InputError(
            f"The OOD set '{source}' is the task's own data: nothing could tell it from them. Name another one in "
            "config.evaluation.ood_near and ood_far."
        )
    if name == task:
        return f"ood/{split}"
    name = name.replace("/", "_")
    return f"ood/{name}" if split == "test" else f"ood/{name}_{split}"
