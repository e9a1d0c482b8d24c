"""Reading the small arrays of a store chunk by chunk: Zarr takes ten times as long to begin with each."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_rows(folder: Path, array: Any, images: Any) -> NDArray[Any] | None:
    """Some images of an array as it lies in a folder; None where that is for Zarr to read.

    It is Zarr's where chunks are gathered in shards, lie elsewhere than in files, or are not packed as
    `stores.create` has them, and where other things than a range of images are asked for.

    Raises
    ------
    RuntimeError, ValueError, OSError
        A chunk is damaged.
    """
    if not isinstance(images, slice) or images.step not in (None, 1) or not _is_plain(array):
        return None
    from numcodecs.zstd import Zstd

    start, stop, _ = images.indices(array.shape[0])
    values = np.empty((max(stop - start, 0), *array.shape[1:]), array.dtype)
    rows, rest = array.chunks[0], tuple(repeat(0, array.ndim - 1))
    kind, shape = array.dtype.newbyteorder("<"), (rows, *array.shape[1:])
    unpacked = Zstd().decode
    for number in range(start // rows, -(-stop // rows) if stop > start else 0):
        first = number * rows
        part = slice(max(first, start) - first, min(first + rows, stop) - first)
        place = slice(part.start + first - start, part.stop + first - start)
        try:
            content = (folder / array.metadata.encode_chunk_key((number, *rest))).read_bytes()
        except FileNotFoundError:
            values[place] = array.fill_value
            continue
        values[place] = np.frombuffer(unpacked(content), kind).reshape(shape)[part]
    return values


def _is_plain(array: Any) -> bool:
    """Whether the chunks of an array are files: its values, packed by Zstandard, and nothing else."""
    from zarr.codecs import BytesCodec, Endian, ZstdCodec
    from zarr.storage import LocalStore

    if array.shards is not None or not isinstance(array.store, LocalStore):
        return False
    codecs = array.metadata.codecs
    return (
        len(codecs) == 2
        and isinstance(codecs[0], BytesCodec)
        and codecs[0].endian in (None, Endian.little)
        and isinstance(codecs[1], ZstdCodec)
        and array.chunks[1:] == array.shape[1:]
    )
