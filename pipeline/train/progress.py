"""How a fit goes on: one line on the terminal; in a log, a line a minute."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Protocol

from pipeline.names import one_line
from pipeline.screen import say
from pipeline.units import human_seconds

EVERY = 60.0
"""Seconds between the lines of a log."""


class FitListener(Protocol):
    """Hears how a fit goes on."""

    def started(self, title: str, epochs: int, steps: int, done: int) -> None: ...
    def advanced(self, epoch: int, steps: int, images: int, loss: float) -> None: ...
    def validated(self, figures: Mapping[str, float]) -> None: ...
    def finished(self) -> None: ...


class SilentFit:
    """A listener that says nothing."""

    def started(self, title: str, epochs: int, steps: int, done: int) -> None: ...
    def advanced(self, epoch: int, steps: int, images: int, loss: float) -> None: ...
    def validated(self, figures: Mapping[str, float]) -> None: ...
    def finished(self) -> None: ...


class _Words:
    """Epoch, loss, the last validation, images a second."""

    def begin(self, epochs: int) -> None:
        self.images, self.begun, self.epochs, self.figures = 0, time.perf_counter(), epochs, ""

    def text(self, epoch: int, images: int, loss: float) -> str:
        self.images += images
        rate = self.images / max(time.perf_counter() - self.begun, 1e-9)
        return f"epoch {epoch} of {self.epochs} loss {loss:.4f}{self.figures} {rate:.0f} images/s"

    def validated(self, figures: Mapping[str, float]) -> None:
        name, value = next(iter(figures.items()))
        self.figures = f" {name.replace('_', ' ')} {value:.4f}"


class FitProgressLine(_Words):
    """A bar with the words and the time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[text]}", markup=False),
            TimeRemainingColumn(),
            console=Console(stderr=True, markup=False, emoji=False, highlight=False),
            transient=True,
        )

    def started(self, title: str, epochs: int, steps: int, done: int) -> None:
        self.begin(epochs)
        self.task = self.progress.add_task(one_line(title), total=steps, completed=done, text="")
        self.progress.start()

    def advanced(self, epoch: int, steps: int, images: int, loss: float) -> None:
        self.progress.update(self.task, advance=steps, text=self.text(epoch, images, loss))

    def finished(self) -> None:
        self.progress.stop()
        self.progress.remove_task(self.task)


class FitLogLines(_Words):
    """The same in words, a line a minute: nothing of what is over sooner."""

    def __init__(self, every: float = EVERY) -> None:
        self.every = every

    def started(self, title: str, epochs: int, steps: int, done: int) -> None:
        self.begin(epochs)
        self.title, self.steps, self.first, self.done = title, steps, done, done
        self.said = self.begun

    def advanced(self, epoch: int, steps: int, images: int, loss: float) -> None:
        self.done += steps
        text, now = self.text(epoch, images, loss), time.perf_counter()
        if now - self.said >= self.every:
            self.said = now
            left = (now - self.begun) / (self.done - self.first) * (self.steps - self.done)
            line = f"{self.title}: {text}, about {human_seconds(left)} left"
            say(line, err=True)

    def finished(self) -> None: ...


def listener() -> FitListener:
    """A progress line on a terminal, a line a minute elsewhere."""
    return FitProgressLine() if sys.stderr.isatty() else FitLogLines()
