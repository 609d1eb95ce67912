"""Tables between the markers of a Markdown file, and the check that they are current.

<!-- leaderboard: digits -->                          the headline metrics of a task
<!-- end -->

<!-- leaderboard: digits test/nll,ood/*/auroc -->     these metrics
<!-- end -->

<!-- ranks: test/nll -->                              average ranks over all tasks
<!-- end -->

<!-- published: cifar10 -->                           what others published on a task
<!-- end -->

<!-- cards: digits -->                                links to a task's cards, from the folder of the records
<!-- end -->
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.files import read_text
from uncertainty_suite.leaderboard import cards, published
from uncertainty_suite.leaderboard.analysis import Analysis, Ranking, rank
from uncertainty_suite.leaderboard.published import Entry
from uncertainty_suite.leaderboard.records import Record
from uncertainty_suite.leaderboard.rendering import escape_markdown, markdown_table, note
from uncertainty_suite.leaderboard.tables import Table, select, tables
from uncertainty_suite.leaderboard.writing import write

_MARKER = re.compile(
    r"^(<!-- (leaderboard|ranks|published|cards): (\S+)(?: (\S+))? -->)$(.*?)^(<!-- end -->)$", re.M | re.S
)
_START = re.compile(r"^<!-- (?:leaderboard|ranks|published|cards): .*-->$", re.M)


def update(files: Iterable[str | Path], records: Iterable[Record], others: Iterable[Entry] = ()) -> list[Path]:
    """Write the tables between the markers of some files; return the files that changed.

    Args:
        files: Markdown files with markers.
        records: What `read_records` returned.
        others: What others published, as `published.read` returns it.
    """
    records = list(records)
    changed = []
    for path in map(Path, files):
        text = _read(path)
        new = _inserted(path, text, records, others)
        if new != text:
            write(Path(os.path.realpath(path)), new)  # what a link leads to, so that it stays one
            changed.append(path)
    return changed


def check(files: Iterable[str | Path], records: Iterable[Record], others: Iterable[Entry] = ()) -> None:
    """Refuse files whose tables are not those of the records.

    Raises:
        InputError: Names the files.
    """
    records = list(records)
    stale = [str(path) for path in map(Path, files) if _inserted(path, text := _read(path), records, others) != text]
    if stale:
        raise InputError(f"Not current: {', '.join(stale)}. Give the same command with --update.")


def _inserted(path: Path, text: str, records: Iterable[Record], others: Iterable[Entry]) -> str:
    """Return a file's text with the tables between its markers, and with the line ends that it has."""
    end = "\r\n" if "\r\n" in text else "\n"
    return inserted(path, text.replace(end, "\n"), records, others).replace("\n", end)


def inserted(path: Path, text: str, records: Iterable[Record], others: Iterable[Entry] = ()) -> str:
    """Return a text with the tables between its markers.

    Raises:
        InputError: There is no marker, or one has no end, or names no task or metric of the records.
    """
    found = {table.task: table for table in tables(records)}

    def replace(match: re.Match) -> str:
        start, kind, name, patterns, _, end = match.groups()
        if kind == "ranks":
            content = _ranks(name, list(found.values()))
        elif kind == "cards":
            content = _cards(name, found)
        elif kind == "published":
            content = published.markdown_table([entry for entry in others if entry["task"] == name])
        else:
            content = _table(name, patterns, found)
        return f"{start}\n\n{content}\n{end}"

    matches = list(_MARKER.finditer(text))
    inner = any(_START.search(match[5]) for match in matches)
    if inner or len(matches) != len(_START.findall(text)):
        raise InputError(f"{path}: a marker <!-- leaderboard: TASK --> has no <!-- end -->.")
    if not matches:
        raise InputError(f"{path}: has no marker <!-- leaderboard: TASK -->.")
    return _MARKER.sub(replace, text)


def ranks_table(ranking: Ranking) -> str:
    """Return average ranks as Markdown: the critical-difference diagram in words."""
    lines = "".join(
        f"| {escape_markdown(method)} | {mean:.2f} |\n" for method, mean in zip(ranking.methods, ranking.ranks)
    )
    groups = "; ".join(", ".join(map(escape_markdown, group)) for group in ranking.groups) or "none"
    tasks = ", ".join(map(escape_markdown, ranking.tasks))
    return (
        f"| method | average rank by {escape_markdown(ranking.metric)} |\n| --- | ---: |\n{lines}\n"
        f"Over {len(ranking.tasks)} tasks ({tasks}). Critical difference {ranking.critical_difference:.2f} "
        f"(Nemenyi, 5 %); Friedman p = {ranking.friedman_p:.2g}. Not told apart: {groups}.\n"
    )


def _table(task: str, patterns: str | None, found: dict[str, Table]) -> str:
    if task not in found:
        raise unknown_name("task", task, found)
    (table,) = select([found[task]], patterns, headline=True)
    analysis = Analysis(table)
    return f"{markdown_table(analysis)}\n{note([analysis])}"


def _cards(task: str, found: dict[str, Table]) -> str:
    if task not in found:
        raise unknown_name("task", task, found)
    paths = cards.paths(found.values())[task]
    return "Cards: " + ", ".join(f"[{escape_markdown(Path(path).stem)}]({path})" for path in paths) + "\n"


def _ranks(metric: str, found: list[Table]) -> str:
    ranking = rank(found, metric)
    return ranks_table(ranking) if ranking else f"Fewer than two tasks or methods have {escape_markdown(metric)}.\n"


def _read(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else reason
        raise InputError(f"{path}: {reason}") from error
