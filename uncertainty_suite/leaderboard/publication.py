"""All that is made from the records of a folder: `README.md`, `index.html` and the cards, and whether it is current."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from uncertainty_suite.errors import InputError
from uncertainty_suite.files import read_text
from uncertainty_suite.leaderboard import cards, insertion, published
from uncertainty_suite.leaderboard.fields import printable
from uncertainty_suite.leaderboard.page import page
from uncertainty_suite.leaderboard.published import Entry
from uncertainty_suite.leaderboard.records import Record, find_runs, safe
from uncertainty_suite.leaderboard.rendering import escape_markdown
from uncertainty_suite.leaderboard.tables import tables
from uncertainty_suite.leaderboard.writing import write

_MOST_BYTES = 10_000  # of what is written about a task

_README = """\
# Leaderboards

Every number here is made from the records in this folder by `python -m uncertainty_suite.leaderboard build`, and \
every record was computed anew from its run's predictions when it was added. `index.html` shows the same with \
intervals, figures, configurations and commands: download it and open it, it needs no network. `docs/leaderboard.md` \
explains the statistics.

## Average ranks
"""
_RANKS = """
<!-- ranks: {metric} -->
<!-- end -->
"""
_SECTION = """
## {name}
{about}
<!-- leaderboard: {task} -->
<!-- end -->

<!-- cards: {task} -->
<!-- end -->
"""
_PUBLISHED = """
<!-- published: {task} -->
<!-- end -->
"""


def generated(
    records: Sequence[Record], folder: str | Path, others: Sequence[Entry], about: Mapping[str, str]
) -> dict[Path, str]:
    """Return what is made from records, from what others published and from what is written about tasks, by its path.

    The same files give the same bytes, whatever was there before.
    """
    folder = Path(folder)
    readme = folder / "README.md"
    text = _README
    found = tables(records)
    for metric in dict.fromkeys(table.inside(loss) for table in found for loss in (table.loss, table.calibrated_loss)):
        if any(metric in table.metrics for table in found):
            text += _RANKS.format(metric=metric)
    for task in sorted(about):
        text += _SECTION.format(
            task=task, name=escape_markdown(task), about=about[task] and f"\n{escape_markdown(about[task])}\n"
        )
        if any(entry["task"] == task for entry in others):
            text += _PUBLISHED.format(task=task)
    return {
        readme: insertion.inserted(readme, text, records, others),
        folder / "index.html": page(records, others, about),
        **{folder / name: card for name, card in cards.cards(records).items()},
    }


def abouts(folder: str | Path, records: Iterable[Record], problems: list[str] | None = None) -> dict[str, str]:
    """Return for each task what somebody wrote in its `about.txt`, a paragraph for its readers; empty if nobody did.

    Args:
        folder: Of the records.
        records: What is in it.
        problems: A line is added to it for each file that is no text, or leads out of the folder.
    """
    found = {}
    problems = [] if problems is None else problems
    for task in sorted({record.task for record in records}):
        path = Path(folder) / safe(task) / "about.txt"
        found[task] = ""
        if os.path.lexists(path):
            try:
                found[task] = printable(" ".join(read_text(path, folder, _MOST_BYTES).split()))
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                problems.append(f"left out: {path}: not a text ({reason})")
    return found


def build(
    records: Sequence[Record], folder: str | Path, files: Iterable[str | Path] = (), problems: list[str] | None = None
) -> list[Path]:
    """Make everything again, and the tables in further files; return the paths that changed.

    Args:
        records: What is in the folder.
        folder: Of the records.
        files: Further files, with markers.
        problems: A line is added to it for what cannot be read and is left out.
    """
    others = published.read(folder, problems)
    texts = generated(records, folder, others, abouts(folder, records, problems))
    changed = [path for path, text in texts.items() if not _is(path, text)]
    for path in changed:
        write(path, texts[path], Path(folder))
    for path in cards.stale(folder, texts):
        path.unlink()
        changed.append(path)
    return changed + insertion.update(files, records, others)


def check(records: Sequence[Record], folder: str | Path, files: Iterable[str | Path] = ()) -> list[str]:
    """Return a line for each file that is not what `build` would make, and for each that belongs to no record."""
    problems: list[str] = []
    others = published.read(folder, problems)
    texts = generated(records, folder, others, abouts(folder, records, problems))
    problems += [f"not current: {path}" for path, text in texts.items() if not _is(path, text)]
    problems += [f"of no record: {path}" for path in cards.stale(folder, texts)]
    known = {Path(os.path.realpath(path)) for path in find_runs([folder])}
    known |= {path.with_suffix(".npz") for path in known}
    strangers = [path for path in sorted(Path(folder).glob("*/*")) if path.suffix in (".json", ".npz")]
    problems += [f"of no record: {path}" for path in strangers if Path(os.path.realpath(path)) not in known]
    try:
        insertion.check(files, records, others)
    except InputError as error:
        problems.append(str(error))
    return problems


def _is(path: Path, text: str) -> bool:
    data = text.encode()
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data
