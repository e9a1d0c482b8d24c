"""An open store: blocks written whole, status last; arrays read with damage told in a sentence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import AdaprepError, DamagedError
from pipeline.workspace import disk
from pipeline.workspace.chunks import Packing, read_parts, read_rows, write_rows
from pipeline.workspace.folders import repair_command
from pipeline.workspace.layout import DIGEST, Layout, is_file_of_store

TODO, DONE, FAILED = 0, 1, 2
"""Codes of a store's `status` array, one an image."""


@dataclass(frozen=True)
class StoredArray:
    """One array of a store, for reading: as a Zarr array, but damage is told in a sentence."""

    path: Path
    zarr: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.zarr.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all values, uncompressed."""
        return int(self.zarr.nbytes)

    def __getitem__(self, images: Any) -> Any:
        """Read images, or parts of them.

        Raises
        ------
        AdaprepError
            A chunk is damaged, as after a power cut or a bad copy.
        """
        with self._damage_told(images):
            values = read_rows(self.path, self.zarr, images)
            return self.zarr[images] if values is None else values

    def crops(
        self, images: NDArray[np.intp], crops: NDArray[np.intp], out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """(n, ...) one crop of each of some images (n,), in `out` if given. Errors as for whole images."""
        first, stop = (int(images.min()), int(images.max()) + 1) if len(images) else (0, 0)
        with self._damage_told(slice(first, stop)):
            values = read_parts(self.path, self.zarr, images, crops, out)
            if values is None:
                values = self.zarr[first:stop][images - first, crops]
        if out is None or values is out:
            return np.asarray(values)
        out[...] = values
        return out

    @contextmanager
    def _damage_told(self, images: Any) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, ValueError, OSError) as error:
            raise AdaprepError(
                f"{self.path} is damaged{_where(images)}: {error}. "
                f"Run: {repair_command(self.path.parent)}   and then what it says."
            ) from error


def _where(images: Any) -> str:
    """Which images were to be read, in words."""
    if isinstance(images, slice) and (images.start or images.stop):
        return f", images {images.start or 0} to {images.stop}"
    return f", image {images}" if isinstance(images, int | np.integer) else ""


class Parameters(dict[str, Any]):
    """What shaped a store, by name; one that is missing is told in a sentence."""

    def __init__(
        self, values: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), path: Path | None = None
    ) -> None:
        super().__init__(values)
        self.path = path

    def __missing__(self, name: str) -> Any:
        raise DamagedError(
            f"{self.path} is damaged: its parameters lack {name}. "
            f"Run its command with --overwrite to make it again."
        )


@dataclass
class Store:
    """One open Zarr group with this project's attributes."""

    path: Path
    group: Any
    arrays: dict[str, Any]  # opened once: every look-up in the group reads files
    parameters: dict[str, Any]
    layout: Layout
    inputs: dict[str, Any]

    @property
    def count(self) -> int:
        return int(self.inputs["count"])  # arrays are longer where growing was interrupted

    def __getitem__(self, name: str) -> StoredArray:
        """One array, for reading. Raises AdaprepError when there is none of that name."""
        if name not in self.arrays:
            raise AdaprepError(
                f"{self.path} is damaged: it has no array {name}. "
                f"Run its command with --overwrite to make it again."
            )
        return StoredArray(self.path / name, self.arrays[name])

    @property
    def has_digests(self) -> bool:
        """Whether every block has a fingerprint; stores of older versions have none."""
        return DIGEST in self.arrays

    def status(self) -> NDArray[np.uint8]:
        """(N,) TODO, DONE or FAILED."""
        return np.asarray(self["status"][: self.count])

    def blocks(self) -> list[tuple[int, int]]:
        """Image ranges [start, stop) of all blocks."""
        return [(i, min(i + self.layout.block, self.count)) for i in range(0, self.count, self.layout.block)]

    def is_block(self, start: int, stop: int) -> bool:
        """Whether [start, stop) is one of `blocks()`."""
        inside = 0 <= start < stop and start % self.layout.block == 0
        return inside and stop == min(start + self.layout.block, self.count)

    def write_block(self, start: int, values: Mapping[str, NDArray[Any]]) -> None:
        """Write one whole block; `status` goes last, so that a set status means a complete block.

        Raises
        ------
        ValueError
            The block is not one of `blocks()`: two tasks could then write into one chunk.
        AdaprepError
            The disk is full or may not be written.
        """
        stop = start + len(values["status"])
        if not self.is_block(start, stop):
            raise ValueError(f"images {start} to {stop} are no whole block of {self.path}")
        with disk.writing(self.path):
            for name in sorted(values.keys() - {"status"}):
                self.write(name, start, values[name])
            if self.has_digests:
                value = self.block_digest(start, values["status"])
                self.write(DIGEST, start, np.full(stop - start, value, np.uint64))
            self.write("status", start, values["status"])

    def write(self, name: str, start: int, values: NDArray[Any]) -> None:
        """Write whole chunks or shards of one array, of images from `start` on. Raises OSError."""
        array = self.arrays[name]
        if not write_rows(self.path / name, array, start, values):
            array[start : start + len(values)] = values

    def clear_partials(self) -> None:
        """Delete the chunks that killed writers left half-written. To be called while nobody writes here."""
        with disk.writing(self.path):
            for name in self.arrays:
                disk.clear_partials_below(self.path / name, is_file_of_store, self.path)

    def files(self, start: int, stop: int) -> list[Path]:
        """The files that the images [start, stop) of a block lie in; those of digest and status go last."""
        found = []
        for name in sorted(self.arrays, key=lambda n: (n == "status", n == DIGEST, n)):
            array = self.arrays[name]
            rows = (array.shards or array.chunks)[0]
            rest = (0,) * (array.ndim - 1)
            for i in range(start // rows, -(-stop // rows)):
                found.append(self.path / name / array.metadata.encode_chunk_key((i, *rest)))
        return found

    def block_digest(self, start: int, statuses: NDArray[np.uint8]) -> int:
        """64-bit BLAKE2b of a block: names and bytes of its files, but digest and status, then its statuses.

        A file that is not there counts as such: a codec pipeline may leave out chunks of nothing but fill.
        """
        value = hashlib.blake2b(digest_size=8)
        for file in self.files(start, start + len(statuses)):
            name = file.relative_to(self.path)
            if name.parts[0] in (DIGEST, "status"):
                continue
            try:
                content = file.read_bytes()
                value.update(f"{name.as_posix()}\0{len(content)}\0".encode())
                value.update(content)
            except FileNotFoundError:
                value.update(f"{name.as_posix()}\0absent\0".encode())
        value.update(np.asarray(statuses, np.uint8).tobytes())
        return int.from_bytes(value.digest(), "little")

    def forget(self, start: int, stop: int) -> None:
        """Make a block one to do again, whatever it holds."""
        with disk.writing(self.path):
            for file in reversed(self.files(start, stop)):
                disk.delete(file, self.path)


class BlockWriter:
    """Gathers one block image by image and writes it: wide arrays a shard at a time, the others at the end.

    Memory is that of one shard, packed, however many images a block holds. Used as a context manager; a block
    left by an exception stays unwritten, that is, to do.
    """

    def __init__(self, store: Store, start: int, count: int) -> None:
        self.store, self.start, self.count = store, start, count
        self.values: dict[str, NDArray[Any]] = {}
        self.wide: dict[str, _Shard] = {}
        for name, array in store.arrays.items():
            if name == DIGEST:
                continue
            if array.shards:
                self.wide[name] = _Shard(store, name, Packing.of(store.path / name, array))
            else:
                self.values[name] = np.full((count, *array.shape[1:]), array.fill_value, array.dtype)
        self.flushed = 0

    def put(self, row: int, values: Mapping[str, NDArray[Any]], status: int = DONE) -> None:
        """Take one image, in order; wide values may be smaller than their place (top left corner).

        Raises
        ------
        AdaprepError
            A shard is full and cannot be written.
        """
        for name, shard in self.wide.items():
            shard.add(values.get(name))
        for name in values.keys() - self.wide.keys():
            self.values[name][row] = values[name]
        self.values["status"][row] = status
        if row + 1 - self.flushed == self.store.layout.shard or row + 1 == self.count:
            self._flush(row + 1)

    def _flush(self, stop: int) -> None:
        with disk.writing(self.store.path):
            for shard in self.wide.values():
                shard.write(self.start + self.flushed)
        self.flushed = stop

    def __enter__(self) -> BlockWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.store.write_block(self.start, self.values)


@dataclass
class _Shard:
    """The images of a shard, packed one by one as they come; as they are where Zarr packs them."""

    store: Store
    name: str
    packing: Packing | None
    packed: list[bytes] = field(default_factory=list)
    images: list[NDArray[Any]] = field(default_factory=list)

    def add(self, values: NDArray[Any] | None) -> None:
        """Take an image, all or part of it; None for the fill value."""
        array = self.store.arrays[self.name]
        if values is not None and values.shape == array.shape[1:]:
            whole = values
        else:
            whole = np.full(array.shape[1:], array.fill_value, array.dtype)
            if values is not None:
                whole[tuple(slice(n) for n in values.shape)] = values
        if self.packing is None:
            self.images.append(np.array(whole))
        else:
            self.packed += self.packing.packed(whole[None])

    def write(self, start: int) -> None:
        """Write the shard, of images from `start` on, and begin another. Raises OSError."""
        if self.packing is None:
            self.store.write(self.name, start, np.stack(self.images))
        else:
            self.packing.write_packed(start, self.packed)
        self.packed, self.images = [], []
