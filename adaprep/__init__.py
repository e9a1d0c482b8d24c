"""Adaptive downsampling near semantic boundaries: the names that people import.

    import adaprep

    phi = adaprep.propose(labels, targets=[3], grid=(8, 8), lam=1.0)     # (2, 8, 8): where samples lie
    fine = adaprep.resize(phi, (64, 64))                                 # (2, 64, 64)
    small = adaprep.sample(image, fine)                                  # (64, 64, 3)
    labels = adaprep.interpolate_labels(scores, fine, side)              # (C, 64, 64) back to (side, side)

The code lies in `pipeline`; everything here is imported when it is first used, so that PyTorch is needed only
by what runs networks.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.datasets.registry import load as dataset
    from pipeline.geometry.boundaries import target_boundaries
    from pipeline.geometry.crops import central_crop
    from pipeline.geometry.energy import energy, solve
    from pipeline.geometry.interpolation import interpolate, interpolate_labels
    from pipeline.geometry.nearest import nearest_boundary
    from pipeline.geometry.proposal import propose
    from pipeline.geometry.sampling import sample
    from pipeline.geometry.tensors import folded_cells, resize, uniform
    from pipeline.inference.loading import load
    from pipeline.inference.segmenter import AdaptiveSegmenter
    from pipeline.metrics import ConfusionMatrix

__all__ = [
    "AdaptiveSegmenter",
    "ConfusionMatrix",
    "central_crop",
    "dataset",
    "energy",
    "folded_cells",
    "interpolate",
    "interpolate_labels",
    "load",
    "nearest_boundary",
    "propose",
    "resize",
    "sample",
    "solve",
    "target_boundaries",
    "uniform",
]

_PLACES = {
    "AdaptiveSegmenter": "pipeline.inference.segmenter",
    "ConfusionMatrix": "pipeline.metrics",
    "central_crop": "pipeline.geometry.crops",
    "dataset": "pipeline.datasets.registry",
    "energy": "pipeline.geometry.energy",
    "folded_cells": "pipeline.geometry.tensors",
    "interpolate": "pipeline.geometry.interpolation",
    "interpolate_labels": "pipeline.geometry.interpolation",
    "load": "pipeline.inference.loading",
    "nearest_boundary": "pipeline.geometry.nearest",
    "propose": "pipeline.geometry.proposal",
    "resize": "pipeline.geometry.tensors",
    "sample": "pipeline.geometry.sampling",
    "solve": "pipeline.geometry.energy",
    "target_boundaries": "pipeline.geometry.boundaries",
    "uniform": "pipeline.geometry.tensors",
}
_ELSEWHERE = {"dataset": "load"}  # called otherwise where it lies

HOME = Path(__file__).resolve().parents[1]
"""The folder that holds `pipeline` and `cli.py`."""


def _own(name: str) -> None:
    """Make sure that `import name` finds ours, whatever else of that name lies on the path.

    Raises
    ------
    ImportError
        Another module of that name has been imported already.
    """
    there = sys.modules.get(name)
    file = getattr(there, "__file__", None) or getattr(getattr(there, "__spec__", None), "origin", None)
    if there is not None and (file is None or HOME not in Path(file).resolve().parents):
        raise ImportError(
            f"a module named {name!r} ({file or 'a folder without code'}) was imported before adaprep and "
            f"hides the one that adaprep brings. Rename it, or import adaprep first."
        )
    if there is None and _finds_another(name):
        sys.path.insert(0, str(HOME))
        importlib.invalidate_caches()


def _finds_another(name: str) -> bool:
    from importlib.util import find_spec

    spec = find_spec(name)
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
    where = next((place for place in places if place), None)
    return where is None or HOME not in Path(where).resolve().parents


_own("pipeline")


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'adaprep' has no attribute {name!r}; it has: {', '.join(__all__)}")
    found = getattr(importlib.import_module(_PLACES[name]), _ELSEWHERE.get(name, name))
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
