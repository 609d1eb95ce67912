"""Results that others published: `leaderboards/published.json`, typed from their source, shown apart from ours.

A list of objects with `task`, `method`, `model`, `source` (where the numbers stand) and `metrics` (named as ours):

    [{"task": "cifar10", "method": "SNGP", "model": "WRN 28-10", "source": "...", "metrics": {"test/accuracy": 0.96}}]
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from uncertainty_suite.errors import InputError
from uncertainty_suite.leaderboard.rendering import escape_markdown

Entry = dict[str, Any]

_TEXTS = ("task", "method", "model", "source")


def read(folder: str | Path) -> list[Entry]:
    """Return the entries of a folder's `published.json`, none if there is no such file.

    Raises:
        InputError: The file is damaged.
    """
    path = Path(folder) / "published.json"
    if not path.is_file():
        return []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not JSON ({error})") from error
    if not (isinstance(entries, list) and all(map(_is_entry, entries))):
        raise InputError(f"{path}: expected a list of objects with {', '.join(_TEXTS)} (texts) and metrics (numbers)")
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
        "*Published elsewhere*, not run by us, and not comparable with the table above: other architectures, training "
        f"or data.\n\n{table}"
    )


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and all(isinstance(entry.get(name), str) and entry[name].isprintable() for name in _TEXTS)
        and isinstance(entry.get("metrics"), dict)
        and all(type(value) in (int, float) and math.isfinite(value) for value in entry["metrics"].values())
    )
