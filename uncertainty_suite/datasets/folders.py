"""Where files lie that are no TFDS data sets: in the folder of the prepared data sets, or beside it."""

import os
from pathlib import Path

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
