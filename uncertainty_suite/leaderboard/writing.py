"""Writing what is made: a text or bytes, whole or not at all."""

from pathlib import Path
from typing import BinaryIO

from uncertainty_suite.files import write_atomic


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; a text as UTF-8.

    Raises:
        InputError: It cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content

    def write_all(file: BinaryIO) -> None:
        file.write(data)

    write_atomic(path, write_all)
