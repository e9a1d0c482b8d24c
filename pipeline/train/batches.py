"""The order of training: shards in pools, and one random crop per image and epoch, as in the paper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from pipeline.errors import AdaprepError
from pipeline.train.data import StoreDataset
from pipeline.train.processes import Processes
from pipeline.train.settings import Schedule

SEVERAL_POOLS, BATCHES_OF_A_POOL = 4, 8
"""An epoch has so many pools, each of so many batches, before pools are as large as they may be: the next is
read while batches are drawn from one, but the first has to be waited for."""


@dataclass(frozen=True)
class PoolPlan:
    """One epoch of one process, n items: the order of reading, and that of batches, pool by pool."""

    read: NDArray[np.intp]  # (n,) items, shard by shard
    drawn: NDArray[np.intp]  # (n,) places in `read`, shuffled in each pool
    shards: NDArray[np.intp]  # (s + 1,) where shards begin in `read`; at last n
    pools: NDArray[np.intp]  # (p + 1,) where pools begin, in both orders; at last n

    def pieces(self, begin: int, stop: int) -> list[NDArray[np.intp]]:
        """The items of each shard of the pools in [begin, stop)."""
        inside = self.shards[(self.shards >= begin) & (self.shards <= stop)]
        return np.split(self.read[begin:stop], inside[1:-1] - begin)


class ShardShuffle(Sampler[list[int]]):
    """Batches in random order. Reads each shard once where the data do not lie in memory.

    In memory all items are shuffled together. From disk, shards are shuffled and pooled, and the items of a
    pool are shuffled, so that a batch is drawn from all images of a pool. Each of several processes has its
    part of the shards, and of the pool. The order depends on seed and epoch alone, from disk on the size of
    the pool and the number of processes too, so a run can go on where it stopped.

    Parameters
    ----------
    seed, epoch
        Of the order; set `epoch` before each pass.
    rank, replicas
        In memory, this process takes every `replicas`-th batch, beginning with number `rank`; from disk, its
        part of the images. All take equally many batches.
    pool
        Items of a pool, of all processes together; what the data set says when None.
    drop_last
        Leave out the last batch when it is smaller (in memory it always is left out where replicas would
        differ).
    """

    def __init__(
        self,
        dataset: StoreDataset,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        replicas: int = 1,
        pool: int | None = None,
        drop_last: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch size is {batch_size}, must be at least 1")
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.rank, self.replicas, self.drop_last = rank, replicas, drop_last
        self._pool = pool
        self.epoch = 0
        self.start = 0  # batches to leave out at the front, when a run goes on within an epoch

    @property
    def per_image(self) -> int:
        """Items of an image in an epoch."""
        return self.dataset.crops

    def __len__(self) -> int:
        images, apart = len(self.dataset.images), self.replicas > 1 and not self.dataset.in_memory
        items = (images // self.replicas if apart else images) * self.per_image
        whole, rest = divmod(items, self.batch_size)
        batches = whole + (rest > 0 and not self.drop_last)
        return batches if apart else batches // self.replicas

    def __iter__(self) -> Iterator[list[int]]:
        if self.dataset.in_memory:
            step, order = self.replicas, self._order()
        else:
            step, plan = 1, self.plan()
            order = plan.read[plan.drawn]
        batches = [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]
        mine = batches[self.rank if step > 1 else 0 :: step][: len(self)]
        return iter([batch.tolist() for batch in mine[self.start :]])

    def _order(self) -> NDArray[np.intp]:
        """All items of an epoch in random order."""
        return np.random.default_rng([self.seed, self.epoch]).permutation(len(self.dataset))

    def _items(self) -> NDArray[np.intp]:
        """The items of an epoch, ascending."""
        return np.arange(len(self.dataset))

    def plan(self) -> PoolPlan:
        """The epoch where the data do not lie in memory."""
        items, shards = self._mine()
        begins = np.flatnonzero(np.diff(shards, prepend=-1))
        starts = np.repeat(begins, np.diff(begins, append=len(items)))
        pool = starts * self._pools(len(items)) // max(len(items), 1)
        rng = np.random.default_rng([self.seed, self.epoch, self.rank, self.dataset.crops])
        drawn = np.lexsort((rng.random(len(items)), pool))
        changes = np.flatnonzero(np.diff(pool, prepend=-1))
        end = [len(items)]
        return PoolPlan(items, drawn, np.append(begins, end), np.append(changes, end))

    def _mine(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Items of one process, shard by shard in random order, and the shard of each."""
        items = self._items()
        shards = self.dataset.places(items)[0] // self.dataset.shard
        which = np.cumsum(np.diff(shards, prepend=shards[:1]) > 0)  # of the shards that there are
        rng = np.random.default_rng([self.seed, self.epoch])
        places = rng.permutation(int(which[-1]) + 1 if len(which) else 0)
        order = np.argsort(places[which], kind="stable")
        count = len(self.dataset.images) // self.replicas * self.per_image
        if self.replicas > 1:
            order = order[self.rank * count : (self.rank + 1) * count]
        return items[order], shards[order]

    def _pools(self, items: int) -> int:
        """How many pools so many items of one process make."""
        pool = self.dataset.pool if self._pool is None else self._pool
        of_size = round(items / max(1, pool // self.replicas))
        return max(1, of_size, min(SEVERAL_POOLS, items // (BATCHES_OF_A_POOL * self.batch_size)))


class CropShuffle(ShardShuffle):
    """As `ShardShuffle`, with one crop of every image in an epoch, drawn anew for each epoch."""

    @property
    def per_image(self) -> int:
        """Items of an image in an epoch."""
        return 1

    def _drawn(self) -> NDArray[np.int64]:
        """(N,) the crop of each image."""
        crops = self.dataset.crops
        rng = np.random.default_rng([self.seed, self.epoch, crops])
        return rng.integers(crops, size=len(self.dataset.images))

    def _order(self) -> NDArray[np.intp]:
        order, crops = super()._order(), self.dataset.crops
        return np.asarray(order[order % crops == self._drawn()[order // crops]])

    def _items(self) -> NDArray[np.intp]:
        return np.arange(len(self.dataset.images)) * self.dataset.crops + self._drawn()


def step_seed(seed: int, epoch: int, step: int, rank: int = 0) -> int:
    """Seed of one step: a run that goes on needs no generator's state."""
    state = np.random.SeedSequence([seed, epoch, step, rank]).generate_state(1, np.uint64)
    return int(state[0]) >> 1  # PyTorch takes 63 bits


def share_out(data: StoreDataset, schedule: Schedule, processes: Processes) -> CropShuffle:
    """The batches of one of several processes.

    Raises
    ------
    AdaprepError
        The batch size is no multiple of the number of processes, or there are too few images.
    """
    size, rest = divmod(schedule.batch_size, processes.size)
    if rest or size < 1:
        raise AdaprepError(
            f"a batch of {schedule.batch_size} crops cannot be shared out evenly to {processes.size} "
            f"processes: give --batch-size a multiple of {processes.size}"
        )
    images = len(data.images)
    batches = CropShuffle(data, size, schedule.seed, processes.rank, processes.size, drop_last=images >= size)
    if len(batches) == 0:
        raise AdaprepError(
            f"the training split has {images} usable images, too few for one batch of "
            f"{size} in each of {processes.size} processes: lower --batch-size, or use fewer processes"
        )
    return batches
