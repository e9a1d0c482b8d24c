"""The auxiliary network (section 3.1 and figure 6 of the paper): from a small image to a sampling tensor."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.geometry.tensors import uniform
from pipeline.networks import efficientnet, solver
from pipeline.networks.blocks import IMAGENET_MEAN, IMAGENET_STD, Normalise, Up, convolution, halve

FEATURES = 256
FIRST_FEATURES = 128

PLAIN = "plain"
ENCODERS = (PLAIN, efficientnet.NAME)

SMALLEST_WEIGHT = 1e-4
"""Of a pull, where a solver is the last layer; an untrained network's weights are 1."""


def project(phi: Tensor) -> Tensor:
    """Project onto constraints (3): overwrite the four constrained sides, clip the rest to [0, 1].

    Parameters
    ----------
    phi
        (B, 2, h, w).

    Returns
    -------
    Tensor
        New, same shape and dtype.
    """
    vertical, horizontal = phi.clamp(0, 1).unbind(1)
    top, left = torch.zeros_like(vertical[:, :1]), torch.zeros_like(horizontal[:, :, :1])
    vertical = torch.cat([top, vertical[:, 1:-1], top + 1], dim=1)
    horizontal = torch.cat([left, horizontal[:, :, 1:-1], left + 1], dim=2)
    return torch.stack([vertical, horizontal], dim=1)


def mirror(phi: Tensor) -> Tensor:
    """The tensors of mirror images, left to right: (B, 2, h, w) to the same."""
    vertical, horizontal = phi.flip(-1).unbind(1)
    return torch.stack([vertical, 1 - horizontal], dim=1)


class AuxiliaryNetwork(nn.Module):
    """Two stacked U-Nets that predict offsets from a learnable mean grid.

    The first climbs down from the image to a quarter of the grid and back up to half of it, its depth set by
    the image; the second goes down to a quarter again and up to the grid, and is always the same. The block
    at half the grid that ends the first also begins the second. Each block is one padded 3 x 3 convolution,
    batch norm and ReLU. The last layer is a bare 2 x 2 transposed convolution up to the grid, which starts at
    zero: an untrained network predicts the mean grid, and that starts as the uniform tensor u.

    Parameters
    ----------
    resolution
        Side r of the images in pixels; 16, 32 or 64 in the paper.
    grid
        (h, w) of the tensor, at least 2 and at most the resolution.
    features
        Channels of all layers but the first and the last.
    first
        Channels of the first layer, at the image's resolution.
    mean, std
        Normalisation of images of 0 to 1, kept with the weights; the encoder's own by default.
    encoder
        What leads from the image to the grid: "plain", the paper's, or "efficientnet-lite0".
    pretrained
        Weights that another encoder than the plain one starts from, as for
        `pipeline.networks.efficientnet.EfficientNetLite0`.
    solver
        Lambda of the solver that is the last layer; none where None. The network then predicts, for every
        point, where it is drawn to, as an offset from the mean grid and cut to [0, 1], and with what weight.
        `pipeline.networks.solver.minimise` makes the tensor of these, so that constraints (3) hold by
        construction. Untrained, its weights are 1: it predicts the proposal of the mean grid.

    Raises
    ------
    ValueError
        The grid is out of range, or there is no such encoder.
    AdaprepError
        The encoder's package is not installed.

    Notes
    -----
    The paper gives 256 features "in all layers except the first and the last one" and, as differences of its
    Tables 2 to 5, costs of 0.07 to 0.08, 0.17, 0.56 (once 0.52) and 2.11 GMACs at 16, 32, 64 and 128 pixels.
    (Two rows fit no others: 0.31 at 32 pixels beside DeepLabv3+, 0.05 in Table 5 at 32.)
    The growth from 64 to 128 pixels, 1.55 +- 0.02, is that of an encoder with 128 features in its first layer
    and 256 in the next ones (1.552), and leaves nothing for a decoder above 8 x 8: hence one that returns to
    the grid and no further. `pipeline.networks.macs.table` has this network's own figures beside the paper's.
    """

    def __init__(
        self,
        resolution: int = 32,
        grid: Sequence[int] = (8, 8),
        features: int = FEATURES,
        first: int = FIRST_FEATURES,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        encoder: str = PLAIN,
        pretrained: str | None = None,
        solver: float | None = None,
    ) -> None:
        super().__init__()
        if encoder not in ENCODERS:
            raise ValueError(f"encoder is {encoder!r}, must be one of {', '.join(ENCODERS)}")
        h, w = grid
        if min(h, w) < 2 or max(h, w) > resolution:
            raise ValueError(
                f"grid {h} x {w} must have 2 points a side at least and {resolution} at most, the resolution"
            )
        self.resolution, self.grid, self.solver = resolution, (h, w), solver
        self.first: nn.Sequential | None = None
        own = (IMAGENET_MEAN, IMAGENET_STD) if encoder == PLAIN else (efficientnet.MEAN, efficientnet.STD)
        self.normalise = Normalise(
            *(mine if said is None else said for said, mine in zip((mean, std), own, strict=True))
        )
        self.mean_grid = nn.Parameter(torch.tensor(uniform(h, w), dtype=torch.float32))
        if encoder == PLAIN:
            inputs = self._plain(first, features)
            half: nn.Module = halve()
        else:
            sides = (-(-h // 2), -(-w // 2))
            levels = efficientnet.levels_for(resolution, max(sides))
            self.encoder = nn.ModuleList([efficientnet.Coarsest(levels, pretrained)])
            inputs, half = efficientnet.CHANNELS[levels - 1], nn.AdaptiveMaxPool2d(sides)
        self.to_half = nn.Sequential(half, convolution(inputs, features))
        self.boundary = _Hourglass(features)
        self.selection = _Hourglass(features)
        self.head = _zeroed(nn.ConvTranspose2d(features, 2 if solver is None else 3, 2, stride=2))

    def forward(self, images: Tensor) -> Tensor:
        """Predict sampling tensors, not yet projected: what the loss compares with proposals.

        Parameters
        ----------
        images
            (B, 3, r, r) of uint8, or of floats on the same scale of 0 to 255.

        Returns
        -------
        Tensor
            (B, 2, h, w), not confined to [0, 1] unless a solver is the last layer.

        Raises
        ------
        ValueError
            The images have another size.
        """
        if images.shape[-2:] != (self.resolution, self.resolution):
            raise ValueError(
                f"images have shape {tuple(images.shape)}, this auxiliary network was made for "
                f"{self.resolution} x {self.resolution}: downsample them to that"
            )
        features = self.first(self.normalise(images)) if self.first else self.normalise(images)
        for block in self.encoder:
            features = block(features)
        return self._tensor(self.selection(self.boundary(self.to_half(features))))

    def _plain(self, first: int, features: int) -> int:
        """Make the paper's own encoder; the channels that it ends with."""
        pools = _pools(self.resolution, self.grid)
        widths = [first] + [features] * len(pools)
        self.first = convolution(3, first)
        self.encoder = nn.ModuleList(
            nn.Sequential(pool, convolution(inputs, features))
            for pool, inputs in zip(pools, widths, strict=False)
        )
        return widths[-1]

    def predict(self, images: Tensor) -> Tensor:
        """Predict sampling tensors that satisfy constraints (3): `forward`, then `project`."""
        return project(self(images))

    def _tensor(self, features: Tensor) -> Tensor:
        """Apply the last layers outside of autocast: coordinates need more than the 8 bits of bfloat16."""
        dtype = self.head.weight.dtype
        if features.dtype != dtype:
            with torch.autocast(features.device.type, enabled=False):
                return self._tensor(features.to(dtype))
        found: Tensor = self.head(features)[..., : self.grid[0], : self.grid[1]]
        if self.solver is None:
            return self.mean_grid + found
        target = (self.mean_grid + found[:, :2]).clamp(0, 1)
        weight = nn.functional.softplus(found[:, 2] + _UNIT) + SMALLEST_WEIGHT
        return solver.minimise(target, weight, self.solver)


class MirroredNetwork(AuxiliaryNetwork):
    """An auxiliary network that predicts for an image and its mirror image, and takes the mean.

    What it predicts for a mirror image is the mirrored tensor. While it is trained, images are as they are.
    """

    def forward(self, images: Tensor) -> Tensor:
        """As `AuxiliaryNetwork.forward`, at twice the cost."""
        if self.training:
            return super().forward(images)
        straight, turned = super().forward(torch.cat([images, images.flip(-1)])).chunk(2)
        return (straight + mirror(turned)) / 2


def make(mirrored: bool = False, **arguments: Any) -> AuxiliaryNetwork:
    """The auxiliary network of some arguments, as files hold them."""
    return (MirroredNetwork if mirrored else AuxiliaryNetwork)(**arguments)


_UNIT = math.log(math.expm1(1 - SMALLEST_WEIGHT))
"""What a weight of 1 is made of."""


class _Hourglass(nn.Module):
    """One pooling down and up again, with a skip: (B, features, h, w) to the same."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.bottom = nn.Sequential(halve(), convolution(features, features))
        self.up = Up(features, features, features)

    def forward(self, features: Tensor) -> Tensor:
        merged: Tensor = self.up(self.bottom(features), features)
        return merged


def _pools(resolution: int, grid: tuple[int, int]) -> list[nn.Module]:
    """Poolings from the image to the grid: halvings while the grid fits, then one to the grid if need be."""
    pools: list[nn.Module] = []
    side = resolution
    while side % 2 == 0 and side // 2 >= max(grid):
        side //= 2
        pools.append(nn.MaxPool2d(2))
    if grid != (side, side):
        pools.append(nn.AdaptiveMaxPool2d(grid))
    return pools


def _zeroed(layer: nn.ConvTranspose2d) -> nn.ConvTranspose2d:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
