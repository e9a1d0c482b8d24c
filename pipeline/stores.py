"""The workspace: which folders and Zarr stores there are, what shaped them, and what in them is done.

    WORKSPACE/
      DATASET/SPLIT/
        inputs.tsv                    one line an image: name, image, label, instance, height, width
        dataset.json                  how to open the data set again
        boundaries.zarr               packed boundary maps, nearest boundaries, counts
        tensors/8x8-lambda1.zarr      sampling tensors, one store a grid, crop count and lambda
        samples/uniform-64.zarr       sampled images and label maps, one store a sampler and resolution
        failures-boundaries.json      files that could not be used, with the reason

A store is laid out whole (`create`), then filled in blocks of whole chunks by tasks that touch nothing
else. A block's `status` chunk is written after all its others: a block whose statuses are set is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import disk
from pipeline.errors import AdaprepError
from pipeline.names import check_component

FORMAT = 1
"""Version of the layout below; a store with a larger one is refused."""

TODO, DONE, FAILED = 0, 1, 2
"""Codes of a store's `status` array, one an image."""

SHARD_BYTES = 32 * 2**20

STAGES = ("boundaries", "solve-tensors", "sample")
"""Those that keep a list of failures."""

_OURS = re.compile(
    rf"([A-Za-z_]\w*/)?zarr\.json|[A-Za-z_]\w*/c(/\d+)+|([A-Za-z_]\w*/)?zarr{disk.PARTIAL}"
    rf"|[A-Za-z_]\w*/c(/\d+)*/\d+{disk.PARTIAL}"
)
"""The files of a store."""


@dataclass(frozen=True)
class ArraySpec:
    """One array of a store: its shape behind the image axis, and how many images a chunk holds."""

    shape: tuple[int, ...]
    dtype: str
    fill: float = 0
    chunk_per_image: bool = False  # one chunk an image, gathered into shards; else one chunk a block
    doc: str = ""


@dataclass(frozen=True)
class Layout:
    """How many images a block (a chunk of the small arrays) and a shard of the large ones hold."""

    block: int
    shard: int

    @classmethod
    def choose(cls, count: int, bytes_per_image: int = 0) -> Layout:
        """Blocks of 8 to 64 images, so that small data sets still make enough tasks; shards up to 32 MiB."""
        block = 8
        while block < 64 and block * 32 < count:
            block *= 2
        shard = block
        while shard > 1 and shard * bytes_per_image > SHARD_BYTES:
            shard //= 2
        return cls(block, shard)


def adaprep_version() -> str:
    """The installed version, or "unknown" in a checkout that was not installed."""
    try:
        return version("adaprep")
    except PackageNotFoundError:
        return "unknown"


def versions() -> dict[str, str]:
    """What wrote a store."""
    return {"adaprep": adaprep_version(), **{name: version(name) for name in ("numpy", "scipy", "zarr")}}


def lambda_name(lam: float) -> str:
    """1.0 -> "1", 0.1 -> "0.1": as in file names and on the command line."""
    return repr(float(lam)).removesuffix(".0")


@dataclass(frozen=True)
class SplitFolder:
    """The folder of one split of one data set in a workspace."""

    path: Path

    @property
    def dataset(self) -> str:
        return self.path.parent.name

    @property
    def split(self) -> str:
        return self.path.name

    @property
    def title(self) -> str:
        return f"{self.dataset}/{self.split}"

    @property
    def inputs(self) -> Path:
        return self.path / "inputs.tsv"

    @property
    def description(self) -> Path:
        return self.path / "dataset.json"

    def is_listed(self) -> bool:
        """Whether the list of images is there, and how to open their data set again."""
        return self.inputs.exists() and self.description.exists()

    @property
    def boundaries(self) -> Path:
        return self.path / "boundaries.zarr"

    def tensors(self, grid: Sequence[int], lam: float, crops: int | None = None) -> Path:
        """Where the tensors of a grid and a lambda lie; `crops` only where it is not the boundaries' own."""
        suffix = "" if crops is None else f"-crops{crops}"
        return self.path / "tensors" / f"{grid[0]}x{grid[1]}-lambda{lambda_name(lam)}{suffix}.zarr"

    def tensor_stores(self) -> list[Path]:
        """All tensor stores, sorted by name."""
        return sorted((self.path / "tensors").glob("*.zarr"))

    @property
    def samples(self) -> Path:
        """The folder of sample stores."""
        return self.path / "samples"

    def failures(self, stage: str) -> Path:
        return self.path / f"failures-{stage}.json"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other adaprep from writing here meanwhile. Raises AdaprepError when one does already."""
        with disk.lock(self.path):
            listed = [self.failures(stage).name for stage in STAGES]
            disk.clear_partial(self.path, self.inputs.name, self.description.name, *listed)
            yield


@dataclass(frozen=True)
class Workspace:
    """The folder that holds everything, `--workspace`."""

    path: Path

    def dataset_folder(self, dataset: str) -> Path:
        """Where all of one data set lies. Raises AdaprepError where its name can be no folder's."""
        return self.path / check_component("name of the data set", dataset)

    def folder(self, dataset: str, split: str) -> SplitFolder:
        """Of a split. Raises AdaprepError where one of the names can be no folder's."""
        return SplitFolder(self.dataset_folder(dataset) / check_component("name of the split", split))

    def folders(self, dataset: str | None = None, splits: Sequence[str] = ()) -> list[SplitFolder]:
        """The splits that hold something, of one data set (when the workspace holds only one, of that).

        Raises
        ------
        AdaprepError
            Nothing there, several data sets and none named, or a split that is not there.
        """
        found = [SplitFolder(p.parent) for p in sorted(self.path.glob("*/*/dataset.json"))]
        if not found:
            raise AdaprepError(
                f"the workspace {self.path} holds nothing yet. Start with: "
                f"adaprep boundaries --dataset NAME   (adaprep datasets lists the names)"
            )
        names = sorted({f.dataset for f in found})
        if dataset is None and len(names) > 1:
            raise AdaprepError(
                f"the workspace {self.path} holds several data sets ({', '.join(names)}): "
                f"say which one with --dataset NAME"
            )
        chosen = [f for f in found if dataset in (None, f.dataset)]
        if not chosen:
            raise AdaprepError(
                f"the workspace {self.path} holds nothing of {dataset} (it holds: {', '.join(names)}). "
                f"Run: adaprep boundaries --dataset {dataset}"
            )
        if absent := [s for s in splits if s not in {f.split for f in chosen}]:
            raise AdaprepError(
                f"the workspace holds no split {', '.join(absent)} of {chosen[0].dataset} "
                f"(it holds: {', '.join(f.split for f in chosen)}). "
                f"Run: adaprep boundaries --dataset {chosen[0].dataset} --split {absent[0]}"
            )
        return [f for f in chosen if not splits or f.split in splits]


def digest(lines: Sequence[str]) -> str:
    """Fingerprint of a list of lines (SHA-256, hex)."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


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
        try:
            return self.zarr[images]
        except (RuntimeError, ValueError, OSError) as error:
            raise AdaprepError(
                f"{self.path} is damaged{_where(images)}: {error}. "
                f"Run adaprep verify --repair: it finds what is damaged and says what to run again."
            ) from error


def _where(images: Any) -> str:
    """Which images were to be read, in words."""
    if isinstance(images, slice) and (images.start or images.stop):
        return f", images {images.start or 0} to {images.stop}"
    return f", image {images}" if isinstance(images, int | np.integer) else ""


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
        """One array, for reading. Raises KeyError when there is none of that name."""
        return StoredArray(self.path / name, self.arrays[name])

    def status(self) -> NDArray[np.uint8]:
        """(N,) TODO, DONE or FAILED."""
        return np.asarray(self["status"][: self.count])

    def blocks(self) -> list[tuple[int, int]]:
        """Image ranges [start, stop) of all blocks."""
        return [(i, min(i + self.layout.block, self.count)) for i in range(0, self.count, self.layout.block)]

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
        if (start, stop) not in self.blocks():
            raise ValueError(f"images {start} to {stop} are no whole block of {self.path}")
        with disk.writing(self.path):
            self._clear_partial(start, stop)
            for name in sorted(values, key=lambda n: n == "status"):
                self.arrays[name][start:stop] = values[name]

    def _clear_partial(self, start: int, stop: int) -> None:
        """Delete the chunks that a killed writer of this block left half-written."""
        for file in self.files(start, stop):
            disk.clear_partial(file.parent, file.name)

    def files(self, start: int, stop: int) -> list[Path]:
        """The files that the images [start, stop) of a block lie in; that of `status` is the last."""
        found = []
        for name, array in sorted(self.arrays.items(), key=lambda item: item[0] == "status"):
            rows = (array.shards or array.chunks)[0]
            for i in range(start // rows, -(-stop // rows)):
                found.append((self.path / name / "c" / str(i)).joinpath(*["0"] * (array.ndim - 1)))
        return found

    def forget(self, start: int, stop: int) -> None:
        """Make a block one to do again, whatever it holds."""
        with disk.writing(self.path):
            for file in reversed(self.files(start, stop)):
                disk.delete(file, self.path)


class BlockWriter:
    """Gathers one block image by image and writes it: wide arrays a shard at a time, the others at the end.

    Memory is that of one shard, however many images a block holds. Used as a context manager; a block left by
    an exception stays unwritten, that is, to do.
    """

    def __init__(self, store: Store, start: int, count: int) -> None:
        self.store, self.start, self.count = store, start, count
        self.values: dict[str, NDArray[Any]] = {}
        self.wide: dict[str, NDArray[Any]] = {}
        for name, array in store.arrays.items():
            if array.shards:
                rows = min(store.layout.shard, count)
                self.wide[name] = np.empty((rows, *array.shape[1:]), array.dtype)
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
        for name, buffer in self.wide.items():
            place = buffer[row - self.flushed]
            if name not in values or values[name].shape != place.shape:
                place[...] = self.store.arrays[name].fill_value
            if name in values:
                place[tuple(slice(n) for n in values[name].shape)] = values[name]
        for name in values.keys() - self.wide.keys():
            self.values[name][row] = values[name]
        self.values["status"][row] = status
        if row + 1 - self.flushed == self.store.layout.shard or row + 1 == self.count:
            self._flush(row + 1)

    def _flush(self, stop: int) -> None:
        with disk.writing(self.store.path):
            for name, buffer in self.wide.items():
                rows = stop - self.flushed
                self.store.arrays[name][self.start + self.flushed : self.start + stop] = buffer[:rows]
        self.flushed = stop

    def __enter__(self) -> BlockWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.store.write_block(self.start, self.values)


def create(
    path: Path,
    arrays: Mapping[str, ArraySpec],
    parameters: Mapping[str, Any],
    layout: Layout,
    inputs: Mapping[str, Any],
) -> Store:
    """Lay out an empty store: all arrays and attributes, no data. It appears whole or not at all."""
    import zarr
    from zarr.codecs import ZstdCodec

    count = int(inputs["count"])
    partial = path.with_name(path.name + ".partial")
    with disk.writing(path):
        _delete(partial)
        partial.parent.mkdir(parents=True, exist_ok=True)
        group = zarr.create_group(partial, zarr_format=3)
        group.attrs["adaprep"] = {
            "format": FORMAT,
            "versions": versions(),
            "parameters": dict(parameters),
            "layout": {"block": layout.block, "shard": layout.shard},
            "inputs": dict(inputs),
        }
        for name, spec in arrays.items():
            chunk = 1 if spec.chunk_per_image else layout.block
            group.create_array(
                name,
                shape=(count, *spec.shape),
                dtype=spec.dtype,
                chunks=(chunk, *spec.shape),
                shards=(layout.shard, *spec.shape) if spec.chunk_per_image else None,
                compressors=ZstdCodec(level=3, checksum=True),
                fill_value=spec.fill,
                attributes={"description": spec.doc},
            )
        os.replace(partial, path)
    return open_store(path)


def open_store(path: Path, mode: str = "r+") -> Store:
    """Open a store that is there.

    Raises
    ------
    AdaprepError
        Not there, not ours, damaged, or written by a newer version.
    """
    import zarr

    if not path.exists():
        raise AdaprepError(f"there is no store {path}")
    try:
        group = zarr.open_group(path, mode=mode)  # type: ignore[arg-type]
        about: Any = group.attrs["adaprep"]
        found = int(about["format"])
        arrays = {name: _always_written(array) for name, array in group.arrays()} if found <= FORMAT else {}
    except Exception as error:
        raise AdaprepError(
            f"{path} is not a store of adaprep, or it is damaged ({type(error).__name__}: {error}). "
            f"Run its command with --overwrite to make it again."
        ) from error
    if found > FORMAT:
        raise AdaprepError(
            f"{path} was written by a newer adaprep (store format {found}, "
            f"version {about.get('versions', {}).get('adaprep', '?')}); this one, {adaprep_version()}, "
            f"reads formats up to {FORMAT}. Upgrade adaprep, or choose another --workspace."
        )
    return Store(path, group, arrays, about["parameters"], Layout(**about["layout"]), about["inputs"])


def _always_written(array: Any) -> Any:
    """The array with chunks written even if empty: looking whether they are costs more than writing them."""
    return array.with_config({"write_empty_chunks": True})


def open_in_task(path: Path, mode: str = "r+") -> Store:
    """As `open_store`, kept open for the next block in this process while the store is the same."""
    changed = (path / "zarr.json").stat().st_mtime_ns
    return _open_cached(path, mode, changed)


@lru_cache(maxsize=32)
def _open_cached(path: Path, mode: str, changed: int) -> Store:
    return open_store(path, mode)


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """One line a parameter that differs, by name, for the refusal to mix."""
    lines = []
    for name in sorted({*stored, *wanted}):
        old, new = stored.get(name), wanted.get(name)
        if old != new:
            if isinstance(old, list) and isinstance(new, list) and max(len(old), len(new)) > 4:
                old, new = [x for x in old if x not in new], [x for x in new if x not in old]
            lines.append(f"{name}: {_short(old)} in the store, {_short(new)} asked for")
    return lines


def _short(value: Any, limit: int = 100) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def remove(path: Path) -> None:
    """Delete a store; what is left of an interrupted deletion is never taken for a store.

    Raises
    ------
    AdaprepError
        It is a link, is no store of adaprep, or holds what adaprep does not make: nothing is deleted.
    """
    if os.path.lexists(path):
        with disk.writing(path):
            check_removable(path)
            doomed = path.with_name(path.name + ".partial")
            _delete(doomed)
            os.replace(path, doomed)
            _delete(doomed)


def check_removable(path: Path) -> None:
    """Raise AdaprepError where `remove` would: a damaged store passes, anything else but a store does not."""
    disk.check_deletable(path, _workspace_of(path), is_file_of_store)
    about = path / "zarr.json"
    if about.exists():
        try:
            attributes = disk.read_json(about).get("attributes")
        except AdaprepError:  # damaged: all the other files are those of a store
            return
        if not (isinstance(attributes, dict) and "adaprep" in attributes):
            raise AdaprepError(f"{path} is a Zarr group that adaprep did not make: it is left as it is.")
    elif not path.is_dir():
        raise AdaprepError(f"{path} is not a store of adaprep: it is left as it is. Move it away.")


def is_file_of_store(name: str) -> bool:
    """Whether a store holds a file of this path, relative to its folder."""
    return _OURS.fullmatch(name) is not None


def _workspace_of(path: Path) -> Path:
    """The workspace that a store lies in: above the folders of its data set and split."""
    split = next((p for p in path.parents if (p / "dataset.json").is_file()), path.parent)
    return split.parent.parent


def _delete(path: Path) -> None:
    disk.delete(path, _workspace_of(path), is_file_of_store)


def grow(store: Store, inputs: Mapping[str, Any]) -> Store:
    """Lengthen every array to a longer input list; what is there stays.

    The input list changes last: a growth that was killed is begun again.
    """
    count = int(inputs["count"])
    with disk.writing(store.path):
        disk.clear_partial(store.path, "zarr")
        for name, array in store.arrays.items():
            disk.clear_partial(store.path / name, "zarr")
            if array.shape[0] != count:
                array.resize((count, *array.shape[1:]))
        store.group.attrs["adaprep"] = {**store.group.attrs["adaprep"], "inputs": dict(inputs)}
    return open_store(store.path)
