"""Label maps written as text: rows of numbers with blanks between them (SYNTHIA-RAND's GTTXT)."""

from __future__ import annotations

from pathlib import Path

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.files import read_bytes
from pipeline.errors import FileError

NEWLINE, ZERO, NINE = ord("\n"), ord("0"), ord("9")
BLANKS = (ord(" "), ord("\t"), ord("\r"))
FINE, RAGGED, NOT_A_NUMBER, TOO_LARGE = range(4)


def read_text_ids(path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(H, W) ids of a text file, a row a line; uint8 if they fit.

    Raises
    ------
    FileError
        The file cannot be read, holds something else than whole numbers in 0..65535, or its rows differ in
        length; the message names the row.
    """
    return decode_text_ids(read_bytes(path), path)


def decode_text_ids(data: bytes, path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """`read_text_ids` of a file already in memory; `path` is for the errors."""
    height, width = _size(data, path)
    ids = np.zeros((height, width), np.uint16)
    problem, row, value = parse(np.frombuffer(data, np.uint8), ids)
    if problem == RAGGED:
        raise FileError(f"{path}: row {row} has {value} numbers, the first row {width}: damaged or truncated")
    if problem == NOT_A_NUMBER:
        raise FileError(f"{path}: row {row} holds {chr(value)!r}; a label map in text holds numbers only")
    if problem == TOO_LARGE:
        raise FileError(f"{path}: row {row} holds the id {value}; class ids must lie in 0..65535")
    return ids.astype(np.uint8) if ids.max() < 256 else ids


def text_size(path: Path) -> tuple[int, int]:
    """(H, W): the lines, and the numbers in the first. Raises FileError."""
    return _size(read_bytes(path), path)


def _size(data: bytes, path: Path) -> tuple[int, int]:
    first, *_ = data.split(b"\n", 1)
    rows = data.rstrip().count(b"\n") + 1
    columns = len(first.split())
    if not columns:
        raise FileError(f"{path}: its first line is empty; a label map in text has numbers in each line")
    return rows, columns


@numba.njit(nogil=True, cache=True)
def parse(text: NDArray[np.uint8], ids: NDArray[np.uint16]) -> tuple[int, int, int]:
    """Fill (H, W) `ids` from the bytes of a text; what is wrong first, in which row, and with what value."""
    height, width = ids.shape
    row = column = value = 0
    in_number = False
    for k in range(text.size + 1):
        byte = text[k] if k < text.size else NEWLINE
        if ZERO <= byte <= NINE:
            value = value * 10 + (byte - ZERO)
            if value > 65535:
                return TOO_LARGE, row, value
            in_number = True
            continue
        if in_number:
            if column < width:
                ids[row, column] = value
            column += 1
            value = 0
            in_number = False
        if byte == NEWLINE:
            if column != width:
                return RAGGED, row, column
            row, column = row + 1, 0
            if row == height:
                return FINE, row, 0
        elif byte not in BLANKS:
            return NOT_A_NUMBER, row, byte
    return FINE, row, 0
