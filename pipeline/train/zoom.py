"""Zoomed random squares: a part of each sampled image in place of the whole, label map along."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


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
