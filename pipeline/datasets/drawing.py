"""Shapes of annotations as masks: corners are checked, and steps counted, before anything is drawn.

Pillow draws, on a canvas no larger than the part of the image that the shape may touch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.datasets.limits import short

MAX_CORNER = 2**20
"""Pixels that a corner may lie from the image's first pixel: Pillow draws in single precision."""

MAX_WORK = 2**33
"""Steps that drawing all objects of an annotation may take: minutes."""

LARGE_ELLIPSE = 2**16
"""Pixels across from which on Pillow takes minutes for an ellipse."""

Placed = tuple[int, int, NDArray[np.bool_]]
"""First row, first column and mask of an object, inside the image."""

Corners = NDArray[np.int64]
"""(n, 2) pixels [column, row]."""


@dataclass
class Budget:
    """Steps of drawing that are left."""

    left: int

    def take(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise ValueError("this object and those before it are too much to draw in one annotation")


def polygon(outer: Corners, holes: Sequence[Corners], size: tuple[int, int], budget: Budget) -> Placed:
    """What a ring encloses, without its holes: pixels on the outline belong to what it encloses.

    A ring that crosses itself leaves out what it goes around twice.
    """
    top, left, bottom, right = box = clipped(outer, size)
    budget.take((bottom - top) * (right - left) + sum(_steps(ring, bottom - top) for ring in (outer, *holes)))
    canvas = _canvas(box)
    if canvas is None:
        return top, left, np.zeros((bottom - top, right - left), np.bool_)
    draw = ImageDraw.Draw(canvas)
    for ring, value in [(outer, 1), *((hole, 0) for hole in holes)]:
        draw.polygon((ring - (left, top)).ravel().tolist(), fill=value, outline=value)
    return top, left, np.asarray(canvas) > 0


def rectangle(corners: Corners, size: tuple[int, int]) -> Placed:
    """All pixels from the smallest to the largest row and column of the corners."""
    top, left, bottom, right = clipped(corners, size)
    return top, left, np.ones((bottom - top, right - left), np.bool_)


def ellipse(box: Corners, size: tuple[int, int], budget: Budget) -> Placed:
    """The ellipse inside a box of two corners."""
    top, left, bottom, right = clip = clipped(box, size)
    budget.take((bottom - top) * (right - left) + int(np.ptp(box, axis=0).sum()))
    canvas = _canvas(clip)
    if canvas is None:
        return top, left, np.zeros((bottom - top, right - left), np.bool_)
    if np.ptp(box, axis=0).max() > LARGE_ELLIPSE:
        return top, left, _inside(box, clip)
    ImageDraw.Draw(canvas).ellipse((box - (left, top)).ravel().tolist(), fill=1, outline=1)
    return top, left, np.asarray(canvas) > 0


def placed(mask: NDArray[np.bool_], column: int, row: int, size: tuple[int, int]) -> Placed:
    """The part of a mask, whose first pixel lies at (row, column), that is inside the image."""
    top, left = min(max(row, 0), size[0]), min(max(column, 0), size[1])
    rows = slice(max(top - row, 0), max(size[0] - row, 0))
    return top, left, mask[rows, max(left - column, 0) : max(size[1] - column, 0)]


def paint(target: NDArray[Any], where: Placed, value: int) -> None:
    """Set the pixels of a mask in an (H, W) map."""
    row, col, mask = where
    target[row : row + mask.shape[0], col : col + mask.shape[1]][mask] = value


def clipped(corners: Corners, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """First row and column, and those after the last, of the pixels between corners and inside the image."""
    height, width = size
    left, top = np.clip(corners.min(0), 0, (width, height)).tolist()
    right, bottom = np.clip(corners.max(0) + 1, (left, top), (width, height)).tolist()
    return top, left, bottom, right


def ring(points: Any) -> NDArray[np.float64]:
    """(n, 2) corners [column, row] of a polygon. Raises ValueError."""
    found = corners(points, "a polygon ring")
    if len(found) < 3:
        raise ValueError(
            f"a polygon ring must be three or more [x, y] points, got an array of shape {found.shape}"
        )
    return found


def corners(points: Any, what: str) -> NDArray[np.float64]:
    """(n, 2) points [column, row]. Raises ValueError where they are no such, or lie far outside."""
    if not is_ring(points):
        raise ValueError(f"{what} must be a list of [x, y] points, found {short(points)}")
    far = next((p for p in points if not all(-MAX_CORNER <= v <= MAX_CORNER for v in p)), None)
    if far is not None:
        raise ValueError(f"the corner {short(far)} lies more than {MAX_CORNER} pixels outside the image")
    return np.asarray(points, np.float64).reshape(-1, 2)


def is_ring(points: Any) -> bool:
    """Whether it is a list of pairs of numbers."""
    return isinstance(points, list) and all(
        isinstance(p, list) and len(p) == 2 and type(p[0]) in (int, float) and type(p[1]) in (int, float)
        for p in points
    )


def crosses_itself(outer: NDArray[np.float64]) -> bool:
    """Whether two edges (n, 2) that are no neighbours cross each other in their insides."""
    a, b = outer, np.roll(outer, -1, axis=0)
    first, second = np.triu_indices(len(outer), 2)
    return bool(_cross(a[first], b[first], a[second], b[second]).any())


def _cross(a: Any, b: Any, c: Any, d: Any) -> NDArray[np.bool_]:
    def side(p: Any, q: Any, r: Any) -> Any:
        return np.sign((q[:, 0] - p[:, 0]) * (r[:, 1] - p[:, 1]) - (q[:, 1] - p[:, 1]) * (r[:, 0] - p[:, 0]))

    return np.asarray((side(a, b, c) * side(a, b, d) < 0) & (side(c, d, a) * side(c, d, b) < 0))


def circle_box(center: Any, edge: Any) -> NDArray[np.float64]:
    """(2, 2) corners of the box around a circle, of its centre and a point on it."""
    radius = math.dist(center, edge)
    return np.array([[c - radius for c in center], [c + radius for c in center]])


def _inside(box: Corners, clip: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Pixels of a part of the image whose centres lie in an ellipse, by its equation."""
    top, left, bottom, right = clip
    (x, y), (across, down) = box.mean(axis=0), np.ptp(box, axis=0) / 2
    rows, columns = np.arange(top, bottom)[:, None], np.arange(left, right)
    return np.asarray(((columns - x) / across) ** 2 + ((rows - y) / down) ** 2 <= 1)


def _canvas(box: tuple[int, int, int, int]) -> Image.Image | None:
    top, left, bottom, right = box
    return Image.new("L", (right - left, bottom - top)) if right > left and bottom > top else None


def _steps(outline: Corners, rows: int) -> int:
    """Of drawing a ring: Pillow looks at every edge in every row, and walks along the outline."""
    walked = np.abs(np.diff(outline, axis=0, append=outline[:1])).max(axis=1)
    return len(outline) * rows + int(walked.sum())
