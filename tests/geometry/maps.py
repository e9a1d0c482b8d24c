"""Label maps for tests, and the definitions of the method written out pixel by pixel."""

from __future__ import annotations

from math import lcm

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.geometry.boundaries import UNKNOWN, VOID

TARGETS = (1, 3)
KNOWN = {0: 0, 1: 1, 2: 2, 3: 3, 7: VOID, 17: 1, 200: VOID, 300: 3, 65535: 1}
"""Raw id -> train id: 1, 17 and 65535 are one target class, 3 and 300 another, 7 and 200 both void."""

LUT = np.full(65536, UNKNOWN, np.uint8)
LUT[list(KNOWN)] = list(KNOWN.values())

Map = NDArray[np.uint8] | NDArray[np.uint16]


@st.composite
def raw_maps(draw: st.DrawFn, longest: int = 40, unknown: bool = False) -> Map:
    """(H, W) maps of raw ids in uint8 or uint16: noise, blocks, one-pixel objects, a single class."""
    dtype = draw(st.sampled_from([np.uint8, np.uint16]))
    height, width = draw(st.integers(2, longest)), draw(st.integers(2, longest))
    ids = [i for i in KNOWN if i <= np.iinfo(dtype).max] + ([9, 250] if unknown else [])
    some = draw(st.lists(st.sampled_from(ids), min_size=1, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    block = draw(st.sampled_from([1, 1, 2, 5, 11]))
    coarse = rng.choice(np.array(some, dtype), (height // block + 1, width // block + 1))
    labels = np.repeat(np.repeat(coarse, block, 0), block, 1)[:height, :width]
    for _ in range(draw(st.integers(0, 3))):
        labels[rng.integers(height), rng.integers(width)] = rng.choice(ids)
    return np.ascontiguousarray(labels)


def train(labels: Map) -> NDArray[np.uint8]:
    return LUT[labels]


def boundary_by_definition(
    labels: NDArray[np.uint8], targets: tuple[int, ...] = TARGETS
) -> NDArray[np.bool_]:
    height, width = labels.shape
    boundary = np.zeros((height, width), bool)
    for r in range(height):
        for c in range(width):
            around = [(r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)]
            inside = [(y, x) for y, x in around if 0 <= y < height and 0 <= x < width]
            other = any(labels[y, x] != labels[r, c] for y, x in inside)
            boundary[r, c] = labels[r, c] in targets and other
    return boundary


def scaled_distances(shape: tuple[int, int], grid: tuple[int, int]) -> NDArray[np.int64]:
    """(h, w, H, W) squared distances from grid points to pixels, exact: times lcm(h - 1, w - 1) squared."""
    scale = lcm(grid[0] - 1, grid[1] - 1)
    apart = []
    for length, count in zip(shape, grid, strict=True):
        points = np.array([i * (length - 1) * (scale // (count - 1)) for i in range(count)])
        apart.append((points[:, None] - scale * np.arange(length)) ** 2)
    return apart[0][:, None, :, None] + apart[1][None, :, None, :]


def nearest_by_definition(boundary: NDArray[np.bool_], grid: tuple[int, int]) -> NDArray[np.int64]:
    """(2, h, w): the first of the nearest pixels in row-major order, by looking at all of them."""
    distances = scaled_distances(boundary.shape, grid)
    far = np.where(boundary, distances, np.iinfo(np.int64).max)
    first = far.reshape(*grid, -1).argmin(axis=-1)
    return np.stack(np.unravel_index(first, boundary.shape))
