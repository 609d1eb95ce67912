"""What the scripts of decisions share: their flags, and the files that they write."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from uncertainty_suite import program
from uncertainty_suite.decisions.curves import Record, report
from uncertainty_suite.files import write_atomic
from uncertainty_suite.program import Parser


def parser(doc: str | None) -> Parser:
    """Return a parser with the flags of all scripts that train a method."""
    made = Parser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    made.add_argument("--method", required=True, help="a script of baselines/, without its ending, or the path of one")
    made.add_argument("--config", required=True, help="a configuration file; --config.<field>=<value> sets a value")
    made.add_argument("--seeds", type=int, default=5, help="seeds 0 to N - 1 are run")
    made.add_argument("--output_dir", type=Path, required=True, help="where curves, record, tables and figure lie")
    made.add_argument("--data_dir", type=Path, help="prepared data sets")
    return made


def parse(made: Parser, argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """Return the flags, and the overrides of the configuration, `--config.<field>=<value>` each."""
    arguments, rest = made.parse_known_args(argv)
    for each in rest:
        if not each.startswith("--config."):
            made.error(f"unrecognized arguments: {each}")
    if arguments.seeds < 1:
        made.error(f"--seeds must be at least 1, received {arguments.seeds}")
    return arguments, rest


def finish(record: Record, folder: Path) -> Record:
    """Write a record, its tables and its figure into a folder, and print the tables."""
    from uncertainty_suite import figures

    folder.mkdir(parents=True, exist_ok=True)
    record.write(folder / f"{record.decision}.json")
    text = report(record)
    write_atomic(folder / f"{record.decision}.md", lambda file: file.write(text.encode()))
    figures.save(figures.decision_curves(record), folder / f"{record.decision}.svg")
    print(text)
    return record


def made_by(settings: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return what a record says of how it was made."""
    from uncertainty_suite.training.run import provenance

    made = {name: value for name, value in provenance().items() if name != "host"}
    return {"settings": settings, "config": config, "provenance": made}


def run(main: Callable[[], Any]) -> NoReturn:
    """Run a script as a program: an error that is the user's to mend is one line, and exit status 1."""

    def to_its_end() -> int:
        main()
        return 0

    logging.getLogger("tensorflow").setLevel("ERROR")  # it warns of each training's functions, which compile anew
    program.run(sys.argv[0], to_its_end)
