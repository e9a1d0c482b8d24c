"""The paper's base U-Net: one padded convolution a block instead of two."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from pipeline.networks.blocks import Up, convolution, halve


class UNet(nn.Module):
    """U-Net: 3 x 3 convolution, batch norm, ReLU a block; max pooling; transposed convolutions; skips joined.

    Any size is taken. A side that does not halve evenly is rounded up on the way down and cut on
    the way up, at no cost for sizes divisible by ``2 ** (len(widths) - 1)``.

    Parameters
    ----------
    classes
        Score maps.
    widths
        Features of every level, from full resolution down; one pooling fewer than levels.
    in_channels
        Channels of the images.

    Raises
    ------
    ValueError
        No widths.
    """

    def __init__(
        self, classes: int, widths: Sequence[int] = (64, 128, 256, 512), in_channels: int = 3
    ) -> None:
        super().__init__()
        if not widths:
            raise ValueError("widths is empty, must name the features of one level at least")
        self.in_channels = in_channels
        self.pool = halve()
        self.down = nn.ModuleList(
            convolution(inputs, outputs)
            for inputs, outputs in zip([in_channels, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(
            Up(deeper, width, width) for width, deeper in reversed(list(pairwise(widths)))
        )
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) normalised images to scores (B, classes, h, w)."""
        features = self.down[0](images)
        skips: list[Tensor] = []
        for block in self.down[1:]:
            skips.append(features)
            features = block(self.pool(features))
        for block, skip in zip(self.up, reversed(skips), strict=True):
            features = block(features, skip)
        scores: Tensor = self.head(features)
        return scores
