"""From a boundary or a label map to its proposal: the one place where a crop without a boundary becomes u."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.boundaries import target_boundaries, train_id_pixels
from pipeline.geometry.energy import solve
from pipeline.geometry.nearest import nearest_boundary, nearest_points
from pipeline.geometry.tensors import uniform


def propose(
    labels: NDArray[np.integer], targets: Iterable[int], grid: tuple[int, int] = (8, 8), lam: float = 1.0
) -> NDArray[np.float64]:
    """Proposal phi~ of a square label map: the global minimiser of energy (2) under constraints (3).

    Parameters
    ----------
    labels
        (S, S) class ids, S at least 2.
    targets
        Ids of the target classes.
    grid
        Rows and columns (h, w) of the tensor, each at least 2.
    lam
        Weight of the smoothness term, at least 0.

    Returns
    -------
    (2, h, w) coordinates in [0, 1], vertical first; the uniform tensor where there is no target boundary.

    Raises
    ------
    ValueError
        The label map, the grid or lambda cannot be used.
    """
    if labels.ndim == 2 and labels.dtype == np.uint8:
        pixels = train_id_pixels(labels, targets)
        return of_nearest(nearest_points(pixels.rows, pixels.cols, labels.shape, grid), grid, lam)
    return of_boundary(target_boundaries(labels, targets), grid, lam)


def of_boundary(boundary: NDArray[np.bool_], grid: tuple[int, int], lam: float) -> NDArray[np.float64]:
    """`propose` once the target boundary (S, S) is known."""
    return of_nearest(nearest_boundary(boundary, grid), grid, lam)


def of_nearest(b: NDArray[np.float64] | None, grid: tuple[int, int], lam: float) -> NDArray[np.float64]:
    """`propose` once the nearest boundary b(u_ij) (2, h, w) is known; None: there is none."""
    return uniform(*grid) if b is None else solve(b, lam)


def of_many(
    b: NDArray[np.float64], has_boundary: NDArray[np.bool_], lam: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Proposals of many crops at once.

    Parameters
    ----------
    b
        (..., 2, h, w) nearest boundaries; what stands where `has_boundary` is false is not looked at.
    has_boundary
        (...,).

    Returns
    -------
    phi, pull
        Both (..., 2, h, w): the proposals, and b with u in place of what is not there.
    """
    u = uniform(*b.shape[-2:])
    there = has_boundary[..., None, None, None]
    pull = np.where(there, b, u)
    return np.where(there, solve(pull, lam), u), pull
