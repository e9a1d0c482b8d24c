"""Zoomed random squares: a part of each sampled image in place of the whole, with labels or proposal."""

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


def zoomed(batch: Mapping[str, Tensor], corner: Tensor, share: Tensor) -> dict[str, Tensor]:
    """Blow up a square of every image and label map to full size, at nearest samples.

    Parameters
    ----------
    batch
        ``image`` (n, 3, r, r) and ``label`` (n, r, r); all else stays.
    corner
        (n, 2) of the upper left corner, vertical and horizontal, in units of the side.
    share
        (n,) of the side that the square takes, in (0, 1]; ``corner + share`` at most 1.

    Returns
    -------
    dict
        Sample i of an axis is sample ``floor(r * corner + (i + 1/2) * share)`` of the batch.
    """
    side = batch["image"].shape[-1]
    middle = torch.arange(side, device=share.device) + 0.5
    rows, cols = (
        (side * corner[:, axis, None] + middle * share[:, None]).floor().long().clamp(0, side - 1)
        for axis in (0, 1)
    )
    item = torch.arange(len(share), device=share.device)[:, None, None]
    image = batch["image"].permute(0, 2, 3, 1)[item, rows[:, :, None], cols[:, None, :]]
    label = batch["label"][item, rows[:, :, None], cols[:, None, :]]
    return {**batch, "image": image.permute(0, 3, 1, 2).contiguous(), "label": label}


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
    batch: Mapping[str, Tensor], corner: Tensor, share: Tensor, side: int, wanted: Minimisers
) -> dict[str, Tensor]:
    """Small images of random squares, and the proposals of the boundaries in them.

    Parameters
    ----------
    batch
        ``fine`` (n, 3, R, R) uniform images and ``label`` (n, R, R) their train ids, R at least 2.
    corner, share
        As for `zoomed`; at least two samples of a side are taken.
    side
        Of the small images in pixels. Each is the mean over boxes of its square.
    wanted
        The proposals.

    Returns
    -------
    dict
        ``image`` (n, 3, side, side) of floats, ``phi`` and ``b`` (n, 2, h, w), NaN in ``b`` where a square
        has no boundary.
    """
    fine, labels = batch["fine"], batch["label"].cpu().numpy()
    full = fine.shape[-1]
    lengths = (full * share).round().long().clamp(2, full)
    starts = torch.minimum((full * corner).round().long(), full - lengths[:, None]).tolist()
    images, nearest = [], []
    for i, ((top, left), length) in enumerate(zip(starts, lengths.tolist(), strict=True)):
        rows, cols = slice(top, top + length), slice(left, left + length)
        images.append(adaptive_avg_pool2d(fine[i, :, rows, cols].float(), side))
        nearest.append(wanted.nearest(labels[i, rows, cols]))
    b = np.stack(nearest)
    made = {"phi": wanted.solved(b), "b": b}
    told = {name: torch.from_numpy(value).to(fine.device, torch.float32) for name, value in made.items()}
    return {"image": torch.stack(images), **told}
