"""The leaderboard's command.

    python -m uncertainty_suite.leaderboard RUNS...              tables of run folders or of records
    python -m uncertainty_suite.leaderboard RUNS... --update FILE...   ... between the markers of Markdown files
    python -m uncertainty_suite.leaderboard add RUN...           copy finished runs into leaderboards/
    python -m uncertainty_suite.leaderboard diff RUN_A RUN_B     what differs, with paired intervals
    python -m uncertainty_suite.leaderboard build [FILE...]      make page, cards and README of leaderboards/ again
    python -m uncertainty_suite.leaderboard check [FILE...]      are all records sound and all files current?
    python -m uncertainty_suite.leaderboard page                 leaderboards/index.html alone
    python -m uncertainty_suite.leaderboard cards                leaderboards/<task>/cards/<method>.md alone

A folder of runs that has the name of a command is given as `./add`.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from uncertainty_suite import program
from uncertainty_suite.errors import InputError
from uncertainty_suite.leaderboard.fields import printable
from uncertainty_suite.leaderboard.records import Record, read_all
from uncertainty_suite.leaderboard.rendering import FORMATS, render
from uncertainty_suite.program import Parser


def _parser(command: str, description: str) -> Parser:
    return Parser(
        prog=f"python -m uncertainty_suite.leaderboard {command}".rstrip(),
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _read(paths: Sequence[str | Path], problems: list[str]) -> list[Record]:
    """Read records; what is unfinished is said and forgotten, what is damaged is kept in `problems` too."""
    records, found = read_all(paths)
    _warn(found)
    problems += [problem for problem in found if not problem.startswith("unfinished")]
    return records


def _warn(problems: Iterable[str]) -> None:
    for problem in problems:
        print(printable(problem), file=sys.stderr)


def _say(lines: Iterable[object]) -> None:
    for line in lines:
        print(printable(str(line)))


def _tables(arguments: Sequence[str]) -> int:
    parser = _parser("", __doc__)
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUNS", help="a run folder, a folder above them, or leaderboards/"
    )
    parser.add_argument("--format", choices=FORMATS, default="markdown")
    parser.add_argument(
        "--metrics",
        metavar="PATTERNS",
        help="columns, e.g. 'test/nll,ood/*/auroc' (default: the headline ones for readers, all in csv and json)",
    )
    parser.add_argument(
        "--update", nargs="+", type=Path, metavar="FILE", help="write the tables between the files' markers"
    )
    parser.add_argument(
        "--check", nargs="+", type=Path, metavar="FILE", help="exit with 1 if the files' tables are not current"
    )
    options = parser.parse_args(arguments)
    problems: list[str] = []
    records = _read(options.runs, problems)
    if options.update or options.check:
        from uncertainty_suite.leaderboard import insertion, published

        damaged: list[str] = []
        others = [entry for path in options.runs for entry in published.read(path, damaged)]
        _warn(damaged)
        problems += damaged
        _say(f"updated: {path}" for path in insertion.update(options.update or [], records, others))
        insertion.check(options.check or [], records, others)
    else:
        print(render(records, options.format, options.metrics), end="")
    return int(bool(problems))


def _add(arguments: Sequence[str]) -> int:
    from uncertainty_suite.leaderboard.store import add

    parser = _parser("add", "Check finished runs and copy what a comparison needs of them into the records.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run folder, or a folder above run folders")
    parser.add_argument("--to", default="leaderboards", type=Path, metavar="FOLDER", help="default: leaderboards")
    parser.add_argument("--replace", action="store_true", help="overwrite a record that says something else")
    options = parser.parse_args(arguments)
    _say(add(options.runs, options.to, options.replace))
    return 0


def _diff(arguments: Sequence[str]) -> int:
    from uncertainty_suite.leaderboard.difference import diff

    parser = _parser("diff", "Show what differs between two runs, and each metric's difference with its interval.")
    parser.add_argument("first", type=Path, metavar="RUN_A", help="a run folder, or a record's file")
    parser.add_argument("second", type=Path, metavar="RUN_B")
    options = parser.parse_args(arguments)
    _say(diff(options.first, options.second).removesuffix("\n").split("\n"))
    return 0


def _page(arguments: Sequence[str]) -> int:
    from uncertainty_suite.leaderboard import published
    from uncertainty_suite.leaderboard.page import page
    from uncertainty_suite.leaderboard.publication import abouts
    from uncertainty_suite.leaderboard.writing import write

    parser = _parser("page", "Write the page: one file that opens from disk, without a network.")
    parser.add_argument(
        "folder", nargs="?", default="leaderboards", type=Path, help="of the records; default: leaderboards"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: index.html in that folder")
    options = parser.parse_args(arguments)
    problems: list[str] = []
    damaged: list[str] = []
    records = _read([options.folder], problems)
    text = page(records, published.read(options.folder, damaged), abouts(options.folder, records, damaged))
    _warn(damaged)
    output = Path(options.output or Path(options.folder, "index.html"))
    write(output, text)
    _say([f"{output}: {len(text.encode()) / 1000:,.0f} kB"])
    return int(bool(problems or damaged))


def _cards(arguments: Sequence[str]) -> int:
    from uncertainty_suite.leaderboard.cards import write

    parser = _parser("cards", "Write a Markdown card a method and task.")
    parser.add_argument(
        "folder", nargs="?", default="leaderboards", type=Path, help="of the records; default: leaderboards"
    )
    options = parser.parse_args(arguments)
    problems: list[str] = []
    _say(write(_read([options.folder], problems), options.folder))
    return int(bool(problems))


def _build(arguments: Sequence[str]) -> int:
    from uncertainty_suite.leaderboard.publication import build

    parser = _parser("build", "Make everything that is made from the records again, and the tables in further files.")
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="Markdown files with markers, e.g. README.md"
    )
    parser.add_argument("--folder", default="leaderboards", type=Path, help="of the records; default: leaderboards")
    options = parser.parse_args(arguments)
    problems: list[str] = []
    damaged: list[str] = []
    changed = build(_read([options.folder], problems), options.folder, options.files, damaged)
    _warn(damaged)
    _say(f"updated: {path}" for path in changed)
    return int(bool(problems or damaged))


def _check(arguments: Sequence[str]) -> int:
    from uncertainty_suite.leaderboard.publication import check

    parser = _parser("check", "Check every record, and that everything made from them is current.")
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="Markdown files with markers, e.g. README.md"
    )
    parser.add_argument("--folder", default="leaderboards", type=Path, help="of the records; default: leaderboards")
    options = parser.parse_args(arguments)
    problems: list[str] = []
    records = _read([options.folder], problems)
    found = check(records, options.folder, options.files)
    _warn(found)
    if without := sum(not record.has_fingerprint for record in records):
        _say([f"{without} of {len(records)} records are of before, and have no fingerprint of their labels"])
    return int(bool(problems or found))


_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "add": _add,
    "build": _build,
    "cards": _cards,
    "check": _check,
    "diff": _diff,
    "page": _page,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, or 1 with what is wrong on stderr, a line each."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        if arguments and arguments[0] in _COMMANDS:
            return _COMMANDS[arguments[0]](arguments[1:])
        return _tables(arguments)
    except InputError as error:
        _warn([f"leaderboard: {error}"])
    except BrokenPipeError:
        raise
    except OSError as error:  # such as a file that somebody has removed meanwhile
        _warn([f"leaderboard: {error.filename}: {error.strerror}"])
    return 1


if __name__ == "__main__":
    program.run("leaderboard", main)
