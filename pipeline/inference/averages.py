"""Means over the cells of samples, as `pipeline.geometry.cells`, on tensors: where images are, in batches."""

import numpy as np
import torch
from torch import Tensor

from pipeline.geometry import cells
from pipeline.geometry.cells import PARTS


def cell_means(images: Tensor, phi: Tensor) -> Tensor:
    """Sample images with the mean over each sample's own cell.

    Parameters
    ----------
    images
        (B, 3, S, S), uint8 or floating point.
    phi
        (B, 2, h, w) float64, resized to the resolution of the samples; values in [0, 1].

    Returns
    -------
    Tensor
        (B, 3, h, w) in the images' dtype; of uint8 images to the bit what `cells.cell_means` gives.
    """
    on_cpu = images.device.type == phi.device.type == "cpu" and images.dtype == torch.uint8
    if on_cpu and not torch.compiler.is_compiling():
        pixels = images.permute(0, 2, 3, 1).numpy()
        means = [cells.cell_means(*pair) for pair in zip(pixels, phi.detach().numpy(), strict=True)]
        return torch.from_numpy(np.stack(means).transpose(0, 3, 1, 2).copy())
    return _from_sums(images, boxes(phi, images.shape[-1]))


def boxes(phi: Tensor, length: int) -> Tensor:
    """Of tensors (B, 2, h, w) in images of `length` pixels a side: cells (B, 4, h, w) as `cells.boxes`."""
    top, bottom = _ends(phi[:, 0], length)
    left, right = _ends(phi[:, 1].transpose(1, 2), length)
    return torch.stack([top, bottom, left.transpose(1, 2), right.transpose(1, 2)], dim=1)


def _ends(coordinates: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Both ends of each cell along the rows of (B, n, m)."""
    points = coordinates.double() * (length - 1) + 0.5
    between = (points[:, :-1] + points[:, 1:]) / 2
    edge = torch.zeros_like(points[:, :1])
    before, after = torch.cat([edge, between], dim=1), torch.cat([between, edge + length], dim=1)
    low = _counted(torch.minimum(torch.minimum(before, points), after), length)
    high = _counted(torch.maximum(torch.maximum(before, points), after), length)
    empty = low == high
    low = torch.where(empty, PARTS * nearest(coordinates, length), low)
    return low, torch.where(empty, low + PARTS, high)


def nearest(coordinates: Tensor, length: int) -> Tensor:
    """Nearest of `length` corner-aligned pixels, halves towards the centre, as `sampling.indices`."""
    x, last = coordinates.double(), length - 1
    from_start = (x * last + 0.5).floor()
    from_end = last - ((1 - x) * last + 0.5).floor()
    return torch.where(x <= 0.5, from_start, from_end).long()


def _counted(places: Tensor, length: int) -> Tensor:
    from_start = (places * PARTS + 0.5).floor()
    from_end = length * PARTS - ((length - places) * PARTS + 0.5).floor()
    return torch.where(2 * places <= length, from_start, from_end).long()


def _from_sums(images: Tensor, places: Tensor) -> Tensor:
    """Means over cells (B, 4, h, w) by a summed-area table of images (B, C, S, S)."""
    whole = not images.is_floating_point()
    values = images.long() if whole else images.double()
    table = torch.nn.functional.pad(values.cumsum(2).cumsum(3), (1, 0, 1, 0))
    top, bottom, left, right = places.unbind(1)
    total = _sum_to(table, bottom, right) - _sum_to(table, top, right)
    total = total - _sum_to(table, bottom, left) + _sum_to(table, top, left)
    area = ((bottom - top) * (right - left))[:, None]
    if whole:
        return torch.div(2 * total + area, 2 * area, rounding_mode="floor").to(images.dtype)
    return (total / area).to(images.dtype)


def _sum_to(table: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Sums (B, C, h, w) of all that lies above and left of places, in units of 1 / `PARTS`^2 pixels."""
    last = table.shape[-1] - 1
    row, col = (torch.div(place, PARTS, rounding_mode="floor") for place in (down, across))
    below, beside = (row + 1).clamp(max=last), (col + 1).clamp(max=last)
    part_down, part_across = (down - PARTS * row)[:, None], (across - PARTS * col)[:, None]
    here, there = _read(table, row, col), _read(table, row, beside)
    under, both = _read(table, below, col), _read(table, below, beside)
    upper = PARTS * here + part_across * (there - here)
    lower = PARTS * under + part_across * (both - under)
    return PARTS * upper + part_down * (lower - upper)


def _read(table: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """Entries (B, C, h, w) of (B, C, n, m) at places (B, h, w)."""
    index = (rows * table.shape[-1] + cols).flatten(1)[:, None].expand(-1, table.shape[1], -1)
    return table.flatten(2).gather(2, index).reshape(*table.shape[:2], *rows.shape[1:])
