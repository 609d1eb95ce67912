"""All that is made from the records of a folder: `README.md`, `index.html` and the cards, and whether it is current."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from uncertainty_suite.errors import InputError
from uncertainty_suite.files import write_atomic
from uncertainty_suite.leaderboard import cards, insertion, published
from uncertainty_suite.leaderboard.page import page
from uncertainty_suite.leaderboard.records import Record, find_runs

_README = """\
# Leaderboards

Every number here is made from the records in this folder by `python -m uncertainty_suite.leaderboard build`, and \
every record was computed anew from its run's predictions when it was added. `index.html` shows the same with \
intervals, figures, configurations and commands: download it and open it, it needs no network. `docs/leaderboard.md` \
explains the statistics.

## Average ranks

<!-- ranks: test/nll -->
<!-- end -->
"""
_SECTION = """
## {task}

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
    """Return what is made from records, by its path: the same records give the same bytes.

    What stands in `README.md` outside its markers is kept; it is begun if it is not there, and gets a section for each
    task that has none.
    """
    folder = Path(folder)
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else _README
    others = published.read(folder)
    all_cards = cards.cards(records)
    for task in sorted({record.task for record in records}):
        if not re.search(rf"<!-- leaderboard: {re.escape(task)}( .*)?-->", text) and not re.search(r"\s", task):
            text += _SECTION.format(task=task)
            if any(entry["task"] == task for entry in others):
                text += _PUBLISHED.format(task=task)
    return {
        readme: insertion.inserted(readme, text, records, others),
        folder / "index.html": page(records, others),
        **{folder / name: card for name, card in all_cards.items()},
    }


def build(records: Sequence[Record], folder: str | Path, files: Iterable[str | Path] = ()) -> list[Path]:
    """Make everything again, and the tables in further files; return the paths that changed."""
    texts = generated(records, folder)
    changed = [path for path, text in texts.items() if not _is(path, text)]
    for path in changed:
        write_atomic(path, lambda file, path=path: file.write(texts[path].encode()))
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
