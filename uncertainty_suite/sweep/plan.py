"""Which runs a sweep has. All of their configurations are made and checked before the first one begins."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from uncertainty_suite import configuration, datasets, launch, shipped
from uncertainty_suite.configuration import Section
from uncertainty_suite.errors import InputError
from uncertainty_suite.leaderboard.records import safe
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.training.run import check, check_data

MOST_RUNS = 100_000  # of a sweep: more are a slip of the hand
_OPENING, _CLOSING, _QUOTES = "([{", ")]}", "'\""
# Fields that tell the runs of an experiment apart, and the flags that give them.
_REPLICATES = {"seed": "--seeds", "dataset.fold": "--folds"}


@dataclasses.dataclass(frozen=True)
class Method:
    """A script.

    Attributes:
        name: Its file name, without the ending.
        path: Where it lies.
        section: Its hyper-parameters, where it has some.
    """

    name: str
    path: Path
    section: Section | None


@dataclasses.dataclass(frozen=True)
class Planned:
    """A run that a sweep has.

    Attributes:
        name: For people: `digits/sngp/seed0`.
        folder: The run folder.
        script: The script.
        config_file: The configuration file, with its variant.
        config: The complete configuration, as JSON has it.
        data_dir: Folder of prepared data sets.
        tuned: See `training.Options.tuned`.
        command: The command of the sweep.
    """

    name: str
    folder: Path
    script: Path
    config_file: str
    config: dict[str, Any]
    data_dir: str | None = None
    tuned: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    command: str = ""

    @property
    def log(self) -> Path:
        """The file of what the run prints, beside its folder."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def results(self) -> dict[str, Any] | None:
        """What the run has ended with, or None where it has not."""
        if not (self.folder / "results.json").exists():
            return None
        run = RunFolder(self.folder)
        return run.results if run.config == self.config else None

    def check_folder(self) -> None:
        """Refuse a folder that holds another training, or results of data that have changed since.

        Raises:
            InputError: It does, and the message says how they differ.
        """
        if not (self.folder / "config.json").exists():
            return
        found = configuration.read(self.folder)
        if configuration.trained_id(found) != configuration.trained_id(self.config):
            raise InputError(
                f"{self.folder} holds a run of another configuration "
                f"({'; '.join(configuration.differences(found, self.config))}). Choose another --output_dir."
            )
        if self.results is not None:
            check_data(self.results.get("data_fingerprint", {}), self.config["dataset"], self.folder, self.data_dir)


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the runs of a sweep lie, and what all of them share.

    Attributes:
        output_dir: The folder of all.
        data_dir: Folder of prepared data sets.
        command: The command of the sweep.
    """

    output_dir: Path
    data_dir: str | None = None
    command: str = ""

    def run(
        self, name: str, file: str, method: Method, overrides: Mapping[str, Any], tuned: Mapping[str, Any]
    ) -> Planned:
        """Return a run, whose configuration is checked.

        Args:
            name: Its folder below that of all runs; its end, the replicate, is left out.
            file: The configuration file, with its variant.
            method: The script.
            overrides: Values of fields, as on a command line.
            tuned: What a search has chosen; see `configuration.read_tuned`.

        Raises:
            InputError: The configuration is not allowed; the message begins with the run.
        """
        given = [f"--config.{field}={value}" for field, value in overrides.items()]
        chosen = configuration.with_tuples({field: said["chosen"] for field, said in tuned.items()})
        try:
            config = launch.get_config(file, method.section, method.name, given, chosen)
            config, _ = check(config, method.name, method.section, self.data_dir)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        saved = configuration.to_json(config)
        name = f"{name}/{configuration.replicate_name(saved)}"
        folder = Path(os.path.abspath(self.output_dir)) / name
        return Planned(name, folder, method.path, file, saved, self.data_dir, tuned, self.command)


def get_methods(names: Sequence[str]) -> list[Method]:
    """Return scripts by their names in `baselines/`, or by their paths.

    Raises:
        InputError: There is no such script, it cannot be imported or is none, or two have one name.
    """
    methods: dict[str, Method] = {}
    for name in names:
        path = Path(name).expanduser()
        if path.suffix != ".py" and path.name == name:
            path = shipped.script(name)
        if path.stem in methods:
            raise InputError(
                f"Two methods are named '{path.stem}': {methods[path.stem].path} and {path}. Rename one of "
                "them, or give it once."
            )
        script = configuration.load_module(path)
        if not callable(getattr(script, "main", None)):
            raise InputError(f"{path} has no function main(config, options), so it is no script of a method.")
        section = getattr(script, "CONFIG", None)
        methods[path.stem] = Method(path.stem, path.absolute(), section if isinstance(section, Section) else None)
    return list(methods.values())


def get_tasks(files: Sequence[str]) -> dict[str, str]:
    """Return configuration files, with their variants, by the name of the task's folder: `uci_yacht`.

    Args:
        files: As `shipped.config_file` takes them: `configs/uci.py:yacht`, or `uci:yacht`.

    Raises:
        InputError: There is no such task, or two have one name.
    """
    tasks: dict[str, str] = {}
    for file in map(shipped.config_file, files):
        path, colon, variant = file.partition(":")
        name = safe(f"{Path(path).stem}_{variant}" if variant else Path(path).stem)
        if name in tasks:
            raise InputError(f"Two tasks are named '{name}': {tasks[name]} and {file}. Give each once.")
        tasks[name] = f"{os.path.abspath(path)}{colon}{variant}"
    return tasks


def get_numbers(texts: Sequence[str], flag: str) -> list[int]:
    """Return the numbers that texts such as `0:5` (0 to 4) and `7` name, each once.

    Raises:
        InputError: A text is neither, or names no number.
    """
    numbers: list[int] = []
    for text in texts:
        found: Sequence[int]
        first, colon, end = text.partition(":")
        try:
            found = range(int(first or 0), int(end)) if colon else [int(text)]
        except ValueError:
            found = ()
        if not found or found[0] < 0:
            raise InputError(f"{flag} takes numbers such as 0, 1 and 7, or 0:5 for 0 to 4; received '{text}'.")
        if len(numbers) + len(found) > MOST_RUNS:
            raise InputError(f"{flag} names more than {MOST_RUNS:,} numbers. Make several sweeps of it.")
        numbers += found
    return list(dict.fromkeys(numbers))


def get_settings(texts: Sequence[str]) -> list[dict[str, str]]:
    """Return every combination of the values that texts such as `model.num_hidden=64,128` give to fields.

    Raises:
        InputError: A text is not written so, or gives a field that has a flag of its own, or a field twice.
    """
    values: dict[str, list[str]] = {}
    for text in texts:
        field, equals, rest = text.partition("=")
        field = field.removeprefix("--").removeprefix("config.")
        if not equals or not field or not rest:
            raise InputError(f"--set takes field=value, or field=value,value for several; received '{text}'.")
        if field in _REPLICATES:
            raise InputError(f"--set {field}: give {_REPLICATES[field]} instead.")
        if field in values:
            raise InputError(f"--set gives {field} twice. Write --set {field}=value,value for several values.")
        values[field] = list(dict.fromkeys(_split(rest)))
    return [dict(zip(values, combination)) for combination in itertools.product(*values.values())]


def _split(text: str) -> Iterator[str]:
    """Split at commas that stand in no brackets and no quotes."""
    part, depth, quote = "", 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in _QUOTES:
            quote = letter
        elif letter in _OPENING:
            depth += 1
        elif letter in _CLOSING:
            depth -= 1
        if letter == "," and not depth and not quote:
            yield part
            part = ""
        else:
            part += letter
    yield part


def settings_of(method: Method, methods: Sequence[Method], settings: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return the settings of one method: without hyper-parameters of the other scripts, and each once."""
    own_section = {method.section.name} if method.section else set()
    others = {other.section.name for other in methods if other.section} - own_section
    own = [{field: text for field, text in each.items() if field.partition(".")[0] not in others} for each in settings]
    return [each for i, each in enumerate(own) if each not in own[:i]]


def replicates(file: str, method: Method, seeds: Sequence[int], folds: Sequence[int]) -> list[dict[str, int]]:
    """Return the folds and seeds of a task, as values of fields; without any the configuration's own.

    Args:
        file: The configuration file.
        method: The script.
        seeds: The seeds.
        folds: Of a data set with folds; those that it does not have are left out.

    Raises:
        InputError: It has none of the folds.
    """
    of_seeds = [{"seed": seed} for seed in seeds] or [{}]
    dataset = launch.get_config(file, method.section, method.name).dataset
    if not folds or "fold" not in dataset:
        return of_seeds
    number = datasets.folds(dataset.name)
    there = [{"dataset.fold": fold} for fold in folds if fold < number]
    if not there:
        raise InputError(f"--folds: data set '{dataset.name}' has the folds 0 to {number - 1}.")
    return [{**fold, **seed} for fold in there for seed in of_seeds]


def plan(
    tasks: Mapping[str, str],
    methods: Sequence[Method],
    settings: Sequence[dict[str, str]],
    seeds: Sequence[int],
    folds: Sequence[int],
    place: Place,
    tuned: Mapping[tuple[str, str], Mapping[str, Any]] | None = None,
    level: str = "",
) -> list[Planned]:
    """Return all runs, in the order of tasks, methods, settings, folds and seeds.

    Their folders are `<output_dir>/<task>/<method>/<replicate>`, with that of the setting before the last one where a
    method has several.

    Args:
        tasks: See `get_tasks`.
        methods: The scripts.
        settings: See `get_settings`.
        seeds: The seeds.
        folds: The folds.
        place: Where they lie.
        tuned: What a search has chosen, by task and method; by default what the task's `configuration.tuned_path`
            holds.
        level: A further folder before the last one.

    Raises:
        InputError: A configuration is not allowed.
    """
    runs = []
    for (task, file), method in itertools.product(tasks.items(), methods):
        of_method = settings_of(method, methods, settings)
        if tuned is None:
            chosen: Mapping[str, Any] = configuration.read_tuned(configuration.tuned_path(file), method.name)
        else:
            chosen = tuned[task, method.name]
        for setting in of_method:
            parts = [f"{field}_{text}" for field, text in setting.items() if _varies(field, of_method)]
            name = "/".join(filter(None, [task, method.name, safe("-".join(parts)), level]))
            for replicate in replicates(file, method, seeds, folds):
                runs.append(place.run(name, file, method, {**setting, **replicate}, chosen))
    return runs


def check_folders(runs: Sequence[Planned]) -> None:
    """Refuse runs that share a folder, and folders that hold another training.

    Raises:
        InputError: There are such.
    """
    names = [run.name for run in runs]
    for run in runs:
        if names.count(run.name) > 1:
            raise InputError(f"Two runs have the folder {run.folder}: their settings differ in signs alone.")
        run.check_folder()


def _varies(field: str, settings: Sequence[Mapping[str, str]]) -> bool:
    return len({each.get(field) for each in settings}) > 1
