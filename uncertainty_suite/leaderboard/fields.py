"""The fields of results and records: which there are, of which type and in which range.

What is not named here is neither read nor copied nor shown. A kind takes the name of a field, for the error, and its
value, and returns the value with its known fields alone.
"""

import math
import re
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from uncertainty_suite import likelihoods, registry, tasks
from uncertainty_suite.errors import InputError

Kind = Callable[[str, Any], Any]

_LONGEST = 100_000  # characters of a text: the command of an ensemble names all of its members
_MOST = 10_000  # values of a list, and names of an object
_DEEPEST = 10  # objects within each other
_LARGEST = 1e30  # of a number: squares of squares are still finite
_INTEGER = 2**63 - 1
# Of a data set: it names a folder, and stands in a marker of Markdown, which is an HTML comment.
_TASK = re.compile(r"\w[\w.+@=,()]*(?:[-/]\w[\w.+@=,()]*)*")
_FILES = ("readme.md", "index.html", "published.json")  # beside the folders of tasks


def printable(text: str) -> str:
    """Return a text that does nothing to a terminal or a page but to be read: all else is escaped, `\\x1b`."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def checked(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known fields of a `results.json` or a record.

    Raises:
        InputError: A field is missing, of another type or out of range.
    """
    return _RESULTS("", content)


def _must_be(field: str, expected: str, value: Any) -> InputError:
    return InputError(f"field {_shown(field)} must be {expected}, not {reprlib.repr(value)}")


def _shown(field: str) -> str:
    return field if "[" in field else repr(field)


def _inside(field: str, name: str) -> str:
    return f"{field}[{name!r:.80}]" if field else name


def text(field: str, value: Any) -> str:
    if not (type(value) is str and value and value.isprintable()):
        raise _must_be(field, "a printable text", value)
    if len(value) > _LONGEST:
        raise _must_be(field, f"a text of at most {_LONGEST} characters", value)
    return value


def _perhaps_empty(field: str, value: Any) -> str:
    return value if value == "" else _escaped(field, value)


def _escaped(field: str, value: Any) -> str:
    """A text of which all that cannot be printed is escaped, such as a line end in a command."""
    return text(field, printable(value) if type(value) is str else value)


def _task(field: str, value: Any) -> str:
    name(field, value)
    if not _TASK.fullmatch(value) or "--" in value or value.lower() in _FILES:
        raise _must_be(field, "a name like mnist or uci/yacht", value)
    return value


def name(field: str, value: Any) -> str:
    if len(text(field, value)) > 200:
        raise _must_be(field, "a name of at most 200 characters", value)
    return value


def _registered(field: str, value: Any) -> str:
    """What names a metric or the like, with its options."""
    try:
        registry.parse(name(field, value))
    except InputError as error:
        raise InputError(f"field {_shown(field)}: {error}") from error
    return value


def _flag(field: str, value: Any) -> bool:
    if type(value) is not bool:
        raise _must_be(field, "true or false", value)
    return value


def _hexadecimal(field: str, value: Any) -> str:
    if len(text(field, value)) != 64 or set(value) - set("0123456789abcdef"):
        raise _must_be(field, "64 hexadecimal digits", value)
    return value


def _integer(least: int = -_INTEGER, most: int = _INTEGER) -> Kind:
    def kind(field: str, value: Any) -> int:
        if type(value) is not int:  # and not `isinstance`: true and false are no integers
            raise _must_be(field, "an integer", value)
        if not least <= value <= most:
            limits = f"at least {least}" if value < least else f"at most {most}"
            raise _must_be(field, limits, value)
        return value

    return kind


def _number(field: str, value: Any) -> float:
    if not (type(value) in (int, float) and abs(value) <= _LARGEST):  # NaN is not
        finite = type(value) is int or (type(value) is float and math.isfinite(value))
        raise _must_be(field, f"a number up to {_LARGEST:g}" if finite else "a finite number", value)
    return float(value)


def _exact(field: str, value: Any) -> float:
    """A number as it was typed: an integer stays one."""
    return value if _number(field, value) == value else float(value)


def _maybe(kind: Kind) -> Kind:
    return lambda field, value: None if value is None else kind(field, value)


def _one_of(*values: str) -> Kind:
    def kind(field: str, value: Any) -> str:
        if value not in values:
            raise _must_be(field, f"one of {', '.join(values)}", value)
        return value

    return kind


def _list(kind: Kind, least: int = 0, most: int = _MOST) -> Kind:
    def of_list(field: str, value: Any) -> list[Any]:
        if type(value) is not list:
            raise _must_be(field, "a list", value)
        if not least <= len(value) <= most:
            raise InputError(f"field {_shown(field)} must have {least} to {most} values, not {len(value)}")
        each_of = f"{field}[]"
        return [kind(each_of, each) for each in value]

    return of_list


def _tuple(*kinds: Kind) -> Kind:
    def of_tuple(field: str, value: Any) -> list[Any]:
        if not (type(value) is list and len(value) == len(kinds)):
            raise _must_be(field, f"a list of {len(kinds)} values", value)
        return [kind(field, each) for kind, each in zip(kinds, value)]

    return of_tuple


def _object(field: str, value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise _must_be(field, "an object", value)
    return value


def _mapping(kind: Kind) -> Kind:
    """An object with any names."""

    def of_mapping(field: str, value: Any) -> dict[str, Any]:
        if len(_object(field, value)) > _MOST:
            raise InputError(f"field {_shown(field)} must have at most {_MOST} names, not {len(value)}")
        return {name(f"{field}[]", each): kind(_inside(field, each), value[each]) for each in value}

    return of_mapping


def _fields(required: Mapping[str, Kind], optional: Mapping[str, Kind] | None = None) -> Kind:
    """An object of which these fields are known; others are left out."""
    known = {**required, **(optional or {})}

    def of_fields(field: str, value: Any) -> dict[str, Any]:
        _object(field, value)
        lacking = [name for name in required if name not in value]
        if lacking:
            raise InputError(f"field {_shown(_inside(field, lacking[0]))} is missing")
        return {name: kind(_inside(field, name), value[name]) for name, kind in known.items() if name in value}

    return of_fields


def _plain(field: str, value: Any, depth: int = 0) -> Any:
    """What a configuration may hold."""
    if value is None or type(value) is bool or value == "":
        return value
    if type(value) is str:
        return text(field, value)
    if type(value) is int:
        return _integer()(field, value)
    if type(value) is float:
        if not math.isfinite(value):
            raise _must_be(field, "a finite number", value)
        return value
    if depth == _DEEPEST:
        raise InputError(f"field {_shown(field)} is nested too deeply")

    def below(name: str, each: Any) -> Any:
        return _plain(name, each, depth + 1)

    return _list(below)(field, value) if type(value) is list else _mapping(below)(field, value)


def _config(field: str, value: Any) -> dict[str, Any]:
    """A configuration whole, with what is derived from it."""
    config = _mapping(_plain)(field, value)
    _fields(
        {
            "method": name,
            "seed": _integer(0),
            "dataset": _fields({"name": _task}, {"fold": _integer(0, 1_000_000)}),
            "model": _fields({"name": name}),
        },
        {"batch_size": _integer(0), "evaluation": evaluation_of},
    )(field, config)
    return config


def _likelihood(field: str, value: Any) -> dict[str, Any]:
    found = _fields({"name": _one_of(*likelihoods.names())})(field, value)
    parameters = _mapping(_plain)(field, value)
    if len(parameters) > 1:  # those of before have the name alone
        del parameters["name"]
        try:
            found |= likelihoods.get(found["name"], **parameters).parameters
        except (TypeError, ValueError) as error:
            raise InputError(f"field {_shown(field)}: {error}") from error
    return found


def _curves(field: str, value: Any) -> dict[str, Any]:
    points = _list(_number, 1)
    kinds = {
        "reliability": _list(_tuple(_integer(0), _number, _number)),
        "risk_coverage": points,
        "failures": _mapping(points),
        "confidence": _mapping(points),
        "quantiles": _list(_tuple(_number, _number), 2),
    }
    return _fields({}, kinds)(field, value)


_NAMES = _list(text, most=100)
_EVALUATION = {
    "splits": _list(text, 1, 100),
    "in_distribution": text,
    **dict.fromkeys(("metrics", "ood_scores", "posthoc"), _list(_registered, most=1000)),
    **dict.fromkeys(("ood_near", "ood_far", "ood_validation", "predict_only", "corruptions"), _NAMES),
    "severities": _list(_integer(0, 100), most=10),
    "shift_examples": _integer(0),
    "ensemble_curve": _flag,
}
evaluation_of = _fields({}, {**_EVALUATION, "shifts": _NAMES})  # those of before have fewer
evaluation = _fields(_EVALUATION, {"shifts": _NAMES})

published = _fields({"task": _task, "method": name, "model": name, "source": text, "metrics": _mapping(_exact)})

decisions = _fields(
    {
        **dict.fromkeys(("decision", "budget"), name),
        "title": text,
        "budgets": _list(_number, 1),
        "references": _list(name, 1),
        "curves": _mapping(_mapping(_mapping(_list(_number, 1)))),  # by metric, way to decide, and seed
        "higher_is_better": _mapping(_flag),
        "made_by": _object,
    }
)

_DIGEST = _fields({"num_examples": _integer(1, 10**9), "sha256": _hexadecimal})
_SPLIT = _fields(
    {
        "key": name,
        "role": _one_of(*tasks.ROLES),
        "source": text,
        "corruption": _perhaps_empty,
        "severity": _integer(0, 100),
        "max_examples": _integer(0),
    }
)
_TUNED = _fields(
    {},
    {
        "values": _list(_plain),
        "chosen": _plain,
        "scores": _list(_maybe(_number)),
        "fitted": _mapping(_number),
        "range": _plain,
        "epochs": _list(_plain),
        **dict.fromkeys(("criterion", "split", "note"), text),
    },
)
_HARDWARE = _fields(
    {},
    {
        **dict.fromkeys(("platform", "processor"), _perhaps_empty),
        "cpus": _integer(0),
        "devices": _list(text),
        "threads": _mapping(_integer()),
    },
)
_CONDITIONS = {
    **dict.fromkeys(("started_at", "finished_at", "host"), text),
    "command": _escaped,
    "revision": _maybe(text),
    "versions": _mapping(text),
    "environment": _mapping(_perhaps_empty),
    "hardware": _HARDWARE,
    "strategy": _fields({}, {"name": text, "replicas": _integer(1)}),
}
provenance = _fields(
    {},
    {
        **_CONDITIONS,
        "protocol_version": _integer(),
        **dict.fromkeys(("script", "config_file"), _escaped),
        "training_data": text,
        "trained_here": _flag,
        "made_from": _mapping(_plain),
        "resumed": _list(_fields({}, _CONDITIONS)),
        "rollbacks": _list(_plain),
    },
)
_RESULTS = _fields(
    {
        "schema_version": _integer(),
        "protocol_version": _integer(),
        "task": _task,
        "method": name,
        "model": name,
        "seed": _integer(),
        "config": _config,
        "config_hash": text,
        "batch_size_global": _integer(0),
        "data_fingerprint": _mapping(text),
        "metrics": _mapping(_number),
        "provenance": provenance,
    },
    {
        "likelihood": _likelihood,
        "splits": _list(_SPLIT, most=1000),
        "in_distribution": text,
        "left_out": _mapping(text),
        "tuned": _mapping(_TUNED),
        "examples": _mapping(_DIGEST),
        "scores": _fields({"split": text, "num_examples": _integer(1, 10**9), "sha256": _hexadecimal}),
        "curves": _curves,
        "record_sha256": _hexadecimal,
    },
)
