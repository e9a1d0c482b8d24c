"""Intersection over union from one confusion matrix over a whole split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.base import Metric
from pipeline.metrics.labels import VOID, paired

if TYPE_CHECKING:
    from pipeline.datasets.base import ClassTable


class ConfusionMatrix:
    """Counts of pixels by true and predicted class; void pixels of the ground truth are left out.

    A class without a single true pixel has no IoU: it is left out of the means and named by `unseen`, so that
    the means of two methods are over the same classes, whatever either predicts. (Where it is predicted
    all the same, the class that the pixels belong to pays for it.)

    Parameters
    ----------
    classes
        Names of the classes in the order of their train ids, or how many there are.
    targets
        Train ids of the target classes.
    void
        Train id of the pixels without a class. A prediction of it is wrong wherever the truth is a class.

    Attributes
    ----------
    counts : NDArray of int64
        (n, n + 1): pixels of true class i predicted as class j; the last column those predicted as void.

    Raises
    ------
    ValueError
        There are no classes or too many, or a target is not one of them.
    """

    def __init__(self, classes: Sequence[str] | int, targets: Sequence[int] = (), void: int = VOID) -> None:
        n = classes if isinstance(classes, (int, float, np.number)) else len(tuple(classes))
        if not 1 <= n <= 255:
            raise ValueError(f"there are {n} classes, must be 1 to 255")
        numbers = (n, void, *targets)
        if not all(np.isfinite(number) and number == int(number) for number in numbers):
            raise ValueError(f"classes {n}, void {void} and targets {tuple(targets)} must be whole numbers")
        n, self.void, *chosen = map(int, numbers)
        self.targets = tuple(chosen)
        counted = isinstance(classes, (int, float, np.number))
        self.names = tuple(map(str, range(n))) if counted else tuple(classes)  # type: ignore[arg-type]
        if not n <= void <= 255:
            raise ValueError(f"void is {void}, must lie in {n}..255 beside {n} classes")
        if not all(0 <= target < n for target in self.targets):
            raise ValueError(f"targets are {self.targets}, must lie in 0..{n - 1}")
        self.counts = np.zeros((n, n + 1), np.int64)

    def update(self, truth: NDArray[np.integer[Any]], prediction: NDArray[np.integer[Any]]) -> None:
        """Count an image.

        Parameters
        ----------
        truth, prediction
            (H, W) train ids.

        Raises
        ------
        ValueError
            Shapes differ, or a label outside void is neither a class nor void; nothing is counted then.
        """
        pairs = _count_pairs(*paired(truth, prediction))
        n = len(self.names)
        pairs[self.void] = 0
        known = np.zeros(256, bool)
        known[:n] = True
        _refuse("ground truth", pairs.sum(axis=1)[~known], np.flatnonzero(~known), n, self.void)
        known[self.void] = True
        _refuse("prediction", pairs.sum(axis=0)[~known], np.flatnonzero(~known), n, self.void)
        self.counts[:, :n] += pairs[:n, :n]
        self.counts[:, n] += pairs[:n, self.void]

    def __add__(self, other: Self) -> Self:
        """The matrix of both sets of images.

        Raises
        ------
        ValueError
            The two differ in classes, targets or void.
        """
        mine, theirs = (self.names, self.targets, self.void), (other.names, other.targets, other.void)
        if mine != theirs:
            raise ValueError(f"confusion matrices of different classes, targets or void: {mine} and {theirs}")
        total = type(self)(*mine)
        total.counts = self.counts + other.counts
        return total

    @property
    def unseen(self) -> tuple[str, ...]:
        """Names of the classes without a pixel in the ground truth."""
        return tuple(name for name, seen in zip(self.names, self._seen(), strict=True) if not seen)

    def iou(self) -> NDArray[np.float64]:
        """(n,) true positives / (true positives + false positives + false negatives), NaN if unseen."""
        hits = np.diagonal(self.counts)
        union = self.counts.sum(axis=1) + self.counts[:, :-1].sum(axis=0) - hits
        return np.where(self._seen(), hits / np.maximum(union, 1), np.nan)

    def miou(self) -> float:
        """Mean IoU of the classes seen; NaN if there are none."""
        return _mean(self.iou())

    def target_miou(self) -> float:
        """Mean IoU of the target classes seen; NaN if there are none."""
        return _mean(self.iou()[list(self.targets)])

    def accuracy(self) -> float:
        """Share of the pixels outside void that are right; NaN if there are none."""
        total = int(self.counts.sum())
        return float(np.trace(self.counts)) / total if total else float("nan")

    def _seen(self) -> NDArray[np.bool_]:
        return np.asarray(self.counts.sum(axis=1) > 0)


class Overlap(Metric[ConfusionMatrix]):
    """IoU by class and its means, and the share of pixels that are right."""

    name = "overlap"

    def count(
        self,
        truth: NDArray[np.uint8],
        prediction: NDArray[np.uint8],
        instances: NDArray[np.int32] | None,
        classes: ClassTable,
    ) -> ConfusionMatrix:
        matrix = ConfusionMatrix(classes.names, classes.targets)
        matrix.update(truth, prediction)
        return matrix

    def figures(self, counts: ConfusionMatrix, classes: ClassTable) -> dict[str, Any]:
        return {
            "miou": counts.miou(),
            "target_miou": counts.target_miou(),
            "accuracy": counts.accuracy(),
            "iou": dict(zip(counts.names, counts.iou(), strict=True)),
        }


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _refuse(what: str, counts: NDArray[np.int64], labels: NDArray[np.intp], n: int, void: int) -> None:
    if counts.any():
        label, count = labels[counts > 0][0], counts[counts > 0][0]
        raise ValueError(
            f"{what} has label {label} in {count} pixels, must be a class (0..{n - 1}) or void ({void})"
        )


@numba.njit(nogil=True, cache=True)
def _count_pairs(truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(256, 256) how often each pair of labels meets."""
    counts = np.zeros((256, 256), np.int64)
    for i in range(truth.shape[0]):
        for j in range(truth.shape[1]):
            counts[truth[i, j], prediction[i, j]] += 1
    return counts
