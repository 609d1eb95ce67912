"""Tables: CSV files as vectors of numbers and labels, or as texts and labels, and data sets made of one's own.

What is wrong with a file is said with the line where it stands, before anything is trained. What is learnt from the
rows (the categories of a column, the mean that fills a gap, the names of classes) is learnt from those of the split
`train`, of which validation is a part, as are the statistics that features are standardised with.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import math
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from absl import logging

from uncertainty_suite.datasets import own
from uncertainty_suite.datasets.forms import Vectors
from uncertainty_suite.datasets.sources import CATEGORICAL, GAUSSIAN, Source
from uncertainty_suite.datasets.texts import from_texts
from uncertainty_suite.errors import InputError, unknown_name

NOTHING = ("", "?", "na", "n/a", "nan", "null", "none")  # cells without a value unless it is said which, in any case
MISSING = ("refuse", "drop", "fill")  # what is done about them
_FEW_CLASSES = 20  # so many may be as good as one for each example
_NUMBERS = "If it is a number, give likelihood='gaussian'."
_DELIMITERS = {";": "';'", "\t": "'\\t'", ",": "','", "|": "'|'"}


class Rows(NamedTuple):
    """Rows of a CSV file, as text.

    Attributes:
        path: The file, for messages.
        header: Names of the columns.
        cells: A list of texts, one for each column, for each row.
        lines: The line of the file, from 1, in which each row begins.
        numbers: Which row of the file each is, from 0.
    """

    path: str
    header: list[str]
    cells: list[list[str]]
    lines: list[int]
    numbers: list[int]

    def column(self, name: str) -> list[str]:
        """Return the cells of a column."""
        index = self.header.index(name)
        return [row[index] for row in self.cells]

    def chosen(self, which: Sequence[bool] | np.ndarray) -> Rows:
        """Return the rows for which it is true."""
        index = np.flatnonzero(which)
        return self._replace(
            cells=[self.cells[i] for i in index],
            lines=[self.lines[i] for i in index],
            numbers=[self.numbers[i] for i in index],
        )


def read_rows(
    path: str | os.PathLike,
    what: str,
    delimiter: str = ",",
    encoding: str = "utf-8",
    columns: Sequence[str] | None = None,
    quoted: bool = True,
) -> Rows:
    """Return the rows of a CSV file; empty lines are none, and blanks around a cell are not part of it.

    Args:
        path: The file.
        what: What it is for, for messages: `"Data set 'houses'"`.
        delimiter: What stands between two cells.
        encoding: Of the file.
        columns: Names of the columns of a file without a header.
        quoted: Whether quotation marks around a cell are not part of it.

    Raises:
        InputError: It cannot be read, or has no rows, or a column has no name or one that another has, or a row has
            more or fewer cells than there are columns.
    """
    if not isinstance(delimiter, str) or len(delimiter) != 1:
        raise InputError(f"{what}: delimiter is {delimiter!r}; expected one character.")
    csv.field_size_limit(2**31 - 1)  # of a cell, whose limit is 131,072 characters unless it is raised
    reader = csv.reader(
        io.StringIO(own.read_text(path, encoding, what), newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        skipinitialspace=delimiter != "\t",
        strict=True,
    )
    cells, lines = ([], []) if columns is None else ([list(columns)], [0])
    start = 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                cells.append([cell.strip() for cell in row])
                lines.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{what}: {path}, the row that begins in line {start} is no CSV ({error}). Within quotation marks, write "
            "two of them for one."
        ) from error
    header = cells[0]
    if columns is not None and len(cells) > 1 and cells[1] == header:
        raise InputError(f"{what}: {path} has the header {', '.join(header)}. Leave columns=... out.")
    hint = ""
    if len(header) == 1:
        found = [spelled for other, spelled in _DELIMITERS.items() if other in header[0] and other != delimiter]
        hint = f" Its cells seem to be separated otherwise: give delimiter={found[0]}." if found else ""
    if hint:
        raise InputError(f"{what}: {path} has one column, '{header[0][:60]}'.{hint}")
    if "" in header:
        raise InputError(f"{what}: column {1 + header.index('')} of {path} has no name in the header.")
    twice = [name for index, name in enumerate(header) if name in header[:index]]
    if twice:
        raise InputError(f"{what}: {path} has two columns named '{twice[0]}'. Rename or remove one.")
    if len(cells) == 1:
        raise InputError(f"{what}: {path} has a header and no rows.")
    for row, line in zip(cells, lines):
        if len(row) != len(header):
            spelled = _DELIMITERS.get(delimiter, repr(delimiter))
            advice = f"Write {', '.join(header)[:200]}, with {spelled} between them."
            if len(row) > len(header) and quoted:
                advice = f"A cell that holds {spelled} has to stand in quotation marks."
            raise InputError(
                f"{what}: {path}, line {line}, has {len(row)} {'cell' if len(row) == 1 else 'cells'}, and there are "
                f"{len(header)} columns. {advice}"
            )
    return Rows(str(path), header, cells[1:], lines[1:], list(range(len(cells) - 1)))


@dataclasses.dataclass(frozen=True)
class Columns:
    """What the columns of a table are: the target, and features, which are numbers unless they are named here.

    Attributes:
        target: The column of the label.
        likelihood: What a label is: `"categorical"`, the name of a class, or `"gaussian"`, a number.
        categorical: Features whose cells are names; see `from_csv`.
        ignore: Columns that are no features.
        missing: What is done about cells without a value, one of `MISSING`; see `from_csv`.
        missing_values: Cells that are without a value, in whatever case; an empty one always is.
    """

    target: str
    likelihood: str = CATEGORICAL
    categorical: Sequence[str] = ()
    ignore: Sequence[str] = ()
    missing: str = "refuse"
    missing_values: Sequence[str] = NOTHING

    @functools.cached_property
    def _missing(self) -> frozenset[str]:
        return frozenset(value.casefold() for value in ("", *self.missing_values))

    def is_missing(self, cell: str) -> bool:
        """Return whether a cell is without a value."""
        return cell.casefold() in self._missing


class Encoded(NamedTuple):
    """A table in numbers.

    Attributes:
        splits: Of each split the features, float64 `[n, size]`, the labels `[n]`, and the rows' numbers in their file,
            int64 `[n]`.
        form: What a model receives; the numbers stand before the categories.
        classes: Names of the classes; none where labels are numbers.
    """

    splits: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]
    form: Vectors
    classes: list[str]


def encode(name: str, tables: Mapping[str, Rows], columns: Columns, ood: Sequence[str] = ()) -> Encoded:
    """Return tables in numbers.

    Args:
        name: Of the data set, for messages.
        tables: The rows of each split.
        columns: What the columns are.
        ood: Splits whose examples belong to no class, so that their target is not looked at.

    Raises:
        InputError: A column is missing, a cell is no number or has no value, or a class has no training example.
    """
    what = f"Data set '{name}'"
    header = tables["train"].header
    features = _features(name, tables["train"], columns)
    numeric = [column for column in features if column not in columns.categorical]
    needed = {
        split: features if split in ood and columns.likelihood == CATEGORICAL else [*features, columns.target]
        for split in tables
    }
    for split, rows in tables.items():
        for column in needed[split]:
            if column not in rows.header:
                raise InputError(f"{what}: {rows.path} has no column '{column}', which {tables['train'].path} has.")
        if more := [column for column in rows.header if column not in header]:
            raise InputError(
                f"{what}: {rows.path} has a column '{more[0]}', which {tables['train'].path} lacks. Remove it."
            )
    tables = {split: _without_gaps(what, rows, needed[split], columns) for split, rows in tables.items()}
    numbers = {split: _numbers(what, rows, numeric, columns) for split, rows in tables.items()}
    if columns.missing == "fill":
        empty = np.isnan(numbers["train"]).all(axis=0)
        if empty.any():
            raise InputError(
                f"{what}: column '{numeric[empty.argmax()]}' has no value in train, so no mean. Ignore it."
            )
        means = np.nanmean(numbers["train"], axis=0)
        numbers = {split: np.where(np.isnan(values), means, values) for split, values in numbers.items()}
    categories = {
        column: sorted({_category(cell, columns) for cell in tables["train"].column(column)})
        for column in columns.categorical
    }
    classes: list[str] = []
    if columns.likelihood == CATEGORICAL:
        classes = _classes(name, tables["train"].column(columns.target), columns.target)
    splits = {}
    for split, rows in tables.items():
        indicators = [_indicators(rows.column(column), known, columns) for column, known in categories.items()]
        if columns.likelihood == GAUSSIAN:
            labels = _numbers(what, rows, [columns.target], columns)[:, 0]
        elif split in ood:
            labels = np.full(len(rows.cells), -1)
        else:
            labels = _class_numbers(name, rows, columns.target, classes)
        splits[split] = np.concatenate([numbers[split], *indicators], axis=1), labels, np.array(rows.numbers, np.int64)
    num_indicators = sum(map(len, categories.values()))
    return Encoded(splits, Vectors(len(numeric) + num_indicators, indicators=num_indicators), classes)


def _features(name: str, rows: Rows, columns: Columns) -> list[str]:
    """Return the columns that are features, categorical ones last; refuse what contradicts the header or itself."""
    what = f"Data set '{name}'"
    if columns.missing not in MISSING:
        raise unknown_name(f"value of missing of data set '{name}'", columns.missing, MISSING)
    if columns.likelihood not in (CATEGORICAL, GAUSSIAN):
        raise unknown_name(f"likelihood of data set '{name}'", columns.likelihood, (CATEGORICAL, GAUSSIAN))
    for option, of in (
        ("categorical", "names of columns"),
        ("ignore", "names of columns"),
        ("missing_values", "cells"),
    ):
        if isinstance(getattr(columns, option), str):
            raise InputError(f"{what}: {option} is {getattr(columns, option)!r}; expected a tuple of {of}.")
    no_features = (columns.target, *columns.ignore)
    for column in (*no_features, *columns.categorical):
        if column not in rows.header:
            raise unknown_name(f"column of {rows.path}", column, rows.header)
    for column in columns.categorical:
        if column in no_features:
            raise InputError(f"{what}: column '{column}' is categorical, and the target or ignored. Name it once.")
    features = [column for column in rows.header if column not in (*no_features, *columns.categorical)]
    if not features and not columns.categorical:
        raise InputError(f"{what}: {rows.path} has no column beside its target that is a feature.")
    return [*features, *columns.categorical]


def _category(cell: str, columns: Columns) -> str:
    return "" if columns.is_missing(cell) else cell


def _indicators(cells: Sequence[str], known: Sequence[str], columns: Columns) -> np.ndarray:
    """Return which category each cell is, float64 `[n, categories]`; one that is not known is none of them."""
    number_of = {category: number for number, category in enumerate(known)}
    numbers = [number_of.get(_category(cell, columns), len(known)) for cell in cells]
    return np.eye(len(known) + 1)[numbers, :-1]


def _without_gaps(what: str, rows: Rows, needed: Sequence[str], columns: Columns) -> Rows:
    """Return the rows that are kept; refuse those that lack a value where that is not allowed."""
    places = [rows.header.index(column) for column in needed]
    target = rows.header.index(columns.target) if columns.target in needed else None
    lacking = [[place for place in places if columns.is_missing(row[place])] for row in rows.cells]
    doubt = "" if target is None or columns.likelihood != CATEGORICAL else _doubt(rows, columns)
    if columns.missing == "drop":
        if all(lacking):
            raise InputError(f"{what}: every row of {rows.path} lacks a value, so missing='drop' leaves none.{doubt}")
        if any(lacking):
            number = sum(map(bool, lacking))
            logging.warning(
                "%s: %d of %d rows of %s lack a value and are left out.%s", what, number, len(lacking), rows.path, doubt
            )
        return rows.chosen([not found for found in lacking])
    if columns.missing == "fill":
        lacking = [[place for place in found if place == target] for found in lacking]
    lines = [str(line) for line, found in zip(rows.lines, lacking) if found]
    if lines:
        first = rows.header[next(found[0] for found in lacking if found)]
        listed = ", ".join(lines[:5]) + (f" and {len(lines) - 5} more" if len(lines) > 5 else "")
        ways = "missing='drop' to leave such rows out"
        if not any(target in found for found in lacking):  # a target is never filled
            ways += ", or missing='fill' for the mean of the training rows"
        raise InputError(
            f"{what}: {rows.path} lacks values in line {listed} (the first in column '{first}'). Fill them in, or give "
            f"{ways}.{doubt}"
        )
    return rows


def _doubt(rows: Rows, columns: Columns) -> str:
    """Return what is said where a word of the target counts as no value and may be meant as a class."""
    words = sorted({cell for cell in rows.column(columns.target) if cell and columns.is_missing(cell)})
    if not words:
        return ""
    return (
        f" '{words[0]}' in column '{columns.target}' counts as no value; if it is a class, give the cells that have "
        "none, as missing_values=('', '?')."
    )


def _numbers(what: str, rows: Rows, numeric: Sequence[str], columns: Columns) -> np.ndarray:
    """Return the numbers in some columns, float64 `[n, columns]`, NaN where there is no value."""
    values = np.full((len(rows.cells), len(numeric)), np.nan)
    wrong: dict[str, tuple[str, int]] = {}  # of a column the first such cell and its line
    for index, column in enumerate(numeric):
        for row, (cell, line) in enumerate(zip(rows.column(column), rows.lines)):
            if columns.is_missing(cell):
                continue
            number = _number(cell)
            if not math.isfinite(number):
                wrong[column] = cell, line
                break
            values[row, index] = number
    if wrong:
        places = [f"{cell[:40]!r} in column '{column}' (line {line})" for column, (cell, line) in wrong.items()]
        listed = ", ".join(places[:3]) + (f" and {len(places) - 3} more" if len(places) > 3 else "")
        advice = "Mend it, or name the column in categorical=(...) or ignore=(...)."
        if list(numeric) == [columns.target]:
            advice = "Mend it; or, if it is the name of a class, leave likelihood='gaussian' out."
        if any(math.isfinite(_number(cell.replace(",", ".", 1))) for cell, _ in wrong.values()):
            advice = "Write decimal points in place of commas."
        raise InputError(f"{what}: {rows.path} has what is no number: {listed}. {advice}")
    return values


def _number(cell: str) -> float:
    """Return the number in a cell, NaN if it is none; Python reads 1_000, and hardly anybody writes it."""
    try:
        return float(cell) if "_" not in cell else math.nan
    except ValueError:
        return math.nan


def _classes(name: str, labels: Sequence[str], target: str, advice: str = _NUMBERS) -> list[str]:
    classes = own.class_names(name, labels)
    if len(classes) > max(_FEW_CLASSES, len(labels) / 2):
        raise InputError(
            f"Data set '{name}': the target '{target}' has {len(classes)} different values in {len(labels)} "
            f"training rows, too many for classes. {advice}"
        )
    return classes


def _class_numbers(name: str, rows: Rows, target: str, classes: Sequence[str]) -> np.ndarray:
    number_of = {label: number for number, label in enumerate(classes)}
    labels = rows.column(target)
    for label, line in zip(labels, rows.lines):
        if label not in number_of:
            raise own.unknown_class(name, label, f"line {line} of {rows.path}", classes)
    return np.array([number_of[label] for label in labels])


def from_csv(
    name: str,
    files: str | os.PathLike | Mapping[str, str | os.PathLike],
    target: str,
    likelihood: str = CATEGORICAL,
    categorical: Sequence[str] = (),
    ignore: Sequence[str] = (),
    missing: str = "refuse",
    missing_values: Sequence[str] = NOTHING,
    ood: Mapping[str, str | os.PathLike] | None = None,
    test_percent: float = own.TEST_PERCENT,
    seed: int = 0,
    delimiter: str = ",",
    encoding: str = "utf-8",
) -> Source:
    """Return a data set made of CSV files with a header; they are read now.

    Features are standardised with the training rows, but for categories, which are 0 or 1. Classes are numbered in the
    order of their names, whole numbers in their own. An element id is the number of the row in its file, from 0.

    Args:
        name: Its name in `datasets.get`.
        files: One file; or those of the splits by their names, `train` and others. Without one of `test` a share of the
            rows of `train` is the test split; of classes it is a share of each.
        target: The column of the label.
        likelihood: What a label is: `"categorical"`, the name of a class, or `"gaussian"`, a number.
        categorical: Columns whose cells are names; the others are numbers. A feature is made of each name that train
            has, 1 where it is the cell and else 0; cells that train does not have are 0 in all.
        ignore: Columns that are no features.
        missing: What is done about cells without a value: they are `"refuse"`d; their rows are left out, `"drop"`; or
            they are `"fill"`ed in with the mean of the training rows, in categorical columns as a category of its own.
        missing_values: Cells that are without a value, in whatever case, beside empty ones.
        ood: Files of further splits, whose examples belong to no class. Of regressions they have targets.
        test_percent: The share of the test split, where it has no file.
        seed: Decides which rows these are.
        delimiter: What stands between two cells.
        encoding: Of the files.

    Raises:
        InputError: A file cannot be read, or a cell or column is not what it has to be; the message names the line.

    Example:
        >>> datasets.register(datasets.from_csv("houses", "houses.csv", "price", "gaussian", categorical=("city",)))
        >>> datasets.get("houses", "test")
    """
    what = f"Data set '{name}'"
    paths = own.by_split(name, files, ood)
    tables = {split: read_rows(path, what, delimiter, encoding) for split, path in paths.items()}
    columns = Columns(target, likelihood, categorical, ignore, missing, missing_values)
    if "test" not in tables:
        tables = {**tables, **_cut(name, tables["train"], columns, test_percent, seed)}
    encoded = encode(name, tables, columns, tuple(ood or ()))
    return Source(
        name=name,
        splits=tuple(encoded.splits),
        form=encoded.form,
        likelihood=likelihood,
        num_classes=len(encoded.classes),
        read=lambda split, data_dir: encoded.splits[split],
        standardised=True,
        identified=True,
    )


def _cut(name: str, rows: Rows, columns: Columns, test_percent: float, seed: int) -> dict[str, Rows]:
    """Return the rows of train and test."""
    groups = [""] * len(rows.cells)
    if columns.likelihood == CATEGORICAL and columns.target in rows.header:
        groups = rows.column(columns.target)
        _classes(name, groups, columns.target)  # refuses what cannot be shared out
    is_test = own.cut(name, list(map(str, rows.numbers)), groups, test_percent, seed)
    return {"train": rows.chosen(~is_test), "test": rows.chosen(is_test)}


def from_text_csv(
    name: str,
    files: str | os.PathLike | Mapping[str, str | os.PathLike],
    text: str = "text",
    label: str = "label",
    ood: Mapping[str, str | os.PathLike] | None = None,
    length: int = 64,
    vocabulary_size: int = 10_000,
    test_percent: float = own.TEST_PERCENT,
    seed: int = 0,
    delimiter: str = ",",
    encoding: str = "utf-8",
    columns: Sequence[str] | None = None,
    quoted: bool = True,
) -> Source:
    """Return a data set of texts and their classes in CSV files; they are read now.

    Texts become token ids by the vocabulary of the training rows, see `from_texts`. Classes, element ids and the test
    split are as those of `from_csv`.

    Args:
        name: Its name in `datasets.get`.
        files: One file; or those of the splits by their names, `train` and others.
        text: The column of the text.
        label: The column of the class.
        ood: Files of further splits, whose examples belong to no class.
        length: Tokens in an example: longer texts are cut off, shorter ones filled up.
        vocabulary_size: The most ids that there are; that of the architecture has to be the same.
        test_percent: The share of the test split, where it has no file.
        seed: Decides which rows these are.
        delimiter: What stands between two cells.
        encoding: Of the files.
        columns: Names of the columns of files without a header.
        quoted: Whether quotation marks around a cell are not part of it.

    Raises:
        InputError: A file cannot be read, or a row lacks its text or class; the message names the line.

    Example:
        >>> datasets.register(datasets.from_text_csv("reviews", "reviews.csv", text="review", label="sentiment"))
        >>> datasets.from_text_csv("sms", "sms.tsv", delimiter="\\t", columns=("label", "text"), quoted=False)
    """
    what = f"Data set '{name}'"
    tables = {
        split: read_rows(path, what, delimiter, encoding, columns, quoted)
        for split, path in own.by_split(name, files, ood).items()
    }
    for split, rows in tables.items():
        for column in (text,) if split in (ood or {}) else (text, label):
            if column not in rows.header:
                error = unknown_name(f"column of {rows.path}", column, rows.header)
                raise InputError(f"{error} If the file has no header, name its columns, as columns=('text', 'label').")
            empty = [line for cell, line in zip(rows.column(column), rows.lines) if not cell]
            if empty:
                raise InputError(
                    f"{what}: {rows.path}, line {empty[0]}, has no {column}. Fill it in, or remove the row."
                )
    mixed_up = f"The text is the column '{text}' and its class '{label}'; name others by text=... and label=..."
    _classes(name, tables["train"].column(label), label, mixed_up)
    if "test" not in tables:
        tables = {**tables, **_cut(name, tables["train"], Columns(label), test_percent, seed)}
    classes = _classes(name, tables["train"].column(label), label, mixed_up)
    splits = {
        split: (
            rows.column(text),
            np.full(len(rows.cells), -1) if split in (ood or {}) else _class_numbers(name, rows, label, classes),
            np.array(rows.numbers, np.int64),
        )
        for split, rows in tables.items()
    }
    return from_texts(
        name,
        lambda split, data_dir: splits[split],
        num_classes=len(classes),
        splits=tuple(splits),
        length=length,
        vocabulary_size=vocabulary_size,
        identified=True,
    )
