"""Errors that are the user's to mend: one line saying what was wrong, what was expected and what to do."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something that the user gave is wrong: a flag, a config value, a file, an array.

    The message is one line, whatever is quoted in it. Programs print it without a traceback and exit with status 1.
    """

    def __init__(self, message: object) -> None:
        """Say what is wrong; what would make another line of it, or a command to a terminal, is escaped."""
        text = str(message)
        super().__init__(text if text.isprintable() else one_line(text))


class DivergedError(InputError):
    """The numbers of a training stopped being finite: what the user gave is allowed, and does not work."""


def one_line(text: object) -> str:
    """Return a text as one line that a terminal takes for nothing but text: what cannot be printed is escaped."""
    joined = " ".join(str(text).split())
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in joined)


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Return the error for a name that is not known, with the nearest known one.

    Args:
        kind: What the name should have named, e.g. `"data set"`.
        name: The name received.
        known: All names that are allowed.

    Example:
        >>> unknown_name("data set", "cifar", ["cifar10", "mnist"])
        InputError("Unknown data set 'cifar'. Did you mean 'cifar10'? Known: cifar10, mnist.")
    """
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return InputError(f"Unknown {kind} '{one_line(name)}'.{hint} Known: {', '.join(known)}.")
