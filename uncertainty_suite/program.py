"""What all programs of the suite do alike: streams that are there, and one line for what went wrong."""

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import NoReturn

from uncertainty_suite.errors import InputError, one_line

# Of the machine and the folders given, not of the suite: no permission, no space, too many open files, no folder.
_ENVIRONMENT = {
    *(errno.EACCES, errno.EDQUOT, errno.EEXIST, errno.EIO, errno.EISDIR, errno.ELOOP, errno.EMFILE, errno.ENOMEM),
    *(errno.ENAMETOOLONG, errno.ENFILE, errno.ENOSPC, errno.ENOTDIR, errno.EPERM, errno.EROFS),
}


def run(name: str, main: Callable[[], int]) -> NoReturn:
    """Call a program's `main` and exit with its status, after one line on stderr where that went wrong.

    Args:
        name: How its lines begin.
        main: The program.
    """
    open_streams()
    signal.signal(signal.SIGINT, _stop)
    try:
        status = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
        _say(f"{name}: Stopped by SIGINT.")
    except BrokenPipeError:  # who read this has ended, and the interpreter would complain of it again
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 1
    except Exception as error:
        message = in_one_line(error)
        if message is None:
            raise
        status = 1
        _say(f"{name}: {message}")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(status)


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

    Else what TensorFlow prints would be written into a checkpoint.
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


def _stop(signum: int, frame: FrameType | None) -> None:
    signal.signal(signum, signal.SIG_DFL)  # a second one ends it at once
    if importing(frame):
        end("Stopped by SIGINT.", 128 + signum)
    raise KeyboardInterrupt
