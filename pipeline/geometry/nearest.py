"""The nearest boundary pixel to every point of a uniform grid: b(u_ij) in equation (2) of the paper.

Distances are Euclidean, in pixels, from the exact grid point ``(i (H - 1) / (h - 1), j (W - 1) / (w - 1))``,
which need not be a pixel. On a square crop the order is that of distances in [0, 1]^2. They are compared as
integers, scaled by the least common multiple of ``h - 1`` and ``w - 1``, so that ties are ties: the smallest
row wins, then the smallest column.
"""

from math import lcm
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.geometry._arguments import sides

Array = NDArray[Any]
NOTHING = -1


def nearest_boundary(
    boundary: NDArray[np.bool_], grid: tuple[int, int] = (8, 8)
) -> NDArray[np.float64] | None:
    """Coordinates of the boundary pixel nearest to each point of the uniform grid.

    Parameters
    ----------
    boundary
        (H, W) bool, H and W at least 2.
    grid
        Grid points (h, w), at least 2 each.

    Returns
    -------
    NDArray of float64, or None
        (2, h, w): ``r / (H - 1)`` and ``c / (W - 1)``, in [0, 1]. None when there is no boundary pixel.

    Raises
    ------
    ValueError
        `boundary` is no (H, W) bool, a side of it or of the grid is below 2, or the grid is too fine
        for exact arithmetic (see `nearest_pixels`).
    """
    if boundary.ndim != 2 or boundary.dtype != np.bool_:
        raise ValueError(
            f"boundary map has shape {boundary.shape} and dtype {boundary.dtype}, must be (H, W) bool"
        )
    height, width = boundary.shape
    _scale((height, width), grid)
    rows, cols = np.divmod(np.flatnonzero(boundary), width)
    return nearest_points(rows.astype(np.int32), cols.astype(np.int32), (height, width), grid)


def nearest_points(
    rows: NDArray[np.int32], cols: NDArray[np.int32], shape: tuple[int, int], grid: tuple[int, int]
) -> NDArray[np.float64] | None:
    """`nearest_boundary` of pixels that are listed, as for `nearest_pixels`; None when there are none."""
    _scale(shape, grid)
    if not len(rows):
        return None
    last = np.array([shape[0] - 1, shape[1] - 1], np.float64)
    return np.asarray(nearest_pixels(rows, cols, shape, grid) / last[:, None, None])


def nearest_pixels(
    rows: NDArray[np.int32], cols: NDArray[np.int32], shape: tuple[int, int], grid: tuple[int, int]
) -> NDArray[np.int32]:
    """Row and column of the boundary pixel nearest to each point of the uniform grid.

    Parameters
    ----------
    rows, cols
        (n,) int32 boundary pixels, n at least 1, rows ascending.
    shape
        (H, W) of the map they lie in, at least 2 each.
    grid
        Grid points (h, w), at least 2 each.

    Returns
    -------
    NDArray of int32
        (2, h, w).

    Raises
    ------
    ValueError
        No pixel, a pixel outside the shape or rows that descend; a side below 2; or a grid so fine that a
        scaled squared distance needs more than 63 bits (on maps of 16,000 pixels a side: never below 300
        points a side, or while both sides of the grid are equal).
    """
    scale = _scale(shape, grid)
    if rows.ndim != 1 or len(rows) == 0 or rows.shape != cols.shape:
        raise ValueError(f"boundary pixels have rows {rows.shape} and columns {cols.shape}, must be (n > 0,)")
    if rows.dtype != np.int32 or cols.dtype != np.int32:
        raise ValueError(f"boundary pixels have rows {rows.dtype} and columns {cols.dtype}, must be int32")
    (height, width), (h, w) = sides("map", shape, 2), sides("grid", grid, 2)
    if rows[0] < 0 or rows[-1] >= height or cols.min() < 0 or cols.max() >= width:
        raise ValueError(f"boundary pixels lie outside a map of shape {shape}")
    points_y = np.arange(h, dtype=np.int64) * ((height - 1) * (scale // (h - 1)))
    points_x = np.arange(w, dtype=np.int64) * ((width - 1) * (scale // (w - 1)))
    near = _nearest_rows(rows, cols, points_y, scale, width)
    if near.size == 0:
        raise ValueError("rows of boundary pixels must ascend")
    return _search_columns(near, points_y, points_x, scale)


def _scale(shape: tuple[int, int], grid: tuple[int, int]) -> int:
    """What pixel coordinates are multiplied with to make all grid points integers, after checking both."""
    shape, grid = sides("map", shape, -(2**63)), sides("grid", grid, -(2**63))
    if min(shape) < 2 or min(grid) < 2:
        raise ValueError(f"map of shape {shape} and grid {grid} must have at least 2 points a side")
    scale = lcm(grid[0] - 1, grid[1] - 1)
    if scale**2 * ((shape[0] - 1) ** 2 + (shape[1] - 1) ** 2) >= 2**63:
        raise ValueError(f"grid {grid} is too fine for exact distances in a map of shape {shape}")
    return scale


@numba.njit(nogil=True, cache=True)
def _nearest_rows(rows: Array, cols: Array, points_y: Array, scale: int, width: int) -> Array:
    """(h, W) row of the boundary pixel nearest to each grid row in every column, the upper one in a tie.

    Pixels come in row order. A grid row's answer in a column is settled by the first pixel at or below it:
    that pixel, or the last one above. Each is settled once, so this takes O(n + h W). An empty array says
    that the rows descend somewhere.
    """
    h = points_y.size
    near = np.empty((h, width), np.int32)
    last = np.full(width, NOTHING, np.int32)
    settled = np.zeros(width, np.int32)
    passed = 0
    previous = 0
    for k in range(rows.size):
        r, c = rows[k], cols[k]
        if r < previous:
            return np.empty((0, 0), np.int32)
        previous = r
        while passed < h and points_y[passed] <= r * scale:
            passed += 1
        for i in range(settled[c], passed):
            above = last[c]
            closer_above = above != NOTHING and points_y[i] - above * scale <= r * scale - points_y[i]
            near[i, c] = above if closer_above else r
        settled[c] = max(settled[c], passed)
        last[c] = r
    for c in range(width):
        for i in range(settled[c], h):
            near[i, c] = last[c]
    return near


@numba.njit(nogil=True, cache=True)
def _search_columns(near: Array, points_y: Array, points_x: Array, scale: int) -> Array:
    """(2, h, w) nearest pixels, walking columns outward from each grid point until they are too far."""
    h, w, width = points_y.size, points_x.size, near.shape[1]
    found = np.empty((2, h, w), np.int32)
    for i in range(h):
        for j in range(w):
            best, row, col = np.int64(2**63 - 1), np.int64(0), np.int64(0)
            left = points_x[j] // scale
            for start, step in ((left, -1), (left + 1, 1)):
                c = start
                while 0 <= c < width:
                    across = (c * scale - points_x[j]) ** 2
                    if across > best:
                        break
                    r = np.int64(near[i, c])
                    distance = across + (r * scale - points_y[i]) ** 2
                    wins = distance < best or (distance == best and (r < row or (r == row and c < col)))
                    if r != NOTHING and wins:
                        best, row, col = distance, r, c
                    c += step
            found[0, i, j], found[1, i, j] = row, col
    return found
