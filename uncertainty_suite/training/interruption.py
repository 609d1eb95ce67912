"""SIGTERM and Ctrl-C, held back while steps run, so that these can be counted and saved."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

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


def install() -> None:
    """Make SIGTERM and SIGINT raise `Interrupted`: at once, or between `hold` and `release` at the latter.

    For programs: a library must not change what signals do. A second signal is never held back.
    """
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, _receive)


def hold() -> None:
    """From now on a signal waits."""
    global _holding
    _holding = True


def received() -> bool:
    """Return whether a signal waits."""
    return _received is not None


def release() -> None:
    """Raise `Interrupted` if a signal waits, and let no further one wait, unless within `held`."""
    global _holding, _received
    _holding = _in_block
    if _received is not None and not _in_block:
        signum, _received = _received, None
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
    global _received
    if not _holding or _received is not None:
        raise Interrupted(signum)
    _received = signum
