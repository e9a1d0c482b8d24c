"""The triangles of a grid as half-edges, and a walk through them along the rows of a crop.

Half-edge ``4 t + e`` runs from corner e of triangle t to its next corner, clockwise on the screen where
nothing is folded. Following a row from left to right visits its spans in their order, so that a run of
triangles with one label is filled at once, however many they are.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry._triangles import MIXED, compiled, fill_columns, first_row_below

Array = NDArray[Any]

LANES = 8  # rows walked at a time

BORDER = -1
"""Twin of a half-edge on a side of the grid."""


@compiled
def _left_side(turned: Array, i: int, j: int) -> int:
    """The half-edge up the left side of a cell."""
    cell: int = i * turned.shape[1] + j
    return 8 * cell + 2 if turned[i, j] else 8 * cell + 6


@compiled
def link(turned: Array) -> tuple[Array, Array]:
    """Corners (n, 3) and twins (4 n,) of the two triangles of every cell, in row-major order.

    ``turned`` (h - 1, w - 1) are the cells split from upper right to lower left, not from upper left to lower
    right.
    """
    rows, cols = turned.shape
    corners = np.empty((2 * rows * cols, 3), np.int64)
    twins = np.full(8 * rows * cols, BORDER, np.int64)
    for i in range(rows):
        for j in range(cols):
            cell = i * cols + j
            first, second = 8 * cell, 8 * cell + 4
            a = i * (cols + 1) + j
            b, c, d = a + 1, a + cols + 1, a + cols + 2
            corners[2 * cell, 0], corners[2 * cell, 1] = a, b
            corners[2 * cell + 1, 1], corners[2 * cell + 1, 2] = d, c
            if turned[i, j]:
                corners[2 * cell, 2], corners[2 * cell + 1, 0] = c, b
                right, one, other = second, first + 1, second + 2
            else:
                corners[2 * cell, 2], corners[2 * cell + 1, 0] = d, a
                right, one, other = first + 1, first + 2, second
            twins[one], twins[other] = other, one
            if j + 1 < cols:
                left = _left_side(turned, i, j + 1)
                twins[right], twins[left] = left, right
            if i + 1 < rows:
                bottom, top = second + 1, first + 8 * cols
                twins[bottom], twins[top] = top, bottom
    return corners, twins


@compiled
def fill_runs(
    y: Array, x: Array, turned: Array, corners: Array, twins: Array, labels: Array, out: Array
) -> None:
    """Draw all triangles that have one label (n,), the others being `MIXED`, where no triangle is reversed.

    Neighbours share two corners: if each has one label, it is the same.
    """
    height, width = out.shape
    ways = _ways(y, corners, twins, labels, height)
    edges, runs, starts = np.empty(LANES, np.int64), np.empty(LANES, np.int64), np.empty(LANES)
    side = 0
    # Each step of a row waits for the one before: some rows at a time keep the processor busy.
    for top in range(0, height, LANES):
        rows = min(LANES, height - top)
        for lane in range(rows):
            edges[lane] = _left_side(turned, side, 0)
            while first_row_below(y[corners[edges[lane] >> 2, edges[lane] & 3]], height) <= top + lane:
                side += 1
                edges[lane] = _left_side(turned, side, 0)
            runs[lane] = MIXED
        walking = rows
        while walking:
            for lane in range(rows):
                edge, row, run = edges[lane], top + lane, runs[lane]
                if edge == BORDER:
                    continue
                way = np.uintp(edge)
                if ways[way, 3] != run:
                    lower, upper = corners[edge >> 2, edge & 3], corners[edge >> 2, ((edge & 3) + 1) % 3]
                    share = (row - y[upper]) / (y[lower] - y[upper])
                    here = x[upper] + share * (x[lower] - x[upper])
                    if run != MIXED:
                        fill_columns(out[row], math.ceil(starts[lane]), math.floor(here) + 1, run)
                    run = ways[way, 3]
                    runs[lane], starts[lane] = run, here
                edges[lane] = ways[way, 1] if ways[way, 0] <= row else ways[way, 2]
                if edges[lane] == BORDER:
                    walking -= 1
                    if run != MIXED:
                        fill_columns(out[row], math.ceil(starts[lane]), width, run)


@compiled
def _ways(y: Array, corners: Array, twins: Array, labels: Array, height: int) -> Array:
    """(4 n, 4) what the walk needs when it enters a triangle through a half-edge.

    The first row with the opposite corner above it, the half-edges by which to enter the next triangle if it
    is above and if it is below, and the label.
    """
    ways = np.empty((len(twins), 4), np.int32)
    for triangle in range(len(corners)):
        for e in range(3):
            edge, after, before = 4 * triangle + e, (e + 1) % 3, (e + 2) % 3
            ways[edge, 0] = first_row_below(y[corners[triangle, before]], height)
            ways[edge, 1] = twins[4 * triangle + before]
            ways[edge, 2] = twins[4 * triangle + after]
            ways[edge, 3] = labels[triangle]
    return ways
