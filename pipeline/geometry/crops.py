"""Square crops of an image: the largest squares, evenly spaced along the longer side; and regions of it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry._arguments import sides, whole

Region = Literal["central square", "whole image"]
"""What of an image is measured: its central largest square, or all of it, covered by such squares."""

CENTRAL: Region = "central square"
WHOLE: Region = "whole image"


def side(height: int, width: int) -> int:
    """Side S of the largest square crop of a (height, width) image, in pixels.

    Raises
    ------
    ValueError
        The shorter side has fewer than 2 pixels, so that corner-aligned coordinates do not exist.
    """
    shorter = min(sides("image", (height, width), -(2**63)))
    if shorter < 2:
        raise ValueError(f"image of shape {(height, width)} is too small for a crop: a side needs 2 pixels")
    return shorter


def offsets(height: int, width: int, count: int) -> list[tuple[int, int]]:
    """Top left corners of `count` largest squares, evenly spaced along the longer side.

    The first and the last square touch the image's edges: the k-th of K starts at ``k * (L - S) / (K - 1)``
    pixels along the longer side L, rounded to the nearest integer in exact integer arithmetic, halves up.
    A single square is the central one, at ``(L - S) // 2``. Where there are fewer positions than
    squares, and on a square image, corners repeat: the list always has `count` entries.

    Parameters
    ----------
    height, width
        Size of the image in pixels.
    count
        Number of crops K, at least 1.

    Returns
    -------
    list of (int, int)
        Row and column of each crop's first pixel.

    Raises
    ------
    ValueError
        A side has fewer than 2 pixels, or `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"number of crops is {count}, must be at least 1")
    count = whole("number of crops", count, 1)
    slack = max(height, width) - side(height, width)
    starts = [slack // 2]
    if count > 1:
        gaps = count - 1
        starts = [(2 * k * slack + gaps) // (2 * gaps) for k in range(count)]
    return [(0, start) if width >= height else (start, 0) for start in starts]


def covering(height: int, width: int) -> int:
    """Fewest largest squares that cover an image: ``ceil(L / S)``. Raises ValueError as `side`."""
    return -(-max(height, width) // side(height, width))


def central_view(array: NDArray[Any]) -> NDArray[Any]:
    """Central largest square (S, S, ...) of an (H, W, ...) array, a view."""
    height, width = array.shape[:2]
    (top, left), length = offsets(height, width, 1)[0], side(height, width)
    return array[top : top + length, left : left + length]


def central_crop(array: NDArray[Any]) -> NDArray[Any]:
    """Central largest square (S, S, ...) of an (H, W, ...) array, contiguous."""
    return np.ascontiguousarray(central_view(array))
