"""What all programs of the suite do alike: streams that are there, signals, and one line for what went wrong."""

import argparse
import contextlib
import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn

from uncertainty_suite.errors import InputError, one_line

# Of the machine and the folders given, not of the suite: no permission, no space, too many open files, no folder.
_ENVIRONMENT = {
    *(errno.EACCES, errno.EDQUOT, errno.EEXIST, errno.EIO, errno.EISDIR, errno.ELOOP, errno.EMFILE, errno.ENOMEM),
    *(errno.ENAMETOOLONG, errno.ENFILE, errno.ENOSPC, errno.ENOTDIR, errno.EPERM, errno.EROFS),
}


class Interrupted(KeyboardInterrupt):
    """The process was asked to stop; like Ctrl-C, no `except Exception` catches it.

    Attributes:
        signal: By which signal.
    """

    def __init__(self, signum: int, go_on: str = "") -> None:
        """Say by which signal, and what to do to go on, where there is something to go on with."""
        super().__init__(signum, go_on)
        self.signal = signal.Signals(signum)
        self._go_on = go_on

    def __str__(self) -> str:
        return f"Stopped by {self.signal.name}.{self._go_on and f' {self._go_on}'}"


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all others, and for which an empty text names no file or folder."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register("type", Path, _path)

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}. See --help.")


def _path(text: str) -> Path:
    if not text:  # which `Path` takes for the current folder
        raise argparse.ArgumentTypeError("it is empty, and must name a file or folder")
    return Path(text)


def run(name: str, main: Callable[[], int]) -> NoReturn:
    """Call a program's `main` and exit with its status, after one line on stderr where that went wrong.

    SIGINT (Ctrl-C), SIGTERM and SIGHUP (a terminal that is closed) end it with one line and, as shells have it, status
    130, 143 or 129, once what is being written is whole or gone; a second one ends it at once.

    Args:
        name: How its lines begin.
        main: The program.
    """

    def stop_at_once(signum: int, frame: FrameType | None) -> None:
        end(f"{name}: {Interrupted(signum)}", 128 + signum)

    def stop(signum: int, frame: FrameType | None) -> None:
        if importing(frame):
            stop_at_once(signum, frame)
        catch_signals(stop_at_once)
        raise Interrupted(signum)

    open_streams()
    catch_signals(stop)
    said: str | None = None
    try:
        status = main()
        sys.stdout.flush()
    except Interrupted as stopped:
        status, said = 128 + stopped.signal, one_line(stopped)
    except KeyboardInterrupt:  # a user's own
        status, said = 128 + signal.SIGINT, str(Interrupted(signal.SIGINT))
    except BrokenPipeError:  # who read this has ended, and the interpreter would complain of it again
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 1
    except Exception as error:
        status, said = 1, in_one_line(error)
        if said is None:
            raise
    catch_signals(signal.SIG_DFL)  # the last word is said once
    if said is not None:
        _say(f"{name}: {said}")
    sys.exit(status)


def catch_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    """Let a function be called on Ctrl-C, SIGTERM and SIGHUP, but for a SIGHUP that `nohup` has ignored.

    A terminal that is gone is left first, so that no line fails before all is saved.
    """
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, handler)
    if not hasattr(signal, "SIGHUP") or signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # Windows has none
        return

    def after_leaving(signum: int, frame: FrameType | None) -> None:
        _leave_terminal()
        if callable(handler):
            handler(signum, frame)

    signal.signal(signal.SIGHUP, after_leaving if callable(handler) else handler)


def _leave_terminal() -> None:
    """Print to /dev/null where the terminal is gone."""
    import termios  # which Windows, where no SIGHUP comes, has not

    for number in (1, 2):
        try:
            termios.tcgetattr(number)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def in_one_line(error: Exception) -> str | None:
    """Return what an error that is the user's to mend says; None for any other, which is a bug and has a traceback."""
    if isinstance(error, InputError):
        return one_line(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":  # TensorFlow's word for it
        said = one_line(error)[:200]
        return (
            f"There is not enough memory{f' ({said})' if said else ''}. Take smaller batches or fewer samples; a "
            "network that is trained is kept."
        )
    if isinstance(error, OSError) and error.errno in _ENVIRONMENT:
        return one_line(f"{error.strerror}: {error.filename or 'no file named'}")
    return None


def open_streams() -> None:
    """Open those of stdin, stdout and stderr that are closed on /dev/null, before another file gets their number.

    Else what TensorFlow prints would be written into a checkpoint. And let any text be printed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115 - it stays
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Tables have arrows and ±, and names of files may be no text, whatever the locale.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def end(message: str, status: int) -> NoReturn:
    """End this process at once, with a line on stderr: what is on its way through it is lost."""
    with contextlib.suppress(OSError):
        os.write(2, f"{message}\n".encode(errors="backslashreplace"))
    os._exit(status)


def importing(frame: FrameType | None) -> bool:
    """Return whether code is in the midst of an import, which may swallow an exception or make another one of it."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def quiet_imports() -> None:
    """From now on say in one line that Ctrl-C came in the midst of an import: a traceback has dozens of them."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _say_of_imports


def _say_of_imports(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    depth, each = 0, traceback
    while each is not None:
        depth += each.tb_frame.f_code.co_name == "<module>" or importing(each.tb_frame)
        each = each.tb_next
    if issubclass(kind, KeyboardInterrupt) and depth > 1:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _say(f"{sys.argv[0]}: Stopped by SIGINT, in an import.")
    else:
        sys.__excepthook__(kind, error, traceback)


def _say(message: str) -> None:
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr, flush=True)
