"""Upsampling, section 3.3 of the paper: from scores at the sample points to every pixel of the crop.

The sample points keep the topology of their grid, so nothing is triangulated: every cell is split along
its shorter diagonal, and the scores are linear inside each triangle. Pixel (r, c) of an H x W crop is read at
(r / (H - 1), c / (W - 1)). With perfectly classified samples of CamVid the shorter diagonals keep 0.1 to 0.6
points of mIoU more than a fixed one, as much as a Delaunay triangulation (benchmarks/diagonal.py).

Where cells fold over, several triangles cover a pixel. Those that lie right way up cover every pixel by
themselves, so reversed ones are not shown; among the rest the one with the smallest area wins, on
equal areas the later in row-major order. Without folds, triangles share only edges, on which they agree,
unless one is so thin that its corners lie on a pixel together: then the smallest wins, too.

Interpolation commutes with flipping where no diagonals are equally long; equal ones are split along
`tensors.DIAGONAL`, whose mirror image is the other one.

The loops release the GIL and hold no state: calls may run in threads.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry import _runs, _triangles
from pipeline.geometry._arguments import numbers, sides
from pipeline.geometry.tensors import DIAGONAL, project, validate

VOID = 255
"""Train id of the pixels without a class."""

MAX_CELLS = 2**27
"""Of one grid: half-edges, 8 of every cell, are numbered in 32 bits."""

_ROUNDING = 1e-6  # of a tensor in single precision, in units of the crop


class Mesh(NamedTuple):
    """The triangles of a sampling grid, laid over the pixels of a crop."""

    y: NDArray[np.float64]  # (h * w,) vertical coordinates of the vertices in pixels
    x: NDArray[np.float64]  # (h * w,) horizontal ones
    turned: NDArray[np.bool_]  # (h - 1, w - 1) which cells are split along the anti-diagonal
    corners: NDArray[np.int64]  # (2 (h - 1)(w - 1), 3) vertices of the triangles, cell by cell
    twins: NDArray[np.int64]  # the half-edge on the other side of each, see `_runs`
    order: NDArray[np.intp] | None  # of drawing; None if all lie right way up and none is thin: none overlap
    size: tuple[int, int]  # height and width of the crop

    @property
    def drawn(self) -> NDArray[np.int64]:
        """The corners in the order of drawing: last come the triangles that win."""
        return self.corners if self.order is None else self.corners[self.order]


def interpolate(
    scores: NDArray[np.floating[Any]], phi: NDArray[np.floating[Any]], size: int | tuple[int, int]
) -> NDArray[np.floating[Any]]:
    """Scores at every pixel of the crop.

    Parameters
    ----------
    scores
        (C, h, w), finite: the network's output at the h x w sample points.
    phi
        Sampling tensor (2, h, w) that meets the covering constraints (3).
    size
        Side S of the crop in pixels, or its (height, width).

    Returns
    -------
    NDArray
        (C, S, S), float64 for float64 scores, else float32.

    Raises
    ------
    ValueError
        Shapes do not match or have a side below 2, scores are not finite, or the tensor breaks the
        constraints.
    """
    return draw_scores(_by_vertex(scores, phi), mesh(phi, size))


def draw_scores(values: NDArray[np.floating[Any]], grid: Mesh, threads: int = 1) -> NDArray[np.floating[Any]]:
    """`interpolate` on a mesh that is there already.

    Parameters
    ----------
    values
        (h * w, C) scores by vertex, float64 or float32. NaN is not looked for, and spreads.
    threads
        That share the classes among them.

    Returns
    -------
    NDArray
        (C, height, width), same dtype.

    Raises
    ------
    ValueError
        There are other numbers of scores and vertices.
    """
    if values.ndim != 2 or len(values) != len(grid.y):
        raise ValueError(f"scores have shape {values.shape}, the mesh {len(grid.y)} vertices")
    flat, ramp = np.ascontiguousarray(values), np.arange(grid.size[1]).astype(values.dtype)
    out, corners = np.empty((flat.shape[1], *grid.size), flat.dtype), grid.drawn
    edges = np.linspace(0, len(out), max(1, min(threads, len(out))) + 1).astype(int).tolist()

    def draw(begin: int, end: int) -> None:
        _triangles.draw_scores(grid.y, grid.x, corners, flat, ramp, begin, end, out)

    if len(edges) == 2:
        draw(*edges)
        return out
    with ThreadPoolExecutor(len(edges) - 1) as pool:
        list(pool.map(draw, edges[:-1], edges[1:]))
    return out


def interpolate_labels(
    scores: NDArray[np.floating[Any]], phi: NDArray[np.floating[Any]], size: int | tuple[int, int]
) -> NDArray[np.uint8]:
    """The class with the largest interpolated score at every pixel, without the scores in between.

    Ties go to the smallest class. The result is the arg max of `interpolate`, except where two scores come
    within rounding of each other.

    Parameters
    ----------
    scores, phi, size
        As for `interpolate`; at most 255 classes.

    Returns
    -------
    NDArray of uint8
        (S, S) train ids.

    Raises
    ------
    ValueError
        As `interpolate`, or there are more than 255 classes or none.
    """
    values = _by_vertex(scores, phi)
    if not 1 <= len(scores) <= VOID:
        raise ValueError(f"scores of shape {scores.shape} have {len(scores)} classes, must be 1 to {VOID}")
    by_class = np.ascontiguousarray(scores.reshape(len(scores), len(values)), values.dtype)
    grid, winners = mesh(phi, size), _runs.winners(by_class)
    out = np.empty(grid.size, np.uint8)
    corners = _fill_runs(grid, winners, out)
    _triangles.draw_labels(grid.y, grid.x, corners, values, winners, out)
    return out


def interpolate_label_map(
    labels: NDArray[np.uint8], phi: NDArray[np.floating[Any]], size: int | tuple[int, int]
) -> NDArray[np.uint8]:
    """What perfect classification gives: the samples' labels as one-hot scores, interpolated, arg max.

    A void sample has score 0 in all classes: it has no say where another corner of its triangle knows a
    class, and a triangle of void samples is void. Give void an id below 255 to treat it as one more class.

    Parameters
    ----------
    labels
        (h, w) train ids of the samples, 255 for void.
    phi, size
        As for `interpolate`.

    Returns
    -------
    NDArray of uint8
        (S, S) train ids, 255 for void.

    Raises
    ------
    ValueError
        Shapes do not match or have a side below 2, labels are not uint8, or the tensor breaks the
        constraints.
    """
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise ValueError(
            f"labels have shape {labels.shape} and dtype {labels.dtype}, must be (h, w) and uint8"
        )
    _check_match("labels", labels.shape, phi.shape)
    return draw_label_map(labels, mesh(phi, size))


def draw_label_map(labels: NDArray[np.uint8], grid: Mesh) -> NDArray[np.uint8]:
    """`interpolate_label_map` on a mesh that is there already: (h, w) labels to (height, width).

    Raises
    ------
    ValueError
        Labels are not uint8 or not of the mesh's shape, or the mesh's parts do not go together.
    """
    _check_mesh(grid)
    wanted = (grid.turned.shape[0] + 1, grid.turned.shape[1] + 1)
    if labels.shape != wanted or labels.dtype != np.uint8:
        raise ValueError(
            f"labels have shape {labels.shape} and dtype {labels.dtype}, must be {wanted} uint8 as the mesh"
        )
    flat = np.ascontiguousarray(labels).ravel()
    out = np.empty(grid.size, np.uint8)
    corners = _fill_runs(grid, flat, out)
    _triangles.draw_label_map(grid.y, grid.x, corners, flat, VOID, out)
    return out


def _fill_runs(grid: Mesh, labels: NDArray[np.integer[Any]], out: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Fill what has one label (h * w,) at all corners; returns the triangles left to draw.

    Those are all of them where some overlap, or where so few have one label that the walk does not pay.
    """
    if grid.order is not None:
        return grid.drawn
    common = _runs.common(labels, grid.corners)
    if 2 * np.count_nonzero(common == _triangles.MIXED) > len(common):
        return grid.corners
    _runs.fill_runs(grid.y, grid.x, grid.corners, grid.twins, common, out)
    return np.asarray(grid.corners[common == _triangles.MIXED])


def locate(
    phi: NDArray[np.floating[Any]], size: int | tuple[int, int], dtype: type[np.floating[Any]] = np.float64
) -> tuple[NDArray[np.int64], NDArray[np.floating[Any]]]:
    """The triangle that `interpolate` reads at every pixel.

    Parameters
    ----------
    phi, size
        As for `interpolate`.
    dtype
        Of the weights: float64 or float32.

    Returns
    -------
    vertices : NDArray of int64
        (3, S, S) the triangle's corners as indices into the flattened (h, w) grid.
    weights : NDArray
        (3, S, S) their barycentric weights; they sum to 1.

    Raises
    ------
    ValueError
        As `interpolate`, or the dtype is another.
    """
    if dtype not in (np.float64, np.float32):
        raise ValueError(f"dtype of the weights is {dtype}, must be float64 or float32")
    grid = mesh(phi, size)
    vertices, weights = np.empty((3, *grid.size), np.int64), np.empty((3, *grid.size), dtype)
    _triangles.draw_weights(grid.y, grid.x, grid.drawn, vertices, weights)
    return vertices, weights


def mesh(
    phi: NDArray[np.floating[Any]], size: int | tuple[int, int], turned: NDArray[np.bool_] | None = None
) -> Mesh:
    """Lay the triangles of a sampling tensor over a crop.

    Parameters
    ----------
    phi, size
        As for `interpolate`.
    turned
        (h - 1, w - 1) the cells to split along the anti-diagonal, see `split`, which chooses when None.

    Returns
    -------
    Mesh
        With the order in which triangles are drawn one over another.

    Raises
    ------
    ValueError
        The tensor is no (2, h, w), breaks the covering constraints or has too many cells, the crop has a side
        below 2, or `turned` has another shape or dtype.
    """
    height, width = sides("crop", size, -(2**63))
    if min(height, width) < 2:
        raise ValueError(f"crop is {height} x {width} pixels, must be at least 2 x 2")
    exact = _on_constraints(phi)
    cells = (exact.shape[1] - 1, exact.shape[2] - 1)
    if cells[0] * cells[1] > MAX_CELLS:
        raise ValueError(
            f"sampling tensor of shape {phi.shape} has too many cells, must be {MAX_CELLS} at most"
        )
    turned = split(exact) if turned is None else turned
    if turned.shape != cells or turned.dtype != np.bool_:
        raise ValueError(
            f"turned cells have shape {turned.shape} and dtype {turned.dtype}, "
            f"must be {cells} bool for a sampling tensor of shape {phi.shape}"
        )
    corners, twins = _runs.link(turned)
    y, x = (exact[0] * (height - 1)).ravel(), (exact[1] * (width - 1)).ravel()
    areas = _triangles.areas(y, x, corners)
    upright, thin = areas > 0, _triangles.NARROW * (height + width)
    # Those that are not come first and are drawn over, then the others from the largest to the smallest.
    order = None if (areas > thin).all() else np.argsort(np.where(upright, -areas, -np.inf), kind="stable")
    return Mesh(y, x, turned, corners, twins, order, (height, width))


def split(phi: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Find the cells to split along the anti-diagonal, (i, j + 1) to (i + 1, j), since it is the shorter one.

    Lengths are in units of the crop and count as equal within the rounding of single precision.

    Parameters
    ----------
    phi
        Sampling tensor (2, h, w).

    Returns
    -------
    NDArray of bool
        (h - 1, w - 1); where both diagonals are equally long, whether `DIAGONAL` is "anti".

    Raises
    ------
    ValueError
        The tensor is no (2, h, w), or has values that are NaN or outside [0, 1].
    """
    _check_tensor(phi)
    main = np.sqrt(((phi[:, 1:, 1:] - phi[:, :-1, :-1]) ** 2).sum(axis=0))
    anti = np.sqrt(((phi[:, 1:, :-1] - phi[:, :-1, 1:]) ** 2).sum(axis=0))
    slack = _ROUNDING if DIAGONAL == "anti" else -_ROUNDING
    return np.asarray(anti < main + slack)


def _on_constraints(phi: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """The tensor in double precision, the four constrained sides exact."""
    _check_tensor(phi)
    exact = project(phi.astype(np.float64))
    if np.abs(exact - phi).max() > _ROUNDING:
        raise ValueError(
            f"sampling tensor of shape {phi.shape} breaks the covering constraints: component 0 must be 0 on "
            "the first row and 1 on the last, component 1 likewise on the columns; project it first"
        )
    return exact


def _check_tensor(phi: NDArray[np.floating[Any]]) -> None:
    if phi.ndim != 3:
        raise ValueError(f"sampling tensor has shape {phi.shape}, must be (2, h, w)")
    validate(phi)


def _check_mesh(grid: Mesh) -> None:
    """Refuse a mesh whose parts are not of one grid and crop: cheap beside drawing it."""
    (height, width), (rows, cols) = grid.size, grid.turned.shape
    points, triangles = (rows + 1) * (cols + 1), 2 * rows * cols
    shapes = ((points,), (points,), (triangles, 3), (8 * rows * cols,))
    same = all(
        array.shape == shape
        for array, shape in zip((grid.y, grid.x, grid.corners, grid.twins), shapes, strict=True)
    )
    if not (
        same
        and 0 <= grid.y.min() <= grid.y.max() <= height - 1
        and 0 <= grid.x.min() <= grid.x.max() <= width - 1
        and 0 <= grid.corners.min() <= grid.corners.max() < points
        and grid.twins.min() >= _runs.BORDER
        and grid.twins.max() < 8 * rows * cols
        and (grid.order is None or grid.order.shape == (triangles,))
    ):
        raise ValueError(
            f"mesh of {points} vertices, {grid.turned.shape} cells and {len(grid.corners)} triangles over "
            f"{height} x {width} pixels does not go together: make it with mesh()"
        )


def _by_vertex(
    scores: NDArray[np.floating[Any]], phi: NDArray[np.floating[Any]]
) -> NDArray[np.floating[Any]]:
    """(C, h, w) scores as (h * w, C), float64 or float32."""
    if scores.ndim != 3:
        raise ValueError(f"scores have shape {scores.shape}, must be (C, h, w)")
    _check_match("scores", scores.shape, phi.shape)
    numbers("scores", scores)
    if not np.isfinite(scores).all():
        raise ValueError(f"scores of shape {scores.shape} have entries that are NaN or infinite")
    dtype = np.float64 if scores.dtype == np.float64 else np.float32
    return np.ascontiguousarray(scores.reshape(len(scores), scores.shape[1] * scores.shape[2]).T, dtype)


def _check_match(what: str, shape: tuple[int, ...], phi_shape: tuple[int, ...]) -> None:
    if shape[-2:] != phi_shape[-2:]:
        raise ValueError(f"{what} have shape {shape}, the sampling tensor {phi_shape}: h and w must agree")
