"""Make many runs: scripts x tasks x settings x seeds.

    python -m uncertainty_suite.sweep configs/digits.py --methods sngp deterministic my_method.py --seeds 0:5
    python -m uncertainty_suite.sweep configs/uci.py:yacht configs/uci.py:boston --methods sngp --folds 0:20
    python -m uncertainty_suite.sweep configs/digits.py --methods sngp --set optimizer.learning_rate=1e-3,3e-3 epochs=20
    python -m uncertainty_suite.sweep configs/digits.py --methods sngp deterministic --seeds 0:5 --address local

A configuration file is one of configs/ or your own, with its variant. All configurations are checked before the first
run begins. The runs are made one after another in this process; or, with --address, side by side by Ray.

    python -m uncertainty_suite.sweep configs/digits.py --methods sngp deterministic --seeds 0:5 --tune 16

first searches hyper-parameters: as many trials for each method, which train on train and are judged by their NLL on
validation; test, shifted and OOD data are not read. What was chosen is written to configs/tuned/<task>.json, from where
all later runs read it, and every record says what was tried. Then the winner is trained with each seed.

Runs that are finished are not repeated, and one that was stopped goes on, bit for bit: give the same command again.
Ctrl-C stops all runs, each of which saves a checkpoint. A run that fails does not end the others; the exit status is
then 1. The run folders are <output_dir>/<task>/<method>/<replicate>, each with a log beside it, and
<output_dir>/leaderboard.md is their table.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from uncertainty_suite import leaderboard, program, training
from uncertainty_suite.errors import InputError, one_line
from uncertainty_suite.files import write_atomic
from uncertainty_suite.program import Parser
from uncertainty_suite.sweep import asha, engines
from uncertainty_suite.sweep.display import duration
from uncertainty_suite.sweep.engines import Outcome
from uncertainty_suite.sweep.plan import (
    MOST_RUNS,
    Place,
    Planned,
    check_folders,
    get_methods,
    get_numbers,
    get_settings,
    get_tasks,
    plan,
)
from uncertainty_suite.sweep.tuning import FOLDER, Study, get_studies


def _parser() -> Parser:
    parser = Parser(
        prog="python -m uncertainty_suite.sweep",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("configs", nargs="+", metavar="CONFIG", help="a configuration file, with :<variant> where it has variants")
    add("--methods", nargs="+", required=True, metavar="METHOD", help="scripts: names of baselines/, or paths")
    add("--seeds", nargs="+", default=[], metavar="N", help="0:5 for 0 to 4, or 0 1 7; by default the configuration's")
    add("--folds", nargs="+", default=[], metavar="N", help="of data sets with folds; by default the configuration's")
    add(
        "--set",
        nargs="+",
        default=[],
        action="extend",
        dest="settings",
        metavar="FIELD=VALUE[,VALUE]",
        help="values of configuration fields; every combination is run",
    )
    add("--output_dir", type=Path, default=Path("runs", "sweep"), metavar="DIR", help="default: runs/sweep")
    add("--data_dir", metavar="DIR", help="prepared TFDS data sets")
    add(
        "--tune", type=int, metavar="N", help="search hyper-parameters by N trials of each method, then run the winners"
    )
    add("--tune_seed", type=int, default=0, metavar="SEED", help="of the search and its trials; default: 0")
    add(
        "--scheduler",
        choices=("asha",),
        help="stop trials early, by Ray Tune; without it all are trained to their end",
    )
    add(
        "--tuned_dir",
        type=Path,
        metavar="DIR",
        help="where to write what was chosen; default: tuned/ beside the CONFIG",
    )
    add("--dry_run", action="store_true", help="list the runs and end")
    add("--address", help="make the runs by Ray: local, auto, <host>:<port> or ray://<host>:<port>")
    add("--engine", choices=("in_turn", "ray", "slurm"), help="what makes the runs; default: ray with --address")
    add("--slurm", nargs="+", default=[], metavar="NAME=VALUE", help="of submitit, e.g. timeout_min=600")
    add("--cpus", type=float, default=1, metavar="N", help="CPU cores of a run, by Ray and SLURM; default: 1")
    add("--gpus", type=float, default=0, metavar="N", help="GPUs of a run, by Ray and SLURM; default: 0")
    add("--retries", type=int, default=1, metavar="N", help="of a run whose program or machine failed; default: 1")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    argv = sys.argv[1:] if argv is None else list(argv)
    command = shlex.join(["python", "-m", "uncertainty_suite.sweep", *argv])
    try:
        return _sweep(_parser().parse_args(argv), command)
    except InputError as error:
        print(f"sweep: {one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupted:
        # Once only: the handlers are those of before, where Ctrl-C came before `install`.
        number = interrupted.signal if isinstance(interrupted, training.Interrupted) else 2
        print(f"sweep: Stopped. To go on, bit for bit: {command}", file=sys.stderr)
        return 128 + number


def _sweep(arguments: argparse.Namespace, command: str) -> int:
    started_at = time.perf_counter()
    if arguments.retries < 0:
        raise InputError(f"--retries must be at least 0, received {arguments.retries}.")
    tasks, methods = get_tasks(arguments.configs), get_methods(arguments.methods)
    seeds, folds = get_numbers(arguments.seeds, "--seeds"), get_numbers(arguments.folds, "--folds")
    settings = get_settings(arguments.settings)
    place = Place(arguments.output_dir, arguments.data_dir and os.path.abspath(arguments.data_dir), command)
    studies: list[Study] = []
    level = ""
    if arguments.scheduler and (not arguments.tune or not engines.has_ray_tune()):
        raise InputError(
            f"--scheduler {arguments.scheduler} goes with --tune, and needs Ray Tune: pip install ray[tune]."
        )
    if arguments.tune is not None:
        if not 1 <= arguments.tune <= MOST_RUNS or len(settings) > 1:
            raise InputError(
                f"--tune takes a number of trials from 1 to {MOST_RUNS:,}, and a --set with one value of each field."
            )
        search = arguments.tune, arguments.tune_seed, arguments.scheduler is not None
        studies = get_studies(tasks, methods, settings[0], folds, place, *search)
        level = f"tuned_{arguments.tune}"
    trials = [(study, run) for study in studies for run in study.runs]
    searched = all(study.score(run) is not None for study, run in trials)

    def plan_runs(known: bool) -> list[Planned]:
        # Before the trials have ended, seeds, folds and all the rest are checked without the values that they choose.
        tuned = {(study.task, study.method.name): study.choose() if known else {} for study in studies}
        runs = plan(tasks, methods, settings, seeds, folds, place, tuned if studies else None, level)
        if known:
            check_folders(runs)
        return runs

    runs = plan_runs(searched)
    if arguments.dry_run:
        todo = [run for study, run in trials if study.score(run) is None]
        todo += [run for run in runs if not searched or run.results is None]
        everything = [*(run for _, run in trials), *runs]
        for run in everything:
            print(f"{run.name}: {'to do' if run in todo else 'finished'}")
        print(f"{len(everything)} runs, {len(todo)} to do, in {arguments.output_dir}")
        return 0
    training.interruption.install()
    with contextlib.ExitStack() as stack:
        make = _maker(arguments, stack)
        if studies:
            left = [run for study, run in trials if study.score(run) is None]
            if arguments.scheduler and left:
                cluster = arguments.address or "local", arguments.cpus, arguments.gpus
                with engines.on_ray(*cluster):
                    outcomes = asha.run_trials(studies, place.output_dir / FOLDER / "ray", *cluster[1:])
            else:
                outcomes = make(left, len(trials), "trials")
            # A trial whose numbers stopped being finite is a trial all the same.
            if _report([run for _, run in trials], outcomes, command, but_diverged=True):
                return 1
            for study in studies:
                print(*study.write(study.choose(), place, arguments.tuned_dir), sep="\n")
            runs = plan_runs(True)
        left = [run for run in runs if run.results is None]
        status = _report(left, make(left, len(runs), "runs"), command)
    _write_table(arguments.output_dir, [run for run in runs if run.results is not None])
    print(f"{len(runs)} runs in {arguments.output_dir}, {duration(time.perf_counter() - started_at)}.")
    return status


def _maker(
    arguments: argparse.Namespace, stack: contextlib.ExitStack
) -> Callable[[Sequence[Planned], int, str], dict[str, Outcome]]:
    """Return what makes runs, by an engine that is started when the first one is to be made."""
    started: list[engines.Engine] = []

    def make(left: Sequence[Planned], number: int, what: str) -> dict[str, Outcome]:
        if not left:
            print(f"All {number} {what} are finished already.", file=sys.stderr)
            return {}
        print(f"{len(left)} of {number} {what} to do.", file=sys.stderr)
        if not started:
            started.append(stack.enter_context(_engine(arguments)))
        return engines.run_all(started[0], left, arguments.retries)

    return make


@contextlib.contextmanager
def _engine(arguments: argparse.Namespace) -> Iterator[engines.Engine]:
    """Give the engine that the command line asks for, and say once which it is where that is not plain."""
    name = arguments.engine or ("ray" if arguments.address else "in_turn")
    if name == "slurm":
        folder = Path(os.path.abspath(arguments.output_dir)) / "slurm"
        yield engines.on_slurm(folder, arguments.cpus, arguments.gpus, arguments.slurm)
        return
    if name == "ray" and engines.has_ray():
        with engines.on_ray(arguments.address or "local", arguments.cpus, arguments.gpus) as engine:
            yield engine
        return
    if name == "ray":
        print("Ray is not installed (pip install ray): the runs are made one after another.", file=sys.stderr)
    else:
        print("The runs are made one after another; --address=local makes several at once.", file=sys.stderr)
    yield engines.in_turn


def _report(runs: Sequence[Planned], outcomes: Mapping[str, Outcome], command: str, but_diverged: bool = False) -> int:
    """Name the runs that failed on stderr, but for those that diverged where these do not count; return the status."""
    wrong = {name: one for name, one in outcomes.items() if one.error and not (but_diverged and one.diverged)}
    failed = [run for run in runs if run.name in wrong]
    for run in failed:
        print(f"sweep: {run.name} failed: {wrong[run.name].error} Its log: {run.log}", file=sys.stderr)
    if failed:
        print(f"sweep: {len(failed)} of {len(runs)} runs failed. To try them again: {command}", file=sys.stderr)
    return int(bool(failed))


def _write_table(output_dir: Path, finished: Sequence[Planned]) -> None:
    """Write and print the leaderboard of the runs that are finished."""
    if finished:
        table = leaderboard.render(leaderboard.read_records([run.folder for run in finished]))
        write_atomic(output_dir / "leaderboard.md", lambda file: file.write(table.encode()))
        print(f"\n{table}")


if __name__ == "__main__":
    program.run("sweep", main)
