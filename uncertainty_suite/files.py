"""Files that are there whole or not at all, and the one door to read those of others."""

import contextlib
import functools
import io
import json
import math
import operator
import os
import secrets
import stat
import struct
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from uncertainty_suite.errors import InputError

_PARTIAL = ".partial"
_MOST_BYTES = 64 * 2**20  # of a file that is read whole; those of the largest runs have a few
_MOST_DIGITS = 20  # of an integer of 64 bits, with its sign
_MOST_UNPACKED = 100  # times what an `.npz` file has; scores are packed to a third
_SMALL = 64 * 2**20  # what a file may unpack to in any case
LARGE = 64 * 2**20  # bytes of an array that is better in a file than in memory


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
    """Write arrays as an `.npz` file, atomically, with the bytes of `numpy.savez`.

    Raises:
        InputError: It cannot be written.
    """

    def write(file: BinaryIO) -> None:
        # In numpy.savez of NumPy 1.26 the archive is not closed where a write fails: that comes too late, and then
        # an error is printed that nobody can catch.
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)

    write_atomic(path, write)


def room_for(shape: Sequence[int], dtype: np.dtype, folder: Path) -> np.ndarray:
    """Return an array to be filled: in memory, or where it is large in a file without a name, which ends with it.

    Args:
        shape: Its shape.
        dtype: Its type.
        folder: Where that file takes its room; it is made.

    Raises:
        InputError: There is no room for it.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE:
        return np.empty(shape, dtype)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):  # or a full disk would end the program where the array is written to
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            return np.asarray(np.memmap(file, dtype, "r+", shape=tuple(shape)))
    except OSError as error:
        raise _cannot_write(folder, error) from error


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


def open_regular(path: str | Path, root: str | Path | None = None) -> io.BufferedReader:
    """Open a file of somebody else's for reading: the one door for run folders, records and what lies beside them.

    Nobody may be changing the folder meanwhile: links are followed first, and the file is opened then.

    Args:
        path: The file.
        root: The folder that the file must lie in once all links are followed; the folder itself may be a link. None
            for a file that the user names, which may lie anywhere.

    Raises:
        ValueError: It is a folder, a FIFO, a device or a socket, or a link leads out of `root`.
        OSError: It cannot be opened.
    """
    real = os.path.realpath(path, strict=True)
    if root is not None and not Path(real).is_relative_to(os.path.realpath(root)):
        raise ValueError(f"a link leads out of {root}")
    # Opened so, a FIFO that nobody writes to comes back at once, and is then seen to be one. Windows, which has none of
    # the other flags, would take the file for a text.
    flags = [getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_NOFOLLOW", "O_CLOEXEC", "O_BINARY")]
    descriptor = os.open(real, functools.reduce(operator.or_, flags, os.O_RDONLY))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("it is no regular file")
    return os.fdopen(descriptor, "rb")


def read_bytes(path: str | Path, root: str | Path | None = None, at_most: int = _MOST_BYTES) -> bytes:
    """Return what a regular file holds.

    Args:
        path: The file.
        root: As `open_regular` has it.
        at_most: The number of bytes above which it is refused.

    Raises:
        ValueError: As `open_regular`, or it is larger.
        OSError: It cannot be read.
    """
    with open_regular(path, root) as file:
        content = file.read(at_most + 1)
    if len(content) > at_most:
        raise ValueError(f"it has more than {at_most} bytes")
    return content


def read_text(path: str | Path, root: str | Path | None = None, at_most: int = _MOST_BYTES) -> str:
    """Return the UTF-8 text that a regular file holds; arguments and errors are those of `read_bytes`."""
    return read_bytes(path, root, at_most).decode()


def read_json(path: str | Path, root: str | Path | None = None, at_most: int = _MOST_BYTES) -> dict[str, Any]:
    """Return the object that a JSON file holds; all its numbers are finite, and its texts can be printed.

    Args:
        path: The file.
        root: As `open_regular` has it.
        at_most: The number of bytes above which it is refused.

    Raises:
        ValueError: As `read_bytes`, or the file is no JSON, or holds something else.
        OSError: It cannot be read.
    """
    return parse_json(read_text(path, root, at_most))


def parse_json(text: str) -> dict[str, Any]:
    """Return the object that JSON holds, as `read_json` does.

    Raises:
        ValueError: It is no JSON, or holds something else.
    """
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite, parse_int=_integer)
        if "\\u" in text:  # half a surrogate pair is a text that cannot be written or printed
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except UnicodeEncodeError as error:
        raise ValueError("it holds a text that is no Unicode") from error
    if not isinstance(value, dict):
        raise ValueError(f"it holds no object but a {type(value).__name__}")
    return value


def read_arrays(
    path: str | Path, root: str | Path | None = None, at_most: int | None = None, mapped: bool = False
) -> dict[str, np.ndarray]:
    """Return all arrays of an `.npz` file, as `OpenArrays` has them, once it is known that they fit into memory.

    Args:
        path: The file.
        root: As `open_regular` has it.
        at_most: The number of bytes, unpacked, above which it is refused; always what this machine's memory holds.
        mapped: Whether large arrays stay in the file, from which what is looked at is read; they cannot be written to.

    Raises:
        ValueError: As `OpenArrays`.
        OSError: It cannot be read.
    """
    memory = _memory()
    with OpenArrays(path, root, memory if at_most is None else min(at_most, memory), mapped) as arrays:
        return dict(arrays)


class OpenArrays(Mapping[str, np.ndarray]):
    """The arrays of an `.npz` file, each read when it is asked for, with its checksum verified.

    `numpy.load` alone allocates what a header declares, unpacks whatever a small file unpacks to, and verifies only
    what it reads to the end, so that a header which was damaged to say "fewer" escapes it.
    """

    def __init__(
        self, path: str | Path, root: str | Path | None = None, at_most: int | None = None, mapped: bool = False
    ) -> None:
        """Open a file, and see what its arrays take; it stays open until `close`, or the end of a `with`.

        Args:
            path: The file.
            root: As `open_regular` has it.
            at_most: The number of bytes, unpacked, above which it is refused; None for any that each array alone fits
                into this machine's memory. Arrays that stay in the file do not count.
            mapped: Whether large arrays stay in the file, from which what is looked at is read; they cannot be written
                to.

        Raises:
            ValueError: As `open_regular`, or it is damaged, declares too much, or holds pickled objects.
            OSError: It cannot be read.
        """
        self._file, self._mapped = open_regular(path, root), mapped
        try:
            with _as_value_error():
                self._archive = zipfile.ZipFile(self._file)
                self._members = _members(self._archive, os.fstat(self._file.fileno()).st_size, at_most, mapped)
        except BaseException:
            self._file.close()
            raise

    def __getitem__(self, name: str) -> np.ndarray:
        member = self._members[name]
        with _as_value_error(), self._archive.open(member) as file:
            if self._mapped and _is_mappable(member):
                return _map_member(file, member, self._file)
            # Read to its end, which is when the zip format's checksum is verified.
            return _read_array(file, member.filename, member.file_size)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __enter__(self) -> "OpenArrays":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _members(archive: zipfile.ZipFile, size: int, at_most: int | None, mapped: bool) -> dict[str, zipfile.ZipInfo]:
    """Return what an archive of some bytes holds, by the arrays' names, once it is known not to be too much."""
    members = archive.infolist()
    held = [member for member in members if not (mapped and _is_mappable(member))]
    packed = max(_MOST_UNPACKED * size, _SMALL)  # more is no compression but an attack
    for some, most in ((members, packed), (held, at_most)):
        declared = sum(member.file_size for member in some)
        if most is not None and declared > most:
            raise ValueError(f"its {size} bytes declare arrays of {declared} bytes, of at most {most}")
    for member in held:
        if member.file_size > _memory():
            raise ValueError(f"{member.filename} declares {member.file_size} bytes, of at most {_memory()}")
    named = {member.filename.removesuffix(".npy"): member for member in members}
    if len(named) < len(members):
        raise ValueError("two arrays have the same name")
    return named


def _is_mappable(member: zipfile.ZipInfo) -> bool:
    return member.file_size >= LARGE and member.compress_type == zipfile.ZIP_STORED


def _memory() -> int:
    if not hasattr(os, "sysconf"):  # Windows, where what is too large is found out when it is read
        return sys.maxsize
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def _as_value_error() -> Iterator[None]:
    """Make a `ValueError` of one line of what damaged bytes make the readers raise: nearly everything there is."""
    try:
        yield
    except Exception as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


def read_array(path: str | Path, root: str | Path | None = None) -> np.ndarray:
    """Return the array of an `.npy` file, once it is known that it has what it declares.

    Args:
        path: The file.
        root: As `open_regular` has it.

    Raises:
        ValueError: As `open_regular`, or it is damaged, or holds pickled objects.
        OSError: It cannot be read.
    """
    with open_regular(path, root) as file, _as_value_error():
        return _read_array(file, "it", os.fstat(file.fileno()).st_size)


def _map_member(file: Any, member: zipfile.ZipInfo, stored: BinaryIO) -> np.ndarray:
    shape, fortran_order, dtype = _read_header(file, member.filename, member.file_size)
    if dtype.hasobject:
        raise ValueError(f"{member.filename} holds objects")
    header_size = file.tell()
    while file.read(2**20):  # as above, to its end
        pass
    # What stands before the member: 30 bytes, the last four of which say how long the two things are that follow.
    stored.seek(member.header_offset + 26)
    begin = member.header_offset + 30 + sum(struct.unpack("<HH", stored.read(4))) + header_size
    order: Any = "F" if fortran_order else "C"
    return np.asarray(np.memmap(stored, dtype, "r", begin, shape, order))


def _read_array(file: Any, name: str, size: int) -> np.ndarray:
    _read_header(file, name, size)
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def _read_header(file: Any, name: str, size: int) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return the shape, whether it is in Fortran's order, and the type of an array whose file has what it declares."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"{name} is of an unknown version")
    shape, fortran_order, dtype = readers[version](file)
    declared = file.tell() + math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and (declared != size or min(shape, default=0) < 0):
        raise ValueError(f"{name} declares {declared} bytes and has {size}")
    return shape, fortran_order, dtype


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"it holds {text[:20]}, which is no finite number")
    return number


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"it holds an integer of {len(text)} digits")
    return int(text)


def check_folder(folder: str | Path) -> None:
    """Refuse a folder that holds what leads out of it, or what is neither a file nor a folder, anywhere in it.

    Who has seen that may write into it, as long as nobody else changes it.

    Raises:
        InputError: The message names what it holds.
        OSError: It cannot be read.
    """
    home = Path(os.path.realpath(folder))
    for path, folders, names in os.walk(home):
        for entry in (Path(path, name) for name in (*folders, *names)):
            if entry.is_symlink():
                wrong = not Path(os.path.realpath(entry)).is_relative_to(home)
                what = "is a link that leads out of the run folder"
            else:
                wrong = not (entry.is_file() or entry.is_dir()) and entry.exists()
                what = "is no regular file"
            if wrong:
                raise InputError(
                    f"{Path(folder, entry.relative_to(home))} {what}. Nothing is read or written through it: "
                    "remove it, or choose another --output_dir."
                )


def remove_partial(folder: Path) -> None:
    """Remove what killed processes had begun to write in a folder and below it; nobody else may be writing there."""
    for path in folder.rglob(f".*{_PARTIAL}"):
        path.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError) -> InputError:
    return InputError(
        f"Cannot write {path}: {error.strerror or error}. All that was written before is whole: mend that, and give "
        "the same command again to go on."
    )
