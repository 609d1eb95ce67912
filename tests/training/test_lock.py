import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from uncertainty_suite.errors import InputError
from uncertainty_suite.training import lock

HOLD = """
import sys
from pathlib import Path
from uncertainty_suite.training import lock
held = lock.hold(Path(sys.argv[1]), shared=sys.argv[2] == "shared")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Return a function that makes another process hold the folder until it is killed."""
    processes = []

    def hold(folder, how="exclusive") -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(folder), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        processes.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in processes:
        process.kill()
        process.communicate()


def test_another_process_is_excluded_until_it_is_dead(tmp_path, other):
    process = other(tmp_path)
    for shared in (False, True):
        with pytest.raises(InputError, match=rf"is in use by process {process.pid} on .* since 20.*\. Wait until"):
            lock.hold(tmp_path, shared)
    process.kill()
    process.communicate()
    assert (tmp_path / ".lock").exists()  # but nobody holds it
    held = lock.hold(tmp_path)
    assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
    held.release()
    assert list(tmp_path.iterdir()) == []


def test_shared_with_others_until_it_is_wanted_alone(tmp_path, other):
    process = other(tmp_path, "shared")
    held = lock.hold(tmp_path, shared=True)
    with pytest.raises(InputError, match="is in use by another process"):
        lock.hold(tmp_path)
    held.release()
    assert (tmp_path / ".lock").exists()
    process.kill()
    process.communicate()
    held = lock.hold(tmp_path, shared=True)
    assert lock.hold(tmp_path) is held
    assert not held.shared


def test_a_process_does_not_exclude_itself(tmp_path):
    held = lock.hold(tmp_path)
    assert lock.hold(tmp_path) is lock.hold(tmp_path, shared=True) is held
    assert held.held
    del held
    assert not (tmp_path / ".lock").exists()  # gone with the last reference


def test_a_forked_child_does_not_take_the_lock_away(tmp_path):
    held = lock.hold(tmp_path)
    child = os.fork()
    if child == 0:
        held.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / ".lock").exists()
    assert held.held


def test_where_the_system_has_none_nothing_is_trained(tmp_path):
    code = """
import sys
from pathlib import Path
sys.modules["fcntl"] = None  # as on Windows
from uncertainty_suite import score
from uncertainty_suite.errors import InputError
from uncertainty_suite.leaderboard import store
from uncertainty_suite.training import lock
for refused in (lambda: lock.hold(Path("run")), lambda: store._locked(Path(".")).__enter__()):
    try:
        refused()
    except InputError as error:
        print(error)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "This system has no flock, by which a run keeps its folder to itself, so no run can be made here. On "
        "Windows, use WSL 2.",
        "This system has no flock, so no records can be added here. On Windows, use WSL 2.",
    ]
    assert list(tmp_path.iterdir()) == []


def test_where_the_file_system_has_no_locks_there_is_a_warning(tmp_path, monkeypatch, caplog):
    def flock(file, operation):
        raise OSError(lock.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    lock.hold(tmp_path)
    assert "cannot be locked (No locks available): see to it that no other process uses it" in caplog.text
