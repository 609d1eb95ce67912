"""Things known by name, each with its options: metrics, OOD scores, calibrations, architectures, data sets, optimizers.

A text names one, with options where it should not have the usual ones: `"ece"` or `"ece(num_bins=10)"`.
"""

import ast
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from uncertainty_suite.errors import InputError, unknown_name

Entry = TypeVar("Entry", bound=Callable[..., Any])

_signature = functools.cache(inspect.signature)  # which takes longer than most of what is made

_LONGEST = 1000  # characters of a name with options
_LARGEST = 1_000_000  # of an option such as a number of bins, which takes memory and time
_NO_OPTION = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Named:
    """Something that keeps the text by which a registry made it; its results stand under that text.

    Attributes:
        name: Its name.
        suffix: The options in the text, `"(num_bins=10)"`; empty where there are none.
    """

    name: str
    suffix: str = ""

    @property
    def key(self) -> str:
        """The whole text: `"ece(num_bins=10)"`."""
        return self.name + self.suffix


class Registry(Generic[Entry]):
    """The functions or classes of one kind, by name.

    Example:
        >>> scores = Registry("OOD score")
        >>> @scores.register
        ... class KNN:
        ...     name = "knn"
        ...     def __init__(self, k: int = 50): ...
        >>> scores.make("knn(k=10)")
    """

    def __init__(self, kind: str) -> None:
        """Create an empty registry.

        Args:
            kind: What its entries are, for errors: `"OOD score"`.
        """
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def register(self, entry: Entry) -> Entry:
        """Make an entry known by its `name`, or without one by that of the function; a decorator.

        Raises:
            InputError: Another entry has that name.
        """
        name = getattr(entry, "name", None) or entry.__name__
        known = self._entries.get(name)
        # A module that is imported twice, as a configuration file is, defines the same entry twice.
        if known is not None and (known.__module__, known.__qualname__) != (entry.__module__, entry.__qualname__):
            raise InputError(
                f"There are two {self.kind}s named '{name}': in {known.__module__} and {entry.__module__}."
            )
        self._entries[name] = entry
        return entry

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self._entries)

    def info(self, text: str) -> Entry:
        """Return the entry that a text names, without making anything; its options may be in the text.

        Raises:
            InputError: The text is no name with options, or the name is unknown.
        """
        name, _ = parse(text)
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries)
        return self._entries[name]

    def options(self, text: str, skip: int = 0) -> dict[str, Any]:
        """Return the options of the entry that a text names, with their values there or else their defaults.

        Args:
            text: A name, with options or without.
            skip: How many leading parameters of the entry are no options.

        Raises:
            InputError: As `info`; or an option is unknown, or one without a default is missing.
        """
        return self._options(text, {}, skip)

    def make(self, text: str, *args: Any, **options: Any) -> Any:
        """Call the entry that a text names, with its options and those given here.

        Args:
            text: A name, with options or without.
            *args: The leading parameters that are no options.
            **options: Further options, which come before those in the text.

        Returns:
            What the entry returns; a `Named` knows the text and the further options.

        Raises:
            InputError: As `options`; or the entry refuses a value.
        """
        self._options(text, options, len(args))
        _, given = parse(text)
        made = self.info(text)(*args, **{**given, **options})
        if isinstance(made, Named):
            made.suffix = suffix(text, options)
        return made

    def _options(self, text: str, more: Mapping[str, Any], skip: int) -> dict[str, Any]:
        """Return all options of an entry, having refused unknown and missing ones."""
        entry = self.info(text)
        name, given = parse(text)
        parameters = list(_signature(entry).parameters.values())[skip:]
        options = {one.name: one.default for one in parameters if one.kind not in _NO_OPTION}
        for option in [*given, *more]:
            if option not in options:
                raise unknown_name(f"option of {self.kind} '{name}'", option, options)
        options |= {**given, **more}
        missing = [option for option, value in options.items() if value is inspect.Parameter.empty]
        if missing:
            needed = ", ".join(f"{option}=..." for option in missing)
            raise InputError(f"The {self.kind} '{name}' does not work without an option; write {name}({needed}).")
        return options


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the options in a text such as `"ece(num_bins=10)"`.

    Raises:
        InputError: The text is not written like that.
    """
    if not isinstance(text, str):
        raise InputError(f"A name with options must be a text like 'name(option=value)', got {text!r}.")
    if len(text) > _LONGEST:
        raise InputError(f"A name with options has at most {_LONGEST} characters, and '{text[:20]}...' {len(text)}.")
    name, bracket, _ = text.partition("(")
    if not bracket:
        return text, {}
    try:
        call = ast.parse(f"_{text[len(name) :]}", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args or name != name.strip():
            raise ValueError("no name with options")
        options = {str(option.arg): ast.literal_eval(option.value) for option in call.keywords}
        if len(options) < len(call.keywords):
            raise ValueError("an option twice")
    except (SyntaxError, TypeError, ValueError, MemoryError, RecursionError) as error:  # the last two: it is too deep
        raise InputError(f"Cannot read '{text}': a name with options is written like name(option=value).") from error
    for option, value in options.items():
        if type(value) in (int, float) and not abs(value) <= _LARGEST:
            raise InputError(f"Option {option} of '{text}' is too large: at most {_LARGEST:,}.")
    return name, options


def spelled(name: str, options: Mapping[str, Any]) -> str:
    """Return the text that names an entry with options, as `parse` reads it."""
    inside = ", ".join(f"{option}={value!r}" for option, value in options.items())
    return f"{name}({inside})" if inside else name


def suffix(text: str, more: Mapping[str, Any]) -> str:
    """Return what follows the name in a text, as it is written there; spelled anew where there are more options."""
    name, given = parse(text)
    if given and not more:
        return text[len(name) :]
    return spelled("", {**given, **more})
