"""Cells, columns and tables of a report as data: the same cells become HTML and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.evaluation.comparison import Spread
from pipeline.names import printable
from pipeline.workspace.disk import plain


@dataclass(frozen=True)
class Cell:
    """One cell: what is shown, and the exact value for the CSV."""

    text: str
    value: str | float | int | None = None  # None: the text itself
    bold: bool = False
    note: str = ""  # small, behind the text: a spread
    style: int | None = None  # of the sampler that the row is of: a dot of its colour before the text

    @property
    def exact(self) -> str:
        """For the CSV: numbers with all their digits, nothing where there is nothing."""
        if self.value is None:
            return "" if self.text == "–" else self.text
        value = plain(self.value)
        return "" if value is None else str(value)


@dataclass(frozen=True)
class Column:
    """Head of a column."""

    title: str
    left: bool = False  # words; numbers stand right
    bold: bool = False  # a target class
    upright: bool = False  # long title, written from bottom to top
    unseen: bool = False  # in the file alone: the same in every row, or said elsewhere


@dataclass(frozen=True)
class Table:
    """A table with a name that is also its file's."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    breaks: tuple[int, ...] = field(default=())  # rows that begin a group

    @property
    def narrow(self) -> int:
        """How many narrow columns it has, whose heads stand upright."""
        return sum(column.upright for column in self.columns)

    def csv(self) -> str:
        """RFC 4180 but for the line ends; figures with all their digits."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([printable(column.title) for column in self.columns])
        writer.writerows([[printable(cell.exact) for cell in row] for row in self.rows])
        return text.getvalue()


def words(*titles: str) -> tuple[Column, ...]:
    """Columns of words."""
    return tuple(Column(title, left=True) for title in titles)


def numbers(*titles: str) -> tuple[Column, ...]:
    """Columns of numbers."""
    return tuple(Column(title) for title in titles)


def number(value: float | None, digits: int = 3, bold: bool = False) -> Cell:
    """A figure, or a dash where there is none."""
    return Cell("–") if value is None or math.isnan(value) else Cell(f"{value:.{digits}f}", value, bold)


def mean(spread: Spread | None, bold: bool = False, digits: int = 3) -> Cell:
    """The mean over seeds, with the standard deviation where there are several."""
    if spread is None:
        return Cell("–")
    note = "" if spread.deviation is None else f"±{spread.deviation:.{digits}f}"
    return Cell(f"{spread.mean:.{digits}f}", spread.mean, bold, note)


def points(spread: Spread | None, digits: int = 1) -> Cell:
    """A difference in points of a hundred, with its sign."""
    if spread is None:
        return Cell("–")
    note = "" if spread.deviation is None else f"±{100 * spread.deviation:.{digits}f}"
    return Cell(signed(100 * spread.mean, digits), 100 * spread.mean, False, note)


def signed(value: float, digits: int = 1) -> str:
    """+1.2, −0.3, 0.0: with a real minus sign."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def giga(value: float) -> Cell:
    """10^9 multiply-adds, three digits."""
    return Cell(f"{value:.2f}" if value < 100 else f"{value:.0f}", value)


def breaks(keys: Sequence[Any]) -> tuple[int, ...]:
    """The rows that begin a group: those whose key is another than that above."""
    return tuple(i for i in range(1, len(keys)) if keys[i] != keys[i - 1])
