"""A PNG decoder for label maps and images: exact, fast, and outside the interpreter lock.

Pillow turns 16-bit RGB labels (SYNTHIA) into zeros without a word, fills what is missing of a picture with
zeros, refuses files with long texts, and holds the interpreter lock while it decodes. Here zlib inflates
and compiled loops undo the filters, both without the lock.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import inflate
from pipeline.datasets.files import read_bytes
from pipeline.errors import FileError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGBA: 4}
DEPTHS = {GRAY: (1, 2, 4, 8, 16), PALETTE: (1, 2, 4, 8), RGB: (8, 16), GRAY_ALPHA: (8, 16), RGBA: (8, 16)}
HEADER_BYTES = 33

ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row, first column, step of rows and of columns of the passes of an interlaced picture."""

MOST_EXPANSION = 1032
"""Deflate makes at most this many bytes of one."""

STRIP_BYTES = 3 << 17
"""Rows are inflated and unfiltered in strips of about this size, which stay in the processor's cache."""

FEED_BYTES = 1 << 16
"""Compressed bytes given to zlib at a time: it copies what it does not use at once."""

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


class PngHeader(NamedTuple):
    """The IHDR chunk."""

    height: int
    width: int
    bit_depth: int
    color_type: int
    interlaced: bool

    @property
    def channels(self) -> int:
        return CHANNELS[self.color_type]

    @property
    def row_bytes(self) -> int:
        return self.bytes_of(self.width)

    def bytes_of(self, width: int) -> int:
        """Bytes of a row of so many pixels, without the number of its filter."""
        return (width * self.channels * self.bit_depth + 7) // 8

    @property
    def passes(self) -> list[tuple[slice, slice, int, int]]:
        """Rows and columns of each pass that has pixels, and how many there are of each."""
        if not self.interlaced:
            return [(slice(None), slice(None), self.height, self.width)]
        found = []
        for top, left, down, right in ADAM7:
            height = max(0, self.height - top + down - 1) // down
            width = max(0, self.width - left + right - 1) // right
            if height and width:
                found.append((slice(top, None, down), slice(left, None, right), height, width))
        return found

    @property
    def stream_bytes(self) -> int:
        """Bytes of the image data once they are inflated."""
        return sum(height * (1 + self.bytes_of(width)) for _, _, height, width in self.passes)

    @property
    def step(self) -> int:
        """Bytes a pixel, as the filters count them."""
        return max(1, self.channels * self.bit_depth // 8)


def is_png(data: bytes) -> bool:
    """Whether the file begins as a PNG does (a part of the signature is enough, if that is all there is)."""
    return data.startswith(SIGNATURE[: len(data)])


def png_header(path: Path) -> tuple[int, int, int, int]:
    """Height, width, bit depth (1, 2, 4, 8, 16) and colour type of a PNG, from its first 33 bytes.

    Raises
    ------
    FileError
        The file cannot be read, is no PNG, or its header is damaged.
    """
    return parse_header(read_bytes(path, HEADER_BYTES), path)[:4]


def check_plausible(header: PngHeader, file_bytes: int, path: Path) -> None:
    """Raise FileError if no file of so many bytes can hold the picture."""
    if header.stream_bytes > MOST_EXPANSION * file_bytes:
        raise FileError(
            f"{path}: truncated: {file_bytes} bytes of image data cannot hold "
            f"{header.width} x {header.height} pixels"
        )


def read_png(path: Path) -> Pixels:
    """Samples exactly as stored, not scaled to 8 bit and not looked up in the palette.

    Returns
    -------
    (H, W) for gray (values) and palette (indices) images, else (H, W, C) in the order R, G, B, alpha;
    uint16 for 16 bits a sample, else uint8.

    Raises
    ------
    FileError
        The file cannot be read, is no PNG, or is truncated or damaged.
    """
    return decode(read_bytes(path), path)


def decode(data: bytes, path: Path) -> Pixels:
    """`read_png` of a file already in memory; `path` is for the errors."""
    return decode_all(data, path)[0]


def decode_all(data: bytes, path: Path) -> tuple[Pixels, PngHeader, dict[bytes, bytes]]:
    """`decode`, the header, and the content of the chunks `PLTE` and `sBIT` where the file has them."""
    header = parse_header(data, path)
    compressed, others = _chunks(data, path)
    stream = _Inflater(compressed, header, path)
    pixels = _interlaced(stream, header, path) if header.interlaced else _pass(stream, header, path)
    return pixels, header, others


def strips(data: bytes, path: Path) -> Iterator[Pixels]:
    """`decode` a strip of rows after another, each (N, W) or (N, W, C); an interlaced picture is one strip.

    They lie in the same memory: a strip is gone once the next one is asked for. Raises FileError as `decode`,
    at the strip that is damaged.
    """
    header = parse_header(data, path)
    if header.interlaced:
        yield decode(data, path)
        return
    stream = _Inflater(_chunks(data, path)[0], header, path)
    above = np.zeros(header.row_bytes, np.uint8)
    room = np.empty((min(header.height, _strip_rows(header)), header.row_bytes), np.uint8)
    for top in range(0, header.height, len(room)):
        rows = room[: header.height - top]
        _unfilter(stream, above, rows, header, path, top)
        above[:] = rows[-1]
        yield _shaped(rows, header)


def _strip_rows(header: PngHeader) -> int:
    return max(1, STRIP_BYTES // (1 + header.row_bytes))


def _pass(stream: _Inflater, header: PngHeader, path: Path) -> Pixels:
    """All rows of a picture, or of one pass of it."""
    out = np.empty((header.height, header.row_bytes), np.uint8)
    above = np.zeros(header.row_bytes, np.uint8)
    count = _strip_rows(header)
    for top in range(0, header.height, count):
        rows = out[top : top + count]
        _unfilter(stream, above, rows, header, path, top)
        above = rows[-1]
    return _shaped(out, header)


def _unfilter(
    stream: _Inflater,
    above: NDArray[np.uint8],
    rows: NDArray[np.uint8],
    header: PngHeader,
    path: Path,
    top: int,
) -> None:
    """Inflate the (N, row bytes) of the next rows, from row `top` on, and undo their filters."""
    from pipeline.datasets.png_filters import unfilter

    filtered = np.frombuffer(stream.read(len(rows) * (1 + header.row_bytes)), np.uint8)
    bad = unfilter(filtered.reshape(len(rows), -1), above, rows, header.step)
    if bad >= 0:
        raise FileError(f"{path}: row {top + bad} has an unknown filter: the file is damaged")


def _shaped(rows: NDArray[np.uint8], header: PngHeader) -> Pixels:
    """(N, W) or (N, W, C) samples of rows (N, bytes of a row), in the same place if they fit it."""
    shape = (len(rows), header.width) if header.channels == 1 else (len(rows), header.width, header.channels)
    return _samples(rows, header).reshape(shape)


def _samples(rows: NDArray[np.uint8], header: PngHeader) -> Pixels:
    if header.bit_depth < 8:
        return _unpack(rows, header)
    if header.bit_depth == 8:
        return rows
    wide = rows.view(np.uint16)
    if sys.byteorder == "little":
        from pipeline.datasets.png_filters import swap_bytes

        swap_bytes(wide.reshape(-1))
    return wide


def _interlaced(stream: _Inflater, header: PngHeader, path: Path) -> Pixels:
    channels = () if header.channels == 1 else (header.channels,)
    kind = np.uint16 if header.bit_depth == 16 else np.uint8
    out: Pixels = np.empty((header.height, header.width, *channels), kind)
    for rows, columns, height, width in header.passes:
        part = header._replace(height=height, width=width, interlaced=False)
        out[rows, columns] = _pass(stream, part, path)
    return out


def parse_header(data: bytes, path: Path) -> PngHeader:
    """The header at the beginning of a file's bytes.

    Raises
    ------
    FileError
        This is no PNG, or its header is incomplete, damaged or meaningless.
    """
    if not is_png(data):
        raise FileError(f"{path}: not a PNG file")
    if len(data) < HEADER_BYTES:
        raise FileError(f"{path}: truncated: it ends after {len(data)} bytes, within the header")
    length, kind = struct.unpack_from(">I4s", data, 8)
    width, height, depth, color, compression, filtering, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    checksum = int.from_bytes(data[29:33], "big")
    if (length, kind) != (13, b"IHDR") or inflate.library.crc32(data[12:29]) != checksum:
        raise FileError(f"{path}: checksum of the header is wrong: the file is damaged")
    known = depth in DEPTHS.get(color, ()) and not compression and not filtering and interlace <= 1
    if not known or not 0 < height < 2**31 or not 0 < width < 2**31:
        raise FileError(
            f"{path}: the header makes no sense: {width} x {height} pixels of {depth} bits, "
            f"colour type {color}, compression {compression}, filter {filtering}, interlace {interlace}"
        )
    return PngHeader(height, width, depth, color, interlace == 1)


def _chunks(data: bytes, path: Path) -> tuple[memoryview, dict[bytes, bytes]]:
    """The zlib stream (what all IDAT chunks hold, checked chunk by chunk), and the chunks about colours."""
    view = memoryview(data)
    parts: list[memoryview] = []
    others: dict[bytes, bytes] = {}
    position, complete, closed = HEADER_BYTES, False, False
    while not complete:
        if position + 12 > len(data):
            raise FileError(f"{path}: truncated: it ends after {len(data)} bytes, without an end chunk")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise FileError(
                f"{path}: truncated: it ends after {len(data)} bytes, within a chunk that goes on to {end}"
            )
        _check_sum(view[position + 4 : end], kind, path)
        if kind == b"IDAT":
            if closed:
                raise FileError(f"{path}: its data chunks do not follow each other: the file is damaged")
            parts.append(view[position + 8 : end - 4])
        elif kind in (b"PLTE", b"sBIT") and not parts:
            others.setdefault(kind, bytes(view[position + 8 : end - 4]))
        elif not kind[0] & 0x20 and kind not in (b"PLTE", b"IEND"):
            raise FileError(f"{path}: has a chunk {kind!r}, without which it cannot be read")
        closed = bool(parts) and kind != b"IDAT"
        complete = kind == b"IEND"
        position = end
    if not parts:
        raise FileError(f"{path}: it has no data chunk: the file is damaged")
    return (parts[0] if len(parts) == 1 else memoryview(b"".join(parts))), others


def _check_sum(chunk: memoryview, kind: bytes, path: Path) -> None:
    """Compare the checksum of kind and content of a chunk that matters (its kind begins with a capital)."""
    critical = not kind[0] & 0x20
    if critical and inflate.library.crc32(chunk[:-4]) != int.from_bytes(chunk[-4:], "big"):
        raise FileError(f"{path}: checksum of a data chunk is wrong: the file is damaged")


class _Inflater:
    """The zlib stream of an image, read a strip at a time.

    Inflating whole images into fresh memory would cost as much again in page faults, which threads wait for
    each other in.
    """

    def __init__(self, compressed: memoryview, header: PngHeader, path: Path) -> None:
        lead = int.from_bytes(compressed[:2], "big")
        if len(compressed) < 6 or lead % 31 or lead >> 8 & 15 != 8 or lead & 32:
            raise FileError(f"{path}: its image data are no zlib stream: the file is damaged")
        check_plausible(header, len(compressed), path)
        # Raw, past the two bytes of the zlib header: the stream's own checksum would cost a third of the
        # time, and the chunks' checksums vouch for the same bytes.
        self._stream = inflate.library.decompressobj(-inflate.library.MAX_WBITS)
        self._rest = compressed[2:]
        self._path = path

    def read(self, size: int) -> bytes:
        """The next `size` bytes. Raises FileError if there are fewer, or they are damaged."""
        pieces, missing = [], size
        while missing:
            piece = self._next(missing)
            if piece is None:
                raise FileError(f"{self._path}: truncated: its image data end early")
            pieces.append(piece)
            missing -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _next(self, most: int) -> bytes | None:
        """What a little more of the compressed bytes gives; None at the end of the stream."""
        # Once a stream has ended, zlib copies all that it was ever given at each call.
        if self._stream.eof:
            return None
        fed: bytes | memoryview = self._stream.unconsumed_tail
        if not fed:
            fed, self._rest = self._rest[:FEED_BYTES], self._rest[FEED_BYTES:]
        try:
            piece = self._stream.decompress(fed, most)
        except inflate.error as error:
            raise FileError(f"{self._path}: its image data are damaged ({error})") from error
        return None if not piece and not fed else piece


def _unpack(packed: NDArray[np.uint8], header: PngHeader) -> NDArray[np.uint8]:
    """(H, W) samples of 1, 2 or 4 bits, the first in the high bits."""
    depth = header.bit_depth
    shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
    samples = (packed[..., None] >> shifts) & np.uint8(2**depth - 1)
    return np.ascontiguousarray(samples.reshape(len(packed), -1)[:, : header.width])
