"""A TIFF encoder by the letter of the specification: any depth, sign, byte order, meaning of 0."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

NONE, DEFLATE, PACKBITS = 1, 8, 32773
KINDS = {"H": 3, "I": 4, "Q": 16}


def packed(values: NDArray[np.generic], bits: int, order: str) -> bytes:
    """Rows of (H, N) samples, each row filled up to a whole byte."""
    if bits >= 8 and bits % 8 == 0:
        return values.astype(values.dtype.newbyteorder(order)).tobytes()
    rows = []
    for row in values:
        text = "".join(f"{int(v):0{bits}b}" for v in row)
        text += "0" * (-len(text) % 8)
        rows.append(int(text, 2).to_bytes(len(text) // 8, "big"))
    return b"".join(rows)


def compress(data: bytes, compression: int) -> bytes:
    if compression == DEFLATE:
        return zlib.compress(data)
    if compression == PACKBITS:
        parts = [data[i : i + 128] for i in range(0, len(data), 128)]
        return b"".join(bytes((len(part) - 1,)) + part for part in parts)
    return data


def encode(
    values: NDArray[np.generic],
    bits: int | None = None,
    photometric: int | None = 1,
    order: str = "<",
    compression: int = NONE,
    strip: int = 4,
    big: bool = False,
    more: Mapping[int, tuple[str, tuple[int, ...]]] | None = None,
    following: int = 0,
) -> bytes:
    """TIFF of (H, W) or (H, W, C) values in strips of `strip` rows; `more` adds or replaces tags."""
    bits = bits or values.dtype.itemsize * 8
    height, width = values.shape[:2]
    samples = 1 if values.ndim == 2 else values.shape[2]
    flat = values.reshape(height, width * samples)
    strips = [
        compress(packed(flat[i : i + strip], bits, order), compression) for i in range(0, height, strip)
    ]
    start = 16 if big else 8
    offsets = [start + sum(map(len, strips[:i])) for i in range(len(strips))]
    format_ = {"u": 1, "i": 2, "f": 3, "b": 1}[values.dtype.kind]
    tags: dict[int, tuple[str, tuple[int, ...]]] = {
        256: ("I", (width,)),
        257: ("I", (height,)),
        258: ("H", (bits,) * samples),
        259: ("H", (compression,)),
        273: ("I", tuple(offsets)),
        277: ("H", (samples,)),
        278: ("I", (strip,)),
        279: ("I", tuple(map(len, strips))),
        339: ("H", (format_,) * samples),
    }
    if photometric is not None:
        tags[262] = ("H", (photometric,))
    tags |= more or {}
    content = b"".join(strips)
    content += b"\0" * (len(content) % 2)
    directory = start + len(content)
    number, count, room = ("Q", "Q", 8) if big else ("I", "H", 4)
    size = struct.calcsize("=" + count) + len(tags) * (4 + 2 * room) + room
    entries, beyond = b"", b""
    for tag, (kind, numbers) in sorted(tags.items()):
        data = struct.pack(f"{order}{len(numbers)}{kind}", *numbers)
        field = data.ljust(room, b"\0")
        if len(data) > room:
            field = struct.pack(order + number, directory + size + len(beyond))
            beyond += data
        entries += struct.pack(f"{order}HH{number}", tag, KINDS[kind], len(numbers)) + field
    magic = b"II" if order == "<" else b"MM"
    head = (
        struct.pack(order + "HHHQ", 43, 8, 0, directory) if big else struct.pack(order + "HI", 42, directory)
    )
    last = struct.pack(order + number, following)
    return magic + head + content + struct.pack(order + count, len(tags)) + entries + last + beyond
