"""A PNG decoder for label maps: exact, fast, and outside the interpreter lock.

Pillow turns 16-bit RGB labels (SYNTHIA) into zeros without a word and holds the interpreter lock while it
decodes. Here `zlib` inflates and compiled loops undo the filters, both without the lock.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.files import read_bytes
from pipeline.errors import FileError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGBA: 4}
DEPTHS = {GRAY: (1, 2, 4, 8, 16), PALETTE: (1, 2, 4, 8), RGB: (8, 16), GRAY_ALPHA: (8, 16), RGBA: (8, 16)}
HEADER_BYTES = 33

MOST_EXPANSION = 1032
"""Deflate makes at most this many bytes of one."""

STRIP_BYTES = 1 << 19
"""Rows are inflated and unfiltered in strips of about this size, which stay in the processor's cache."""

FEED_BYTES = 1 << 16
"""Compressed bytes given to zlib at a time: it copies what it does not use at once."""

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


class Header(NamedTuple):
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
        return (self.width * self.channels * self.bit_depth + 7) // 8

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


def read_png(path: Path) -> Pixels:
    """Samples exactly as stored, not scaled to 8 bit and not looked up in the palette.

    Returns
    -------
    (H, W) for gray (values) and palette (indices) images, else (H, W, C) in the order R, G, B, alpha;
    uint16 for 16 bits a sample, else uint8.

    Raises
    ------
    FileError
        The file cannot be read, is no PNG, is truncated or damaged, or is interlaced with more than one
        channel or 16 bits a sample.
    """
    return decode(read_bytes(path), path)


def decode(data: bytes, path: Path) -> Pixels:
    """`read_png` of a file already in memory; `path` is for the errors."""
    header = parse_header(data, path)
    compressed = _image_data(data, path)
    if header.interlaced:
        return _decode_interlaced(data, header, path)
    stream = _Inflater(compressed, header, path)
    if header.bit_depth == 16:
        wide = np.empty((header.height, header.row_bytes // 2), np.uint16)
        _fill(wide.view(np.uint8), stream, header, path)
        if sys.byteorder == "little":
            from pipeline.datasets.png_filters import swap_bytes

            swap_bytes(wide.reshape(-1))
        return _shaped(wide, header)
    out = np.empty((header.height, header.row_bytes), np.uint8)
    _fill(out, stream, header, path)
    return _shaped(out if header.bit_depth == 8 else _unpack(out, header), header)


def parse_header(data: bytes, path: Path) -> Header:
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
    if (length, kind) != (13, b"IHDR") or zlib.crc32(data[12:29]) != int.from_bytes(data[29:33], "big"):
        raise FileError(f"{path}: checksum of the header is wrong: the file is damaged")
    known = depth in DEPTHS.get(color, ()) and not compression and not filtering and interlace <= 1
    if not known or not 0 < height < 2**31 or not 0 < width < 2**31:
        raise FileError(
            f"{path}: the header makes no sense: {width} x {height} pixels of {depth} bits, "
            f"colour type {color}, compression {compression}, filter {filtering}, interlace {interlace}"
        )
    return Header(height, width, depth, color, interlace == 1)


def _image_data(data: bytes, path: Path) -> memoryview:
    """The zlib stream: what all IDAT chunks hold, checked chunk by chunk."""
    view = memoryview(data)
    parts: list[memoryview] = []
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
        closed = bool(parts) and kind != b"IDAT"
        complete = kind == b"IEND"
        position = end
    if not parts:
        raise FileError(f"{path}: it has no data chunk: the file is damaged")
    return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))


def _check_sum(chunk: memoryview, kind: bytes, path: Path) -> None:
    """Compare the checksum of kind and content of a chunk that matters (its kind begins with a capital)."""
    critical = not kind[0] & 0x20
    if critical and zlib.crc32(chunk[:-4]) != int.from_bytes(chunk[-4:], "big"):
        raise FileError(f"{path}: checksum of a data chunk is wrong: the file is damaged")


def _fill(out: NDArray[np.uint8], stream: _Inflater, header: Header, path: Path) -> None:
    """Inflate the (H, N) bytes of all rows, a strip at a time, and undo their filters."""
    from pipeline.datasets.png_filters import unfilter

    height, row_bytes = out.shape
    above = np.zeros(row_bytes, np.uint8)
    rows = max(1, STRIP_BYTES // (1 + row_bytes))
    for top in range(0, height, rows):
        strip = out[top : top + rows]
        filtered = np.frombuffer(stream.read(len(strip) * (1 + row_bytes)), np.uint8)
        bad = unfilter(filtered.reshape(len(strip), -1), above, strip, header.step)
        if bad >= 0:
            raise FileError(f"{path}: row {top + bad} has an unknown filter: the file is damaged")
        above = strip[-1]


class _Inflater:
    """The zlib stream of an image, read a strip at a time.

    Inflating whole images into fresh memory would cost as much again in page faults, which threads wait for
    each other in.
    """

    def __init__(self, compressed: memoryview, header: Header, path: Path) -> None:
        lead = int.from_bytes(compressed[:2], "big")
        if len(compressed) < 6 or lead % 31 or lead >> 8 & 15 != 8 or lead & 32:
            raise FileError(f"{path}: its image data are no zlib stream: the file is damaged")
        if header.height * (1 + header.row_bytes) > MOST_EXPANSION * len(compressed):
            raise FileError(
                f"{path}: truncated: {len(compressed)} bytes of image data cannot hold "
                f"{header.width} x {header.height} pixels"
            )
        # Raw, past the two bytes of the zlib header: the stream's own checksum would cost a third of the
        # time, and the chunks' checksums vouch for the same bytes.
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._rest = compressed[2:]
        self._path = path

    def read(self, size: int) -> bytes:
        """The next `size` bytes. Raises FileError if there are fewer, or they are damaged."""
        pieces, missing = [], size
        while missing:
            fed: bytes | memoryview = self._stream.unconsumed_tail
            if not fed:
                fed, self._rest = self._rest[:FEED_BYTES], self._rest[FEED_BYTES:]
            try:
                piece = self._stream.decompress(fed, missing)
            except zlib.error as error:
                raise FileError(f"{self._path}: its image data are damaged ({error})") from error
            if not piece and not fed:
                raise FileError(f"{self._path}: truncated: its image data end early")
            pieces.append(piece)
            missing -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _unpack(packed: NDArray[np.uint8], header: Header) -> NDArray[np.uint8]:
    """(H, W) samples of 1, 2 or 4 bits, the first in the high bits."""
    depth = header.bit_depth
    shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
    samples = (packed[..., None] >> shifts) & np.uint8(2**depth - 1)
    return np.ascontiguousarray(samples.reshape(header.height, -1)[:, : header.width])


def _shaped(samples: Pixels, header: Header) -> Pixels:
    shape = (header.height, header.width)
    return samples.reshape(shape if header.channels == 1 else (*shape, header.channels))


def _decode_interlaced(data: bytes, header: Header, path: Path) -> NDArray[np.uint8]:
    """What Pillow reads right: one channel of 8 bits. Its chunks have been checked."""
    if header.channels > 1 or header.bit_depth != 8:
        raise FileError(
            f"{path}: is an interlaced PNG with {header.channels} x {header.bit_depth} bits a pixel; of the "
            f"interlaced, only gray and palette images of 8 bits are read. Save it without interlacing."
        )
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            return np.array(image, np.uint8)
    except (OSError, SyntaxError, ValueError, zlib.error, Image.DecompressionBombError) as error:
        raise FileError(f"{path}: its image data are damaged ({error})") from error
