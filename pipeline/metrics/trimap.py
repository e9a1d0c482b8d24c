"""Accuracy in bands around semantic boundaries (section 4.3 and Fig. 13 of the paper, after its [31])."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.base import Metric
from pipeline.metrics.labels import VOID, paired

if TYPE_CHECKING:
    from pipeline.datasets.base import ClassTable

WIDTHS = tuple(range(1, 65))
"""Widths of the bands in pixels."""


@dataclass(frozen=True)
class TrimapCounts:
    """Pixels in the bands around the boundaries of one or more images; add those of several images."""

    widths: tuple[int, ...]  # of the bands, in pixels
    correct: NDArray[np.int64]  # (widths,) pixels in the band that are classified right
    total: NDArray[np.int64]  # (widths,) pixels in the band

    def accuracy(self) -> NDArray[np.float64]:
        """(widths,) share of the band's pixels that are right, NaN for an empty band."""
        return np.where(self.total > 0, self.correct / np.maximum(self.total, 1), np.nan)

    def __add__(self, other: Self) -> Self:
        """The counts of both sets of images.

        Raises
        ------
        ValueError
            The two have different widths.
        """
        if self.widths != other.widths:
            raise ValueError(f"trimaps of different widths: {self.widths} and {other.widths}")
        return type(self)(self.widths, self.correct + other.correct, self.total + other.total)


def trimap_accuracy(
    truth: NDArray[np.integer[Any]],
    prediction: NDArray[np.integer[Any]],
    widths: Sequence[int] = WIDTHS,
    void: int = VOID,
) -> TrimapCounts:
    """Count the pixels near semantic boundaries, and those of them that are right.

    A boundary pixel has one of its 4 neighbours in another class of the ground truth; void counts as another,
    the image's border is none. The band of width w holds all pixels whose centre is at most w pixels
    (Euclidean, exactly) from the centre of a boundary pixel, the boundary pixels included, on both sides.
    Void pixels are not counted.

    Parameters
    ----------
    truth, prediction
        (H, W) train ids.
    widths
        Widths of the bands in pixels, whole numbers from 0 up.
    void
        Train id of the pixels without a class.

    Returns
    -------
    TrimapCounts
        Of this image.

    Raises
    ------
    ValueError
        Shapes differ, labels are not integers in 0..255, or a width is negative or no integer.
    """
    exact = tuple(int(width) if np.isfinite(width) else -1 for width in widths)
    if not exact or min(exact) < 0 or exact != tuple(widths):
        raise ValueError(f"trimap widths are {tuple(widths)}, must be whole numbers of pixels, 0 or more")
    labels, predicted = paired(truth, prediction)
    most = sum(labels.shape)  # no two pixels are farther apart: a wider band holds no more
    squares = np.array([min(width, most) for width in exact], np.int64) ** 2
    counts = _count_by_distance(labels, predicted, void, min(max(exact), most))
    correct, total = counts.cumsum(axis=1)[:, squares]
    return TrimapCounts(exact, correct, total)


class Trimap(Metric[TrimapCounts]):
    """Accuracy near boundaries, by width of the band."""

    name = "trimap"
    widths = (1, 2, 4, 8, 16, 32, 64)

    def count(
        self,
        truth: NDArray[np.uint8],
        prediction: NDArray[np.uint8],
        instances: NDArray[np.int32] | None,
        classes: ClassTable,
    ) -> TrimapCounts:
        return trimap_accuracy(truth, prediction, self.widths)

    def figures(self, counts: TrimapCounts, classes: ClassTable) -> dict[str, Any]:
        return {"trimap": dict(zip(counts.widths, counts.accuracy(), strict=True))}


@numba.njit(nogil=True, cache=True)
def _rows_to_boundary(truth: NDArray[np.uint8], far: int) -> NDArray[np.int32]:
    """(H, W) distance to the nearest boundary pixel of the same column, at most `far`."""
    height, width = truth.shape
    rows = np.full((height, width), far, np.int32)
    for i in range(height):
        for j in range(width):
            label = truth[i, j]
            if (
                (i > 0 and truth[i - 1, j] != label)
                or (i + 1 < height and truth[i + 1, j] != label)
                or (j > 0 and truth[i, j - 1] != label)
                or (j + 1 < width and truth[i, j + 1] != label)
            ):
                rows[i, j] = 0
            elif i > 0:
                rows[i, j] = min(far, rows[i - 1, j] + 1)
    for i in range(height - 2, -1, -1):
        for j in range(width):
            rows[i, j] = min(rows[i, j], rows[i + 1, j] + 1)
    return rows


@numba.njit(nogil=True, cache=True)
def _count_by_distance(
    truth: NDArray[np.uint8], prediction: NDArray[np.uint8], void: int, limit: int
) -> NDArray[np.int64]:
    """(2, limit^2 + 1) right pixels and all pixels outside void, by squared distance to the boundary.

    Along a row the squared distance is the lower envelope of one parabola a column. `columns` holds those
    on it, `starts` the first column where each is the lowest: integers throughout, so distances are exact.
    """
    height, width = truth.shape
    rows = _rows_to_boundary(truth, limit + 1)
    counts = np.zeros((2, limit * limit + 1), np.int64)
    columns, starts = np.empty(width, np.int64), np.empty(width, np.int64)
    for i in range(height):
        size = 0
        for j in range(width):
            g = np.int64(rows[i, j])
            if g > limit:
                continue
            start = 0
            while size:
                k = columns[size - 1]
                h = np.int64(rows[i, k])
                # The first column from which j's parabola lies below k's.
                start = (j * j + g * g - k * k - h * h) // (2 * (j - k)) + 1
                if start > starts[size - 1]:
                    break
                size -= 1
                start = 0
            if start < width:
                columns[size], starts[size] = j, start
                size += 1
        for n in range(size):
            k = columns[n]
            h = np.int64(rows[i, k])
            end = starts[n + 1] if n + 1 < size else width
            for j in range(max(starts[n], k - limit), min(end, k + limit + 1)):
                square = (j - k) * (j - k) + h * h
                if square <= limit * limit and truth[i, j] != void:
                    counts[0, square] += truth[i, j] == prediction[i, j]
                    counts[1, square] += 1
    return counts
