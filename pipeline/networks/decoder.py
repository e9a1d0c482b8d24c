"""A light decoder in the manner of U-Net, for encoders that give a list of feature maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.networks.blocks import convolution, resize_to

WIDTHS = (128, 96, 64, 48, 32)
"""Features after each joining, from the coarsest map up; the last width is that of all further ones."""


class Decoder(nn.Module):
    """From the coarsest map up: resize to the next finer one, join, one separable convolution.

    Parameters
    ----------
    channels
        Of the feature maps, from the finest to the coarsest.
    classes
        Score maps.
    """

    def __init__(self, channels: Sequence[int], classes: int) -> None:
        super().__init__()
        *finer, inputs = channels
        self.merge = nn.ModuleList()
        for step, skip in enumerate(reversed(finer)):
            width = WIDTHS[min(step, len(WIDTHS) - 1)]
            self.merge.append(convolution(inputs + skip, width, separable=True))
            inputs = width
        self.head = nn.Conv2d(inputs, classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, C, h, w) from the finest to the coarsest, to scores (B, classes, h, w) of the finest."""
        features = maps[-1]
        for block, skip in zip(self.merge, reversed(maps[:-1]), strict=True):
            features = block(torch.cat([resize_to(features, skip), skip], dim=1))
        scores: Tensor = self.head(features)
        return scores


class Encoded(nn.Module):
    """An encoder with `Decoder`, scores resized to the images' size.

    Parameters
    ----------
    encoder
        Maps images (B, 3, h, w) to feature maps, from the finest to the coarsest.
    channels
        Of these maps.
    classes
        Score maps.
    mean, std
        Normalisation that the encoder expects.
    """

    def __init__(
        self,
        encoder: nn.Module,
        channels: Sequence[int],
        classes: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.encoder, self.channels = encoder, tuple(channels)
        self.decoder = Decoder(channels, classes)
        self.mean, self.std = tuple(mean), tuple(std)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) normalised images to scores (B, classes, h, w)."""
        maps = [
            _channels_first(features, count)
            for features, count in zip(self.encoder(images), self.channels, strict=True)
        ]
        return resize_to(self.decoder(maps), images)


def _channels_first(features: Tensor, channels: int) -> Tensor:
    """A map (B, h, w, channels), as some transformers give them, as (B, channels, h, w)."""
    if features.shape[1] != channels and features.shape[-1] == channels:
        return features.permute(0, 3, 1, 2)
    return features
