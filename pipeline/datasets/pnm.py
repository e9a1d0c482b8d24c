"""PBM, PGM and PPM: Pillow scales their values to 8 or 16 bits, which changes class ids."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.pictures import Scale, gray_to_rgb, to_8_bits, unpack
from pipeline.errors import FileError

HEAD_BYTES = 1 << 16
"""The header with its comments lies within so many bytes."""

TOKEN = re.compile(rb"(?:[ \t\r\n\v\f]|#[^\r\n]*[\r\n])*([0-9]{1,10})")
COMMENT = re.compile(rb"#[^\r\n]*")


class PnmHeader(NamedTuple):
    """What stands before the pixels."""

    kind: int  # the digit of P1 to P6
    height: int
    width: int
    most: int  # the largest possible value
    end: int  # where the pixels begin

    @property
    def channels(self) -> int:
        return 3 if self.kind in (3, 6) else 1

    @property
    def bitmap(self) -> bool:
        return self.kind in (1, 4)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row; of text the fewest possible."""
        if self.bitmap:
            return self.width if self.kind == 1 else (self.width + 7) // 8
        return self.width * self.channels * (1 if self.most < 256 and self.kind > 3 else 2)


def parse_header(head: bytes, file_bytes: int, path: Path) -> PnmHeader:
    """The header of a file of so many bytes.

    Raises
    ------
    FileError
        It is damaged, or claims more pixels than the file can hold.
    """
    kind, position, numbers = head[1] - ord("0"), 2, list[int]()
    for _ in range(2 if kind in (1, 4) else 3):
        match = TOKEN.match(head[:HEAD_BYTES], position)
        if not match:
            raise FileError(f"{path}: the header is damaged: it must state width, height and largest value")
        numbers.append(int(match[1]))
        position = match.end()
    width, height, most = (*numbers, 1)[:3]
    found = PnmHeader(kind, height, width, most, position + 1)
    if not width or not height or not 0 < most < 65536 or not head[position : position + 1].isspace():
        raise FileError(f"{path}: the header makes no sense: {width} x {height} pixels up to {most}")
    if height * found.row_bytes > file_bytes - found.end + (kind < 4):
        raise FileError(f"{path}: truncated: {file_bytes} bytes cannot hold {width} x {height} pixels")
    return found


def decode(data: bytes, path: Path) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], PnmHeader]:
    """(H, W) or (H, W, 3) values as stored, and the header. In bitmaps 1 is black. Raises FileError."""
    header = parse_header(data, len(data), path)
    if header.kind <= 3:
        return _text(data, header, path), header
    shape = (header.height, header.width)
    content = np.frombuffer(data, np.uint8, header.height * header.row_bytes, header.end)
    if header.bitmap:
        return unpack(content.reshape(header.height, -1), 1, header.width), header
    wide = header.most > 255
    values = content.view(">u2").astype(np.uint16) if wide else content.copy()
    _check_values(values, header, path)
    return values.reshape(shape if header.channels == 1 else (*shape, 3)), header


def _text(data: bytes, header: PnmHeader, path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    content = data[header.end :]
    if b"#" in content:
        content = COMMENT.sub(b"", content)
    if content.translate(None, b"0123456789 \t\r\n\v\f"):
        raise FileError(f"{path}: holds something else than whole numbers: the file is damaged")
    count = header.height * header.width * header.channels
    values: NDArray[Any]
    if header.bitmap:
        values = np.frombuffer(b"".join(content.split()), np.uint8)[:count] - np.uint8(ord("0"))
    else:
        values = np.fromstring(content, np.uint64, count, sep=" ")
    if len(values) < count:
        raise FileError(f"{path}: truncated: it has {len(values)} of {count} values")
    _check_values(values, header, path)
    shape = (header.height, header.width)
    values = values.reshape(shape if header.channels == 1 else (*shape, 3))
    return values.astype(np.uint8) if header.most < 256 else values.astype(np.uint16)


def _check_values(values: NDArray[np.generic], header: PnmHeader, path: Path) -> None:
    if (largest := int(values.max())) > header.most:
        raise FileError(
            f"{path}: holds {largest}, above its largest value {header.most}: the file is damaged"
        )


def decode_rgb(data: bytes, path: Path, scale: Scale | None = None) -> NDArray[np.uint8]:
    """(H, W, 3) colours. Raises FileError."""
    values, header = decode(data, path)
    if header.bitmap:
        return gray_to_rgb(np.where(values == 0, 255, 0).astype(np.uint8))
    colors = to_8_bits(values, header.most, path, scale=scale)
    return colors if header.channels == 3 else gray_to_rgb(colors)
