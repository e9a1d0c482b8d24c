"""Batches from disk: each shard is read once, here or by a thread, into a pool that they are drawn from."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler

from pipeline.train.batches import PoolPlan, ShardShuffle
from pipeline.train.data import Batch, StoreDataset, as_shown, items_of

HOST = torch.device("cpu")

OF_DEVICE = 8
"""Samples are held on a GPU where they take less than this part of its free memory: others may use it too."""

Put = Callable[[Batch], None]
"""Puts items into tensors that have room for them and nothing else."""

Piece = tuple[int, Put]
"""Items of one shard that have arrived: how many, and what puts them into a pool."""

AHEAD = 2
"""Shards that each thread may have read, or be reading, before they are asked for."""


def loader(
    dataset: StoreDataset,
    batches: Sampler[list[int]],
    workers: int = 0,
    device: torch.device = HOST,
) -> Iterable[Batch]:
    """Whole batches of a data set, pass by pass.

    Parameters
    ----------
    batches
        A `ShardShuffle` where the data do not lie in memory.
    workers
        Threads that read shards; none are needed where the data lie in memory.
    device
        Where batches are used. They lie there already where all samples have room on it.
    """
    if not dataset.in_memory and isinstance(batches, ShardShuffle):
        return PoolLoader(dataset, batches, workers)
    if dataset.in_memory and _has_room(dataset, device):
        return ResidentLoader(dataset, batches, device)
    pinned = torch.cuda.is_available()
    return DataLoader(dataset, batch_sampler=batches, collate_fn=_as_it_is, pin_memory=pinned)


def _has_room(dataset: StoreDataset, device: torch.device) -> bool:
    """Whether all samples may be held on a device; a CPU reads them where they are."""
    return device.type == "cuda" and dataset.bytes < torch.cuda.mem_get_info(device)[0] // OF_DEVICE


class ResidentLoader:
    """Batches of samples that all lie on the device, gathered there.

    Parameters
    ----------
    dataset
        In memory.
    batches
        Items of each batch of the next pass.
    """

    def __init__(self, dataset: StoreDataset, batches: Sampler[list[int]], device: torch.device) -> None:
        self.dataset, self.batches, self.device = dataset, batches, device
        self.held: Batch = {}

    def __iter__(self) -> Iterator[Batch]:
        if not self.held:
            self.held = {name: value.to(self.device) for name, value in self.dataset.whole().items()}
        batches = list(self.batches)
        places = self.dataset.places(np.array(list(itertools.chain(*batches)), np.intp))
        images, crops = (torch.from_numpy(place).to(self.device) for place in places)
        stops = np.cumsum([len(batch) for batch in batches]).tolist()
        for begin, stop in itertools.pairwise([0, *stops]):
            chosen = images[begin:stop], crops[begin:stop]
            yield {name: as_shown(values[chosen]) for name, values in self.held.items()}

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]


class PoolLoader:
    """Batches of one pass after the other, in the order of a `ShardShuffle`, however many workers read.

    While batches are drawn from one pool, the next is read at the same pace: two pools are held in memory.

    Parameters
    ----------
    order
        Its epoch and start are those of the next pass.
    workers
        Threads that read shards, most of the time without Python's lock; 0: this one does, between batches.
    """

    def __init__(self, dataset: StoreDataset, order: ShardShuffle, workers: int = 0) -> None:
        self.dataset, self.order, self.workers = dataset, order, workers
        self.buffers: tuple[Batch, Batch] = ({}, {})

    def __iter__(self) -> Iterator[Batch]:
        plan, size = self.order.plan(), self.order.batch_size
        position = self.order.start * size
        end = min(len(self.order) * size, len(plan.drawn))
        pools = self._pools(plan, position, end)
        pieces = [piece for pool in pools for piece in plan.pieces(pool.begin, pool.stop)]
        with closing(self._read(pieces)) as arriving:
            yield from self._drawn(plan, pools, position, end, arriving)

    def _drawn(
        self, plan: PoolPlan, pools: Sequence[_Pool], position: int, end: int, arriving: Iterator[Piece]
    ) -> Iterator[Batch]:
        """Batches of the items [position, end) of a pass, while the items of its pools arrive."""
        size = self.order.batch_size
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

    def _pools(self, plan: PoolPlan, begin: int, end: int) -> list[_Pool]:
        """Those of a pass that have items in [begin, end), on two buffers by turns."""
        edges = [(int(a), int(b)) for a, b in itertools.pairwise(plan.pools) if a < end and b > begin]
        room = max((b - a for a, b in edges), default=0)
        for buffer in self.buffers[: len(edges)]:
            if not buffer or items_of(buffer) < room:
                buffer.update(self.dataset.empty(room))
        return [_Pool(a, b, self.buffers[i % 2]) for i, (a, b) in enumerate(edges)]

    def _read(self, pieces: Sequence[NDArray[np.intp]]) -> Generator[Piece, None, None]:
        """The items of one shard after another. Raises AdaprepError where they cannot be read."""
        if not self.workers:
            for piece in pieces:
                yield len(piece), partial(self.dataset.read_into, items=piece)
            return
        with closing(self._read_ahead(pieces)) as batches:
            for batch in batches:
                yield items_of(batch), partial(_copy, batch)

    def _read_ahead(self, pieces: Sequence[NDArray[np.intp]]) -> Generator[Batch, None, None]:
        """The same by threads, which do not know yet where it goes."""
        threads = ThreadPoolExecutor(self.workers, "adaprep-reading")
        waiting: deque[Future[Batch]] = deque()
        try:
            for piece in pieces:
                waiting.append(threads.submit(self.dataset.read, piece))
                if len(waiting) > AHEAD * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            threads.shutdown(cancel_futures=True)

    def __len__(self) -> int:
        return len(self.order)


@dataclass
class _Pool:
    """Items [begin, stop) of a pass, the first of them read into a buffer."""

    begin: int
    stop: int
    buffer: Batch
    filled: int = 0

    @property
    def size(self) -> int:
        return self.stop - self.begin

    def fill(self, arriving: Iterator[Piece], until: int) -> None:
        """Take pieces until so many items are there. Raises AdaprepError when they cannot be read."""
        while self.filled < until:
            count, put = next(arriving)
            put({name: values[self.filled : self.filled + count] for name, values in self.buffer.items()})
            self.filled += count

    def take(self, places: NDArray[np.intp]) -> Batch:
        """Items by their places in the pass, copied."""
        rows = torch.from_numpy(places - self.begin)
        return {name: values.index_select(0, rows) for name, values in self.buffer.items()}


def _copy(batch: Batch, room: Batch) -> None:
    for name, values in batch.items():
        room[name][:] = values


def _joined(parts: Sequence[Batch]) -> Batch:
    """One batch of its parts, in memory that a GPU copies from directly where there is one."""
    pinned = torch.cuda.is_available()
    whole = {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if parts[1:] else parts[0]
    return {name: as_shown(values.pin_memory() if pinned else values) for name, values in whole.items()}


def _as_it_is(batch: Any) -> Any:
    return batch
