"""One owner of a run folder at a time."""

import contextlib
import datetime
import errno
import json
import os
import socket
import stat
import time
import weakref
from pathlib import Path
from typing import TextIO

from absl import logging

from uncertainty_suite.errors import InputError
from uncertainty_suite.files import check_folder, read_json

try:
    import fcntl
except ImportError:  # Windows, where runs can be read and scored
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


class InUseError(InputError):
    """Another process holds a folder."""


class Lock:
    """A folder held by this process. It is let go by `release`, with the last reference, or when the process ends.

    The lock is the kernel's (`flock` on the file `.lock`), not the file: it ends with its process, however that ends,
    so there is no stale lock to be told from a live one. The file says who holds it, for whoever is refused.

    Shared, it keeps out those that want the folder for themselves and no one else: so the members of an ensemble can be
    trained by several processes, each of which holds its member's folder for itself, while no process evaluates.
    """

    def __init__(self, folder: Path, shared: bool = False) -> None:
        """Take the lock; use `hold`, which knows what this process holds already.

        Args:
            folder: What to hold; it is made.
            shared: Others may hold it shared too.

        Raises:
            InputError: Another process holds it, and the message says which; or something in it leads out of it.
            OSError: The folder or the file cannot be made.
        """
        self._path = folder / NAME
        folder.mkdir(parents=True, exist_ok=True)
        check_folder(folder)
        while True:
            self._file = _open(self._path)
            try:
                self.acquire(shared)
                if os.path.samestat(os.fstat(self._file.fileno()), os.stat(self._path)):
                    break
            except FileNotFoundError:
                pass  # as below
            except BaseException:
                self._file.close()
                raise
            self._file.close()  # the one who held it removed the file after we had opened it
        self.release = weakref.finalize(self, _release, self._file, self._path, os.getpid())

    @property
    def held(self) -> bool:
        """Whether it has not been released."""
        return not self._file.closed

    def acquire(self, shared: bool) -> None:
        """Take the lock, or make a shared one exclusive."""
        try:
            fcntl.flock(self._file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(
                f"{self._path.parent} is in use by {_owners(self._path.parent)}. Wait until that has ended, or choose "
                "another --output_dir."
            ) from None
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            logging.warning(
                "%s cannot be locked (%s): see to it that no other process uses it.", self._path.parent, error.strerror
            )
        self._file.truncate(0)
        if not shared:  # those who share it are named in the folders that they hold for themselves
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            json.dump({"host": socket.gethostname(), "pid": os.getpid(), "since": now}, self._file)
            self._file.flush()
        self.shared = shared


_held: weakref.WeakValueDictionary[tuple[int, Path], Lock] = weakref.WeakValueDictionary()


def hold(folder: Path, shared: bool = False, patience: float = 0.0) -> Lock:
    """Return this process's lock on a folder, taken if need be.

    Within a process nothing is excluded: a run that failed may be started again while its traceback is still alive.

    Args:
        folder: What to hold; it is made.
        shared: Others may hold it shared too; a lock held already is never weakened.
        patience: Seconds to wait for another process to let it go.

    Raises:
        InUseError: Another process holds it.
        InputError: Something in it leads out of it, or this system has no such locks.
        OSError: The folder or the file cannot be made.
    """
    if fcntl is None:
        raise InputError(
            "This system has no flock, by which a run keeps its folder to itself, so no run can be made here. On "
            "Windows, use WSL 2."
        )
    key = (os.getpid(), Path(os.path.realpath(folder)))  # a forked child holds nothing of its parent's
    lock = _held.get(key)
    if lock is None or not lock.held:
        until = time.monotonic() + patience
        while True:
            try:
                lock = _held[key] = Lock(folder, shared)
                break
            except InUseError:
                if time.monotonic() >= until:
                    raise
                time.sleep(0.02)
    elif lock.shared and not shared:
        lock.acquire(shared)
    return lock


def _open(path: Path) -> TextIO:
    """Open the file, which is emptied and written in place: so it must be a file, and of this folder alone."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666)
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode) or state.st_nlink > 1:
        os.close(descriptor)
        raise InputError(f"{path} is no regular file, or has another name elsewhere. Remove it.")
    return os.fdopen(descriptor, "a+")


def _release(file: TextIO, path: Path, owner: int) -> None:
    if owner == os.getpid():  # or else a forked child took its parent's file away
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails where others share it
            path.unlink()
    file.close()


def _owners(folder: Path) -> str:
    owners = []
    for path in sorted(folder.rglob(NAME)):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            owner = read_json(path, folder)
            owners.append(f"process {owner['pid']} on {owner['host']} since {owner['since']}")
    return " and ".join(owners) or "another process"
