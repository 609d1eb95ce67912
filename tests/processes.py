"""Scripts as processes that start in no time."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import ROOT


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
