"""Means over equal boxes, the box filter of Pillow to the bit, without its copies of the image."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry._arguments import whole
from pipeline.geometry._triangles import compiled

Array = NDArray[Any]

PRECISION = 22
"""Bits behind the point of a pixel's share of its box, as in Pillow."""


def box_means(images: NDArray[np.uint8], size: int, threads: int = 1) -> NDArray[np.uint8]:
    """Shrink images to the means over boxes of equal size, their edges rounded to whole pixels.

    Means are taken along rows, rounded, and then along columns, as Pillow does with squares.

    Parameters
    ----------
    images
        (n, S, S, C) uint8: pictures of three channels, or their planes where C is 1.
    size
        Side of the result, at most S.
    threads
        That share the work.

    Returns
    -------
    NDArray of uint8
        (n, size, size, C).

    Raises
    ------
    ValueError
        The images are of another kind or shape, or smaller than the result.
    """
    square = images.ndim == 4 and images.shape[1] == images.shape[2]
    if not square or images.shape[3] not in (1, 3) or images.dtype != np.uint8:
        raise ValueError(
            f"images have shape {images.shape}, dtype {images.dtype}, must be (n, S, S, 1 or 3) uint8"
        )
    count, side, _, channels = images.shape
    size = whole("size", size, 1, side)
    edges = members(side, size)
    flat = np.ascontiguousarray(images).reshape(count, side, side * channels)
    means = np.empty((count, size, size * channels), np.uint8)
    parts = np.linspace(0, count * size, max(1, threads) + 1).astype(int).tolist()

    def work(begin: int, end: int) -> None:
        _average(flat, edges, begin, end, means)

    if threads <= 1:
        work(*parts)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, parts[:-1], parts[1:]))
    return means.reshape(count, size, size, channels)


def members(length: int, size: int) -> NDArray[np.int64]:
    """(2, size) the first pixel of each box along an axis, and the one behind its last, as in Pillow."""
    scale = length / size
    centre = (np.arange(size) + 0.5) * scale
    first, end = (np.floor(centre + side * 0.5 * scale + 0.5).astype(np.int64) for side in (-1, 1))
    first, end = np.maximum(first, 0), np.minimum(end, length)
    first += (first - centre + 0.5) * (1 / scale) <= -0.5
    end -= (end - 1 - centre + 0.5) * (1 / scale) > 0.5
    return np.stack([first, end])


@compiled
def _mean(total: Any, count: Any) -> Any:
    share = int(0.5 + (1 << PRECISION) / count)
    return (total * share + (1 << (PRECISION - 1))) >> PRECISION


@compiled
def _add_plane(row: Array, lefts: Array, rights: Array, total: Array) -> None:
    """Add the means over the boxes of one row of a plane. Sums of 32 bits are added many at a time."""
    for j in range(len(lefts)):
        part = np.uint32(0)
        for x in range(lefts[j], rights[j]):
            part = np.uint32(part + row[np.uintp(x)])
        total[j] += _mean(np.int64(part), rights[j] - lefts[j])


@compiled
def _add_colours(row: Array, lefts: Array, rights: Array, total: Array) -> None:
    """The same of three channels side by side."""
    for j in range(len(lefts)):
        red, green, blue = np.uint32(0), np.uint32(0), np.uint32(0)
        for x in range(lefts[j], rights[j]):
            red = np.uint32(red + row[np.uintp(3 * x)])
            green = np.uint32(green + row[np.uintp(3 * x + 1)])
            blue = np.uint32(blue + row[np.uintp(3 * x + 2)])
        count = rights[j] - lefts[j]
        total[3 * j] += _mean(np.int64(red), count)
        total[3 * j + 1] += _mean(np.int64(green), count)
        total[3 * j + 2] += _mean(np.int64(blue), count)


@compiled
def _average(images: Array, edges: Array, begin: int, end: int, means: Array) -> None:
    """Rows [begin, end) of the results (n, size, size * C), those of one image after those of another."""
    size = means.shape[1]
    total = np.empty(means.shape[2], np.int64)
    for number in range(begin, end):
        image, i = number // size, number % size
        total[:] = 0
        for y in range(edges[0, i], edges[1, i]):
            if len(total) == size:
                _add_plane(images[image, y], edges[0], edges[1], total)
            else:
                _add_colours(images[image, y], edges[0], edges[1], total)
        for k in range(len(total)):
            means[image, i, k] = _mean(total[k], edges[1, i] - edges[0, i])
