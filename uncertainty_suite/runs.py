"""Run folders: what lies in one, and the one reader of it.

A folder holds `config.json`, `task.json` and `provenance.json` from the start; `history.jsonl` and `checkpoints/` (of
an ensemble in `members/<i>/`) while it is trained; `predictions/` once it is evaluated; and `results.json` when it is
finished.

What was trained and what was evaluated are two identities. `configuration.trained_id` names the configuration without
its part `evaluation` and ties checkpoints to their run; `RunFolder.id` names all of it and ties predictions and results
to theirs. So a trained network can be evaluated again, in another way, without training.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from uncertainty_suite import configuration
from uncertainty_suite.errors import InputError
from uncertainty_suite.files import parse_json, read_arrays, read_json, read_text, room_for, write_arrays
from uncertainty_suite.likelihoods import Saved
from uncertainty_suite.tasks import Task

# Raised when what a field of `results.json` means or is called changes.
SCHEMA_VERSION = 1
# Raised when the meaning of a result changes: data splits, preprocessing, how a metric is computed. Results of
# different protocols are never compared. CHANGELOG.md has a line for each.
PROTOCOL_VERSION = 2

_RESULTS_FIELDS = ("protocol_version", "config", "metrics", "provenance")
# Types of what is read of a configuration and of results, where it is there.
_ELEMENTS = dict.fromkeys(("splits", "resumed", "rollbacks", "made_from.runs"), (dict,))  # others hold names, numbers
_CONFIG_TYPES: dict[str, type] = {
    **dict.fromkeys(("dataset", "model", "evaluation"), dict),
    **dict.fromkeys(("method", "dataset.name", "model.name", "evaluation.in_distribution"), str),
    **dict.fromkeys(("seed", "dataset.fold", "evaluation.shift_examples", "evaluation.fit_examples"), int),
    **dict.fromkeys((f"evaluation.{name}" for name in ("splits", "metrics", "predict_only", "corruptions")), list),
    **dict.fromkeys((f"evaluation.{name}" for name in ("severities", "ood_near", "ood_far", "ood_validation")), list),
    **dict.fromkeys((f"evaluation.{name}" for name in ("ood_scores", "posthoc", "save")), list),
    "evaluation.ensemble_curve": bool,
}
_RESULTS_TYPES: dict[str, type] = {
    **dict.fromkeys(("config", "metrics", "provenance", "left_out", "tuned", "likelihood", "data_fingerprint"), dict),
    **dict.fromkeys(("method", "task", "in_distribution"), str),
    **dict.fromkeys(("protocol_version", "seed"), int),
    "splits": list,
}
_PROVENANCE_TYPES: dict[str, type] = {
    **dict.fromkeys(("versions", "hardware", "strategy", "environment", "made_from"), dict),
    **dict.fromkeys(("script", "config_file", "command", "host", "started_at", "training_data"), str),
    **dict.fromkeys(("resumed", "rollbacks", "made_from.runs"), list),
    "protocol_version": int,
}


class RunFolder:
    """What a run folder holds. Nothing is read before it is asked for.

    Example:
        >>> run = RunFolder("runs/digits/sngp-1a2b3c4d/seed0")
        >>> run.results["metrics"]["test/nll"]
        >>> log_probs = run.predictions("test")["log_probs"]
    """

    def __init__(self, path: str | Path) -> None:
        """Name a folder; whether it is one of a run shows when it is read."""
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """The configuration, as JSON has it.

        Raises:
            InputError: There is none, or it is damaged.
        """
        config = configuration.read(self.path)
        try:
            _check_types(config, _CONFIG_TYPES, "method")
        except ValueError as error:
            raise InputError(f"{self.path / 'config.json'} is no run's ({error}).") from error
        return config

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.config["method"]

    @property
    def id(self) -> str:
        """What names the trained network and how it is evaluated."""
        return configuration.run_id(self.config)

    @functools.cached_property
    def task(self) -> Task:
        """The task: its likelihood and its splits.

        Raises:
            InputError: There is none, or it is damaged.
        """
        path = self.path / "task.json"
        try:
            return Task.from_json(read_json(path, self.path))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path} cannot be read ({error}). Delete it and give the same command again: the rest of the run is "
                "kept."
            ) from error

    def read(self, name: str, *fields: str) -> dict[str, Any] | None:
        """Return what a JSON file of the folder holds, None if there is no such file.

        Args:
            name: Its name.
            *fields: What it must have.

        Raises:
            InputError: It is damaged or lacks a field.
        """
        path = self.path / name
        if not path.exists():
            return None
        try:
            content = read_json(path, self.path)
            lacking = [field for field in fields if field not in content]
            if lacking:
                raise ValueError(f"it has no {lacking[0]}")
        except OSError as error:  # which need not be the file's fault
            raise InputError(f"{path} cannot be read ({error.strerror}).") from error
        except ValueError as error:
            raise self._damaged(path, error) from error
        return content

    def _damaged(self, path: Path, error: Exception) -> InputError:
        return InputError(
            f"{path} is damaged ({error}). Delete that file and give the same command again: the rest of the run is "
            "kept."
        )

    @property
    def provenance(self) -> dict[str, Any] | None:
        """What made the run, or None before it starts."""
        provenance = self.read("provenance.json", "protocol_version")
        if provenance is not None:
            try:
                _check_types(provenance, _PROVENANCE_TYPES)
            except ValueError as error:
                raise self._damaged(self.path / "provenance.json", error) from error
        return provenance

    @property
    def results(self) -> dict[str, Any] | None:
        """What `results.json` holds, or None where the run is not finished, or is being evaluated in another way.

        Raises:
            InputError: The file is damaged, or of another run.
        """
        results = self.read("results.json", *_RESULTS_FIELDS)
        if results is not None:
            try:
                _check_types(results, _RESULTS_TYPES)
                _check_each(results, "metrics", (int, float))
                _check_each(results, "left_out", (str,))
                _check_each(results, "tuned", (dict,))
                _check_types(results["provenance"], _PROVENANCE_TYPES)
            except ValueError as error:
                raise self._damaged(self.path / "results.json", error) from error
        if results is None or results["config"] == self.config:
            return results
        config = results["config"] if isinstance(results["config"], dict) else {}
        if configuration.trained_id(config) == configuration.trained_id(self.config):
            return None
        raise InputError(
            f"{self.path / 'results.json'} is of another configuration than config.json "
            f"({'; '.join(configuration.differences(self.config, config))}). Delete that file and give the same "
            "command again: the rest of the run is kept."
        )

    def histories(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Yield the name of each training, empty where there is one, and its lines of `history.jsonl`.

        Raises:
            InputError: A file is damaged.
        """
        for path in sorted(self.path.rglob("history.jsonl")):
            try:
                lines = [parse_json(line) for line in read_text(path, self.path).splitlines()]
            except (OSError, ValueError) as error:
                raise InputError(f"{path} is damaged ({error}). Delete it, or leave that run out.") from error
            yield str(path.parent.relative_to(self.path)).removeprefix("."), lines

    def has_predictions(self, key: str) -> bool:
        """Return whether there are predictions of a split, of this run or another."""
        return self._predictions(key).exists()

    def predictions(self, key: str) -> Saved:
        """Return the saved predictions of a split; very large arrays of it stay in the file, and cannot be written to.

        Raises:
            InputError: They are missing, damaged or of another run.
        """
        path = self._predictions(key)
        try:
            saved = read_arrays(path, self.path, mapped=True)
            owner = str(saved.pop("run"))
        except FileNotFoundError as error:
            raise InputError(
                f"There are no predictions {path}; make them by: python -m uncertainty_suite.evaluate {self.path} "
                "--predict"
            ) from error
        except OSError as error:
            raise InputError(f"The predictions {path} cannot be read ({error.strerror}).") from error
        except (ValueError, KeyError) as error:
            raise InputError(f"The predictions {path} are damaged ({error}); run the script again.") from error
        if owner != self.id:
            raise InputError(f"The predictions {path} are of another run ({owner}, and this is {self.id}).")
        return saved

    def room_for(self, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
        """Return an array of predictions to be filled; a large one takes no memory, but room where it will be saved.

        Raises:
            InputError: There is no room for it.
        """
        return room_for(shape, dtype, self.path / "predictions")

    def save_predictions(self, key: str, saved: Saved) -> None:
        """Write the predictions of a split, tied to this run.

        Raises:
            InputError: They cannot be written.
        """
        write_arrays(self._predictions(key), {**saved, "run": np.array(self.id)})

    def _predictions(self, key: str) -> Path:
        return self.path / "predictions" / f"{key}.npz"


def _check_types(content: Mapping[str, Any], types: Mapping[str, type], *required: str) -> None:
    absent = object()
    for field, kind in types.items():
        value: Any = content
        for name in field.split("."):
            value = value.get(name, absent) if isinstance(value, dict) else absent
        if value is absent and field not in required:
            continue
        if type(value) is not kind:
            raise ValueError(f"it has no field {field}" if value is absent else _wrong(field, value))
        if isinstance(value, list) and not all(type(each) in _ELEMENTS.get(field, (str, int)) for each in value):
            raise ValueError(_wrong(field, value))


def _check_each(content: Mapping[str, Any], field: str, kinds: tuple[type, ...]) -> None:
    for name, value in content.get(field, {}).items():
        if type(value) not in kinds:
            raise ValueError(_wrong(f"{field}[{name!r}]", value))


def _wrong(field: str, value: Any) -> str:
    return f"its field {field} is {str(value)[:40]!r}"
