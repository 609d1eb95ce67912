"""Data sets made of folders of images, one folder for each class."""

from __future__ import annotations

import functools
import os
import unicodedata
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from uncertainty_suite.datasets import own
from uncertainty_suite.datasets.forms import Images
from uncertainty_suite.datasets.sources import Source, check_fields
from uncertainty_suite.errors import InputError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
_OF_SYSTEMS = ("thumbs.db", "desktop.ini", "__macosx")


class _Files(NamedTuple):
    """Images of a split: their folder, their paths below it with `/`, and which of the folder's images each is."""

    folder: Path
    paths: list[str]
    numbers: list[int]


def from_images(
    name: str,
    folders: str | os.PathLike | Mapping[str, str | os.PathLike],
    size: int | tuple[int, int],
    channels: int = 3,
    lists: Mapping[str, str | os.PathLike] | None = None,
    ood: Mapping[str, str | os.PathLike] | None = None,
    test_percent: float = own.TEST_PERCENT,
    seed: int = 0,
    **fields: Any,
) -> Source:
    """Return a data set made of folders of images; names are looked at now, and images are read when they are needed.

    Images are turned as their camera says, and brought to one size: cut around the centre to its proportions, then
    resized with antialiasing. Transparent parts become white. Classes are numbered in the order of their names, whole
    numbers in their own. An element id is the place of the image in the sorted paths of its folder, from 0. Features
    are uint8 and in memory; what does not fit there can be read from TFDS, see `from_tfds`.

    Args:
        name: Its name in `datasets.get`.
        folders: One folder, with a folder in it for each class; or such folders by the names of splits, `train` and
            others. Without one of `test` a share of each class of `train` is the test split.
        size: Height and width that a model receives, or one number for both.
        channels: 3 for RGB, 1 for gray.
        lists: Of one folder, a text file for each split that has the paths of its images below the folder, one a line.
        ood: Folders of further splits, of images that belong to no class.
        test_percent: The share of the test split, where it has neither folder nor list.
        seed: Decides which images these are.
        **fields: Further fields of `Source`, such as `augmented=True`.

    Raises:
        InputError: There is no such folder, it holds something else, or a class has no training example. When they are
            read: an image cannot be.

    Example:
        >>> datasets.register(datasets.from_images("pets", "photos/pets", size=64, ood={"birds": "photos/birds"}))
        >>> datasets.get("pets", "test")
    """
    check_fields(name, fields)
    sides = (size, size) if isinstance(size, int) else tuple(size) if isinstance(size, (tuple, list)) else ()
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise InputError(f"Data set '{name}' has the size {size!r}; expected a number of pixels, or (height, width).")
    if channels not in (1, 3):
        raise InputError(f"Data set '{name}' has {channels!r} channels; expected 1 or 3.")
    height, width = sides
    given = own.by_split(name, folders, ood)
    if lists is not None:
        if isinstance(folders, Mapping):
            raise InputError(f"Data set '{name}': lists are of one folder; give its path as folders.")
        del given["train"]
        found = _listed(name, _find(name, Path(folders), in_classes=True), own.by_split(name, lists), set(given))
    else:
        found = {}
    for split, folder in given.items():
        found[split] = _find(name, Path(folder), in_classes=split not in (ood or {}))
    if "test" not in found:
        folder, paths, numbers = found["train"]
        is_test = own.cut(name, paths, [_class_of(path) for path in paths], test_percent, seed)
        for split, chosen in (("train", ~is_test), ("test", is_test)):
            index = np.flatnonzero(chosen)
            found[split] = _Files(folder, [paths[i] for i in index], [numbers[i] for i in index])
    classes = own.class_names(name, map(_class_of, found["train"].paths))
    labels = {
        split: _labels(name, files, classes) if split not in (ood or {}) else np.full(len(files.paths), -1)
        for split, files in found.items()
    }

    def read(split: str, data_dir: str | os.PathLike | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        images = _read(name, found[split], (width, height), channels)
        return images, labels[split], np.array(found[split].numbers, np.int64)

    form = Images(height, width, channels)
    return Source(name, tuple(found), form, read, num_classes=len(classes), maximum=255, identified=True, **fields)


def _is_of_a_system(path: Path) -> bool:
    """Return whether a file or folder is none of the user's."""
    return any(part.startswith(".") or part.lower() in _OF_SYSTEMS for part in path.parts)


def _class_of(path: str) -> str:
    return path.partition("/")[0]


def _find(name: str, folder: Path, in_classes: bool) -> _Files:
    """Return the images below a folder, sorted by their paths; in folders of classes, each of which has some."""
    if not folder.is_dir():
        raise InputError(f"Data set '{name}': there is no folder {folder} (looked for {folder.absolute()}).")
    paths = []
    for path in folder.rglob("*"):
        below = path.relative_to(folder)
        if path.is_dir() or _is_of_a_system(below):
            continue
        outside = in_classes and len(below.parts) == 1
        is_image = path.suffix.lower() in ENDINGS
        if outside and is_image:
            raise InputError(f"Data set '{name}': {path} lies in no folder of a class. Move it into one.")
        if not outside and not is_image:
            raise InputError(
                f"Data set '{name}': {path} does not end as an image does ({', '.join(ENDINGS)}). Move it elsewhere."
            )
        if is_image:
            paths.append(below.as_posix())
    if not paths:
        raise InputError(f"Data set '{name}': there are no images in {folder}.")
    if in_classes:
        with_images = set(map(_class_of, paths))
        for path in sorted(folder.iterdir()):
            if path.is_dir() and not _is_of_a_system(Path(path.name)) and path.name not in with_images:
                raise InputError(f"Data set '{name}': there are no images in {path}. Remove it, or fill it.")
    paths.sort()
    return _Files(folder, paths, list(range(len(paths))))


def _listed(name: str, files: _Files, lists: Mapping[str, str | os.PathLike], others: set[str]) -> dict[str, _Files]:
    """Return the images of each split that a text file names."""
    # A letter with an accent is one character on some systems and two on others.
    number_of = {unicodedata.normalize("NFC", path): number for number, path in enumerate(files.paths)}
    split_of: dict[str, str] = {}
    found = {}
    for split, file in lists.items():
        if split in others:
            raise InputError(f"Data set '{name}' has two splits named '{split}'. Rename one.")
        numbers = []
        for line, text in enumerate(own.read_text(file, "utf-8", f"Data set '{name}'").splitlines(), start=1):
            path = unicodedata.normalize("NFC", text.strip().replace("\\", "/").removeprefix("./"))
            if not path:
                continue
            if path not in number_of:
                raise InputError(
                    f"Data set '{name}': line {line} of {file}: there is no image {files.folder / path}. "
                    "Write a path below that folder on each line, and nothing else."
                )
            if path in split_of:
                raise InputError(
                    f"Data set '{name}': line {line} of {file}: {path} is in the split '{split_of[path]}' already. An "
                    "image is in one split, once."
                )
            split_of[path] = split
            numbers.append(number_of[path])
        found[split] = _Files(files.folder, [files.paths[number] for number in sorted(numbers)], sorted(numbers))
    return found


def _labels(name: str, files: _Files, classes: Sequence[str]) -> np.ndarray:
    number_of = {label: number for number, label in enumerate(classes)}
    for path in files.paths:
        if _class_of(path) not in number_of:
            raise own.unknown_class(name, _class_of(path), str(files.folder / path), classes)
    return np.array([number_of[_class_of(path)] for path in files.paths])


def _read(name: str, files: _Files, size: tuple[int, int], channels: int) -> np.ndarray:
    """Return images, uint8 `[n, height, width, channels]`."""
    paths = [files.folder / path for path in files.paths]
    with ThreadPoolExecutor() as pool:  # decoding holds no lock of Python's
        read = list(pool.map(functools.partial(_read_one, size=size, channels=channels), paths))
    wrong = [(path, said) for path, said in zip(paths, read) if isinstance(said, str)]
    if wrong:
        more = f", and {len(wrong) - 1} more such files" if len(wrong) > 1 else ""
        raise InputError(
            f"Data set '{name}': {wrong[0][0]} is no image that can be read ({wrong[0][1]}){more}. Remove it."
        )
    return np.stack([image for image in read if not isinstance(image, str)])


def _read_one(path: Path, size: tuple[int, int], channels: int) -> np.ndarray | str:
    """Return an image, or why it cannot be read."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I"):  # 16 bits, of which a conversion would cut off the upper ones
                image = Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
            if image.mode == "F":
                return "its pixels are floating-point numbers; expected integers"
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = ImageOps.fit(image.convert("L" if channels == 1 else "RGB"), size, Image.Resampling.BILINEAR)
            return np.asarray(image).reshape(size[1], size[0], channels)
    except Exception as error:  # damaged bytes make decoders raise nearly everything there is
        return " ".join(str(error).split())[:100] or type(error).__name__
