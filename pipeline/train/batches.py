"""The order of training: one random crop an image and epoch, as in the paper."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import AdaprepError
from pipeline.train.data import ShardShuffle, StoreDataset
from pipeline.train.processes import Processes
from pipeline.train.settings import Schedule


class CropShuffle(ShardShuffle):
    """As `ShardShuffle`, with one crop of every image in an epoch, drawn anew for each epoch."""

    def __len__(self) -> int:
        whole, rest = divmod(len(self.dataset.images), self.batch_size)
        batches = whole + (rest > 0 and not self.drop_last)
        return batches // self.replicas if self.replicas > 1 else batches

    def _order(self) -> NDArray[np.intp]:
        order = super()._order()
        crops = self.dataset.crops
        rng = np.random.default_rng([self.seed, self.epoch, crops])
        drawn = rng.integers(crops, size=len(self.dataset.images))
        return np.asarray(order[order % crops == drawn[order // crops]])


def step_seed(seed: int, epoch: int, step: int, rank: int = 0) -> int:
    """Of the random numbers of one step: a run that goes on needs no generator's state."""
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
