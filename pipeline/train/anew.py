"""Crops sampled anew in every epoch: a random square of each, blown up first and sampled then."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.networks import checkpoint, points
from pipeline.samplers.base import Grid, Sampler
from pipeline.samplers.predicted import Predicted, Predictor
from pipeline.train.data import Batch
from pipeline.train.zoom import Minimisers, Squares, shrunk

WITHIN = 4
"""Places along each side of a cell whose mean an anti-aliased sample is."""


@dataclass
class Anew:
    """Samples squares of finer uniform images as `adaprep sample` samples crops.

    Parameters
    ----------
    sampler
        Where samples lie. It looks at the square alone, as if that were the crop.
    resolution
        Of the samples.
    filter
        ``nearest``; or ``area``, the mean of `WITHIN` x `WITHIN` places of each sample's cell. Labels are
        always nearest.
    zoom
        Squares are blown up by 1 to 1 + this.
    targets
        Train ids of the target classes.
    """

    sampler: Sampler
    resolution: int
    filter: str
    zoom: float
    targets: tuple[int, ...]
    _network: nn.Module | None = field(default=None, repr=False)

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Draw a square of every crop and sample it.

        Parameters
        ----------
        batch
            ``fine`` (n, 3, R, R) uint8 uniform images and ``label`` (n, R, R) their train ids.

        Returns
        -------
        dict
            ``image`` (n, 3, r, r) and ``label`` (n, r, r).
        """
        fine, labels = batch["fine"], batch["label"]
        squares = Squares.drawn(len(fine), self.zoom, fine.shape[-1], generator)
        phi = self.tensors(batch, squares).double()
        item = torch.arange(len(fine), device=fine.device)[:, None, None]
        rows, cols = squares.indices(points.resize(phi, (self.resolution, self.resolution)))
        label, pixels = labels[item, rows, cols], fine.permute(0, 2, 3, 1)
        image = self._means(pixels, squares, phi) if self.filter == "area" else pixels[item, rows, cols]
        return {"image": image.permute(0, 3, 1, 2).contiguous(), "label": label}

    def tensors(self, batch: Batch, squares: Squares) -> Tensor:
        """(n, 2, h, w) of every square, on constraints (3)."""
        fine, fixed = batch["fine"], self.sampler.fixed
        if fixed is not None:
            return torch.from_numpy(fixed).to(fine.device).expand(len(fine), *fixed.shape)
        if isinstance(self.sampler, Predicted):
            return self._predicted(self.sampler.predictor, fine, squares)
        images, labels = fine.permute(0, 2, 3, 1).cpu().numpy(), batch["label"].cpu().numpy()
        found = [
            self.sampler.tensors(_Square(images[i, rows, cols], labels[i, rows, cols], self.targets))[0]
            for i, (rows, cols) in enumerate(squares.slices())
        ]
        return torch.from_numpy(np.stack(found)).to(fine.device)

    def _predicted(self, predictor: Predictor, fine: Tensor, squares: Squares) -> Tensor:
        """As `predictor` does on a CPU, on the device of the images."""
        if self._network is None:
            self._network = checkpoint.load(predictor.path, "auxiliary").build().to(fine.device)
        small = shrunk(fine, squares, predictor.resolution, predictor.filter)
        with torch.no_grad():
            found: Tensor = self._network.predict(small)  # type: ignore[operator]
        return found.float()

    def _means(self, pixels: Tensor, squares: Squares, phi: Tensor) -> Tensor:
        """(n, r, r, 3) floats of (n, R, R, 3): over places that divide each sample's cell evenly."""
        side = self.resolution
        within = (torch.arange(WITHIN, device=phi.device, dtype=phi.dtype) + 0.5) / WITHIN - 0.5
        steps = torch.arange(side, device=phi.device, dtype=phi.dtype)
        places = ((steps[:, None] + within).flatten() / (side - 1)).clamp(0, 1)
        rows, cols = squares.indices(_at(phi, places))
        item = torch.arange(len(pixels), device=phi.device)[:, None, None]
        found = pixels[item, rows, cols].float()
        return found.view(len(pixels), side, WITHIN, side, WITHIN, 3).mean(dim=(2, 4))


@dataclass(frozen=True)
class _Square:
    """As a sampler looks at it: an image with one crop, itself."""

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    targets: tuple[int, ...]

    def images(self) -> list[NDArray[np.uint8]]:
        return [self.image]

    def proposals(self, grid: Grid, lam: float) -> NDArray[np.float32]:
        wanted = Minimisers(grid, lam, self.targets)
        return wanted.solved(wanted.nearest(self.labels)[None]).astype(np.float32)


def _at(phi: Tensor, places: Tensor) -> Tensor:
    """(n, 2, m, m) of tensors (n, 2, h, w): bilinear at the same m places of [0, 1] along both axes."""
    for axis in (-2, -1):
        last = phi.shape[axis] - 1
        low = (places * last).floor().long().clamp(0, last - 1)
        weight = places * last - low
        if axis == -2:
            weight = weight[:, None]
        start = phi.index_select(axis, low)
        phi = start + weight * (phi.index_select(axis, low + 1) - start)
    return phi
