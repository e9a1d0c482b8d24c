"""How long work goes on: one line on a terminal; in a log, a line a minute."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Protocol

from pipeline.log import CHOSEN
from pipeline.names import one_line
from pipeline.screen import detail, say
from pipeline.units import human_seconds, several

EVERY = 60.0
"""Seconds between the lines of a log."""


class Listener(Protocol):
    """Hears how long work goes on: a progress line, a log, a test."""

    def started(self, title: str, total: int, done: int = 0) -> None:
        """Work begins: `total` units, images of a stage or steps of a fit, `done` of them done before."""

    def advanced(self, units: int, images: int, failures: int = 0, note: str = "") -> None:
        """So many more units were done, with so many images; `note` says where a fit is."""

    def finished(self) -> None:
        """The work is over, or was interrupted."""


class Silent:
    """A listener that says nothing."""

    def started(self, title: str, total: int, done: int = 0) -> None: ...
    def advanced(self, units: int, images: int, failures: int = 0, note: str = "") -> None: ...
    def finished(self) -> None: ...


class _Tally:
    """What was done since the work began, in words."""

    def begin(self, total: int, done: int) -> None:
        self.total, self.before, self.done = total, done, done
        self.images, self.failures, self.begun = 0, 0, time.perf_counter()

    def add(self, units: int, images: int, failures: int) -> None:
        self.done += units
        self.images += images
        self.failures += failures

    def rate(self, now: float) -> str:
        return f"{self.images / max(now - self.begun, 1e-9):.1f} images/s"

    def failed(self) -> str:
        return f"{self.failures:,} failed" if self.failures else ""


class ProgressLine(_Tally):
    """One line on the terminal: a bar, images per second, failures, time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[text]}", markup=False),
            TextColumn("{task.fields[failed]}", style="red", markup=False),
            TimeRemainingColumn(),
            console=Console(stderr=True, markup=False, emoji=False, highlight=False),
            transient=True,
        )

    def started(self, title: str, total: int, done: int = 0) -> None:
        self.begin(total, done)
        self.task = self.progress.add_task(one_line(title), total=total, completed=done, text="", failed="")
        self.progress.start()

    def advanced(self, units: int, images: int, failures: int = 0, note: str = "") -> None:
        self.add(units, images, failures)
        text = f"{note or f'{self.done:,}/{self.total:,}'} {self.rate(time.perf_counter())}"
        self.progress.update(self.task, advance=units, text=text, failed=self.failed())

    def finished(self) -> None:
        self.progress.stop()
        self.progress.remove_task(self.task)


class LogLines(_Tally):
    """The same where there is no terminal, a line a minute: nothing of what is over sooner."""

    def __init__(self, every: float = EVERY, said: Callable[[str], None] | None = None) -> None:
        self.every, self.say = every, said or (lambda text: say(text, err=True))

    def started(self, title: str, total: int, done: int = 0) -> None:
        self.begin(total, done)
        self.title, self.said = title, self.begun

    def advanced(self, units: int, images: int, failures: int = 0, note: str = "") -> None:
        self.add(units, images, failures)
        now = time.perf_counter()
        if now - self.said >= self.every and self.done > self.before:
            self.said = now
            left = (now - self.begun) / (self.done - self.before) * (self.total - self.done)
            done = f"{self.done:,} of {several(self.total, 'image')}"
            parts = (note or done, self.failed(), self.rate(now))
            self.say(f"{self.title}: {', '.join(filter(None, parts))}, about {human_seconds(left)} left")

    def finished(self) -> None: ...


class Several:
    """Listeners that all hear the same."""

    def __init__(self, *listeners: Listener) -> None:
        self.listeners = listeners

    def started(self, title: str, total: int, done: int = 0) -> None:
        for one in self.listeners:
            one.started(title, total, done)

    def advanced(self, units: int, images: int, failures: int = 0, note: str = "") -> None:
        for one in self.listeners:
            one.advanced(units, images, failures, note)

    def finished(self) -> None:
        for one in self.listeners:
            one.finished()


def listener() -> Listener:
    """A progress line on a terminal, a line a minute elsewhere and in a log file; nothing with `--quiet`."""
    if CHOSEN.quiet or not sys.stderr.isatty():
        return LogLines() if CHOSEN.log_file or not CHOSEN.quiet else Silent()
    return Several(ProgressLine(), LogLines(said=detail)) if CHOSEN.log_file else ProgressLine()
