"""PSPNet (Zhao et al. 2017) with ResNet-50 at output stride 8: a base network on Cityscapes."""

from collections.abc import Sequence
from os import PathLike

import torch
from torch import Tensor, nn

from pipeline.networks.backbone import backbone
from pipeline.networks.blocks import convolution, resize_to

BINS = (1, 2, 3, 6)
FEATURES = 512
DROPOUT = 0.1


class PyramidPooling(nn.Module):
    """Averages over 1, 2 x 2, 3 x 3 and 6 x 6 cells of the map, joined with the map itself.

    Parameters
    ----------
    inputs
        Channels of the map; every level of the pyramid has a share of as many in all.
    bins
        Cells a side of each level.
    """

    def __init__(self, inputs: int, bins: Sequence[int] = BINS) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(cells), convolution(inputs, inputs // len(bins), 1))
            for cells in bins
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, inputs, h, w) to (B, 2 inputs, h, w)."""
        return torch.cat([features, *(resize_to(level(features), features) for level in self.levels)], dim=1)


class PSPNet(nn.Module):
    """ResNet-50 at output stride 8, pyramid pooling, one 3 x 3 convolution, scores resized bilinearly.

    The auxiliary loss of the original on the backbone's third stage is left out. Batches of one
    cannot be trained on: batch norm has one value a channel in the coarsest level of the pyramid.

    Parameters
    ----------
    classes
        Score maps.
    pretrained
        File with ImageNet weights of timm's ``resnet50``, see `backbone`.

    Raises
    ------
    AdaprepError
        `pretrained` cannot be used.
    """

    def __init__(self, classes: int, pretrained: str | PathLike[str] | None = None) -> None:
        super().__init__()
        self.backbone = backbone("resnet50", [4], pretrained)
        channels = 2048
        self.head = nn.Sequential(
            PyramidPooling(channels),
            convolution(2 * channels, FEATURES),
            nn.Dropout2d(DROPOUT),
            nn.Conv2d(FEATURES, classes, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) normalised images to scores (B, classes, h, w)."""
        (features,) = self.backbone(images)
        return resize_to(self.head(features), images)
