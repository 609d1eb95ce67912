"""Scripts as processes, started in no time; and what is the same in two run folders."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.tiny import flags_of, load_script, section_of, small_values, untimed

TINY = {
    "epochs": 2,
    "batch_size": 250,
    "optimizer.learning_rate": 0.01,
    "model.num_layers": 1,
    "model.num_hidden": 8,
    "evaluation.ood_scores": "('energy','knn')",
}


def arguments(method: str, folder: Path, *more: str, **overrides: Any) -> list[str]:
    """Return the command line of a run that takes a second: on two moons, or of a regression where it has to be one."""
    section = section_of(load_script(method))
    of_classes = not section or not section.likelihoods or "categorical" in section.likelihoods
    if of_classes:
        return _command(method, "configs/two_moons.py", {**TINY, **overrides}, folder, more)
    values = {**TINY, "evaluation.ood_scores": "('knn',)", **overrides}  # energy is of logits
    return _command(method, "configs/toy_regression.py", values, folder, more)


def diverging_arguments(method: str, folder: Path, *more: str) -> list[str]:
    """Return that of a run which is rolled back twice."""
    values = {name: value for name, value in TINY.items() if name not in ("batch_size", "optimizer.learning_rate")}
    return _command(method, "tests/reliability/diverging.py", values, folder, ("--on_nan=rollback", *more))


def _command(method: str, file: str, values: dict[str, Any], folder: Path, more: Iterable[str]) -> list[str]:
    return [
        str(ROOT / "baselines" / f"{method}.py"),
        f"--config={ROOT}/{file}",
        *flags_of({**small_values(section_of(load_script(method))), **values}),
        f"--output_dir={folder}",
        *more,
    ]


class Ended(NamedTuple):
    """How a process ended: its exit status, negative for a signal; its file operations; and its output."""

    status: int
    operations: int
    log: str

    @property
    def error(self) -> str:
        """The one line that says what was wrong, without the script's name."""
        assert "Traceback" not in self.log, self.log
        return self.log.splitlines()[-1].partition(".py: ")[2]


class Scripts:
    """Starts scripts in children of one warm process."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "log.txt"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env=environment,
        )

    def start(self, argv: list[str], **request: Any) -> int:
        """Start a script and return its process id; `end` must follow."""
        self._log.write_text("")
        self._server.stdin.write(json.dumps({"argv": argv, "log": str(self._log), **request}) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def end(self) -> Ended:
        """Wait until the script has ended."""
        return Ended(*json.loads(self._server.stdout.readline()), self._log.read_text())

    def start_all(self, requests: list[dict[str, Any]]) -> list[int]:
        """Start several scripts at once and return their process ids; `end_all` must follow."""
        logs = [str(self._log.with_name(f"log{index}.txt")) for index in range(len(requests))]
        for log in logs:
            Path(log).write_text("")
        requests = [{**request, "log": log} for request, log in zip(requests, logs)]
        self._server.stdin.write(json.dumps(requests) + "\n")
        self._server.stdin.flush()
        self._logs = logs
        return json.loads(self._server.stdout.readline())

    def end_all(self) -> list[Ended]:
        """Wait until all of them have ended."""
        ended = json.loads(self._server.stdout.readline())
        return [Ended(*each, Path(log).read_text()) for each, log in zip(ended, self._logs)]

    def run(self, argv: list[str], **request: Any) -> Ended:
        self.start(argv, **request)
        return self.end()

    def signal_when(self, process: int, signum: int, condition: Callable[[], bool], timeout: float = 60) -> None:
        """Send a signal as soon as something has happened."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.001)
        os.kill(process, signum)

    def close(self) -> None:
        self._server.stdin.close()
        self._server.wait(60)


@pytest.fixture(scope="session")
def scripts(tmp_path_factory):
    scripts = Scripts(tmp_path_factory.mktemp("scripts"))
    yield scripts
    scripts.close()


@pytest.fixture(scope="session")
def uninterrupted(scripts, tmp_path_factory):
    """Return a method's run folder and how its process ended, made once for all tests."""
    runs: dict[str, tuple[Path, Ended]] = {}

    def run(method: str) -> tuple[Path, Ended]:
        if method not in runs:
            folder = tmp_path_factory.mktemp("uninterrupted") / method
            ended = scripts.run(arguments(method, folder, "--checkpoint_every=1steps"), folder=str(folder))
            assert ended.status == 0, ended.log
            runs[method] = folder, ended
        return runs[method]

    return run


def content(folder: Path) -> dict[str, Any]:
    """Return all that a run folder holds, times and provenance aside, by file; TensorBoard's files are left out."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.parent.name != "tensorboard"]
    return {str(path.relative_to(folder)): _content(path) for path in files}


def _content(path: Path) -> Any:
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        state = json.loads(arrays.pop("state.json").tobytes()) if "state.json" in arrays else {}
        lines = [{**line, "seconds": 0} for line in state.get("history", [])]
        return {
            **{name: (str(array.dtype), array.shape, array.tobytes()) for name, array in arrays.items()},
            "state": {**state, "seconds": 0, "history": lines},
        }
    if path.name == "history.jsonl":
        return [{**json.loads(line), "seconds": 0} for line in path.read_text().splitlines()]
    if path.name == "results.json":
        results = json.loads(path.read_text())
        return {**results, "provenance": None, "metrics": untimed(results)}
    return None if path.name == "provenance.json" else path.read_bytes()


def rollbacks(folder: Path) -> list[dict[str, Any]]:
    """Return the rollbacks that a run's results record."""
    return json.loads((folder / "results.json").read_text())["provenance"].get("rollbacks", [])


def assert_same(folder: Path, other: Path) -> None:
    """Assert that two run folders hold the same files with the same content, bit for bit."""
    mine, theirs = content(folder), content(other)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if mine[name] != theirs[name]] == []
