"""Configurations: their parameters, reading them from files, hashing and comparing them."""

import contextlib
import dataclasses
import hashlib
import importlib.util
import inspect
import json
import math
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from uncertainty_suite.errors import InputError, one_line, unknown_name
from uncertainty_suite.files import read_json

_DEEPEST = 20  # parts of a configuration within each other
REQUIRED: Any = object()  # the default of a parameter that has none


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One value of a configuration: its default, what it means, and which values are allowed.

    Attributes:
        default: Its value where nobody gives another one; it decides the type.
        meaning: What it is, in one line.
        at_least: The least value allowed, or None.
        above: A value that it must be above, or None.
        at_most: The greatest value allowed, or None.
        below: A value that it must be below, or None.
        choices: The values allowed, or none where the type alone decides.
        of: For a tuple, the type of what is in it.
        kind: The type, where there is no default.
        search: The values that a sweep with `--tune` tries: a range `(low, high, "log")` or `(low, high, "linear")`, or
            values to choose from. Without it, it is not searched.

    Example:
        >>> num_samples = Parameter(10, "forward passes of a prediction", at_least=1)
        >>> ridge_penalty = Parameter(1.0, "prior precision", above=0, search=(0.1, 10.0, "log"))
    """

    default: Any
    meaning: str
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    choices: tuple[Any, ...] = ()
    of: type = str
    kind: type | None = None
    search: tuple[Any, ...] = ()

    @property
    def type(self) -> type:
        """The type of its values; `float` takes integers too."""
        return self.kind or type(self.default)

    @property
    def range(self) -> str:
        """The values allowed, for people."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        kinds = {bool: "True or False", int: "an integer", float: "a number", str: "a text"}
        if self.type is tuple and self.of is str:
            return "a tuple of names, e.g. ('a',)"
        limits = {"of at least": self.at_least, "above": self.above, "of at most": self.at_most, "below": self.below}
        said = [f"{word} {limit}" for word, limit in limits.items() if limit is not None]
        if self.type is int and self.at_least is not None and self.at_most is not None:
            said = [f"from {self.at_least} to {self.at_most}"]
        if self.type is tuple:
            each = f" {' and '.join(said)}" if said else ""
            return f"a tuple of numbers{each}, e.g. (1,)"
        return " ".join([kinds[self.type], " and ".join(said)]).strip()

    def check(self, field: str, value: Any) -> None:
        """Refuse a value, as JSON has it, that is not allowed.

        Args:
            field: Its name, for the error.
            value: The value; a list for a tuple.

        Raises:
            InputError: The value is of another type or out of range.
        """
        if self.type is tuple:
            kinds = (int, float) if self.of is float else (self.of,)
            good = isinstance(value, list) and all(
                type(each) in kinds and (type(each) in (str, bool) or self._in_limits(each)) for each in value
            )
        else:
            kinds = (int, float) if self.type is float else (self.type,)
            good = type(value) in kinds and (type(value) in (str, bool) or self._in_limits(value))
        if good and self.choices and value not in self.choices:
            raise unknown_name(field, value, map(str, self.choices))
        if not good:
            raise InputError(f"{field} must be {self.range}, received {value!r}.")

    def _in_limits(self, value: float) -> bool:
        return (
            math.isfinite(value)
            and (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )


class Section:
    """The hyper-parameters of a method, which its script declares: its part of the configuration.

    Example:
        >>> CONFIG = Section("mc_dropout", num_samples=Parameter(50, "forward passes of a prediction", at_least=1))
        >>> CONFIG.name  # so they are config.mc_dropout.num_samples and so on
        'mc_dropout'
    """

    def __init__(
        self,
        name: str,
        samples: str = "",
        tuned: tuple[str, ...] = (),
        likelihoods: tuple[str, ...] = (),
        optimizers: tuple[str, ...] = (),
        own_loss: bool = False,
        trains_as: str = "",
        uncertainties: tuple[str, ...] = (),
        **parameters: Parameter,
    ) -> None:
        """Declare a section.

        Args:
            name: Its name in the configuration.
            samples: The parameter that says how many samples a prediction has; without it there is one.
            tuned: The parameters, tuples, of whose values `evaluation.tune` chooses one on the validation split.
            likelihoods: The likelihoods that the method is for, where it is not for all.
            optimizers: The optimizers that the method is for, where it is not for all, e.g. one that samples. The first
                of them takes the place of a task's that is none of them.
            own_loss: Whether the method has another loss than the likelihood's, so that options of that one, mixed
                labels and outliers are refused.
            trains_as: A script whose training is this one's to the bit, so that a finished run of it can be taken for
                the training; see `Options.trained`.
            uncertainties: Those of its own that `predict` gives, which the OOD score `variance` can be of.
            **parameters: The hyper-parameters.
        """
        self.name = name
        self.samples = samples
        self.tuned = tuned
        self.likelihoods = likelihoods
        self.optimizers = optimizers
        self.own_loss = own_loss
        self.trains_as = trains_as
        self.uncertainties = uncertainties
        self.parameters = parameters

    def help(self) -> str:
        """Return a line for each hyper-parameter: its default, range and meaning."""
        lines = [
            f"  --config.{self.name}.{name}={one.default}\n      {one.meaning}; {one.range}"
            for name, one in self.parameters.items()
        ]
        return "\n".join(["Hyper-parameters:", *lines])


def load(path: str | Path, *args: Any) -> ConfigDict:
    """Return what `get_config(*args)` of a configuration file returns.

    Args:
        path: A Python file with a function `get_config`.
        *args: Passed on, e.g. the name of a variant.

    Raises:
        InputError: There is no such file, it is no Python, it has no `get_config`, or that raises or returns something
            else; the message is one line, and names the line of the file.
    """
    if not Path(path).is_file():
        raise InputError(f"No configuration file {path}. The suite's own are configs/<task>.py.")
    module = load_module(path)
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise InputError(f"Configuration file {path} has no function get_config().")
    try:
        with contextlib.suppress(ValueError):  # some functions of Python itself have none
            inspect.signature(get_config).bind(*args)
    except TypeError as error:
        if args:
            raise InputError(
                f"{path}:{args[0]} names a variant, and get_config() of {path} takes none: leave ':{args[0]}' out."
            ) from error
        raise InputError(f"get_config() of {path} must be named with a variant, --config={path}:<variant>.") from error
    with _in_one_line(path):
        config = get_config(*args)
    if not isinstance(config, ConfigDict):
        raise InputError(f"get_config() of {path} must return a ConfigDict, and returns a {type(config).__name__}.")
    with _in_one_line(path):
        values = config.to_dict()
    _check_values(path, values)
    return config


@contextlib.contextmanager
def _in_one_line(path: str | Path) -> Iterator[None]:
    """Say of what a user's file raises where in that file it was, in one line."""
    try:
        yield
    except (InputError, KeyboardInterrupt):
        raise
    except SyntaxError as error:
        raise InputError(f"{error.filename or path}, line {error.lineno or 1}, is no Python: {error.msg}.") from error
    except BaseException as error:  # SystemExit too, and whatever the file has made itself
        frames = traceback.extract_tb(error.__traceback__)
        lines = [each.lineno for each in frames if each.filename == str(path)]
        where = f"{path}, line {lines[-1]}" if lines else str(path)
        said = ""
        with contextlib.suppress(Exception):  # its own text may go wrong, too
            said = " ".join(str(error).split())
        raise InputError(f"{where}: {type(error).__name__}: {said or 'no more is said'}.") from error


def _check_values(path: str | Path, value: Any, field: str = "", above: tuple[int, ...] = ()) -> None:
    """Refuse what has no place in a configuration: it could not be saved with the run."""
    named = f"{path}: its field {field or '(the whole)'}"
    if id(value) in above:
        raise InputError(f"{named} contains itself.")
    if len(above) > _DEEPEST:
        raise InputError(f"{named} is nested too deeply.")
    if isinstance(value, dict):
        for name, each in value.items():
            if not isinstance(name, str) or not name.isprintable():
                raise InputError(f"{named} has the name {name!r}, which is no printable text.")
            _check_values(path, each, f"{field}.{name}".removeprefix("."), (*above, id(value)))
    elif isinstance(value, list | tuple):
        for each in value:
            _check_values(path, each, field, (*above, id(value)))
    elif isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{named} is {value}, which is no finite number.")
    elif not isinstance(value, str | int | float | None):
        raise InputError(
            f"{named} is a {type(value).__name__}, and can be a text, a number, a truth value, or a tuple of these."
        )


def tuned_path(file: str | Path) -> Path:
    """Return where the values lie that a search has chosen for a task.

    Args:
        file: The configuration file, with `:<variant>` after it where it has variants.

    Example:
        >>> tuned_path("configs/uci.py:yacht")
        PosixPath('configs/tuned/uci_yacht.json')
    """
    path, _, variant = str(file).partition(":")
    name = f"{Path(path).stem}_{variant}" if variant else Path(path).stem
    return Path(path).parent / "tuned" / f"{name}.json"


def read_tuned(path: str | Path, method: str) -> dict[str, dict[str, Any]]:
    """Return what a search has chosen for a method, by field: `chosen`, and what was tried, by which criterion.

    Args:
        path: As `tuned_path` returns it; there need be no such file.
        method: The script's file name, without its ending.

    Raises:
        InputError: The file is damaged.
    """
    if not Path(path).exists():
        return {}
    try:
        fields = read_json(Path(path)).get(method, {}).get("tuned", {})
        if any("chosen" not in said for said in fields.values()):
            raise ValueError("a field of it has nothing chosen")
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path} cannot be read ({error}). Delete it, or tune again.") from error
    return fields


def load_module(path: str | Path) -> ModuleType:
    """Import a Python file by its path, a configuration or a training script, wherever it lies.

    Raises:
        InputError: There is no such file, or it raises something; the message names the line of it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    with _in_one_line(path):
        spec.loader.exec_module(module)
    return module


def to_json(config: ConfigDict) -> dict[str, Any]:
    """Return a configuration as plain dicts, lists and scalars, as it reads back from a JSON file."""
    return json.loads(json.dumps(config.to_dict(), sort_keys=True))


def from_json(config: dict[str, Any]) -> ConfigDict:
    """Return the configuration that `to_json` made plain."""
    return ConfigDict(with_tuples(config))


def with_tuples(value: Any) -> Any:
    """Return a value of JSON as a configuration has it: with tuples for lists."""
    if isinstance(value, dict):
        return {key: with_tuples(each) for key, each in value.items()}
    return tuple(map(with_tuples, value)) if isinstance(value, list) else value


def read(folder: str | Path) -> dict[str, Any]:
    """Return the configuration of a run, as `to_json` made it.

    Raises:
        InputError: The folder has no readable `config.json`.
    """
    path = Path(folder) / "config.json"
    try:
        return read_json(path, folder)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} is no run folder: its config.json cannot be read ({error}).") from error


def check_name(field: str, name: str) -> None:
    """Refuse a method's name that could not name a folder, or stand in a line of text.

    Args:
        field: What it is, for the error.
        name: The name.

    Raises:
        InputError: It is not allowed.
    """
    if not name.isprintable() or not 0 < len(name) <= 100 or set(name) & set("/\\") or name[0] in ".-":
        raise InputError(
            f"{field} must be a name of 1 to 100 printable characters, none of them / or \\, and the first neither . "
            f"nor -, received {name!r}."
        )


def config_hash(config: dict[str, Any]) -> str:
    """Return 16 hexadecimal digits that name an experiment: a configuration, whatever its seed and fold.

    Args:
        config: As `to_json` returns it.
    """
    without = {key: value for key, value in config.items() if key != "seed"}
    if isinstance(without.get("dataset"), dict):
        without["dataset"] = {key: value for key, value in without["dataset"].items() if key != "fold"}
    return _sha256(without)[:16]


def replicate(config: dict[str, Any]) -> tuple[int, int]:
    """Return what tells the runs of an experiment apart: the fold of the data, 0 where it has none, and the seed."""
    return config["dataset"].get("fold", 0), config["seed"]


def replicate_name(config: dict[str, Any]) -> str:
    """Return the name of a run's folder below that of its experiment: `seed0`, or `fold3-seed0`."""
    fold, seed = replicate(config)
    return f"fold{fold}-seed{seed}" if "fold" in config["dataset"] else f"seed{seed}"


def trained_id(config: dict[str, Any]) -> str:
    """Return what names a trained network: all of a configuration but how it is evaluated."""
    return _sha256({key: value for key, value in config.items() if key != "evaluation"})[:16]


def run_id(config: dict[str, Any]) -> str:
    """Return what names a trained network and how it is evaluated: the whole configuration."""
    return _sha256(config)[:16]


def _sha256(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested dict as one level of dotted names, e.g. `{"optimizer.learning_rate": 0.1}`."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return one `name: old -> new` for each field in which two configurations differ, in order of names."""
    old, new = flatten(old), flatten(new)
    absent = "absent"
    return [
        one_line(f"{name}: {old.get(name, absent)} -> {new.get(name, absent)}")
        for name in sorted(old.keys() | new.keys())
        if old.get(name, absent) != new.get(name, absent)
    ]
