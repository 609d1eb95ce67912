"""How far a sweep is: a bar where there is a terminal, else a line for each run that has ended."""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Any


class Display:
    """What is shown of a sweep on stderr, whatever happens to the file descriptor of stderr meanwhile.

    Example:
        >>> with Display(total=2) as display:
        ...     display.end("digits/sngp/seed0", "28 s")
        [1 of 2] digits/sngp/seed0: 28 s, about 28 s left
    """

    def __init__(self, total: int) -> None:
        """Begin with `total` runs to do."""
        self._total = total
        self._ended = 0
        self._started_at = time.perf_counter()
        self._stream = os.fdopen(os.dup(2), "w", encoding="utf-8")
        self._bar: Any = None

    def __enter__(self) -> Display:
        if self._stream.isatty() and self._total:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            left, now = TextColumn("{task.fields[left]}"), TextColumn("{task.fields[now]}")
            columns = (left, BarColumn(), MofNCompleteColumn(), now)
            self._bar = Progress(*columns, console=Console(file=self._stream))
            self._task = self._bar.add_task("", total=self._total, left="", now="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._stream.close()

    def begin(self, name: str) -> None:
        """A run begins."""
        if self._bar is not None:
            self._bar.update(self._task, now=name)

    def say(self, text: str) -> None:
        """Show a line."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=self._stream, flush=True)

    def end(self, name: str, what: str) -> None:
        """A run has ended, and `what` says how."""
        self._ended += 1
        seconds = (time.perf_counter() - self._started_at) / self._ended * (self._total - self._ended)
        left = f"about {duration(seconds)} left" if self._ended < self._total else ""
        self.say(f"[{self._ended} of {self._total}] {name}: {what}" + (f", {left}" if left and not self._bar else ""))
        if self._bar is not None:
            self._bar.update(self._task, completed=self._ended, left=left)


def duration(seconds: float) -> str:
    """Return a time for people: `28 s`, `5 min`, `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
