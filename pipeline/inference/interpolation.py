"""Upsampling of `pipeline.geometry.interpolation` on batches of tensors, differentiable in the scores.

It is an operator of its own, `adaprep::interpolate`, so that `torch.export` sees its output's shape and not
its loops. On the CPU triangles are drawn one after another, as there; on a GPU by kernels of
`pipeline.inference.rasters`, all at once. On other devices, without Triton, and for gradients, the triangle
over each pixel is found first, which does not depend on the scores (`adaprep::locate`).
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.geometry._triangles import NARROW
from pipeline.geometry.interpolation import (
    _ROUNDING,
    VOID,
    draw_scores,
    interpolate_labels,
    locate,
    mesh,
)
from pipeline.inference import rasters
from pipeline.networks.auxiliary import project

CHUNK = 1 << 21
"""Pixels, or triangle rows, that the search on a device handles at once."""


def interpolate(scores: Tensor, phi: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Scores at every pixel of the crops.

    Gradients flow to the scores, not to the tensor: where a sample lies is not learnt through its label.

    Parameters
    ----------
    scores
        (B, C, h, w): the network's output at the h x w sample points. NaN is not looked for, and spreads.
    phi
        Sampling tensors (B, 2, h, w) that meet the covering constraints (3).
    size
        Side S of the crops in pixels, or their (height, width).

    Returns
    -------
    Tensor
        (B, C, S, S), float64 for float64 scores, else float32.

    Raises
    ------
    ValueError
        Shapes or devices do not match, a side is below 2, or a tensor breaks the constraints.
    """
    _check_match(scores, phi)
    if rasters.available(phi.device) and not torch.compiler.is_compiling():
        _check_covering(phi)
    return upsample(scores, phi, size)


def upsample(scores: Tensor, phi: Tensor, size: int | tuple[int, int]) -> Tensor:
    """`interpolate` without a look at values, for which the host would wait: tensors must be projected."""
    height, width = size if isinstance(size, tuple) else (size, size)
    drawn: Tensor = _interpolate(_single_at_least(scores), phi.detach(), height, width)
    return drawn


def label(scores: Tensor, phi: Tensor, size: int | tuple[int, int]) -> Tensor:
    """The class with the largest interpolated score at every pixel, without the scores in between.

    Ties go to the smallest class. The result is the arg max of `interpolate`, except where two scores come
    within rounding of each other.

    Parameters
    ----------
    scores, phi, size
        As for `interpolate`, of at most 255 classes. On a GPU neither is looked at by the host: tensors must
        be projected, and scores finite.

    Returns
    -------
    Tensor of uint8
        (B, S, S) train ids.

    Raises
    ------
    ValueError
        As `interpolate`, or there are more than 255 classes; on the CPU also if a score is not finite.
    """
    _check_match(scores, phi)
    if scores.shape[1] > VOID:
        raise ValueError(f"scores have {scores.shape[1]} classes, must be 1 to {VOID}")
    whole = size if isinstance(size, tuple) else (size, size)
    values, points = _single_at_least(scores.detach()), phi.detach()
    if rasters.available(phi.device):
        return rasters.labels(values, points, whole)
    if phi.device.type != "cpu":
        return torch.stack([label_on_device(*pair, whole) for pair in zip(values, points, strict=True)])
    pairs = zip(values.numpy(), points.numpy(), strict=True)
    return torch.stack([torch.from_numpy(interpolate_labels(*pair, whole)) for pair in pairs])


def _check_match(scores: Tensor, phi: Tensor) -> None:
    if scores.ndim != 4 or phi.shape != (scores.shape[0], 2, *scores.shape[2:]):
        raise ValueError(
            f"scores have shape {tuple(scores.shape)}, the sampling tensors {tuple(phi.shape)}: "
            "must be (B, C, h, w) and (B, 2, h, w)"
        )
    if scores.device != phi.device:
        raise ValueError(f"scores are on {scores.device}, the sampling tensors on {phi.device}")


def _check_covering(phi: Tensor) -> None:
    """What `mesh` checks on the CPU; the host waits for it."""
    if not bool(((project(phi) - phi).abs() <= _ROUNDING).all()):
        raise ValueError(
            f"sampling tensors of shape {tuple(phi.shape)} break the covering constraints: project them first"
        )


def _single_at_least(scores: Tensor) -> Tensor:
    return scores if scores.dtype == torch.float64 else scores.float()


@torch.library.custom_op("adaprep::interpolate", mutates_args=())
def _interpolate(scores: Tensor, phi: Tensor, height: int, width: int) -> Tensor:
    """Scores (B, C, h, w) to (B, C, height, width): drawn on the CPU or a GPU, gathered elsewhere."""
    if rasters.available(scores.device):
        return rasters.scores(scores, phi, (height, width))
    if scores.device.type != "cpu":
        return _gathered(scores, phi, height, width)
    values, threads = scores.detach().flatten(2).transpose(1, 2).numpy(), torch.get_num_threads()
    meshes = [mesh(one, (height, width)) for one in phi.numpy()]
    drawn = [draw_scores(one, grid, threads) for one, grid in zip(values, meshes, strict=True)]
    return torch.from_numpy(drawn[0][None] if len(drawn) == 1 else np.stack(drawn))


@_interpolate.register_fake
def _(scores: Tensor, phi: Tensor, height: int, width: int) -> Tensor:
    return scores.new_empty((*scores.shape[:2], height, width))


def _gathered(scores: Tensor, phi: Tensor, height: int, width: int) -> Tensor:
    """The same by whole-array operations."""
    vertices, weights = _locate(phi, height, width, scores.dtype == torch.float64)
    flat = scores.flatten(2)
    index = vertices.flatten(2).unsqueeze(2).expand(-1, -1, flat.shape[1], -1)
    parts = [flat.gather(2, index[:, k]) * weights[:, k].flatten(1).unsqueeze(1) for k in range(3)]
    total: Tensor = parts[0] + parts[1] + parts[2]
    return total.reshape(*scores.shape[:2], height, width)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    scores, phi, ctx.height, ctx.width = inputs
    ctx.shape = scores.shape
    ctx.save_for_backward(phi)


def _spread(context: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
    """Gradient of the scores (B, C, h, w): that of each pixel, shared out to the corners of its triangle."""
    (phi,) = context.saved_tensors
    vertices, weights = _locate(phi, context.height, context.width, gradient.dtype == torch.float64)
    flat, classes = gradient.flatten(2), gradient.shape[1]
    total = gradient.new_zeros(context.shape).flatten(2)
    for k in range(3):
        index = vertices[:, k].flatten(1).unsqueeze(1).expand(-1, classes, -1)
        total = total.scatter_add(2, index, flat * weights[:, k].flatten(1).unsqueeze(1))
    return total.reshape(context.shape), None, None, None


_interpolate.register_autograd(_spread, setup_context=_keep)


@torch.library.custom_op("adaprep::locate", mutates_args=())
def _locate(phi: Tensor, height: int, width: int, double: bool) -> tuple[Tensor, Tensor]:
    """The corners (B, 3, height, width) of the triangle at every pixel, and their weights."""
    dtype = torch.float64 if double else torch.float32
    if rasters.available(phi.device):
        return rasters.locate(phi, (height, width), dtype)
    found = [search(one, (height, width), dtype) for one in phi]
    return torch.stack([vertices for vertices, _ in found]), torch.stack([weights for _, weights in found])


@_locate.register_fake
def _(phi: Tensor, height: int, width: int, double: bool) -> tuple[Tensor, Tensor]:
    shape = (phi.shape[0], 3, height, width)
    return (
        phi.new_empty(shape, dtype=torch.int64),
        phi.new_empty(shape, dtype=torch.float64 if double else torch.float32),
    )


def search(phi: Tensor, size: tuple[int, int], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """`pipeline.geometry.interpolation.locate` for a tensor (2, h, w) on any device."""
    array = phi.cpu().numpy()
    if phi.device.type == "cpu":
        vertices, weights = locate(array, size, np.float64 if dtype == torch.float64 else np.float32)
        return torch.from_numpy(vertices), torch.from_numpy(weights)
    return search_on_device(array, size, dtype, phi.device)


def search_on_device(
    phi: NDArray[np.floating[Any]], size: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """`pipeline.geometry.interpolation.locate` by whole-array operations, in `CHUNK`s that bound the memory.

    Parameters
    ----------
    phi
        Sampling tensor (2, h, w).
    size
        (height, width) of the crop in pixels.
    dtype
        Of the weights.
    device
        Where to work.

    Returns
    -------
    vertices : Tensor of int64
        (3, height, width) corners of the triangle at every pixel, in the flattened grid.
    weights : Tensor
        (3, height, width).
    """
    vertices = torch.empty((3, size[0] * size[1]), dtype=torch.int64, device=device)
    weights = torch.empty(vertices.shape, dtype=dtype, device=device)
    for pixels, corner, weight in _pieces(phi, size, device):
        vertices[:, pixels], weights[:, pixels] = corner, weight.to(dtype)
    return vertices.reshape(3, *size), weights.reshape(3, *size)


def label_on_device(scores: Tensor, phi: Tensor, size: tuple[int, int]) -> Tensor:
    """`label` of one image by whole-array operations: (C, h, w) and (2, h, w) to (height, width).

    One class after another, in `CHUNK`s of pixels: no scores are held at full resolution.
    """
    values = scores.flatten(1)
    labels = torch.zeros(size[0] * size[1], dtype=torch.uint8, device=scores.device)
    for pixels, corner, exact in _pieces(phi.cpu().numpy(), size, scores.device):
        weight = exact.to(scores.dtype)
        largest = torch.full_like(weight[0], -torch.inf)
        for k, row in enumerate(values):
            parts = [row[corner[n]] * weight[n] for n in range(3)]
            score = parts[0] + parts[1] + parts[2]
            labels[pixels].masked_fill_(score > largest, k)
            largest = torch.maximum(score, largest)
    return labels.reshape(size)


def _pieces(
    phi: NDArray[np.floating[Any]], size: tuple[int, int], device: torch.device
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Runs of pixels, the corners (3, n) of the triangles over them, and their weights (3, n), float64."""
    grid = mesh(phi, size)
    corners, y, x = (torch.from_numpy(array).to(device) for array in (grid.drawn, grid.y, grid.x))
    winner = _winners(y[corners], x[corners], size)
    for start in range(0, len(winner), CHUNK):
        pixel = torch.arange(start, min(start + CHUNK, len(winner)), device=device)
        row, col = pixel // size[1], pixel % size[1]
        corner = corners[winner[pixel]]
        weights = _cut(y[corner], x[corner], row, size[0]).weights(col)
        yield slice(start, start + len(pixel)), corner.T, weights.T


class _Cut(NamedTuple):
    """Where rows cut triangles, n of each; see `pipeline.geometry._triangles`."""

    first: Tensor  # (n,) first and last column of the span
    last: Tensor
    start: Tensor  # (n,) x of the two cut edges
    end: Tensor
    enter: Tensor  # (n, 3) weights of the corners at the first one
    leave: Tensor  # (n, 3) and at the second

    def weights(self, col: Tensor) -> Tensor:
        """(n, 3) at one column of each span, by the operations of the compiled loop in their order."""
        extent, ahead = self.end - self.start, self.first - self.start
        scale = torch.where(extent > NARROW, 1 / extent, 0.0)
        step = self.leave - self.enter
        narrow = torch.where(extent > 0, ahead / extent, 0.0)
        share = torch.where(extent > NARROW, ahead * scale, narrow)
        at_first = self.enter + share[:, None] * step
        return at_first + (col - self.first)[:, None] * (step * scale[:, None])


def _cut(ys: Tensor, xs: Tensor, row: Tensor, height: int) -> _Cut:
    """Cut triangles with corners (n, 3) by one row each."""
    above = row[:, None] >= _first_row_below(ys, height)
    upward = above.sum(1) == 1  # the corner alone on its side points up
    lone = (above == upward[:, None]).long().argmax(1)
    enter = (lone + torch.where(upward, 2, 1)) % 3
    leave = (lone + torch.where(upward, 1, 2)) % 3

    def cross(far: Tensor) -> tuple[Tensor, Tensor]:
        """The x of the edge from the lone corner to another, and the weights of the corners there."""
        upper, lower = torch.where(upward, lone, far)[:, None], torch.where(upward, far, lone)[:, None]
        top = ys.gather(1, upper)
        share = (row[:, None] - top) / (ys.gather(1, lower) - top)
        x = xs.gather(1, upper) + share * (xs.gather(1, lower) - xs.gather(1, upper))
        return x[:, 0], torch.zeros_like(ys).scatter_(1, upper, 1 - share).scatter_(1, lower, share)

    start, at_start = cross(enter)
    end, at_end = cross(leave)
    return _Cut(start.ceil().long(), end.floor().long(), start, end, at_start, at_end)


def _first_row_below(ys: Tensor, height: int) -> Tensor:
    return torch.where(ys >= height - 1, height, ys.ceil().long())


def _winners(ys: Tensor, xs: Tensor, size: tuple[int, int]) -> Tensor:
    """(height * width,) the last of the triangles (n, 3) that has a forward span over the pixel."""
    height, width = size
    winner = torch.full((height * width,), -1, dtype=torch.int64, device=ys.device)
    below = _first_row_below(ys, height)
    begin = below.min(1).values
    for triangle, row in _expand(begin, below.max(1).values - begin):
        cut = _cut(ys[triangle], xs[triangle], row, height)
        pixels = (cut.last - cut.first + 1).clamp(min=0)
        for span, col in _expand(cut.first, pixels):
            winner.scatter_reduce_(0, row[span] * width + col, triangle[span], "amax")
    return winner


def _expand(starts: Tensor, counts: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs (i, starts[i] + j) for all j < counts[i], about `CHUNK` at a time."""
    ends = counts.cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    cuts = torch.arange(0, total + CHUNK, CHUNK, device=starts.device)
    places = torch.searchsorted(ends, cuts, right=True).clamp(max=len(ends)).tolist()
    for begin, end in pairwise([*places[:-1], len(ends)]):
        index = torch.repeat_interleave(torch.arange(begin, end, device=starts.device), counts[begin:end])
        if len(index):
            before = ends[begin] - counts[begin]
            place = torch.arange(len(index), device=starts.device) + before
            yield index, starts[index] + place - (ends - counts)[index]
