"""Images of any shape as largest squares: the fewest that cover them, and which one each pixel is taken from.

Networks are trained on largest squares, so these are what they are shown. Where two overlap, a pixel is
taken from the square whose centre is nearer, and nothing is averaged: each square is sampled by a tensor
of its own, so two scores of one pixel are interpolated between samples that lie differently, and near a
square's edge they come from a network that sees no further. The square with the nearer centre sees more
around the pixel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.crops import covering, offsets, side


@dataclass(frozen=True)
class Tile:
    """One largest square, and the part of the image that is taken from it; all in pixels."""

    top: int
    left: int
    side: int
    owned: tuple[slice, slice]  # rows and columns of the image

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """The square (S, S, ...) of an array (H, W, ...), a view."""
        return array[self.top : self.top + self.side, self.left : self.left + self.side]

    @property
    def inside(self) -> tuple[slice, slice]:
        """The owned part, in rows and columns of the square."""
        rows, cols = self.owned
        return (
            slice(rows.start - self.top, rows.stop - self.top),
            slice(cols.start - self.left, cols.stop - self.left),
        )


def tiles(height: int, width: int, count: int | None = None) -> list[Tile]:
    """The fewest largest squares that cover an image, or more, evenly spaced along its longer side.

    Parameters
    ----------
    height, width
        Of the image in pixels.
    count
        How many; None: as many as are needed, ``ceil(L / S)`` of side S, the shorter side.

    Returns
    -------
    list of Tile
        Their owned parts divide the image. A pixel belongs to the square whose centre is nearer, half way to
        the first of the two.

    Raises
    ------
    ValueError
        A side has fewer than 2 pixels, or so few squares do not cover the image.
    """
    needed = covering(height, width)
    if count is not None and count < needed:
        raise ValueError(f"{count} squares do not cover an image of {height} x {width}: {needed} do")
    length, longer = side(height, width), max(height, width)
    corners = offsets(height, width, count or needed)
    starts = [max(corner) for corner in corners]
    cuts = [(a + b + length - 1) // 2 + 1 for a, b in pairwise(starts)]
    found = []
    for (top, left), first, last in zip(corners, [0, *cuts], [*cuts, longer], strict=True):
        along, across = slice(first, last), slice(0, length)
        found.append(Tile(top, left, length, (across, along) if width >= height else (along, across)))
    return found


def label(
    image: NDArray[Any], label_square: Callable[..., NDArray[np.uint8]], *beside: NDArray[Any]
) -> NDArray[np.uint8]:
    """Label an image of any shape, square by square.

    Parameters
    ----------
    image
        (H, W, ...).
    label_square
        Maps a square (S, S, ...), and the same square of every other array, to its labels (S, S).
    *beside
        Other arrays (H, W, ...), such as the ground truth.

    Returns
    -------
    NDArray of uint8
        (H, W).

    Raises
    ------
    ValueError
        A side has fewer than 2 pixels.
    """
    height, width = image.shape[:2]
    labels = np.empty((height, width), np.uint8)
    for tile in tiles(height, width):
        labels[tile.owned] = label_square(*map(tile.of, (image, *beside)))[tile.inside]
    return labels
