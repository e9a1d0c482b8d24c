"""The cell of each sample: the part of an image that it stands for, and the mean of the image over it.

A cell reaches half way to the neighbours above and below along its column of the grid, and half way to those
on the left and right along its row; the outermost cells reach the image's edge. It is kept as the upright
rectangle through these four places, which for a uniform tensor is the cell itself: uniform cells divide the
image. Its sides are in units of 1 / `PARTS` of a pixel, so that means are quotients of whole numbers: every
way to compute them gives the same bytes.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.geometry._arguments import sides
from pipeline.geometry.sampling import indices, sample

PARTS = 256
"""Units in which the sides of cells are counted, per pixel."""


def boxes(phi: NDArray[np.floating[Any]], size: int | tuple[int, int]) -> NDArray[np.int64]:
    """The cells of a sampling tensor.

    Parameters
    ----------
    phi
        Sampling tensor (2, h, w), resized to the resolution of the samples; values in [0, 1].
    size
        Side S of the crop in pixels, or its (height, width).

    Returns
    -------
    NDArray of int64
        (4, h, w): top, bottom, left, right in units of 1 / `PARTS` of a pixel from the image's upper left
        corner; pixel r covers `PARTS` * r to `PARTS` * (r + 1). The point itself always lies in its cell,
        also where cells fold over. A cell without a height or width is given that of the pixel nearest to its
        point.

    Raises
    ------
    ValueError
        As `sampling.indices`.
    """
    height, width = sides("size", size, 1)
    rows, cols = indices(phi, (height, width))
    top, bottom = _ends(phi[0].astype(np.float64), height, rows)
    left, right = _ends(phi[1].astype(np.float64).T, width, cols.T)
    return np.stack([top, bottom, left.T, right.T])


def cell_means(image: NDArray[np.uint8], phi: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Sample an image with the mean over each sample's own cell: the larger the cell, the more is averaged.

    Parameters
    ----------
    image
        (H, W, 3) uint8.
    phi
        Sampling tensor (2, h, w), resized to the resolution of the samples; values in [0, 1].

    Returns
    -------
    NDArray of uint8
        (h, w, 3), means over the exact parts of pixels that a cell covers, halves rounded up. A cell inside
        one pixel gives that pixel.

    Raises
    ------
    ValueError
        The image is of another kind or shape, or the tensor is not one that `boxes` takes.

    Notes
    -----
    One addition per pixel and channel where cells do not overlap: O(HW + hw).
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image has shape {image.shape}, dtype {image.dtype}, must be (H, W, 3) uint8")
    means = np.empty((*phi.shape[-2:], 3), np.uint8)
    _average(image, boxes(phi, (image.shape[0], image.shape[1])), means)
    return means


def sample_image(
    image: NDArray[np.uint8], phi: NDArray[np.floating[Any]], filter: str = "nearest"
) -> NDArray[np.uint8]:
    """Sample an image: "nearest", operator (1), or "area", `cell_means`. Label maps are always nearest.

    Parameters
    ----------
    image
        (H, W, 3) uint8.
    phi
        Sampling tensor (2, h, w), resized to the resolution of the samples; values in [0, 1].

    Returns
    -------
    NDArray of uint8
        (h, w, 3).

    Raises
    ------
    ValueError
        There is no such filter; or as `sampling.sample` and `cell_means`.
    """
    if filter == "nearest":
        return sample(image, phi)
    if filter != "area":
        raise ValueError(f"filter is {filter!r}, must be area or nearest")
    return cell_means(image, phi)


def _ends(
    coordinates: NDArray[np.float64], length: int, pixels: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both ends of each cell along the first axis; `pixels` are those nearest to the points."""
    points = coordinates * (length - 1) + 0.5
    between = (points[:-1] + points[1:]) / 2
    edge = np.zeros_like(points[:1])
    before, after = np.concatenate([edge, between]), np.concatenate([between, edge + length])
    low = _counted(np.minimum(np.minimum(before, points), after), length)
    high = _counted(np.maximum(np.maximum(before, points), after), length)
    empty = low == high
    low = np.where(empty, PARTS * pixels, low)
    return low, np.where(empty, low + PARTS, high)


def _counted(places: NDArray[np.float64], length: int) -> NDArray[np.int64]:
    """In whole units, each half of a side measured from its own end, so that it commutes with flips."""
    from_start = np.floor(places * PARTS + 0.5)
    from_end = length * PARTS - np.floor((length - places) * PARTS + 0.5)
    return np.where(2 * places <= length, from_start, from_end).astype(np.int64)


@numba.njit(nogil=True, cache=True)
def _average(image: NDArray[np.uint8], cells: NDArray[np.int64], means: NDArray[np.uint8]) -> None:
    """Means (h, w, 3) of an image (H, W, 3) over cells (4, h, w)."""
    for i in range(cells.shape[1]):
        for j in range(cells.shape[2]):
            top, bottom, left, right = cells[0, i, j], cells[1, i, j], cells[2, i, j], cells[3, i, j]
            first, last = left // PARTS, (right - 1) // PARTS
            red = green = blue = 0
            for y in range(top // PARTS, (bottom - 1) // PARTS + 1):
                share = min(bottom, (y + 1) * PARTS) - max(top, y * PARTS)
                r = g = b = 0
                for x in range(first, last + 1):
                    r += image[y, x, 0]
                    g += image[y, x, 1]
                    b += image[y, x, 2]
                before, after = left - first * PARTS, (last + 1) * PARTS - right
                red += share * (PARTS * r - before * image[y, first, 0] - after * image[y, last, 0])
                green += share * (PARTS * g - before * image[y, first, 1] - after * image[y, last, 1])
                blue += share * (PARTS * b - before * image[y, first, 2] - after * image[y, last, 2])
            area = (bottom - top) * (right - left)
            means[i, j, 0] = (2 * red + area) // (2 * area)
            means[i, j, 1] = (2 * green + area) // (2 * area)
            means[i, j, 2] = (2 * blue + area) // (2 * area)
