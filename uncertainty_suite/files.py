"""Files that are there whole or not at all."""

import io
import json
import os
import secrets
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from uncertainty_suite.errors import InputError

_PARTIAL = ".partial"


def write_atomic(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file so that whoever looks sees the old one or the whole new one, even after a power cut.

    Args:
        path: Where the file shall be; its folder is made.
        write: Called with the open binary file.

    Raises:
        InputError: The file cannot be written, e.g. for want of space; what was there is untouched.
    """
    # A name of its own, since several processes may write the same file: the last one to finish wins.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_json(path: Path, value: Any) -> None:
    """Write a value as an indented JSON file, atomically; NaN and infinity are refused with a ValueError."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"
    write_atomic(path, lambda file: file.write(text.encode()))


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as an `.npz` file, atomically.

    Raises:
        InputError: It cannot be written.
    """
    named: dict[str, Any] = dict(arrays)
    write_atomic(path, lambda file: np.savez(file, **named))


def append_line(path: Path, line: str) -> None:
    """Append a line to a file so that whoever looks sees whole lines only.

    Raises:
        InputError: The line cannot be written, e.g. for want of space; the file is as it was.
    """
    data = line.encode() + b"\n"
    try:
        with open(path, "ab", buffering=0) as file:  # unbuffered: one system call, and no second try when it closes
            end = file.tell()
            if file.write(data) < len(data):
                file.truncate(end)
                file.write(data)  # raises what made the first one stop short
    except OSError as error:
        raise _cannot_write(path, error) from error


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        ValueError: The file is no JSON, or holds something else.
        OSError: It cannot be read.
    """
    try:
        value = json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError(f"it holds no object but a {type(value).__name__}")
    return value


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return all arrays of an `.npz` file, once the checksum of each has been verified.

    `numpy.load` alone verifies what it reads to the end, so a header that was damaged to say "fewer" escapes it.

    Raises:
        ValueError: The file is damaged, or holds pickled objects.
        OSError: It cannot be read.
    """
    content = io.BytesIO(path.read_bytes())
    try:
        with zipfile.ZipFile(content) as file:
            damaged = file.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of {damaged} is wrong")
        content.seek(0)
        with np.load(content, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # damaged bytes make the readers raise nearly everything there is
        raise ValueError(str(error) or type(error).__name__) from error


def remove_partial(folder: Path) -> None:
    """Remove what killed processes had begun to write in a folder and below it; nobody else may be writing there."""
    for path in folder.rglob(f".*{_PARTIAL}"):
        path.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError) -> InputError:
    return InputError(
        f"Cannot write {path}: {error.strerror or error}. All that was written before is whole: mend that, and give "
        "the same command again to go on."
    )
