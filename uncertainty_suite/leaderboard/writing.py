"""Writing what is made: a text or bytes, whole or not at all, and never outside of the folder that it is for."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from uncertainty_suite.errors import InputError
from uncertainty_suite.files import write_atomic


def write(path: Path, content: str | bytes, root: Path | None = None) -> None:
    """Write a file whole or not at all, a text as UTF-8; a file that was there keeps its mode.

    Args:
        path: The file. A link is replaced, and what it leads to is left alone.
        content: What shall be in it.
        root: The folder that it must lie in once the links on the way are followed.

    Raises:
        InputError: It cannot be written, or would lie elsewhere.
    """
    data = content.encode() if isinstance(content, str) else content
    if root is not None and not is_inside(path, root):
        raise InputError(f"Cannot write {path}: a link leads out of {root}.")
    mode = path.lstat().st_mode if os.path.lexists(path) else 0

    def write_all(file: BinaryIO) -> None:
        file.write(data)
        if stat.S_ISREG(mode):
            os.fchmod(file.fileno(), stat.S_IMODE(mode))

    write_atomic(path, write_all)


def is_inside(path: Path, root: Path) -> bool:
    """Return whether a file's folder lies in `root`, or is it, once all links are followed."""
    return Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(root))
