"""Draw all figures of runs: `python -m uncertainty_suite.figures RUN...`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from uncertainty_suite import figures, program
from uncertainty_suite.errors import InputError, one_line
from uncertainty_suite.program import Parser
from uncertainty_suite.runs import RunFolder


def _parser() -> Parser:
    parser = Parser(
        prog="python -m uncertainty_suite.figures",
        description="Draw every figure that the saved predictions of a run allow, or compare several runs on one task.",
        allow_abbrev=False,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="the folder of a finished run")
    parser.add_argument(
        "--output_dir", type=Path, metavar="DIR", help="where to write; for one run its folder 'figures' by default"
    )
    parser.add_argument("--data_dir", type=Path, metavar="DIR", help="prepared TFDS data sets, for figures of images")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Draw, print the paths and return the exit status: 0, or 1 with one line on stderr."""
    try:
        arguments = _parser().parse_args(argv)
        paths = _draw(arguments.runs, arguments.output_dir, arguments.data_dir)
    except InputError as error:
        print(f"figures: {one_line(error)}", file=sys.stderr)
        return 1
    print(*paths, sep="\n")
    return 0


def _draw(runs: Sequence[Path], output_dir: Path | None, data_dir: Path | None) -> list[Path]:
    for run in runs:
        if RunFolder(run).results is None:
            raise InputError(f"{run} is no finished run: it has no results.json of its configuration.")
    if len(runs) == 1:
        return figures.draw(runs[0], data_dir, output_dir)
    if output_dir is None:
        raise InputError(f"{len(runs)} runs are compared, so name by --output_dir where to write.")
    return figures.compare(runs, output_dir, data_dir)


if __name__ == "__main__":
    program.run("figures", main)
