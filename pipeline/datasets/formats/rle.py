"""Masks of COCO: run lengths, and polygons as the run lengths that pycocotools makes of them.

Pixels are counted down the columns. `polygon` repeats pycocotools' `rleFrPoly`, rounding for rounding: it
walks along the outline on a grid five times as fine and notes where a column's centre is crossed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.drawing import Budget, Placed
from pipeline.datasets.json_files import is_whole
from pipeline.datasets.limits import short

SCALE = 5
MAX_CORNER = 2**17
"""Pixels that a corner may lie from the image's first pixel, twice the longest side of an image."""

MAX_POINTS = 2**18
"""Of an outline, on the fine grid, that are held at once."""

STEPS_PER_POINT = 16
"""That walking to a point costs, beside drawing a pixel."""


def runs(counts: Any, size: Any, image: tuple[int, int], budget: Budget) -> Placed:
    """The mask that run lengths give: of pixels outside and inside in turn.

    Parameters
    ----------
    counts
        A list of numbers, or their text in six bits per character.
    size
        `[height, width]` that the lengths are for.
    image
        (H, W), which it must be.

    Raises
    ------
    ValueError
        They are no run lengths of such an image.
    """
    if size != list(image):
        raise ValueError(f"its run lengths are for size {short(size)}, the image has {list(image)}")
    pixels = image[0] * image[1]
    if isinstance(counts, str):
        if len(counts) > 8 * pixels + 8:
            raise ValueError("it has more run lengths than the image has pixels")
        counts = _lengths(counts)
    if not isinstance(counts, list) or not all(is_whole(n) and 0 <= n <= pixels for n in counts):
        raise ValueError("run lengths must be whole numbers, none negative or larger than the image")
    if sum(counts) != pixels:
        raise ValueError(f"its run lengths are {sum(counts)} pixels in all, the image has {pixels}")
    budget.take(pixels)
    inside = np.arange(len(counts)) % 2 == 1
    mask = np.repeat(inside, counts).reshape(image[::-1]).T
    return _cropped(mask)


def _lengths(text: str) -> list[int]:
    """The numbers in a text: from the third on, differences to the last but one."""
    if not all("0" <= c <= "o" for c in text):
        raise ValueError("the text of its run lengths holds other characters than 0 to o")
    found: list[int] = []
    value = shift = 0
    for code in text.encode("ascii"):
        bits = code - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            if shift > 40:
                raise ValueError("a run length is too large")
            continue
        if bits & 16:
            value -= 1 << shift
        found.append(value + (found[-2] if len(found) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the text of its run lengths ends early")
    return found


def polygon(points: NDArray[np.float64], image: tuple[int, int], budget: Budget) -> Placed:
    """What a ring of corners (n, 2) [x, y] encloses, an odd number of times.

    Raises
    ------
    ValueError
        A corner lies far outside, or there is too much to draw.
    """
    if (far := np.abs(points) > MAX_CORNER).any():
        corner = points[far.any(axis=1)][0].tolist()
        raise ValueError(f"the corner {short(corner)} lies more than {MAX_CORNER} pixels outside the image")
    height, width = image
    corners = np.trunc(SCALE * points + 0.5).astype(np.int64)
    ends = np.roll(corners, -1, axis=0)
    budget.take(STEPS_PER_POINT * int(np.abs(ends - corners).max(axis=1).sum()) + height)
    columns, rows = _crossings(corners, ends)
    kept = (columns >= 0) & (columns < width)
    columns, rows = columns[kept], rows[kept].clip(0, height)
    if not len(columns):
        return 0, 0, np.zeros((0, 0), np.bool_)
    left, right = int(columns.min()), int(columns.max()) + 1
    top, bottom = int(rows.min()), int(rows.max())
    budget.take((bottom - top) * (right - left))
    counts = np.zeros((bottom - top + 1, right - left), np.uint16)
    np.add.at(counts, (rows - top, columns - left), 1)
    return top, left, np.bitwise_and(np.cumsum(counts, axis=0, dtype=np.uint16), 1)[:-1] > 0


def _crossings(
    corners: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Columns whose centres the outline crosses, and the row from which on a pixel lies behind it."""
    stops = np.cumsum(np.abs(ends - corners).max(axis=1) + 1)
    found = []
    for first in range(0, int(stops[-1]), MAX_POINTS):
        places = np.arange(max(first - 1, 0), min(first + MAX_POINTS, int(stops[-1])))
        found.append(_between(_walked(corners, ends, stops, places)))
    return np.concatenate([c for c, _ in found]), np.concatenate([r for _, r in found])


def _walked(
    start: NDArray[np.int64], end: NDArray[np.int64], stops: NDArray[np.int64], places: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(m, 2) the points of the fine grid at some places of the walk along all edges, ends included.

    `stops` are the places where the walks along the edges end.
    """
    edge = np.searchsorted(stops, places, "right")
    delta = np.abs(end - start)
    rows, flat = np.arange(len(start)), delta[:, 0] >= delta[:, 1]
    along = np.where(flat, 0, 1)
    steps = delta[rows, along]
    backwards = start[rows, along] > end[rows, along]
    low, high = np.where(backwards[:, None], end, start), np.where(backwards[:, None], start, end)
    slope = (high[rows, 1 - along] - low[rows, 1 - along]) / np.maximum(steps, 1)
    step = places - (stops - steps - 1)[edge]
    step = np.where(backwards[edge], steps[edge] - step, step)
    main = step + low[rows, along][edge]
    other = np.trunc(low[rows, 1 - along][edge] + slope[edge] * step + 0.5).astype(np.int64)
    return np.where(flat[edge][:, None], np.stack([main, other], 1), np.stack([other, main], 1))


def _between(points: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    before, after = points[:-1], points[1:]
    column = np.where(after[:, 0] < before[:, 0], after[:, 0], after[:, 0] - 1)
    crossed = (after[:, 0] != before[:, 0]) & (column % SCALE == SCALE // 2)
    row = np.minimum(before[crossed, 1], after[crossed, 1])
    return (column[crossed] - SCALE // 2) // SCALE, -((SCALE // 2 - row) // SCALE)


def union(parts: list[Placed]) -> Placed:
    """The pixels of any of several masks."""
    parts = [part for part in parts if part[2].size]
    if len(parts) < 2:
        return parts[0] if parts else (0, 0, np.zeros((0, 0), np.bool_))
    top, left = min(p[0] for p in parts), min(p[1] for p in parts)
    bottom = max(p[0] + p[2].shape[0] for p in parts)
    right = max(p[1] + p[2].shape[1] for p in parts)
    whole = np.zeros((bottom - top, right - left), np.bool_)
    for row, col, mask in parts:
        whole[row - top : row - top + mask.shape[0], col - left : col - left + mask.shape[1]] |= mask
    return top, left, whole


def _cropped(mask: NDArray[np.bool_]) -> Placed:
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0, 0, mask[:0, :0]
    top, left = int(rows[0]), int(cols[0])
    return top, left, mask[top : rows[-1] + 1, left : cols[-1] + 1]
