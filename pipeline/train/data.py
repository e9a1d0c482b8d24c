"""Training data straight from the stores: a PyTorch Dataset, a shuffle that respects shards, augmentation.

Everything here was sampled once, offline. Flips, contrast, brightness and noise on single pixels commute with
nearest-pixel sampling, so they are applied afterwards, to whole batches, on the device that trains.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pipeline.errors import AdaprepError
from pipeline.train import environment
from pipeline.train.memory import free_memory
from pipeline.train.zoom import zoomed
from pipeline.units import human_bytes
from pipeline.workspace import stores

Batch = dict[str, Tensor]

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
    memory an item costs a copy; otherwise shards are read whole and the last few are kept, so the order
    should go through few shards at a time: see `ShardShuffle`. Safe with worker processes: stores are opened
    in the process that reads them.

    Parameters
    ----------
    sources
        Name of the value in a batch -> where it lies.
    in_memory
        True, False, or None: when all arrays take less than half of the memory that is free now.
    sharing
        Processes of this machine that each read them: half of the memory is for all of them.
    kept_shards
        Shards of each array kept while reading from disk.

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
        sharing: int | None = None,
    ) -> None:
        self.sources = dict(sources)
        opened = {path: stores.open_store(path, mode="r") for path in {s.store for s in sources.values()}}
        self.crops = _check_together(opened)
        self.folder = stores.SplitFolder(next(iter(opened)).parents[1])
        done = np.all([store.status() == stores.DONE for store in opened.values()], axis=0)
        self.images = np.flatnonzero(done)
        self.shard = min(store.layout.shard for store in opened.values())
        self.kept_shards = kept_shards
        self.bytes = sum(int(opened[s.store][s.array].nbytes) for s in sources.values())
        sharing = environment.local_size() if sharing is None else sharing
        self.in_memory = fits(self.bytes, sharing) if in_memory is None else in_memory
        self._loaded: dict[str, NDArray[Any]] = {}
        if self.in_memory:
            self._load(opened, in_memory is None)
        self._process = -1
        self._cache: OrderedDict[tuple[str, int], NDArray[Any]] = OrderedDict()
        self._arrays: dict[str, Any] = {}

    def _load(self, opened: Mapping[Path, stores.Store], optional: bool) -> None:
        try:
            self._loaded = {name: opened[s.store][s.array][:] for name, s in self.sources.items()}
        except MemoryError as error:
            if not optional:
                raise AdaprepError(
                    f"the samples take {human_bytes(self.bytes)} of memory, as when this run was begun, and "
                    f"that is not there now: end other programs, or start the run again with --overwrite"
                ) from error
            self.in_memory, self._loaded = False, {}

    def __len__(self) -> int:
        return len(self.images) * self.crops

    def __getitem__(self, index: int) -> Batch:
        """One item: every value without a batch axis."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        return {name: value[0] for name, value in self.__getitems__([index % len(self)]).items()}

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """A whole batch at once, as PyTorch's loader asks for it. Images become (n, 3, r, r)."""
        chosen = np.asarray(indices)
        images, crops = self.images[chosen // self.crops], chosen % self.crops
        return {name: _tensor(self._gather(name, images, crops)) for name in self.sources}

    def mean(self, name: str, instead: NDArray[Any] | float = np.nan) -> NDArray[np.float32]:
        """The mean of one of the values over all items, without their axis; of `instead` where it is NaN."""
        total: NDArray[np.float64] | float = 0.0
        for start in range(0, len(self), ITEMS_AT_ONCE):
            part = self.__getitems__(range(start, min(start + ITEMS_AT_ONCE, len(self))))[name].numpy()
            total = total + np.where(np.isnan(part), instead, part).sum(axis=0, dtype=np.float64)
        return np.asarray(total / max(len(self), 1), np.float32)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": {}, "_cache": OrderedDict(), "_process": -1}

    def _gather(self, name: str, images: NDArray[np.intp], crops: NDArray[np.intp]) -> NDArray[Any]:
        if self.in_memory:
            return np.asarray(self._loaded[name][images, crops])
        return np.stack(
            [
                self._read(name, int(i) // self.shard)[i % self.shard, k]
                for i, k in zip(images, crops, strict=True)
            ]
        )

    def _read(self, name: str, shard: int) -> NDArray[Any]:
        if self._process != os.getpid():  # a worker: what was opened before the fork is not used
            self._process, self._cache, self._arrays = os.getpid(), OrderedDict(), {}
        key = (name, shard)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        if name not in self._arrays:
            source = self.sources[name]
            self._arrays[name] = stores.open_store(source.store, mode="r")[source.array]
        block = np.asarray(self._arrays[name][shard * self.shard : (shard + 1) * self.shard])
        self._cache[key] = block
        while len(self._cache) > self.kept_shards * len(self.sources):
            self._cache.popitem(last=False)
        return block


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


def fits(size: int, sharing: int) -> bool:
    """Whether as many processes may hold `size` bytes each: half of the free memory is for all of them."""
    return size < free_memory() // 2 // sharing


def _tensor(values: NDArray[Any]) -> Tensor:
    if values.ndim == 4 and values.shape[-1] == 3 and values.dtype == np.uint8:
        values = values.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(values))


class ShardShuffle(Sampler[list[int]]):
    """Batches in random order. Reads a few shards at a time where the data do not lie in memory.

    Shards are shuffled; `mix` of them at a time are pooled and their items shuffled. In memory, all items are
    one pool. The order depends on seed and epoch alone, so a run can go on where it stopped.

    Parameters
    ----------
    seed, epoch
        Of the order; set `epoch` before each pass.
    rank, replicas
        This process takes every `replicas`-th batch, beginning with number `rank`; all take equally many.
    drop_last
        Leave out the last batch when it is smaller (it always is left out where replicas would differ).
    """

    def __init__(
        self,
        dataset: StoreDataset,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        replicas: int = 1,
        mix: int = 4,
        drop_last: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch size is {batch_size}, must be at least 1")
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.rank, self.replicas, self.mix, self.drop_last = rank, replicas, mix, drop_last
        self.epoch = 0
        self.start = 0  # batches to leave out at the front, when a run goes on within an epoch

    def __len__(self) -> int:
        whole, rest = divmod(len(self.dataset), self.batch_size)
        batches = whole + (rest > 0 and not self.drop_last)
        return batches // self.replicas if self.replicas > 1 else batches

    def __iter__(self) -> Iterator[list[int]]:
        order = self._order()
        batches = [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]
        mine = batches[self.rank :: self.replicas][: len(self)]
        return iter([batch.tolist() for batch in mine[self.start :]])

    def _order(self) -> NDArray[np.intp]:
        rng = np.random.default_rng([self.seed, self.epoch])
        data = self.dataset
        items = np.arange(len(data))
        if data.in_memory:
            return rng.permutation(items)
        shard_of = data.images[items // data.crops] // data.shard
        shards = rng.permutation(np.unique(shard_of))
        pools = [shards[i : i + self.mix] for i in range(0, len(shards), self.mix)]
        return np.concatenate([rng.permutation(items[np.isin(shard_of, pool)]) for pool in pools])


def loader(dataset: StoreDataset, batches: Sampler[list[int]], workers: int = 0) -> DataLoader[Any]:
    """A loader of whole batches; worker processes pay only where the data do not lie in memory."""
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_as_it_is,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
    )


def _as_it_is(batch: Any) -> Any:
    return batch


@dataclass(frozen=True)
class Augmentation:
    """Random changes to a batch, after the paper's section 4.1; 0 switches one off."""

    flip: float = 0.5  # probability of a left-right flip
    brightness: float = 0.2  # shift by up to this share of the full range
    contrast: float = 0.2  # scale around the mean by up to 1 -/+ this
    salt_and_pepper: float = 0.01  # share of pixels set to black or white
    zoom: float = 0.0  # images with labels: blow up a random square, by up to 1 + this

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
        if self.zoom > 0 and "label" in batch:
            share = 1 / (1 + self.zoom * uniform(count))
            flipped = zoomed(flipped, uniform(count, 2) * (1 - share)[:, None], share)
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
