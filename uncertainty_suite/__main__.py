"""The suite's command.

    uncertainty-suite run METHOD --config=TASK [FLAGS]   train and evaluate: a script of the suite, or your own file
    uncertainty-suite sweep TASK... --methods METHOD...  many runs, and searches of hyper-parameters
    uncertainty-suite evaluate RUN...                    evaluate trained networks again, in another way
    uncertainty-suite predict RUN --inputs X.npy         predict with a trained method
    uncertainty-suite combine RUN...                     an ensemble of finished runs
    uncertainty-suite score FILE --task TASK --method M  measure predictions of any framework
    uncertainty-suite leaderboard RUN...                 tables, tests, records and pages
    uncertainty-suite figures RUN...                     figures of saved predictions
    uncertainty-suite decisions RECORD...                tables of decisions that methods made
    uncertainty-suite metrics                            the list of metrics
    uncertainty-suite baselines                          the folder of the scripts, to copy one and start a method
    uncertainty-suite configs                            the folder of the configuration files

Each has --help. `python -m uncertainty_suite.sweep` is `uncertainty-suite sweep`, and so on; in a repository
`python baselines/sngp.py` is `uncertainty-suite run sngp`.
"""

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from uncertainty_suite import program, shipped
from uncertainty_suite.errors import InputError, one_line, unknown_name

_MODULES = ("combine", "decisions", "evaluate", "figures", "leaderboard", "metrics", "predict", "score", "sweep")
_FOLDERS = ("baselines", "configs")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status, unless the command exits itself."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    command, rest = (arguments or ["--help"])[0], arguments[1:]
    try:
        if command in _MODULES:
            sys.argv[1:] = rest
            runpy.run_module(f"uncertainty_suite.{command}", run_name="__main__", alter_sys=True)
        elif command == "run":
            sys.argv[:] = [_script(rest), *rest[1:]]
            runpy.run_path(sys.argv[0], run_name="__main__")
        elif command in _FOLDERS:
            print(shipped.folder(command))
        elif command in ("-h", "--help"):
            print(__doc__, end="")
        else:
            raise unknown_name("command", command, [*_MODULES, *_FOLDERS, "run"])
    except InputError as error:
        print(f"uncertainty-suite: {one_line(error)}", file=sys.stderr)
        return 1
    return 0


def run() -> NoReturn:
    """Run it as a program."""
    program.run("uncertainty-suite", main)


def _script(arguments: Sequence[str]) -> str:
    if not arguments or arguments[0].startswith("-"):
        raise InputError("A method comes first: uncertainty-suite run sngp --config=two_moons.")
    path = Path(arguments[0])
    if path.suffix != ".py":
        return str(shipped.script(arguments[0]))
    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    return str(path)


if __name__ == "__main__":
    run()
