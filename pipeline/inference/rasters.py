"""Upsampling on a GPU, and the small image: Triton kernels over whole batches, without a word to the host.

No operation here waits for the GPU or has a shape that depends on values, so that a whole segmenter can be
recorded as a CUDA graph (`pipeline.inference.replay`). Which triangle lies over a pixel is decided as in
`pipeline.geometry.interpolation`, to the bit of the crossings' coordinates.
"""

import importlib.util
from contextlib import nullcontext
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.geometry._triangles import NARROW
from pipeline.geometry.boxes import PRECISION
from pipeline.geometry.interpolation import _ROUNDING
from pipeline.geometry.tensors import DIAGONAL
from pipeline.log import LOG
from pipeline.names import printable
from pipeline.networks.auxiliary import project

TILE = {"NARROW": NARROW, "ROWS": 16, "COLS": 32}
"""Pixels that one program labels or scores."""

STROKE = {"ROWS": 16, "COLS": 16, "PARTS": 4}
"""Pixels that are drawn at once, and the programs that share a triangle."""

BAND = {"ROWS": 16}
"""Rows whose means over one box are taken at once."""

EXACT = {"enable_fp_fusion": False}
"""A fused product would move a crossing across a pixel that it touches."""


class Drawing(NamedTuple):
    """Triangles laid over the pixels of B crops, in the order of drawing."""

    ys: Tensor  # (B, n, 3) float64, corners in pixels
    xs: Tensor
    corners: Tensor  # (B, n, 3) int32, their vertices in the flattened grid
    winner: Tensor  # (B, height, width) int32, the triangle over each pixel


def available(device: torch.device) -> bool:
    """Whether kernels can be made for a device: Triton needs a C compiler, and a GPU that is not too old."""
    return device.type == "cuda" and _works(device)


@cache
def _works(device: torch.device) -> bool:
    if importlib.util.find_spec("triton") is None:
        return False
    try:
        edges = torch.tensor([[0, 1], [1, 2]], dtype=torch.int32, device=device)
        average_rows(torch.zeros((1, 1, 2, 2), dtype=torch.uint8, device=device), edges, 1)
        torch.cuda.synchronize(device)
    except Exception as error:  # of many kinds, among them those of compilers
        reason = printable(str(error).strip().splitlines()[0]) if str(error).strip() else type(error).__name__
        LOG.warning("Triton makes no kernels for %s (%s): slower operations are used", device, reason)
        return False
    return True


def labels(scores: Tensor, phi: Tensor, size: tuple[int, int]) -> Tensor:
    """The class with the largest interpolated score at every pixel; ties go to the smallest.

    Parameters
    ----------
    scores
        (B, C, h, w), float32 or float64, at most 255 classes.
    phi
        Sampling tensors (B, 2, h, w).
    size
        (height, width) of the crops in pixels.

    Returns
    -------
    Tensor of uint8
        (B, height, width).
    """
    drawing, values = draw(phi, size), _by_vertex(scores)
    best = values.argmax(dim=2).int()
    out = torch.empty(drawing.winner.shape, dtype=torch.uint8, device=scores.device)
    read = (drawing.ys, drawing.xs, drawing.corners, drawing.winner, values, best)
    sizes = (drawing.ys.shape[1], *values.shape[1:], *size)
    _launch("label", _tiles(drawing.winner), *read, out, *sizes, **TILE)
    return out


def scores(values: Tensor, phi: Tensor, size: tuple[int, int]) -> Tensor:
    """Scores (B, C, h, w) at every pixel: (B, C, height, width)."""
    drawing, flat = draw(phi, size), _by_vertex(values)
    out = values.new_empty((*values.shape[:2], *size))
    read = (drawing.ys, drawing.xs, drawing.corners, drawing.winner, flat)
    sizes = (drawing.ys.shape[1], *flat.shape[1:], *size)
    _launch("score", _tiles(drawing.winner), *read, out, *sizes, **TILE)
    return out


def locate(phi: Tensor, size: tuple[int, int], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The corners (B, 3, height, width) of the triangle at every pixel, int64, and their weights."""
    drawing = draw(phi, size)
    vertices = torch.empty((len(phi), 3, *size), dtype=torch.int64, device=phi.device)
    weights = torch.empty(vertices.shape, dtype=dtype, device=phi.device)
    read = (drawing.ys, drawing.xs, drawing.corners, drawing.winner)
    sizes = (drawing.ys.shape[1], *size)
    _launch("weigh", _tiles(drawing.winner), *read, vertices, weights, *sizes, **TILE)
    return vertices, weights


def average_rows(images: Tensor, edges: Tensor, widest: int) -> Tensor:
    """Means over boxes along the rows of images, rounded: the first half of `pipeline.geometry.boxes`.

    Parameters
    ----------
    images
        (B, C, H, W) uint8, in any order in memory.
    edges
        (2, size) int32, the first column of each box and the one behind its last.
    widest
        Columns of the widest box.

    Returns
    -------
    Tensor of uint8
        (B, C, H, size).
    """
    batch, planes, height, _ = images.shape
    size = edges.shape[1]
    out = torch.empty((batch, planes, height, size), dtype=torch.uint8, device=images.device)
    rows, cols = BAND["ROWS"], 1 << (widest - 1).bit_length()
    programs = (-(-height // rows), size, batch * planes)
    sizes = (height, size, *images.stride(), planes)
    _launch("average_rows", programs, images, edges, out, *sizes, PRECISION=PRECISION, ROWS=rows, COLS=cols)
    return out


def draw(phi: Tensor, size: tuple[int, int]) -> Drawing:
    """Draw the triangles of sampling tensors (B, 2, h, w).

    What breaks constraints (3) is projected, and NaN is taken for 0: to refuse it would be to wait for it.
    """
    height, width = size
    exact = project(torch.nan_to_num(phi.double()))
    y, x = (exact[:, 0] * (height - 1)).flatten(1), (exact[:, 1] * (width - 1)).flatten(1)
    corners = mesh(exact)
    order = _order(_of(y, corners), _of(x, corners), height + width)
    corners = corners.gather(1, order[:, :, None].expand(-1, -1, 3))
    ys, xs = _of(y, corners), _of(x, corners)
    winner = torch.full((len(phi), height, width), -1, dtype=torch.int32, device=phi.device)
    programs = (corners.shape[1], STROKE["PARTS"], len(phi))
    _launch("draw", programs, ys, xs, winner, corners.shape[1], height, width, **STROKE)
    return Drawing(ys, xs, corners.int(), winner)


def mesh(phi: Tensor) -> Tensor:
    """The triangles (B, n, 3) of grids (B, 2, h, w), two of each cell in turn, clockwise on the screen."""
    h, w = phi.shape[-2:]
    main = (phi[..., 1:, 1:] - phi[..., :-1, :-1]).square().sum(1).sqrt()
    anti = (phi[..., 1:, :-1] - phi[..., :-1, 1:]).square().sum(1).sqrt()
    turned = (anti < main + (_ROUNDING if DIAGONAL == "anti" else -_ROUNDING)).flatten(1)[..., None]
    rows, cols = torch.arange(h - 1, device=phi.device), torch.arange(w - 1, device=phi.device)
    a = (rows[:, None] * w + cols).flatten()
    b, c, d = a + 1, a + w, a + w + 1
    first = torch.where(turned, torch.stack([a, b, c], 1), torch.stack([a, b, d], 1))
    second = torch.where(turned, torch.stack([b, d, c], 1), torch.stack([a, d, c], 1))
    return torch.stack([first, second], 2).flatten(1, 2)


def _launch(
    name: str, programs: tuple[int, int, int], first: Tensor, /, *rest: object, **constants: object
) -> None:
    """Start a kernel on the GPU of its arguments, which need not be the current one."""
    from pipeline.inference import _rasters

    kernel = getattr(_rasters, name)
    with torch.cuda.device(first.device) if first.is_cuda else nullcontext():
        kernel[programs](first, *rest, **constants, **EXACT)


def _of(coordinate: Tensor, corners: Tensor) -> Tensor:
    """Coordinates (B, points) of triangles' corners (B, n, 3)."""
    return coordinate.gather(1, corners.flatten(1)).reshape(corners.shape)


def _order(ys: Tensor, xs: Tensor, sides: int) -> Tensor:
    """(B, n) the order of drawing, of `pipeline.geometry.interpolation.mesh`."""
    area = (xs[..., 1] - xs[..., 0]) * (ys[..., 2] - ys[..., 0])
    area = area - (ys[..., 1] - ys[..., 0]) * (xs[..., 2] - xs[..., 0])
    apart = (area > NARROW * sides).all(dim=1, keepdim=True)
    order = torch.where(area > 0, -area, -torch.inf).argsort(dim=1, stable=True)
    return torch.where(apart, torch.arange(area.shape[1], device=area.device), order)


def _by_vertex(scores: Tensor) -> Tensor:
    return scores.flatten(2).transpose(1, 2).contiguous()


def _tiles(winner: Tensor) -> tuple[int, int, int]:
    """Programs that cover all pixels."""
    batch, height, width = winner.shape
    return (-(-width // int(TILE["COLS"])), -(-height // int(TILE["ROWS"])), batch)
