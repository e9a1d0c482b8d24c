"""Modules under the names that they had in 0.1: still imported, with a warning, for this release."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "pipeline.disk": "pipeline.workspace.disk",
    "pipeline.results": "pipeline.workspace.results",
    "pipeline.stores": "pipeline.workspace.stores",
    "pipeline.stages.boundary_error": "pipeline.evaluation.boundary_error",
    "pipeline.stages.upper_bound": "pipeline.evaluation.upper_bound",
    "pipeline.train.checkpoint": "pipeline.networks.checkpoint",
    "pipeline.train.evaluate": "pipeline.evaluation.evaluate",
    "pipeline.train.evaluations": "pipeline.evaluation.evaluations",
    "pipeline.train.interpolation": "pipeline.inference.interpolation",
    "pipeline.train.label_maps": "pipeline.inference.predict",
    "pipeline.train.macs": "pipeline.networks.macs",
    "pipeline.train.networks": "pipeline.networks",
    "pipeline.train.predict": "pipeline.samplers.predicted",
    "pipeline.train.runs": "pipeline.workspace.runs",
    "pipeline.train.segmenter": "pipeline.inference.segmenter",
    "pipeline.train.systems": "pipeline.inference.systems",
    "pipeline.train.tiling": "pipeline.inference.tiling",
}


def newer_name(name: str) -> str | None:
    """How a module is called now; None where its name has not changed."""
    for old, new in MOVED.items():
        if name == old or name.startswith(f"{old}."):
            return new + name.removeprefix(old)
    return None


class _Finder(MetaPathFinder, Loader):
    """Asked before all others, so that what is found is the module of the newer name itself, not a copy."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if newer_name(fullname) is None:
            return None
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        newer = newer_name(spec.name) or spec.name
        warnings.warn(f"{spec.name} is now called {newer}", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(newer)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module as it was imported under its own name."""
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state


def install() -> None:
    """Let `import` find modules under their older names."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
