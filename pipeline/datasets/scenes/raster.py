"""Triangles to samples: which triangle is seen, at each of the four samples of a pixel."""

from __future__ import annotations

from math import ceil, floor
from typing import Any

import numba

NONE = -1
"""Triangle index of samples that no triangle covers."""


@numba.njit(nogil=True, cache=True, error_model="numpy")
def rasterise(corners: Any, depth: Any, index: Any, row0: int, scale: float) -> None:
    """Draw triangles into a depth buffer and an index buffer.

    A sample is covered where its centre lies in the triangle or on its outline; of several triangles the one
    of greatest depth value stays, so that 1/z (perspective) and the height along an axis (parallel) serve.

    Parameters
    ----------
    corners
        (n, 3, 3) column, row and depth value of the corners; the depth value must be linear on the picture.
    depth, index
        (rows, columns) float32 and int32, updated in place; fill with 0 (or less than any depth) and NONE.
    row0
        The buffers' first row, counted in samples.
    scale
        Samples per unit of the corners' columns and rows; sample i has its centre at (i + 0.5) / scale.
    """
    rows, columns = depth.shape
    for t in range(corners.shape[0]):
        y0 = corners[t, 0, 1] * scale - 0.5 - row0
        y1 = corners[t, 1, 1] * scale - 0.5 - row0
        y2 = corners[t, 2, 1] * scale - 0.5 - row0
        first, last = max(ceil(min(y0, y1, y2)), 0), min(floor(max(y0, y1, y2)), rows - 1)
        if first > last:
            continue
        x0 = corners[t, 0, 0] * scale - 0.5
        x1 = corners[t, 1, 0] * scale - 0.5
        x2 = corners[t, 2, 0] * scale - 0.5
        left, right = min(x0, x1, x2), max(x0, x1, x2)
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area == 0.0 or right < 0 or left > columns - 1:
            continue
        d0, d1, d2 = corners[t, 0, 2], corners[t, 1, 2], corners[t, 2, 2]
        across = ((d1 - d0) * (y2 - y0) - (d2 - d0) * (y1 - y0)) / area
        down = ((d2 - d0) * (x1 - x0) - (d1 - d0) * (x2 - x0)) / area
        for r in range(first, last + 1):
            low, high = right, left
            for xa, ya, xb, yb in ((x0, y0, x1, y1), (x1, y1, x2, y2), (x2, y2, x0, y0)):
                if min(ya, yb) <= r <= max(ya, yb):
                    if ya == yb:
                        low, high = min(low, xa, xb), max(high, xa, xb)
                    else:
                        x = xa + (r - ya) * (xb - xa) / (yb - ya)
                        low, high = min(low, x), max(high, x)
            start, stop = max(ceil(low), 0), min(floor(high), columns - 1)
            value = d0 + (r - y0) * down + (start - x0) * across
            for c in range(start, stop + 1):
                if value > depth[r, c]:
                    depth[r, c] = value
                    index[r, c] = t
                value += across
