"""Shards of Zarr's third format: chunks one after another, then where each lies and a checksum of that."""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import RawIOBase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.storage import is_address

ABSENT = 2**64 - 1
"""Offset and length, in the index, of a chunk that is not there."""

CHECKSUM = 4
"""Bytes of the CRC-32C behind the index."""

READ_WHOLE = 4
"""A shard is read in one go where at least one in so many of its chunks is wanted."""

Chunk = bytes | memoryview


def joined(chunks: Sequence[bytes], room: int) -> bytes:
    """A shard with room for `room` chunks, of which these are the first."""
    index = np.full((room, 2), ABSENT, "<u8")
    lengths = np.array([len(chunk) for chunk in chunks], np.uint64)
    index[: len(chunks), 0] = np.cumsum(lengths) - lengths
    index[: len(chunks), 1] = lengths
    return b"".join([*chunks, index.tobytes(), _checksum(index.tobytes())])


def read(path: Path, room: int, wanted: NDArray[np.intp]) -> list[Chunk | None]:
    """Chunks of a shard by their numbers; None for one that it does not hold.

    Parameters
    ----------
    room
        How many chunks there may be.

    Raises
    ------
    ValueError
        The shard is damaged.
    OSError
        It cannot be read.
    """
    end = 16 * room + CHECKSUM
    if is_address(path) or READ_WHOLE * len(wanted) >= room:
        content = memoryview(path.read_bytes())
        places = _places(path, bytes(content[-end:]), len(content), room)[wanted]
        return [content[start : start + length] if length else None for start, length in places.tolist()]
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        places = _places(path, _read(file, max(0, size - end), end), size, room)[wanted]
        return [_read(file, start, length) if length else None for start, length in places.tolist()]


def _places(path: Path, end: bytes, size: int, room: int) -> NDArray[np.uint64]:
    """(room, 2) where chunks of a shard of `size` bytes begin, and their lengths; 0 where there is none."""
    index = end[:-CHECKSUM]
    if len(index) != 16 * room or _checksum(index) != end[-CHECKSUM:]:
        raise ValueError(f"{path.name} is cut short, or its index does not match the checksum")
    places = np.frombuffer(index, "<u8").reshape(room, 2)
    places = np.where(places == ABSENT, 0, places)
    if (places > size).any() or (places.sum(axis=1) > size - len(end)).any():
        raise ValueError(f"{path.name} says that chunks lie beyond its end")
    return places


def _read(file: RawIOBase, start: int, length: int) -> bytes:
    """A part of a file; shorter where the file ends."""
    file.seek(start)
    parts, missing = [], length
    while missing and (part := file.read(missing)):
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _checksum(content: bytes) -> bytes:
    from google_crc32c import value

    return int(value(content)).to_bytes(CHECKSUM, "little")
