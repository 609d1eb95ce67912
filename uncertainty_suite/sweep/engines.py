"""Where the runs of a sweep are made: one after another in this process, by Ray, or by SLURM."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import gc
import importlib.util
import math
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from uncertainty_suite import configuration, keras, training
from uncertainty_suite.errors import DivergedError, InputError
from uncertainty_suite.sweep.display import Display, duration
from uncertainty_suite.sweep.plan import Planned
from uncertainty_suite.training.run import num_cpus

_SECONDS_BETWEEN_LOOKS = 1.0  # at SLURM's jobs
_SECONDS_TO_SAVE = 120  # of the runs that a Ray cluster is asked to stop


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run has ended.

    Attributes:
        seconds: How long it took.
        error: What went wrong, in one line; empty where nothing did.
        again: Whether another try may end otherwise: the program or the machine failed, not what the user gave.
        diverged: Whether its numbers stopped being finite.
    """

    seconds: float
    error: str = ""
    again: bool = False
    diverged: bool = False


Engine = Callable[[Sequence[Planned], Display], Generator[tuple[Planned, Outcome]]]


def run_all(engine: Engine, runs: Sequence[Planned], retries: int) -> dict[str, Outcome]:
    """Make all runs, and return how each one ended; a run that fails does not end the others.

    Args:
        engine: What makes them.
        runs: Those that are to do.
        retries: How often a run is tried again whose program or machine failed.

    Raises:
        Interrupted: The program was asked to stop, and each run under way has saved a checkpoint.
    """
    outcomes: dict[str, Outcome] = {}
    with Display(len(runs)) as display:
        while runs:
            failed = []
            with contextlib.closing(engine(runs, display)) as ended:  # it stops what is under way
                for run, outcome in ended:
                    if outcome.error and outcome.again and retries:
                        display.say(f"{run.name} will be tried again: {outcome.error}")
                        failed.append(run)
                        continue
                    outcomes[run.name] = outcome
                    display.end(run.name, f"failed: {outcome.error}" if outcome.error else duration(outcome.seconds))
            runs, retries = failed, retries - 1
    return outcomes


def execute(run: Planned) -> Outcome:
    """Make a run in this process, with all that it prints in its log."""
    started_at = time.perf_counter()

    def ended(error: str = "", again: bool = False, diverged: bool = False) -> Outcome:
        return Outcome(time.perf_counter() - started_at, " ".join(error.split()), again, diverged)

    if not gc.get_freeze_count():  # each run ends with a collection, which need not go through all that is imported
        gc.collect()
        gc.freeze()
    try:
        with _logged(run.log):
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            begun = "\n" if run.log.stat().st_size else ""  # a bar of an earlier try may not have ended its line
            print(f"{begun}# {run.name}: {now}, process {os.getpid()} on {socket.gethostname()}", flush=True)
            try:
                _train(run)
            except InputError as error:
                print(error)
                return ended(str(error), diverged=isinstance(error, DivergedError))
            except Exception as error:
                traceback.print_exc()
                return ended(f"{type(error).__name__}: {error}", again=True)
    except OSError as error:
        return ended(f"its log {run.log} cannot be written ({error.strerror})")
    return ended()


def _train(run: Planned) -> None:
    options = training.Options(
        output_dir=run.folder,
        data_dir=run.data_dir,
        config_file=run.config_file,
        command=run.command or None,
        tuned=run.tuned,
    )
    try:
        # It may register data sets, metrics and the like.
        configuration.load_module(run.config_file.partition(":")[0])
        configuration.load_module(run.script).main(configuration.from_json(run.config), options)
    finally:
        keras.utils.clear_session()
    if run.results is None:
        raise InputError(f"{run.script} has ended, and {run.folder} has no results of this configuration.")


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Append all that this process prints to a file, what TensorFlow's C++ says too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    verbosity = logging.get_verbosity()
    with open(path, "a", encoding="utf-8") as file, contextlib.ExitStack() as stack:
        _flush()
        kept = os.dup(1), os.dup(2)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        # Where these are not the descriptors, as in a notebook.
        stack.enter_context(contextlib.redirect_stdout(file))
        stack.enter_context(contextlib.redirect_stderr(file))
        logging.use_absl_handler()
        logging.set_verbosity(logging.INFO)
        try:
            yield
        finally:
            logging.set_verbosity(verbosity)
            _flush()
            for number, copy in enumerate(kept, 1):
                os.dup2(copy, number)
                os.close(copy)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def in_turn(runs: Sequence[Planned], display: Display) -> Generator[tuple[Planned, Outcome]]:
    """Make the runs one after another in this process, which imports TensorFlow once."""
    for run in runs:
        display.begin(run.name)
        yield run, execute(run)


# Ray.


def has_ray() -> bool:
    """Return whether Ray is installed."""
    return importlib.util.find_spec("ray") is not None


def has_ray_tune() -> bool:
    """Return whether Ray is installed with what Ray Tune needs."""
    return has_ray() and all(importlib.util.find_spec(name) for name in ("pandas", "pyarrow", "tensorboardX"))


@contextlib.contextmanager
def on_ray(address: str, cpus: float, gpus: float) -> Iterator[Engine]:
    """Give an engine whose runs are tasks of a Ray cluster, as many at once as it has room for.

    Its worker processes make one run after another, so each of them imports TensorFlow once; with GPUs each run has a
    process of its own, since TensorFlow neither changes GPUs nor gives their memory back. Run folders, scripts,
    configuration files and data must lie under the same paths on all machines, and the suite must be installed there.

    Args:
        address: `local` for a cluster of this machine's cores, which ends with the sweep; `auto`, `<host>:<port>` or
            `ray://<host>:<port>` for one that is there.
        cpus: CPU cores that a run is counted with. TensorFlow's threads are left as they are, since results may depend
            on their number.
        gpus: GPUs that a run has.

    Raises:
        InputError: There is no such cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    own = {"include_dashboard": False, "object_store_memory": 2**27} if address == "local" else {}
    # A worker's priority is that of the command, not Ray's, at which anything else on a machine comes first.
    os.environ.setdefault("RAY_worker_niceness", "0")
    # Or Ray would set it to the cores of a run, and the last bits of what NumPy computes may depend on it.
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(num_cpus()))}
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="error",
            runtime_env={"env_vars": threads},
            **own,
        )
    except (ConnectionError, ValueError) as error:
        raise InputError(f"There is no Ray cluster at --address={address} ({error}).") from error
    training.interruption.install()  # Ray has installed handlers of its own
    remote = ray.remote(_execute_in_worker).options(num_cpus=cpus, num_gpus=gpus, max_retries=0)

    def engine(runs: Sequence[Planned], display: Display) -> Generator[tuple[Planned, Outcome]]:
        pending = {remote.remote(run): run for run in runs}
        try:
            while pending:
                (ready, *_), _ = ray.wait(list(pending))
                run = pending.pop(ready)
                try:
                    outcome = ray.get(ready)
                except ray.exceptions.RayError as error:
                    outcome = Outcome(0.0, f"{type(error).__name__}: {' '.join(str(error).split())}", again=True)
                yield run, outcome
        finally:
            for task in pending:
                ray.cancel(task, force=False)
            if pending:
                display.say("Stopping: each run saves a checkpoint.")
                ray.wait(list(pending), num_returns=len(pending), timeout=_SECONDS_TO_SAVE)

    try:
        yield engine
    finally:
        ray.shutdown()


def _execute_in_worker(run: Planned) -> Outcome:
    """Make a run in a process of Ray or SLURM, which saves a checkpoint when these ask it to stop."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
    training.interruption.install()
    try:
        return execute(run)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


# SLURM.


class _Job:
    """A run as a SLURM job, which is queued again, to go on, where its time is up or its machine is taken away."""

    def __call__(self, run: Planned) -> Outcome:
        return _execute_in_worker(run)

    def checkpoint(self, run: Planned) -> Any:
        import submitit

        return submitit.helpers.DelayedSubmission(self, run)


def on_slurm(folder: Path, cpus: float, gpus: float, parameters: Sequence[str], cluster: str = "slurm") -> Engine:
    """Return an engine whose runs are jobs of a SLURM array, one process each, by submitit.

    Args:
        folder: Where submitit keeps its files, on a file system that all machines share.
        cpus: CPU cores of a job.
        gpus: GPUs of a job.
        parameters: Of submitit, `name=value` each: `timeout_min=600`, `slurm_partition=gpu`.
        cluster: Of submitit: `slurm`, or `local` for processes of this machine.

    Raises:
        InputError: submitit is not installed, SLURM is not there, or a parameter is unknown.
    """
    try:
        import submitit
    except ImportError as error:
        raise InputError("--engine slurm needs submitit: pip install submitit.") from error
    options: dict[str, int | str] = {
        "name": "sweep",
        "cpus_per_task": math.ceil(cpus),
        "gpus_per_node": math.ceil(gpus),
    }
    for text in parameters:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--slurm takes name=value, e.g. timeout_min=600; received '{text}'.")
        options[name] = int(value) if value.isdecimal() else value
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        executor.update_parameters(**options)
    except (NameError, RuntimeError, ValueError) as error:
        raise InputError(f"--engine slurm: {error}") from error

    def engine(runs: Sequence[Planned], display: Display) -> Generator[tuple[Planned, Outcome]]:
        pending = dict(zip(executor.map_array(_Job(), runs), runs))
        try:
            while pending:
                for job in [job for job in pending if job.done()]:
                    run = pending.pop(job)
                    try:
                        outcome = job.result()
                    except submitit.core.utils.UncompletedJobError as error:
                        outcome = Outcome(0.0, f"job {job.job_id} died: {' '.join(str(error).split())}", again=True)
                    yield run, outcome
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        finally:
            for job in pending:
                job.cancel()  # by SIGTERM, on which a run saves a checkpoint

    return engine
