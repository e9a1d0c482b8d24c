"""One line on the terminal while a network is fitted."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Protocol


class Listener(Protocol):
    """Hears how a fit goes on."""

    def started(self, title: str, epochs: int, steps: int, done: int) -> None: ...
    def advanced(self, epoch: int, steps: int, images: int, loss: float) -> None: ...
    def validated(self, figures: Mapping[str, float]) -> None: ...
    def finished(self) -> None: ...


class Silent:
    """A listener that says nothing."""

    def started(self, title: str, epochs: int, steps: int, done: int) -> None: ...
    def advanced(self, epoch: int, steps: int, images: int, loss: float) -> None: ...
    def validated(self, figures: Mapping[str, float]) -> None: ...
    def finished(self) -> None: ...


class ProgressLine:
    """Epoch, loss, the last validation, images a second, time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.images, self.begun, self.epochs, self.figures = 0, time.perf_counter(), 0, ""
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )

    def started(self, title: str, epochs: int, steps: int, done: int) -> None:
        self.images, self.begun, self.epochs, self.figures = 0, time.perf_counter(), epochs, ""
        self.task = self.progress.add_task(title, total=steps, completed=done, text="")
        self.progress.start()

    def advanced(self, epoch: int, steps: int, images: int, loss: float) -> None:
        self.images += images
        rate = self.images / max(time.perf_counter() - self.begun, 1e-9)
        text = f"epoch {epoch} of {self.epochs} loss {loss:.4f}{self.figures} {rate:.0f} images/s"
        self.progress.update(self.task, advance=steps, text=text)

    def validated(self, figures: Mapping[str, float]) -> None:
        name, value = next(iter(figures.items()))
        self.figures = f" {name.replace('_', ' ')} {value:.4f}"

    def finished(self) -> None:
        self.progress.stop()
        self.progress.remove_task(self.task)


def listener() -> Listener:
    """A progress line on a terminal, silence elsewhere."""
    return ProgressLine() if sys.stderr.isatty() else Silent()
