"""Killed at any instant, as often as you like, a run ends as if nothing had happened."""

import contextlib
import math
import os
import random
import shutil
import signal
import time

import pytest

from tests.reliability.conftest import arguments, assert_same, diverging_arguments, rollbacks
from tests.tiny import CORE, METHODS, quick_with

KILLS = 3  # of a method that stands for all
KILLS_OF_EACH = math.ceil(200 / len(METHODS))  # so that all methods have two hundred


def kill_and_finish(scripts, command, reference, folder, random_, kills) -> list[int]:
    """Kill a run again and again until it has been killed so often, then let it finish; return what was killed when.

    Two kills of three come at a file operation, drawn from those that the run still has to do, so that half-written
    files, checkpoints before and after their renaming, and the writing of results are met as often as they are few. The
    third comes at a time, and so mostly in a train step, while compiling, or while predicting.
    """
    path, ended = reference
    done = []
    while len(done) < kills:
        started_at = time.monotonic()
        if len(done) % 3 < 2:
            status, operations, log = scripts.run(
                command, folder=str(folder), kill_at=random_.randrange(ended.operations * 2 // 3)
            )
        else:
            process = scripts.start(command, folder=str(folder))
            time.sleep(random_.uniform(0.1, 1.5))
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself, which is seen below
                os.kill(process, signal.SIGKILL)
            status, operations, log = scripts.end()
        if status == 0:  # drawn too late: it was finished before
            assert_same(folder, path)
            shutil.rmtree(folder)
            continue
        assert status == -signal.SIGKILL, log
        done.append((operations, round(time.monotonic() - started_at, 2)))
    ended = scripts.run(command)
    assert ended.status == 0, ended.log
    assert_same(folder, path)
    return done


@quick_with("sngp")
def test_killed_and_started_again_it_ends_the_same(method, scripts, uninterrupted, tmp_path):
    random_ = random.Random(CORE.index(method))
    folder = tmp_path / "run"
    command = arguments(method, folder, "--checkpoint_every=1steps")
    killed = kill_and_finish(scripts, command, uninterrupted(method), folder, random_, KILLS)
    assert len(killed) == KILLS


@pytest.mark.slow
def test_killed_while_it_is_rolled_back(scripts, tmp_path):
    whole, folder = tmp_path / "whole", tmp_path / "run"
    ended = scripts.run(diverging_arguments("deep_ensemble", whole, "--checkpoint_every=5steps"), folder=str(whole))
    assert ended.status == 0, ended.log
    recorded = rollbacks(whole)
    assert [(rollback["training"], rollback["epoch"]) for rollback in recorded] == [
        ("members/0", 1),
        ("members/0", 2),
        ("members/1", 1),
        ("members/1", 2),
    ]
    command = diverging_arguments("deep_ensemble", folder, "--checkpoint_every=5steps")
    kill_and_finish(scripts, command, (whole, ended), folder, random.Random(0), 2)
    assert rollbacks(folder) == recorded


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_killed_many_times(method, scripts, uninterrupted, tmp_path):
    folder = tmp_path / "run"
    command = arguments(method, folder, "--checkpoint_every=1steps")
    killed = kill_and_finish(scripts, command, uninterrupted(method), folder, random.Random(method), KILLS_OF_EACH)
    assert len(killed) == KILLS_OF_EACH


# The last operations of a run are the predictions of five splits and the results, each opened, synced and renamed.
@pytest.mark.parametrize("back", [1, 9, *(pytest.param(back, marks=pytest.mark.slow) for back in (5, 13, 17))])
def test_killed_while_it_evaluates_and_writes_its_results(back, scripts, uninterrupted, tmp_path):
    path, ended = uninterrupted("deterministic")
    command = arguments("deterministic", tmp_path / "run", "--checkpoint_every=1steps")
    first = scripts.run(command, folder=str(tmp_path / "run"), kill_at=ended.operations - back)
    assert first.status == -signal.SIGKILL, first.log
    assert not (tmp_path / "run/results.json").exists() or back == 1
    again = scripts.run(command)
    assert again.status == 0, again.log
    assert_same(tmp_path / "run", path)
