"""What is shown of a sweep where there is no terminal, and on one."""

import contextlib
import os
import pty

import pytest

from uncertainty_suite.sweep.display import Display, duration


@pytest.mark.parametrize(("seconds", "text"), [(7.4, "7 s"), (300, "5 min"), (9000, "2.5 h")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_line_for_each_run_that_ended(capfd):
    with Display(2) as display:
        display.begin("a")
        display.end("a", "3 s")
        display.end("b", "failed: because")
    first, second = capfd.readouterr().err.splitlines()
    assert first == "[1 of 2] a: 3 s, about 0 s left"
    assert second == "[2 of 2] b: failed: because"


def test_a_bar_on_a_terminal():
    ours, theirs = pty.openpty()
    kept = os.dup(2)
    os.dup2(theirs, 2)
    try:
        with Display(2) as display:
            display.begin("digits/[sngp]/seed0")
            display.end("digits/[sngp]/seed0", "3 s")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(theirs)
    text = read_to_the_end(ours).decode()
    assert "[1 of 2] digits/[sngp]/seed0: 3 s" in text
    assert "1/2" in text and "about 0 s left" in text


def read_to_the_end(terminal):
    """Read what a terminal was sent: a single read may return the first of several writes alone."""
    chunks = []
    # Where nobody is left to write, Linux ends a terminal with an error.
    with os.fdopen(terminal, "rb", buffering=0) as file, contextlib.suppress(OSError):
        while chunk := file.read(4096):
            chunks.append(chunk)
    return b"".join(chunks)
