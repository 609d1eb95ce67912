"""SIGTERM, SIGHUP and Ctrl-C, held back while steps run, so that these can be counted and saved."""

import contextlib
import errno
import os
import signal
import sys
import termios
from collections.abc import Iterator
from types import FrameType

from uncertainty_suite import program

_command = ""  # what goes on
_raised = False
_holding = False
_in_block = False  # of `held`
_received: int | None = None


class Interrupted(KeyboardInterrupt):
    """The process was asked to stop; like Ctrl-C, no `except Exception` catches it.

    Attributes:
        signal: By which signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signal = signal.Signals(signum)


def install(command: str = "") -> None:
    """Make SIGTERM, SIGINT and SIGHUP raise `Interrupted`: at once, or between `hold` and `release` at the latter.

    For programs: a library must not change what signals do. A second signal is never held back. One that comes in the
    midst of an import, or while `Interrupted` is on its way already, ends the process.

    Args:
        command: What goes on, for the line that is said then.
    """
    global _command, _raised
    _command, _raised = command, False
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:  # which is how nohup asks for that
            signal.signal(signum, _receive)


def uninstall() -> None:
    """Let further signals end the process, which has said its last word."""
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_DFL)


def message(signum: int) -> str:
    """Return what is said to whoever has stopped the process."""
    go_on = f" To go on, bit for bit: {_command}" if _command else ""
    return f"Stopped by {signal.Signals(signum).name}.{go_on}"


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
        raise Interrupted(signum)


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
    if signum == signal.SIGHUP:
        _leave_terminal()
    if _holding and _received is None:
        _received = signum
        return
    if _raised or program.importing(frame):
        program.end(f"{sys.argv[0]}: {message(signum)}", 128 + signum)
    _raised = True
    raise Interrupted(signum)


def _leave_terminal() -> None:
    """Print to /dev/null where the terminal is gone, so that no line about the progress fails before all is saved."""
    for number in (1, 2):
        try:
            termios.tcgetattr(number)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)
