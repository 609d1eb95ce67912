"""Print the leaderboard of some runs: `python -m uncertainty_suite.leaderboard RUNS...`."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from uncertainty_suite.errors import InputError
from uncertainty_suite.leaderboard.records import read_records
from uncertainty_suite.leaderboard.tables import render


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all others."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}. See --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m uncertainty_suite.leaderboard",
        description="Print one table a task from finished runs.",
        allow_abbrev=False,
    )
    parser.add_argument("runs", nargs="+", metavar="RUNS", help="a run folder, or a folder above run folders")
    parser.add_argument("--format", choices=("markdown", "csv", "json"), default="markdown")
    parser.add_argument(
        "--metrics",
        metavar="PATTERNS",
        help="columns, e.g. 'test/nll,ood/*/auroc' (default: the headline ones in Markdown, all in csv and json)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables and return the exit status: 0, or 1 with one line on stderr."""
    try:
        arguments = _parser().parse_args(argv)
        print(render(read_records(arguments.runs), arguments.format, arguments.metrics), end="")
    except InputError as error:
        print("leaderboard: " + str(error).replace("\n", "\\n"), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # the tables have arrows and ±, whatever the locale
    sys.exit(main())
