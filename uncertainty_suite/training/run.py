"""The run folder: one folder that says by itself what was run and what came of it."""

import datetime
import importlib.metadata
import math
import os
import platform
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging
from ml_collections import ConfigDict

from uncertainty_suite import configuration, datasets
from uncertainty_suite.errors import InputError
from uncertainty_suite.files import read_json, remove_partial, write_json
from uncertainty_suite.training import lock
from uncertainty_suite.training.validation import validate

# Raised when the meaning of a result changes: data splits, preprocessing, how a metric is computed. Results of
# different protocols are never compared.
PROTOCOL_VERSION = 1

_PACKAGES = ("keras", "ml_collections", "numpy", "scikit-learn", "scipy", "tensorflow", "tensorflow-datasets")


class Run:
    """A run folder: `config.json` and `provenance.json` when it starts, `results.json` when it is finished.

    Until then the process holds a lock on it, so that no other one writes into it.

    Attributes:
        path: The folder.
        config: The configuration, its `method` filled in.
        saved_config: The same as plain values, as `config.json` holds it.
        id: What ties files to their run: the configuration's hash and the seed.
        results: What an earlier process wrote into `results.json`, or None if the run is not finished.
        rollbacks: Those of its trainings, which `results.json` will hold as a part of its provenance, if there are any.
    """

    def __init__(
        self,
        config: ConfigDict,
        script: str | Path,
        output_dir: str | Path | None = None,
        data_dir: str | Path | None = None,
        shared: bool = False,
    ) -> None:
        """Check the configuration, and open or make the folder.

        Args:
            config: What to run.
            script: The script's `__file__`, which names the method unless `config.method` does.
            output_dir: The folder; if None, `runs/<data set>/<method>-<hash of the configuration>/seed<seed>`.
            data_dir: Where prepared data sets lie; see `datasets.get`.
            shared: This process trains a part of the run only, e.g. members of an ensemble, while other processes may
                train other parts.

        Raises:
            InputError: A value of the configuration is not allowed, or data that evaluation will need cannot be had. Or
                the folder is in use by another process, belongs to another configuration or protocol, holds something
                else, is damaged or cannot be written.
        """
        self.config = ConfigDict(config)
        self.config.method = self.config.method or Path(script).stem
        self.saved_config = configuration.to_json(self.config)
        self._config_hash = configuration.config_hash(self.saved_config)
        self.id = f"{self._config_hash}/{self.config.seed}"
        if output_dir is None:
            experiment = f"{self.config.method}-{self._config_hash[:8]}"
            output_dir = Path("runs", self.config.dataset.name, experiment, f"seed{self.config.seed}")
        self.path = Path(output_dir)
        self._data_dir = data_dir
        self._data_fingerprint = {}
        self._evaluation_data: list[datasets.Dataset] = []
        self.rollbacks: list[dict[str, Any]] = []
        self._validate()
        try:
            self._open(shared)
        except OSError as error:
            raise InputError(
                f"Cannot use {self.path} as a run folder ({error}). Choose another --output_dir."
            ) from error
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
        data = self._get_data(source, seed, corruption, severity)
        key = f"{source}/{corruption}_{severity}" if corruption else source
        self._data_fingerprint[key] = data.fingerprint()
        return data

    def _get_data(
        self, source: str, seed: int | None = None, corruption: str | None = None, severity: int = 0
    ) -> datasets.Dataset:
        own = self.config.dataset.name
        name, _, split = source.rpartition("/")
        name = name or own
        return datasets.get(
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

    def _validate(self) -> None:
        validate(self.saved_config)
        evaluation = self.config.evaluation
        # Builders refuse unknown names and splits, and read nothing before it is needed.
        for source in ("train", *evaluation.splits, *evaluation.predict_only):
            self._get_data(source)
        for source in (*evaluation.ood_near, *evaluation.ood_far):
            self._get_data(source)
        for corruption in evaluation.corruptions:
            for severity in evaluation.severities:
                self._get_data("test", corruption=corruption, severity=severity)

    def _read_evaluation_data(self) -> None:
        """Read what evaluation needs hours later, so that what is missing or damaged is known now, and keep it.

        Training and validation data are left out, being the script's first need.
        """
        evaluation = self.config.evaluation
        sources = [*evaluation.splits, *["test"] * bool(evaluation.corruptions), *evaluation.predict_only]
        for source in dict.fromkeys([*sources, *evaluation.ood_near, *evaluation.ood_far]):
            if source not in ("train", "validation"):
                data = self._get_data(source)
                _ = data.num_examples  # reads it
                self._evaluation_data.append(data)

    def _open(self, shared: bool) -> None:
        self._read_folder()
        if self.results is None:
            self._read_evaluation_data()
        if self.results is not None and not (self.path / lock.NAME).exists():  # or it was killed before it let go
            return
        self._lock = lock.hold(self.path, shared)
        self._read_folder()  # again, now that nobody else changes it
        if self.results is not None:
            self._lock.release()
            return
        if not self._lock.shared:
            remove_partial(self.path)
        if not (self.path / "config.json").exists():
            write_json(self.path / "config.json", self.saved_config)
        if self._provenance is None:
            self._provenance = provenance()
        elif not self._lock.shared:  # those who share the folder would overwrite what the others note
            self._note_resume()
        else:
            return
        write_json(self.path / "provenance.json", self._provenance)

    def _read_folder(self) -> None:
        """Read `provenance.json` and `results.json`, and refuse a folder that is not this run's."""
        self.results = self._provenance = None
        if (self.path / "config.json").exists():
            different = configuration.differences(configuration.read(self.path), self.saved_config)
            if different:
                raise InputError(
                    f"{self.path} belongs to a run of another configuration ({'; '.join(different)}). "
                    "Choose another --output_dir, or the same configuration to go on with that run."
                )
        elif self.path.exists():
            foreign = [path.name for path in self.path.iterdir() if not path.name.startswith(".")]
            if foreign:
                raise InputError(
                    f"{self.path} is not empty and no run folder (it has no config.json). Choose another --output_dir."
                )
        self._provenance = self._read("provenance.json", "protocol_version")
        self.results = self._read("results.json", "protocol_version", "config", "metrics", "provenance")

    def _read(self, name: str, *fields: str) -> dict[str, Any] | None:
        path = self.path / name
        if not path.exists():
            return None
        try:
            content = read_json(path)
            lacking = [field for field in fields if field not in content]
            if lacking:
                raise ValueError(f"it has no {lacking[0]}")
            if content.get("config", self.saved_config) != self.saved_config:
                raise ValueError("it is of another configuration than config.json")
        except ValueError as error:
            raise InputError(
                f"{path} is damaged ({error}). Delete that file and give the same command again: the rest of the run "
                "is kept."
            ) from error
        if content["protocol_version"] != PROTOCOL_VERSION:
            raise InputError(
                f"{self.path} belongs to a run of another protocol (protocol_version: {content['protocol_version']} -> "
                f"{PROTOCOL_VERSION}), whose results cannot be compared. Choose another --output_dir."
            )
        return content

    def _note_resume(self) -> None:
        first, now = self._provenance, provenance()
        same = ("revision", "versions", "hardware")
        changed = {name: now[name] for name in same if first.get(name) != now[name]}
        if changed:
            old, new = ({name: values.get(name) for name in changed} for values in (first, now))
            logging.warning(
                "%s goes on under other conditions than it began, so no longer bit for bit for sure: %s",
                self.path,
                "; ".join(configuration.differences(old, new)),
            )
        resume = {"started_at": now["started_at"], "host": now["host"], "command": now["command"], **changed}
        self._provenance = {**first, "resumed": [*first.get("resumed", []), resume]}

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
        rollbacks = {"rollbacks": self.rollbacks} if self.rollbacks else {}
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
            "provenance": {**self._provenance, **rollbacks, "finished_at": _now()},
        }
        write_json(self.path / "results.json", self.results)
        self._lock.release()
        return self.results


def provenance() -> dict[str, Any]:
    """Return what made a run: versions, git revision, command line, hardware and the time, as JSON-able values."""
    return {
        "protocol_version": PROTOCOL_VERSION,
        "started_at": _now(),
        "host": socket.gethostname(),
        "command": shlex.join(["python", *sys.argv]),
        "revision": _revision(),
        "versions": {
            "python": platform.python_version(),
            **{package: importlib.metadata.version(package) for package in _PACKAGES},
        },
        "hardware": {
            "platform": platform.platform(),
            "processor": _processor(),
            "cpus": num_cpus(),
            "threads": {  # 0: as many as TensorFlow likes
                "inter_op": tf.config.threading.get_inter_op_parallelism_threads(),
                "intra_op": tf.config.threading.get_intra_op_parallelism_threads(),
            },
            "devices": [device.name for device in tf.config.list_logical_devices()],
        },
    }


def num_cpus() -> int:
    """Return how many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


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
