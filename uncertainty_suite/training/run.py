"""One run of a script: its folder, its data, its devices, and its results."""

from __future__ import annotations

import contextlib
import datetime
import functools
import importlib.metadata
import math
import os
import platform
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import logging
from ml_collections import ConfigDict

from uncertainty_suite import configuration, datasets, keras, likelihoods, ood_scores, tf
from uncertainty_suite.configuration import Section
from uncertainty_suite.errors import DivergedError, InputError
from uncertainty_suite.files import check_folder, remove_partial, write_json
from uncertainty_suite.runs import PROTOCOL_VERSION, SCHEMA_VERSION, RunFolder
from uncertainty_suite.tasks import Split, Task, plan
from uncertainty_suite.training import lock, precision, schema
from uncertainty_suite.training.options import Options
from uncertainty_suite.training.strategy import check_batch_size, gather, get_strategy, is_chief, is_cluster

if TYPE_CHECKING:
    from uncertainty_suite.predictions import Predictions
    from uncertainty_suite.training.loop import Loop

_PACKAGES = ("keras", "ml_collections", "numpy", "scikit-learn", "scipy", "tensorflow", "tensorflow-datasets")
# What is said of a run that is finished already.
_RESULTS = ("method", "task", "seed", "likelihood", "in_distribution", "left_out", "tuned", "data_fingerprint")
_MOST_NUMBERS = 2**30  # of the inputs of one call of predict: 4 GB
# How the names of environment variables begin that may change bits; and of those among them that do not: of what is
# printed, who the other processes are, what scikit-learn sets itself, and what Terraform reads, secrets among it.
_BITS = (
    *("TF_", "XLA_", "OMP_", "KMP_", "MKL_", "GOMP_", "ONEDNN_", "DNNL_", "OPENBLAS_", "BLIS_", "GOTO_", "NPY_"),
    *("CUDA_", "CUBLAS_", "CUDNN_", "NVIDIA_TF32_", "NCCL_", "ROCM_", "TPU_", "GLIBC_TUNABLES", "LD_PRELOAD"),
)
_NO_BITS = (
    *("TF_CPP_", "TF_CONFIG", "KMP_INIT_AT_FORK", "KMP_DUPLICATE_LIB_OK", "TPU_ML_PLATFORM"),
    *("TF_VAR_", "TF_CLI_", "TF_TOKEN_", "TF_CLOUD_", "TF_HTTP_", "TF_ENCRYPTION", "TF_LOG"),
)


class Restored(Exception):
    """A training is finished and is not evaluated, as `Options.restore_only` or `Options.train_only` asks for.

    Attributes:
        predict: The script's predict function.
        run: Its run.
    """

    def __init__(self, predict: Callable[[Any], Predictions], run: Run) -> None:
        super().__init__(f"{run.path} is trained")
        self.predict = predict
        self.run = run


class Run:
    """A run of a script, and its folder: `runs.RunFolder` says what lies there.

    Until it is finished the process holds a lock on the folder, so that no other one writes into it. Of the processes
    of a cluster only the chief writes.

    Attributes:
        config: The configuration, complete and locked.
        saved_config: The same as plain values, as `config.json` holds it.
        options: Settings that change no result.
        folder: The reader of its folder.
        path: The folder.
        trained_id: What ties checkpoints to their run.
        results: What an earlier process wrote into `results.json`, or None if the run is not finished.
        rollbacks: Those of its trainings, which `results.json` will hold as a part of its provenance, if there are any.
        models: Those that were trained, in the order in which their loops were made.
        tuned: What was chosen on the validation split, by field; see `evaluation.tune` and `Options.tuned`.
    """

    def __init__(
        self,
        config: ConfigDict,
        script: str | Path,
        options: Options | None = None,
        section: Section | None = None,
        shared: bool = False,
    ) -> None:
        """Check the configuration, and open or make the folder.

        Args:
            config: What to run: a task's configuration, with or without the method's section.
            script: The script's `__file__`, which names the method unless `config.method` does.
            options: Settings that change no result.
            section: The script's hyper-parameters, where it has some.
            shared: This process trains a part of the run only, e.g. members of an ensemble, while other processes may
                train other parts.

        Raises:
            InputError: A value of the configuration is not allowed, or data that evaluation will need cannot be had. Or
                the folder is in use by another process, belongs to another configuration or protocol, holds something
                else, is damaged or cannot be written.
        """
        self.options = options or Options()
        self._script = Path(script)
        self.config, self._splits = check(config, self._script.stem, section, self.options.data_dir)
        self.saved_config = configuration.to_json(self.config)
        self.trained_id = configuration.trained_id(self.saved_config)
        self.path = Path(self.options.output_dir or self._default_path())
        self.folder = RunFolder(self.path)
        self.rollbacks: list[dict[str, Any]] = []
        self.models: list[keras.Model] = []
        values = configuration.flatten(self.saved_config)
        self.tuned: dict[str, dict[str, Any]] = {
            field: dict(said)
            for field, said in self.options.tuned.items()
            if field in values and values[field] == said.get("chosen")
        }
        self.results: dict[str, Any] | None = None
        self._provenance: dict[str, Any] | None = None
        self._fingerprints: dict[str, str] = {}
        self._evaluation_data: list[datasets.Dataset] = []
        try:
            self._read_folder()
            # A run that is finished is locked only where it was killed before it let go.
            if self.results is None or self.options.restore_only or (self.path / lock.NAME).exists():
                check_batch_size(self.config.batch_size, self.strategy)
                precision.check_devices(self.config.precision, self.strategy.num_replicas_in_sync)
                if self.options.trained is not None:
                    self._check_trained(section)
                if self.options.deterministic_ops:
                    tf.config.experimental.enable_op_determinism()
                self._open(shared)
            elif self.results is not None:
                check_data(self.results["data_fingerprint"], self.config.dataset, self.path, self.options.data_dir)
            if self.results is None and not self.options.restore_only and self.chief:
                precision.warn_if_slow(self.config.precision)
        except OSError as error:
            raise InputError(
                f"Cannot use {self.path} as a run folder ({error}). Choose another --output_dir."
            ) from error
        if self.results is not None and not self.options.restore_only:
            logging.info("%s is finished already; its results are returned as they are.", self.path)

    @functools.cached_property
    def strategy(self) -> tf.distribute.Strategy:
        """Where it is trained. A run that is finished has no use for it, and so none for TensorFlow."""
        given = self.options.strategy
        return get_strategy(given) if isinstance(given, str) else given

    @functools.cached_property
    def chief(self) -> bool:
        """Whether this process writes."""
        return is_chief(self.strategy)

    @functools.cached_property
    def task(self) -> Task:
        """The task; for a Gaussian likelihood the training targets are read."""
        data = self._data("train")
        parameters = (
            {"num_classes": data.num_classes, **self.saved_config.get("loss", {})}
            if data.likelihood == "categorical"
            else {"mean": data.target_mean, "stddev": data.target_stddev}
        )
        likelihood = likelihoods.get(data.likelihood, **parameters)
        name, inside = self.config.dataset.name, self.config.evaluation.in_distribution
        return Task(name, likelihood, self._splits, inside)

    @contextlib.contextmanager
    def scope(self, seed: int | None = None) -> Iterator[None]:
        """Make a model and its optimizer within this: on the right devices, from the seed, in the right precision.

        Args:
            seed: Decides the initial weights and all that is random in training; `config.seed` if None.
        """
        with self.strategy.scope():
            keras.utils.set_random_seed(self.config.seed if seed is None else seed)
            keras.config.set_dtype_policy(self.config.precision)
            yield

    def get_data(self, split: Split | str, seed: int | None = None) -> datasets.Dataset:
        """Return the data of a split, and note its fingerprint for the results.

        Args:
            split: A split of the task; or the name of a split of its data set, `train`.
            seed: Decides the order of training examples and their augmentation; `config.seed` if None.
        """
        data = self._data(split, seed)
        key = split if isinstance(split, str) else split.key
        if key != "fit":  # they are training examples
            self._fingerprints[key] = data.fingerprint()
        return data

    def _data(self, split: Split | str, seed: int | None = None) -> datasets.Dataset:
        data = data_of(self.config.dataset, split, self.options.data_dir)
        return data.seeded(self.config.seed if seed is None else seed)

    @property
    def input_shape(self) -> Any:
        """Shape of one example, as a network receives it; a tree of shapes where there are several inputs."""
        return self._data("train").input_shape

    def _check_trained(self, section: Section | None) -> None:
        """Refuse a run of `Options.trained` that is not finished, or whose training is not this one's."""
        trained = RunFolder(self.options.trained or "")
        of = section.trains_as if section else ""
        if not of:
            raise InputError(
                f"--trained is for methods that come after the training of another one, and '{self.config.method}' "
                "trains a network of its own. Leave it out."
            )
        script = Path(str((trained.provenance or {}).get("script", ""))).stem
        if script != of or trained.results is None:
            raise InputError(f"--trained={trained.path} is no finished run of {of}.py.")
        own = ("evaluation", "method", section.name if section else "")
        mine, theirs = (
            {name: value for name, value in config.items() if name not in own}
            for config in (self.saved_config, trained.config)
        )
        if mine != theirs:
            raise InputError(
                f"--trained={trained.path} is a network of another configuration "
                f"({'; '.join(configuration.differences(theirs, mine))}). Give this run the same settings."
            )
        if trained.results["data_fingerprint"]["train"] != self._data("train").fingerprint():
            raise InputError(f"--trained={trained.path} is of other training data. Leave it out.")

    def _default_path(self) -> Path:
        without_seed = {**self.saved_config, "evaluation": None}
        experiment = f"{self.config.method}-{configuration.config_hash(without_seed)[:8]}"
        return Path("runs", self.config.dataset.name, experiment, configuration.replicate_name(self.saved_config))

    def _read_evaluation_data(self) -> None:
        """Read what evaluation needs hours later, so that what is missing or damaged is known now, and keep it.

        Training and validation data are left out, being the script's first need.
        """
        read: dict[str, datasets.Dataset] = {}
        for split in self._splits:
            if split.name not in ("train", "validation") and split.source not in read:
                data = read[split.source] = self._data(Split(split.key, split.role, split.source))
                _ = data.num_examples  # reads it
                if split.labelled and data.likelihood == "categorical" and data.labels.min() < 0:
                    field = "shifts" if split.key.startswith("shift/") else "splits"
                    raise InputError(
                        f"config.evaluation.{field} has '{split.key.removeprefix('shift/')}', whose examples have no "
                        "labels to measure by. Name it in config.evaluation.predict_only or ood_far."
                    )
        self._evaluation_data = list(read.values())
        numbers = self.config.evaluation.batch_size * _size(self.input_shape)
        if numbers > _MOST_NUMBERS:
            raise InputError(
                f"config.evaluation.batch_size is {self.config.evaluation.batch_size:,} examples at once, which have "
                f"{numbers:,} numbers, of at most {_MOST_NUMBERS:,}. Make it smaller."
            )
        _ = self.task  # which for a Gaussian likelihood reads the training targets
        if _fits_scores(self.config):
            schema.check_fit_examples(self.saved_config["evaluation"], self._data("train").num_examples)

    def _open(self, shared: bool) -> None:
        if self.options.restore_only:
            check_folder(self.path)
            if self._provenance is None:
                raise InputError(f"{self.path} holds no run that could be restored.")
            check_data(self._trained_on(), self.config.dataset, self.path, self.options.data_dir)
            self.results = None  # or the script would return them, and hand over no predict function
            return
        if self.results is None and not self.options.train_only:
            self._read_evaluation_data()
        if not self.chief:
            return
        data = self._data("train")
        data.check_batch_size(self.config.batch_size)
        training_data = data.fingerprint()
        self._lock = lock.hold(self.path, shared)
        self._read_folder()  # again, now that nobody else changes it
        if self.results is not None:
            self._lock.release()
            return
        if self._trained_on().get("train", training_data) != training_data:
            raise _other_data(self.path, self.config.dataset["name"], "train")
        if not self._lock.shared:
            remove_partial(self.path)
        for name, content in (("config.json", self.saved_config), ("task.json", self.task.to_json())):
            if not (self.path / name).exists() or self.folder.read(name) != content:
                write_json(self.path / name, content)
        self.folder = RunFolder(self.path)
        if self._provenance is None:
            self._provenance = {**self._new_provenance(), "training_data": training_data}
        elif not self._lock.shared:  # those who share the folder would overwrite what the others note
            self._note_resume()
        else:
            return
        write_json(self.path / "provenance.json", self._provenance)

    def _trained_on(self) -> dict[str, str]:
        """Return the fingerprint of the training data that the folder's network is trained on, where it says so."""
        digest = (self._provenance or {}).get("training_data")
        return {"train": digest} if digest else {}

    def _has_begun(self) -> bool:
        """Return whether the folder holds more than what is written before the first step."""
        return any(
            path.name not in ("config.json", "task.json", "provenance.json") and not path.name.startswith(".")
            for path in self.path.iterdir()
        )

    def _read_folder(self) -> None:
        """Read `provenance.json` and `results.json`, and refuse a folder that is not this run's."""
        self.folder = RunFolder(self.path)
        self.results = self._provenance = None
        if (self.path / "config.json").exists():
            found = self.folder.config
            if configuration.trained_id(found) != self.trained_id:
                if not self._has_begun():
                    return
                raise InputError(
                    f"{self.path} belongs to a run of another configuration "
                    f"({'; '.join(configuration.differences(found, self.saved_config))}). Choose another --output_dir, "
                    "or the same configuration to go on with that run."
                )
        elif self.path.exists():
            foreign = [path.name for path in self.path.iterdir() if not path.name.startswith(".")]
            if foreign:
                raise InputError(
                    f"{self.path} is not empty and no run folder (it has no config.json). Choose another --output_dir."
                )
        if not (self.path / "config.json").exists():
            return
        self._provenance = self.folder.provenance
        results = self.folder.results
        for content in (self._provenance, results):
            if content is not None and content["protocol_version"] != PROTOCOL_VERSION:
                raise InputError(
                    f"{self.path} belongs to a run of another protocol (protocol_version: "
                    f"{content['protocol_version']} -> {PROTOCOL_VERSION}), whose results cannot be compared. Choose "
                    "another --output_dir."
                )
        if results is not None and results["config"] == self.saved_config:
            lacking = [field for field in _RESULTS if field not in results] or (
                [] if "name" in results["likelihood"] else ["likelihood.name"]
            )
            if lacking:
                raise InputError(
                    f"{self.path / 'results.json'} is damaged (it has no {lacking[0]}). Delete that file and give the "
                    "same command again: the rest of the run is kept."
                )
            self.results = results

    def _new_provenance(self) -> dict[str, Any]:
        config_file = {"config_file": self.options.config_file} if self.options.config_file else {}
        return {**self._conditions(), "script": str(self._script.resolve()), **config_file}

    def _conditions(self) -> dict[str, Any]:
        command = {"command": self.options.command} if self.options.command else {}
        strategy = {"name": type(self.strategy).__name__, "replicas": self.strategy.num_replicas_in_sync}
        return {**provenance(), **command, "strategy": strategy}

    def _note_resume(self) -> None:
        first, now = self._provenance or {}, self._conditions()
        first = {"environment": {}, **first}  # runs of before did not say
        same = ("revision", "versions", "hardware", "strategy", "environment")
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

    def hand_over(self, predict: Callable[[Any], Predictions]) -> None:
        """Give the predict function to whoever asked for it by `restore_only` or `train_only`; else do nothing.

        Raises:
            Restored: Somebody did; the script is not to go on.
        """
        if self.options.train_only and self.chief:
            self._lock.release()
        if self.options.restore_only or self.options.train_only:
            raise Restored(predict, self)

    def finish(
        self,
        evaluated: tuple[dict[str, float], dict[str, str], dict[str, Any]] | None,
        models: keras.Model | Sequence[keras.Model],
        loops: Loop | Sequence[Loop],
    ) -> dict[str, Any]:
        """Write `results.json`, the last file of a run, and return what it holds.

        Args:
            evaluated: What `evaluation.evaluate` returned.
            models: All that predicts; its weights, trained or not, are the number of parameters.
            loops: Its training, or trainings, whose seconds are added up over all the processes that they took, and
                whose FLOPs are.

        Raises:
            DivergedError: A metric is not finite.
        """
        if not self.chief or evaluated is None:
            return self._wait_for_results()
        models = [models] if isinstance(models, keras.Model) else list(models)
        loops = list(loops) if isinstance(loops, Sequence) else [loops]
        metrics, left_out, tuned = evaluated
        metrics = {
            **metrics,
            "num_parameters": sum(model.count_params() for model in models),
            "train_seconds": sum(loop.seconds for loop in loops),
        }
        flops = [loop.flops for loop in loops if loop.flops is not None]
        if len(flops) == len(loops):
            metrics["train_flops"] = sum(flops)
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise DivergedError(f"The metric {name} is {value}, so {self.path}/results.json is not written.")
        rollbacks = {"rollbacks": self.rollbacks} if self.rollbacks else {}
        task = self.task.to_json()
        self.results = {
            "schema_version": SCHEMA_VERSION,
            "protocol_version": PROTOCOL_VERSION,
            "task": task["name"],
            "likelihood": task["likelihood"],
            "splits": task["splits"],
            "in_distribution": task["in_distribution"],
            "method": self.config.method,
            "model": self.config.model.name,
            "seed": self.config.seed,
            "config": self.saved_config,
            "config_hash": configuration.config_hash(self.saved_config),
            "batch_size_global": self.config.batch_size,
            "data_fingerprint": self._fingerprints,
            "metrics": {name: float(value) for name, value in metrics.items()},
            "left_out": left_out,
            "tuned": {**self.tuned, **tuned},
            "provenance": {**(self._provenance or {}), **rollbacks, "finished_at": _now()},
        }
        write_json(self.path / "results.json", self.results)
        logging.info("All of this run is in %s.", self.path)
        self._lock.release()
        if is_cluster(self.strategy):
            gather([0], self.strategy)
        return self.results

    def _wait_for_results(self) -> dict[str, Any]:
        """Return what the chief writes, once it has: leaving before would end the cluster that it still needs."""
        gather([0], self.strategy)  # which notices if the chief is gone
        while True:  # a network file system may take a moment
            results = RunFolder(self.path).results
            if results is not None and results["config"] == self.saved_config:
                return results
            time.sleep(0.5)


def check(
    config: ConfigDict, method: str, section: Section | None = None, data_dir: str | Path | None = None
) -> tuple[ConfigDict, tuple[Split, ...]]:
    """Return a configuration as a run takes it, complete and checked, and the splits that its evaluation predicts.

    No data are read and TensorFlow is not imported, so that many runs can be checked before the first one begins.

    Args:
        config: A task's configuration, with or without the method's section.
        method: The script's file name, without its ending; the method's name unless `config.method` gives one.
        section: The script's hyper-parameters, where it has some.
        data_dir: Folder of prepared data sets.

    Raises:
        InputError: A value is not allowed, or a name or split is unknown.
    """
    config = schema.complete(config, section, method)
    with config.unlocked():
        config.method = config.method or method
    saved = configuration.to_json(config)
    schema.validate(saved, section)
    configuration.check_name("config.method", saved["method"])
    splits = plan(saved, _fits_scores(config))
    schema.check_vocabulary(saved, data_of(config.dataset, "train", data_dir).source.form)
    for split in splits:  # builders refuse unknown names and splits
        data_of(config.dataset, split, data_dir)
    return config, splits


def _size(shape: Any) -> int:
    """Return how many numbers an example has, of a shape or a tree of them."""
    if isinstance(shape, dict):
        return sum(map(_size, shape.values()))
    if any(isinstance(each, dict | tuple) for each in shape):
        return sum(map(_size, shape))
    return math.prod(shape)


def _fits_scores(config: ConfigDict) -> bool:
    return any(ood_scores.info(name).fit_needs for name in config.evaluation.ood_scores)


def data_of(
    config: Mapping[str, Any] | ConfigDict, split: Split | str, data_dir: str | Path | None = None
) -> datasets.Dataset:
    """Return the data of a split as a configuration has them; nothing is read.

    Args:
        config: The configuration's part `dataset`.
        split: A split of the task; or the name of a split of its data set.
        data_dir: Folder of prepared data sets.
    """
    name = config["name"]
    if isinstance(split, str):
        split = Split(split, split, f"{name}/{split}")
    if split.dataset != name:
        return datasets.get(split.dataset, split.name, data_dir).like(data_of(config, "train", data_dir))
    options = {option: config[option] for option in datasets.options(name)}
    data = datasets.get(name, split.name, data_dir, **options)
    data = data.holding_out(config["validation_percent"]).classes(config["classes"] or None)
    data = data.fraction(config["train_fraction"]).imbalanced(config["imbalance"])
    data = data.only(config.get("train_ids") or None)
    for kind in ("mixup", "cutmix"):
        if config.get(kind):
            data = data.mixed(kind, config[kind])
    if config.get("augmix"):
        data = data.augmixed(config["augmix"])
    if config.get("outliers"):
        source, _, part = config["outliers"].rpartition("/")
        data = data.with_outliers(datasets.get(source, part, data_dir).like(data))
    return data.with_label_noise(config["label_noise"]).corrupted(split.corruption or None, split.severity)


def check_data(
    fingerprints: Mapping[str, str],
    config: Mapping[str, Any] | ConfigDict,
    path: Path,
    data_dir: str | Path | None = None,
) -> None:
    """Refuse to go on with a run on data of the user's own that have changed since.

    Those of the suite are not read for that: they stay what they are.

    Args:
        fingerprints: Of the run's data, by split.
        config: The configuration's part `dataset`.
        path: The run folder.
        data_dir: Folder of prepared data sets.

    Raises:
        InputError: A split of the data set is another one, or is gone.
    """
    if not datasets.is_own(config["name"]):
        return
    for split, digest in fingerprints.items():
        if "/" in split:  # a corrupted split, or one of another data set
            continue
        if data_of(config, split, data_dir).fingerprint() != digest:
            raise _other_data(path, config["name"], split)


def _other_data(path: Path, name: str, split: str) -> InputError:
    return InputError(
        f"The data set '{name}' has changed (its split '{split}') since the run in {path} was made. Choose "
        "another --output_dir, or bring back the data."
    )


def provenance() -> dict[str, Any]:
    """Return what made a run: versions, git revision, command line, hardware and the time, as JSON-able values."""
    made = origin()
    made["hardware"] |= {
        "threads": {  # 0: as many as TensorFlow likes
            "inter_op": tf.config.threading.get_inter_op_parallelism_threads(),
            "intra_op": tf.config.threading.get_intra_op_parallelism_threads(),
        },
        "devices": [device.name for device in tf.config.list_logical_devices()],
    }
    made["environment"] = environment()
    return made


def environment() -> dict[str, str]:
    """Return the environment variables that may change bits: how TensorFlow and what computes for it shall do so."""
    return {
        name: value.encode(errors="backslashreplace").decode()
        for name, value in sorted(os.environ.items())
        if name.startswith(_BITS) and not name.startswith(_NO_BITS)
    }


def origin() -> dict[str, Any]:
    """Return the part of `provenance` that can be said without TensorFlow, for what is made without a training."""
    return {
        "protocol_version": PROTOCOL_VERSION,
        "started_at": _now(),
        "host": socket.gethostname(),
        # A name that is no Unicode cannot be written otherwise.
        "command": shlex.join(["python", *sys.argv]).encode(errors="backslashreplace").decode(),
        "revision": _revision(),
        "versions": {
            "python": platform.python_version(),
            **{package: importlib.metadata.version(package) for package in _PACKAGES},
        },
        "hardware": {
            "platform": platform.platform(),
            "processor": _processor(),
            "instructions": precision.instructions(),
            "cpus": num_cpus(),
        },
    }


def num_cpus() -> int:
    """Return how many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _revision() -> str | None:
    # Of the suite, wherever the script lies; None where it was installed without its repository.
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", __file__)  # or it is another repository, with an environment inside
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
