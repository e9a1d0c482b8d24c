"""Zoomed random squares: a part of each crop in place of the whole, with its proposal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from pipeline.geometry.boundaries import target_boundaries
from pipeline.geometry.energy import solve
from pipeline.geometry.nearest import nearest_boundary
from pipeline.geometry.tensors import uniform


@dataclass(frozen=True)
class Squares:
    """One square of every image of a batch, in whole pixels.

    Attributes
    ----------
    starts
        (n, 2) first row and first column.
    lengths
        (n,) of the sides in pixels.
    """

    starts: Tensor
    lengths: Tensor

    @classmethod
    def at(cls, corner: Tensor, share: Tensor, side: int) -> Squares:
        """Squares that are given in units of the images' side.

        Parameters
        ----------
        corner
            (n, 2) of the upper left corners, vertical and horizontal.
        share
            (n,) of the side that each square takes, in (0, 1]; ``corner + share`` is at most 1. At least two
            pixels are taken.
        side
            Of the images in pixels, at least 2.
        """
        lengths = (side * share).round().long().clamp(2, side)
        return cls(torch.minimum((side * corner).round().long(), side - lengths[:, None]), lengths)

    @classmethod
    def drawn(cls, count: int, zoom: float, side: int, generator: torch.Generator) -> Squares:
        """Random squares: blown up to the whole, each is enlarged by 1 to 1 + `zoom`."""
        device = generator.device
        share = 1 / (1 + zoom * torch.rand(count, generator=generator, device=device))
        corner = torch.rand(count, 2, generator=generator, device=device) * (1 - share)[:, None]
        return cls.at(corner, share, side)

    def slices(self) -> list[tuple[slice, slice]]:
        """Rows and columns of each."""
        ends = zip(self.starts.tolist(), self.lengths.tolist(), strict=True)
        return [(slice(top, top + length), slice(left, left + length)) for (top, left), length in ends]

    def indices(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels of the images that are nearest to points of the squares: sampling operator (1).

        Parameters
        ----------
        phi
            (n, 2, h, w), in the coordinates of each square.

        Returns
        -------
        tuple of Tensor
            Rows and columns (n, h, w).
        """
        scaled = phi * (self.lengths - 1)[:, None, None, None]
        rows, cols = (self.starts[:, :, None, None] + scaled.round().long()).unbind(1)
        return rows, cols


def shrunk(images: Tensor, squares: Squares, side: int, how: str) -> Tensor:
    """Uniform small images (n, 3, side, side) of the squares of images (n, 3, R, R).

    Parameters
    ----------
    how
        ``area``: floats, the means over equal boxes; ``nearest``: pixels, as they are.
    """
    if how == "nearest":
        u = torch.from_numpy(uniform(side, side)).to(images.device)
        rows, cols = squares.indices(u.expand(len(images), *u.shape))
        item = torch.arange(len(images), device=images.device)[:, None, None]
        return images.permute(0, 2, 3, 1)[item, rows, cols].permute(0, 3, 1, 2)
    parts = [images[i, :, rows, cols].float() for i, (rows, cols) in enumerate(squares.slices())]
    return torch.stack([adaptive_avg_pool2d(part, side) for part in parts])


@dataclass(frozen=True)
class Minimisers:
    """Makes proposals: the grid, lambda, and the targets' train ids."""

    grid: tuple[int, int]
    lam: float
    targets: Sequence[int]

    def nearest(self, labels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Nearest boundary (2, h, w) of a label map (n, n); NaN where it has none."""
        found = nearest_boundary(target_boundaries(labels, self.targets), self.grid)
        return np.full((2, *self.grid), np.nan) if found is None else found

    def solved(self, b: NDArray[np.float64]) -> NDArray[np.float64]:
        """Their minimisers, all (n, 2, h, w): u where there is no boundary."""
        return solve(np.where(np.isnan(b), uniform(*self.grid), b), self.lam)


def zoomed_proposals(
    batch: Mapping[str, Tensor], squares: Squares, side: int, wanted: Minimisers, how: str = "area"
) -> dict[str, Tensor]:
    """Small images of squares, and the proposals of the boundaries in them.

    Parameters
    ----------
    batch
        ``fine`` (n, 3, R, R) uniform images and ``label`` (n, R, R) their train ids.
    squares
        Of these.
    side
        Of the small images in pixels.
    wanted
        The proposals.
    how
        As for `shrunk`.

    Returns
    -------
    dict
        ``image`` (n, 3, side, side), ``phi`` and ``b`` (n, 2, h, w), NaN in ``b`` where a square
        has no boundary.
    """
    labels, device = batch["label"].cpu().numpy(), batch["fine"].device
    b = np.stack([wanted.nearest(labels[i, rows, cols]) for i, (rows, cols) in enumerate(squares.slices())])
    made = {"phi": wanted.solved(b), "b": b}
    told = {name: torch.from_numpy(value).to(device, torch.float32) for name, value in made.items()}
    return {"image": shrunk(batch["fine"], squares, side, how), **told}
