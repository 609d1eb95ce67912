"""The run folder: one folder that says by itself what was run and what came of it."""

import datetime
import importlib.metadata
import json
import math
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging
from ml_collections import ConfigDict

from uncertainty_suite import configuration, datasets
from uncertainty_suite.errors import InputError
from uncertainty_suite.files import write_json

# Raised when the meaning of a result changes: data splits, preprocessing, how a metric is computed. Results of
# different protocols are never compared.
PROTOCOL_VERSION = 1

_PACKAGES = ("keras", "ml_collections", "numpy", "scikit-learn", "scipy", "tensorflow", "tensorflow-datasets")


class Run:
    """A run folder: `config.json` and `provenance.json` when it starts, `results.json` when it is finished.

    Attributes:
        path: The folder.
        config: The configuration, its `method` filled in.
        saved_config: The same as plain values, as `config.json` holds it.
        results: What an earlier process wrote into `results.json`, or None if the run is not finished.
    """

    def __init__(
        self,
        config: ConfigDict,
        script: str | Path,
        output_dir: str | Path | None = None,
        data_dir: str | Path | None = None,
    ) -> None:
        """Open or make the folder.

        Args:
            config: What to run.
            script: The script's `__file__`, which names the method unless `config.method` does.
            output_dir: The folder; if None, `runs/<data set>/<method>-<hash of the configuration>/seed<seed>`.
            data_dir: Where prepared data sets lie; see `datasets.get`.

        Raises:
            InputError: The folder belongs to another configuration, holds something else, or cannot be written.
        """
        self.config = ConfigDict(config)
        self.config.method = self.config.method or Path(script).stem
        self.saved_config = configuration.to_json(self.config)
        self._config_hash = configuration.config_hash(self.saved_config)
        if output_dir is None:
            experiment = f"{self.config.method}-{self._config_hash[:8]}"
            output_dir = Path("runs", self.config.dataset.name, experiment, f"seed{self.config.seed}")
        self.path = Path(output_dir)
        self._data_dir = data_dir
        self._data_fingerprint = {}
        self._claim()
        results = self.path / "results.json"
        self.results = json.loads(results.read_text()) if results.exists() else None
        if self.results is not None:
            logging.info("%s is finished already; its results are returned as they are.", self.path)

    def get_data(
        self, source: str, seed: int | None = None, corruption: str | None = None, severity: int = 0
    ) -> datasets.Dataset:
        """Return a split, and note its fingerprint for the results.

        Args:
            source: A split of the task's data set, `test`, or `<data set>/<split>` of another one, which is then
                brought into the form of the task's.
            seed: Decides the order of training examples and their augmentation; `config.seed` if None.
            corruption: Corrupts every image; see `datasets.get`.
            severity: Of the corruption.
        """
        own = self.config.dataset.name
        name, _, split = source.rpartition("/")
        name = name or own
        data = datasets.get(
            name,
            split=split,
            data_dir=self._data_dir,
            validation_percent=self.config.dataset.validation_percent if name == own else 0.0,
            seed=self.config.seed if seed is None else seed,
            like=own,
            corruption=corruption,
            severity=severity,
            classes=(self.config.dataset.classes or None) if name == own else None,
        )
        key = f"{source}/{corruption}_{severity}" if corruption else source
        self._data_fingerprint[key] = data.fingerprint()
        return data

    def _claim(self) -> None:
        file, provenance_file = self.path / "config.json", self.path / "provenance.json"
        try:
            if file.exists():
                different = configuration.differences(configuration.read(self.path), self.saved_config)
                if different:
                    raise InputError(
                        f"{self.path} belongs to a run of another configuration ({'; '.join(different)}). "
                        "Choose another --output_dir, or the same configuration to go on with that run."
                    )
            elif self.path.exists() and any(not entry.name.endswith(".partial") for entry in self.path.iterdir()):
                raise InputError(
                    f"{self.path} is not empty and no run folder (it has no config.json). Choose another --output_dir."
                )
            else:
                write_json(file, self.saved_config)
            if not provenance_file.exists():
                write_json(provenance_file, provenance())
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"Cannot use {self.path} as a run folder ({error}). Choose another --output_dir."
            ) from error

    def finish(self, metrics: dict[str, float], num_parameters: int, train_seconds: float) -> dict[str, Any]:
        """Write `results.json`, the last file of a run, and return what it holds.

        Args:
            metrics: Every number that evaluation gave, keyed `split/metric`.
            num_parameters: Weights of all that predicts, trained or not.
            train_seconds: Seconds of training, over all the processes that it took.

        Raises:
            InputError: A metric is not finite.
        """
        metrics = {**metrics, "num_parameters": num_parameters, "train_seconds": train_seconds}
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise InputError(f"The metric {name} is {value}, so {self.path}/results.json is not written.")
        self.results = {
            "schema_version": 1,
            "protocol_version": PROTOCOL_VERSION,
            "task": self.config.dataset.name,
            "method": self.config.method,
            "model": self.config.model.name,
            "seed": self.config.seed,
            "config": self.saved_config,
            "config_hash": self._config_hash,
            "batch_size_global": self.config.batch_size,
            "data_fingerprint": self._data_fingerprint,
            "metrics": {name: float(value) for name, value in metrics.items()},
            "provenance": {**json.loads((self.path / "provenance.json").read_text()), "finished_at": _now()},
        }
        write_json(self.path / "results.json", self.results)
        return self.results


def provenance() -> dict[str, Any]:
    """Return what made a run: versions, git revision, command line, hardware and the time, as JSON-able values."""
    return {
        "started_at": _now(),
        "command": shlex.join(["python", *sys.argv]),
        "revision": _revision(),
        "versions": {
            "python": platform.python_version(),
            **{package: importlib.metadata.version(package) for package in _PACKAGES},
        },
        "hardware": {
            "platform": platform.platform(),
            "processor": _processor(),
            "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "devices": [device.name for device in tf.config.list_logical_devices()],
        },
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _revision() -> str | None:
    # Of the suite, wherever the script lies; None where it was installed without its repository.
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
