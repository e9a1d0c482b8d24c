"""The whole segmenter (figures 2 and 4 of the paper): large images in, scores of every pixel out."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.geometry.boxes import PRECISION, box_means, members
from pipeline.geometry.tensors import uniform
from pipeline.inference import rasters
from pipeline.inference.averages import cell_means, nearest
from pipeline.inference.interpolation import label, upsample
from pipeline.networks.auxiliary import AuxiliaryNetwork
from pipeline.networks.points import resize, shown

FILTERS = ("area", "nearest")


class AdaptiveSegmenter(nn.Module):
    """Sampling, a base network and interpolation as one module.

    A uniform small image goes through the auxiliary network; its tensor, projected onto constraints (3) and
    resized, says where the large image is sampled; the base network scores the samples; the scores are
    interpolated at every pixel. Without an auxiliary network sampling is uniform: the paper's baseline.

    Parameters
    ----------
    auxiliary
        Predicts tensors; None for uniform sampling.
    base
        Maps sampled images (B, 3, h', w') in the large images' dtype to scores (B, C, h', w'), as networks
        from `pipeline.networks.factory.build` do.
    resolution
        Size of the sampled image: h' and w', or one number for both; at least 2.
    filter
        How the small image is made: "area", the mean of equal boxes, or "nearest", operator (1).
        The same as while the auxiliary network was trained.
    grid
        (h, w) of the uniform tensor where there is neither an auxiliary network nor a tensor.
    tensor
        (2, h, w) where every image is sampled: a fixed warp.
    sample_filter
        How images are sampled for the base network: "nearest", operator (1), or "area", the mean of each
        sample's own cell. The same as while it was trained.

    Raises
    ------
    ValueError
        The resolution is below 2, or there is no such filter.

    Notes
    -----
    Tensors are resized in double precision, as for the stored samples, so that both name the same pixels.
    """

    def __init__(
        self,
        auxiliary: AuxiliaryNetwork | None,
        base: nn.Module,
        resolution: int | Sequence[int],
        filter: str = "area",
        grid: Sequence[int] = (8, 8),
        tensor: NDArray[np.floating[Any]] | None = None,
        sample_filter: str = "nearest",
    ) -> None:
        super().__init__()
        h, w = (resolution, resolution) if isinstance(resolution, int) else resolution
        if min(h, w) < 2:
            raise ValueError(f"resolution is {h} x {w}, must be 2 a side at least")
        for name in (filter, sample_filter):
            if name not in FILTERS:
                raise ValueError(f"filter is {name!r}, must be one of {', '.join(FILTERS)}")
        self.auxiliary, self.base = auxiliary, base
        self.resolution, self.filter, self.sample_filter = (h, w), filter, sample_filter
        if auxiliary is not None and tensor is not None:
            raise ValueError("an auxiliary network and a fixed tensor exclude each other")
        self.fixed = uniform(grid[0], grid[1]) if tensor is None else np.asarray(tensor)
        self._fixed = partial(torch.tensor, self.fixed, dtype=torch.float32)
        self.grid = (self.fixed.shape[1], self.fixed.shape[2]) if auxiliary is None else auxiliary.grid

    def forward(self, images: Tensor) -> Tensor:
        """Score every pixel.

        Parameters
        ----------
        images
            (B, 3, S, S) of uint8, or of floats on the same scale of 0 to 255.

        Returns
        -------
        Tensor
            (B, C, S, S) scores.

        Raises
        ------
        ValueError
            The images are no square, or smaller than the auxiliary network's input.
        """
        scores, phi = self.sampled_scores(images)
        return upsample(scores, phi, images.shape[-1])

    def labels(self, images: Tensor) -> Tensor:
        """The class of every pixel: the arg max of interpolated scores, (B, S, S) uint8.

        No scores are held at full resolution. Parameters and errors as in `forward`.
        """
        with torch.no_grad():
            scores, phi = self.sampled_scores(images)
            return label(scores, phi, images.shape[-1])

    def sampled_scores(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What is interpolated: scores (B, C, h', w') and the tensors (B, 2, h', w') they stand at."""
        phi = self.locate(images)
        take = cell_means if self.sample_filter == "area" else sample
        wanted = bool(getattr(self.base, "tensor_channels", False))
        scores: Tensor = self.base(shown(take(images, phi), phi, wanted))
        return scores, phi

    def locate(self, images: Tensor) -> Tensor:
        """The sampling tensors (B, 2, h', w') of images (B, 3, S, S), float64, on constraints (3)."""
        if images.dim() != 4 or images.shape[-1] != images.shape[-2]:
            raise ValueError(
                f"images have shape {tuple(images.shape)}, must be (B, 3, S, S): "
                "crop the largest square first"
            )
        if self.auxiliary is None:
            u = constant(self._fixed, images.device)
            phi = u.expand(images.shape[0], -1, -1, -1)  # len() would fix the batch in an export
        else:
            phi = self.auxiliary.predict(shrink(images, self.auxiliary.resolution, self.filter))
        return resize(phi.double(), self.resolution)


def shrink(images: Tensor, size: int, filter: str = "area") -> Tensor:
    """The uniform small image.

    Parameters
    ----------
    images
        (B, C, S, S), S at least `size`.
    size
        Side of the result.
    filter
        "area": means over boxes of equal size, their edges rounded to whole pixels. Of uint8 images on the
        CPU by compiled loops, as for stored samples; elsewhere, and where it is exported, the same to the
        bit, on a GPU by a kernel, else by a product of matrices.
        "nearest": operator (1) with the uniform tensor.

    Returns
    -------
    Tensor
        (B, C, size, size) in the images' dtype.

    Raises
    ------
    ValueError
        The images are smaller than the result.
    """
    side = images.shape[-1]
    if side < size:
        raise ValueError(f"images have shape {tuple(images.shape)}, must be {size} pixels a side at least")
    if filter == "nearest":
        u = constant(_uniform, images.device, size)
        return sample(images, u.expand(images.shape[0], -1, -1, -1))
    traced = torch.compiler.is_compiling()
    if images.dtype == torch.uint8 and images.device.type == "cpu" and not traced:
        return _box_means_on_cpu(images, size)
    if images.dtype == torch.uint8 and not traced and rasters.available(images.device):
        edges = members(side, size)
        widest = int((edges[1] - edges[0]).max())
        images = rasters.average_rows(images, constant(_edges, images.device, side, size), widest)
    else:
        images = _box_means(images, size, -1)
    return _box_means(images, size, -2)


def sample(images: Tensor, phi: Tensor) -> Tensor:
    """Operator (1): the pixels nearest to the entries of sampling tensors.

    Parameters
    ----------
    images
        (B, C, H, W), any dtype.
    phi
        (B, 2, h, w), values in [0, 1]; rounded as by `pipeline.geometry.sampling.sample`.

    Returns
    -------
    Tensor
        (B, C, h, w) in the images' dtype.
    """
    height, width = images.shape[-2:]
    rows, cols = nearest(phi[:, 0], height), nearest(phi[:, 1], width)
    places = (rows * width + cols).flatten(1)[:, None].expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, places).reshape(*images.shape[:2], *phi.shape[-2:])


def _box_means(values: Tensor, size: int, axis: int) -> Tensor:
    """Means over `size` neighbouring boxes of one axis, by a product: sums of bytes are exact in it."""
    member = constant(_members, values.device, values.shape[axis], size)
    counts = member.sum(0)
    with torch.autocast(values.device.type, enabled=False):
        whole = values if values.is_floating_point() else values.float()
        product = whole.mT @ member.to(whole.dtype) if axis == -2 else whole @ member.to(whole.dtype)
    if values.is_floating_point():
        means: Tensor = product / counts
        return means.mT if axis == -2 else means
    shares = (0.5 + 2**PRECISION / counts.double()).int()
    rounded: Tensor = ((product.int() * shares + 2 ** (PRECISION - 1)) >> PRECISION).to(values.dtype)
    return rounded.mT if axis == -2 else rounded


def constant(make: Callable[..., Tensor], device: torch.device, *arguments: Any) -> Tensor:
    """A tensor that depends on arguments alone, kept once made: to bring it to a GPU anew is to wait for it.

    Parameters
    ----------
    make
        Takes the arguments, and the device by name.
    """
    if torch.compiler.is_compiling():
        return make(*arguments, device=device)
    return _kept(make, device, *arguments)


@lru_cache(maxsize=64)
def _kept(make: Callable[..., Tensor], device: torch.device, *arguments: Any) -> Tensor:
    with torch.inference_mode(False):
        return make(*arguments, device=device)


def _edges(length: int, size: int, device: torch.device) -> Tensor:
    return torch.tensor(members(length, size), dtype=torch.int32, device=device)


def _uniform(size: int, device: torch.device) -> Tensor:
    return torch.tensor(uniform(size, size), device=device)


def _members(length: int, size: int, device: torch.device) -> Tensor:
    """(length, size) which of the boxes a pixel belongs to: Pillow's operations, in its order."""
    scale = torch.full((), length, dtype=torch.float64, device=device) / size  # in an export, too, in double
    pixel = torch.arange(length, dtype=torch.float64, device=device)[:, None]
    centre = (torch.arange(size, dtype=torch.float64, device=device) + 0.5) * scale
    place = (pixel - centre + 0.5) * (1 / scale)
    first, end = ((centre + side * 0.5 * scale + 0.5).floor() for side in (-1, 1))
    return (place > -0.5) & (place <= 0.5) & (pixel >= first) & (pixel < end)


def _box_means_on_cpu(images: Tensor, size: int) -> Tensor:
    """The same of uint8 images by compiled loops: of pictures as they were decoded, or of planes."""
    threads = torch.get_num_threads()
    if images.shape[1] == 3 and images.stride(1) == 1:
        means = box_means(images.permute(0, 2, 3, 1).numpy(), size, threads)
        return torch.from_numpy(means).permute(0, 3, 1, 2).contiguous()
    planes = images.numpy().reshape(-1, *images.shape[-2:], 1)
    return torch.from_numpy(box_means(planes, size, threads)).reshape(*images.shape[:-2], size, size)
