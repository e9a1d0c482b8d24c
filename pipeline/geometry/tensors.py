"""Sampling tensors phi, shape (..., 2, h, w): where each of h x w samples is taken in a crop.

Component 0 is vertical, component 1 horizontal, in corner-aligned coordinates of [0, 1]^2. The covering
constraints, (3) in the paper, pin component 0 to 0 on the first row and to 1 on the last, and
component 1 likewise on the first and last column.
"""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry._arguments import numbers, sides

Real = TypeVar("Real", bound=np.floating[Any])

DIAGONAL = "main"
"""Along which diagonal cells are cut: "main", (i, j) to (i+1, j+1), or "anti", (i, j+1) to (i+1, j)."""

FOLD_TOLERANCE = 1e-12
"""Signed areas above minus this, in units of the crop, are rounding of zero (a pixel of 2710^2: 1.4e-7)."""

_HALVES = {
    "main": (((0, 0), (0, 1), (1, 1)), ((0, 0), (1, 1), (1, 0))),
    "anti": (((0, 0), (0, 1), (1, 0)), ((0, 1), (1, 1), (1, 0))),
}


def uniform(h: int, w: int) -> NDArray[np.float64]:
    """The uniform tensor u (2, h, w): ``u[0, i, j] = i / (h - 1)``, ``u[1, i, j] = j / (w - 1)``.

    Raises
    ------
    ValueError
        h or w is below 2.
    """
    h, w = _grid(h, w)
    u = np.empty((2, h, w))
    u[0] = (np.arange(h) / (h - 1))[:, None]
    u[1] = np.arange(w) / (w - 1)
    return u


def validate(phi: NDArray[Any]) -> None:
    """Refuse what is no sampling tensor. The covering constraints are not asked for: see `project`.

    Parameters
    ----------
    phi
        To be (..., 2, h, w), h and w at least 2, floating point, values in [0, 1].

    Raises
    ------
    ValueError
        It is not; the message says in what.
    """
    _check_shape(phi)
    if not np.issubdtype(phi.dtype, np.floating):
        raise ValueError(
            f"sampling tensor of shape {phi.shape} has dtype {phi.dtype}, must be floating point"
        )
    if not ((phi >= 0) & (phi <= 1)).all():
        raise ValueError(f"sampling tensor of shape {phi.shape} has values that are NaN or outside [0, 1]")


def resize(phi: NDArray[Real], size: int | tuple[int, int]) -> NDArray[Real]:
    """Resize bilinearly, corner-aligned, so that the covering constraints survive to the bit.

    Parameters
    ----------
    phi
        (..., 2, h, w).
    size
        (h', w'), or one number for both; at least 2.

    Returns
    -------
    NDArray
        (..., 2, h', w'), float32 for float32 input, else float64.

    Raises
    ------
    ValueError
        `phi` has another shape, or a new side is below 2.
    """
    _check_shape(phi)
    h, w = _grid(*sides("grid", size, -(2**63)))
    resized: NDArray[Real] = _stretch(_stretch(_floating(phi), h, -2), w, -1)
    return resized


def project(phi: NDArray[Real]) -> NDArray[Real]:
    """Satisfy constraints (3): overwrite the four constrained sides, clip the rest to [0, 1].

    Parameters
    ----------
    phi
        (..., 2, h, w).

    Returns
    -------
    NDArray
        A new array, float32 for float32 input, else float64.

    Raises
    ------
    ValueError
        `phi` has another shape, or values that are NaN.
    """
    _check_shape(phi)
    projected: NDArray[Real] = np.clip(_floating(phi), 0, 1)
    if np.isnan(projected.sum()):  # one pass without an array of flags
        raise ValueError(f"sampling tensor of shape {phi.shape} has values that are NaN")
    projected[..., 0, 0, :], projected[..., 0, -1, :] = 0, 1
    projected[..., 1, :, 0], projected[..., 1, :, -1] = 0, 1
    return projected


def flip(phi: NDArray[Real]) -> NDArray[Real]:
    """The tensor that samples the horizontally flipped crop at the same places.

    ``flip(phi)[:, i, j] = (phi[0, i, w-1-j], 1 - phi[1, i, w-1-j])``.

    Parameters
    ----------
    phi
        (..., 2, h, w).

    Returns
    -------
    NDArray
        A new array, float32 for float32 input, else float64.

    Raises
    ------
    ValueError
        `phi` has another shape.
    """
    _check_shape(phi)
    flipped = np.array(_floating(phi)[..., ::-1], order="C")  # a copy even of a flipped view
    flipped[..., 1, :, :] = 1 - flipped[..., 1, :, :]
    return flipped


def triangles(h: int, w: int, diagonal: str = DIAGONAL) -> NDArray[np.intp]:
    """The two triangles of every cell of an h x w grid.

    Parameters
    ----------
    h, w
        Grid points a side, at least 2.
    diagonal
        As in `DIAGONAL`.

    Returns
    -------
    NDArray of intp
        (h - 1, w - 1, 2, 3) indices into the flattened grid, corners clockwise on the screen (y down).

    Raises
    ------
    ValueError
        A side is below 2, or no such diagonal.
    """
    h, w = _grid(h, w)
    first = np.arange(h - 1)[:, None] * w + np.arange(w - 1)
    corners = np.array([[i * w + j for i, j in half] for half in _halves(diagonal)], np.intp)
    return first[..., None, None] + corners


def folded_cells(phi: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Cells turned over by the tensor: one of the two triangles along `DIAGONAL` has negative signed area.

    Areas are computed in float64 and compared with `FOLD_TOLERANCE`; a cell that collapsed to a line or a
    point is not folded, nor is one with a corner that is NaN (see `validate`).

    Parameters
    ----------
    phi
        (..., 2, h, w).

    Returns
    -------
    NDArray of bool
        (..., h - 1, w - 1).

    Raises
    ------
    ValueError
        `phi` has another shape.
    """
    _check_shape(phi)
    points = np.asarray(phi, np.float64)
    folded = np.zeros((*phi.shape[:-3], phi.shape[-2] - 1, phi.shape[-1] - 1), bool)
    for half in _halves(DIAGONAL):
        a, b, c = (_corner(points, i, j) for i, j in half)
        ab, ac = b - a, c - a
        twice_area = ab[..., 1, :, :] * ac[..., 0, :, :] - ab[..., 0, :, :] * ac[..., 1, :, :]
        folded |= twice_area < -2 * FOLD_TOLERANCE
    return folded


def _corner(points: NDArray[np.float64], i: int, j: int) -> NDArray[np.float64]:
    """Corner (i, j) of every cell, (..., 2, h - 1, w - 1)."""
    h, w = points.shape[-2:]
    return points[..., i : h - 1 + i, j : w - 1 + j]


def _halves(diagonal: str) -> tuple[tuple[tuple[int, int], ...], ...]:
    if diagonal not in _HALVES:
        raise ValueError(f'diagonal is {diagonal!r}, must be "main" or "anti"')
    return _HALVES[diagonal]


def _stretch(values: NDArray[Real], count: int, axis: int) -> NDArray[Real]:
    """Linear interpolation at `count` corner-aligned places of one axis.

    Places are found in integers, so that one which falls on an old point takes its value to the bit; and
    ``a + t (b - a)`` gives a for a = b, so that equal values stay equal.
    """
    old, steps = values.shape[axis], count - 1
    low, rest = np.divmod(np.arange(count) * (old - 1), steps)
    high = np.minimum(low + 1, old - 1)
    weights = (rest / steps).astype(values.dtype)
    if axis == -2:
        weights = weights[:, None]
    start = values.take(low, axis)
    stretched: NDArray[Real] = start + weights * (values.take(high, axis) - start)
    return stretched


def _grid(h: int, w: int) -> tuple[int, int]:
    h, w = sides("grid", (h, w), -(2**63))
    if min(h, w) < 2:
        raise ValueError(f"grid {(h, w)} must have at least 2 points a side")
    return h, w


def _floating(phi: NDArray[Any]) -> NDArray[Any]:
    """As float32 if it is that, else as float64."""
    return np.asarray(phi, np.float32 if phi.dtype == np.float32 else np.float64)


def _check_shape(phi: NDArray[Any]) -> None:
    if phi.ndim < 3 or phi.shape[-3] != 2 or min(phi.shape[-2:]) < 2:
        raise ValueError(f"sampling tensor has shape {phi.shape}, must be (..., 2, h, w) with h, w >= 2")
    numbers("sampling tensor", phi)
