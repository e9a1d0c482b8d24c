"""Closed curves as polylines: arc length, curvature, smoothing, and how far one lies from another.

A curve is an array (K, 2) of vertices, (row, column) in any unit. The last vertex joins the first, which is
not repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry._arguments import numbers, whole

Points = NDArray[np.float64]

MAX_COORDINATE = 1e100
"""Squared distances of larger ones overflow."""

MAX_SIGMA = 100
MAX_POINTS = 10**8
"""Vertices that `refine` makes at most."""

_NEIGHBOURS = 4  # segments looked at for each point


def length(curve: Points) -> float:
    """Perimeter of a closed curve (K, 2), in its unit. Raises ValueError if it is no curve."""
    _check_curve(curve)
    return float(_edges(curve).sum())


def equidistant(curve: Points, count: int) -> Points:
    """Points on a closed curve that are equally far apart along it, the first at its first vertex.

    Parameters
    ----------
    curve
        (K, 2).
    count
        How many points, at least 1.

    Returns
    -------
    NDArray of float64
        (count, 2).

    Raises
    ------
    ValueError
        `count` is below 1, or the curve is no (K, 2) of at least 3 vertices.
    """
    if count < 1:
        raise ValueError(f"number of points is {count}, must be at least 1")
    count = whole("number of points", count, 1)
    _check_curve(curve)
    closed = np.concatenate([curve, curve[:1]])
    along = np.concatenate([[0.0], np.cumsum(_edges(curve))])
    wanted = np.arange(count) * (along[-1] / count)
    return np.stack([np.interp(wanted, along, closed[:, axis]) for axis in (0, 1)], axis=1)


def smooth(curve: Points, sigma: float, count: int) -> Points:
    """A closed curve under a Gaussian filter along its length.

    Parameters
    ----------
    curve
        (K, 2).
    sigma
        Standard deviation in the curve's unit.
    count
        Vertices of the result. Those of the curve are replaced by so many equidistant ones first.

    Returns
    -------
    NDArray of float64
        (count, 2).

    Raises
    ------
    ValueError
        `count` is below 1, `sigma` is negative or not finite, or the curve is no (K, 2) of at least 3
        vertices that has a length.
    """
    from scipy.ndimage import gaussian_filter1d

    if not 0 <= sigma < np.inf:
        raise ValueError(f"sigma is {sigma}, must be finite and at least 0")
    spacing = length(curve) / whole("number of points", count, 1)
    if spacing == 0:
        raise ValueError(f"curve of shape {curve.shape} is a single point")
    if sigma > MAX_SIGMA * count * spacing:
        raise ValueError(f"sigma is {sigma}, must be at most {MAX_SIGMA} times the length {count * spacing}")
    if sigma < spacing * 1e-9:  # nothing of a neighbour, and SciPy would divide by zero
        return equidistant(curve, count)
    return np.asarray(gaussian_filter1d(equidistant(curve, count), sigma / spacing, axis=0, mode="wrap"))


def curvature(curve: Points) -> Points:
    """Absolute curvature at every vertex of a closed curve, from central differences.

    Parameters
    ----------
    curve
        (K, 2), vertices of a smooth curve spaced evenly in any smooth parameter.

    Returns
    -------
    NDArray of float64
        (K,), in one over the curve's unit. A vertex at which the curve stands still has 0.
    """
    _check_curve(curve)
    before, after = np.roll(curve, 1, axis=0), np.roll(curve, -1, axis=0)
    speed = (after - before) / 2
    turn = after - 2 * curve + before
    cross = np.abs(speed[:, 0] * turn[:, 1] - speed[:, 1] * turn[:, 0])
    cube = np.einsum("ij,ij->i", speed, speed) ** 1.5
    return np.asarray(np.divide(cross, cube, out=np.zeros(len(curve)), where=cube > 0))


def refine(curve: Points, step: float) -> Points:
    """The same closed curve with vertices added on its edges, at most `step` apart.

    Parameters
    ----------
    curve
        (K, 2).
    step
        In the curve's unit, above 0.

    Returns
    -------
    NDArray of float64
        The curve's own vertices and those added, in order.
    """
    if not step > 0:
        raise ValueError(f"step is {step}, must be above 0")
    _check_curve(curve)
    wanted = np.maximum(np.ceil(_edges(curve) / step), 1)
    if not wanted.sum() <= MAX_POINTS:
        raise ValueError(
            f"step {step} would cut a curve of length {length(curve)} into {wanted.sum():g} pieces"
        )
    parts = wanted.astype(np.intp)
    edge = np.repeat(np.arange(len(curve)), parts)
    within = np.arange(len(edge)) - np.repeat(np.cumsum(parts) - parts, parts)
    share = (within / parts[edge])[:, None]
    return np.asarray(curve[edge] + share * (np.roll(curve, -1, axis=0)[edge] - curve[edge]))


def distances(points: Points, curves: Sequence[Points]) -> Points:
    """Distance of every point to the nearest place on any of the closed curves.

    Parameters
    ----------
    points
        (P, 2).
    curves
        (K, 2) each, in the points' unit. At least one.

    Returns
    -------
    NDArray of float64
        (P,), in the same unit. Found among the four segments whose middles are nearest to a point: nearly
        always exact, and too large by at most half the longest segment. See `refine`.

    Raises
    ------
    ValueError
        There is no curve, or something is not of the shape that it must have.
    """
    if not curves:
        raise ValueError("no curve to measure distances to")
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points have shape {points.shape}, must be (P, 2)")
    numbers("array of points", points)
    _check_range("points", points)
    for curve in curves:
        _check_curve(curve)
    from scipy.spatial import cKDTree

    starts = np.concatenate(curves)
    ends = np.concatenate([np.roll(curve, -1, axis=0) for curve in curves])
    count = min(_NEIGHBOURS, len(starts))
    near = cKDTree((starts + ends) / 2).query(points, k=count)[1].reshape(len(points), count)
    return np.asarray(_to_segments(points[:, None], starts[near], ends[near]).min(axis=1))


def hausdorff(one: Sequence[Points], other: Sequence[Points], step: float) -> float:
    """Hausdorff distance between two sets of closed curves: the farthest that either strays from the other.

    Parameters
    ----------
    one, other
        Closed curves, (K, 2) each, at least one in either set.
    step
        Both are measured between points at most so far apart, so the result is within this of the distance.

    Returns
    -------
    float
        In the curves' unit.
    """
    fine, coarse = [refine(c, step) for c in one], [refine(c, step) for c in other]
    if not fine or not coarse:
        raise ValueError(f"sets of {len(one)} and {len(other)} curves: there must be some in both")
    there, back = distances(np.concatenate(fine), coarse), distances(np.concatenate(coarse), fine)
    return float(max(there.max(), back.max()))


def _to_segments(points: NDArray[Any], starts: NDArray[Any], ends: NDArray[Any]) -> NDArray[np.float64]:
    """Distances of points (..., 2) to segments (..., 2), broadcast against each other."""
    span = ends - starts
    squared = np.einsum("...i,...i->...", span, span)
    along = np.einsum("...i,...i->...", points - starts, span)
    share = np.clip(np.divide(along, squared, out=np.zeros(along.shape), where=squared > 0), 0, 1)
    away = points - starts - share[..., None] * span
    return np.asarray(np.sqrt(np.einsum("...i,...i->...", away, away)))


def _edges(curve: Points) -> Points:
    """(K,) lengths of a closed curve's edges, the one back to the first vertex last."""
    return np.asarray(np.hypot(*(np.roll(curve, -1, axis=0) - curve).T))


def _check_curve(curve: Points) -> None:
    if curve.ndim != 2 or curve.shape[1] != 2 or len(curve) < 3:
        raise ValueError(f"curve has shape {curve.shape}, must be (K, 2) with at least 3 vertices")
    numbers("curve", curve)
    _check_range("curve", curve)


def _check_range(what: str, points: Points) -> None:
    if not (np.abs(np.asarray(points, np.float64)) <= MAX_COORDINATE).all():
        raise ValueError(
            f"{what} of shape {points.shape} with coordinates that are NaN or infinite, or beyond "
            f"{MAX_COORDINATE:g}"
        )
