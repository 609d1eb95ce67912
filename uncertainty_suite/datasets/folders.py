"""Where files lie that are no TFDS data sets: in the folder of the prepared data sets, or beside it."""

import os
from pathlib import Path

from uncertainty_suite.errors import InputError

DATA_DIR_VARIABLE = "UNCERTAINTY_SUITE_DATA_DIR"


def places(path: str, data_dir: str | os.PathLike | None) -> list[Path]:
    """Return where a file or folder may lie: `<data_dir>/<path>` and `<data_dir>/../<path>`.

    Args:
        path: Its path, as `labels/cifar10n_train.npz`.
        data_dir: Folder of prepared data sets; None: the one that the environment variable names, if any.

    Returns:
        No place if no folder is named.
    """
    data_dir = data_dir or os.environ.get(DATA_DIR_VARIABLE)
    if not data_dir:
        return []
    folder = Path(data_dir).absolute()
    return [folder / path, folder.parent / path]


def looked(tried: list[Path]) -> str:
    """Return in words where something was looked for, for the message that it is not there."""
    return "looked for " + ", ".join(map(str, tried)) if tried else "no folder is named to look in"


def find(name: str, path: str, data_dir: str | os.PathLike | None, source: str) -> Path:
    """Return where a file of a data set lies.

    Args:
        name: That of the data set, for the message.
        path: Its path, as `tables/adult/train.csv`.
        data_dir: Folder of prepared data sets; None: the one that the environment variable names, if any.
        source: What the file is made of, and where that is to be had.

    Raises:
        InputError: It is in none of the places.
    """
    tried = places(path, data_dir)
    for place in tried:
        if place.is_file():
            return place
    raise InputError(
        f"Data set '{name}' is not there: {looked(tried)}. It is {source}. Name a folder that holds {path} by "
        f"--data_dir or {DATA_DIR_VARIABLE}."
    )
