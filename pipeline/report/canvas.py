"""Matplotlib, for pictures that go to files: no screen, no settings of the user's, no half-written file.

All pictures and charts are made here: `figure`, then `save`. Names in titles and labels go through `words`.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pipeline import marks
from pipeline.names import printable

_IMPORT = threading.Lock()


@contextmanager
def _no_backend() -> Iterator[None]:
    """Without MPLBACKEND, which Matplotlib reads when it is imported, and refuses where it lacks it."""
    with _IMPORT:
        chosen = os.environ.pop("MPLBACKEND", None)
        try:
            yield
        finally:
            if chosen is not None:
                os.environ["MPLBACKEND"] = chosen


def figure(width: float, height: float, dpi: int = 150) -> Any:
    """An empty figure of so many inches, drawn by Agg whatever the user's settings are."""
    with _no_backend():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(made)
    return made


def words(text: str) -> str:
    """Text as it stands: no formulas between dollar signs, no control characters."""
    return printable(text).replace("$", r"\$")


def save(made: Any, path: Path, writer: marks.Writer | None = None) -> None:
    """Write a figure whole or not at all, marked as ours.

    Parameters
    ----------
    path
        Its suffix says the format.
    writer
        What may be replaced; without one, anything.

    Raises
    ------
    AdaprepError
        The suffix is no picture's, the file may not be replaced, or the disk refuses.
    """
    marks.check_suffix(path)
    with (writer or marks.Writer(force=True)).replacing(path) as partial, partial.open("wb") as file:
        draw(made, file, path.suffix)


def draw(made: Any, file: IO[Any], suffix: str, **options: Any) -> None:
    """Draw a figure into an open file; characters that the font lacks become boxes."""
    kind = suffix.lower().removeprefix(".")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        made.savefig(file, format=kind, **{**marks.save_options(suffix), **options})
