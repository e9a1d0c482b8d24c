"""The triangles of a grid as half-edges, by which runs of triangles with one label are filled at once.

Half-edge ``4 t + e`` runs from corner e of triangle t to its next corner, clockwise on the screen where
nothing is folded.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry._triangles import MIXED, compiled, fill_columns, first_row_below

Array = NDArray[Any]

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
def winners(scores: Array) -> Array:
    """(vertices,) the class with the largest of scores (classes, vertices), the first of equal ones."""
    best, label = scores[0].copy(), np.zeros(scores.shape[1], np.uint8)
    for k in range(1, len(scores)):
        row = scores[k]
        for i in range(len(row)):
            p = np.uintp(i)
            larger = row[p] > best[p]
            label[p] = k if larger else label[p]
            best[p] = row[p] if larger else best[p]
    return label


@compiled
def common(labels: Array, corners: Array) -> Array:
    """(n,) the label that all corners of a triangle have, or `MIXED`."""
    shared = np.empty(len(corners), np.int16)
    for n in range(len(corners)):
        label = labels[corners[n, 0]]
        same = label == labels[corners[n, 1]] and label == labels[corners[n, 2]]
        shared[n] = label if same else MIXED
    return shared


@compiled
def fill_runs(y: Array, x: Array, corners: Array, twins: Array, labels: Array, out: Array) -> None:
    """Fill the triangles that have one label (n,), the others being `MIXED`, where none is reversed.

    Neighbours share two corners: if each has one label, it is the same. So along a row a run of triangles
    with one label begins behind a mixed one, or at the left side, and it is filled up to the next run: what
    it covers of mixed triangles in between is drawn over later. Runs that begin at one point share a vertex,
    and so their label: their order does not matter.
    """
    height = out.shape[0]
    edges, ends = _fronts(y, corners, twins, labels, height)
    places, runs = np.empty(ends[-1]), np.empty(ends[-1], np.int16)
    sizes = np.zeros(height, np.int64)
    for edge in edges:
        triangle = edge >> 2
        lower, upper = corners[triangle, edge & 3], corners[triangle, ((edge & 3) + 1) % 3]
        label, y_upper, x_upper = labels[triangle], y[upper], x[upper]
        slope = (x[lower] - x_upper, y[lower] - y_upper)
        for row in range(first_row_below(y_upper, height), first_row_below(y[lower], height)):
            here = x_upper + (row - y_upper) / slope[1] * slope[0]
            first, place = ends[row], ends[row] + sizes[row]
            while place > first and places[place - 1] > here:
                places[place], runs[place] = places[place - 1], runs[place - 1]
                place -= 1
            places[place], runs[place] = here, label
            sizes[row] += 1
    for row in range(height):
        _fill_row(out[row], places[ends[row] : ends[row + 1]], runs[ends[row] : ends[row + 1]])


@compiled
def _fronts(y: Array, corners: Array, twins: Array, labels: Array, height: int) -> tuple[Array, Array]:
    """The half-edges that runs begin at, and where those of each row begin in a list of all (height + 1,).

    They lead upwards on the screen, as triangles turn clockwise.
    """
    edges, count = np.empty(3 * len(corners), np.int64), 0
    changes = np.zeros(height + 1, np.int64)
    for triangle in range(len(corners)):
        if labels[triangle] == MIXED:
            continue
        for e in range(3):
            twin = twins[4 * triangle + e]
            if twin != BORDER and labels[twin >> 2] != MIXED:
                continue
            begin = first_row_below(y[corners[triangle, (e + 1) % 3]], height)
            end = first_row_below(y[corners[triangle, e]], height)
            if begin < end:
                edges[count] = 4 * triangle + e
                count += 1
                changes[begin] += 1
                changes[end] -= 1
    ends, crossing = np.zeros(height + 1, np.int64), 0
    for row in range(height):
        crossing += changes[row]
        ends[row + 1] = ends[row] + crossing
    return edges[:count], ends


@compiled
def _fill_row(line: Array, places: Array, runs: Array) -> None:
    """Fill one row from each place to the next, the last run to its end."""
    k = 0
    while k < len(runs):
        begin, label = math.ceil(places[k]), runs[k]
        k += 1
        while k < len(runs) and runs[k] == label:
            k += 1
        end = math.ceil(places[k]) if k < len(runs) else len(line)
        fill_columns(line, begin, end, label)
