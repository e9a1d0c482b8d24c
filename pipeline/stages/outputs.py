"""What `sample` can make of one decoded frame: small uniform images, and images sampled with tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import UNKNOWN, Dataset, Frame
from pipeline.errors import AdaprepError, FileError
from pipeline.stages.frame import read_label_map
from pipeline.workspace import stores

FILTERS = ("area", "nearest")


class Predictor(Protocol):
    """A trained auxiliary network: small uniform images in, sampling tensors out. Picklable."""

    resolution: int
    filter: str
    grid: tuple[int, int]
    identity: str  # names the weights: short hash
    class_names: tuple[str, ...] | None  # of the data it was trained on, where that is known

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, r, r, 3) images -> (n, 2, h, w) tensors on constraints (3)."""
        ...


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
    """Image and label map sampled with one kind of tensor at one resolution."""

    resolution: int
    sampler: str  # "uniform", "proposal" or "auxiliary"
    grid: tuple[int, int] = (8, 8)
    lam: float | None = None  # of the proposals
    predictor: Predictor | None = None

    @property
    def name(self) -> str:
        grid = f"{self.grid[0]}x{self.grid[1]}"
        if self.sampler == "proposal":
            return f"proposal-{grid}-lambda{stores.lambda_name(self.lam or 0.0)}-{self.resolution}"
        if self.predictor is not None:
            return f"auxiliary-{self.predictor.identity}-{self.resolution}"
        return f"uniform-{self.resolution}"

    def parameters(self) -> dict[str, Any]:
        about: dict[str, Any] = {
            "sampler": self.sampler,
            "resolution": self.resolution,
            "tensor_grid": list(self.grid),
        }
        if self.lam is not None:
            about["lambda"] = float(self.lam)
        if self.predictor is not None:
            about["auxiliary"] = self.predictor.identity
        return about

    def arrays(self, crops: int) -> dict[str, stores.ArraySpec]:
        r = self.resolution
        return {
            "image": stores.ArraySpec((crops, r, r, 3), "uint8", chunk_per_image=True, doc="RGB"),
            "label": stores.ArraySpec((crops, r, r), "uint8", 255, True, doc="train ids, 255 void"),
            "phi": stores.ArraySpec((crops, 2, *self.grid), "float32", doc="the tensor sampled with"),
        }

    def make(self, view: View) -> dict[str, NDArray[Any]]:
        from pipeline.geometry.sampling import sample
        from pipeline.geometry.tensors import resize

        phi = self._tensors(view)
        size = (self.resolution, self.resolution)
        fine = [resize(tensor.astype(np.float64), size) for tensor in phi]
        images = [sample(crop, points) for crop, points in zip(view.images(), fine, strict=True)]
        labels = [sample(crop, points) for crop, points in zip(view.labels(), fine, strict=True)]
        return {"image": np.stack(images), "label": view.train_ids(np.stack(labels)), "phi": phi}

    def _tensors(self, view: View) -> NDArray[np.float32]:
        from pipeline.geometry.tensors import uniform

        if self.sampler == "proposal":
            return view.proposals[stores.lambda_name(self.lam or 0.0)]
        if self.predictor is not None:
            return predict(self.predictor, view.images())
        u = uniform(*self.grid).astype(np.float32)
        return np.broadcast_to(u, (len(view.corners), *u.shape)).copy()


Output = AuxiliaryInput | Sampled


@dataclass(frozen=True)
class View:
    """One decoded frame with the crops and proposals that belong to it."""

    dataset: Dataset
    frame: Frame
    image: NDArray[np.uint8]  # (H, W, 3)
    raw: NDArray[Any]  # (H, W) raw class ids
    corners: Sequence[tuple[int, int]]
    proposals: dict[str, NDArray[np.float32]]  # lambda -> (K, 2, h, w)

    def images(self) -> list[NDArray[np.uint8]]:
        return [self._crop(self.image, corner) for corner in self.corners]

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


def shrink(crop: NDArray[np.uint8], size: int, how: str) -> NDArray[np.uint8]:
    """The uniform small image (size, size, 3) of a crop: mean of equal boxes, or nearest pixels (1)."""
    if how == "nearest":
        from pipeline.geometry.sampling import sample
        from pipeline.geometry.tensors import uniform

        return sample(crop, uniform(size, size))
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(crop))
    return np.asarray(picture.resize((size, size), Image.Resampling.BOX))


def predict(predictor: Predictor, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Tensors (n, 2, h, w) of crops (S, S, 3): each is shrunk as the auxiliary network was trained."""
    return predictor(np.stack([shrink(crop, predictor.resolution, predictor.filter) for crop in crops]))


def load_view(dataset: Dataset, frame: Frame, crops: int, proposals: dict[str, NDArray[np.float32]]) -> View:
    """Decode one frame. Raises FileError when either file cannot be read or they differ in size."""
    from pipeline.geometry.crops import offsets

    raw = read_label_map(dataset, frame).ids
    image = dataset.read_image(frame)
    if image.shape[:2] != raw.shape:
        raise FileError(
            f"{frame.image}: the image is {image.shape[1]} x {image.shape[0]}, its label map "
            f"{raw.shape[1]} x {raw.shape[0]}: they must have the same size"
        )
    return View(dataset, frame, image, raw, offsets(raw.shape[0], raw.shape[1], crops), proposals)


def choose(
    resolutions: Sequence[int],
    samplers: Sequence[str],
    lambdas: Sequence[float],
    grid: tuple[int, int],
    predictor: Predictor | None,
    inputs: Sequence[int],
    aux_filter: str,
) -> list[Output]:
    """The outputs that the command's options ask for.

    Raises
    ------
    AdaprepError
        The sampler is `auxiliary` and there is no network, or the other way round.
    """
    if ("auxiliary" in samplers) != (predictor is not None):
        raise AdaprepError(
            "the sampler 'auxiliary' needs a trained network: give --checkpoint FILE"
            if predictor is None
            else "--checkpoint is used by the sampler 'auxiliary' alone: add --sampler auxiliary"
        )
    if predictor is not None and predictor.grid != grid:
        theirs, ours = (f"{h}x{w}" for h, w in (predictor.grid, grid))
        raise AdaprepError(
            f"the network was trained for grid {theirs}, grid {ours} is asked for: give --grid {theirs}"
        )
    found: list[Output] = [AuxiliaryInput(r, aux_filter) for r in inputs]
    for resolution in resolutions:
        for sampler in dict.fromkeys(samplers):
            if sampler == "proposal":
                found += [Sampled(resolution, sampler, grid, lam) for lam in lambdas]
            elif sampler == "auxiliary" and predictor is not None:
                found.append(Sampled(resolution, sampler, predictor.grid, predictor=predictor))
            else:
                found.append(Sampled(resolution, sampler))
    return found
