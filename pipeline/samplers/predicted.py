"""Sampling with what a trained auxiliary network predicts: small images in, sampling tensors out."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import AdaprepError
from pipeline.samplers.base import Cost, Crops, Grid, Sampler, Wanted, proposal_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.networks.checkpoint import Checkpoint

_LOADING = threading.Lock()


@dataclass
class Predictor:
    """Carries the path of the weights, not the weights: each process loads them when it first predicts."""

    path: Path
    resolution: int
    filter: str
    grid: tuple[int, int]
    identity: str
    class_names: tuple[str, ...] | None = None
    _found: Checkpoint | None = field(default=None, repr=False, compare=False)
    _network: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def load(cls, path: Path) -> Predictor:
        """Look at a checkpoint.

        Raises
        ------
        AdaprepError
            There is none, it is damaged, or it is not an auxiliary network's.
        """
        from pipeline.networks import checkpoint

        return cls.of(checkpoint.load(path, "auxiliary"))

    @classmethod
    def of(cls, found: Checkpoint) -> Predictor:
        """The network of a checkpoint that was read."""
        height, width = found.arguments.get("grid", (8, 8))
        return cls(
            found.path.resolve(),
            int(found.arguments["resolution"]),
            str(found.about.get("filter", "area")),
            (int(height), int(width)),
            found.identity,
            tuple(found.about["class_names"]) if "class_names" in found.about else None,
            found,
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_network": None, "_found": None}

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, r, r, 3) images -> (n, 2, h, w) tensors on constraints (3)."""
        import numpy as np
        import torch

        network = self._built()
        batch = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        with torch.inference_mode():
            phi: NDArray[np.float32] = network.predict(batch).float().numpy()
        return phi

    def cost(self) -> Cost:
        """Multiply-adds of one small image, and parameters."""
        from pipeline.networks import macs

        network, side = self._built(), self.resolution
        return Cost(macs.macs(network, (3, side, side)), macs.parameters(network))

    def _built(self) -> Any:
        with _LOADING:
            if self._network is None:
                from pipeline.networks import checkpoint

                found, self._found = self._found or checkpoint.load(self.path, "auxiliary"), None
                self._network = found.build()
        return self._network


@dataclass(frozen=True)
class Predicted(Sampler):
    """The tensors that an auxiliary network predicts."""

    kind = "auxiliary"
    word = "adaptive"
    title = "tensors that the auxiliary network predicts"
    role = "adaptive"
    style = 0
    needs_network = usual = True
    recorded = {"lambda": True, "auxiliary": False}  # noqa: RUF012

    predictor: Predictor

    @classmethod
    def make(cls, wanted: Wanted) -> Predicted:
        if wanted.checkpoint is None:
            raise AdaprepError(f"the sampler {cls.kind!r} needs a trained network: give --checkpoint FILE")
        return cls(Predictor.load(wanted.checkpoint))

    @classmethod
    def run_name(cls, resolution: int, grid: Grid, lam: float, auxiliary_resolution: int) -> str:
        size = "" if auxiliary_resolution == 32 else str(auxiliary_resolution)
        return f"{cls.kind}{size}-{resolution}{proposal_name(grid, lam)}"

    @classmethod
    def options(cls, parameters: Mapping[str, Any]) -> None:
        return None

    @property
    def grid(self) -> Grid:  # type: ignore[override]
        return self.predictor.grid

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.predictor.identity}"

    @property
    def class_names(self) -> tuple[str, ...] | None:
        return self.predictor.class_names

    def parameters(self) -> dict[str, Any]:
        return {**super().parameters(), "auxiliary": self.predictor.identity}

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "auxiliary": self.predictor.identity}

    def cost(self) -> Cost:
        return self.predictor.cost()

    def describe(self) -> str:
        return f"{self.kind} {self.predictor.resolution}"

    def tensors(self, crops: Crops) -> NDArray[np.float32]:
        return predict(self.predictor, crops.images())


def shrink(crop: NDArray[np.uint8], size: int, how: str) -> NDArray[np.uint8]:
    """The uniform small image (size, size, 3) of a crop: mean of equal boxes, or nearest pixels (1)."""
    if how == "nearest":
        from pipeline.geometry.sampling import sample
        from pipeline.geometry.tensors import uniform

        return sample(crop, uniform(size, size))
    import numpy as np

    if size <= crop.shape[0] == crop.shape[1]:
        from pipeline.geometry.boxes import box_means

        return np.asarray(box_means(crop[None], size)[0])
    from PIL import Image

    return np.asarray(Image.fromarray(crop).resize((size, size), Image.Resampling.BOX))


def predict(predictor: Predictor, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Tensors (n, 2, h, w) of crops (S, S, 3): each is shrunk as the auxiliary network was trained."""
    import numpy as np

    return predictor(np.stack([shrink(crop, predictor.resolution, predictor.filter) for crop in crops]))


def load_named(paths: Sequence[Path], class_names: Sequence[str]) -> dict[str, Predictor]:
    """Auxiliary networks by their runs' names, or by their files' where several share one.

    Raises
    ------
    AdaprepError
        A file is no auxiliary network's checkpoint, or the network was trained on other classes.
    """
    from pipeline.networks import need_torch

    need_torch()
    runs = [path.resolve().parent.name for path in paths]
    found = {}
    for path, run in zip(paths, runs, strict=True):
        predictor = Predictor.load(path)
        if predictor.class_names not in (None, tuple(class_names)):
            raise AdaprepError(
                f"{path} was trained on other classes ({', '.join(predictor.class_names or ())}) than "
                f"this data set has ({', '.join(class_names)})."
            )
        found[run if runs.count(run) == 1 else str(path)] = predictor
    return found
