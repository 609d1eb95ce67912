"""All that is made from the records of a folder: `README.md`, `index.html` and the cards, and whether it is current."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from uncertainty_suite.errors import InputError
from uncertainty_suite.leaderboard import cards, insertion, published
from uncertainty_suite.leaderboard.page import page
from uncertainty_suite.leaderboard.records import Record, find_runs, safe
from uncertainty_suite.leaderboard.rendering import escape_markdown
from uncertainty_suite.leaderboard.tables import tables
from uncertainty_suite.leaderboard.writing import write

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
## {task}
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


def generated(records: Sequence[Record], folder: str | Path) -> dict[Path, str]:
    """Return what is made from records, `published.json` and each task's `about.txt`, by its path.

    The same files give the same bytes, whatever was there before.
    """
    folder = Path(folder)
    readme = folder / "README.md"
    others = published.read(folder)
    text = _README
    found = tables(records)
    for metric in dict.fromkeys(table.inside(loss) for table in found for loss in (table.loss, table.calibrated_loss)):
        if any(metric in table.metrics for table in found):
            text += _RANKS.format(metric=metric)
    about = abouts(folder, records)
    for task in sorted(about):
        if not re.search(r"\s", task):  # which no marker can name
            text += _SECTION.format(task=task, about=about[task] and f"\n{escape_markdown(about[task])}\n")
            if any(entry["task"] == task for entry in others):
                text += _PUBLISHED.format(task=task)
    return {
        readme: insertion.inserted(readme, text, records, others),
        folder / "index.html": page(records, others, about),
        **{folder / name: card for name, card in cards.cards(records).items()},
    }


def abouts(folder: str | Path, records: Iterable[Record]) -> dict[str, str]:
    """Return for each task what somebody wrote in its `about.txt`, a paragraph for its readers; empty if nobody did.

    Raises:
        InputError: Such a file cannot be read.
    """
    found = {}
    for task in {record.task for record in records}:
        path = Path(folder) / safe(task) / "about.txt"
        try:
            found[task] = " ".join(path.read_text(encoding="utf-8").split()) if path.exists() else ""
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: not a text ({error})") from error
    return found


def build(records: Sequence[Record], folder: str | Path, files: Iterable[str | Path] = ()) -> list[Path]:
    """Make everything again, and the tables in further files; return the paths that changed."""
    texts = generated(records, folder)
    changed = [path for path, text in texts.items() if not _is(path, text)]
    for path in changed:
        write(path, texts[path])
    for path in cards.stale(folder, texts):
        path.unlink()
        changed.append(path)
    return changed + insertion.update(files, records, published.read(folder))


def check(records: Sequence[Record], folder: str | Path, files: Iterable[str | Path] = ()) -> list[str]:
    """Return a line for each file that is not what `build` would make, and for each that belongs to no record."""
    texts = generated(records, folder)
    problems = [f"not current: {path}" for path, text in texts.items() if not _is(path, text)]
    problems += [f"of no record: {path}" for path in cards.stale(folder, texts)]
    known = {path.resolve() for path in find_runs([folder])}
    known |= {path.with_suffix(".npz") for path in known}
    strangers = [path for path in sorted(Path(folder).glob("*/*")) if path.suffix in (".json", ".npz")]
    problems += [f"of no record: {path}" for path in strangers if path.resolve() not in known]
    try:
        insertion.check(files, records, published.read(folder))
    except InputError as error:
        problems.append(str(error))
    return problems


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()
