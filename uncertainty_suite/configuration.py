"""Configurations: reading them from files, hashing and comparing them."""

import ast
import hashlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.files import read_json


def load(path: str | Path, *args: Any) -> ConfigDict:
    """Return what `get_config(*args)` of a configuration file returns.

    Args:
        path: A Python file with a function `get_config`.
        *args: Passed on, e.g. the name of a variant.

    Raises:
        InputError: There is no such file, it is no Python, it has no `get_config`, or that returns something else.
    """
    if not Path(path).is_file():
        raise InputError(f"No configuration file {path}. The suite's own lie in configs/<task>/<method>.py.")
    try:
        module = load_module(path)
    except SyntaxError as error:
        raise InputError(f"{error.filename}, line {error.lineno}, is no Python: {error.msg}.") from error
    if not hasattr(module, "get_config"):
        raise InputError(f"Configuration file {path} has no function get_config().")
    config = module.get_config(*args)
    if not isinstance(config, ConfigDict):
        raise InputError(f"get_config() of {path} must return a ConfigDict, and returns a {type(config).__name__}.")
    return config


def load_module(path: str | Path) -> ModuleType:
    """Import a Python file by its path, a configuration or a training script, wherever it lies.

    Raises:
        InputError: There is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def override(config: ConfigDict, assignment: str) -> None:
    """Set one value of a configuration, `field=value` with the field dotted as in `--config.<field>=<value>`.

    Raises:
        InputError: There is no such field, or the value is not of its type.
    """
    field, _, text = assignment.partition("=")
    fields = flatten(config.to_dict())
    if field not in fields:
        raise unknown_name("configuration field", field, fields)
    try:
        value = text if isinstance(fields[field], str) else type(fields[field])(ast.literal_eval(text))
    except (SyntaxError, TypeError, ValueError) as error:
        raise InputError(f"The value of {field} must be like {fields[field]!r}, and '{text}' is not.") from error
    config.update_from_flattened_dict({field: value})


def to_json(config: ConfigDict) -> dict[str, Any]:
    """Return a configuration as plain dicts, lists and scalars, as it reads back from a JSON file."""
    return json.loads(json.dumps(config.to_dict(), sort_keys=True))


def read(folder: str | Path) -> dict[str, Any]:
    """Return the configuration of a run, as `to_json` made it.

    Raises:
        InputError: The folder has no readable `config.json`.
    """
    path = Path(folder) / "config.json"
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} is no run folder: its config.json cannot be read ({error}).") from error


def config_hash(config: dict[str, Any]) -> str:
    """Return 16 hexadecimal digits that name a configuration, whatever its seed.

    Args:
        config: As `to_json` returns it.
    """
    without_seed = {key: value for key, value in config.items() if key != "seed"}
    return hashlib.sha256(json.dumps(without_seed, sort_keys=True).encode()).hexdigest()[:16]


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested dict as one level of dotted names, e.g. `{"optimizer.learning_rate": 0.1}`."""
    flat = {}
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
        f"{name}: {old.get(name, absent)} -> {new.get(name, absent)}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name, absent) != new.get(name, absent)
    ]
