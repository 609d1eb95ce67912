"""What data sets made of one's own files have in common: classes that have names, and a test part to be cut off."""

from __future__ import annotations

import hashlib
import os
import string
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from uncertainty_suite.errors import InputError

TEST_PERCENT = 0.2
_ALLOWED = set(string.ascii_letters + string.digits + "_-")
_RESERVED = ("unknown", "fit")  # splits that evaluation makes


def by_split(name: str, given: Any, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what each split is made of: what is given alone is `train`.

    Args:
        name: That of the data set.
        given: A path, or paths by split.
        more: Further ones by split.

    Raises:
        InputError: There is no `train`, a split is given twice, or a name is not allowed.
    """
    if not name or not set(name) <= {*_ALLOWED, "/"}:
        raise InputError(f"A data set cannot be named '{name}'; expected letters, digits, _, - and /.")
    if not isinstance(given, (str, os.PathLike, Mapping)):
        raise InputError(f"Data set '{name}' is made of {given!r:.60}; expected a path, or paths by names of splits.")
    paths = dict(given) if isinstance(given, Mapping) else {"train": given}
    for split, path in (more or {}).items():
        if split in paths:
            raise InputError(f"Data set '{name}' has two splits named '{split}'. Rename one.")
        paths[split] = path
    if "train" not in paths:
        raise InputError(f"Data set '{name}' has the splits {', '.join(paths)}; expected one named 'train'.")
    for split in paths:
        usual = str(split).lower()
        if usual in ("train", "validation", "test") and split != usual:
            raise InputError(f"Data set '{name}' has a split named '{split}'. Write '{usual}'.")
        if split in _RESERVED or not split or not set(split) <= _ALLOWED:
            raise InputError(
                f"Data set '{name}' has a split named '{split}'; expected letters, digits, _ and -, and none of "
                f"{', '.join(_RESERVED)}."
            )
    return paths


def cut(name: str, keys: Sequence[str], groups: Sequence[Hashable], test_percent: float, seed: int) -> np.ndarray:
    """Return which examples are the test part, bool `[n]`: a share of each group.

    An example's place in the order in which they are taken is a function of the seed and its key alone, so that what is
    added later moves few of them.

    Args:
        name: That of the data set.
        keys: What tells examples apart: the number of a row, the path of a file.
        groups: The group of each example, its class; the same for all where there are none.
        test_percent: The share, in (0, 1).
        seed: Decides the order.

    Raises:
        InputError: Nothing would be left in one of the parts.
    """
    if not 0 < test_percent < 1:
        raise InputError(f"test_percent of data set '{name}' is a fraction in (0, 1), received {test_percent}.")
    places = [hashlib.sha256(f"{seed}/{key}".encode()).digest() for key in keys]
    members: dict[Hashable, list[int]] = {}
    for index in sorted(range(len(keys)), key=places.__getitem__):
        members.setdefault(groups[index], []).append(index)
    is_test = np.zeros(len(keys), bool)
    for found in members.values():
        is_test[found[: round(test_percent * len(found))]] = True
    if not 0 < is_test.sum() < len(keys):
        raise InputError(
            f"test_percent {test_percent} of the {len(keys)} examples of data set '{name}' leaves train or test empty. "
            "Give more examples, or a test split of their own."
        )
    return is_test


def class_names(name: str, labels: Iterable[str]) -> list[str]:
    """Return the names of classes in the order of their numbers: sorted, and as numbers where all are whole numbers.

    Raises:
        InputError: There are fewer than two.
    """
    found = set(labels)
    if len(found) < 2:
        only = f"only the class '{found.pop()}'" if found else "no classes"
        raise InputError(f"Data set '{name}' has {only} in its training examples; expected two or more.")
    numbers = all(label.removeprefix("-").isdecimal() for label in found)
    return sorted(found, key=lambda label: (int(label), label) if numbers else (0, label))


def unknown_class(name: str, label: str, where: str, known: Sequence[str]) -> InputError:
    """Return the error for an example of a class of which there is no training example."""
    listed = ", ".join(f"'{each}'" for each in known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")
    return InputError(
        f"Data set '{name}': {where} is of the class '{label}', and no training example is; these have {listed}. Mend "
        "it, leave it out, or give examples of no known class as ood=..."
    )


def check_file(path: str | os.PathLike, what: str) -> Path:
    """Return a path, refused in one line unless a file is there that can be read."""
    found = Path(path)
    if found.is_dir():
        raise InputError(f"{what}: {path} is a folder; expected a file.")
    if not found.is_file():
        raise InputError(f"{what}: there is no file {path} (looked for {found.absolute()}).")
    if not os.access(found, os.R_OK):
        raise InputError(f"{what}: no permission to read {path}.")
    return found


def read_text(path: str | os.PathLike, encoding: str, what: str) -> str:
    """Return the text of a file, without a byte order mark, and with its ends of lines as they are.

    Raises:
        InputError: It cannot be read, is empty, or is not in that encoding.
    """
    if not isinstance(encoding, str):
        raise InputError(f"{what}: encoding is {encoding!r}; expected a name, as 'utf-8'.")
    content = check_file(path, what).read_bytes()
    try:
        text = content.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except LookupError:
        raise InputError(f"{what}: there is no encoding '{encoding}'; try utf-8, latin-1, cp1252 or utf-16.") from None
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = 1 + content[:start].count(b"\n")
        other = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "latin-1"
        raise InputError(
            f"{what}: {path} is not in {encoding} (line {line}: {error}). Save it in UTF-8, or give its encoding, as "
            f"encoding='{other}'."
        ) from error
    if not text.strip():
        raise InputError(f"{what}: {path} is empty.")
    return text
