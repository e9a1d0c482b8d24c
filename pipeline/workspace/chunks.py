"""Arrays of a store as files, read and written without Zarr, whose way to each chunk takes ten times as long.

What is written is what Zarr would write, but for the order of chunks inside a shard, and Zarr reads it. An
array that is packed otherwise than `stores.create` has it is left to Zarr.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.storage import is_address
from pipeline.workspace import disk, shards

Numbers = NDArray[np.intp]

FEW = 8
"""Of so many images and more of a shard in an object store, the whole shard is read in one request."""


def read_rows(folder: Path, array: Any, images: Any) -> NDArray[Any] | None:
    """Some images of an array as it lies in a folder; None where that is for Zarr to read.

    It is Zarr's where files are not packed as `stores.create` has them, where other things than a range of
    images are asked for, and where few are wanted of a shard in an object store: it asks for each by itself.

    Raises
    ------
    RuntimeError, ValueError, OSError
        A file is damaged.
    """
    if not isinstance(images, slice) or images.step not in (None, 1):
        return None
    packing, numbers = Packing.of(folder, array), np.arange(*images.indices(array.shape[0]))
    if packing is None or (packing.chunks and is_address(folder) and _are_few(numbers, packing)):
        return None
    return packing.read(numbers)


def _are_few(numbers: Numbers, packing: Packing) -> bool:
    """Whether images are few, and not all that is in their shards."""
    if not 0 < len(numbers) < FEW:
        return False
    first, stop = int(numbers[0]), int(numbers[-1]) + 1
    return first % packing.rows != 0 or (stop % packing.rows != 0 and stop != packing.array.shape[0])


def read_parts(
    folder: Path, array: Any, images: Numbers, parts: Numbers, out: NDArray[Any] | None = None
) -> NDArray[Any] | None:
    """One part of each of some images (n,), such as a crop: its number along the axis behind that of images.

    They are unpacked into `out` where that is contiguous, of their shape and type. None and errors as of
    `read_rows`.
    """
    packing = Packing.of(folder, array)
    return None if packing is None else packing.read(images, parts, out)


def write_rows(folder: Path, array: Any, start: int, values: NDArray[Any]) -> bool:
    """Write images from `start` on, which begin a file and end one; whether this is not left to Zarr.

    Raises
    ------
    OSError
        The disk refuses.
    """
    packing = Packing.of(folder, array)
    if packing is not None:
        packing.write(start, values)
    return packing is not None


@dataclass(frozen=True)
class Packing:
    """How an array lies in a folder: a file holds `rows` images, as one chunk or as a shard of chunks."""

    folder: Path
    array: Any
    rows: int
    chunks: int  # of each image in a shard, one or one per part; 0 where a file is one chunk
    level: int
    checksum: bool

    @classmethod
    def of(cls, folder: Path, array: Any) -> Packing | None:
        """How an open Zarr array is packed; None where that is left to Zarr."""
        import zarr

        if not isinstance(array, zarr.Array):
            return None
        metadata: Any = array.metadata
        codecs, shape, chunks = metadata.codecs, array.shape, 0
        if array.shards is not None:
            chunks = 1 if array.chunks == (1, *shape[1:]) else shape[1]
            if not _is_sharded(codecs) or array.chunks not in ((1, *shape[1:]), (1, 1, *shape[2:])):
                return None
            codecs = codecs[0].codecs
        file = array.shards or array.chunks
        if file[1:] != shape[1:] or not _is_zstandard(codecs):
            return None
        return cls(folder, array, file[0], chunks, codecs[1].level, codecs[1].checksum)

    def file(self, number: int) -> Path:
        """Where the images from `number * rows` on lie."""
        rest = repeat(0, self.array.ndim - 1)
        return self.folder / str(self.array.metadata.encode_chunk_key((number, *rest)))

    def write(self, start: int, values: NDArray[Any]) -> None:
        """Write images from `start` on; behind the last of them comes the fill value."""
        if self.chunks:
            self.write_packed(start, self.packed(values))
            return
        for first in range(0, len(values), self.rows):
            part = values[first : first + self.rows]
            whole = np.full((self.rows, *part.shape[1:]), self.array.fill_value, self._kind)
            whole[: len(part)] = part
            self._put((start + first) // self.rows, self._pack(whole))

    def packed(self, values: NDArray[Any]) -> list[bytes]:
        """The chunks of a shard that hold some images (n, ...)."""
        cells = np.ascontiguousarray(values, self._kind).reshape(len(values) * self.chunks, -1)
        return [self._pack(cell) for cell in cells]

    def write_packed(self, start: int, chunks: Sequence[bytes]) -> None:
        """Write the chunks of images from `start` on, which begin a shard."""
        room = self.rows * self.chunks
        for first in range(0, len(chunks), room):
            number = (start + first // self.chunks) // self.rows
            self._put(number, shards.joined(chunks[first : first + room], room))

    @property
    def _kind(self) -> np.dtype[Any]:
        """The type of values as they are written."""
        kind: np.dtype[Any] = self.array.dtype.newbyteorder("<")
        return kind

    def _pack(self, values: NDArray[Any]) -> bytes:
        from numcodecs.zstd import Zstd

        return bytes(Zstd(self.level, self.checksum).encode(values))

    def _put(self, number: int, content: bytes) -> None:
        """Write a file, whole or not at all."""
        path = self.file(number)
        if is_address(path):
            path.write_bytes(content)
        else:
            with disk.replacing(path) as partial:
                partial.write_bytes(content)

    def read(
        self, images: Numbers, parts: Numbers | None = None, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Images (n,) in any order, whole or one part of each; `out` and errors as of `read_parts`."""
        files = images // self.rows
        if len(images) and (files == files[0]).all():
            return self._read_file(int(files[0]), images, parts, out)
        values = np.empty((len(images), *self.array.shape[1 if parts is None else 2 :]), self.array.dtype)
        for number in np.unique(files).tolist():
            here = np.flatnonzero(files == number)
            values[here] = self._read_file(number, images[here], None if parts is None else parts[here])
        return values

    def _read_file(
        self, number: int, images: Numbers, parts: Numbers | None, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Images of one file."""
        path, inside, count = self.file(number), images - number * self.rows, len(images)
        shape = self.array.shape[1:]
        try:
            if self.chunks > 1 and parts is not None:
                cells, wanted = inside * self.chunks + parts, (count, *shape[1:])
                if (
                    out is not None
                    and out.shape == wanted
                    and out.dtype == self._kind
                    and out.flags.c_contiguous
                ):
                    self._unpack_cells(path, cells, out)
                    return out
                return self._cells(path, cells).reshape(wanted)
            if self.chunks:
                cells = inside[:, None] * self.chunks + np.arange(self.chunks)
                whole, inside = self._cells(path, cells.ravel()).reshape(count, *shape), np.arange(count)
            else:
                whole = np.empty((self.rows, *shape), self._kind)
                _unpack(path.read_bytes(), whole)
        except FileNotFoundError:
            missing = shape if parts is None else shape[1:]
            return np.full((count, *missing), self.array.fill_value, self.array.dtype)
        found = whole[inside] if parts is None else whole[inside, parts]
        return found.astype(self.array.dtype, copy=False)

    def _cells(self, path: Path, numbers: Numbers) -> NDArray[Any]:
        """Chunks of a shard."""
        values = np.empty((len(numbers), *self.array.chunks), self._kind)
        self._unpack_cells(path, numbers, values)
        return values.astype(self.array.dtype, copy=False)

    def _unpack_cells(self, path: Path, numbers: Numbers, values: NDArray[Any]) -> None:
        """Chunks of a shard into values (n, ...) that have room for them."""
        found = shards.read(path, self.rows * self.chunks, numbers)
        for content, place in zip(found, values, strict=True):
            if content is None:
                place[...] = self.array.fill_value
            else:
                _unpack(content, place)


def _unpack(content: shards.Chunk, values: NDArray[Any]) -> None:
    """Fill an array with the values of a chunk. Raises RuntimeError, ValueError."""
    from numcodecs.zstd import Zstd

    if (size := _content_size(content)) != values.nbytes:
        raise ValueError(f"a chunk holds {size} bytes, expected {values.nbytes}")
    Zstd().decode(content, values)


def _content_size(content: shards.Chunk) -> int | None:
    """How many bytes a frame of Zstandard says that it holds (RFC 8878, 3.1.1.1); None where it does not."""
    if len(content) < 6:
        return None
    single, names = content[4] >> 5 & 1, (0, 1, 2, 4)[content[4] & 3]
    width, begin = (single, 2, 4, 8)[content[4] >> 6], 6 - single + names
    size = int.from_bytes(content[begin : begin + width], "little")
    return (size + 256 if width == 2 else size) if width else None


def _is_sharded(codecs: Any) -> bool:
    """Whether shards are those that `shards` reads and writes."""
    from zarr.codecs import Crc32cCodec, ShardingCodec
    from zarr.codecs.sharding import ShardingCodecIndexLocation

    if len(codecs) != 1 or not isinstance(codecs[0], ShardingCodec):
        return False
    index = codecs[0].index_codecs
    return (
        codecs[0].index_location == ShardingCodecIndexLocation.end
        and len(index) == 2
        and _is_little(index[0])
        and isinstance(index[1], Crc32cCodec)
    )


def _is_zstandard(codecs: Any) -> bool:
    """Whether a chunk is its values, packed by Zstandard, and nothing else."""
    from zarr.codecs import ZstdCodec

    return len(codecs) == 2 and _is_little(codecs[0]) and isinstance(codecs[1], ZstdCodec)


def _is_little(codec: Any) -> bool:
    from zarr.codecs import BytesCodec, Endian

    return isinstance(codec, BytesCodec) and codec.endian in (None, Endian.little)
