"""A PNG encoder by the letter of the specification: any depth, colour type, filter, chunking, interlacing."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def header(width: int, height: int, depth: int, color: int, interlaced: bool = False) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced))


def assemble(*chunks: bytes) -> bytes:
    return SIGNATURE + b"".join(chunks) + chunk(b"IEND", b"")


def pack_row(samples: NDArray[np.uint16], depth: int) -> list[int]:
    """Bytes of one row of samples, unfiltered."""
    bits = "".join(f"{int(sample):0{depth}b}" for sample in samples)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def paeth(a: int, b: int, c: int) -> int:
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]


def filter_row(kind: int, row: list[int], above: list[int], step: int) -> bytes:
    out = [kind]
    for i, value in enumerate(row):
        a, b, c = (row[i - step], above[i], above[i - step]) if i >= step else (0, above[i], 0)
        out.append((value - (0, a, b, (a + b) // 2, paeth(a, b, c))[kind]) % 256)
    return bytes(out)


def rows(samples: NDArray[np.uint16], depth: int, step: int, filters: Sequence[int]) -> bytes:
    """Filtered rows of (H, N) samples; filters are used in turn."""
    out, above = b"", [0] * len(pack_row(samples[0], depth))
    for i, line in enumerate(samples):
        row = pack_row(line, depth)
        out += filter_row(filters[i % len(filters)], row, above, step)
        above = row
    return out


def encode(
    pixels: NDArray[np.generic],
    depth: int | None = None,
    color: int | None = None,
    filters: Sequence[int] = (0,),
    idat: int = 1 << 30,
    interlaced: bool = False,
) -> bytes:
    """PNG of (H, W) or (H, W, C); `idat` bytes a data chunk. Without colour type: gray, or what C says."""
    depth = depth or pixels.dtype.itemsize * 8
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if color is None:
        color = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    step = max(1, CHANNELS[color] * depth // 8)
    height, width = pixels.shape[:2]
    flat = pixels.reshape(height, width * channels).astype(np.uint16)
    if interlaced:
        cube = flat.reshape(height, width, channels)
        passes = [cube[top::down, left::right] for top, left, down, right in ADAM7]
        content = b"".join(rows(p.reshape(len(p), -1), depth, step, filters) for p in passes if p.size)
    else:
        content = rows(flat, depth, step, filters)
    stream = zlib.compress(content)
    data = [chunk(b"IDAT", stream[i : i + idat]) for i in range(0, len(stream), idat)]
    palette = [chunk(b"PLTE", bytes((7 * i + 5) % 256 for i in range(3 * 2**depth)))] if color == 3 else []
    return assemble(header(width, height, depth, color, interlaced), *palette, *data)


def write_png(path: Path, pixels: NDArray[np.generic], color: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(pixels, color=color, filters=(1, 2, 4)))
    return path
