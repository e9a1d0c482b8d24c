"""Upright rectangles, and what is put on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.datasets.scenes.mesh import Floats, Mesh, box


@dataclass(frozen=True)
class Wall:
    """An upright rectangle: foot of its near edge, direction along it, direction out of it."""

    origin: NDArray[np.float64]
    along: NDArray[np.float64]
    out: NDArray[np.float64]
    length: float
    height: float

    def patches(
        self, s0: ArrayLike, s1: ArrayLike, t0: ArrayLike, t1: ArrayLike, o: float
    ) -> NDArray[np.float64]:
        """(n, 4, 3) rectangles from s0 to s1 along the wall and t0 to t1 up it, `o` in front of it."""
        a, b, c, d = np.broadcast_arrays(*(np.asarray(v, float).ravel() for v in (s0, s1, t0, t1)))
        s, t = np.stack([a, b, b, a], -1)[..., None], np.stack([c, c, d, d], -1)[..., None]
        return np.asarray(self.origin + s * self.along + t * np.array([0.0, 1.0, 0.0]) + o * self.out)

    def ledge(self, s0: float, s1: float, t0: float, t1: float, depth: float, color: Floats) -> Mesh:
        """A box that stands out from the wall."""
        middle = self.origin + self.along * (s0 + s1) / 2 + self.out * depth / 2 + [0, (t0 + t1) / 2, 0]
        size = np.abs(self.along) * (s1 - s0) + np.abs(self.out) * depth + [0, t1 - t0, 0]
        return box(middle, size, color)
