"""Parts that several networks are made of."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Normalise(nn.Module):
    """Images of 0 to 255 to the range a network is trained on.

    The mean and the standard deviation are buffers: a checkpoint carries them.

    Parameters
    ----------
    mean, std
        One number a channel, for images of 0 to 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, h, w), uint8 or floats on the same scale, to floats ``(images / 255 - mean) / std``."""
        images = images.to(self.mean.dtype)  # the weights' own, whatever floats the images are
        return (images / 255 - self.mean) / self.std


def convolution(
    inputs: int, outputs: int, kernel: int = 3, *, dilation: int = 1, separable: bool = False
) -> nn.Sequential:
    """Padded convolution, batch norm, ReLU; the size stays.

    Parameters
    ----------
    inputs, outputs
        Channels.
    kernel
        Side of the window, odd.
    dilation
        Spacing of the window's samples.
    separable
        A convolution a channel (with batch norm and ReLU), then one across channels.
    """
    padding = dilation * (kernel // 2)
    layers: list[nn.Module] = []
    if separable:
        layers += [
            nn.Conv2d(inputs, inputs, kernel, padding=padding, dilation=dilation, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
        ]
        kernel, padding, dilation = 1, 0, 1
    layers += [
        nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]
    return nn.Sequential(*layers)


class Up(nn.Module):
    """Double the size by a 2 x 2 transposed convolution, cut to the skip's size, and concatenate the skip.

    Parameters
    ----------
    inputs, skip
        Channels of the two inputs.
    outputs
        Channels of the result; also of the enlarged input before it is joined with the skip.
    """

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
        self.merge = convolution(outputs + skip, outputs)

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        """(B, inputs, h', w') and (B, skip, h, w), h' = ceil(h / 2), to (B, outputs, h, w)."""
        h, w = skip.shape[-2:]
        enlarged = self.enlarge(features)[..., :h, :w]
        merged: Tensor = self.merge(torch.cat([skip, enlarged], dim=1))
        return merged


def halve() -> nn.MaxPool2d:
    """2 x 2 max pooling to half the size, odd sides rounded up, so that no size is refused."""
    return nn.MaxPool2d(2, ceil_mode=True)


def resize_to(features: Tensor, like: Tensor) -> Tensor:
    """Resize a map bilinearly, corner-aligned, to the height and width of another."""
    return nn.functional.interpolate(features, like.shape[-2:], mode="bilinear", align_corners=True)
