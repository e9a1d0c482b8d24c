"""Training data straight from the stores: a PyTorch Dataset, and augmentation.

Everything here was sampled once, offline. Flips, contrast, brightness and noise on single pixels commute with
nearest-pixel sampling, so they are applied afterwards, to whole batches, on the device that trains.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from pipeline.errors import AdaprepError
from pipeline.train import environment, shared
from pipeline.train.memory import fits, free_memory, pool_that_fits
from pipeline.train.processes import Processes
from pipeline.units import human_bytes
from pipeline.workspace import stores

Batch = dict[str, Tensor]

FINER = 4
"""Resolution of finer uniform samples over that of the network that they are read for."""

FINER_ARRAYS = {"fine": "image", "label": "label"}
"""Of a store of uniform samples, by their names in a batch."""

ITEMS_AT_ONCE = 1024
"""Items that are read together where all of them are gone through."""


@dataclass(frozen=True)
class Source:
    """One array of one store, indexed by image and crop."""

    store: Path
    array: str


class StoreDataset(Dataset[Batch]):
    """Crops as items, gathered from arrays of one or several stores of the same split.

    Items are numbered image by image, crop by crop; images that failed are left out. With all arrays in
    memory an item costs a copy; otherwise shards are read whole: for training in the order of
    `pipeline.train.batches.ShardShuffle`, each once per epoch; for `__getitems__` the last few are kept.
    Safe with worker processes: stores are opened in the process that reads them. `read` is safe in threads.

    Parameters
    ----------
    sources
        Name of the value in a batch -> where it lies.
    in_memory
        True, False, or None: when all arrays take less than half of the memory that is free now. They are
        read when they are first asked for, or by `settle`.
    kept_shards
        Shards of each array kept while items are read from disk one by one.
    promised
        Bytes of that half of the memory that are for other data.

    Attributes
    ----------
    in_memory : bool
        Whether all arrays are held in memory.
    pool : int
        Items that are shuffled together where they are not.

    Raises
    ------
    AdaprepError
        A store is missing or unfinished, or the stores do not belong to the same images.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        in_memory: bool | None = None,
        kept_shards: int = 8,
        promised: int = 0,
    ) -> None:
        self.sources = dict(sources)
        opened = {path: stores.open_store(path, mode="r") for path in {s.store for s in sources.values()}}
        self.crops = _check_together(opened)
        self.folder = stores.SplitFolder(next(iter(opened)).parents[1])
        done = np.all([store.status() == stores.DONE for store in opened.values()], axis=0)
        self.images = np.flatnonzero(done)
        self.shard = min(store.layout.shard for store in opened.values())
        self.kept_shards = kept_shards
        self._specs = {
            name: shared.Spec(opened[s.store][s.array].shape, opened[s.store][s.array].zarr.dtype)
            for name, s in sources.items()
        }
        self.bytes = sum(spec.nbytes for spec in self._specs.values())
        self._optional = in_memory is None
        copies = 1 if shared.possible() else environment.local_size()
        self.in_memory = fits(self.bytes, copies, promised) if in_memory is None else in_memory
        self.pool = pool_that_fits(self.bytes // max(len(done) * self.crops, 1))
        self._loaded: dict[str, NDArray[Any]] = {}
        self._process = -1
        self._cache: OrderedDict[tuple[str, int], NDArray[Any]] = OrderedDict()
        self._opened: dict[Path, stores.Store] = {}

    @property
    def held(self) -> int:
        """Bytes that are in memory all the time."""
        return self.bytes if self.in_memory else 0

    def settle(self, processes: Processes, pool: int | None = None) -> None:
        """Agree with the other processes on how items are read; read them once, if into memory.

        All processes have to call this together. Those of one machine then hold one copy of what is in
        memory, each having read its part of it.

        Parameters
        ----------
        pool
            Items of a pool, where that is decided.

        Raises
        ------
        AdaprepError
            Samples that have to be in memory do not fit there.
        """
        told = np.zeros((processes.size, 2), np.int64)
        told[processes.rank] = self.in_memory, self.pool
        told = np.asarray(processes.total(told))
        self.in_memory = bool(told[0, 0])
        self.pool = int(told[:, 1].min()) if pool is None else pool
        if self.in_memory:
            self._load(processes)

    def _load(self, processes: Processes) -> None:
        if not self._optional and self.bytes > free_memory():
            raise _too_large(self.bytes)
        arrays = shared.arrays(self._specs, processes)
        begin, stop = self._part(Processes() if arrays is None else processes)
        try:
            if arrays is None:
                arrays = {name: np.empty(spec.shape, spec.dtype) for name, spec in self._specs.items()}
            for name in self.sources:
                for first in range(begin, stop, self.shard):
                    rows = slice(first, min(first + self.shard, stop))
                    arrays[name][rows] = self._array(name)[rows]
        except MemoryError as error:
            if not self._optional:
                raise _too_large(self.bytes) from error
            self.in_memory, arrays = False, {}
        processes.wait()
        self._loaded = arrays

    def _part(self, processes: Processes) -> tuple[int, int]:
        """The images [begin, stop) that this process reads for all of its machine: whole shards."""
        count = max(spec.shape[0] for spec in self._specs.values())
        shards = -(-count // self.shard)
        begin, stop = (
            min(count, self.shard * (shards * part // processes.local_size))
            for part in (processes.local, processes.local + 1)
        )
        return begin, stop

    def __len__(self) -> int:
        return len(self.images) * self.crops

    def __getitem__(self, index: int) -> Batch:
        """One item: every value without a batch axis."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        return {name: value[0] for name, value in self.__getitems__([index % len(self)]).items()}

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """A whole batch at once, as PyTorch's loader asks for it. Images are (n, 3, r, r)."""
        images, crops = self.places(np.asarray(indices))
        return {name: as_shown(torch.from_numpy(self._gather(name, images, crops))) for name in self.sources}

    def places(self, items: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """(n,) images in the stores, and (n,) crops, of items."""
        return self.images[items // self.crops], items % self.crops

    def whole(self) -> Batch:
        """Every array as it is stored, (images, crops, ...); images that failed are in it, with any values.

        The samples have to be in memory.
        """
        if not self._loaded:
            self._load(Processes())
        return {name: torch.from_numpy(self._loaded[name]) for name in self.sources}

    def mean(self, name: str, instead: NDArray[Any] | float = np.nan) -> NDArray[np.float32]:
        """The mean of one of the values over all items, without their axis; of `instead` where it is NaN."""
        total: NDArray[np.float64] | float = 0.0
        for start in range(0, len(self), ITEMS_AT_ONCE):
            items = np.arange(start, min(start + ITEMS_AT_ONCE, len(self)))
            part = self._gather(name, *self.places(items))
            total = total + np.where(np.isnan(part), instead, part).sum(axis=0, dtype=np.float64)
        return np.asarray(total / max(len(self), 1), np.float32)

    def read(self, items: NDArray[np.intp]) -> dict[str, Tensor]:
        """Items of one shard, read from disk; as they are stored, images (n, r, r, 3)."""
        images, crops = self.places(items)
        return {name: torch.from_numpy(self._array(name).crops(images, crops)) for name in self.sources}

    def read_into(self, room: Batch, items: NDArray[np.intp]) -> None:
        """`read`, without workers: into tensors that have room for the items and nothing else."""
        images, crops = self.places(items)
        for name, values in room.items():
            self._array(name).crops(images, crops, values.numpy())

    def empty(self, count: int) -> Batch:
        """Room for so many items as `read` gives them."""
        return {
            name: torch.from_numpy(np.empty((count, *spec.shape[2:]), spec.dtype))
            for name, spec in self._specs.items()
        }

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": {}, "_cache": OrderedDict(), "_process": -1}

    def _gather(self, name: str, images: NDArray[np.intp], crops: NDArray[np.intp]) -> NDArray[Any]:
        if self.in_memory and not self._loaded:
            self._load(Processes())
        if self.in_memory:
            return np.asarray(self._loaded[name][images, crops])
        return np.stack(
            [
                self._kept(name, int(i) // self.shard)[i % self.shard, k]
                for i, k in zip(images, crops, strict=True)
            ]
        )

    def _kept(self, name: str, shard: int) -> NDArray[Any]:
        array, key = self._array(name), (name, shard)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        block = np.asarray(array[shard * self.shard : (shard + 1) * self.shard])
        self._cache[key] = block
        while len(self._cache) > self.kept_shards * len(self.sources):
            self._cache.popitem(last=False)
        return block

    def _array(self, name: str) -> stores.StoredArray:
        """One of the arrays, opened in the process that reads it; threads may ask at once."""
        if self._process != os.getpid():
            paths = {source.store for source in self.sources.values()}
            self._opened = {path: stores.open_store(path, mode="r") for path in paths}
            self._cache, self._process = OrderedDict(), os.getpid()
        source = self.sources[name]
        return self._opened[source.store][source.array]


def _too_large(size: int) -> AdaprepError:
    return AdaprepError(
        f"the samples take {human_bytes(size)} of memory, as when this run was begun, and "
        f"that is not there now: end other programs, or start the run again with --overwrite"
    )


def _check_together(opened: Mapping[Path, stores.Store]) -> int:
    crops = set()
    inputs = {}
    for path, store in opened.items():
        inputs[path] = store.inputs["sha256"]
        crops.add(int(store.parameters["crops"]))
        if unfinished := int((store.status() == stores.TODO).sum()):
            raise AdaprepError(f"{path} is not finished ({unfinished} images to do): run its command again")
    if len(set(inputs.values())) > 1 or len(crops) > 1:
        names = ", ".join(str(path) for path in inputs)
        raise AdaprepError(
            f"these stores were made from other images or crop counts than each other: {names}"
        )
    return crops.pop()


def items_of(batch: Batch) -> int:
    """How many items a batch has."""
    return len(next(iter(batch.values())))


def as_shown(values: Tensor) -> Tensor:
    """Images as networks take them, (n, 3, r, r), seen without a copy; anything else as it is."""
    if values.dim() == 4 and values.shape[-1] == 3 and values.dtype == torch.uint8:
        return values.permute(0, 3, 1, 2)
    return values


@dataclass(frozen=True)
class Augmentation:
    """Random changes to a batch, after the paper's section 4.1; 0 switches one off."""

    flip: float = 0.5  # probability of a left-right flip
    brightness: float = 0.2  # shift by up to this share of the full range
    contrast: float = 0.2  # scale around the mean by up to 1 -/+ this
    salt_and_pepper: float = 0.01  # share of pixels set to black or white
    zoom: float = 0.0  # of base networks: a random square, blown up by up to 1 + this; `anew` draws it
    turn: float = 0.0  # probability of one, two or three quarter turns, for views from above

    def __call__(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """Change a batch on its own device.

        Parameters
        ----------
        batch
            ``image`` (n, 3, r, r) uint8 or float in 0..255, and any of ``label`` (n, r, r), ``phi`` and ``b``
            (n, 2, h, w), which are flipped along.

        Returns
        -------
        dict
            The image as float32 in 0..255.
        """
        image = batch["image"].float()
        device, count = image.device, len(image)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=device)

        flipped = flip_batch({**batch, "image": image}, uniform(count) < self.flip)
        if self.turn > 0:
            quarters = (1 + (3 * uniform(count)).long()) * (uniform(count) < self.turn)
            flipped = turn_batch(flipped, quarters)
        image = flipped["image"]
        scale = 1 + self.contrast * (2 * uniform(count, 1, 1, 1) - 1)
        shift = 255 * self.brightness * (2 * uniform(count, 1, 1, 1) - 1)
        mean = image.mean(dim=(1, 2, 3), keepdim=True)
        image = ((image - mean) * scale + mean + shift).clamp(0, 255)
        noise = uniform(count, 1, *image.shape[-2:])
        half = self.salt_and_pepper / 2
        image = torch.where(noise < half, 0.0, torch.where(noise > 1 - half, 255.0, image))
        return {**flipped, "image": image}


def flip_batch(batch: Batch, which: Tensor) -> Batch:
    """Flip the chosen items (n,) left to right, tensors exactly along (phi1 becomes 1 - phi1)."""
    out = dict(batch)
    for name, value in batch.items():
        if value.dim() < 3:  # one number an item: nothing to flip
            continue
        turned = value.flip(-1)
        if name in ("phi", "b"):
            turned = torch.stack([turned[:, 0], 1 - turned[:, 1]], dim=1)
        out[name] = torch.where(which.view(-1, *[1] * (value.dim() - 1)), turned, value)
    return out


def turn_batch(batch: Batch, quarters: Tensor) -> Batch:
    """Turn each item (n,) by so many quarters, counterclockwise, tensors exactly along.

    What lies at (y, x) of [0, 1] x [0, 1] is at (1 - x, y) after a quarter.

    Raises
    ------
    AdaprepError
        Tensors are of a grid that is not square: a quarter turn of it is another grid.
    """
    out = dict(batch)
    for name, value in batch.items():
        if value.dim() < 3:
            continue
        if value.shape[-1] != value.shape[-2]:
            raise AdaprepError(
                f"--augment turn needs a square grid, and this one is {value.shape[-2]}x{value.shape[-1]}"
            )
        turned = value
        for quarter in (1, 2, 3):
            turned = turned.rot90(1, (-2, -1))
            if name in ("phi", "b"):
                turned = torch.stack([1 - turned[:, 1], turned[:, 0]], dim=1)
            chosen = (quarters == quarter).view(-1, *[1] * (value.dim() - 1))
            out[name] = torch.where(chosen, turned, out[name])
    return out


def sampled(path: Path) -> dict[str, Source]:
    """Sources of a store that `adaprep sample` made: image, label and tensor."""
    return {name: Source(path, name) for name in ("image", "label", "phi")}


def auxiliary(images: Path, tensors: Path) -> dict[str, Source]:
    """Sources for the auxiliary network: small uniform images, proposals, nearest boundaries."""
    return {
        "image": Source(images, "image"),
        "phi": Source(tensors, "phi"),
        "b": Source(tensors, "b"),
        "has_boundary": Source(tensors, "has_boundary"),
    }
