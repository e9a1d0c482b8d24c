"""DeepLabv3+ (Chen et al. 2018) with Xception-65 at output stride 8: a base network on Cityscapes."""

from collections.abc import Sequence
from os import PathLike

import torch
from torch import Tensor, nn

from pipeline.networks.backbone import backbone
from pipeline.networks.blocks import convolution, resize_to

RATES = (12, 24, 36)
"""Dilations of the pyramid at output stride 8, twice those for 16."""

FEATURES = 256
LOW_LEVEL_FEATURES = 48
DROPOUT = 0.1


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling: separable convolutions at several dilations, and the image's average.

    Parameters
    ----------
    inputs, outputs
        Channels in, and out of every branch as well as of the whole.
    rates
        Dilations of the 3 x 3 windows, beside one 1 x 1 window.
    """

    def __init__(self, inputs: int, outputs: int = FEATURES, rates: Sequence[int] = RATES) -> None:
        super().__init__()
        self.windows = nn.ModuleList(
            [
                convolution(inputs, outputs, 1),
                *(convolution(inputs, outputs, dilation=rate, separable=True) for rate in rates),
            ]
        )
        self.image = nn.Sequential(nn.AdaptiveAvgPool2d(1), convolution(inputs, outputs, 1))
        self.project = nn.Sequential(convolution((len(rates) + 2) * outputs, outputs, 1), nn.Dropout(DROPOUT))

    def forward(self, features: Tensor) -> Tensor:
        """(B, inputs, h, w) to (B, outputs, h, w)."""
        branches = [window(features) for window in self.windows]
        branches.append(resize_to(self.image(features), features))
        projected: Tensor = self.project(torch.cat(branches, dim=1))
        return projected


class DeepLabV3Plus(nn.Module):
    """Xception-65 at output stride 8, atrous pyramid, and a decoder that joins features of stride 4.

    Batches of one cannot be trained on: batch norm has one value a channel where the image is averaged.

    Parameters
    ----------
    classes
        Score maps.
    pretrained
        File with ImageNet weights of timm's ``xception65``, see `backbone`.

    Raises
    ------
    AdaprepError
        `pretrained` cannot be used.
    """

    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)

    def __init__(self, classes: int, pretrained: str | PathLike[str] | None = None) -> None:
        super().__init__()
        self.backbone = backbone("xception65", [1, 4], pretrained)
        low_level, high_level = 256, 2048
        self.pyramid = AtrousPyramid(high_level)
        self.low_level = convolution(low_level, LOW_LEVEL_FEATURES, 1)
        self.decoder = nn.Sequential(
            convolution(FEATURES + LOW_LEVEL_FEATURES, FEATURES, separable=True),
            convolution(FEATURES, FEATURES, separable=True),
            nn.Conv2d(FEATURES, classes, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) normalised images to scores (B, classes, h, w)."""
        low, high = self.backbone(images)
        low = self.low_level(low)
        high = resize_to(self.pyramid(high), low)
        return resize_to(self.decoder(torch.cat([high, low], dim=1)), images)
