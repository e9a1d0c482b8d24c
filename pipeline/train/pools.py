"""Batches from disk: each shard is read once, here or by a worker, into a pool that they are drawn from."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pipeline.errors import AdaprepError
from pipeline.train.batches import PoolPlan, ShardShuffle
from pipeline.train.data import Batch, StoreDataset, as_shown

Piece = dict[str, Tensor] | AdaprepError
"""Items of one shard, or why they cannot be read: a sentence does not survive being raised in a worker."""


def loader(dataset: StoreDataset, batches: Sampler[list[int]], workers: int = 0) -> Iterable[Batch]:
    """Whole batches of a data set, pass by pass.

    Parameters
    ----------
    batches
        A `ShardShuffle` where the data do not lie in memory.
    workers
        Processes that read shards; none are needed where the data lie in memory.
    """
    if not dataset.in_memory and isinstance(batches, ShardShuffle):
        return PoolLoader(dataset, batches, workers)
    pinned = torch.cuda.is_available()
    return DataLoader(dataset, batch_sampler=batches, collate_fn=_as_it_is, pin_memory=pinned)


class PoolLoader:
    """Batches of one pass after the other, in the order of a `ShardShuffle`, however many workers read.

    While batches are drawn from one pool, the next is read at the same pace: two pools are held in memory.

    Parameters
    ----------
    order
        Its epoch and start are those of the next pass.
    workers
        Processes that read shards; 0: this one does, between batches.
    """

    def __init__(self, dataset: StoreDataset, order: ShardShuffle, workers: int = 0) -> None:
        self.order = order
        self.pieces: list[NDArray[np.intp]] = []  # of a pass, in the order of reading
        self.reading: DataLoader[Any] = DataLoader(
            _Pieces(dataset),
            batch_size=None,
            sampler=self.pieces,
            num_workers=workers,
            collate_fn=_as_it_is,
            persistent_workers=workers > 0,
            multiprocessing_context=dataset.start_method if workers else None,
        )
        self.buffers: tuple[Batch, Batch] = ({}, {})

    def __iter__(self) -> Iterator[Batch]:
        plan, size = self.order.plan(), self.order.batch_size
        position = self.order.start * size
        end = min(len(self.order) * size, len(plan.drawn))
        pools = _pools(plan, position, end, self.buffers)
        self.pieces[:] = [piece for pool in pools for piece in plan.pieces(pool.begin, pool.stop)]
        arriving: Iterator[Piece] = iter(self.reading) if pools else iter(())
        parts: list[Batch] = []
        for number, pool in enumerate(pools):
            pool.fill(arriving, pool.size)
            while position < min(end, pool.stop):
                stop = min(end, pool.stop, (position // size + 1) * size)
                parts.append(pool.take(plan.drawn[position:stop]))
                position = stop
                for after in pools[number + 1 : number + 2]:
                    after.fill(arriving, after.size * (position - pool.begin) // pool.size)
                if position % size == 0 or position == end:
                    yield _joined(parts)
                    parts.clear()

    def __len__(self) -> int:
        return len(self.order)


@dataclass
class _Pool:
    """Items [begin, stop) of a pass, the first of them read into a buffer."""

    begin: int
    stop: int
    room: int  # of the largest pool
    buffer: Batch
    filled: int = 0

    @property
    def size(self) -> int:
        return self.stop - self.begin

    def fill(self, arriving: Iterator[Piece], until: int) -> None:
        """Take pieces until so many items are there. Raises AdaprepError when they cannot be read."""
        while self.filled < until:
            piece = _next(arriving)
            if isinstance(piece, AdaprepError):
                raise piece
            before = self.filled
            for name, values in piece.items():
                if name not in self.buffer or len(self.buffer[name]) < self.size:
                    self.buffer[name] = values.new_empty((self.room, *values.shape[1:]))
                self.filled = before + len(values)
                self.buffer[name][before : self.filled] = values

    def take(self, places: NDArray[np.intp]) -> Batch:
        """Items by their places in the pass, copied."""
        rows = torch.from_numpy(places - self.begin)
        return {name: values.index_select(0, rows) for name, values in self.buffer.items()}


def _pools(plan: PoolPlan, begin: int, end: int, buffers: tuple[Batch, Batch]) -> list[_Pool]:
    """Those of a pass that have items in [begin, end), on two buffers by turns."""
    edges = [(int(a), int(b)) for a, b in itertools.pairwise(plan.pools) if a < end and b > begin]
    room = max((b - a for a, b in edges), default=0)
    return [_Pool(a, b, room, buffers[i % 2]) for i, (a, b) in enumerate(edges)]


def _next(arriving: Iterator[Piece]) -> Piece:
    try:
        return next(arriving)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        said = str(error).splitlines()[0][:200]
        raise AdaprepError(
            f"a process that reads samples has ended, perhaps for lack of memory: give fewer --workers, or "
            f"none. ({said})"
        ) from error


def _joined(parts: Sequence[Batch]) -> Batch:
    """One batch of its parts, in memory that a GPU copies from directly where there is one."""
    pinned = torch.cuda.is_available()
    whole = {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if parts[1:] else parts[0]
    return {name: as_shown(values.pin_memory() if pinned else values) for name, values in whole.items()}


class _Pieces(Dataset[Piece]):
    """What workers read: the items of one shard at a time."""

    def __init__(self, dataset: StoreDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, items: NDArray[np.intp]) -> Piece:
        try:
            return self.dataset.read(items)
        except AdaprepError as error:
            return AdaprepError(str(error))


def _as_it_is(batch: Any) -> Any:
    return batch
