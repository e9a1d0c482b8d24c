"""The order of training: one random crop an image and epoch, as in the paper."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.train.data import ShardShuffle


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
