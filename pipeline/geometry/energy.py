"""The energy of a sampling tensor, equation (2) of the paper, and its exact minimiser under constraints (3).

The two components do not meet in the energy. Each has two constrained sides and two free ones, and the
uniform tensor u satisfies the constraints with a smoothness gradient of zero. So the difference d = phi - u
solves ``(I + lambda L) d = b - u`` with zeros on the constrained sides, where L is the graph Laplacian of
the grid. Sines (DST-I) from one constrained side to the other and cosines (DCT-II) along them diagonalise L.
Up to 64 x 64 at least, products with their dense matrices are faster than fast transforms.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry._arguments import numbers
from pipeline.geometry.tensors import uniform

Floats = NDArray[np.floating[Any]]

MAX_SIDE = 2**13
"""Grid points along a side that `solve` takes: its matrices have the square of that many entries."""

_BATCH_VALUES = 2**16
"""Values (of one component) that are solved at a time: half a megabyte stays in a core's cache."""


def energy(phi: Floats, b: Floats, lam: float) -> NDArray[np.float64] | float:
    """Energy (2) of a sampling tensor: ``data + lam * smoothness`` of `terms`.

    Parameters
    ----------
    phi
        Sampling tensor (..., 2, h, w).
    b
        Nearest boundary at the points of the uniform grid, same shape.
    lam
        Weight of the smoothness term, finite and at least 0.

    Returns
    -------
    float, or NDArray of float64 over the leading axes

    Raises
    ------
    ValueError
        Shapes that are no sampling tensors or differ; `lam` negative or not finite.
    """
    _check_weight(lam)
    data, smoothness = terms(phi, b)
    return data + lam * smoothness


def terms(phi: Floats, b: Floats) -> tuple[NDArray[np.float64] | float, NDArray[np.float64] | float]:
    """The two terms of energy (2), the second without its weight.

    Parameters
    ----------
    phi, b
        As for `energy`.

    Returns
    -------
    data
        Sum over grid points of ``|phi_ij - b_ij|^2``; a float, or an array over the leading axes.
    smoothness
        Sum of ``|phi_ij - phi_i'j'|^2`` over pairs of grid neighbours, each unordered pair once.

    Raises
    ------
    ValueError
        Shapes that are no sampling tensors or differ.
    """
    _check_shape(phi)
    if phi.shape != b.shape:
        raise ValueError(f"sampling tensor has shape {phi.shape} but nearest boundaries have {b.shape}")
    numbers("array of nearest boundaries", b)
    x = np.asarray(phi, np.float64)
    data = _squares(x - b)
    smoothness = _squares(np.diff(x, axis=-1)) + _squares(np.diff(x, axis=-2))
    return data, smoothness


def solve(b: Floats, lam: float) -> NDArray[np.float64]:
    """The proposal: the global minimiser of energy (2) under constraints (3), for a whole batch.

    Parameters
    ----------
    b
        Nearest boundary at the points of the uniform grid, (..., 2, h, w), values in [0, 1].
    lam
        Weight of the smoothness term, finite and at least 0.

    Returns
    -------
    NDArray of float64
        (..., 2, h, w). The constrained sides are exactly 0 and 1, everything lies in [0, 1].

    Raises
    ------
    ValueError
        `b` has another shape, more than `MAX_SIDE` points a side, or values that are NaN or outside [0, 1];
        `lam` is negative or not finite.

    Notes
    -----
    Every value of the minimiser without the box constraint is an average of values of b and of the
    constrained sides (discrete maximum principle), so that constraint never binds; clipping removes
    rounding only.
    A crop's result does not depend on what else is in the batch.
    """
    _check_weight(lam)
    _check_shape(b)
    h, w = b.shape[-2:]
    if max(h, w) > MAX_SIDE:
        raise ValueError(f"grid {h} x {w} of shape {b.shape} must have at most {MAX_SIDE} points a side")
    flat = b.reshape(-1, 2, h, w)
    phi = np.empty(flat.shape)
    u = uniform(h, w)
    vertical, horizontal = _spectrum(h, w, lam), _spectrum(w, h, lam)
    step = max(1, _BATCH_VALUES // (h * w))
    for start in range(0, len(flat), step):
        part, out = flat[start : start + step], phi[start : start + step]
        low, high = part.min(), part.max()
        if not (low >= 0 and high <= 1):
            raise ValueError(
                f"nearest boundaries of shape {b.shape} have values that are NaN or outside [0, 1]"
            )
        out[:] = u
        pull = part - u
        out[:, 0, 1:-1] += _relax(pull[:, 0, 1:-1], vertical)
        out[:, 1, :, 1:-1] += _relax(pull[:, 1, :, 1:-1].swapaxes(1, 2), horizontal).swapaxes(1, 2)
        np.clip(out, 0, 1, out=out)
    return phi.reshape(b.shape)


class _Spectrum(NamedTuple):
    """Eigenvectors of L for one component, and what ``(I + lambda L)^-1`` multiplies them with."""

    sines: NDArray[np.float64]  # (m - 2, m - 2), symmetric and its own inverse
    cosines: NDArray[np.float64]  # (n, n), frequency by position
    gains: NDArray[np.float64]  # (m - 2, n)


def _spectrum(m: int, n: int, lam: float) -> _Spectrum:
    """For m points from one constrained side to the other, and n along them."""
    inner = np.arange(1, m - 1)
    sines = np.sqrt(2 / (m - 1)) * np.sin(np.pi / (m - 1) * np.outer(inner, inner))
    place = np.arange(n)
    cosines = np.sqrt(2 / n) * np.cos(np.pi / n * np.outer(place, place + 0.5))
    cosines[0] = np.sqrt(1 / n)
    across = 4 * np.sin(np.pi / (2 * (m - 1)) * inner) ** 2
    along = 4 * np.sin(np.pi / (2 * n) * place) ** 2
    with np.errstate(over="ignore"):
        gains = 1 / (1 + lam * (across[:, None] + along))
    return _Spectrum(sines, cosines, gains)


def _relax(pull: NDArray[np.float64], spectrum: _Spectrum) -> NDArray[np.float64]:
    """``(I + lambda L)^-1`` of each (m - 2, n) array of a batch.

    One product an array, not one for the whole batch: BLAS would sum in an order that depends on its size.
    """
    sines, cosines, gains = spectrum
    coefficients = np.matmul(np.matmul(sines, pull), cosines.T)
    coefficients *= gains
    return np.asarray(np.matmul(np.matmul(sines, coefficients), cosines))


def _squares(x: NDArray[np.float64]) -> NDArray[np.float64] | float:
    total = np.einsum("...kij,...kij->...", x, x)
    return float(total) if x.ndim == 3 else total


def _check_shape(phi: Floats) -> None:
    if phi.ndim < 3 or phi.shape[-3] != 2 or min(phi.shape[-2:]) < 2:
        raise ValueError(f"array has shape {phi.shape}, must be (..., 2, h, w) with h, w >= 2")
    numbers("array", phi)


def _check_weight(lam: float) -> None:
    if not (math.isfinite(lam) and lam >= 0):
        raise ValueError(f"lambda is {lam}, must be finite and at least 0")
