"""Results that others published: `leaderboards/published.json`, typed from their source, shown apart from ours.

A list of objects with `task`, `method`, `model`, `source` (where the numbers stand) and `metrics` (named as ours):

    [{"task": "cifar10", "method": "SNGP", "model": "WRN 28-10", "source": "...", "metrics": {"test/accuracy": 0.96}}]
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from uncertainty_suite.errors import InputError
from uncertainty_suite.files import parse_json, read_text
from uncertainty_suite.leaderboard import fields
from uncertainty_suite.leaderboard.rendering import escape_markdown

Entry = dict[str, Any]

_MOST_BYTES = 2**22


def read(folder: str | Path, problems: list[str] | None = None) -> list[Entry]:
    """Return the entries of a folder's `published.json`, with their known fields; none if there is no such file.

    Args:
        folder: Of the records.
        problems: A line is added to it for each entry that is damaged and left out, or for the file.
    """
    path = Path(folder) / "published.json"
    problems = [] if problems is None else problems
    if not os.path.lexists(path):
        return []
    try:
        # `parse_json` takes an object, and this is a list.
        content = parse_json(f'{{"entries": {read_text(path, folder, _MOST_BYTES)}}}')["entries"]
        if not isinstance(content, list):
            raise ValueError("it is no list of entries")
    except (OSError, ValueError) as error:
        problems.append(f"left out: {path}: {error.strerror if isinstance(error, OSError) else error}")
        return []
    entries = []
    for i, entry in enumerate(content):
        try:
            entries.append(fields.published(f"[{i}]", entry))
        except InputError as error:
            problems.append(f"left out: {path}: {error}")
    return entries


def markdown_table(entries: Sequence[Entry]) -> str:
    """Return entries as a Markdown table under a sentence that says what they are."""
    if not entries:
        return "Nothing.\n"
    names = list(dict.fromkeys(name for entry in entries for name in entry["metrics"]))
    lines = [["method", "model", *names, "source"], ["---", "---", *["---:"] * len(names), "---"]]
    for entry in entries:
        values = [str(entry["metrics"].get(name, "—")) for name in names]
        lines.append([entry["method"], entry["model"], *values, entry["source"]])
    rows = [lines[0], *lines[2:]]
    rows = [[escape_markdown(cell) for cell in row] for row in rows]
    rows.insert(1, lines[1])
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return (
        "*Published elsewhere*, not run by us, and not comparable with records of ours: other architectures, training "
        f"or data.\n\n{table}"
    )
