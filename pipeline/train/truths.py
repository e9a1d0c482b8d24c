"""Label maps that a run is validated on, each read once."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.crops import Region
from pipeline.stages.inputs import Inputs

LEVEL = 1
"""Of Zstandard: a label map takes a hundredth of its pixels, and milliseconds to have again."""


class Truths:
    """Train ids at full resolution of a split's images, kept compressed from the first use on.

    Parameters
    ----------
    found
        The split's frames.
    region
        What of the images is measured.
    room
        Bytes to keep; label maps beyond that are read each time.
    """

    def __init__(self, found: Inputs, region: Region, room: int) -> None:
        self.found, self.region, self.room = found, region, room
        self._kept: dict[int, tuple[tuple[int, ...], bytes]] = {}
        self._lock = threading.Lock()

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """(S, S) of the central crop, or (H, W), of one frame. Raises FileError when it cannot be read."""
        from numcodecs.zstd import Zstd

        from pipeline.evaluation.upper_bound import load_truth

        if index in self._kept:
            shape, packed = self._kept[index]
            return np.frombuffer(Zstd().decode(packed), np.uint8).reshape(shape)
        truth = np.ascontiguousarray(load_truth(self.found.dataset, self.found.frames[index], self.region))
        packed = bytes(Zstd(LEVEL).encode(truth))
        with self._lock:
            if len(packed) <= self.room:
                self.room -= len(packed)
                self._kept[index] = (truth.shape, packed)
        return truth
