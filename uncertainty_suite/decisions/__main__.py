"""Print the tables of records of decisions, and draw their figures.

python -m uncertainty_suite.decisions RECORD... [--figures FOLDER]
"""

import argparse
import sys
from pathlib import Path

from uncertainty_suite import figures, program
from uncertainty_suite.decisions.curves import read, report
from uncertainty_suite.errors import InputError, one_line
from uncertainty_suite.program import Parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = Parser(
        prog="python -m uncertainty_suite.decisions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("records", nargs="+", type=Path, metavar="RECORD", help="files that the scripts have written")
    parser.add_argument("--figures", type=Path, metavar="FOLDER", help="draw each record into this folder, too")
    try:
        arguments = parser.parse_args(argv)
        for path in arguments.records:
            record = read(path)
            print(f"{report(record)}\n")
            if arguments.figures:
                print(figures.save(figures.decision_curves(record), arguments.figures / f"{path.stem}.svg"))
    except InputError as error:
        print(f"decisions: {one_line(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    program.run("decisions", main)
