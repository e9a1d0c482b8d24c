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
    widest = int((edges[1] - edges[0]).max())
    lane = np.empty(0, np.uint16 if 255 * widest < 2**16 else np.uint32)
    parts = np.linspace(0, count * size, max(1, threads) + 1).astype(int).tolist()

    def work(begin: int, end: int) -> None:
        _average(flat, edges, begin, end, means, lane)

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
def _plane(image: Array, top: int, bottom: int, left: int, right: int, lane: Array) -> int:
    """Sum of the means over the rows of a box of a plane."""
    total = 0
    for y in range(top, bottom):
        row, part = image[y], lane.dtype.type(0)
        for x in range(left, right):
            part = lane.dtype.type(part + row[np.uintp(x)])
        total += _mean(np.int64(part), right - left)
    return total


@compiled
def _add_colours(row: Array, lefts: Array, rights: Array, total: Array, lane: Array) -> None:
    """Add the means over the boxes of one row of three channels side by side."""
    zero = lane.dtype.type(0)
    for j in range(len(lefts)):
        red, green, blue = zero, zero, zero
        for x in range(lefts[j], rights[j]):
            red = lane.dtype.type(red + row[np.uintp(3 * x)])
            green = lane.dtype.type(green + row[np.uintp(3 * x + 1)])
            blue = lane.dtype.type(blue + row[np.uintp(3 * x + 2)])
        count = rights[j] - lefts[j]
        total[3 * j] += _mean(np.int64(red), count)
        total[3 * j + 1] += _mean(np.int64(green), count)
        total[3 * j + 2] += _mean(np.int64(blue), count)


@compiled
def _average(images: Array, edges: Array, begin: int, end: int, means: Array, lane: Array) -> None:
    """Rows [begin, end) of the results (n, size, size * C), those of one image after those of another.

    Bytes are added in the type of ``lane`` (0,): the fewer its bits, the more of them at a time. Planes go
    box by box: so many rows at once are fetched ahead, where one is over before it is.
    """
    size = means.shape[1]
    total = np.empty(means.shape[2], np.int64)
    for number in range(begin, end):
        image, i = images[number // size], number % size
        top, bottom = edges[0, i], edges[1, i]
        total[:] = 0
        if len(total) == size:
            for j in range(size):
                total[j] = _plane(image, top, bottom, edges[0, j], edges[1, j], lane)
        else:
            for y in range(top, bottom):
                _add_colours(image[y], edges[0], edges[1], total, lane)
        for k in range(len(total)):
            means[number // size, i, k] = _mean(total[k], bottom - top)
