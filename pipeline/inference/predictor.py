"""A trained auxiliary network as the sampling stage sees it: small images in, sampling tensors out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import AdaprepError

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

        found = checkpoint.load(path, "auxiliary")
        height, width = found.arguments.get("grid", (8, 8))
        return cls(
            path.resolve(),
            int(found.arguments["resolution"]),
            str(found.about.get("filter", "area")),
            (int(height), int(width)),
            found.identity,
            tuple(found.about["class_names"]) if "class_names" in found.about else None,
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_network": None}

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, r, r, 3) images -> (n, 2, h, w) tensors on constraints (3)."""
        import torch

        with _LOADING:
            if self._network is None:
                from pipeline.networks import checkpoint

                self._network = checkpoint.load(self.path, "auxiliary").build()
        batch = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        with torch.inference_mode():
            phi: NDArray[np.float32] = self._network.predict(batch).float().numpy()
        return phi


def load_named(paths: Sequence[Path], class_names: Sequence[str]) -> dict[str, Predictor]:
    """Auxiliary networks by their runs' names, or by their files' where several share one.

    Raises
    ------
    AdaprepError
        A file is no auxiliary network's checkpoint, or the network was trained on other classes.
    """
    from pipeline.train import settings

    settings.need_torch()
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
