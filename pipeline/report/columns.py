"""Tables on a terminal of any width: no word and no number is cut.

A table that is too wide gives up room where it can: heads and texts break between words. One that is still
too wide is printed in parts, each with the first columns again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Column

GAP = 2
"""Columns of the terminal between two columns of a table."""

LONGEST = 24
"""Of a word that keeps to its line, such as a path."""


def print_table(out: Console, table: Table, keys: int = 1) -> None:
    """Print a table that nothing is cut off from.

    Parameters
    ----------
    keys
        Columns at the left that say what a row is: they begin every part.
    """
    columns = table.columns
    if _total([_natural(column) for column in columns]) <= out.width:
        out.print(table)
        return
    for part in _parts(columns, keys, out.width):
        out.print(_part(table, part, out.width))


def _parts(columns: Sequence[Column], keys: int, width: int) -> Iterator[list[int]]:
    """Numbers of the columns of each part."""
    least = [_least(column) for column in columns]
    if _total(least) <= width:
        yield list(range(len(columns)))
        return
    first = list(range(min(keys, len(columns))))
    part = list(first)
    for number in range(len(first), len(columns)):
        if len(part) > len(first) and _total([least[n] for n in (*part, number)]) > width:
            yield part
            part = list(first)
        part.append(number)
    yield part


def _part(table: Table, numbers: Sequence[int], width: int) -> Table:
    columns = [table.columns[number] for number in numbers]
    made = Table(box=None, pad_edge=False)
    for column, room in zip(columns, _widths(columns, width), strict=True):
        made.add_column(column.header, justify=column.justify, width=room, overflow="fold")
    cells = zip(*(list(column.cells) for column in columns), strict=True)
    for row, texts in zip(table.rows, cells, strict=True):
        made.add_row(*texts, style=row.style)
    return made


def _widths(columns: Sequence[Column], width: int) -> list[int]:
    """What each column needs at least, and what is left for those whose texts would break, then for heads."""
    widths = [_least(column) for column in columns]
    for wanted in (_widest_cell, _natural):
        for number, column in enumerate(columns):
            left = width - _total(widths)
            widths[number] += max(0, min(left, wanted(column) - widths[number]))
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * max(0, len(widths) - 1)


def _natural(column: Column) -> int:
    return max(_widest(column.header), _widest_cell(column))


def _widest_cell(column: Column) -> int:
    return max(map(_widest, column.cells), default=0)


def _least(column: Column) -> int:
    """Of a column whose head breaks between words, and whose cells do if they are texts."""
    cells = _longest_word if column.justify == "left" else _widest
    return max(_longest_word(column.header), max(map(cells, column.cells), default=0), 1)


def _widest(text: Any) -> int:
    return max(map(cell_len, _plain(text).split("\n")))


def _longest_word(text: Any) -> int:
    return max((min(cell_len(word), LONGEST) for word in _plain(text).split()), default=0)


def _plain(text: Any) -> str:
    return str(getattr(text, "plain", text))
