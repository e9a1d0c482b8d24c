"""Sampling tensors where networks are: resized, the areas of their cells, and as channels of an image."""

import torch
from torch import Tensor

from pipeline.errors import AdaprepError

CHANNELS = 3
"""Of a tensor beside those of an image: log of the cell's area, then both offsets."""

LARGEST = 4.0
"""Logarithms of areas are cut here: a cell of 1/55 to 55 times the mean."""

OFFSETS = 8.0
"""Offsets are in eighths of the image, so that channels have about the same range."""


def resize(phi: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize sampling tensors bilinearly, to the bit as `pipeline.geometry.tensors.resize` does.

    Parameters
    ----------
    phi
        (B, 2, h, w).
    size
        (h', w'), at least 2 each.

    Returns
    -------
    Tensor
        (B, 2, h', w'), same dtype.
    """
    return _stretch(_stretch(phi, size[0], -2), size[1], -1)


def cell_areas(phi: Tensor) -> Tensor:
    """The area that each sample stands for: a quarter of every grid cell that it is a corner of.

    Parameters
    ----------
    phi
        (B, 2, h, w), resized to the resolution of the samples.

    Returns
    -------
    Tensor
        (B, h, w) in units of the mean cell, (h - 1)(w - 1) to the image: inside a uniform tensor 1, on its
        sides 1/2, in its corners 1/4. Their sum is (h - 1)(w - 1) where no cell folds over; a folded one
        counts as nothing.
    """
    down, across = phi[:, 0], phi[:, 1]
    one_down, one_across = (p[:, 1:, 1:] - p[:, :-1, :-1] for p in (down, across))
    other_down, other_across = (p[:, 1:, :-1] - p[:, :-1, 1:] for p in (down, across))
    area = (one_across * other_down - one_down * other_across).clamp(min=0) / 2
    padded = torch.nn.functional.pad(area, (1, 1, 1, 1))
    corners = padded[:, 1:, 1:] + padded[:, 1:, :-1] + padded[:, :-1, 1:] + padded[:, :-1, :-1]
    return corners * ((phi.shape[-2] - 1) * (phi.shape[-1] - 1) / 4)


def channels(phi: Tensor) -> Tensor:
    """What a base network is told of a sampling tensor.

    Parameters
    ----------
    phi
        (B, 2, h, w), resized to the resolution of the samples.

    Returns
    -------
    Tensor
        (B, 3, h, w) float32: the natural logarithm of `cell_areas`, cut at +-`LARGEST`; vertical and
        horizontal offset from the uniform tensor, in units of 1 / `OFFSETS` of the image.
    """
    h, w = phi.shape[-2:]
    rows = torch.linspace(0, 1, h, dtype=phi.dtype, device=phi.device)[:, None]
    cols = torch.linspace(0, 1, w, dtype=phi.dtype, device=phi.device)
    logs = cell_areas(phi).clamp(min=1e-6).log().clamp(-LARGEST, LARGEST)
    offsets = OFFSETS * (phi[:, 0] - rows), OFFSETS * (phi[:, 1] - cols)
    return torch.stack([logs, *offsets], dim=1).float()


def shown(images: Tensor, phi: Tensor, wanted: bool) -> Tensor:
    """What a base network is shown: sampled images, with the channels of their tensors if wanted.

    Parameters
    ----------
    images
        (B, 3, h, w) uint8, or floats of 0 to 255.
    phi
        (B, 2, h, w), resized to the resolution of the samples.
    wanted
        Whether the network expects them (`BaseNetwork.tensor_channels`).
    """
    return torch.cat([images.float(), channels(phi)], dim=1) if wanted else images


def check_channels(images: Tensor, wanted: bool) -> None:
    """Raise AdaprepError unless images have the channels that a base network was trained with."""
    if wanted and images.shape[1] != 3 + CHANNELS:
        raise AdaprepError(
            "this base network was trained with --tensor-channels, and expects those of the sampling tensor "
            f"beside the image: {3 + CHANNELS} channels, found {images.shape[1]}. Join them with "
            "pipeline.networks.points.shown, or use adaprep.load, evaluate or predict, which do."
        )


def _stretch(values: Tensor, count: int, axis: int) -> Tensor:
    """Linear interpolation at `count` corner-aligned places of one axis, which are found in integers."""
    old, steps = values.shape[axis], count - 1
    places = torch.arange(count, device=values.device) * (old - 1)
    low = places // steps
    high = (low + 1).clamp(max=old - 1)
    weights = ((places % steps).double() / steps).to(values.dtype)
    if axis == -2:
        weights = weights[:, None]
    start = values.index_select(axis, low)
    return start + weights * (values.index_select(axis, high) - start)
