"""What `sample` can make of one decoded frame: small uniform images, and images sampled with tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import UNKNOWN, Dataset, Frame
from pipeline.errors import AdaprepError, FileError
from pipeline.samplers import registry
from pipeline.samplers.base import Grid, Sampler, Wanted
from pipeline.samplers.predicted import shrink
from pipeline.stages.frame import read_label_map
from pipeline.workspace import stores

FILTERS = ("area", "nearest")


@dataclass(frozen=True)
class AuxiliaryInput:
    """The uniform small images that the auxiliary network looks at."""

    resolution: int
    filter: str = "area"

    @property
    def name(self) -> str:
        return f"input-{self.resolution}-{self.filter}"

    def parameters(self) -> dict[str, Any]:
        return {"sampler": "input", "resolution": self.resolution, "filter": self.filter}

    def arrays(self, crops: int) -> dict[str, stores.ArraySpec]:
        r = self.resolution
        return {"image": stores.ArraySpec((crops, r, r, 3), "uint8", chunk_per_image=True, doc="RGB")}

    def make(self, view: View) -> dict[str, NDArray[Any]]:
        return {"image": np.stack([shrink(crop, self.resolution, self.filter) for crop in view.images()])}


@dataclass(frozen=True)
class Sampled:
    """Image and label map sampled with one sampler at one resolution."""

    resolution: int
    sampler: Sampler
    filter: str = "nearest"  # or "area": the mean of each sample's own cell; labels are always nearest

    @property
    def name(self) -> str:
        filtered = "" if self.filter == "nearest" else f"-{self.filter}"
        return f"{self.sampler.name}-{self.resolution}{filtered}"

    def parameters(self) -> dict[str, Any]:
        """What the store records; a store without a filter was sampled at nearest pixels."""
        sampler, *rest = self.sampler.parameters().items()
        filtered = {} if self.filter == "nearest" else {"filter": self.filter}
        return {**dict([sampler, ("resolution", self.resolution), *rest]), **filtered}

    def arrays(self, crops: int) -> dict[str, stores.ArraySpec]:
        r = self.resolution
        return {
            "image": stores.ArraySpec((crops, r, r, 3), "uint8", 0, True, "RGB", chunk_per_crop=True),
            "label": stores.ArraySpec(
                (crops, r, r), "uint8", 255, True, "train ids, 255 void", chunk_per_crop=True
            ),
            "phi": stores.ArraySpec((crops, 2, *self.sampler.grid), "float32", doc="the tensor sampled with"),
        }

    def make(self, view: View) -> dict[str, NDArray[Any]]:
        from pipeline.geometry.cells import sample_image
        from pipeline.geometry.sampling import sample
        from pipeline.geometry.tensors import resize

        phi = self.sampler.tensors(view)
        size = (self.resolution, self.resolution)
        fine = [resize(tensor.astype(np.float64), size) for tensor in phi]
        images = [
            sample_image(crop, points, self.filter) for crop, points in zip(view.images(), fine, strict=True)
        ]
        labels = [sample(crop, points) for crop, points in zip(view.labels(), fine, strict=True)]
        return {"image": np.stack(images), "label": view.train_ids(np.stack(labels)), "phi": phi}


Output = AuxiliaryInput | Sampled
Stored = Mapping[tuple[Grid, float], NDArray[np.float32]]
"""Proposals of an image by grid and lambda."""


@dataclass(frozen=True)
class View:
    """One decoded frame with the crops and proposals that belong to it."""

    dataset: Dataset
    frame: Frame
    image: NDArray[np.uint8]  # (H, W, 3)
    raw: NDArray[Any]  # (H, W) raw class ids
    corners: Sequence[tuple[int, int]]
    stored: Stored  # (K, 2, h, w) proposals

    def images(self) -> list[NDArray[np.uint8]]:
        return [self._crop(self.image, corner) for corner in self.corners]

    def proposals(self, grid: Grid, lam: float) -> NDArray[np.float32]:
        return self.stored[grid, lam]

    def labels(self) -> list[NDArray[Any]]:
        return [self._crop(self.raw, corner) for corner in self.corners]

    def _crop(self, array: NDArray[Any], corner: tuple[int, int]) -> NDArray[Any]:
        side = min(self.raw.shape)
        return array[corner[0] : corner[0] + side, corner[1] : corner[1] + side]

    def train_ids(self, raw: NDArray[Any]) -> NDArray[np.uint8]:
        """Map raw ids. Raises FileError for one that the class table does not name."""
        train = self.dataset.classes.lut[raw]
        if (train == UNKNOWN).any():
            unknown = sorted({int(i) for i in np.unique(raw[train == UNKNOWN])})
            raise FileError(
                f"{self.frame.label}: id {', '.join(map(str, unknown))} is not in the class table of "
                f"{self.dataset.name}"
            )
        return np.asarray(train)


def load_view(dataset: Dataset, frame: Frame, crops: int, stored: Stored) -> View:
    """Decode one frame. Raises FileError when either file cannot be read or they differ in size."""
    from pipeline.geometry.crops import offsets

    raw = read_label_map(dataset, frame).ids
    image = dataset.read_image(frame)
    if image.shape[:2] != raw.shape:
        raise FileError(
            f"{frame.image}: the image is {image.shape[1]} x {image.shape[0]}, its label map "
            f"{raw.shape[1]} x {raw.shape[0]}: they must have the same size"
        )
    return View(dataset, frame, image, raw, offsets(raw.shape[0], raw.shape[1], crops), stored)


def choose(
    resolutions: Sequence[int],
    samplers: Sequence[str],
    lambdas: Sequence[float],
    wanted: Wanted,
    inputs: Sequence[int],
    aux_filter: str,
    filter: str = "nearest",
) -> list[Output]:
    """The outputs that the command's options ask for.

    Raises
    ------
    AdaprepError
        A sampler lacks what it needs, or an auxiliary network is given that no sampler uses.
    """
    kinds = {name: registry.kind(name) for name in dict.fromkeys(samplers)}
    if wanted.checkpoint is not None and not any(kind.needs_network for kind in kinds.values()):
        raise AdaprepError("--checkpoint is used by the sampler 'auxiliary' alone: add --sampler auxiliary")
    chosen = []
    for name, kind in kinds.items():
        several = lambdas if kind.from_proposals else lambdas[:1]
        chosen += [registry.make(name, replace(wanted, lam=lam)) for lam in several]
        if kind.needs_network and chosen[-1].grid != wanted.grid:
            theirs, ours = (f"{h}x{w}" for h, w in (chosen[-1].grid, wanted.grid))
            raise AdaprepError(
                f"the network was trained for grid {theirs}, grid {ours} is asked for: give --grid {theirs}"
            )
    found: list[Output] = [AuxiliaryInput(r, aux_filter) for r in inputs]
    return found + [Sampled(resolution, sampler, filter) for resolution in resolutions for sampler in chosen]
