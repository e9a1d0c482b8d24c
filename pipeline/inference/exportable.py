"""The whole system as plain operations of PyTorch, for programs that run where adaprep is not installed.

`pipeline.inference.segmenter.AdaptiveSegmenter` finds the triangle over each pixel by compiled loops, in an
operator of its own, `adaprep::locate`. Here the same triangles are found by operations that `torch.export`
and ONNX know: every triangle is cut by every row that it covers, every cut is spread over its columns, and
each pixel keeps the smallest triangle over it. How many cuts and columns there are depends on the image, and
is a size that the exported program finds when it runs.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from pipeline.inference.averages import cell_means
from pipeline.inference.interpolation import _cut, _first_row_below
from pipeline.inference.rasters import mesh
from pipeline.inference.segmenter import AdaptiveSegmenter, sample, shrink
from pipeline.networks.auxiliary import AuxiliaryNetwork, project
from pipeline.networks.points import resize, shown

Output = Literal["labels", "scores"]

LARGEST_SIDE = 8192
"""Of the images that an exported program takes."""


class Exportable(nn.Module):
    """A segmenter of one image at a time.

    Parameters
    ----------
    segmenter
        Of which the parts are taken.
    output
        "labels", the class of every pixel, or "scores".
    """

    def __init__(self, segmenter: AdaptiveSegmenter, output: Output = "labels") -> None:
        super().__init__()
        self.segmenter, self.interpolate = segmenter, Interpolate(output)
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """An image (1, 3, S, S) of uint8 to labels (1, S, S), uint8, or scores (1, C, S, S), float32."""
        scores, points = self.segmenter.sampled_scores(image)
        labels: Tensor = self.interpolate(scores, points, image)
        return labels


def smallest_side(segmenter: AdaptiveSegmenter) -> int:
    """Of the images that a segmenter takes."""
    return 2 if segmenter.auxiliary is None else max(2, segmenter.auxiliary.resolution)


class Shrink(nn.Module):
    """The uniform small image (1, 3, r, r), as floats, of an image (1, 3, S, S)."""

    def __init__(self, auxiliary: AuxiliaryNetwork, filter: str) -> None:
        super().__init__()
        self.size, self.filter = auxiliary.resolution, filter

    def forward(self, image: Tensor) -> Tensor:
        return shrink(image, self.size, self.filter).float()


class Predict(nn.Module):
    """The tensor (1, 2, h, w) on constraints (3) that the auxiliary network predicts of a small image."""

    def __init__(self, auxiliary: AuxiliaryNetwork) -> None:
        super().__init__()
        self.auxiliary = auxiliary

    def forward(self, small: Tensor) -> Tensor:
        return self.auxiliary.predict(small)


class Sample(nn.Module):
    """What the base network is shown, and the points (1, 2, h', w') where its pixels lie.

    It is shown (1, 3 or 6, h', w') floats (`points.shown`).
    """

    def __init__(self, segmenter: AdaptiveSegmenter) -> None:
        super().__init__()
        self.resolution, self.filter = segmenter.resolution, segmenter.sample_filter
        self.tensor_channels = bool(getattr(segmenter.base, "tensor_channels", False))
        self.fixed: Tensor
        self.register_buffer("fixed", torch.tensor(segmenter.fixed, dtype=torch.float32)[None])

    def forward(self, image: Tensor, tensor: Tensor | None = None) -> tuple[Tensor, Tensor]:
        points = resize((self.fixed if tensor is None else tensor).double(), self.resolution)
        take = cell_means if self.filter == "area" else sample
        return shown(take(image, points).float(), points, self.tensor_channels), points


class Interpolate(nn.Module):
    """Labels or scores at every pixel of an image (1, 3, S, S), of which the size alone is looked at."""

    def __init__(self, output: Output = "labels") -> None:
        super().__init__()
        self.output = output

    def forward(self, scores: Tensor, points: Tensor, image: Tensor) -> Tensor:
        side = image.shape[-1]
        dense = interpolate(scores[0].float(), points[0], side)
        if self.output == "labels":
            return dense.argmax(1).to(torch.uint8).reshape(1, side, side)
        return dense.T.reshape(1, -1, side, side)


def interpolate(scores: Tensor, phi: Tensor, side: int) -> Tensor:
    """Scores at every pixel of a square, as `pipeline.inference.interpolation.interpolate` gives them.

    Parameters
    ----------
    scores
        (C, h, w) at the sample points.
    phi
        (2, h, w) where they stand, float64, on constraints (3).
    side
        S, of the square in pixels.

    Returns
    -------
    Tensor
        (S * S, C).
    """
    corners, weights = locate(phi, side)
    values = scores.flatten(1).T.contiguous()
    parts = [values.index_select(0, corners[:, k]) * weights[:, k, None].to(values.dtype) for k in range(3)]
    return parts[0] + parts[1] + parts[2]


def locate(phi: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The corners (S * S, 3) of the triangle at every pixel, in the flattened grid, and their weights."""
    vertical, horizontal = project(phi[None])[0].unbind(0)
    y, x = (vertical * (side - 1)).flatten(), (horizontal * (side - 1)).flatten()
    triangles = mesh(phi[None])[0]
    ys, xs = y[triangles], x[triangles]
    winner = _winners(ys, xs, side)
    pixel = torch.arange(winner.shape[0], device=phi.device)
    row = pixel // side
    col = pixel - row * side  # ONNX has no remainder by a size
    return triangles[winner], _cut(ys[winner], xs[winner], row, side).weights(col)


def _winners(ys: Tensor, xs: Tensor, side: int) -> Tensor:
    """(S * S,) the smallest upright triangle with a forward span over each pixel; the last of equal ones.

    As in `pipeline.geometry._triangles`, where a triangle is drawn over larger ones.
    """
    below = _first_row_below(ys, side)
    begin = below.amin(1)
    triangle, row = _expand(begin, below.amax(1) - begin)
    cut = _cut(ys[triangle], xs[triangle], row, side)
    span, col = _expand(cut.first, (cut.last - cut.first + 1).clamp(min=0))
    owner = triangle[span]
    pixel = row[span] * side + col
    area = (xs[:, 1] - xs[:, 0]) * (ys[:, 2] - ys[:, 0]) - (ys[:, 1] - ys[:, 0]) * (xs[:, 2] - xs[:, 0])
    size = torch.where(area > 0, area, float("inf"))[owner]
    smallest = torch.full((side * side,), float("inf"), dtype=size.dtype, device=size.device)
    smallest = smallest.scatter_reduce(0, pixel, size, "amin")
    candidate = torch.where(size <= smallest[pixel], owner, 0)
    nobody = torch.zeros((side * side,), dtype=torch.int64, device=size.device)
    return nobody.scatter_reduce(0, pixel, candidate, "amax")


def _expand(starts: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """All pairs (i, starts[i] + j), j < counts[i]."""
    ends = counts.cumsum(0)
    total: Any = ends[-1].item()
    torch._check(total >= 0)
    marks = torch.zeros(total + 1, dtype=torch.int64, device=counts.device)
    index = marks.scatter_add(0, ends, torch.ones_like(ends)).cumsum(0)[:total]
    return index, starts[index] + torch.arange(total, device=counts.device) - (ends - counts)[index]
