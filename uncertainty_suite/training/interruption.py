"""SIGTERM, SIGHUP and Ctrl-C, held back while steps run, so that these can be counted and saved."""

import contextlib
import sys
from collections.abc import Iterator
from types import FrameType

from uncertainty_suite import program
from uncertainty_suite.program import Interrupted

_go_on = ""  # how
_raised = False
_holding = False
_in_block = False  # of `held`
_received: int | None = None


def install(command: str = "") -> None:
    """Make SIGTERM, SIGINT and SIGHUP raise `Interrupted`: at once, or between `hold` and `release` at the latter.

    For programs: a library must not change what signals do. A second signal is never held back. One that comes in the
    midst of an import, or while `Interrupted` is on its way already, ends the process.

    Args:
        command: What goes on, for the line that is said then.
    """
    global _go_on, _raised
    _go_on, _raised = f"To go on, bit for bit: {command}" if command else "", False
    program.catch_signals(_receive)


def hold() -> None:
    """From now on a signal waits."""
    global _holding
    _holding = True


def received() -> bool:
    """Return whether a signal waits."""
    return _received is not None


def release() -> None:
    """Raise `Interrupted` if a signal waits, and let no further one wait, unless within `held`."""
    global _holding, _raised, _received
    _holding = _in_block
    if _received is not None and not _in_block:
        signum, _received = _received, None
        _raised = True
        raise Interrupted(signum, _go_on)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let a signal wait for the end of a block, whatever is released within."""
    global _holding, _in_block
    _holding = _in_block = True
    try:
        yield
    finally:
        _holding = _in_block = False
    release()


def _receive(signum: int, frame: FrameType | None) -> None:
    global _raised, _received
    if _holding and _received is None:
        _received = signum
        return
    if _raised or program.importing(frame):
        program.end(f"{sys.argv[0]}: {Interrupted(signum, _go_on)}", 128 + signum)
    _raised = True
    raise Interrupted(signum, _go_on)
