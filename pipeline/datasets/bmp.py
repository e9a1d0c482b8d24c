"""BMP files with a palette.

Pillow drops palettes that look gray, and reads 8 bits per pixel as 1 if there are two colours.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.pictures import look_up, unpack
from pipeline.errors import FileError

HEAD_BYTES = 64
PLAIN, BITFIELDS = 0, 3


class BmpHeader(NamedTuple):
    """What is said of the pixels."""

    height: int
    width: int
    bits: int
    top_down: bool
    start: int  # where the pixels begin
    palette: int  # where the palette begins
    entry: int  # bytes of one colour of it
    colors: int

    @property
    def row_bytes(self) -> int:
        return (self.width * self.bits + 31) // 32 * 4

    @property
    def indexed(self) -> bool:
        return self.bits <= 8


def parse_header(head: bytes, file_bytes: int, path: Path) -> BmpHeader:
    """The header of a file of so many bytes.

    Raises
    ------
    FileError
        It is damaged, compressed, or claims more pixels than the file can hold.
    """
    try:
        start, size = struct.unpack_from("<II", head, 10)
        if size == 12:
            width, height, _, bits = struct.unpack_from("<HHHH", head, 18)
            compression, colors, entry = PLAIN, 0, 3
        else:
            width, height, _, bits, compression = struct.unpack_from("<iiHHI", head, 18)
            (colors,), entry = struct.unpack_from("<I", head, 46), 4
    except struct.error as error:
        raise FileError(f"{path}: truncated: it ends after {len(head)} bytes, within the header") from error
    if bits <= 8 and compression in (1, 2):
        raise FileError(f"{path}: is a BMP compressed by run lengths, which is not read: save it as PNG")
    known = (bits in (1, 2, 4, 8) and compression == PLAIN) or bits in (16, 24, 32)
    if not known or compression not in (PLAIN, BITFIELDS) or width < 1 or not height:
        raise FileError(
            f"{path}: the header makes no sense, or is of a kind that is not read: {width} x {height} pixels "
            f"of {bits} bits, compression {compression}"
        )
    colors = (min(colors, 2**bits) or 2**bits) if bits <= 8 else 0
    found = BmpHeader(abs(height), width, bits, height < 0, start, 14 + size, entry, colors)
    if found.palette + entry * colors > start:
        raise FileError(f"{path}: its palette and its pixels overlap: the file is damaged")
    if start + found.height * found.row_bytes > file_bytes:
        raise FileError(f"{path}: truncated: {file_bytes} bytes cannot hold {width} x {abs(height)} pixels")
    return found


def decode_indices(data: bytes, header: BmpHeader) -> NDArray[np.uint8]:
    """(H, W) indices into the palette."""
    rows = np.frombuffer(data, np.uint8, header.height * header.row_bytes, header.start)
    stored = unpack(rows.reshape(header.height, -1), header.bits, header.width)
    return np.ascontiguousarray(stored if header.top_down else stored[::-1])


def decode_indexed_rgb(data: bytes, header: BmpHeader, path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) colours of a file with a palette. Raises FileError."""
    table = np.frombuffer(data, np.uint8, header.colors * header.entry, header.palette)
    return look_up(decode_indices(data, header), table.reshape(-1, header.entry)[:, 2::-1], path)
